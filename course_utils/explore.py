# mypy: disable-error-code="attr-defined"
# In a trace every value has .save(), which torch's types do not know.
"""Ask a running model for a picture that answers: each function here gives the view of that name::

    explore.tokens(model, text)                              how a text is cut (lesson 1)
    explore.next_token(model, prompt)                        what comes next, under temperature and cuts (lesson 1)
    explore.attention(model, prompt)                         where every head looks (lesson 2)
    explore.by_hand(model, prompt, layer, position)          one token through one layer (lesson 2)
    explore.cache(model, prompt)                             what is computed and what is read (lesson 3)
    explore.lens(model, prompt)                              what each depth would predict (lesson 4)
    explore.steering(model, prompt, directions, ...)         what a direction does, by layer and strength (lesson 5)
    explore.patching_map(model, clean, corrupted, answers)   heads by layer, what each does to the answer (lesson 6)
    explore.circuit(model, clean, corrupted, answers)        which head speaks to which, path by path (lesson 7)

What a view shows and can be asked is said in `course_utils.pictures.views`, which takes the numbers and knows no model.
In a notebook a view has fields for a prompt of one's own, which ask again. Where a lesson makes a view of its own
numbers, ``first=`` shows that one until the fields are asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from course_utils import circuits, logit_lens, patching, residual
from course_utils import steering as steer
from course_utils.model.anatomy import Anatomy, anatomy
from course_utils.model.prompts import as_text, token_id, token_ids
from course_utils.model.whole_numbers import whole_number
from course_utils.pictures import views
from course_utils.pictures.views import View
from course_utils.tokens import greedy, settled_surprisals, split_tokens

if TYPE_CHECKING:
    from nnsight import TransformersModel

NAMED = 200  # tokens that the next-token view knows by name
NULLS = 20  # random directions whose effects make the band behind a steering curve
ORDERS = 2  # random orders of a head's numbers whose mean the map "scrambled" shows, as in lesson 6


def pieces(model: TransformersModel, text: str) -> list[str]:
    """The tokens of a text as texts."""
    return [token for _, token in split_tokens(model, text)]


def tokens(model: TransformersModel, text: str, others: Mapping[str, Any] | None = None) -> View:
    """How a text is cut into tokens, and each of its beginnings; with each token's surprisal after the whole text's.

    Args:
        others: more transformers tokenizers by name, to stand beside the model's own.

    Raises:
        ValueError: the text is empty, or a tokenizer changes it, so that its tokens do not join to it.
    """
    as_text(text)
    own = "this model"
    tokenizers = {own: model.tokenizer, **(others or {})}
    beginnings = [text[:length] for length in range(1, len(text) + 1)]
    cuts = {
        name: [
            [(id, token_bytes(tokenizer, id)) for id in tokenizer(beginning, add_special_tokens=False)["input_ids"]]
            for beginning in beginnings
        ]
        for name, tokenizer in tokenizers.items()
    }
    plain = token_ids(model, text) == [id for id, _ in cuts[own][-1]] if text else False  # nothing was put in front
    bits = {own: settled_surprisals(model, text)} if plain else None
    view = views.tokens(text, cuts, bits)
    return _asking(view, lambda other: tokens(model, other, others))


def token_bytes(tokenizer: Any, id: int) -> bytes:
    """The bytes that a token stands for: also of one that is only a part of a character.

    Byte-level tokenizers (GPT-2 and most since) write each byte as a character of their own; SentencePiece writes a
    space as a low line, and a lone byte as <0x..>.
    """
    piece = tokenizer.convert_ids_to_tokens(id)
    if id in tokenizer.added_tokens_decoder:
        return piece.encode()
    if "ByteLevel" in repr(tokenizer.backend_tokenizer.decoder):
        return bytes(BYTES[character] for character in piece)
    if len(piece) == 6 and piece.startswith("<0x"):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()


def _byte_alphabet() -> dict[str, int]:
    """The characters of byte-level tokenizers: printable Latin-1 stands for itself, the others follow from 256 on, as
    in GPT-2's `bytes_to_unicode` (https://github.com/openai/gpt-2/blob/master/src/encoder.py).
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTES = _byte_alphabet()


def next_token(model: TransformersModel, prompt: str) -> View:
    """What may come after a prompt, the whole vocabulary of it, under temperature, top-k and top-p.

    Raises:
        ValueError: the prompt is empty.
    """
    with model.trace([token_ids(model, prompt)]):
        logits = model.output.logits[0, -1].save()  # (vocabulary,)
    best = logits.topk(min(NAMED, len(logits))).indices.tolist()
    view = views.next_token(prompt, logits, [model.tokenizer.decode([id]) for id in best])
    return _asking(view, lambda text: next_token(model, text))


