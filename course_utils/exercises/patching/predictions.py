"""What lesson 6 has its reader predict, and what people guess."""

from __future__ import annotations

from course_utils.exercises.guess_kinds import Choice, Number, Several
from course_utils.exercises.predicting import Guess, Prediction

PREDICTIONS = (
    Prediction(
        "6.1",
        asks='the clean run gives *Mike* a probability of 0.77. How large is logit(" Mike") − logit(" Emma")?',
        kind=Number(-1000, 1000, near=0.6, digits=1, unit=" logits"),
        guesses=(
            Guess("a probability", (0, 1.5), "Between these two names that would be a probability of {logistic:.2f} "
                  "for Mike. It looks like the difference of two probabilities, which ends at 1; logits have no "
                  "ceiling."),
            Guess("certainty", (12, 1000), "That would be odds of more than a hundred thousand to one. 0.77 is far "
                  "from certain, and even of the two names Emma keeps more than a hundredth."),
            Guess("the other way", (-1000, -0.1), "A negative difference would put Emma in front. In the clean prompt "
                  "Emma gives, so it is Mike who is left to be given to."),
            Guess("odds of 0.77", (1.6, 3.5), "You may have taken 0.77 against all the rest. But the rest is not Emma: "
                  "she has about 0.01, and the other 0.2 goes to words that are neither."),
        ),
    ),
    Prediction(
        "6.2",
        asks="in which layer does scrambling a head change the answer most, on average over the layer's heads?",
        kind=Number(0, 29, near=1),
        guesses=(
            Guess("where it is said", (22, 29), "The answer is made there, and with other orders layer 23 "
                  "leads. But who breaks an early head can break everything that is built on it."),
            Guess("where it is thought", (8, 21), "A broad middle suffers too. But no layer of it as much as the "
                  "first: a head without which a sentence cannot be read looks like one that knows who gives."),
            Guess("early, not first", (2, 7), "Early, yes, and yet these are the calm layers: on this pair a scrambled "
                  "head changes the answer by less than a quarter of what it does in layer 0."),
        ),
    ),
    Prediction(
        "6.3",
        asks="how many numbers do all heads of all layers put out for a prompt of 15 tokens?",
        kind=Number(1, 1e12, near=1.01, factors=True),
        guesses=(
            Guess("one a head", (270, 270), "270 is the number of heads. Each puts out a vector of 64 numbers, and it "
                  "does so at each of the 15 tokens."),
            Guess("one token", (17280, 17280), "30 · 9 · 64 is right for one token. There are 15, and each head puts "
                  "out a vector at each of them."),
            Guess("one layer", (8640, 8640), "15 · 9 · 64 is right for one layer. There are 30."),
            Guess("no width", (4050, 4050), "30 · 15 · 9 counts one number for each head and token. It is a vector of "
                  "64."),
            Guess("weights", (1e6, 1e12), "Millions are the weights, which stay. What a run computes is far less: 576 "
                  "numbers for each token in each layer."),
        ),
    ),
    Prediction(
        "6.4",
        asks="compared with any two tokens, in which layer do the heads' outputs at the two mentions of *Emma* differ "
        "most, on average over the layer's heads?",
        kind=Number(0, 29, near=1),
        guesses=(
            Guess("the word", (0, 3), "In the first layers the word is nearly all that a head sees, and the word is "
                  "the same: the ratio is below 1 in layer 0."),
            Guess("early grammar", (4, 12), "Which mention it is could be seen early: a head has only to look back. "
                  "Some do. But no layer there comes near the peak."),
            Guess("the answer", (21, 29), "At the end the answer is made, but at the last token, not at the second "
                  "mention. There the ratio has fallen again."),
        ),
    ),
    Prediction(
        "6.5",
        asks="clean and corrupted are 11.4 logits apart. How many of them will the best single head carry?",
        kind=Number(-100, 100, near=0.7, digits=1, unit=" logits"),
        guesses=(
            Guess("evenly", (-100, 0.6), "11.4 spread over 270 heads would be 0.04 each. It is not spread: only some "
                  "ten heads move the answer by more than half a logit."),
            Guess("all of it", (9, 100), "A single head that carries all would be a switch. Here it takes several, and "
                  "their effects do not even add up: together they exceed 11.4."),
            Guess("a team", (0.7, 3.5), "A team it is, but one of its members stands out: the best head carries two "
                  "fifths of the way alone."),
        ),
    ),
    Prediction(
        "6.6",
        asks="how many times faster than nine single runs is one batch of nine?",
        kind=Number(0.01, 1000, near=1.5, figures=2, unit=" times", factors=True),
        guesses=(
            Guess("nine runs for one", (7.5, 9.5), "That would be nine runs for the price of one. But nine rows are "
                  "nine times the arithmetic, and that has to be done. What is saved is reading the weights again, and "
                  "the work around each run."),
            Guess("no gain", (0.01, 1.1), "The arithmetic is the same, so nothing would be gained, if arithmetic were "
                  "all. But the model's weights, more than 500 million bytes, are read once for nine rows and not nine "
                  "times."),
            Guess("more than nine", (9.6, 1000), "More than nine cannot be saved by doing nine runs at once: each row "
                  "still has its own arithmetic. The steps that follow save more, since they leave arithmetic out."),
        ),
    ),
    Prediction(
        "6.7",
        asks="at which of the three names will the last token's attention be, in the head that pushes *Mike* up most?",
        kind=Choice(("Mike", "the first Emma", "the second Emma")),
        guesses=(
            Guess("it copies", "Mike", "To say Mike, one looks at Mike. Some heads do just that, 23.0 for one. But the "
                  "strongest looks at the name that must not be said: a head can also push by what it takes away."),
            Guess("where she was introduced", "the first Emma", "There she is introduced together with Mike, so the "
                  "pair could be read there. But that she is mentioned twice can be seen at the second mention only: "
                  "no token looks ahead."),
            Guess("the repeated one", "the second Emma", "And others that push Mike up look at Mike. Where a head "
                  "looks does not say what it does.",
                  right=True),
        ),
    ),
    Prediction(
        "6.8",
        asks="with the ten strongest heads from the clean run and the other 260 from the corrupted, what fraction of "
        "the way is that? And the other way round?",
        kind=Several((Number(-10, 10, near=0.12, digits=2), Number(-10, 10, near=0.12, digits=2))),
        guesses=(
            Guess("a small minority", ((-10, 0.7), None), "Ten of 270 are few. But four of them are enough for the "
                  "whole way already."),
            Guess("no more than all", ((0.9, 1.05), None), "A fraction should end at 1. It need not: among the heads "
                  "that are left corrupted are some that would pull back, and without them one overshoots."),
            Guess("nothing left", (None, (-10, 0.1)), "If ten heads bring back everything, the others should bring "
                  "nothing. But what is enough need not be needed: without the ten, others do part of the work."),
            Guess("the rest is most", (None, (0.6, 10)), "They are 260, and together they do something. But less than "
                  "half of the way."),
        ),
    ),
    Prediction(
        "6.9",
        asks="how many logits are left of 23.3's effect with all 54 heads above it held? And how many of the 5.3 that "
        "19.2 and 20.0 have together, with the four heads 23.0, 23.1, 23.2 and 23.7 held?",
        kind=Several((Number(-100, 100, near=0.7, digits=1), Number(-100, 100, near=0.7, digits=1))),
        guesses=(
            Guess("told the others", ((-100, 1.5), None), "So it would be if 23.3 told heads above it something: with "
                  "all listeners held, nothing would be left. It is not so. What it does, it writes itself."),
            Guess("partly", ((1.6, 4.2), None), "A part through others, a part by itself, one would guess. The others "
                  "turn out to work against it: held, they leave more than before."),
            Guess("all through the movers", (None, (-100, 0.5)), "Most of it goes through the four name movers, but "
                  "not all: a quarter comes through even so."),
            Guess("by themselves", (None, (4.5, 100)), "That would be 19.2 and 20.0 doing it themselves. They need the "
                  "four: with these held, most of the effect is gone."),
        ),
    ),
)  # fmt: skip
