"""`lookahead: guides`: a program's guides at `token` in the proposal, not only in decisions on copies.

A guide f says how promising a text is. With masks alone it is asked after a token was drawn, and can only make copies
of what was proposed. Here it is asked of the most probable tokens of a row before one is drawn: with x what was
written,

    q(v) = (1 - eps) p(v) t(v) / sum + eps p(v) / sum,   t(v) = f(xv) / f(x) for those tokens, 1 for the rest

over the tokens v that the mask allows. The weight is p / q, so f is no part of it; where a token ends the hole, f is
asked of the finished text. A value of zero counts as 1e-6, as in previews.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.site import safe_length
from smcdsl.inference.advance import Interpreter
from smcdsl.inference.courses import Courses
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.inference.judgement import LOG_FLOOR, Calling, weigh
from smcdsl.inference.judging import placed
from smcdsl.inference.particles import Frame
from smcdsl.inference.proposals import Local, Rows, Seconds
from smcdsl.plan import Plan, PlannedFactor, Write
from smcdsl.program.evaluation import free_names


def guides_of(plan: Plan, hole: str) -> tuple[PlannedFactor, ...]:
    """The guides that are judged after every token of a hole."""
    return tuple(factor for factor in plan.factors if factor.verb == "guide" and (hole, "token") in factor.boundaries)


def guide_value(interpreter: Interpreter, frame: Frame, prefix: int, token: int, written: int | None) -> Calling[float]:
    """The log of what the guides of a hole say together of its text, with one more token.

    Args:
        interpreter: of the run.
        frame: where the hole is written.
        prefix: what has been written.
        token: what comes next; -1 for nothing.
        written: where the token ends the hole, bytes of what follows it; else None.
    """
    hole, write = frame.hole, interpreter.plan.instructions[frame.position]
    assert hole is not None
    assert isinstance(write, Write)
    text = interpreter.hole_text(hole, prefix)
    if token >= 0:
        text += interpreter.model.vocabulary.token_bytes[token]
    text = text[: safe_length(text, hole.following) if written is None else len(text) - written]
    environment = interpreter.unfinished(write, frame.environment, text)
    total = 0.0
    for factor in guides_of(interpreter.plan, write.name):
        if environment is None or not free_names(factor.expression) <= environment.keys():
            continue
        with placed(f"at a token of `{write.name}`"):
            verdict = yield from weigh(factor, environment, frozenset({write.name}) if written is None else frozenset())
        total += max(verdict.log_weight, LOG_FLOOR)
    return total


@dataclass
class Guides:
    """Tilts proposals by guides.

    Args:
        size: how many tokens of a row are asked about; the most probable ones.
    """

    interpreter: Interpreter
    calls: PotentialCalls
    seconds: Seconds
    size: int

    def log_tilts(self, local: Local, rows: Rows) -> NDArray[np.float64]:
        """(K,) log t of the outcomes of rows."""
        assert rows.places is not None, "rows that guides look at say where they are"
        tilts = np.zeros(len(local.tokens))
        asked: list[tuple[int, NDArray[np.int64]]] = []
        for row, frame in enumerate(rows.places.frames.tolist()):
            write = self.interpreter.plan.instructions[self.interpreter.frames[frame].position]
            if isinstance(write, Write) and guides_of(self.interpreter.plan, write.name):
                asked.append((row, self._most_probable(local, row)))
        known = self._ask(local, rows, asked)
        for (_, places), values in zip(asked, known, strict=True):
            tilts[places] = values[1:] - values[0]
        return tilts

    def _most_probable(self, local: Local, row: int) -> NDArray[np.int64]:
        """Places of the outcomes of a row to ask about."""
        start, stop = int(local.starts[row]), int(local.starts[row + 1])
        own = local.log_target[start:stop]
        if len(own) <= self.size:
            return np.arange(start, stop)
        return start + np.sort(np.argpartition(-own, self.size)[: self.size])

    def _ask(
        self, local: Local, rows: Rows, asked: Sequence[tuple[int, NDArray[np.int64]]]
    ) -> list[NDArray[np.float64]]:
        """For each row the value now, and that after each of its tokens; all calls in one batch."""
        assert rows.places is not None
        frames, prefixes = rows.places.frames, rows.places.prefixes
        courses: list[Calling[float]] = []
        for row, places in asked:
            frame, prefix = self.interpreter.frames[int(frames[row])], int(prefixes[row])
            tokens = local.tokens[places].astype(np.int64)
            courses.append(guide_value(self.interpreter, frame, prefix, -1, None))
            for token, written in zip(tokens.tolist(), self._written(rows, row, tokens), strict=True):
                courses.append(guide_value(self.interpreter, frame, prefix, token, written))
        values = np.array(Courses(self.calls, self.seconds, dict(enumerate(courses))).results())
        ends = np.cumsum([len(places) + 1 for _, places in asked], dtype=np.int64)
        return np.split(values, ends[:-1])[: len(asked)]

    def _written(self, rows: Rows, row: int, tokens: NDArray[np.int64]) -> list[int | None]:
        """Bytes of what follows the hole, for tokens that end it."""
        automaton = self.interpreter.automata[int(rows.automata[row])]
        states = automaton.advance(np.full(len(tokens), rows.states[row]), tokens)
        found: list[int | None] = [None] * len(tokens)
        for index in np.flatnonzero(automaton.finished(states)).tolist():
            found[index] = int(automaton.written(states[[index]])[0])
        return found