def cache(model: TransformersModel, prompt: str, n_new: int = 8, bytes_per_number: int = 4) -> View:
    """A prompt and the most probable tokens after it, step by step: what a cache spares, and what it holds.

    Raises:
        ValueError: the prompt is empty, or ``n_new`` is negative.
    """
    if n_new < 0:
        raise ValueError(f"n_new is {n_new}; expected 0 or more new tokens.")
    parts = anatomy(model)
    ids = token_ids(model, prompt)
    shown = [model.tokenizer.decode([id]) for id in [*ids, *greedy(model, prompt, n_new)]]
    view = views.cache(
        shown, len(ids), parts.windows, parts.n_heads, parts.n_kv_heads, parts.head_width, bytes_per_number
    )
    return _asking(view, lambda text: cache(model, text, n_new, bytes_per_number))


def by_hand(
    model: TransformersModel, prompt: str, layer: int, position: int = -1, *, first: View | None = None
) -> View:
    """What comes into a layer at one token, what its heads find, what attention and MLP write, and what goes out.

    Args:
        first: a by-hand view of steps of one's own; it stands there until the fields are asked, and nothing runs.

    Raises:
        ValueError: the prompt is empty, there is no such layer or position, or ``first`` is another kind of view.
    """
    parts = anatomy(model)
    count = len(token_ids(model, prompt))
    patching.check_head(parts, layer, 0)
    if not -count <= whole_number(position, "position") < count:
        raise ValueError(f"There is no position {position}: the prompt has positions 0 to {count - 1}.")

    def ask(text: str, layer: str, position: str) -> View:
        return by_hand(model, text, _count(layer, "Layer"), _count(position, "Position"))

    fields = {"A prompt of your own": prompt, "Layer": str(layer), "Position (-1 is the last token)": str(position)}
    if first is not None:
        return _asking(_of_kind(first, "by_hand"), ask, fields)
    with model.trace(prompt):
        entered = parts.layers[layer].input[0, position].save()
        found = parts.heads(layer)[0, position].save()  # (head, head width)
        weights = parts.pattern(layer)[0, :, position].save()  # (head, key)
        attended = parts.attention_written(layer)[0, position].save()
        computed = parts.mlp_written(layer)[0, position].save()
        left = parts.layers[layer].output[0, position].save()
    token = pieces(model, prompt)[position]
    between = "x" if parts.parallel else "x + attention"
    steps = [
        views.Step("comes in", "x", entered, "The token's vector in the residual stream."),
        views.Step("attention weights", "softmax(q @ k.T / sqrt(head width))", weights, "Where each head looks."),
        views.Step("what the heads found", "weights @ v", found, "A mean of the values, for each head its own."),
        views.Step("attention writes", "found @ output.T", attended, "The heads mixed, in the stream's width."),
        views.Step("after attention", "x + attention", entered + attended, "The stream is a sum."),
        views.Step("the MLP writes", f"mlp(norm({between}))", computed, "Computed from this token alone."),
        views.Step("goes out", "x + attention + mlp", left, "What the next layer reads."),
    ]
    view = views.by_hand(steps, f"“{token.strip()}” through layer {layer}")
    return _asking(view, ask, fields)


