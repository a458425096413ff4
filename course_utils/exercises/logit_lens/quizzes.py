"""Lesson 4's questions with answers to choose from."""

from __future__ import annotations

from typing import Any

from course_utils.exercises.quizzing import Option, Quiz
from course_utils.logit_lens import ablate_parts, follow_token, lens_table, logit_attribution
from course_utils.model.anatomy import anatomy
from course_utils.model.prompts import token_id

EIFFEL = "The Eiffel Tower is in the city of"


def _hidden(model: Any) -> tuple[bool, str]:
    rank = follow_token(model, EIFFEL, " Paris")["rank"].tolist()
    depth = len(rank) - 6
    return 1 < rank[depth] < 1000, f"at depth {depth} ' Paris' has rank {rank[depth]:,}, and is not shown as the first."


def _own_token(model: Any) -> tuple[bool, str]:
    tied = anatomy(model).unembedding.weight is anatomy(model).embedding.weight
    (first,) = model.tokenizer.decode([int(lens_table(model, EIFFEL)["top_ids"][0, -1])]).split() or [""]
    return tied and first == "of", f"embedding and unembedding are one matrix: {tied}; depth 0 says {first!r}."


def _depends(model: Any) -> tuple[bool, str]:
    shares = [logit_attribution(model, EIFFEL, " Paris", other) for other in (" Rome", " London")]
    told = [(float(one[1:-1:2].sum()), float(one[2:-1:2].sum())) for one in shares]
    turned = (told[0][0] > told[0][1]) != (told[1][0] > told[1][1])
    return turned, (
        f"attention and MLPs give {told[0][0]:.1f} and {told[0][1]:.1f} against ' Rome', {told[1][0]:.1f} and "
        f"{told[1][1]:.1f} against ' London'."
    )


def _made_up_for(model: Any) -> tuple[bool, str]:
    p = ablate_parts(model, EIFFEL, [2 * 23 + 1]).softmax(dim=-1)[:, token_id(model, " Paris")].tolist()
    return p[1] > 0.1, f"without attention 23 ' Paris' has {p[1]:.2f} in place of {p[0]:.2f}."


def _exact(model: Any) -> tuple[bool, str]:
    with model.trace(EIFFEL):
        said = model.output.logits[0, -1].save()
    difference = float(said[token_id(model, " Paris")] - said[token_id(model, " Rome")])
    total = float(logit_attribution(model, EIFFEL, " Paris", " Rome").sum())
    return abs(difference - total) < 0.01, f"the shares sum to {total:.2f}, the model says {difference:.2f}."


QUIZZES = (
    Quiz("4.a", "At depth 15 the lens says ','. What does that show?", (
        Option("the model thinks of a comma there", "It shows what the final norm and the unembedding make of that "
               "vector. It was written for the next layer, and not for them.", tries=_hidden),
        Option("what the unembedding makes of a vector that was not written for it", "The lens is a reading, and a "
               "rough one in the middle.", right=True, tries=_hidden),
        Option("the model does not know the answer yet", "The winner alone hides what stands behind it. Follow one "
               "token's rank, and fit a better lens.", tries=_hidden),
    )),
    Quiz("4.b", "Why does depth 0 answer with the token that was read?", (
        Option("the model first repeats its input", "No layer has run at depth 0. It is the embedding, read by a "
               "matrix that is the embedding's own.", tries=_own_token),
        Option("embedding and unembedding are one matrix", "So a bare token mostly points at itself.", right=True,
               tries=_own_token),
        Option("that token is the most probable next one", "Hardly ever does the same word come twice. The lens is not "
               "the model's prediction there.", tries=_own_token),
    )),
    Quiz("4.c", "What is KL(last || this depth) in nats?", (
        Option("how many tokens differ", "It compares the probabilities of all tokens, weighted by the last depth's."),
        Option("how much worse one would predict the model's output with this depth's distribution",
               "In nats for each token. It is 0 where the two are the same.", right=True),
        Option("a distance, the same in both directions", "It is not symmetric. In the other direction it asks how "
               "well the last depth predicts this one."),
    )),
    Quiz("4.d", "Attention gives more than the MLPs for Paris against Rome. So attention knows the city?", (
        Option("yes, the number says so", "Ask the same question against London, and the MLPs give more.",
               tries=_depends),
        Option("no: the split depends on what Paris is compared with", "An attribution answers a question about two "
               "tokens.", right=True, tries=_depends),
        Option("no: shares are only approximations", "With the norm frozen they are exact: they sum to the model's own "
               "difference.", tries=_exact),
    )),
    Quiz("4.e", "Attention 23 has the largest share. It is silenced, and Paris stays in front. What follows?", (
        Option("the share was wrong", "The share is exact: it says who wrote. Whether others could have written it, it "
               "does not say.", tries=_made_up_for),
        Option("who wrote and who is needed are two questions", "Other parts make up for it, after this landmark.",
               right=True, tries=_made_up_for),
        Option("attention 23 is not needed for any city", "One prompt is one draw: elsewhere the city falls."),
    )),
)  # fmt: skip
