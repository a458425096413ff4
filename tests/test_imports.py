"""Imports run one way, and without a circle: read from the source, the imports inside functions included."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "course_utils"
LESSONS = ("tokens", "residual", "kv_cache", "logit_lens", "steering", "patching", "circuits")
# Each room and the rooms that it may import from; each may import from itself and from `errors`.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "colab": set(),
    "model": set(),
    "pictures": set(),  # tensors and arrays in, a figure and words out: never a model
    "places": {"model"},  # the lessons' places on another model; for the notebooks
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
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = set() if typing_too else typing_only(tree)
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {known(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
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


def typing_only(tree: ast.Module) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING:`, which never runs."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
    return {inner for block in blocks for statement in block.body for inner in ast.walk(statement)}


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


@pytest.mark.slow
def test_no_module_imports_itself_through_others() -> None:
    """Not through an import inside a function either: it hides a circle from Python, not from the reader."""
    graph = {name: imported(name, path, typing_too=False) for name, path in MODULES.items()}
    # A wing's door re-exports its modules, and a module may ask the door for a neighbour: a circle of that kind says
    # nothing about the modules, which are held to it.
    doors = {name for name, path in MODULES.items() if path.name == "__init__.py"}
    between = {
        name: {other for other in others if other not in doors} for name, others in graph.items() if name not in doors
    }
    try:
        list(TopologicalSorter(between).static_order())
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
