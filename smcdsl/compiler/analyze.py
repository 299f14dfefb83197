"""Grammar analysis: mistakes of closed grammars, and what the checker asks about their languages.

Nothing here needs a vocabulary or a model. Automata are built only up to a limit that keeps checking
fast; beyond it a question is answered with None, and compiling says what is too large.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TypeVar

from smcdsl.compiler import mistakes
from smcdsl.compiler.dfa import DEFAULT_STATE_LIMIT, NotRegular, TooLarge, from_expression
from smcdsl.compiler.forms import layout_terminals
from smcdsl.compiler.languages import (
    ANALYSIS_LIMIT,
    Language,
    LexedLanguage,
    ScannerlessLanguage,
    grammar_dfa,
    is_regular,
    not_restrictable,
    restriction_dfa,
)
from smcdsl.compiler.recursion import recursive_components
from smcdsl.compiler.regex import RegexError, parse
from smcdsl.errors import Diagnostic, Span
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Embedded,
    Grammar,
    GrammarExpression,
    Limit,
    Matches,
    Pattern,
    Reference,
    Repeat,
    Restricted,
    children,
    references,
)

__all__ = [
    "GrammarAnalysis",
    "check_grammar",
    "grammar_dfa",
    "is_regular",
    "not_restrictable",
    "restriction_dfa",
    "too_large",
]

Answer = TypeVar("Answer")


def check_grammar(grammar: Grammar) -> list[Diagnostic]:
    """The mistakes of a closed grammar: E0401, E0402, E0403, E0404, E0405."""
    return GrammarAnalysis().problems(grammar)


class GrammarAnalysis:
    """Implements `smcdsl.program.facts.GrammarFacts`. Remembers the grammars it was asked about last."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Grammar, Language]] = {}

    def problems(self, grammar: Grammar) -> list[Diagnostic]:
        """Mistakes of one kind at a time, as later kinds could follow from earlier ones."""
        found = regex_problems(grammar) or undefined_rules(grammar) or unfinished_rules(grammar)
        if found:
            return found
        try:
            return self._language(grammar).problems()
        except (TooLarge, RecursionError):
            return []

    def accepts(self, grammar: Grammar, text: str) -> bool | None:
        """Whether `text` is one of its texts; limits in tokens are passed over."""
        return self._answer(grammar, lambda language: language.accepts(text))

    def can_contain(self, grammar: Grammar, text: str) -> bool | None:
        """Whether some text of the grammar has `text` as a substring."""
        return self._answer(grammar, lambda language: language.can_contain(text))

    def char_lengths(self, grammar: Grammar) -> tuple[int, int | None] | None:
        """(shortest, longest) length of its texts in code points; longest None if without bound."""
        return self._answer(grammar, lambda language: language.char_lengths())

    def may_be_ambiguous(self, grammar: Grammar) -> bool | None:
        """Whether it cannot be shown that every text has one derivation."""
        return self._answer(grammar, lambda language: language.may_be_ambiguous())

    def _answer(self, grammar: Grammar, question: Callable[[Language], Answer | None]) -> Answer | None:
        try:
            return question(self._language(grammar))
        except (TooLarge, NotRegular, RegexError, RecursionError):
            return None

    def _language(self, grammar: Grammar) -> Language:
        known = self._known.get(id(grammar))
        if known is None or known[0] is not grammar:
            while len(self._known) >= 16:
                self._known.pop(next(iter(self._known)))
            is_lexed = grammar.lexing != "scannerless"
            known = (grammar, LexedLanguage(grammar) if is_lexed else ScannerlessLanguage(grammar))
            self._known[id(grammar)] = known
        return known[1]


def _parts(expression: GrammarExpression) -> Iterator[GrammarExpression]:
    agenda = [expression]
    while agenda:
        current = agenda.pop()
        yield current
        agenda.extend(reversed(children(current)))


def patterns(grammar: Grammar) -> Iterator[Pattern]:
    """Every regular expression of a grammar, those of embedded grammars and conditions included."""
    roots = [*grammar.rules.values(), *(filtered for filtered, _ in grammar.filters)]
    roots += [*(terminal.definition for terminal in grammar.terminals.values()), *grammar.fragments.values()]
    conditions = list(grammar.conditions)
    for part in (part for root in roots for part in _parts(root)):
        if isinstance(part, Pattern):
            yield part
        elif isinstance(part, Restricted):
            conditions.extend(part.conditions)
        elif isinstance(part, Embedded):
            yield from patterns(part.grammar)
    yield from (condition.pattern for condition in conditions if isinstance(condition, Matches))


def regex_problems(grammar: Grammar) -> list[Diagnostic]:
    """E0405 for each pattern that no automaton can be made of, once per place."""
    found: dict[tuple[object, str], Diagnostic] = {}
    for pattern in patterns(grammar):
        try:
            parse(pattern.regex, pattern.flags)
        except RegexError as error:
            span = part_of_pattern(pattern, error.start, error.end)
            key = (span and (span.start, span.end), pattern.regex)
            found.setdefault(key, mistakes.bad_regex(error, span or grammar.span))
    return list(found.values())


