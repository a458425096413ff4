"""What a sweep was asked for, read and checked: prompts, answers, layers, heads and positions, each refused by name if
there is none.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from course_utils.model.anatomy import anatomy
from course_utils.model.guard import context_of, refuse_length, refuse_tokens
from course_utils.model.prompts import token_id, token_ids
from course_utils.model.whole_numbers import whole_number, whole_numbers
from course_utils.model.wrapping import as_traced
from course_utils.sweeps.growing_batch import Site, why_no_site
from course_utils.sweeps.measure import Measure
from course_utils.sweeps.options import MEMORY_MB, Answers, Prompts, Question, SweepError

if TYPE_CHECKING:
    from nnsight import TransformersModel


WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


class NoSource:
    """Stands for the source of a prompt that is changed without one."""


class Request:
    """The prompts, the measure and the layers that were asked for.

    parts: the model's. prompts: the token ids (position,) of each pair's patched prompt. sources: those of each pair's
    source, None where a prompt is changed without one. one: whether a single prompt was given, and no list. layers:
    counted from 0.
    """

    def __init__(
        self,
        model: TransformersModel,
        prompts: Prompts,
        sources: Prompts | NoSource,
        answers: Answers | None,
        question: Question,
    ):
        model = as_traced(model)
        if any(parameter.is_meta for parameter in model._module.parameters()):
            raise SweepError(
                "The model has no weights on this machine; a sweep needs them. Load it without remote=True."
            )
        self.parts = anatomy(model)
        alone = isinstance(sources, NoSource)
        self.prompts, self.one = read_prompts(model, prompts, "prompt" if alone else "corrupted")
        self.sources = None
        if not isinstance(sources, NoSource):
            self.sources, one = read_prompts(model, sources, "clean")
            if one != self.one or len(self.sources) != len(self.prompts):
                raise SweepError(
                    "clean and corrupted come in pairs; got "
                    f"{'one prompt' if one else f'a list of {len(self.sources)}'} and "
                    f"{'one prompt' if self.one else f'a list of {len(self.prompts)}'}."
                )
        self.layers = read_numbers(question.get("layers"), self.parts.n_layers, "layers")
        self.asked_for_layers = question.get("layers") is not None
        metric = question.get("metric")
        if metric is not None and not callable(metric):
            raise SweepError(f"metric={metric!r}: expected a function of the last position's logits.")
        ids = None if metric is not None else _answer_ids(model, answers, len(self.prompts), self.parts.vocabulary)
        self.measure = Measure(None if ids is None else ids.to(model._module.device), metric)

    def positions(self, pair: int, asked: int | Sequence[int] | None) -> tuple[int, ...]:
        """Those of a patched prompt, counted from 0, in order; if None was asked for, all that its source has too."""
        length = len(self.prompts[pair])
        extra = 0 if self.sources is None else max(0, length - len(self.sources[pair]))
        if asked is None:
            return tuple(range(extra, length))
        chosen = read_numbers(asked, length, "positions")
        missing = [position for position in chosen if position < extra]
        if missing:
            raise SweepError(
                f"position {missing[0]} of the corrupted prompt has no counterpart: the clean prompt is {extra} tokens "
                f"shorter, and they are aligned at their ends. Positions {extra} to {length - 1} have one."
            )
        return tuple(sorted(set(chosen)))

    def heads(self, asked: int | Sequence[int] | None) -> list[int]:
        """Heads counted from 0, in the order asked for; all, if None was."""
        return read_numbers(asked, max(self.parts.head_counts), "heads")

    def layers_with(self, site: Site) -> list[int]:
        """The layers asked for, once those that have no such site are spoken of.

        Raises:
            SweepError: a layer was asked for that has none. Where all were asked for, a warning says which one has not.
        """
        missing = [why for layer in self.layers if (why := why_no_site(self.parts, site, layer)) is not None]
        if missing and (self.asked_for_layers or len(missing) == len(self.layers)):
            raise SweepError(missing[0])
        if missing:
            warnings.warn(f"{missing[0]} {len(missing)} rows of the result are NaN.", stacklevel=5)
        return self.layers

    def columns(self, asked: int | Sequence[int] | None) -> list[int]:
        """The columns of a table by position, as they were asked for; all positions, if None was and each prompt has
        the same.
        """
        if asked is not None:
            return whole_numbers(asked, "positions")
        lengths = sorted({len(prompt) for prompt in [*self.prompts, *(self.sources or [])]})
        if len(lengths) > 1:
            raise SweepError(
                f"The prompts have {', '.join(map(str, lengths))} tokens, so there is no one column for each position. "
                f"Pass positions=range(-{lengths[0]}, 0), counted from the end, or prompts of one length."
            )
        return list(range(lengths[0]))

    def as_table(self, numbers: torch.Tensor, columns: int) -> torch.Tensor:
        """Numbers in the order of pairs, layers and columns as (layer, column), or (pair, layer, column) where lists
        were given.
        """
        table = numbers.reshape(len(self.prompts), len(self.layers), columns)
        return table[0] if self.one else table


def read_prompts(model: TransformersModel, prompts: Prompts, name: str) -> tuple[list[torch.Tensor], bool]:
    """Token ids (position,) of each prompt, and whether one was given and no list. Messages call them `name`."""
    one = isinstance(prompts, str) or (isinstance(prompts, torch.Tensor) and prompts.ndim == 1)
    if not one and not isinstance(prompts, Iterable):
        raise SweepError(f"{name}: expected a prompt or a list of prompts; got {type(prompts).__name__}.")
    listed = [prompts] if one else list(prompts)
    if not listed:
        raise SweepError(f"{name} is empty; expected a prompt or a list of prompts.")
    read = []
    vocabulary = anatomy(model).embedding._module.weight.shape[0]
    for prompt in listed:
        if isinstance(prompt, str):
            ids = torch.tensor(token_ids(model, prompt))
        elif isinstance(prompt, torch.Tensor) and prompt.ndim == 1 and prompt.dtype in WHOLE:
            ids = prompt.long()
        else:
            what = (
                f"a tensor of shape {tuple(prompt.shape)}"
                if isinstance(prompt, torch.Tensor)
                else type(prompt).__name__
            )
            raise SweepError(
                f"{name}: expected a text, token ids of shape (position,), or a list of either; got {what}."
            )
        try:
            refuse_tokens(ids, vocabulary)
            refuse_length(len(ids), context_of(model.config))
        except ValueError as error:
            raise SweepError(f"{name}: {error}") from None
        read.append(ids.to(model._module.device))
    return read, one


def _answer_ids(model: TransformersModel, answers: Answers | None, n_pairs: int, vocabulary: int) -> torch.Tensor:
    """(pair, 2)."""
    if answers is None:
        raise SweepError(
            "Nothing says what to measure. Give answers, two texts of one token each, such as "
            '(" Mike", " Emma"), or metric=, a function of the last position\'s logits.'
        )
    answers = answers.tolist() if isinstance(answers, torch.Tensor | np.ndarray) else answers
    if isinstance(answers, str) or not isinstance(answers, Sequence) or not len(answers):
        raise SweepError(
            f'answers={answers!r}: expected two answers, such as (" Mike", " Emma"), '
            "or one such pair for each pair of prompts."
        )
    one_for_all = isinstance(answers[0], str) or not isinstance(answers[0], Sequence | torch.Tensor | np.ndarray)
    pairs: list[Any] = [answers] * n_pairs if one_for_all else list(answers)
    if len(pairs) != n_pairs:
        raise SweepError(
            f"{len(pairs)} pairs of answers for {n_pairs} pairs of prompts; expected one for each, or one for all."
        )
    for place, pair in enumerate(pairs):
        pairs[place] = pair = pair.tolist() if isinstance(pair, torch.Tensor | np.ndarray) else pair
        if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise SweepError(f"answers: expected two, got {pair!r}.")
    return torch.tensor([[_answer_id(model, answer, vocabulary) for answer in pair] for pair in pairs])


def _answer_id(model: TransformersModel, answer: object, vocabulary: int) -> int:
    if isinstance(answer, str):
        return token_id(model, answer)
    try:
        number = whole_number(answer, "answers")
    except ValueError:
        raise SweepError(f"answers: expected texts of one token each, or token ids; got {answer!r}.") from None
    if not 0 <= number < vocabulary:
        raise SweepError(f"answers: token {number} does not exist; the vocabulary has {vocabulary}.")
    return number


def read_memory(options: Mapping[str, Any]) -> float:
    """The bound on memory that was asked for, in MB."""
    asked = options.get("memory_mb", MEMORY_MB)
    if isinstance(asked, bool) or not isinstance(asked, int | float | np.number) or not asked > 0:
        raise SweepError(f"memory_mb={asked!r}: expected a number of MB above 0, such as {MEMORY_MB:g}.")
    return float(asked)


def read_numbers(asked: int | Sequence[int] | None, count: int, name: str) -> list[int]:
    """Layers, heads or positions, counted from 0; negative ones count from the end. `name` is what a message calls
    them.
    """
    if asked is None:
        return list(range(count))
    try:
        listed = whole_numbers(asked, name)
    except ValueError as error:
        raise SweepError(str(error)) from None
    if not listed:
        raise SweepError(f"{name} is empty; leave it out for all {count}.")
    for number in listed:
        if not -count <= number < count:
            raise SweepError(f"{name}: {number} does not exist; there are {count}, 0 to {count - 1}.")
    return [number % count for number in listed]
