"""The quick tests with other Pythons and other packages than the ones pinned: each way in a fresh environment of its
own.

    make versions                                        every way that this machine can go
    .venv/bin/python .ci/versions.py oldest newest       some of them
    .venv/bin/python .ci/versions.py --list              what there is, and which Pythons were found

A way is a Python and a choice of packages: `python3.12` takes the versions of constraints.txt with that Python. With
the Python that runs this, `oldest` takes the lowest transformers and nnsight that pyproject.toml allows, `newest` the
highest, all else at the versions of constraints.txt. `lowest` takes the lowest of all that pyproject.toml's
`dependencies` allow, and `latest` the highest of everything: these two also of torch, so give them an index with a
processor-only build (PIP_EXTRA_INDEX_URL), or on Linux they bring gigabytes of CUDA; they go only where they are asked
for.
What was done is printed as the table that the README holds.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MOVING = ("transformers", "nnsight")  # what `oldest` and `newest` are about
ASKED_FOR = ("lowest", "latest")  # ways that go only then
FOLLOWING = ("tokenizers", "huggingface-hub")  # whose versions a transformers prescribes
NAMED = ("torch", "transformers", "nnsight", "numpy")  # the columns of the table
# What holds the installed versions against the pins says nothing where other versions are asked for.
NOT_FOR_OTHER_VERSIONS = (
    "tests/test_project.py::test_pins_lie_in_the_ranges_and_are_what_is_installed",
    "tests/test_project.py::test_constraints_pin_everything_that_is_installed_here",
)


@dataclass(frozen=True)
class Way:
    """One environment to try: its name, its Python, and the constraints that pip gets, a requirement a line."""

    name: str
    python: str
    constraints: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of it: the versions that pip chose, and the closing line of the tests or where it stopped before
    them.
    """

    way: Way
    versions: dict[str, str]
    passed: bool
    said: str


def pins() -> list[str]:
    """The lines of constraints.txt, its comments left out."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def lowest(requirement: str) -> str:
    """Return `name==version` for the lower bound in `requirement`, as "numpy>=2.0" has one."""
    found = re.match(r"([\w-]+)>=([\w.]+)", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} in pyproject.toml states no lower bound")
    return "==".join(found.groups())


def find_python(version: str) -> str:
    """The path of `python{version}`, from PATH or from pyenv, or "" if it does not start."""
    name = "python.exe" if sys.platform == "win32" else f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in [shutil.which(name), *sorted(map(str, pyenv.glob(f"{version}.*/bin/{name}")), reverse=True)]:
        if path and starts_as(path, version):
            return path
    return ""


def starts_as(path: str, version: str) -> bool:
    """Whether it starts and is that version: a shim of pyenv has the name and may refuse."""
    asked = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(asked, capture_output=True, text=True).stdout.strip() == version


def ways() -> dict[str, Way]:
    """Every way there is, by name; `python` is "" where this machine lacks it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = tuple(pins())
    others = tuple(line for line in pinned if line.partition("==")[0] not in (*MOVING, *FOLLOWING))
    bounds = tuple(lowest(one) for one in project["dependencies"] if re.match(rf"({'|'.join(MOVING)})\b", one))
    found = [Way(f"python{version}", find_python(version), pinned) for version in PYTHONS]
    found += [Way("oldest", sys.executable, (*bounds, *others)), Way("newest", sys.executable, others)]
    floor = tuple(map(lowest, project["dependencies"]))
    # What they need in turn is pip's choice: a pin of today may be too new for them. The tools are as pinned.
    tools = {name_of(one) for extra in project["optional-dependencies"].values() for one in extra}
    named = {name_of(one) for one in floor}
    found += [Way("lowest", sys.executable, (*floor, *(line for line in pinned if name_of(line) in tools - named)))]
    return {way.name: way for way in [*found, Way("latest", sys.executable, ())]}


def name_of(requirement: str) -> str:
    """The package that a requirement is about."""
    return re.match(r"[\w-]+", requirement).group()  # type: ignore[union-attr]


def try_out(way: Way, folder: Path) -> Outcome:
    """Make the environment in `folder`, install, and run the quick tests in it; what they print goes to the screen."""
    binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python, constraints = str(binaries / "python"), folder / "constraints.txt"
    made = subprocess.run([way.python, "-m", "venv", str(folder)])
    if made.returncode != 0:
        return Outcome(way, {}, False, "no environment could be made")
    constraints.write_text("\n".join(way.constraints) + "\n", encoding="utf-8")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(constraints)]
    if subprocess.run([*install, "-e", f"{ROOT}[test]"]).returncode != 0:
        return Outcome(way, {}, False, "pip could not install it")
    ask = f"from importlib.metadata import version; print(*map(version, {NAMED}))"
    versions = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.split()
    tests = [python, "-m", "pytest", "-n", "2", "--dist", "worksteal", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    if way.constraints != tuple(pins()):
        tests += [f"--deselect={one}" for one in NOT_FOR_OTHER_VERSIONS]
    if way.name == "lowest":  # what an old package calls of a newer one says nothing of the course
        tests += ["-W", "ignore::DeprecationWarning"]
    # The course's own command is looked for beside the Python that runs the tests, or on PATH.
    path = os.pathsep.join([str(binaries), os.environ.get("PATH", "")])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": path}
    with subprocess.Popen(tests, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    said = re.sub(r"\s*in [\d.]+s.*", "", last.strip("= "))
    return Outcome(way, dict(zip(NAMED, versions, strict=True)), process.returncode == 0, said)


def table(outcomes: list[Outcome]) -> str:
    """The outcomes in Markdown, a row for each."""
    rows = ["| | Python | " + " | ".join(NAMED) + " | quick tests |", "|---" * (len(NAMED) + 3) + "|"]
    for one in outcomes:
        asked = [one.way.python, "-c", "import platform; print(platform.python_version())"]
        python = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
        cells = [one.way.name, python, *(one.versions.get(name, "-") for name in NAMED), one.said]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main() -> int:
    """Go the ways that were asked for, one after another; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description="The quick tests with other Pythons and other packages.")
    parser.add_argument(
        "names", nargs="*", metavar="WAY", help=f"as --list has them; none: all but {' and '.join(ASKED_FOR)}"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and do nothing")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="make the environments here and leave them")
    arguments = parser.parse_args()
    known = ways()
    if unknown := set(arguments.names) - known.keys():
        parser.error(f"no way {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    if arguments.list:
        for way in known.values():
            print(f"{way.name:12}{way.python or 'no such Python was found here'}")
        return 0
    outcomes, left_out = [], []
    for name in arguments.names or [name for name in known if name not in ASKED_FOR]:
        if not known[name].python:
            left_out.append(name)
            continue
        print(f"\n{name}: a fresh environment with {known[name].python}", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"course-{name}-") as scratch:
            outcomes.append(try_out(known[name], (arguments.keep or Path(scratch)) / name))
        print(f"{name}: {outcomes[-1].said}, {time.monotonic() - started:.0f} s", flush=True)
    print(f"\n{platform.system()} {platform.machine()}\n\n{table(outcomes)}")
    if left_out:
        print(f"\nNot tried, since no such Python was found: {', '.join(left_out)}.")
    asked_in_vain = bool(arguments.names) and bool(left_out)
    return 0 if outcomes and all(one.passed for one in outcomes) and not asked_in_vain else 1


if __name__ == "__main__":
    sys.exit(main())
