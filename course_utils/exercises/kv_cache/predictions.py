"""What lesson 3 has its reader predict, and what people guess."""

from __future__ import annotations

from course_utils.exercises.guess_kinds import Choice, Number
from course_utils.exercises.predicting import Guess, Prediction

PREDICTIONS = (
    Prediction(
        "3.0",
        asks="the text grows from 9 tokens to 18. In how many of the 30 layers do the first 9 keys change?",
        kind=Number(0, 30, near=0, unit=" layers"),
        guesses=(
            Guess("all", (30, 30), "The meaning of a text changes as it grows, so its vectors should. But a token "
                  "never sees what comes after it, and so cannot be changed by it."),
            Guess("all but the first", (29, 29), "You thought that the first layer has not looked at other tokens yet. "
                  "True, but the later layers look only backwards: what comes later changes nothing for those before."),
            Guess("the upper ones", (5, 28), "Upper layers hold more of the context, true. But only of the context in "
                  "front: no layer, upper or lower, looks ahead."),
        ),
    ),
    Prediction(
        "3.1",
        asks="without the division by the square root, would the attention weights be more even, more peaked, or the "
        "same?",
        kind=Choice(("more even", "more peaked", "the same")),
        guesses=(
            Guess("smaller numbers", "more even", "Dividing makes numbers smaller, and small weights sound peaked. But "
                  "it is the scores that are divided, before the softmax, and small scores make even weights."),
            Guess("softmax normalises", "the same", "Softmax makes a row sum to 1 in any case. It does not undo a "
                  "factor: differences between scores become ratios between weights, and a factor of 8 becomes a power "
                  "of 8."),
            Guess("variance", "more peaked", "And more so the wider the head: a sum of 64 products of random numbers "
                  "spreads eight times as wide as one product.",
                  right=True),
        ),
    ),
    Prediction(
        "3.2",
        asks="four tokens are held, three are new. How many of the 3 × 7 entries of the mask are True?",
        kind=Number(0, 21, near=0, unit=" entries"),
        guesses=(
            Guess("all", (21, 21), "For a single new token that would be right: it may see everything. Three new "
                  "tokens must not see those of them that come later: three entries are False."),
            Guess("aligned to the start", (6, 6), "A triangle of 3 by 3 from the first key on: 6. So does PyTorch's "
                  "is_causal. But the new tokens stand behind the held ones, and may see all of these."),
            Guess("the held ones", (12, 12), "3 × 4 for what is held is right. Each new token also sees itself and "
                  "the new ones before it: 6 more."),
            Guess("not itself", (15, 15), "You left out that a token may look at itself. It may: its own key stands in "
                  "the row as well."),
        ),
    ),
    Prediction(
        "3.3",
        asks="prefill 4 tokens, then a chunk of 3, then 1. How many keys are computed in all?",
        kind=Number(0, 1000, near=0, unit=" keys"),
        guesses=(
            Guess("as without a cache", (19, 19), "4 + 7 + 8 is what it costs without a cache: the whole text each "
                  "time. With one, only the new positions are projected."),
            Guess("the last step", (1, 1), "The last step computes one key, true. But asked were all three steps."),
            Guess("pairs", (36, 64), "You counted pairs of a query and a key: those are scores. A key belongs to one "
                  "position, however many queries look at it."),
            Guess("without the prompt", (4, 4), "The prompt's keys have to be computed too, once: prefill fills the "
                  "cache."),
        ),
    ),
    Prediction(
        "3.4",
        asks="which takes more memory at 32,000 tokens: the 135 million parameters of this model in "
        "float32, or its cache? Or is it about the same?",
        kind=Choice(("the parameters", "the cache", "about the same")),
        guesses=(
            Guess("135 million", "the parameters", "135 million is a large number. But each of the 32,000 tokens "
                  "leaves more than 11,000 numbers behind, a key and a value for 3 heads in 30 layers: that is more "
                  "than 300 million."),
            Guess("one vector a token", "about the same", "It depends on what a token leaves behind. It is not one "
                  "vector: in each of 30 layers it is a key and a value. At 32,000 tokens the cache is more than twice "
                  "the parameters."),
            Guess("counted", "the cache", "And it grows with each token, while the parameters stay. Below some 12,000 "
                  "tokens it is the other way round.",
                  right=True),
        ),
    ),
    Prediction(
        "3.5",
        asks="the prompt has 9 tokens. If you feed the whole text each time *and* use the cache, how many tokens will "
        "the model have read after three steps?",
        kind=Number(0, 1000, near=0, unit=" tokens"),
        guesses=(
            Guess("as it should be", (11, 12), "That is what the text has by then, and what the cache should hold. But "
                  "a run adds all that it is fed to the cache, whether that is there already or not."),
            Guess("the prompt three times", (27, 27), "Three times the prompt, nearly. Each step also feeds the tokens "
                  "that were chosen before."),
            Guess("the prompt", (9, 9), "Nothing looks whether a token is there already. The cache takes what it is "
                  "given, and the next token's place is counted from what it holds."),
        ),
    ),
    Prediction(
        "3.6",
        asks="two endings of *The Eiffel Tower is in the city of* are scored, *Paris, the capital of "
        "France* and then *Rome, the capital of Italy*. What happens to the second one's score "
        "if the first stays in the cache: does it stay the same, get better or get worse?",
        kind=Choice(("it stays the same", "it gets better", "it gets worse")),
        guesses=(
            Guess("separate", "it stays the same", "The endings are scored one after the other, but in one cache: "
                  "the second is read as if it came after the first. Nothing tells the model that it should not."),
            Guess("confused", "it gets worse", "A false context should do harm, and behind an ending of another form "
                  "it does. Here the first ending has the very form of the second, and shows it the pattern."),
            Guess("shown the pattern", "it gets better", "And that is the dangerous case: the wrong number is the "
                  "better-looking one.",
                  right=True),
        ),
    ),
    Prediction(
        "3.9",
        asks="how many of the four layers are right for every cut of the text?",
        kind=Number(0, 4, near=0, unit=" of four"),
        guesses=(
            Guess("all", (4, 4), "All four pass the test, so all four are right? The test gives the prompt at once and "
                  "then single tokens. It never gives several tokens to a cache that is not empty."),
            Guess("most", (2, 3), "More than one breaks as soon as a chunk comes behind a prompt, or one more token "
                  "behind a chunk. Find the cut for each."),
            Guess("none", (0, 0), "One of them holds for every cut of every length that we tried. That is no proof, "
                  "but it is more than a test with single tokens."),
        ),
    ),
)  # fmt: skip
