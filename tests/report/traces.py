"""Traces to draw: random ones, hostile ones, and those of real runs on a toy model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import smcdsl
from smcdsl.inference.collapse import Change
from smcdsl.inference.events import Died, Event, Finished, Resampled, Site, Started
from smcdsl.models.toy import ToyModel

HOSTILE = (
    "</script><script>alert(1)</script>",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202eevil\u2066\u200f",
    "<!--<script>",
    "]]>&amp;\"'`",
    "\x00\x08\r\n\t",
    "\u2028\u2029\ufeff",
    "e\u0301" * 3,
    "漢字🎲",
)
texts = st.text(max_size=6) | st.sampled_from(HOSTILE)
weights = st.floats(-50, 50) | st.just(-math.inf)
counts = st.integers(0, 10**6)
seconds = st.floats(0, 1e6)


@st.composite
def histories(draw: Any) -> tuple[Event, ...]:
    """A run's events in an order in which they may come; texts go on, or begin anew."""
    size = draw(st.integers(1, 4))
    factors = draw(st.lists(texts, max_size=3))
    head: dict[str, Any] = {
        "group": draw(st.integers(0, 2)),
        "island": draw(st.integers(0, 2)),
        "population": draw(st.integers(1, 3)),
    }
    slots = st.integers(0, size - 1)
    events: list[Event] = [
        Started(
            **head,
            seconds=draw(seconds),
            num_particles=size,
            seed=draw(st.integers(-5, 2**63)),
            program=draw(texts),
            method=draw(texts),
            factors=tuple(factors),
            lines=tuple(range(1, len(factors) + 1)),
        )
    ]
    changes = st.builds(Change, st.integers(0, max(len(factors) - 1, 0)), weights, texts)
    known = ("",) * size
    for number in range(1, draw(st.integers(0, 4)) + 1):
        events += [
            Died(
                **head,
                seconds=draw(seconds),
                slot=draw(slots),
                cause=draw(texts),
                place=draw(texts),
                text=draw(texts),
                factor=draw(st.integers(-1, len(factors) - 1)),
                reason=draw(texts),
            )
            for _ in range(draw(st.integers(0, 2)))
        ]
        origins = tuple(draw(st.lists(st.integers(-1, size - 1), min_size=size, max_size=size)))
        known = tuple(
            draw(texts) if origin < 0 or draw(st.booleans()) else known[origin] + draw(texts) for origin in origins
        )
        events.append(
            Site(
                **head,
                seconds=draw(seconds),
                number=number,
                texts=known,
                log_weights=tuple(draw(st.lists(weights, min_size=size, max_size=size))),
                finished=tuple(draw(st.lists(st.booleans(), min_size=size, max_size=size))),
                ess=draw(st.floats(0, size)),
                tokens=draw(counts),
                calls=draw(st.dictionaries(texts, st.tuples(counts, counts), max_size=2)),
                origins=origins,
                changes=tuple(tuple(draw(st.lists(changes, max_size=2))) if factors else () for _ in range(size)),
                drafts=draw(st.none() | st.tuples(counts, counts)),
                spent=draw(st.dictionaries(texts, seconds, max_size=2)),
            )
        )
        if draw(st.booleans()):
            ancestors = tuple(draw(st.lists(slots, min_size=size, max_size=size)))
            events.append(
                Resampled(**head, seconds=draw(seconds), number=number, ancestors=ancestors, log_weight=draw(weights))
            )
    if draw(st.booleans()):
        events.append(
            Finished(
                **head,
                seconds=draw(seconds),
                log_z=draw(weights),
                ess=draw(st.floats(0, size)),
                complete=draw(st.booleans()),
                target="exact",
                log_weights=tuple(draw(st.lists(weights, min_size=size, max_size=size))),
                resamplings=draw(counts),
                deaths=draw(st.dictionaries(texts, counts, max_size=2)),
                tokens=draw(st.dictionaries(texts, counts, max_size=2)),
                calls=draw(st.dictionaries(texts, st.tuples(counts, counts), max_size=2)),
                spent=draw(st.dictionaries(texts, seconds, max_size=2)),
                warnings=tuple(draw(st.lists(texts, max_size=2))),
            )
        )
    return tuple(events)


LETTERS = Path(__file__).with_name("programs") / "letters.smc"


def letters(particles: int = 16, **settings: Any) -> Any:
    """The result of a run with deaths, previews and resampling."""
    vocab = ["a", "b", "c", "\n", "t", "<end>"]
    table = [[[], [0.25, 0.3, 0.25, 0.15, 0.0, 0.05]]]
    model = ToyModel({"vocab": vocab, "eos": 5, "lm": {"order": 0, "table": table}})
    return smcdsl.load(LETTERS).run(model, particles=particles, **settings)
