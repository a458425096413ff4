"""A notebook as one self-contained page, for reading without Jupyter: nothing in it is fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbconvert
from jinja2 import pass_context
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

from course_utils.notebooks.furnish import BADGE
from course_utils.notebooks.mathml import mathml
from course_utils.notebooks.normalise import words_of_picture

# JupyterLab's look, with the words of each picture, without the scripts that it would fetch, and made to scroll where
# it would cut off: long lines of code and of printed tables, pictures on a telephone.
_TEMPLATE = """\
{% extends "lab/index.html.j2" %}
{% block data_png %}{{ super() | replace("<img ", '<img alt="' ~ (output | words_of_picture | escape_html) ~ '" ', 1) }}
{% endblock %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block html_head_css %}{{ super() }}<style>
.jp-Notebook { padding: 1em; }
.jp-Cell, .jp-Cell-inputWrapper, .jp-Cell-outputWrapper, .jp-OutputArea-child { min-width: 0; }
.jp-InputArea-editor, .jp-InputArea-editor .CodeMirror { overflow-x: auto; min-width: 0; }
.jp-InputArea-editor pre, .jp-RenderedText pre { overflow-x: auto; white-space: pre; word-break: normal; }
.jp-RenderedText, .jp-OutputArea-output, .jp-RenderedMarkdown { overflow-x: auto; }
.jp-RenderedImage img { max-width: none; }
@media (max-width: 760px) {
  .jp-Notebook { padding: 0.4em; }
  .jp-InputPrompt, .jp-OutputPrompt { display: none; }
}
@media print { .jp-RenderedImage img { max-width: 100%; } pre { white-space: pre-wrap !important; } }
</style>{% endblock %}
"""


class _Markdown(IPythonRenderer):
    """Markdown with its formulas as MathML."""

    def inline_math(self, body: str) -> str:
        return mathml(body)

    def block_math(self, body: str) -> str:
        return mathml(body, block=True)


def markdown_as_html(source: str) -> str:
    """Markdown, as a lesson's cells are written in it, as HTML with its formulas as MathML.

    Raises CourseError for a formula that cannot be shown.
    """
    return str(MarkdownWithMath(renderer=_Markdown(escape=False)).render(source))


class _Exporter(nbconvert.HTMLExporter):
    @pass_context
    def markdown2html(self, context: Any, source: str) -> str:
        attachments = context.get("cell", {}).get("attachments", {})
        renderer = _Markdown(escape=False, attachments=attachments, embed_images=True)
        return str(MarkdownWithMath(renderer=renderer).render(BADGE.sub(r"[Open in Colab](\1)", source)))


def write_page(notebook: NotebookNode, name: str, folder: Path) -> Path:
    """Write `notebook` as `folder/name.html`, making the folder if it is missing; return the page's path.

    Raises CourseError for a formula that cannot be shown.
    """
    exporter = _Exporter(template_name="lab", raw_template=_TEMPLATE, embed_images=True)
    exporter.register_filter("words_of_picture", words_of_picture)
    page, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": name}})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.html"
    path.write_text(page, encoding="utf-8", newline="\n")
    return path
