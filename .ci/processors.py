"""Compare the lessons on processors that this machine is not: other instructions, other numbers of threads, more
rounding.

    make processors                                every way, all lessons (an hour or two)
    .venv/bin/python .ci/processors.py noise 1 4   lessons 1 and 4 with more rounding

ATEN_CPU_CAPABILITY picks the code that PyTorch runs: `default` without AVX, `avx2`, or (native) the best that there is.
`noise` multiplies whatever a linear layer gives by 1 + 3e-6 times a normal random number: that moves the logits of the
embedded model by ten times what lies between two such processors (4.8e-5, measured between avx2 and default; 4 threads
move nothing). An output that is the same under it hangs on nothing that a processor decides. Each way is a comparison
as `course notebooks compare` makes it; the table says which cells differ.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from course_utils.notebooks import compare, files

THREADS = ("1", "2", "4")
NOISE = """\
import torch
from torch.nn import functional
generator, linear = torch.Generator().manual_seed(0), functional.linear
def noisy(*arguments, **options):
    y = linear(*arguments, **options)
    return y * (1 + 3e-6 * torch.randn(y.shape, generator=generator)) if y.dtype == torch.float32 else y
functional.linear = noisy
"""


def ways() -> dict[str, dict[str, str]]:
    """The environment of each way, by its name."""
    found = {}
    for capability in ("default", "avx2", "native"):
        for threads in THREADS:
            chosen = {} if capability == "native" else {"ATEN_CPU_CAPABILITY": capability}
            found[f"{capability}, {threads} threads".replace("1 threads", "1 thread")] = {
                **chosen,
                "OMP_NUM_THREADS": threads,
            }
    return found


def main() -> int:
    """Go every way, or the one that adds rounding; print a line for each lesson; 1 if something differed."""
    parser = argparse.ArgumentParser(description="Compare the lessons on processors that this machine is not.")
    parser.add_argument("way", nargs="?", default="all", choices=["all", "noise", "default", "avx2", "native"])
    parser.add_argument("names", nargs="*", metavar="NAME", help="a lesson's number, name or path; none: all")
    arguments = parser.parse_args()
    differing = 0
    with tempfile.TemporaryDirectory() as scratch:
        startup = Path(scratch) / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (startup / "noise.py").write_text(NOISE, encoding="utf-8")
        chosen = {name: way for name, way in ways().items() if arguments.way in ("all", name.partition(",")[0])}
        if arguments.way in ("all", "noise"):
            chosen["noise"] = {"IPYTHONDIR": scratch}
        before = dict(os.environ)
        for name, way in chosen.items():
            os.environ.update(way)
            for path in files.find(arguments.names):
                started = time.monotonic()
                result = compare.compare(path, files.read(path))
                said = "the same" if result.passed else f"code cells {sorted(result.failures)} differ {result.crash}"
                print(f"{name:20} {path.stem:22} {said}, {time.monotonic() - started:.0f} s", flush=True)
                differing += not result.passed
            os.environ.clear()
            os.environ.update(before)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
