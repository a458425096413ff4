"""What wrong values have to do with the right ones, where the exercise knows no such mistake: a sign, a base, an axis.

A relation is told only if it holds in every case that went wrong, and for every number of it that is wrong. Whatever
an exercise knows itself comes first, since it can say more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from operator import methodcaller
from typing import Any

import torch

from course_utils.exercises import messages
from course_utils.exercises.differences import first_difference
from course_utils.exercises.messages import say
from course_utils.exercises.values import Frozen

Fits = Callable[[torch.Tensor, torch.Tensor], bool]

BASES = (
    (1 / math.log(10), messages.BASE_10_FOR_NATURAL),
    (1 / math.log(2), messages.BASE_2_FOR_NATURAL),
    (math.log(2), messages.NATURAL_FOR_BASE_2),
    (math.log10(2), messages.BASE_10_FOR_BASE_2),
    (180 / math.pi, messages.DEGREES_FOR_RADIANS),
)
"""A factor, and what it is a sign of."""

_OF_LISTS: tuple[tuple[str, Callable[[list[Any], list[Any]], list[Any]]], ...] = (
    (messages.FIRST_MISSING, lambda expected, got: expected[1:]),
    (messages.LAST_MISSING, lambda expected, got: expected[:-1]),
    (messages.TURNED_AROUND, lambda expected, got: expected[::-1]),
    (messages.ONE_IN_FRONT, lambda expected, got: got[:1] + expected),
    (messages.ONE_AT_THE_END, lambda expected, got: expected + got[-1:]),
)
"""What a list may be, made of the expected one and, for what is too much, of the learner's."""

CLOSE = 1e-4
"""How near a quotient is to a whole number, relative to it, where it is taken for one."""


def relation(pairs: Sequence[tuple[Any, Any]], axes: tuple[str, ...] = (), tolerance: float = 1e-3) -> str:
    """The sentence that says how each wrong value comes of the right one; "" if nothing does that for all of them.

    Args:
        pairs: of each case that is wrong the expected and the learner's value, frozen.
        axes: what the indices of a value mean, outermost first.
        tolerance: relative to the largest expected magnitude in the same tensor.
    """
    if pairs and all(isinstance(value, list) for pair in pairs for value in pair):
        for said, turn in _OF_LISTS:
            name = axes[0] if axes else messages.ENTRY
            if all(first_difference(turn(expected, got), got, axes, tolerance) is None for expected, got in pairs):
                return say(said, axis=name)
    leaves: list[tuple[torch.Tensor, torch.Tensor, tuple[str, ...]]] = []
    for expected, got in pairs:
        found = list(_leaves(expected, got, axes))
        if any(leaf is None for leaf in found):
            return ""
        leaves += [leaf for leaf in found if leaf and not _near(leaf[0], leaf[1], tolerance)]
    if sum(max(expected.numel(), got.numel()) for expected, got, _ in leaves) < 2:
        return ""  # one number comes of another in many ways
    if all(got.ndim < expected.ndim and got.numel() == expected.numel() for expected, got, _ in leaves):
        return ""  # an axis of one place is gone, and nothing with it
    left: list[str] | None = None
    for expected, got, names in sorted(leaves, key=lambda leaf: leaf[0].numel()):
        left = [said for said, fits in _relations(expected, names, tolerance, left) if fits(expected, got)]
        if not left:
            return ""
    return left[0] if left else ""


def _leaves(
    expected: Any, got: Any, axes: tuple[str, ...]
) -> Iterator[tuple[torch.Tensor, torch.Tensor, tuple[str, ...]] | None]:
    """The numbers of two values, tensor by tensor, with the names of the axes; None where they do not go together."""
    numbers = _numbers(expected), _numbers(got)
    if numbers[0] is not None and numbers[1] is not None:
        yield numbers[0], numbers[1], axes
    elif isinstance(expected, dict) and isinstance(got, dict) and expected.keys() == got.keys():
        for key in expected:
            yield from _leaves(expected[key], got[key], axes)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for one, other in zip(expected, got, strict=True):
            yield from _leaves(one, other, axes[1:])
    elif not isinstance(expected, str | bool | None) or expected != got:
        yield None


