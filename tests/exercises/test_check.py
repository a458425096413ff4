"""The check cell: whatever an answer does, the learner gets a sentence and the lesson goes on."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from course_utils import exercises as course
from course_utils.exercises import Case, Exercise, Hint, Mistake, Model, check, hint, running, solution
from course_utils.exercises.differences import first_difference
from course_utils.exercises.values import Frozen, Unknown, freeze, from_json, to_json
from course_utils.model.anatomy import anatomy


def middle(model: Any, prompt: str, scale: torch.Tensor) -> torch.Tensor:
    """The residual after layer 1, scaled, (position, width)."""
    with model.trace(prompt):
        residual = anatomy(model).layers[1].output.save()
    return residual[0] * scale


def too_early(model: Any, prompt: str, scale: torch.Tensor) -> torch.Tensor:
    with model.trace(prompt):
        residual = anatomy(model).layers[0].output.save()
    return residual[0] * scale


TRIAL = Exercise(
    id="99.1",
    title="A trial",
    minutes=1,
    points=3,
    difficulty=1,
    reference=middle,
    shows="The middle of the stream.",
    hints=(Hint("where?", "Look inside."), Hint("nearly there", "Layer 1.")),
    draw=lambda rng: [
        Case(
            "a tiny Llama",
            (Model("tiny-llama", rng.randrange(1000)), "the old river", torch.tensor([rng.uniform(1, 2)])),
        ),
        Case(
            "a tiny GPT-2",
            (Model("tiny-gpt2", rng.randrange(1000)), "a small house", torch.tensor([rng.uniform(1, 2)])),
        ),
    ],
    mistakes=(Mistake("one layer early", too_early, "This is layer 0's output, not layer 1's."),),
    axes=("position", "width"),
)


@pytest.fixture(autouse=True)
def trial() -> Iterator[None]:
    course.register(TRIAL)
    course._hints_given.clear()
    yield
    course._registered.pop("99.1")


def test_right_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def mine(model, prompt, scale):
        return middle(model, prompt, scale).numpy()  # an array is as good as a tensor

    assert check("99.1", mine) is mine
    assert capsys.readouterr().out == "✓ 99.1 · 3 of 3 points. The middle of the stream.\n"


def test_stub_is_one_quiet_line_and_loads_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def mine(model, prompt, scale):
        """The docstring of the lesson."""
        raise NotImplementedError

    monkeypatch.setattr(Model, "load", lambda self: pytest.fail("a model was loaded for a stub"))
    assert check("99.1", mine) is middle
    assert capsys.readouterr().out == "○ 99.1 not tried yet: the lesson goes on with the reference solution.\n"


def test_checked_again_with_the_reference_in_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert check("99.1", middle) is middle
    assert "run the cell with your middle again first" in capsys.readouterr().out


def test_known_mistake_is_named_with_place_and_both_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    def mine(model, prompt, scale):
        return too_early(model, prompt, scale)

    assert check("99.1", mine, seed=5) is middle
    said = capsys.readouterr().out
    assert said.startswith("✗ 99.1 · 1 of 3 points. On a tiny Llama: position 0, width 0: yours is ")
    assert ", expected " in said and said.endswith("This is layer 0's output, not layer 1's.\n")


def test_points_for_what_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    def only_on_gpt2(model, prompt, scale):
        right = middle(model, prompt, scale)
        return right if anatomy(model).family == "gpt2" else right + 1

    check("99.1", only_on_gpt2)
    assert "2 of 3 points" in capsys.readouterr().out


def test_hard_coded_answer_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    case = TRIAL.cases(1)[0]
    remembered = middle(case.args[0].load(), *case.args[1:])

    def mine(model, prompt, scale):
        return remembered

    assert check("99.1", mine, seed=2) is middle
    assert capsys.readouterr().out.startswith("✗")


class AlwaysEqual:
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False


class HostileError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def forgets_save(model, prompt, scale):
    with model.trace(prompt):
        residual = anatomy(model).layers[1].output
    return residual[0] * scale


def wrong_order(model, prompt, scale):
    with model.trace(prompt):
        late = anatomy(model).layers[2].output.save()
        early = anatomy(model).layers[1].output.save()
    return early[0] * scale + 0 * late[0]


def outside_trace(model, prompt, scale):
    return anatomy(model).layers[1].output


def returns_in_trace(model, prompt, scale):
    def inner():
        exec(compile("with model.trace(prompt):\n    return 1", "<cell>", "exec"), {"model": model, "prompt": prompt})

    return inner()


def returns_none(model, prompt, scale):
    middle(model, prompt, scale)


def takes_too_few(model, prompt):
    return prompt


def takes_too_many(model, prompt, scale, layer):
    return prompt


def raises(model, prompt, scale):
    raise ValueError("my own trouble")


def raises_a_hostile_error(model, prompt, scale):
    raise HostileError


def exits(model, prompt, scale):
    sys.exit(0)


def interrupts(model, prompt, scale):
    raise KeyboardInterrupt


def recurses(model, prompt, scale):
    return recurses(model, prompt, scale)


def never_ends(model, prompt, scale):
    while True:
        with contextlib.suppress(Exception):
            threading.Event().wait(0.01)


def mutates_input(model, prompt, scale):
    right = middle(model, prompt, scale)
    scale += 1
    return right


def leaves_hook(model, prompt, scale):
    model._module.get_decoder().register_forward_hook(lambda *_: None)
    return middle(model, prompt, scale)


def changes_weights(model, prompt, scale):
    right = middle(model, prompt, scale)
    next(model._module.parameters()).data.mul_(2)
    return right


def leaves_training_mode(model, prompt, scale):
    model._module.train()
    return middle(model, prompt, scale)


def prints_a_megabyte(model, prompt, scale):
    print("spam " * 200_000)
    return None


def replaces_stdout(model, prompt, scale):
    sys.stdout = io.StringIO()
    return None


def changes_surroundings(model, prompt, scale):
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    os.chdir(os.path.expanduser("~"))
    sys.setrecursionlimit(400)
    return None


def returns_nan(model, prompt, scale):
    return middle(model, prompt, scale) * float("nan")


def returns_batch(model, prompt, scale):
    return middle(model, prompt, scale)[None]


def returns_integers(model, prompt, scale):
    return middle(model, prompt, scale).long()


def returns_meta(model, prompt, scale):
    return middle(model, prompt, scale).to("meta")


def returns_always_equal(model, prompt, scale):
    return AlwaysEqual()


def returns_lists(model, prompt, scale):
    return middle(model, prompt, scale).tolist()


def returns_itself_for_ever(model, prompt, scale):
    endless: list[Any] = []
    endless.append(endless)
    return endless


def returns_generator(model, prompt, scale):
    yield middle(model, prompt, scale)


WAYS = [
    (forgets_save, "'residual' was made inside a trace, it does not outlive it"),
    (wrong_order, "in the order in which the model runs them"),
    (outside_trace, "read them inside `with model.trace(...):`"),
    (returns_in_trace, "Your code raised"),
    (returns_none, "None came; expected a tensor of shape (5, 64). Is there a return?"),
    (takes_too_few, "Its arguments are not those of the exercise"),
    (takes_too_many, "Its arguments are not those of the exercise"),
    (raises, "raised ValueError on line"),
    (raises_a_hostile_error, "raised HostileError on line"),
    (exits, "it does not exit"),
    (interrupts, "The check was interrupted."),
    (recurses, "raised RecursionError"),
    (never_ends, "still running after 1 seconds"),
    (mutates_input, "changed its input in place"),
    (leaves_hook, "left a hook behind on"),
    (changes_weights, "changed the model's weights"),
    (leaves_training_mode, "in another mode (train or eval)"),
    (prints_a_megabyte, "Your code printed:"),
    (replaces_stdout, "None came"),
    (changes_surroundings, "None came"),
    (returns_nan, "position 0, width 0: NaN came"),
    (returns_batch, "a tensor of shape (1, 5, 64) came; expected (5, 64) (position, width)."),
    (returns_integers, "a tensor of torch.int64 came; expected torch.float32"),
    (returns_meta, "tensor without values"),
    (returns_always_equal, "a value of type AlwaysEqual came"),
    (returns_lists, "a list of 5 came; expected a tensor"),
    (returns_itself_for_ever, "a list of 1 came; expected a tensor"),
    (returns_generator, "a value of type generator came"),
    (3, "It is an int; a function or class was expected."),
    ("middle", "It is a str; a function or class was expected."),
    (torch.ones(3), "It is a Tensor; a function or class was expected."),
]


@pytest.mark.parametrize(("answer", "sentence"), WAYS, ids=[getattr(way, "__name__", repr(way)) for way, _ in WAYS])
def test_every_way_to_break_a_check_gets_a_sentence(
    answer: Any, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer is never_ends:
        if not hasattr(running.signal, "setitimer"):
            pytest.skip("no timer signal on this system")
        monkeypatch.setattr(running, "TIME_LIMIT", 1.0)
    before = (torch.get_default_dtype(), torch.is_grad_enabled(), os.getcwd(), sys.getrecursionlimit(), sys.stdout)
    assert check("99.1", answer) is middle
    said = capsys.readouterr().out
    assert sentence in said and said.startswith("✗ 99.1 · ")
    assert "3 of 3" not in said and len(said) < 2000 and "Traceback" not in said
    assert (
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
        os.getcwd(),
        sys.getrecursionlimit(),
        sys.stdout,
    ) == before
    # The next learner's right answer on the same models is right.
    check("99.1", lambda model, prompt, scale: middle(model, prompt, scale))
    assert capsys.readouterr().out.startswith("✓")


def test_weights_changed_by_an_answer_are_put_back_on_the_real_model(real_model: Any, capsys: Any) -> None:
    def spoils(model, prompt, scale):
        right = middle(model, prompt, scale)
        next(model._module.parameters()).data.mul_(2)
        return right

    before = next(real_model._module.parameters()).clone()
    exercise = Exercise(
        **{**vars(TRIAL), "draw": lambda rng: [Case("the lesson's model", (Model(), "the river", torch.ones(1)))]}
    )
    course.register(exercise)
    check("99.1", spoils)
    assert "changed the model's weights" in capsys.readouterr().out
    assert torch.equal(before, next(real_model._module.parameters()))


def test_hints_come_one_by_one(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        hint("99.1")
    assert capsys.readouterr().out.splitlines() == [
        "Hint 1 of 2 (where?): Look inside.",
        "Hint 2 of 2 (nearly there): Layer 1.",
        'That was the last hint. solution("99.1") shows the reference solution.',
    ]


def test_solution_is_the_references_source(capsys: pytest.CaptureFixture[str]) -> None:
    solution("99.1")
    assert "anatomy(model).layers[1].output.save()" in capsys.readouterr().out


@pytest.mark.parametrize("id", ["1.77", "77.1", "nonsense"])
def test_unknown_exercise_lists_what_there_is(id: str) -> None:
    with pytest.raises(KeyError, match=r"There is no (exercise|lesson)"):
        check(id, middle)


VALUES = [
    None,
    True,
    3,
    -0.25,
    float("inf"),
    "Paris ✓",
    [1, [2.5, None]],
    {"a": [torch.arange(6).reshape(2, 3)], 4: "x"},
    torch.tensor([[1.5, float("nan")]], dtype=torch.float64),
    torch.tensor([True, False]),
    torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    torch.zeros(0, 3),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_values_travel_as_json_unchanged(value: Any) -> None:
    import json

    frozen = freeze(value)
    there_and_back = from_json(json.loads(json.dumps(to_json(frozen), allow_nan=False)))
    assert first_difference(frozen, there_and_back, tolerance=0.0) is None


@pytest.mark.parametrize(
    "data",
    [
        {"tensor": "AAAA", "dtype": "float32", "shape": [2], "device": "cpu"},
        {"tensor": "", "dtype": "object", "shape": [0], "device": "cpu"},
        {"tensor": "", "dtype": "float32", "shape": [10**12], "device": "cpu"},
        {"tensor": "", "dtype": "float32", "shape": [-1], "device": "cpu"},
        {"tensor": "!!", "dtype": "int8", "shape": [1], "device": "cpu"},
        {"dict": [["a"]]},
        {"dict": [[["a"], 1]]},
        {"float": "1e999"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_json_that_no_answer_sends_is_refused(data: Any) -> None:
    with pytest.raises(ValueError):
        from_json(data)


def test_comparison_names_the_place() -> None:
    expected = freeze([{"logits": torch.zeros(2, 3), "token": "a"}, {"logits": torch.ones(2, 3), "token": "b"}])
    got = freeze([{"logits": torch.zeros(2, 3), "token": "a"}, {"logits": torch.ones(2, 3), "token": "c"}])
    difference = first_difference(expected, got, ("layer", "position", "width"))
    assert difference is not None and difference.told == "layer 1, 'token': yours is 'c', expected 'b'."
    got[1]["logits"].tensor[1, 2] = 3
    difference = first_difference(expected, got, ("layer", "position", "width"))
    assert (
        difference is not None and difference.told == "layer 1, 'logits', position 1, width 2: yours is 3, expected 1."
    )
    assert isinstance(freeze(object()), Unknown) and isinstance(expected[0]["logits"], Frozen)
