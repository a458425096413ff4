"""The site's own HTML: what a page looks like stands in ``templates``, and all text goes through their autoescape."""

from __future__ import annotations

import html
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup


def render(template: str, **values: Any) -> Markup:
    """The template of this name with these values; what is no Markup is text, and is escaped."""
    return Markup(_templates().get_template(template).render(**values))


def _as_in_notebooks(value: object) -> object:
    """Text escaped with Python's names for quotes, which nbconvert writes as well, and not with Jinja's numbers."""
    return Markup(html.escape(value)) if isinstance(value, str) and not hasattr(value, "__html__") else value


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        finalize=_as_in_notebooks,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
