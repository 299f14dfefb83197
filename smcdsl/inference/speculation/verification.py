"""Verification of drafts: which drafted tokens a particle keeps, and what it draws behind them.

A chain is what was drafted for one particle: tokens v_1 .. v_g, each from a law q under the mask and twist of the
target's law p. One pass of the target gives p at all g + 1 nodes. Whatever is accepted, the particle's next tokens
are a chain of draws from p (with `lenience` below 1: weighted draws), so the law of (tokens, weight) is that
without drafts, and whatever draws further goes on freshly from p.

- `verify_tokens`: every token for itself (Leviathan, Kalman and Matias 2023, arXiv:2211.17192).
- `verify_blocks`: the same law with longer accepted parts (Sun et al. 2024, arXiv:2403.10444). It rests on
  P(accepted length >= i | v_1 .. v_i) = P_i at every node, so a chain may end by any rule that looks at what was
  drafted so far: a boundary, the end of the hole, a node where the target allows nothing.
- `verify_leniently`: accepts with min(1, p / (c q)) and corrects the weight.

Chains are ragged and all particles are verified at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.applying import cumulate, draw
from smcdsl.inference.drafts.drafting import MOST_DRAFTED, Laws
from smcdsl.inference.draws import Breakpoints, Draws, Purpose, shares

LEAST_RESIDUAL = 1e-12
"""A residual law of less mass is rounding: p and q are the same, and p is drawn from."""
LEFT_OUT = 0.1
"""With lenience, by how much less tokens are accepted where p has mass that q cannot reach: weights are below 10."""
_CHUNK_ENTRIES = 1 << 21


@dataclass(frozen=True)
class Chains:
    """n chains with their nodes' laws.

    Drafted token j, of m, was drafted at a node whose target law is row `nodes[j]` of `target`, from row `laws[j]` of
    `draft`, or -1 for a point mass. `leaves` is the target's row behind the last token of each chain, -1 where
    nothing is drawn any more: the hole has ended, or the target allows nothing. A chain without tokens has a leaf.
    """

    starts: NDArray[np.int64]  # (n + 1,)
    tokens: NDArray[np.int64]  # (m,)
    nodes: NDArray[np.int64]  # (m,)
    laws: NDArray[np.int64]  # (m,)
    leaves: NDArray[np.int64]  # (n,)
    target: Laws
    draft: Laws

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) drafted tokens a chain."""
        return np.diff(self.starts)

    @property
    def depths(self) -> NDArray[np.int64]:
        """(m,) the number of each token in its chain, from 0."""
        return np.arange(len(self.tokens)) - np.repeat(self.starts[:-1], self.lengths)


@dataclass(frozen=True)
class Place:
    """Whose chains they are, for the draws: (n,) groups and slots, and the number of each group's round."""

    groups: NDArray[np.int64]
    slots: NDArray[np.int64]
    rounds: NDArray[np.int64]


@dataclass(frozen=True)
class Verified:
    """What n particles keep: the first `accepted` tokens, then the outcome `finals` of `Chains.target`, -1 for none.

    `corrections` (m,) and `final_corrections` (n,) are log weights of drafted tokens and of what was drawn behind
    them, beside those of draws from p. All are zero without lenience.
    """

    accepted: NDArray[np.int64]
    finals: NDArray[np.int64]
    corrections: NDArray[np.float64]
    final_corrections: NDArray[np.float64]


def verify_blocks(chains: Chains, place: Place, draws: Draws) -> Verified:
    """Accept the longest part of each chain that passes its test.

    With P_0 = 1 and P_i = min(1, P_{i-1} p(v_i) / q(v_i)), the part v_1 .. v_i passes with probability
    R_i / (R_i + 1 - P_i), R_i = sum_v max(P_i p(v) - q(v), 0), and the whole chain with P_g. What comes next is
    drawn from max(P_i p - q, 0), behind the whole chain from p.
    """
    reached, before = _scales(chains)
    excess = _excess(chains, before)
    passes = reached.copy()
    inner = np.flatnonzero(chains.depths < np.repeat(chains.lengths - 1, chains.lengths))
    # A token's residual is that of the node behind it, where the next token was drafted.
    total = excess[inner + 1] + 1.0 - reached[inner]
    passes[inner] = np.divide(excess[inner + 1], total, out=np.ones(len(inner)), where=total > 0)
    passed = _tests(chains, passes, place, draws)
    depths = np.where(passed, chains.depths + 1, 0)
    accepted = np.zeros(len(chains.leaves), dtype=np.int64)
    np.maximum.at(accepted, np.repeat(np.arange(len(accepted)), chains.lengths), depths)
    return _finish(chains, accepted, before, place, draws)


