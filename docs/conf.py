"""Sphinx's configuration. The source that it reads is written by `course notebooks site`, which also runs it."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

from course_utils import __version__
from course_utils.notebooks.mathml import mathml

project = "Inside a language model"
author = "the course's authors"
version = release = __version__
copyright = ""
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "sphinx_book_theme"
html_title = project
html_favicon = "_static/favicon.svg"
html_static_path = ["_static"]
html_css_files = ["views.css", "site.css"]
html_js_files = ["site.js"]
html_show_sphinx = html_show_copyright = False
html_last_updated_fmt = None
html_copy_source = True
html_domain_indices = html_use_index = False  # the search finds more
html_theme_options = {
    "use_download_button": False,  # the line under a lesson's title leads to the committed file; this would not
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "show_navbar_depth": 1,
    "logo": {"text": project},
    "footer_content_items": [],
}
default_role = "literal"  # docstrings write `code` with one backtick
html_math_renderer = "mathml"

# The lessons are executed before they are committed, never here.
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
# A lesson's cells are highlighted as what they are; a line for IPython in one is no reason to stop.
suppress_warnings = [
    "mystnb.lexer",
    "ref.python",  # two modules each have a type called `Prompts`; a signature may link to either
]

html_context = {"default_mode": "auto"}

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True  # as they are written, not what they are in memory
napoleon_numpy_docstring = False
LONGEST_VALUE = 300  # characters of a constant that a page shows


def inline_formula(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def formula(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def tables_in_markdown(app: Sphinx, what: str, name: str, of: Any, options: Any, lines: list[str]) -> None:
    """A docstring's table is written as Markdown's, which a terminal shows well; here it becomes Sphinx's."""
    written = list(lines)
    lines.clear()
    for place, line in enumerate(written):
        if not line.startswith("|"):
            lines.append(line)
        elif place == 0 or not written[place - 1].startswith("|"):
            lines += ["", ".. list-table::", "   :header-rows: 1", "", *_row(line)]
        elif not re.fullmatch(r"[|\s:-]+", line):
            lines += _row(line)


def _row(line: str) -> list[str]:
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    return [f"   {'* -' if place == 0 else '  -'} {cell}" for place, cell in enumerate(cells)]


def made_when_called(
    app: Sphinx, what: str, name: str, of: Any, options: Any, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """A dataclass's default that a factory makes: `<factory>` is no Python, and Sphinx would leave all as it is."""
    return signature and signature.replace("<factory>", "..."), returned


def without_long_values(app: Sphinx, domain: str, kind: str, content: addnodes.desc_content) -> None:
    """A constant's value is told where it is a word or a line; a page of it tells a reader nothing."""
    for shown in list(content.parent.findall(addnodes.desc_annotation)):
        if kind == "data" and len(shown.astext()) > LONGEST_VALUE:
            shown.parent.remove(shown)


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("mathml", (inline_formula, None), (formula, None))
    app.connect("autodoc-process-docstring", tables_in_markdown)
    app.connect("autodoc-process-signature", made_when_called)
    app.connect("object-description-transform", without_long_values)
    app.config.html_static_path.append(f"{app.srcdir}/_made")
