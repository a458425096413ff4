"""Wrong answers to exercise 1.9."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def exchanges_two_words(model, words):
    order = list(words)
    order[1], order[2] = order[2], order[1]
    return order


def sorts_by_the_alphabet(model, words):
    order = sorted(words)
    return order if order != words else order[::-1]


def leaves_small_words_out(model, words):
    return [word for word in words[::-1] if len(word) > 3]


def gives_a_text(model, words):
    return " ".join(words[3:] + words[:3])


WRONG = [
    Wrong("1.9", exchanges_two_words, "too few words moved"),
    Wrong("1.9", sorts_by_the_alphabet, "as dear as a shuffle"),
    Wrong("1.9", leaves_small_words_out, "not the same words"),
    Wrong("1.9", gives_a_text, "not the same words"),
]