def verify_tokens(chains: Chains, place: Place, draws: Draws) -> Verified:
    """Accept tokens one by one with probability min(1, p / q); for the first refused one draw from max(p - q, 0)."""
    ratios = _ratios(chains)
    passed = _tests(chains, np.minimum(ratios, 1.0), place, draws)
    return _finish(chains, _before_first_failure(chains, passed), np.ones(len(ratios)), place, draws)


def verify_leniently(chains: Chains, lenience: float, place: Place, draws: Draws) -> Verified:
    """Accept more tokens, and correct the weight: `lenience` c in (0, 1], 1 is `verify_tokens`.

    With a(v) = min(q(v), p(v) / c) a token is accepted with probability a / q, else drawn from max(p - a, 0); so its
    law is g = a + (1 - sum a) max(p - a, 0) / sum max(p - a, 0), and its log weight log p - log g. Point masses are
    verified with c = 1. Where p has mass outside the support of q, (1 - LEFT_OUT) a stands for a.

    Source: the lenience of Leviathan et al. (2023), with the weight that makes it exact.
    """
    kept = _Lenient(chains, lenience)
    passed = _tests(chains, kept.chances, place, draws)
    accepted = _before_first_failure(chains, passed)
    verified = _finish(chains, accepted, np.ones(len(chains.tokens)), place, draws, kept)
    corrections, finals = np.zeros(len(chains.tokens)), np.zeros(len(accepted))
    taken = np.flatnonzero(chains.depths < np.repeat(accepted, chains.lengths))
    corrections[taken] = kept.correction(taken, places_of(chains.target, chains.nodes[taken], chains.tokens[taken]))
    refused = np.flatnonzero(accepted < chains.lengths)
    finals[refused] = kept.correction((chains.starts[:-1] + accepted)[refused], verified.finals[refused])
    return Verified(accepted, verified.finals, corrections, finals)


