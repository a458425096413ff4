"""Imports run one way, and without a circle: read from the source, the imports inside functions included."""

from __future__ import annotations

import ast
import functools
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "course_utils"
LESSONS = ("tokens", "residual", "kv_cache", "logit_lens", "steering", "patching", "circuits")
# What else stands on the floor beside the lessons; every other module is in a folder.
ON_THE_FLOOR = ("cli", "colab", "errors")
# Each room and the rooms that it may import from; each may import from itself and from `errors`.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "colab": set(),
    "model": set(),
    "pictures": set(),  # tensors and arrays in, a figure and words out: never a model
    "sweeps": {"model"},
    "lessons": {"model", "sweeps"},
    "explore": {"model", "sweeps", "lessons", "pictures"},  # asks a model for what a view shows
    "exercises": {"model", "sweeps", "lessons"},
    "notebooks": {"model", "sweeps", "lessons", "exercises", "pictures", "colab"},
    "learner": {"model", "sweeps", "lessons", "exercises", "notebooks"},
    "grading": {"model", "sweeps", "lessons", "exercises", "notebooks", "colab"},
    "cli": {"model", "sweeps", "lessons", "exercises", "notebooks", "learner", "grading", "colab"},
}
AT_THE_DOOR = {"load_model": "model"}  # what the package's own __init__ re-exports, and from where
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / PACKAGE).rglob("*.py"))
}


def room(module: str) -> str:
    """The room in which a module stands: its wing, "lessons", or its own name; "" for the package's own door."""
    parts = module.split(".")[1:]
    return "" if not parts else "lessons" if parts[0] in LESSONS else AT_THE_DOOR.get(parts[0], parts[0])


def imported(module: str, path: Path, *, typing_too: bool = True) -> set[str]:
    """The modules of this package that `module` imports, anywhere in it; submodules where their door names them."""
    found = set()
    for node, typing_only in import_statements(path):
        if typing_only and not typing_too:
            continue
        if isinstance(node, ast.Import):
            found |= {known(alias.name) for alias in node.names}
        else:
            base = node.module or ""
            if node.level:
                above = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
                base = ".".join([*above[: len(above) - node.level + 1], *filter(None, [node.module])])
            found |= {known(f"{base}.{alias.name}") for alias in node.names}
    return {name for name in found if name.split(".")[0] == PACKAGE and name != module}


def known(name: str) -> str:
    """The module that is loaded for `name`, which may be a module or a name in one; a name of the package's own door
    stays as it is, so that what the door re-exports is no way around the plan."""
    parent = name.rpartition(".")[0]
    return name if name in MODULES or parent in ("", PACKAGE) else known(parent)


@functools.cache  # read once for all tests
def import_statements(path: Path) -> list[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Each import of a source, and whether it stands under `if TYPE_CHECKING:`, which never runs."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    blocks = [node for node in nodes if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    hidden = {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}
    return [(node, node in hidden) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]


def test_the_lessons_stand_alone_on_their_floor() -> None:
    """A lesson's module is found at a glance: what is neither a lesson nor one of the three is in a folder."""
    standing = {path.stem for path in (ROOT / PACKAGE).glob("*.py")}
    assert standing == {*LESSONS, *ON_THE_FLOOR, "__init__"}


def test_every_room_is_on_the_plan() -> None:
    assert {room(name) for name in MODULES} - {""} == set(MAY_IMPORT)
    assert set(LESSONS) <= {name.split(".")[1] for name in MODULES if "." in name}


@pytest.mark.parametrize("module", [name for name in MODULES if name != PACKAGE])
def test_imports_run_one_way(module: str) -> None:
    """From the model outwards; the package's own door, which re-exports what learners import, is for learners."""
    here = room(module)
    allowed = MAY_IMPORT[here] | {here, "errors", "", "__version__"}  # the package itself: its version, its place
    told = {name: room(name) for name in imported(module, MODULES[module]) if room(name) not in allowed}
    assert told == {}, f"{module} is in {here}, which may import from {sorted(allowed)}"


def test_no_module_imports_itself_through_others() -> None:
    """Not through an import inside a function either: it hides a circle from Python, not from the reader."""
    graph = {name: imported(name, path, typing_too=False) for name, path in MODULES.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_rooms_have_no_circle() -> None:
    list(TopologicalSorter(MAY_IMPORT).static_order())


def test_what_runs_in_the_sandbox_imports_nothing_of_grading_beyond_itself() -> None:
    """`grading.inside` is copied into the sandbox with the package; the examiner's side must not be needed there."""
    for module, path in MODULES.items():
        if module.startswith(f"{PACKAGE}.grading.inside"):
            outside = {name for name in imported(module, path) if room(name) == "grading" and ".inside" not in name}
            assert outside <= {f"{PACKAGE}.grading"}, module


@pytest.mark.parametrize("path", sorted((ROOT / PACKAGE / "exercises").rglob("*.py")), ids=lambda path: path.name)
def test_a_module_of_exercises_tells_one_story(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250
