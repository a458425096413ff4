"""Lesson 6's questions with answers to choose from."""

from __future__ import annotations

import math
from typing import Any

from course_utils.exercises.quizzing import Option, Quiz
from course_utils.patching import attention_to, logit_difference, patch_head, patch_together, positions_of

CLEAN = "When Mike and Emma went to the cafe, Emma gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Mike gave a coffee to"


def _distance(model: Any) -> float:
    return logit_difference(model, CLEAN) - logit_difference(model, CORRUPTED)


def _odds(model: Any) -> tuple[bool, str]:
    found = logit_difference(model, CLEAN)
    return found > 1, f"the difference is {found:.1f}, odds of {math.exp(found):.0f} to 1."


def _same_work(model: Any) -> tuple[bool, str]:
    change = patch_head(model, CLEAN, CORRUPTED, 0, 8) - logit_difference(model, CORRUPTED)
    return abs(change) < 0.3, f"0.8 from the clean run moves the answer by {abs(change):.1f} logits."


def _positions(model: Any) -> tuple[bool, str]:
    (mike,), (first, second) = positions_of(model, CLEAN, " Mike"), positions_of(model, CLEAN, " Emma")
    weights = attention_to(model, CLEAN, [mike, first, second])[23, 3].tolist()
    return weights[2] > weights[0], f"23.3 gives {weights[0]:.2f} to Mike and {weights[2]:.2f} to the second Emma."


def _not_additive(model: Any) -> tuple[bool, str]:
    heads = [(23, 3), (17, 4), (19, 2), (20, 0)]
    base = logit_difference(model, CORRUPTED)
    single = sum(patch_head(model, CLEAN, CORRUPTED, *head) - base for head in heads)
    together = patch_together(model, CLEAN, CORRUPTED, heads) - base
    return abs(single - together) > 0.5, f"one by one {single:.1f} logits in all, together {together:.1f}."


def _lengths(model: Any) -> tuple[bool, str]:
    ids = [len(model.tokenizer(text)["input_ids"]) for text in (CLEAN, CORRUPTED)]
    return ids[0] == ids[1], f"both prompts have {ids[0]} tokens."


QUIZZES = (
    Quiz("6.a", "Why is the answer measured as a difference of two logits?", (
        Option("probabilities are hard to compute", "They are a softmax away. But they are pressed against 1, and they "
               "change with every other token."),
        Option("it asks the one question that is studied, and has no ceiling", "This name or that name, and nothing of "
               "the other 49,150.", right=True, tries=_odds),
        Option("it lies between 0 and 1", "That is so for probabilities. A difference of logits is any number.",
               tries=_odds),
    )),
    Quiz("6.b", "In one order of its numbers head 0.8 breaks the answer. What follows?", (
        Option("0.8 knows who gives", "Then its output of the clean run should carry the answer over. It does not.",
               tries=_same_work),
        Option("it can matter, no more", "It does, in both prompts alike. For what, scrambling does not say.",
               right=True, tries=_same_work),
        Option("0.8 says the name", "It stands in the first layer, and its output is the same work in both prompts.",
               tries=_same_work),
    )),
    Quiz("6.c", "Why must the two prompts have equally many tokens?", (
        Option("a batch needs one length", "It could be padded. But position 10 of one would then be another word of "
               "the other.", tries=_lengths),
        Option("each position needs its counterpart", "What stands at a place is carried to the same place.",
               right=True,
               tries=_lengths),
        Option("longer prompts have larger logits", "Logits do not grow with the length of a text."),
    )),
    Quiz("6.d", "A head pushes Mike up. Where does it look?", (
        Option("at Mike, to copy him", "Some do. The strongest of all looks at the second Emma.", tries=_positions),
        Option("that cannot be told from its effect", "Heads with the same effect look at different names.", right=True,
               tries=_positions),
        Option("at the verb, which says who gives", "The verb is the same in both prompts. What differs is a name.",
               tries=_positions),
    )),
    Quiz("6.e", "Four heads have effects of 4.70, 2.90, 2.40 and 2.25 logits. What do they bring together?", (
        Option("12.25, their sum", "Effects need not add up: what a head does depends on what the others put out.",
               tries=_not_additive),
        Option("that must be measured by patching them together", "A group is a question of its own.", right=True,
               tries=_not_additive),
        Option("4.70, the largest", "The others add to it. By how much has to be measured.", tries=_not_additive),
    )),
    Quiz("6.f", "Ten heads bring the whole answer back. Are they needed?", (
        Option("yes: without them the answer is gone", "Enough and needed are two things. Leave out just these, and "
               "see what the others bring."),
        Option("that is another experiment: patch all others and leave these out", "Both halves are worth doing.",
               right=True),
        Option("no: models have spare parts for everything", "Some do. Whether here, has to be measured."),
    )),
)  # fmt: skip
