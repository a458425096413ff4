"""A copy of the package for the sandbox that does not hold what is asked for.

In it the reference of each exercise of the lesson raises ``ReferenceWithheld``, and the exercises have lost their
mistakes, hints and diagnoses (a wrong answer can be one word from the right one). What the notebook needs besides is as
it was.
"""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from course_utils.exercises import Exercise
from course_utils.grading.lesson import Lesson, reference_module
from course_utils.grading.unshown_functions import teaching_modules

_TELLING = {"mistakes": "()", "hints": "()", "shows": "''", "diagnose": "None"}
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def copy_stripped_package(lesson: Lesson, target: Path) -> list[Path]:
    """Write the package (and a teacher's own modules) for the sandbox below ``target``.

    Returns the folders that go in front of the import path. The package's copy is in ``target / "package"``.
    """
    import course_utils

    package = Path(course_utils.__file__).resolve().parent
    copy = target / "package" / "course_utils"
    shutil.copytree(package, copy, ignore=_leave_out)
    (copy / "grading" / "__init__.py").write_text(
        '"""Only what runs inside the sandbox is here."""\n', encoding="utf-8"
    )
    roots = [(package, copy)]
    path = [target / "package"]
    if lesson.folder is not None:
        own = target / "lesson"
        own.mkdir()
        for source in lesson.folder.glob("*.py"):
            shutil.copyfile(source, own / source.name)
        roots.append((lesson.folder, own))
        path.append(own)
    # Each file is read once and written once: a worker waits for this before it marks its first notebook.
    modules = {file: _read(file) for file in sorted((copy / "exercises").rglob("*.py"))}
    asked = _imported_names(copy / "exercises", modules)
    for original, place in roots:
        by_file: dict[Path, list[Exercise]] = {}
        for exercise in lesson.exercises:
            file = reference_module(exercise)
            if file.is_relative_to(original):
                by_file.setdefault(place / file.relative_to(original), []).append(exercise)
        telling = set(place.glob("*.py")) if place.name == "lesson" else set(modules)
        for file in {*by_file, *telling}:
            if file not in modules:
                modules[file] = _read(file)
            # What another module imports stays for now, whatever for.
            strip(modules[file], by_file.get(file, []), asked.get(file, set()))
    _drop_what_is_imported_no_more(copy / "exercises", modules, asked)
    for file, tree in modules.items():
        file.write_text(ast.unparse(tree) + "\n", encoding="utf-8")
    for module in teaching_modules(lesson):
        name = module.rpartition(".")[2] if module in lesson.modules else module.replace(".", "/")
        for file in (target / folder / f"{name}.py" for folder in ("package", "lesson")):
            if file.is_file():
                file.write_text(tell_calls(file.read_text(encoding="utf-8"), module), encoding="utf-8")
    return path


def strip(tree: ast.Module, exercises: Iterable[Exercise] = (), keep: Set[str] = frozenset()) -> None:
    """Take from a module the bodies of the exercises' references and what they tell of right and wrong.

    What only that used goes too, except for the names in ``keep``.
    """
    names = {exercise.name: exercise.id for exercise in exercises}
    for node in tree.body:
        if isinstance(node, Definition) and node.name in names:
            _withhold(node, names[node.name])
    removed: list[ast.expr] = []
    _Silence(removed).visit(tree)
    _drop_what_only(removed, tree, keep)


def tell_calls(source: str, module: str) -> str:
    """The source of a module in which each function and method tells that it was called (see ``inside/used.py``)."""
    tree = ast.parse(source)
    for node in tree.body:
        for function in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                owner = node.name if isinstance(node, ast.ClassDef) else function.name
                told = f"{owner} of {module}"
                call = f"__import__('course_utils.grading.inside.used', fromlist=['note']).note({told!r})"
                place = 1 if ast.get_docstring(function) is not None else 0
                function.body[place:place] = ast.parse(call).body
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _leave_out(folder: str, names: list[str]) -> set[str]:
    out = {name for name in names if name == "__pycache__"}
    if Path(folder).name == "grading":
        out |= set(names) - {"inside"}
    return out


