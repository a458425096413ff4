"""Measure everything: `python -m benchmarks`, or a part of it: `python -m benchmarks head-sweep ladder`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from benchmarks.measuring import Row, machine
from benchmarks.report import write
from benchmarks.sections import ASKED_FOR_ONLY, ROOT, SECTIONS, Setting
from course_utils import load_model


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="section",
        help=f"of {', '.join(SECTIONS)}; all but {ASKED_FOR_ONLY[0]}, if not given",
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny models and sizes: tries the benchmarks, measures nothing"
    )
    parser.add_argument(
        "--output", type=Path, default=None, help="folder for results.md, .json, .png (default: benchmarks/)"
    )
    parser.add_argument(
        "--minutes", type=float, default=45, help="begin no further section after this long (default: 45)"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="of each alternating measurement (default: 5); the best counts"
    )
    parser.add_argument("--device", default="cpu", help="where the model is, such as cuda (default: cpu)")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"no section is called {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    if chosen.quick and chosen.output is None:
        parser.error("--quick measures nothing worth keeping: name a folder with --output")
    names = chosen.sections or [name for name in SECTIONS if name not in ASKED_FOR_ONLY]
    about = machine()
    setting = Setting(
        load_model("tiny-llama" if chosen.quick else None, device=chosen.device),
        rounds=1 if chosen.quick else chosen.rounds,
        quick=chosen.quick,
    )
    said = [*(["--quick"] if chosen.quick else []), f"--rounds {chosen.rounds}"]
    if chosen.device != "cpu":
        said.append(f"--device {chosen.device}")
    command = " ".join(["python -m benchmarks", *chosen.sections, *said])
    start, rows, written = time.perf_counter(), [], []
    for name in names:
        minutes = (time.perf_counter() - start) / 60
        print(f"{name} ({minutes:.1f} min)", flush=True)
        if minutes > chosen.minutes:
            rows.append(Row(name, "left out", "", note=f"{chosen.minutes:g} minutes were over"))
        else:
            rows += SECTIONS[name](setting)
        # After each section: what ends a long run must not cost what was measured before.
        written = write(chosen.output or ROOT / "benchmarks", about, rows, command)
    for path in written:
        print(path.name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
