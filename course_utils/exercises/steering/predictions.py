"""What lesson 5 has its reader predict, and what people guess."""

from __future__ import annotations

from course_utils.exercises.guess_kinds import Choice, Number, Several, Token
from course_utils.exercises.predicting import Guess, Prediction

_LENGTH = Number(0, 100, near=0.05, digits=2)

PREDICTIONS = (
    Prediction(
        "5.1",
        asks="find the glad direction at layer 12 once with the first two pairs of sentences and once with the other "
        "three. The cosine of two random vectors of width 576 is about 0.04. What is it for these two?",
        kind=Number(-1, 1, near=0.1, digits=2),
        guesses=(
            Guess("one concept, one direction", (0.7, 1), "If gladness were one direction, and each pair showed it "
                  "purely, the two would agree. But two pairs also differ in much else, and two differences do not "
                  "average that away."),
            Guess("chance", (-0.1, 0.1), "0.04 is chance for random vectors. Directions of a model are no random "
                  "vectors: even unrelated ones, found the same way, have 0.09 on average. These two share more than "
                  "that."),
            Guess("half", (0.45, 0.69), "They do agree, but less: directions from two and three pairs are rough. With "
                  "more sentences in each half the cosine grows."),
            Guess("opposite", (-1, -0.2), "Both are glad minus sad, so they should point the same way, if roughly."),
        ),
    ),
    Prediction(
        "5.2",
        asks="after *I think that this movie is* the model expects *a*, *going*, *about*. Which next token will gain "
        "the most probability with gladness added, and which with its opposite?",
        kind=Several((Token(), Token())),
        guesses=(
            Guess("praise", (("great", "good", "wonderful", "amazing", "fantastic", "awesome", "funny", "perfect",
                              "excellent", "beautiful"), None), "The word that names the concept. Such words gain too, "
                  "but they had little to start with. Most gains the word with which praise begins: after 'a' the "
                  "first is then 'great'."),
            Guess("blame", (None, ("terrible", "bad", "awful", "boring", "horrible", "sad", "worst")), "They do gain, "
                  "some of them more than tenfold, but from next to nothing: after these words the model expects a "
                  "small word first. A direction shifts what is likely already."),
            Guess("going", (("going", "about"), None), "These are likely already, as the question says. "
                  "But they do not gain with gladness: what gains is the start of a judgement."),
        ),
    ),
    Prediction(
        "5.4",
        asks="add the vector at the prompt only, and leave the new tokens alone. Is the effect on the text the same, "
        "weaker, or gone?",
        kind=Choice(("the same", "weaker", "gone")),
        guesses=(
            Guess("it has been read", "the same", "The model has read a steered prompt, and its keys and values stay "
                  "in the cache. But each new token is read without the vector, and the model soon leans on what it "
                  "wrote itself."),
            Guess("it was never there", "gone", "Of the line breaks within it nothing is left. But the text is another "
                  "than without the vector: the steered prompt is still read."),
            Guess("half remembered", "weaker", "And by how much depends on the prompt: the more tokens were steered, "
                  "the more there is to look back at.",
                  right=True),
        ),
    ),
    Prediction(
        "5.7",
        asks="two unit vectors at right angles. How long are their sum, their mean, and the middle of the arc between "
        "them?",
        kind=Several((_LENGTH, _LENGTH, _LENGTH)),
        guesses=(
            Guess("lengths add", ((1.9, 2.1), None, None), "Lengths add only where the two point the same way. At "
                  "right angles it is Pythagoras: the root of 1 + 1."),
            Guess("the mean keeps", (None, (0.95, 1.05), None), "The mean of two numbers of size 1 is 1, but these are "
                  "vectors: the mean is half the sum, and the sum is not 2 long. Averaging shortens."),
            Guess("the mean cancels", (None, (0.45, 0.55), None), "Half of one and half of the other is half as long "
                  "in each of two directions. Together that is the root of a quarter and a quarter."),
            Guess("the arc as the mean", (None, None, (0.6, 0.8)), "That is the middle of the chord, which cuts the "
                  "corner. The arc stays on the circle: every point of it is 1 long."),
        ),
    ),
    Prediction(
        "5.10",
        asks="the best of forty random directions shifted the log-odds by 1.3. How far will the best of sixty others "
        "shift them?",
        kind=Number(-10, 20, near=0.5, digits=1),
        guesses=(
            Guess("as good as glad", (2.5, 20), "With enough draws one will be lucky. But the shifts of random "
                  "directions have a standard deviation of about 0.6, and gladness lies more than five of them out: "
                  "one would have to draw millions."),
            Guess("a little more", (1.7, 2.4), "More draws, a larger best: true on average, but it grows very slowly. "
                  "From forty to sixty draws the expected best of a bell curve gains 0.16 of a standard deviation."),
            Guess("nothing", (-10, 0.4), "A random direction means nothing, so it should do nothing. It does something "
                  "by accident, up or down: the best of sixty is bound to be more than a standard deviation up."),
        ),
    ),
)  # fmt: skip
