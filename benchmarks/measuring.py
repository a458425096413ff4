"""How anything here is measured: ways of doing one thing take turns, the best of several rounds counts, and results are
compared.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
import torch

Way = Callable[[], Any]


@dataclass
class Row:
    """One line of the results.

    seconds: the best of the rounds. times_faster: than the first way of its table. memory_mb: the peak of this process
    above what it held before. agreement: the largest difference of its numbers from the first way's. note: what else
    has to be known.
    """

    table: str
    what: str
    way: str
    seconds: float | None = None
    times_faster: float | None = None
    memory_mb: float | None = None
    agreement: float | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def alternate(
    table: str, what: str, ways: Mapping[str, Way], rounds: int, notes: Mapping[str, str] | None = None
) -> list[Row]:
    """Run each way once in each round, in turn; the first one is what the others are compared with.

    Whatever else the machine does meets all of them alike. Results that are tensors are compared with the first one's.
    """
    best: dict[str, float] = {}
    memory: dict[str, float] = {}
    results: dict[str, Any] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            with Peak() as peak:
                start = time.perf_counter()
                results[name] = way()
                if torch.cuda.is_available():  # what was asked of a GPU is done when it says so
                    torch.cuda.synchronize()
                seconds = time.perf_counter() - start
            best[name] = min(best.get(name, seconds), seconds)
            memory[name] = max(memory.get(name, 0.0), peak.mb)
            print(f"  {what} · {name}: {seconds:.3f} s", flush=True)
    first = next(iter(ways))
    return [
        Row(
            table,
            what,
            name,
            seconds=best[name],
            times_faster=best[first] / best[name],
            memory_mb=memory[name],
            agreement=_difference(results[name], results[first]) if name != first else None,
            note=(notes or {}).get(name, ""),
        )
        for name in ways
    ]


def _difference(ours: Any, theirs: Any) -> float | None:
    if isinstance(ours, torch.Tensor) and isinstance(theirs, torch.Tensor) and ours.shape == theirs.shape:
        return float((ours.float().cpu() - theirs.float().cpu()).abs().max())
    return None


class Peak:
    """The peak of this process's resident memory within a block, in MB above what it was before; seen every 2 ms."""

    mb = 0.0

    def __enter__(self) -> Peak:
        _give_back()
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self._most = self._before
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            self._most = max(self._most, self._process.memory_info().rss)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._most = max(self._most, self._process.memory_info().rss)
        self.mb = (self._most - self._before) / 2**20


def _give_back() -> None:
    """Ask the C library to return what is free already, so that it cannot hide a peak."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def seconds_of_process(code: str, environment: Mapping[str, str] | None = None) -> float:
    """Wall seconds of a fresh Python that runs `code`, its own start included."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    packages = {}
    for name in ("torch", "transformers", "nnsight", "numpy", "transformer-lens", "nbval"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return {
        "processor": _processor(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "packages": packages,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
