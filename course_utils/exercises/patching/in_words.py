"""The questions in words of lesson 6, IOI patching."""

from __future__ import annotations

from course_utils.exercises.in_words import Question

QUESTIONS = (
    Question(
        "6.8q",
        answer=(
            "The effects are not of separate things. A head of layer 17 that is patched changes what the "
            "heads of layer 20 read, so their share is in the effect of the head in layer 17 already; patched "
            "themselves, they bring it in a second time. One effect that passes through a chain of heads is "
            "counted once at each link. It could also go the other way: two heads that write the same, where "
            "one is enough."
        ),
        looks_for=(
            "a patched head changes what later heads read",
            "the same effect is counted at each link of a chain",
            "so the sum of single effects need not be the effect of all together",
        ),
    ),
    Question(
        "6.9q",
        answer=(
            "A model that copies names too eagerly is wrong wherever the name should not come again. A head "
            "that lowers what was just read keeps the others from being too sure, which costs less in the "
            "mean over many texts. If that is its use, removing it should raise the probability of the name "
            "in prompts where the name is right, and make the loss worse on texts where a name that was read "
            "does not come again. Scramble the head and compare the two: if the loss on the second kind does "
            "not rise more than for other heads of the layer, this explanation is wrong."
        ),
        looks_for=(
            "what it may be good for: copying less, or being less sure",
            "an experiment that could come out against it, with what each outcome would mean",
            "a control: another head, or prompts where the effect should be absent",
        ),
    ),
)
