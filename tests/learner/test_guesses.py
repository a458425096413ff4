"""`predict`, `reveal` and `quiz`: what they print, and what of it is kept."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from course_utils.exercises import Verdict, get_quiz, messages
from course_utils.learner import guesses, own_guess, own_progress, predict, questions, quiz, record, reveal
from tests.learner.conftest import Said


def restart() -> None:
    guesses._guesses.clear()
    guesses._shown.clear()
    own_progress._greeted.clear()


def test_no_guess_is_one_quiet_line_and_the_answer_is_shown(said: Said) -> None:
    predict("1.1", ...)
    assert said() == "◇ 1.1 no guess."
    reveal("1.1", 8)
    assert said() == "◇ 1.1 The answer: 8 tokens. (No guess.)"


def test_a_wrong_guess_is_told_how_far_off_it_is_and_what_it_overlooks(said: Said) -> None:
    predict("1.1", 6)
    assert said() == "◇ 1.1 your guess is kept: 6 tokens."
    reveal("1.1", 8)
    line = said()
    assert line.startswith("◇ 1.1 The answer: 8 tokens. You said 6 tokens. That is 2 tokens too low. One for each word")
    assert "\n" not in line and "  " not in line


def test_a_right_guess_is_right(said: Said) -> None:
    predict("1.1", 8)
    reveal("1.1", 8)
    assert said().splitlines()[-1] == "◆ 1.1 The answer: 8 tokens. You said 8 tokens: right."


def test_the_example_of_logits_and_probabilities(said: Said) -> None:
    predict("6.1", 0.5)
    reveal("6.1", 4.265)
    assert "that would be a probability of 0.62" in said()


def test_a_picture_can_ask_for_the_guess_also_after_a_restart(kept: Path) -> None:
    assert own_guess("2.3") is None
    predict("2.3", 15)
    assert own_guess("2.3") == 15
    restart()
    assert own_guess("2.3") == 15
    predict("2.5", ("attention 7", "MLP 12"))
    assert own_guess("2.5") == ("attention 7", "MLP 12")
    with pytest.raises(KeyError, match="There is no prediction"):
        own_guess("2.99")


@pytest.mark.parametrize("given", ["many", -1, 1e9, [], object(), {1: 2}, lambda: 3, 10**400])
def test_what_cannot_be_read_is_told_in_a_line_and_stops_nothing(given: Any, said: Said) -> None:
    predict("1.1", given)
    line = said()
    assert line.startswith("◇ 1.1 asks for a number from 1 to 100 tokens; ") and "\n" not in line
    reveal("1.1", 8)
    assert said() == "◇ 1.1 The answer: 8 tokens. (No guess.)"


class Hostile:
    """Fails whatever is asked of it."""

    def __len__(self) -> int:
        raise RuntimeError

    __float__ = __str__ = __repr__ = __len__  # type: ignore[assignment]


ODD: list[Any] = [
    b"7", Decimal("7"), Fraction(7, 2), torch.tensor(7), torch.tensor([7.0]), torch.tensor([]), torch.zeros(2, 2),
    np.int64(7), np.array(7), np.array(["a", "b"]), np.str_("Rome"), {1, 2}, {"a": 1, "b": 2}, {"a": 1}.keys(), list,
    range(2), range(3), (one for one in (1, 2)), "\ud800", ["\ud800", "\ud800"], 1 + 2j, True, float("nan"), Hostile(),
    [Hostile(), Hostile()], [torch.tensor(1), torch.tensor(2)], [None, None],
]  # fmt: skip


@pytest.mark.parametrize("id", ["1.1", "1.2", "1.3", "1.7", "2.7", "3.9", "4.2", "5.7", "6.8"])  # each form of a guess
def test_no_guess_and_no_truth_of_any_make_ends_a_lessons_cell(id: str, kept: Path, said: Said) -> None:
    for guess in ODD:
        predict(id, guess)
        line = said()
        assert "\n" not in line and line.startswith(f"◇ {id} ") and ("is kept" in line or "asks for" in line)
        guesses._guesses.clear()  # so that the guess is the one on record
        reveal(id, guess)
        assert said().count("\n") == 0
    assert not list(kept.parent.glob("*.unreadable*")), "what was kept can be read again"


@pytest.mark.parametrize("given", [b"7", Decimal("7"), Fraction(7, 1), torch.tensor(7), np.array([7]), "7"])
def test_a_number_is_kept_as_a_number_of_whatever_make_it_was(given: Any, kept: Path, said: Said) -> None:
    predict("1.1", given)
    assert record.entry("predictions", "1.1")["given"] == 7
    restart()
    said()
    reveal("1.1", 8)
    assert "You said 7 tokens." in said()


def test_an_object_that_cannot_even_be_shown_is_told_by_its_type(said: Said) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError

    predict("1.1", Odd())
    assert "a value of type Odd came" in said()


@pytest.mark.parametrize("truth", [None, "never", float("nan"), ...])
def test_a_truth_that_the_lesson_did_not_compute_says_what_to_do(truth: Any, said: Said) -> None:
    predict("4.1", 10)
    said()
    reveal("4.1", truth)
    line = said()
    assert line.startswith("◇ 4.1 no answer to show") and line.endswith("Run the cells above.")


def test_an_unknown_prediction_is_named() -> None:
    with pytest.raises(KeyError, match="no prediction"):
        predict("1.77", 3)
    with pytest.raises(KeyError, match="no prediction"):
        reveal("1.77", 3)


def test_a_guess_may_be_changed_and_taken_back_until_the_answer_is_shown(said: Said) -> None:
    predict("1.1", 6)
    predict("1.1", 9)
    reveal("1.1", 8)
    assert "You said 9 tokens" in said()
    predict("1.1", ...)
    reveal("1.1", 8)
    assert said().endswith("(No guess.)")


def test_a_guess_after_the_answer_is_kept_and_called_late(kept: Path, said: Said) -> None:
    reveal("1.1", 8)
    predict("1.1", 8)
    assert "The answer was shown before it." in said()
    assert record.entry("predictions", "1.1")["late"] is True


def test_run_again_after_a_restart_a_guess_is_the_one_that_was_made(kept: Path, said: Said) -> None:
    for _ in range(3):
        predict("1.1", 6)
        reveal("1.1", 8)
        restart()
    assert "shown before" not in said()
    assert record.entry("predictions", "1.1")["late"] is False


def test_after_a_restart_the_answer_knows_the_guess_of_the_other_day(kept: Path, said: Said) -> None:
    predict("1.2", (" London", 0.5))
    restart()
    said()
    reveal("1.2", (" Rome", 0.66))
    assert "You said 'London', 0.5." in said()


@pytest.mark.parametrize("given", [{}, {"guess": "3", "given": {"a": 1}}, {"given": "x" * 100}])
def test_a_record_that_was_edited_does_no_harm(given: Any, kept: Path, said: Said) -> None:
    record.change(kept, lambda contents: contents["predictions"].update({"1.1": given}))
    reveal("1.1", 8)
    assert said().endswith("The answer: 8 tokens. (No guess.)")


DAMAGED = [
    '{"predictions": {"1.1": 5}, "questions": {"1.b": [1]}, "exercises": {"1.1": 7}}',
    '{"predictions": {"1.1": {"given": [1, 2], "guess": 7}}, "questions": {"1.b": {"tries": "x"}}}',
    '{"exercises": {"1.1": {"tries": null, "points": "7", "last": 5, "hints": "a", "status": []}}}',
    "[" * 100_000,
    '{"predictions": []}',
    "\x00",
]


@pytest.mark.slow
@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_record_ends_no_cell_and_is_set_aside_with_a_line(text: str, kept: Path, said: Said) -> None:
    wrong = Verdict("1.1", "wrong", 0, 1, "m")
    steps: list[Callable[[], Any]] = [
        lambda: predict("1.1", 6),
        lambda: reveal("1.1", 8),
        lambda: quiz("1.b", "a"),
        lambda: own_progress.note_event("checked", "1.1", wrong),
        lambda: own_progress.note_event("hint", "1.1", 2),
    ]
    for number, step in enumerate(steps, 1):
        restart()
        record._said.clear()
        kept.write_text(text, encoding="utf-8")
        own_progress.progress()
        assert kept.read_text(encoding="utf-8") == text, "looking changes nothing"
        said()
        step()
        assert "set aside" in said()
        record.parse(kept.read_text(encoding="utf-8"))
        aside = [file.read_text(encoding="utf-8") for file in kept.parent.glob("*.unreadable*")]
        assert aside == [text] * number, "none takes the place of another"


def test_what_of_a_damaged_record_can_be_understood_goes_on(kept: Path, said: Said) -> None:
    kept.write_text('{"predictions": {"1.1": {"given": 6, "right": "x"}, "1.4": 3}}', encoding="utf-8")
    reveal("1.1", 8)
    assert "You said 6 tokens." in said()
    assert record.entry("predictions", "1.1")["given"] == 6 and record.entry("predictions", "1.4") == {}


def test_where_no_progress_is_kept_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", "off")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    predict("1.1", 6)
    reveal("1.1", 8)
    quiz("1.a", "a")
    assert not list(tmp_path.iterdir())


def test_a_question_alone_prints_its_answers_and_none_of_the_explanations(said: Said) -> None:
    quiz("1.b", ...)
    shown = said()
    assert shown.startswith("? 1.b ") and all(f"\n   {letter}  " in shown for letter in "abc")
    assert not any(option.says[:20] in shown for option in get_quiz("1.b").options)


def test_an_answer_is_explained_and_kept(kept: Path, said: Said) -> None:
    quiz("1.b", "A")
    assert "✗ a: Probabilities sum to 1" in said()
    quiz("1.b", "b")
    assert "✓ b: right." in said()
    entry = record.entry("questions", "1.b")
    assert entry["right"] is True and entry["tries"] == 2


@pytest.mark.parametrize("given", ["e", "", 3, ["a"], "ab"])
def test_no_answer_of_these_is_told_in_a_line(given: Any, said: Said) -> None:
    quiz("1.b", given)
    assert said().splitlines()[-1].startswith("The answers are a, b, c; ")


def test_an_experiment_is_run_on_the_model_in_use(monkeypatch: pytest.MonkeyPatch, said: Said, tiny: Any) -> None:
    from course_utils.model import loading

    monkeypatch.setattr(loading, "in_use", lambda: tiny("tiny-llama"))
    quiz("1.b", "a")
    assert "Tried on your model: with 100 added to every logit" in said()


def test_an_experiment_that_comes_out_otherwise_says_so_and_one_that_fails_says_nothing(
    monkeypatch: pytest.MonkeyPatch, said: Said
) -> None:
    from course_utils.exercises.quizzing import Option
    from course_utils.model import loading

    monkeypatch.setattr(loading, "in_use", lambda: object())
    other = Option("x", "y.", tries=lambda model: (False, "3 and not 4."))
    assert questions._try(other) == messages.TRIED_OTHERWISE.format(line="3 and not 4.")
    assert questions._try(Option("x", "y.", tries=lambda model: model.nothing)) == ""