def steering(
    model: TransformersModel,
    prompt: str,
    directions: torch.Tensor,
    words: tuple[Sequence[str], Sequence[str]],
    ordinary: str,
    layers: Sequence[int],
    shares: Sequence[float] = (-0.4, -0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3, 0.4),
    n_new: int = 12,
) -> View:
    """What a direction added at one layer does to what is written, to the odds of words, and to ordinary text.

    Behind the log-odds stand those of twenty random directions of the same length: what lies in their band, any
    direction could have done.

    Args:
        directions: for each layer of the model its direction, (layer, width).
        words: those that should become more probable, and those that should become less, each one token.
        ordinary: a text that has nothing to do with the concept; its perplexity is the damage.
        shares: strengths, as shares of the stream's typical norm at the layer.

    Raises:
        ValueError: a word is not one token, there is no such layer, or something has another shape.
    """
    parts = anatomy(model)
    steer.checked_vectors(model, directions, "layer")
    if len(directions) != parts.n_layers:
        raise ValueError(f"There are directions for {len(directions)} layers; this model has {parts.n_layers}.")
    positive, negative = (steer.word_ids(model, side) for side in words)
    chosen = [steer.checked_layer(model, layer) for layer in layers]
    typical = steer.stream_norms(model, [prompt, ordinary]).median(dim=1).values  # (layer,)
    strengths = torch.tensor(sorted(shares), device=directions.device)

    def scaled(some: torch.Tensor) -> torch.Tensor:
        """Directions (layer, width) at each strength: (chosen layer, strength, width)."""
        unit = some / some.norm(dim=-1, keepdim=True)
        return (strengths[:, None] * (typical.to(unit)[:, None] * unit)[:, None])[chosen]

    vectors = scaled(directions)
    done = steer.steering_sweep(model, vectors, prompt, positive, negative, ordinary, chosen)
    source = torch.Generator().manual_seed(0)
    random = [scaled(torch.randn(directions.shape, generator=source).to(directions)) for _ in range(NULLS)]
    last = steer.steered_residuals(model, prompt, torch.cat(random, dim=1), chosen)[1:, -1]
    # All logits at once would be rows * vocabulary numbers.
    odds = torch.cat(
        [steer.log_odds(parts.unembed(some).float(), positive, negative).cpu() for some in last.split(64)]
    ).reshape(len(chosen), NULLS, len(strengths))
    texts = [
        steer.steered_generate(model, prompt, layer, row, n_new) for layer, row in zip(chosen, vectors, strict=True)
    ]
    view = views.steering(
        chosen,
        sorted(shares),
        texts,
        {"log-odds": done.log_odds, "perplexity of ordinary text": done.perplexity},
        {"log-odds": torch.stack([odds.amin(dim=1), odds.amax(dim=1)])},
        prompt,
    )
    return _asking(view, lambda text: steering(model, text, directions, words, ordinary, layers, shares, n_new))


def patching_map(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    answers: tuple[str, str] = (" Mike", " Emma"),
    *,
    by_position: bool = False,
) -> View:
    """What each head does to the answer when it alone is taken from the clean run, and where it looks.

    Maps: patched alone; the direct part of it, and what goes through others; scrambled. Copy scores where each name is
    one token.

    Args:
        by_position: patch each head also at each position alone. As many sweeps more as the prompt has tokens.

    Raises:
        ValueError: the prompts differ in length, an answer is not one token, or both prompts or answers are the same.
    """
    pair = patched_pair(model, clean, corrupted, answers, by_position=by_position)
    try:
        copy = patching.copy_scores(model)
    except ValueError:  # in this vocabulary a name is several tokens
        copy = None
    view = views.patching_map([pair], copy)
    return _asking(
        view,
        lambda *texts: patching_map(model, texts[0], texts[1], (texts[2], texts[3]), by_position=by_position),
        _pair_fields(clean, corrupted, answers),
    )


def map_of_pairs(
    model: TransformersModel,
    pairs: Sequence[views.PatchedPair],
    copy: torch.Tensor | None = None,
    answers: tuple[str, str] = (" Mike", " Emma"),
) -> View:
    """The map of pairs that were measured before, as :func:`patched_pair` gives them; its fields measure one more.

    The pair of one's own stands in front of the others, and the next one takes its place.

    Args:
        copy: copy scores, (layer, head).
        answers: what stands in the fields at first where the first pair does not say what was asked. Its prompts are
            read from its tokens then, and left empty where these do not tell them.

    Raises:
        ValueError: the pairs do not fit together, or there is none.
    """

    orders = ORDERS if pairs and "scrambled" in pairs[0].maps else 0  # what is beside the others has the same maps

    def ask(clean: str, corrupted: str, right: str, other: str) -> View:
        own = patched_pair(model, clean, corrupted, (right, other), orders=orders)
        return _asking(views.patching_map([own, *pairs], copy), ask, _pair_fields(clean, corrupted, (right, other)))

    view = views.patching_map(pairs, copy)
    if pairs[0].asked is not None:
        clean, corrupted, right, other = pairs[0].asked
        return _asking(view, ask, _pair_fields(clean, corrupted, (right, other)))
    texts = [_text_of(model, tokens) for tokens in pairs[0].prompts.values()] or [""]
    return _asking(view, ask, _pair_fields(texts[0], texts[-1], answers))


def _text_of(model: TransformersModel, tokens: Sequence[str]) -> str:
    """The text that is these tokens to the model; "" where they do not tell it.

    They do not where a tokenizer drops a token's space as it writes it alone, or a character is several tokens.
    """
    front = next((i for i, token in enumerate(tokens) if token not in model.tokenizer.all_special_tokens), 0)
    text = "".join(tokens[front:])
    return text if pieces(model, text) == list(tokens) else ""


