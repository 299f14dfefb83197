"""Can a text have two derivations? Exact for rules without recursion, else by an LR test over bytes or terminals.

Without recursion: mark where each rule begins and ends, make the automaton of marked texts deterministic,
and look for two different marked texts that are equal without their marks (the square construction).
With recursion: a grammar whose LALR(1) tables have no conflict is unambiguous; one with conflicts may be.
"""

from __future__ import annotations

from collections.abc import Mapping

from smcdsl.compiler.bnf import ContextFree, Production, useful
from smcdsl.compiler.dfa import Building
from smcdsl.compiler.lalr import lalr
from smcdsl.compiler.minimal import byte_classes, subsets
from smcdsl.compiler.nfa import ANY_BYTE, Nfa, TooLarge
from smcdsl.compiler.productions import Productions, Symbol
from smcdsl.compiler.recursion import recursive_components
from smcdsl.program.grammar import (
    Grammar,
    GrammarExpression,
    Reference,
    references,
)

_MOST_PAIRS = 200_000
_MOST_LEAF_STATES = 3_000


def may_be_ambiguous(grammar: Grammar) -> bool:
    """Whether it cannot be shown that every text has one derivation, as far as rules are concerned.

    For scannerless grammars without restrictions around rules. Conditions could only remove ambiguity; they
    are not looked at.
    """
    components = recursive_components(grammar.rules)
    used = {reference.name for body in grammar.rules.values() for reference in references(body)}
    if not (used | {grammar.start}) & components.keys():
        return _has_two_markings(grammar)
    try:
        return _has_conflicts(grammar)
    except TooLarge:
        return True


class _Marking(Building):
    """Adds a marked edge where a rule begins and where it ends."""

    def __init__(self, nfa: Nfa, rules: Mapping[str, GrammarExpression], limit: int) -> None:
        super().__init__(nfa, rules, {}, limit)
        self.numbers = {name: number for number, name in enumerate(rules)}

    def add_rule(self, reference: Reference, start: int) -> int:
        mark = 1 << (256 + 2 * self.numbers[reference.name])
        begin, end = self.nfa.state(), self.nfa.state()
        self.nfa.edges[start].append((mark, begin))
        self.nfa.edges[super().add_rule(reference, begin)].append((mark << 1, end))
        return end


def _has_two_markings(grammar: Grammar) -> bool:
    nfa = Nfa(limit=_MOST_PAIRS)
    start = nfa.state()
    try:
        end = _Marking(nfa, grammar.rules, _MOST_PAIRS).add(Reference((grammar.start,)), start)
        edges, accepting = subsets(nfa, start, end, _MOST_PAIRS // 10)
        return _Square(edges, accepting).is_ambiguous()
    except TooLarge:
        return True


class _Square:
    """Pairs of states of the deterministic marked automaton that the same text may lead to."""

    def __init__(self, edges: list[list[tuple[int, int]]], accepting: list[bool]) -> None:
        self.edges, self.accepting = edges, accepting
        self.alive = self._alive()
        self.by_marks = [self._by_marks(state) for state in range(len(edges))]

    def _alive(self) -> list[bool]:
        before: list[list[int]] = [[] for _ in self.edges]
        for source, outgoing in enumerate(self.edges):
            for _, target in outgoing:
                before[target].append(source)
        alive = list(self.accepting)
        agenda = [state for state, accepts in enumerate(alive) if accepts]
        while agenda:
            for source in before[agenda.pop()]:
                if not alive[source]:
                    alive[source] = True
                    agenda.append(source)
        return alive

    def _by_marks(self, state: int) -> list[int]:
        """The state and those that marks alone lead to."""
        found = [state]
        for current in found:
            for mask, target in self.edges[current]:
                if mask > ANY_BYTE and self.alive[target] and target not in found:
                    found.append(target)
        return found

    def is_ambiguous(self) -> bool:
        pairs: dict[tuple[int, int], None] = {}
        for state in range(len(self.edges)):
            marks = [t for mask, target in self.edges[state] if (mask > ANY_BYTE) and self.alive[t := target]]
            for index, left in enumerate(marks):
                if self.accepting[state] and self._may_end(left):
                    return True
                pairs.update(dict.fromkeys((left, right) for right in marks[:index]))
                pairs.update(dict.fromkeys(self._after_a_byte(left, [state])))
        agenda = list(pairs)
        for left, right in agenda:
            if self._may_end(left) and self._may_end(right):
                return True
            for pair in self._after_a_byte(left, self.by_marks[right]):
                if pair not in pairs:
                    if len(pairs) > _MOST_PAIRS:
                        raise TooLarge(_MOST_PAIRS)
                    pairs[pair] = None
                    agenda.append(pair)
        return False

    def _may_end(self, state: int) -> bool:
        return any(self.accepting[after] for after in self.by_marks[state])

    def _after_a_byte(self, left: int, rights: list[int]) -> list[tuple[int, int]]:
        """Pairs after one equal byte, read by `left` behind any marks and by one of `rights` at once."""
        return [
            (left_target, right_target)
            for before in self.by_marks[left]
            for left_mask, left_target in self.edges[before]
            if left_mask <= ANY_BYTE and self.alive[left_target]
            for right in rights
            for right_mask, right_target in self.edges[right]
            if right_mask & left_mask and self.alive[right_target]
        ]


def _has_conflicts(grammar: Grammar) -> bool:
    """Whether the LALR(1) tables over classes of bytes have conflicts; leaves are written out as linear rules."""
    cfg = byte_grammar(Productions(grammar.rules, grammar.start))
    return bool(cfg.productions) and bool(lalr(cfg).conflicts())


def byte_grammar(productions: Productions) -> ContextFree:
    """The same language over classes of bytes as terminals.

    Raises:
        TooLarge: the leaves have too many states.
    """
    names = list(productions.of)
    leaves: dict[GrammarExpression, int] = {}
    states = 0
    for symbol in _symbols(productions):
        if not isinstance(symbol, str) and symbol not in leaves:
            leaves[symbol] = len(names)
            size = len(productions.leaf(symbol))
            states += size
            names.extend(f"leaf {len(leaves)} state {state}" for state in range(size))
            if states > _MOST_LEAF_STATES:
                raise TooLarge(_MOST_LEAF_STATES)
    masks = [mask for leaf in leaves for outgoing in productions.leaf(leaf).edges for mask, _ in outgoing]
    distinct = list(dict.fromkeys(masks))
    byte_class, members = byte_classes(distinct)
    classes = {mask: found.tolist() for mask, found in zip(distinct, members)}
    numbers = {name: number for number, name in enumerate(productions.of)}
    found: list[Production] = []
    for leaf, first in leaves.items():
        dfa = productions.leaf(leaf)
        for state, outgoing in enumerate(dfa.edges):
            if dfa.accepting[state]:
                found.append(Production(first + state, ()))
            found.extend(Production(first + state, (c, ~(first + t))) for mask, t in outgoing for c in classes[mask])

    def symbol_number(symbol: Symbol) -> int:
        return ~numbers[symbol] if isinstance(symbol, str) else ~(leaves[symbol] + productions.leaf(symbol).start)

    for name, bodies in productions.of.items():
        found.extend(Production(numbers[name], tuple(map(symbol_number, body))) for body in dict.fromkeys(bodies))
    terminals = tuple(f"byte class {number}" for number in range(int(byte_class.max()) + 1))
    return useful(ContextFree(terminals, tuple(names), tuple(found), numbers[productions.start]))


def _symbols(productions: Productions) -> list[Symbol]:
    return [symbol for bodies in productions.of.values() for body in bodies for symbol in body]
