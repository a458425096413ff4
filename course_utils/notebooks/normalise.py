"""One form for every notebook: whoever executes it, on whatever machine, the file comes out the same.

What a normalised notebook has: nbformat 4.5, two plain metadata entries, cell ids that follow from the
contents, and outputs without widgets, timings, warnings or anything of the machine that made them (of a view the
still, the data and the words stay). `normalise` brings it there; `problems` names what no tool can put right and
an author must.

Authors never write metadata by hand. What a cell is to an exercise is read from its source:

- a code cell with `name = check("4.1", name)` is the check cell of exercise 4.1;
- the nearest code cell before it that defines `name` is its answer cell;
- a Markdown cell whose first line holds `<!-- answer 4.1q -->` is the place for an answer in words.
"""

from __future__ import annotations

import ast
import copy
import hashlib
import os
import platform
import re
import symtable
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from course_utils import colab
from course_utils.pictures import VIEW_TYPE

METADATA: dict[str, Any] = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"
PICTURE_LIMIT = 300_000  # bytes of one stored picture
NOTEBOOK_LIMIT = 2_000_000  # bytes of one stored notebook
DEPTH_LIMIT = 100  # levels of a cell's syntax tree; people write up to about 20
PROSE_MARK = re.compile(r"<!--\s*answer\s+([\w.]+)\s*-->")
NUMBER_LIMIT = 10_000  # bits; the 4,300 digits that Python writes have some 14,000
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TIMED = re.compile(r"^(\s*)%time\s+(?=\S)")
_CAPTURED = re.compile(r"^(\s*[A-Za-z_][\w, ]*=)\s*[!%].*$")
_OTHER_LANGUAGE = re.compile(
    r"\s*%%(?:bash|sh|script|cmd|html|javascript|js|latex|markdown|svg|perl|ruby|system|sx|!|timeit)\b"
)
_HELP = re.compile(r"\s*[A-Za-z_][\w.]*\?{1,2}\s*")


@dataclass(frozen=True)
class Problem:
    """Something that an author must change; `cell` counts from 0, -1 means the whole notebook."""

    cell: int
    text: str

    def __str__(self) -> str:
        return f"cell {self.cell}: {self.text}" if self.cell >= 0 else self.text


@dataclass(frozen=True)
class Check:
    """A line `name = check("4.1", name)` found in a cell."""

    exercise: str
    name: str


