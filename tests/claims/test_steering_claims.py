"""What lesson 5 says, and the controls without which it should not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import nnsight
import pytest
import torch
from transformers.generation.logits_process import RepetitionPenaltyLogitsProcessor

from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_ids
from course_utils.steering import (
    BAD_WORDS,
    GLAD,
    GOOD_WORDS,
    POLITE,
    RUDE,
    SAD,
    concept_directions,
    contrast_directions,
    log_odds,
    odds_shift,
    removed_log_odds,
    steered_generate,
    steered_logits,
    stream_norms,
    word_ids,
)

LAYER = 16
UNSEEN = (
    "Our hotel room was",
    "The first day at school was",
    "The book that she wrote is",
    "To be honest, the party was",
    "The service there was",
    "My week has been",
)
"""Prompts that the lesson has not."""

OTHER_CONTRASTS = (
    ("island", "valley"),
    ("spoon", "hammer"),
    ("Monday", "Friday"),
    ("mother", "father"),
    ("plane", "ship"),
    ("rose", "oak"),
    ("doctor", "farmer"),
    ("piano", "drum"),
    ("lemon", "melon"),
    ("novel", "newspaper"),
)
FRAMES = ("I think about the {}", "We talked about the {}", "This is about the {}", "Tell me more about the {}")
VERSE = (
    "O silver moon above the silent sea",
    "The rose of morning weeps its dew upon the grass",
    "Soft falls the evening on the dreaming hills",
    "My heart, a bird that sings in winter's bough",
    "And golden leaves like whispers drift and die",
)
ENCYCLOPEDIA = (
    "The moon is the only natural satellite of the Earth",
    "The rose is a flowering plant of the genus Rosa",
    "Evening is the period between afternoon and night",
    "The heart is a muscular organ found in most animals",
    "Leaves are the principal organs of photosynthesis",
)


class Known(NamedTuple):
    """Directions (layer, width) and the ids of the two word lists."""

    glad: torch.Tensor
    polite: torch.Tensor
    good: list[int]
    bad: list[int]


@pytest.fixture(scope="module")
def known(real_model: Any) -> Known:
    return Known(
        concept_directions(real_model, GLAD, SAD),
        concept_directions(real_model, POLITE, RUDE),
        word_ids(real_model, GOOD_WORDS),
        word_ids(real_model, BAD_WORDS),
    )


def unit(directions: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(directions, dim=-1)


def random_directions(*shape: int, seed: int = 11) -> torch.Tensor:
    return unit(torch.randn(*shape, 576, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(scope="module")
def shifts(real_model: Any, known: Known) -> dict[str, torch.Tensor]:
    """The mean shift over the unseen prompts, of directions as long as the glad one."""
    kinds = {
        "glad": known.glad[LAYER][None],
        "against glad": -known.glad[LAYER][None],
        "polite": known.polite[LAYER][None],
        "random": random_directions(40),
        "concepts": contrast_directions(real_model, OTHER_CONTRASTS, FRAMES)[:, LAYER],
    }
    rows = known.glad[LAYER].norm() * unit(torch.cat(list(kinds.values())))
    every = [odds_shift(real_model, text, LAYER, rows, known.good, known.bad) for text in UNSEEN]
    pieces = torch.stack(every).mean(dim=0).split([len(kind) for kind in kinds.values()])
    return dict(zip(kinds, pieces, strict=True))


class TestTheShiftOfTheLogOdds:
    """Lesson 5, "Measure it" and 5.10, on prompts and random directions that the lesson has not."""

    def test_glad_moves_it_more_than_random_directions_do(self, shifts: dict[str, torch.Tensor]) -> None:
        """Two sided: forty of them reach half of it at most."""
        glad, against, null = float(shifts["glad"]), float(shifts["against glad"]), shifts["random"]
        assert glad > 1.5 * float(null.abs().max()) and glad > 3.5 * float(null.std())
        assert against < -1.5 * float(null.abs().max())

    def test_glad_moves_it_more_than_other_things_do(self, shifts: dict[str, torch.Tensor]) -> None:
        """Ten contrasts of things; the lesson has 24 others."""
        assert float(shifts["glad"]) > 1.2 * float(shifts["concepts"].max())

    def test_another_tone_moves_it_as_much(self, shifts: dict[str, torch.Tensor], known: Known) -> None:
        """5.10: so the effect is not specific to gladness. Polite against rude has hardly anything of the direction."""
        assert float(shifts["polite"]) > 0.7 * float(shifts["glad"])
        assert float(torch.cosine_similarity(known.polite[LAYER], known.glad[LAYER], dim=0)) < 0.3


def test_two_halves_share_more_than_unrelated_sentences_do(real_model: Any) -> None:
    """Lesson 5, 5.1: at layers 12 and 20 and not at 4. The null: directions from unrelated sentences, found alike.
    Their mean |cosine| is about twice that of random vectors.
    """
    plain = [
        "The bridge crosses the river", "He bought a ticket at the counter", "Our neighbour has a green car",
        "The museum opens at ten", "A bird sat on the roof", "They walk to work each day", "The box is made of paper",
        "Her uncle works on a farm", "The road turns to the left", "Some of the pages are missing",
        "The cook put salt in the pot", "It was written in a foreign language", "The window faces the yard",
        "We took the stairs to the top", "The shelf holds forty jars", "A man asked for the way",
    ]  # fmt: skip
    layers = anatomy(real_model).layers

    def read(texts: Sequence[str]) -> torch.Tensor:
        with real_model.trace(list(texts)):
            last = nnsight.save(torch.stack([layers[layer].output[:, -1] for layer in (4, 12, 20)], dim=1))
        return last  # (sentence, layer, width)

    def cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.cosine_similarity(
            one[:2].mean(dim=0) - other[:2].mean(dim=0), one[2:].mean(dim=0) - other[2:].mean(dim=0), dim=-1
        )

    ours = cosine(read(GLAD), read(SAD))
    stream, source = read(plain), torch.Generator().manual_seed(0)
    null = []
    for _ in range(100):
        order = torch.randperm(len(plain), generator=source)
        null.append(cosine(stream[order[:5]], stream[order[5:10]]).abs())
    chance = torch.stack(null)  # (draw, layer)
    assert (chance.mean(dim=0) > 0.055).all(), "more than the 0.03 of random vectors"
    limit = chance.quantile(0.95, dim=0)
    assert ours[1] > limit[1] and ours[2] > limit[2] and ours[0] < limit[0] + 0.05


def test_love_minus_hate_is_the_first_position(real_model: Any) -> None:
    """Lesson 5, "How long is it?". The control: with a line break in front the difference is as short as others."""
    assert len(token_ids(real_model, "Love")) == 1 < len(token_ids(real_model, "Hate"))
    bare, led = (concept_directions(real_model, f + "Love", f + "Hate")[LAYER].norm() for f in ("", "\n"))
    assert bare > 15_000 and led < 500


def test_the_penalty_is_a_division_or_a_multiplication() -> None:
    """Lesson 5, 5.4: of the logits of tokens that stand in the text."""
    logits = torch.tensor([[2.4, -2.4, 2.4, -2.4]])
    changed = RepetitionPenaltyLogitsProcessor(1.2)(torch.tensor([[0, 1, 1]]), logits.clone())
    torch.testing.assert_close(changed, torch.tensor([[2.0, -2.88, 2.4, -2.4]]))


def test_steering_at_the_prompt_only_loses_the_verse(real_model: Any) -> None:
    """Lesson 5, "The prompt only": also with a longer prompt. Verse is measured by its line breaks."""
    verse = concept_directions(real_model, VERSE, ENCYCLOPEDIA)[12][None]
    breaks = torch.zeros(2)
    long = "My friend wrote something about the river, the hills and the evening. It begins like this:"
    for prompt in ("The river", long):
        for row, prompt_only in enumerate((False, True)):
            [text] = steered_generate(
                real_model, prompt, 12, verse, 28, prompt_only=prompt_only, repetition_penalty=1.2
            )
            breaks[row] += text.strip().count("\n")
    assert breaks[0] >= breaks[1] + 2


def test_the_list_of_hidden_states_is_one_ahead(real_model: Any) -> None:
    """Lesson 5, "One layer apart"; and its last entry is after the final norm."""
    text, parts = "The old bridge is closed for the winter", anatomy(real_model)
    with torch.no_grad():
        states = real_model._module(
            torch.tensor([token_ids(real_model, text)]), output_hidden_states=True
        ).hidden_states
    with real_model.trace(text):
        read, put_out = parts.layers[LAYER].input.save(), parts.layers[LAYER].output.save()
        last = parts.layers[-1].output.save()
    torch.testing.assert_close(states[LAYER], read, rtol=1e-3, atol=2e-2)
    torch.testing.assert_close(states[LAYER + 1], put_out, rtol=1e-3, atol=2e-2)
    torch.testing.assert_close(states[-1], parts.normalise(last), rtol=1e-3, atol=2e-2)
    assert not torch.allclose(states[-1], last, atol=1.0)


def test_half_the_strength_is_more_than_half_the_shift(real_model: Any, known: Known) -> None:
    """Lesson 5, 5.6: in both directions, in the mean of unseen prompts."""
    rows = torch.tensor([0.5, 1.0, 2.0, -0.5, -1.0, -2.0])[:, None] * known.glad[LAYER]
    every = [odds_shift(real_model, text, LAYER, rows, known.good, known.bad) for text in UNSEEN[:4]]
    up, down = torch.stack(every).mean(dim=0).abs().split(3)
    for half, whole, twice in (up, down):
        assert half > 0.53 * whole and whole > 0.55 * twice


def test_a_bonus_at_the_last_layer_shifts_as_well(real_model: Any, known: Known) -> None:
    """Lesson 5, 5.6: at layer 29 nothing reads what is added, and the log-odds rise. Random directions of that length
    come near.
    """
    size = 0.3 * stream_norms(real_model, [*GLAD, *SAD]).median(dim=1).values[-1]
    rows = size * torch.cat([unit(known.glad[-1])[None], random_directions(20)])
    every = [odds_shift(real_model, text, 29, rows, known.good, known.bad) for text in UNSEEN[:3]]
    glad, *null = torch.stack(every).mean(dim=0).tolist()
    assert glad > 1 and glad > 1.15 * max(abs(x) for x in null)


PAIRS = (
    ("We found our lost cat and hugged each other. The day was", "Our cat was run over and we wept. The day was"),
    ("The guests praised every dish. The dinner was", "The guests complained about every dish. The dinner was"),
    ("He got the job and danced home. His mood was", "He was fired and walked home alone. His mood was"),
)


@pytest.fixture(scope="module")
def gaps(real_model: Any, known: Known) -> dict[str, float]:
    """How far apart the glad and the sad story are, without each direction, mean of the pairs."""
    late = torch.zeros_like(known.glad)
    late[-1] = known.glad[-1]
    rows = torch.cat([torch.stack([known.glad, known.polite, late]), random_directions(4, 30)])
    every = [
        removed_log_odds(real_model, happy, rows, known.good, known.bad)
        - removed_log_odds(real_model, sorry, rows, known.good, known.bad)
        for happy, sorry in PAIRS
    ]
    untouched, glad, polite, at_29, *null = torch.stack(every).mean(dim=0).tolist()
    return {
        "untouched": untouched,
        "glad": glad,
        "polite": polite,
        "at 29": at_29,
        "random": min(null),
        "mean": sum(null) / 4,
    }


class TestTakingADirectionAway:
    """Lesson 5, 5.8, on pairs of stories that the lesson has not."""

    def test_without_glad_less_is_left_than_without_random_directions(self, gaps: dict[str, float]) -> None:
        """A random direction, too, can take much of the gap; in the mean most of it stays."""
        assert gaps["untouched"] > 1 and gaps["glad"] < 0.5 * gaps["untouched"] < gaps["mean"]
        assert gaps["glad"] < gaps["random"]

    def test_without_polite_it_is_small_too(self, gaps: dict[str, float]) -> None:
        assert gaps["polite"] < 0.6 * gaps["untouched"]

    def test_a_part_of_it_goes_at_the_last_layer_alone(self, gaps: dict[str, float]) -> None:
        """There nothing reads the direction but the unembedding: so that part says nothing of the model's use of it."""
        assert gaps["glad"] < gaps["at 29"] < 0.85 * gaps["untouched"]


def test_a_sentence_in_front_does_much_of_what_steering_does(real_model: Any, known: Known) -> None:
    """Lesson 5, "Against a sentence in front": 2.3 against 3.1. The control is a sentence about a bus."""

    def odds(text: str) -> torch.Tensor:
        return log_odds(steered_logits(real_model, text, LAYER, torch.zeros(576)), known.good, known.bad)

    alone = torch.stack([odds(text) for text in UNSEEN])
    glad = known.glad[LAYER][None]
    steered = torch.cat([odds_shift(real_model, text, LAYER, glad, known.good, known.bad) for text in UNSEEN]).mean()
    for sentence, least, most in (
        ("I am so happy today.", 0.3, 1.1),
        ("Everything is wonderful.", 0.3, 1.1),
        ("The bus stops at the corner.", -0.5, 0.3),
    ):
        told = torch.stack([odds(f"{sentence} {text}") for text in UNSEEN]) - alone
        assert least * steered < told.mean() < most * steered
