"""What this wing raises."""


class ModelError(RuntimeError):
    """A model cannot be loaded. The message says what was expected, what was found, and what to do."""


class AnatomyError(ValueError):
    """The model is not a decoder whose parts this course can find; the message says what was looked for."""
