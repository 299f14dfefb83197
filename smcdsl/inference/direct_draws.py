"""Draws made where the logits are, without what masks allow being gathered: drawn tokens and masked sums come back.

For what most runs do at most steps: the proposal is the masked law itself. Whatever else has a say, a lookahead,
guides, another temperature, needs the outcomes one by one (`proposals`); they are gathered then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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
    used,
)
from smcdsl.log_rows import DrawingRows, Laws

_CHUNK_ENTRIES = 1 << 24
"""Rows times vocabulary that are worked on at a time: some 20 bytes each on a device."""


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
    """One token for every particle; None where logits are not kept, or more than masks has a say everywhere."""
    if not _draws(log_rows) or rule.kind != "mask" or rule.temperature != 1.0:
        return None
    began = perf_counter()
    is_plain = _plain(automata, rows, lookaheads)
    seconds.masks += perf_counter() - began
    if is_plain.all():
        return _drawn_there(rule, log_rows, automata, rows, who, draws, seconds)
    if not is_plain.any():
        return None
    plain = is_plain[who.rows]
    parts = []
    for own in (np.flatnonzero(plain), np.flatnonzero(~plain)):
        here, which = used(rows, who.rows[own])
        part = replace(who.part(own), rows=which)
        if plain[own[0]]:
            drawn = _drawn_there(rule, log_rows, automata, here, part, draws, seconds)
        else:
            drawn = propose(rule, log_rows, automata, here, part, draws, seconds, lookaheads)
        parts.append((own, drawn))
    return Drawn.of_parts(len(who.rows), parts)


def _draws(log_rows: Laws) -> TypeGuard[DrawingRows]:
    return hasattr(log_rows, "drawn")


def _plain(automata: list[Automaton], rows: Rows, lookaheads: Lookaheads) -> NDArray[np.bool_]:
    """(D,) whether nothing but the mask has a say in a row."""
    found = np.zeros(len(rows.states), dtype=np.bool_)
    numbers = set(rows.automata.tolist())
    for number in numbers:
        # Others are asked, as they listen to what they are asked.
        if isinstance(automata[number], TokenAutomaton):
            own: Chosen = slice(None) if len(numbers) == 1 else np.flatnonzero(rows.automata == number)
            found[own] = ~acts(lookaheads(number), rows.states[own])
    return found


def _drawn_there(
    rule: TokenRule,
    log_rows: DrawingRows,
    automata: list[Automaton],
    rows: Rows,
    who: Particular,
    draws: Draws,
    seconds: Seconds,
) -> Drawn:
    """One token for every particle, by the mask alone."""

    def drawn(here: Rows, own: Particular, _: Chosen) -> Drawn:
        def laws() -> Iterator[NDArray[np.object_]]:
            proposal = proposal_of(local_targets(log_rows, automata, here, rule.power), rule)
            return breakpoints_of(proposal.law, proposal.local.starts, own.rows)

        started = perf_counter()
        words = _masks(automata, here, log_rows.shape[1])
        between = perf_counter()
        numbers = token_numbers(rule, len(here.states), own, draws, laws)
        tokens, log_masses = log_rows.drawn(words, here.logprobs, own.rows, numbers, rule.power)
        log_weights = log_masses[own.rows]
        # Sums that a device makes side by side need not ascend: once in a long time a token is drawn that is closed.
        is_open = words[own.rows, tokens >> 6] >> (tokens & 63).astype(np.uint64) & np.uint64(1)
        seconds.masks += between - started
        seconds.sampling += perf_counter() - between
        if not is_open[log_weights > -np.inf].all():
            return propose(rule, log_rows, automata, here, own, draws, seconds)
        return Drawn(tokens, log_weights, np.zeros(len(tokens)))

    return by_chunks(drawn, rows, who, log_rows.shape[1], _CHUNK_ENTRIES)


def _masks(automata: list[Automaton], rows: Rows, vocab_size: int) -> NDArray[np.uint64]:
    """(D, ceil(V / 64)) the masks of all rows."""
    words = np.empty((len(rows.states), -(-vocab_size // 64)), dtype=np.uint64)
    numbers = set(rows.automata.tolist())
    for number in numbers:
        automaton: Any = automata[number]
        if len(numbers) == 1:
            automaton.fill(rows.states, words)
            break
        own = np.flatnonzero(rows.automata == number)
        part = np.empty((len(own), words.shape[1]), dtype=np.uint64)
        automaton.fill(rows.states[own], part)
        words[own] = part
    return words
