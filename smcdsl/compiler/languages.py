"""The languages of closed grammars: emptiness, membership, parts of texts, lengths.

A scannerless grammar is asked through automata and products, and every answer is exact. A lexed grammar is
cut and parsed where that settles the question, and otherwise bounded from outside by the texts that any sequence
of its terminals makes; what is then still open is answered with None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property

from smcdsl.compiler import mistakes
from smcdsl.compiler.ambiguity import may_be_ambiguous
from smcdsl.compiler.bnf import useful
from smcdsl.compiler.dfa import (
    Dfa,
    NotRegular,
    char_lengths,
    complement,
    condition_dfa,
    containing,
    difference,
    from_bytes,
    from_expression,
    intersect,
    is_empty,
    sequence_in,
)
from smcdsl.compiler.lexed import LexedGrammar
from smcdsl.compiler.product import grammar_accepts, has_text_in, intersect_rules, without_restrictions
from smcdsl.compiler.productions import Productions
from smcdsl.compiler.recursion import reachable, recursive_components
from smcdsl.errors import Diagnostic, Span
from smcdsl.program.grammar import (
    Condition,
    Difference,
    Embedded,
    Grammar,
    GrammarExpression,
    Intersection,
    Limit,
    Matches,
    Pattern,
    Restricted,
    children,
    references,
)

ANALYSIS_LIMIT = 100_000
"""Automaton states that a check may build."""

Restriction = tuple[Dfa, bool, Span | None, str]
"""(automaton, whether texts must be in it, where it is written, what to say if it leaves no text)."""


def is_regular(grammar: Grammar) -> bool:
    """Whether a grammar is scannerless and regular in a way that is recognised: recursion only linear."""
    if grammar.lexing != "scannerless":
        return False
    components = recursive_components(grammar.rules)
    for name in reachable(grammar.start, grammar.rules):
        component = components.get(name)
        if component is not None and component.side is None:
            return False
        if any(isinstance(part, Embedded) for part in _parts(grammar.rules[name])):
            return False
        if any(r.name not in grammar.rules for r in references(grammar.rules[name])):
            return False
    return True


def grammar_dfa(grammar: Grammar, limit: int = ANALYSIS_LIMIT) -> Dfa:
    """The automaton of a regular grammar, its conditions and filters included; limits in tokens are passed over.

    Raises:
        NotRegular: the grammar is not regular, or not in a way that is recognised.
        TooLarge: an automaton on the way has more than `limit` states.
    """
    if grammar.lexing != "scannerless":
        raise NotRegular(grammar.rules[grammar.start], "it is read by a lexer")
    dfa = from_expression(grammar.rules[grammar.start], grammar.rules, limit)
    restriction = restriction_dfa(grammar, limit)
    return dfa if restriction is None else intersect(dfa, restriction, limit)


def restriction_dfa(grammar: Grammar, limit: int = ANALYSIS_LIMIT) -> Dfa | None:
    """All conditions and filters of a grammar as one automaton; None if there are none but limits in tokens.

    Raises:
        TooLarge: an automaton on the way has more than `limit` states.
    """
    result: Dfa | None = None
    for dfa, keep, _, _ in restrictions(grammar.conditions, grammar.filters, grammar, limit):
        if result is None:
            result = dfa if keep else complement(dfa)
        else:
            result = intersect(result, dfa, limit) if keep else difference(result, dfa, limit)
    return result


def restrictions(
    conditions: tuple[Condition, ...],
    filters: tuple[tuple[GrammarExpression, bool], ...],
    grammar: Grammar,
    limit: int = ANALYSIS_LIMIT,
) -> Iterator[Restriction]:
    """Conditions and filters as automata; limits in tokens are passed over."""
    for condition in conditions:
        found = condition_dfa(condition)
        if found is not None:
            yield *found, _place(condition), _blame(condition)
    for expression, keep in filters:
        label = "no text of the grammar is in this" if keep else "this takes every text away"
        yield from_expression(expression, grammar.rules, limit), keep, expression.span, label


def _place(condition: Condition) -> Span | None:
    if condition.span is None and isinstance(condition, Matches):
        return condition.pattern.span
    return condition.span


def _blame(condition: Condition) -> str:
    if isinstance(condition, Limit):
        return mistakes.limit_in_words(condition)
    return "every text has this in it" if condition.excludes else "no text matches this"


def _parts(expression: GrammarExpression) -> Iterator[GrammarExpression]:
    """The expression and all in it, inner parts first."""
    for child in children(expression):
        yield from _parts(child)
    yield expression


class ScannerlessLanguage:
    """The language of a scannerless grammar. With a lexed grammar inside, nothing is known.

    Raises (from any question):
        TooLarge: an automaton is too large for a check.
        NotRegular: a restriction cannot be compiled.
    """

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        needed = [grammar.rules[name] for name in reachable(grammar.start, grammar.rules)]
        self.is_mixed = any(isinstance(part, Embedded) for body in needed for part in _parts(body))

    @cached_property
    def plain(self) -> Grammar:
        """The grammar without restrictions around rules."""
        return without_restrictions(self.grammar)

    @cached_property
    def dfa(self) -> Dfa | None:
        """The automaton of the rules alone, if they are regular."""
        if not is_regular(self.grammar):
            return None
        return from_expression(self.grammar.rules[self.grammar.start], self.grammar.rules, ANALYSIS_LIMIT)

    @cached_property
    def restriction(self) -> Dfa | None:
        """Conditions and filters."""
        return restriction_dfa(self.grammar)

    @cached_property
    def whole(self) -> Dfa | None:
        """The automaton with conditions and filters, if the rules are regular."""
        if self.dfa is None or self.restriction is None:
            return self.dfa
        return intersect(self.dfa, self.restriction, ANALYSIS_LIMIT)

    def meets(self, dfa: Dfa) -> bool:
        """Whether the rules alone have a text in the automaton."""
        if self.dfa is not None:
            return not is_empty(intersect(self.dfa, dfa, ANALYSIS_LIMIT))
        return has_text_in(self.plain, dfa)

    def is_empty(self) -> bool:
        """Whether the rules alone have no text."""
        if self.dfa is not None:
            return is_empty(self.dfa)
        return Productions(self.plain.rules, self.plain.start).shortest[self.plain.start] is None

    def accepts(self, text: str) -> bool | None:
        """Membership, conditions and filters included."""
        if self.is_mixed:
            return None
        if self.whole is not None:
            return self.whole.accepts(text.encode())
        if self.restriction is not None and not self.restriction.accepts(text.encode()):
            return False
        if self.grammar.indenter is not None:
            return None
        return grammar_accepts(self.plain, text)

    def can_contain(self, text: str) -> bool | None:
        """Whether a text has this part."""
        if self.is_mixed:
            return None
        wanted = containing(from_bytes(text.encode()))
        return self.meets(wanted if self.restriction is None else intersect(wanted, self.restriction))

    def char_lengths(self) -> tuple[int, int | None] | None:
        """(shortest, longest) length; None for the empty language."""
        if self.is_mixed:
            return None
        if self.whole is not None:
            return None if is_empty(self.whole) else char_lengths(self.whole)
        grammar = self.plain if self.restriction is None else intersect_rules(self.plain, self.restriction)
        return Productions(grammar.rules, grammar.start).char_lengths()

    def may_be_ambiguous(self) -> bool | None:
        """Whether two derivations of one text cannot be ruled out."""
        return True if self.is_mixed else may_be_ambiguous(self.plain)

    def problems(self) -> list[Diagnostic]:
        """E0404, and E0403 with its cause."""
        if self.is_mixed:
            return self._restricted_libraries()
        span = self.grammar.span
        try:
            nothing = self.is_empty()
        except NotRegular as error:
            return [not_restrictable(error, self.grammar)]
        if nothing:
            return [self._empty_part() or mistakes.empty(span, "its parts leave no text")]
        found = restrictions(self.grammar.conditions, self.grammar.filters, self.grammar)
        blamed = blame(list(found), self.meets, span)
        return [blamed] if blamed else []

    def _restricted_libraries(self) -> list[Diagnostic]:
        """E0404 for each lexed grammar that stands inside with a restriction of its own, or in a restricted part."""
        found: dict[int, Diagnostic] = {}
        for name in reachable(self.grammar.start, self.grammar.rules):
            for part in _parts(self.grammar.rules[name]):
                inside = [inner for inner in _parts(part) if isinstance(inner, Embedded)]
                restricted = isinstance(part, Restricted | Intersection | Difference) and inside
                if restricted or any(inner.grammar.conditions or inner.grammar.filters for inner in inside):
                    place = next((inner for inner in (part, *inside) if inner.span is not None), part)
                    problem = mistakes.restricted_library(place.span, self.grammar.span)
                    found.setdefault(id(inside[0]), problem)
        return list(found.values())

    def _empty_part(self) -> Diagnostic | None:
        """The first part, inner ones first, that has no text although its own parts have."""
        for name in reachable(self.grammar.start, self.grammar.rules):
            for part in _parts(self.grammar.rules[name]):
                if part.span is not None and self._sub(part).is_empty():
                    return self._why(part)
        return None

    def _why(self, part: GrammarExpression) -> Diagnostic | None:
        match part:
            case Pattern():
                return mistakes.empty(part.span, "this pattern matches no text")
            case Intersection():
                return mistakes.empty(part.span, "no text is on both sides")
            case Difference():
                return mistakes.empty(part.span, "the right side takes every text of the left away")
            case Restricted(item, conditions):
                found = list(restrictions(conditions, (), self.grammar))
                return blame(found, self._sub(item).meets, part.span)
        return mistakes.empty(part.span, "this has no text")

    def _sub(self, part: GrammarExpression) -> ScannerlessLanguage:
        return ScannerlessLanguage(Grammar("", " part", {**self.grammar.rules, " part": part}))


def not_restrictable(error: NotRegular, grammar: Grammar) -> Diagnostic:
    """E0404 for a restriction that cannot be compiled."""
    if isinstance(error.expression, Embedded):
        return mistakes.restricted_library(error.expression.span, grammar.span)
    return mistakes.restricts_itself(error.expression.span, grammar.span)


def blame(found: list[Restriction], meets: Callable[[Dfa], bool], grammar_span: Span | None) -> Diagnostic | None:
    """E0403 if the restrictions leave nothing of a language that has texts: the one that alone does so, or the

    first that does so with those before it.
    """
    together: Dfa | None = None
    allowed = [dfa if keep else complement(dfa) for dfa, keep, _, _ in found]
    for dfa in allowed:
        together = dfa if together is None else intersect(together, dfa, ANALYSIS_LIMIT)
    if together is None or (not is_empty(together) and meets(together)):
        return None
    for dfa, (_, _, span, label) in zip(allowed, found):
        if not meets(dfa):
            return mistakes.empty(span or grammar_span, label)
    together = None
    for dfa, (_, _, span, label) in zip(allowed, found):
        together = dfa if together is None else intersect(together, dfa, ANALYSIS_LIMIT)
        if is_empty(together) or not meets(together):
            return mistakes.empty(span or grammar_span, f"{label}; with the conditions before it, nothing is left")
    return None


class LexedLanguage:
    """The language of a lexed grammar, bounded from outside by sequences of its terminals."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar

    @cached_property
    def lexed(self) -> LexedGrammar:
        """Lexer and parser."""
        return LexedGrammar(self.grammar)

    @cached_property
    def restriction(self) -> Dfa | None:
        """Conditions and filters."""
        return restriction_dfa(self.grammar)

    def meets(self, dfa: Dfa) -> bool:
        """Whether a sequence of texts of terminals is in a language: all texts of the grammar are such sequences."""
        return sequence_in(self.lexed.used_dfas(), dfa, ANALYSIS_LIMIT)

    def accepts(self, text: str) -> bool | None:
        """Membership, conditions and filters included."""
        if self.restriction is not None and not self.restriction.accepts(text.encode()):
            return False
        return self.lexed.accepts(text.encode())

    def can_contain(self, text: str) -> bool | None:
        """Whether a text has this part: if some lexeme can, unless the grammar is restricted by more than length."""
        wanted = containing(from_bytes(text.encode()))
        allowed = wanted if self.restriction is None else intersect(wanted, self.restriction)
        if is_empty(allowed) or not self.meets(allowed):
            return False
        only_lengths = all(isinstance(c, Limit) for c in self.grammar.conditions) and not self.grammar.filters
        in_lexeme = any(not is_empty(intersect(dfa, wanted)) for dfa in self.lexed.used_dfas())
        return True if in_lexeme and only_lengths else None

    def char_lengths(self) -> tuple[int, int | None] | None:
        """Not told: which terminals need blanks between them is not worked out here."""
        return None

    def may_be_ambiguous(self) -> bool | None:
        """Whether the LALR(1) tables have conflicts; cutting into lexemes leaves no choice."""
        return bool(self.lexed.tables.conflicts())

    def problems(self) -> list[Diagnostic]:
        """E0403, as far as it shows without parsing."""
        if not useful(self.lexed.cfg).productions:
            return [mistakes.empty(self.grammar.span, "its parts leave no text")]
        found = list(restrictions(self.grammar.conditions, self.grammar.filters, self.grammar))
        blamed = blame(found, self.meets, self.grammar.span)
        if blamed is not None:
            return [blamed]
        limits = [c for c in self.grammar.conditions if isinstance(c, Limit) and c.unit == "chars"]
        fewest = self.lexed.fewest_chars() if limits else 0
        broken = [limit for limit in limits if isinstance(limit.most, int) and limit.most < fewest]
        return [mistakes.empty(_place(c) or self.grammar.span, mistakes.limit_in_words(c)) for c in broken[:1]]


Language = ScannerlessLanguage | LexedLanguage
