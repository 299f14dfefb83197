"""Factors: what `require`, `score` and `guide` may say, and where they may look."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from smcdsl.errors import Edit, Span
from smcdsl.language import fitting, mistakes
from smcdsl.language import mistakes_judging as judging
from smcdsl.language.expressions import Typed, check_expression, mentioned
from smcdsl.language.symbols import Value
from smcdsl.program import expressions as tree
from smcdsl.program import statements as st
from smcdsl.program.evaluation import children, free_names
from smcdsl.program.expressions import Expression, FunctionCall
from smcdsl.program.types import STR, Signature

if TYPE_CHECKING:
    from smcdsl.language.transcript import Transcript


@dataclass(frozen=True)
class FactorUse:
    """A checked factor, for what is judged when the whole program is known."""

    factor: st.Factor
    written: Expression
    high: float


class FactorChecker:
    """Checks one factor at its place in a transcript."""

    def __init__(self, transcript: Transcript) -> None:
        self.transcript = transcript
        self.report = transcript.report

    def check(self, factor: st.Factor) -> tuple[st.Factor, FactorUse]:
        """The resolved factor; mistakes go to the report."""
        flow = self.transcript.flow
        each = factor.each
        if each is not None:
            self._each(factor, each)
            value = Value(each.variable, "occurrence", STR, each.variable_span, generated=True)
            self.transcript.flow = {**flow, each.variable: value}
        typed = self.transcript.expression(factor.expression, "factor")
        self.transcript.flow = flow
        if factor.verb == "require":
            self._is_yes_or_no(factor, typed)
        else:
            self._is_weight(factor, typed)
        boundaries = () if each is not None else self._boundaries(factor, typed.expression)
        checked = replace(factor, expression=typed.expression, boundaries=boundaries)
        if factor.verb == "guide" and boundaries and all(boundary.name == "end" for boundary in boundaries):
            self._useless_guide(boundaries[0])
        return checked, FactorUse(checked, factor.expression, typed.high)

    # ---- what the expression is

    def _is_yes_or_no(self, factor: st.Factor, typed: Typed) -> None:
        if not fitting.is_yes_or_no(typed.type):
            verb = Span(factor.span.source, factor.span.start, factor.span.start + len(factor.verb))
            self.report.add(mistakes.requires_yes_or_no(typed.type, factor.expression.span, verb))

    def _is_weight(self, factor: st.Factor, typed: Typed) -> None:
        span = factor.expression.span
        if typed.type.name == "bool" and not typed.type.optional:
            return
        if not fitting.is_number(typed.type):
            self.report.add(mistakes.needs_a_number(f"`{factor.verb}`", typed.type, span))
        elif typed.low < 0 and typed.type.name not in ("any", "json"):
            shown = span.text if "\n" not in span.text and len(span.text) <= 50 else "..."
            what, label = "this", mistakes.is_a(typed.type)
            notes: tuple[str, ...] = ()
            if isinstance(typed.expression, FunctionCall):
                signature = typed.expression.signature
                what, label = f"`{signature.name}`", f"declared `-> {signature.result}`{_where(signature.declared)}"
                notes = _how_to_declare(signature)
            inner = f"({shown})" if isinstance(factor.expression, tree.Binary) else shown
            example = f"{factor.verb} exp({inner} / 0.5)"
            self.report.add(mistakes.may_be_negative(what, span, label, example, f"`{factor.verb}`", notes=notes))

    # ---- each

    def _each(self, factor: st.Factor, each: st.Each) -> None:
        known = self.transcript.flow.get(each.variable)
        if known is not None:
            self.report.add(mistakes.defined_twice(each.variable, known.span, each.variable_span))
        source = each.source
        written = source.span.text
        hole_name = source.base if isinstance(source, tree.Field) else source
        typed = check_expression(hole_name, self.transcript.scope("factor"))
        self.transcript.used |= {name.name for name in mentioned(typed.expression)}
        value = self.transcript.flow.get(hole_name.name) if isinstance(hole_name, tree.Name) else None
        if value is None or value.condition:
            return
        if value.kind != "hole":
            self.report.add(judging.each_needs_sites(written, source.span, "this is not a hole"))
        elif isinstance(source, tree.Field):
            self._rule_of(value, source.name, source.name_span)
        elif not value.collects:
            self.report.add(judging.each_needs_sites(written, source.span, "the rule is missing"))
        if factor.boundaries:
            self._at_beside_each(factor, each, written)

    def _rule_of(self, hole: Value, rule: str, span: Span) -> None:
        if not hole.hole:
            return
        problem = self.transcript.holes.boundary_mistake(hole.hole, rule, span)
        if problem is not None:
            self.report.add(problem)
        else:
            self.transcript.holes.boundary_used(hole.hole, rule)

    def _at_beside_each(self, factor: st.Factor, each: st.Each, source: str) -> None:
        span = _at_span(factor, each.source.span.end)
        remove = Edit(Span(span.source, each.source.span.end, span.end), "")
        self.report.add(judging.at_beside_each(each.variable, source, span, span.text, remove))

    # ---- at

    def _boundaries(self, factor: st.Factor, expression: Expression) -> tuple[st.Boundary, ...]:
        resolved = []
        for boundary in factor.boundaries:
            hole = self._hole_of(boundary, expression)
            if hole is None:
                continue
            name = boundary.name.rpartition(".")[2]
            place = Span(boundary.span.source, boundary.span.end - len(name), boundary.span.end)
            problem = self.transcript.holes.boundary_mistake(hole.hole, name, place) if hole.hole else None
            if problem is not None:
                self.report.add(problem)
            else:
                self.transcript.holes.boundary_used(hole.hole, name)
                self._may_look(factor, boundary, name, hole, expression)
            resolved.append(replace(boundary, name=name, hole=hole.name))
        return tuple(resolved)

    def _hole_of(self, boundary: st.Boundary, expression: Expression) -> Value | None:
        """The hole that a boundary speaks of: the one it names, else the last one that the factor mentions."""
        flow = self.transcript.flow
        named = boundary.name.rpartition(".")[0]
        if named:
            name = tree.Name(Span(boundary.span.source, boundary.span.start, boundary.span.start + len(named)), named)
            self.transcript.expression(name, "factor")
            value = flow.get(named)
            if value is not None and value.kind != "hole":
                self.report.add(judging.at_without_hole(boundary.span))
                return None
            return value
        holes = [flow[name.name] for name in mentioned(expression) if name.name in flow]
        holes = [value for value in holes if value.kind == "hole"]
        if not holes and not self.report.has_errors:
            self.report.add(judging.at_without_hole(boundary.span))
        return holes[-1] if holes else None

    def _may_look(
        self, factor: st.Factor, boundary: st.Boundary, name: str, hole: Value, expression: Expression
    ) -> None:
        """E0501: whether every potential that gets the hole's text may be called there."""
        if name == "end":
            return
        for call in judging_calls(expression, frozenset({hole.name})):
            signature = call.signature
            prefix = signature.facts.prefix
            if not signature.is_potential or prefix == "any" or (prefix == "closed" and name != "token"):
                continue
            stated = self.transcript.module.fact_spans.get(signature.name)
            declared = None
            if stated is not None:
                declared = (stated, "declared here")
            elif signature.declared is not None:
                declared = (
                    signature.declared,
                    f"declares `prefix: {prefix}`" if prefix != "none" else "has no prefix form",
                )
            if prefix == "closed":
                self.report.add(judging.only_judges_at_boundaries(signature.name, boundary.span, hole.name, declared))
            else:
                whole = _at_span(factor, factor.expression.span.end)
                remove = Edit(Span(whole.source, factor.expression.span.end, whole.end), "")
                self.report.add(
                    judging.only_judges_finished_text(
                        signature.name, boundary.span, hole.name, declared, remove, whole.text
                    )
                )
            return

    def _useless_guide(self, boundary: st.Boundary) -> None:
        key = self.transcript.flow[boundary.hole].hole if boundary.hole in self.transcript.flow else ""
        outline = self.transcript.holes.outlines.get(key)
        example = outline.parts[0] if outline is not None and outline.parts else "token"
        self.report.add(judging.guide_without_effect(boundary.span, example))