def _numbers(value: Any) -> torch.Tensor | None:
    """A number, a tensor or a list of numbers in double precision; None of anything else, and of truth values."""
    if isinstance(value, Frozen):
        return value.tensor.double() if value.tensor.dtype != torch.bool else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return torch.tensor(value, dtype=torch.float64)
    if isinstance(value, list) and value and all(type(item) in (int, float) for item in value):
        return torch.tensor(value, dtype=torch.float64)
    return None


def _near(one: torch.Tensor, other: torch.Tensor, tolerance: float) -> bool:
    if one.shape != other.shape:
        return False
    if bool((one == one.round()).all() and (other == other.round()).all()):  # ids, ranks, counts
        return torch.equal(one, other)
    finite = other[other.isfinite()].abs()
    scale = float(finite.max()) if finite.numel() else 0.0
    return torch.allclose(one, other, rtol=tolerance, atol=tolerance * scale + 1e-8, equal_nan=True)


def _relations(
    expected: torch.Tensor, names: tuple[str, ...], tolerance: float, only: list[str] | None
) -> Iterator[tuple[str, Fits]]:
    """What may be said of a tensor with these axes, and how to see whether it is so; of ``only`` some, if given."""
    for said, fits in (*_of_numbers(tolerance), *_of_axes(expected, names, tolerance)):
        if only is None or said in only:
            yield said, fits


def _of_numbers(tolerance: float) -> Iterator[tuple[str, Fits]]:
    def becomes(turn: Callable[[torch.Tensor], torch.Tensor]) -> Fits:
        return lambda expected, got: (
            expected.shape == got.shape
            and torch.equal(expected.isnan(), got.isnan())  # of a negative number no logarithm says anything
            and _near(got, turn(expected), tolerance)
        )

    def undone(turn: Callable[[torch.Tensor], torch.Tensor]) -> Fits:
        return lambda expected, got: expected.shape == got.shape and _near(turn(got), expected, tolerance)

    yield messages.OTHER_SIGN, becomes(torch.neg)
    yield messages.SIGN_LOST, becomes(torch.abs)
    yield messages.ONE_TOO_MANY, _whole(becomes(lambda expected: expected + 1))
    yield messages.ONE_TOO_FEW, _whole(becomes(lambda expected: expected - 1))
    for factor, said in BASES:
        yield said, becomes(lambda expected, factor=factor: expected * factor)  # type: ignore[misc]
    exp = becomes(torch.exp)
    yield messages.LOGARITHM_MISSING, lambda expected, got: bool((got > 0).all()) and exp(expected, got)
    yield messages.LOGARITHM_TOO_MANY, becomes(torch.log)
    yield messages.SOFTMAX_MISSING, _of_rows(undone(lambda got: got.softmax(-1)))
    yield messages.SOFTMAX_TOO_MANY, _of_rows(becomes(lambda expected: expected.softmax(-1)))
    yield messages.SQUARED, becomes(torch.square)
    yield messages.ROOT_TAKEN, becomes(torch.sqrt)
    yield messages.MADE_TO_SUM_TO_1, _of_rows(becomes(lambda expected: expected / expected.sum(-1, keepdim=True)))
    yield messages.MADE_OF_LENGTH_1, _of_rows(becomes(lambda expected: torch.nn.functional.normalize(expected, dim=-1)))
    yield messages.MEAN_FOR_SUM, lambda expected, got: _is_multiple(expected, got, tolerance)
    yield messages.SUM_FOR_MEAN, lambda expected, got: _is_multiple(got, expected, tolerance)
    yield messages.OFF_BY_A_FACTOR, _of_rows(lambda expected, got: _is_scaled(expected, got, tolerance))
    yield messages.OFF_BY_A_NUMBER, _of_rows(lambda expected, got: _is_moved(expected, got, tolerance))