def part_of_pattern(pattern: Pattern, start: int, end: int) -> Span | None:
    """Where these characters of a pattern are written; the whole pattern where that cannot be told."""
    span = pattern.span
    if span is None:
        return None
    offset = span.text.find(pattern.regex)
    if offset < 0 or not pattern.regex:
        return span
    return Span(span.source, span.start + offset + start, span.start + offset + max(end, start + 1))


def undefined_rules(grammar: Grammar) -> list[Diagnostic]:
    """E0401 for each reference to nothing."""
    known = {*grammar.rules, *grammar.terminals, *layout_terminals(grammar)}
    missing = [r for body in grammar.rules.values() for r in references(body) if r.name not in known]
    if grammar.start not in known:
        missing.append(Reference((grammar.start,), span=grammar.span))
    return [
        mistakes.undefined_rule(r.name, r.span, next(iter(get_close_matches(r.name, known, 1)), "")) for r in missing
    ]


def unfinished_rules(grammar: Grammar) -> list[Diagnostic]:
    """E0402 for rules all of whose alternatives need the rule again; only where the circle is, not where it is used."""
    finishing: set[str] = {*grammar.terminals, *layout_terminals(grammar)}
    users: dict[str, list[str]] = {}
    for name, body in grammar.rules.items():
        for reference in references(body):
            users.setdefault(reference.name, []).append(name)
    pending = list(grammar.rules)[::-1]
    while pending:
        name = pending.pop()
        if name not in finishing and _finishes(grammar.rules[name], finishing):
            finishing.add(name)
            pending += users.get(name, ())
    stuck = {name: body for name, body in grammar.rules.items() if name not in finishing}
    found = []
    told: set[str] = set()
    for name, component in recursive_components(stuck).items():
        if name not in told:
            told |= component.members
            found.append(mistakes.never_finishes(name, stuck[name].span))
    return found


def _finishes(expression: GrammarExpression, finishing: set[str]) -> bool:
    """Whether some text of the expression needs only rules known to finish."""
    match expression:
        case Reference():
            return expression.name in finishing
        case Alternatives(items):
            return any(_finishes(item, finishing) for item in items)
        case Concatenation(items):
            return all(_finishes(item, finishing) for item in items)
        case Repeat(item, least, _):
            return least == 0 or _finishes(item, finishing)
    return all(_finishes(part, finishing) for part in children(expression))


def too_large(
    grammar: Grammar, limit: int = DEFAULT_STATE_LIMIT, effort: int = ANALYSIS_LIMIT, *, is_work: bool = False
) -> Diagnostic:
    """E0409 for a grammar that passed `limit` states: its largest rule or terminal, and what makes it so.

    Rules are measured up to `effort` states. With `is_work` the limit was one of work, not of states.
    """
    effort = min(effort, limit)
    sizes: dict[str, int | None] = {}
    bodies: dict[str, GrammarExpression] = {**grammar.rules, **grammar.definitions}
    components = recursive_components(grammar.rules)
    likely = sorted(bodies, key=lambda name: -_largest_number(bodies[name]))[:_MOST_BLAMED]
    for name in (name for name in bodies if name in likely):
        body = bodies[name]
        if name not in components:
            inside = grammar.definitions if name in grammar.definitions else grammar.rules
            try:
                sizes[name] = len(from_expression(body, inside, effort))
            except TooLarge:
                sizes[name] = None
            except (NotRegular, RegexError):
                continue
    # A rule passes the limit with the rules inside it; the innermost is to blame.
    past = [name for name, size in sizes.items() if size is None]
    inner = [name for name in past if not any(r.name in past for r in references(bodies[name]))]
    worst = inner[0] if inner else max(sizes, key=lambda name: sizes[name] or 0, default="")
    reason = _largest_count(bodies[worst]) if worst else ""
    return mistakes.too_large(grammar.span, limit, worst, sizes.get(worst), effort, reason, is_work=is_work)


_COUNT = re.compile(r"\{(\d*)(?:,(\d*))?\}")


_MOST_BLAMED = 100
"""Rules that are measured to find the one to blame; those with the largest counts come first."""


def _largest_number(expression: GrammarExpression) -> int:
    return max((number for number, _ in _counts(expression)), default=0)


def _largest_count(expression: GrammarExpression) -> str:
    """The repetition or limit with the largest number, as it is written; empty if all are small."""
    largest = max(_counts(expression), default=(0, ""))
    return largest[1] if largest[0] >= 20 else ""


def _counts(expression: GrammarExpression) -> list[tuple[int, str]]:
    """Repetitions and limits, as (their number, how they are written)."""
    found: list[tuple[int, str]] = []
    for part in _parts(expression):
        if isinstance(part, Pattern):
            found.extend((max(int(n or 0) for n in m.groups()), m.group()) for m in _COUNT.finditer(part.regex))
        elif isinstance(part, Repeat):
            high = "" if part.most is None else str(part.most)
            found.append((max(part.least, part.most or 0), f"{{{part.least},{high}}}"))
        elif isinstance(part, Restricted):
            limits = [c for c in part.conditions if isinstance(c, Limit)]
            found.extend((_bound(limit), mistakes.limit_in_words(limit)) for limit in limits)
    return found


def _bound(limit: Limit) -> int:
    return max(bound for bound in (limit.least, limit.most, 0) if isinstance(bound, int))
