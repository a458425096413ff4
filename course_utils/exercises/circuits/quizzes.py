"""Lesson 7's questions with answers to choose from."""

from __future__ import annotations

from typing import Any

from course_utils.circuits import direct_effect, query_path, sent
from course_utils.exercises.quizzing import Option, Quiz
from course_utils.patching import logit_difference, patch_head
from course_utils.sweeps import run_circuits

CLEAN = "When Mike and Emma went to the cafe, Emma gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Mike gave a coffee to"
ANSWERS = (" Mike", " Emma")


def _message(model: Any) -> tuple[bool, str]:
    lengths = sent(model, CLEAN, CORRUPTED, 17, 4).norm(dim=-1).tolist()
    line = f"17.4's message is {lengths[9]:.1f} long at position 9, {lengths[10]:.0f} at 10."
    return lengths[9] < 1e-3 < lengths[10], line


def _indirect(model: Any) -> tuple[bool, str]:
    whole = patch_head(model, CLEAN, CORRUPTED, 17, 4) - logit_difference(model, CORRUPTED)
    direct = direct_effect(model, CLEAN, CORRUPTED, 17, 4)
    line = f"17.4 moves the answer by {whole:.1f} logits, {abs(direct):.1f} of it directly."
    return whole > 1 and abs(direct) < 0.1, line


def _one_reader(model: Any) -> tuple[bool, str]:
    base = logit_difference(model, CORRUPTED)
    path = query_path(model, CLEAN, CORRUPTED, (20, 0), (23, 0)) - base
    whole = patch_head(model, CLEAN, CORRUPTED, 20, 0) - base
    return 0.3 < path < whole, f"20.0 moves {whole:.1f} logits by all roads, {path:.1f} by the query of 23.0."


def _cut_off(model: Any) -> tuple[bool, str]:
    edges = [("23.3", "logits"), ("23.0", "logits")]
    alone, nothing = run_circuits(model, CLEAN, CORRUPTED, ANSWERS, circuits=[edges, []], progress=False).tolist()
    line = f"with these two edges alone the answer moves by {abs(alone - nothing):.1f} logits."
    return abs(alone - nothing) < 1e-3, line


QUIZZES = (
    Quiz("7.a", "What does a head send?", (
        Option("its 64 numbers", "Nobody reads those but its own output projection. What others read is the stream."),
        Option("a vector in the residual stream, at each token", "And for a pair of prompts, what of it differs.",
               right=True, tries=_message),
        Option("one number: its effect", "That is what we measure at the end. On the way it is a vector at each token.",
               tries=_message),
    )),
    Quiz("7.b", "17.4 has a direct effect of 0. What follows?", (
        Option("17.4 does not matter", "Patched, it moves the answer by several logits.", tries=_indirect),
        Option("what it does, others do after reading it", "It acts at the second name; the answer is read at the last "
               "token.", right=True, tries=_indirect),
        Option("its message is too short", "Its length says nothing of who reads it.", tries=_indirect),
    )),
    Quiz("7.c", "A path's run leaves everything as it was, but for one reader. What is computed anew?", (
        Option("nothing", "Then the answer could not move. All that comes after the reader answers to it."),
        Option("everything above the sender", "That is patching the head: all readers get the message.",
               tries=_one_reader),
        Option("the reader, and all that comes after it", "And nobody before or beside it.", right=True,
               tries=_one_reader),
    )),
    Quiz("7.d", "Two strong edges, from 23.3 and 23.0 to the logits, are kept, and no others. What does it do?", (
        Option("half of the task", "Both edges are strong in the whole model. Here their senders read the corrupted "
               "run.", tries=_cut_off),
        Option("nothing at all", "Nothing clean reaches their senders, so they write what they did in the corrupted "
               "run.", right=True, tries=_cut_off),
        Option("it cannot be run", "Any set of edges can. This one just carries nothing."),
    )),
    Quiz("7.e", "Why is a circuit tested on pairs that did not choose it?", (
        Option("they are harder", "They are drawn in the same way, and are as hard as the others."),
        Option("what fits the chosen pairs by accident does not fit the others", "The more edges to choose "
               "from, the more of them fit by accident.", right=True),
        Option("the gradients would be used twice", "They could be; the trouble is what was chosen with their help."),
    )),
)  # fmt: skip
