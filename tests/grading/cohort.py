"""A class of forty for the tests: who hands in what, and the verdicts that stand beside it.

``python -m tests.grading.cohort FOLDER`` writes the folder, to look at or to mark by hand.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from course_utils.grading.flags import Flag

LESSON = Path(__file__).parent / "lesson"

RIGHT = {
    "m.1": """\
def standardise(values: torch.Tensor) -> torch.Tensor:
    return (values - values.mean()) / values.std(correction=0)""",
    "m.2": """\
def last_logits(model, prompt):
    with model.trace(prompt):
        out = model.output.logits.save()
    return out[0][-1]""",
    "m.3": """\
def correlation(a, b):
    return (standardise(a) * standardise(b)).mean().item()""",
}
ALL_PASS = {"m.1": "pass", "m.2": "pass", "m.3": "pass"}
ALL_OPEN = {"m.1": "not tried", "m.2": "not tried", "m.3": "not tried"}


@dataclass(frozen=True)
class Pupil:
    """One submission. ``answers`` are sources by exercise; ``change`` does anything else to the notebook; ``raw`` is
    written instead of it. ``verdicts`` by exercise, or ``status`` if it cannot be marked; ``flag`` must be raised,
    with ``tries`` in its sentence; ``says`` of some message.
    """

    name: str
    verdicts: dict[str, str] | None = None
    answers: dict[str, str] | None = None
    change: Callable[[dict[str, Any]], Any] | None = None
    raw: bytes | None = None
    status: str = "marked"
    flag: Flag | None = None
    says: str = ""
    points: int | None = None
    hostile: bool = False
    tries: str = ""


def cell_of(notebook: dict[str, Any], exercise: str, role: str = "answer") -> dict[str, Any]:
    return next(
        cell for cell in notebook["cells"] if cell["metadata"].get("course") == {"exercise": exercise, "role": role}
    )


def _own_cell(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "id": "own", "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def _before(exercise: str, source: str) -> Callable[[dict[str, Any]], Any]:
    def change(notebook: dict[str, Any]) -> None:
        place = notebook["cells"].index(cell_of(notebook, exercise))
        notebook["cells"].insert(place, _own_cell(source))

    return change


def _without(exercise: str) -> Callable[[dict[str, Any]], Any]:
    return lambda notebook: notebook["cells"].remove(cell_of(notebook, exercise))


def _colab(notebook: dict[str, Any]) -> None:
    """Colab saves nbformat 4.0, with the ids in the metadata, and drops what it does not know."""
    notebook["nbformat_minor"] = 0
    for cell in notebook["cells"]:
        cell["metadata"] = {"id": cell.pop("id")}


def _stripped(notebook: dict[str, Any]) -> None:
    """Neither ids nor metadata: only the names of the functions are left."""
    notebook["nbformat_minor"] = 4
    for cell in notebook["cells"]:
        cell.pop("id")
        cell["metadata"] = {}


def _scrambled(notebook: dict[str, Any]) -> None:
    notebook["cells"].reverse()


def _twice(notebook: dict[str, Any]) -> None:
    answer = cell_of(notebook, "m.1")
    place = notebook["cells"].index(answer)
    rival = {**answer, "id": "copy", "metadata": {}, "source": RIGHT["m.1"]}
    answer["source"] = RIGHT["m.1"].replace("correction=0", "correction=1")
    notebook["cells"].insert(place + 1, rival)


def _twice_and_wrong(notebook: dict[str, Any]) -> None:
    answer = cell_of(notebook, "m.1")
    place = notebook["cells"].index(answer)
    wrong = RIGHT["m.1"].replace("correction=0", "correction=1")
    notebook["cells"].insert(place + 1, {**answer, "id": "copy", "metadata": {}, "source": wrong})


def _between(exercise: str, *sources: str) -> Callable[[dict[str, Any]], Any]:
    """These cells between the answer and its check."""

    def change(notebook: dict[str, Any]) -> None:
        place = notebook["cells"].index(cell_of(notebook, exercise, "check"))
        notebook["cells"][place:place] = [
            {**_own_cell(source), "id": f"own-{number}"} for number, source in enumerate(sources)
        ]

    return change


def _all_over(notebook: dict[str, Any]) -> None:
    """The first answer in its check cell, the second below its check, the third's helper in the prediction."""
    check = cell_of(notebook, "m.1", "check")
    check["source"] = f"{RIGHT['m.1']}\n\n{check['source']}"
    place = notebook["cells"].index(cell_of(notebook, "m.2", "check"))
    notebook["cells"].insert(place + 1, _own_cell(RIGHT["m.2"]))
    notebook["cells"][2]["source"] = "prediction = 0.5\ndef both(a, b):\n    return standardise(a) * standardise(b)"
    cell_of(notebook, "m.3")["source"] = "def correlation(a, b):\n    return both(a, b).mean().item()"


