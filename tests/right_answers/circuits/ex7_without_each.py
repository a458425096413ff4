"""Right answers to exercise 7.7."""

from __future__ import annotations

import numpy as np
import torch

from course_utils.circuits import run_circuits

NAMES = (" Mike", " Emma")


def a_call_for_each(model, clean, corrupted, circuit, answers=NAMES):
    def run(edges):
        return run_circuits(model, clean, corrupted, answers, circuits=[edges], progress=False)[0]

    return torch.stack([run(circuit) - run([edge for edge in circuit if edge != out]) for out in circuit])


def an_array(model, clean, corrupted, circuit, answers=NAMES):
    smaller = [circuit[:place] + circuit[place + 1 :] for place in range(len(circuit))]
    found = run_circuits(model, clean, corrupted, answers, circuits=[*smaller, circuit], progress=False).numpy()
    return found[-1] - found[:-1]


def sets_of_edges(model, clean, corrupted, circuit, answers=NAMES):
    whole = set(circuit)
    circuits = [sorted(whole)] + [sorted(whole - {edge}) for edge in circuit]
    first, *others = run_circuits(model, clean, corrupted, answers, circuits=circuits, progress=False)
    return [float(first - other) for other in others]


def two_calls(model, clean, corrupted, circuit, answers=NAMES):
    whole = run_circuits(model, clean, corrupted, answers, circuits=[circuit], progress=False).double()
    smaller = [list(filter(edge.__ne__, circuit)) for edge in circuit]
    return whole - run_circuits(model, clean, corrupted, answers, circuits=smaller, progress=False)


def one_pair_in_a_list(model, clean, corrupted, circuit, answers=NAMES):
    circuits = [tuple(circuit)]
    for edge in circuit:
        rest = list(circuit)
        rest.remove(edge)
        circuits.append(tuple(rest))
    found = run_circuits(model, [clean], [corrupted], [answers], circuits=circuits, progress=False)  # (circuit, pair)
    return (found[:1] - found[1:]).squeeze(1)


def yields_them(model, clean, corrupted, circuit, answers=NAMES):
    runs = {}
    for place in range(-1, len(circuit)):
        edges = [edge for n, edge in enumerate(circuit) if n != place]
        runs[place] = run_circuits(model, clean, corrupted, answers, circuits=[edges], progress=False).item()
        if place >= 0:
            yield np.float64(runs[-1] - runs[place])


RIGHT = [a_call_for_each, an_array, sets_of_edges, two_calls, one_pair_in_a_list, yields_them]
