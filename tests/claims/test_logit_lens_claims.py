"""What lesson 4 says, and the controls without which it should not."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import nnsight
import pytest
import torch

from course_utils.logit_lens import (
    LANDMARKS,
    ablate_parts,
    english,
    fit_translator,
    follow_token,
    frozen_norm,
    kl_from_last,
    logit_attribution,
    normed_stream,
    settled_depth,
)
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id, token_ids
from course_utils.residual import residual_stream, stream_parts

PARIS = "The Eiffel Tower is in the city of"
OTHER_TEXTS = (
    "The farmer went to the river with his dog, and they waited for the boat until the evening came.",
    "A small company from the north has built a machine that can read old letters and print them again.",
)
LOUD, OTHER_NEGATIVE = 17, 247
"""The two dimensions whose gain in the final norm is negative."""


def log_probs(model: Any, text: str) -> torch.Tensor:
    """The lens at each depth and position, (depth, position, vocabulary)."""
    return anatomy(model).unembed(residual_stream(model, text)).log_softmax(dim=-1)


def first_tokens(model: Any, prompts: list[str]) -> list[str]:
    """The most probable next token after each of several prompts of one length."""
    with torch.no_grad():
        logits = model._module(torch.tensor([token_ids(model, prompt) for prompt in prompts])).logits[:, -1]
    return [model.tokenizer.decode([i]) for i in logits.argmax(dim=-1).tolist()]


# The norm.


def test_one_gain_is_about_half_of_what_the_raw_lens_gets_wrong(real_model: Any) -> None:
    """Lesson 4, "What the norm is for": on texts that the lesson has not. The controls: the other negative gain, and
    the largest of the other dimensions.
    """
    parts = anatomy(real_model)
    gain = parts.norm.weight
    assert set((gain < 0).nonzero().flatten().tolist()) == {LOUD, OTHER_NEGATIVE}
    residual = torch.cat([residual_stream(real_model, text)[-1, 1:] for text in OTHER_TEXTS])
    own = parts.unembed(residual).argmax(dim=-1)

    def right(dimension: int) -> float:
        changed = residual.clone()
        changed[:, dimension] *= -1
        return float((parts.logits(changed).argmax(dim=-1) == own).float().mean())

    bare = float((parts.logits(residual).argmax(dim=-1) == own).float().mean())
    assert bare < 0.2 and bare + 0.15 < right(LOUD) < 0.85
    largest = [d for d in residual.abs().mean(dim=0).topk(7).indices.tolist() if d != LOUD]
    assert all(right(d) < bare + 0.1 for d in [OTHER_NEGATIVE, *largest])


# All positions.


def test_at_the_first_position_the_lens_shows_one_column_whatever_the_token(real_model: Any) -> None:
    """Lesson 4, after 4.2: " the" with 0.03 from depth 12 to 29. The control is the second position."""
    parts = anatomy(real_model)
    stream = torch.stack(
        [residual_stream(real_model, first + " man went")[12:30, :2] for first in ("The", "Paris", "7")]
    )
    logits = parts.unembed(stream)  # (first token, depth, position, vocabulary)
    first = logits[:, :, 0]
    the = first[..., [token_id(real_model, " the")]]
    assert int((first > the).sum(dim=-1).max()) <= 2
    assert float(first.softmax(dim=-1).amax()) < 0.1
    assert len(set(logits[:, :, 1].argmax(dim=-1).flatten().tolist())) > 1


def test_the_bare_space_is_near_the_front_almost_anywhere(real_model: Any) -> None:
    """Lesson 4, "Colour can carry other things": at depth 15 on other texts. The control: " a", and " Tower"."""
    found = []
    for token in (" ", " Tower"):
        ranks = []
        for text in OTHER_TEXTS:
            logits = anatomy(real_model).unembed(residual_stream(real_model, text)[15, 1:])
            ranks.append((logits > logits[:, [token_id(real_model, token)]]).sum(dim=-1) + 1)
        found.append(torch.cat(ranks).float().median())
    assert found[0] <= 12 and found[1] > 1_000


@pytest.fixture(scope="module")
def other_lens(real_model: Any) -> torch.Tensor:
    return log_probs(real_model, OTHER_TEXTS[0])


def test_the_early_lens_is_sure_and_wrong(real_model: Any, other_lens: torch.Tensor) -> None:
    """Lesson 4, before 4.3: an entropy near 1 nat from depth 1 to 20, as undecided as the model only at the end."""
    entropy = -(other_lens.exp() * other_lens).sum(dim=-1)[:, 1:].mean(dim=1)
    own = other_lens.argmax(dim=-1)
    agree = (own == own[-1])[1:21, 1:].float().mean()
    assert float(entropy[1:21].max()) < 2.2 < float(entropy[-1]) - 0.5 and float(agree) < 0.25


def test_the_distance_grows_before_it_shrinks(real_model: Any, other_lens: torch.Tensor) -> None:
    """Lesson 4, 4.4."""
    mean = kl_from_last(other_lens)[:, 1:].mean(dim=1)
    assert mean[16] > mean[1] + 1 and mean[20] > 0.75 * mean[16] and mean[28] < 0.3 * mean[16]


def test_what_settles_last_is_less_sure(real_model: Any, other_lens: torch.Tensor) -> None:
    """Lesson 4, 4.5: 4.0 nats against 2.8."""
    settled = settled_depth(other_lens.argmax(dim=-1))[1:]
    entropy = -(other_lens[-1].exp() * other_lens[-1]).sum(dim=-1)[1:]
    assert entropy[settled == 30].mean() > entropy[settled < 30].mean() + 0.5


# Answers.


def test_paris_jumps_in_layer_23_and_so_do_other_answers(real_model: Any) -> None:
    """Lesson 4, 4.3: among the thousands before, and "three of four curves". The control is the digit."""
    rank = follow_token(real_model, PARIS, " Paris")["rank"]
    assert int(rank[:24].min()) > 2_000 and int(rank[24]) < 1_500
    assert (rank[24:29] > rank[25:30]).all() and rank[29] == rank[30] == 1
    curves = {
        "The Colosseum is in the city of": " Rome",
        "import numpy as np\nimport pandas as": " pd",
        "import numpy as": " np",
        "3 + 5 = 8\n4 + 2 = 6\n6 + 3 = ": "9",
    }
    falls = []
    for prompt, token in curves.items():
        rank = follow_token(real_model, prompt, token)["rank"]
        falls.append(float(rank[23] / rank[24]))
    assert min(falls[:3]) > 2 > falls[3]


def test_without_anything_in_front_apple_is_not_first(real_model: Any) -> None:
    """Lesson 4, "Memory against context": and with "The" in front it is not either."""
    ranks = {
        front: int(follow_token(real_model, front + "IPhone was developed by", " Apple")["rank"][-1])
        for front in ("", "The ", "\n", ". ", "Note: ", "\n\n", "1. ")
    }
    assert [front for front, rank in ranks.items() if rank > 1] == ["", "The "]


def test_windows_is_heard_and_the_memory_wins(real_model: Any) -> None:
    """Lesson 4, "Memory against context". The controls: a bridge, a washing machine, and an operating system that is
    not Windows.
    """
    probability = {}
    for meaning in ("Windows operating system", "operating system", "an old wooden bridge", "washing machine"):
        prompt = f"\nIn this text the word IPhone means {meaning}. IPhone was developed by"
        assert int(follow_token(real_model, prompt, " Apple")["rank"][-1]) == 1
        probability[meaning] = float(follow_token(real_model, prompt, " Microsoft")["probability"][-1])
    windows, system, *others = probability.values()
    assert windows > 1.5 * system and system > 1.3 * max(others)


def test_a_name_from_the_context_parts_in_layer_23(real_model: Any) -> None:
    """Lesson 4, "Memory against context": up to depth 23 the sentence in front moves the name little; another name in
    another story too.
    """
    bare = "\nIPhone was developed by"
    for story, name in (
        ("In this story, IPhone is a bakery founded by Maria.", " Maria"),
        ("In this book, IPhone is a ship made by Thomas.", " Thomas"),
    ):
        told = f"\n{story} IPhone was developed by"
        moved = [
            math.log(
                follow_token(real_model, bare, name)["rank"][depth]
                / follow_token(real_model, told, name)["rank"][depth]
            )
            for depth in (20, 21, 22, 23, 24)
        ]
        assert all(abs(step) < 1.2 for step in moved[:4]) and moved[4] > 1.2


def test_it_does_not_add_two_digits(real_model: Any) -> None:
    """Lesson 4, "A sum, and an import": on sums that the lesson has not. By chance the most frequent digit would do
    better.
    """
    sums = [(a, b) for a in range(13, 70, 7) for b in range(13, 30, 4)]
    answers = first_tokens(real_model, [f"{a} + {b} = " for a, b in sums])
    assert sum(str(a + b)[0] == answer for (a, b), answer in zip(sums, answers, strict=True)) < 0.25 * len(sums)
    assert set(answers) <= set("123456")


def test_a_digit_comes_before_the_right_digit(real_model: Any) -> None:
    """Lesson 4, "A sum, and an import": behind two other sums than the lesson's."""
    small = [(a, b) for a in range(1, 9) for b in range(1, 10) if a + b < 10]
    parts = anatomy(real_model)
    with real_model.trace([f"1 + 6 = 7\n5 + 3 = 8\n{a} + {b} = " for a, b in small]) as tracer:
        stream = nnsight.save(torch.stack([layer.output[:, -1] for layer in parts.layers]))
        tracer.stop()
    first = parts.unembed(stream[24:]).argmax(dim=-1).tolist()  # from depth 25 on
    tokens = [[real_model.tokenizer.decode([i]) for i in row] for row in first]
    digits = [sum(t.isdigit() for t in row) for row in tokens]
    right = [sum(t == str(a + b) for t, (a, b) in zip(row, small, strict=True)) for row in tokens]
    assert digits[0] > 20 and digits[0] > right[0] + 8 and right[-1] > 24


