"""What every view is: data, the words that say them, and a still; and how a notebook shows the three.

One mime bundle carries four forms, and each reader takes the best that it knows: a live widget (a kernel and anywidget,
https://anywidget.dev), the data as JSON under a type of our own (a page mounts `static/views.js` on them), a PNG, and
the words. No HTML: nbconvert would prefer it to the still.
"""

from __future__ import annotations

import base64
import functools
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from course_utils.pictures import VIEW_TYPE
from course_utils.pictures.plots import Picture

VERSION = 1
SIZE_LIMIT = 300_000  # bytes of a view's data as JSON
STATIC = Path(__file__).resolve().parents[1] / "static"


@dataclass(frozen=True)
class View:
    """A picture that answers; a notebook shows it when it is a cell's last expression.

    Attributes:
        name: which view it is, a key of the module's table of views.
        data: what the module gets: numbers, rounded to what is shown, texts, lists and dictionaries of them.
        words: what is seen, said in words; made from ``data``.
        still: draws the picture that stands where nothing is alive; made from ``data``.
        ask: gives the same view of texts of one's own, where a model is at hand; the fields in the view call it.
        asks: those fields in the order of ``ask``'s parameters: what to write into each, and what it begins with.

    Raises:
        ValueError: the data are larger than SIZE_LIMIT.
    """

    name: str
    data: dict[str, Any]
    words: str
    still: Callable[[], Picture] = field(repr=False)
    ask: Callable[..., View] | None = field(default=None, repr=False)
    asks: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        size = len(json.dumps(self.data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode())
        if size > SIZE_LIMIT:
            raise ValueError(
                f"This {self.name.replace('_', ' ')} view would have {size:,} bytes of data, and a view has at most "
                f"{SIZE_LIMIT:,}: give it a shorter text, or fewer of whatever it shows."
            )

    @property
    def payload(self) -> dict[str, Any]:
        """What a page mounts, {"view", "version", "data", "words"}."""
        return {"view": self.name, "version": VERSION, "data": self.data, "words": self.words}

    def __repr__(self) -> str:
        return self.words

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph .* missing")  # a token in a script that the still has not
            still = self.still().png()
        bundle: dict[str, Any] = {
            "text/plain": self.words,
            "image/png": base64.b64encode(still).decode(),
            VIEW_TYPE: self.payload,
        }
        if _kernel_is_here() and (live := live_bundle(self)):
            bundle |= {kind: value for kind, value in live.items() if kind not in bundle}
        return bundle, {"image/png": {"alt": self.words}}


def live_bundle(view: View) -> dict[str, Any]:
    """The widget of a view as a mime bundle; empty where anywidget cannot be imported."""
    widget = _widget_class()
    if widget is None:
        return {}
    shown = widget(payload=view.payload, asks=[list(one) for one in view.asks.items()] if view.ask else [])
    if view.ask:
        shown.on_msg(functools.partial(_answer, view.ask))
    bundle = shown._repr_mimebundle_()
    return dict(bundle[0] if isinstance(bundle, tuple) else bundle or {})


def _answer(ask: Callable[..., View], widget: Any, message: Any, buffers: Any) -> None:
    """The texts of the view's fields. Whatever goes wrong is said in the view: there is no cell for a traceback."""
    try:
        widget.payload = ask(*map(str, message["ask"])).payload
        widget.trouble = ""
    except Exception as error:
        widget.trouble = str(error) or type(error).__name__
    widget.answers += 1


def _kernel_is_here() -> bool:
    """Whether a front end with a kernel will show this: not in a script, not in IPython's terminal."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    return getattr(running, "kernel", None) is not None


@functools.cache
def _widget_class() -> Any:
    """The widget, made when the first view is shown: neither a page nor a test needs anywidget. None without it."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class ViewWidget(anywidget.AnyWidget):
        _esm = (STATIC / "views.js").read_text(encoding="utf-8")
        _css = (STATIC / "views.css").read_text(encoding="utf-8")
        payload = traitlets.Dict().tag(sync=True)
        asks: Any = traitlets.List().tag(sync=True)  # (what to write, what stands there at first) for each field
        trouble = traitlets.Unicode().tag(sync=True)
        answers = traitlets.Int().tag(sync=True)  # counts up, so that the field learns of an answer like the last

    return ViewWidget
