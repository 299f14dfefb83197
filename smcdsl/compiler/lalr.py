"""LALR(1) tables, all actions kept: what is deterministic and what forks is for the reader to see.

The grammar is augmented by `start' -> start $end`; `$end` is the terminal after the grammar's own. A cell with
more than one action is a conflict: deterministic parsing is then off, generalised parsing takes every action.

Source: DeRemer and Pennello (1982), "Efficient computation of LALR(1) look-ahead sets".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from smcdsl.compiler.bnf import ContextFree, nullable

Item = tuple[int, int]  # (production, position of the dot)


@dataclass(frozen=True)
class LalrTables:
    """S states, T terminals with `$end` last.

    `shift[s]`: terminal -> state (for `$end`: 0, which means accept). `goto[s]`: nonterminal -> state.
    `reduce[s]`: production -> bitmask of lookaheads.
    """

    grammar: ContextFree
    shift: list[dict[int, int]]
    goto: list[dict[int, int]]
    reduce: list[dict[int, int]]
    kernels: list[tuple[Item, ...]] = field(repr=False)

    @property
    def end(self) -> int:
        """The number of `$end`."""
        return len(self.grammar.terminals)

    def acceptable(self, state: int) -> int:
        """Bitmask of the terminals with an action in `state`: what lark's contextual lexer looks for."""
        return self._acceptable[state]

    @cached_property
    def _acceptable(self) -> list[int]:
        found = []
        for shift, reduce in zip(self.shift, self.reduce):
            mask = 0
            for terminal in shift:
                mask |= 1 << terminal
            for lookaheads in reduce.values():
                mask |= lookaheads
            found.append(mask)
        return found

    def conflicts(self) -> list[tuple[int, int]]:
        """(state, bitmask of terminals) with more than one action."""
        found = []
        for state in range(len(self.shift)):
            once = twice = 0
            actions = [1 << terminal for terminal in self.shift[state]] + list(self.reduce[state].values())
            for mask in actions:
                twice |= once & mask
                once |= mask
            if twice:
                found.append((state, twice))
        return found


def lalr(grammar: ContextFree) -> LalrTables:
    """The LALR(1) tables of a grammar whose symbols are all useful."""
    automaton = _Lr0(grammar)
    lookaheads = _lookaheads(grammar, automaton)
    reduce: list[dict[int, int]] = [{} for _ in automaton.kernels]
    for (state, production), mask in lookaheads.items():
        if mask:
            reduce[state][production] = mask
    shift = [{symbol: to for symbol, to in row.items() if symbol >= 0} for row in automaton.transitions]
    goto = [{~symbol: to for symbol, to in row.items() if symbol < 0} for row in automaton.transitions]
    shift[automaton.transitions[0][~grammar.start]][len(grammar.terminals)] = 0
    return LalrTables(grammar, shift, goto, reduce, automaton.kernels)


class _Lr0:
    """The LR(0) automaton: kernels of items and transitions by symbol."""

    def __init__(self, grammar: ContextFree) -> None:
        self.rhs = [production.rhs for production in grammar.productions]
        self.by_lhs = grammar.by_lhs()
        self.augmented = len(self.rhs)
        self.rhs.append((~grammar.start,))
        self.kernels: list[tuple[Item, ...]] = []
        self.transitions: list[dict[int, int]] = []
        self.complete: list[list[int]] = []
        """Per state the productions whose dot is at the end."""
        self._begun: dict[frozenset[int], tuple[dict[int, tuple[Item, ...]], list[int]]] = {}
        numbers: dict[tuple[Item, ...], int] = {}
        pending: list[tuple[Item, ...]] = [((self.augmented, 0),)]
        numbers[pending[0]] = 0
        for kernel in pending:
            moves, complete = self._moves(kernel)
            row: dict[int, int] = {}
            for symbol, target in moves.items():
                number = numbers.setdefault(target, len(pending))
                if number == len(pending):
                    pending.append(target)
                row[symbol] = number
            self.transitions.append(row)
            self.complete.append(complete)
        self.kernels = pending

    def _moves(self, kernel: tuple[Item, ...]) -> tuple[dict[int, tuple[Item, ...]], list[int]]:
        """The kernels that symbols lead to, and the productions whose dot is at the end."""
        own: dict[int, list[Item]] = {}
        complete: list[int] = []
        for production, dot in kernel:
            rhs = self.rhs[production]
            if dot == len(rhs):
                complete.append(production)
            else:
                own.setdefault(rhs[dot], []).append((production, dot + 1))
        begun, empty = self._beginning(frozenset([~symbol for symbol in own if symbol < 0]))
        moves = {symbol: tuple(sorted([*items, *begun.get(symbol, ())])) for symbol, items in own.items()}
        for symbol, target in begun.items():
            moves.setdefault(symbol, target)
        return moves, complete + empty

    def _beginning(self, wanted: frozenset[int]) -> tuple[dict[int, tuple[Item, ...]], list[int]]:
        """The same for the productions with which texts of nonterminals may begin; many kernels want the same."""
        known = self._begun.get(wanted)
        if known is None:
            moves: dict[int, list[Item]] = {}
            empty: list[int] = []
            order = sorted(wanted)
            seen = set(wanted)
            for nonterminal in order:  # grows on the way
                for production in self.by_lhs[nonterminal]:
                    rhs = self.rhs[production]
                    if not rhs:
                        empty.append(production)
                        continue
                    moves.setdefault(rhs[0], []).append((production, 1))
                    if rhs[0] < 0 and ~rhs[0] not in seen:
                        seen.add(~rhs[0])
                        order.append(~rhs[0])
            known = self._begun[wanted] = {symbol: tuple(sorted(items)) for symbol, items in moves.items()}, empty
        return known


