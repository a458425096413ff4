"""The table "what works for each family" of docs/families.md: `python -m tests.model.what_works` writes it.

Each row is made of what was proven of a small random variant; `test_every_family.py` compares it with what is stored.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from course_utils.model.anatomy import Anatomy, anatomy
from course_utils.model.errors import AnatomyError
from course_utils.sweeps import direct_effects, run_circuits
from tests.model.variants import model_types, refusal, text_side, variant, whole_types

PAGE = Path(__file__).parents[2] / "docs" / "families.md"
BEGIN, END = "<!-- what works -->", "<!-- to here -->"
WORKS = ("| family | heads | patterns | patched runs | paths |", "|---|---|---|---|---|")
WHOLE = ("| model | its text side | heads | patterns | patched runs | paths |", "|---|---|---|---|---|---|")
REFUSED = ("## Families that are refused", "", "| family | refused, since |", "|---|---|")


def row(name: str, parts: Anatomy) -> str:
    """The row of a family that is accepted; of a model that also sees or hears, with the type of its text side."""
    others = [kind for kind in parts.kinds if kind != "attention"]
    heads = "all layers" if not others else f"not in {' or '.join(dict.fromkeys(others))}"
    patterns = "no" if not parts.shows_patterns else "yes, with sinks" if parts.sinks else "yes"
    runs = "whole" if parts.alone else "shared"
    paths = "yes" if has_paths(parts) else "no"
    side = f" `{text_side(name)}` |" if name in whole_types() else ""
    return f"| `{name}` |{side} {heads} | {patterns} | {runs} | {paths} |"


def has_paths(parts: Anatomy) -> bool:
    """Whether direct effects and circuits can be had; else a sentence says why not."""
    pair = torch.tensor([5, 6, 7, 8]), torch.tensor([5, 9, 7, 8])
    try:
        direct_effects(parts.model, *pair, (5, 6))
        run_circuits(parts.model, *pair, (5, 6), circuits=[[]], progress=False)
    except ValueError:
        return False
    return True


def refused_row(name: str, why: str) -> str:
    """The row of a family that is refused."""
    return f"| `{name}` | {why} |"


def tables() -> str:
    """The tables, in Markdown: what works, alone and as a text side, and what is refused."""
    works: dict[bool, list[str]] = {False: [], True: []}
    refused = []
    wholes = whole_types()
    for name in sorted(model_types() + wholes):
        why = refusal(name)
        if not why:
            try:
                works[name in wholes].append(row(name, anatomy(variant(name))))
                continue
            except AnatomyError:
                why = "it adds a number of its own to the stream besides what its parts write"
        refused.append(refused_row(name, why))
    return "\n".join([*WORKS, *works[False], "", *WHOLE, *works[True], "", *REFUSED, *refused])


def main() -> None:
    """Write the table into the page."""
    warnings.simplefilter("ignore")
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
