"""Run an answer on hidden inputs and send what it returned, as data, to the examiner outside.

The learner's code shares this process and could change anything here. It gains nothing by that: values are all that is
sent, and what they should be is known only outside.
"""

from __future__ import annotations
import __future__

import importlib
import json
import linecache
from typing import Any

MIME = "application/vnd.course.outcomes+json"
"""The kind of message in which the values travel."""

_MISSING = object()


def send(exercise_id: str, seed: int, nonce: str, seconds: float) -> None:
    """Run what the notebook has under the exercise's name on the inputs of ``seed``, each for at most ``seconds``;
    send the outcomes.

    ``nonce`` comes back with them, so that the examiner knows which question they answer.
    """
    from IPython import get_ipython

    from course_utils.exercises import get_exercise, running
    from course_utils.exercises.judging import attempt
    from course_utils.grading.inside import used

    running.TIME_LIMIT = seconds
    exercise = get_exercise(exercise_id)
    shell: Any = get_ipython()
    answer = shell.user_ns.get(exercise.name, _MISSING)
    if answer is _MISSING:
        outcomes = None
    else:
        used.forget()
        outcomes = [running.outcome_to_json(outcome) for outcome in attempt(exercise, answer, seed)]
    message = json.dumps(
        {"exercise": exercise_id, "nonce": nonce, "outcomes": outcomes, "used": used.called()},
        allow_nan=False,
        ensure_ascii=False,
    )
    message = message.encode(
        "utf-8", "replace"
    ).decode()  # halves of characters, which an answer may print, are refused outside
    shell.display_pub.publish(data={MIME: message}, metadata={})


def supply(exercise_id: str, module: str, name: str, source: str) -> Any:
    """Put the reference back into its module, once the exercise is judged, and return it: later exercises may build on
    it.
    """
    target = importlib.import_module(module)
    filename = f"<reference {exercise_id}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)  # a trace reads its own source
    exec(compile(source, filename, "exec", flags=__future__.annotations.compiler_flag), vars(target))
    return vars(target)[name]
