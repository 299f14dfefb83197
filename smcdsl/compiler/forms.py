"""Grammar -> productions over terminals, and the terminals as automata.

Lexed grammars are expanded as lark does it: options and alternatives are multiplied out, `x*` and `x+` become
left-recursive helpers. So lark's LALR automaton is ours, and with it what its contextual lexer looks for.
In scannerless grammars the terminals are the largest regular parts. An embedded lexed grammar stands between two
markers, terminals of no text, that enter and leave its lexer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

from smcdsl.compiler import mistakes
from smcdsl.compiler.bnf import ContextFree, Production, Rhs
from smcdsl.compiler.dfa import Dfa, difference, from_bytes, from_expression
from smcdsl.compiler.lexer import LexicalTerminal
from smcdsl.compiler.nfa import TooLarge
from smcdsl.compiler.spelling import Spelling
from smcdsl.errors import CompileError
from smcdsl.program.grammar import (
    Alternatives,
    Automaton,
    Concatenation,
    Difference,
    Embedded,
    Grammar,
    GrammarExpression,
    Intersection,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
    Restricted,
    SubstringOf,
    children,
    names_in,
)

_MOST_ALTERNATIVES = 500
"""Beyond this a product of alternatives is split by helper rules."""
_MOST_REPEATED = 4096
"""A part too large for an automaton is written out so often at most."""


class NotContextFree(Exception):
    """`&`, `-` or `where` on a part that is neither regular nor the whole grammar."""

    def __init__(self, expression: GrammarExpression) -> None:
        super().__init__("only regular parts can be restricted inside a recursive grammar")
        self.expression = expression


def layout_terminals(grammar: Grammar) -> tuple[str, ...]:
    """The terminals that a grammar's indenter makes."""
    return (grammar.indenter.indent, grammar.indenter.dedent) if grammar.indenter else ()


@dataclass
class Forms:
    """A grammar as productions. `rules` maps nonterminals to (mode, rule name); helpers are absent."""

    grammar: ContextFree
    lexical: list[LexicalTerminal]
    exclusive: list[bool]
    contextual: list[bool]
    ignored: set[int]
    markers: list[int]
    rules: dict[int, str]
    embedded: list[tuple[Grammar, str, int]]
    """Lexed grammars inside, with the prefix of their terminals' names and their mode."""


@dataclass
class _Scope:
    """One grammar's rules, in one mode."""

    grammar: Grammar
    mode: int
    prefix: str
    regular: frozenset[str]


