"""What is said of guesses in lesson 2, and the answers that it reveals. The giant is handled with plain hooks."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import (
    attention_patterns,
    induction_scores,
    previous_token_scores,
    residual_stream,
    stream_change,
    stream_parts,
    word_similarity,
)
from course_utils.tokens import token_ids
from tests.claims.predicted import Claims, Truths, three_tests_of

EIFFEL = "The Eiffel Tower is in the city of"
RIVER = "The old man went to the river and his daughter sang a quiet song"
MARKET = RIVER.replace("river", "market")
LUCK = "After years of bad luck the actor got his big break"
SENSES = {
    "snap 1": "If you drop the glass on the floor, it will break",
    "snap 2": "Be careful with the old vase, because it may break",
    "pause 1": "We have worked for three hours, so let us take a break",
    "pause 2": "After the long meeting everyone needed a coffee break",
    "law 1": "It is a crime, and you must not tell anyone to break",
    "law 2": "There are rules here that nobody is allowed to break",
}
APART = (("snap 1", "law 1"), ("snap 1", "pause 1"), ("pause 1", "law 1"))
STORY = (
    "The old man went to the river and his daughter sang a quiet song. It was late, and the water was cold. "
    "Nobody knew how they had come to this place, but all of them were happy to be there."
)
NAMES = ["embedding", *(f"{half} {layer}" for layer in range(30) for half in ("attention", "MLP"))]


@cache
def length(model: Any) -> torch.Tensor:
    return residual_stream(model, EIFFEL).norm(dim=-1)


@cache
def others(model: Any) -> list[float]:
    """The mean length of all tokens but the first, by depth."""
    return length(model)[:, 1:].mean(dim=1).tolist()


@cache
def change(model: Any) -> torch.Tensor:
    return stream_change(model, RIVER, MARKET)


@cache
def apart(model: Any) -> list[float]:
    """The mean similarity of three pairs of senses, by depth."""
    pairs = [word_similarity(model, SENSES[a], SENSES[b], " break") for a, b in APART]
    return torch.stack(pairs).mean(dim=0).tolist()


def near(model: Any, sense: str) -> float:
    return float(word_similarity(model, LUCK, SENSES[sense], " break")[15])


@cache
def terms(model: Any) -> torch.Tensor:
    return stream_parts(model, EIFFEL)


def long(model: Any, name: str, position: int) -> float:
    return float(terms(model)[NAMES.index(name), position].norm())


@cache
def looking_back(model: Any) -> torch.Tensor:
    return previous_token_scores(model, STORY)


@cache
def inducing(model: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return induction_scores(model, torch.randint(1000, 40000, (30,), generator=generator).tolist())


def layers_of(scores: torch.Tensor) -> list[int]:
    return (scores > 0.5).nonzero()[:, 0].tolist()


@cache
def changed(model: Any, how: str) -> tuple[float, float]:
    """The attention to the first token from layer 12 on, and the nats of each token but the first two's."""

    def hook(_: Any, __: Any, stream: torch.Tensor) -> None:
        if how == "giant gone":
            stream[:, 0, 507] = 0
        elif how == "like the others":
            stream[:, 0] = stream[:, 1:].mean(dim=1)

    ids = torch.tensor([token_ids(model, STORY)])
    handle = anatomy(model).layers[11]._module.register_forward_hook(hook)
    try:
        with torch.no_grad():
            out = model._module(ids, output_attentions=True)
    finally:
        handle.remove()
    attention = torch.stack(out.attentions[12:])[:, 0, :, 1:, 0].mean()
    logs = out.logits[0, 1:-1].log_softmax(dim=-1)
    return float(attention), -float(logs.gather(1, ids[0, 2:, None]).mean())


TRUTHS: Truths = {
    "2.1": lambda m: others(m)[30],
    "2.2": lambda m: 100 * float(change(m)[30, -1]),
    "2.3": lambda m: min(range(31), key=apart(m).__getitem__),
    "2.4": lambda m: "the coffee" if near(m, "pause 2") > near(m, "snap 2") else "the vase",
    "2.5": lambda m: [NAMES[int(terms(m)[:, place].norm(dim=-1).argmax())] for place in (-1, 0)],
    "2.7": lambda m: len(layers_of(looking_back(m))),
    "2.8": lambda m: changed(m, "like the others")[1],
    "2.9": lambda m: "higher" if min(layers_of(inducing(m))) > max(layers_of(looking_back(m))) else "lower",
}


