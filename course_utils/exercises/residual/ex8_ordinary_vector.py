"""Exercise 2.8: break the claim that the model needs a place to rest."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.forms import FLOATS
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.residual import ordinary_vector

if TYPE_CHECKING:
    from nnsight import TransformersModel

LAYER, GIANT = 11, 507
TEXTS = (
    "In the morning we took the train to the sea. Her brother had a map of the town, and she carried a bag with bread.",
    "The school was closed because of the snow, so the children played in the street until their mothers called them.",
    "He opened the letter slowly. It was from his sister, who had gone to another country and wanted to come home.",
    "When the rain began they went into a small shop, where nobody spoke and an old clock stood in the window.",
)


def _texts(rng: random.Random) -> list[Case]:
    return [
        Case(f"text {number}, which you have not seen", (Model(), text))
        for number, text in enumerate(rng.sample(TEXTS, 2), start=1)
    ]


def _measured(answer: Any, model: TransformersModel, text: str) -> dict[str, bool]:
    """What the vector must do, for each property whether it does."""
    parts, ids = anatomy(model), token_ids(model, text)
    with model.trace([ids]):
        stream = parts.layers[LAYER].output.save()
        logits = model.output.logits[0].cpu().save()
    given = stream.clone()
    vector = answer(given)
    fits = isinstance(vector, torch.Tensor) and vector.shape == stream.shape[-1:] and bool(vector.isfinite().all())
    found = {"one vector of the model's width": fits, "the stream is as it was": torch.equal(given, stream)}
    properties = ["the giant is gone", "nobody rests there", "the text is still read"]
    if not fits:
        return found | dict.fromkeys(properties, False)
    with model.trace([ids]):
        parts.layers[LAYER].output[:, 0] = vector
        later = [parts.pattern(layer)[0, :, 1:, 0] for layer in range(LAYER + 1, parts.n_layers)]
        resting = torch.stack(later).mean().save()  # type: ignore[attr-defined]
        changed = model.output.logits[0].cpu().save()
    before, after = (_nats(scores, ids) for scores in (logits, changed))
    return found | dict(
        zip(
            properties,
            [abs(float(vector[GIANT])) < 1000, float(resting) < 0.1, after < before + 2],
            strict=True,
        )
    )


def _nats(logits: torch.Tensor, ids: list[int]) -> float:
    """Mean surprisal, without what the first position predicts."""
    return float(-logits[1:-1].log_softmax(dim=-1).gather(1, torch.tensor(ids[2:])[:, None]).mean())


# What learners do instead.


def _unchanged(stream: torch.Tensor) -> torch.Tensor:
    return stream[0, 0]


def _giant_removed(stream: torch.Tensor) -> torch.Tensor:
    vector = stream[0, 0].clone()
    vector[GIANT] = 0
    return vector


def _in_place(stream: torch.Tensor) -> torch.Tensor:
    stream[0, 0] = stream[0, 1:].mean(dim=0)
    return stream[0, 0]


def _nothing(stream: torch.Tensor) -> torch.Tensor:
    return torch.zeros_like(stream[0, 0])


EXERCISE = Exercise(
    id="2.8",
    title="Break our claim",
    minutes=15,
    points=3,
    difficulty=2,
    reference=ordinary_vector,
    drive=_measured,
    returns=FLOATS,
    draw=_texts,
    shows="Nobody rests, and the text is read: the model does not need the resting place, it needs it quiet or gone.",
    hints=(
        Hint(
            "what the claim rests on",
            "In the row that ruins the text, the heads still go to the first token. What do they find there?",
        ),
        Hint("something ordinary", "What would make the first token look like any other to the heads?"),
        Hint("nearly there", "The mean of the other tokens' vectors: `stream[0, 1:].mean(dim=0)`."),
    ),
    mistakes=(
        Mistake(
            "the stream is changed",
            _in_place,
            "The vector is right, but your code writes it into the stream that it was given: return it, and leave the "
            "stream as it is.",
        ),
        Mistake("unchanged", _unchanged, "This is the first token's own vector, giant and all."),
        Mistake(
            "giant removed",
            _giant_removed,
            "This is the experiment that the claim rests on: one number taken out, the rest of the vector left.",
        ),
        Mistake(
            "still a place to rest",
            _nothing,
            "The text can be read, but heads still rest there: your vector is unlike those of the other tokens.",
        ),
    ),
)
