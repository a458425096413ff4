"""The first code cell of every lesson, written once here and put into the notebooks by `course notebooks run`.

On Colab a notebook arrives alone. The cell then installs this package, at the notebook's own version, beside
what the machine already has: every preinstalled package that lies in the range the package declares is kept as
it is, through pip's constraints, and one that lies outside is named and changed. `COURSE_UTILS_SOURCE` replaces
the repository by anything that pip can build: a wheel, a folder, or a requirement from a school's own index.

A learner has no use for its code: the notebook folds it (`FOLDED`), and Colab shows its `@title` alone.
"""

from __future__ import annotations

from typing import Any

MARK = "# @title Setup:"

FOLDED: dict[str, Any] = {"cellView": "form", "jupyter": {"source_hidden": True}}
"""The metadata by which Colab and JupyterLab fold a cell's code."""

_CELL = """\
# @title Setup: installs the course's package where it is missing, as on Colab. Safe to run twice.
import os, sys, tempfile
from importlib import invalidate_caches, metadata, util
from pathlib import Path
from subprocess import run

if util.find_spec("course_utils") is None:
    source = os.environ.get("COURSE_UTILS_SOURCE", "git+{repository}@v{version}")
    print("Installing the course's package: a minute or two, once ...", flush=True)
    pip, folder = [sys.executable, "-m", "pip", "--quiet"], Path(tempfile.mkdtemp())
    done = run([*pip, "wheel", "--no-deps", "-w", folder, source], capture_output=True, text=True)
    for wheel in folder.glob("*.whl"):
        from packaging.requirements import Requirement
        found = list(metadata.distributions())[::-1]  # of two versions the first on the path counts
        have = {{d.name.lower(): d.version for d in found if d.name}}
        needs = map(Requirement, next(metadata.distributions(path=[str(wheel)])).requires)
        needs = [r for r in needs if r.name in have and not r.marker]
        for r in needs:
            if not r.specifier.contains(have[r.name], prereleases=True):
                print(f"{{r.name}} {{have[r.name]}} is replaced: this course needs {{r.name}}{{r.specifier}}")
        kept = [r.name for r in needs if r.specifier.contains(have[r.name], prereleases=True)]
        (folder / "keep.txt").write_text("\\n".join(f"{{name}}=={{have[name]}}" for name in kept))
        done = run([*pip, "install", "-c", folder / "keep.txt", wheel], capture_output=True, text=True)
    invalidate_caches()
    assert done.returncode == 0, "pip could not install " + source + "\\n" + done.stderr[-2000:]
from course_utils import colab
colab.report("{version}")
"""


def setup_cell(version: str, repository: str) -> str:
    """The source of the setup cell for a notebook of this `version`, installed from this `repository`."""
    return _CELL.format(version=version, repository=repository).rstrip("\n")


def report(notebook_version: str) -> None:
    """Say in one line what the notebook runs on; a second line if it was written for another version."""
    import sys
    from importlib.metadata import version

    import course_utils

    loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in ("numpy", "torch")}
    stale = [name for name, old in loaded.items() if old and old.split("+")[0] != version(name).split("+")[0]]
    if stale:  # pip replaced what this kernel had already imported; nothing in it can be trusted any more
        print(f"{' and '.join(stale)} changed while in use: restart the runtime, then run this cell again.")
        return

    import torch

    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = "the processor (no GPU found; none is needed)"
    found = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "nnsight"))
    print(f"course_utils {course_utils.__version__}, {found}, on {device}")
    if course_utils.__version__ != notebook_version:
        print(f"This notebook was written for course_utils {notebook_version}: what it prints may differ.")