# Who wrote, and who was needed.


def test_attention_or_mlps_depends_on_the_question(real_model: Any) -> None:
    """Lesson 4, 4.6."""
    ahead = []
    for against in (" Rome", " London", " the"):
        shares = logit_attribution(real_model, PARIS, " Paris", against)
        ahead.append(float(shares[1:-1:2].sum() - shares[2:-1:2].sum()))
    assert ahead[0] > 0.5 and ahead[1] < -0.5 and ahead[2] < -0.5


def test_attention_23_brings_what_belongs_to_the_landmark(real_model: Any) -> None:
    """Lesson 4, 4.6: the city's token stands far ahead of where the other landmarks have it."""
    cities = {"The Eiffel Tower": " Paris", "The Kremlin": " Moscow", "The Colosseum": " Rome"}
    ranks = torch.zeros(3, 3)
    for row, landmark in enumerate(cities):
        written = stream_parts(real_model, f"{landmark} is in the city of")[:, -1]
        logits = anatomy(real_model).logits(frozen_norm(real_model, written.sum(dim=0))(written[47]))
        for column, city in enumerate(cities.values()):
            ranks[row, column] = (logits > logits[token_id(real_model, city)]).sum() + 1
    own = ranks.diagonal()
    assert (own <= 20).all()
    assert (ranks + torch.diag(torch.full((3,), 1e6))).amin(dim=0).gt(5 * own).all()


