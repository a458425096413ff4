"""The one exception of this wing."""


class ModelError(RuntimeError):
    """A model cannot be loaded. The message says what was expected, what was found, and what to do."""
