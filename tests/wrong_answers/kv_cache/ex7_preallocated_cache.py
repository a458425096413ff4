"""Wrong answers to 3.7: each class is a learner's own cache, with one thing wrong."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


class Store:
    """What the learners below share."""

    def __init__(self, batch, n_heads, max_positions, head_width):
        self.k = torch.empty(batch, n_heads, max_positions, head_width)
        self.v = torch.empty(batch, n_heads, max_positions, head_width)
        self.used = 0

    def append(self, keys, values):
        n = keys.shape[2]
        self.look_at(keys, values)
        if self.used + n > self.k.shape[2]:
            raise ValueError("full")
        self.k[:, :, self.used : self.used + n] = keys
        self.v[:, :, self.used : self.used + n] = values
        self.used += n
        return self.k[:, :, : self.used], self.v[:, :, : self.used]

    def look_at(self, keys, values):
        room = list(self.k.shape)
        room[2] = keys.shape[2]
        if list(keys.shape) != room or list(values.shape) != room:
            raise ValueError("shapes")

    def crop(self, size):
        if size < 0 or size > self.used:
            raise ValueError("crop")
        self.used = size


class CropsBlindly(Store):
    def crop(self, size):
        self.used = size


class NeverLooksAtShapes(Store):
    def look_at(self, keys, values):
        pass


class Concatenates(Store):
    def __init__(self, batch, n_heads, max_positions, head_width):
        self.k = self.v = torch.empty(batch, n_heads, 0, head_width)

    def append(self, keys, values):
        self.k, self.v = torch.cat((self.k, keys), -2), torch.cat((self.v, values), -2)
        return self.k, self.v

    def crop(self, size):
        self.k, self.v = self.k[:, :, :size], self.v[:, :, :size]


class Clones(Store):
    def append(self, keys, values):
        k, v = super().append(keys, values)
        return k.clone(), v.clone()


class ReturnsAllRoom(Store):
    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.k.zero_()
        self.v.zero_()

    def append(self, keys, values):
        super().append(keys, values)
        return self.k, self.v


class WritesAtZero(Store):
    def append(self, keys, values):
        self.used = 0
        return super().append(keys, values)


class ReturnsNew(Store):
    def append(self, keys, values):
        super().append(keys, values)
        return keys, values


class WrapsAround(Store):
    def append(self, keys, values):
        if self.used + keys.shape[2] > self.k.shape[2]:
            self.used = 0
        return super().append(keys, values)


class TakesOff(Store):
    def crop(self, size):
        self.used -= size


class SpreadsOneText(Store):
    """What torch broadcasts is taken."""

    def look_at(self, keys, values):
        super().look_at(*(x.expand(len(self.k), -1, -1, -1) if len(x) == 1 else x for x in (keys, values)))


class SpreadsWidthOne(Store):
    """What torch broadcasts is taken."""

    def look_at(self, keys, values):
        width = self.k.shape[3]
        super().look_at(*(x.expand(-1, -1, -1, width) if x.shape[-1] == 1 else x for x in (keys, values)))


WRONG = [
    Wrong("3.7", SpreadsOneText, says="one text alone"),
    Wrong("3.7", SpreadsWidthOne, says="heads of width 1"),
    Wrong("3.7", CropsBlindly, "crop to more than is held"),
    Wrong("3.7", NeverLooksAtShapes, "any shape taken"),
    Wrong("3.7", Concatenates, "grows by concatenation"),
    Wrong("3.7", Clones, "copies returned"),
    Wrong("3.7", ReturnsAllRoom, "unused room returned"),
    Wrong("3.7", WritesAtZero, "written from the start"),
    Wrong("3.7", ReturnsNew, "only the new ones returned"),
    Wrong("3.7", WrapsAround, "full, it starts again"),
    Wrong("3.7", TakesOff, "crop takes off"),
]
