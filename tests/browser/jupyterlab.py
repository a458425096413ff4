"""A real JupyterLab for the tests: its server, and what a learner does with mouse and keyboard in one of its pages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

CELL_TIMEOUT = 120_000  # milliseconds


@contextmanager
def serve_lab(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of a JupyterLab that serves ``folder``; its kernels have ``environment``, or this process's."""
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", "--ip=127.0.0.1"]
    command += [f"--ServerApp.root_dir={folder}", "--IdentityProvider.token=", "--LabApp.news_url="]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log = folder / "log"
    with log.open("w") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said, cwd=folder, env=environment)
    try:
        deadline = time.monotonic() + 120
        address = None
        while address is None:
            address = re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        assert json.load(urlopen(f"{address[0]}api"))["version"]
        yield address[0]
    finally:
        server.terminate()
        server.wait(30)


class NotebookPage:
    """A notebook that is open in JupyterLab. The active cell is the one with the bar at its left."""

    def __init__(self, page: Any, address: str, name: str) -> None:
        self.page = page
        page.goto(f"{address}lab/tree/{name}", timeout=CELL_TIMEOUT)
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=CELL_TIMEOUT)
        self._wait_for_kernel()
        self.to_the_top()

    @property
    def active(self) -> Any:
        return self.page.locator(".jp-Notebook .jp-Cell.jp-mod-active")

    def source(self) -> str:
        """What is written in the active cell; of a long one the lines in sight, of one that is rendered nothing."""
        return "\n".join(self.active.locator(".jp-InputArea-editor .cm-line").all_inner_texts())

    def run(self) -> str:
        """Click Run: the active cell runs, and the next one is active. Returns the text that stands below the cell."""
        cell = self.active.element_handle()
        self._click("notebook:run-cell-and-select-next")
        self.page.wait_for_function(
            """cell => !cell.matches('.jp-mod-active')
                    && !cell.querySelector('.jp-InputPrompt').textContent.includes('*')""",
            arg=cell,
            timeout=CELL_TIMEOUT,
        )
        return "\n".join(output.inner_text() for output in cell.query_selector_all(".jp-OutputArea-output"))

    def run_until(self, beginning: str) -> None:
        """Click Run until the active cell begins so."""
        for _ in range(300):
            if self.source().startswith(beginning):
                return
            self.run()
        raise AssertionError(f"no cell begins with {beginning!r}")

    def to_the_top(self) -> None:
        """The first cell becomes the active one."""
        self.page.keyboard.press("Escape")
        self.page.locator(".jp-NotebookPanel-notebook").press("Control+Home")
        self.page.locator(".jp-Notebook .jp-Cell").first.click()

    def up(self) -> None:
        """The cell before becomes the active one."""
        self.page.keyboard.press("Escape")
        self.page.keyboard.press("ArrowUp")

    def write(self, source: str) -> None:
        """Type into the active cell, in place of what stands there."""
        self.active.locator(".cm-content").click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        self.page.keyboard.press("Escape")

    def restart(self) -> None:
        """Click the button for it, and yes in the dialog."""
        self._click("notebook:restart-kernel")
        self.page.locator(".jp-Dialog button", has_text="Restart").last.click()
        self.page.locator(".jp-Dialog").wait_for(state="detached")
        self._wait_for_kernel()

    def save(self) -> None:
        """Click the button for it, and wait until the tab has lost the mark of what is not saved."""
        self._click("docmanager:save")
        self.page.locator(".jp-mod-current.jp-mod-dirty").wait_for(state="detached")

    def _click(self, command: str) -> None:
        self.page.locator(f'.jp-NotebookPanel-toolbar [data-command="{command}"]').click()

    def _wait_for_kernel(self) -> None:
        self.page.get_by_text("| Idle").wait_for(timeout=CELL_TIMEOUT)  # before it runs, a kernel takes no cell
