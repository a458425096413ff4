"""`load_model`: held against transformers' own modules and against plain autograd; no test here needs a hub."""

from __future__ import annotations

import gc
import hashlib
import json
import socket
import subprocess
import sys
import textwrap
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from course_utils.model import hub
from course_utils.model.loading import DEFAULT_MODEL, TINY_MODELS, ModelError, in_use, load_model, restore_weights
from course_utils.model.releases import RELEASES
from course_utils.model.sources import find_source
from course_utils.model.tiny import build_tiny, tiny_tokenizer
from course_utils.model.weights import weights_folder

PROMPT = "When Mike and Emma went to the cafe, Mike gave a coffee to"


def logits(model, prompt: str = PROMPT) -> torch.Tensor:
    with model.trace(prompt):
        found = model.output.logits.save()
    return found


def own_logits(module, prompt: str = PROMPT) -> torch.Tensor:
    with torch.no_grad():
        return module(tiny_tokenizer()(prompt, return_tensors="pt").input_ids).logits


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The hub is switched on, and every try to look up an address is refused and noted."""
    tries: list[str] = []

    def refuse(host: object, *args: object, **kwargs: object) -> None:
        tries.append(str(host))
        raise socket.gaierror(-2, "Name or service not known")

    from huggingface_hub import close_session, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    close_session()  # the HTTP client remembers proxies and open connections
    yield tries
    close_session()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny-llama as any model on a disk."""
    path = tmp_path_factory.mktemp("model")
    build_tiny("tiny-llama", seed=5).save_pretrained(path)
    tiny_tokenizer().save_pretrained(path)
    return path


# --- tiny models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TINY_MODELS)
def test_a_tiny_model_traces_as_transformers_runs_it(name: str) -> None:
    model = load_model(name, seed=2)
    torch.testing.assert_close(logits(model), own_logits(build_tiny(name, 2)), rtol=0, atol=1e-5)
    assert not model._module.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama", "tiny-gpt-neox"])
def test_attention_weights_can_be_read(name: str) -> None:
    model = load_model(name)
    base = model._module.base_model
    attention = [part for key, part in base.named_modules() if key.endswith((".attn", ".self_attn", ".attention"))][1]
    with torch.no_grad():
        expected = build_tiny(name)(
            model.tokenizer(PROMPT, return_tensors="pt").input_ids, output_attentions=True
        ).attentions[1]
    envoy = next(part for part in model.modules() if part._module is attention)
    with model.trace(PROMPT):
        pattern = envoy.output[1].save()
    torch.testing.assert_close(pattern, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["tiny-gpt2", "tiny-llama", "tiny-gpt-neox"])
def test_a_row_of_a_batch_is_what_it_is_alone(name: str) -> None:
    model = load_model(name)
    prompts = ["Mike went", PROMPT, "The Eiffel Tower is in the city of"]
    with model.trace(prompts):
        batch = model.output.logits[:, -1].save()
    for row, prompt in zip(batch, prompts, strict=True):
        torch.testing.assert_close(row, logits(model, prompt)[0, -1], rtol=0, atol=1e-4)


def test_activations_have_gradients_though_parameters_do_not() -> None:
    """Held against plain autograd: the same derivative through the module, without nnsight."""
    model = load_model("tiny-llama")
    ids = model.tokenizer(PROMPT, return_tensors="pt").input_ids
    leaf = model._module.get_input_embeddings()(ids).detach().requires_grad_()
    model._module(inputs_embeds=leaf).logits[0, -1, 7].backward()
    with model.trace(PROMPT):
        embedded = model.model.embed_tokens.output
        embedded.requires_grad_()
        target = model.output.logits[0, -1, 7]
        with target.backward():
            gradient = embedded.grad.save()
    assert leaf.grad is not None
    torch.testing.assert_close(gradient, leaf.grad)


