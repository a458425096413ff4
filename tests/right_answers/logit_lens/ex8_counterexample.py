"""Right answers to exercise 4.8."""

from __future__ import annotations

from course_utils.logit_lens import LANDMARKS, ablate_parts
from course_utils.model.anatomy import anatomy
from tests.right_answers.plain_runs import hooked, ids_of, plain


def silent_by_a_hook(model, text, layer):
    """The next-token logits with the attention of a layer silent at the last position; None for none."""

    def silence(output):
        output = output.clone()
        output[:, -1] = 0
        return output

    if layer is None:
        return plain(model, ids_of(model, text)).logits[0, -1]
    with hooked(anatomy(model).attention_writers[layer]._module, silence):
        return plain(model, ids_of(model, text)).logits[0, -1]


def with_hooks(model, frame):
    for landmark in LANDMARKS[1:]:
        logits = [silent_by_a_hook(model, frame.format(landmark), layer) for layer in (None, 22, 23)]
        city, other, none = (int(row.argmax()) for row in logits)
        if city == other and city != none and logits[0].softmax(0)[city] >= 0.1:
            return landmark
    raise LookupError


def the_surest(model, frame):
    """Of all that fit the one of whose city the model is surest."""

    def sure(landmark):
        rows = ablate_parts(model, frame.format(landmark), [45, 47])
        city = rows[0].argmax()
        fits = rows[1].argmax() == city != rows[2].argmax()
        return float(rows[0].softmax(0)[city]) if fits else -1.0

    return max(LANDMARKS[1:], key=sure)


RIGHT = [with_hooks, the_surest]
