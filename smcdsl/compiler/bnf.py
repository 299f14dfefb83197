"""Context-free grammars as plain productions, and the transformations a parser generator needs.

Symbols are ints: terminal `t` is `t`, nonterminal `n` is `~n` (negative), so a right-hand side is a tuple of
ints. The transformations keep the language; `without_empty` and `without_unit_cycles` do not keep the trees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product

Rhs = tuple[int, ...]


@dataclass(frozen=True)
class Production:
    """`lhs -> rhs`; `lhs` is a nonterminal's number, not its symbol."""

    lhs: int
    rhs: Rhs


@dataclass(frozen=True)
class ContextFree:
    """Productions over `terminals` and `nonterminals` (names); `start` is a nonterminal's number."""

    terminals: tuple[str, ...]
    nonterminals: tuple[str, ...]
    productions: tuple[Production, ...]
    start: int

    def by_lhs(self) -> list[list[int]]:
        """Per nonterminal the numbers of its productions."""
        table: list[list[int]] = [[] for _ in self.nonterminals]
        for number, production in enumerate(self.productions):
            table[production.lhs].append(number)
        return table


def nullable(grammar: ContextFree) -> set[int]:
    """Nonterminals that derive the empty text."""
    return _fixpoint(grammar, lambda symbol, known: symbol < 0 and ~symbol in known)


def productive(grammar: ContextFree, usable: Iterable[int] | None = None) -> set[int]:
    """Nonterminals that derive some sequence of (usable) terminals."""
    allowed = set(range(len(grammar.terminals)) if usable is None else usable)
    return _fixpoint(grammar, lambda symbol, known: symbol in allowed or ~symbol in known)


def _fixpoint(grammar: ContextFree, holds: Callable[[int, set[int]], bool]) -> set[int]:
    known: set[int] = set()
    changed = True
    while changed:
        changed = False
        for production in grammar.productions:
            if production.lhs not in known and all(holds(symbol, known) for symbol in production.rhs):
                known.add(production.lhs)
                changed = True
    return known


def useful(grammar: ContextFree, usable: Iterable[int] | None = None) -> ContextFree:
    """Only the productions that occur in some derivation of a terminal sequence (of usable terminals).

    Names and numbers stay; a grammar of the empty language is left without productions.
    """
    good = productive(grammar, usable)
    allowed = set(range(len(grammar.terminals)) if usable is None else usable)
    kept = [
        production
        for production in grammar.productions
        if production.lhs in good and all(s in allowed or ~s in good for s in production.rhs)
    ]
    reached = {grammar.start}
    frontier = [grammar.start]
    table: dict[int, list[Production]] = {}
    for production in kept:
        table.setdefault(production.lhs, []).append(production)
    while frontier:
        for production in table.get(frontier.pop(), []):
            for symbol in production.rhs:
                if symbol < 0 and ~symbol not in reached:
                    reached.add(~symbol)
                    frontier.append(~symbol)
    return _with_productions(grammar, [p for p in kept if p.lhs in reached])


def without_empty(grammar: ContextFree) -> tuple[ContextFree, bool]:
    """An equivalent grammar without empty right-hand sides, and whether the empty text was in the language.

    Source: Hopcroft, Motwani and Ullman (2006), section 7.1.3.
    """
    empty = nullable(grammar)
    found: dict[Production, None] = {}
    short = _binarize(grammar, empty)
    for production in short.productions:
        choices = [((symbol,), ()) if symbol < 0 and ~symbol in empty else ((symbol,),) for symbol in production.rhs]
        for choice in product(*choices):
            rhs = tuple(symbol for part in choice for symbol in part)
            if rhs:
                found[Production(production.lhs, rhs)] = None
    return useful(_with_productions(short, list(found))), grammar.start in empty


def _binarize(grammar: ContextFree, empty: set[int]) -> ContextFree:
    """Split right-hand sides with many nullable symbols, whose subsets would be too many."""
    names = list(grammar.nonterminals)
    productions: list[Production] = []
    for production in grammar.productions:
        lhs, rhs = production.lhs, production.rhs
        while sum(symbol < 0 and ~symbol in empty for symbol in rhs) > 4:
            names.append(f"{grammar.nonterminals[production.lhs]}:{len(names)}")
            rest = len(names) - 1
            productions.append(Production(lhs, (rhs[0], ~rest)))
            lhs, rhs = rest, rhs[1:]
            if all(symbol < 0 and ~symbol in empty for symbol in rhs):
                empty.add(rest)
        productions.append(Production(lhs, rhs))
    return ContextFree(grammar.terminals, tuple(names), tuple(productions), grammar.start)


def without_unit_cycles(grammar: ContextFree) -> ContextFree:
    """An equivalent grammar in which no nonterminal derives itself alone.

    Nonterminals that derive each other by unit productions have one language and become one.
    Only for grammars without empty right-hand sides.
    """
    units: dict[int, set[int]] = {n: set() for n in range(len(grammar.nonterminals))}
    for production in grammar.productions:
        if len(production.rhs) == 1 and production.rhs[0] < 0:
            units[production.lhs].add(~production.rhs[0])
    leader = {n: n for n in units}
    for component in strongly_connected(units):
        for member in component:
            leader[member] = min(component)
    found: dict[Production, None] = {}
    for production in grammar.productions:
        lhs = leader[production.lhs]
        rhs = tuple(~leader[~symbol] if symbol < 0 else symbol for symbol in production.rhs)
        if rhs != (~lhs,):
            found[Production(lhs, rhs)] = None
    return ContextFree(grammar.terminals, grammar.nonterminals, tuple(found), leader[grammar.start])


def strongly_connected(edges: dict[int, set[int]]) -> list[list[int]]:
    """Strongly connected components, each after those it points to.

    Source: Tarjan (1972), without recursion.
    """
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    components: list[list[int]] = []
    for root in edges:
        if root in index:
            continue
        work = [(root, iter(sorted(edges[root])))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, successors = work[-1]
            for successor in successors:
                if successor not in index:
                    index[successor] = low[successor] = len(index)
                    stack.append(successor)
                    on_stack.add(successor)
                    work.append((successor, iter(sorted(edges[successor]))))
                    break
                if successor in on_stack:
                    low[node] = min(low[node], index[successor])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == node:
                            break
                    components.append(component)
    return components


def _with_productions(grammar: ContextFree, productions: list[Production]) -> ContextFree:
    return ContextFree(grammar.terminals, grammar.nonterminals, tuple(productions), grammar.start)