def test_dtype_and_device_are_as_asked() -> None:
    model = load_model("tiny-qwen3", dtype="float64", device="cpu")
    assert model.dtype == torch.float64 and model.device.type == "cpu"
    torch.testing.assert_close(logits(model), own_logits(build_tiny("tiny-qwen3").double()), rtol=0, atol=1e-12)
    assert load_model("tiny-qwen3", dtype=torch.bfloat16).dtype == torch.bfloat16


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"name": "tiny-gtp2"}, ["tiny-gpt2", "Did you mean"]),
        ({"name": "tiny-bert"}, ["tiny-llama"]),
        ({"name": "smollm2"}, ["Did you mean smollm2-135m?"]),
        ({"name": "gemma3-270"}, ["Did you mean gemma3-270m?"]),
        ({"name": "two words"}, ["two words", "owner"]),
        ({"name": "./nowhere"}, ["no folder", "./nowhere"]),
        ({"name": "a/b/c"}, ["no folder"]),
        ({"name": __file__}, ["is a file", "file="]),
        ({"name": "tiny-gpt2", "remote": True}, ["cannot go remote", "hub id"]),
        ({"remote": True}, ["cannot go remote", DEFAULT_MODEL]),
        ({"name": "tiny-gpt2", "remote": "yes"}, ["remote='yes'"]),
        ({"name": "tiny-gpt2", "revision": "main"}, ["revision='main'"]),
        ({"seed": 3}, ["seed=3"]),
        ({"name": "tiny-gpt2", "file": "x.gguf"}, ["file="]),
        ({"name": "tiny-gpt2", "dtype": "int8"}, ["int8", "float32"]),
        ({"name": "tiny-gpt2", "dtype": "float33"}, ["float33"]),
        ({"name": "tiny-gpt2", "device": "toaster"}, ["toaster", "not available"]),
        ({"name": "owner/name", "remote": True, "device": "cpu"}, ["device='cpu'", "NDIF places 'owner/name' itself"]),
        ({"name": "owner/name", "remote": True, "device": torch.device("cpu")}, ["device='cpu'", "or remote"]),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else "",
)
def test_what_cannot_work_says_why(online: list[str], arguments: dict, words: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        load_model(**arguments)
    for word in words:
        assert word in str(caught.value)
    assert not online, "the hub was asked"


@pytest.mark.parametrize(
    "name, own",
    [("tiny-gpt2", {"seed"}), (DEFAULT_MODEL, {"file"}), (".", set()), ("owner/name", {"revision", "remote"})],
)
def test_each_source_takes_its_own_options_and_refuses_the_others(name: str, own: set[str]) -> None:
    takes = set()
    for option, ask in {
        "revision": lambda source: source.with_revision("main"),
        "seed": lambda source: source.with_seed(3),
        "file": lambda source: source.with_file("x.gguf"),
        "remote": lambda source: source.on_ndif(),
    }.items():
        try:
            ask(find_source(name))
            takes.add(option)
        except ModelError as error:
            assert repr(name) in str(error) and option in str(error)
    assert takes == own


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("bert", "encoder-only"),
        ("roberta", "encoder-only"),
        ("modernbert", "encoder-only"),
        ("t5", "encoder-decoder"),
        ("bart", "encoder-decoder"),
        ("vit", "not a language model"),
    ],
)
def test_other_architectures_are_refused_before_their_weights_are_looked_at(
    tmp_path: Path, kind: str, expected: str
) -> None:
    from transformers import AutoConfig

    AutoConfig.for_model(kind).save_pretrained(tmp_path)  # and no weights
    with pytest.raises(ModelError, match=expected):
        load_model(tmp_path)


def test_code_that_comes_with_a_model_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"model_type": "mine", "auto_map": {"AutoConfig": "code.MyConfig"}})
    )
    (tmp_path / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="never runs"):
        load_model(tmp_path)
    assert not (tmp_path / "ran").exists()


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_folder_loads_without_the_hub(folder: Path, online: list[str]) -> None:
    for name in (folder, str(folder)):
        torch.testing.assert_close(logits(load_model(name)), own_logits(build_tiny("tiny-llama", 5)), rtol=0, atol=1e-5)
    assert not online


