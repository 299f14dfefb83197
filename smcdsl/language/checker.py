"""From a syntax tree to a Program: every part checked, all mistakes collected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from smcdsl.errors import Diagnostic, Span
from smcdsl.language import fitting, mistakes, syntax
from smcdsl.language import mistakes_judging as judging
from smcdsl.language import mistakes_transcript as wording
from smcdsl.language.costs import slow_factor
from smcdsl.language.endings import check_endings
from smcdsl.language.expressions import Scope, Typed, check_expression
from smcdsl.language.factors import FactorUse
from smcdsl.language.grammars import Grammars
from smcdsl.language.holes import Holes
from smcdsl.language.pedantry import pedantic_warnings
from smcdsl.language.potentials import read_parameters
from smcdsl.language.resolver import Module
from smcdsl.language.settings import METHODS, read_model_settings, read_profiles
from smcdsl.language.suggestions import closest
from smcdsl.language.symbols import Report
from smcdsl.language.transcript import Transcript, holes_in, lets_in
from smcdsl.language.undeclared import undeclared_potentials
from smcdsl.language.values import written_value
from smcdsl.program.expressions import Constant, Expression, Name
from smcdsl.program.facts import GrammarFacts
from smcdsl.program.grammar import GrammarExpression
from smcdsl.program.program import GrammarTest, InferenceProfile, Input, Program, Return, Test
from smcdsl.program.promises import judged_by_workers, refuses_for_good
from smcdsl.program.references import DeclaredReference
from smcdsl.program.statements import Statement
from smcdsl.program.types import ANY, Signature, Type

_Declared = TypeVar("_Declared", bound=syntax.Declaration)


@dataclass(frozen=True)
class Examined:
    """What the checks found out about a file, wrong ones included: what an editor shows."""

    module: Module
    program: Program | None
    holes: Holes
    factors: tuple[FactorUse, ...]


def examine_tree(module: Module, facts: GrammarFacts | None, *, is_whole: bool, pedantic: bool = False) -> Examined:
    """Check a file; its program is None for a module or where something is wrong.

    Args:
        module: the file, with its imports read.
        facts: answers about grammars; without it, what needs automata is not checked.
        is_whole: no syntax mistake hides a part of the file, so what is missing is really missing.
    """
    checker = _Checker(module, facts, is_whole)
    program = checker.program()
    if pedantic:
        module.report.add(*pedantic_warnings(program, facts, has_errors=module.report.has_errors))
        program = replace(program, warnings=checker.warnings)
    is_program = not module.report.has_errors and module.tree.kind == "program"
    return Examined(module, program if is_program else None, checker.holes, tuple(checker.factors))


@dataclass
class _Parts:
    """The declarations of which a program has one each."""

    generate: syntax.Generate | None
    returned: syntax.ReturnSyntax | None


class _Checker:
    """Checks one file's declarations in an order in which each finds what it needs."""

    def __init__(self, module: Module, facts: GrammarFacts | None, is_whole: bool) -> None:
        self.module = module
        self.report: Report = module.report
        self.facts = facts
        self.is_whole = is_whole and not module.tree.broken
        self.grammars = Grammars()
        self.holes = Holes(module.report, self.grammars, facts)
        self.factors: list[FactorUse] = []

    def program(self) -> Program:
        """Check everything."""
        module = self.module
        self.grammars.declare(module)
        self.holes.check_declarations()
        _define_potentials(module)
        inputs = self._inputs()
        model = read_model_settings(self._all(syntax.ModelBlock), self.report)
        profiles = self._profiles()
        parts = _Parts(_first(self._all(syntax.Generate)), _first(self._all(syntax.ReturnSyntax)))
        transcript = self._transcript(parts.generate)
        body = transcript.statements(parts.generate.body) if parts.generate is not None else ()
        if module.tree.kind == "program":
            self._has_holes(parts.generate)
        self._unused_templates(transcript)
        check_endings(body, self.holes.declared, self.facts, self.report)
        returns = self._return(parts.returned, transcript)
        tests = tuple(self._test(each, transcript) for each in self._all(syntax.TestSyntax))
        self.factors = transcript.factors
        self._methods(returns, profiles)
        self._whole_program(transcript, tests)
        return self._assembled(inputs, model, profiles, body, returns, tests, transcript)

    def _assembled(
        self,
        inputs: tuple[Input, ...],
        model: object,
        profiles: tuple[InferenceProfile, ...],
        body: tuple[Statement, ...],
        returns: Return,
        tests: tuple[Test, ...],
        transcript: Transcript,
    ) -> Program:
        tree = self.module.tree
        name = tree.name.text if tree.name is not None else Path(tree.source.name).stem
        return Program(
            name=name,
            summary=tree.summary or "",
            edition=tree.edition,
            source=tree.source,
            inputs=inputs,
            model=model,  # type: ignore[arg-type]
            grammars=self.grammars.declarations,
            signatures=_signatures(self.module),
            holes=self.holes.declared,
            body=body,
            returns=returns,
            profiles=profiles,
            tests=tests,
            warnings=self.warnings,
            files=tuple(dict.fromkeys(self.module.files)),
            uses_chat=transcript.first_raw is None,
        )

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """The warnings so far."""
        return tuple(each for each in self.report.diagnostics if each.severity == "warning")

    def _all(self, kind: type[_Declared]) -> list[_Declared]:
        return [each for each in self.module.tree.declarations if isinstance(each, kind)]

    # ---- inputs and settings

    def _inputs(self) -> tuple[Input, ...]:
        inputs = []
        for declaration in self._all(syntax.InputSyntax):
            name = declaration.name.text
            known = self.module.inputs.get(name)
            if known is None or known.span != declaration.name.span:
                continue
            default = None
            if declaration.default is not None:
                default = written_value(name, known.type, declaration.default, self.module)
            inputs.append(
                Input(name, known.type, declaration.default is None, default, declaration.help or "", declaration.span)
            )
        return tuple(inputs)

    def _profiles(self) -> tuple[InferenceProfile, ...]:
        declared = self._all(syntax.Infer)
        seen: dict[str, Span] = {}
        for block in declared:
            name = block.name.text if block.name is not None else ""
            place = block.name.span if block.name is not None else block.keyword
            if name in seen and (name or block.method.text in METHODS):
                message = f"two profiles are called `{name}`" if name else "a program has one `infer` without a name"
                self.report.add(mistakes.defined_twice(name, seen[name], place, message))
            seen.setdefault(name, place)
        return read_profiles(declared, self.report)

    # ---- the transcript

    def _transcript(self, generate: syntax.Generate | None) -> Transcript:
        body = generate.body if generate is not None else ()
        return Transcript(
            self.report,
            self.grammars,
            self.holes,
            dict(self.module.inputs),
            {hole.name: hole.name_span for hole in reversed(holes_in(body)) if hole.name != "_"},
            {let.name: let.name_span for let in reversed(lets_in(body))},
            self.module,
        )

    def _has_holes(self, generate: syntax.Generate | None) -> None:
        if not self.is_whole or self.holes.declared:
            return
        if generate is None:
            first = self.module.tree.source.line(1)
            span = Span(self.module.tree.source, 0, len(first.rstrip()))
            self.report.add(wording.nothing_to_write(span, "there is no `generate` block in this file"))
        else:
            label = "there is no hole `[[name: grammar]]` in this block"
            self.report.add(wording.nothing_to_write(generate.keyword, label))

    def _unused_templates(self, transcript: Transcript) -> None:
        """Templates that nothing uses are checked on their own, as if inside an `assistant` turn."""
        for template in self.module.templates.values():
            if any(template is used for used in transcript.templates_used):
                continue
            alone = self._transcript(None)
            alone.holes = Holes(self.report, self.grammars, self.facts)
            alone.flow |= read_parameters(template.parameters, Module(self.module.tree, self.module.search, Report()))
            alone.later_holes = {hole.name: hole.name_span for hole in holes_in(template.body)}
            alone.check_template(template)
            transcript.grammar_roots += [each.grammar for each in alone.holes.declared.values()]

    # ---- return

    def _return(self, declared: syntax.ReturnSyntax | None, transcript: Transcript) -> Return:
        names = list(dict.fromkeys(each.name for each in self.holes.declared.values() if each.name != "_"))
        if declared is None:
            return self._implied_return(names, transcript)
        typed = transcript.expression(declared.expression, "return")
        samples = None
        if declared.samples is not None:
            samples = transcript.expression(declared.samples, "return").expression
            count = samples.value if isinstance(samples, Constant) else None
            if not isinstance(count, int) or isinstance(count, bool) or count < 1:
                self.report.add(wording.samples_need_a_count(declared.samples.span, "write the number itself"))
        key = None if declared.key is None else self._key(declared.key, transcript)
        view = declared.view or "posterior"
        return Return(view, typed.expression, samples, _open_type(typed.type), declared.span, key)

    def _key(self, key: Expression, transcript: Transcript) -> Expression:
        """What `by` compares: it must be able to differ from draw to draw."""
        before = len(self.report.diagnostics)
        typed = transcript.expression(key, "key")
        if not typed.generated and len(self.report.diagnostics) == before:
            holes = [each.name for each in self.holes.declared.values() if each.name != "_"]
            self.report.add(wording.key_is_always_the_same(key.span, holes[-1] if holes else ""))
        return typed.expression

    def _implied_return(self, names: Sequence[str], transcript: Transcript) -> Return:
        generate = _first(self._all(syntax.Generate))
        place = generate.keyword if generate is not None else Span(self.module.tree.source, 0, 0)
        if len(names) == 1:
            name = Name(transcript.flow[names[0]].span, names[0]) if names[0] in transcript.flow else None
            if name is not None:
                typed = transcript.expression(name, "return")
                return Return("posterior", typed.expression, None, typed.type)
        elif names and self.is_whole:
            self.report.add(wording.nothing_returned(place, names))
        elif self.holes.declared and self.is_whole:
            self.report.add(wording.nothing_named(place))
        return Return("posterior", Constant(place, None), None, ANY)

    # ---- tests

    def _test(self, test: syntax.TestSyntax, transcript: Transcript) -> Test:
        inputs: dict[str, object] = {}
        places: dict[str, Span] = {}
        grammars: list[GrammarTest] = []
        expects: list[Expression] = []
        for item in test.items:
            if isinstance(item, syntax.TestInput):
                self._test_input(item, inputs, places)
            elif isinstance(item, syntax.TestText):
                if self._test_grammar(item):
                    grammars.append(GrammarTest(item.accept, item.grammar.text, item.text, item.span))
            else:
                expects.append(self._expect(item, transcript).expression)
        if expects:
            declared = self._all(syntax.InputSyntax)
            missing = [each.name.text for each in declared if each.default is None and each.name.text not in places]
            if missing:
                self.report.add(wording.test_lacks_inputs(test.name, missing, test.keyword))
        return Test(test.name, inputs, tuple(grammars), tuple(expects), test.span)

    def _test_input(self, item: syntax.TestInput, inputs: dict[str, object], places: dict[str, Span]) -> None:
        name = item.name.text
        known = self.module.inputs.get(name)
        if known is None:
            if name not in self.report.silent:
                near = closest(name, self.module.inputs)
                self.report.add(mistakes.unknown_value(name, item.name.span, near, "an input"))
            return
        if name in places:
            self.report.add(wording.given_twice(name, places[name], item.name.span))
        places[name] = item.name.span
        inputs[name] = written_value(name, known.type, item.value, self.module)

    def _test_grammar(self, item: syntax.TestText) -> bool:
        name = item.grammar.text
        declaration = self.module.grammars.get(name)
        if declaration is None:
            if name not in self.report.silent:
                near = closest(name, self.module.grammars)
                self.report.add(judging.undefined_rule(name, item.grammar.span, near, None))
            return False
        if declaration.parameters:
            names = [each.name.text for each in declaration.parameters]
            self.report.add(mistakes.missing_parameter(name, names, item.grammar.span, ""))
            return False
        return True

    def _expect(self, item: syntax.TestExpect, transcript: Transcript) -> Typed:
        scope = Scope(self.report, self.module.functions, transcript.flow, "expect")
        typed = check_expression(item.expression, scope)
        if not fitting.is_yes_or_no(typed.type):
            self.report.add(mistakes.condition_needs_yes_or_no("expect", typed.type, item.expression.span))
        return typed

    # ---- the whole

    def _methods(self, returns: Return, profiles: Sequence[InferenceProfile]) -> None:
        """What the chosen methods cannot do."""
        for block in self._all(syntax.Infer):
            method = block.method.text
            if method == "beam" and returns.view != "best":
                place = returns.span or block.method.span
                returned = _returned_part(place)
                self.report.add(wording.one_answer_only(method, returned, block.method.span))
            elif method == "rejection":
                self._scores_at_most_one()
            self._without_effect(block)
        for use in self.factors:
            slow = slow_factor(use, self.holes, profiles[0])
            if slow is not None:
                self.report.add(slow)
        self.report.add(*undeclared_potentials(self.factors))

    def _without_effect(self, block: syntax.Infer) -> None:
        """Settings that need a factor of a kind that the program does not have."""
        values = {setting.name.text: setting.value for setting in block.settings}
        factors = [use.factor for use in self.factors if use.factor.each is None]
        checked = [factor for factor in factors if factor.verb == "require" and factor.boundaries]
        proposal, previews = values.get("proposal"), values.get("previews")
        if isinstance(proposal, Name) and proposal.name == "awrs" and "refine" in values:
            label = "it has no weight for a path that `refine` keeps"
            self.report.add(wording.bad_setting("proposal", proposal.span, "`mask` beside `refine`", label))
        tempered = values.get("proposal_temperature")
        if tempered is not None and isinstance(proposal, Name) and proposal.name not in ("auto", "mask"):
            label = f"`{proposal.name}` has no temperature of its own"
            self.report.add(wording.bad_setting("proposal", proposal.span, "`mask` beside a temperature", label))
        if (
            isinstance(proposal, Name)
            and proposal.name == "awrs"
            and not any(refuses_for_good(factor.expression) for factor in checked)
        ):
            self.report.add(wording.nothing_checks_tokens(proposal.span))
        if (
            isinstance(previews, Name)
            and previews.name == "late"
            and not any(factor.boundaries and judged_by_workers(factor.expression) for factor in factors)
        ):
            self.report.add(wording.nothing_can_be_late(previews.span))

    def _scores_at_most_one(self) -> None:
        for use in self.factors:
            if use.factor.verb == "score" and use.high > 1:
                text = use.written.span.text
                shown = text if "\n" not in text and len(text) <= 50 else ""
                self.report.add(wording.score_above_one(use.written.span, shown))

    def _whole_program(self, transcript: Transcript, tests: Sequence[Test]) -> None:
        """What is never used, and sites that may not be well defined."""
        if not self.is_whole or self.module.tree.kind == "module" or self.report.has_errors:
            return
        self._ambiguous()
        for key, declared in self.holes.declared.items():
            if declared.name != "_" and declared.name not in transcript.used and key == declared.name:
                self.report.add(judging.never_used(declared.name, _name_span(declared.span, declared.name)))
        roots: list[GrammarExpression] = [each.grammar for each in self.holes.declared.values()]
        roots += transcript.grammar_roots
        roots += [DeclaredReference(each.grammar, "") for test in tests for each in test.grammars]
        for name, span in self.grammars.unused(roots):
            self.report.add(judging.rule_never_used(name, span))

    def _ambiguous(self) -> None:
        for key in self.holes.looked_at:
            declared = self.holes.declared.get(key)
            if declared is None or declared.closed is None or self.facts is None:
                continue
            if self.facts.may_be_ambiguous(declared.closed):
                span = declared.grammar.span or declared.span
                self.report.add(judging.may_be_ambiguous(span.text if len(span.text) < 30 else declared.name, span))


