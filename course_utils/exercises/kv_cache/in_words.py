"""The questions in words of lesson 3, the KV cache."""

from __future__ import annotations

from course_utils.exercises.in_words import Question

QUESTIONS = (
    Question(
        "3.8q",
        answer=(
            "Two things. The keys that stay were turned for their old places; if the text goes on counting from"
            " its new length, the next query gets the place of the oldest key that stayed, before all the "
            "others, and either the keys have to be turned again or the counting has to go on as before. And "
            "the beginning is not forgotten: from the second layer on, the keys and values that stay were "
            "computed from vectors that had already attended to the beginning. What the model really loses is "
            "every layer's direct view of it, and the first token, on which many heads rest."
        ),
        looks_for=(
            "keys carry their position: turn them again, or keep counting",
            "later keys and values already hold what was read from the beginning",
            "the first token is special: many heads rest on it",
        ),
    ),
)