def _lookaheads(grammar: ContextFree, automaton: _Lr0) -> dict[tuple[int, int], int]:
    """(state, production) -> bitmask of lookaheads of that reduction."""
    empty = nullable(grammar)
    transitions = automaton.transitions
    edges = [(state, ~symbol) for state, row in enumerate(transitions) for symbol in row if symbol < 0]
    number = {edge: i for i, edge in enumerate(edges)}
    follow = [0] * len(edges)
    reads: list[list[int]] = [[] for _ in edges]
    shifts = [sum([1 << symbol for symbol in row if symbol >= 0]) for row in transitions]
    passed = [
        [number[state, ~symbol] for symbol in row if symbol < 0 and ~symbol in empty]
        for state, row in enumerate(transitions)
    ]
    for i, (state, symbol) in enumerate(edges):
        target = transitions[state][~symbol]
        follow[i] = shifts[target]
        reads[i] = passed[target]
    follow[number[0, grammar.start]] |= 1 << len(grammar.terminals)
    _digraph(reads, follow)

    includes: list[list[int]] = [[] for _ in edges]
    lookback: dict[tuple[int, int], list[int]] = {}
    suffix_empty = [_empty_suffix(rhs, empty) for rhs in automaton.rhs]
    for i, (state, lhs) in enumerate(edges):
        for production in automaton.by_lhs[lhs]:
            here = state
            for position, symbol in enumerate(automaton.rhs[production]):
                if symbol < 0 and position + 1 >= suffix_empty[production]:
                    includes[number[here, ~symbol]].append(i)
                here = transitions[here][symbol]
            lookback.setdefault((here, production), []).append(i)
    _digraph(includes, follow)

    result: dict[tuple[int, int], int] = {}
    for key, sources in lookback.items():
        mask = 0
        for source in sources:
            mask |= follow[source]
        result[key] = mask
    return result


def _empty_suffix(rhs: tuple[int, ...], empty: set[int]) -> int:
    """The first position from which everything can be empty."""
    position = len(rhs)
    while position and rhs[position - 1] < 0 and ~rhs[position - 1] in empty:
        position -= 1
    return position


def _digraph(relation: list[list[int]], values: list[int]) -> None:
    """Let every value take in those of all it reaches: the `digraph` procedure, without recursion."""
    depth = [0] * len(relation)
    infinite = len(relation) + 1
    stack: list[int] = []
    for root in range(len(relation)):
        if depth[root]:
            continue
        stack.append(root)
        depth[root] = len(stack)
        work = [(root, iter(relation[root]), depth[root])]
        while work:
            node, successors, entered = work[-1]
            for successor in successors:
                if not depth[successor]:
                    stack.append(successor)
                    depth[successor] = len(stack)
                    work.append((successor, iter(relation[successor]), depth[successor]))
                    break
                depth[node] = min(depth[node], depth[successor])
                values[node] |= values[successor]
            else:
                work.pop()
                if depth[node] == entered:
                    while True:
                        member = stack.pop()
                        depth[member] = infinite
                        values[member] = values[node]
                        if member == node:
                            break
                if work:
                    parent = work[-1][0]
                    depth[parent] = min(depth[parent], depth[node])
                    values[parent] |= values[node]
