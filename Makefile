# Each target makes its own set-up: an environment in .venv, with the versions of constraints.txt. Nothing else on
# the machine is changed; the model's weights go to your cache folder, once.
#
#   make lessons    install, execute the lessons, compare what they print with what is stored
#   make lab        open the lessons in JupyterLab
#   make test       everything that CI runs
#   make test-fast  the same without the slow tests
#   make bench      the figures in the README, measured on this machine
#   make html       the lessons as pages, in html/
#   make site       the whole site, in site/: lessons, reference, glossary, for teachers
#   make screenshots  the README's pictures of a view and of the site, taken anew
#   make versions   the quick tests with other Pythons and other packages, each in a fresh environment (an hour)
#   make processors the lessons compared on processors that this one is not, and with more rounding (an hour or two)
#   make coverage   how much of the package the tests run
#   make clean      remove .venv and everything else that was made here

ifeq ($(OS),Windows_NT)
PYTHON ?= python
BIN := .venv/Scripts
else
PYTHON ?= python3
BIN := .venv/bin
endif
SHELL := bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help lessons lab test test-fast bench html site screenshots versions processors coverage clean

# Tests at once. One more than two cores, since a fifth of the time a test waits: for a browser, a kernel that starts, an
# answer that never ends. On more cores: make test WORKERS=8.
WORKERS ?= 3
# A kernel that asks for as many threads as there are cores gains nothing beside another test process.
PARALLEL := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
# How the tests are run, with more arguments for pytest. mypy takes one core for most of a minute: it reads the
# sources beside the tests, and what it says comes after theirs.
define TESTED
$(BIN)/python -m ruff check . || exit 1; \
  mkdir -p .mypy_cache; $(BIN)/python -m mypy >.mypy_cache/said 2>&1 & reading=$$!; \
  $(BIN)/course fetch && $(PARALLEL) $(1); tested=$$?; \
  wait $$reading; read=$$?; cat .mypy_cache/said; exit $$((tested | read))
endef

help:
	@sed -n 's/^#   //p' Makefile

lessons: .venv/.installed-lab
	@$(BIN)/course fetch
	@$(BIN)/course notebooks compare --workers 2 || { echo; \
	  echo "Not every lesson printed what is stored; the cells are named above. Each stored output is in notebooks/,"; \
	  echo "'make lab' opens the lessons, and CONTRIBUTING.md says what may differ and why."; exit 1; }
	@echo; echo "Every lesson ran on this machine and printed what is stored. Nothing was written into them."
	@echo "Next: 'make lab' opens them; begin with notebooks/01_tokens_and_logits.ipynb."

lab: .venv/.installed-lab
	$(BIN)/python -m jupyterlab --notebook-dir=notebooks

test: .venv/.installed-test
	@$(call TESTED,)

test-fast: .venv/.installed-test
	@$(call TESTED,-m "not slow")

bench: .venv/.installed-test
	$(BIN)/python -m benchmarks

html: .venv/.installed-lab
	$(BIN)/course notebooks html --output html

site: .venv/.installed-site
	@$(BIN)/course notebooks site --output site
	@echo "Open site/index.html; its views come to life from a server: $(BIN)/python -m http.server -d site"

screenshots: .venv/.installed-test
	COURSE_SCREENSHOTS=1 $(BIN)/python -m pytest tests/browser/test_site.py -k screenshots

versions: .venv/.installed-test
	@$(BIN)/course fetch
	$(BIN)/python .ci/versions.py

processors: .venv/.installed-lab
	@$(BIN)/course fetch
	$(BIN)/python .ci/processors.py

coverage: .venv/.installed-test
	@$(BIN)/course fetch
	$(BIN)/python -m coverage erase
	OMP_NUM_THREADS=1 $(BIN)/python -m coverage run -m pytest -n $(WORKERS) --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

clean:
	rm -rf .venv .venv.lock .venv.lock.check html site build dist .pytest_cache .mypy_cache .ruff_cache .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is made when the installation is complete. `.installing` is there while one runs: if it is found, the last
# one was cut off, and the environment is made anew.
.venv/.installed-%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "'$(PYTHON)' is missing or older than Python 3.11. Name another: make $(MAKECMDGOALS) PYTHON=python3.12"; \
	  exit 1; }
	@bash .ci/install $* "$(PYTHON)" $(BIN)
