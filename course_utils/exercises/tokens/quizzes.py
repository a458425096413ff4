"""Lesson 1's questions with answers to choose from."""

from __future__ import annotations

import math
from typing import Any

from course_utils.exercises.quizzing import Option, Quiz
from course_utils.tokens import continuation_log_probability, next_token_probabilities, split_tokens, token_ids

EIFFEL = "The Eiffel Tower is in the city of"


def _two_numbers(model: Any) -> tuple[bool, str]:
    (plain,), (spaced,) = token_ids(model, "Paris"), token_ids(model, " Paris")
    return plain != spaced, f"'Paris' is token {plain}, ' Paris' is token {spaced}."


def _characters(model: Any) -> tuple[bool, str]:
    text = "The city council voted on Tuesday to repair the old bridge before the winter."
    n = len(split_tokens(model, text))
    return n < len(text) / 2, f"a sentence of {len(text)} characters is {n} tokens."


def _shift(model: Any) -> tuple[bool, str]:
    with model.trace(EIFFEL):
        row = model.output.logits[0, -1].save()
    apart = float((row.softmax(-1) - (row + 100).softmax(-1)).abs().max())
    return apart < 1e-3, f"with 100 added to every logit the probabilities move by less than 0.001: {apart < 1e-3}."


def _unsure_is_fine(model: Any) -> tuple[bool, str]:
    asked = (EIFFEL, "My favourite animal is the")
    first = [float(next_token_probabilities(model, text)[-1].max()) for text in asked]
    return first[0] > 2 * first[1], f"the first token has {first[0]:.2f} after the one, {first[1]:.2f} after the other."


def _true_and_surprising(model: Any) -> tuple[bool, str]:
    false, true = (
        -continuation_log_probability(model, "The capital of Turkey is", city) / math.log(2)
        for city in (" Istanbul", " Ankara")
    )
    return false < true, f"as the capital of Turkey, Istanbul costs {false:.1f} bits and Ankara {true:.1f}."


def _always_the_same(model: Any) -> tuple[bool, str]:
    p = next_token_probabilities(model, EIFFEL)[-1]
    same = bool((p.log() / 0.5).softmax(-1).argmax() == p.argmax() == (p.log() / 2).softmax(-1).argmax())
    return same, f"at temperatures 0.5, 1 and 2 the most probable token is the same: {same}."


QUIZZES = (
    Quiz("1.a", "What does the model get to see of the word Paris in 'in Paris'?", (
        Option("five letters", "A model of this kind never sees letters. The tokenizer hands over numbers, and one "
               "number may stand for a whole word.", tries=_characters),
        Option("one number, the same as for 'Paris' at the start of a text", "The space belongs to the token, so these "
               "are two entries of the vocabulary. That they mean the same the model has to learn.",
               tries=_two_numbers),
        Option("one number, but another than for 'Paris' without a space", "The space in front is part of the token.",
               right=True, tries=_two_numbers),
        Option("two numbers, one for the space and one for the word", "In front of a word this tokenizer never leaves "
               "a single space alone. In front of a digit it does."),
    )),
    Quiz("1.b", "Somebody adds 100 to every logit of a row. What happens to the probabilities?", (
        Option("they grow", "Probabilities sum to 1 whatever is done to the logits: they cannot all grow.",
               tries=_shift),
        Option("nothing", "Softmax depends on differences of logits only: the factor exp(100) stands above and below "
               "the line.", right=True, tries=_shift),
        Option("they become more equal", "That is what dividing the logits does, a higher temperature. Adding a number "
               "leaves every difference as it is.", tries=_shift),
    )),
    Quiz("1.c", "A text of 10 tokens goes through the model once. How many predictions come out?", (
        Option("one, after the last token", "The last row is the one that generation uses. But every position has a "
               "row of logits, made from what stands up to there."),
        Option("nine", "Nine of them can be held against the token that really came, true. The tenth, after the last "
               "token, is a prediction too."),
        Option("ten", "One row of logits at each position. In training all but the last are lessons.", right=True),
    )),
    Quiz("1.d", "A token has a surprisal of 10 bits. What does that say?", (
        Option("the statement is false", "Surprisal knows nothing of truth. A true statement about something rare "
               "costs more than a common one.", tries=_true_and_surprising),
        Option("the model gave it a probability of about one in a thousand", f"2 to the power of minus 10 is 1 in "
               f"{2**10:,}.", right=True),
        Option("the model was sure, and wrong", "It may as well have been unsure: where a thousand tokens are equally "
               f"probable, whichever comes costs {math.log2(1000):.0f} bits.", tries=_unsure_is_fine),
    )),
    Quiz("1.e", "What does the temperature change?", (
        Option("which token is the most probable", "Dividing all logits by one number keeps their order.",
               tries=_always_the_same),
        Option("how much the model knows", "The model is finished when the temperature comes in: its logits are the "
               "same. What changes is how we draw from them."),
        Option("how the probability is spread over the tokens", "Low temperatures give it to the first, high ones to "
               "the tail; the order stays.", right=True, tries=_always_the_same),
    )),
)  # fmt: skip
