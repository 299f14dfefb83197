"""How a feed's tokens are laid out for attention: blocks of rows for what is a row's own, tokens for each segment.

All T new tokens are one packed sequence, row by row; only attention tells rows apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcdsl.models.cache_plan import Feed, Ints

MOST_SPAN = 2.5
"""Rows between the first and the last, as a multiple of those fed, up to which all are attended to where they lie.
Reading idle rows then costs less than copying the others together."""


@dataclass(frozen=True)
class Block:
    """Rows that are fed about as many tokens, as one array of `count` rows and `width` columns.

    Rows that are not fed, and columns past a row's tokens, see something and mean nothing.
    """

    rows: slice | Ints
    count: int
    width: int
    visible: int  # slots that are looked at
    tokens: Ints | None  # (t,) which of the T tokens they are; None for all
    places: Ints | None  # (t,) where in the count * width; None for all in order
    hidden: NDArray[np.bool_] | None  # (count, width, visible) slots that must not be seen; None for none


@dataclass(frozen=True)
class Packing:
    """T tokens: where each belongs, and what is attended to together."""

    positions: Ints  # (T,)
    rows: Ints  # (T,)
    slots: Ints  # (T,)
    blocks: tuple[Block, ...]
    segments: tuple[tuple[int, Ints | None], ...]  # each segment that is seen, and the tokens that see it (None: all)


def pack(feed: Feed, path: Callable[[int], Sequence[int]]) -> Packing:
    """Lay a feed out; `path` gives the segments down to a base."""
    positions, rows, slots = feed.starts, feed.rows, feed.slots
    if len(feed.tokens) > len(rows):
        within = _within(feed.counts)
        positions, rows, slots = (np.repeat(each, feed.counts) for each in (positions, rows, slots))
        positions, slots = positions + within, slots + within
    return Packing(positions, rows, slots, tuple(_blocks(feed, slots)), tuple(_segments(feed, path)))


def _within(counts: Ints) -> Ints:
    """(T,) which of its row each token is."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


def of_similar_length(counts: Ints) -> list[Ints]:
    """Places of rows that are computed together: none is padded to more than twice its length."""
    if int(counts.max()) == int(counts.min()):
        return [np.arange(len(counts))]
    kinds = np.ceil(np.log2(counts)).astype(np.int64)
    return [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]


def pieces(feed: Feed, most: int) -> list[Feed]:
    """The same in feeds of at most `most` tokens a row."""
    if int(feed.counts.max()) <= most:
        return [feed]
    within = _within(feed.counts)
    found = []
    for number in range(-(-int(feed.counts.max()) // most)):
        own = within // most == number
        alive = np.flatnonzero(feed.counts > number * most)
        place = np.cumsum(own) - 1  # of a token, within the piece
        asked = own[feed.places]
        found.append(
            Feed(
                feed.copies if number == 0 else (),
                feed.rows[alive],
                feed.bases[alive],
                feed.starts[alive] + number * most,
                feed.slots[alive] + number * most,
                np.minimum(feed.counts[alive] - number * most, most),
                feed.tokens[own],
                place[feed.places[asked]],
                feed.asked[asked],
            )
        )
    return found


def _blocks(feed: Feed, slots: Ints) -> Iterator[Block]:
    alike = of_similar_length(feed.counts)
    if len(alike) == 1:
        yield _block(feed.rows, feed.counts, slots, None)
        return
    starts = np.cumsum(feed.counts) - feed.counts
    for places in alike:
        counts = feed.counts[places]
        tokens = np.repeat(starts[places], counts) + _within(counts)
        yield _block(feed.rows[places], counts, slots[tokens], tokens)


def _block(rows: Ints, counts: Ints, slots: Ints, tokens: Ints | None) -> Block:
    """Rows that are fed so many tokens each, which go to `slots`, (t,), and are `tokens` of all."""
    width, first = int(counts.max()), int(rows[0])
    lines, span = rows - first, int(rows[-1]) - first + 1
    chosen: slice | Ints = slice(first, first + span)
    # A row that comes twice is two lines.
    if span > MOST_SPAN * len(rows) or not (rows[1:] > rows[:-1]).all():
        chosen, lines, span = rows, np.arange(len(rows)), len(rows)
    into = lines if width == 1 else np.repeat(lines, counts) * width + _within(counts)
    visible = int(slots.max()) + 1
    hidden = None
    if width > 1 or int(slots.min()) + 1 < visible:
        seen = np.zeros(span * width, dtype=np.int64)
        seen[into] = slots
        hidden = (np.arange(visible) > seen[:, None]).reshape(span, width, visible)
    return Block(
        rows=chosen,
        count=span,
        width=width,
        visible=visible,
        tokens=tokens,
        places=None if tokens is None and len(into) == span * width else into,
        hidden=hidden,
    )


def _segments(feed: Feed, path: Callable[[int], Sequence[int]]) -> list[tuple[int, Ints | None]]:
    members: dict[int, list[int]] = {}
    all_bases = sorted(set(feed.bases.tolist()))
    for base in all_bases:
        for number in path(base):
            members.setdefault(number, []).append(base)
    found: list[tuple[int, Ints | None]] = []
    for number, bases in members.items():
        if len(bases) == len(all_bases):
            found.append((number, None))
        else:
            found.append((number, np.flatnonzero(np.repeat(np.isin(feed.bases, bases), feed.counts))))
    return found
