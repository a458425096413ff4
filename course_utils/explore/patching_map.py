"""Heads by layer, and what each does to the answer (lesson 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from course_utils import patching
from course_utils.explore.asking import asking, check_different, pair_fields
from course_utils.explore.tokens import pieces
from course_utils.model.prompts import token_ids
from course_utils.pictures import views
from course_utils.pictures.views import View

if TYPE_CHECKING:
    from nnsight import TransformersModel

ORDERS = 2  # random orders of a head's numbers whose mean the map "scrambled" shows, as in lesson 6


def patching_map(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    answers: tuple[str, str],
    *,
    by_position: bool = False,
) -> View:
    """What each head does to the answer when it alone is taken from the clean run, and where it looks.

    Maps: patched alone; the direct part of it, and what goes through others; scrambled. Copy scores where each name is
    one token.

    Args:
        by_position: patch each head also at each position alone. As many sweeps more as the prompt has tokens.

    Raises:
        ValueError: the prompts differ in length, an answer is not one token, or both prompts or answers are the same.
    """
    pair = patched_pair(model, clean, corrupted, answers, by_position=by_position)
    try:
        copy = patching.copy_scores(model)
    except ValueError:  # in this vocabulary a name is several tokens
        copy = None
    view = views.patching_map([pair], copy)
    return asking(
        view,
        lambda *texts: patching_map(model, texts[0], texts[1], (texts[2], texts[3]), by_position=by_position),
        pair_fields(clean, corrupted, answers),
    )


def map_of_pairs(
    model: TransformersModel,
    pairs: Sequence[views.PatchedPair],
    copy: torch.Tensor | None = None,
    answers: tuple[str, str] = ("", ""),
) -> View:
    """The map of pairs that were measured before, as :func:`patched_pair` gives them; its fields measure one more.

    The pair of one's own stands in front of the others, and the next one takes its place.

    Args:
        copy: copy scores, (layer, head).
        answers: what stands in the fields at first where the first pair does not say what was asked; left empty,
            unless given. Its prompts are read from its tokens then, and left empty where these do not tell them.

    Raises:
        ValueError: the pairs do not fit together, or there is none.
    """
    orders = ORDERS if pairs and "scrambled" in pairs[0].maps else 0  # what is beside the others has the same maps

    def ask(clean: str, corrupted: str, right: str, other: str) -> View:
        own = patched_pair(model, clean, corrupted, (right, other), orders=orders)
        return asking(views.patching_map([own, *pairs], copy), ask, pair_fields(clean, corrupted, (right, other)))

    view = views.patching_map(pairs, copy)
    if pairs[0].asked is not None:
        clean, corrupted, right, other = pairs[0].asked
        return asking(view, ask, pair_fields(clean, corrupted, (right, other)))
    texts = [_text_of(model, tokens) for tokens in pairs[0].prompts.values()] or [""]
    return asking(view, ask, pair_fields(texts[0], texts[-1], answers))


def _text_of(model: TransformersModel, tokens: Sequence[str]) -> str:
    """The text that is these tokens to the model; "" where they do not tell it.

    They do not where a tokenizer drops a token's space as it writes it alone, or a character is several tokens.
    """
    front = next((i for i, token in enumerate(tokens) if token not in model.tokenizer.all_special_tokens), 0)
    text = "".join(tokens[front:])
    return text if pieces(model, text) == list(tokens) else ""


def patched_pair(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    answers: tuple[str, str],
    *,
    by_position: bool = False,
    orders: int = ORDERS,
) -> views.PatchedPair:
    """What :func:`patching_map` shows of one pair of prompts; several of them make a map with a choice of prompts.

    Args:
        by_position: as there.
        orders: how many random orders of a head's numbers "scrambled" is the mean of. Each takes longer than all the
            rest; with 0 that map is left out.

    Raises:
        ValueError: as there, or ``orders`` is negative.
    """
    if orders < 0:
        raise ValueError(f"orders={orders}: expected a number of random orders, or 0 for none.")
    check_different(clean, corrupted, answers)
    patching.check_prompts(model, clean, corrupted)
    at_start = patching.logit_difference(model, corrupted, answers)
    at_end = patching.logit_difference(model, clean, answers)
    alone = patching.patch_heads(model, clean, corrupted, answers, progress=False) - at_start
    direct = patching.direct_effects(model, clean, corrupted, answers).heads
    maps = {"patched alone": alone, "direct": direct, "through others": alone - direct}
    tables = [patching.permute_heads(model, clean, answers, seed=seed, progress=False) for seed in range(orders)]
    if tables:
        maps["scrambled"] = torch.stack(tables).mean(dim=0) - at_end
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
        asked=(clean, corrupted, *answers),
    )
