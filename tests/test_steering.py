"""Lesson 5's solutions, against plain PyTorch hooks on the transformers module: its forward pass, `generate`, loss."""

from __future__ import annotations

import contextlib
import gc
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from course_utils import steering
from course_utils.model.loading import TINY_MODELS
from course_utils.steering import LLMSteering
from course_utils.tokens import perplexity

GLAD = ["I am happy today", "The best day", "She is glad and the music is good"]
SAD = ["He is sad", "The worst day of the winter was long"]
PROMPT = "The old teacher saw the red train and"
Tiny = Callable[..., Any]


@pytest.fixture(params=[*TINY_MODELS, "embedded"])
def model(request: pytest.FixtureRequest, tiny: Tiny) -> Any:
    return request.getfixturevalue("real_model") if request.param == "embedded" else tiny(request.param, seed=5)


def blocks(model: Any) -> list[torch.nn.Module]:
    """The decoder blocks, found without the anatomy: the one list of modules that is as long as there are layers."""
    config = model._module.config.get_text_config()
    decoder = model._module.get_decoder()
    return next(
        list(part)
        for part in decoder.children()
        if isinstance(part, torch.nn.ModuleList) and len(part) == config.num_hidden_layers
    )


def ids_of(model: Any, text: str) -> torch.Tensor:
    return model.tokenizer(text, return_tensors="pt")["input_ids"]


@contextlib.contextmanager
def hooked(block: torch.nn.Module, vector: torch.Tensor, once: bool = False) -> Iterator[None]:
    """A plain forward hook that adds a vector to what a block puts out; with `once` only in its first run."""
    runs = []

    def add(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return output if once and len(runs) > 1 else output + vector

    handle = block.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def plain_logits(model: Any, text: str) -> torch.Tensor:
    with torch.no_grad():
        return model._module(ids_of(model, text)).logits[0]


def plain_text(model: Any, text: str, n: int, **kwargs: Any) -> str:
    ids = ids_of(model, text)
    with torch.no_grad():
        written = model._module.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=n, do_sample=False, pad_token_id=0, **kwargs
        )
    return str(model.tokenizer.decode(written[0, ids.shape[1] :], skip_special_tokens=True))


def last_residuals(model: Any, texts: list[str], layer: int) -> torch.Tensor:
    """transformers' own record of the stream; its last entry is normed, so the layer must not be the last one."""
    found = []
    for text in texts:
        with torch.no_grad():
            found.append(model._module(ids_of(model, text), output_hidden_states=True).hidden_states[layer + 1][0, -1])
    return torch.stack(found)


def vectors_for(model: Any, *shape: int, seed: int = 0) -> torch.Tensor:
    width = model._module.config.get_text_config().hidden_size
    return torch.randn(*shape, width, generator=torch.Generator().manual_seed(seed)) * 3


def n_hooks(model: Any) -> int:
    return sum(
        not (hook.__module__ or "").startswith("transformers.")
        for part in model._module.modules()
        for hooks in (part._forward_hooks, part._forward_pre_hooks, part._backward_hooks)
        for hook in hooks.values()
    )


# The functions.