def patched_pair(
    model: TransformersModel,
    clean: str,
    corrupted: str,
    answers: tuple[str, str] = (" Mike", " Emma"),
    *,
    by_position: bool = False,
    orders: int = ORDERS,
) -> views.PatchedPair:
    """What :func:`patching_map` shows of one pair of prompts; several of them make a map with a choice of prompts.

    Args:
        by_position: as there.
        orders: how many random orders of a head's numbers "scrambled" is the mean of. Each takes longer than all the
            rest; with 0 that map is left out.

    Raises:
        ValueError: as there, or ``orders`` is negative.
    """
    if orders < 0:
        raise ValueError(f"orders={orders}: expected a number of random orders, or 0 for none.")
    _check_different(clean, corrupted, answers)
    patching.check_prompts(model, clean, corrupted)
    at_start = patching.logit_difference(model, corrupted, answers)
    at_end = patching.logit_difference(model, clean, answers)
    alone = patching.patch_heads(model, clean, corrupted, answers, progress=False) - at_start
    direct = patching.direct_effects(model, clean, corrupted, answers).heads
    maps = {"patched alone": alone, "direct": direct, "through others": alone - direct}
    tables = [patching.permute_heads(model, clean, answers, seed=seed, progress=False) for seed in range(orders)]
    if tables:
        maps["scrambled"] = torch.stack(tables).mean(dim=0) - at_end
    moved = None
    count = len(token_ids(model, corrupted))
    if by_position:
        columns = [
            patching.patch_heads(model, clean, corrupted, answers, positions=[position], progress=False) - at_start
            for position in range(count)
        ]
        moved = torch.stack(columns, dim=-1)
    prompts = {"clean": clean, "corrupted": corrupted}
    return views.PatchedPair(
        label=f"{clean} … / {corrupted} …",
        gap=at_end - at_start,
        maps=maps,
        prompts={name: pieces(model, text) for name, text in prompts.items()},
        attention={name: patching.attention_to(model, text, range(count)) for name, text in prompts.items()},
        by_position=moved,
        asked=(clean, corrupted, *answers),
    )


def circuit(
    model: TransformersModel,
    clean: str | Sequence[str],
    corrupted: str | Sequence[str],
    answers: tuple[str, str] | Sequence[tuple[str, str]] = (" Mike", " Emma"),
    *,
    heads: int = 8,
    paths: int = 16,
    first: View | None = None,
) -> View:
    """Which head speaks to which, and to the answer: exact paths between the heads that move it most.

    The heads are those that move the answer most where each alone is patched. A path into a head goes through its
    query, its key or its value: of the three the strongest is drawn, and the card says which. The control of a path is
    the strongest head of the sender's layer that is not among the chosen ones, by the same road.

    Args:
        clean, corrupted, answers: two prompts; or lists of them, one pair at each place, and then each path is a mean
            with two standard errors, and the answers may be a list too.
        heads: so many heads are looked at.
        paths: so many paths are drawn, the strongest.
        first: a circuit of paths measured before; it stands there until the fields are asked, and nothing runs.

    Raises:
        ValueError: a prompt is empty, both prompts or answers of a pair are the same, an answer is not one token,
            the lists differ in length, there are no such numbers of ``heads`` or ``paths``, ``first`` is another kind
            of view, or the model's paths cannot be taken apart.
    """
    parts = anatomy(model)
    for name, count, most in (("heads", heads, parts.n_layers * parts.n_heads), ("paths", paths, None)):
        if whole_number(count, name) < 1 or (most is not None and count > most):
            raise ValueError(f"{name} is {count}; expected 1 {f'to {most}' if most else 'or more'}.")
    pairs = _pairs(clean, corrupted, answers)
    for pair in pairs:
        _check_different(*pair)

    def ask(clean: str, corrupted: str, right: str, other: str) -> View:
        return circuit(model, clean, corrupted, (right, other), heads=heads, paths=paths)

    if first is not None:
        return _asking(_of_kind(first, "circuit"), ask, _pair_fields(*pairs[0]))
    texts = [list(column) for column in zip(*pairs, strict=True)]  # clean, corrupted, answers
    before = torch.tensor([patching.logit_difference(model, pair[1], pair[2]) for pair in pairs])
    alone = (patching.patch_heads(model, *texts, progress=False) - before[:, None, None]).mean(dim=0)  # (layer, head)
    order = alone.abs().flatten().argsort(descending=True, stable=True)[:heads].tolist()
    chosen = sorted(divmod(place, parts.n_heads) for place in order)
    found = circuits.patch_paths(
        model,
        *texts,
        senders=[f"{layer}.{head}" for layer in dict(chosen) for head in range(parts.n_heads)],
        receivers=[*dict.fromkeys(road for one in chosen for road in _roads(parts, *one)), "logits"],
        progress=False,
    )
    drawn = sorted(_paths_between(parts, chosen, found), key=lambda path: -abs(path.effect))[:paths]
    used = {name for path in drawn for name in (path.begin, path.end)}
    nodes = [
        views.CircuitPart(f"{layer}.{head}", layer, f"Patched alone it moves the answer by {alone[layer, head]:+z.2f}.")
        for layer, head in chosen
        if f"{layer}.{head}" in used
    ]
    if "logits" in used:
        nodes.append(views.CircuitPart("logits", parts.n_layers, "The right answer's logit minus the other's."))
    of = f"mean of {len(pairs)} pairs" if len(pairs) > 1 else f"{pairs[0][0]} …"
    view = views.circuit(
        nodes,
        drawn,
        f"Who speaks to whom, {of}",
        interval="two standard errors",
        control="strongest head of the layer that is not looked at",
    )
    return _asking(view, ask, _pair_fields(*pairs[0]))


