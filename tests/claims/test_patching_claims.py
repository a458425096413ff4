"""What lesson 6 says, and the controls without which it should not."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from course_utils.model.anatomy import anatomy
from course_utils.patching import (
    NAMES,
    Pair,
    attention_to,
    copy_scores,
    direct_effects,
    head_outputs,
    ioi_pairs,
    logit_differences,
    mean_and_error,
    name_logits,
    patch_heads,
    positions_of,
    recovered,
)
from course_utils.residual import induction_scores
from course_utils.tokens import token_id

Head = tuple[int, int]
Row = tuple[Sequence[Head], Sequence[Head]]
"""Heads from the clean run, and heads held at what they put out in the corrupted one."""

CLEAN = "When Mike and Emma went to the cafe, Emma gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Mike gave a coffee to"
OURS = Pair(CLEAN, CORRUPTED, (" Mike", " Emma"), first=True)
PAIRS = ioi_pairs(4, seed=1)
"""Pairs that the lesson does not have."""

INDUCTION, INHIBITION, MOVERS = (17, 4), ((19, 2), (20, 0)), ((23, 0), (23, 1), (23, 2), (23, 7))
SUPPRESSION, NEGATIVE = (23, 3), (24, 4)
ABOVE = [(layer, head) for layer in range(24, 30) for head in range(9)]


def differences(model: Any, pair: Pair, rows: Sequence[Row]) -> torch.Tensor:
    """The logit difference of each row's run, all of them in one batch of corrupted runs: a tensor (row,)."""
    parts, sources = anatomy(model), [head_outputs(model, prompt) for prompt in (pair.clean, pair.corrupted)]
    first, second = (token_id(model, answer) for answer in pair.answers)
    with model.trace([pair.corrupted] * len(rows)):
        for layer in range(parts.n_layers):
            heads = parts.heads(layer)
            for row, sets in enumerate(rows):
                for source, places in zip(sources, sets, strict=True):
                    for head in [place[1] for place in places if place[0] == layer]:
                        heads[row, :, head] = source[layer, :, head]
        last = model.output.logits[:, -1].save()
    return last[:, first] - last[:, second]


def effects(model: Any, pair: Pair, rows: Sequence[Row]) -> torch.Tensor:
    """How far each row's run is from the untouched corrupted one, in logits: a tensor (row,)."""
    found = differences(model, pair, [((), ()), *rows])
    return found[1:] - found[0]


@pytest.fixture(scope="module")
def ours(real_model: Any) -> torch.Tensor:
    """The lesson's map: each head's effect on the lesson's pair, (layer, head)."""
    untouched = logit_differences(real_model, [CORRUPTED], [OURS.answers])[0]
    return patch_heads(real_model, CLEAN, CORRUPTED, OURS.answers, progress=False) - untouched


@pytest.fixture(scope="module")
def copies(real_model: Any) -> torch.Tensor:
    return copy_scores(real_model)


# Who is said twice, and who gives.


def test_being_said_twice_counts_and_giving_counts_more(real_model: Any) -> None:
    """Lesson 6, "A data set": a name that is said twice while a third gives moves the answer less than half as far as
    one that is said twice and gives. Other names and another sentence than the lesson's.
    """
    names = [[answer.strip() for answer in pair.answers] for pair in ioi_pairs(16, seed=5)]
    said = {}
    for giver, sentence in (
        (False, "Then {a} and {b} were in the park, and {twice} sang. {third} gave a book to"),
        (True, "Then {a} and {b} were in the park. {twice} gave a book to"),
    ):
        for which in (0, 1):
            prompts = [
                sentence.format(
                    a=a, b=b, twice=(a, b)[which], third=next(n for n in NAMES.split()[::-1] if n not in (a, b))
                )
                for a, b in names
            ]
            said[giver, which] = logit_differences(real_model, prompts, [(f" {a}", f" {b}") for a, b in names])
    apart, error = mean_and_error(said[False, 1] - said[False, 0])
    gives, _ = mean_and_error(said[True, 1] - said[True, 0])
    assert apart > 3 * error and 0 < apart < gives / 2


# Who reads whom.


