"""What stands before and after each hole: whether the model can know where to stop (E0606, E0607, W0408, W0603).

Statements are walked backwards, carrying what comes next. Something given must stand between a hole and the next
hole or branch (language reference, 2.2.3). How often a loop runs is settled when a hole before it starts, unless that
depends on the hole; so what the next round and the end of the loop begin with is looked at one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from smcdsl.errors import Span
from smcdsl.language import mistakes_transcript as wording
from smcdsl.language.symbols import Report
from smcdsl.program import statements as st
from smcdsl.program.evaluation import free_names
from smcdsl.program.facts import GrammarFacts
from smcdsl.program.program import HoleDeclaration


@dataclass(frozen=True)
class _End:
    """The turn or the program ends."""


@dataclass(frozen=True)
class _Given:
    """Text comes; `text` is all of it up to what cannot be foreseen, if `known`."""

    text: str
    known: bool
    span: Span


@dataclass(frozen=True)
class _Inserted:
    """Text comes that depends on these names."""

    names: frozenset[str]
    span: Span


@dataclass(frozen=True)
class _Hole:
    """Another hole, or `observe`, comes at once."""

    span: Span
    name_span: Span


@dataclass(frozen=True)
class _Fork:
    """One of several things comes; which one depends on these names. `is_branch` if an `if` decides, not a loop."""

    names: frozenset[str]
    span: Span
    arms: tuple[_Next, ...]
    is_branch: bool = False


_Next = _End | _Given | _Inserted | _Hole | _Fork


def check_endings(
    body: Sequence[st.Statement],
    declared: Mapping[str, HoleDeclaration],
    facts: GrammarFacts | None,
    report: Report,
) -> None:
    """Report holes whose end cannot be known, and those that may end too early."""
    walk = _Walk(report, declared, facts, _dependencies(body))
    walk.before(body, _End())
    _Beginnings(report).statements(body)


def _dependencies(body: Sequence[st.Statement]) -> dict[str, frozenset[str]]:
    """The names that each `let` and template parameter is computed from."""
    found: dict[str, frozenset[str]] = {}
    for statement in body:
        match statement:
            case st.Let(name=name, expression=expression):
                found[name] = free_names(expression)
            case st.Scope(bindings=bindings, body=inner):
                found |= {name: free_names(expression) for name, expression in bindings}
                found |= _dependencies(inner)
            case st.Turn(body=inner) | st.Loop(body=inner):
                found |= _dependencies(inner)
            case st.Branch(then=then, otherwise=otherwise):
                found |= _dependencies(then) | _dependencies(otherwise)
    return found


@dataclass
class _Walk:
    report: Report
    declared: Mapping[str, HoleDeclaration]
    facts: GrammarFacts | None
    dependencies: Mapping[str, frozenset[str]]
    quiet: int = 0
    exits: list[_Next] = field(default_factory=list)

    def before(self, body: Sequence[st.Statement], following: _Next) -> _Next:
        """What comes first in `body` when `following` comes after it."""
        for statement in reversed(body):
            following = self._statement(statement, following)
        return following

    def _statement(self, statement: st.Statement, following: _Next) -> _Next:
        match statement:
            case st.Text(template=template):
                return self._template(template, following)
            case st.Observe(template=template):
                return _Hole(statement.span, template.span)
            case st.Turn(role="text", body=body):
                return self.before(body, following)
            case st.Turn(body=body):
                self.before(body, _End())
                return _End()
            case st.Scope(body=body):
                return self.before(body, following)
            case st.Branch():
                then = self.before(statement.then, following)
                otherwise = self.before(statement.otherwise, following)
                if then == otherwise == following:
                    return following
                word = Span(statement.span.source, statement.span.start, statement.span.start + len("if"))
                return _Fork(free_names(statement.condition), word, (then, otherwise), True)
            case st.Loop():
                return self._loop(statement, following)
            case st.Break():
                return self.exits[-1] if self.exits else following
            case _:
                return following

    def _loop(self, loop: st.Loop, following: _Next) -> _Next:
        bounds = free_names(loop.first) | (free_names(loop.last) if loop.last is not None else frozenset())
        word = Span(loop.span.source, loop.span.start, loop.span.start + len("for"))
        self.exits.append(following)
        self.quiet += 1
        again = self.before(loop.body, _End())
        self.quiet -= 1
        names = frozenset[str]()
        start = self.before(loop.body, following if again == following else _Fork(names, word, (again, following)))
        self.exits.pop()
        return following if start == following else _Fork(bounds, word, (start, following))

    def _template(self, template: st.Template, following: _Next) -> _Next:
        for part in reversed(template.parts):
            match part:
                case st.Given(text=text, span=span) if text:
                    rest, known = _rest(following)
                    following = _Given(text + rest, known, span)
                case st.Insert(expression=expression, span=span):
                    following = _Inserted(free_names(expression), span)
                case st.Hole():
                    self._check(part, following)
                    following = _Hole(part.span, part.name_span)
        return following

    def _check(self, hole: st.Hole, following: _Next) -> None:
        if self.quiet:
            return
        if isinstance(following, _Given):
            self._may_contain_its_end(hole, following)
            return
        self._settled(hole, following, self._unknown(hole.name))

    def _settled(self, hole: st.Hole, following: _Next, unknown: frozenset[str]) -> bool:
        match following:
            case _Hole():
                if following.span.start <= hole.span.start:
                    others = [(following.name_span, "the next round begins with a hole")]
                    self.report.add(wording.holes_touch(hole.span, hole.name, others))
                elif hole.span.end == following.span.start:
                    self.report.add(wording.holes_touch(hole.span.to(following.span), hole.name))
                else:
                    others = [(following.name_span, "the next one begins at once")]
                    self.report.add(wording.holes_touch(hole.span, hole.name, others))
                return False
            case _Inserted(names=names, span=span) if names & unknown:
                self.report.add(wording.unsettled_end(hole.name_span, True, span, f"this depends on `{hole.name}`"))
                return False
            case _Fork(names=names, span=span, arms=arms, is_branch=is_branch):
                depends = bool(names & unknown)
                if (depends or is_branch) and any(not isinstance(arm, _End) for arm in arms):
                    self.report.add(wording.unsettled_end(hole.name_span, depends, span, "two different continuations"))
                    return False
                return all(self._settled(hole, arm, unknown) for arm in arms)
            case _:
                return True

    def _unknown(self, name: str) -> frozenset[str]:
        """The hole's name, and all that is computed from it."""
        unknown = {name}
        while True:
            more = {each for each, names in self.dependencies.items() if each not in unknown and names & unknown}
            if not more:
                return frozenset(unknown)
            unknown |= more

    def _may_contain_its_end(self, hole: st.Hole, following: _Given) -> None:
        declared = self.declared.get(hole.key)
        if declared is None or declared.closed is None or self.facts is None or not following.known:
            return
        if self.facts.can_contain(declared.closed, following.text):
            shown = following.text.replace("\\", "\\\\").replace("/", "\\/").replace("\n", "\\n")
            self.report.add(wording.hole_may_contain_its_end(hole.name_span, following.span, _escaped(shown)))


