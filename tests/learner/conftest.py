"""What the tests of the learner's loop share: a kernel in which nothing was guessed yet, and a record of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from course_utils.learner import guesses, own_progress, record

Said = Callable[[], str]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of the same process may have shown answers: what a kernel remembers is set back for each test."""
    monkeypatch.setattr(guesses, "_guesses", {})
    monkeypatch.setattr(guesses, "_shown", set())
    monkeypatch.setattr(own_progress, "_greeted", set())
    monkeypatch.setattr(record, "_said", set())


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return lambda: capsys.readouterr().out.strip()


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COURSE_PROGRESS", str(tmp_path / "progress.json"))
    return tmp_path / "progress.json"
