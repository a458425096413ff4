"""What lesson 4 has its reader predict, and what people guess."""

from __future__ import annotations

from course_utils.exercises.guess_kinds import Choice, Number, Token
from course_utils.exercises.predicting import Guess, Prediction

PREDICTIONS = (
    Prediction(
        "4.1",
        asks='at which depth will " Paris" first be in front, for *The Eiffel Tower is in the city of*?',
        kind=Number(0, 30, near=0),
        guesses=(
            Guess("at once", (0, 5), "The word Eiffel is there from the start, but not at the place that answers. At "
                  "the last position depth 0 holds the token ' of' alone, and the lens reads just that."),
            Guess("half-way", (6, 20), "Half-way the model may well know more than it shows. The lens shows commas and "
                  "full stops there: it reads with the last layer's eyes, and the middle writes for the next layers."),
            Guess("where it jumps", (21, 27), "There something happens: within a few layers Paris climbs from the "
                  "thousands to the first hundred. But punctuation stays in front until depth 27."),
            Guess("the end", (30, 30), "After other landmarks you would be right: Rome and Moscow lead at the last "
                  "depth only. Here the answer leads one layer earlier."),
        ),
    ),
    Prediction(
        "4.2",
        asks="the model is asked after *The*, after *The E*, and so on, to the end of *The Eiffel "
        "Tower is in the city of*. After which token will it be surest of what comes next?",
        kind=Token(),
        guesses=(
            Guess("the whole prompt", "of", "At the end it has read the most. But it gives Paris 0.66 only: what "
                  "counts is how much is left open, and a place can be described in many ways."),
            Guess("fixed grammar", "city", "After ' city' comes ' of', with 0.65. Grammar alone seldom makes certain; "
                  "half a name does."),
            Guess("the name", "Tower", "The name is complete there, so anything may follow: 's, is, was. The model was "
                  "sure one token earlier, when the name had to be completed."),
            Guess("half a letter", "E", "E alone could begin any name: here the model is at its least sure but one. It "
                  "takes the next piece, iffel, to leave only Tower."),
        ),
    ),
    Prediction(
        "4.3",
        asks='after *The Eiffel Tower is in the city of*: of 49,152 tokens, what rank will " Paris" '
        'have half-way, at depth 15?',
        kind=Number(1, 49152, near=3, figures=2, factors=True),
        guesses=(
            Guess("nearly there", (1, 20), "If the answer were worked out step by step, half-way would be half there. "
                  "Up to depth 23 its rank stays in the thousands, and a single layer later it jumps."),
            Guess("on its way", (21, 1400), "It is on its way later. From depth 5 to 23 the rank only wanders, between "
                  "3,000 and 10,000, up as well as down."),
            Guess("nowhere", (14000, 49152), "A token about which nothing is known would stand at about 25,000. Paris "
                  "is far ahead of that at every depth, at the start as well: the embedding has its favourites."),
        ),
    ),
    Prediction(
        "4.4",
        asks="from depth 1 on, does the distance to the last depth fall steadily from layer to layer, "
        "rise first, or stay and then fall?",
        kind=Choice(("falls steadily", "rises first", "stays, then falls")),
        guesses=(
            Guess("each layer helps", "falls steadily", "Each layer adds its part to the answer, so each should bring "
                  "it nearer. But a layer may write for other layers, and the lens reads that as if it were meant for "
                  "the end."),
            Guess("late work", "stays, then falls", "The fall does come late, in the last third. Before that the "
                  "distance does not stay: from depth 1 to the middle it grows by a third."),
            Guess("a detour", "rises first", "A detour of the model, or of the lens? The lens alone cannot tell. That "
                  "question is taken up again further down.",
                  right=True),
        ),
    ),
    Prediction(
        "4.5",
        asks="which token of *Paris is the capital of France* will have its next token settled earliest?",
        kind=Token(),
        guesses=(
            Guess("the best known", "France", "At the end all is said, one thinks, and a full stop or comma must come. "
                  "But which of them? That is decided in the last layer."),
            Guess("the fact", ("is", "the", "Paris"), "Early in the sentence much is still open, and where many "
                  "continuations compete the winner changes until late. Where grammar leaves one, it is settled "
                  "early."),
            Guess("a common word", "of", "After 'of' a country or a 'the' must come: a choice, and it is made late. "
                  "What is settled early is the 'of' itself, after 'capital'."),
        ),
    ),
    Prediction(
        "4.6",
        asks='which does more for " Paris" over " Rome": the attention layers together, or the MLPs '
        'together? Or are they equal?',
        kind=Choice(("attention", "MLPs", "equal")),
        guesses=(
            Guess("facts in MLPs", "MLPs", "Facts are kept in MLPs, so it is often said. Against ' London' and "
                  "against ' the' they do give more. But what tells Paris from Rome came from another token, the "
                  "landmark, and only attention moves things between tokens."),
            Guess("both", "equal", "Both take part, true, but here one gives about twice as much as the other. And the "
                  "split depends on the question: against London it is the other way round."),
            Guess("brought from the landmark", "attention", "Against Rome, yes. Ask the same against London, and the "
                  "MLPs give more: an attribution answers one question, and not what knows the fact.",
                  right=True),
        ),
    ),
    Prediction(
        "4.7",
        asks="at depth 15, the logit lens is about 16 nats from the model's own prediction. How many will be left "
        "with the fitted map?",
        kind=Number(0, 1000, near=1, unit=" nats"),
        guesses=(
            Guess("the map finds it all", (0, 0.9), "If the residual held the whole prediction in other directions, a "
                  "map would find it. It does not: fifteen layers are still to come, and they add what is not there "
                  "yet."),
            Guess("little help", (8, 1000), "You trust the logit lens too much. It is worse than a constant: who says "
                  "the same after every token is only 4.3 nats off."),
            Guess("half", (3.5, 7.9), "That is the level of a constant, which reads no residual at all: 4.3 nats. A "
                  "map that reads depth 15 does better than that."),
        ),
    ),
    Prediction(
        "4.8",
        asks="with attention 23 silent, after how many of ten landmarks will the model no longer name the city that "
        "it named before?",
        kind=Number(0, 10, near=0, unit=" of ten"),
        guesses=(
            Guess("none", (0, 0), "One would think so after the Eiffel Tower. It is one of the two mildest cases of "
                  "the ten: one prompt is one draw."),
            Guess("few", (1, 3), "More than that fall. And where the city stays in front it mostly has less than half "
                  "of its probability left."),
            Guess("all", (9, 10), "If attention 23 alone brought the city, all would fall. Other parts make up for it, "
                  "after some landmarks nearly all of it: after the Colosseum Rome keeps 0.80 of 0.85."),
            Guess("most", (5, 8), "Measured by probability you are right: it is at least halved after most. By the "
                  "first token it is fewer: a city may lose much and still lead."),
        ),
    ),
)  # fmt: skip
