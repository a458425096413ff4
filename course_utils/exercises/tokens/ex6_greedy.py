"""Exercise 1.6: greedy generation by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from course_utils import tokens
from course_utils.exercises.drawing import text, tiny
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake
from course_utils.exercises.tokens.drawing import texts


def _prompts_with_length(rng: random.Random) -> list[Case]:
    model = tiny(rng, "tiny-llama")
    ends = replace(model, end_bias=50.0)  # the most probable token is the one that ends a text, each time
    return [
        *(Case(case.label, case.args, {"n_tokens": rng.randint(4, 6)}) for case in texts(rng)),
        Case("a prompt that ends in a space, n_tokens left out", (model, f"{text(rng, 4)} ")),
        Case("n_tokens = 1", (model, text(rng, 3)), {"n_tokens": 1}),
        Case("a model that would end the text", (ends, text(rng, 4)), {"n_tokens": rng.randint(3, 5)}),
    ]


# What learners do instead.


def _never_appended(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    return tokens.greedy(model, prompt, 1) * n_tokens


def _with_prompt(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    return list(model.tokenizer(prompt)["input_ids"]) + tokens.greedy(model, prompt, n_tokens)


def _prompt_forgotten(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    ids = tokens.greedy(model, prompt, 1)
    while len(ids) < n_tokens:
        with model.trace([ids[-1:]]):
            logits = model.output.logits[0, -1].save()
        ids.append(int(logits.argmax()))
    return ids


def _one_token_short(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    return tokens.greedy(model, prompt, n_tokens - 1)


def _stops_at_the_end(model: Any, prompt: str, n_tokens: int = 8) -> list[int]:
    ids, end = tokens.greedy(model, prompt, n_tokens), model.tokenizer.eos_token_id
    return ids[: ids.index(end) + 1] if end in ids else ids


EXERCISE = Exercise(
    id="1.6",
    title="Greedy generation by hand",
    minutes=10,
    points=2,
    difficulty=2,
    reference=tokens.greedy,
    shows="Generation is a loop around one prediction; the model itself keeps nothing.",
    hints=(
        Hint("the loop", "Run the ids so far, take the argmax at the last position, append it, repeat."),
        Hint(
            "running ids",
            "`model.trace([ids])` takes a list of ids in place of a text. Return only what was appended.",
        ),
    ),
    draw=_prompts_with_length,
    axes=("token",),
    mistakes=(
        Mistake(
            "never appended",
            _never_appended,
            "Each step runs the same text: append the new token before the next step.",
        ),
        Mistake("prompt returned", _with_prompt, "The prompt's own tokens are in front: return the new ones only."),
        Mistake(
            "prompt forgotten",
            _prompt_forgotten,
            "After the first step the model saw only the newest token: it has no memory, so give it the whole text "
            "each time.",
        ),
        Mistake(
            "stops at the end token",
            _stops_at_the_end,
            "The model said that the text ends, and yours stopped there: n_tokens were asked for, whatever they are. "
            "(transformers' generate stops by itself.)",
        ),
        Mistake("one short", _one_token_short, "The last token is missing: count the turns of the loop."),
    ),
)