def judging_calls(expression: Expression, holes: Set[str]) -> list[FunctionCall]:
    """Calls that get the text of one of these holes, or something computed from it."""
    if isinstance(expression, tree.Inlined):
        found = [call for argument in expression.arguments for call in judging_calls(argument, holes)]
        bound = {
            parameter
            for parameter, argument in zip(expression.parameters, expression.arguments, strict=True)
            if free_names(argument) & holes
        }
        return found + judging_calls(expression.body, bound | (holes - set(expression.parameters)))
    inner = [call for child in children(expression) for call in judging_calls(child, holes)]
    if isinstance(expression, FunctionCall) and free_names(expression) & holes:
        return [expression, *inner]
    return inner


def _at_span(factor: st.Factor, after: int) -> Span:
    """`at clause, subquery` as it is written, from the word `at`."""
    source = factor.span.source
    start = source.text.index("at", after)
    return Span(source, start, factor.boundaries[-1].span.end)


def _how_to_declare(signature: Signature) -> tuple[str, ...]:
    """What the author of a function may promise in place of a bare number."""
    if not signature.location.path:
        return ()
    return (
        f"`-> {signature.result}` may be any number: in Python, `-> Weight` promises one that is never negative, and "
        "`-> LogWeight` stands for one that is exponentiated; then no `exp` is needed here",
    )


def _where(declared: Span | None) -> str:
    if declared is None:
        return ""
    line, _ = declared.source.position(declared.start)
    return f" in {declared.source.name}:{line}" if declared.source.name.endswith(".py") else ""
