"""Hand hostile answers in, mark them with the command, and look at what came of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.grading import cohort
from tests.grading.hostile import LOOT, Attack

ROOT = Path(__file__).parents[3]
BETWEEN = 12  # so many hostile ones between two honest ones
_SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/dev/mqueue")
_LIMITS = ("--case-seconds", "3", "--cell-seconds", "6", "--wall-seconds", "60", "--memory", "0.3")
_FOUND = re.compile(rf"{LOOT} ([^\n\"\\]*)")


@dataclass
class Outcome:
    """What came of a class with hostile answers in it.

    Attributes:
        points: of each hostile one that has any.
        seen: by hostile one, what it got at that it must not.
        left: what is there afterwards and was not before.
        lost: what became of honest ones that did not get their ten points, and hostile ones without a result.
        verdicts: by hostile one.
        flags: by hostile one, what a person is told.
    """

    points: dict[str, int] = field(default_factory=dict)
    seen: dict[str, list[str]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    flags: dict[str, list[str]] = field(default_factory=dict)


def write_lesson(folder: Path) -> Path:
    """The small lesson, with a secret in its reference and in the mistakes that it knows."""
    shutil.copytree(cohort.LESSON, folder, ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "similarity_exercises.py"
    text = module.read_text(encoding="utf-8")
    secret = '    "SECRET-reference"\n'
    for line in ("    centred = values - values.mean()\n", "    return values / values.std(correction=0)\n"):
        assert text.count(line) == 1
        text = text.replace(line, f"{secret.replace('    ', '    secret = ', 1)}{line}")
    module.write_text(text, encoding="utf-8")
    return folder


@contextmanager
def telling() -> Iterator[int]:
    """A port of this machine that tells a secret to whoever asks."""
    listener = socket.create_server(("127.0.0.1", 0))

    def tell() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line:
                line.sendall(b"SECRET-network")

    threading.Thread(target=tell, daemon=True).start()
    with listener:
        yield listener.getsockname()[1]


def mark(place: Path, attacks: Sequence[Attack], level: str, workers: int = 1) -> Outcome:
    """Mark these answers, and honest ones between them, below ``place``."""
    home, tmp = place / "home", place / "tmp"
    for folder in (home, tmp):
        folder.mkdir()
    (home / "notes.txt").write_text("SECRET-home", encoding="utf-8")
    lesson = write_lesson(place / "lesson")
    honest = [cohort.Pupil(f"A{number:03d}", answers=cohort.RIGHT) for number in range(len(attacks) // BETWEEN + 2)]
    names = {one.key for one in attacks}
    with telling() as port:
        # The names are marked in their order: an honest one after each so many, the last one at the end.
        pupils = [one.pupil(port) for one in attacks]
        for number, one in enumerate(honest):
            pupils.insert(min(len(pupils), number * (BETWEEN + 1)), one)
        renamed = {one.name: f"{number:03d} {one.name}" for number, one in enumerate(pupils)}
        folder = place / "in"
        folder.mkdir()
        for one in pupils:
            (folder / f"{renamed[one.name]}.ipynb").write_bytes(cohort.notebook_of(one))
        before = _state()
        environment = {
            **os.environ,
            "HOME": str(home),
            "TMPDIR": str(tmp),
            "GRADING_SECRET": "SECRET-env",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-m", "course_utils.cli", "grade", str(folder), "--lesson", str(lesson)]
        command += ["-o", str(place / "out"), "--sandbox", level, "--workers", str(workers), *_LIMITS]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", cwd=place)
        after = _state()
    result = Outcome()
    result.left = sorted(after - before) + [f"{name} in the folder" for name in os.listdir(tmp)]
    written = [path for path in home.rglob("*") if path.is_file() and path.name != "notes.txt"]
    result.left += [f"{path} at home" for path in written if "SECRET" in f"{path}{path.read_bytes()!r}"]
    if done.returncode:
        result.lost.append(f"the command ended with {done.returncode}: {done.stderr[-2000:]}")
    for text, where in ((done.stdout + done.stderr, "the terminal"), *_pages(place / "out")):
        result.left += [f"{what} in {where}" for what in _obeyed(text, where)]
    stored = [json.loads(path.read_bytes()) for path in sorted((place / "out" / "results").glob("*.json"))]
    by_name = {one["student"]["name"]: one for one in stored}
    for name, called in renamed.items():
        found = by_name.get(called)
        if name in names:
            _look_at(result, name, found)
        elif found is None or found["status"] != "marked" or _points(found) != 10:
            result.lost.append(f"{called} (honest): {found and (found['status'], found['reason'], _verdicts(found))}")
    return result


def _look_at(result: Outcome, name: str, one: dict[str, object] | None) -> None:
    if one is None:
        result.lost.append(f"{name}: no result")
        return
    if _points(one):
        result.points[name] = _points(one)
    marked = one["marked"]
    assert isinstance(marked, dict)
    # Once it is judged, the reference may be seen: the lesson shows it. The cell that puts it there comes last.
    for run in marked["runs"]:
        run["cells"] = [cell for cell in run["cells"] if cell["kind"] != "supply"]
    if found := sorted(set(_FOUND.findall(json.dumps(one)))):
        result.seen[name] = found
    result.verdicts[name] = _verdicts(one).get("m.1", str(one["status"]))
    told = [*marked["flags"], *(flag for mark in marked["marks"].values() for flag in mark["flags"])]
    result.flags[name] = [flag["flag"] for flag in told]


def _points(one: dict[str, object]) -> int:
    marked = one["marked"]
    assert isinstance(marked, dict)
    return sum(mark["points"] for mark in marked["marks"].values())


def _verdicts(one: dict[str, object]) -> dict[str, str]:
    marked = one["marked"]
    assert isinstance(marked, dict)
    return {id: mark["verdict"] for id, mark in marked["marks"].items()}


def _pages(out: Path) -> list[tuple[str, str]]:
    files = [path for path in out.rglob("*") if path.suffix in (".html", ".csv")]
    return [(path.read_text(encoding="utf-8", errors="replace"), path.name) for path in files]


def _obeyed(text: str, where: str) -> list[str]:
    """What a terminal, a browser or a table would obey in a text."""
    found = [
        f"a character that a terminal obeys ({ord(one)})" for one in set(text) if one in "\x1b\x07\x9b\u202e\u2066"
    ]
    if where.endswith(".html"):
        found += [
            what for what in ("<script>SECRET", "onerror=SECRET>") if what in text and f"&lt;{what[1:]}" not in text
        ]
    if where.endswith(".csv"):
        found += [f"a formula: {cell[:40]}" for cell in re.findall(r"(?:^|,)\"?([=+@\t][^,\n]*)", text, re.MULTILINE)]
    return found


def _state() -> set[str]:
    """What outlasts a process on this machine: files that all may write, keys, shared memory, sockets, processes."""
    found = set()
    for folder in _SHARED:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if "SECRET" in name or "exam" in name:
                found.add(f"{folder}/{name}")
    for name in ("shm", "msg", "sem"):
        place = Path("/proc/sysvipc", name)
        found |= {f"{name}: {line}" for line in place.read_text().splitlines()[1:]} if place.exists() else set()
    for place in (Path("/proc/keys"), Path("/proc/net/unix")):
        if place.exists():
            found |= {line for line in place.read_text(errors="replace").splitlines() if "SECRET" in line}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(process.name) != os.getpid() and b"SECRET-env" in (process / "environ").read_bytes():
                found.add(f"process {process.name}: {(process / 'cmdline').read_bytes()[:200]!r}")
            elif b"course_utils.grading.inside" in (command := (process / "cmdline").read_bytes()):
                found.add(f"process {process.name}: {command[-200:]!r}")
        except OSError:
            continue
    found.add(f"the host's name: {socket.gethostname()}")
    found.add(f"libraries: {os.stat(sys.modules['json'].__file__ or '').st_mtime_ns}")
    return found
