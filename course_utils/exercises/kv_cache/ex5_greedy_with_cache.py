"""Exercise 3.5: generate with the model's own cache."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import torch

from course_utils.exercises.drawing import PLACES, text, tiny, tiny_pair, told
from course_utils.exercises.forms import INTEGERS
from course_utils.exercises.passes import TokensRead, logits_of
from course_utils.exercises.protocol import Case, Exercise, Hint, Mistake, Model
from course_utils.kv_cache import encode, end_tokens, greedy_with_cache, new_cache


def _cases(rng: random.Random) -> list[Case]:
    cases = [Case(told(model), (model, text(rng), rng.randint(5, 7))) for model in tiny_pair(rng)]
    place, _ = rng.choice(PLACES)
    model = tiny(rng, "tiny-gpt2")
    return [
        *cases,
        Case(told(Model()), (Model(), f"{place} is in the city of", 4)),
        Case("a text that comes to an end", (model, text(rng), 6, True)),
        Case("one new token", (model, text(rng, 3), 1)),
        Case("no new token", (model, text(rng, 3), 0), raises=True),
        Case("fewer new tokens than none", (model, text(rng, 3), -1), raises=True),
        Case("an empty prompt", (model, "", 3), raises=True),
    ]


def _use(answer: Any, model: Any, prompt: str, max_new_tokens: int, ends: bool = False) -> dict[str, Any]:
    if ends:  # at the newest of the tokens that the model would say first; put back after the run
        said = _generated(model, prompt, 4, lambda ids: logits_of(model, ids)[-1])
        last = max(said, key=said.index)
        model._module.generation_config.eos_token_id = [model.tokenizer.eos_token_id, last]
    with TokensRead(model) as read:
        new = answer(model, prompt, max_new_tokens)
    return {
        "ids": new,
        "tokens read in the first pass": read.passes[0] if read.passes else 0,
        "most tokens read in a later pass": max(read.passes[1:], default=0),
    }


# What learners do instead: what is fed, or read, in each pass.

NextToken = Callable[[torch.Tensor], torch.Tensor]


def _generated(model: Any, prompt: str, max_new_tokens: int, next_logits: NextToken) -> list[int]:
    """New ids, each the argmax of what ``next_logits`` gives for the ids (1, position) so far."""
    ids, new = encode(model, prompt), list[int]()
    while len(new) < max_new_tokens and not (new and new[-1] in end_tokens(model)):
        new.append(int(next_logits(ids).argmax()))
        ids = torch.cat([ids, torch.tensor([[new[-1]]])], dim=1)
    return new


def _unread(ids: torch.Tensor, cache: Any) -> torch.Tensor:
    """What is right to feed: the ids that a cache does not hold yet."""
    return ids[:, cache.get_seq_length() :]


def _no_cache(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
    return _generated(model, prompt, max_new_tokens, lambda ids: logits_of(model, ids)[-1])


def _everything_fed_again(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
    cache = new_cache(model)
    return _generated(model, prompt, max_new_tokens, lambda ids: logits_of(model, ids, cache)[-1])


def _last_fed_twice(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
    cache = new_cache(model)

    def next_logits(ids: torch.Tensor) -> torch.Tensor:
        fed = ids[:, -2:] if cache.get_seq_length() else ids
        return logits_of(model, fed, cache)[-1]

    return _generated(model, prompt, max_new_tokens, next_logits)


def _new_cache_each_time(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
    length = encode(model, prompt).shape[1]

    def next_logits(ids: torch.Tensor) -> torch.Tensor:
        fed = ids if ids.shape[1] == length else ids[:, -1:]
        return logits_of(model, fed, new_cache(model))[-1]

    return _generated(model, prompt, max_new_tokens, next_logits)


def _first_position_read(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
    cache = new_cache(model)
    return _generated(model, prompt, max_new_tokens, lambda ids: logits_of(model, _unread(ids, cache), cache)[0])


def _never_ends(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
    cache, ids, new = new_cache(model), encode(model, prompt), list[int]()
    while len(new) < max_new_tokens:
        new.append(int(logits_of(model, _unread(ids, cache), cache)[-1].argmax()))
        ids = torch.cat([ids, torch.tensor([[new[-1]]])], dim=1)
    return new


def _end_left_out(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
    new = greedy_with_cache(model, prompt, max_new_tokens)
    return new[:-1] if new[-1] in end_tokens(model) else new


def _prompt_returned_too(model: Any, prompt: str, max_new_tokens: int) -> list[int]:
    return [*encode(model, prompt)[0].tolist(), *greedy_with_cache(model, prompt, max_new_tokens)]


EXERCISE = Exercise(
    id="3.5",
    title="Generate with the model's own cache",
    minutes=15,
    points=4,
    difficulty=2,
    reference=greedy_with_cache,
    drive=_use,
    returns=INTEGERS,
    draw=_cases,
    shows="Token for token what transformers' generate gives, and after the prompt each pass reads a single token.",
    hints=(
        Hint(
            "what to feed",
            "First `encode(model, prompt)`, then only the token that was chosen: `torch.tensor([[token]])`. `with "
            "model.trace(feed, past_key_values=cache, use_cache=True):` runs what is fed, (1, position), after the "
            "tokens in the cache, and adds theirs to it.",
        ),
        Hint(
            "what to save",
            "`model.output.logits[0, -1].save()` inside the trace; its argmax is the next token. Make the cache once, "
            "before the loop: `cache = new_cache(model)`.",
        ),
    ),
    mistakes=(
        Mistake(
            "never ends",
            _never_ends,
            "It goes on after a token of end_tokens(model), after which the model has no more to say: stop there.",
        ),
        Mistake(
            "end token left out",
            _end_left_out,
            "The token that ends the text is missing: it is the last id of the list.",
        ),
        Mistake(
            "no cache",
            _no_cache,
            "The ids are right, but every pass reads the whole text again: give each trace the cache, and feed the "
            "last token only.",
        ),
        Mistake(
            "everything fed again",
            _everything_fed_again,
            "The cache is used, and still the whole text is fed: the model then reads it twice. Feed the last token "
            "only.",
        ),
        Mistake(
            "last token fed twice",
            _last_fed_twice,
            "Each pass feeds two tokens, of which the first is in the cache already: feed the newest only.",
        ),
        Mistake(
            "a new cache for every token",
            _new_cache_each_time,
            "Each pass starts with an empty cache, so the model sees one token and no text: make the cache once, "
            "before the loop.",
        ),
        Mistake(
            "first position read",
            _first_position_read,
            "The next token is predicted at the last position of what was fed; you read the first.",
        ),
        Mistake(
            "prompt returned too",
            _prompt_returned_too,
            "The prompt's ids are in your list: return the new ones only.",
        ),
    ),
)
