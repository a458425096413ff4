"""Ask a running model for a picture that answers: each function here gives the view of that name::

    explore.tokens(model, text)                              how a text is cut (lesson 1)
    explore.next_token(model, prompt)                        what comes next, under temperature and cuts (lesson 1)
    explore.attention(model, prompt)                         where every head looks (lesson 2)
    explore.by_hand(model, prompt, layer, position)          one token through one layer (lesson 2)
    explore.cache(model, prompt)                             what is computed and what is read (lesson 3)
    explore.lens(model, prompt)                              what each depth would predict (lesson 4)
    explore.steering(model, prompt, directions, ...)         what a direction does, by layer and strength (lesson 5)
    explore.patching_map(model, clean, corrupted, answers)   heads by layer, what each does to the answer (lesson 6)
    explore.circuit(model, clean, corrupted, answers)        which head speaks to which, path by path (lesson 7)

What a view shows and can be asked is said in `course_utils.pictures.views`, which takes the numbers and knows no model.
In a notebook a view has fields for a prompt of one's own, which ask again. Where a lesson makes a view of its own
numbers, ``first=`` shows that one until the fields are asked.
"""

from course_utils.explore.attention import attention
from course_utils.explore.by_hand import by_hand
from course_utils.explore.cache import cache
from course_utils.explore.circuit import circuit
from course_utils.explore.lens import lens, read_lens
from course_utils.explore.next_token import next_token
from course_utils.explore.patching_map import map_of_pairs, patched_pair, patching_map
from course_utils.explore.steering import steering
from course_utils.explore.tokens import pieces, token_bytes, tokens

__all__ = [
    "attention",
    "by_hand",
    "cache",
    "circuit",
    "lens",
    "map_of_pairs",
    "next_token",
    "patched_pair",
    "patching_map",
    "pieces",
    "read_lens",
    "steering",
    "token_bytes",
    "tokens",
]
