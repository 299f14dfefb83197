"""Context-free grammars intersected with automata: restrictions become plain rules.

A symbol of the product is (state, rule, states): the texts of the rule that lead the automaton from the
first to one of the last. Which symbols have texts at all is found forward from the start, as an Earley
parser would, with the automaton in place of a text; only symbols that are needed become rules.

Source: Bar-Hillel, Perles and Shamir (1961), "On formal properties of simple phrase structure grammars".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from smcdsl.compiler.dfa import (
    Dfa,
    NotRegular,
    TooLarge,
    complement,
    condition_dfa,
    from_bytes,
    from_expression,
    intersect,
    is_empty,
    to_automaton,
)
from smcdsl.compiler.productions import Production, Productions, Symbol, is_leaf
from smcdsl.compiler.recursion import reachable, recursive_components
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Condition,
    Difference,
    Grammar,
    GrammarExpression,
    Intersection,
    Limit,
    Reference,
    Repeat,
    Restricted,
    children,
    references,
)

DEFAULT_RULE_LIMIT = 100_000


class Reach:
    """Which states of an automaton the texts of each rule lead to, from each state where it is needed."""

    def __init__(self, productions: Productions, dfa: Dfa, limit: int = DEFAULT_RULE_LIMIT) -> None:
        self.productions, self.dfa, self.limit = productions, dfa, limit
        self._ends: dict[tuple[int, str], dict[int, None]] = {}
        self._callers: dict[tuple[int, str], list[tuple[tuple[int, str], Production, int]]] = {}
        self._leaf_ends: dict[tuple[int, GrammarExpression], tuple[int, ...]] = {}
        self._seen: set[tuple[tuple[int, str], Production, int, int]] = set()
        self._agenda: list[tuple[tuple[int, str], Production, int, int]] = []
        if dfa.start:
            self._call(dfa.start, productions.start)
            self._run()

    def ends(self, state: int, symbol: Symbol) -> tuple[int, ...]:
        """The states that texts of the symbol lead to from `state`."""
        if isinstance(symbol, str):
            return tuple(self._ends.get((state, symbol), ()))
        key = (state, symbol)
        if key not in self._leaf_ends:
            self._leaf_ends[key] = _leaf_ends(self.productions.leaf(symbol), self.dfa, state)
        return self._leaf_ends[key]

    @property
    def accepts(self) -> bool:
        """Whether the grammar has a text that the automaton accepts."""
        return any(self.dfa.accepting[end] for end in self.ends(self.dfa.start, self.productions.start))

    def _call(self, state: int, name: str) -> None:
        key = (state, name)
        if key not in self._ends:
            if len(self._ends) > self.limit:
                raise TooLarge(self.limit, name)
            self._ends[key] = {}
            self._callers[key] = []
            for production in self.productions.of[name]:
                self._push(key, production, 0, state)

    def _push(self, key: tuple[int, str], production: Production, position: int, state: int) -> None:
        entry = (key, production, position, state)
        if entry not in self._seen:
            self._seen.add(entry)
            self._agenda.append(entry)

    def _run(self) -> None:
        while self._agenda:
            key, production, position, state = self._agenda.pop()
            if position == len(production):
                if state not in self._ends[key]:
                    self._ends[key][state] = None
                    for caller, rest, at in self._callers[key]:
                        self._push(caller, rest, at + 1, state)
                continue
            symbol = production[position]
            if isinstance(symbol, str):
                self._call(state, symbol)
                self._callers[state, symbol].append((key, production, position))
            for end in list(self.ends(state, symbol)):
                self._push(key, production, position + 1, end)


def _leaf_ends(leaf: Dfa, dfa: Dfa, state: int) -> tuple[int, ...]:
    if not leaf.start:
        return ()
    seen = {(leaf.start, state)}
    agenda = [(leaf.start, state)]
    ends: dict[int, None] = {}
    for inner, outer in agenda:
        if leaf.accepting[inner]:
            ends[outer] = None
        for mask, target in leaf.edges[inner]:
            for other_mask, other in dfa.edges[outer]:
                if mask & other_mask and (target, other) not in seen:
                    seen.add((target, other))
                    agenda.append((target, other))
    return tuple(ends)


class _Emission:
    """Writes the rules of a product, beginning with what is asked for."""

    def __init__(self, reach: Reach, taken: Mapping[str, GrammarExpression], suffix: str) -> None:
        self.reach, self.taken, self.suffix = reach, taken, suffix
        self.names: dict[tuple[int, str, frozenset[int]], str] = {}
        self.origins: dict[str, str] = {}
        """New rule -> the rule it comes from."""
        self.rules: dict[str, GrammarExpression] = {}
        self.untouched: dict[str, None] = {}
        """Rules used as they are, because the automaton no longer forbids anything."""
        self._agenda: list[tuple[int, str, frozenset[int]]] = []
        self._leaves: dict[tuple[int, GrammarExpression, frozenset[int]], GrammarExpression] = {}

    def symbol(self, state: int, symbol: Symbol, targets: frozenset[int]) -> GrammarExpression:
        """The expression for texts of `symbol` that lead from `state` to one of `targets`."""
        if self.is_free(state, targets):
            if isinstance(symbol, str):
                self.untouched[symbol] = None
                return Reference((symbol,))
            return symbol
        targets = targets.intersection(self.reach.ends(state, symbol))
        if isinstance(symbol, str):
            return Reference((self.name(state, symbol, targets),))
        key = (state, symbol, targets)
        if key not in self._leaves:
            dfa = self.reach.dfa
            accepting = np.zeros(len(dfa), bool)
            accepting[list(targets)] = True
            window = Dfa(dfa.next_state, accepting, state)
            self._leaves[key] = to_automaton(intersect(self.reach.productions.leaf(symbol), window))
        return self._leaves[key]

    def is_free(self, state: int, targets: frozenset[int]) -> bool:
        """Whether every text leads from `state` to a target."""
        return state in targets and bool((self.reach.dfa.next_state[state] == state).all())

    def name(self, state: int, rule: str, targets: frozenset[int]) -> str:
        key = (state, rule, targets)
        if key not in self.names:
            if len(self.names) > self.reach.limit:
                raise TooLarge(self.reach.limit, rule)
            name = f"{rule}{self.suffix}{len(self.names)}"
            self.names[key] = name
            self.origins[name] = rule
            self._agenda.append(key)
        return self.names[key]

    def run(self) -> None:
        """Write the rules named so far, and those they need."""
        while self._agenda:
            state, rule, targets = self._agenda.pop()
            bodies = [
                body
                for production in self.reach.productions.of[rule]
                for body in self.bodies(state, production, targets)
            ]
            body = bodies[0] if len(bodies) == 1 else Alternatives(tuple(bodies))
            span = self.taken[rule].span if rule in self.taken else None
            self.rules[self.names[state, rule, targets]] = replace(body, span=span) if span else body

    def bodies(self, state: int, production: Production, targets: frozenset[int]) -> list[GrammarExpression]:
        """The ways from `state` to a target through a production."""
        if not production:
            return [Concatenation(())] if state in targets else []
        if len(production) == 1:
            possible = targets.intersection(self.reach.ends(state, production[0]))
            return [self.symbol(state, production[0], targets)] if possible else []
        first, second = production
        bodies: list[GrammarExpression] = []
        for middle in self.reach.ends(state, first):
            if targets.intersection(self.reach.ends(middle, second)):
                parts = self.symbol(state, first, frozenset({middle})), self.symbol(middle, second, targets)
                bodies.append(Concatenation(parts))
        return bodies


def intersect_rules(grammar: Grammar, dfa: Dfa, limit: int = DEFAULT_RULE_LIMIT) -> Grammar:
    """The grammar of those texts that the automaton accepts; all its rules are useful.

    For scannerless grammars without restrictions inside. Rules keep their sites: a new rule stands for the
    boundary of the rule it comes from (`Grammar.boundary_of`). A grammar without texts has one rule,
    with no alternatives.

    Raises:
        TooLarge: the product has more than `limit` rules.
        NotRegular: a restriction inside holds a rule; `without_restrictions` removes these.
    """
    assert grammar.lexing == "scannerless", "lexed grammars cannot be cut between bytes"
    rules, boundary_of, start = dict(grammar.rules), dict(grammar.boundary_of), grammar.start
    start = _add_product(rules, boundary_of, grammar.boundaries, start, dfa, limit)
    needed = reachable(start, rules)
    return replace(
        grammar,
        start=start,
        rules={name: rules[name] for name in needed},
        boundary_of={name: boundary for name, boundary in boundary_of.items() if name in needed},
    )


def _add_product(
    rules: dict[str, GrammarExpression],
    boundary_of: dict[str, str],
    boundaries: tuple[str, ...],
    start: str,
    dfa: Dfa,
    limit: int,
) -> str:
    """Add the rules of a product to `rules`; return the one to start from."""
    productions = Productions(rules, start)
    reach = Reach(productions, dfa, limit)
    suffix = f"@{sum(name.endswith('@0') for name in rules)}@"
    emission = _Emission(reach, rules, suffix)
    targets = frozenset(end for end in reach.ends(dfa.start, start) if dfa.accepting[end]) if dfa.start else frozenset()
    first = emission.name(dfa.start, start, targets)
    emission.run()
    helpers = {name for name in productions.of if name not in rules}
    if emission.untouched.keys() & helpers:
        emission.rules.update(_written_out(productions, helpers))
    rules.update(emission.rules)
    for name, origin in emission.origins.items():
        boundary = boundary_of.get(origin, origin)
        if boundary in boundaries:
            boundary_of[name] = boundary
    return first


def _written_out(productions: Productions, names: set[str]) -> dict[str, GrammarExpression]:
    """Helper rules as grammar expressions."""

    def expression(symbol: Symbol) -> GrammarExpression:
        return Reference((symbol,)) if isinstance(symbol, str) else symbol

    return {
        name: Alternatives(tuple(Concatenation(tuple(map(expression, body))) for body in productions.of[name]))
        for name in names
    }


def without_restrictions(grammar: Grammar, limit: int = DEFAULT_RULE_LIMIT) -> Grammar:
    """The same texts and sites, without `&`, `-` and `where` around rules.

    Restrictions of parts that hold no rule stay: they are regular. Limits in tokens stay.
    Conditions and filters of the whole grammar stay.

    Raises:
        TooLarge: a product has more than `limit` rules.
        NotRegular: neither side of a restriction is regular, or a rule restricts itself.
    """
    if grammar.lexing != "scannerless" or not any(map(_is_restricted_somewhere, grammar.rules.values())):
        return grammar
    removal = _Removal(grammar, limit)
    for name in reachable(grammar.start, grammar.rules):
        removal.rule(name)
    needed = reachable(grammar.start, removal.rules)
    return replace(
        grammar,
        rules={name: removal.rules[name] for name in needed},
        boundary_of={name: boundary for name, boundary in removal.boundary_of.items() if name in needed},
    )


def _is_restricted_somewhere(expression: GrammarExpression) -> bool:
    if isinstance(expression, Restricted | Intersection | Difference):
        return not is_leaf(expression)
    return any(map(_is_restricted_somewhere, children(expression)))


class _Removal:
    """Rewrites rules, those first that others use."""

    def __init__(self, grammar: Grammar, limit: int) -> None:
        self.grammar, self.limit = grammar, limit
        self.components = recursive_components(grammar.rules)
        self.rules = dict(grammar.rules)
        self.boundary_of = dict(grammar.boundary_of)
        self.done: set[str] = set()

    def rule(self, name: str) -> None:
        if name not in self.done and name in self.grammar.rules:
            self.done.add(name)
            self.rules[name] = self.expression(self.grammar.rules[name], name)

    def expression(self, expression: GrammarExpression, inside: str) -> GrammarExpression:
        match expression:
            case _ if not _is_restricted_somewhere(expression):
                return expression
            case Concatenation(items):
                return replace(expression, items=tuple(self.expression(item, inside) for item in items))
            case Alternatives(items):
                return replace(expression, items=tuple(self.expression(item, inside) for item in items))
            case Repeat(item, _, _):
                return replace(expression, item=self.expression(item, inside))
            case Restricted(item, conditions):
                return self.restricted(expression, item, conditions, inside)
            case Difference(left, right):
                return self.product(left, complement(self.regular(right)), inside)
            case Intersection(left, right):
                try:
                    return self.product(left, self.regular(right), inside)
                except NotRegular:
                    return self.product(right, self.regular(left), inside)
        raise AssertionError(f"{type(expression).__name__} has no parts")

    def restricted(
        self, whole: Restricted, item: GrammarExpression, conditions: tuple[Condition, ...], inside: str
    ) -> GrammarExpression:
        found = [dfa for dfa in map(condition_dfa, conditions) if dfa is not None]
        restriction = [dfa if keep else complement(dfa) for dfa, keep in found]
        tokens = tuple(c for c in conditions if isinstance(c, Limit) and c.unit == "tokens")
        rest = self.expression(item, inside)
        if restriction:
            combined = restriction[0]
            for dfa in restriction[1:]:
                combined = intersect(combined, dfa)
            rest = self.product(item, combined, inside)
        return Restricted(rest, tokens, span=whole.span) if tokens else rest

    def regular(self, expression: GrammarExpression) -> Dfa:
        return from_expression(expression, self.grammar.rules)

    def product(self, item: GrammarExpression, dfa: Dfa, inside: str) -> GrammarExpression:
        for reference in references(item):
            for name in reachable(reference.name, self.grammar.rules):
                component = self.components.get(name)
                if name == inside or (component is not None and inside in component.members):
                    raise NotRegular(reference, f"`{inside}` restricts itself")
                self.rule(name)
        rules = dict(self.rules)
        rules[" item"] = self.expression(item, inside)
        start = _add_product(rules, self.boundary_of, self.grammar.boundaries, " item", dfa, self.limit)
        del rules[" item"]
        self.rules = rules
        return Reference((start,))


def grammar_accepts(grammar: Grammar, text: str) -> bool:
    """Whether a scannerless grammar without restrictions inside has the text; conditions are passed over."""
    return Reach(Productions(grammar.rules, grammar.start), from_bytes(text.encode())).accepts


def has_text_in(grammar: Grammar, dfa: Dfa) -> bool:
    """Whether some text of a scannerless grammar without restrictions inside is accepted by the automaton."""
    return not is_empty(dfa) and Reach(Productions(grammar.rules, grammar.start), dfa).accepts