@pytest.fixture(scope="module")
def held(real_model: Any) -> dict[str, torch.Tensor]:
    """Effects on four pairs that the lesson does not have, each (pair,)."""
    draw = random.Random(3)
    middle = [(layer, head) for layer in range(18, 23) for head in range(9) if (layer, head) not in INHIBITION]
    late = [place for place in ABOVE if place != NEGATIVE] + [(23, head) for head in (4, 5, 6, 8)]
    strong = [INDUCTION, *INHIBITION, SUPPRESSION]
    rows: dict[str, Row] = {
        "17.4": ([INDUCTION], ()),
        "17.4, 19.2 and 20.0 held": ([INDUCTION], INHIBITION),
        "17.4, others held": ([INDUCTION], draw.sample(middle, 2)),
        "19.2 and 20.0": (INHIBITION, ()),
        "19.2 and 20.0, movers held": (INHIBITION, MOVERS),
        "19.2 and 20.0, others held": (INHIBITION, draw.sample(late, 4)),
        "23.3": ([SUPPRESSION], ()),
        "23.3, all above held": ([SUPPRESSION], ABOVE),
        "strong": (strong, ()),
        "strong, 29.0 and 29.1 held": (strong, [(29, 0), (29, 1)]),
    }
    found = torch.stack([effects(real_model, pair, list(rows.values())) for pair in PAIRS])
    return {name: found[:, place] for place, name in enumerate(rows)}


def test_nobody_above_has_to_read_the_strongest_head(held: dict[str, torch.Tensor]) -> None:
    """Lesson 6, 6.9: with all 54 heads above held, nothing of 23.3's effect is missing, on any pair. The control is
    the same for 19.2 and 20.0, which lose most of theirs.
    """
    assert bool((held["23.3, all above held"] > 0.9 * held["23.3"]).all())
    assert float(held["23.3"].min()) > 1


def test_s_inhibition_acts_through_the_name_movers_for_the_most_part(held: dict[str, torch.Tensor]) -> None:
    """Lesson 6, 6.9: held name movers take most of the effect of 19.2 and 20.0 away, and not all of it. The control is
    four other heads.
    """
    free, left, control = (held[f"19.2 and 20.0{how}"] for how in ("", ", movers held", ", others held"))
    assert 0.05 < float(left.mean() / free.mean()) < 0.5
    assert float(control.mean() / free.mean()) > 0.7


def test_the_induction_head_acts_through_the_s_inhibition_heads(held: dict[str, torch.Tensor]) -> None:
    """Lesson 6, 6.9: with 19.2 and 20.0 held, nothing of 17.4's effect is left. The control is two other heads."""
    free, left, control = (held[f"17.4{how}"] for how in ("", ", 19.2 and 20.0 held", ", others held"))
    assert abs(float(left.mean())) < 0.25 * float(free.mean())
    assert float(control.mean()) > 0.6 * float(free.mean())


def test_29_0_and_29_1_turn_what_was_found_into_logits(real_model: Any, held: dict[str, torch.Tensor]) -> None:
    """Lesson 6, "What do they write?": held, they hardly change what the heads below bring back; and they look at the
    last token itself more than at all names.
    """
    assert float((held["strong, 29.0 and 29.1 held"] / held["strong"] - 1).abs().max()) < 0.15
    for pair in PAIRS:
        names = [place for answer in pair.answers for place in positions_of(real_model, pair.clean, answer)]
        last = len(real_model.tokenizer(pair.clean)["input_ids"]) - 1
        looks = attention_to(real_model, pair.clean, [*names, last])[29, :2]
        assert bool((looks[:, -1] > 2 * looks[:, :-1].sum(dim=-1)).all())


def test_19_2_and_20_0_turn_the_name_mover(real_model: Any) -> None:
    """Lesson 6, "What do they look at?": with them from the clean run 23.0 looks at the clean answer; on other pairs.
    The control is the other heads of their two layers, all together.
    """
    parts = anatomy(real_model)
    others = [(layer, head) for layer in (19, 20) for head in range(9) if (layer, head) not in INHIBITION]
    for pair in PAIRS:
        outputs = head_outputs(real_model, pair.clean)
        where = positions_of(real_model, pair.corrupted, pair.answers[0])[0]
        looks = []
        for heads in ((), INHIBITION, others):
            with real_model.trace(pair.corrupted):
                for layer, head in heads:
                    parts.heads(layer)[0, :, head] = outputs[layer, :, head]
                looks.append(parts.pattern(23)[0, 0, -1, where].save())  # type: ignore[attr-defined]
        untouched, turned, control = map(float, looks)
        assert turned > untouched + 0.15 and abs(control - untouched) < 0.1


# What a head writes.


