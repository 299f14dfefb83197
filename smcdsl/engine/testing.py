"""Test blocks run: texts that a grammar must accept or reject, and claims on results (language reference, 2.13).

`accept` and `reject` need no model. An `expect` holds if it is true of more than half of the returned view: of the
most probable value under `return best`, else of the particles by weight.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smcdsl.engine.inputs import from_test
from smcdsl.engine.tried_grammar import TriedGrammar
from smcdsl.errors import Diagnostic, Label, SmcdslError
from smcdsl.program.evaluation import evaluate, freeze, potential_calls
from smcdsl.program.expressions import Expression
from smcdsl.program.program import GrammarTest, Program, Test

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram
    from smcdsl.engine.result import Result
    from smcdsl.protocols import LanguageModel

_HALF = 0.5
_LONGEST = 70


@dataclass(frozen=True)
class Checked:
    """One line of a test block. `passed` is None where it was left out; `problem` says why it failed."""

    line: str
    passed: bool | None
    detail: str = ""
    problem: Diagnostic | None = None


@dataclass(frozen=True)
class Tested:
    """A test block, run. `failure` is what kept it from being run to its end."""

    program: str
    name: str
    checks: tuple[Checked, ...]
    seconds: float
    failure: SmcdslError | None = field(default=None, compare=False)

    @property
    def passed(self) -> bool:
        """Nothing failed; what was left out does not count."""
        return self.failure is None and all(check.passed is not False for check in self.checks)

    @property
    def problems(self) -> tuple[Diagnostic, ...]:
        """All that is wrong."""
        found = tuple(check.problem for check in self.checks if check.problem is not None)
        return found if self.failure is None else (*found, *self.failure.diagnostics)


def run_tests(
    compiled: CompiledProgram,
    *,
    name_part: str = "",
    model: LanguageModel | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Iterator[Tested]:
    """Run the blocks of a program whose names contain `name_part`; without a model claims on results are left out.

    A block that cannot be run (its inputs do not fit, a run fails) is a failed one and does not stop the others.
    """
    tried: dict[int, TriedGrammar] = {}
    for test in compiled.program.tests:
        if name_part not in test.name:
            continue
        began = time.perf_counter()
        checks: list[Checked] = []
        failure: SmcdslError | None = None
        try:
            for check in _checks(compiled, test, model, flags or {}, tried):
                checks.append(check)
        except SmcdslError as error:
            failure = error
        yield Tested(compiled.program.name, test.name, tuple(checks), time.perf_counter() - began, failure)


def _checks(
    compiled: CompiledProgram,
    test: Test,
    model: LanguageModel | None,
    flags: Mapping[str, Any],
    tried: dict[int, TriedGrammar],
) -> Iterator[Checked]:
    for each in test.grammars:
        yield _text(compiled, test, each, tried)
    if not test.expects:
        return
    if model is None:
        yield from (Checked(_line("expect", claim.span.text), None, "needs a model") for claim in test.expects)
        return
    values = from_test(compiled.program, test)
    result = compiled.run(model, inputs=values, **flags)
    yield from (_claim(result, claim, values) for claim in test.expects)


def _text(compiled: CompiledProgram, test: Test, each: GrammarTest, tried: dict[int, TriedGrammar]) -> Checked:
    from smcdsl.library.binding import bind_grammar

    program = compiled.program
    grammar = bind_grammar(program, each.grammar, _known(program, test, each.grammar))
    if id(grammar) not in tried:
        tried[id(grammar)] = TriedGrammar(grammar, compiled.settings()["state_limit"])
    grammar_tried = tried[id(grammar)]
    reading = grammar_tried.read(each.text.encode())
    verb = "accept" if each.accept else "reject"
    line = _line(verb, each.span.text.removeprefix(verb))
    if reading.accepted == each.accept:
        return Checked(line, True)
    notes = ("limits on tokens need a model's tokenizer and do not count here",) if grammar_tried.without else ()
    if each.accept:
        message = f"`{each.grammar}` does not accept this text"
        label = _left(each.text, reading.read)
        notes = (*notes, f"`smcdsl grammar ... {each.grammar} --why-not` says what was possible there")
    else:
        message, label = f"`{each.grammar}` accepts this text", "it should be rejected"
    return Checked(line, False, label, Diagnostic("E0424", message, (Label(each.span, label, True),), notes))


def _left(text: str, read: int) -> str:
    before = text.encode()[:read].decode(errors="ignore")
    if len(before) == len(text):
        return "it may not end where the text ends"
    return f"it is left at {text[len(before)]!r}, character {len(before) + 1}"


def _known(program: Program, test: Test, grammar: str) -> dict[str, Any]:
    """The inputs that a grammar needs. Raises UsageError: one is missing or does not fit."""
    from dataclasses import replace

    from smcdsl.library.binding import expression_names
    from smcdsl.program.references import DeclaredReference

    reference = DeclaredReference(grammar, "", span=program.grammars[grammar].span)
    needed = expression_names(reference, program.grammars)
    inputs = tuple(known for known in program.inputs if known.name in needed)
    given = {name: value for name, value in test.inputs.items() if name in needed}
    return from_test(replace(program, inputs=inputs), replace(test, inputs=given))


def _claim(result: Result, claim: Expression, values: Mapping[str, Any]) -> Checked:
    """Whether a claim is true of more than half of what was returned."""
    particles = [each for each in result.particles if each.finished and each.log_weight > float("-inf")]
    if result.outcome.view == "best":
        particles = [each for each in particles if freeze(each.value) == freeze(result.best)]
    weights = _shares([each.log_weight for each in particles])
    holds = _truths(claim, [{**values, **each.names} for each in particles])
    share = sum(weight for weight, true in zip(weights, holds, strict=True) if true)
    what = "the best value" if result.outcome.view == "best" else "the posterior"
    detail = f"true of {100 * share:.3g} % of {what}"
    line = _line("expect", claim.span.text)
    if share > _HALF:
        return Checked(line, True, detail)
    note = f"the most probable value is {result.best!r}"
    return Checked(
        line,
        False,
        detail,
        Diagnostic("R0920", "the result is not as expected", (Label(claim.span, detail, True),), (note,)),
    )


def _shares(log_weights: list[float]) -> list[float]:
    import numpy as np

    from smcdsl.logspace import normalize

    shares: list[float] = normalize(np.array(log_weights)).tolist()
    return shares


def _truths(claim: Expression, environments: list[dict[str, Any]]) -> list[bool]:
    """The claim's value in each environment; calls are made once for equal arguments."""
    from smcdsl.inference.factors.calls import PotentialCalls, Request
    from smcdsl.library.functions import resolve_function

    calls = PotentialCalls(resolve_function)
    try:
        found = []
        for environment in environments:
            results: dict[Any, Any] = {}
            while wanted := potential_calls(claim, environment, results):
                answers = calls.answer([Request(call) for call in wanted])
                results |= {call.key: answer for call, answer in zip(wanted, answers, strict=True)}
            found.append(bool(evaluate(claim, environment, results)))
        return found
    finally:
        calls.close()


def _line(verb: str, text: str) -> str:
    written = " ".join(f"{verb} {text}".split())
    return written if len(written) <= _LONGEST else written[: _LONGEST - 1] + "…"