@pytest.fixture(scope="module")
def silenced(real_model: Any) -> Iterator[dict[str, torch.Tensor]]:
    """For each landmark the probabilities (untouched, without attention 22, without attention 23; vocabulary)."""
    yield {
        landmark: ablate_parts(real_model, f"{landmark} stands in the city of", [45, 47]).softmax(dim=-1)
        for landmark in (*LANDMARKS, "The Uffizi")
    }


def test_attention_23_is_needed_after_other_landmarks(silenced: dict[str, torch.Tensor]) -> None:
    """Lesson 4, 4.8: with another sentence and one more landmark. The control is attention 22."""
    kept = torch.stack([p[:, p[0].argmax()] / p[0].max() for p in silenced.values()])  # (landmark, 3)
    assert float(kept[:, 1].min()) > 0.7, "attention 22 does next to nothing"
    assert int((kept[:, 2] < 0.5).sum()) >= 8 and float(kept[:, 2].median()) < 0.4
    fallen = [name for name, p in silenced.items() if p[0].argmax() != p[2].argmax()]
    assert 2 <= len(fallen) <= 7 and "The Eiffel Tower" not in fallen and "The Parthenon" in fallen


def test_share_and_loss_agree_no_better_than_a_little(real_model: Any) -> None:
    """Lesson 4, "Attribution beside ablation": nothing on the lesson's prompt, and never more than a hint on others."""
    likeness = []
    for prompt, token, against in (
        (PARIS, " Paris", " Rome"),
        ("The Kremlin is in the city of", " Moscow", " Berlin"),
    ):
        logits = ablate_parts(real_model, prompt)
        gaps = logits[:, token_id(real_model, token)] - logits[:, token_id(real_model, against)]
        shares = logit_attribution(real_model, prompt, token, against)[1:-1]
        likeness.append(float(torch.corrcoef(torch.stack([shares, gaps[0] - gaps[1:]]))[0, 1]))
    assert abs(likeness[0]) < 0.25 and likeness[1] < 0.8


