"""What a layer with a cache is taken through in exercise 3.3: a scenario is a case, and what it records is compared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from course_utils.exercises.kv_cache.known_layer import drops_in_training, named, random_mask

N = 9  # positions of the inputs


class Recorded:
    """A layer whose steps are written down: what came out, how many positions are held, how many keys were computed.

    Attributes:
        x: inputs (batch, N, width).
        seed: of the masks.
    """

    def __init__(self, layer: Any, x: torch.Tensor, seed: int) -> None:
        self.layer, self.x, self.seed = layer, x, seed
        self.steps: dict[str, Any] = {}
        self.keys_computed = 0
        layer.W_k.register_forward_hook(self._count)

    def _count(self, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        self.keys_computed += inputs[0].shape[1]

    def step(self, name: str, x: torch.Tensor, **how: Any) -> None:
        self.keys_computed = 0
        result = named(self.layer(x, use_cache=True, **how))
        self.steps[name] = result | {
            "positions held": self.layer.get_cache_size(),
            "keys computed": self.keys_computed,
        }

    def refused(self, name: str, x: torch.Tensor, **how: Any) -> None:
        """What becomes of a call that must raise a ValueError, and what is held after it."""
        try:
            self.layer(x, use_cache=True, **how)
            self.steps[name] = "taken"
        except ValueError:
            self.steps[name] = "ValueError"
        except Exception as error:
            self.steps[name] = type(error).__name__
        self.steps[f"held after {name}"] = self.layer.get_cache_size()

    def prefill(self, n: int) -> None:
        self.step(f"prefill of {n}", self.x[:, :n], is_causal=True)


def _token_by_token(run: Recorded) -> None:
    run.prefill(4)
    for place in range(4, 7):
        run.step(f"token {place}", run.x[:, place : place + 1], is_causal=True)


def _two_chunks(run: Recorded) -> None:
    run.prefill(4)
    run.step("chunk of 3", run.x[:, 4:7], is_causal=True)
    run.step("token 7", run.x[:, 7:8], is_causal=True)


def _masks(run: Recorded) -> None:
    run.step("prefill of 4", run.x[:, :4])
    run.step("chunk of 2, mask over 6 keys", run.x[:, 4:6], attn_mask=random_mask(run.seed, 2, 6))
    run.step("chunk of 3, mask over its own 3 keys", run.x[:, 6:9], attn_mask=random_mask(run.seed, 3, 3))


def _given_places(run: Recorded) -> None:
    run.prefill(6)
    run.step("places 6 and 7", run.x[:, 6:8], is_causal=True, cache_position=torch.arange(6, 8))
    run.step("back to places 3 and 4", run.x[:, 7:9], is_causal=True, cache_position=torch.arange(3, 5))
    run.step("the next token", run.x[:, :1], is_causal=True)


def _another_batch(run: Recorded) -> None:
    run.prefill(4)
    run.refused("a batch of another size", run.x[:1, :2], is_causal=True)
    run.step("the next token of the first batch", run.x[:, 4:5], is_causal=True)


def _a_place_alone(run: Recorded) -> None:
    run.prefill(6)
    run.step("back to place 3", run.x[:, 6:8], is_causal=True, cache_position=3)
    run.step("back to place 0", run.x[:, 7:9], is_causal=True, cache_position=0)


def _a_gap(run: Recorded) -> None:
    run.prefill(4)
    run.refused("place 6 after 4 held", run.x[:, 4:5], is_causal=True, cache_position=torch.tensor([6]))
    run.refused("place 5 after 4 held", run.x[:, 4:5], is_causal=True, cache_position=5)
    run.refused("place -1", run.x[:, 4:5], is_causal=True, cache_position=-1)
    run.refused("places 3 and 5", run.x[:, 4:6], is_causal=True, cache_position=torch.tensor([3, 5]))
    run.step("the next token", run.x[:, 4:5], is_causal=True)


def _a_wrong_mask(run: Recorded) -> None:
    run.prefill(4)
    run.refused("a mask over 9 keys, where there are 6", run.x[:, 4:6], attn_mask=random_mask(run.seed, 2, 9))
    one_key = torch.ones(2, 1, dtype=torch.bool)
    run.refused("a mask over 1 key, where 2 are new", run.x[:, 4:6], attn_mask=one_key)
    run.refused("a mask for 3 queries, where there are 2", run.x[:, 4:6], attn_mask=random_mask(run.seed, 3, 6))
    run.step("the next token", run.x[:, 4:5], is_causal=True)


def _masks_of_other_kinds(run: Recorded) -> None:
    source = torch.Generator().manual_seed(run.seed + 5)
    run.prefill(3)
    run.step(
        "chunk of 2, additive mask over its own 2 keys", run.x[:, 3:5], attn_mask=torch.randn(2, 2, generator=source)
    )
    both = random_mask(run.seed, 2, 7)
    both[:, 0] = True
    run.step("chunk of 2, mask over 7 keys and is_causal", run.x[:, 5:7], attn_mask=both, is_causal=True)
    each = torch.stack([random_mask(run.seed + text, 2, 9) for text in range(2)])
    run.step("chunk of 2, a mask of its own for each text", run.x[:, 7:9], attn_mask=each)


def _masks_for_each_text(run: Recorded) -> None:
    run.prefill(3)
    each = torch.stack([random_mask(run.seed + text, 3, 3) for text in range(2)])
    run.step("chunk of 3, for each text a mask over its own 3 keys", run.x[:, 3:6], attn_mask=each)
    blind = random_mask(run.seed, 3, 9)
    blind[1] = False
    run.step("chunk of 3, whose second query may look at nothing", run.x[:, 6:9], attn_mask=blind)


def _additive_masks(run: Recorded) -> None:
    source = torch.Generator().manual_seed(run.seed + 6)
    run.prefill(3)
    over_all = torch.randn(2, 5, generator=source)
    run.step("chunk of 2, additive mask and is_causal", run.x[:, 3:5], attn_mask=over_all, is_causal=True)
    each = torch.randn(2, 2, 7, generator=source)
    run.step("chunk of 2, an additive mask of its own for each text", run.x[:, 5:7], attn_mask=each)


def _without_and_cleared(run: Recorded) -> None:
    run.prefill(4)
    mask = torch.ones(3, 3, dtype=torch.bool)
    mask[2, 0] = False  # it hides what is_causal does not, and the other way round
    without = named(run.layer(run.x[:, 4:7], mask, is_causal=True))
    run.steps["without the cache"] = without | {"positions held": run.layer.get_cache_size()}
    run.step("the next token", run.x[:, 4:5], is_causal=True)
    run.layer.clear_cache()
    run.steps["held after clear_cache"] = run.layer.get_cache_size()
    run.step("another text", run.x[:, 5:8], is_causal=True)
    run.steps["training drops weights, dropout_p left out"] = drops_in_training(run.layer, run.x, is_causal=True)


def _dropout(run: Recorded) -> None:
    run.prefill(4)
    run.step("token 4", run.x[:, 4:5], is_causal=True)
    run.layer.clear_cache()
    run.layer.train()
    run.steps["training drops weights"] = drops_in_training(run.layer, run.x, is_causal=True)
    run.steps["the held keys and values are whole"] = _held_whole(run.layer, run.x)


def _held_whole(layer: Any, x: torch.Tensor) -> bool:
    """Whether what a layer keeps while it trains is what it keeps in evaluation: a step after either gives the same."""
    outputs = []
    for training in (True, False):
        layer.clear_cache()
        layer.train(training)
        layer(x[:, :4], is_causal=True, use_cache=True)
        layer.eval()
        outputs.append(layer(x[:, 4:5], is_causal=True, use_cache=True)[0])
    return bool(torch.allclose(outputs[0], outputs[1], atol=1e-5))


WITH_DROPOUT = "a layer with dropout"

SCENARIOS: dict[str, Callable[[Recorded], None]] = {
    "a prompt, then token after token": _token_by_token,
    "a prompt in two chunks, then a token": _two_chunks,
    "masks over all keys and over the new ones": _masks,
    "additive masks, masks with is_causal and masks for each text": _masks_of_other_kinds,
    "masks for each text over the new keys, and one that hides all": _masks_for_each_text,
    "an additive mask with is_causal, and one for each text": _additive_masks,
    "places given with cache_position": _given_places,
    "a place given as a number": _a_place_alone,
    "places that leave a gap": _a_gap,
    "a mask that does not fit": _a_wrong_mask,
    "a batch of another size met with a full cache": _another_batch,
    "a call without the cache, and clear_cache": _without_and_cleared,
    WITH_DROPOUT: _dropout,
}
"""By the case's label."""
