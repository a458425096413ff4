"""What lesson 1 says, and the controls without which it should not."""

from __future__ import annotations

import math
import random
from statistics import mean
from typing import Any

import pytest
import torch

from course_utils.tokens import (
    continuation_log_probability,
    next_token_probabilities,
    sample,
    settled_surprisals,
    split_tokens,
    surprisals,
    tempered,
    token_id,
    top_next_tokens,
)

EIFFEL = "The Eiffel Tower is in the city of"
SENTENCES = (
    "The city council voted on Tuesday to repair the old bridge before the winter",
    "My grandmother baked a large apple cake for the whole family last Sunday",
    "The train to the north was late because of heavy snow on the line",
    "He put the letter into his pocket and walked slowly back to the house",
)


def pieces(model: Any, text: str) -> list[str]:
    return [token for _, token in split_tokens(model, text)]


# Text becomes tokens.


@pytest.mark.slow
def test_spelling_a_word_does_not_help_it_to_count_letters(real_model: Any) -> None:
    """Lesson 1, "Text becomes tokens": "With the letters before its eyes this model counts no better." No more right
    with than without.
    """
    from course_utils.tokens import chat_prompt

    words = (("strawberry", "r", "3"), ("banana", "a", "3"), ("river", "r", "2"), ("letter", "t", "2"))
    right = {"whole": 0, "spelled": 0}
    for word, letter, count in words:
        assert len(split_tokens(real_model, " ".join(word))) == len(word), "spelled, each letter is a token"
        for name, spelling in (("whole", word), ("spelled", " ".join(word))):
            asked = chat_prompt(real_model, f"How many letters {letter} are in the word {spelling}?")
            said = sample(real_model, asked, 12, temperature=0).rstrip(".").split()
            right[name] += f"has {count}" in " ".join(said) or f"contains {count}" in " ".join(said)
    assert right["spelled"] <= right["whole"] + 1 <= 2


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("of Paris", ["of", " Paris"]),
        ("a  b", ["a", " ", " b"]),
        ("in 7", ["in", " ", "7"]),
        ("a - b", ["a", " -", " b"]),
        ("of", ["of"]),
    ],
)
def test_a_single_space_is_alone_only_in_front_of_a_digit(text: str, cut: list[str], real_model: Any) -> None:
    """Lesson 1, "The space that is not there": "never leaves a single space alone in front of a word"; two spaces
    leave one.
    """
    assert pieces(real_model, text) == cut


def test_no_single_space_is_left_alone_in_a_text_without_digits(real_model: Any) -> None:
    """The same on longer text, and the control: with digits there are."""
    text = "When Mike and Emma went to the café (late, as usual), Mike gave a coffee to — well, to whom?"
    assert " " not in pieces(real_model, text)
    assert " " in pieces(real_model, text + " In 1984.")


def test_a_lone_space_calls_for_a_digit(real_model: Any) -> None:
    """Lesson 1, "The space that is not there": 0.98, 0.88, 0.48. The control is the same prompt without the space."""
    digits = [token_id(real_model, str(digit)) for digit in range(10)]
    for prompt, least in ((EIFFEL, 0.95), ("She opened the door and saw", 0.8), ("My name is", 0.4)):
        spaced, bare = (
            float(next_token_probabilities(real_model, text)[-1, digits].sum()) for text in (prompt + " ", prompt)
        )
        assert spaced > least > 100 * bare


def test_the_space_costs_a_factor_of_28000(real_model: Any) -> None:
    """Lesson 1, 1.4: "With the space in the prompt *Paris* is about 28,000 times less probable"."""
    bare = continuation_log_probability(real_model, EIFFEL, " Paris")
    spaced = continuation_log_probability(real_model, EIFFEL + " ", "Paris")
    assert math.exp(bare - spaced) == pytest.approx(28_000, rel=0.05)


# Logits.


def test_the_end_mark_belongs_to_questions(real_model: Any) -> None:
    """Lesson 1, 1.2: "a question is often the end of a message". Each question against its statement, at the start and
    behind a line break.
    """
    pairs = (
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Where is the station?", "The station is in the north."),
        ("Who wrote Hamlet?", "Shakespeare wrote Hamlet."),
        ("How do I cook rice?", "I cook rice every day."),
    )
    end = token_id(real_model, "<|im_end|>")
    ratios = []
    for pair in pairs:
        asked, stated = (float(next_token_probabilities(real_model, text)[-1, end]) for text in pair)
        ratios.append(asked / stated)
    assert min(ratios) > 2 and mean(map(math.log10, ratios)) > 0.8


