"""Lesson 2's questions with answers to choose from."""

from __future__ import annotations

from typing import Any

import torch

from course_utils.exercises.quizzing import Option, Quiz
from course_utils.model.anatomy import anatomy
from course_utils.residual import attention_patterns, residual_stream, stream_parts
from course_utils.tokens import token_ids

EIFFEL = "The Eiffel Tower is in the city of"


def _adds(model: Any) -> tuple[bool, str]:
    stream = residual_stream(model, EIFFEL)
    kept = float(torch.cosine_similarity(stream[15, 1:], stream[16, 1:], dim=-1).mean())
    return kept > 0.9, f"from depth 15 to 16 the vectors keep their direction, with a cosine of {kept:.2f}."


def _not_looking_ahead(model: Any) -> tuple[bool, str]:
    one, other = (residual_stream(model, EIFFEL + end)[:, :-1] for end in (" Paris", " Rome"))
    same = bool(torch.allclose(one, other, rtol=1e-3, atol=1e-2))
    return same, f"with another last word every vector before it is the same: {same}."


def _far(model: Any) -> tuple[bool, str]:
    text = "The old man went to the river and his daughter sang a quiet song"
    one, other = (residual_stream(model, words)[1, -1] for words in (text, text.replace("man", "dog")))
    moved = float((one - other).norm() / one.norm())
    return moved > 1e-4, f"a word eleven places back moves it by {moved:.1%} in the first layer."


def _cancel(model: Any) -> tuple[bool, str]:
    terms = stream_parts(model, EIFFEL)[:, -1]
    lengths, whole = float(terms.norm(dim=-1).sum()), float(terms.sum(dim=0).norm())
    return lengths > 2 * whole, f"the terms' lengths add up to {lengths:,.0f}, their sum is {whole:,.0f} long."


def _rest(model: Any) -> tuple[bool, str]:
    patterns = attention_patterns(model, token_ids(model, "\n" + EIFFEL))
    share = float(patterns[:, :, 1:, 0].mean())
    return share > 0.3, f"a line break that means nothing gets {share:.0%} of all attention when it stands first."


def _parameters(model: Any) -> tuple[bool, str]:
    parts = anatomy(model)
    attention, mlp = (
        sum(weight.numel() for weight in half[0]._module.parameters()) for half in (parts.attentions, parts.mlps)
    )
    return mlp > attention, f"a layer has {attention:,} parameters in attention and {mlp:,} in the MLP."


QUIZZES = (
    Quiz("2.a", "What does a layer do with the vector that comes in?", (
        Option("it replaces it by a new one", "It adds to it. What came in goes on, and most of what goes out of a "
               "layer in the middle is what came in.", tries=_adds),
        Option("it adds something to it", "So the stream at the end is a sum, which can be taken apart.", right=True,
               tries=_adds),
        Option("it makes it as long as before", "The norms scale what a half of a layer reads, and not the stream: "
               "that grows."),
    )),
    Quiz("2.b", "The last word of a text is changed. Which vectors of the words before it change?", (
        Option("those of the upper layers", "They hold more of the context, but only of the context in front.",
               tries=_not_looking_ahead),
        Option("none", "No token sees what comes after it.", right=True, tries=_not_looking_ahead),
        Option("that of the neighbour", "The neighbour in front cannot see it. The one behind could.",
               tries=_not_looking_ahead),
    )),
    Quiz("2.c", "How many layers does it take until a word can reach the vector of a word ten places later?", (
        Option("ten, one for each place", "So it is in convolutions. Attention reaches any earlier place in one step.",
               tries=_far),
        Option("one", "Attention compares with all earlier positions at once.", right=True, tries=_far),
        Option("all of them", "What a layer brings is there for the next layer at once.", tries=_far),
    )),
    Quiz("2.d", "A term of the sum is very long. What does that say?", (
        Option("it decides the outcome", "It may be taken back by another: long vectors can cancel. What counts is how "
               "much of it points along the end.", tries=_cancel),
        Option("nothing yet about its effect", "Length is not effect. One has to look at its share along the final "
               "vector, or take it away and see.", right=True, tries=_cancel),
        Option("the layer does most of the thinking", "A length is a property of what is written, not of the work "
               "behind it."),
    )),
    Quiz("2.e", "Most heads give much of their attention to the first token. Why?", (
        Option("it holds the most information", "It has read nothing but itself. A token without any meaning gets as "
               "much attention when it stands first.", tries=_rest),
        Option("weights must sum to 1, and a head that finds nothing has to put them somewhere", "The first token is a "
               "place to rest: what is found there is kept small.", right=True, tries=_rest),
        Option("the beginning of a sentence is its subject", "The pattern is the same when the text begins with a line "
               "break.", tries=_rest),
    )),
    Quiz("2.f", "Where are most of a layer's parameters?", (
        Option("in attention, which does the work", "Attention is what is talked about. It has fewer parameters than "
               "the MLP.", tries=_parameters),
        Option("in the MLP", "And it works on each token by itself.", right=True, tries=_parameters),
        Option("half and half", "The MLP is wider inside than the stream, and has three matrices of that width.",
               tries=_parameters),
    )),
)  # fmt: skip
