"""Which head speaks to which, path by path (lesson 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from course_utils import circuits, patching
from course_utils.explore.asking import asking, check_different, of_kind, pair_fields
from course_utils.model.anatomy import Anatomy, anatomy
from course_utils.model.whole_numbers import whole_number
from course_utils.pictures import views
from course_utils.pictures.views import View

if TYPE_CHECKING:
    from nnsight import TransformersModel


def circuit(
    model: TransformersModel,
    clean: str | Sequence[str],
    corrupted: str | Sequence[str],
    answers: tuple[str, str] | Sequence[tuple[str, str]],
    *,
    heads: int = 8,
    paths: int = 16,
    first: View | None = None,
) -> View:
    """Which head speaks to which, and to the answer: exact paths between the heads that move it most.

    The heads are those that move the answer most where each alone is patched. A path into a head goes through its
    query, its key or its value: of the three the strongest is drawn, and the card says which. The control of a path is
    the strongest head of the sender's layer that is not among the chosen ones, by the same road.

    Args:
        clean, corrupted, answers: two prompts; or lists of them, one pair at each place, and then each path is a mean
            with two standard errors, and the answers may be a list too.
        heads: so many heads are looked at.
        paths: so many paths are drawn, the strongest.
        first: a circuit of paths measured before; it stands there until the fields are asked, and nothing runs.

    Raises:
        ValueError: a prompt is empty, both prompts or answers of a pair are the same, an answer is not one token,
            the lists differ in length, there are no such numbers of ``heads`` or ``paths``, ``first`` is another kind
            of view, or the model's paths cannot be taken apart.
    """
    parts = anatomy(model)
    for name, count, most in (("heads", heads, parts.n_layers * parts.n_heads), ("paths", paths, None)):
        if whole_number(count, name) < 1 or (most is not None and count > most):
            raise ValueError(f"{name} is {count}; expected 1 {f'to {most}' if most else 'or more'}.")
    pairs = _pairs(clean, corrupted, answers)
    for pair in pairs:
        check_different(*pair)

    def ask(clean: str, corrupted: str, right: str, other: str) -> View:
        return circuit(model, clean, corrupted, (right, other), heads=heads, paths=paths)

    if first is not None:
        return asking(of_kind(first, "circuit"), ask, pair_fields(*pairs[0]))
    texts = [list(column) for column in zip(*pairs, strict=True)]  # clean, corrupted, answers
    before = torch.tensor([patching.logit_difference(model, pair[1], pair[2]) for pair in pairs])
    alone = (patching.patch_heads(model, *texts, progress=False) - before[:, None, None]).mean(dim=0)  # (layer, head)
    order = alone.abs().flatten().argsort(descending=True, stable=True)[:heads].tolist()
    chosen = sorted(divmod(place, parts.n_heads) for place in order)
    found = circuits.patch_paths(
        model,
        *texts,
        senders=[f"{layer}.{head}" for layer in dict(chosen) for head in range(parts.n_heads)],
        receivers=[*dict.fromkeys(road for one in chosen for road in _roads(parts, *one)), "logits"],
        progress=False,
    )
    drawn = sorted(_paths_between(parts, chosen, found), key=lambda path: -abs(path.effect))[:paths]
    used = {name for path in drawn for name in (path.begin, path.end)}
    nodes = [
        views.CircuitPart(f"{layer}.{head}", layer, f"Patched alone it moves the answer by {alone[layer, head]:+z.2f}.")
        for layer, head in chosen
        if f"{layer}.{head}" in used
    ]
    if "logits" in used:
        nodes.append(views.CircuitPart("logits", parts.n_layers, "The right answer's logit minus the other's."))
    of = f"mean of {len(pairs)} pairs" if len(pairs) > 1 else f"{pairs[0][0]} …"
    view = views.circuit(
        nodes,
        drawn,
        f"Who speaks to whom, {of}",
        interval="two standard errors",
        control="strongest head of the layer that is not looked at",
    )
    return asking(view, ask, pair_fields(*pairs[0]))


def _pairs(
    clean: str | Sequence[str],
    corrupted: str | Sequence[str],
    answers: tuple[str, str] | Sequence[tuple[str, str]],
) -> list[tuple[str, str, tuple[str, str]]]:
    """Clean and corrupted prompt and answers of each pair, from what may be one or a list of each."""
    cleans, others = ([one] if isinstance(one, str) else list(one) for one in (clean, corrupted))
    both: list[Any] = [answers] if isinstance(answers[0], str) else list(answers)
    if len(both) == 1:
        both *= len(cleans)
    if not len(cleans) == len(others) == len(both) > 0:
        raise ValueError(
            f"{len(cleans)} clean and {len(others)} corrupted prompts and {len(both)} pairs of answers do not go "
            "together; expected as many of each, or one pair of answers for all."
        )
    return list(zip(cleans, others, both, strict=True))


def _roads(parts: Anatomy, layer: int, head: int) -> dict[str, str]:
    """The ends by which a head reads the stream, each with what a card says of it."""
    sharing = parts.n_heads // parts.n_kv_heads
    group = head // sharing
    mates = [f"{layer}.{mate}" for mate in range(group * sharing, (group + 1) * sharing) if mate != head]
    shared = f", shared with {' and '.join(mates)}" if mates else ""
    roads = {f"{layer}.{head} query": "Through the query."}
    return roads | {f"{layer}.{group} {kind}": f"Through the {kind}{shared}." for kind in ("key", "value")}


def _paths_between(
    parts: Anatomy, chosen: Sequence[tuple[int, int]], found: circuits.PathMap
) -> Iterator[views.CircuitPath]:
    """Of each pair of heads that are joined, and of each head and the logits, the strongest road."""
    effects = found.effects  # (pair, receiver, sender)
    mean = effects.mean(dim=0)
    error = patching.mean_and_error(effects)[1] if len(effects) > 1 else None
    columns = {str(sender): place for place, sender in enumerate(found.senders)}
    rows = {str(receiver): place for place, receiver in enumerate(found.receivers)}
    for layer, head in chosen:
        column = columns[f"{layer}.{head}"]
        others = [columns[f"{layer}.{other}"] for other in range(parts.n_heads) if (layer, other) not in chosen]
        ends = {f"{to[0]}.{to[1]}": _roads(parts, *to) for to in chosen if to[0] > layer}
        for end, roads in {**ends, "logits": {"logits": "Straight to the answer."}}.items():
            road = max(roads, key=lambda road: float(mean[rows[road], column].abs()))
            effect = float(mean[rows[road], column])
            spread = None if error is None else 2 * float(error[rows[road], column])
            yield views.CircuitPath(
                begin=f"{layer}.{head}",
                end=end,
                effect=effect,
                interval=None if spread is None else (effect - spread, effect + spread),
                control=float(mean[rows[road], others].abs().max()) if others else None,
                says=roads[road],
            )
