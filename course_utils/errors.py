"""The one exception of the command line."""


class CourseError(Exception):
    """Something the person at the keyboard can put right; its text says how. Shown without a traceback."""
