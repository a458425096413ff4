"""Wrong answers to exercise 7.7."""

from __future__ import annotations

import torch

from course_utils.circuits import run_circuits
from tests.wrong_answers import Wrong
from tests.wrong_answers.patching.answers import NAMES


def one(model, clean, corrupted, circuit, answers):
    return run_circuits(model, clean, corrupted, answers, circuits=[circuit])[0]


def smaller_minus_whole(model, clean, corrupted, circuit, answers=NAMES):
    whole = one(model, clean, corrupted, circuit, answers)
    rest = [one(model, clean, corrupted, [e for e in circuit if e != edge], answers) for edge in circuit]
    return torch.stack(rest) - whole


def smaller_ones(model, clean, corrupted, circuit, answers=NAMES):
    return torch.stack([one(model, clean, corrupted, [e for e in circuit if e != edge], answers) for edge in circuit])


def one_edge_each(model, clean, corrupted, circuit, answers=NAMES):
    nothing = one(model, clean, corrupted, [], answers)
    return torch.stack([one(model, clean, corrupted, [edge], answers) - nothing for edge in circuit])


def into_the_clean_run(model, clean, corrupted, circuit, answers=NAMES):
    rest = [[e for e in circuit if e != edge] for edge in circuit]
    values = run_circuits(model, corrupted, clean, answers, circuits=[*rest, circuit])
    return values[-1] - values[:-1]


WRONG = [
    Wrong("7.7", smaller_minus_whole, "turned around"),
    Wrong("7.7", smaller_ones, "what is left"),
    Wrong("7.7", one_edge_each, "each edge alone"),
    Wrong("7.7", into_the_clean_run, "clean and corrupted swapped"),
]
