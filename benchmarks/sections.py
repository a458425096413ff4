"""The tables of the results, one function each: what is measured, and against what."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from benchmarks import others
from benchmarks.measuring import Row, Way, alternate, seconds_of_process
from course_utils import kv_cache, load_model, logit_lens, steering, tokens
from course_utils.model.anatomy import anatomy
from course_utils.sweeps import (
    Shortcuts,
    attribution_patching,
    direct_effects,
    nodes,
    patch_heads,
    patch_paths,
    runs,
)
from course_utils.sweeps.fast_linear import onednn_wins

ROOT = Path(__file__).resolve().parent.parent
CLEAN = "When Mike and Emma went to the cafe, Mike gave a coffee to"
CORRUPTED = "When Mike and Emma went to the cafe, Emma gave a coffee to"
ANSWERS = (" Mike", " Emma")


@dataclass
class Setting:
    """model: what is measured on. rounds: of those things that are quick. quick: small sizes, to try the benchmarks
    themselves.
    """

    model: Any
    rounds: int = 5
    quick: bool = False

    def ids(self, text: str) -> torch.Tensor:
        return torch.tensor(self.model.tokenizer(text)["input_ids"], device=self.model._module.device)

    def answers(self) -> list[int]:
        return [tokens.token_id(self.model, answer) for answer in ANSWERS]

    def long_pair(self, length: int, shared: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """A pair of `length` tokens that ends as the usual one does; without `shared` their first tokens differ too."""
        clean, corrupted = self.ids(CLEAN), self.ids(CORRUPTED)
        front = torch.randint(100, 1000, (length - len(clean),), generator=torch.Generator().manual_seed(length))
        other = front.clone()
        if not shared:
            other[0] += 1
        return torch.cat([front.to(clean), clean]), torch.cat([other.to(clean), corrupted])


@contextmanager
def stopwatch(module: Any, name: str) -> Iterator[list[float]]:
    """The seconds of each call of a module's function within the block."""
    function, seconds = getattr(module, name), []

    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            seconds.append(time.perf_counter() - start)

    setattr(module, name, timed)
    try:
        yield seconds
    finally:
        setattr(module, name, function)


# The head sweep.


def head_sweep(setting: Setting) -> list[Row]:
    """All heads of one pair: what people do, what we do, and how little it could be."""
    model, answers = setting.model, setting.answers()
    clean, corrupted = setting.ids(CLEAN), setting.ids(CORRUPTED)
    suffix = len(clean) - int((clean != corrupted).nonzero()[0])
    ways: dict[str, Way] = {
        "a forward pass for each head, plain hooks": lambda: others.loop_of_hooks(model, clean, corrupted, answers),
        "an nnsight trace for each head": lambda: others.trace_per_head(model, clean, corrupted, answers),
    }
    theirs = others.transformer_lens(model)
    if theirs is not None:
        ways["TransformerLens's patching"] = lambda: theirs(clean, corrupted, answers)
    ways["patch_heads"] = lambda: patch_heads(model, CLEAN, CORRUPTED, ANSWERS, progress=False)
    ways["attribution_patching"] = lambda: attribution_patching(model, CLEAN, CORRUPTED, ANSWERS)
    ways["patch_heads"]()
    rows = alternate(
        "head sweep",
        "all heads, one pair",
        ways,
        1 if setting.quick else 2,
        {"attribution_patching": "an approximation"},
    )
    if theirs is None:
        rows.append(Row("head sweep", "all heads, one pair", "TransformerLens's patching", note="not installed"))

    # What is quick is measured oftener, and taken apart.
    limits: dict[str, Way] = {
        "patch_heads": ways["patch_heads"],
        "its matrix products alone, PyTorch's usual product": lambda: others.products_alone(model, suffix, fast=False),
        "its matrix products alone, the faster product": lambda: others.products_alone(model, suffix, fast=True),
    }
    with stopwatch(runs, "run_unpatched") as preparing, stopwatch(runs, "run_chunk") as sweeping:
        apart = alternate("arithmetic limit", "all heads, one pair", limits, 2 * setting.rounds)
    best = min(apart[0].seconds or 0.0, next(row.seconds or 0.0 for row in rows if row.way == "patch_heads"))
    for row in rows:
        if row.way == "patch_heads":
            row.seconds, row.times_faster = best, (rows[0].seconds or 0.0) / best
    usual = apart[1].seconds or 0.0
    fastest = min(usual, apart[2].seconds or 0.0)
    alone = min(sweeping)
    apart[0].seconds = best
    apart.insert(
        1, Row("arithmetic limit", "all heads, one pair", "its preparation", min(preparing), note="the unpatched runs")
    )
    apart.insert(
        2,
        Row(
            "arithmetic limit",
            "all heads, one pair",
            "its growing batch",
            alone,
            note=f"{alone / usual:.2f} times the usual products, {alone / fastest:.2f} times the faster ones",
        ),
    )
    apart[-1].note = "oneDNN" if onednn_wins() else "the same one, on this processor"
    for row in apart:
        row.times_faster = None
    return rows + apart


