"""Wrong answers to 4.8."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def gives_the_tower_again(model, frame):
    return "the Eiffel Tower in France"


def gives_a_famous_one(model, frame):
    return "The Colosseum"


def gives_what_nobody_knows(model, frame):
    return "The small green shed"


def gives_the_filled_frame(model, frame):
    return frame.replace("{}", "The Parthenon")


def gives_a_list(model, frame):
    return ["The Kremlin", "The Parthenon"]


def names_the_city(model, frame):
    return "The house of my uncle in Prague"


WRONG = [
    Wrong("4.8", gives_the_tower_again, "the claim's own landmark"),
    Wrong("4.8", gives_a_famous_one, "stays"),
    Wrong("4.8", gives_what_nobody_knows, "undecided"),
    Wrong("4.8", gives_the_filled_frame, "whole sentence"),
    Wrong("4.8", gives_a_list, "whole sentence"),
    Wrong("4.8", names_the_city, "says the city"),
]
