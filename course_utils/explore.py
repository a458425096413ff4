"""Ask a running model for a picture that answers: each function here gives the view of that name.

    explore.patching_map(model, clean, corrupted, answers)   heads by layer, what each does to the answer (lesson 6)
    explore.lens(model, prompt)                              what each depth would predict (lesson 4)
    explore.attention(model, prompt)                         where every head looks (lesson 2)

What a view shows and can be asked is said in `course_utils.pictures.views`, which takes the numbers and knows no model.
In a notebook a view has a field for a prompt of one's own, which asks again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from course_utils import logit_lens, patching, residual
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id, token_ids
from course_utils.pictures import views
from course_utils.pictures.views import View
from course_utils.tokens import split_tokens

if TYPE_CHECKING:
    from nnsight import TransformersModel

ORDERS = 4  # random orders of a head's numbers whose mean the map "scrambled" shows, as in lesson 6


def pieces(model: TransformersModel, text: str) -> list[str]:
    """The tokens of a text as texts."""
    return [token for _, token in split_tokens(model, text)]


def patching_map(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    answers: tuple[str, str] = (" Mike", " Emma"),
    *,
    by_position: bool = False,
) -> View:
    """What each head does to the answer when it alone is taken from the clean run, and where it looks.

    Maps: patched alone; the direct part of it and what goes through others, where the model allows that to be told
    apart; scrambled. Copy scores where the model's attention has them.

    Args:
        by_position: patch each head also at each position alone. As many sweeps more as the prompt has tokens.

    Raises:
        ValueError: the prompts differ in length, or an answer is not one token.
    """
    pair = patched_pair(model, clean, corrupted, answers, by_position=by_position)
    try:
        copy = patching.copy_scores(model)
    except ValueError:  # a family whose heads' values cannot be read one by one
        copy = None
    return views.patching_map([pair], copy)


def patched_pair(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    answers: tuple[str, str] = (" Mike", " Emma"),
    *,
    by_position: bool = False,
) -> views.PatchedPair:
    """What :func:`patching_map` shows of one pair of prompts; several of them make a map with a choice of prompts."""
    patching.check_prompts(model, clean, corrupted)
    at_start = patching.logit_difference(model, corrupted, answers)
    at_end = patching.logit_difference(model, clean, answers)
    alone = patching.patch_heads(model, clean, corrupted, answers, progress=False) - at_start
    maps = {"patched alone": alone}
    try:
        direct = patching.direct_effects(model, clean, corrupted, answers).cpu()
        maps |= {"direct": direct, "through others": alone - direct}
    except ValueError:  # what a head adds alone is not defined in every family
        pass
    orders = [patching.permute_heads(model, clean, answers, seed=seed, progress=False) for seed in range(ORDERS)]
    maps["scrambled"] = torch.stack(orders).mean(dim=0) - at_end
    moved = None
    count = len(token_ids(model, corrupted))
    if by_position:
        columns = [
            patching.patch_heads(model, clean, corrupted, answers, positions=[position], progress=False) - at_start
            for position in range(count)
        ]
        moved = torch.stack(columns, dim=-1)
    prompts = {"clean": clean, "corrupted": corrupted}
    return views.PatchedPair(
        label=f"{clean} … / {corrupted} …",
        gap=at_end - at_start,
        maps=maps,
        prompts={name: pieces(model, text) for name, text in prompts.items()},
        attention={name: patching.attention_to(model, text, range(count)) for name, text in prompts.items()},
        by_position=moved,
    )


def lens(
    model: TransformersModel,
    prompt: str,
    follow: Sequence[str] = (),
    *,
    fitted: Callable[[torch.Tensor], torch.Tensor] | None = None,
    best: int = 5,
) -> View:
    """What each depth would predict after each token of a prompt.

    Args:
        follow: tokens, with their spaces, whose rank is shown; the model's own answer unless given.
        fitted: a second lens to switch to, as :func:`course_utils.logit_lens.fit_tuned_lens` gives it: a function of
            the normalised stream (depth, position, width).
        best: how many of the most probable tokens are shown.

    Raises:
        ValueError: a followed token is not one token, the prompt is empty, or the model has fewer than ``best`` tokens.
    """
    parts = anatomy(model)
    normed = parts.normalise(residual.residual_stream(model, prompt)).detach()  # (depth, position, width)
    if not 1 <= best <= parts.vocabulary:
        raise ValueError(f"best is {best}; expected 1 to {parts.vocabulary}, the tokens that the model knows.")
    if follow:
        followed = {token: token_id(model, token) for token in follow}
    else:
        answer = int(parts.logits(normed[-1, -1]).argmax())
        followed = {model.tokenizer.decode([answer]): answer}
    lenses = {"logit lens": read_lens(model, normed, followed, best)}
    if fitted is not None:
        lenses["fitted lens"] = read_lens(model, fitted(normed).detach(), followed, best)
    view = views.lens(pieces(model, prompt), lenses, parts.vocabulary)
    return _asking(view, lambda text: lens(model, text, follow, fitted=fitted, best=best))


def read_lens(
    model: TransformersModel, normed: torch.Tensor, followed: Mapping[str, int], best: int = 5
) -> views.LensTable:
    """What a normalised stream (depth, position, width) reads as: the ``best`` tokens, and the ranks of some ids."""
    top, shares, ranks = [], [], {token: [] for token in followed}  # type: ignore[var-annotated]
    for log_probs in logit_lens.lens_chunks(model, normed):  # (depth, positions of this chunk, vocabulary)
        found = log_probs.topk(best, dim=-1)
        top.append(found.indices)
        shares.append(found.values.exp())
        for token, id in followed.items():
            ranks[token].append((log_probs > log_probs[..., id, None]).sum(dim=-1) + 1)
    ids = torch.cat(top, dim=1)  # (depth, position, place)
    names = {id: model.tokenizer.decode([id]) for id in ids.unique().tolist()}
    words = [[[names[id] for id in places] for places in row] for row in ids.tolist()]
    return views.LensTable(
        words, torch.cat(shares, dim=1), {token: torch.cat(rows, dim=1) for token, rows in ranks.items()}
    )


def attention(model: TransformersModel, prompt: str, start: tuple[int, int] = (0, 0)) -> View:
    """Where each token of a prompt looks, under every head of every layer.

    Args:
        start: the layer and head that are shown first.

    Raises:
        ValueError: the prompt is empty or too long for a view, or there is no such head.
    """
    parts = anatomy(model)
    patterns = residual.attention_patterns(model, token_ids(model, prompt))  # (layer, head, query, key)
    view = views.attention(patterns, pieces(model, prompt), parts.n_kv_heads, start)
    return _asking(view, lambda text: attention(model, text, start))


def _asking(view: View, ask: Callable[[str], View]) -> View:
    """The view with a field that asks the model the same of another prompt."""
    return dataclasses.replace(view, ask=ask, asks="A prompt of your own")
