"""The example class in ``examples/submissions``: six students of lesson 1, as a school's system would hand them out.

``python -m tests.grading.examples`` writes the folder anew, from the lesson as it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "submissions"
LESSON = ROOT / "notebooks" / "01_tokens_and_logits.ipynb"

_SPLIT = """\
def split_tokens(model, text):
    ids = model.tokenizer(text)["input_ids"]
    return [(i, model.tokenizer.decode([i])) for i in ids]"""
_ALL = """\
def next_token_probabilities(model, text):
    with model.trace(text):
        logits = model.output.logits.save()
    return logits[0].softmax(-1)"""
_TOP = """\
def top_next_tokens(model, prompt, k=5):
    with model.trace(prompt):
        logits = model.output.logits[0, -1].save()
    best = logits.softmax(-1).topk(k)
    return [(model.tokenizer.decode([i]), float(p)) for p, i in zip(best.values, best.indices.tolist())]"""
_NUCLEUS = """\
def nucleus(probabilities, p):
    values, order = probabilities.sort(descending=True)
    before = values.cumsum(0) - values
    values = values * (before < p)
    kept = torch.zeros_like(probabilities)
    kept[order] = values
    return kept / kept.sum()"""

PEOPLE: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    # name: answers, and the verdicts that they should get (the others: not tried)
    "Ada Lovelace_101": (
        {"1.1": _SPLIT, "1.2": _TOP, "1.3": _ALL, "1.7": _NUCLEUS},
        {"1.1": "pass", "1.2": "pass", "1.3": "pass", "1.7": "pass"},
    ),
    "Blaise Pascal_102": (
        {
            "1.1": _SPLIT,
            "1.2": _TOP.replace("[0, -1]", "[0, 0]"),
            "1.3": _ALL.replace("logits[0].softmax(-1)", "logits[0].softmax(0)"),
        },
        {"1.1": "pass", "1.2": "fail", "1.3": "fail"},
    ),
    "Carl Gauss_103": ({"1.1": _SPLIT, "1.2": _TOP.replace("topk(k)", "top(k)")}, {"1.1": "pass", "1.2": "error"}),
    "Dorothy Hodgkin_104": ({}, {}),
    "Emmy Noether_105": (
        {"1.1": "def split_tokens(model, text):\n    while True:\n        pass", "1.3": _ALL},
        {"1.1": "time-out", "1.3": "pass"},
    ),
}
UNREADABLE = "Felix Klein_106"


def notebook(answers: dict[str, str]) -> dict[str, Any]:
    """The lesson with these answers and without outputs."""
    lesson: dict[str, Any] = json.loads(LESSON.read_text(encoding="utf-8"))
    for cell in lesson["cells"]:
        course = cell["metadata"].get("course", {})
        if course.get("role") == "answer" and course["exercise"] in answers:
            cell["source"] = answers[course["exercise"]].splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return lesson


def write(folder: Path = FOLDER) -> None:
    """Write the six folders, in the shape of Moodle."""
    for name, (answers, _) in PEOPLE.items():
        place = folder / f"{name}_assignsubmission_file_"
        place.mkdir(parents=True, exist_ok=True)
        text = json.dumps(notebook(answers), indent=1, ensure_ascii=False)
        (place / LESSON.name).write_text(text + "\n", encoding="utf-8")
    place = folder / f"{UNREADABLE}_assignsubmission_file_"
    place.mkdir(parents=True, exist_ok=True)
    (place / LESSON.name).write_text("<!DOCTYPE html><title>Sign in to download</title>\n", encoding="utf-8")


if __name__ == "__main__":
    write()
