"""The circuit view: its data, its words, its still, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from course_utils.pictures.views import CircuitPart, CircuitPath, circuit
from tests.pictures.views.examples import PARTS, PATHS
from tests.pictures.views.examples import circuit as example


def test_data_are_the_parts_and_the_paths_by_their_places() -> None:
    data = example().data
    assert [(part["name"], part["level"], part["says"]) for part in data["parts"]] == [
        (part.name, part.level, part.says) for part in PARTS
    ]
    for shown, path in zip(data["paths"], PATHS, strict=True):
        assert (PARTS[shown["begin"]].name, PARTS[shown["end"]].name) == (path.begin, path.end)
        assert (shown["effect"], shown["control"]) == (path.effect, path.control)
        assert shown["says"] == path.says
        assert shown["interval"] == (None if path.interval is None else list(path.interval))
    assert (data["interval"], data["control"]) == ("two standard errors", "best of eight others")


def test_numbers_are_rounded_to_what_is_shown() -> None:
    (path,) = circuit(PARTS[:2], [CircuitPath("17.4", "19.2", -0.001, (-1.239, 0.001), 0.126)]).data["paths"]
    assert path == {
        "begin": 0, "end": 1, "effect": 0.0, "interval": [-1.24, 0.0], "open": True, "control": 0.13, "weak": True,
        "says": "",
    }  # fmt: skip
    assert str(path["effect"]) == "0.0"


def test_words_name_the_strongest_and_count_what_is_in_doubt() -> None:
    assert example().words == (
        "Who speaks to whom, 7 paths between 6 parts, logits. Strongest: 23.0 to logits +1.40, 23.3 to logits -1.40, "
        "20.0 to 23.0 +1.06, 17.4 to 20.0 +1.01, 17.4 to 19.2 +0.62. Intervals that hold 0: 1. No larger than "
        "their control: 2."
    )
    bare = circuit(PARTS[:2], [CircuitPath("17.4", "19.2", 0.5)])
    assert bare.words == "Circuit, 1 paths between 2 parts, logits. Strongest: 17.4 to 19.2 +0.50."


@pytest.mark.parametrize(
    ("effect", "interval", "control", "open_", "weak"),
    [
        (0.034, (0.004, 0.064), 0.0252, False, False),  # as shown: from 0.00, and 0.03 beside 0.03
        (-0.034, (-0.064, -0.004), 0.0252, False, False),
        (0.034, (0.0, 0.068), 0.034, True, True),
        (0.026, (-0.001, 0.053), 0.034, True, True),
        (0.001, (0.0004, 0.0016), 0.0, False, False),
        (torch.tensor(0.034), (torch.tensor(0.004), torch.tensor(0.064)), torch.tensor(0.0252), False, False),
    ],
)
def test_what_is_in_doubt_is_so_before_rounding(
    effect: float, interval: tuple[float, float], control: float, open_: bool, weak: bool
) -> None:
    view = circuit(PARTS[:2], [CircuitPath("17.4", "19.2", effect, interval, control)])
    assert (view.data["paths"][0]["open"], view.data["paths"][0]["weak"]) == (open_, weak)
    assert view.words.endswith(f" Intervals that hold 0: {int(open_)}. No larger than their control: {int(weak)}.")
    json.dumps(view.payload)


def test_the_still_has_each_number_and_each_part() -> None:
    axes: Any = example().still().axes[0]
    shown = {text.get_text() for text in axes.texts}
    assert {part.name for part in PARTS} | {f"{path.effect:+.2f}" for path in PATHS} <= shown


def changed(**change: Any) -> list[CircuitPath]:
    return [dataclasses.replace(PATHS[0], **change), *PATHS[1:]]


@pytest.mark.parametrize(
    ("parts", "paths", "message"),
    [
        (PARTS, [], "no path to show"),
        ([], PATHS, r"has no part '17\.4'; the parts are"),
        (PARTS, changed(end="99.9"), r"from '17\.4' to '99\.9' has no part '99\.9'; the parts are 17\.4, 19\.2"),
        ([*PARTS, CircuitPart("19.2", 3)], PATHS, r"Two parts of the circuit are called '19\.2'"),
        (PARTS, [*PATHS, PATHS[2]], r"Two paths of the circuit are called \('19\.2', '23\.0'\)"),
        (PARTS, changed(begin="23.3", end="23.0"), "does not go up: from level 23 to 23"),
        (PARTS, changed(begin="logits"), "does not go up: from level 30 to 19"),
        (PARTS, changed(interval=(0.5, 0.4)), r"interval from 0\.5 down to 0\.4"),
        (PARTS, changed(interval=(0.002, 0.001)), r"interval from 0\.002 down to 0\.001"),
        (PARTS, changed(control=-0.001), r"the control -0\.001; give its size"),
        (PARTS, changed(control=-0.2), r"the control -0\.2; give its size"),
        (PARTS, changed(effect=float("nan")), "its effect holds a number that is not finite"),
        (PARTS, changed(interval=(0.0, float("inf"))), "its interval holds a number that is not finite"),
        (PARTS, changed(control=float("nan")), "its control holds a number that is not finite"),
        ([CircuitPart("17.4", float("nan")), *PARTS[1:]], PATHS, r"level of '17\.4' holds a number that is not"),
    ],
)
def test_what_does_not_fit_is_named(parts: list[CircuitPart], paths: list[CircuitPath], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        circuit(parts, paths)