def normalise(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of `notebook` in the one form described above. Applying it twice changes nothing more."""
    result = copy.deepcopy(notebook)
    result["nbformat"], result["nbformat_minor"] = 4, 5
    result["metadata"] = NotebookNode(copy.deepcopy(METADATA))
    roles = exercise_roles(result)
    for index, cell in enumerate(result.cells):
        cell["source"] = cell.source.rstrip("\n")
        cell["metadata"] = _cell_metadata(cell.metadata, roles.get(index))
        if cell.cell_type == "code" and cell.source.startswith(colab.MARK):
            cell["metadata"].update(copy.deepcopy(colab.FOLDED))
        if cell.cell_type == "code":
            cell["outputs"] = list(_clean_outputs(cell.get("outputs", [])))
            cell.setdefault("execution_count", None)
    _name_cells(result, roles)
    return result


def exercise_roles(notebook: NotebookNode) -> dict[int, tuple[str, str]]:
    """The cells that belong to an exercise: index -> (exercise id, "answer" | "check" | "prose")."""
    roles: dict[int, tuple[str, str]] = {}
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            mark = PROSE_MARK.search(cell.source.split("\n", 1)[0])
            if mark:
                roles[index] = (mark.group(1), "prose")
            continue
        if cell.cell_type != "code":
            continue
        for found in checks_in(cell.source):
            roles[index] = (found.exercise, "check")
            answer = _nearest_definition(notebook, index, found.name)
            if answer is not None:
                roles[answer] = (found.exercise, "answer")
    return roles


def checks_in(source: str) -> list[Check]:
    """The top-level lines `name = check("4.1", name)` in the source of a cell, in order."""
    found = []
    for statement in parse_cell(source):
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            continue
        target, call = statement.targets[0], statement.value
        if not (isinstance(target, ast.Name) and isinstance(call, ast.Call) and len(call.args) >= 2):
            continue
        called, first = call.func, call.args[0]
        if isinstance(called, ast.Name) and called.id == "check" and isinstance(first, ast.Constant):
            found.append(Check(exercise=str(first.value), name=target.id))
    return found


def names_defined_in(source: str) -> set[str]:
    """The functions and classes that a cell defines at its top level."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {statement.name for statement in parse_cell(source) if isinstance(statement, kinds)}


def parse_cell(source: str) -> list[ast.stmt]:
    """The statements of a cell; lines for IPython are left out, but for what they bind.

    A cell that Python refuses has none, and neither has one nested so deep that whatever walks through it would fail.
    """
    if binds_nothing(source):
        return []
    plain = "\n".join(map(_without_magic, source.split("\n")))
    try:
        body = ast.parse(plain).body
        symtable.symtable(plain, "<cell>", "exec")  # refuses what the grammar alone allows, as `def f(x, x)`
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [] if _is_deep(body) or _has_endless_number(body) else body


def binds_nothing(source: str) -> bool:
    """Whether a cell is not the notebook's Python: another program's (``%%bash``), or code whose names go with it."""
    return bool(_OTHER_LANGUAGE.match(source))


def _without_magic(line: str) -> str:
    """A line of a cell as Python reads it: `x = !ls` binds x, `%time x = f()` does what it times."""
    if not any(mark in line for mark in "%!?"):
        return line
    line = _TIMED.sub(r"\1", line)
    if line.lstrip().startswith(("%", "!", "?")) or _HELP.fullmatch(line):
        return ""
    return _CAPTURED.sub(r"\1 None", line)


def problems(notebook: NotebookNode) -> list[Problem]:
    """What keeps `notebook` from being committed, in the order of its cells; empty when nothing does."""
    found = [*_exercise_problems(notebook)]
    size = len(str(notebook))
    if size > NOTEBOOK_LIMIT:
        found.append(Problem(-1, f"{size:,} bytes; a stored notebook has at most {NOTEBOOK_LIMIT:,}"))
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if cell.get("execution_count") is None:
            found.append(Problem(index, "was never executed; run `course notebooks run`"))
        tags = cell.metadata.get("tags", [])
        for output in cell.get("outputs", []):
            found.extend(Problem(index, text) for text in _output_problems(output, tags))
    return found


def words_of_picture(output: NotebookNode) -> str:
    """What an output with a picture says that it shows: its plain text; "" if that is only what Python calls a thing.

    It is the picture's alternative text wherever one is asked for.
    """
    words = " ".join(_joined(output.get("data", {}).get("text/plain", "")).split())
    return "" if words.startswith("<") else words


def text_of(output: NotebookNode) -> str:
    """Everything in an output that is text: the stream, or the plain text and HTML of a shown value."""
    if output.output_type == "stream":
        return _joined(output.text)
    if output.output_type == "error":
        return "\n".join([output.ename, output.evalue, *output.traceback])
    return "\n".join(_joined(value) for kind, value in output.data.items() if kind.startswith("text/"))


def _is_deep(body: list[ast.stmt]) -> bool:
    level: list[ast.AST] = [*body]
    for _ in range(DEPTH_LIMIT):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return bool(level)


def _has_endless_number(body: list[ast.stmt]) -> bool:
    """Whether a number is in it which Python reads, as 0xfff..., and refuses to write in decimals."""
    numbers = (one.value for statement in body for one in ast.walk(statement) if isinstance(one, ast.Constant))
    return any(type(one) is int and one.bit_length() > NUMBER_LIMIT for one in numbers)


def _nearest_definition(notebook: NotebookNode, before: int, name: str) -> int | None:
    for index in range(before, -1, -1):
        cell = notebook.cells[index]
        if cell.cell_type == "code" and name in names_defined_in(cell.source):
            return index if index != before else None
    return None


def _exercise_problems(notebook: NotebookNode) -> Iterator[Problem]:
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        found = checks_in(cell.source)
        if len(found) > 1:
            yield Problem(index, f"has {len(found)} checks; each check has a cell of its own")
        for one in found:
            if _nearest_definition(notebook, index, one.name) is None:
                missing = f"checks exercise {one.exercise}, but no cell before it defines `{one.name}`"
                yield Problem(index, missing)
    counts = Counter(exercise_roles(notebook).values())
    for (exercise, role), count in counts.items():
        if count > 1:
            yield Problem(-1, f"exercise {exercise} has {count} {role} cells, one was expected")


def _cell_metadata(metadata: NotebookNode, role: tuple[str, str] | None) -> NotebookNode:
    kept = NotebookNode()
    if metadata.get("tags"):
        kept["tags"] = sorted(set(metadata["tags"]))
    if role is not None:
        kept["course"] = NotebookNode(exercise=role[0], role=role[1])
    return kept


def _name_cells(notebook: NotebookNode, roles: dict[int, tuple[str, str]]) -> None:
    """Give each cell an id that follows from what it is, so that the tool run again changes nothing."""
    seen: Counter[str] = Counter()
    for index, cell in enumerate(notebook.cells):
        if index in roles:
            exercise, role = roles[index]
            name = f"ex-{re.sub(r'[^0-9A-Za-z]+', '-', exercise)}-{role}"
        else:
            digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()
            name = f"c-{digest[:10]}"
        seen[name] += 1
        cell["id"] = name if seen[name] == 1 else f"{name}-{seen[name]}"


def _clean_outputs(outputs: list[NotebookNode]) -> Iterator[NotebookNode]:
    """Outputs without widgets and stderr; neighbouring pieces of printed text become one."""
    pending: NotebookNode | None = None
    for original in outputs:
        output = copy.deepcopy(original)
        if output.output_type == "stream":
            if output.name == "stderr":
                continue
            if pending is not None:
                pending["text"] += _joined(output.text)
                continue
            pending = NotebookNode(output_type="stream", name="stdout", text=_joined(output.text))
            continue
        if output.output_type in ("display_data", "execute_result"):
            if output.data.pop(WIDGET, None) is not None and VIEW_TYPE not in output.data:
                continue  # a progress bar; a view's still, data and words stay
            output["metadata"] = NotebookNode()
            if "image/png" in output.data:
                output.data["image/png"] = _joined(output.data["image/png"]).strip()
                if words := words_of_picture(output):
                    output["metadata"] = NotebookNode({"image/png": {"alt": words}})
            output.pop("transient", None)
        if output.output_type == "error":  # only where a lesson shows one on purpose; frames would name files
            output["traceback"] = [f"{output.ename}: {output.evalue}"]
        if pending is not None:
            yield pending
            pending = None
        yield output
    if pending is not None:
        yield pending


def _output_problems(output: NotebookNode, tags: list[str]) -> Iterator[str]:
    if output.output_type == "error" and "raises-exception" not in tags:
        yield f"holds an error, {output.ename}: {ANSI.sub('', output.evalue)[:200]}"
    if output.output_type == "stream" and output.name == "stderr":
        yield f"wrote to stderr: {_joined(output.text).strip()[:300]!r}"
    data = output.get("data", {})
    if any(kind.startswith("image/") for kind in data) and not words_of_picture(output):
        yield (
            "holds a picture that says nothing in words, for whoever cannot see it; use course_utils.pictures, "
            "or set its `words`"
        )
    if WIDGET in data and VIEW_TYPE not in data:
        yield "shows a widget, whose state is not stored; print or draw instead"
    for kind, value in data.items():
        size = len(_joined(value)) * 3 // 4  # base64
        if kind.startswith("image/") and size > PICTURE_LIMIT:
            yield f"holds a picture of {size:,} bytes; at most {PICTURE_LIMIT:,} are stored"
    text = text_of(output)
    for what, secret in _of_this_machine():
        if secret in text:
            yield f"its output holds {what} of this machine: {secret!r}"
    if "nbval-ignore-output" not in tags and (address := ADDRESS.search(text)):
        yield f"its output holds an address in memory, {address.group()}, that the next run will not repeat"


def _of_this_machine() -> Iterator[tuple[str, str]]:
    home, here, host = str(Path.home()), os.getcwd(), platform.node()
    if len(home) > 3:
        yield "the home folder", home
    if len(here) > 3:
        yield "a path", here
    yield "a path", "/ipykernel_"
    if len(host) > 5 and host != "localhost":
        yield "the name", host


def _joined(text: str | list[str]) -> str:
    return text if isinstance(text, str) else "".join(text)