@pytest.mark.slow
def test_a_folder_without_a_model_and_one_that_is_damaged(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "readme.txt").write_text("")
    with pytest.raises(ModelError, match=r"config\.json was looked for, and readme\.txt was found"):
        load_model(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ModelError, match="holds no tokenizer"):
        load_model(tmp_path)
    (tmp_path / "tokenizer.json").write_text((folder / "tokenizer.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text((folder / "tokenizer_config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(tmp_path)


def test_a_folder_with_a_part_of_the_weights_is_refused(tmp_path: Path, folder: Path) -> None:
    """transformers fills what is missing with random numbers and a warning."""
    from safetensors.torch import load_file, save_file

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    state = load_file(tmp_path / "model.safetensors")
    del state["model.layers.1.mlp.up_proj.weight"]
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"model\.layers\.1\.mlp\.up_proj\.weight"):
        load_model(tmp_path)


# --- the hub ----------------------------------------------------------------------------------------------------------


def test_a_hub_out_of_reach_is_asked_once_and_said_so(online: list[str]) -> None:
    with pytest.raises(ModelError) as caught:
        load_model("nobody/nothing")
    assert "cannot be reached" in str(caught.value) and "HF_ENDPOINT" in str(caught.value)
    assert len(online) <= 2, "one question, for IPv4 and IPv6"


@pytest.mark.slow
def test_what_needs_no_hub_never_asks_it(online: list[str], folder: Path) -> None:
    for name in TINY_MODELS:
        load_model(name)
    load_model(folder)
    load_model("tiny-llama", remote="local")
    assert not online


@pytest.fixture
def hub_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, online: list[str]) -> str:
    """A hub id whose files are in the local hub cache, with a hub that cannot be reached."""
    from huggingface_hub import constants

    commit = "a" * 40
    snapshot = tmp_path / "models--someone--tiny" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (tmp_path / "models--someone--tiny" / "refs").mkdir()
    (tmp_path / "models--someone--tiny" / "refs" / "main").write_text(commit)
    for path in folder.iterdir():
        (snapshot / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return "someone/tiny"


@pytest.mark.slow
def test_a_hub_id_that_is_cached_loads_without_the_hub(hub_cache: str) -> None:
    model = load_model(hub_cache)
    expected = own_logits(build_tiny("tiny-llama", 5))
    torch.testing.assert_close(logits(model), expected, rtol=0, atol=1e-5)
    with torch.no_grad():
        model._module.lm_head.weight.zero_()
    restore_weights(model)
    torch.testing.assert_close(logits(model), expected, rtol=0, atol=1e-5)
    with pytest.raises(ModelError):
        load_model(hub_cache, revision="another")


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, words",
    [
        ("GatedRepoError", ["gated", "hf auth login"]),
        ("RevisionNotFoundError", ["no such revision"]),
        ("RepositoryNotFoundError", ["no model", "private"]),
    ],
)
def test_what_the_hub_refuses_is_said_plainly(monkeypatch: pytest.MonkeyPatch, kind: str, words: list[str]) -> None:
    """transformers wraps the hub's errors into OSError; the cause says which it was."""
    import transformers

    cause = type(kind, (Exception,), {})()

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("a long text\nof several lines") from cause

    monkeypatch.setattr(hub, "can_be_reached", lambda: True)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", refuse)
    with pytest.raises(ModelError) as caught:
        load_model("someone/something")
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


# --- remote -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny-llama", "tiny-gpt2"])
def test_a_rehearsal_of_a_remote_run_gives_the_same(name: str) -> None:
    """nnsight's own simulation: each block is packed, unpacked where this package cannot be imported, and run."""
    from nnsight.intervention.backends.local import LocalSimulationBackend

    packed = 0
    run_block = LocalSimulationBackend.__call__

    def count(self, tracer) -> None:
        nonlocal packed
        packed += 1
        run_block(self, tracer)

    model, plain = load_model(name, remote="local"), load_model(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalSimulationBackend, "__call__", count)
        torch.testing.assert_close(logits(model), logits(plain), rtol=0, atol=0)
        with model.generate(PROMPT, max_new_tokens=4) as tracer:
            ids = tracer.result.save()
    assert packed == 2
    with plain.generate(PROMPT, max_new_tokens=4) as tracer:
        expected = tracer.result.save()
    assert torch.equal(ids, expected)
    with model.trace(PROMPT, remote=False):
        here = model.output.logits.save()
    assert torch.equal(here, logits(plain))