@pytest.mark.slow
def test_direction_is_the_difference_of_means_of_transformers_hidden_states(model: Any) -> None:
    for layer in (0, len(blocks(model)) - 2):
        expected = last_residuals(model, GLAD, layer).mean(dim=0) - last_residuals(model, SAD, layer).mean(dim=0)
        found = steering.concept_direction(model, GLAD, SAD, layer)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
        together = steering.concept_directions(model, GLAD, SAD)
        assert together.shape == (len(blocks(model)), len(expected))
        torch.testing.assert_close(together[layer], found, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_one_prompt_is_a_list_of_one(tiny: Tiny) -> None:
    model = tiny("tiny-llama", seed=5)
    torch.testing.assert_close(
        steering.concept_direction(model, GLAD[0], SAD[1], 1), steering.concept_direction(model, GLAD[:1], [SAD[1]], 1)
    )


@pytest.mark.slow
def test_steered_logits_are_those_of_a_plain_hook(model: Any) -> None:
    vector = vectors_for(model)
    for layer in (0, len(blocks(model)) - 1):
        with hooked(blocks(model)[layer], vector):
            expected = plain_logits(model, PROMPT)[-1]
        torch.testing.assert_close(
            steering.steered_logits(model, PROMPT, layer, vector), expected, rtol=1e-4, atol=1e-3
        )
    assert n_hooks(model) == 0


@pytest.mark.slow
def test_strength_sweep_is_one_plain_hook_for_each_strength(model: Any) -> None:
    direction, strengths = vectors_for(model), [-1.0, 0.0, 0.5, 2.0]
    found = steering.strength_sweep(model, PROMPT, 1, direction, strengths)
    for row, strength in zip(found, strengths, strict=True):
        with hooked(blocks(model)[1], strength * direction):
            torch.testing.assert_close(row, plain_logits(model, PROMPT)[-1], rtol=1e-4, atol=1e-3)


def test_log_odds_is_the_logarithm_of_a_quotient_of_probabilities() -> None:
    logits = torch.randn(2, 3, 50, generator=torch.Generator().manual_seed(1)) * 3
    p = logits.double().softmax(dim=-1)
    expected = (p[..., [1, 2, 3]].sum(-1) / p[..., [7, 9]].sum(-1)).log()
    torch.testing.assert_close(steering.log_odds(logits, [1, 2, 3], [7, 9]).double(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_odds_shift_is_the_change_under_a_plain_hook(model: Any) -> None:
    vectors = vectors_for(model, 2)
    found = steering.odds_shift(model, PROMPT, 1, vectors, [5, 6], [7, 8, 9])
    before = steering.log_odds(plain_logits(model, PROMPT)[-1], [5, 6], [7, 8, 9])
    for shift, vector in zip(found, vectors, strict=True):
        with hooked(blocks(model)[1], vector):
            after = steering.log_odds(plain_logits(model, PROMPT)[-1], [5, 6], [7, 8, 9])
        torch.testing.assert_close(shift, after - before, rtol=1e-3, atol=2e-3)


def test_contrasts_are_directions_of_the_filled_frames(tiny: Tiny) -> None:
    model = tiny("tiny-llama", seed=5)
    frames, pairs = ["the {} is old", "I see a {}"], [("train", "red car"), ("winter", "day")]
    found = steering.contrast_directions(model, pairs, frames, batch_size=3)
    for direction, (one, other) in zip(found, pairs, strict=True):
        sides = [[frame.format(word) for frame in frames] for word in (one, other)]
        torch.testing.assert_close(direction, steering.concept_directions(model, *sides), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_removal_is_a_plain_hook_at_every_layer(model: Any) -> None:
    n_layers = len(blocks(model))
    directions = vectors_for(model, 2, n_layers)
    directions[1, :-1] = 0  # the second row is removed from the last layer only
    found = steering.removed_log_odds(model, PROMPT, directions, [5, 6], [7, 8, 9])
    expected = [steering.log_odds(plain_logits(model, PROMPT)[-1], [5, 6], [7, 8, 9])]
    for row in directions:
        with contextlib.ExitStack() as stack:
            for block, direction in zip(blocks(model), row, strict=True):
                if direction.any():
                    hook = block.register_forward_hook(
                        lambda _, __, output, direction=direction: steering.remove_direction(output, direction)
                    )
                    stack.callback(hook.remove)
            expected.append(steering.log_odds(plain_logits(model, PROMPT)[-1], [5, 6], [7, 8, 9]))
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-3, atol=2e-3)
    with pytest.raises(ValueError, match=f"directions are for 1 layers; this model has {n_layers}"):
        steering.removed_log_odds(model, PROMPT, directions[:, :1], [5], [6])


@pytest.mark.slow
@pytest.mark.parametrize("prompt_only", [False, True])
def test_generation_is_transformers_generate_under_a_hook(model: Any, prompt_only: bool) -> None:
    vectors = vectors_for(model, 3)
    vectors[1] = 0  # this row must be the model's own text
    found = steering.steered_generate(model, PROMPT, 1, vectors, 6, prompt_only=prompt_only)
    for text, vector in zip(found, vectors, strict=True):
        with hooked(blocks(model)[1], vector, once=prompt_only):
            assert text == plain_text(model, PROMPT, 6)
    assert found[1] == plain_text(model, PROMPT, 6)


@pytest.mark.slow
def test_generation_passes_its_arguments_on_and_is_quiet(real_model: Any) -> None:
    question, vectors = "What is the capital of France?", torch.zeros(2, 576)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = steering.steered_generate(real_model, question, 3, vectors, 5)
    assert texts == ["", ""]  # this model ends its answer here, so the steps are fewer than asked for
    plain = plain_text(real_model, question, 5, min_new_tokens=4)
    assert plain and steering.steered_generate(real_model, question, 3, vectors[:1], 5, min_new_tokens=4) == [plain]


@pytest.mark.slow
def test_growing_batch_is_one_plain_hook_for_each_layer_and_strength(model: Any) -> None:
    n_layers = len(blocks(model))
    layers = [0, n_layers // 2, n_layers - 1]
    vectors = vectors_for(model, 3, 2)
    found = steering.steered_residuals(model, PROMPT, vectors, layers)
    runs: list[tuple[int, torch.Tensor]] = [(0, torch.zeros(vectors.shape[-1]))]
    runs += [(layer, vector) for layer, some in zip(layers, vectors, strict=True) for vector in some]
    assert found.shape[0] == len(runs) == 7
    # transformers' last hidden state is normed, so what is compared is the logits.
    from course_utils.model.anatomy import anatomy

    for stream, (layer, vector) in zip(found, runs, strict=True):
        with hooked(blocks(model)[layer], vector):
            torch.testing.assert_close(
                anatomy(model).unembed(stream), plain_logits(model, PROMPT), rtol=1e-3, atol=2e-3
            )


def test_sweep_is_log_odds_and_loss_under_hooks(tiny: Tiny) -> None:
    """The loss is transformers' own."""
    model = tiny("tiny-gemma2", seed=5)
    vectors, texts, prompts = vectors_for(model, 2, 2), [PROMPT, "The small bird saw the garden"], [SAD[0], PROMPT]
    sweep = steering.steering_sweep(model, vectors, prompts, [10, 11], [20, 21, 22], texts, layers=[0, 2])

    def measured() -> tuple[float, float]:
        odds = [float(steering.log_odds(plain_logits(model, prompt)[-1], [10, 11], [20, 21, 22])) for prompt in prompts]
        total, count = 0.0, 0
        for text in texts:
            ids = ids_of(model, text)
            with torch.no_grad():
                total += float(model._module(ids, labels=ids).loss) * (ids.shape[1] - 1)
            count += ids.shape[1] - 1
        return sum(odds) / len(odds), math.exp(total / count)

    assert (sweep.plain_log_odds, sweep.plain_perplexity) == pytest.approx(measured(), rel=1e-3, abs=1e-3)
    assert sweep.plain_perplexity == pytest.approx(perplexity(model, texts), rel=1e-3)
    for row, layer in enumerate((0, 2)):
        for column in range(2):
            with hooked(blocks(model)[layer], vectors[row, column]):
                expected = measured()
            found = float(sweep.log_odds[row, column]), float(sweep.perplexity[row, column])
            assert found == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_best_setting_is_the_largest_shift_that_is_allowed() -> None:
    sweep = steering.Sweep(
        torch.tensor([[1.0, 5.0, 9.0], [2.0, 6.0, 7.0]]),
        torch.tensor([[10.0, 14.0, 90.0], [11.0, 15.0, 40.0]]),
        0.5,
        10.0,
        (3, 8),
    )  # fmt: skip
    assert sweep.best(limit=1.5) == (1, 1)
    assert sweep.best(limit=1.45) == (0, 1)
    assert sweep.best(limit=100) == (0, 2)
    torch.testing.assert_close(sweep.shift, sweep.log_odds - 0.5)
    with pytest.raises(ValueError, match="No setting"):
        sweep.best(limit=0.9)


@pytest.mark.slow
def test_norms_are_those_of_transformers_hidden_states(model: Any) -> None:
    with torch.no_grad():
        states = model._module(ids_of(model, PROMPT), output_hidden_states=True).hidden_states
    expected = torch.stack([state[0, 1:].norm(dim=-1) for state in states[1:-1]])  # the last one is normed
    torch.testing.assert_close(steering.stream_norms(model, PROMPT)[:-1], expected, rtol=1e-3, atol=1e-3)
    assert steering.stream_norms(model, [PROMPT, PROMPT]).shape[1] == 2 * expected.shape[1]


def test_slerp_is_a_rotation_in_the_plane_of_the_two() -> None:
    """Against a rotation matrix, in the plane that a QR decomposition of the two gives."""
    first, second = torch.randn(2, 40, generator=torch.Generator().manual_seed(3)).double()
    plane = torch.linalg.qr(torch.stack([first, second], dim=1)).Q  # (40, 2)
    a, b = first @ plane, second @ plane
    angle = math.atan2(float(a[0] * b[1] - a[1] * b[0]), float(a @ b))
    for t in (0.0, 0.3, 0.5, 1.0):
        c, s = math.cos(t * angle), math.sin(t * angle)
        turned = torch.tensor([[c, -s], [s, c]], dtype=torch.float64) @ (a / a.norm())
        expected = ((1 - t) * a.norm() + t * b.norm()) * (plane @ turned)
        torch.testing.assert_close(steering.slerp(first, second, t), expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(steering.slerp(first, 3 * first, 0.5), 2 * first)


def test_removed_direction_is_the_residual_of_least_squares() -> None:
    residual = torch.randn(4, 7, 30, generator=torch.Generator().manual_seed(3)).double()
    direction = residual[0, 0] * 5 + 1
    flat = residual.reshape(-1, 30).T  # each column a vector
    fitted = direction[:, None] @ torch.linalg.lstsq(direction[:, None], flat).solution
    expected = (flat - fitted).T.reshape(residual.shape)
    torch.testing.assert_close(steering.remove_direction(residual, direction), expected)


# The class.


class Interrupts:
    """A streamer, which generate tells of each new token, that ends the run at the third."""

    def __init__(self, error: type[BaseException]) -> None:
        self.error, self.seen = error, 0

    def put(self, value: Any) -> None:
        self.seen += 1
        if self.seen == 3:
            raise self.error("in the middle")

    def end(self) -> None:
        pass


@pytest.mark.slow
def test_steerer_writes_what_a_plain_hook_would(model: Any) -> None:
    vector = 2.0 * (last_residuals(model, GLAD, 0).mean(dim=0) - last_residuals(model, SAD, 0).mean(dim=0))
    steerer = LLMSteering(model).set_steering(GLAD, SAD, layer=0, strength=2.0)
    with hooked(blocks(model)[0], vector):
        expected = plain_text(model, PROMPT, 6)
    assert steerer.generate(PROMPT, max_new_tokens=6) == PROMPT + expected


def test_nothing_is_on_the_model_before_during_and_after(tiny: Tiny) -> None:
    model = tiny("tiny-gpt2", seed=5)
    plain = plain_text(model, PROMPT, 6)
    weights = [parameter.clone() for parameter in model._module.parameters()]
    steerer = LLMSteering(model).set_steering(GLAD, SAD, layer=1, strength=4.0)
    assert n_hooks(model) == 0 and plain_text(model, PROMPT, 6) == plain
    assert steerer.generate(PROMPT, 6) != PROMPT + plain
    assert n_hooks(model) == 0 and plain_text(model, PROMPT, 6) == plain
    assert all(map(torch.equal, weights, model._module.parameters()))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_model_is_clean_after_an_interrupted_run(error: type[BaseException], tiny: Tiny) -> None:
    model = tiny("tiny-llama", seed=5)
    plain = plain_text(model, PROMPT, 6)
    steerer = LLMSteering(model).set_steering(GLAD, SAD, layer=1, strength=4.0)
    steered = steerer.generate(PROMPT, 6)
    streamer = Interrupts(error)
    with pytest.raises(error, match="in the middle"):
        steerer.generate(PROMPT, 6, streamer=streamer)
    assert streamer.seen == 3
    assert n_hooks(model) == 0 and plain_text(model, PROMPT, 6) == plain
    assert steerer.generate(PROMPT, 6) == steered


@pytest.mark.slow
def test_model_is_clean_after_the_steerer_is_deleted(tiny: Tiny) -> None:
    model = tiny("tiny-qwen2", seed=5)
    plain = plain_text(model, PROMPT, 6)
    steerer = LLMSteering(model).set_steering(GLAD, SAD, layer=1, strength=4.0)
    steerer.generate(PROMPT, 3)
    del steerer
    gc.collect()
    assert n_hooks(model) == 0 and plain_text(model, PROMPT, 6) == plain


def test_steerers_on_one_model_do_not_meet(tiny: Tiny) -> None:
    model = tiny("tiny-gemma3", seed=5)
    alone = [
        LLMSteering(model).set_steering(GLAD, SAD, layer, strength).generate(PROMPT, 6)
        for layer, strength in ((0, 4.0), (1, -4.0))
    ]
    first = LLMSteering(model).set_steering(GLAD, SAD, 0, 4.0)
    second = LLMSteering(model).set_steering(GLAD, SAD, 1, -4.0)
    assert [first.generate(PROMPT, 6), second.generate(PROMPT, 6)] == alone
    second.remove_steering()
    assert first.generate(PROMPT, 6) == alone[0]
    second.set_steering(GLAD, SAD, 0, 4.0)
    assert second.generate(PROMPT, 6) == alone[0]


def test_without_steering_it_says_so_and_writes_the_models_own_text(tiny: Tiny) -> None:
    model = tiny("tiny-olmo2", seed=5)
    expected = PROMPT + plain_text(model, PROMPT, 6)
    steerer = LLMSteering(model)
    with pytest.warns(UserWarning, match="No steering is set"):
        assert steerer.generate(PROMPT, 6) == expected
    steerer.set_steering(GLAD, SAD, 1, 4.0)
    steerer.remove_steering()
    with pytest.warns(UserWarning, match="No steering is set"):
        assert steerer.generate(PROMPT, 6) == expected


def test_context_manager_forgets_its_steering_also_after_an_error(tiny: Tiny) -> None:
    model = tiny("tiny-llama", seed=5)
    with pytest.raises(ZeroDivisionError), LLMSteering(model).set_steering(GLAD, SAD, 1, 4.0) as steerer:
        assert steerer.generate(PROMPT, 6) != PROMPT + plain_text(model, PROMPT, 6)
        raise ZeroDivisionError
    assert steerer.vector is None


def test_force_clear_removes_what_others_left(tiny: Tiny) -> None:
    model = tiny("tiny-phi3", seed=5)
    plain = plain_text(model, PROMPT, 6)
    for block in blocks(model)[:2]:
        block.register_forward_hook(lambda module, inputs, output: output * 2)
    steerer = LLMSteering(model).set_steering(GLAD, SAD, 1, 4.0)
    assert steerer.force_clear_all_hooks() == 2
    assert steerer.vector is None and n_hooks(model) == 0 and plain_text(model, PROMPT, 6) == plain
    assert steerer.force_clear_all_hooks() == 0


def test_plain_transformers_model_with_its_tokenizer(tiny: Tiny) -> None:
    model = tiny("tiny-gpt2", seed=5)
    expected = LLMSteering(model).set_steering(GLAD, SAD, 1, 3.0).generate(PROMPT, 6)
    assert LLMSteering(model, model.tokenizer).model is model
    assert LLMSteering(model._module, model.tokenizer).set_steering(GLAD, SAD, 1, 3.0).generate(PROMPT, 6) == expected
    assert n_hooks(model) == 0
    with pytest.raises(ValueError, match="tokenizer"):
        LLMSteering(model._module)
    with pytest.raises(ValueError, match="not str"):
        LLMSteering("gpt2")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: steering.concept_direction(model, GLAD, SAD, 3), "no layer 3: there are layers 0 to 2"),
        (lambda model: steering.concept_direction(model, GLAD, SAD, -1), "no layer -1"),
        (lambda model: steering.concept_direction(model, [], SAD, 1), "A text or a list of texts was expected"),
        (lambda model: steering.concept_direction(model, GLAD, "", 1), "empty"),
        (
            lambda model: steering.steered_logits(model, PROMPT, 1, torch.zeros(63)),
            r"shape \(63,\); expected \(width 64\)",
        ),
        (lambda model: steering.steered_logits(model, PROMPT, 1, torch.full((64,), math.nan)), "NaN"),
        (lambda model: steering.steered_generate(model, PROMPT, 1, torch.zeros(64)), r"expected \(row, width 64\)"),
        (
            lambda model: steering.strength_sweep(model, PROMPT, 1, torch.zeros(64), []),
            r"expected \(strength, width 64\)",
        ),
        (lambda model: steering.steered_residuals(model, PROMPT, torch.zeros(2, 1, 64), [1, 0]), "ascending"),
        (lambda model: steering.steered_residuals(model, PROMPT, torch.zeros(2, 1, 64)), "vectors are for 2 layers"),
        (lambda model: steering.word_ids(model, [" good", " unbelievable"]), "exactly one token"),
        (lambda model: steering.word_ids(model, [" good", " good"]), "different words"),
        (lambda model: steering.log_odds(torch.zeros(9), [], [1]), "at least one token id"),
        (lambda model: steering.stream_norms(model, "The"), "one token only"),
        (lambda model: LLMSteering(model).set_steering(GLAD, SAD, 1, math.nan), "strength is nan"),
        (lambda model: steering.slerp(torch.zeros(4), torch.ones(4), 0.5), "zeros"),
        (lambda model: steering.slerp(-torch.ones(4), torch.ones(4), 0.5), "opposite"),
        (lambda model: steering.remove_direction(torch.ones(4), torch.zeros(4)), "nothing to remove"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call: Callable[[Any], Any], message: str, tiny: Tiny) -> None:
    with pytest.raises(ValueError, match=message):
        call(tiny("tiny-gpt2"))
