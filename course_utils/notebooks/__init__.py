"""Everything the project does with its notebooks: execute, normalise, solve, edit as text, publish.

The committed `.ipynb`, with its outputs, is the one source of a lesson. These tools keep it in one form, so
that a change in git is a change in the lesson.
"""

from course_utils.notebooks.commands import configure

__all__ = ["configure"]