@dataclass
class FormBuilder:
    """Collects terminals, nonterminals and productions."""

    state_limit: int
    spelling: Spelling = field(default_factory=Spelling)
    terminals: list[str] = field(default_factory=list)
    nonterminals: list[str] = field(default_factory=list)
    productions: dict[Production, None] = field(default_factory=dict)
    lexical: list[LexicalTerminal] = field(default_factory=list)
    exclusive: list[bool] = field(default_factory=list)
    contextual: list[bool] = field(default_factory=list)
    ignored: set[int] = field(default_factory=set)
    markers: list[int] = field(default_factory=list)
    rules: dict[int, str] = field(default_factory=dict)
    embedded: list[tuple[Grammar, str, int]] = field(default_factory=list)
    _known: dict[object, int] = field(default_factory=dict)
    _pending: list[tuple[_Scope, str, int]] = field(default_factory=list)

    def build(self, grammar: Grammar) -> Forms:
        """The productions of a grammar and of all that it embeds."""
        start = self._open(grammar, 0, "")
        cfg = ContextFree(tuple(self.terminals), tuple(self.nonterminals), tuple(self.productions), start)
        return Forms(
            cfg,
            self.lexical,
            self.exclusive,
            self.contextual,
            self.ignored,
            self.markers,
            self.rules,
            self.embedded,
        )

    def _open(self, grammar: Grammar, mode: int, prefix: str) -> int:
        """Add a grammar in a mode of its own; the number of its start."""
        lexed = grammar.lexing != "scannerless"
        if mode == len(self.exclusive):
            self.exclusive.append(lexed)
            self.contextual.append(grammar.lexing == "contextual")
            self.markers.append(-1)
        regular = frozenset() if lexed else regular_rules(grammar)
        scope = _Scope(grammar, mode, prefix, regular)
        start = self._rule(scope, grammar.start)
        done = 0
        while done < len(self._pending):
            owner, name, number = self._pending[done]
            done += 1
            for rhs in self._alternatives(owner, owner.grammar.rules[name]):
                self._add(number, rhs)
        self._pending.clear()
        # A terminal that no rule reaches still takes part in the longest match, as in lark.
        for name in grammar.terminals:
            self._terminal(scope, name)
        self.ignored.update(self._terminal(scope, name) for name in grammar.ignored)
        return start

    def _rule(self, scope: _Scope, name: str) -> int:
        key = (scope.prefix, name)
        if key not in self._known:
            number = self._known[key] = self._nonterminal(scope.prefix + name)
            if not scope.prefix:
                self.rules[number] = name
            self._pending.append((scope, name, number))
        return self._known[key]

    def _nonterminal(self, name: str) -> int:
        self.nonterminals.append(name)
        return len(self.nonterminals) - 1

    def _add(self, lhs: int, rhs: Rhs) -> None:
        self.productions[Production(lhs, rhs)] = None

    def _alternatives(self, scope: _Scope, expression: GrammarExpression) -> list[Rhs]:
        """The right-hand sides that an expression stands for."""
        if scope.grammar.lexing == "scannerless" and _is_regular(expression, scope.regular):
            try:
                return self._regular(scope, expression)
            except TooLarge:
                # In parts it may still fit: productions share what an automaton has to repeat.
                if not _has_small_parts(expression):
                    raise
        match expression:
            case Reference():
                if expression.name in scope.grammar.terminals:
                    return [(self._terminal(scope, expression.name),)]
                if expression.name in layout_terminals(scope.grammar):
                    return [(self.without_text(scope.prefix, expression.name),)]
                return [(~self._rule(scope, expression.name),)]
            case Concatenation(items):
                return self._sequence(scope, _grouped(items, scope, Concatenation))
            case Alternatives(items):
                found: dict[Rhs, None] = {}
                for item in _grouped(items, scope, Alternatives):
                    found.update(dict.fromkeys(self._alternatives(scope, item)))
                return list(found)
            case Repeat(item, least, most):
                return self._repeat(scope, item, least, most)
            case Embedded(grammar):
                return [self._embed(scope, grammar)]
            case Restricted() | Intersection() | Difference():
                raise NotContextFree(expression)
        raise AssertionError(f"no form for {type(expression).__name__}")

    def _sequence(self, scope: _Scope, items: list[GrammarExpression]) -> list[Rhs]:
        choices = [self._alternatives(scope, item) for item in items]
        total = 1
        for i, choice in enumerate(choices):
            total *= max(len(choice), 1)
            if total > _MOST_ALTERNATIVES:
                choices[i] = [(~self._helper((scope.prefix, "group", identity(items[i])), choice),)]
                total //= max(len(choice), 1)
        return [tuple(symbol for part in parts for symbol in part) for parts in product(*choices)]

    def _repeat(self, scope: _Scope, item: GrammarExpression, least: int, most: int | None) -> list[Rhs]:
        choice = self._alternatives(scope, item)
        if most is None:
            some: Rhs = (~self._plus(scope, item, choice),)
            if least <= 1:
                return [some] if least else [some, ()]
            return [(*self._single(scope, item, choice) * (least - 1), *some)]
        if most <= 1:
            return [*(choice if most else []), *([] if least else [()])]
        one = self._single(scope, item, choice)
        return [(*one * least, *rest) for rest in self._up_to(scope, item, one, most - least)]

    def _plus(self, scope: _Scope, item: GrammarExpression, choice: list[Rhs]) -> int:
        """The helper for one or more, left-recursive."""
        key = (scope.prefix, "plus", identity(item))
        if key not in self._known:
            plus = self._helper(key, choice)
            for rhs in choice:
                self._add(plus, (~plus, *rhs))
        return self._known[key]

    def _up_to(self, scope: _Scope, item: GrammarExpression, one: Rhs, most: int) -> list[Rhs]:
        """At most so many times: helper k stands for one to k times."""
        if most == 0:
            return [()]
        helper = -1
        for count in range(1, most):
            key = (scope.prefix, "up to", identity(item), count)
            if key not in self._known:
                self._helper(key, [one] if count == 1 else [one, (*one, ~helper)])
            helper = self._known[key]
        return [(), one] if most == 1 else [(), one, (*one, ~helper)]

    def _single(self, scope: _Scope, item: GrammarExpression, choice: list[Rhs]) -> Rhs:
        """One symbol sequence that stands for all of `choice`."""
        if len(choice) == 1:
            return choice[0]
        key = (scope.prefix, "group", identity(item))
        known = self._known.get(key)
        return (~(known if known is not None else self._helper(key, choice)),)

    def _helper(self, key: object, choice: list[Rhs]) -> int:
        number = self._known[key] = self._nonterminal(f"_{len(self.nonterminals)}")
        for rhs in choice:
            self._add(number, rhs)
        return number

    def _terminal(self, scope: _Scope, name: str) -> int:
        key = (scope.prefix, "terminal", name)
        if key not in self._known:
            terminal = scope.grammar.terminals[name]
            whole = from_expression(terminal.definition, scope.grammar.definitions, self.state_limit)
            dfa = _without_empty(self.spelling.spelled(whole))
            number = self._known[key] = self._new_terminal(scope.prefix + name)
            self.lexical.append(LexicalTerminal(number, dfa, scope.mode, terminal.priority, terminal.order))
        return self._known[key]

    def without_text(self, prefix: str, name: str) -> int:
        """A terminal that no text is: what indentation puts between lexemes."""
        key = (prefix, "without text", name)
        if key not in self._known:
            self._known[key] = self._new_terminal(prefix + name)
        return self._known[key]

    def _regular(self, scope: _Scope, expression: GrammarExpression) -> list[Rhs]:
        """A regular part as a terminal; the empty text, if in it, as an alternative of its own."""
        key = (scope.prefix, "regular", expression)
        dfa = self.spelling.spelled(from_expression(expression, scope.grammar.rules, self.state_limit))
        text = _without_empty(dfa)
        found: list[Rhs] = []
        if len(text) > 1:
            if key not in self._known:
                self._known[key] = self._new_terminal(f"text {len(self.terminals)}")
                self.lexical.append(LexicalTerminal(self._known[key], text, scope.mode))
            found.append((self._known[key],))
        if dfa.accepting[dfa.start]:
            found.append(())
        return found

    def _new_terminal(self, name: str) -> int:
        self.terminals.append(name)
        return len(self.terminals) - 1

    def _embed(self, scope: _Scope, grammar: Grammar) -> Rhs:
        key = ("embedded", grammar.name, id(grammar))
        if grammar.conditions or grammar.filters:
            raise NotContextFree(Embedded(grammar, span=grammar.span))
        if grammar.indenter is not None:
            raise CompileError(mistakes.indented_part(grammar.name, grammar.span))
        if key not in self._known:
            mode = scope.mode if grammar.lexing == "scannerless" else len(self.exclusive)
            pending, self._pending = self._pending, []
            prefix = f"{scope.prefix}{grammar.name}#{len(self._known)}."
            self.embedded.append((grammar, prefix, mode))
            self._known[key] = self._open(grammar, mode, prefix)
            self._pending = pending
            if mode != scope.mode:
                self.markers[mode] = self._new_terminal(f"enter {mode}")
                self._new_terminal(f"leave {mode}")
            self._known[key, "mode"] = mode
        start, mode = self._known[key], self._known[key, "mode"]
        if mode == scope.mode:
            return (~start,)
        return (self.markers[mode], ~start, self.markers[mode] + 1)


