"""Wrong answers to the exercises of lesson 7."""

from __future__ import annotations

from tests.wrong_answers.circuits import (
    ex1_sent,
    ex2_direct_effect,
    ex3_query_path,
    ex4_query_paths,
    ex5_strongest_edges,
    ex6_faithfulness,
    ex7_without_each,
    ex8_unexplained,
)

WRONG = [
    *ex1_sent.WRONG,
    *ex2_direct_effect.WRONG,
    *ex3_query_path.WRONG,
    *ex4_query_paths.WRONG,
    *ex5_strongest_edges.WRONG,
    *ex6_faithfulness.WRONG,
    *ex7_without_each.WRONG,
    *ex8_unexplained.WRONG,
]
