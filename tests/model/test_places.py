"""The lessons' places on other models: at home what was asked for, elsewhere at the same share of the depth."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from course_utils.model import places as module
from course_utils.model.places import Places, places


def sized(n_layers: int, n_heads: int, monkeypatch: pytest.MonkeyPatch, without: tuple[int, ...] = ()) -> Places:
    """The places of a model of which only the sizes are there; `without` are its layers that have no heads."""
    head_layers = [layer for layer in range(n_layers) if layer not in without]
    counts = [n_heads if layer in head_layers else 0 for layer in range(n_layers)]
    sizes = {"n_layers": n_layers, "n_heads": n_heads, "width": 576, "vocabulary": 49_152}
    parts = SimpleNamespace(**sizes, head_layers=head_layers, head_counts=counts)
    monkeypatch.setattr(module, "anatomy", lambda model: parts)
    return Places(model=None)


def test_at_home_each_place_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    at = sized(30, 9, monkeypatch)
    assert at.at_home
    assert at.layers(*range(30)) == list(range(30))
    assert at.depths(*range(31)) == list(range(31))
    everywhere = [(layer, head) for layer in range(30) for head in range(9)]
    assert at.heads(*everywhere) == everywhere


@pytest.mark.parametrize(("n_layers", "n_heads"), [(1, 1), (3, 4), (12, 12), (30, 8), (48, 25)])
def test_elsewhere_every_place_is_one_of_the_model_and_in_order(
    n_layers: int, n_heads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = sized(n_layers, n_heads, monkeypatch)
    assert not at.at_home
    layers = [at.layer(number) for number in range(30)]
    assert (layers[0], layers[-1]) == (0, n_layers - 1) and layers == sorted(layers)
    depths = [at.depth(number) for number in range(31)]
    assert depths == [0, *(layer + 1 for layer in layers)]
    found = at.heads(*((layer, head) for layer in range(30) for head in range(9)))
    assert len(set(found)) == len(found) and all(layer < n_layers and head < n_heads for layer, head in found)
    assert at.layers(0, 29, 0, 29) == list(dict.fromkeys([0, n_layers - 1]))


def test_a_head_is_in_the_nearest_layer_that_has_any(monkeypatch: pytest.MonkeyPatch) -> None:
    at = sized(12, 4, monkeypatch, without=(8, 9, 0))
    assert (at.layer(23), at.head(23, 3)) == (9, (10, 3))
    assert at.head(0, 1) == (1, 1)
    table = torch.full((12, 4), float("nan"))
    table[10, 2], table[3, 1], table[5, 0] = -5.0, 2.0, 1.0
    assert at.heads((23, 3), (17, 4), by=table) == [(3, 1), (10, 2)]
    assert at.heads(*((23, head) for head in range(9)), by=table) == [(3, 1), (5, 0), (10, 2)]


def test_the_examples_of_the_module_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    at = sized(12, 4, monkeypatch)
    assert (at.depth(15), at.head(23, 3)) == (6, (9, 3))


def test_elsewhere_the_heads_are_those_with_the_largest_numbers_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = torch.tensor([[0.0, -5.0], [1.0, 2.0], [3.0, 0.5]])
    named = (17, 4), (19, 2), (23, 3)
    assert sized(3, 2, monkeypatch).heads(*named, by=table) == [(0, 1), (1, 1), (2, 0)]
    assert sized(1, 2, monkeypatch).heads(*named, by=table[:1]) == [(0, 0), (0, 1)]
    assert sized(30, 9, monkeypatch).heads(*named, by=torch.rand(30, 9)) == list(named)


@pytest.mark.parametrize("number", [-1, 30])
def test_a_layer_that_the_lessons_model_does_not_have_is_refused(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=f"has no layer {number}: give one of its layers, 0 to 29"):
        sized(12, 4, monkeypatch).layer(number)


def test_a_token_is_the_text_or_its_first_token(tiny: Callable[..., Any]) -> None:
    at = places(tiny("tiny-gpt2"))
    assert at.token(" Paris") == " Paris"
    first = at.token(" delightful")
    assert " delightful".startswith(first) and len(tiny("tiny-gpt2").tokenizer.encode(first)) == 1
    with pytest.raises(ValueError, match="no text of its own"):
        at.token("")
    with pytest.raises(ValueError, match="no text of its own"):
        at.token("\N{SNOWMAN}")  # three bytes, each a token


def test_one_line_says_on_which_model_the_text_is(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    places(tiny("tiny-llama"))
    told = capsys.readouterr().out
    assert "SmolLM2-135M-Instruct" in told and "This is tiny-llama" in told and told.count("\n") == 1
    monkeypatch.setattr(Places, "at_home", True)
    places(tiny("tiny-llama"))
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_the_lessons_model_is_at_home(real_model: Any) -> None:
    at = places(real_model)
    assert at.at_home
    words = [" break", " Apple", " delightful", " pd"]
    assert list(map(at.token, words)) == words
