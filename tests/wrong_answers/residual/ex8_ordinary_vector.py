"""Wrong answers to exercise 2.8."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def gives_the_vector_back(stream):
    return stream[:, 0].squeeze(0)


def sets_the_giant_to_one(stream):
    vector = stream[0, 0].clone()
    vector[vector.abs().argmax()] = 1.0
    return vector


def gives_zeros(stream):
    return torch.zeros(stream.shape[-1])


def gives_the_whole_stream(stream):
    return stream[0] * 1.0


def writes_it_into_the_stream(stream):
    stream[:, 0] = stream[:, 1:].mean(1)
    return stream[0, 0].clone()


def as_long_as_the_others(stream):
    first = stream[0, 0]
    return first / first.norm() * stream[0, 1:].norm(dim=-1).mean()


def mean_of_all(stream):
    return stream[0].mean(dim=0)


WRONG = [
    Wrong("2.8", gives_the_vector_back, "unchanged"),
    Wrong("2.8", sets_the_giant_to_one, "giant removed"),
    Wrong("2.8", gives_zeros, "still a place to rest"),
    Wrong("2.8", gives_the_whole_stream, says="one vector of the model's width"),
    Wrong("2.8", writes_it_into_the_stream, "the stream is changed"),
    Wrong("2.8", as_long_as_the_others, "giant removed"),
    Wrong("2.8", mean_of_all, "still a place to rest"),
]