def ladder(setting: Setting) -> list[Row]:
    """The same sweep with one shortcut more at each step."""
    steps: dict[str, Way] = {}
    shortcuts = Shortcuts.none()
    names = ["the plain loop", "+ batch", "+ skip", "+ prefix", "+ grow", "+ direction", "+ product"]
    for name in names:
        if name.startswith("+"):
            shortcuts = replace(shortcuts, **{name[2:]: True})
        steps[name] = lambda chosen=shortcuts: patch_heads(  # type: ignore[misc]
            setting.model, CLEAN, CORRUPTED, ANSWERS, shortcuts=chosen, progress=False
        )
    return alternate("ladder", "all heads, one pair", steps, 1 if setting.quick else 2)


# Paths.


def paths(setting: Setting) -> list[Row]:
    """Direct effects, all senders into the queries of four heads, and the whole map of edges, each beside what people
    do.

    Of what takes a forward pass for each edge a few edges are run, spread over the layers, and the rest is counted up.
    """
    model, answers = setting.model, setting.answers()
    parts = anatomy(model)
    clean, corrupted = setting.ids(CLEAN), setting.ids(CORRUPTED)

    def two_runs() -> None:
        with torch.no_grad():
            for tokens in (clean, corrupted):
                model._module(tokens[None])

    rows = alternate(
        "direct effects",
        "all heads and MLPs, one pair",
        {
            "a clean and a corrupted run": two_runs,
            "direct_effects": lambda: direct_effects(model, CLEAN, CORRUPTED, ANSWERS),
        },
        setting.rounds,
    )
    high = 23 if parts.n_layers > 23 else parts.n_layers - 1
    queries = [nodes.Receiver("query", high, head) for head in range(4)]
    rows += _edges_against_the_loop(setting, f"all senders into four queries of layer {high}", queries, setting.rounds)
    theirs = others.transformer_lens_paths(model)
    if theirs is not None:
        top = parts.n_layers - 2  # the layer with the fewest heads above it: one forward pass for each of them
        lens: Way = lambda: theirs(clean, corrupted, answers, top, 0)  # noqa: E731
        row = alternate("paths", rows[-1].what, {"TransformerLens's direct paths": lens}, 1 if setting.quick else 2)[0]
        edges = sum(nodes.joined(parts, sender, to) for sender in nodes.all_senders(parts) for to in queries)
        row.seconds = (row.seconds or 0.0) * edges / parts.n_heads
        loop = next(one for one in rows if one.way == "plain loop")
        row.times_faster = (loop.seconds or 0.0) / row.seconds
        row.note = f"counted up from {parts.n_heads} edges, of heads to queries"
        rows.append(row)
    rows += _edges_against_the_loop(setting, "every edge", nodes.all_receivers(parts), 1)
    return rows


