"""A circuit: parts of the model, layers up, and the paths between them with their numbers (lesson 7)."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from course_utils.pictures.circuits import draw_circuit
from course_utils.pictures.plots import Picture
from course_utils.pictures.views.packing import checked, rounded
from course_utils.pictures.views.view import View

NAMED = 5  # paths named in the words


@dataclass(frozen=True)
class CircuitPart:
    """A node: a head, an MLP, the embedding, the logits.

    Attributes:
        name: what stands in it, "20.0".
        level: how high it stands: its layer.
        says: what it is, in a sentence or two.
    """

    name: str
    level: float
    says: str = ""


@dataclass(frozen=True)
class CircuitPath:
    """An edge: what one part says to another.

    Attributes:
        begin, end: names of parts; a path goes up.
        effect: what the path moves, in the view's unit.
        interval: from where to where the effect may lie; may be missing.
        control: what the same measurement gives where nothing should be found, as a size; may be missing.
        says: how it goes, in a sentence or two.
    """

    begin: str
    end: str
    effect: float
    interval: tuple[float, float] | None = None
    control: float | None = None
    says: str = ""


def circuit(
    parts: Sequence[CircuitPart],
    paths: Sequence[CircuitPath],
    title: str = "Circuit",
    unit: str = "logits",
    interval: str = "interval",
    control: str = "control",
) -> View:
    """Parts and paths to point at: the number of each, how sure it is, and what its control gives; weak ones to hide.

    Args:
        interval, control: what the paths' intervals and controls are, in a few words.

    Raises:
        ValueError: there is no path, one begins or ends at no part or does not go up, two have the same ends, two parts
            the same name, an interval is upside down, a control is negative, or a number is not finite.
    """
    if not paths:
        raise ValueError("The circuit has no path to show; give at least one.")
    for what, named in (("parts", [part.name for part in parts]), ("paths", [(one.begin, one.end) for one in paths])):
        name, times = Counter(named).most_common(1)[0] if named else ("", 0)
        if times > 1:
            raise ValueError(f"Two {what} of the circuit are called {name!r}; give each once.")
    places = {part.name: place for place, part in enumerate(parts)}
    data: dict[str, Any] = {
        "title": title,
        "unit": unit,
        "interval": interval,
        "control": control,
        "parts": [
            {"name": part.name, "level": _number(part.level, f"The level of {part.name!r}", 3), "says": part.says}
            for part in parts
        ],
        "paths": [_path_data(path, parts, places) for path in paths],
    }
    return View("circuit", data, _words(data), functools.partial(_still, data))


def _number(value: float, what: str, digits: int = 2) -> float:
    return float(rounded(checked(value, what, ()), digits))


def _path_data(path: CircuitPath, parts: Sequence[CircuitPart], places: dict[str, int]) -> dict[str, Any]:
    """A path's numbers as they are shown; whether it is in doubt, by the numbers as they came."""
    name = f"The path from {path.begin!r} to {path.end!r}"
    for end in (path.begin, path.end):
        if end not in places:
            raise ValueError(f"{name} has no part {end!r}; the parts are {', '.join(places)}.")
    begin, end_ = places[path.begin], places[path.end]
    if not parts[begin].level < parts[end_].level:
        raise ValueError(f"{name} does not go up: from level {parts[begin].level} to {parts[end_].level}.")
    data: dict[str, Any] = {"begin": begin, "end": end_, "effect": _number(path.effect, f"{name}: its effect")}
    data |= {"interval": None, "open": False, "control": None, "weak": False, "says": path.says}
    if path.interval is not None:
        low, high = path.interval
        data["interval"] = [_number(edge, f"{name}: its interval") for edge in path.interval]
        if low > high:
            raise ValueError(f"{name} has an interval from {low} down to {high}; give the lower edge first.")
        data["open"] = bool(low <= 0 <= high)
    if path.control is not None:
        data["control"] = _number(path.control, f"{name}: its control")
        if path.control < 0:
            raise ValueError(f"{name} has the control {path.control}; give its size, which is not negative.")
        data["weak"] = bool(abs(path.effect) <= path.control)
    return data


def _words(data: dict[str, Any]) -> str:
    names = [part["name"] for part in data["parts"]]
    paths = data["paths"]
    strongest = sorted(paths, key=lambda path: -abs(path["effect"]))[:NAMED]
    named = ", ".join(f"{names[one['begin']]} to {names[one['end']]} {one['effect']:+z.2f}" for one in strongest)
    said = f"{data['title']}, {len(paths)} paths between {len(names)} parts, {data['unit']}. Strongest: {named}."
    if any(path["interval"] for path in paths):
        said += f" Intervals that hold 0: {sum(path['open'] for path in paths)}."
    if any(path["control"] is not None for path in paths):
        said += f" No larger than their control: {sum(path['weak'] for path in paths)}."
    return said


def _still(data: dict[str, Any]) -> Picture:
    names = [part["name"] for part in data["parts"]]
    arrows = [(names[path["begin"]], names[path["end"]], path["effect"]) for path in data["paths"]]
    return draw_circuit(arrows, {part["name"]: part["level"] for part in data["parts"]}, data["title"], data["unit"])
