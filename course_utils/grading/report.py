from pathlib import Path
from typing import Any
from course_utils.grading.lesson import Lesson
def write(lesson: Lesson, results: list[dict[str, Any]], out: Path) -> None:
    pass