def test_the_strongest_head_suppresses_the_name_that_is_said_twice(real_model: Any, copies: torch.Tensor) -> None:
    """Lesson 6, "What do they write?": 23.3 takes from the name said twice, on every pair, more than three of the other
    names' standard deviations; from the other name it does not. The control is a name mover, which takes from neither.
    Of all 270 heads only 24.4 has as low a copy score.
    """
    for pair in [OURS, *PAIRS]:
        once, twice = (answer.strip() for answer in pair.answers)
        z = {}
        for head in (SUPPRESSION, MOVERS[0]):
            given = name_logits(real_model, pair.clean, *head)
            rest = torch.tensor([value for name, value in given.items() if name not in (once, twice)])
            z[head] = [float((given[name] - rest.mean()) / rest.std()) for name in (once, twice)]
        assert z[SUPPRESSION][1] < -2.5 and z[SUPPRESSION][0] > z[SUPPRESSION][1] + 2
        assert min(z[MOVERS[0]]) > 0
    lowest = copies.flatten().argsort()[:3].tolist()
    assert sorted(lowest[:2]) == [23 * 9 + 3, 24 * 9 + 4] and float(copies.flatten()[lowest[2]]) > -2.5


def test_its_effect_is_direct_and_that_of_the_s_inhibition_heads_is_not(real_model: Any, ours: torch.Tensor) -> None:
    """Lesson 6, "What do they write?": the same on a pair that the lesson does not have."""
    direct = direct_effects(real_model, CLEAN, CORRUPTED, OURS.answers).heads
    assert float(direct[SUPPRESSION] / ours[SUPPRESSION]) > 0.9
    assert all(float(direct[place] / ours[place]) < 0.3 for place in (INDUCTION, *INHIBITION))
    pair = PAIRS[1]
    direct = direct_effects(real_model, pair.clean, pair.corrupted, pair.answers).heads
    assert float(direct[SUPPRESSION]) > 5 * max(float(direct[place].abs()) for place in (INDUCTION, *INHIBITION))


def test_where_a_head_looks_does_not_say_what_it_does(real_model: Any, copies: torch.Tensor) -> None:
    """Lesson 6, "What do they look at?": 23.0 and 24.4 look at the same name, and do the opposite with it."""
    looks = attention_to(real_model, CLEAN, positions_of(real_model, CLEAN, " Mike"))[..., 0]
    direct = direct_effects(real_model, CLEAN, CORRUPTED, OURS.answers).heads
    assert min(float(looks[MOVERS[0]]), float(looks[NEGATIVE])) > 0.5
    assert float(direct[MOVERS[0]]) > 1 and float(direct[NEGATIVE]) < -1
    assert float(copies[MOVERS[0]]) > 2.5 and float(copies[NEGATIVE]) < -2.5


def test_17_4_is_an_induction_head(real_model: Any) -> None:
    """Lesson 6, "What do they look at?": on text that means nothing too. The control is all other heads' median."""
    draw = random.Random(4)
    scores = induction_scores(real_model, [draw.randrange(1000, 40_000) for _ in range(40)])
    assert float(scores[INDUCTION]) > 0.3 > 0.05 > float(scores.median())


# Does it hold?


def test_four_heads_are_enough_on_pairs_that_did_not_choose_them(real_model: Any) -> None:
    """Lesson 6, "Enough": 20.0, 23.3, 17.4 and 29.1, on four pairs more. The controls are random sets of four, and all
    the others.
    """
    four = [(20, 0), (23, 3), (17, 4), (29, 1)]
    rest = [(layer, head) for layer in range(30) for head in range(9) if (layer, head) not in four]
    draw = random.Random(1)
    random_fours: list[Row] = [(draw.sample(rest, 4), ()) for _ in range(5)]
    rows: list[Row] = [((), ()), (four, ()), (rest, ()), *random_fours]
    fractions = []
    for pair in PAIRS:
        found = differences(real_model, pair, rows)
        clean = logit_differences(real_model, [pair.clean], [pair.answers])[0]
        fractions.append(recovered(found[1:], clean, found[0]))
    enough, others, *random_sets = torch.stack(fractions).mean(dim=0).tolist()
    assert enough > 0.85 and others < 0.4 and max(map(abs, random_sets)) < 0.4


def test_the_same_heads_lead_in_the_other_direction(real_model: Any, ours: torch.Tensor) -> None:
    """Lesson 6, "The other direction": of the eight strongest heads into corrupted, seven are among the ten strongest
    into clean, with the same sign.
    """
    clean = logit_differences(real_model, [CLEAN], [OURS.answers])[0]
    back = clean - patch_heads(real_model, CORRUPTED, CLEAN, OURS.answers, progress=False)
    first = ours.abs().flatten().topk(8).indices.tolist()
    other = back.abs().flatten().topk(10).indices.tolist()
    assert len(set(first) & set(other)) >= 7
    assert all(float(ours.flatten()[place] * back.flatten()[place]) > 0 for place in first)