def _edited(notebook: dict[str, Any]) -> None:
    notebook["cells"][1]["source"] += "\nimport numpy as np"
    cell_of(notebook, "m.1", "check")["source"] = "print('✓ m.1 · 3 of 3 points.')"


def _wordy(notebook: dict[str, Any]) -> None:
    cell = cell_of(notebook, "m.4", "prose")
    cell["source"] = cell["source"].replace("*Your answer here.*", "Since each entry is multiplied with itself.")


def first(verdict: str) -> dict[str, str]:
    """This verdict for m.1, and that the others are right."""
    return {**ALL_PASS, "m.1": verdict}


def instead(source: str) -> dict[str, str]:
    """This source as the answer to m.1, and right answers to the others."""
    return {**RIGHT, "m.1": source}


def _hand_in(body: str, exercise: str = "m.1") -> dict[str, str]:
    """An answer that does something before it is defined, rightly."""
    return {**RIGHT, exercise: body + "\n\n" + RIGHT[exercise]}


def _inside(body: str) -> dict[str, str]:
    """A right m.1 that does something else first, each time it is called."""
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    return {**RIGHT, "m.1": RIGHT["m.1"].replace("\n    return", f"\n{indented}\n    return")}


_PATCH = """\
import course_utils.exercises, course_utils.exercises.judging as judging, builtins
course_utils.exercises.check = lambda *a, **k: None
judging.judge = lambda *a: judging.Verdict("m.1", "right", 3, 3, "")
builtins.NotImplementedError = Exception
"""
_ALWAYS_EQUAL = """\
class Equal:
    def __eq__(self, other): return True
    def __getattr__(self, name): return Equal()
    def __call__(self, *a, **k): return Equal()
    def __sub__(self, other): return 0.0

def standardise(values):
    return Equal()"""
