"""The views of the lessons: pictures that answer when one points at them, drags a slider or asks.

A function here takes tensors and labels, never a model, and returns a :class:`View`. A notebook with a kernel shows it
alive, a page mounts the same module on the same data, everything else shows the still, and a screen reader says the
words. `course_utils.explore` asks a running model for the data.
"""

from course_utils.pictures.views.attention import attention
from course_utils.pictures.views.by_hand import Step, by_hand
from course_utils.pictures.views.cache import cache
from course_utils.pictures.views.circuit import CircuitPart, CircuitPath, circuit
from course_utils.pictures.views.lens import LensTable, lens
from course_utils.pictures.views.next_token import next_token
from course_utils.pictures.views.patching_map import PatchedPair, patching_map
from course_utils.pictures.views.steering import steering
from course_utils.pictures.views.tokens import tokens
from course_utils.pictures.views.view import SIZE_LIMIT, View

__all__ = [
    "SIZE_LIMIT",
    "CircuitPart",
    "CircuitPath",
    "LensTable",
    "PatchedPair",
    "Step",
    "View",
    "attention",
    "by_hand",
    "cache",
    "circuit",
    "lens",
    "next_token",
    "patching_map",
    "steering",
    "tokens",
]
