"""Wrong answers to 4.5."""

from __future__ import annotations

import torch

from tests.wrong_answers import Wrong


def settles_at_first_lead(top_ids):
    return torch.tensor([column.tolist().index(column[-1].item()) for column in top_ids.T])


def settles_counts_differences(top_ids):
    return torch.tensor([sum(i != column[-1] for i in column) for column in top_ids.T])


def settles_one_early(top_ids):
    answer = []
    for column in top_ids.T.tolist():
        depth = len(column) - 1
        while depth >= 0 and column[depth] == column[-1]:
            depth -= 1
        answer.append(depth)
    return torch.tensor(answer)


def settles_for_how_long(top_ids):
    return torch.tensor([len(top_ids) - 1 - depth for depth in settles_one_early(top_ids).tolist()])


def settles_at_first_repeat(top_ids):
    answer = []
    for column in top_ids.T.tolist():
        answer.append(next((d for d in range(len(column) - 1) if column[d] == column[d + 1]), 0))
    return torch.tensor(answer)


def settles_as_floats(top_ids):
    return (settles_one_early(top_ids) + 1).float()


WRONG = [
    Wrong("4.5", settles_at_first_lead, "first lead"),
    Wrong("4.5", settles_counts_differences, "disagreements counted"),
    Wrong("4.5", settles_one_early, "one too early"),
    Wrong("4.5", settles_for_how_long, "counted from the end"),
    Wrong("4.5", settles_at_first_repeat, "first repeat"),
    Wrong("4.5", settles_as_floats, says="expected torch.int64"),
]
