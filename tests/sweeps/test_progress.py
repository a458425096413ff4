"""The bar of the sweeps: there when it is asked for, away when it is not, and made in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from course_utils.sweeps import progress

SWEEPS = Path(progress.__file__).parent


@pytest.mark.parametrize(("asked", "is_shown"), [(True, True), (False, False), (None, False)])
def test_a_bar_is_shown_at_once_never_or_later(
    asked: bool | None, is_shown: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress.progress_bar(4, asked, "four runs") as bar:
        bar.update(2)
        shown = capsys.readouterr().err
    assert ("four runs:   0%" in shown) == is_shown
    assert "\n" not in shown + capsys.readouterr().err, "it leaves nothing behind"


def test_a_bar_that_nobody_asked_for_waits_until_the_third_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0)
    with progress.progress_bar(4, None):
        assert "0%" in capsys.readouterr().err


def test_no_sweep_makes_a_bar_of_its_own() -> None:
    assert [file.name for file in SWEEPS.glob("*.py") if "tqdm" in file.read_text("utf-8")] == ["progress.py"]
