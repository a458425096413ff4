"""The questions in words of lesson 4, the logit lens."""

from __future__ import annotations

from course_utils.exercises.in_words import Question

QUESTIONS = (
    Question(
        "4.aq",
        answer=(
            "No. The lens asks what the model would say if it stopped at depth 24 and were read with the last "
            "layer's unembedding. A low rank says that the name does not stand there in the form that the "
            "unembedding reads. It may stand there in another form that the last layers turn, or it may "
            "already be settled which name it is, at another position from which a later layer fetches it. An "
            "experiment that tells: take the residual at depth 24 from a run with another name and put it in; "
            "if the answer follows, the choice was there. Or fit a map at that depth and look if it finds the "
            "name in prompts that it has not seen."
        ),
        looks_for=(
            "the lens reads one form only: not readable is not the same as not there",
            "the information may stand at another position or in another form",
            "an experiment that changes something in the model: a patch, or a probe with held-out prompts",
        ),
    ),
    Question(
        "4.bq",
        answer=(
            "The map has more numbers than it saw tokens. It can learn which words follow in such texts at "
            "all, and add that to whatever the residual holds: a constant without any residual already gained "
            "most of what the fitted lens gains in the middle of the model. The held-out text rules out that "
            "the map learned the fitting text by heart. It does not rule out that the map computes something "
            "that the model at this depth does not use. Comparing with the constant, and with a map that was "
            "fitted on another depth, shows how much comes from the residual."
        ),
        looks_for=(
            "the map can hold knowledge of the language by itself",
            "held-out text rules out learning the text by heart",
            "it does not show that the model uses what the map reads: that needs a control or an intervention",
        ),
    ),
)
