"""What lesson 1 has its reader predict, and what people guess."""

from __future__ import annotations

from course_utils.exercises.guess_kinds import Number, Several, Token
from course_utils.exercises.predicting import Guess, Prediction

PREDICTIONS = (
    Prediction(
        "1.1",
        asks="into how many tokens does *The Eiffel Tower is in Paris.* fall? It has 6 words and 29 characters.",
        kind=Number(1, 100, near=0, unit=" tokens"),
        guesses=(
            Guess("words", (6, 6), "One for each word is near the mark: five of the six words are one token each. But "
                  "Eiffel is rare enough to fall in two, and the full stop is a token too."),
            Guess("words and stop", (7, 7), "You counted the full stop. But a word that is rare in the text on which "
                  "the tokenizer was made falls into pieces: Eiffel is two."),
            Guess("spaces", (11, 13), "With the spaces counted, twelve: 6 words, 5 spaces, a full stop. But here a "
                  "space is no token of its own: it belongs to the word behind it."),
            Guess("syllables", (9, 10), "Syllables would give nine and the full stop. But the pieces are not what one "
                  "can say, they are what is frequent: Tower has two syllables and is one token."),
            Guess("letters", (20, 29), "A token for each character would be 29. That is what a model of bytes reads. "
                  "This tokenizer has learned whole words: a token here is nearly four characters long on average."),
        ),
    ),
    Prediction(
        "1.2",
        asks="after *The Eiffel Tower is in the city of*, which token is the second most probable? And what "
        "probability has the most probable one?",
        kind=Several((Token(), Number(0, 1, near=0.1, digits=2))),
        guesses=(
            Guess("Paris itself", ("Paris", None), "Paris is the right city, and it is the first. The second has far "
                  "less: after the first choice the model still has to put its doubts somewhere, and it puts them on "
                  "other cities."),
            Guess("another French city", (("Lyon", "Marseille", "Nice", "France"), None), "France is near in meaning. "
                  "But to the model what counts is which tokens come after such words: names of large cities, "
                  "wherever they are. Lyon and France are far down the list."),
            Guess("London", (("London", "New", "New York", "NewYork"), None), "A large city, as it should be. The "
                  "model thinks of it too, but of three or more other cities before it. Which one is second is no "
                  "knowledge of towers, it is frequency."),
            Guess("certain", (None, (0.85, 1)), "A person who knows is certain. The model has to spread its "
                  "probability over 49,152 tokens, and a text may go on in other ways: the nine next tokens have more "
                  "than a tenth together."),
            Guess("hardly", (None, (0, 0.3)), "Among 49,152 tokens, 0.1 would be a lot already. But the prompt leaves "
                  "little choice: the first token has more than all others together."),
        ),
    ),
    Prediction(
        "1.3",
        asks="at which token of *The capital of France is Paris* is the model most sure of what comes next?",
        kind=Token(),
        guesses=(
            Guess("at the end", "Paris", "At the end the model has read the most. But what counts is how much the text "
                  "leaves open, and after Paris it could go on with a full stop, a comma or another word."),
            Guess("grammar", "capital", "After capital, of is nearly forced by grammar, and the model is sure of it. "
                  "But it is a little surer of a fact: after is comes Paris."),
            Guess("of", "of", "A country must follow, but which? The model expects the there, and is not at all sure: "
                  "this is one of the most open places of the sentence."),
            Guess("France", "France", "After France nearly always comes is, in such a sentence. But the subject could "
                  "go on, too. The model is surer one token later."),
            Guess("the start", "The", "At the start anything may come. The model is not sure there, and what it says "
                  "is odd: a hyphen. The first position is a place of its own, as you will see next."),
        ),
    ),
    Prediction(
        "1.4",
        asks="how many times less probable is *Paris* when a space stands at the end of *The Eiffel Tower is in the "
        "city of*? Ten times, a thousand, a million?",
        kind=Number(1, 1e15, near=3, figures=2, unit=" times", factors=True),
        guesses=(
            Guess("a reader", (1, 30), "To a reader the two prompts are the same text, so little should change. To the "
                  "model the space is a token more, and after a token that is a space alone it expects a digit, with "
                  "more than nine tenths of the probability."),
            Guess("some", (31, 5000), "It is more than a nuisance. Paris without its space is another token than Paris "
                  "with it. The model has seldom seen a space alone in front of a word, since this tokenizer never "
                  "leaves it there."),
            Guess("impossible", (200000, 1e15), "Then it would be next to impossible. But the model still sees that a "
                  "city is called for: of 49,152 tokens, fewer than 200 are more probable than Paris, even after "
                  "the space."),
        ),
    ),
    Prediction(
        "1.5",
        asks="in *The cat sat on the mat. The cat sat on the mat. The cat sat on the moon.*, which token surprises "
        "most?",
        kind=Token(),
        guesses=(
            Guess("the break of the pattern", "moon", "moon breaks a pattern that was read twice, and it is the most "
                  "surprising token of its sentence. But the pattern helps only from the second time on. The first "
                  "cat comes out of nothing, and costs nearly twice as many bits."),
            Guess("the rhyme", "mat", "The first mat had many rivals: floor, sofa, roof. Yet after the cat sat on the "
                  "it is well announced: it costs less than a third of what the first cat costs."),
            Guess("the verb", "sat", "Many verbs fit there, and sat is the second most surprising word of the first "
                  "sentence. Still, a verb was to be expected. What was not is who would sit."),
            Guess("the stop", (".", "on", "the"), "Such a token is among the most frequent of all, and grammar "
                  "announces it. Its surprisal is low in every sentence."),
        ),
    ),
    Prediction(
        "1.7",
        asks="with p = 0.9, how many tokens does top-p keep after *The Eiffel Tower is in the city of*? And after *My "
        "favourite animal is the*?",
        kind=Several((Number(1, 49152, near=2, unit=" tokens", factors=True),) * 2),
        guesses=(
            Guess("a handful of cities", ((1, 12), None), "Paris alone has 0.66. But what is missing to 0.9 is spread "
                  "thin: even the ten most probable tokens do not have 0.9 together."),
            Guess("a zoo", (None, (1, 150)), "One thinks of the animals that people name. But the model also spreads "
                  "its probability over sizes, colours and first pieces of words: a hundred tokens have less than 0.7 "
                  "together."),
            Guess("nine tenths of the tokens", (None, (5000, 49152)), "0.9 of the probability is far from 0.9 of the "
                  "tokens. Probability is spread most unevenly: even here the first token alone has a tenth."),
            Guess("many", ((150, 49152), None), "The vocabulary is large, but after this prompt hardly anything but a "
                  "city will do: a hundred tokens have more than 0.9."),
        ),
    ),
    Prediction(
        "1.9",
        asks="of the 14 words of the news, how many can stand elsewhere in an order that costs less than half as much "
        "extra as a shuffle does?",
        kind=Number(0, 14, near=0, unit=" words"),
        guesses=(
            Guess("the half that is asked for", (7, 7), "Half is what is asked for, so one looks for an order that "
                  "keeps the other half where it was. But keeping words in their places is not what makes an order "
                  "cheap."),
            Guess("some more", (8, 11), "It seems that each word which moves must cost something. It does not: move "
                  "all words by the same number of places, and each still stands beside its neighbours."),
            Guess("nearly all", (12, 13), "Nearly. One would leave the first or the last word where it is. Not even "
                  "that is needed: exchange the two halves of the sentence."),
            Guess("none", (0, 6), "Then no order would do that is asked for. The claim sounds as if place were all. "
                  "Try an order in which the neighbours stay together."),
        ),
    ),
)  # fmt: skip