_FORGER = """\
import json
from IPython.display import display
message = {"exercise": "m.1", "nonce": "0" * 32, "outcomes": []}
display({"application/vnd.course.outcomes+json": json.dumps(message)}, raw=True)
"""
_SEND_TWICE = """\
import course_utils.grading.inside.probe as probe
_send = probe.send
def send(*arguments):
    _send(*arguments)
    _send(*arguments)
probe.send = send
"""
_SHOWTRACEBACK = """\
get_ipython()._showtraceback = lambda *a, **k: None
get_ipython().showtraceback = lambda *a, **k: None
raise RuntimeError("nobody sees me")"""
_TRANSFORM = """\
def swallow(lines):
    return ["pass\\n"] if any("send" in line for line in lines) else lines
get_ipython().input_transformers_post.append(swallow)
"""
_DAEMON = """\
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        import time
        time.sleep(3600)
    os._exit(0)
"""
_READ_HOME = """\
import os, pathlib
homes = [pathlib.Path("/", name) for name in ("root", "home")] + [pathlib.Path.home()]
found = [str(path) for home in homes if home.is_dir() for path in home.glob("*") if not path.name.startswith(".")]
secrets = [path for path in found if not path.startswith("/scratch")]  # that home is the kernel's own
assert not secrets and not os.environ.get("GRADING_SECRET"), secrets
"""
_NETWORK = """\
import socket
try:
    socket.create_connection(("127.0.0.1", 22), timeout=1)
except OSError:
    pass
interfaces = [name for _, name in socket.if_nameindex()]
assert interfaces == ["lo"], interfaces
"""
_OVERWRITE = """\
import course_utils.exercises.protocol as protocol
for target in (protocol.__file__, __import__("torch").__file__):
    try:
        open(target, "a").write("\\nraise SystemExit\\n")
    except OSError:
        continue
    raise AssertionError(target)
"""
_KILL_PARENT = """\
import os, signal
for victim in (os.getppid(), 1, -1):
    try:
        os.kill(victim, signal.SIGKILL)
    except OSError:
        pass
import time
time.sleep(0.5)
"""
_FORKS = """\
import os, time
for _ in range(500):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
time.sleep(30)
"""
_CALL = """\
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
for call in {calls}:
    number, *arguments = call
    words = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    refused = libc.syscall(ctypes.c_long(number), *words)
    assert refused == -1 and ctypes.get_errno() == errno.EPERM, (call, refused, ctypes.get_errno())
"""
_KEYRING = _CALL.format(
    calls="[(248, b'user', b'x', b'y', 1, -3), (250, 10, -3, b'user', b'x', 0), (249, b'user', b'x', 0, 0)]"
)
_KERNEL = _CALL.format(calls="[(321, 0, 0, 0), (298, 0, 0, -1, -1, 0), (323, 0), (425, 1, 0)]")
_NAMESPACES = _CALL.format(calls="[(272, 0x10000000), (56, 0x10000011, 0, 0, 0, 0), (308, 0, 0), (165, 0, 0, 0, 0, 0)]")
_OTHERS = _CALL.format(calls="[(101, 16, 1, 0, 0), (310, 1, 0, 0, 0, 0, 0), (424, 0, 9, 0, 0)]")
_SHARED = _CALL.format(
    calls="[(29, 7, 4096, 0o1777), (64, 7, 1, 0o1777), (68, 7, 0o1777), (240, b'x', 0o102, 0o666, 0)]"
)
_BY_ANOTHER_NAME = """\
import importlib, random
getattr(importlib.import_module("similarity" + "_exercises"), "_vec" + "tors")(random.Random(1), 1, 2)"""
_HOG = "hoard = bytearray(64 << 30)\n"
_SLOW_HOG = "hoard = []\nimport time\nfor _ in range(40):\n    hoard.append(b'x' * (20 << 20))\ntime.sleep(3)\n"
_NEVER = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
_OTHER_LESSON = (
    b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code", "id": "a", "metadata": {},'
    b' "source": "x = check(\\"9.1\\", x)", "outputs": [], "execution_count": 1}]}'
)

