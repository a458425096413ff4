"""Where the work is done: threads of this process, each with a worker process; Dask; Slurm. All through
``concurrent.futures``.

A task is data in, data out, so a result does not depend on where it was made.
"""

from __future__ import annotations

import atexit
import contextlib
import queue
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.errors import CourseError
from course_utils.grading.results import Broken, Marked
from course_utils.grading.sandbox import Limits
from course_utils.grading.worker import Worker, WorkerError


@dataclass(frozen=True)
class Task:
    """One notebook to be marked, for whoever does it: nothing but data."""

    lesson: str
    level: str
    limits: Limits
    notebook: str
    seed: int | None = None
    ask_all: bool = False
    running: str = ""
    """A file that is there while it is being marked, where the one who marks can see it."""


_idle: dict[tuple[str, str, Limits], queue.SimpleQueue[Worker]] = {}
_lock = threading.Lock()


Marking = Marked | Broken
"""What comes of a task: never an exception."""


def do(task: Task) -> Marking:
    """Mark a notebook with a warm worker of this process. A broken worker is tried once more with a new one."""
    with _noted(task.running):
        return _do(task)


@contextmanager
def _noted(running: str) -> Iterator[None]:
    """Count in a file how often this was begun and not ended: who ends the marker leaves it behind."""
    if not running:
        yield
        return
    Path(running).write_text(str(begun(Path(running)) + 1), encoding="utf-8")
    yield  # not in a `finally`: what raises here ends the marking
    Path(running).unlink(missing_ok=True)


def begun(running: Path) -> int:
    """How often a notebook was begun and not ended."""
    try:
        return int(running.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


def _do(task: Task) -> Marking:
    told = ""
    for _ in range(2):
        worker = _take(task)
        try:
            answer = worker.mark(task.notebook, seed=task.seed, ask_all=task.ask_all)
        except WorkerError as error:
            told = str(error)
        except BaseException:
            worker.stop(now=True)
            raise
        else:
            _give_back(task, worker)
            return answer
    return Broken(told)


def stop_workers() -> None:
    """End the idle workers of this process."""
    with _lock:
        for idle in _idle.values():
            while not idle.empty():
                idle.get().stop()


def _take(task: Task) -> Worker:
    with _lock:
        idle = _idle.setdefault((task.lesson, task.level, task.limits), queue.SimpleQueue())
    try:
        return idle.get_nowait()
    except queue.Empty:
        return Worker(task.lesson, task.level, task.limits)


def _give_back(task: Task, worker: Worker) -> None:
    with _lock:
        _idle[task.lesson, task.level, task.limits].put(worker)


atexit.register(stop_workers)


@contextmanager
def executor(name: str, workers: int, folder: Path) -> Iterator[Executor]:
    """The executor called ``name``: "local", "dask:ADDRESS" (or "dask" for a cluster of this machine), "slurm" or
    "slurm:PARTITION".

    Args:
        workers: notebooks at once; a cluster of Dask that is there already has its own number.
        folder: where Slurm's jobs find their task and leave their answer and log, so one that all its machines see.

    Raises:
        CourseError: it is not one of these, its package is not installed, or it does not answer.
    """
    kind, _, rest = name.partition(":")
    if kind == "local" and not rest:
        with ThreadPoolExecutor(workers) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                stop_workers()
                raise
        stop_workers()
    elif kind == "dask":
        with _dask(rest, workers) as client:
            yield client.get_executor(pure=False)
    elif kind == "slurm":
        with _Submitted(_slurm(rest, folder), workers) as jobs:
            try:
                yield jobs
            except BaseException:
                jobs.cancel()
                raise
    else:
        raise CourseError(f"--executor {name}: there are local, dask:ADDRESS and slurm[:PARTITION]")


@contextmanager
def _dask(address: str, workers: int) -> Iterator[Any]:
    """A client of Dask. What an earlier command left warm on the machines is ended, since its lesson may have changed;
    so is what this one left.
    """
    try:
        from distributed import Client
    except ImportError:
        raise CourseError("--executor dask needs Dask: pip install 'course-utils[dask]'") from None
    try:
        client = Client(address) if address else Client(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    except (OSError, ValueError) as error:
        raise CourseError(f"--executor dask:{address}: no scheduler of Dask answers there ({error})") from None
    with client:
        try:
            client.run(stop_workers)
        except Exception as error:
            raise CourseError(
                f"--executor dask:{address}: its workers cannot use this package ({type(error).__name__}: {error}); "
                "the same version must be installed on each machine"
            ) from None
        if not client.scheduler_info()["workers"]:  # one that starts machines when there is work has none yet either
            print(f"dask:{address}: no worker yet; marking begins when one joins", file=sys.stderr)
        try:
            yield client
        finally:
            with contextlib.suppress(Exception):
                client.run(stop_workers)


def _slurm(partition: str, folder: Path) -> Any:
    """The executor of submitit for Slurm."""
    try:
        import submitit
    except ImportError:
        raise CourseError("--executor slurm needs submitit: pip install 'course-utils[slurm]'") from None
    try:
        slurm = submitit.AutoExecutor(folder=folder.resolve(), cluster="slurm")
    except RuntimeError as error:  # without `cluster` it would start every job at once on this machine
        raise CourseError(f"--executor slurm: this machine is not one of a Slurm cluster's ({error})") from None
    slurm.update_parameters(name="course-grade", timeout_min=60, mem_gb=8, cpus_per_task=1)
    if partition:
        slurm.update_parameters(slurm_partition=partition)
    return slurm


class _Submitted(ThreadPoolExecutor):
    """submitit's jobs as futures of the standard library: a thread submits one and waits for it, so there are no more
    at once than threads.
    """

    def __init__(self, cluster: Any, workers: int) -> None:
        super().__init__(workers)
        self._cluster = cluster
        self._jobs: list[Any] = []
        self._submitting = threading.Lock()
        self._stopped = threading.Event()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As in ``concurrent.futures``."""
        return super().submit(self._through_a_job, fn, *args, **kwargs)

    def cancel(self) -> None:
        """Start no more jobs, and end those that run."""
        self.shutdown(wait=False, cancel_futures=True)
        self._stopped.set()
        with self._submitting:  # one that is being handed to the cluster is a job by then, and would else live on
            jobs = list(self._jobs)
        for job in jobs:
            with contextlib.suppress(OSError):
                job.cancel(check=False)

    def _through_a_job(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
        with self._submitting:
            if self._stopped.is_set():
                raise RuntimeError("marking was stopped")
            job = self._cluster.submit(fn, *args, **kwargs)
            self._jobs.append(job)
        while not job.done():
            if self._stopped.wait(1.0):  # Slurm may take minutes to say that the job is cancelled
                raise RuntimeError("marking was stopped")
        return job.result()
