"""Execute a lesson with nbval and compare each cell's output with the stored one, failing closed.

nbval (https://github.com/computationalmodelling/nbval) passes where a cell was never executed, does not look
at pictures, and its exit code is no verdict. So the verdict here is counted: every code cell must have been
reported as passed, and `compared_cells` says how many of them had text to be compared at all.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from course_utils.notebooks.normalise import ANSI, words_of_picture
from course_utils.pictures import VIEW_TYPE

NOT_COMPARED_TAGS = {"nbval-ignore-output", "nbval-skip", "raises-exception"}
NOT_COMPARED_KINDS = ("image/png", "image/jpeg", "text/latex")
CELL_TIMEOUT = 600  # seconds


@dataclass(frozen=True)
class Comparison:
    """What came of one lesson. `failures`: code cell (counted from 0 among code cells) -> what was seen."""

    path: Path
    executed: int
    expected: int
    compared: int
    failures: dict[int, str]
    crash: str = ""

    @property
    def passed(self) -> bool:
        """Every code cell was executed and reported as passed, and something was compared."""
        return not self.crash and not self.failures and self.executed == self.expected and self.compared > 0


def compared_cells(notebook: NotebookNode) -> list[int]:
    """The code cells (counted from 0 among code cells) in which nbval has stored text to compare."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [index for index, cell in enumerate(cells) if _has_compared_text(cell)]


def compare(
    path: Path, notebook: NotebookNode, *, timeout: float = CELL_TIMEOUT, threads: int | None = None
) -> Comparison:
    """Run nbval over the file at `path`, whose contents are `notebook`, in a process and a kernel of its own.

    `timeout` is in seconds, for each cell; `threads` how many torch has, all cores' if None. Nothing is written beside
    the notebook.
    """
    with tempfile.TemporaryDirectory() as scratch:
        report, settings = Path(scratch) / "report.xml", Path(scratch) / "pytest.ini"
        settings.write_text("[pytest]\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "--nbval", "--nbval-current-env", "-q"]
        command += ["-p", "course_utils.notebooks.nbval_views", "--tb=short", "--no-header", "-p", "no:cacheprovider"]
        command += [f"--nbval-cell-timeout={timeout:.0f}"]
        command += ["--noconftest", "-c", str(settings), f"--junitxml={report}", str(path.resolve())]
        environment = os.environ | {"PYTEST_ADDOPTS": "", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        # No other plugin of this environment: one that shuffles tests would shuffle a lesson's cells.
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        environment["COURSE_PROGRESS"] = "off"  # nobody learns in this run
        if threads is not None:
            environment["OMP_NUM_THREADS"] = str(threads)
        environment.pop("PYTEST_XDIST_WORKER", None)  # this is a run of its own, whoever starts it
        process = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environment)
        cases = list(ElementTree.parse(report).iter("testcase")) if report.is_file() else []
    said = ANSI.sub("", process.stdout + process.stderr)
    passed, failures = 0, {}
    for case in cases:
        number = re.search(r"\d+", case.get("name", ""))
        trouble = [child for child in case if child.tag in ("failure", "error")]
        if trouble:
            failures[int(number.group()) if number else -1] = _words(trouble[0])
        elif not any(child.tag == "skipped" for child in case):
            passed += 1
    skipped = sum("nbval-skip" in cell.metadata.get("tags", []) for cell in notebook.cells)
    expected = sum(cell.cell_type == "code" for cell in notebook.cells) - skipped
    crash = "" if cases and (failures or passed == expected) else said[-3000:] or "nbval reported nothing"
    return Comparison(path, passed + len(failures), expected, len(compared_cells(notebook)), failures, crash)


def _has_compared_text(cell: NotebookNode) -> bool:
    if NOT_COMPARED_TAGS & set(cell.metadata.get("tags", [])) or cell.get("execution_count") is None:
        return False
    for output in cell.outputs:
        if output.output_type == "stream" and output.text.strip():
            return True
        data = output.get("data", {})
        if VIEW_TYPE in data:  # its text is the words that say it
            return True
        says = any(kind not in NOT_COMPARED_KINDS for kind in data)
        if says and ("image/png" not in data or words_of_picture(output)):
            return True
    return False


def _words(trouble: ElementTree.Element) -> str:
    text = ANSI.sub("", (trouble.text or "") or trouble.get("message", ""))
    return re.sub(r"#x1B\[[0-9;]*m", "", text).strip()
