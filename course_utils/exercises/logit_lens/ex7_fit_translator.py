"""Exercise 4.7: fit a better lens."""

from __future__ import annotations

import random

import torch

from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.logit_lens import fit_translator

Map = tuple[torch.Tensor, torch.Tensor]  # matrix and bias


def _cases(rng: random.Random) -> list[Case]:
    """Vectors that are an affine map apart, with noise; more tokens than width, so that the map can be found."""
    source = torch.Generator().manual_seed(rng.randrange(2**31))

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=source)

    cases = []
    for tokens, width, ridge in ((60, 6, 20.0), (200, 16, None), (5, 8, 50.0)):
        read = draw(tokens, width) + draw(width)
        target = read @ (torch.eye(width) + 0.4 * draw(width, width)) + draw(width) + 0.3 * draw(tokens, width)
        label = f"{tokens} tokens of width {width} with ridge {'left out' if ridge is None else f'{ridge:g}'}"
        cases.append(Case(label, (read, target), {} if ridge is None else {"ridge": ridge}))
    return cases


# What learners do instead.


def _towards_zero(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> Map:
    read_mean, target_mean = read.mean(dim=0), target.mean(dim=0)
    centred = read - read_mean
    matrix = torch.linalg.solve(
        centred.T @ centred + ridge * torch.eye(read.shape[1]), centred.T @ (target - target_mean)
    )
    return matrix, target_mean - read_mean @ matrix


def _no_bias(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> Map:
    identity = torch.eye(read.shape[1])
    matrix = identity + torch.linalg.solve(read.T @ read + ridge * identity, read.T @ (target - read))
    return matrix, torch.zeros(read.shape[1])


def _means_in_the_bias(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> Map:
    return fit_translator(read, target, ridge)[0], target.mean(dim=0)


def _backwards(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> Map:
    return fit_translator(target, read, ridge)


def _transposed(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> Map:
    matrix, bias = fit_translator(read, target, ridge)
    return matrix.T, bias


def _no_ridge(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> Map:
    return fit_translator(read, target, 0.0)


def _identity_not_added(read: torch.Tensor, target: torch.Tensor, ridge: float = 100.0) -> Map:
    matrix, bias = fit_translator(read, target, ridge)
    return matrix - torch.eye(len(matrix)), bias


EXERCISE = Exercise(
    id="4.7",
    title="Fit a better lens",
    minutes=20,
    points=3,
    difficulty=3,
    reference=fit_translator,
    shows=(
        "A linear map that starts from the identity: with no data it is the logit lens, with data it is a better one."
    ),
    hints=(
        Hint(
            "bias",
            "Take the mean off both sides before the fit. The bias puts them back: `target_mean - read_mean @ matrix`.",
        ),
        Hint(
            "the ridge",
            "Write the matrix as identity + `change`. The ridge is then on `change` alone, and what `change` has to "
            "explain is target − read, both centred.",
        ),
        Hint(
            "the fit",
            "Ridge regression: `change = torch.linalg.solve(X.T @ X + ridge * identity, X.T @ missing)`, with X the "
            "centred read.",
        ),
    ),
    draw=_cases,
    axes=("part", "row", "column"),
    mistakes=(
        Mistake(
            "ridge towards zero",
            _towards_zero,
            "Your ridge pulls the matrix towards zero: it should pull it towards the identity.",
        ),
        Mistake(
            "no bias",
            _no_bias,
            "There is no bias: take the means off before the fit and put them back with the bias.",
        ),
        Mistake(
            "the target's mean for the bias",
            _means_in_the_bias,
            "The bias is the target's mean alone: subtract what the matrix makes of the other, read_mean @ matrix.",
        ),
        Mistake(
            "backwards",
            _backwards,
            "This is the map from target to read: the lens reads an early depth and aims at the last.",
        ),
        Mistake("transposed", _transposed, "The matrix is transposed: it stands on the right, read @ matrix."),
        Mistake("no ridge", _no_ridge, "The ridge was left out: it is added to the diagonal of X.T @ X."),
        Mistake(
            "identity not added",
            _identity_not_added,
            "This is only the change: add the identity to it.",
        ),
    ),
)