def _withhold(node: Definition, id: str) -> None:
    """Leave the signature and the docstring, take the body. Of a class, each method's."""
    if isinstance(node, ast.ClassDef):
        for member in node.body:
            if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
                _withhold(member, id)
        return
    told = [node.body[0]] if ast.get_docstring(node) is not None else []
    refusal = ast.parse(
        f"from course_utils.grading.inside.withheld import ReferenceWithheld\nraise ReferenceWithheld({id!r})"
    ).body
    node.body = [*told, *refusal]
    node.decorator_list = []


class _Silence(ast.NodeTransformer):
    """Take from each ``Exercise(...)`` what tells right from wrong; remember what was taken."""

    def __init__(self, removed: list[ast.expr]) -> None:
        self.removed = removed

    def visit_Call(self, node: ast.Call) -> ast.Call:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == "Exercise":
            for keyword in node.keywords:
                if keyword.arg in _TELLING:
                    self.removed.append(keyword.value)
                    keyword.value = ast.parse(_TELLING[keyword.arg], mode="eval").body
        self.generic_visit(node)
        return node


def _drop_what_only(removed: Iterable[ast.expr], tree: ast.Module, keep: Set[str] = frozenset()) -> None:
    """Drop the definitions that only the removed expressions used, themselves or through one another; not ``keep``."""
    defined: dict[str, ast.stmt] = {}
    for node in tree.body:
        if isinstance(node, Definition):
            defined[node.name] = node
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) for target in node.targets):
            defined.update({target.id: node for target in node.targets if isinstance(target, ast.Name)})
    suspects = _closure({name for expression in removed for name in _names(expression)}, defined)
    suspects = {name for name in suspects if not name.isupper() or name.startswith("_")}
    dropped = {id(defined[name]) for name in suspects}
    used = {name for node in tree.body if id(node) not in dropped for name in _names(node)} | keep
    kept = _closure(used & suspects, defined)
    tree.body = [
        node for node in tree.body if id(node) not in dropped or id(node) in {id(defined[name]) for name in kept}
    ]


def _read(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def _imported_names(folder: Path, modules: Mapping[Path, ast.Module]) -> dict[Path, set[str]]:
    """For each module below the exercises' ``folder``, the names that other modules there import from it."""
    found: dict[Path, set[str]] = {}
    for tree in modules.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("course_utils.exercises."):
                module = folder.joinpath(*str(node.module).split(".")[2:]).with_suffix(".py")
                found.setdefault(module, set()).update(alias.name for alias in node.names)
    return found


def _drop_what_is_imported_no_more(
    folder: Path, modules: Mapping[Path, ast.Module], asked: dict[Path, set[str]]
) -> None:
    """Drop from the modules that a lesson's exercises share what only wrong answers imported.

    A wrong answer's helper may lie in a module beside it. With the wrong answer gone its import is idle; the import
    goes, then what was imported, and so on, since that may have imported something itself.
    """
    of_lessons = {file for file in modules if file.parent.parent == folder and file.name != "__init__.py"}
    changed = of_lessons
    while True:
        for file in changed:
            _drop_idle_imports(modules[file])
        left = _imported_names(folder, modules)
        lost = {file: names - left.get(file, set()) for file, names in asked.items()}
        changed = {file for file, names in lost.items() if names and file in of_lessons}
        if not changed:
            return
        for file in changed:
            _drop_what_only([ast.Name(name, ast.Load()) for name in lost[file]], modules[file], left.get(file, set()))
        asked = left


def _drop_idle_imports(tree: ast.Module) -> None:
    used = _names(tree)
    for node in [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module != "__future__"]:
        node.names = [alias for alias in node.names if (alias.asname or alias.name) in used]
        if not node.names:
            tree.body.remove(node)


def _closure(names: set[str], defined: dict[str, ast.stmt]) -> set[str]:
    found: set[str] = set()
    frontier = names & set(defined)
    while frontier:
        found |= frontier
        frontier = {name for one in frontier for name in _names(defined[one])} & set(defined) - found
    return found


def _names(node: ast.AST) -> set[str]:
    return {leaf.id for leaf in ast.walk(node) if isinstance(leaf, ast.Name) and isinstance(leaf.ctx, ast.Load)}
