"""The evidence sandwich of a program on a real model, whose texts nobody can walk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from smcdsl.engine.automata import HoleAutomata
from smcdsl.errors import Diagnostic, PotentialError, UsageError
from smcdsl.inference.sandwich import Sandwich, evidence_sandwich
from smcdsl.inference.settings import BIASED, Settings
from smcdsl.library.functions import resolve_function
from smcdsl.plan import Plan
from smcdsl.protocols import LanguageModel
from smcdsl.workers import WorkerPools

RUNS = 16


def measure(
    plan: Plan,
    model: LanguageModel,
    inputs: Mapping[str, Any],
    settings: Settings,
    *,
    seed: int,
    state_limit: int,
    pools: WorkerPools,
) -> Sandwich | Diagnostic:
    """Both sides of log Z with the program's own settings; or why they cannot be measured.

    Raises:
        ModelError: the model failed.
    """
    method = "smc" if settings.method in BIASED or settings.method not in ("smc", "is") else settings.method
    chosen = replace(settings, method=method, particles=max(settings.particles, 2), check_potentials=False)
    automata = HoleAutomata(plan.program, model.vocabulary, state_limit)
    try:
        return evidence_sandwich(
            plan,
            model,
            inputs,
            automata=automata,
            functions=resolve_function,
            settings=chosen,
            seed=seed,
            runs=RUNS,
            pools=pools,
        )
    except (UsageError, PotentialError) as error:
        return error.diagnostics[0]


def is_right(found: Sandwich) -> bool | None:
    """False if the sides stand the wrong way round; None if one is missing."""
    if found.is_contradicted:
        return False
    return True if math.isfinite(found.lower) and math.isfinite(found.upper) else None


def lines(found: Sandwich) -> tuple[str, ...]:
    """What there is to say."""
    if not math.isfinite(found.upper):
        return (f"{found.dead} of {found.runs} runs had no survivors, so there is no upper side",)
    below = f"{found.lower:.4g} (error {found.lower_error:.2g})" if math.isfinite(found.lower) else "minus infinity"
    above = f"{found.upper:.4g} (error {found.upper_error:.2g})"
    said = [f"{below} <= log Z <= {above}, {found.runs} runs a side; best {found.log_z:.4g}"]
    if found.dead:
        said.append(f"{found.dead} runs had no survivors: try more particles")
    else:
        said.append(f"gap {found.gap:.2g} nats: how far the sampler is from a perfect one, both ways together")
    if not found.is_bound:
        said.append("the upper side starts from the runs themselves: no bound where all of them miss something")
    return tuple(said)
