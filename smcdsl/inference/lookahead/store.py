"""Counts on disk, one file a program, grammar and model; see `learning`."""

from __future__ import annotations

import hashlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.contexts import Context
from smcdsl.automaton.tables import read_arrays, write_arrays
from smcdsl.inference.lookahead.counts import ENDS, Counts

FORMAT = 3
MOST_FLOWS = 200_000
"""Flows kept in a file; those from contexts visited least go first."""
MOST_HISTORIES = 100_000
"""Histories kept in a file."""


def file_of(folder: Path, *identity: object) -> Path:
    """Where the counts of some program, grammar and model are."""
    digest = hashlib.blake2b(digest_size=20)
    for part in (FORMAT, *identity):
        digest.update(repr(part).encode() + b"\0")
    return folder / "lookahead" / f"{digest.hexdigest()}.arrays"


def read_counts(path: Path) -> Counts | None:
    """The counts in a file; None if there are none, or it is damaged."""
    arrays = read_arrays(path)
    if arrays is None or set(arrays) != set(_arrays(Counts(1))):
        return None
    numbers, ends = arrays["numbers"].tolist(), arrays["ends"].tolist()
    contexts: list[Context] = [tuple(numbers[first:last]) for first, last in pairwise([0, *ends])]
    names = [ENDS, *contexts]
    counts = Counts(len(arrays["tokens"]))
    counts.tokens = arrays["tokens"].copy()
    counts.visits = {context: visits for context, visits in zip(contexts, arrays["visits"].tolist()) if visits > 0}
    flows = zip(*(arrays[name].tolist() for name in ("sources", "targets", "costs", "masses")))
    counts.flows = {(contexts[source], names[1 + target], cost): mass for source, target, cost, mass in flows}
    for history, token, mass in zip(*(arrays[name].tolist() for name in ("histories", "behind", "found"))):
        counts.memory.setdefault(history, {})[token] = mass
    counts.gains = arrays["gains"].copy()
    counts.runs = int(arrays["runs"][0])
    counts.judged, *finals = arrays["sums"].tolist()
    counts.finals = (finals[0], finals[1])
    return counts


def write_counts(path: Path, counts: Counts) -> None:
    """Keep counts in a file, without the contexts visited least if there are too many."""
    write_arrays(_arrays(_pruned(counts)), path)


def version_of(counts: Counts) -> str:
    """Names the contents of counts: equal counts, equal versions."""
    digest = hashlib.blake2b(digest_size=6)
    for name, array in _arrays(_pruned(counts)).items():
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def _pruned(counts: Counts) -> Counts:
    if len(counts.flows) <= MOST_FLOWS and len(counts.memory) <= MOST_HISTORIES:
        return counts
    kept = counts.copy()
    # Dictionaries keep the order of entry, so what the last runs found stays.
    kept.memory = dict(list(counts.memory.items())[-MOST_HISTORIES:])
    if len(counts.flows) <= MOST_FLOWS:
        return kept
    order = sorted(counts.visits, key=lambda context: (-counts.visits[context], context))
    ranks = {context: rank for rank, context in enumerate(order)}
    last = np.sort(np.array([ranks[source] for source, _, _ in counts.flows]))[MOST_FLOWS]
    kept.visits = {context: visits for context, visits in counts.visits.items() if ranks[context] < last}
    kept.flows = {flow: mass for flow, mass in counts.flows.items() if ranks[flow[0]] < last}
    return kept


def _arrays(counts: Counts) -> dict[str, NDArray[Any]]:
    contexts = sorted({*counts.visits, *(target for _, target, _ in counts.flows)} - {ENDS})
    places = {ENDS: -1, **{context: place for place, context in enumerate(contexts)}}
    flows = sorted((places[a], places[b], cost, mass) for (a, b, cost), mass in counts.flows.items())
    memories = sorted((h, token, mass) for h, known in counts.memory.items() for token, mass in known.items())
    return {
        "numbers": np.array([number for context in contexts for number in context], dtype=np.int64),
        "ends": np.cumsum([len(context) for context in contexts], dtype=np.int64),
        "visits": np.array([counts.visits.get(context, 0.0) for context in contexts], dtype=np.float64),
        "sources": np.array([flow[0] for flow in flows], dtype=np.int64),
        "targets": np.array([flow[1] for flow in flows], dtype=np.int64),
        "costs": np.array([flow[2] for flow in flows], dtype=np.int64),
        "masses": np.array([flow[3] for flow in flows], dtype=np.float64),
        "histories": np.array([memory[0] for memory in memories], dtype=np.uint64),
        "behind": np.array([memory[1] for memory in memories], dtype=np.int64),
        "found": np.array([memory[2] for memory in memories], dtype=np.float64),
        "tokens": counts.tokens,
        "gains": counts.gains,
        "runs": np.array([counts.runs], dtype=np.int64),
        "sums": np.array([counts.judged, *counts.finals], dtype=np.float64),
    }
