"""The laws of potentials, checked on beginnings of texts of a program's grammars, without a model.

As `verify` does it, and beside that what calls cost against what is declared.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smcdsl.engine import CompiledProgram
from smcdsl.engine.settings import Settings
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.report.amounts import duration
from smcdsl.verify.enumeration import Enumeration
from smcdsl.verify.verification import Check, Verification, Walked, promises, table_and_mass, texts
from smcdsl.workers import WorkerPools

TOLERANCE = 10.0
"""A call may cost this many times what is declared, or a millisecond: machines differ, first calls are slow."""
_LEAST_SECONDS = 1e-3
_WALKS = 3
"""A potential that seems dear is measured so often: others may have been using the machine."""
_FEWEST = 5
"""Calls of a potential below which its cost is not judged."""


def check_laws(program: CompiledProgram, values: Mapping[str, Any], settings: Settings) -> Verification:
    """Check the potentials of a program under inputs.

    Raises:
        CompileError: a grammar is wrong under these inputs.
        PotentialError: a function that the prompt needs failed.
    """
    with WorkerPools() as pools:
        made = table_and_mass(program, values, settings, pools)
        if isinstance(made, Check):
            checks = [made]
        else:
            checks = [texts(made.enumerated, made.setup), promises(made.enumerated, made.setup.plan)]
            if not made.enumerated.findings:
                checks.append(_costs(program, made, pools))
    return Verification(program.program.name, int(settings["seed"]), tuple(checks))


def _costs(program: CompiledProgram, made: Walked, pools: WorkerPools) -> Check:
    """Whether calls cost about what is declared; where nothing is, what they cost is said."""
    measured: dict[str, float] = {}
    for _ in range(_WALKS):
        for name, seconds in _seconds(program, made, pools).items():
            measured[name] = min(seconds, measured.get(name, seconds))
        dear = [name for name, seconds in measured.items() if _is_dear(program, name, seconds)]
        if not dear:
            break
    details = []
    for name, seconds in measured.items():
        declared = program.program.signatures[name].facts.cost_seconds
        promise = "it declares no cost" if declared is None else f"{duration(declared)} declared"
        details.append(f"{name} takes {duration(seconds)}; {promise}")
    return Check("costs", not dear, tuple(details) or ("too few calls to tell",))


def _seconds(program: CompiledProgram, made: Walked, pools: WorkerPools) -> dict[str, float]:
    """What one call of each potential took in another walk: the first one also loaded what potentials import."""
    setup, signatures = made.setup, program.program.signatures
    calls = PotentialCalls(setup.functions, pools=pools)
    try:
        Enumeration(setup.plan, setup.model, setup.automata, calls).run(setup.inputs)
    finally:
        calls.close()
    return {
        name: count.seconds / (count.n - count.cached)
        for name, count in calls.counts.items()
        if count.n - count.cached >= _FEWEST and name in signatures and signatures[name].is_potential
    }


def _is_dear(program: CompiledProgram, name: str, seconds: float) -> bool:
    declared = program.program.signatures[name].facts.cost_seconds
    return declared is not None and seconds > max(TOLERANCE * declared, _LEAST_SECONDS)
