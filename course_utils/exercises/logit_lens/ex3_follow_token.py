"""Exercise 4.3: when does an answer arrive?"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import torch

from course_utils.exercises.logit_lens.lens_everywhere import lens_everywhere, lens_without_norm
from course_utils.exercises.logit_lens.prompts import ONE_TOKEN, on_prompts
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.logit_lens import follow_token
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id

if TYPE_CHECKING:
    from nnsight import TransformersModel


def _cases(rng: random.Random) -> list[Case]:
    return [Case(case.label, (*case.args, rng.choice(ONE_TOKEN))) for case in on_prompts(rng)]


# What learners do instead.


def _follow(model: TransformersModel, token: str, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    wanted = token_id(model, token)
    rank = (logits > logits[:, [wanted]]).sum(dim=-1) + 1
    return {"rank": rank, "probability": logits.softmax(dim=-1)[:, wanted]}


def _rank_from_zero(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    found = follow_token(model, prompt, token)
    return {**found, "rank": found["rank"] - 1}


def _rank_from_bottom(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    found = follow_token(model, prompt, token)
    return {**found, "rank": anatomy(model).vocabulary + 1 - found["rank"]}


def _ids_at_rank(model: TransformersModel, prompt: str, token: str) -> torch.Tensor:
    """Of the ids sorted by their logits, those that stand where the token's id points (depth,): no rank of anything."""
    order = lens_everywhere(model, prompt)[:, -1].argsort(dim=-1, descending=True)
    return order[:, token_id(model, token)]


def _argsort_misread(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    return {**follow_token(model, prompt, token), "rank": _ids_at_rank(model, prompt, token) + 1}


def _argsort_misread_from_zero(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    return {**follow_token(model, prompt, token), "rank": _ids_at_rank(model, prompt, token)}


def _without_norm(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    return _follow(model, token, lens_without_norm(model, prompt)[:, -1])


def _at_first_position(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    return _follow(model, token, lens_everywhere(model, prompt)[:, 0])


def _over_depths(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    probabilities = lens_everywhere(model, prompt)[:, -1].softmax(dim=0)
    return {**follow_token(model, prompt, token), "probability": probabilities[:, token_id(model, token)]}


_ARGSORT = (
    "argsort says which token stands at a rank, not which rank a token has: count the larger logits, or argsort twice."
)

EXERCISE = Exercise(
    id="4.3",
    title="When does an answer arrive?",
    minutes=10,
    points=2,
    difficulty=1,
    reference=follow_token,
    shows="A token climbs through thousands of ranks long before it leads: the winner alone hides that.",
    hints=(
        Hint(
            "where",
            "Only the last position is needed: `residual_stream(model, prompt)[:, -1]` is (depth, width).",
        ),
        Hint(
            "rank",
            "`token_id(model, token)` is the token's id. Its rank is one more than the number of tokens whose logit "
            "is larger.",
        ),
    ),
    draw=_cases,
    axes=("depth",),
    mistakes=(
        Mistake("rank from zero", _rank_from_zero, "Your ranks start at 0: the most probable token has rank 1."),
        Mistake(
            "rank from the bottom",
            _rank_from_bottom,
            "Your ranks count from the least probable token: count those that are ahead.",
        ),
        Mistake(
            "argsort misread",
            _argsort_misread,
            _ARGSORT,
        ),
        Mistake(
            "argsort misread from zero",
            _argsort_misread_from_zero,
            _ARGSORT,
        ),
        Mistake(
            "no final norm",
            _without_norm,
            "This is the lens without the final norm: use parts.unembed, or parts.normalise and then parts.logits.",
        ),
        Mistake(
            "first position",
            _at_first_position,
            "This is read at the first position: the next token is predicted at the last one, -1.",
        ),
        Mistake(
            "softmax over depths",
            _over_depths,
            "The softmax runs over the depths: it should run over the vocabulary, dim=-1, before you pick the token.",
        ),
    ),
)
