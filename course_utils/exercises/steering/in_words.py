"""The questions in words of lesson 5, steering."""

from __future__ import annotations

from course_utils.exercises.in_words import Question

QUESTIONS = (
    Question(
        "5.9q",
        answer=(
            "Behind layer 29 comes only the final norm and the unembedding. What is added there goes nearly "
            "straight into the logits of the glad words, whatever the model has computed: it would raise them "
            "with a direction made of the unembedding's own rows, too. So the rise shows that the last "
            "residual can be written to, not that gladness is kept there. Better to measure what the model "
            "does by itself: take the direction away at each layer, on prompts that were not used to find it, "
            "and see how much of the difference between glad and sad prompts goes, beside the same with "
            "random directions and other concepts."
        ),
        looks_for=(
            "at the last layer adding is almost the same as adding to the logits",
            "an effect of adding does not show that the model uses or keeps it there",
            "measure by removing, with controls: random directions, other concepts, held-out prompts",
        ),
    ),
)