def _pairs(
    clean: str | Sequence[str],
    corrupted: str | Sequence[str],
    answers: tuple[str, str] | Sequence[tuple[str, str]],
) -> list[tuple[str, str, tuple[str, str]]]:
    """Clean and corrupted prompt and answers of each pair, from what may be one or a list of each."""
    cleans, others = ([one] if isinstance(one, str) else list(one) for one in (clean, corrupted))
    both: list[Any] = [answers] if isinstance(answers[0], str) else list(answers)
    if len(both) == 1:
        both *= len(cleans)
    if not len(cleans) == len(others) == len(both) > 0:
        raise ValueError(
            f"{len(cleans)} clean and {len(others)} corrupted prompts and {len(both)} pairs of answers do not go "
            "together; expected as many of each, or one pair of answers for all."
        )
    return list(zip(cleans, others, both, strict=True))


def _roads(parts: Anatomy, layer: int, head: int) -> dict[str, str]:
    """The ends by which a head reads the stream, each with what a card says of it."""
    sharing = parts.n_heads // parts.n_kv_heads
    group = head // sharing
    mates = [f"{layer}.{mate}" for mate in range(group * sharing, (group + 1) * sharing) if mate != head]
    shared = f", shared with {' and '.join(mates)}" if mates else ""
    roads = {f"{layer}.{head} query": "Through the query."}
    return roads | {f"{layer}.{group} {kind}": f"Through the {kind}{shared}." for kind in ("key", "value")}


def _paths_between(
    parts: Anatomy, chosen: Sequence[tuple[int, int]], found: circuits.PathMap
) -> Iterator[views.CircuitPath]:
    """Of each pair of heads that are joined, and of each head and the logits, the strongest road."""
    effects = found.effects  # (pair, receiver, sender)
    mean = effects.mean(dim=0)
    error = patching.mean_and_error(effects)[1] if len(effects) > 1 else None
    columns = {str(sender): place for place, sender in enumerate(found.senders)}
    rows = {str(receiver): place for place, receiver in enumerate(found.receivers)}
    for layer, head in chosen:
        column = columns[f"{layer}.{head}"]
        others = [columns[f"{layer}.{other}"] for other in range(parts.n_heads) if (layer, other) not in chosen]
        ends = {f"{to[0]}.{to[1]}": _roads(parts, *to) for to in chosen if to[0] > layer}
        for end, roads in {**ends, "logits": {"logits": "Straight to the answer."}}.items():
            road = max(roads, key=lambda road: float(mean[rows[road], column].abs()))
            effect = float(mean[rows[road], column])
            spread = None if error is None else 2 * float(error[rows[road], column])
            yield views.CircuitPath(
                f"{layer}.{head}",
                end,
                effect,
                None if spread is None else (effect - spread, effect + spread),
                float(mean[rows[road], others].abs().max()) if others else None,
                roads[road],
            )


