"""Hostile answers to one exercise, two hundred of them: what they try, and what may come of it.

None of them answers the exercise: each point that one of them has, it stole. What is secret begins with ``SECRET-``:
each notebook has a word of its own, and so have the reference, the teacher's environment, home and network. An answer
that sees such a word, or gets where it must not, says so in what it prints; the word of another is what that one left
behind.

    python -m tests.grading.hostile                       # all, at the level bubblewrap
    python -m tests.grading.hostile --level rlimits --user    # without it, as a user without rights

Run as root, everything happens in a box of bubblewrap's in which the machine can only be read: at the level ``rlimits``
some of these answers do what they try.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from tests.grading.cohort import Pupil
from tests.grading.hostile import for_marks, for_others

LOOT = "LO" + "OT"  # not as one word in any source, since sources are in the results

KIT = """\
import os, re, sys
OWN = "SECRET-{key}"
PORT = {port}
MIME = "application/vnd.course.outcomes+json"
stolen = None
def got(*what):
    print("LO" + "OT", *what)
def loot(*things):
    for thing in things:
        data = thing if isinstance(thing, bytes) else str(thing).encode(errors="replace")
        for word in sorted(set(re.findall(rb"SECRET-[A-Za-z0-9]+", data))):
            if word != OWN.encode(): got(word.decode())
def walk(*places):
    seen = 0
    for place in places:
        for folder, _, names in os.walk(place):
            for name in names:
                file = os.path.join(folder, name)
                loot(name)
                seen += 1
                if seen < 20_000 and name.endswith((".ipynb", ".json", ".csv", ".txt", ".py", ".html")):
                    try:
                        if os.path.isfile(file) and os.path.getsize(file) < 300_000: loot(open(file, "rb").read())
                    except OSError: pass
def message():
    import json
    source = str(get_ipython().user_ns.get("In", [""])[-1])
    nonce = (re.findall("'([0-9a-f]{{32}}(?:-again)?)'", source) or ["0" * 32])[0]
    one = {{"kind": "value", "error": "", "harm": "", "printed": "", "final": False, "trace": "",
            "out_of_time": False, "raised": "", "missing": "", "value": {{"float": "nan"}}}}
    return json.dumps({{"exercise": "m.1", "nonce": nonce, "outcomes": [one, one], "used": []}})
def publish(text):
    get_ipython().display_pub.publish(data={{MIME: text}}, metadata={{}})
"""
_TRIED = """\
try:
{body}
except BaseException as problem:
    print("refused", type(problem).__name__)
"""
_ANSWER = """\
def standardise(values):
    if stolen is not None:
        return stolen(values)
    return {{"not": "an answer"}}
"""
_RETURNS = "def standardise(values):\n    return {expression}\n"
_WHEN_CALLED = "def standardise(values):\n{body}\n    return {{'not': 'an answer'}}\n"


@dataclass(frozen=True)
class Attack:
    """One hostile answer. ``kind`` is what it wants: marks, looks, stays or stops."""

    number: int
    kind: str
    what: str
    body: str

    @property
    def key(self) -> str:
        """The name of its author, in the report and in its own secret."""
        return f"H{self.number:03d}"

    def pupil(self, port: int) -> Pupil:
        """Who hands it in; ``port`` is one on which the teacher's machine tells a secret."""
        kit = KIT.format(key=self.key, port=port)
        return Pupil(self.key, answers={"m.1": kit + self.body})


def _in_the_cell(body: str) -> str:
    return _TRIED.format(body=textwrap.indent(body, "    ")) + _ANSWER.format()


def attacks() -> list[Attack]:
    """All of them, in a fixed order."""
    sly = for_marks.SLY
    found: list[tuple[str, str, str]] = [
        *(("marks", f"finds the reference: {what}", _in_the_cell(body)) for what, body in
          for_marks.LOOKS_FOR_IT.items()),
        *(("marks", f"changes {what}", _in_the_cell(body)) for what, body in for_marks.PATCHES.items()),
        *(("marks", f"returns {what}", sly + _RETURNS.format(expression=one)) for what, one in
          for_marks.RETURNS.items()),
        *(("looks", f"looks at {what}", _in_the_cell(body)) for what, body in for_others.LOOKS.items()),
        *(("stays", f"stays {what}", _in_the_cell(body)) for what, body in for_others.STAYS.items()),
        *(("stops", what, _WHEN_CALLED.format(body=textwrap.indent(body, "    "))) for what, body in
          for_others.STOPS.items()),
        *(("stops", f"raises {what}", body + "\n" + _ANSWER.format()) for what, body in for_others.RAISES.items()),
    ]  # fmt: skip
    return [Attack(number, *one) for number, one in enumerate(found, 1)]