PUPILS = [
    # honest
    Pupil("Ada Right", ALL_PASS, RIGHT, points=10),
    Pupil("Ben Untouched", ALL_OPEN, {}, points=0),
    Pupil("Cleo Half", {"m.1": "pass", "m.2": "not tried", "m.3": "not tried"}, {"m.1": RIGHT["m.1"]}, points=3),
    Pupil("Dan Noisy", ALL_PASS,
          _hand_in("import warnings, sys\nwarnings.warn('careful')\nprint('oh', file=sys.stderr)"), points=10),
    Pupil("Eve Wordy", ALL_PASS, RIGHT, _wordy, points=10),
    Pupil("Fay Helper", ALL_PASS,
          instead("def standardise(values):\n    return centre(values) / centre(values).pow(2).mean().sqrt()"),
          _before("m.1", "def centre(v):\n    return v - v.mean()"), flag=Flag.OWN_CELLS, points=10),
    Pupil("Gil Colab", ALL_PASS, RIGHT, _colab, points=10),
    Pupil("Hal Stripped", ALL_PASS, RIGHT, _stripped, flag=Flag.FOUND_BY_NAME, points=10),
    Pupil("Ida Scrambled", ALL_PASS, RIGHT, _scrambled, flag=Flag.LESSON_REORDERED, points=10),
    Pupil("Jon Twice", ALL_PASS, RIGHT, _twice, flag=Flag.SEVERAL_DEFINITIONS, points=10),
    Pupil("Joy Doubt", first("unclear"), RIGHT, _twice_and_wrong, status="in part", flag=Flag.SEVERAL_DEFINITIONS,
          says="Your teacher decides"),
    Pupil("Jim Handed", ALL_PASS, {**RIGHT, "m.1": RIGHT["m.1"].replace("standardise", "mine")},
          lambda notebook: cell_of(notebook, "m.1", "check").update(source='standardise = check("m.1", mine)'),
          points=10),
    Pupil("Jan Package", first("unclear"), instead("import no_such_package\n" + RIGHT["m.1"]), status="in part",
          says="not installed where this was marked"),
    Pupil("Joe Floods", first("unclear"), instead(RIGHT["m.1"].replace("return", "return ONE *")),
          _before("m.1", "ONE = 1\nfor _ in range(400):\n    print('x' * 100_000)"), status="in part",
          says="a cell of your own which it seems to need"),
    # What no source shows: open if it is right with all cells, and an error if it is not.
    Pupil("Jo Registers", first("unclear"), instead(RIGHT["m.1"].replace("return", "return KEPT['one'] *")),
          _between("m.1", "KEPT = {}\ndef keep(f):\n    KEPT[f.__name__] = f()\n    return f",
                   "@keep\ndef one():\n    return 1"), status="in part", says="with all of your cells", points=7),
    Pupil("Jed Registers", first("error"), instead(RIGHT["m.1"].replace("return", "return KEPT['two'] *")),
          _between("m.1", "KEPT = {}\ndef keep(f):\n    KEPT[f.__name__] = f()\n    return f",
                   "@keep\ndef one():\n    return 1"), says="KeyError", points=7),
    Pupil("Jib Globals", first("unclear"), {name: RIGHT[name] for name in ("m.2", "m.3")},
          _between("m.1", RIGHT["m.1"].replace("standardise", "mine"), "globals()['standardise'] = mine"),
          status="in part", says="with all of your cells", points=7),
    Pupil("Jax Setsup", ALL_PASS, instead(RIGHT["m.1"].replace("return", "return SCALE *")),
          _between("m.1", "def setup():\n    global SCALE\n    SCALE = 1", "setup()"), points=10),
    Pupil("Jil Installs", ALL_PASS, _hand_in("!pip install -q einops\n%pip list\n%time 1 + 1"), points=10),
    Pupil("Jud Allover", ALL_PASS, {}, _all_over, flag=Flag.BELOW_ITS_CHECK, points=10),
    Pupil("Kim Imports", {"m.1": "pass", "m.2": "not tried", "m.3": "not tried"},
          {"m.1": "def standardise(values):\n    v = np.asarray(values)\n"
                  "    return torch.tensor((v - v.mean()) / v.std())"}, _edited,
          flag=Flag.ADDITIONS_KEPT, points=3),
    Pupil("Leo Bom", ALL_PASS, RIGHT, lambda notebook: notebook.update(bom=True), points=10),
    Pupil("Mia Follow", {"m.1": "part", "m.2": "not tried", "m.3": "pass"},
          {"m.1": "def standardise(values):\n    return (values - values.mean()) / values.std()", "m.3": RIGHT["m.3"]},
          says="divides by the sample's deviation", points=5),
    # partly right, wrong, in error
    Pupil("Ned Sample", first("part"),
          instead(RIGHT["m.1"].replace("correction=0", "correction=1")),
          says="divides by the sample's deviation", points=8),
    Pupil("Oda First", {"m.1": "pass", "m.2": "part", "m.3": "pass"},
          {**RIGHT, "m.2": RIGHT["m.2"].replace("out[0][-1]", "out[0][0]")},
          says="after the first token"),
    Pupil("Pia Shape", first("fail"), instead("def standardise(values):\n    return values[None]"),
          says="a tensor of shape"),
    Pupil("Quin Syntax", first("error"), instead("def standardise(values)\n    return values"),
          says="SyntaxError"),
    Pupil("Rhea Twice", first("error"), instead("def standardise(values, values):\n    return values"),
          says="duplicate argument"),
    Pupil("Rex Raises", first("error"), instead("def standardise(values):\n    return values / nothing"),
          says="NameError"),
    Pupil("Sam None", first("fail"), instead("def standardise(values):\n    values - values.mean()"),
          says="Is there a return?"),
    Pupil("Tia Hardcoded", first("fail"),
          instead("def standardise(values):\n    return torch.tensor([-1.069, -0.267, 1.336])")),
    Pupil("Uma Random", first("flaky"), instead("import os\ndef standardise(values):\n"
          "    return values * int.from_bytes(os.urandom(2), 'big')"), status="in part"),
    Pupil("Val Deleted", first("missing"), RIGHT, _without("m.1"), flag=Flag.ANSWER_GONE),
    Pupil("Wim Renamed", first("missing"), instead(RIGHT["m.1"].replace("standardise", "normalise"))),
    # cannot be read
    Pupil("Xia Empty", raw=b"", status="unreadable", says="empty"),
    Pupil("Yan Html", raw=b"<!DOCTYPE html><p>Sign in", status="unreadable", says="web page"),
    Pupil("Zoe Truncated", raw=b'{"nbformat": 4, "cells": [{"cell_type"', status="unreadable", says="not JSON"),
    Pupil("Abe Old", raw=b'{"nbformat": 3, "worksheets": []}', status="unreadable", says="format 3"),
    Pupil("Bea Latin", raw='{"nbformat": 4, "é": 1}'.encode("latin-1"), status="unreadable", says="UTF-8"),
    Pupil("Cal Deep", raw=b"[" * 200_000, status="unreadable"),
    Pupil("Dee Cells", raw=b'{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [7, null]}',
          status="unreadable", says="cell 0"),
    Pupil("Eli Other", raw=_OTHER_LESSON, status="wrong notebook", says="9.1"),
    # hostile
    Pupil("Fox Patch", first("fail"), instead(_PATCH + "def standardise(values):\n    return values[1:]"),
          hostile=True),
    Pupil("Gus Equal", first("fail"), instead(_ALWAYS_EQUAL), says="type Equal", hostile=True),
    Pupil("Hex Forger", ALL_PASS, _hand_in(_FORGER), flag=Flag.FORGED, hostile=True),
    Pupil("Ira Double", {"m.1": "fail", "m.2": "fail", "m.3": "fail"}, _hand_in(_SEND_TWICE), says="2 times",
          flag=Flag.DISTURBED, hostile=True),
    Pupil("Jay Showless", first("error"), instead(_SHOWTRACEBACK), hostile=True),
    Pupil("Kai Transform", {"m.1": "fail", "m.2": "fail", "m.3": "fail"}, _hand_in(_TRANSFORM), says="0 times",
          hostile=True),
    Pupil("Lux Import", first("fail"), instead("from similarity_exercises import standardise"),
          says="not yours", flag=Flag.CALLS_REFERENCE, hostile=True),
    Pupil("Max Exit", first("crashed"), _inside("import os\nos._exit(0)"), hostile=True),
    Pupil("Nia Quit", first("error"), _inside("raise SystemExit"), hostile=True),
    Pupil("Oz Segfault", first("crashed"), _inside("import ctypes\nctypes.string_at(0)"), hostile=True),
    Pupil("Pat Slow", first("time-out"), _inside("while True: pass"), hostile=True),
    Pupil("Roy Never", first("time-out"), _inside(_NEVER), hostile=True),
    Pupil("Sid Printer", first("output limit"), _hand_in("for _ in range(400):\n    print('x' * 100_000)"),
          hostile=True),
    Pupil("Ted Hog", first("error"), _inside(_HOG), says="MemoryError", hostile=True),
    Pupil("Una Hog", first("crashed"), _inside(_SLOW_HOG), says="memory", hostile=True),
    Pupil("Uli Forks", first("crashed"), _inside(_FORKS), says="processes", hostile=True),
    Pupil("Vic Daemon", ALL_PASS, _hand_in(_DAEMON), flag=Flag.STARTED_A_PROGRAM, hostile=True),
    Pupil("Wes Killer", ALL_PASS, _hand_in(_KILL_PARENT), flag=Flag.TRIED, hostile=True),
    Pupil("Xen Home", ALL_PASS, _hand_in(_READ_HOME), hostile=True),
    Pupil("Yul Network", ALL_PASS, _hand_in(_NETWORK), flag=Flag.TRIED, hostile=True),
    Pupil("Zed Overwrite", ALL_PASS, _hand_in(_OVERWRITE), hostile=True),
    *(Pupil(name, ALL_PASS, _hand_in(body), flag=Flag.TRIED, hostile=True, tries=what)
      for name, body, what in (("Kay Keyring", _KEYRING, "the keyring"),
                               ("Lea Kernel", _KERNEL, "a door into the system's kernel"),
                               ("Mo Namespaces", _NAMESPACES, "namespaces and mounts"),
                               ("Nel Ptrace", _OTHERS, "another process"),
                               ("Ola Shared", _SHARED, "memory that outlives it"))),
    Pupil("Ann Skips", ALL_PASS, _hand_in("# NBVAL_SKIP"), hostile=True),
    Pupil("Bob Excepts", first("error"), instead("# NBVAL_RAISES_EXCEPTION\nraise ValueError('mine')"),
          says="ValueError", hostile=True),
    Pupil("Cyd Threads", ALL_PASS,
          _hand_in("import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()"), hostile=True),
    Pupil("Dov Nan", first("fail"), instead("def standardise(values):\n    return values * float('nan')"),
          says="NaN"),
    Pupil("Gia Getattr", ALL_PASS, _inside(_BY_ANOTHER_NAME), flag=Flag.USES_UNSHOWN, tries="_vectors", hostile=True),
    Pupil("Fin Chain", ALL_PASS, instead(RIGHT["m.1"] + " + 0" * 400), hostile=True),
    Pupil("Eno <script>", ALL_PASS, RIGHT),
]  # fmt: skip


def notebook_of(pupil: Pupil) -> bytes:
    """What a pupil hands in, as bytes."""
    if pupil.raw is not None:
        return pupil.raw
    notebook: dict[str, Any] = copy.deepcopy(json.loads((LESSON / "similarity.ipynb").read_text(encoding="utf-8")))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    for exercise, source in (pupil.answers or {}).items():
        cell_of(notebook, exercise)["source"] = source
    if pupil.change:
        pupil.change(notebook)
    bom = b"\xef\xbb\xbf" if notebook.pop("bom", False) else b""
    return bom + json.dumps(notebook).encode()


def write(folder: Path, pupils: list[Pupil] = PUPILS) -> Path:
    """Write a folder of submissions, one for each pupil."""
    folder.mkdir(parents=True, exist_ok=True)
    for pupil in pupils:
        (folder / f"{pupil.name}.ipynb").write_bytes(notebook_of(pupil))
    return folder


if __name__ == "__main__":
    print(write(Path(sys.argv[1])), len(PUPILS))
