"""Make `tiny_tokenizer.json`, the tokenizer of the tiny random models.

Run it from a checkout, `python course_utils/model/data/make_tokenizer.py`; the JSON beside it is its output and is
committed. The tokenizer is a byte-level BPE as in Radford et al. (2019), small enough that a tiny model's logits stay
cheap. It is trained on nothing but the word lists below, and until each of those words is one token, so that the
course's prompts ("When Mike and Emma went to the cafe, ...") have the same shape on a tiny model as on a real one.
Digits are split one by one, as SmolLM2 does. Any other text still works: it falls apart into letters or bytes.
"""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

OUTPUT = Path(__file__).with_name("tiny_tokenizer.json")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]  # ids 0, 1, 2, as in SmolLM2

NAMES = (
    "Mike Emma John Mary Tom Anna Paul Lucy James Sara Sarah Alice Bob David Kate Mark Jane Peter Laura Dan Lisa Max "
    "Nina Jack Rose Sam Amy Ben Eve Adam Julia Simon Clara"
)
PLACES = (
    "Paris Rome London Berlin Madrid Tokyo Moscow Vienna Athens Cairo Dublin Lisbon Barcelona France Italy Spain "
    "Germany England Japan Russia Egypt Greece Portugal Ireland Europe Eiffel Tower Colosseum Big"
)
SCENES = (
    "cafe coffee store drink park book school office house garden restaurant shop station bar tea milk water ball "
    "letter gift ring key phone pen apple cake bread flower hat computer bone snack necklace hospital basketball kiss "
    "market museum library city country capital language street room door table car train dog cat bird friend teacher "
    "doctor"
)
WORDS = (
    "the a an of in on at to for from with by and or but "
    "not is are was were be been has have had do does did will would can "
    "could may must this that these those it its he she they we you I "
    "his her their our your my him them us me who what when "
    "where why how which there here then than so if as up "
    "down out over under after before again very too also only just now "
    "went gave give gives said says saw see seen told tell "
    "made make think thinks thought know knew like likes love loved hate "
    "hated want wanted come came go going got get put "
    "take took work works found find called named located decided about "
    "one two three four five six seven eight nine ten first second "
    "last next new old long short high low more most less some "
    "all any no yes time day night year week people man woman child world life thing way part place end begin "
    "movie film story music song game food word words sentence answer question number name color model token "
    "good great wonderful amazing excellent fantastic brilliant beautiful "
    "happy joy best better glad delighted fun nice "
    "bad terrible awful horrible boring sad angry worst worse poor ugly miserable dull stupid unhappy feel feels felt "
    "red blue green black white sun moon sky sea tree river fire snow rain morning evening today tomorrow yesterday "
    "quick brown fox jumps lazy hello user assistant system"
)
# At the start of a sentence, so without a space before it.
STARTERS = (
    f"{NAMES} The A When Then While After I It In On He She We They You This That What Hello Once My "
    "system user assistant"
)
# A word is often followed by these, and each of them is one token anyway.
ENDINGS = ["'s", "'t", "'m", "'re", "\n", "\n\n", "  ", "    ", "...", '."', ',"']


def corpus() -> list[str]:
    """The texts to train on: one entry for each word, with the space that belongs to it."""
    spaced = [f" {word}" for word in f"{NAMES} {PLACES} {SCENES} {WORDS}".split()]
    return sorted(set(spaced + STARTERS.split() + ENDINGS))


def make_tokenizer() -> Tokenizer:
    """A byte-level BPE in which each entry of `corpus()` is a single token."""
    texts = corpus()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=4096,  # never reached: training ends when no pair is left to merge
        min_frequency=1,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # Twice each, so that a merge shared by many words comes before the tail of a single one.
    tokenizer.train_from_iterator(texts * 2, trainer)
    split = [text for text in texts if len(tokenizer.encode(text).ids) != 1]
    if split:
        raise RuntimeError(f"these are not single tokens: {split}")
    return tokenizer


if __name__ == "__main__":
    made = make_tokenizer()
    made.save(str(OUTPUT))
    print(f"{OUTPUT.name}: {made.get_vocab_size()} tokens")