def _first(found: list[_Declared]) -> _Declared | None:
    return found[0] if found else None


def _define_potentials(module: Module) -> None:
    for inner in module.modules.values():
        _define_potentials(inner)
    for name in module.potentials:
        module.potential(name)


def _signatures(module: Module) -> dict[str, Signature]:
    """Every Python function that the program can call, by the name it has in messages."""
    found: dict[str, Signature] = {}
    for inner in module.modules.values():
        found |= _signatures(inner)
    for library in module.libraries.values():
        found |= {signature.name: signature for signature in library.functions.values()}
    for name in module.potentials:
        potential = module.potential(name)
        if isinstance(potential, Signature):
            found[potential.name] = potential
    return found


def _open_type(type_: Type) -> Type:
    """A literal's type is `str` in a result."""
    return Type("str", optional=type_.optional) if len(type_.choices) == 1 else type_


def _returned_part(span: Span) -> Span:
    """The view word of a `return`, or what is returned."""
    words = span.text.split(None, 2)
    if len(words) < 2:
        return span
    start = span.start + span.text.index(words[1], len(words[0]))
    return Span(span.source, start, start + len(words[1]))


def _name_span(hole: Span, name: str) -> Span:
    start = hole.start + hole.text.index(name)
    return Span(hole.source, start, start + len(name))
