"""The check cell: whatever an answer does, the learner gets a sentence and the lesson goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import io
import itertools
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from course_utils import exercises as course
from course_utils.exercises import Case, Exercise, Hint, Mistake, Model, check, hint, running, solution, surroundings
from course_utils.exercises.differences import first_difference
from course_utils.exercises.forms import FLOATS, INTEGERS, TEXT, TEXTS, Form, as_form, form_of
from course_utils.exercises.kv_cache.four_layers import FOUR_LAYERS
from course_utils.exercises.kv_cache.known_layer import known_layer, random_inputs
from course_utils.exercises.values import Frozen, Unknown, freeze, from_json, to_json
from course_utils.kv_cache import PreallocatedCache, breaking_pieces
from course_utils.model.anatomy import anatomy
from course_utils.model.loading import load_model
from tests.wrong_answers.kv_cache.own_layer import Attention


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
    course._failed.clear()
    yield
    course._registered.pop("99.1")


@pytest.mark.slow
def test_right_answer(capsys: pytest.CaptureFixture[str]) -> None:
    def mine(model, prompt, scale):
        return middle(model, prompt, scale)

    assert check("99.1", mine) is mine
    assert capsys.readouterr().out == "✓ 99.1 · 3 of 3 points. The middle of the stream.\n"


FORMS = {
    "array": lambda value: value.numpy(),
    "list": lambda value: value.tolist(),
    "tuple of tensors": lambda value: tuple(value),
    "generator of arrays": lambda value: (row.numpy() for row in value),
    "float64": lambda value: value.double(),
    "bfloat16": lambda value: value.bfloat16(),
    "sparse": lambda value: value.to_sparse(),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_right_answer_in_another_form_is_right_and_comes_back_in_the_references(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def mine(model, prompt, scale):
        """My own words."""
        return FORMS[form](middle(model, prompt, scale))

    given = check("99.1", mine)
    assert capsys.readouterr().out.startswith("✓ 99.1 · 3 of 3 points.")
    assert given.__doc__ == "My own words." and inspect.getsource(given) == inspect.getsource(mine)
    assert inspect.signature(given) == inspect.signature(mine)
    inputs = TRIAL.cases(1)[0].args
    value = given(inputs[0].load(), *inputs[1:])
    assert type(value) is torch.Tensor and value.dtype == torch.float32 and value.shape == (5, 64)
    assert check("99.1", given) is given or form != "array"  # checked again, it is right again


LENGTHS = {
    "array": lambda found: np.array(found),
    "list of numpy's integers": lambda found: list(np.array(found)),
    "tensor": lambda found: torch.tensor(found),
    "floats": lambda found: [float(n) for n in found],
    "generator": lambda found: (n for n in found),
}


@pytest.mark.parametrize("form", LENGTHS)
def test_an_answer_that_something_is_done_with_may_come_in_another_container_too(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """3.9 cuts a text into the pieces that come back; where there are none, None stays None."""

    def mine(layer, x):
        found = breaking_pieces(layer, x)
        return None if found is None else LENGTHS[form](found)

    given = check("3.9", mine)
    assert capsys.readouterr().out.startswith("✓ 3.9")
    assert inspect.getsource(given) == inspect.getsource(mine)
    layers = [known_layer(FOUR_LAYERS[name], 16, 2, 0) for name in "AC"]
    with torch.no_grad():
        broken, whole = (given(layer, random_inputs(0, 1, 9, 16)) for layer in layers)
    assert type(broken) is list and {type(n) for n in broken} == {int} and whole is None


class PutsOutOneTensor(Attention):
    def attend(self, queries, keys, values, mask=None):
        return super().attend(queries, keys, values, mask)[0]


class KeepsToItself(PreallocatedCache):
    def append(self, keys, values):
        super().append(keys, values)


@pytest.mark.parametrize(("id", "answer"), [("3.1", PutsOutOneTensor), ("3.7", KeepsToItself)])
def test_what_a_check_can_do_nothing_with_is_not_taken_for_other_arguments(
    id: str, answer: type, capsys: pytest.CaptureFixture[str]
) -> None:
    check(id, answer)
    told = capsys.readouterr().out
    assert "must return two tensors" in told and "first line" not in told


def test_what_a_generator_raises_is_told_as_any_other_error(capsys: pytest.CaptureFixture[str]) -> None:
    def mine(layer, x):
        yield 1
        yield int("no number")

    check("3.9", mine)
    told = capsys.readouterr().out
    assert "Your code raised ValueError" in told and "invalid literal for int()" in told


def test_views_of_a_dictionary_are_lists() -> None:
    pairs = {"a": 1, "b": 2}
    assert as_form(INTEGERS, pairs.values()) == [1, 2] and as_form(TEXTS, pairs.keys()) == ["a", "b"]
    assert as_form(form_of([("a", 1), ("b", 2)]), pairs.items()) == [("a", 1), ("b", 2)]
    assert [freeze(view) for view in (pairs.keys(), pairs.values(), pairs.items())] == [
        ["a", "b"],
        [1, 2],
        [["a", 1], ["b", 2]],
    ]


@pytest.mark.parametrize("value", [np.array([0.5]), torch.tensor([[0.5]]), np.float32(0.5), torch.tensor(0.5)])
def test_one_number_is_a_number_whatever_holds_it(value: Any) -> None:
    came = as_form(Form("float"), value)
    assert type(came) is float and came == 0.5
    assert as_form(Form("float"), np.array([0.5, 1.5])).shape == (2,)  # two are not


@pytest.mark.parametrize("value", [[], (), iter(())], ids=lambda value: type(value).__name__)
def test_an_empty_list_is_a_tensor_without_numbers(value: Any) -> None:
    came = as_form(FLOATS, value)
    assert came.shape == (0,) and came.dtype == torch.float32


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (INTEGERS, None),
        (INTEGERS, "123"),
        (INTEGERS, {1: 2}),
        (INTEGERS, [1.5]),
        (TEXT, 4),
        (TEXT, None),
        (TEXTS, "a text"),
        (FLOATS, None),
        (FLOATS, "12"),
    ],
)
def test_what_is_no_such_value_is_left_as_it_is(form: Form, value: Any) -> None:
    assert as_form(form, value) == value


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


def test_on_a_model_on_which_the_reference_fails_a_sentence_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    def stands_on_layer_20(model: Any, prompt: str, scale: torch.Tensor) -> torch.Tensor:
        raise IndexError("there is no layer 20")

    course.register(dataclasses.replace(TRIAL, id="99.8", reference=stands_on_layer_20))
    assert check("99.8", middle) is stands_on_layer_20
    told = capsys.readouterr().out
    assert told.startswith("○ 99.8 cannot be checked on this model") and "there is no layer 20" in told


def test_known_mistake_is_named_with_place_and_both_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    def mine(model, prompt, scale):
        return too_early(model, prompt, scale)

    assert check("99.1", mine, seed=5) is middle
    said = capsys.readouterr().out
    assert said.startswith("✗ 99.1 · 1 of 3 points. On a tiny Llama: position 0, width 0: yours is ")
    assert ", expected " in said and "This is layer 0's output, not layer 1's.\n" in said


def test_the_inputs_of_a_failure_can_be_had(capsys: pytest.CaptureFixture[str]) -> None:
    def mine(model, prompt, scale):
        right = middle(model, prompt, scale)
        return right if anatomy(model).family == "llama" else right + 1

    with pytest.raises(KeyError, match=r"No check has found an answer to 99\.1 wrong"):
        course.failing_case("99.1")
    check("99.1", mine)
    assert 'import failing_case; args, kwargs = failing_case("99.1")\n' in capsys.readouterr().out
    args, kwargs = course.failing_case("99.1")
    assert anatomy(args[0]).family == "gpt2" and args[1] == "a small house" and kwargs == {}
    assert not torch.allclose(mine(*args, **kwargs), middle(*args, **kwargs))


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


def leaves_an_edit(model, prompt, scale):
    with model.edit(inplace=True):
        anatomy(model).layers[0].output[:] = 0
    return middle(model, prompt, scale)


def leaves_a_hook_before(model, prompt, scale):
    model._module.get_decoder().register_forward_pre_hook(lambda *_: None)
    return middle(model, prompt, scale)


def leaves_a_hook_on_everything(model, prompt, scale):
    torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    return middle(model, prompt, scale)


def leaves_a_hook_on_a_weight(model, prompt, scale):
    next(model._module.parameters()).requires_grad_().register_hook(lambda gradient: gradient)
    return middle(model, prompt, scale)


def halves(model, prompt, scale):
    model._module.half()
    return middle(model, prompt, scale)


def doubles(model, prompt, scale):
    right = middle(model, prompt, scale)
    model._module.double()
    return right


def replaces_a_forward(model, prompt, scale):
    right = middle(model, prompt, scale)
    layer = model._module.get_decoder().layers[0] if hasattr(model._module.get_decoder(), "layers") else model._module
    layer.forward = lambda *args, **kwargs: 0
    return right


def patches_torch(model, prompt, scale):
    right = middle(model, prompt, scale)
    torch.nn.functional.softmax = lambda *args, **kwargs: args[0]
    return right


def patches_the_course(model, prompt, scale):
    right = middle(model, prompt, scale)
    sys.modules["course_utils.model.anatomy"].anatomy = lambda model: None  # type: ignore[attr-defined]
    return right


def sets_default_device(model, prompt, scale):
    torch.set_default_device("meta")
    return None


def returns_complex(model, prompt, scale):
    return middle(model, prompt, scale).to(torch.complex64)


def returns_a_huge_number(model, prompt, scale):
    return 10**400


def returns_without_end(model, prompt, scale):
    return itertools.count()


def under_the_time_magic(model, prompt, scale):
    raise RuntimeError("nnsight has no source for <timed exec>")


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
    (recurses, "raised RecursionError"),
    (never_ends, "still running after 1 seconds"),
    (mutates_input, "changed its input in place"),
    (leaves_hook, "left a hook behind on"),
    (changes_weights, "changed the model's weights"),
    (leaves_training_mode, "in another mode (train or eval)"),
    (leaves_an_edit, "left an edit on the model (edit(inplace=True))"),
    (leaves_a_hook_before, "left a hook behind on"),
    (leaves_a_hook_on_everything, "left a hook behind on every module"),
    (leaves_a_hook_on_a_weight, "left a hook behind on"),
    (halves, "changed the dtype of the model's weights"),
    (doubles, "changed the dtype of the model's weights"),
    (replaces_a_forward, "replaced the forward of"),
    (patches_torch, "replaced torch.nn.functional.softmax for everyone: it was put back."),
    (patches_the_course, "replaced course_utils.model.anatomy.anatomy for everyone"),
    (sets_default_device, "None came"),
    (returns_complex, "tensor of complex numbers"),
    (returns_a_huge_number, "whole number of more than 18 digits"),
    (returns_without_end, "list that does not end"),
    (under_the_time_magic, "Take %%time off the cell"),
    (prints_a_megabyte, "Your code printed:"),
    (replaces_stdout, "None came"),
    (changes_surroundings, "None came"),
    (returns_nan, "position 0, width 0: NaN came"),
    (returns_batch, "a tensor of shape (1, 5, 64) came; expected (5, 64) (position, width)."),
    (returns_integers, "a tensor of torch.int64 came; expected torch.float32"),
    (returns_meta, "tensor without values"),
    (returns_always_equal, "a value of type AlwaysEqual came"),
    (returns_itself_for_ever, "a list of 1 came; expected a tensor"),
    (returns_generator, "a tensor of shape (1, 5, 64) came; expected (5, 64) (position, width)."),
    (3, "It is an int; a function or class was expected."),
    ("middle", "It is a str; a function or class was expected."),
    (torch.ones(3), "It is a Tensor; a function or class was expected."),
]


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "sentence"), WAYS, ids=[getattr(way, "__name__", repr(way)) for way, _ in WAYS])
def test_every_way_to_break_a_check_gets_a_sentence(
    answer: Any, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer is never_ends:
        if not hasattr(signal, "setitimer"):
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


@pytest.mark.parametrize("who", ["the answer", "the reference"])
def test_an_interrupted_check_counts_for_nothing(
    who: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(course, "_watchers", [lambda event, id, value: told.append(event)])
    answer = interrupts
    if who == "the reference":  # it runs after the answer, so an interrupt may meet it
        answer = middle
        course.register(dataclasses.replace(TRIAL, id="99.7", reference=interrupts))
    id = "99.1" if who == "the answer" else "99.7"
    assert check(id, answer) is course.get_exercise(id).reference
    said = capsys.readouterr().out
    assert said.startswith(f"○ {id} the check was interrupted, and does not count.") and said.count("\n") == 1
    assert told == []


def settings(model: Any) -> Any:
    tokenizer, module = model.tokenizer, model._module
    return (
        tokenizer.padding_side,
        tokenizer.pad_token,
        module.config._attn_implementation,
        module.config.use_cache,
        module.config.output_hidden_states,
        [parameter.requires_grad for parameter in module.parameters()],
        random.getstate(),
        str(np.random.get_state()),
        torch.get_default_device(),
    )


def test_what_an_answer_may_set_is_put_back_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    model = load_model("tiny-gpt2")
    seen = []

    def mine(model, prompt, scale):
        right = middle(model, prompt, scale)
        seen.append(settings(model) == before)
        model.tokenizer.padding_side = "left"
        model.tokenizer.pad_token = model.tokenizer.convert_ids_to_tokens(3)
        model._module.set_attn_implementation("sdpa")
        model._module.config.use_cache = False
        model._module.config.output_hidden_states = True
        model._module.requires_grad_(False)
        random.seed(0)
        np.random.seed(0)
        torch.set_default_device("meta")
        return right

    before = settings(model)
    cases = [Case(str(i), (model, "a house", torch.ones(1))) for i in range(2)]
    course.register(dataclasses.replace(TRIAL, draw=lambda rng: cases))
    outcomes = course.attempt(course.get_exercise("99.1"), mine, 1)
    assert [outcome.harm for outcome in outcomes] == ["", ""] and seen == [True, True]
    assert settings(model) == before


@pytest.mark.parametrize("asked_before", [True, False])
def test_an_answer_that_clears_hooks_leaves_transformers_its_own(asked_before: bool) -> None:
    model = load_model("tiny-llama")
    module, ids = model._module, torch.tensor([[1, 2, 3]])

    def states() -> tuple[torch.Tensor, ...]:
        return module(ids, output_hidden_states=True).hidden_states

    def mine(model, prompt, scale):
        states()  # transformers puts in its hooks when first asked
        for part in module.modules():
            part._forward_hooks.clear()
        return middle(model, prompt, scale)

    if asked_before:
        states()
    cases = [Case(str(i), (model, "a house", torch.ones(1))) for i in range(2)]
    course.register(dataclasses.replace(TRIAL, draw=lambda rng: cases))
    outcomes = course.attempt(course.get_exercise("99.1"), mine, 1)
    assert [outcome.harm for outcome in outcomes] == ["", ""]
    assert len(states()) == 1 + model.config.num_hidden_layers


def test_a_check_within_an_answer_leaves_the_clock_around_it_running(monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(signal, "setitimer"):
        pytest.skip("no timer signal on this system")
    begun = time.monotonic()
    with pytest.raises(surroundings.OutOfTime), surroundings.time_limit(0.5):
        with surroundings.time_limit(60):
            pass
        while time.monotonic() < begun + 30:
            time.sleep(0.01)
    begun = time.monotonic()
    with pytest.raises(surroundings.OutOfTime), surroundings.time_limit(0.5), surroundings.time_limit(60):
        while time.monotonic() < begun + 30:
            time.sleep(0.01)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_check_in_inference_mode(capsys: pytest.CaptureFixture[str]) -> None:
    with torch.inference_mode():
        check("99.1", lambda model, prompt, scale: middle(model, prompt, scale))
    assert capsys.readouterr().out.startswith("✓")


@pytest.mark.slow
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


def test_where_all_is_exactly_0_what_cancels_may_be_off_by_its_rounding() -> None:
    zeros = freeze(torch.zeros(2, 3))
    assert first_difference(zeros, freeze(torch.full((2, 3), 9e-7))) is None
    assert first_difference(zeros, freeze(torch.full((2, 3), 2e-6))) is not None
    assert first_difference(zeros, freeze(torch.full((2, 3), 9e-7)), tolerance=0.0) is not None, "an input's change"
    small = freeze(torch.tensor([0.0, 1e-5]))
    assert first_difference(small, freeze(torch.tensor([9e-7, 1e-5]))) is not None, "here there is a scale"


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
