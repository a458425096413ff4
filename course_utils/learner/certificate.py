"""The page of one's own when every exercise is right. One file, which fetches nothing."""

from __future__ import annotations

import html
from string import Template  # Jinja comes with no installation that only executes the lessons

from course_utils.learner.standing import Standing

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Inside a language model: all done</title>
<style>body{font-family:serif;max-width:42rem;margin:4rem auto;padding:0 1rem;line-height:1.5}
body{background:#fff;color:#222}h1{font-weight:normal}table{border-collapse:collapse;width:100%}
td,th{border-bottom:1px solid #bbb;padding:.4rem;text-align:left}</style></head>
<body><h1>Inside a language model</h1>$who
<p>Every exercise of $count lessons was solved.</p>
<table><tr><th>lesson</th><th></th><th>points</th><th>guesses</th><th>last day</th></tr>$rows</table>
<p>This page was made by the course on the learner's own machine, from a file that anybody can edit. It is for
the one who did the work, and proves nothing to others.</p></body></html>
""")
_WHO = Template("<p>$name</p>")
_ROW = Template(
    "<tr><td>$number</td><td>$name</td><td>$points of $out_of</td>"
    "<td>$guesses of $predictions, $guessed_right right</td><td>$last</td></tr>"
)


class _Html(str):
    """Text that is HTML already."""


def page(found: Standing, name: str) -> str:
    """The page for whoever stands there, with their name on it; "" leaves the name out."""
    who = _filled(_WHO, name=name) if name else _Html()
    rows = _Html("".join(_filled(_ROW, **vars(lesson)) for lesson in found.lessons))
    return _filled(_PAGE, who=who, count=len(found.lessons), rows=rows)


def _filled(template: Template, **values: object) -> _Html:
    """The template with these values; what is not HTML already is escaped."""
    shown = {key: value if isinstance(value, _Html) else html.escape(str(value)) for key, value in values.items()}
    return _Html(template.substitute(shown))
