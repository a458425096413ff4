"""Numbers made small: they come out as they went in, rounded, and what cannot be shown is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from course_utils.pictures.views.packing import checked, packed, readable, rounded, unpacked


def test_a_shape_is_numbers_and_names() -> None:
    assert checked(torch.ones(2, 3), "x", ("layer", 3)).shape == (2, 3)
    for values in (torch.ones(2, 4), torch.ones(2), torch.ones(0, 3)):
        with pytest.raises(ValueError, match=r"x has shape \(.*\); expected \(layer, 3\)\."):
            checked(values, "x", ("layer", 3))
    for number in (np.nan, np.inf):
        with pytest.raises(ValueError, match="x holds a number that is not finite"):
            checked([[1.0, number]], "x", (1, 2))


def test_rounding() -> None:
    assert rounded(np.array([[1.2345, -0.0004]]), 2) == [[1.23, 0.0]]
    assert str(rounded(np.array([-0.0004]), 2)) == "[0.0]"  # no minus before a zero
    whole = rounded(np.array([1.6]), 0)
    assert whole == [2] and isinstance(whole[0], int)


def test_bytes_come_back() -> None:
    percent = np.arange(100).reshape(10, 10)
    assert (unpacked(packed(percent / 100 + 0.004, "x")) == percent.ravel()).all()
    for wrong in (-0.01, 1.01):
        with pytest.raises(ValueError, match=r"x runs from .*; a weight lies between 0 and 1"):
            packed(np.array([0.5, wrong]), "x")


def test_a_token_is_readable() -> None:
    assert readable(" a\n\tb") == "·a↵⇥b"
