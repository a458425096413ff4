"""Right answers to exercise 5.10."""

from __future__ import annotations

from course_utils.steering import GLAD, POLITE, RUDE, SAD, concept_direction, concept_directions


def polite_from_all_layers(model, layer):
    return concept_directions(model, POLITE, RUDE)[layer] * 3


def an_array(model, layer):
    return concept_direction(model, POLITE, RUDE, layer).numpy()


def without_what_is_glad_in_it(model, layer):
    """Half of its part along the glad direction is taken away."""
    own, glad = (concept_direction(model, *sides, layer).double() for sides in ((POLITE, RUDE), (GLAD, SAD)))
    return own - (own @ glad) / (glad @ glad) * glad / 8


def a_list_of_numbers(model, layer):
    return (concept_direction(model, POLITE[1:], RUDE[1:], layer) / 100).tolist()


RIGHT = [polite_from_all_layers, an_array, without_what_is_glad_in_it, a_list_of_numbers]
