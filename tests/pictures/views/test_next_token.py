"""The next-token view: its data make the probabilities of the whole vocabulary, and its words say them."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from course_utils.pictures.views import next_token
from tests.pictures.views.examples import LOGITS, draw


def test_the_data_are_the_logits_by_name_and_the_others_in_bins() -> None:
    data = next_token("x", LOGITS, [str(i) for i in range(50)]).data
    ordered = LOGITS.sort(descending=True).values
    torch.testing.assert_close(torch.tensor(data["logits"]), ordered[:50] - ordered[0], atol=5.1e-4, rtol=0)
    rest = data["rest"]
    assert sum(rest["counts"]) == len(LOGITS) - 50
    middle = rest["start"] - rest["step"] * torch.arange(len(rest["counts"]))
    spread = middle.repeat_interleave(torch.tensor(rest["counts"]))
    torch.testing.assert_close(spread, ordered[50:] - ordered[0], atol=rest["step"] / 2 + 1e-3, rtol=0)


def test_words_and_still_say_torchs_softmax() -> None:
    logits = torch.tensor([0.0, 3.0, 2.0, 1.0])
    view = next_token("a b", logits, [" one", " two", " three", " four"])
    assert view.words == (
        "Next token after “a·b”: ·one 64 %, ·two 24 %, ·three 9 %. "
        "Of 4 tokens the first alone has half of the probability."
    )
    axes: Any = view.still().axes[0]
    widths = torch.tensor([bar.get_width() for bar in axes.patches], dtype=torch.float32)
    torch.testing.assert_close(widths, logits.softmax(-1).sort(descending=True).values, atol=1e-3, rtol=0)
    flat = next_token("a", torch.zeros(1_000), [str(i) for i in range(20)])
    assert flat.words.endswith("many share half of the probability.")
    assert "it takes 2 to have half" in next_token("a", torch.tensor([1.0, 1.0, 0.9]), ["1", "2", "3"]).words


def test_words_that_do_not_fit_the_logits_are_refused() -> None:
    for count in (11, 21):
        with pytest.raises(ValueError, match=f"{count} words for 20 logits; expected 12 or more"):
            next_token("x", draw(20), ["a"] * count)
    with pytest.raises(ValueError, match=r"logits has shape \(2, 20\)"):
        next_token("x", draw(2, 20), ["a"] * 12)