def identity(expression: GrammarExpression) -> object:
    """A key for an expression: itself, or where a whole grammar is in it (not hashable) its address."""
    return id(expression) if _embeds(expression) else expression


def regular_rules(grammar: Grammar) -> frozenset[str]:
    """Rules of a scannerless grammar that reach neither a cycle of references nor a lexed grammar."""
    reach = {name: names_in(rule) for name, rule in grammar.rules.items()}
    changed = True
    while changed:
        changed = False
        for names in reach.values():
            wider = names.union(*[reach[name] for name in names])
            if len(wider) > len(names):
                names |= wider
                changed = True
    bad = {name for name, names in reach.items() if name in names or _embeds(grammar.rules[name])}
    return frozenset(name for name, names in reach.items() if name not in bad and not names & bad)


def _embeds(expression: GrammarExpression) -> bool:
    return isinstance(expression, Embedded) or any(_embeds(part) for part in children(expression))


def _is_regular(expression: GrammarExpression, regular: frozenset[str]) -> bool:
    if isinstance(expression, LiteralText | Pattern | SubstringOf | Automaton):
        return True
    if isinstance(expression, Embedded):
        return False
    if isinstance(expression, Reference):
        return expression.name in regular
    return all(_is_regular(part, regular) for part in children(expression))


def _grouped(
    items: tuple[GrammarExpression, ...], scope: _Scope, kind: type[Concatenation] | type[Alternatives]
) -> list[GrammarExpression]:
    """Items with neighbouring regular ones taken together, so that terminals are as large as they can be."""
    if scope.grammar.lexing != "scannerless":
        return list(items)
    grouped: list[GrammarExpression] = []
    run: list[GrammarExpression] = []
    for item in items:
        if _is_regular(item, scope.regular):
            run.append(item)
            continue
        if run and kind is Concatenation:
            grouped.append(_together(run, kind))
            run = []
        grouped.append(item)
    if grouped or len(run) < 2:
        return [*grouped, *([_together(run, kind)] if run else [])]
    # All of it together was too large.
    half = len(run) // 2
    return [_together(run[:half], kind), _together(run[half:], kind)]


def _has_small_parts(expression: GrammarExpression) -> bool:
    """Whether productions can stand for an expression, and not too many of them."""
    if isinstance(expression, Repeat):
        return max(expression.least, expression.most or 0) <= _MOST_REPEATED
    return isinstance(expression, Reference | Concatenation | Alternatives)


def _together(items: list[GrammarExpression], kind: type[Concatenation] | type[Alternatives]) -> GrammarExpression:
    return items[0] if len(items) == 1 else kind(tuple(items))


def _without_empty(dfa: Dfa) -> Dfa:
    return difference(dfa, from_bytes(b"")) if dfa.accepting[dfa.start] else dfa