# The fitted lens.


@pytest.fixture(scope="module")
def fitted(real_model: Any) -> dict[int, tuple[torch.Tensor, torch.Tensor]]:
    """The maps of depths 0, 15, 24; under 30 the mean of the last depth in place of a bias."""
    stream = normed_stream(real_model, english(real_model, windows=40))
    maps = {depth: fit_translator(stream[depth], stream[-1]) for depth in (0, 15, 24)}
    return {**maps, 30: (torch.zeros(0), stream[-1].mean(dim=0))}


def test_a_constant_makes_most_of_the_fitted_lens_gain(
    real_model: Any, fitted: dict[int, tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """Lesson 4, 4.7: 16.3 nats, 4.3 for a constant, 2.0 for the fitted lens; 3.3 with the present token alone."""
    parts = anatomy(real_model)
    test = normed_stream(real_model, english(real_model, windows=4, held_out=True))
    last = parts.logits(test[-1]).log_softmax(dim=-1)

    def nats(read: torch.Tensor) -> float:
        return float((last.exp() * (last - parts.logits(read).log_softmax(dim=-1))).sum(dim=-1).mean())

    lens, constant = nats(test[15]), nats(fitted[30][1].expand_as(test[15]))
    by_map, token_alone = (nats(test[d] @ fitted[d][0] + fitted[d][1]) for d in (15, 0))
    assert 0.7 < (lens - constant) / (lens - by_map) < 0.95
    equal = math.log(last.shape[1]) + float((last.exp() * last).sum(dim=-1).mean())
    assert equal < 0.7 * lens, "even equal probabilities are nearer"
    assert by_map + 0.5 < token_alone < constant - 0.3


def test_before_layer_23_it_is_a_city_and_then_which(
    real_model: Any, fitted: dict[int, tuple[torch.Tensor, torch.Tensor]]
) -> None:
    """Lesson 4, "What the lens cannot tell": under the map of depth 24 " Paris" stands about as high at depth 23 after
    any landmark or none. At depth 24 it is first after the Eiffel Tower and nowhere else.
    """
    parts = anatomy(real_model)
    matrix, bias = fitted[24]
    begins = (
        "The Eiffel Tower is in",
        "The Colosseum is in",
        "The Kremlin is in",
        "She lived in",
        "The Parthenon is in",
    )

    def rank(begin: str, depth: int) -> int:
        residual = residual_stream(real_model, f"{begin} the city of")[depth, -1]
        logits = parts.logits(parts.normalise(residual) @ matrix + bias)
        return int((logits > logits[token_id(real_model, " Paris")]).sum()) + 1

    early = [rank(begin, 23) for begin in begins]
    tower, *others = (rank(begin, 24) for begin in begins)
    assert max(early) <= 10 * early[0]
    assert tower <= 2 and min(others) >= 5 * tower
    assert 5 * max(early) < min(rank(begin, 20) for begin in begins)
