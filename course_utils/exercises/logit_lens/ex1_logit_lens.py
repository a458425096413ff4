"""The exercises of lesson 4, the logit lens: their inputs, and what each wrong answer is told."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.drawing import PLACES, text, tiny_pair, told
from course_utils.exercises.protocol import Case, Exercise, Mistake, Model
from course_utils.logit_lens import (
    fit_translator,
    follow_token,
    frozen_norm,
    kl_from_last,
    lens_table,
    logit_attribution,
    logit_lens,
    settled_depth,
)
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.residual import residual_stream, stream_parts

if TYPE_CHECKING:
    from nnsight import TransformersModel

Entries = list[dict[str, Any]]

ARGSORT = (
    "argsort says which token stands at a rank, not which rank a token has: count the larger logits, or argsort twice."
)

# Each of them is one token with a space before it, for the tiny models' tokenizer and for SmolLM2's.
ONE_TOKEN = [" Paris", " Rome", " Berlin", " London", " the", " a"]


def _city_prompt(rng: random.Random) -> str:
    return f"{text(rng, 2)}. {rng.choice(PLACES)[0]} is in the city of"


def _on_prompts(rng: random.Random) -> list[Case]:
    return [
        *(Case(told(model), (model, text(rng, rng.randint(5, 8)))) for model in tiny_pair(rng)),
        Case(told(Model()), (Model(), _city_prompt(rng))),
    ]


# 4.1 logit_lens


def _entries(model: TransformersModel, logits: torch.Tensor, top_k: int, largest: bool = True) -> Entries:
    values, ids = logits.topk(top_k, largest=largest)
    return [
        {"top_tokens": [model.tokenizer.decode([i]) for i in row.tolist()], "top_token_logits": scores}
        for row, scores in zip(ids, values, strict=True)
    ]


def _read(model: TransformersModel, stream: torch.Tensor, normalize: bool) -> torch.Tensor:
    parts = anatomy(model)
    return parts.logits(parts.normalise(stream) if normalize else stream)


def _never_normed(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    return logit_lens(model, prompt, top_k, normalize=False)


def _always_normed(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    return logit_lens(model, prompt, top_k)


def _normed_twice(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    stream = residual_stream(model, prompt)[:, -1].clone()
    stream[-1] = anatomy(model).normalise(stream[-1])
    return _entries(model, _read(model, stream, normalize), top_k)


def _first_position(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    return _entries(model, _read(model, residual_stream(model, prompt)[:, 0], normalize), top_k)


def _one_layer_late(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    entries = logit_lens(model, prompt, top_k, normalize)
    return [*entries[1:], entries[-1]]


def _one_layer_early(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    entries = logit_lens(model, prompt, top_k, normalize)
    return [entries[0], *entries[:-1]]


def _bare_embedding(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    parts = anatomy(model)
    with model.trace(prompt):
        embedding = parts.embedding.output[0, -1].save()
    stream = torch.cat([embedding[None], residual_stream(model, prompt)[1:, -1]])
    return _entries(model, _read(model, stream, normalize), top_k)


def _probabilities(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    logits = _read(model, residual_stream(model, prompt)[:, -1], normalize)
    return _entries(model, logits.softmax(dim=-1), top_k)


def _least_first(model: TransformersModel, prompt: str, top_k: int = 5, normalize: bool = True) -> Entries:
    return [
        {name: values[::-1] for name, values in entry.items()} for entry in logit_lens(model, prompt, top_k, normalize)
    ]


def _with_top_k(rng: random.Random) -> list[Case]:
    cases = [Case(case.label, case.args, {"top_k": rng.randint(3, 6)}) for case in _on_prompts(rng)]
    raw = Case("a tiny random llama with normalize=False", (*cases[0].args,), {"top_k": 4, "normalize": False})
    return [*cases, raw]


# 4.2 lens_table


def _table(log_probs: torch.Tensor) -> dict[str, torch.Tensor]:
    top, ids = log_probs.max(dim=-1)
    return {"top_ids": ids, "probability": top.exp(), "entropy": -(log_probs.exp() * log_probs).sum(dim=-1)}


def _logits_everywhere(model: TransformersModel, prompt: str) -> torch.Tensor:
    return anatomy(model).unembed(residual_stream(model, prompt))


def _table_without_norm(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    return _table(anatomy(model).logits(residual_stream(model, prompt)).log_softmax(dim=-1))


def _table_over_positions(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    return _table(_logits_everywhere(model, prompt).log_softmax(dim=1))


def _table_over_depths(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    return _table(_logits_everywhere(model, prompt).log_softmax(dim=0))


def _table_in_bits(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    table = lens_table(model, prompt)
    return {**table, "entropy": table["entropy"] / math.log(2)}


def _table_negative(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    table = lens_table(model, prompt)
    return {**table, "entropy": -table["entropy"]}


def _table_of_logits(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    return {**lens_table(model, prompt), "probability": _logits_everywhere(model, prompt).max(dim=-1).values}


def _table_of_last_answer(model: TransformersModel, prompt: str) -> dict[str, torch.Tensor]:
    table = lens_table(model, prompt)
    probabilities = _logits_everywhere(model, prompt).softmax(dim=-1)
    answers = table["top_ids"][-1].expand(len(probabilities), -1)
    return {**table, "probability": probabilities.gather(-1, answers[..., None])[..., 0]}


# 4.3 follow_token


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


def _argsort_misread(model: TransformersModel, prompt: str, token: str, shift: int = 1) -> dict[str, torch.Tensor]:
    logits = _logits_everywhere(model, prompt)[:, -1]
    order = logits.argsort(dim=-1, descending=True)
    return {**follow_token(model, prompt, token), "rank": order[:, token_id(model, token)] + shift}


def _argsort_misread_from_zero(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    return _argsort_misread(model, prompt, token, shift=0)


def _follow_without_norm(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    return _follow(model, token, anatomy(model).logits(residual_stream(model, prompt)[:, -1]))


def _follow_at_first(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    return _follow(model, token, _logits_everywhere(model, prompt)[:, 0])


def _follow_over_depths(model: TransformersModel, prompt: str, token: str) -> dict[str, torch.Tensor]:
    probabilities = _logits_everywhere(model, prompt)[:, -1].softmax(dim=0)
    return {**follow_token(model, prompt, token), "probability": probabilities[:, token_id(model, token)]}


def _with_token(rng: random.Random) -> list[Case]:
    return [Case(case.label, (*case.args, rng.choice(ONE_TOKEN))) for case in _on_prompts(rng)]


# 4.4 kl_from_last


def _kl_the_other_way(log_probs: torch.Tensor) -> torch.Tensor:
    return (log_probs.exp() * (log_probs - log_probs[-1])).sum(dim=-1)


def _kl_in_bits(log_probs: torch.Tensor) -> torch.Tensor:
    return kl_from_last(log_probs) / math.log(2)


def _kl_mean(log_probs: torch.Tensor) -> torch.Tensor:
    return kl_from_last(log_probs) / log_probs.shape[-1]


def _kl_unweighted(log_probs: torch.Tensor) -> torch.Tensor:
    return (log_probs[-1] - log_probs).sum(dim=-1)


def _kl_negative(log_probs: torch.Tensor) -> torch.Tensor:
    return -kl_from_last(log_probs)


def _kl_to_next_depth(log_probs: torch.Tensor) -> torch.Tensor:
    after = torch.cat([log_probs[1:], log_probs[-1:]])
    return (after.exp() * (after - log_probs)).sum(dim=-1)


def _cross_entropy(log_probs: torch.Tensor) -> torch.Tensor:
    return -(log_probs[-1].exp() * log_probs).sum(dim=-1)


def _distributions(rng: random.Random) -> list[Case]:
    source = torch.Generator().manual_seed(rng.randrange(2**31))
    return [
        Case(f"{depths} depths, {positions} positions and a vocabulary of {vocabulary}", (log_probs,))
        for depths, positions, vocabulary in ((3, 2, 5), (7, 4, 300))
        for log_probs in [(2 * torch.randn(depths, positions, vocabulary, generator=source)).log_softmax(dim=-1)]
    ]


# 4.5 settled_depth


def _first_lead(top_ids: torch.Tensor) -> torch.Tensor:
    return (top_ids == top_ids[-1]).long().argmax(dim=0)


def _disagreements(top_ids: torch.Tensor) -> torch.Tensor:
    return (top_ids != top_ids[-1]).sum(dim=0)


def _last_disagreement(top_ids: torch.Tensor) -> torch.Tensor:
    return settled_depth(top_ids) - 1


def _how_long(top_ids: torch.Tensor) -> torch.Tensor:
    return len(top_ids) - settled_depth(top_ids)


def _first_repeat(top_ids: torch.Tensor) -> torch.Tensor:
    return (top_ids[1:] == top_ids[:-1]).long().argmax(dim=0)


def _tables_of_ids(rng: random.Random) -> list[Case]:
    """Few different ids, so that an answer leads, loses and leads again; one column of each kind in each table."""

    def column(depths: int) -> list[int]:
        settled = rng.randrange(3, depths - 2)
        answer, other, third = rng.sample(range(100, 1000), 3)
        early = [third, *(rng.choice((other, answer)) for _ in range(settled - 2)), other]
        early[rng.randrange(1, settled - 1)] = answer  # it leads once and loses again
        return early + [answer] * (depths - settled)

    tables = []
    for depths, positions in ((8, 5), (31, 9)):
        columns = [column(depths) for _ in range(positions - 1)]
        columns.append([rng.randrange(100, 1000)] * depths)  # settled from the start
        tables.append(torch.tensor(columns).T.contiguous())
    return [Case(f"a table of {len(table)} depths", (table,)) for table in tables]


# 4.6 logit_attribution


def _attribution(
    model: TransformersModel,
    prompt: str,
    token: str,
    against: str,
    read: Callable[[Any, torch.Tensor], torch.Tensor] | None = None,
    position: int = -1,
    both: bool = True,
    written: torch.Tensor | None = None,
) -> torch.Tensor:
    parts = anatomy(model)
    written = stream_parts(model, prompt)[:, position] if written is None else written
    frozen = frozen_norm(model, residual_stream(model, prompt)[-1, position])
    weight = parts.unembedding.weight
    direction = weight[token_id(model, token)] - (weight[token_id(model, against)] if both else 0)
    shares = (read(parts, written) if read else frozen(written)) @ direction
    return torch.cat([shares, (frozen.bias @ direction)[None]]) * parts.logit_scale


def _each_normed_alone(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    return _attribution(model, prompt, token, against, lambda parts, written: parts.normalise(written))


def _norm_forgotten(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    return _attribution(model, prompt, token, against, lambda parts, written: written)


def _gain_forgotten(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    frozen = frozen_norm(model, residual_stream(model, prompt)[-1, -1])
    return _attribution(model, prompt, token, against, lambda parts, written: frozen(written) / frozen.gain)


def _attributed_at_first(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    return _attribution(model, prompt, token, against, position=0)


def _one_token_only(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    return _attribution(model, prompt, token, against, both=False)


def _tokens_swapped(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    return logit_attribution(model, prompt, against, token)


def _running_sum(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    return _attribution(model, prompt, token, against, written=stream_parts(model, prompt)[:, -1].cumsum(dim=0))


def _constant_forgotten(model: TransformersModel, prompt: str, token: str, against: str) -> torch.Tensor:
    shares = logit_attribution(model, prompt, token, against)
    return torch.cat([shares[:-1], torch.zeros_like(shares[-1:])])


def _with_two_tokens(rng: random.Random) -> list[Case]:
    return [Case(case.label, (*case.args, *rng.sample(ONE_TOKEN, 2))) for case in _on_prompts(rng)]


# 4.7 fit_translator


def _fit_to_zero(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    read_mean, target_mean = read.mean(dim=0), target.mean(dim=0)
    centred = read - read_mean
    matrix = torch.linalg.solve(
        centred.T @ centred + ridge * torch.eye(read.shape[1]), centred.T @ (target - target_mean)
    )
    return matrix, target_mean - read_mean @ matrix


def _fit_no_bias(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    identity = torch.eye(read.shape[1])
    matrix = identity + torch.linalg.solve(read.T @ read + ridge * identity, read.T @ (target - read))
    return matrix, torch.zeros(read.shape[1])


def _fit_backwards(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    return fit_translator(target, read, ridge)


def _fit_transposed(
    read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0
) -> tuple[torch.Tensor, torch.Tensor]:
    matrix, bias = fit_translator(read, target, ridge)
    return matrix.T, bias


def _fit_without_ridge(
    read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0
) -> tuple[torch.Tensor, torch.Tensor]:
    return fit_translator(read, target, 0.0)


def _fit_residual_only(
    read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0
) -> tuple[torch.Tensor, torch.Tensor]:
    matrix, bias = fit_translator(read, target, ridge)
    return matrix - torch.eye(len(matrix)), bias


def _pairs_of_streams(rng: random.Random) -> list[Case]:
    """Vectors that are an affine map apart, with noise; more tokens than width, so that the map can be found."""
    source = torch.Generator().manual_seed(rng.randrange(2**31))

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=source)

    cases = []
    for tokens, width, ridge in ((60, 6, 20.0), (200, 16, 100.0)):
        read = draw(tokens, width) + draw(width)
        target = read @ (torch.eye(width) + 0.4 * draw(width, width)) + draw(width) + 0.3 * draw(tokens, width)
        cases.append(Case(f"{tokens} tokens of width {width} with ridge {ridge:g}", (read, target), {"ridge": ridge}))
    return cases


EXERCISES = [
    Exercise(
        id="4.1",
        title="Read the model's mind, layer by layer",
        minutes=20,
        points=3,
        difficulty=2,
        reference=logit_lens,
        shows="Every depth can be made to speak the vocabulary; the last one says exactly what the model says.",
        hints=(
            "One trace reads parts.layers[0].input and then each layer's output, in order. Only position -1 matters.",
            "The model never unembeds a bare residual: parts.normalise(...) stands between the last layer and parts.logits(...).",
            "Stack the vectors to (depth, width) and save the stack; after the trace: logits = parts.logits(parts.normalise(stream)), "
            "then logits.topk(top_k), and model.tokenizer.decode([i]) for each id.",
        ),
        draw=_with_top_k,
        axes=("depth", "rank"),
        mistakes=(
            Mistake(
                "no final norm",
                _never_normed,
                "This is the lens without the final norm: the model normalises the residual before it unembeds it.",
            ),
            Mistake(
                "normalize ignored",
                _always_normed,
                "Your lens normalises even when normalize=False asks for the bare residual.",
            ),
            Mistake(
                "last depth normed twice",
                _normed_twice,
                "The last depth went through the final norm twice. (The last entry of transformers' output_hidden_states has it already.)",
            ),
            Mistake(
                "first position",
                _first_position,
                "This is read at the first position: what comes after the prompt is predicted at the last one, -1.",
            ),
            Mistake(
                "one layer late",
                _one_layer_late,
                "Your entry l is layer l's output, and the embedding is missing: entry 0 is the embedding, entry l + 1 layer l's output.",
            ),
            Mistake(
                "one layer early",
                _one_layer_early,
                "Your entry l + 1 is what layer l reads (.input): it should be what layer l puts out (.output).",
            ),
            Mistake(
                "embedding before positions",
                _bare_embedding,
                "Entry 0 is the output of the token embedding; the stream starts with what the first layer reads, parts.layers[0].input, "
                "which in this model has more in it.",
            ),
            Mistake(
                "probabilities",
                _probabilities,
                "These are probabilities: the logits were asked for, before any softmax.",
            ),
            Mistake("least probable first", _least_first, "The order is reversed: the most probable comes first."),
        ),
    ),
    Exercise(
        id="4.2",
        title="Every depth, every position, one matrix product",
        minutes=15,
        points=3,
        difficulty=2,
        reference=lens_table,
        shows="One trace and one matrix product give the whole table: what each depth expects after each token.",
        hints=(
            "residual_stream(model, prompt) from lesson 2 is (depth, position, width). parts.unembed works on any shape (..., width).",
            "log_probs = logits.log_softmax(dim=-1) is (depth, position, vocabulary). .max(dim=-1) gives values and indices.",
            "Entropy: -(log_probs.exp() * log_probs).sum(dim=-1).",
        ),
        draw=_on_prompts,
        axes=("depth", "position"),
        mistakes=(
            Mistake(
                "no final norm",
                _table_without_norm,
                "This is the lens without the final norm: use parts.unembed, or parts.normalise and then parts.logits.",
            ),
            Mistake(
                "softmax over positions",
                _table_over_positions,
                "The softmax runs over the positions: along the vocabulary (dim=-1), each cell's probabilities sum to 1.",
            ),
            Mistake(
                "softmax over depths",
                _table_over_depths,
                "The softmax runs over the depths: along the vocabulary (dim=-1), each cell's probabilities sum to 1.",
            ),
            Mistake(
                "entropy in bits", _table_in_bits, "The entropy is in bits: nats were asked for, the natural logarithm."
            ),
            Mistake(
                "entropy negative", _table_negative, "The entropy has the wrong sign: it is minus the sum of p log p."
            ),
            Mistake(
                "logit for probability",
                _table_of_logits,
                "'probability' holds the top logit: it has to go through the softmax.",
            ),
            Mistake(
                "the last depth's answer",
                _table_of_last_answer,
                "'probability' is that of the last depth's answer: each cell should give that of its own top token.",
            ),
        ),
    ),
    Exercise(
        id="4.3",
        title="When does an answer arrive?",
        minutes=10,
        points=2,
        difficulty=1,
        reference=follow_token,
        shows="A token climbs through thousands of ranks long before it leads: the winner alone hides that.",
        hints=(
            "Only the last position is needed: residual_stream(model, prompt)[:, -1] is (depth, width).",
            "token_id(model, token) is its id. The rank is one more than the number of tokens whose logit is larger.",
        ),
        draw=_with_token,
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
                ARGSORT,
            ),
            Mistake(
                "argsort misread from zero",
                _argsort_misread_from_zero,
                ARGSORT,
            ),
            Mistake(
                "no final norm",
                _follow_without_norm,
                "This is the lens without the final norm: use parts.unembed, or parts.normalise and then parts.logits.",
            ),
            Mistake(
                "first position",
                _follow_at_first,
                "This is read at the first position: the next token is predicted at the last one, -1.",
            ),
            Mistake(
                "softmax over depths",
                _follow_over_depths,
                "The softmax runs over the depths: it should run over the vocabulary, dim=-1, before you pick the token.",
            ),
        ),
    ),
    Exercise(
        id="4.4",
        title="How far from the end?",
        minutes=10,
        points=2,
        difficulty=2,
        reference=kl_from_last,
        shows="KL divergence looks at the whole distribution: it falls even where the top token does not move.",
        hints=(
            "KL(p || q) is the sum over the vocabulary of p * (log p - log q). Here p is the last depth's.",
            "log_probs[-1] is (position, vocabulary) and broadcasts against (depth, position, vocabulary). p itself is its exp().",
        ),
        draw=_distributions,
        axes=("depth", "position"),
        mistakes=(
            Mistake(
                "the other way round",
                _kl_the_other_way,
                "This is KL(this depth || last), the other way round: weigh with the last depth's probabilities.",
            ),
            Mistake("bits", _kl_in_bits, "This is in bits: nats were asked for, the natural logarithm."),
            Mistake("mean over the vocabulary", _kl_mean, "This is the mean over the vocabulary: KL is the sum."),
            Mistake(
                "not weighted",
                _kl_unweighted,
                "The differences of the logarithms are not weighted: each counts with the last depth's probability.",
            ),
            Mistake(
                "sign",
                _kl_negative,
                "The sign is wrong: KL is never negative, so it is log p - log q, not log q - log p.",
            ),
            Mistake(
                "from the next depth",
                _kl_to_next_depth,
                "This compares each depth with the one after it: compare with the last, log_probs[-1].",
            ),
            Mistake(
                "cross-entropy",
                _cross_entropy,
                "This is the cross-entropy: at the last depth it is the entropy and not 0. Subtract log q from log p.",
            ),
        ),
    ),
    Exercise(
        id="4.5",
        title="First in front, and there to stay",
        minutes=10,
        points=2,
        difficulty=2,
        reference=settled_depth,
        shows="To lead once is not to have decided: what counts is the depth after which nothing changes.",
        hints=(
            "agrees = top_ids == top_ids[-1] is (depth, position). The last run of True in each column is what you want.",
            "Read from the last depth down: flip(0), then cumprod(dim=0) stays 1 until the first disagreement.",
        ),
        draw=_tables_of_ids,
        axes=("position",),
        mistakes=(
            Mistake(
                "first lead",
                _first_lead,
                "This is where the answer leads for the first time; it may lose again. Count back from the last depth.",
            ),
            Mistake(
                "disagreements counted",
                _disagreements,
                "This is the number of depths that disagree: not where the answer settles, if it led before and lost again.",
            ),
            Mistake(
                "one too early",
                _last_disagreement,
                "This is the last depth that disagrees: the answer settles one depth later.",
            ),
            Mistake(
                "counted from the end",
                _how_long,
                "This is for how many depths it has been settled: subtract from the number of depths.",
            ),
            Mistake(
                "first repeat",
                _first_repeat,
                "This is the first depth whose top token is also the next one's: it must be the last depth's, all the way.",
            ),
        ),
    ),
    Exercise(
        id="4.6",
        title="Who wrote the answer?",
        minutes=20,
        points=4,
        difficulty=3,
        reference=logit_attribution,
        shows="With the norm frozen, a logit difference is a plain sum of what each part wrote: nothing is left over.",
        hints=(
            "stream_parts(model, prompt)[:, -1] is (part, width): the start, then each layer's attention and MLP. Its sum is the whole.",
            "frozen = frozen_norm(model, that sum) is linear: frozen(parts) keeps the shape (part, width), and frozen.bias is (width,).",
            "The direction is the difference of two rows of parts.unembedding.weight. Each share is frozen(part) @ direction; "
            "the last entry is frozen.bias @ direction. torch.cat joins them; parts.logit_scale is 1 for most models.",
        ),
        draw=_with_two_tokens,
        axes=("part",),
        mistakes=(
            Mistake(
                "each part normed alone",
                _each_normed_alone,
                "Each part was divided by its own size, so the sum is not the logit difference: freeze the norm at the whole residual.",
            ),
            Mistake(
                "no norm",
                _norm_forgotten,
                "The parts went to the unembedding without the final norm: use frozen(part).",
            ),
            Mistake(
                "no gain",
                _gain_forgotten,
                "The parts are divided, but the norm's weights are missing: use frozen(part).",
            ),
            Mistake(
                "first position",
                _attributed_at_first,
                "These are the parts of the first position: the next token is predicted at the last, -1.",
            ),
            Mistake(
                "one token only",
                _one_token_only,
                "This is the attribution of one logit: the direction is a difference of two rows.",
            ),
            Mistake(
                "tokens swapped",
                _tokens_swapped,
                "All signs are reversed: it is the row of token minus the row of against.",
            ),
            Mistake(
                "running sum",
                _running_sum,
                "These are the streams so far, not what each part added: use stream_parts, not the layers' outputs.",
            ),
            Mistake(
                "constant forgotten",
                _constant_forgotten,
                "The last entry is 0, but this model's final norm has a bias: frozen.bias @ direction belongs there.",
            ),
        ),
    ),
    Exercise(
        id="4.7",
        title="Fit a better lens",
        minutes=20,
        points=3,
        difficulty=3,
        reference=fit_translator,
        shows="A linear map that starts from the identity: with no data it is the logit lens, with data it is a better one.",
        hints=(
            "Take the mean off both sides first; the bias puts the means back: target_mean - read_mean @ matrix.",
            "Write matrix = identity + change. Then the ridge is on `change` alone, and what it has to explain is target - read, centred.",
            "Ridge regression: change = solve(X.T @ X + ridge * identity, X.T @ missing), with X the centred read (torch.linalg.solve).",
        ),
        draw=_pairs_of_streams,
        axes=("part", "row", "column"),
        mistakes=(
            Mistake(
                "ridge towards zero",
                _fit_to_zero,
                "Your ridge pulls the matrix towards zero: it should pull it towards the identity.",
            ),
            Mistake(
                "no bias",
                _fit_no_bias,
                "There is no bias: take the means off before the fit and put them back with the bias.",
            ),
            Mistake(
                "backwards",
                _fit_backwards,
                "This is the map from target to read: the lens reads an early depth and aims at the last.",
            ),
            Mistake("transposed", _fit_transposed, "The matrix is transposed: it stands on the right, read @ matrix."),
            Mistake("no ridge", _fit_without_ridge, "The ridge was left out: it is added to the diagonal of X.T @ X."),
            Mistake(
                "identity not added",
                _fit_residual_only,
                "This is only the change: add the identity to it.",
            ),
        ),
    ),
]
