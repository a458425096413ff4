"""Lesson 4's module against what was not written here.

The lens is held against models that end early: a copy whose last layers are removed, run by transformers. Each share of
a logit difference is held against plain PyTorch hooks and arithmetic with the norm's own weights, and against
TransformerLens; the KL divergence and the fit against torch.distributions and torch.linalg.lstsq; ranks and depths
against plain loops.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from course_utils import load_model
from course_utils.logit_lens import (
    TunedLens,
    ablate_parts,
    english,
    fit_translator,
    fit_tuned_lens,
    follow_token,
    frozen_norm,
    kl_from_last,
    lens_chunks,
    lens_table,
    logit_attribution,
    logit_lens,
    normed_stream,
    positions_at_once,
    settled_depth,
)
from course_utils.model.anatomy import anatomy
from course_utils.model.loading import TINY_MODELS
from course_utils.model.releases import RELEASES
from course_utils.model.weights import weights_folder
from course_utils.pictures import plots
from course_utils.pictures.plots import as_array
from course_utils.residual import residual_stream

PROMPT = "The Eiffel Tower is in the city of"
EVERY = pytest.mark.parametrize("name", [*TINY_MODELS, pytest.param(None, id="real", marks=pytest.mark.slow)])


def ids_of(model: Any, prompt: str = PROMPT) -> torch.Tensor:
    return torch.tensor([model.tokenizer(prompt)["input_ids"]])


def cut_off(model: Any, n_layers: int) -> Any:
    """A copy of the transformers model with only its first layers."""
    short = copy.deepcopy(model._module)
    decoder = short.get_decoder()
    kept = "h" if hasattr(decoder, "h") else "layers"
    setattr(decoder, kept, getattr(decoder, kept)[:n_layers])
    short.config.num_hidden_layers = n_layers
    return short


def true_logits(model: Any, prompt: str = PROMPT) -> torch.Tensor:
    """(position, vocabulary), from transformers."""
    with torch.no_grad():
        return model._module(ids_of(model, prompt)).logits[0]


@EVERY
def test_each_depth_is_a_model_that_ends_there(name: str | None) -> None:
    model = load_model(name)
    entries, table = logit_lens(model, PROMPT, top_k=4), lens_table(model, PROMPT)
    n_layers = anatomy(model).n_layers
    assert len(entries) == n_layers + 1 and table["top_ids"].shape == (n_layers + 1, ids_of(model).shape[1])
    for depth in range(0, n_layers + 1, 1 if name else 10):
        with torch.no_grad():
            logits = cut_off(model, depth)(ids_of(model)).logits[0]
        best = logits[-1].topk(4)
        torch.testing.assert_close(
            torch.from_numpy(entries[depth]["top_token_logits"]), best.values, rtol=1e-4, atol=1e-4
        )
        assert entries[depth]["top_tokens"] == [model.tokenizer.decode([i]) for i in best.indices]
        expected = torch.distributions.Categorical(logits=logits)
        assert torch.equal(table["top_ids"][depth], logits.argmax(dim=-1))
        torch.testing.assert_close(table["probability"][depth], expected.probs.amax(dim=-1), rtol=1e-3, atol=1e-5)
        torch.testing.assert_close(table["entropy"][depth], expected.entropy(), rtol=1e-3, atol=1e-4)


@EVERY
def test_raw_lens_is_the_bare_unembedding(name: str | None) -> None:
    """Against transformers' hidden states and its lm_head, by hand; Cohere scales and Gemma 2 caps afterwards."""
    model = load_model(name)
    config = model._module.config
    with torch.no_grad():
        hidden = model._module(ids_of(model), output_hidden_states=True).hidden_states[1][0, -1]
        logits = model._module.get_output_embeddings()(hidden) * getattr(config, "logit_scale", 1.0)
    cap = getattr(config, "final_logit_softcapping", None)
    if cap:
        logits = cap * torch.tanh(logits / cap)
    entry = logit_lens(model, PROMPT, normalize=False)[1]
    torch.testing.assert_close(torch.from_numpy(entry["top_token_logits"]), logits.topk(5).values, rtol=1e-4, atol=1e-4)


