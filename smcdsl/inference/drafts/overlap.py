"""How often a draft would be kept: the overlap of its law with the target's, sum of min(pt, qt), on recorded trees.

That is the probability to accept one token (INFERENCE 2.2), exactly and not by drawing, in mean over the nodes where
the mask leaves a choice. Laws are cut where trees cut them, so figures err on the low side by what was left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.drafts.suffix import SuffixIndex
from smcdsl.models.draft_trees import MaskedLaw, Tree
from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.protocols import Session

_AT_ONCE = 64


def model_overlaps(start: Callable[[Prefixes], Session], tree: Tree) -> NDArray[np.float64]:
    """(m,) overlaps of a drafting model at the m nodes with a law."""
    prefixes = Prefixes()
    nodes = _grown(prefixes, tree)
    session = start(prefixes)
    asked = [node for node, law in enumerate(tree.laws) if law is not None]
    found: list[float] = []
    try:
        for begin in range(0, len(asked), _AT_ONCE):
            chosen = asked[begin : begin + _AT_ONCE]
            rows = session.next_logprobs(np.array([nodes[node] for node in chosen], dtype=np.int64))
            found += [_overlap(law, row) for law, row in zip((tree.laws[node] for node in chosen), rows)]
    finally:
        session.close()
    return np.array(found)


def text_overlaps(tree: Tree) -> NDArray[np.float64]:
    """(m,) overlaps of matches with the prompt and with what was written before, 0 where there is no match."""
    prefixes = Prefixes()
    nodes = _grown(prefixes, tree)
    index = SuffixIndex(prefixes)
    index.add([nodes[0]])
    found = []
    for node, law in enumerate(tree.laws):
        index.add([nodes[node]])
        if law is not None:
            guess = index.guess(index.recent(nodes[node]), _allows(law))
            found.append(0.0 if guess is None else _probability(law, guess.token))
    return np.array(found)


def certainty(trees: Sequence[Tree]) -> float:
    """The part of all tokens that the grammar leaves no choice about."""
    certain = sum(int(tree.certain.sum()) for tree in trees)
    return certain / max(sum(sum(law is not None for law in tree.laws) for tree in trees) + certain, 1)


def _grown(prefixes: Prefixes, tree: Tree) -> list[int]:
    """The tree's nodes in a trie."""
    nodes = [prefixes.extend(ROOT, tree.prompt)]
    for parent, token in zip(tree.parents[1:].tolist(), tree.tokens[1:].tolist()):
        nodes.append(prefixes.extend(nodes[parent], [token]))
    return nodes


def _overlap(law: MaskedLaw | None, row: NDArray[np.floating]) -> float:
    assert law is not None, "asked for having one"
    values = row[law.tokens].astype(np.float64)
    highest = values.max()
    if highest == -np.inf:
        return 0.0
    draft = np.exp(values - highest)
    return float(np.minimum(draft[law.places] / draft.sum(), law.probabilities).sum())


def _allows(law: MaskedLaw) -> Callable[[int], bool]:
    def allows(token: int) -> bool:
        place = int(np.searchsorted(law.tokens, token))
        return place < len(law.tokens) and int(law.tokens[place]) == token

    return allows


def _probability(law: MaskedLaw, token: int) -> float:
    kept = np.flatnonzero(law.tokens[law.places] == token)
    return float(law.probabilities[kept[0]]) if len(kept) else 0.0


def pooled(parts: Iterator[NDArray[np.float64]]) -> float:
    """The mean over all nodes of several trees; 0 without any."""
    together = np.concatenate([np.empty(0), *parts])
    return float(together.mean()) if len(together) else 0.0
