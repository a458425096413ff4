"""The two ends of a path: who writes into the residual stream, and who reads from it.

A **sender** writes: the embedding (`"embedding"`), a head (`"17.4"`), an MLP (`"mlp 17"`). A **receiver** reads: a
head's query (`"23.3 query"`), the key or the value of a key/value head (`"23.1 key"`, `"23.1 value"`; a model with
grouped attention has fewer of these than heads), an MLP (`"mlp 23"`), the logits (`"logits"`). An **edge** is a sender
and a receiver that comes after it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from course_utils.model.anatomy import Anatomy
from course_utils.sweeps.options import SweepError

SenderKind = Literal["embedding", "head", "mlp"]
ReceiverKind = Literal["query", "key", "value", "mlp", "logits"]
AFTER_ALL = 10**6


@dataclass(frozen=True)
class Sender:
    """What writes into the stream: kind, and where it has one its layer and head, counted from 0."""

    kind: SenderKind
    layer: int = 0
    head: int = 0

    def __str__(self) -> str:
        return {"embedding": "embedding", "head": f"{self.layer}.{self.head}", "mlp": f"mlp {self.layer}"}[self.kind]

    @property
    def writes_at(self) -> int:
        """Its place in the order of a run, -1, then 2 * layer for its heads and 2 * layer + 1 for its MLP."""
        return -1 if self.kind == "embedding" else 2 * self.layer + (self.kind == "mlp")


@dataclass(frozen=True)
class Receiver:
    """What reads from the stream: kind, and where it has one its layer and head, counted from 0.

    The head of a key or a value is a key/value head.
    """

    kind: ReceiverKind
    layer: int = 0
    head: int = 0

    def __str__(self) -> str:
        if self.kind == "logits":
            return "logits"
        return f"mlp {self.layer}" if self.kind == "mlp" else f"{self.layer}.{self.head} {self.kind}"

    def reads_at(self, parts: Anatomy) -> int:
        """It reads what senders with a smaller `writes_at` write."""
        if self.kind == "logits":
            return AFTER_ALL
        return 2 * self.layer + (self.kind == "mlp" and not parts.parallel)


Edge = tuple[Sender, Receiver]
Senders = str | Sender | Sequence[str | Sender]
Receivers = str | Receiver | Sequence[str | Receiver]


def joined(parts: Anatomy, sender: Sender, receiver: Receiver) -> bool:
    """Whether the receiver comes after the sender, so that there is an edge."""
    return sender.writes_at < receiver.reads_at(parts)


def all_senders(parts: Anatomy) -> list[Sender]:
    """The embedding, and of each layer the heads and the MLP, in the order of a run."""
    found = [Sender("embedding")]
    for layer in range(parts.n_layers):
        found += [Sender("head", layer, head) for head in range(parts.n_heads)] + [Sender("mlp", layer)]
    return found


def all_receivers(parts: Anatomy) -> list[Receiver]:
    """Of each layer the queries, keys, values and the MLP, then the logits, in the order of a run."""
    found = []
    for layer in range(parts.n_layers):
        found += [Receiver("query", layer, head) for head in range(parts.n_heads)]
        found += [Receiver("key", layer, head) for head in range(parts.n_kv_heads)]
        found += [Receiver("value", layer, head) for head in range(parts.n_kv_heads)]
        found.append(Receiver("mlp", layer))
    return [*found, Receiver("logits")]


def all_edges(parts: Anatomy) -> list[Edge]:
    """Every sender with every receiver that comes after it."""
    senders = all_senders(parts)
    return [(sender, to) for to in all_receivers(parts) for sender in senders if joined(parts, sender, to)]


def read_senders(parts: Anatomy, asked: Senders | None) -> list[Sender]:
    """Senders by name or as they are, in the order asked for; all, if None was.

    Raises:
        SweepError: none is called that, or one is named twice.
    """
    if asked is None:
        return all_senders(parts)
    return _no_doubles("senders", [_sender(parts, one) for one in _listed("senders", asked)])


def read_receivers(parts: Anatomy, asked: Receivers | None) -> list[Receiver]:
    """As :func:`read_senders`, for receivers."""
    if asked is None:
        return all_receivers(parts)
    return _no_doubles("receivers", [_receiver(parts, one) for one in _listed("receivers", asked)])


def read_edges(parts: Anatomy, asked: Iterable[tuple[str | Sender, str | Receiver]]) -> frozenset[Edge]:
    """Edges by the names of their ends.

    Raises:
        SweepError: an end does not exist, what was given is no pair, or a receiver does not come after its sender.
    """
    if isinstance(asked, str) or not isinstance(asked, Iterable):
        raise SweepError(f"edges={asked!r}: expected a set of (sender, receiver).")
    found = set()
    for pair in asked:
        if isinstance(pair, str) or not isinstance(pair, tuple | list) or len(pair) != 2:
            raise SweepError(
                f'edges: {pair!r} is no edge; expected (sender, receiver), such as ("17.4", "23.3 query").'
            )
        sender, receiver = _sender(parts, pair[0]), _receiver(parts, pair[1])
        if not joined(parts, sender, receiver):
            raise SweepError(f"edges: {receiver} reads before {sender} writes, so there is no such edge.")
        found.add((sender, receiver))
    return frozenset(found)


def _listed(what: str, asked: object) -> list:
    if isinstance(asked, str | Sender | Receiver):
        return [asked]
    if not isinstance(asked, Sequence) or not asked:
        raise SweepError(f"{what}={asked!r}: expected a name or a list of names; leave it out for all.")
    return list(asked)


def _no_doubles(what: str, found: list) -> list:
    for one in found:
        if found.count(one) > 1:
            raise SweepError(f"{what}: {one} is named twice; name each once.")
    return found


def _sender(parts: Anatomy, name: str | Sender) -> Sender:
    if name == "embedding" or name == Sender("embedding"):
        return Sender("embedding")
    head, mlp = re.fullmatch(r"(\d+)\.(\d+)", str(name)), re.fullmatch(r"mlp (\d+)", str(name))
    if isinstance(name, Receiver) or not (head or mlp):
        raise SweepError(
            f'senders: {str(name)!r} is none. A sender is "embedding", a head such as "17.4" (layer.head), or an MLP '
            'such as "mlp 17".'
        )
    if mlp:
        return Sender("mlp", _number(parts.n_layers, mlp[1], f"senders: {name}", "layers"))
    assert head is not None
    return Sender(
        "head",
        _number(parts.n_layers, head[1], f"senders: {name}", "layers"),
        _number(parts.n_heads, head[2], f"senders: {name}", "heads"),
    )


def _receiver(parts: Anatomy, name: str | Receiver) -> Receiver:
    if str(name) == "logits":
        return Receiver("logits")
    end = re.fullmatch(r"(\d+)\.(\d+) (query|key|value)", str(name))
    mlp = re.fullmatch(r"mlp (\d+)", str(name))
    if isinstance(name, Sender) or not (end or mlp):
        near = difflib.get_close_matches(str(name).split(" ")[-1], ["query", "key", "value", "logits", "mlp"], n=1)
        raise SweepError(
            f"receivers: {str(name)!r} is none{f'; did you mean {near[0]!r}?' if near else '.'} A receiver is a head's "
            'query such as "23.3 query", a key/value head\'s "23.1 key" or "23.1 value", an MLP such as "mlp 23", or '
            '"logits".'
        )
    if mlp:
        return Receiver("mlp", _number(parts.n_layers, mlp[1], f"receivers: {name}", "layers"))
    assert end is not None
    kind: ReceiverKind = {"query": "query", "key": "key", "value": "value"}[end[3]]  # type: ignore[assignment]
    grouped = kind != "query" and parts.n_kv_heads != parts.n_heads
    return Receiver(
        kind,
        _number(parts.n_layers, end[1], f"receivers: {name}", "layers"),
        _number(
            parts.n_heads if kind == "query" else parts.n_kv_heads,
            end[2],
            f"receivers: {name}",
            "key/value heads" if grouped else "heads",
        ),
    )


def _number(count: int, digits: str, asked: str, what: str) -> int:
    if int(digits) >= count:
        raise SweepError(f"{asked} does not exist; there are {count} {what}, 0 to {count - 1}.")
    return int(digits)
