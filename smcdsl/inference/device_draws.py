"""Draws made where the logits are: masks go to the device, and drawn tokens and masked sums come back.

For what most runs do at most steps: the proposal is the masked law itself. Whatever else has a say, a lookahead,
guides, another temperature, needs the outcomes on the processor (`proposals`); they are fetched then.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.inference.draws import Draws
from smcdsl.inference.holes import Automaton
from smcdsl.inference.proposals import (
    Chosen,
    Drawn,
    Lookaheads,
    Particular,
    Rows,
    Seconds,
    TokenRule,
    acts,
    breakpoints_of,
    by_chunks,
    local_targets,
    proposal_of,
    propose,
    token_numbers,
)
from smcdsl.log_rows import DrawingRows, Laws

_CHUNK_ENTRIES = 1 << 24
"""Rows times vocabulary that are worked on at a time: some 20 bytes each."""


def draw_there(
    rule: TokenRule,
    log_rows: Laws,
    automata: list[Automaton],
    rows: Rows,
    who: Particular,
    draws: Draws,
    seconds: Seconds,
    lookaheads: Lookaheads,
) -> Drawn | None:
    """One token for every particle; None where rows are not on a device, or more than masks has a say."""
    if not _draws(log_rows) or rule.kind != "mask" or rule.temperature != 1.0:
        return None
    for number in np.unique(rows.automata).tolist():
        # Others are asked, as they listen to what they are asked.
        if not isinstance(automata[number], TokenAutomaton):
            return None
        if acts(lookaheads(number), rows.states[rows.automata == number]):
            return None

    def drawn(here: Rows, own: Particular, _: Chosen) -> Drawn:
        def laws() -> Iterator[NDArray[np.object_]]:
            proposal = proposal_of(local_targets(log_rows, automata, here, rule.power), rule)
            return breakpoints_of(proposal.law, proposal.local.starts, own.rows)

        started = perf_counter()
        words = _masks(automata, here, log_rows.shape[1])
        seconds.masks += perf_counter() - started
        started = perf_counter()
        numbers = token_numbers(rule, len(here.states), own, draws, laws)
        tokens, totals = log_rows.drawn(words, here.logprobs, own.rows, numbers, rule.power)
        with np.errstate(divide="ignore"):
            log_weights = np.log(totals)[own.rows]
        # Sums that are made side by side need not ascend: once in a long time a token is drawn that is closed.
        is_open = words[own.rows, tokens >> 5] >> (tokens & 31).astype(np.uint32) & np.uint32(1)
        seconds.sampling += perf_counter() - started
        if not is_open[log_weights > -np.inf].all():
            return propose(rule, log_rows, automata, here, own, draws, seconds)
        return Drawn(tokens, log_weights, np.zeros(len(tokens)))

    return by_chunks(drawn, rows, who, log_rows.shape[1], _CHUNK_ENTRIES)


def _draws(log_rows: Laws) -> TypeGuard[DrawingRows]:
    return hasattr(log_rows, "drawn")


def _masks(automata: list[Automaton], rows: Rows, vocab_size: int) -> NDArray[np.uint32]:
    """(D, W) the masks of all rows."""
    words = np.empty((len(rows.states), -(-vocab_size // 32)), dtype=np.uint32)
    for number in np.unique(rows.automata).tolist():
        automaton: Any = automata[number]
        own = np.flatnonzero(rows.automata == number)
        words[own] = automaton.masks(rows.states[own])
    return words
