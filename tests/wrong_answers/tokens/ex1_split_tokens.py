"""Wrong answers to exercise 1.1."""

from __future__ import annotations

from tests.wrong_answers import Wrong


def shows_vocabulary_entries(model, text):
    return [(i, model.tokenizer.convert_ids_to_tokens(i)) for i in model.tokenizer.encode(text)]


def strips_spaces(model, text):
    return [(i, model.tokenizer.decode([i]).strip()) for i in model.tokenizer.encode(text)]


def text_before_id(model, text):
    return [(model.tokenizer.decode([i]), i) for i in model.tokenizer.encode(text)]


def splits_at_spaces(model, text):
    return [(model.tokenizer.encode(word)[0], word) for word in text.split()]


def numbers_them(model, text):
    ids = model.tokenizer(text)["input_ids"]
    return [(place, model.tokenizer.decode([ids[place]])) for place in range(len(ids))]


WRONG = [
    Wrong("1.1", numbers_them, "place for id"),
    Wrong("1.1", shows_vocabulary_entries, "raw vocabulary entry"),
    Wrong("1.1", strips_spaces, "space stripped"),
    Wrong("1.1", text_before_id, "pair swapped"),
    Wrong("1.1", splits_at_spaces, says="entries came; expected"),
]