def _of_axes(expected: torch.Tensor, names: tuple[str, ...], tolerance: float) -> Iterator[tuple[str, Fits]]:
    def is_like(turn: Callable[[torch.Tensor], torch.Tensor]) -> Fits:
        return lambda expected, got: _near(got, turn(expected), tolerance)

    called = [names[axis] if axis < len(names) else f"{messages.INDEX} {axis}" for axis in range(expected.ndim)]
    for axis, name in enumerate(called):
        for other in range(axis):
            turned = is_like(methodcaller("transpose", axis, other))
            yield say(messages.AXES_EXCHANGED, one=called[other], other=name), turned
        for said, place in ((messages.FIRST_ALONE, 0), (messages.LAST_ALONE, -1)):
            if expected.shape[axis]:
                yield say(said, axis=name), is_like(methodcaller("select", axis, place))
        yield say(messages.AVERAGED_OVER, axis=name), is_like(methodcaller("mean", axis))
        yield say(messages.SUMMED_OVER, axis=name), is_like(methodcaller("sum", axis))
        yield say(messages.SUMMED_UP, axis=name), is_like(methodcaller("cumsum", axis))
        length = expected.shape[axis]
        if length < 2:
            continue
        yield say(messages.TURNED_AROUND, axis=name), is_like(methodcaller("flip", axis))
        for said, start, count in ((messages.FIRST_MISSING, 1, length - 1), (messages.LAST_MISSING, 0, length - 1)):
            rest = is_like(methodcaller("narrow", axis, start, count))
            yield say(said, axis=name), rest
        for said, step in ((messages.ONE_TOO_FAR, 1), (messages.ONE_TOO_EARLY, -1)):
            yield say(said, axis=name), _shifted(axis, step, tolerance)
    yield messages.AXIS_IN_FRONT, is_like(lambda e: e[None])
    yield messages.AXIS_AT_THE_END, is_like(lambda e: e[..., None])


def _whole(fits: Fits) -> Fits:
    return lambda expected, got: (
        bool((expected == expected.round()).all() and (got == got.round()).all()) and fits(expected, got)
    )


def _of_rows(fits: Fits) -> Fits:
    """Only of tensors with three numbers in a row, and other than 0: fewer are proportional by chance."""
    return lambda expected, got: (
        expected.shape == got.shape
        and expected.ndim > 0
        and expected.shape[-1] > 2
        and int((expected != 0).sum()) > 2
        and fits(expected, got)
    )


def _shifted(axis: int, step: int, tolerance: float) -> Fits:
    def fits(expected: torch.Tensor, got: torch.Tensor) -> bool:
        if expected.shape != got.shape or expected.shape[axis] < 3:
            return False
        rest = expected.shape[axis] - 1
        ahead, behind = (one.narrow(axis, 1, rest) for one in (expected, got))
        first, second = (one.narrow(axis, 0, rest) for one in (got, expected))
        if _near(second, ahead, tolerance):
            return False  # what is the same at each place is nobody's next
        return _near(first, ahead, tolerance) if step > 0 else _near(behind, second, tolerance)

    return fits


def _is_multiple(large: torch.Tensor, small: torch.Tensor, tolerance: float) -> bool:
    """Whether all numbers of one are the same whole number of times those of the other, at least twice."""
    if large.shape != small.shape or not bool(small.any()):
        return False
    times = float(large.flatten() @ small.flatten() / (small.flatten() @ small.flatten()))
    whole = round(times) if math.isfinite(times) else 0
    return whole >= 2 and abs(times - whole) < CLOSE * whole and _near(large, small * whole, tolerance)


def _is_scaled(expected: torch.Tensor, got: torch.Tensor, tolerance: float) -> bool:
    e, g = expected.flatten(), got.flatten()
    if not bool(got.any()) or not bool(expected.isfinite().all() and got.isfinite().all()):
        return False
    # Number by number: beside one that is a thousand times as large any other would do.
    return torch.allclose(g, e * float(g @ e / (e @ e)), rtol=tolerance, atol=1e-6 * float(g.abs().max()))


def _is_moved(expected: torch.Tensor, got: torch.Tensor, tolerance: float) -> bool:
    apart = got - expected
    # As large as what it is added to, or it says nothing: a constant beside numbers that hardly differ.
    least = min(float(expected.std()), abs(float(apart.mean())))
    return bool(apart.isfinite().all()) and float(apart.std()) <= max(tolerance * least, 1e-6 * float(got.abs().max()))
