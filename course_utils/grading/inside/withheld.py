"""What stands in the place of a reference solution while answers to its exercise are marked."""

from __future__ import annotations


class ReferenceWithheld(Exception):
    """The course's own solution was called by the answer that it should be compared with."""

    def __init__(self, exercise: str) -> None:
        super().__init__(
            f"The course's solution of {exercise} is not to be had while {exercise} is marked. Write your own."
        )
