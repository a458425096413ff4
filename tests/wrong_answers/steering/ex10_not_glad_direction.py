"""Wrong answers to exercise 5.10, `not_glad_direction`."""

from __future__ import annotations

import torch

from course_utils.model.anatomy import anatomy
from course_utils.steering import GLAD, SAD, concept_direction, concept_directions
from tests.wrong_answers import Wrong


def means_joy(model, layer):
    joyful = ["I am so happy today", "This is the best day of my life", "We laughed and danced with joy"]
    mournful = ["I am so sad today", "This is the worst day of my life", "We cried and mourned in pain"]
    return concept_direction(model, joyful, mournful, layer)


def draws_at_random(model, layer):
    return torch.randn(576, generator=torch.Generator().manual_seed(7))


def takes_rude_for_polite(model, layer):
    rude = ["Shut up, nobody asked you.", "Your advice is stupid and useless.", "Get out of my way, you fool."]
    polite = ["Thank you so much for your kind answer.", "I would be very grateful for your advice."]
    return concept_direction(model, rude, polite, layer)


def keeps_the_batch(model, layer):
    return concept_direction(model, ["Thank you so much."], ["Shut up."], layer)[None]


def gives_nothing_to_add(model, layer):
    return torch.zeros(576)


def means_joy_at_the_last_layer(model, layer):
    return concept_direction(model, GLAD, SAD, anatomy(model).n_layers - 1)


def means_joy_at_layer_26(model, layer):
    return concept_directions(model, GLAD, SAD)[26].numpy()


WRONG = [
    Wrong("5.10", means_joy, "glad again"),
    Wrong("5.10", means_joy_at_the_last_layer, "glad again"),
    Wrong("5.10", means_joy_at_layer_26, "glad again"),
    Wrong("5.10", draws_at_random, "moves too little"),
    Wrong("5.10", takes_rude_for_polite, "the other way"),
    Wrong("5.10", keeps_the_batch, "not one vector"),
    Wrong("5.10", gives_nothing_to_add, "not one vector"),
]
