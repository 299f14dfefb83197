"""Proofs about tables from a file, as kernels: what the other kernels take for granted, and never look at.

Everything here bounds every index itself. Ranges of values and of offsets have been looked at before (`soundness`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.layout import SCRATCH
from smcdsl.automaton.memory import njit

SOUND = 0
NOT_NESTED, SKIPS_WRONG, NOT_ASCENDING, MISSPELLED, LISTED_TWICE, NOT_LISTED = range(1, 7)
TOO_SHORT, NO_GOTO, TOO_MUCH_WORK, ENDLESS = range(1, 5)

_MOST_WORK = 200_000_000
_MOST_STEPS = 1 << 16
"""Of reductions that one stack state and one terminal bring about without reading further down."""


@njit()
def trie_fault(
    byte: NDArray[np.uint8],
    depth: NDArray[np.int32],
    skip: NDArray[np.int32],
    first_token: NDArray[np.int32],
    tokens: NDArray[np.int32],
    text: NDArray[np.uint8],
    text_start: NDArray[np.int64],
) -> int:
    """Whether nodes are a trie in depth-first order that lists every token with a text once, where it is spelled.

    Offsets must be monotone and end with their arrays, tokens in range.
    """
    num_nodes, vocab_size = len(byte), len(text_start) - 1
    opened = np.zeros(SCRATCH, dtype=np.int64)
    path = np.zeros(SCRATCH, dtype=np.uint8)
    last_byte = np.full(SCRATCH + 1, -1, dtype=np.int64)
    seen = np.zeros(vocab_size, dtype=np.uint8)
    if depth[0] != 0 or first_token[1] != 0:
        return NOT_NESTED
    level = np.int64(0)
    for node in range(1, num_nodes):
        here = np.int64(depth[node])
        if here < 1 or here > level + 1 or here >= SCRATCH:
            return NOT_NESTED
        for closed in range(here, level + 1):
            if skip[opened[closed]] != node:
                return SKIPS_WRONG
        if byte[node] <= last_byte[here]:
            return NOT_ASCENDING
        last_byte[here] = byte[node]
        last_byte[here + 1] = -1
        opened[here] = node
        path[here - 1] = byte[node]
        level = here
        for i in range(first_token[node], first_token[node + 1]):
            token = tokens[i]
            start = text_start[token]
            if text_start[token + 1] - start != here:
                return MISSPELLED
            for k in range(here):
                if text[start + k] != path[k]:
                    return MISSPELLED
            if seen[token]:
                return LISTED_TWICE
            seen[token] = 1
    for closed in range(level + 1):
        if skip[opened[closed]] != num_nodes:
            return SKIPS_WRONG
    for token in range(vocab_size):
        if not seen[token] and text_start[token + 1] != text_start[token]:
            return NOT_LISTED
    return SOUND


@njit()
def parser_fault(
    shift: NDArray[np.int32],
    goto: NDArray[np.int32],
    first_reduce: NDArray[np.int32],
    reduce: NDArray[np.int32],
    lhs: NDArray[np.int32],
    length: NDArray[np.int32],
    deterministic: bool,
) -> int:
    """Whether an LR parser can be run on any input: its stacks are long enough, and its reductions come to an end.

    A stack is a path of shifts and gotos from state 0, whatever was read. So a reduction never reads below the
    bottom if no path to its state is shorter than its production, and finds its goto if all states so many steps
    back have one. Reductions before one terminal could only go on for ever above some state of the stack that they
    leave alone; that is tried for every state, what can stand on it, and every terminal. Values must be in range.
    """
    num_states, num_terminals = shift.shape
    num_nonterminals = goto.shape[1]
    # Edges by where they begin, those for the end of the text left out.
    starts = np.zeros(num_states + 1, dtype=np.int64)
    for state in range(num_states):
        count = 0
        for terminal in range(num_terminals - 1):
            count += shift[state, terminal] >= 0
        for nonterminal in range(num_nonterminals):
            count += goto[state, nonterminal] >= 0
        starts[state + 1] = starts[state] + count
    onward = np.zeros(starts[num_states], dtype=np.int64)
    incoming = np.zeros(num_states + 1, dtype=np.int64)
    for state in range(num_states):
        at = starts[state]
        for terminal in range(num_terminals - 1):
            if shift[state, terminal] >= 0:
                onward[at] = shift[state, terminal]
                at += 1
        for nonterminal in range(num_nonterminals):
            if goto[state, nonterminal] >= 0:
                onward[at] = goto[state, nonterminal]
                at += 1
    # How far states are from the first one.
    distance = np.full(num_states, -1, dtype=np.int64)
    queue = np.zeros(num_states, dtype=np.int64)
    distance[0] = 0
    done, waiting = 0, 1
    while done < waiting:
        state = queue[done]
        done += 1
        for i in range(starts[state], starts[state + 1]):
            after = onward[i]
            incoming[after + 1] += 1
            if distance[after] < 0:
                distance[after] = distance[state] + 1
                queue[waiting] = after
                waiting += 1
    for state in range(num_states):
        incoming[state + 1] += incoming[state]
    sources = np.zeros(incoming[num_states], dtype=np.int64)
    filled = incoming.copy()
    for i in range(waiting):
        state = queue[i]
        for k in range(starts[state], starts[state + 1]):
            sources[filled[onward[k]]] = state
            filled[onward[k]] += 1
    fault = _stack_fault(distance, incoming, sources, goto, first_reduce, reduce, lhs, length, num_terminals)
    if fault != SOUND or not deterministic:
        return fault
    return _loop_fault(queue[:waiting], starts, onward, goto, first_reduce, reduce, lhs, length, num_terminals)


@njit()
def _stack_fault(
    distance: NDArray[np.int64],
    incoming: NDArray[np.int64],
    sources: NDArray[np.int64],
    goto: NDArray[np.int32],
    first_reduce: NDArray[np.int32],
    reduce: NDArray[np.int32],
    lhs: NDArray[np.int32],
    length: NDArray[np.int32],
    num_terminals: int,
) -> int:
    """Whether every reduction finds as many states as it takes off, and then a goto."""
    num_states = len(distance)
    asked = np.full(len(length), -1, dtype=np.int64)
    level, below = np.zeros(num_states, dtype=np.int64), np.zeros(num_states, dtype=np.int64)
    stamp = np.full(num_states, -1, dtype=np.int64)
    number, work = np.int64(0), np.int64(0)
    for state in range(num_states):
        if distance[state] < 0:
            continue
        first, last = first_reduce[state * num_terminals], first_reduce[(state + 1) * num_terminals]
        for i in range(first, last):
            production = reduce[i]
            if asked[production] == state:
                continue
            asked[production] = state
            if length[production] > distance[state]:
                return TOO_SHORT
            level[0] = state
            count = 1
            for _ in range(length[production]):
                number += 1
                more = 0
                for k in range(count):
                    for m in range(incoming[level[k]], incoming[level[k] + 1]):
                        work += 1
                        under = sources[m]
                        if stamp[under] != number:
                            stamp[under] = number
                            below[more] = under
                            more += 1
                if work > _MOST_WORK:
                    return TOO_MUCH_WORK
                level, below = below, level
                count = more
            for k in range(count):
                if goto[level[k], lhs[production]] < 0:
                    return NO_GOTO
    return SOUND


@njit()
def _circle_fault(
    goto: NDArray[np.int32],
    first_reduce: NDArray[np.int32],
    reduce: NDArray[np.int32],
    lhs: NDArray[np.int32],
    length: NDArray[np.int32],
    num_terminals: int,
) -> int:
    """Whether nonterminals may become one another in a circle, by reductions of length one in states after them."""
    num_states, num_nonterminals = goto.shape
    becomes = np.zeros((num_nonterminals, num_nonterminals), dtype=np.uint8)
    entered = np.zeros((num_nonterminals, num_states), dtype=np.uint8)
    for state in range(num_states):
        for nonterminal in range(num_nonterminals):
            if goto[state, nonterminal] >= 0:
                entered[nonterminal, goto[state, nonterminal]] = 1
    asked = np.full(len(length), -1, dtype=np.int64)
    work = np.int64(0)
    for state in range(num_states):
        for i in range(first_reduce[state * num_terminals], first_reduce[(state + 1) * num_terminals]):
            production = reduce[i]
            if asked[production] == state or length[production] != 1:
                continue
            asked[production] = state
            work += num_nonterminals
            if work > _MOST_WORK:
                return TOO_MUCH_WORK
            for nonterminal in range(num_nonterminals):
                if entered[nonterminal, state]:
                    becomes[nonterminal, lhs[production]] = 1
    # Those that nothing becomes are taken away, with what they become; what is left then goes in circles.
    sources = np.zeros(num_nonterminals, dtype=np.int64)
    for nonterminal in range(num_nonterminals):
        for other in range(num_nonterminals):
            sources[other] += becomes[nonterminal, other]
    agenda = np.zeros(num_nonterminals, dtype=np.int64)
    done, waiting = 0, 0
    for nonterminal in range(num_nonterminals):
        if sources[nonterminal] == 0:
            agenda[waiting] = nonterminal
            waiting += 1
    while done < waiting:
        nonterminal = agenda[done]
        done += 1
        for other in range(num_nonterminals):
            if becomes[nonterminal, other]:
                sources[other] -= 1
                if sources[other] == 0:
                    agenda[waiting] = other
                    waiting += 1
    return SOUND if waiting == num_nonterminals else ENDLESS


@njit()
def _loop_fault(
    reached: NDArray[np.int64],
    starts: NDArray[np.int64],
    onward: NDArray[np.int64],
    goto: NDArray[np.int32],
    first_reduce: NDArray[np.int32],
    reduce: NDArray[np.int32],
    lhs: NDArray[np.int32],
    length: NDArray[np.int32],
    num_terminals: int,
) -> int:
    """Whether reductions of a deterministic parser come to an end above every state.

    Reductions that go on for ever without a pause in some empty one are, in the end, all of length one, and each has
    its left side where the next has its right one: nonterminals in a circle. Those with empty ones are looked for
    from every state that begins with one.
    """
    num_states = goto.shape[0]
    fault = _circle_fault(goto, first_reduce, reduce, lhs, length, num_terminals)
    if fault != SOUND:
        return fault
    short_start = np.zeros(num_states + 1, dtype=np.int64)
    for state in range(num_states):
        count = 0
        for cell in range(state * num_terminals, (state + 1) * num_terminals):
            i = first_reduce[cell]
            count += i < first_reduce[cell + 1] and length[reduce[i]] == 0
        short_start[state + 1] = short_start[state] + count
    short = np.zeros(short_start[num_states], dtype=np.int64)
    for state in range(num_states):
        at = short_start[state]
        for terminal in range(num_terminals):
            i = first_reduce[state * num_terminals + terminal]
            if i < first_reduce[state * num_terminals + terminal + 1] and length[reduce[i]] == 0:
                short[at] = terminal
                at += 1
    # Chains of reductions are numbered; cells remember the last one that came by at the height above the base.
    chain_of = np.full(num_states * num_terminals, -1, dtype=np.int64)
    pushed = np.zeros(SCRATCH, dtype=np.int64)
    chain, work = np.int64(0), np.int64(0)
    for r in range(len(reached)):
        base = reached[r]
        first_chain = chain + 1
        for e in range(starts[base], starts[base + 1]):
            top = onward[e]
            for s in range(short_start[top], short_start[top + 1]):
                terminal = short[s]
                if chain_of[top * num_terminals + terminal] >= first_chain:
                    continue
                chain += 1
                pushed[0] = top
                height, steps = np.int64(1), np.int64(0)
                while True:
                    cell = pushed[height - 1] * num_terminals + terminal
                    if height == 1:
                        if chain_of[cell] == chain:
                            return ENDLESS
                        if chain_of[cell] >= first_chain:
                            break  # an earlier chain went on from here, and ended
                        chain_of[cell] = chain
                    i = first_reduce[cell]
                    if i == first_reduce[cell + 1] or length[reduce[i]] > height:
                        break
                    height -= length[reduce[i]]
                    under = pushed[height - 1] if height > 0 else base
                    after = goto[under, lhs[reduce[i]]]
                    if after < 0:
                        break
                    pushed[height] = after
                    height += 1
                    steps += 1
                    if steps > _MOST_STEPS or height >= SCRATCH:
                        return ENDLESS
                work += steps + 1
                if work > _MOST_WORK:
                    return TOO_MUCH_WORK
    return SOUND
