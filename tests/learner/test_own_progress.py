"""Where a learner stands: what checks, hints, guesses and questions leave behind, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from course_utils.errors import CourseError
from course_utils.exercises import LESSONS, check, exercises, get_exercise, hint, predictions, quizzes, solution
from course_utils.learner import own_progress, predict, progress, quiz, record, reveal
from course_utils.learner.standing import standing
from tests.learner.conftest import Said


def all_right(contents: record.Contents) -> None:
    for lesson in LESSONS:
        for exercise in exercises(lesson):
            done = {"status": "right", "points": exercise.points, "last": "2026-11-27T10:00"}
            contents["exercises"][exercise.id] = done


@pytest.mark.slow
def test_a_walk_through_one_exercise_leaves_just_that(kept: Path, said: Said) -> None:
    """A guess, two wrong tries, a hint, the right answer: with a tiny exercise, the mask of lesson 3."""
    reference = get_exercise("3.2").reference

    def causal_mask(n_new: int, n_held: int = 0) -> Any:
        return reference(n_new, 0)

    predict("3.2", 21)
    for _ in range(2):
        check("3.2", causal_mask)
    hint("3.2")

    def right(n_new: int, n_held: int = 0) -> Any:
        return reference(n_new, n_held)

    check("3.2", right)
    reveal("3.2", 18)
    quiz("3.c", "b")
    said()
    entry = record.entry("exercises", "3.2")
    assert (entry["status"], entry["tries"], entry["hints"], entry["points"]) == ("right", 3, 1, 2)

    lesson = standing(record.read(kept)).lessons[2]
    assert (lesson.right, lesson.points, lesson.guesses, lesson.guessed_right) == (1, 2, 1, 0)
    assert lesson.questions_right == 0 and lesson.next == "3.1" and lesson.begun and not lesson.done
    progress()
    shown = said()
    assert "3 kv cache" in shown and "1 of 8" in shown and "Next: 3.1" in shown and str(kept) in shown


def test_a_lesson_that_only_ran_is_not_begun(kept: Path) -> None:
    def causal_mask(n_new: int, n_held: int = 0) -> Any:
        raise NotImplementedError

    check("3.2", causal_mask)
    assert record.entry("exercises", "3.2") == {}


def test_what_was_right_stays_right(kept: Path) -> None:
    reference = get_exercise("3.2").reference
    check("3.2", lambda n_new, n_held=0: reference(n_new, n_held))
    check("3.2", lambda n_new, n_held=0: reference(n_new, 0))
    entry = record.entry("exercises", "3.2")
    assert entry["status"] == "right" and entry["tries"] == 2


def test_a_solution_that_was_shown_is_noted(kept: Path, said: Said) -> None:
    solution("3.2")
    assert record.entry("exercises", "3.2")["solution"] is True


def test_a_right_guess_counts_if_it_came_first(kept: Path) -> None:
    predict("1.1", 8)
    reveal("1.1", 8)
    reveal("1.5", "cat")
    predict("1.5", "cat")
    reveal("1.5", "cat")
    lesson = standing(record.read(kept)).lessons[0]
    assert (lesson.guesses, lesson.guessed_right) == (1, 1)


def test_what_comes_next_is_in_the_lesson_of_the_last_day(kept: Path) -> None:
    assert standing(record.read(kept)).next == "1.1"

    def two_lessons(contents: record.Contents) -> None:
        contents["exercises"]["1.1"] = {"status": "wrong", "last": "2026-11-20T10:00"}
        contents["exercises"]["4.1"] = {"status": "right", "points": 3, "last": "2026-11-21T10:00"}

    record.change(kept, two_lessons)
    assert standing(record.read(kept)).next == "4.2"


def test_opening_a_lesson_again_says_where_one_was_once(kept: Path, said: Said) -> None:
    predict("1.1", 7)
    assert "Welcome back" not in said(), "the first time"
    own_progress._greeted.clear()
    predict("1.1", 7)
    predict("1.2", ...)
    assert said().count("Welcome back: 0 of 8 exercises of lesson 1 are right, next is 1.1.") == 1
    record.change(kept, all_right)
    own_progress._greeted.clear()
    predict("1.2", ...)
    assert said().startswith("Welcome back: all 8 exercises of lesson 1 are right.\n")


@pytest.mark.parametrize(
    "edited",
    [
        {"1.1": 3},
        {"1.1": {"status": 5, "points": "many"}},
        {"1.1": {"points": 10**9}},
        {"9.9": {}},
        {"1.1": {"last": 3}},
    ],
)
def test_an_edited_record_breaks_nothing(edited: Any, kept: Path) -> None:
    record.change(kept, lambda contents: contents["exercises"].update(edited))
    lesson = standing(record.read(kept)).lessons[0]
    assert lesson.right == 0 and lesson.points <= get_exercise("1.1").points


def test_saved_erased_and_restored(kept: Path, tmp_path: Path, said: Said) -> None:
    with pytest.raises(CourseError, match="Nothing is done yet"):
        progress.save(tmp_path / "mine.json")
    predict("1.1", 7)
    before = record.read(kept)
    assert progress.save(tmp_path / "mine.json") == tmp_path / "mine.json"
    assert progress.save(tmp_path / "folder.json").is_file()
    progress.erase()
    assert not kept.exists()
    progress.erase()  # twice does no harm
    progress.restore(tmp_path / "mine.json")
    assert record.read(kept) == before


def test_of_a_damaged_copy_what_is_whole_is_restored_and_the_rest_is_named(
    kept: Path, tmp_path: Path, said: Said
) -> None:
    whole: dict[str, Any] = {part: {} for part in record.PARTS[2:]} | {
        "exercises": {"1.1": {"status": "right", "points": "7"}}
    }
    (tmp_path / "mine.json").write_text(json.dumps(whole | {"predictions": {"1.1": 5, "1.4": {"given": 3}}}))
    progress.restore(tmp_path / "mine.json")
    assert said() == "Not restored, since it cannot be read: exercises 1.1 points; predictions 1.1."
    predict("1.1", 6)
    reveal("1.1", 8)
    assert record.entry("predictions", "1.4") == {"given": 3}
    assert record.entry("exercises", "1.1") == {"status": "right"}


@pytest.mark.parametrize("text", ["", "[]", '{"exercises": {}}', "[" * 100_000])
def test_what_is_no_record_is_not_restored(text: str, kept: Path, tmp_path: Path) -> None:
    predict("1.1", 7)
    before = kept.read_bytes()
    (tmp_path / "other.json").write_text(text)
    with pytest.raises(CourseError, match=r"cannot be restored .* Give a file of progress.save"):
        progress.restore(tmp_path / "other.json")
    assert kept.read_bytes() == before


def test_no_file_to_save_to_is_one_sentence(kept: Path, tmp_path: Path) -> None:
    predict("1.1", 7)
    with pytest.raises(CourseError, match=r"cannot be written .* Name another file"):
        progress.save(tmp_path / "no folder" / "mine.json")


def test_a_certificate_comes_when_all_is_right(kept: Path, tmp_path: Path) -> None:
    predict("1.1", 7)
    with pytest.raises(CourseError, match=rf"lessons {', '.join(map(str, LESSONS))} are open\. Next is 1\.1"):
        progress.certificate("Ada", tmp_path / "page.html")
    record.change(kept, all_right)
    page = progress.certificate("<Ada>", tmp_path / "page.html").read_text(encoding="utf-8")
    assert "&lt;Ada&gt;" in page and "<Ada>" not in page and "proves nothing to others" in page
    assert "http" not in page, "it needs no network"
    assert page.count("<td>2026-") == page.count("<tr><td>") == len(LESSONS)
    nameless = progress.certificate(target=tmp_path / "page.html").read_text(encoding="utf-8")
    assert nameless == page.replace("<p>&lt;Ada&gt;</p>", "") != page
    assert "Everything is right" in own_progress.told(standing(record.read(kept)))


def test_switched_off_it_says_so(monkeypatch: pytest.MonkeyPatch, said: Said) -> None:
    monkeypatch.setenv("COURSE_PROGRESS", "off")
    progress()
    assert "is not kept here" in said()
    with pytest.raises(CourseError, match="COURSE_PROGRESS is off"):
        progress.save("x.json")


def test_each_lesson_is_counted_whole(kept: Path) -> None:
    for lesson in standing(record.read(kept)).lessons:
        assert lesson.exercises == len(exercises(lesson.number)) > 0
        assert lesson.predictions == len(predictions(lesson.number)) and lesson.questions == len(quizzes(lesson.number))