def test_no_token_is_impossible(real_model: Any) -> None:
    """Lesson 1, 1.2: the last of the 49,152 "has about 10⁻¹⁶"."""
    with torch.no_grad():
        ids = real_model.tokenizer(EIFFEL, return_tensors="pt")["input_ids"]
        least = float(real_model._module(ids).logits[0, -1].double().log_softmax(dim=-1).min()) / math.log(10)
    assert -17 < least < -15


def test_the_second_sentence_takes_the_pattern_from_the_first(real_model: Any) -> None:
    """Lesson 1, 1.3: *is* after *Italy*. The control is the same second sentence behind one of another form."""

    def probability(first: str) -> float:
        return float(
            next_token_probabilities(real_model, f"\n{first} The capital of Italy")[-1, token_id(real_model, " is")]
        )

    patterned = probability("The capital of France is Paris.")
    for other in ("The old dog sleeps in the garden.", "Last summer we went to the sea.", "She did not like the soup."):
        assert patterned > probability(other) + 0.1


FIRST = ("The", "Paris", "7", "She", "\n", "def")


@pytest.mark.parametrize("first", FIRST)
def test_the_first_position_expects_a_hyphen_whatever_stands_there(first: str, real_model: Any) -> None:
    """Lesson 1, "The first position is a place of its own". The control is the same token in second place."""
    ((token, p),) = top_next_tokens(real_model, first, k=1)
    assert token == "-" and p > 0.3
    settled = next_token_probabilities(real_model, "Hello." + (first if first == "\n" else " " + first))[-1]
    assert float(settled[token_id(real_model, "-")]) < 0.1


def test_a_line_break_in_front_is_enough(real_model: Any) -> None:
    """Lesson 1, 1.5: *cat* costs 20.2 bits at the start, more than a blind guess, and 12.8 behind a line break; other
    leads do the same.
    """
    at_start = float(surprisals(real_model, "The cat")[0])
    assert at_start == pytest.approx(20.2, abs=0.1) and at_start > math.log2(49_152)
    behind = [
        float(settled_surprisals(real_model, "The cat", lead)[0]) for lead in ("\n", "\n\n", "Hello. ", "<|endoftext|>")
    ]
    assert behind[0] == pytest.approx(12.8, abs=0.1)
    assert all(11 < bits < 14 for bits in behind)


# Surprise.


def test_cat_surprises_more_than_moon(real_model: Any) -> None:
    """Lesson 1, 1.5: "Of all tokens the first *cat* surprises most ... *moon* is the only surprise left in the
    third".
    """
    text = "The cat sat on the mat. The cat sat on the mat. The cat sat on the moon."
    tokens, bits = pieces(real_model, text)[1:], settled_surprisals(real_model, text).tolist()
    assert tokens[bits.index(max(bits))] == " cat" and bits.index(max(bits)) == 0
    third = dict(zip(tokens[-7:], bits[-7:], strict=True))
    assert third.pop(" moon") > 3 + max(third.values())


def test_repeated_words_are_cheap_because_they_were_read(real_model: Any) -> None:
    """Lesson 1, 1.5: "In the second sentence the same words are far cheaper". The control is the same sentence behind
    another one.
    """
    sentence = "The cat sat on the mat."
    n = len(pieces(real_model, " " + sentence)) - 1
    after_itself, after_another = (
        settled_surprisals(real_model, f"{first} {sentence}")[-n:].mean()
        for first in (sentence, "We went home by train.")
    )
    assert after_itself < after_another - 1.5


def test_surprise_is_not_falsehood(real_model: Any) -> None:
    """Lesson 1, 1.5: "It does not know what is true": *Neil* and *That* cost over 9 bits; a famous false belief costs
    less than the truth.
    """
    text = (
        "In 1969, Neil Armstrong became the first person to walk on the Moon. He said: That's one small step for man."
    )
    bits = dict(zip(pieces(real_model, text)[1:], settled_surprisals(real_model, text).tolist(), strict=True))
    assert bits[" Neil"] > 9 and bits[" That"] > 9 and bits[" leap" if " leap" in bits else " step"] < 2
    true, false = (
        continuation_log_probability(real_model, "\nThe capital of Australia is", city)
        for city in (" Canberra", " Sydney")
    )
    assert false > true


