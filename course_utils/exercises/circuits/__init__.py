"""The exercises of lesson 7, circuits, in the order of the lesson."""

from __future__ import annotations

from course_utils.exercises.circuits import (
    ex1_sent,
    ex2_direct_effect,
    ex3_query_path,
    ex4_query_paths,
    ex5_strongest_edges,
    ex6_faithfulness,
    ex7_without_each,
    ex8_unexplained,
)

EXERCISES = [
    ex1_sent.EXERCISE,
    ex2_direct_effect.EXERCISE,
    ex3_query_path.EXERCISE,
    ex4_query_paths.EXERCISE,
    ex5_strongest_edges.EXERCISE,
    ex6_faithfulness.EXERCISE,
    ex7_without_each.EXERCISE,
    ex8_unexplained.EXERCISE,
]