def lens(
    model: TransformersModel,
    prompt: str,
    follow: Sequence[str] = (),
    *,
    fitted: Callable[[torch.Tensor], torch.Tensor] | None = None,
    best: int = 5,
) -> View:
    """What each depth would predict after each token of a prompt.

    Args:
        follow: tokens, with their spaces, whose rank is shown; the model's own answer unless given.
        fitted: a second lens to switch to, as :func:`~course_utils.logit_lens.fit_tuned_lens` gives it: a function of
            the normalised stream (depth, position, width).
        best: how many of the most probable tokens are shown.

    Raises:
        ValueError: a followed token is not one token, the prompt is empty, or the model has fewer than ``best`` tokens.
    """
    parts = anatomy(model)
    normed = parts.normalise(residual.residual_stream(model, prompt)).detach()  # (depth, position, width)
    if not 1 <= best <= parts.vocabulary:
        raise ValueError(f"best is {best}; expected 1 to {parts.vocabulary}, the tokens that the model knows.")
    if follow:
        followed = {token: token_id(model, token) for token in follow}
    else:
        answer = int(parts.logits(normed[-1, -1]).argmax())
        followed = {model.tokenizer.decode([answer]): answer}
    lenses = {"logit lens": read_lens(model, normed, followed, best)}
    if fitted is not None:
        lenses["fitted lens"] = read_lens(model, fitted(normed).detach(), followed, best)
    view = views.lens(pieces(model, prompt), lenses, parts.vocabulary)
    return _asking(view, lambda text: lens(model, text, follow, fitted=fitted, best=best))


def read_lens(
    model: TransformersModel, normed: torch.Tensor, followed: Mapping[str, int], best: int = 5
) -> views.LensTable:
    """What a normalised stream (depth, position, width) reads as: the ``best`` tokens, and the ranks of some ids."""
    top, shares, ranks = [], [], {token: [] for token in followed}  # type: ignore[var-annotated]
    for log_probs in logit_lens.lens_chunks(model, normed):  # (depth, positions of this chunk, vocabulary)
        found = log_probs.topk(best, dim=-1)
        top.append(found.indices)
        shares.append(found.values.exp())
        for token, id in followed.items():
            ranks[token].append((log_probs > log_probs[..., id, None]).sum(dim=-1) + 1)
    ids = torch.cat(top, dim=1)  # (depth, position, place)
    names = {id: model.tokenizer.decode([id]) for id in ids.unique().tolist()}
    words = [[[names[id] for id in places] for places in row] for row in ids.tolist()]
    return views.LensTable(
        words, torch.cat(shares, dim=1), {token: torch.cat(rows, dim=1) for token, rows in ranks.items()}
    )


def attention(model: TransformersModel, prompt: str, start: tuple[int, int] = (0, 0)) -> View:
    """Where each token of a prompt looks, under every head of every layer.

    Args:
        start: the layer and head that are shown first.

    Raises:
        ValueError: the prompt is empty or too long for a view, or there is no such head.
    """
    parts = anatomy(model)
    patterns = residual.attention_patterns(model, token_ids(model, prompt))  # (layer, head, query, key)
    view = views.attention(patterns, pieces(model, prompt), parts.n_kv_heads, start)
    return _asking(view, lambda text: attention(model, text, start))


def _asking(view: View, ask: Callable[..., View], asks: Mapping[str, str] | None = None) -> View:
    """The view with fields that ask the model the same of another prompt; with one empty field, unless told."""
    return dataclasses.replace(view, ask=ask, asks={"A prompt of your own": ""} if asks is None else asks)


def _of_kind(first: View, name: str) -> View:
    """Raises ValueError where a view that is to stand there at first is not of the kind that the fields ask for."""
    if not isinstance(first, View) or first.name != name:
        found = f"a view of views.{first.name}" if isinstance(first, View) else repr(first)
        raise ValueError(f"first is {found}; expected a view of views.{name}.")
    return first


def _check_different(clean: str, corrupted: str, answers: tuple[str, str]) -> None:
    """Raises ValueError where the two prompts, or the two answers, are the same."""
    for what, (one, other) in {"prompts": (clean, corrupted), "answers": answers}.items():
        if one == other:
            raise ValueError(f"The two {what} are the same, {one!r}, so nothing could move; give two different ones.")


def _count(text: str, field: str) -> int:
    """The whole number that was written into a field."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{field} is {text!r}; expected a whole number, such as 0.") from None


def _pair_fields(clean: str, corrupted: str, answers: tuple[str, str]) -> dict[str, str]:
    return {
        "Clean prompt": clean,
        "Corrupted prompt, as many tokens": corrupted,
        "The answer after clean, with its space": answers[0],
        "The answer after corrupted": answers[1],
    }
