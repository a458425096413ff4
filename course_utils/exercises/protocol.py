"""What an exercise is: its text, its reference, its inputs and the mistakes that people really make.

An exercise knows its reference solution, how to draw fresh inputs from a seed, and the known mistakes: each is a wrong
answer that runs, with the sentence its author should hear. How an answer is judged is in `judging`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from course_utils.exercises import messages
from course_utils.exercises.forms import Form
from course_utils.exercises.messages import say


@dataclass(frozen=True)
class Model:
    """Stands for a model among a case's arguments; replaced by the model itself when the case is run.

    Without a name it is the model that the lesson runs on. Tiny random models are named, with a seed. ``begins``: the
    tiny model's tokenizer puts a token in front of each text, as Llama's and Gemma's do. ``unembedding_bias``: its
    unembedding has a bias, as Phi's has. ``end_bias``: what is added to the logit of the token that ends a text, so
    that it always comes first, or never. ``uneven``: its last layer has biases that the others lack.
    ``samples``: its own settings are to sample when it writes, as Qwen's are.
    """

    name: str | None = None
    seed: int = 0
    begins: bool = False
    unembedding_bias: bool = False
    end_bias: float = 0.0
    uneven: bool = False
    samples: bool = False

    def load(self) -> Any:
        from course_utils.model.loading import in_use, load_model

        if self.name is None:
            return in_use() or load_model()
        model = load_model(self.name, seed=self.seed)
        if self.begins:
            _put_in_front(model.tokenizer)
        if self.unembedding_bias:
            _give_bias(model._module.get_output_embeddings(), self.seed)
        if self.end_bias:
            _favour(model._module.get_output_embeddings(), model.tokenizer.eos_token_id, self.end_bias)
        if self.samples:
            model._module.generation_config.update(do_sample=True, temperature=5.0)
        if self.uneven:
            last = model._module.get_decoder().layers[-1]
            for output in (last.self_attn.o_proj, last.mlp.down_proj):
                _give_bias(output, self.seed)
        return model


def _give_bias(linear: Any, seed: int) -> None:
    import torch

    biases = torch.randn(len(linear.weight), generator=torch.Generator().manual_seed(seed))
    linear.bias = torch.nn.Parameter(biases, requires_grad=False)  # as the other weights are


def _favour(unembedding: Any, token: int, bias: float) -> None:
    import torch

    biases = torch.zeros(len(unembedding.weight)) if unembedding.bias is None else unembedding.bias.clone()
    biases[token] += bias
    unembedding.bias = torch.nn.Parameter(biases, requires_grad=False)


def _put_in_front(tokenizer: Any) -> None:
    from tokenizers.processors import TemplateProcessing

    name, id = tokenizer.bos_token, tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(f"{name} $A", special_tokens=[(name, id)])


@dataclass(frozen=True)
class Case:
    """One set of inputs: ``answer(*args, **kwargs)``. ``label`` completes the sentence "On ..." for the learner.

    ``raises``: the answer must raise a ValueError on these inputs, and what is compared is whether it does.
    """

    label: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    raises: bool = False


@dataclass(frozen=True)
class Mistake:
    """A known wrong answer: ``answer`` makes it, ``says`` is what its author is told.

    ``name`` is for the teacher's statistics.
    """

    name: str
    answer: Callable[..., Any]
    says: str


@dataclass(frozen=True)
class Hint:
    """One of an exercise's hints. The notebook folds ``text`` under ``title``; ``hint`` prints both.

    Code stands in `backticks`; several lines of it, none of them empty, between two lines of three backticks.
    """

    title: str
    text: str


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson.

    Attributes:
        id: "4.1": the lesson and the exercise's place in it.
        title: stands over the exercise in the notebook, with the minutes, points and difficulty (1 to 3).
        reference: the solution, a function or class of the lesson's module. The stub in the notebook has its signature
            and docstring.
        shows: one sentence that a right answer earns: what was just shown.
        hints: from "where to look" to "nearly the answer"; ``hint`` gives one more at each call.
        draw: inputs from a random source: at least one case on a tiny random model or random data, so that a hard-coded
            answer fails.
        mistakes: known wrong answers, the most specific first.
        drive: how an answer is used on a case's arguments, when calling it is not enough (a class; several calls). The
            value it returns is what is compared.
        returns: with ``drive``, the form of what an answer returns, for the driver and for the later cells. The same
            values in another container (an array, a tuple) are brought to it; without it they come as they are.
        axes: what the indices of the value mean, outermost first: ("layer", "position").
        tolerance: relative to the largest expected number.
        diagnose: an optional last word on a wrong value: (case, expected, got) to a sentence or None.
    """

    id: str
    title: str
    minutes: int
    points: int
    difficulty: int
    reference: Callable[..., Any]
    shows: str
    hints: tuple[Hint, ...]
    draw: Callable[[random.Random], Sequence[Case]]
    mistakes: tuple[Mistake, ...] = ()
    drive: Callable[..., Any] | None = None
    returns: Form | None = None
    axes: tuple[str, ...] = ()
    tolerance: float = 1e-3
    diagnose: Callable[[Case, Any, Any], str | None] | None = None

    def __post_init__(self) -> None:
        for hint in self.hints:
            if not isinstance(hint, Hint):
                raise TypeError(f"Exercise {self.id}: the hint {hint!r} is no Hint; write Hint(title, text).")

    @property
    def name(self) -> str:
        """The name that the learner's function or class must have."""
        return self.reference.__name__

    def cases(self, seed: int) -> list[Case]:
        """The inputs of one seed, the same in every process."""
        return list(self.draw(random.Random(f"{self.id}:{seed}")))


@dataclass(frozen=True)
class Verdict:
    """What an answer was found to be. ``str(verdict)`` is the line that the learner sees.

    ``status`` is "right", "wrong" or "not tried"; ``mistake`` the name of a known mistake; ``passed`` says of each
    case, by label, if it was right.
    """

    exercise: str
    status: str
    points: int
    out_of: int
    message: str
    mistake: str | None = None
    passed: tuple[tuple[str, bool], ...] = ()

    def __str__(self) -> str:
        if self.status == "not tried":
            return say(messages.NOT_TRIED, exercise=self.exercise)
        template = messages.RIGHT if self.status == "right" else messages.WRONG
        points = {"points": self.points, "out_of": self.out_of}
        return say(template, exercise=self.exercise, message=self.message, **points)