def test_remote_loads_no_weights_and_every_run_would_go_to_ndif(
    hub_cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nnsight
    from nnsight.intervention.backends.remote import RemoteBackend
    from nnsight.modeling import huggingface

    monkeypatch.setitem(huggingface._ID_CACHE, hub_cache, hub_cache)  # else the key is made by asking the hub
    sent: list[tuple[str, bytes]] = []

    def send(self, tracer) -> None:
        from nnsight.ndif import pull_env
        from nnsight.schema.request import RequestModel

        pull_env()
        sent.append((self.model_key, RequestModel.serialize(tracer)))

    monkeypatch.setattr(RemoteBackend, "__call__", send)
    model = load_model(hub_cache, remote=True)
    monkeypatch.setattr(nnsight.CONFIG.API, "APIKEY", None)
    with pytest.raises(ModelError, match=r"NDIF asks for a key: .*set_default_api_key\('\.\.\.'\)"):
        with model.trace(PROMPT):
            model.output.logits.save()
    monkeypatch.setattr(nnsight.CONFIG.API, "APIKEY", "a key")
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model.tokenizer.decode(model.tokenizer(PROMPT).input_ids) == PROMPT
    with model.trace(PROMPT):
        model.output.logits.save()
    with model.generate(PROMPT, max_new_tokens=2) as tracer:
        tracer.result.save()
    assert len(sent) == 2
    for key, blob in sent:
        assert key.startswith("nnsight.modeling.transformers.TransformersModel:"), "NDIF knows no other"
        assert json.loads(key.split(":", 1)[1])["repo_id"] == hub_cache
        assert b"RemoteModel" not in blob, "NDIF does not have this package"
    with pytest.raises(ModelError, match="remote=True"):
        model.generate(PROMPT, max_new_tokens=2)
    with pytest.raises(ModelError, match="whose weights are on this machine"):
        restore_weights(model)


def test_no_way_to_ndif_is_said_in_a_sentence(hub_cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import nnsight
    import websocket
    from nnsight.modeling import huggingface

    monkeypatch.setitem(huggingface._ID_CACHE, hub_cache, hub_cache)
    monkeypatch.setattr(nnsight.CONFIG.API, "APIKEY", "a key")
    model = load_model(hub_cache, remote=True)
    with pytest.raises(ModelError, match=r"NDIF \(wss?://.*\) cannot be reached: .* without remote=True"):
        with model.trace(PROMPT):
            model.output.logits.save()

    def refuse(*_: object, **__: object) -> None:
        raise websocket.WebSocketBadStatusException("Handshake status %d %s", 401, "Unauthorized")

    monkeypatch.setattr(websocket, "create_connection", refuse)
    with pytest.raises(ModelError, match="refuses with status 401: is the key right"):
        with model.trace(PROMPT):
            model.output.logits.save()


# --- in use, restored -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_in_use_is_the_last_real_model_while_it_lives(folder: Path) -> None:
    model = load_model(folder)
    load_model("tiny-gpt2")
    assert in_use() is model
    del model
    gc.collect()
    assert in_use() is None


@pytest.mark.slow
def test_an_old_model_that_nobody_holds_is_freed_before_the_next(folder: Path) -> None:
    """Circles inside it keep it alive: with the collector off, nothing but the second load can free it."""
    gc.disable()
    try:
        first = weakref.ref(load_model(folder)._module)
        assert first() is not None, "it was freed by itself: the next line shows nothing"
        load_model(folder)
        assert first() is None
    finally:
        gc.enable()


@pytest.mark.slow
def test_a_model_that_somebody_holds_is_kept(folder: Path) -> None:
    first = load_model(folder)
    before = logits(first)
    load_model(folder)
    assert torch.equal(logits(first), before)


@pytest.mark.parametrize("name", TINY_MODELS)
def test_restore_undoes_any_change_in_place(name: str) -> None:
    model = load_model(name, seed=3, dtype="float64")
    original = {key: value.clone() for key, value in model._module.state_dict().items()}
    storage = {key: value.data_ptr() for key, value in model._module.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5).add_(1)
    restore_weights(model)
    for key, value in model._module.state_dict().items():
        assert torch.equal(value, original[key]) and value.data_ptr() == storage[key]


def test_restore_refuses_a_stranger() -> None:
    import nnsight

    stranger = nnsight.TransformersModel(build_tiny("tiny-gpt2"), task="text-generation", tokenizer=tiny_tokenizer())
    with pytest.raises(ModelError, match="load_model"):
        restore_weights(stranger)


# --- the default ------------------------------------------------------------------------------------------------------


def test_the_environment_names_another_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSE_MODEL", "tiny-olmo2")
    assert load_model().config.model_type == "olmo2"
    monkeypatch.setenv("COURSE_MODEL", "tiny-olmo3")
    with pytest.raises(ModelError, match="tiny-olmo2"):
        load_model()


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = """
        import sys
        import course_utils
        from course_utils.model.loading import DEFAULT_MODEL, TINY_MODELS, load_model
        heavy = {"torch", "transformers", "nnsight", "tokenizers", "numpy", "matplotlib"} & set(sys.modules)
        assert not heavy, heavy
        assert course_utils.load_model is load_model
        assert course_utils.__version__
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


@pytest.mark.slow
def test_the_embedded_model_says_what_was_measured_elsewhere(real_model) -> None:
    """Figures measured on the same file with plain transformers, before this package existed."""
    probabilities = logits(real_model, "The Eiffel Tower is in the city of")[0, -1].softmax(-1)
    top = probabilities.topk(3)
    assert [real_model.tokenizer.decode([int(i)]) for i in top.indices] == [" Paris", " Rome", " Barcelona"]
    torch.testing.assert_close(top.values.cpu(), torch.tensor([0.656, 0.038, 0.032]), rtol=0, atol=1e-3)
    mike, emma = (real_model.tokenizer(f" {name}").input_ids[0] for name in ("Mike", "Emma"))
    for giver, expected in (("Mike", -7.169), ("Emma", 4.265)):
        last = logits(real_model, f"When Mike and Emma went to the cafe, {giver} gave a coffee to")[0, -1]
        assert (last[mike] - last[emma]).item() == pytest.approx(expected, abs=2e-3)


def test_the_embedded_tokenizer_splits_digits_as_the_original_does(real_model) -> None:
    """Held against the two steps that the GGUF's `smollm` stands for, put together with the tokenizers library."""
    from tokenizers import Regex, Tokenizer, pre_tokenizers

    reference = Tokenizer.from_str(real_model.tokenizer.backend_tokenizer.to_str())
    reference.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    for text in [
        "in  1984 and   42",
        "   7",
        "a1b22c333",
        "12,345.678 kg",
        "x = 3\n\n  4",
        "no digits  here",
        "½ and ٣",
    ]:
        tokens = real_model.tokenizer(text)
        assert tokens.input_ids == reference.encode(text).ids
        assert real_model.tokenizer.decode(tokens.input_ids) == text
    assert real_model.tokenizer.tokenize("in  1984") == ["in", "ĠĠ", "1", "9", "8", "4"]


@pytest.mark.slow
def test_the_embedded_model_ends_its_turn(real_model) -> None:
    tokenizer = real_model.tokenizer
    assert tokenizer.eos_token == "<|im_end|>"
    assert real_model._module.generation_config.eos_token_id == tokenizer.eos_token_id == 2
    assert tokenizer.pad_token is not None and tokenizer.padding_side == "left"
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert chat.startswith("<|im_start|>system\n") and chat.endswith("<|im_start|>assistant\n")
    with real_model.generate(chat, max_new_tokens=40) as tracer:
        ids = tracer.result.save()
    assert int(ids[0, -1]) == tokenizer.eos_token_id, "it stops by itself"
    assert "Paris" in tokenizer.decode(ids[0])


@pytest.mark.slow
def test_changing_the_weights_in_memory_leaves_the_cache_alone(real_model) -> None:
    """The weights are mapped from the file: a write must not go through to it."""
    path = weights_folder(RELEASES[DEFAULT_MODEL]) / "model.safetensors"

    def digest() -> str:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    before, weight = digest(), real_model._module.model.layers[3].mlp.up_proj.weight
    original = weight.clone()
    with torch.no_grad():
        weight.zero_()
    assert digest() == before
    restore_weights(real_model)
    assert torch.equal(weight, original)
