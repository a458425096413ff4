"""Models that are broken, or not what they say: one true sentence for each, and no wrong number."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from course_utils import ModelError, anatomy, load_model, logit_lens, steering, sweeps
from course_utils.model import fetching, weights
from course_utils.model.releases import RELEASES
from course_utils.model.tiny import build_tiny, tiny_tokenizer
from course_utils.model.wrapping import wrap

PAIR = ("a b c d", "a b e d", (" a", " b"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_tiny("tiny-llama", seed=5).save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def configure(folder: Path, **settings: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def pickled(folder: Path, thing: Any) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(thing, folder / "pytorch_model.bin")


def cut_pickle(folder: Path) -> None:
    pickled(folder, {})
    (folder / "pytorch_model.bin").write_bytes(b"cut")


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


class Foreign:
    """What a pickle may hold besides tensors."""

    def __reduce__(self) -> tuple:
        return (pytest.fail, ("its code was run",))


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "weights of another shape": (
        lambda folder: configure(folder, intermediate_size=64),
        r"not complete: 9 are missing or of another shape, the first is model\.layers\.0\.mlp",
    ),
    "more layers than weights": (lambda folder: configure(folder, num_hidden_layers=4), "not complete: 9 are missing"),
    "fewer layers than weights": (
        lambda folder: configure(folder, num_hidden_layers=2),
        r"of more layers than its config.json says: 9 have no place in the model, the first is model\.layers\.2",
    ),
    "a foreign pickle": (lambda folder: pickled(folder, {"a": Foreign()}), "holds code, which this course never runs"),
    "no weights": (lambda folder: os.remove(folder / "model.safetensors"), "no file named model.safetensors"),
    "cut weights": (lambda folder: (folder / "model.safetensors").write_bytes(b"cut"), "cannot be loaded: .*header"),
    "a cut pickle": (
        cut_pickle,
        "a pickle that cannot be read as tensors alone: it is damaged",
    ),
    "no tokenizer": (
        no_tokenizer,
        r"holds no tokenizer: tokenizer\.json was looked for",
    ),
    "a cut tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        r"tokenizer\.json is damaged \(.*\): the model's tokenizer cannot be read. Fetch it again",
    ),
    "an empty tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        r"The tokenizer in .* \(tokenizer.json, .*\) cannot be read: .+\. Fetch it again",
    ),
    "a cut tokenizer_config": (
        lambda folder: (folder / "tokenizer_config.json").write_text("{"),
        r"tokenizer_config\.json is damaged",
    ),
    "a cut config": (lambda folder: (folder / "config.json").write_text("{"), r"config\.json' is not a valid JSON"),
    "a config with words for numbers": (lambda folder: configure(folder, hidden_size="x"), "loaded: .*hidden_size"),
    "a config with a dtype that is none": (lambda folder: configure(folder, dtype="soft"), "cannot be loaded: .*soft"),
    "an adapter beside it": (
        lambda folder: (folder / "adapter_config.json").write_text("{}"),
        r"holds an adapter \(adapter_config\.json\).*merge_and_unload",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("spoil", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_folder_is_told_in_one_sentence(spoil: Callable[[Path], Any], said: str, folder: Path) -> None:
    spoil(folder)
    with pytest.raises(ModelError, match=said) as refused:
        load_model(folder)
    assert "weights_only" not in str(refused.value), "torch's way around its protection is nobody's advice"


@pytest.mark.slow
def test_the_pickles_of_plain_tensors_are_read(folder: Path) -> None:
    pickled(folder, build_tiny("tiny-llama", seed=5).state_dict())
    model = load_model(folder)
    torch.testing.assert_close(model._module.state_dict(), build_tiny("tiny-llama", seed=5).state_dict())


@pytest.mark.slow
def test_torch_s_advice_is_not_in_the_traceback_either(folder: Path) -> None:
    pickled(folder, {"a": Foreign()})
    with pytest.raises(ModelError) as refused:
        load_model(folder)
    assert refused.value.__cause__ is None and refused.value.__suppress_context__


@pytest.mark.parametrize("dtype", ["float3", "int8", "float8_e4m3fn", torch.float8_e5m2, torch.int64, "auto", "", 5])
def test_a_dtype_that_no_model_runs_in(dtype: Any) -> None:
    with pytest.raises(ModelError, match=r"dtype=.*: 'float32', 'bfloat16', 'float16' or 'float64' was expected"):
        load_model("tiny-llama", dtype=dtype)


def test_a_mixture_of_experts_in_float64(tmp_path: Path) -> None:
    """Held against transformers' float32 of the same weights."""
    tokenizer = tiny_tokenizer()
    config = AutoConfig.for_model(
        "mixtral", vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, num_local_experts=4, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    plain.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = load_model(tmp_path, dtype="float64")
    ids = torch.tensor([model.tokenizer(PAIR[0])["input_ids"]])
    with torch.no_grad():
        expected = plain(ids).logits
    with model.trace(ids):
        logits = model.output.logits.save()
    assert logits.dtype == torch.float64
    torch.testing.assert_close(logits.float(), expected, atol=1e-4, rtol=0)


# The machine under it.


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="the home folder is not HOME's there")
def test_without_a_home_folder_it_is_said_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "XDG_CACHE_HOME", "COURSE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ModelError, match="Set HOME, or COURSE_CACHE to a folder of yours"):
        load_model("smollm2-135m")


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError("flock")])
def test_a_file_system_without_locks(error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.raises(ModelError, match=r"has no file locks.* Set COURSE_CACHE to a folder on a disk"):
        weights.weights_folder(RELEASES["smollm2-135m"])


def test_a_certificate_of_a_proxy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    said = "WARNING: SSLError [SSL: CERTIFICATE_VERIFY_FAILED]\nERROR: No matching distribution found"
    script = tmp_path / "pip.py"
    script.write_text(f"print({said!r})\nraise SystemExit(1)\n")
    monkeypatch.setattr(fetching, "_installer", lambda folder: [fetching.sys.executable, str(script)])
    with pytest.raises(ModelError, match=r"shows a certificate that this machine does not trust.*global\.cert"):
        fetching.download(RELEASES["smollm2-135m"], tmp_path)


# Half precision, and inference_mode.


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_slerp_in_half_precision(dtype: torch.dtype) -> None:
    """Held against the same in float64."""
    for seed in range(5):
        first = torch.randn(64, generator=torch.Generator().manual_seed(seed)).to(dtype)
        with pytest.raises(ValueError, match="The vectors are opposite"):
            steering.slerp(first, -first, 0.5)
        near = -1.01 * first + 0.1 * torch.randn(64, generator=torch.Generator().manual_seed(seed + 50)).to(dtype)
        ours, exact = steering.slerp(first, near, 0.25), steering.slerp(first.double(), near.double(), 0.25)
        assert ours.dtype == dtype
        torch.testing.assert_close(ours.double(), exact, atol=0.05, rtol=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_tuned_lens_in_half_precision(dtype: str) -> None:
    model, whole = load_model("tiny-llama", dtype=dtype), load_model("tiny-llama")
    ids = logit_lens.english(model, 8, 16)
    half = logit_lens.fit_tuned_lens(logit_lens.normed_stream(model, ids))
    exact = logit_lens.fit_tuned_lens(logit_lens.normed_stream(whole, ids))
    assert half.matrices.dtype == model._module.dtype
    torch.testing.assert_close(half.matrices.float(), exact.matrices, atol=0.1, rtol=0)


SWEEPS = (sweeps.patch_heads, sweeps.patch_paths, sweeps.edge_attribution, sweeps.attribution_patching)


@pytest.mark.slow
@pytest.mark.parametrize("sweep", SWEEPS)
def test_inference_mode_changes_no_sweep(sweep: Any, tiny: Any) -> None:
    with torch.inference_mode():
        model = load_model("tiny-llama")
        inside = sweep(model, *PAIR)
    outside = sweep(model, *PAIR)
    expected = sweep(tiny("tiny-llama"), *PAIR)
    for found in (inside, outside):
        ours, theirs = (getattr(one, "numbers", one) for one in (found, expected))
        torch.testing.assert_close(ours, theirs, equal_nan=True)


# A plain transformers model.


@pytest.mark.slow
def test_a_plain_transformers_model_is_taken_as_it_is(folder: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    model = load_model(folder)
    assert anatomy(plain).n_layers == 3 and anatomy(plain) is anatomy(plain)
    for sweep in SWEEPS:
        ours, theirs = (getattr(one, "numbers", one) for one in (sweep(plain, *PAIR), sweep(model, *PAIR)))
        torch.testing.assert_close(ours, theirs, equal_nan=True)


def test_one_whose_tokenizer_is_not_here_says_how_to_give_it(folder: Path) -> None:
    plain = build_tiny("tiny-llama")
    with pytest.raises(ValueError, match=r"tokenizer of this LlamaForCausalLM .*wrap\(model, tokenizer\)"):
        anatomy(plain)
    assert anatomy(wrap(plain, tiny_tokenizer())).n_layers == 3


@pytest.mark.parametrize("thing", [None, "gpt2", torch.nn.Linear(2, 2), tiny_tokenizer])
def test_what_is_no_model_is_told_by_its_kind(thing: Any) -> None:
    for door in (anatomy, lambda model: sweeps.patch_heads(model, *PAIR)):
        with pytest.raises(ValueError, match=rf"load_model\(\) was expected, .*; {type(thing).__name__} came"):
            door(thing)
