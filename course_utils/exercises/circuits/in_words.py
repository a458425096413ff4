"""The questions in words of lesson 7, circuits."""

from __future__ import annotations

from course_utils.exercises.in_words import Question

QUESTIONS = (
    Question(
        "7.3q",
        answer=(
            "The whole effect of the head goes by many roads: to the queries of several heads above, to MLPs, to keys "
            "and "
            "values, and straight to the logits. One path is one of them, so it may be smaller. It need not be: roads "
            "can "
            "work against each other, and then one of them alone moves more than all together."
        ),
        looks_for=(
            "a head's effect is made of many paths, and this is one",
            "paths can cancel each other, so that one may be larger than the whole",
        ),
    ),
    Question(
        "7.8q",
        answer=(
            "That the numbers of other prompts, drawn in the same way, go as far with the circuit as with the model. "
            "It does "
            "not say that the model has no other way to the answer: another set of edges may do as well. It does not "
            "say what "
            "the edges carry. And it holds for this corruption: edges that carry the same in both prompts of a pair, "
            "such as "
            "that a name is wanted at all, cannot appear."
        ),
        looks_for=(
            "the edges are enough, on such prompts, and no more",
            "another circuit may be enough as well",
            "what both prompts share cannot be seen",
        ),
    ),
)
