"""LaTeX as MathML, which browsers show and screen readers read by themselves: no script, no fonts from elsewhere."""

from __future__ import annotations

from functools import cache

from course_utils.errors import CourseError


@cache
def mathml(latex: str, block: bool = False) -> str:
    """The formula as a `<math>` element, in a line of text or (`block`) on a line of its own.

    Raises CourseError if it is not LaTeX that latex2mathml reads.
    """
    from latex2mathml.converter import convert

    try:
        return convert(latex.strip(), display="block" if block else "inline")
    except Exception as error:  # one class of its own for each way to be wrong, and IndexError for others
        raise CourseError(f"the formula {latex!r} is not LaTeX that can be shown ({type(error).__name__})") from None