@EVERY
def test_a_chunk_is_bounded_and_nothing_changes(name: str | None) -> None:
    model = load_model(name)
    parts = anatomy(model)
    normed = parts.normalise(residual_stream(model, PROMPT))
    whole = list(lens_chunks(model, normed))
    one_position = 12e-6 * (parts.n_layers + 1) * parts.vocabulary
    for positions in (1, 3):
        limit = one_position * (positions + 0.5)
        assert positions_at_once(model, limit) == positions
        chunks = list(lens_chunks(model, normed, memory_mb=limit))
        assert max(12e-6 * chunk.numel() for chunk in chunks) <= limit
        assert len(chunks) == -(-normed.shape[1] // positions)
        torch.testing.assert_close(torch.cat(chunks, dim=1), torch.cat(whole, dim=1), rtol=1e-4, atol=1e-4)
    assert positions_at_once(model, 1e-9) == 1


@EVERY
def test_a_token_is_followed(name: str | None) -> None:
    """The rank against a sorted list; the last depth against transformers' logits."""
    model = load_model(name)
    found = follow_token(model, PROMPT, " Paris")
    wanted = model.tokenizer.encode(" Paris", add_special_tokens=False)[0]
    logits = true_logits(model)[-1]
    torch.testing.assert_close(found["probability"][-1], logits.softmax(dim=-1)[wanted], rtol=1e-3, atol=1e-6)
    for depth in (0, len(found["rank"]) - 1):
        with torch.no_grad():
            said = cut_off(model, depth)(ids_of(model)).logits[0, -1]
        assert found["rank"][depth] == said.argsort(descending=True).tolist().index(wanted) + 1


def test_kl_is_that_of_torch_distributions() -> None:
    log_probs = (3 * torch.randn(5, 4, 50, generator=torch.Generator().manual_seed(2))).log_softmax(dim=-1)
    last, each = (torch.distributions.Categorical(logits=scores) for scores in (log_probs[-1], log_probs))
    torch.testing.assert_close(kl_from_last(log_probs), torch.distributions.kl_divergence(last, each))
    assert kl_from_last(log_probs)[-1].abs().max() == 0


def test_settled_depth_is_that_of_a_plain_loop() -> None:
    table = torch.randint(0, 3, (9, 400), generator=torch.Generator().manual_seed(3))
    for column, depth in zip(table.T.tolist(), settled_depth(table).tolist(), strict=True):
        assert set(column[depth:]) == {column[-1]}
        assert depth == 0 or column[depth - 1] != column[-1]


@EVERY
def test_norm_is_frozen_on_every_family(name: str | None) -> None:
    """Parts and bias sum to what the model's own norm gives; a part's share does not depend on the other parts."""
    model = load_model(name)
    parts = anatomy(model)
    residual = residual_stream(model, PROMPT)[-1, -1]
    frozen = frozen_norm(model, residual)
    first = torch.randn(residual.shape, generator=torch.Generator().manual_seed(4)) * residual.std()
    with torch.no_grad():
        normed = parts.norm._module.forward(residual)
    largest = float(normed.abs().max())
    torch.testing.assert_close(
        frozen(first) + frozen(residual - first) + frozen.bias, normed, rtol=1e-4, atol=1e-4 * largest
    )
    torch.testing.assert_close(frozen(3 * first), 3 * frozen(first))
    assert frozen.centres == (parts.family in ("gpt2", "gpt_neox", "cohere"))


def uncapped(model: Any, logits: torch.Tensor) -> torch.Tensor:
    cap = anatomy(model).logit_cap
    return logits if cap is None else cap * torch.atanh(logits.double() / cap).float()


@EVERY
def test_shares_sum_to_transformers_logit_difference(name: str | None) -> None:
    model = load_model(name)
    shares = logit_attribution(model, PROMPT, " Paris", " Rome")
    plus, minus = (model.tokenizer.encode(token, add_special_tokens=False)[0] for token in (" Paris", " Rome"))
    logits = uncapped(model, true_logits(model)[-1])
    assert shares.shape == (2 * anatomy(model).n_layers + 2,)
    torch.testing.assert_close(shares.sum(), logits[plus] - logits[minus], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama", "tiny-gpt-neox", "tiny-gemma3", "tiny-phi3"])
def test_each_share_by_hand(name: str) -> None:
    """What each part wrote from plain PyTorch hooks, and the final norm written out with its own weights."""
    model = load_model(name)
    hf = model._module
    decoder = hf.get_decoder()
    layers = decoder.h if name == "tiny-gpt2" else decoder.layers
    written: list[torch.Tensor] = []

    def keep(_: Any, __: Any, output: Any) -> None:
        written.append((output[0] if isinstance(output, tuple) else output)[0, -1].clone())

    def keep_input(_: Any, inputs: Any, keywords: Any) -> None:
        written.append((inputs[0] if inputs else keywords["hidden_states"])[0, -1].clone())

    hooks = [layers[0].register_forward_pre_hook(keep_input, with_kwargs=True)]
    for layer in layers:
        if name == "tiny-gemma3":
            both = (layer.post_attention_layernorm, layer.post_feedforward_layernorm)
        else:
            both = (getattr(layer, "attn", None) or getattr(layer, "attention", None) or layer.self_attn, layer.mlp)
        hooks += [part.register_forward_hook(keep) for part in both]
    with torch.no_grad():
        hf(ids_of(model))
    for hook in hooks:
        hook.remove()

    parts = torch.stack(written)
    residual = parts.sum(dim=0)
    norm = getattr(decoder, "ln_f", None) or getattr(decoder, "final_layer_norm", None) or decoder.norm
    gain, bias = norm.weight, getattr(norm, "bias", None)
    if bias is not None:
        normed = (parts - parts.mean(dim=-1, keepdim=True)) / residual.std(unbiased=False) * gain
    else:
        gain = 1 + gain if name == "tiny-gemma3" else gain
        normed = parts / residual.pow(2).mean().sqrt() * gain
    plus, minus = (model.tokenizer.encode(token)[0] for token in (" Paris", " Rome"))
    direction = hf.get_output_embeddings().weight[plus] - hf.get_output_embeddings().weight[minus]
    expected = [*(normed @ direction), bias @ direction if bias is not None else torch.tensor(0.0)]
    found = logit_attribution(model, PROMPT, " Paris", " Rome")
    torch.testing.assert_close(found, torch.stack(expected), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama", "tiny-gpt-neox", "tiny-gemma3"])
def test_a_silent_part_is_a_plain_hook_that_writes_zeros(name: str) -> None:
    model = load_model(name)
    decoder = model._module.get_decoder()
    layers = decoder.h if name == "tiny-gpt2" else decoder.layers

    def silence(_: Any, __: Any, output: Any) -> Any:
        (output[0] if isinstance(output, tuple) else output)[0, -1] = 0.0
        return output

    expected = [true_logits(model)[-1]]
    for layer in layers:
        if name == "tiny-gemma3":
            both = (layer.post_attention_layernorm, layer.post_feedforward_layernorm)
        else:
            both = (getattr(layer, "attn", None) or getattr(layer, "attention", None) or layer.self_attn, layer.mlp)
        for part in both:
            hook = part.register_forward_hook(silence)
            expected.append(true_logits(model)[-1])
            hook.remove()
    torch.testing.assert_close(ablate_parts(model, PROMPT), torch.stack(expected), rtol=1e-3, atol=1e-3)
    some = ablate_parts(model, PROMPT, [3, 1])
    torch.testing.assert_close(some, torch.stack([expected[i] for i in (0, 3, 1)]), rtol=1e-3, atol=1e-3)


def test_fit_is_the_least_squares_solution() -> None:
    """Against torch.linalg.lstsq, with sqrt(ridge) * matrix = sqrt(ridge) * identity as further rows for the ridge."""
    source = torch.Generator().manual_seed(5)
    read, target = torch.randn(80, 7, generator=source) + 2, torch.randn(80, 7, generator=source) - 1
    matrix, bias = fit_translator(read, target, ridge=9.0)
    rows = torch.cat([torch.cat([read, 3 * torch.eye(7)]), torch.cat([torch.ones(80), torch.zeros(7)])[:, None]], dim=1)
    solved = torch.linalg.lstsq(rows, torch.cat([target, 3 * torch.eye(7)])).solution
    torch.testing.assert_close(matrix, solved[:-1], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(bias, solved[-1], rtol=1e-3, atol=1e-4)


def test_fit_finds_a_map_and_stays_at_the_identity_without_data() -> None:
    source = torch.Generator().manual_seed(6)
    read, map_ = torch.randn(400, 5, generator=source), torch.randn(5, 5, generator=source)
    matrix, bias = fit_translator(read, read @ map_ + 2.0, ridge=1e-4)
    torch.testing.assert_close(matrix, map_, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(bias, torch.full((5,), 2.0), rtol=1e-3, atol=1e-3)
    matrix, _ = fit_translator(read, read @ map_, ridge=1e12)
    torch.testing.assert_close(matrix, torch.eye(5), rtol=1e-3, atol=1e-3)


def test_many_windows_give_the_stream_of_each() -> None:
    model = load_model("tiny-llama", seed=7)
    windows = english(model, 5, 12)
    many = normed_stream(model, windows, batch_size=2).unflatten(1, (5, 11))
    for row, window in enumerate(windows):
        with torch.no_grad():
            hidden = model._module(window[None], output_hidden_states=True).hidden_states
        torch.testing.assert_close(
            many[-1, row], hidden[-1][0, 1:], rtol=1e-4, atol=1e-4
        )  # transformers norms the last one
        torch.testing.assert_close(many[1, row], model._module.model.norm(hidden[1])[0, 1:], rtol=1e-4, atol=1e-4)


def test_tuned_lens_translates_each_depth_and_leaves_the_last() -> None:
    model = load_model("tiny-gpt2", seed=8)
    normed = normed_stream(model, english(model, 12, 32))
    lens = fit_tuned_lens(normed, ridge=1.0)
    translated = lens(normed)
    for depth in range(len(normed)):
        torch.testing.assert_close(
            translated[depth], normed[depth] @ lens.matrices[depth] + lens.biases[depth], rtol=1e-4, atol=1e-3
        )
    torch.testing.assert_close(translated[-1], normed[-1], rtol=1e-3, atol=1e-3)
    errors = [(depth - normed[-1]).pow(2).sum() for depth in (normed[1], translated[1])]
    assert errors[1] < errors[0]


@pytest.mark.slow
def test_tuned_lens_is_nearer_on_text_it_has_not_seen(real_model: Any) -> None:
    """Judged by KL(last || depth) of torch.distributions on held-out topics, at a few depths."""
    parts = anatomy(real_model)
    lens = fit_tuned_lens(normed_stream(real_model, english(real_model, 24)))
    unseen = normed_stream(real_model, english(real_model, 2, held_out=True))
    last = torch.distributions.Categorical(logits=parts.logits(unseen[-1]))
    translated = lens(unseen)
    for depth in (3, 15, 27):
        plain, tuned = (
            torch.distributions.kl_divergence(
                last, torch.distributions.Categorical(logits=parts.logits(read[depth]))
            ).mean()
            for read in (unseen, translated)
        )
        assert tuned < plain / 2, f"depth {depth}: {tuned:.2f} against {plain:.2f}"


@pytest.mark.slow
def test_held_out_text_is_other_text() -> None:
    model = load_model("tiny-llama")
    shown, unseen = (
        {tuple(window[i : i + 20].tolist()) for window in english(model, 100, held_out=out) for i in range(44)}
        for out in (False, True)
    )
    assert len(shown) > 4000 and len(shown & unseen) < len(unseen) / 100
    assert torch.equal(english(model, 7, 9), english(model, 7, 9))


@pytest.mark.slow
def test_against_transformer_lens(real_model: Any) -> None:
    """The lens at every depth and each share of the logit difference, from TransformerLens on the same weights."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(weights_folder(RELEASES["smollm2-135m"], None)), device="cpu")
    ids = ids_of(real_model)
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(ids)
    n_layers = anatomy(real_model).n_layers
    for depth, entry in enumerate(logit_lens(real_model, PROMPT)):
        residual = cache["blocks.0.hook_in"] if depth == 0 else cache[f"blocks.{depth - 1}.hook_out"]
        with torch.no_grad():
            said = bridge.unembed(bridge.ln_final(residual))[0, -1]
        torch.testing.assert_close(
            torch.from_numpy(entry["top_token_logits"]), said.topk(5).values, rtol=1e-3, atol=1e-3
        )
    plus, minus = (real_model.tokenizer.encode(token)[0] for token in (" Paris", " Rome"))
    shares = logit_attribution(real_model, PROMPT, " Paris", " Rome")
    torch.testing.assert_close(shares.sum(), logits[0, -1, plus] - logits[0, -1, minus], rtol=1e-3, atol=1e-3)
    direction = bridge.W_U[:, plus] - bridge.W_U[:, minus]
    gain = bridge.ln_final.weight
    divisor = cache[f"blocks.{n_layers - 1}.hook_out"][0, -1].pow(2).mean().sqrt()
    for layer in range(n_layers):
        for place, part in ((2 * layer + 1, "attn"), (2 * layer + 2, "mlp")):
            wrote = cache[f"blocks.{layer}.{part}.hook_out"][0, -1]
            torch.testing.assert_close(shares[place], wrote / divisor * gain @ direction, rtol=1e-3, atol=1e-3)


def test_table_writes_each_cell_in_its_place() -> None:
    """Depth 0 at the bottom, each token at its position, ranks on a logarithmic scale, the least value brightest."""
    cells = [["a", " bcdefghijklm"], ["$", "\n"], ["d", "e"]]
    picture = plots.token_table(cells, torch.tensor([[1, 1000], [10, 2], [3, 4]]), ["x", " y"], log=True)
    axes = picture.axes[0]
    written = {(int(text.get_position()[0]), int(text.get_position()[1])): text.get_text() for text in axes.texts}
    assert written[0, 0] == "a" and written[1, 0] == "·bcdefghi" and written[1, 1] == "↵" and len(written) == 6
    assert axes.get_ylim()[0] < axes.get_ylim()[1]
    image = axes.images[0]
    brightness = as_array(image.cmap(image.norm(as_array([1, 10, 1000]))))[:, :3].sum(axis=1).tolist()
    assert brightness == sorted(brightness, reverse=True)
    assert picture.png().startswith(b"\x89PNG")


def test_bad_input_is_told() -> None:
    model = load_model("tiny-llama")
    with pytest.raises(ValueError, match="empty"):
        logit_lens(model, "")
    for top_k in (0, 100_000):
        with pytest.raises(ValueError, match=f"top_k is {top_k}"):
            logit_lens(model, PROMPT, top_k=top_k)
    with pytest.raises(ValueError, match="exactly one token"):
        follow_token(model, PROMPT, " Constantinople")
    with pytest.raises(ValueError, match="exactly one token"):
        logit_attribution(model, PROMPT, " Paris", "")
    with pytest.raises(ValueError, match=r"expected one position's, \(64,\)"):
        frozen_norm(model, torch.zeros(3, 64))
    with pytest.raises(ValueError, match=r"expected \(depth, position, 64\)"):
        next(lens_chunks(model, torch.zeros(4, 2, 63)))
    with pytest.raises(ValueError, match=r"an attention or an MLP is a number from 1 to 6"):
        ablate_parts(model, PROMPT, [0])
    with pytest.raises(ValueError, match="memory_mb is 0"):
        positions_at_once(model, 0)
    with pytest.raises(ValueError, match="two positions or more"):
        normed_stream(model, torch.zeros(3, 1, dtype=torch.long))
    with pytest.raises(ValueError, match="there is text for"):
        english(model, 10**6)
    with pytest.raises(ValueError, match=r"expected \(2, position, 4\)"):
        TunedLens(torch.zeros(2, 4, 4), torch.zeros(2, 4))(torch.zeros(3, 5, 4))