def _the_norm_scales_what_is_read(model: Any) -> bool:
    """The stream goes on as it was: what comes out of a layer is what came in and what its two halves wrote."""
    sums, stream = terms(model).cumsum(dim=0)[::2], residual_stream(model, EIFFEL)
    return torch.allclose(sums, stream, rtol=1e-3, atol=0.5) and float(length(model)[30].mean()) > 100


def _mean_layer(scores: Callable[[Any], torch.Tensor], model: Any) -> float:
    found = layers_of(scores(model))
    return sum(found) / len(found)


CLAIMS: Claims = {
    "2.1": {
        "normalised": _the_norm_scales_what_is_read,
        "as much again each time": lambda m: long(m, "MLP 29", -1) > 400 and others(m)[0] * 30 < 120,
        "the first token": lambda m: length(m)[12, 0] > 100 * others(m)[12],
        "doubling": lambda m: 2 * 2**30 > 2e9 and 0.8 < others(m)[15] / others(m)[5] < 1.2,
    },
    "2.2": {
        "nothing": lambda m: change(m)[1, -1] > 0.005,
        "everything": lambda m: change(m)[30].max() < 1 < change(m)[1, 6] and change(m)[30, 6] < change(m)[1, 6],
        "half": lambda m: change(m)[30].topk(2).indices.tolist() == [6, 7] and change(m)[30, 8:].max() < 0.35,
    },
    "2.3": {
        "the start": lambda m: abs(apart(m)[0] - 1) < 1e-5,
        "the middle": lambda m: apart(m)[30] < min(apart(m)[8:23]) < 0.8,
        "early": lambda m: apart(m)[:7] == sorted(apart(m)[:7], reverse=True) and apart(m)[30] < apart(m)[7],
        "late": lambda m: apart(m)[30] < min(apart(m)[23:30]),
    },
    "2.4": {
        "the sudden one": lambda m: {"pause 1", "pause 2"} == set(sorted(SENSES, key=lambda s: near(m, s))[-2:]),
        "neither": lambda m: near(m, "pause 2") - near(m, "snap 2") > 0.05,
        "the noun": lambda m: min(near(m, "pause 1"), near(m, "pause 2")) > max(near(m, "snap 1"), near(m, "snap 2")),
    },
    "2.5": {
        "the token itself": lambda m: long(m, "embedding", -1) < 3 and long(m, "MLP 29", -1) > 400,
        "attention at the end": lambda m: terms(m)[1::2, -1].norm(dim=-1).max() < long(m, "MLP 29", -1) / 2,
        "the giant's birth at the bottom": lambda m: length(m)[:12, 0].max() < 1000 < length(m)[12, 0],
        "the end for both": lambda m: (
            terms(m)[NAMES.index("MLP 28"), 0, 507] * terms(m)[NAMES.index("MLP 11"), 0, 507] < 0
            and terms(m)[NAMES.index("MLP 29"), 0, 507] * terms(m)[NAMES.index("MLP 11"), 0, 507] < 0
            and long(m, "MLP 28", 0) < long(m, "MLP 11", 0)
        ),
    },
    "2.7": {
        "one": lambda m: len(layers_of(looking_back(m))) > 1,
        "one in each layer": lambda m: (looking_back(m).amax(dim=1) < 1 / 3).sum() > 15,
        "most": lambda m: (
            looking_back(m).mean() < 0.15
            and attention_patterns(m, token_ids(m, STORY))[:, :, 1:, 0].mean() > 2 * looking_back(m).mean()
        ),
    },
    "2.8": {
        "as with the giant gone": lambda m: (
            12 < changed(m, "giant gone")[1] < 13
            and changed(m, "giant gone")[0] > 5 * changed(m, "like the others")[0]
        ),
        "nothing": lambda m: 0.5 < changed(m, "like the others")[1] - changed(m, "nothing")[1] < 2,
        "half-way": lambda m: (
            changed(m, "like the others")[1] < (changed(m, "nothing")[1] * 3 + changed(m, "giant gone")[1]) / 4
        ),
    },
    "2.9": {
        "simple things first": lambda m: _mean_layer(inducing, m) > _mean_layer(looking_back, m),
        "side by side": lambda m: not set(layers_of(inducing(m))) & set(layers_of(looking_back(m))),
        "reads what was written": lambda m: min(layers_of(inducing(m))) > max(layers_of(looking_back(m))),
    },
}  # fmt: skip


(
    test_each_remark_has_its_claim,
    test_what_is_said_of_a_guess_is_so,
    test_the_lesson_reveals_what_is_so,
) = three_tests_of("2", CLAIMS, TRUTHS)
