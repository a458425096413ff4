"""The questions in words of lesson 2, the residual stream."""

from __future__ import annotations

from course_utils.exercises.in_words import Question

QUESTIONS = (
    Question(
        "2.aq",
        answer=(
            "The weights on later tokens become 0, but the softmax had already divided by a sum that holds "
            "the later scores. So a change of the third token's score changes the first token's weight on "
            "itself: it looks ahead after all. And the rows do not sum to 1 any more. The early tokens, which "
            "have most of the text behind the mask, keep only a small part of their attention and put out "
            "vectors that are too short."
        ),
        looks_for=(
            "the softmax's denominator still holds the future scores, so the future can be seen",
            "rows no longer sum to 1",
            "early tokens lose most of their weight",
        ),
    ),
)
