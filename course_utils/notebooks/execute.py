"""Execute a notebook from top to bottom in a fresh kernel of this Python."""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path

import nbclient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbformat import NotebookNode

from course_utils.errors import CourseError
from course_utils.notebooks.normalise import ANSI

CELL_TIMEOUT = 600  # seconds


class _KernelOfThisPython(AsyncKernelManager):
    """Starts the Python that runs this, whatever kernels the machine has under the name `python3`."""

    @property
    def kernel_spec(self) -> KernelSpec:
        return KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"],
            display_name="Python 3",
            language="python",
        )


def execute(
    notebook: NotebookNode,
    folder: Path,
    *,
    timeout: float = CELL_TIMEOUT,
    environment: dict[str, str] | None = None,
    go_on: bool = False,
) -> NotebookNode:
    """Return an executed copy of `notebook`, its outputs as they came; the kernel works in `folder`.

    `timeout` is in seconds, for each cell. `environment` comes to this process's own; without it no progress is kept.
    With `go_on` the cells behind one that fails are executed too, and nothing is raised for it.

    Raises CourseError with the cell's source and traceback if a cell fails and is not tagged `raises-exception`; if one
    takes too long; if the kernel dies.
    """
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
    client = nbclient.NotebookClient(
        result,
        timeout=timeout,
        kernel_manager_class=_KernelOfThisPython,
        record_timing=False,
        coalesce_streams=True,
        allow_errors=go_on,
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute(env=os.environ | {"COURSE_PROGRESS": "off"} | (environment or {}))
    except nbclient.exceptions.CellExecutionError as error:
        failed = next(
            index
            for index, cell in enumerate(result.cells)
            if any(output.output_type == "error" for output in cell.get("outputs", []))
            and "raises-exception" not in cell.metadata.get("tags", [])
        )
        raise CourseError(f"cell {failed} failed\n{ANSI.sub('', str(error))}") from None
    except nbclient.exceptions.CellTimeoutError:
        raise CourseError(f"a cell took longer than {timeout:.0f} s") from None
    except nbclient.exceptions.DeadKernelError:
        raise CourseError("the kernel died (out of memory?); nothing was written") from None
    return result
