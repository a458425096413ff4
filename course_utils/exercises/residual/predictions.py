"""What lesson 2 has its reader predict, and what people guess."""

from __future__ import annotations

from course_utils.exercises.guess_kinds import Choice, Number, Several
from course_utils.exercises.predicting import Guess, Prediction

_TERMS = Choice(("embedding", *(f"{half} {layer}" for layer in range(100) for half in ("attention", "MLP"))))

PREDICTIONS = (
    Prediction(
        "2.1",
        asks="the vectors start with a length (a norm) of about 3, and every layer adds to them. How long is a "
        "typical one after 30 layers?",
        kind=Number(0, 1e12, near=1.5, figures=2, factors=True),
        guesses=(
            Guess("normalised", (0, 10), "A network with so many norms, one thinks, keeps its vectors short. But the "
                  "norms stand in front of each half of a layer: they scale what is read, never the stream itself."),
            Guess("as much again each time", (11, 200), "Thirty layers that each add about as much as was there at the "
                  "start would give some 90. But the later layers add more and more: the last MLP alone writes a "
                  "vector of more than 400."),
            Guess("the first token", (5000, 50000), "That is the length of one token, the first, in the middle of the "
                  "model. It is the exception: at depth 12 it is more than a hundred times as long as the others."),
            Guess("doubling", (1e6, 1e12), "Doubling at each of 30 layers would be three thousand million. The growth "
                  "is not so even: from depth 5 to depth 15 the length hardly changes."),
        ),
    ),
    Prediction(
        "2.2",
        asks='at the last depth, how far has the last token, " song", moved because of a river that became a market '
        'seven words earlier? In percent of its length.',
        kind=Number(0, 1000, near=8, unit="%"),
        guesses=(
            Guess("nothing", (0, 5), "The word stands seven places back, and a quiet song is one whether at a river or "
                  "at a market. But attention reaches any distance in one step, and nothing obliges the model to leave "
                  "out what does not matter for the next word."),
            Guess("everything", (80, 1000), "At 100 % the change would be as long as the vector itself. Not even the "
                  "changed word's own vector moves as far in the end: its later layers bring river and market closer "
                  "together."),
            Guess("half", (35, 79), "So much do only the nearest vectors move: the changed word's and its neighbour's. "
                  "The farther behind, the more other words have their say."),
        ),
    ),
    Prediction(
        "2.3",
        asks='at which depth are the three senses of " break" farthest apart from each other, on average?',
        kind=Number(0, 30, near=0),
        guesses=(
            Guess("the start", (0, 2), "At the start they are one and the same vector: the embedding looks up a row "
                  "for the token, and knows no neighbours. The cosine is exactly 1 there."),
            Guess("the middle", (8, 22), "Meaning in the middle, words at both ends: so it is often told, and in the "
                  "middle the senses are apart. But they do not come together again: at the end the vector is made for "
                  "what comes next, and that differs more than the senses do."),
            Guess("early", (3, 7), "The first layers do draw them apart, one after the other. But it goes on, and the "
                  "lowest point is at the other end of the model."),
            Guess("late", (23, 29), "Late, yes. And then it falls once more, in the very last layer: the end is no "
                  "return to the word."),
        ),
    ),
    Prediction(
        "2.4",
        asks="*After years of bad luck the actor got his big break*. A stroke of luck: is it nearer to the vase that "
        "may break, nearer to the coffee break, or equally near?",
        kind=Choice(("the vase", "the coffee", "equally near")),
        guesses=(
            Guess("the sudden one", "the vase", "A big break comes suddenly, as a vase breaks. But the vase's is a "
                  "verb, and the model keeps verbs and nouns apart, too: of the six sentences the nearest are the two "
                  "nouns."),
            Guess("neither", "equally near", "In meaning it has little to do with either. The vectors hold more than "
                  "the meaning, though: the actor's break is a noun, and the two pauses are nouns as well."),
            Guess("the noun", "the coffee", "Is it because of the sense? A stroke of luck is no pause. What the two "
                  "share is the part of speech, which the lesson has just shown to count for more.",
                  right=True),
        ),
    ),
    Prediction(
        "2.5",
        asks="which of the 61 terms of the sum is the longest, for the last token? And for the first, with its giant?",
        kind=Several((_TERMS, _TERMS)),
        guesses=(
            Guess("the token itself", ("embedding", None), "All begins with the embedding, and it should count. But it "
                  "is one of the shortest terms: not even 3 long, where the longest has more than 400."),
            Guess("attention at the end", (tuple(f"attention {layer}" for layer in range(20, 30)), None), "The last "
                  "layers write the most, true. But at the very end it is the MLPs: the longest of all attentions "
                  "is less than half as long as the last MLP."),
            Guess("the giant's birth at the bottom", (None, ("embedding", "attention 0", "MLP 0")), "The first token "
                  "is special from the start, so its giant might be there from the start. It is not: until depth 11 "
                  "the vector is below a thousand. It is written in one step, later."),
            Guess("the end for both", (None, ("MLP 28", "MLP 29")), "The late MLPs do write long vectors there, but "
                  "with the opposite sign: they take the giant away. What takes away is shorter than what was put "
                  "there."),
        ),
    ),
    Prediction(
        "2.7",
        asks="of the 270 heads, how many give more than half of their attention to the previous token?",
        kind=Number(0, 270, near=2, unit=" heads"),
        guesses=(
            Guess("one", (0, 1), "One such head would be enough for the model, one thinks. There are a few: models "
                  "learn the same thing several times."),
            Guess("one in each layer", (20, 60), "The previous word is so useful that each layer might have a head for "
                  "it. But in most layers no head gives it even a third of its attention."),
            Guess("most", (90, 270), "Neighbours matter in every language. Yet the mean over all heads is a tenth. "
                  "Where the attention really goes you will see next: to the first token."),
        ),
    ),
    Prediction(
        "2.8",
        asks="if the heads no longer rest on the first token at all, how many nats does a token of the text cost on "
        "average? 2.8 as before, 12.6 as without the giant, or what?",
        kind=Number(0, 100, near=1, digits=1, unit=" nats"),
        guesses=(
            Guess("as with the giant gone", (10, 100), "12.6 was the price of taking the giant away, and it looked "
                  "like the price of the resting place. But there the heads still went to the first token, and found "
                  "something loud. Here they go elsewhere."),
            Guess("nothing", (0, 2.9), "If resting does nothing, its loss should cost nothing. It costs a little: "
                  "heads that had no use for the text must now take something from it."),
            Guess("half-way", (5.5, 9.9), "Somewhere between the two, one would say. It is much nearer to the "
                  "untouched model: the ruin was not the lost resting place."),
        ),
    ),
    Prediction(
        "2.9",
        asks="will the induction heads be in lower layers than the previous-token heads, in higher ones, or in the "
        "same? (Think about what an induction head must know about the token it looks at.)",
        kind=Choice(("lower", "higher", "the same")),
        guesses=(
            Guess("simple things first", "lower", "Copying is simple, and simple things come first. But to find the "
                  "token after an A, the head must be able to see at each token what stands before it. Somebody has to "
                  "have written that there: an earlier layer."),
            Guess("side by side", "the same", "Both look back, so they might be of one kind. But one needs what the "
                  "other writes, and a layer's heads all read before any of them writes."),
            Guess("reads what was written", "higher", "And the reason is in the sum: a head can only read what layers "
                  "below it have written into the stream.",
                  right=True),
        ),
    ),
)  # fmt: skip
