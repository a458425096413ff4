"""What holds of every view: four forms of the same data, a limit to their size, and no need of anywidget."""

from __future__ import annotations

import base64
import json
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from course_utils.pictures import VIEW_TYPE, plots, views
from course_utils.pictures.views import View, view
from tests.pictures.views.examples import EXAMPLES

WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if in a notebook."""
    monkeypatch.setattr(view, "_kernel_is_here", lambda: True)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_view_shows_a_still_its_data_and_its_words(name: str) -> None:
    one = EXAMPLES[name]()
    bundle, metadata = one._repr_mimebundle_()
    assert metadata == {"image/png": {"alt": one.words}}
    assert list(bundle) == ["text/plain", "image/png", VIEW_TYPE]  # and no HTML, no widget: there is no kernel
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["text/plain"] == one.words == repr(one)
    assert bundle[VIEW_TYPE] == {"view": name, "version": 1, "data": one.data, "words": one.words}
    assert json.loads(json.dumps(bundle[VIEW_TYPE], allow_nan=False)) == bundle[VIEW_TYPE]


@pytest.mark.parametrize("name", EXAMPLES)
def test_words_are_sentences_without_what_would_break_a_page_or_a_comparison(name: str) -> None:
    words = EXAMPLES[name]().words
    assert re.fullmatch(r"[^\n\t]+\.", words) and len(words) < 600 and "nan" not in words and "-0.0" not in words


def test_the_module_has_a_view_for_every_function_and_says_so() -> None:
    functions = [name for name in views.__all__ if name.islower()]
    assert sorted(EXAMPLES) == sorted(functions)
    table = re.search(r"const VIEWS = \{(.*?)\};", (view.STATIC / "views.js").read_text(encoding="utf-8"), re.DOTALL)
    assert table is not None
    assert sorted(re.findall(r"(\w+)(?:: \w+)?(?:,|\s*$)", table.group(1).strip())) == sorted(EXAMPLES)


def test_the_module_asks_no_other_machine_for_anything() -> None:
    for path in view.STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|\bimport\b|@import|url\(|\bfetch\(", text), path.name


def test_with_a_kernel_the_widget_joins_and_replaces_nothing(kernel: None) -> None:
    one = EXAMPLES["lens"]()
    bundle, _ = one._repr_mimebundle_()
    assert list(bundle)[:3] == ["text/plain", "image/png", VIEW_TYPE] and "model_id" in bundle[WIDGET]
    assert bundle["text/plain"] == one.words


def test_a_kernel_is_known_by_its_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for shell, here in ((None, False), (SimpleNamespace(), False), (SimpleNamespace(kernel=object()), True)):
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda shell=shell: shell))
        assert view._kernel_is_here() is here
    monkeypatch.delitem(sys.modules, "IPython")
    assert view._kernel_is_here() is False


def test_without_anywidget_the_still_remains(kernel: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    view._widget_class.cache_clear()
    try:
        assert list(EXAMPLES["lens"]()._repr_mimebundle_()[0]) == ["text/plain", "image/png", VIEW_TYPE]
    finally:
        view._widget_class.cache_clear()


def small(word: str) -> View:
    return View("lens", {"title": word}, f"{word}.", lambda: plots.bars(["a"], [1.0]))


def test_the_field_asks_again_and_says_what_was_wrong() -> None:
    def ask(text: str, more: str = "") -> View:
        if text == "bad":
            raise ValueError("The text is bad; give a good one.")
        return small(text + more)

    widget: Any = SimpleNamespace(payload=None, trouble="", answers=0)
    view._answer(ask, widget, {"ask": ["good"]}, [])
    assert widget.payload["data"] == {"title": "good"} and (widget.trouble, widget.answers) == ("", 1)
    view._answer(ask, widget, {"ask": ["bad"]}, [])
    assert widget.trouble == "The text is bad; give a good one." and widget.answers == 2
    assert widget.payload["data"] == {"title": "good"}  # what was shown stays
    view._answer(ask, widget, {"ask": ["good"]}, [])
    assert widget.trouble == ""
    view._answer(ask, widget, {"ask": ["very ", "good"]}, [])  # as many texts as there are fields
    assert widget.payload["data"] == {"title": "very good"}


def test_the_widget_has_the_fields_of_the_view_that_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Widget:
        def __init__(self, asks: Any, payload: Any) -> None:
            made.append(asks)

        def on_msg(self, answer: Any) -> None:
            made.append("hears")

        def _repr_mimebundle_(self) -> dict[str, Any]:
            return {}

    monkeypatch.setattr(view, "_widget_class", lambda: Widget)
    asks, still = {"A prompt": "", "Layer": "3"}, small("x").still
    view.live_bundle(View("lens", {}, "x.", still, lambda text, layer: small(text), asks))
    view.live_bundle(View("lens", {}, "x.", still, asks=asks))  # nobody would answer
    assert made == [[["A prompt", ""], ["Layer", "3"]], "hears", []]


def test_data_have_a_limit_and_are_finite() -> None:
    with pytest.raises(ValueError, match=r"This lens view would have 300,0\d\d bytes of data.*at most 300,000"):
        small("x" * 300_000)
    with pytest.raises(ValueError, match="not JSON compliant"):
        View("lens", {"title": float("nan")}, "", lambda: plots.bars(["a"], [1.0]))
