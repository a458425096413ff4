"""A lesson as a page: the committed notebook with its outputs, as a reader without Jupyter wants it.

What is changed is in the page only: pictures get their words as alternative text, views come alive, the badge becomes a
line of links, and the setup cell is folded. What a reader downloads is the committed notebook.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup
from nbformat import NotebookNode

from course_utils import colab
from course_utils.exercises import Verdict, get_exercise
from course_utils.notebooks.furnish import BADGE, colab_address
from course_utils.notebooks.normalise import exercise_roles, words_of_picture
from course_utils.notebooks.site.rendering import render
from course_utils.notebooks.solve import solve
from course_utils.pictures import VIEW_TYPE

WORDS_A_MINUTE = 200
SAID = ("✓ ", "○ ", "◇ ", "? ")  # how what checks, predictions and questions say begins


@dataclass(frozen=True)
class Place:
    """Where a page's parts go, and where its links lead.

    Attributes:
        stills: the folder of the views' pictures.
        address: what that folder is called from the page.
        version, repository: those of the links to Colab and the like.
    """

    stills: Path
    address: str
    version: str
    repository: str


def page(lesson: NotebookNode, name: str, place: Place) -> NotebookNode:
    """The notebook from which the page of the lesson called `name` is made; the views' stills are written beside it."""
    return _for_reading(lesson, _links(lesson, name, place, solved=False), place)


def solved_page(lesson: NotebookNode, name: str, place: Place) -> NotebookNode:
    """The same with the reference's source, folded, in each answer cell, and with what its check then says."""
    solved = solve(lesson)
    solved["metadata"]["nosearch"] = True  # it says what the lesson says: nobody wants to find each sentence twice
    for index, (id, role) in exercise_roles(lesson).items():
        cell = solved.cells[index]
        if role == "answer":
            _fold(cell, "the solution")
        if role == "check":
            exercise = get_exercise(id)
            verdict = Verdict(id, "right", exercise.points, exercise.points, exercise.shows)
            cell["outputs"] = [NotebookNode(output_type="stream", name="stdout", text=f"{verdict}\n")]
    title = next(cell for cell in solved.cells if cell.cell_type == "markdown")
    title["source"] = re.sub(r"^(# .*)$", r"\1 · with solutions", title.source, count=1, flags=re.MULTILINE)
    return _for_reading(solved, _links(lesson, name, place, solved=True), place)


def minutes_to_read(lesson: NotebookNode) -> int:
    """How long the prose takes at 200 words a minute, in minutes, without code, outputs and exercises."""
    words = sum(len(cell.source.split()) for cell in lesson.cells if cell.cell_type == "markdown")
    return max(1, math.ceil(words / WORDS_A_MINUTE))


def title_of(lesson: NotebookNode) -> str:
    """The lesson's first heading: "1 · Tokens and logits"."""
    source = next((cell.source for cell in lesson.cells if cell.cell_type == "markdown"), "")
    found = re.search(r"^# (.+)$", source, re.MULTILINE)
    return found.group(1).strip() if found else "Untitled"


def first_view(lesson: NotebookNode, place: Place, wanted: str = "") -> str:
    """The HTML of the first view called `wanted` (of the first of any name) in the lesson; "" where it has none."""
    for cell in lesson.cells:
        for output in cell.get("outputs", []):
            payload = output.get("data", {}).get(VIEW_TYPE)
            if payload and wanted in ("", payload["view"]):
                return view(output, place)
    return ""


def first_picture(lesson: NotebookNode, title: str, place: Place) -> str:
    """The HTML of the first picture whose words hold `title`; "" where the lesson has none."""
    for cell in lesson.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}) and title in words_of_picture(output):
                return still(output, place)
    return ""


def view(output: NotebookNode, place: Place) -> Markup:
    """A view's output as HTML: its data for the script that brings it to life, and until then, or without one, its
    still with its words.
    """
    payload = output.data[VIEW_TYPE]
    # In a script nothing is read as an entity, so that the data are not escaped; they must not end it, though.
    data = json.dumps(payload, sort_keys=True, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return render("view.html", name=str(payload["view"]), still=still(output, place), data=Markup(data))


def _for_reading(notebook: NotebookNode, links: str, place: Place) -> NotebookNode:
    result = copy.deepcopy(notebook)
    for cell in result.cells:
        if cell.cell_type == "markdown":
            cell["source"] = BADGE.sub(lambda _: links, cell.source)
            continue
        if cell.cell_type == "code" and cell.source.startswith(colab.MARK):
            _fold(cell, "the setup cell")
        if _says_sentences(cell):
            _tag(cell, "said")
        for output in cell.get("outputs", []):
            if VIEW_TYPE in output.get("data", {}):
                output["data"] = NotebookNode({"text/html": str(view(output, place))})
                output["metadata"] = NotebookNode()
            elif "image/png" in output.get("data", {}):
                words = {"alt": words_of_picture(output)}
                cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), "image": words}
    return result


def _says_sentences(cell: NotebookNode) -> bool:
    """Whether all that a cell put out is what the course says: sentences, to be broken into lines, and no table."""
    outputs = cell.get("outputs", [])
    return bool(outputs) and all(str(output.get("text", "")).startswith(SAID) for output in outputs)


def _tag(cell: NotebookNode, tag: str) -> None:
    cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), tag})


def _fold(cell: NotebookNode, what: str) -> None:
    _tag(cell, "hide-input")
    prompts = {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}
    cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), **prompts}


def still(output: NotebookNode, place: Place) -> Markup:
    """A picture's output as HTML with its words; the picture is written into the place's folder."""
    words = words_of_picture(output)
    if "image/png" not in output.data:
        return render("still.html", words=words, picture="")
    image = base64.b64decode(output.data["image/png"])
    name = f"{hashlib.sha256(image).hexdigest()[:16]}.png"
    place.stills.mkdir(parents=True, exist_ok=True)
    (place.stills / name).write_bytes(image)
    return render("still.html", words=words, picture=f"{place.address}/{name}")


def _links(lesson: NotebookNode, name: str, place: Place, solved: bool) -> str:
    """The line under the title: where the lesson can be run, the file, the other copy, how long it takes."""
    file = f"notebooks/{name}.ipynb"
    tagged = f"{place.repository}/blob/v{place.version}/{file}"
    owner = place.repository.removeprefix("https://github.com/")
    # The file lies where Sphinx puts a page's source: the committed one is put there when the site is built.
    line = render(
        "links.md",
        name=name,
        colab=colab_address(name, version=place.version, repository=place.repository),
        kaggle=f"https://kaggle.com/kernels/welcome?src={tagged}",
        binder=f"https://mybinder.org/v2/gh/{owner}/v{place.version}?urlpath={quote(f'lab/tree/{file}', safe='')}",
        other_copy="without solutions" if solved else "with solutions",
        other_address=f"../notebooks/{name}.ipynb" if solved else f"../solved/{name}.ipynb",
        minutes=minutes_to_read(lesson),
        between=Markup(" &nbsp;|&nbsp; "),
    )
    return str(line)
