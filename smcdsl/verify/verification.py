"""All checks of a program, and what there is to say about each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from smcdsl.engine import CompiledProgram
from smcdsl.engine.automata import HoleAutomata
from smcdsl.engine.settings import Settings
from smcdsl.errors import Diagnostic
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.inference.sandwich import Sandwich
from smcdsl.inference.settings import Settings as RunSettings
from smcdsl.library.functions import resolve_function
from smcdsl.plan import Plan
from smcdsl.program.types import STR, list_of
from smcdsl.protocols import LanguageModel
from smcdsl.verify.enumeration import Enumerated, Enumeration
from smcdsl.verify.evidence import is_right, lines, measure
from smcdsl.verify.scouting import NotFound, pieces_of, scout
from smcdsl.verify.table_model import TableModel
from smcdsl.verify.weights import Exact, Setup, Tested, exact_weights, gate_weights
from smcdsl.workers import WorkerPools

RUNS = 2000
_WALKS = 8
_SHORT, _MOST_GIVEN = 40, 12
"""Characters of an input that may be a part of texts, and how many such parts are taken."""
_PIECES = (30, 16, 8)
"""How many pieces the table's vocabulary has: fewer where the texts of more are too many."""
_ENOUGH = 10
"""Values that are enough where there are longer ones that are left out."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `passed` is None where it could not be."""

    name: str
    passed: bool | None
    details: tuple[str, ...]
    findings: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class Verification:
    """What was checked of a program."""

    program: str
    seed: int
    checks: tuple[Check, ...]
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Nothing is wrong, and everything could be checked."""
        return all(check.passed for check in self.checks)

    @property
    def findings(self) -> tuple[Diagnostic, ...]:
        """What is wrong, with the text that shows it."""
        return tuple(finding for check in self.checks for finding in check.findings)


@dataclass(frozen=True)
class Walked:
    """The texts of a table, walked: what another walk needs, and what this one found."""

    setup: Setup
    enumerated: Enumerated


def verify(
    program: CompiledProgram,
    values: Mapping[str, Any],
    settings: Settings,
    *,
    runs: int = RUNS,
    examples: Sequence[str] = (),
    model: LanguageModel | None = None,
) -> Verification:
    """Check a program on a table model, under inputs.

    Args:
        model: a real model, on which the evidence sandwich is measured as well.
        examples: texts, or pieces of them, that ought to pass: where few texts do, chance does not find them.

    Raises:
        CompileError: a grammar is wrong under these inputs.
        UsageError: the inputs do not fit a potential.
        PotentialError: a function that the prompt needs failed.
    """
    seed = int(settings["seed"])
    numbers: dict[str, Any] = {}
    with WorkerPools() as pools:
        made = table_and_mass(program, values, settings, pools, examples)
        if isinstance(made, Check):
            checks = [made]
        else:
            checks = _on_the_table(made.setup, made.enumerated, settings, runs)
            numbers = _numbers(made.enumerated)
        if model is not None:
            found = measure(
                program.plan,
                model,
                values,
                RunSettings.of(settings.profile),
                seed=seed,
                state_limit=settings["state_limit"],
                pools=pools,
            )
            checks.append(_evidence(found))
            numbers |= _sides(found)
    return Verification(program.program.name, seed, tuple(checks), numbers)


def _on_the_table(setup: Setup, enumerated: Enumerated, settings: Settings, runs: int) -> list[Check]:
    checks = [texts(enumerated, setup), promises(enumerated, setup.plan)]
    if enumerated.findings:
        return [*checks, Check("weights", None, ("not looked at: the potentials come first",))]
    if not enumerated.masses:
        return checks
    seed, own = int(settings["seed"]), RunSettings.of(settings.profile)
    exact = exact_weights(setup, enumerated)
    return [*checks, _exact(exact), _weights(gate_weights(setup, enumerated, own, seed, runs), exact.passed)]


def _evidence(found: Sandwich | Diagnostic) -> Check:
    if isinstance(found, Diagnostic):
        return Check("evidence", None, ("it could not be measured on the model",), (found,))
    return Check("evidence", is_right(found), lines(found))


def _sides(found: Sandwich | Diagnostic) -> dict[str, Any]:
    if isinstance(found, Diagnostic):
        return {}
    names = ("lower", "lower_error", "upper", "upper_error", "gap", "log_z")
    sides = {name: getattr(found, name) for name in names}
    shown = {name: value if math.isfinite(value) else None for name, value in sides.items()}
    return {"evidence": {**shown, "runs": found.runs, "dead": found.dead, "is_bound": found.is_bound}}


def table_and_mass(
    program: CompiledProgram,
    values: Mapping[str, Any],
    settings: Settings,
    pools: WorkerPools,
    examples: Sequence[str] = (),
) -> Walked | Check:
    """A table whose texts can be enumerated, and their mass; where a hole has no short text, that finding."""
    plan, seed = program.plan, int(settings["seed"])
    given = _given(program, values, examples)
    scouting = _calls(pools)
    try:
        automata = HoleAutomata(plan.program, TableModel().vocabulary, settings["state_limit"])
        try:
            scouted = scout(plan, automata, dict(values), scouting, walks=_WALKS, seed=seed)
        except NotFound as missing:
            reason = f"no short text of hole `{missing}` was found, so there is nothing to enumerate"
            return Check("texts", None, (reason,))
    finally:
        scouting.close()
    best: Walked | None = None
    for most in _PIECES:
        model = TableModel(pieces_of(scouted, given, most, np.random.default_rng([seed, most])), seed)
        automata = HoleAutomata(plan.program, model.vocabulary, settings["state_limit"])
        calls = _calls(pools, checks=True)
        try:
            enumerated = Enumeration(plan, model, automata, calls).run(values)
        finally:
            calls.close()
        if best is None or len(enumerated.masses) > len(best.enumerated.masses) or enumerated.findings:
            best = Walked(Setup(plan, model, automata, resolve_function, values, pools), enumerated)
        if enumerated.findings or len(enumerated.masses) >= (2 if enumerated.whole else _ENOUGH):
            break
    assert best is not None, "there is a first size"
    return best


def _given(program: CompiledProgram, values: Mapping[str, Any], examples: Sequence[str]) -> list[bytes]:
    """Texts that pieces are made of before any that are found by chance: examples, tests, and short inputs."""
    accepted = [test.text for each in program.program.tests for test in each.grammars if test.accept]
    texts = [values[known.name] for known in program.program.inputs if known.type in (STR, list_of(STR))]
    inputs = [item for value in texts for item in (value if isinstance(value, list) else [value])]
    short = [text for text in inputs if isinstance(text, str) and len(text) <= _SHORT]
    return [text.encode() for text in dict.fromkeys([*examples, *accepted, *short])][:_MOST_GIVEN]


def _calls(pools: WorkerPools, checks: bool = False) -> PotentialCalls:
    return PotentialCalls(resolve_function, pools=pools, checks=checks)


def texts(found: Enumerated, setup: Setup) -> Check:
    """How much there was to look at."""
    pieces = len(setup.model.vocabulary) - len(TableModel().vocabulary)
    longest = f"all of up to {found.tokens} tokens" if found.whole else f"those of up to {found.tokens} tokens"
    details = [f"{found.num_texts:,} ways to write {len(found.masses):,} values, {longest} of a table of {pieces}"]
    if found.masses:
        details.append(f"log Z {found.log_z:.4f} by enumeration")
        return Check("texts", True, tuple(details))
    details.append("no text of the table has mass: every one was refused, or is longer; name some that should pass")
    return Check("texts", None, tuple(details))


def promises(found: Enumerated, plan: Plan) -> Check:
    """Whether potentials kept to what they promise."""
    looks = f"{found.num_previews:,} previews" if found.num_previews else "no previews"
    if found.findings:
        return Check("potentials", False, (f"{looks} looked at",), tuple(found.findings))
    promise = f"{looks}: what they refused has no mass" if found.num_previews else looks
    awaited = {f"`{hole}.{boundary}`" for factor in plan.factors for hole, boundary in factor.boundaries}
    if awaited and not found.num_previews:
        promise = f"{looks}: {', '.join(sorted(awaited))} never came, so how beginnings are judged is not checked"
    return Check("potentials", True, (promise, "asked twice, in other orders and batches: the same answers"))


def _exact(found: Exact) -> Check:
    if found.paths is None:
        return Check("exact weights", True, ("left to the gate: two particles have too many branches to visit",))
    said = f"{found.paths:,} branches of two particles: mean masses are right to {found.deviation:.1g}"
    if not found.passed:
        said = f"{found.paths:,} branches of two particles: a mean mass is off by {found.deviation:.2g} of it"
    return Check("exact weights", found.passed, (said,))


def _weights(tested: list[Tested], is_exact: bool) -> Check:
    """What the gate says, where it can say something.

    A mean that is too low may be that of runs among which the rare ones with the large weights are missing: where a
    preview favours what comes to nothing, what is right survives one resampling in thousands. Every branch of two
    particles being right, that is what it is; a mean that is too high has no such excuse.
    """
    details = []
    for each in tested:
        said = str(each.judgement) if each.judgement is not None else "a potential failed"
        details.append(f"{each.name}: {each.runs:,} runs, {said}")
        if is_exact and _is_only_low(each):
            details.append("too low, with every branch of two particles right: rare runs carry the rest; try more runs")
    failures = [each.failure for each in tested if each.failure is not None]
    undecided = not failures and all(
        each.passed or _is_inconclusive(each) or (is_exact and _is_only_low(each)) for each in tested
    )
    passed = True if all(each.passed for each in tested) else None if undecided else False
    return Check("weights", passed, tuple(details), tuple({str(each): each for each in failures}.values()))


def _is_only_low(tested: Tested) -> bool:
    """Whether all that is wrong with the means is that some are too low."""
    judgement = tested.judgement
    if judgement is None or judgement.impossible or not judgement.rejected:
        return False
    return all(finding.found < finding.expected for finding in judgement.rejected)


def _is_inconclusive(tested: Tested) -> bool:
    judgement = tested.judgement
    return judgement is not None and not judgement.impossible and not judgement.rejected and not judgement.conclusive


def _numbers(found: Enumerated) -> dict[str, Any]:
    return {
        "texts": found.num_texts,
        "values": len(found.masses),
        "previews": found.num_previews,
        "tokens": found.tokens,
        "whole": found.whole,
        "log_z": found.log_z if math.isfinite(found.log_z) else None,
    }
