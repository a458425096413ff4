"""What lesson 2 says, and the controls without which it should not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache
from statistics import mean
from typing import Any

import nnsight
import pytest
import torch

from course_utils.model.anatomy import anatomy
from course_utils.residual import (
    attention_patterns,
    induction_scores,
    residual_stream,
    stream_change,
    stream_parts,
    word_similarity,
)
from course_utils.tokens import token_ids

PROMPT = "The Eiffel Tower is in the city of"
STORY = (
    "The old man went to the river and his daughter sang a quiet song. It was late, and the water was cold. "
    "Nobody knew how they had come to this place, but all of them were happy to be there."
)
OTHER_STORY = (
    "In the morning we took the train to the sea. Her brother had a map of the town, "
    "and she carried a bag with bread and apples. "
    "When the rain began they went into a small shop, where nobody spoke."
)
GIANT = 507
"""The dimension of the first token's massive activation."""


def nats(logits: torch.Tensor, ids: list[int]) -> torch.Tensor:
    """The surprisal of each token but the first, from logits (position, vocabulary)."""
    return -logits[:-1].log_softmax(dim=-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


# The first position.


def test_every_first_token_gets_the_giant_and_no_other_does(real_model: Any) -> None:
    """Lesson 2, "One vector for each token": "each of our five first tokens gets it". The control is every other
    position.
    """
    for first in ("The", "Paris", "7", " banana", "def", "\n", " of"):
        stream = residual_stream(real_model, first + " and the old man went to the river")[12]
        assert int(stream[0].abs().argmax()) == GIANT and float(stream[0].norm()) > 15_000
        assert float(stream[1:].norm(dim=-1).max()) < 1_000


def test_one_mlp_writes_the_giant_and_two_take_it_away(real_model: Any) -> None:
    """Lesson 2, 2.5: MLP 11 writes it "in a single step", MLPs 28 and 29 take most of it away; whatever the first
    token is.
    """
    for text in (PROMPT, "Paris is the capital of", "def main(argument):"):
        written = stream_parts(real_model, text)[:, 0, GIANT]
        assert int(written.argmax()) == 2 * 11 + 2
        assert float(written[24]) > 0.9 * float(written[written > 0].sum())
        assert float(written[2 * 28 + 2] + written[2 * 29 + 2]) < -0.75 * float(written[24])


class TestTheGiantKeepsTheRestingPlaceQuiet:
    """Lesson 2, after 2.7: the table of five changes to what layer 11 puts out at the first token, and what is read
    from it.
    """

    @staticmethod
    def after(model: Any, change: Callable[[torch.Tensor], None], text: str = STORY) -> tuple[float, float, float]:
        parts, ids = anatomy(model), token_ids(model, text)
        with model.trace([ids]):
            change(parts.layers[11].output)
            patterns = [parts.pattern(12)]
            written = parts.attention_written(12)[0, 1:].norm(dim=-1).mean().save()
            patterns += [parts.pattern(layer) for layer in range(13, parts.n_layers)]
            attention = nnsight.save(torch.cat(patterns)[:, :, 1:, 0].mean())
            logits = model.output.logits[0].cpu().save()
        return float(attention), float(written), float(nats(logits, ids)[1:].mean())

    @staticmethod
    def leave(stream: torch.Tensor) -> None:
        pass

    @staticmethod
    def gone(stream: torch.Tensor) -> None:
        stream[:, 0, GIANT] = 0

    @staticmethod
    def like_others(stream: torch.Tensor) -> None:
        stream[:, 0] = stream[:, 1:].mean(dim=1)

    @staticmethod
    def alone(stream: torch.Tensor) -> None:
        giant = stream[:, 0, GIANT].clone()
        stream[:, 0] = 0
        stream[:, 0, GIANT] = giant

    @pytest.mark.parametrize("text", [STORY, OTHER_STORY], ids=["the story", "another"])
    def test_without_it_the_text_is_lost_although_heads_still_rest_there(self, real_model: Any, text: str) -> None:
        """The third row: 12.6 nats, 41 %, and attention 12 writes three times as much."""
        resting, written, surprise = self.after(real_model, self.leave, text)
        left, more, lost = self.after(real_model, self.gone, text)
        assert lost > surprise + 6 and left > 0.5 * resting and more > 2 * written

    @pytest.mark.parametrize("text", [STORY, OTHER_STORY], ids=["the story", "another"])
    def test_without_a_resting_place_the_model_still_reads(self, real_model: Any, text: str) -> None:
        """The fourth row: 2 % rest, 3.7 nats. So lost resting does not explain the 10 nats."""
        _, _, surprise = self.after(real_model, self.leave, text)
        resting, _, without = self.after(real_model, self.like_others, text)
        assert resting < 0.1 and without < surprise + 2

    @pytest.mark.parametrize("text", [STORY, OTHER_STORY], ids=["the story", "another"])
    def test_the_giant_alone_is_enough(self, real_model: Any, text: str) -> None:
        """The fifth row: 507 kept and all else 0."""
        _, _, surprise = self.after(real_model, self.leave, text)
        resting, _, kept = self.after(real_model, self.alone, text)
        assert abs(kept - surprise) < 0.3 and resting > 0.35

    @pytest.mark.parametrize("text", [STORY, OTHER_STORY], ids=["the story", "another"])
    def test_what_is_found_there_is_short_because_of_the_giant(self, real_model: Any, text: str) -> None:
        """The column "its value", in all layers and not in one: the heads that rest most find least. The control is the
        same without the giant.
        """
        parts, ids = anatomy(real_model), token_ids(real_model, text)
        ratios = []
        for change in (self.leave, self.gone):
            found, resting = [], []
            with real_model.trace([ids]):
                change(parts.layers[11].output)
                for layer in range(12, 28):
                    found.append(parts.attentions[layer].v_proj.output[0].unflatten(-1, (3, 64)).norm(dim=-1).save())
                    resting.append(parts.pattern(layer)[0, :, 1:, 0].mean(dim=-1).save())  # type: ignore[attr-defined]
            lengths = torch.stack(found)  # (layer, position, key/value head)
            ratio = (lengths[:, 0] / lengths[:, 1:].mean(dim=1)).repeat_interleave(3, dim=1)  # (layer, head)
            ratios.append((ratio, torch.stack(resting)))
        with_it, without = ratios
        assert float(with_it[0].max()) < 0.7 and float(with_it[0].mean()) < 0.35
        assert float(with_it[0][with_it[1] > 0.9].mean()) < 0.25, "who rests most takes least along"
        assert float(without[0][:2].min()) > 0.9, "layers 12 and 13 find a long one"

    def test_another_token_can_lose_its_largest_number(self, real_model: Any) -> None:
        """The second row, at six positions and not at one."""
        _, _, surprise = self.after(real_model, self.leave)
        for position in (2, 5, 9, 14, 20, 25):

            def largest_gone(stream: torch.Tensor, position: int = position) -> None:
                stream[:, position, stream[0, position].abs().argmax()] = 0

            assert self.after(real_model, largest_gone)[2] < surprise + 0.5


# What is left of a token; senses.


def test_the_token_can_still_be_told_at_the_end(real_model: Any) -> None:
    """Lesson 2, 2.5: "So the token *can* still be told at the end, in three of four cases" (57 of 77, 4 by chance)."""
    texts = (
        "The old man went to the river and his daughter sang a quiet song.",
        "A quiet song came from the river, and the old man listened to it.",
        "His daughter went to the city in the summer to see the old house.",
        "In the summer the water of the river was cold and the city was quiet.",
    )
    read = [
        (n, token, place)
        for n, text in enumerate(texts)
        for place, token in enumerate(token_ids(real_model, "\n" + text))
        if place > 1
    ]
    number, token = (torch.tensor([entry[i] for entry in read]) for i in (0, 1))
    elsewhere = number[:, None] != number[None]
    same = (token[:, None] == token[None]) & elsewhere
    asked = same.any(dim=1)
    streams = [residual_stream(real_model, "\n" + text)[30] for text in texts]
    vectors = torch.stack([streams[n][place] for n, _, place in read])
    alike = torch.cosine_similarity(vectors[:, None], vectors[None], dim=-1).masked_fill(~elsewhere, -2.0)
    found = float(same[torch.arange(len(read)), alike.argmax(dim=1)][asked].float().mean())
    chance = float((same.sum(dim=1) / elsewhere.sum(dim=1))[asked].mean())
    assert found > 0.55 > 5 * chance
    share = stream_parts(real_model, PROMPT)[0, -1] @ residual_stream(real_model, PROMPT)[-1, -1]
    assert abs(float(share)) < 0.01 * float(residual_stream(real_model, PROMPT)[-1, -1].square().sum()), (
        "its direction is gone"
    )


CROSSED = {
    ("snap", "verb"): (
        "If you drop the glass on the floor, it will break",
        "Be careful with the old vase, because it may break",
        "The branch was thin, and under his weight it would break",
        "Do not bend the plastic too far, or it could break",
    ),
    ("snap", "noun"): (
        "The doctor looked at the bone in his arm and saw a break",
        "The water ran out of the pipe, where we found a break",
        "The plate had fallen, and along its edge there was a break",
        "On the X-ray of her leg one could see a break",
    ),
    ("pause", "verb"): (
        "We have worked for three hours, so it is time to break",
        "The meeting was long, and at noon we decided to break",
        "The judge said that the court would now break",
        "The players were tired, and at half past ten they would break",
    ),
    ("pause", "noun"): (
        "We have worked for three hours, so let us take a break",
        "After the long meeting everyone needed a coffee break",
        "The judge said that the court would now have a break",
        "The players were tired, and at half past ten there was a break",
    ),
}


@pytest.mark.parametrize("depth", [10, 15, 20])
def test_part_of_speech_counts_for_more_than_sense(depth: int, real_model: Any) -> None:
    """Lesson 2, 2.3: 0.85 against 0.81 over 32 pairs each. The control: against the sentences' labels of part of
    speech shuffled.
    """
    kinds = [kind for kind, texts in CROSSED.items() for _ in texts]
    stream = streams_of(real_model)[:, depth]
    cosines = torch.cosine_similarity(stream[:, None], stream[None], dim=-1)

    def mean_of(same_sense: bool, same_speech: bool, speech: list[str]) -> float:
        pairs = itertools.combinations(range(len(kinds)), 2)
        return mean(
            float(cosines[i, j])
            for i, j in pairs
            if (kinds[i][0] == kinds[j][0]) == same_sense and (speech[i] == speech[j]) == same_speech
        )

    real = [kind[1] for kind in kinds]
    assert mean_of(False, True, real) > mean_of(True, False, real) + 0.01
    assert mean_of(True, True, real) > mean_of(False, True, real) + 0.03
    assert mean_of(True, False, real) > mean_of(False, False, real), "sense counts too"
    generator = torch.Generator().manual_seed(0)
    gaps = []
    for _ in range(50):
        order = torch.randperm(16, generator=generator).tolist()
        shuffled = [real[i] for i in order]
        gaps.append(mean_of(False, True, shuffled) - mean_of(False, False, shuffled))
    assert mean_of(False, True, real) - mean_of(False, False, real) > sorted(gaps)[-2]


@cache
def streams_of(model: Any) -> torch.Tensor:
    """The stream of " break" in the sixteen sentences, (sentence, depth, width)."""
    return torch.stack([residual_stream(model, text)[:, -1] for texts in CROSSED.values() for text in texts])


def test_the_words_before_count_for_more_than_the_sense(real_model: Any) -> None:
    """Lesson 2, 2.3: a pause with the run-up of the fracture is nearer to it than any breaking glass; so are other
    pauses with that run-up.
    """
    fracture = "The doctor looked at the bone in his arm and saw a break"
    near = [float(word_similarity(real_model, fracture, text, " break")[15]) for text in CROSSED["snap", "verb"]]
    for text in (
        "The manager looked at the plan for the day and saw a break",
        "The teacher looked at the clock in the room and saw a break",
        "The nurse looked at the plan of the week and saw a break",
    ):
        assert float(word_similarity(real_model, fracture, text, " break")[15]) > max(near) + 0.02


def test_a_stroke_of_luck_is_nearer_to_the_pause_than_to_the_glass(real_model: Any) -> None:
    """Lesson 2, 2.4: a noun beside a noun. With three sentences of that sense, against the means over four of each."""
    kinds = list(CROSSED)
    streams = streams_of(real_model)[:, 15]
    for luck in (
        "After years of bad luck the actor got his big break",
        "The film was for the young singer a lucky break",
        "Everybody wants to be famous, but few get such a break",
    ):
        own = residual_stream(real_model, luck)[15, -1]
        near = torch.cosine_similarity(own[None], streams, dim=-1).view(4, 4).mean(dim=1)
        assert float(near[kinds.index(("pause", "noun"))]) > float(near[kinds.index(("snap", "verb"))]) + 0.01


def test_the_end_of_the_stream_is_about_what_comes_next(real_model: Any) -> None:
    """Lesson 2, after 2.4: another word in the same sentence is at the last depth more alike than the same word in
    another one, and far less alike at depth 5; for four words and not for one.
    """
    for frame, words, elsewhere in (
        ("We have worked for three hours, so let us take a {}", ("break", "walk"), "Everyone needed a coffee break"),
        ("In the evening they sat by the {}", ("river", "fire"), "The old man went to the river"),
        ("My brother would like to buy a new {}", ("house", "car"), "The children painted the house"),
        ("On Sunday she read a long {}", ("book", "letter"), "Nobody could find the old book"),
    ):
        one, other, same = (residual_stream(real_model, text)[:, -1] for text in (*map(frame.format, words), elsewhere))
        another_word, another_sentence = (torch.cosine_similarity(one, each, dim=-1) for each in (other, same))
        assert float(another_word[5]) < float(another_sentence[5]) - 0.1
        assert float(another_word[0]) + 0.3 < float(another_word[5]) < float(another_word[15]) < float(another_word[25])
        assert float(another_word[30] - another_sentence[30]) > -0.02


@pytest.mark.parametrize("text", [PROMPT, "She opened the door and saw", "My favourite animal is the"])
def test_the_last_mlp_writes_the_most_by_far(text: str, real_model: Any) -> None:
    """Lesson 2, 2.5: "the very last MLP by far"; and of the last token's vector less than half is there at nine
    tenths.
    """
    terms = stream_parts(real_model, text)[:, -1]
    lengths = terms.norm(dim=-1)
    assert int(lengths.argmax()) == 60 and float(lengths[60]) > 1.5 * float(lengths[:60].max())
    final = terms.sum(dim=0)
    assert float(terms[:54].sum(dim=0) @ final / final.dot(final)) < 0.5


# One layer by hand.


def test_a_turned_product_depends_on_the_distance_alone(real_model: Any) -> None:
    """Lesson 2, "by hand": the product of a turned query and key, with transformers' own turning. The control: at
    another distance it is another.
    """
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    query, key = torch.randn(2, 1, 1, 1, 64, generator=torch.Generator().manual_seed(0)).double()

    def product(at_query: int, at_key: int) -> float:
        rotary = real_model._module.model.rotary_emb
        (q_cos, q_sin), (k_cos, k_sin) = (rotary(query, torch.tensor([[place]])) for place in (at_query, at_key))
        turned_query, _ = apply_rotary_pos_emb(query, query, q_cos, q_sin)
        _, turned_key = apply_rotary_pos_emb(key, key, k_cos, k_sin)
        return float((turned_query * turned_key).sum())

    assert product(9, 4) == pytest.approx(product(5, 0), abs=1e-3) == product(105, 100)
    assert abs(product(9, 4) - product(9, 5)) > 0.1


def test_few_gates_stand_open(real_model: Any) -> None:
    """Lesson 2, "by hand": of the 1,536 gates of layer 16 few are above 0.5; for every token but the first, and none
    far below 0.
    """
    gates: list[torch.Tensor] = []
    hook = real_model._module.model.layers[16].mlp.act_fn.register_forward_hook(
        lambda module, inputs, output: gates.append(output[0])
    )
    try:
        with torch.no_grad():
            real_model._module(torch.tensor([token_ids(real_model, STORY)]))
    finally:
        hook.remove()
    share = (gates[0][1:] > 0.5).float().mean(dim=-1)
    assert float(share.max()) < 0.25 and float(share.mean()) < 0.15
    assert float(gates[0].min()) > -0.3


# Causality; the mask.


def test_the_change_seeps_in_for_other_words_too(real_model: Any) -> None:
    """Lesson 2, 2.2: most into the next word, and "about a fifth" at the end; with other words in the place of "
    market".
    """
    before = "The old man went to the river and his daughter sang a quiet song"
    for word in ("market", "house", "war", "sea"):
        change = stream_change(real_model, before, before.replace("river", word))
        assert (change[:, :6] == 0).all()
        assert int(change[30, 7:].argmax()) == 0 and 0.05 < float(change[30, -1]) < 0.4


# Heads.


def random_half(seed: int, n: int = 30) -> list[int]:
    return torch.randint(1000, 40000, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def led_scores(model: Any, half: list[int], lead: str = "\n") -> torch.Tensor:
    front = token_ids(model, lead)
    queries = torch.arange(len(half), 2 * len(half)) + len(front)
    return attention_patterns(model, front + half + half)[:, :, queries, queries - len(half) + 1].mean(dim=-1)


def test_the_second_red_finds_the_river_behind_any_token(real_model: Any) -> None:
    """Lesson 2, 2.9: 0.15 at the start, 0.96 and more with anything in front."""
    repeated = token_ids(real_model, " red river seven music stone Paris" * 2)
    assert float(attention_patterns(real_model, repeated)[18, 6, 6, 1]) < 0.4
    for lead in ("\n", "The", " and", ".", " dog the"):
        front = token_ids(real_model, lead)
        pattern = attention_patterns(real_model, front + repeated)[18, 6]
        assert float(pattern[len(front) + 6, len(front) + 1]) > 0.85


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_first_position_lowers_the_scores_of_induction(seed: int, real_model: Any) -> None:
    """Lesson 2, 2.9: "the five best are higher with a line break in front", on other random sequences in the mean."""
    half = random_half(seed)
    bare, led = induction_scores(real_model, half), led_scores(real_model, half)
    best = bare.flatten().topk(5).indices
    assert float(led.flatten()[best].mean()) > float(bare.flatten()[best].mean()) + 0.02
    assert int((led > 0.5).sum()) >= int((bare > 0.5).sum())
    assert int(led.argmax()) == 18 * 9 + 6, "18.6 is the strongest on each"


def test_induction_heads_lie_above_the_previous_token_heads(real_model: Any) -> None:
    """Lesson 2, 2.9: "from layer 17 on", on three random sequences. The control: on a sequence that does not repeat no
    head scores.
    """
    for seed in (0, 1, 2):
        layers = led_scores(real_model, random_half(seed)).flatten().topk(5).indices // 9
        assert int(layers.min()) >= 16
    once = random_half(3, 60)
    queries = torch.arange(30, 60) + 1
    pattern = attention_patterns(real_model, token_ids(real_model, "\n") + once)
    assert float(pattern[:, :, queries, queries - 29].mean(dim=-1).max()) < 0.3


def test_the_repetition_is_cheap_only_when_it_repeats(real_model: Any) -> None:
    """Lesson 2, "Heads that continue a repetition": 13.8 nats, then 1.8. The control is a second half of other
    tokens.
    """
    front, half = token_ids(real_model, "\n"), random_half(0)
    means = []
    for second in (half, random_half(9)):
        ids = front + half + second
        with torch.no_grad():
            logits = real_model._module(torch.tensor([ids])).logits[0]
        means.append(float(nats(logits, ids)[-30:].mean()))
    assert means[0] < 3 and means[1] > 10.8


@pytest.mark.parametrize("text", [STORY, OTHER_STORY], ids=["the story", "another"])
def test_heads_rest_where_a_large_vector_stands(text: str, real_model: Any) -> None:
    """Lesson 2, after 2.7: "more than a third of all heads"; in layers 3 to 9 and from 12 on, hardly in 10 and 11."""
    to_first = attention_patterns(real_model, token_ids(real_model, text))[:, :, 1:, 0].mean(dim=-1)
    assert float((to_first > 0.5).float().mean()) > 1 / 3
    by_layer = to_first.mean(dim=1)
    assert float(by_layer[3:10].min()) > 1.5 * float(by_layer[10:12].max())
    assert float(by_layer[12:].min()) > 2 * float(by_layer[10:12].max())


def test_the_greatest_over_the_least_head_finds_the_head_that_rests(real_model: Any) -> None:
    """Lesson 2, "Further": it is largest in layer 18 for a name and for *to*, in other sentences as well, since a head
    of that layer finds the same everywhere.
    """
    parts = anatomy(real_model)
    for text, word in (
        ("When Mike and Emma went to the cafe, Emma gave a coffee to", " Emma"),
        ("When Mike and Emma went to the cafe, Emma gave a coffee to", " to"),
        ("\nThe old man went to the river and his daughter sang by the river in the evening", " river"),
        ("\nShe bought bread and a bottle of milk, and when she came home the bread was gone", " bread"),
    ):
        ids = token_ids(real_model, text)
        first, second = (place for place, token in enumerate(ids) if token == token_ids(real_model, word)[0])
        with real_model.trace([ids]):
            outputs = nnsight.save(torch.stack([parts.heads(layer)[0] for layer in range(parts.n_layers)]))
        distance = (outputs[:, second] - outputs[:, first]).norm(dim=-1)
        ratio = distance.amax(dim=1) / distance.amin(dim=1)
        assert int(ratio.argmax()) == 18 and int(distance[18].argmin()) == 8
        assert float(ratio[18]) > 20 * float(ratio[:17].max())
