"""The two names that lesson 6 asks for, and their token ids, which most wrong answers begin with."""

from __future__ import annotations

NAMES = (" Mike", " Emma")


def ids(model, answers):
    return [model.tokenizer.encode(answer, add_special_tokens=False)[0] for answer in answers]
