"""Pages from what the package and the project's papers already say: docstrings, tables, instructions."""

from __future__ import annotations

import re
from pathlib import Path

# What the repository calls a paper, and what the site does: links between them lead from page to page.
PAGES = {
    "CONTRIBUTING.md": "contributors/changing-a-lesson.md",
    "CHANGELOG.md": "contributors/changelog.md",
    "SECURITY.md": "contributors/security.md",
    "docs/marking.md": "teachers/marking.md",
    "benchmarks/results.md": "benchmarks.md",
}

# The rooms of the package that a reader may want to look up, in the order in which one meets them.
REFERENCE = {
    "Models": (
        "course_utils.model.loading",
        "course_utils.model.anatomy",
        "course_utils.model.prompts",
        "course_utils.model.frozen_norm",
        "course_utils.model.tiny",
        "course_utils.model.places",
    ),
    "The lessons' solutions": (),  # those of LESSONS of the package; `reference` fills them in
    "Sweeps": (
        "course_utils.sweeps.questions",
        "course_utils.sweeps.paths",
        "course_utils.sweeps.nodes",
        "course_utils.sweeps.direct",
        "course_utils.sweeps.edge_gradients",
        "course_utils.sweeps.circuit_runs",
        "course_utils.sweeps.options",
        "course_utils.sweeps.growing_batch",
        "course_utils.sweeps.runs",
    ),
    "Views": (
        "course_utils.explore",
        "course_utils.explore.tokens",
        "course_utils.explore.next_token",
        "course_utils.explore.attention",
        "course_utils.explore.by_hand",
        "course_utils.explore.cache",
        "course_utils.explore.lens",
        "course_utils.explore.steering",
        "course_utils.explore.patching_map",
        "course_utils.explore.circuit",
        "course_utils.pictures.views.view",
        "course_utils.pictures.views.tokens",
        "course_utils.pictures.views.next_token",
        "course_utils.pictures.views.attention",
        "course_utils.pictures.views.by_hand",
        "course_utils.pictures.views.cache",
        "course_utils.pictures.views.lens",
        "course_utils.pictures.views.steering",
        "course_utils.pictures.views.patching_map",
        "course_utils.pictures.views.circuit",
    ),
    "Pictures": ("course_utils.pictures.plots", "course_utils.pictures.circuits", "course_utils.pictures.words"),
    "Exercises": (
        "course_utils.exercises",
        "course_utils.exercises.protocol",
        "course_utils.learner.guesses",
        "course_utils.learner.questions",
        "course_utils.learner.own_progress",
        "course_utils.learner.set_up",
    ),
}

# Of a module that lists what it re-exports, its own; `set` is what matplotlib writes into each of its classes.
OPTIONS = ("   :members:", "   :ignore-module-all:", "   :exclude-members: set")


def papers(root: Path, repository: str) -> dict[str, str]:
    """The project's papers as pages: where each goes, and its Markdown with its links led to where they go now."""
    return {
        page: with_links((root / paper).read_text(encoding="utf-8"), paper, page, root, repository)
        for paper, page in PAGES.items()
    }


def with_links(text: str, paper: str, page: str, root: Path, repository: str) -> str:
    """Markdown whose relative links lead to the page that was made of a paper, or to the file in the repository."""
    here = (root / paper).parent
    up = "../" * page.count("/")

    def led(link: re.Match[str]) -> str:
        target, _, anchor = link.group(1).partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return link.group()
        path = (here / target).resolve()
        if not path.is_relative_to(root.resolve()):
            return link.group()
        name = path.relative_to(root.resolve()).as_posix()
        page = page_of(name)
        led_to = f"{up}{page}" if page else f"{repository}/blob/main/{name}"
        return f"]({led_to}{'#' + anchor if anchor else ''})"

    return re.sub(r"\]\(([^)\s]+)\)", led, text)


def page_of(file: str) -> str | None:
    """The page that is made of a file of the repository; None if there is none."""
    if file in PAGES or file.startswith("notebooks/"):
        return PAGES.get(file, file)
    return file.removeprefix("docs/") if re.fullmatch(r"docs/[\w-]+\.md", file) else None


def families() -> str:
    """The table of model families, in Markdown, as the module that builds one of each has it."""
    from course_utils.model import tiny

    lines = [line for line in (tiny.__doc__ or "").splitlines() if line.startswith("|")]
    return "\n".join(re.sub(r"^\| (tiny-[\w-]+) \|", r"| `\1` |", line) for line in lines)


def reference(lessons: list[str]) -> dict[str, str]:
    """A page for each module to look up, made by Sphinx from its docstrings, and one that lists them.

    Args:
        lessons: the names of the lessons' modules, in order.
    """
    rooms = {**REFERENCE, "The lessons' solutions": tuple(f"course_utils.{name}" for name in lessons)}
    listed = ["# Reference", "What the package says of itself. A shape is written (batch, position, width)."]
    pages = {}
    for room, modules in rooms.items():
        names = "\n".join(modules)
        listed.append(f"```{{toctree}}\n:caption: {room}\n:maxdepth: 1\n\n{names}\n```")
        for module in modules:
            title = module.removeprefix("course_utils.")
            pages[f"reference/{module}.rst"] = "\n".join(
                [title, "=" * len(title), "", f".. automodule:: {module}", *OPTIONS, ""]
            )
    return {"reference/index.md": "\n\n".join(listed) + "\n", **pages}
