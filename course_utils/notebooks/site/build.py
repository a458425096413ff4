"""Build the site: write its source, have Sphinx make pages of it, put the lessons' files beside them.

Nothing is executed and nothing is fetched; the same commit gives the same bytes. A warning is an error.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from nbformat import NotebookNode

from course_utils.errors import CourseError
from course_utils.exercises import LESSONS
from course_utils.notebooks import files
from course_utils.notebooks.site import lessons, papers, slides, teachers

STILLS = "stills"
"""The folder of the views' pictures, beside the site's styles and scripts."""


def build(root: Path, output: Path, work: Path) -> Path:
    """Build the site of the checkout `root` in the folder `output`, which is replaced; return its start page.

    Args:
        work: a folder for what is made on the way; it is emptied.

    Raises:
        CourseError: Sphinx is not installed, or has a warning; its words are in the message.
    """
    if importlib.util.find_spec("sphinx") is None or importlib.util.find_spec("myst_nb") is None:
        install = "python -m pip install -c constraints.txt -e '.[site]'"
        raise CourseError(f"the site needs Sphinx and MyST-NB; `make site` installs them, and so does: {install}")
    shutil.rmtree(work, ignore_errors=True)
    source, made = work / "source", work / "site"
    write_source(root, source)
    # Sets come out in the same order, and years are those of the last change, whenever and wherever this runs.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "0", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "-q", "-c", str(root / "docs")]
    done = subprocess.run(
        [*command, "-d", str(work / "doctrees"), str(source), str(made)],
        env=environment, cwd=root, capture_output=True, text=True, encoding="utf-8",
    )  # fmt: skip
    if done.returncode:
        raise CourseError(f"the site was not built. {done.stderr.strip()[-4000:]}")
    for path in files.lessons(root):
        shutil.copyfile(path, made / "_sources" / "notebooks" / path.name)
    write_slides(root, made)
    shutil.rmtree(output, ignore_errors=True)
    # Sphinx's notes on how to go on from this build name folders of this machine.
    shutil.copytree(made, output, ignore=shutil.ignore_patterns(".buildinfo"))
    return output / "index.html"


def write_source(root: Path, source: Path) -> None:
    """Write what Sphinx reads into the folder `source`: what is in `docs`, and what is made of the rest."""
    settings = files.project_settings(root)
    static = source / "_made"
    place = lessons.Place(static / STILLS, f"../_static/{STILLS}", **settings)
    read = {path.stem: files.read(path) for path in files.lessons(root)}
    pages = dict(papers.papers(root, settings["repository"]))
    pages |= papers.reference(list(LESSONS.values()))
    for name, lesson in read.items():
        notes = root / "docs" / "teaching" / f"{name}.md"
        written = notes.read_text(encoding="utf-8") if notes.is_file() else ""
        pages[f"teachers/{name}.md"] = teachers.page(lesson, name, written)
        for folder, page in (("notebooks", lessons.page), ("solved", lessons.solved_page)):
            (source / folder).mkdir(parents=True, exist_ok=True)
            files.write(page(lesson, name, place), source / folder / f"{name}.ipynb")
    at_start = lessons.Place(static / STILLS, f"_static/{STILLS}", **settings)
    filled = {
        "lessons": "\n".join(f"notebooks/{name}" for name in read),
        "solved": "\n".join(f"solved/{name}" for name in read),
        "for_teachers": "\n".join(f"teachers/{name}" for name in read),
        "rows": "\n".join(_row(name, root) for name in read),
        "families": papers.families(),
        "view": _opening(read, at_start),
        **settings,
    }
    for frame in sorted((root / "docs").glob("*.md")):
        if f"docs/{frame.name}" not in papers.PAGES:
            text, file = frame.read_text(encoding="utf-8"), f"docs/{frame.name}"
            led = papers.with_links(text, file, frame.name, root, settings["repository"])
            pages[frame.name] = _fill(led, filled)
    for name, text in pages.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text, encoding="utf-8", newline="\n")
    shutil.copyfile(root / "benchmarks" / "results.png", source / "results.png")
    views = root / "course_utils" / "pictures" / "static"
    if views.is_dir():
        shutil.copytree(views, static, dirs_exist_ok=True)
    static.mkdir(exist_ok=True)


def write_slides(root: Path, made: Path) -> None:
    """Write a page with slides of each lesson into the folder `slides` of the site that Sphinx made."""
    place = lessons.Place(made / "_static" / STILLS, f"../_static/{STILLS}", **files.project_settings(root))
    (made / "slides").mkdir()
    for path in files.lessons(root):
        deck = slides.deck(files.read(path), path.stem, place)
        (made / "slides" / f"{path.stem}.html").write_text(deck, encoding="utf-8", newline="\n")


def _fill(text: str, filled: dict[str, str]) -> str:
    """The text with each `{{name}}` replaced by what is filled in there."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: filled[found.group(1)], text)


def _row(name: str, root: Path) -> str:
    """The lesson's line of the README's table, with a link to its page in place of its badge."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    number = int(name.partition("_")[0])
    row = re.search(rf"^\| {number} \| (.+?) \| (.+?) \| (.+?) \|", readme, re.MULTILINE)
    if row is None:
        raise CourseError(f"README.md: its table of lessons has no line for lesson {number}, {name}; add one")
    title, finds, time = row.groups()
    return f"| [{number} · {title}](notebooks/{name}.ipynb) | {finds} | {time} |"


def _opening(read: dict[str, NotebookNode], place: lessons.Place) -> str:
    """What stands on top of the start page: the map of lesson 6, alive where the lesson has it alive."""
    lesson = read.get("06_ioi_patching")
    if lesson is None:
        return ""
    return lessons.first_view(lesson, place) or lessons.first_picture(lesson, "one head patched", place)
