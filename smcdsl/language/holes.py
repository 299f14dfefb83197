"""Holes as they are declared one after the other: keys, types, boundaries, closed grammars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from smcdsl.errors import CompileError, Diagnostic, Span
from smcdsl.language import mistakes
from smcdsl.language import mistakes_judging as judging
from smcdsl.language.grammars import Grammars
from smcdsl.language.suggestions import closest
from smcdsl.language.symbols import Report, Value
from smcdsl.library.binding import RESERVED_BOUNDARIES, Outline, close, is_settled, outline_of
from smcdsl.program import statements as st
from smcdsl.program.facts import GrammarFacts
from smcdsl.program.grammar import Concatenation, Grammar, GrammarExpression, Limit, LiteralText, Restricted
from smcdsl.program.program import HoleDeclaration
from smcdsl.program.references import DeclaredReference, LibraryReference
from smcdsl.program.types import Type


@dataclass(frozen=True)
class DeclaredHole:
    """A hole after its declaration."""

    hole: st.Hole
    key: str
    type: Type


@dataclass
class Holes:
    """All holes of a transcript, in order, and what is known of their grammars."""

    report: Report
    grammars: Grammars
    facts: GrammarFacts | None
    declared: dict[str, HoleDeclaration] = field(default_factory=dict)
    outlines: dict[str, Outline] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    """Keys of grammar declarations that have been complained about."""
    looked_at: dict[str, set[str]] = field(default_factory=dict)
    """Rules that `at` and `each` name, by hole."""

    def check_declarations(self) -> None:
        """Find the mistakes of declared grammars; what refers to a wrong one is not judged again."""
        for key, declaration in self.grammars.declarations.items():
            for rule in declaration.rules:
                self._check(DeclaredReference(key, rule, span=declaration.span), declaration.name, key)

    def declare(self, hole: st.Hole, grammar: GrammarExpression) -> DeclaredHole:
        """Give the hole its key and find out about its grammar."""
        key = self._key(hole.name)
        outline = outline_of(grammar, self.grammars.declarations)
        self.report.add(*outline.problems)
        closed = self._check(grammar, hole.name, "")
        self.outlines[key] = outline
        resolved = replace(hole, key=key, grammar=grammar)
        self.declared[key] = HoleDeclaration(
            hole.name, hole.collects, grammar, closed, outline.boundaries, outline.value_type, hole.span
        )
        return DeclaredHole(resolved, key, outline.value_type)

    def boundary_mistake(self, hole: str, name: str, span: Span) -> Diagnostic | None:
        """What is wrong with naming this boundary of a hole (by its key), if anything."""
        outline = self.outlines[hole]
        if name in RESERVED_BOUNDARIES or name in outline.boundaries or self._is_wrong(hole):
            return None
        near = closest(name, (*outline.boundaries, *RESERVED_BOUNDARIES))
        declared = self.declared[hole]
        owner = outline.library or _named(declared.grammar) or declared.name
        return mistakes.no_such_boundary(declared.name, name, span, near, owner, outline.boundaries)

    def boundary_used(self, hole: str, name: str) -> None:
        """Remember that sites of this rule are asked for."""
        if name not in RESERVED_BOUNDARIES:
            self.looked_at.setdefault(hole, set()).add(name)

    def impossible(self, value: Value, text: str, span: Span) -> Diagnostic | None:
        """E0305 if a hole's grammar cannot produce a text that its value is compared with."""
        declared = self.declared.get(value.hole)
        if declared is None or declared.closed is None or self.facts is None or value.collects:
            return None
        if declared.type.name != "str" or self.facts.accepts(declared.closed, text) is not False:
            return None
        literals = self._literals(declared.grammar)
        alike = [each for each in literals if each.text.lower() == text.lower() and each.span is not None]
        others = [(each.span, "this differs only in case") for each in alike[:1] if each.span is not None]
        near = None if alike else closest(text, [each.text for each in literals])
        label = f"the grammar of `{value.name}` cannot produce this text"
        return mistakes.always_the_same("false", span, label, others, near, alike[0].text if alike else None)

    def _key(self, name: str) -> str:
        number = 1 + sum(declared.name == name for declared in self.declared.values())
        return name if number == 1 else f"{name}@{number}"

    def _is_wrong(self, hole: str) -> bool:
        return self._is_incomplete(self.declared[hole].grammar)

    def _is_incomplete(self, expression: GrammarExpression) -> bool:
        """Whether a part could not be resolved, or has been complained about."""
        keys = self.wrong | self.grammars.unresolved
        seen: set[str] = set()
        pending = [expression]
        while pending:
            for part in pending.pop().parts:
                if isinstance(part, Concatenation) and not part.items:  # stands for an unknown name
                    return True
                if not isinstance(part, DeclaredReference):
                    continue
                if part.declaration in keys:
                    return True
                if part.declaration not in seen and part.declaration in self.grammars.declarations:
                    seen.add(part.declaration)
                    pending += self.grammars.declarations[part.declaration].rules.values()
        return False

    def _check(self, grammar: GrammarExpression, name: str, key: str) -> Grammar | None:
        """The closed grammar if it can be had now and nothing is wrong with it."""
        declarations = self.grammars.declarations
        if self._is_incomplete(grammar) or not is_settled(grammar, declarations):
            return None
        if key and declarations[key].parameters:
            return None
        try:
            closed = close(grammar, declarations, {}, name)
        except CompileError as error:
            problems: Sequence[Diagnostic] = error.diagnostics
        else:
            problems = self.facts.problems(closed) if self.facts is not None else ()
            problems = [self._explained(problem, grammar) for problem in problems]
        self.report.add(*problems)
        if any(problem.severity == "error" for problem in problems):
            if key:
                self.wrong.add(key)
            return None
        return closed

    def _explained(self, problem: Diagnostic, grammar: GrammarExpression) -> Diagnostic:
        """E0403 with the length of what is restricted, where that is why no text is left."""
        if problem.code != "E0403" or self.facts is None:
            return problem
        expression = self._spelled_out(grammar)
        if not isinstance(expression, Restricted):
            return problem
        limits = [each for each in expression.conditions if isinstance(each, Limit) and each.unit == "chars"]
        item = expression.item
        if len(limits) != 1 or limits[0].span is None or item.span is None:
            return problem
        if not is_settled(item, self.grammars.declarations):
            return problem
        lengths = self.facts.char_lengths(close(item, self.grammars.declarations, {}, ""))
        if lengths is None:
            return problem
        others = [(item.span, f"`{_brief(item.span)}` is {_length(*lengths)}")]
        return judging.empty_grammar(limits[0].span, _limit(limits[0]), others)

    def _spelled_out(self, expression: GrammarExpression) -> GrammarExpression:
        """What a reference to a reference in the end refers to; itself if that leads round."""
        seen: set[tuple[str, str]] = set()
        while isinstance(expression, DeclaredReference):
            declaration = self.grammars.declarations[expression.declaration]
            key = expression.declaration, expression.rule or declaration.start
            if key in seen:
                return expression
            seen.add(key)
            expression = declaration.rules[key[1]]
        return expression

    def _literals(self, grammar: GrammarExpression) -> list[LiteralText]:
        """Literal texts that the grammar is made of."""
        found: list[LiteralText] = []
        seen: set[tuple[str, str]] = set()
        pending = [grammar]
        while pending:
            for part in pending.pop().parts:
                if isinstance(part, LiteralText):
                    found.append(part)
                elif isinstance(part, DeclaredReference):
                    declaration = self.grammars.declarations[part.declaration]
                    key = (part.declaration, part.rule or declaration.start)
                    if key not in seen:
                        seen.add(key)
                        pending.append(declaration.rules[key[1]])
        return found


def _named(grammar: GrammarExpression) -> str:
    while isinstance(grammar, Restricted):
        grammar = grammar.item
    if isinstance(grammar, LibraryReference):
        return grammar.signature.name
    return grammar.declaration if isinstance(grammar, DeclaredReference) else ""


def _brief(span: Span) -> str:
    return span.text if len(span.text) <= 30 and "\n" not in span.text else "this"


def _length(shortest: int, longest: int | None) -> str:
    if shortest == longest:
        return f"always {shortest} characters long"
    return f"at least {shortest} characters long" if longest is None else f"{shortest} to {longest} characters long"


def _limit(limit: Limit) -> str:
    if limit.least is None:
        return f"at most {limit.most} characters"
    return f"at least {limit.least} characters" if limit.most is None else f"{limit.least} to {limit.most} characters"
