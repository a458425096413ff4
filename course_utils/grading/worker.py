"""A process that marks one submission after another with one warm sandbox, and the handle on it.

    python -m course_utils.grading.worker        one JSON line in for each job, one out

It is a process of its own wherever the work is spread from (threads here, Dask, Slurm): it forks, so it must have no
threads, and when it breaks, only the submission that it was at is asked for again.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from course_utils.grading.lesson import Lesson, load_lesson
from course_utils.grading.results import Broken, Marked, decode_marked, encode
from course_utils.grading.sandbox import Limits, Sandbox

START = 300.0  # seconds for a worker to warm up, on top of what a submission may take


class WorkerError(RuntimeError):
    """A worker broke, or did not answer in time. The submission it was at is not at fault until proven."""


@dataclass(frozen=True)
class _Setup:
    """The first line that a worker is told: for what it warms up."""

    lesson: str
    level: str
    limits: Limits


@dataclass(frozen=True)
class _Job:
    """Each line after it: a notebook, as its JSON text, and how it is marked."""

    notebook: str
    seed: int | None
    ask_all: bool


def _line(message: _Setup | _Job) -> bytes:
    return json.dumps(asdict(message)).encode() + b"\n"


class Worker:
    """A worker process for one lesson."""

    def __init__(self, lesson: str, level: str, limits: Limits) -> None:
        self._setup = _Setup(lesson, level, limits)
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def mark(self, notebook: str, *, seed: int | None = None, ask_all: bool = False) -> Marked:
        """What :func:`course_utils.grading.mark_notebook.mark_notebook` finds about a notebook, given as its JSON text.

        Raises:
            WorkerError: the worker broke, or did not answer in time.
        """
        if self._process is None:
            self._start()
        try:
            return self._ask(_Job(notebook, seed, ask_all), self._setup.limits.wall + START)
        except WorkerError:
            self.stop(now=True)
            raise

    def stop(self, *, now: bool = False) -> None:
        """End the process, and with it its sandbox."""
        process, self._process, self._rest = self._process, None, b""
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        if now:
            process.terminate()
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        self._log.close()

    def _start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        environment = {**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "course_utils.grading.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )
        self._ask(self._setup, START)

    def _ask(self, message: _Setup | _Job, seconds: float) -> Marked:
        assert self._process is not None and self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(_line(message))
            self._process.stdin.flush()
        except OSError:
            raise WorkerError(f"the worker is gone; it said: {self._said()}") from None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0:
                raise WorkerError(f"the worker did not answer within {seconds:.0f} s")
            if select.select([self._process.stdout], [], [], min(left, 1.0))[0]:
                piece = os.read(self._process.stdout.fileno(), 1 << 20)
                if not piece:
                    raise WorkerError(f"the worker broke; it said: {self._said()}")
                self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            answer = decode_marked(line)
        except msgspec.MsgspecError as error:
            raise WorkerError(f"the worker said what no worker says ({error})") from None
        if isinstance(answer, Broken):
            raise WorkerError(answer.reason)
        return answer

    def _said(self) -> str:
        self._log.seek(0)
        return self._log.read()[-3000:].decode(errors="replace")


def main() -> None:
    """Set up once, then mark what comes until nothing comes any more."""
    import signal

    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing but answers goes to the one who asks
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the one who asks decides
    lines = iter(sys.stdin.readline, "")

    def answer(message: Marked | Broken) -> None:
        out.write(encode(message) + b"\n")
        out.flush()

    scratch = tempfile.TemporaryDirectory(prefix="exam-")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = scratch.name  # torch makes that folder in any case: here it goes again
    try:
        setup = msgspec.convert(json.loads(next(lines)), _Setup)
        from course_utils.grading.inside import linux  # not above: it needs fcntl, which Windows has not

        if linux.AVAILABLE:
            linux.keep_out()  # at the level rlimits what is marked has the same user, and could write into this process
        lesson = load_lesson(setup.lesson)
        with Sandbox(lesson, setup.level, setup.limits) as sandbox:
            _warm(lesson)
            answer(Marked({}))  # ready
            for line in lines:
                answer(_mark(msgspec.convert(json.loads(line), _Job), lesson, sandbox))
    except StopIteration:
        return
    except Exception as error:
        answer(Broken(f"{type(error).__name__}: {error}"))
    finally:
        scratch.cleanup()


def _mark(job: _Job, lesson: Lesson, sandbox: Sandbox) -> Marked:
    import nbformat

    from course_utils.grading.mark_notebook import mark_notebook

    notebook = nbformat.from_dict(json.loads(job.notebook))
    return mark_notebook(lesson, notebook, sandbox, seed=job.seed, ask_all=job.ask_all)


def _warm(lesson: Lesson) -> None:
    """Import and load here what each forked pytest would load again, and what reading the first notebook would: that
    is not its author's time.
    """
    import importlib

    from course_utils.grading.unshown_functions import teaching_modules

    for name in (
        *sorted(teaching_modules(lesson)),
        "pytest",
        "_pytest.junitxml",
        "nbval.plugin",
        "jupyter_client.manager",
        "jupyter_client.blocking",
        "IPython.paths",
        "ipykernel.kernelspec",
        "zmq",
    ):
        importlib.import_module(name)
    if lesson.model is not None:
        from course_utils import load_model

        global _model
        _model = load_model(lesson.model)
    # What is loaded is never garbage: a forked process need not look through it, nor copy its pages by doing so.
    gc.collect()
    gc.freeze()


_model: Any = None  # kept alive: the exercises' `Model()` is the one in use


if __name__ == "__main__":
    main()
