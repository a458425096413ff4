"""Wrong answers to exercise 2.4."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def puts_something_in_front(model, sentence):
    return "Well: " + sentence


def writes_it_with_a_capital(model, sentence):
    return "Break it, please"


def writes_it_twice(model, sentence):
    return "I need a break, or I will break"


def starts_with_it(model, sentence):
    return " break down"


WRONG = [
    Wrong("2.4", puts_something_in_front, "too alike"),
    Wrong("2.4", writes_it_with_a_capital, "not once"),
    Wrong("2.4", writes_it_twice, "not once"),
    Wrong("2.4", starts_with_it, "too unlike"),
]
