"""The questions in words of lesson 1, tokens and logits."""

from __future__ import annotations

from course_utils.exercises.in_words import Question

QUESTIONS = (
    Question(
        "1.8q",
        answer=(
            "Most probable means: most usual after such a text, in what the model was trained on. Nothing in "
            "the model compares that with the world. At temperature 0 the model above miscounts the letters "
            'of strawberry, and puts "-" after a first token whatever it is. Temperature 0 only takes the '
            "chance out of the choice: the same text gives the same continuation, right or wrong. And the "
            "most probable token at each step need not make a good text: greedy repeated itself."
        ),
        looks_for=(
            "probable is not true: the model continues texts, it does not check facts",
            "temperature 0 removes chance and nothing else",
            "an example from the lesson where the most probable answer is wrong or useless",
        ),
    ),
)