def _rest(following: _Next) -> tuple[str, bool]:
    """The text that follows, and whether that is all of it up to the next hole or the end."""
    if isinstance(following, _Given):
        return following.text, following.known
    return "", isinstance(following, _End | _Hole)


def _escaped(text: str) -> str:
    """Characters that mean something in a regular expression, escaped."""
    return "".join("\\" + character if character in ".^$*+?{}[]|()" else character for character in text)


@dataclass
class _Beginnings:
    """Looks for given text that ends in a space right before a hole (W0603)."""

    report: Report
    space: Span | None = None

    def statements(self, body: Sequence[st.Statement]) -> None:
        """Forwards, in order; control flow forgets what came before."""
        for statement in body:
            match statement:
                case st.Text(template=template):
                    self._template(template)
                case st.Turn(role="text", body=inner):
                    self.statements(inner)
                case st.Turn(role=role, body=inner):
                    self.space = None
                    if role == "assistant":  # elsewhere the hole itself is the mistake
                        self.statements(inner)
                    self.space = None
                case st.Scope(body=inner):
                    self.statements(inner)
                case st.Branch(then=then, otherwise=otherwise):
                    before = self.space
                    self.statements(then)
                    self.space = before
                    self.statements(otherwise)
                    self.space = None
                case st.Loop(body=inner):
                    self.statements(inner)
                    self.space = None
                case st.Observe():
                    self.space = None

    def _template(self, template: st.Template) -> None:
        for part in template.parts:
            if isinstance(part, st.Given):
                if part.text:
                    end = part.span.end
                    is_space = part.text.endswith(" ") and part.span.text.endswith(" ")
                    self.space = Span(part.span.source, end - 1, end) if is_space else None
                continue
            if isinstance(part, st.Hole) and self.space is not None:
                self.report.add(wording.space_before_hole(self.space))
            self.space = None