def test_two_thirds_of_what_it_knows_of_a_sentence_hang_on_the_order(real_model: Any) -> None:
    """Lesson 1, "Perplexity": against shuffles as a distribution, and on other sentences too; none of 8 shuffles comes
    close.
    """
    source = random.Random(5)
    shares = []
    for sentence in SENTENCES:
        words = sentence.split()
        in_order = float(settled_surprisals(real_model, sentence + ".").mean())
        shuffles = [
            float(settled_surprisals(real_model, " ".join(source.sample(words, len(words))) + ".").mean())
            for _ in range(8)
        ]
        assert min(shuffles) > in_order + 3
        shares.append((mean(shuffles) - in_order) / (math.log2(49_152) - in_order))
    assert 0.55 < mean(shares) < 0.8


def test_not_where_a_word_stands_but_beside_whom(real_model: Any) -> None:
    """Lesson 1, 1.9: two halves exchanged, no word stands where it stood, and it costs less than half as much extra as
    a shuffle; each word exchanged with its neighbour, none moves by more than one place, and it costs as much.
    """
    source = random.Random(6)
    for sentence in SENTENCES[:3]:
        words = sentence.split()
        half = len(words) // 2
        pairs = [word for i in range(0, len(words) - 1, 2) for word in (words[i + 1], words[i])]
        in_order, exchanged, neighbours = (
            float(settled_surprisals(real_model, " ".join(order) + ".").mean())
            for order in (words, words[half:] + words[:half], pairs)
        )
        shuffled = mean(
            float(settled_surprisals(real_model, " ".join(source.sample(words, len(words))) + ".").mean())
            for _ in range(4)
        )
        assert exchanged - in_order < (shuffled - in_order) / 2 and neighbours - in_order > 0.7 * (shuffled - in_order)


def test_bits_a_token_mislead_between_languages(real_model: Any) -> None:
    """Lesson 1, "Perplexity": Finnish costs half as much again by the token and over three times as much by the
    byte.
    """
    english = "The city council voted on Tuesday to repair the old bridge before the winter."
    finnish = "Kaupunginvaltuusto päätti tiistaina korjata vanhan sillan ennen talvea."
    by_token, by_byte = [], []
    for text in (english, finnish):
        bits = settled_surprisals(real_model, text)
        by_token.append(float(bits.mean()))
        by_byte.append(float(bits.sum()) / len(text.removeprefix(pieces(real_model, text)[0]).encode()))
    assert by_token[1] / by_token[0] < 1.7 < 3 < by_byte[1] / by_byte[0]


# Choosing.


def test_each_repetition_makes_the_next_more_probable(real_model: Any) -> None:
    """Lesson 1, 1.6: on other sentences too; the last two times differ by less than they must to be ranked."""
    for sentence in ("The once-blue skies began to fade.", "A long train of old cars came into the station."):
        once = settled_surprisals(real_model, sentence)
        bits = settled_surprisals(real_model, " ".join([sentence] * 4))
        times = [float(once.mean()), *bits[len(once) :].view(3, -1).mean(dim=1).tolist()]
        assert times[0] > times[1] + 1 > times[2] + 1.5 and times[3] < times[2]


def test_a_higher_temperature_gives_the_tail_what_the_head_loses(real_model: Any) -> None:
    """Lesson 1, "Temperature": the lines cross once; behind the thousandth token more than a third at 1.5, less than a
    tenth at 1.
    """
    with torch.no_grad():
        ids = real_model.tokenizer("My favourite animal is the", return_tensors="pt")["input_ids"]
        logits = real_model._module(ids).logits[0, -1].double().sort(descending=True).values
    cool, warm, hot = (tempered(logits, t) for t in (0.5, 1.0, 1.5))
    for lower, higher in ((cool, warm), (warm, hot)):
        ahead = lower > higher
        assert ahead[0] and not ahead[-1] and int((ahead[1:] != ahead[:-1]).sum()) == 1
    assert float(hot[1000:].sum()) > 1 / 3 and float(warm[1000:].sum()) < 1 / 10