def _edges_against_the_loop(setting: Setting, what: str, receivers: list[nodes.Receiver], rounds: int) -> list[Row]:
    """`patch_paths` into these receivers in full; of the loop a few edges, and the rest counted up."""
    model, parts = setting.model, anatomy(setting.model)
    edges = [(one, to) for to in receivers for one in nodes.all_senders(parts) if nodes.joined(parts, one, to)]
    sample = [(one, to) for one, to in edges if one.kind == "head" and to.kind != "logits"]
    few = sample[:: max(1, len(sample) // 8)][:8]
    found: list[Any] = []

    def ours() -> torch.Tensor:
        found[:] = [patch_paths(model, CLEAN, CORRUPTED, ANSWERS, receivers=receivers, progress=False)]
        rows = [receivers.index(to) for _, to in few]
        return found[0].numbers[rows, [found[0].senders.index(one) for one, _ in few]]

    loop: Way = lambda: others.loop_of_paths(  # noqa: E731
        model, setting.ids(CLEAN), setting.ids(CORRUPTED), setting.answers(), few
    )
    part, row = alternate("paths", what, {"plain loop": loop, "patch_paths": ours}, rounds)
    full = (part.seconds or 0.0) * (len(edges) + 2) / (len(few) + 2)  # the loop also runs the two prompts once
    counted = replace(part, seconds=full, times_faster=1.0, note=f"counted up from {len(few)} edges of {len(edges)}")
    return [counted, replace(row, times_faster=full / (row.seconds or 1.0), note=f"{len(edges)} edges")]


# How it grows.


def _against_a_part_of_the_loop(
    setting: Setting, table: str, what: str, pair: tuple[torch.Tensor, torch.Tensor], ours: Way, n_pairs: int = 1
) -> list[Row]:
    """Ours in full; of the plain loop a few heads, spread over the layers, and the rest counted up."""
    heads = others.all_heads(setting.model)
    few = heads[:: max(1, len(heads) // 4)][:4]
    answers = setting.answers()
    loop: Way = lambda: others.loop_of_hooks(setting.model, *pair, answers, few)  # noqa: E731
    part, row = alternate(table, what, {"plain loop": loop, "patch_heads": ours}, 1 if setting.quick else 2)
    # The loop also runs the clean prompt once.
    full = (part.seconds or 0.0) * n_pairs * (len(heads) + 1) / (len(few) + 1)
    counted = replace(part, seconds=full, times_faster=1.0, note=f"counted up from {len(few)} heads")
    return [counted, replace(row, times_faster=full / (row.seconds or 1.0))]


def growth_with_length(setting: Setting) -> list[Row]:
    """Prompts that differ near their ends; and, at two lengths, in their first token too, so that there is no prefix to
    share: beside what its products alone would take, to see how much of it is arithmetic that nothing can save.
    """
    lengths, apart = ((16, 32), (16,)) if setting.quick else ((16, 64, 128, 256, 512), (16, 64))
    rows = []
    for length, shared in [*((n, True) for n in lengths), *((n, False) for n in apart)]:
        pair = setting.long_pair(length, shared)
        rows += _against_a_part_of_the_loop(
            setting,
            "prompt length",
            f"{length} tokens" if shared else f"{length} tokens, no common beginning",
            pair,
            lambda pair=pair: patch_heads(  # type: ignore[misc]
                setting.model, pair[0], pair[1], ANSWERS, progress=False
            ),
        )
        if not shared:
            limit = functools.partial(others.products_alone, setting.model, length, fast=True)
            alone = alternate("prompt length", "products", {"alone": limit}, 2)[0].seconds or 1.0
            loop, ours = (row.seconds or 0.0 for row in rows[-2:])
            rows[-1].note = f"{ours / alone:.2f} times its matrix products: without anything else, {loop / alone:.1f}"
    return rows


NAMES = (" Mike", " Emma", " John", " Mary", " Tom", " Anna", " Paul", " Kate", " Jack", " Lucy", " Mark", " Jane")
PLACES = (" cafe", " park", " school", " store", " house", " office")


def many_pairs(model: Any, count: int, length: int) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Different pairs of one length, as far as the model's vocabulary has the words."""
    names = [name for name in NAMES if len(model.tokenizer(name, add_special_tokens=False)["input_ids"]) == 1]
    clean, corrupted, answers = [], [], []
    for place in PLACES:
        for i, first in enumerate(names):
            for second in names[i + 1 :]:
                front = f"When{first} and{second} went to the{place},"
                pair = [f"{front}{giver} gave a coffee to" for giver in (first, second)]
                if all(len(model.tokenizer(text)["input_ids"]) == length for text in pair):
                    clean.append(pair[0])
                    corrupted.append(pair[1])
                    answers.append((first, second))
    repeat = -(-count // max(1, len(clean)))
    return (clean * repeat)[:count], (corrupted * repeat)[:count], (answers * repeat)[:count]


def growth_with_pairs(setting: Setting) -> list[Row]:
    rows: list[Row] = []
    length = len(setting.ids(CLEAN))
    counts = (1, 2) if setting.quick else (1, 4, 16, 64)
    for count in counts:
        pairs = many_pairs(setting.model, count, length)
        rows += _against_a_part_of_the_loop(
            setting,
            "prompt pairs",
            f"{count} {'pair' if count == 1 else 'pairs'} of {length} tokens",
            (setting.ids(CLEAN), setting.ids(CORRUPTED)),
            lambda pairs=pairs: patch_heads(setting.model, *pairs, progress=False),  # type: ignore[misc]
            n_pairs=count,
        )
    suffix = length - int((setting.ids(CLEAN) != setting.ids(CORRUPTED)).nonzero()[0])
    limit: Way = lambda: others.products_alone(setting.model, suffix, fast=True)  # noqa: E731
    alone = alternate("prompt pairs", "one pair", {"matrix products": limit}, 2 * setting.rounds)[0].seconds or 1.0
    ours = [row for row in rows if row.way == "patch_heads"]
    for count, row in zip(counts, ours, strict=True):
        seconds = row.seconds or 0.0
        of_one, of_products = seconds / (ours[0].seconds or 1), seconds / count / alone
        row.note = f"{of_one:.1f} times one pair, {of_products:.2f} times its matrix products"
    return rows


def growth_with_size(setting: Setting) -> list[Row]:
    """Layers and heads: the tiny families, the course's model, and Gemma 3 where it is on this machine already."""
    rows: list[Row] = []
    names = ["tiny-llama", "tiny-gpt2"] + ([] if setting.quick else ["smollm2-135m", "gemma3-270m"])
    for name in names:
        if name == "gemma3-270m" and not _is_here(name):
            rows.append(Row("model size", name, "patch_heads", note="not on this machine; load_model fetches it"))
            continue
        other = replace(setting, model=setting.model if name == "smollm2-135m" else load_model(name))
        parts = anatomy(other.model)
        what = f"{name}: {parts.n_layers} layers of {parts.n_heads} heads, width {parts.width}"
        model = other.model
        rows += _against_a_part_of_the_loop(
            other,
            "model size",
            what,
            (other.ids(CLEAN), other.ids(CORRUPTED)),
            lambda model=model: patch_heads(model, CLEAN, CORRUPTED, ANSWERS, progress=False),  # type: ignore[misc]
        )
    return rows


def _is_here(name: str) -> bool:
    from course_utils.model.releases import RELEASES
    from course_utils.model.weights import cache_folder

    return any(cache_folder().glob(f"{RELEASES[name].name}-*"))


# The other lessons.


def lens(setting: Setting) -> list[Row]:
    """The lens at all depths and positions: one product for each depth and position, or all in one."""
    model, parts = setting.model, anatomy(setting.model)
    prompt = CLEAN

    def one_by_one() -> torch.Tensor:
        n_positions = len(setting.ids(prompt))
        top = torch.zeros(parts.n_layers + 1, n_positions, dtype=torch.long)
        for depth in range(parts.n_layers + 1):
            for position in range(n_positions):
                with model.trace(prompt):
                    envoy = parts.layers[max(0, depth - 1)]
                    stream = envoy.output if depth else envoy.input
                    logits = parts.unembed(stream[0, position]).save()  # type: ignore[attr-defined]
                top[depth, position] = logits.argmax()
        return top

    ways: dict[str, Way] = {
        "a trace for each depth and position": one_by_one,
        "lens_table": lambda: logit_lens.lens_table(model, prompt)["top_ids"],
    }
    return alternate("logit lens", "all depths and positions", ways, 1)


def steering_table(setting: Setting) -> list[Row]:
    """Four strengths at every layer, on one prompt."""
    model, parts = setting.model, anatomy(setting.model)
    directions = torch.randn(parts.n_layers, 1, parts.width, generator=torch.Generator().manual_seed(0))
    vectors = directions * torch.tensor([-1.0, -0.5, 0.5, 1.0])[:, None]
    prompt = CLEAN

    def one_by_one() -> torch.Tensor:
        found = torch.zeros(parts.n_layers, vectors.shape[1], parts.vocabulary)
        for layer in range(parts.n_layers):
            for i, vector in enumerate(vectors[layer]):
                found[layer, i] = steering.steered_logits(model, prompt, layer, vector)
        return found

    def together() -> torch.Tensor:
        last = steering.steered_residuals(model, prompt, vectors)[1:, -1]
        return parts.unembed(last).float().unflatten(0, vectors.shape[:2])

    return alternate(
        "steering sweep",
        f"{parts.n_layers} layers, {vectors.shape[1]} strengths, one prompt",
        {"a run for each layer and strength": one_by_one, "steered_residuals": together},
        1,
    )


def perplexity(setting: Setting) -> list[Row]:
    texts = [
        text for pair in zip(*many_pairs(setting.model, 32, len(setting.ids(CLEAN)))[:2], strict=True) for text in pair
    ]
    ways: dict[str, Way] = {
        "a text at a time": lambda: torch.tensor(tokens.perplexity(setting.model, texts, batch_size=1)),
        "in batches": lambda: torch.tensor(tokens.perplexity(setting.model, texts)),
    }
    return alternate("perplexity", f"{len(texts)} texts", ways, 1 if setting.quick else 2)


def decoding(setting: Setting) -> list[Row]:
    """Greedy decoding: by hand without cache, by hand with cache, and transformers' generate."""
    model, rows = setting.model, []
    ids = setting.ids(CLEAN)[None]
    for length in (4,) if setting.quick else (16, 64, 128):

        def generated(length: int = length) -> torch.Tensor:
            new = model._module.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=length, min_new_tokens=length, do_sample=False
            )
            return new[0, ids.shape[1] :]

        ways: dict[str, Way] = {
            "greedy, without cache": lambda n=length: torch.tensor(  # type: ignore[misc]
                tokens.greedy(model, CLEAN, n)
            ),
            "greedy_with_cache": lambda n=length: torch.tensor(  # type: ignore[misc]
                kv_cache.greedy_with_cache(model, CLEAN, n)
            ),
            "transformers' generate": generated,
        }
        rows += alternate("decoding", f"{length} new tokens", ways, 1)
    return rows


@torch.no_grad()
def attention_layer(setting: Setting) -> list[Row]:
    """One attention layer, a token at a time: everything again, a cache that is joined, one that is preallocated."""
    width, heads, rows = 256, 4, []
    plain = kv_cache.ScaledDotProductAttention(width, heads).eval()
    cached = kv_cache.ScaledDotProductAttentionWithCache(width, heads).eval()
    cached.load_state_dict(plain.state_dict())
    for length in (16,) if setting.quick else (128, 512):
        x = torch.randn(1, length, width, generator=torch.Generator().manual_seed(0))

        def again(x: torch.Tensor = x) -> torch.Tensor:
            return torch.cat([plain(x[:, : i + 1], is_causal=True)[0][:, -1:] for i in range(x.shape[1])], dim=1)

        def concatenated(x: torch.Tensor = x) -> torch.Tensor:
            cached.clear_cache()
            return torch.cat([cached(x[:, i : i + 1], use_cache=True)[0] for i in range(x.shape[1])], dim=1)

        def preallocated(x: torch.Tensor = x) -> torch.Tensor:
            cache, out = kv_cache.PreallocatedCache(1, heads, x.shape[1], width // heads), []
            for i in range(x.shape[1]):
                new = x[:, i : i + 1]
                query, key, value = (
                    w(new).unflatten(-1, (heads, -1)).transpose(1, 2) for w in (cached.W_q, cached.W_k, cached.W_v)
                )
                keys, values = cache.append(key, value)
                weights = (query @ keys.transpose(-1, -2) / (width // heads) ** 0.5).softmax(-1)
                out.append(cached.W_o((weights @ values).transpose(1, 2).flatten(-2)))
            return torch.cat(out, dim=1)

        ways: dict[str, Way] = {
            "without cache": again,
            "with cache, concatenated": concatenated,
            "preallocated": preallocated,
        }
        rows += alternate("attention layer", f"{length} tokens, one at a time", ways, 1 if setting.quick else 2)
    return rows


# The whole.


def starting(setting: Setting) -> list[Row]:
    """Import and load, each in a fresh process."""
    rows = [
        Row("starting", "python", "nothing", seconds_of_process("pass")),
        Row("starting", "import course_utils", "", seconds_of_process("import course_utils")),
    ]
    if setting.quick:
        return rows
    load = "from course_utils import load_model; load_model()"
    rows.append(
        Row("starting", "load_model()", "warm, in a fresh process", min(seconds_of_process(load) for _ in range(2)))
    )
    with tempfile.TemporaryDirectory() as empty:
        try:
            cold = seconds_of_process(load, {"COURSE_CACHE": empty})
            rows.append(Row("starting", "load_model()", "cold: fetched, checked, converted", cold))
        except subprocess.CalledProcessError as error:
            rows.append(
                Row("starting", "load_model()", "cold", note=f"could not be fetched: {error.stderr.splitlines()[-1]}")
            )
    return rows


def lessons(setting: Setting) -> list[Row]:
    """Each lesson from start to end under nbval, with the memory of all its processes together."""
    rows = []
    for path in sorted((ROOT / "notebooks").glob("0*.ipynb"))[: 1 if setting.quick else None]:
        code = (
            "import sys\nfrom pathlib import Path\nimport nbformat\n"
            "from course_utils.notebooks.compare import compare\n"
            f"path = Path({str(path)!r})\n"
            "found = compare(path, nbformat.read(path, as_version=4))\n"
            "sys.exit(0 if found.passed else f'{len(found.failures)} cells differ {found.crash[-300:]}')"
        )
        seconds, peak, said = _watched([sys.executable, "-c", code])
        rows.append(Row("lessons", path.stem, "nbval", seconds, memory_mb=peak, note=said))
    if rows and not setting.quick:
        rows.append(Row("lessons", "all of them", "nbval", sum(row.seconds or 0.0 for row in rows)))
    return rows


def tests(setting: Setting) -> list[Row]:
    """`make test`: everything that CI runs."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "worksteal", str(ROOT / "tests")]
    seconds, peak, said = _watched(command, {"OMP_NUM_THREADS": "1"})
    return [Row("make test", "pytest, two processes", "", seconds, memory_mb=peak, note=said)]


def _watched(command: list[str], environment: dict[str, str] | None = None) -> tuple[float, float, str]:
    """Wall seconds of a command, the peak memory of it and all its children (MB), and why it failed, if it did."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        start = time.perf_counter()
        process = psutil.Popen(command, stdout=said, stderr=said, cwd=ROOT, env={**os.environ, **(environment or {})})
        peak = 0
        while process.poll() is None:
            with suppress(psutil.Error):
                peak = max(peak, sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]))
            time.sleep(0.05)
        seconds = time.perf_counter() - start
        said.seek(0)
        lines = said.read().strip().splitlines()
    failed = f"failed: {lines[-1][:200] if lines else process.returncode}" if process.returncode else ""
    return seconds, peak / 2**20, failed


SECTIONS: dict[str, Callable[[Setting], list[Row]]] = {
    "head-sweep": head_sweep,
    "ladder": ladder,
    "paths": paths,
    "length": growth_with_length,
    "pairs": growth_with_pairs,
    "size": growth_with_size,
    "lens": lens,
    "steering": steering_table,
    "perplexity": perplexity,
    "decoding": decoding,
    "attention": attention_layer,
    "starting": starting,
    "lessons": lessons,
    "tests": tests,
}
ASKED_FOR_ONLY = ("tests",)
