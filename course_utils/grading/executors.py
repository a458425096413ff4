"""Where the work is done: threads of this process, each with a worker process; Dask; Slurm. All through ``concurrent.futures``.

A task is data in, data out, so a result does not depend on where it was made.
"""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from course_utils.errors import CourseError
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


_idle: dict[tuple[str, str, Limits], queue.SimpleQueue[Worker]] = {}
_lock = threading.Lock()


def do(task: Task) -> dict[str, Any]:
    """Mark a notebook with a warm worker of this process; "broken" in the answer says why it could not be. A broken worker is tried
    once more with a new one.
    """
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
    return {"broken": told}


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
def executor(name: str, workers: int) -> Iterator[Executor]:
    """The executor called ``name``: "local", "dask:ADDRESS" (or "dask" for a cluster of this machine), "slurm" or "slurm:PARTITION".

    Raises:
        CourseError: it is not one of these, or its package is not installed.
    """
    kind, _, rest = name.partition(":")
    if kind == "local":
        with ThreadPoolExecutor(workers) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                stop_workers()
                raise
        stop_workers()
    elif kind == "dask":
        try:
            from distributed import Client
        except ImportError:
            raise CourseError("--executor dask needs Dask: pip install 'course-utils[dask]'") from None
        with Client(rest) if rest else Client(n_workers=workers, threads_per_worker=1) as client:
            yield client.get_executor(pure=False)
    elif kind == "slurm":
        try:
            import submitit
        except ImportError:
            raise CourseError("--executor slurm needs submitit: pip install 'course-utils[slurm]'") from None
        slurm = submitit.AutoExecutor(folder="submitit_logs")
        slurm.update_parameters(slurm_array_parallelism=workers, timeout_min=60, mem_gb=8, cpus_per_task=1)
        if rest:
            slurm.update_parameters(slurm_partition=rest)
        yield _Submitted(slurm)
    else:
        raise CourseError(f"--executor {name}: there are local, dask:ADDRESS and slurm[:PARTITION]")


class _Submitted(Executor):
    """submitit's jobs as futures that the standard library can wait for: a thread waits for each."""

    def __init__(self, slurm: Any) -> None:
        self._slurm = slurm

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As in ``concurrent.futures``."""
        job, future = self._slurm.submit(fn, *args, **kwargs), Future[Any]()

        def wait() -> None:
            try:
                future.set_result(job.result())
            except Exception as error:
                future.set_exception(error)

        threading.Thread(target=wait, daemon=True).start()
        return future