class _Lenient:
    """a, its sum and that of max(p - a, 0), for every drafted token."""

    def __init__(self, chains: Chains, lenience: float) -> None:
        self.chains = chains
        self.lenience = np.where(chains.laws >= 0, lenience, 1.0)
        size = len(chains.tokens)
        self.factors, self.kept, self.rest = np.ones(size), np.empty(size), np.empty(size)
        for some, starts, p, q in _aligned(chains, np.arange(size)):
            rows = np.repeat(np.arange(len(some)), np.diff(starts))
            outside = _sums(np.where(q > 0, 0.0, p), starts) > 0
            self.factors[some[outside & (self.lenience[some] < 1)]] -= LEFT_OUT
            accepted = self.part(some[rows], p, q)
            self.kept[some] = np.minimum(_sums(accepted, starts), 1.0)
            self.rest[some] = _sums(np.maximum(p - accepted, 0.0), starts)
        self.chances = self.factors * np.minimum(_ratios(chains) / self.lenience, 1.0)

    def part(self, tokens: NDArray[np.int64], p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
        """a, for entries of the laws at drafted `tokens`."""
        return self.factors[tokens] * np.minimum(q, p / self.lenience[tokens])

    def correction(self, tokens: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float64]:
        """log p - log g of the outcomes at `places` of the target's rows, where `tokens` were drafted."""
        chains = self.chains
        p = chains.target.probabilities[places]
        q = _probabilities(chains, tokens, chains.target.tokens[places].astype(np.int64))
        accepted = self.part(tokens, p, q)
        rest = self.rest[tokens]
        drawn = np.divide((1.0 - self.kept[tokens]) * np.maximum(p - accepted, 0.0), rest, out=0 * p, where=rest > 0)
        return np.log(p) - np.log(accepted + drawn)


def _scales(chains: Chains) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(m,) P behind each drafted token, and before it."""
    ratios, starts, lengths = _ratios(chains), chains.starts[:-1], chains.lengths
    reached, before = np.empty(len(ratios)), np.ones(len(ratios))
    for depth in range(int(lengths.max(initial=0))):
        own = starts[lengths > depth] + depth
        if depth:
            before[own] = reached[own - 1]
        reached[own] = np.minimum(before[own] * ratios[own], 1.0)
    return reached, before


def _ratios(chains: Chains) -> NDArray[np.float64]:
    """(m,) p / q of the drafted tokens."""
    places = places_of(chains.target, chains.nodes, chains.tokens)
    p = np.where(places >= 0, chains.target.probabilities[places], 0.0) if len(places) else np.empty(0)
    return p / _probabilities(chains, np.arange(len(chains.tokens)), chains.tokens)


def _probabilities(chains: Chains, drafted: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.float64]:
    """q of `tokens` under the laws that drafted tokens were drawn from."""
    laws = chains.laws[drafted]
    found = (chains.tokens[drafted] == tokens).astype(np.float64)
    drawn = np.flatnonzero(laws >= 0)
    places = places_of(chains.draft, laws[drawn], tokens[drawn])
    known = places >= 0
    found[drawn] = 0.0
    found[drawn[known]] = chains.draft.probabilities[places[known]]
    return found


def places_of(table: Laws, rows: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each token is among the entries of its row; -1 where it is not."""
    low, end = table.starts[rows], table.starts[rows + 1]
    high = end.copy()
    last = len(table.tokens) - 1
    while (low < high).any():
        middle = (low + high) >> 1
        below = (low < high) & (table.tokens[np.minimum(middle, last)] < tokens)
        low, high = np.where(below, middle + 1, low), np.where(below | (low >= high), high, middle)
    found = (low < end) & (table.tokens[np.minimum(low, last)] == tokens) if last >= 0 else low < end
    return np.where(found, low, -1)


def _excess(chains: Chains, scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """(m,) sum of max(scale p - q, 0) over the law that each token was drafted from."""
    found = np.empty(len(chains.tokens))
    for some, starts, p, q in _aligned(chains, np.arange(len(chains.tokens))):
        found[some] = _sums(np.maximum(np.repeat(scales[some], np.diff(starts)) * p - q, 0.0), starts)
    return found


def _aligned(
    chains: Chains, drafted: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]]:
    """p and q at the nodes of drafted tokens, entry by entry of p: (some of the tokens, starts, p, q), in chunks."""
    sizes = np.diff(chains.target.starts)[chains.nodes[drafted]]
    chunks = np.cumsum(sizes) // _CHUNK_ENTRIES
    for chunk in np.unique(chunks).tolist():
        some = drafted[chunks == chunk]
        starts = np.concatenate([[0], np.cumsum(sizes[chunks == chunk])])
        first = chains.target.starts[chains.nodes[some]]
        entries = ranges(first, np.diff(starts))
        yield some, starts, chains.target.probabilities[entries], _draft_laws(chains, some, starts, entries)


def _draft_laws(
    chains: Chains, drafted: NDArray[np.int64], starts: NDArray[np.int64], entries: NDArray[np.int64]
) -> NDArray[np.float64]:
    """q of the `entries` of the target's rows at drafted tokens, which begin at `starts`."""
    q = np.zeros(len(entries))
    nodes, laws, sizes = chains.nodes[drafted], chains.laws[drafted], np.diff(starts)
    certain = np.flatnonzero(laws < 0)
    points = places_of(chains.target, nodes[certain], chains.tokens[drafted[certain]])
    known = np.flatnonzero(points >= 0)
    q[points[known] + (starts[:-1] - chains.target.starts[nodes])[certain[known]]] = 1.0
    drawn = np.flatnonzero(laws >= 0)
    own_sizes = np.diff(chains.draft.starts)[laws[drawn]]
    own = ranges(chains.draft.starts[laws[drawn]], own_sizes)
    here = ranges(starts[:-1][drawn], sizes[drawn])
    tokens, wanted = chains.draft.tokens[own], chains.target.tokens[entries[here]]
    # Under one mask both have the same outcomes.
    if len(tokens) == len(wanted) and (own_sizes == sizes[drawn]).all() and (tokens == wanted).all():
        q[here] = chains.draft.probabilities[own]
        return q
    keys = (np.repeat(np.arange(len(drawn)), own_sizes) << 32) + tokens
    asked = (np.repeat(np.arange(len(drawn)), sizes[drawn]) << 32) + wanted
    places = np.minimum(np.searchsorted(keys, asked), max(len(keys) - 1, 0))
    if len(keys):
        q[here] = np.where(keys[places] == asked, chains.draft.probabilities[own[places]], 0.0)
    return q


def ranges(firsts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """first, first + 1, ..., first + size - 1 of each, one after another."""
    ends = np.cumsum(sizes)
    return np.arange(ends[-1] if len(ends) else 0) + np.repeat(firsts - ends + sizes, sizes)


def _sums(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sums of parts, none of which is empty."""
    return np.add.reduceat(values, starts[:-1]) if len(starts) > 1 else np.empty(0)


def _tests(chains: Chains, passes: NDArray[np.float64], place: Place, draws: Draws) -> NDArray[np.bool_]:
    """(m,) whether each drafted token's own number is below its probability."""
    owners = np.repeat(np.arange(len(chains.leaves)), chains.lengths)
    numbers = draws.uniforms(
        Purpose.VERIFY,
        place.rounds[owners] * MOST_DRAFTED + chains.depths,
        place.groups[owners],
        place.slots[owners],
        lambda _: (np.array([chance]) for chance in passes),
    )
    return numbers < passes


def _before_first_failure(chains: Chains, passed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """(n,) how many tokens of each chain come before the first that did not pass."""
    accepted = chains.lengths.copy()
    failed = np.flatnonzero(~passed)
    owners = np.repeat(np.arange(len(accepted)), chains.lengths)
    np.minimum.at(accepted, owners[failed], chains.depths[failed])
    return accepted


def _finish(
    chains: Chains,
    accepted: NDArray[np.int64],
    scales: NDArray[np.float64],
    place: Place,
    draws: Draws,
    lenient: _Lenient | None = None,
) -> Verified:
    """Draw what comes behind the accepted tokens: from the residual at `scales`, or from p behind a whole chain."""
    lengths = chains.lengths
    whole = accepted == lengths
    finals = np.full(len(accepted), -1, dtype=np.int64)
    for own, rows, starts, values in _last_laws(chains, accepted, whole, scales, lenient):
        edges = np.empty(len(values))
        cumulate(values, starts, edges)
        numbers = draws.uniforms(
            Purpose.RESIDUAL,
            place.rounds[own],
            place.groups[own],
            place.slots[own],
            _breakpoints(values, starts),
        )
        places = np.empty(len(own), dtype=np.int64)
        draw(edges, starts, np.arange(len(own)), numbers, places)
        finals[own] = places - starts[:-1] + chains.target.starts[rows]
    return Verified(accepted, finals, np.zeros(len(chains.tokens)), np.zeros(len(accepted)))


def _breakpoints(law: NDArray[np.float64], starts: NDArray[np.int64]) -> Breakpoints:
    """Between which numbers the outcome of each row is the same."""
    return lambda _: (shares(law[start:end]) for start, end in pairwise(starts.tolist()))


def _last_laws(
    chains: Chains,
    accepted: NDArray[np.int64],
    whole: NDArray[np.bool_],
    scales: NDArray[np.float64],
    lenient: _Lenient | None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
    """What is drawn from: (some particles, their target rows, starts, unnormalised laws over the rows' entries)."""
    refused = np.flatnonzero(~whole)
    where = (chains.starts[:-1] + accepted)[refused]
    owner = np.empty(len(chains.tokens), dtype=np.int64)
    owner[where] = refused
    for some, starts, p, q in _aligned(chains, where):
        sizes = np.diff(starts)
        if lenient is None:
            values = np.maximum(np.repeat(scales[some], sizes) * p - q, 0.0)
        else:
            values = np.maximum(p - lenient.part(np.repeat(some, sizes), p, q), 0.0)
        thin = np.repeat(_sums(values, starts) < LEAST_RESIDUAL, sizes)
        values[thin] = p[thin]
        yield owner[some], chains.nodes[some], starts, values
    bonus = np.flatnonzero(whole & (chains.leaves >= 0))
    if len(bonus):
        rows = chains.leaves[bonus]
        sizes = np.diff(chains.target.starts)[rows]
        starts = np.concatenate([[0], np.cumsum(sizes)])
        entries = ranges(chains.target.starts[rows], sizes)
        yield bonus, rows, starts, chains.target.probabilities[entries]
