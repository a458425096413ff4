"""What each depth would predict (lesson 4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from course_utils import logit_lens, residual
from course_utils.explore.asking import asking
from course_utils.explore.tokens import pieces
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id
from course_utils.pictures import views
from course_utils.pictures.views import View

if TYPE_CHECKING:
    from nnsight import TransformersModel


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
        fitted: a second lens to switch to, as :func:`~course_utils.logit_lens.fit_tuned_lens` gives it: a function of
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
    return asking(view, lambda text: lens(model, text, follow, fitted=fitted, best=best))


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
