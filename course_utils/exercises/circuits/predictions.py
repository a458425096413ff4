"""What lesson 7 has its reader predict, and what people guess."""

from __future__ import annotations

from course_utils.exercises.guess_kinds import Choice, Number, Several
from course_utils.exercises.predicting import Guess, Prediction

PREDICTIONS = (
    Prediction(
        "7.1",
        asks="the prompts differ in one token, at position 10. At how many of the 15 positions can a head's message "
        "differ from zero?",
        kind=Number(0, 15, near=0),
        guesses=(
            Guess("the one word", (1, 1), "There the words differ. But every later token can look back at it, and "
            "write "
                  "something else for that."),
            Guess("everywhere", (15, 15), "A token never looks ahead: up to position 9 both runs are the same."),
            Guess("after it only", (4, 4), "And at position 10 itself, where the word is another one."),
        ),
    ),
    Prediction(
        "7.2",
        asks="patched, 23.3 moves the answer by 4.7 logits and 20.0 by 2.4. How many logits of each are direct? "
        "(Lesson 6 measured it: do you remember?)",
        kind=Several((Number(-100, 100, near=0.5, digits=1), Number(-100, 100, near=0.5, digits=1))),
        guesses=(
            Guess("all of both", (None, (1.5, 3.0)), "20.0 says little to the answer itself: what it does, it does "
                  "through heads that read it."),
            Guess("half of 23.3", ((1.0, 3.5), None), "23.3 needs nobody in between: nearly all of its effect is "
                  "direct."),
            Guess("nothing", ((-100, 0.5), None), "Someone has to speak to the answer itself. 23.3 does."),
        ),
    ),
    Prediction(
        "7.3",
        asks="20.0 moves the answer by 2.4 logits in all. How many of them go through the query of 23.0?",
        kind=Number(-100, 100, near=0.3, digits=1, unit=" logits"),
        guesses=(
            Guess("all of it", (2.0, 2.8), "20.0 has other readers as well: the queries of 23.1 and 23.7 among them."),
            Guess("a small part", (-0.5, 0.6), "With hundreds of readers it could be shared out evenly. It is not: on "
                  "this pair one reader is worth more than half."),
            Guess("more than all", (2.9, 100), "It could be: roads can work against each other, and here some do. But "
                  "this one alone is less than the whole."),
        ),
    ),
    Prediction(
        "7.4",
        asks="four paths, one by one, take eight traces, without those of the messages. How many does "
        "one batch of the four take?",
        kind=Number(1, 100, near=0, unit=" traces"),
        guesses=(
            Guess("still eight", (8, 8), "Each row of a batch is a run of its own, so four senders share each trace."),
            Guess("one", (1, 1), "The query has to be known before it can be put in: that takes a trace before."),
            Guess("four", (4, 4), "One for each sender would be the loop again. They are rows of the same two."),
        ),
    ),
    Prediction(
        "7.5",
        asks="of 70,651 edges, taken in the order of the estimate, how many go half of the way from the corrupted "
        "answer to the clean one?",
        kind=Number(1, 70651, near=2, figures=1, factors=True, unit=" edges"),
        guesses=(
            Guess("half", (20000, 70651), "If all edges did as much, half of them would be needed. Most do nothing for "
                  "this task."),
            Guess("a handful", (1, 50), "The estimate's first fifty go a fifth of the way. Chosen by hand, some twenty "
                  "will do: see below."),
            Guess("thousands", (1000, 19999), "Thousands are what many expect of so dense a network. A few hundred "
            "do."),
        ),
    ),
    Prediction(
        "7.7",
        asks="on our pair, take one edge at a time out of the circuit of a hundred. How many of the "
        "hundred cost less than 0.1 logits?",
        kind=Number(0, 100, near=6, unit=" edges"),
        guesses=(
            Guess("none", (0, 10), "They were chosen as the strongest, one by one, in the whole model. In the circuit "
                  "many of them have nothing clean left to carry."),
            Guess("half", (35, 60), "A fair guess. It is more: a circuit chosen edge by edge keeps many that lead "
                  "nowhere."),
            Guess("a few", (11, 34), "Each was strong in the whole model, so each should count. Here fewer do."),
        ),
    ),
    Prediction(
        "7.8",
        asks="of how many of eight pairs does the circuit of two hundred edges explain less than half: of none, of "
        "some, or of most?",
        kind=Choice(("of none", "of some", "of most")),
        guesses=(
            Guess("the mean is fair", "of none", "Half of the way on average leaves room on both sides."),
            Guess("spread", "of some", "A mean says nothing of its spread. Three of eight are below.", right=True),
            Guess("a few outliers", "of most", "Then a few pairs would have to make up for the rest. On these eight "
                  "it is three; on eight others it may be six."),
        ),
    ),
)  # fmt: skip
