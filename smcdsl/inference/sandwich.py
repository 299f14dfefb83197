"""The evidence sandwich: log Z between two numbers that a run can measure.

An ordinary run's estimate of Z is unbiased, so that the mean of its logarithm is at most log Z. A sweep that
keeps a path drawn from the posterior has the law of an ordinary run weighted by its own estimate, so that
the mean of 1/estimate is at most 1/Z, and that of the logarithm at least log Z. The gap between the two is
the sum of the Kullback-Leibler divergences, both ways, between what the sampler does and what it would do
if it were perfect: a small gap shows that a sampler works on a model that nobody can enumerate.

The upper side needs an exact draw from the posterior. Rejection sampling gives one, where enough draws are
accepted and every `score` is at most 1. From a draw of the run itself it is a bound only as far as that run
was right: such a sampler may miss a part of the posterior on both sides.

Source: Grosse, Ancha and Roy (2016), "Measuring the reliability of MCMC inference with bidirectional Monte
Carlo"; Zhao, Brekelmans, Makhzani and Grosse (2024), arXiv:2404.17546, section 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, UsageError
from smcdsl.inference.attempts import attempt, in_order
from smcdsl.inference.conditional import check_plan
from smcdsl.inference.factors.calls import Functions
from smcdsl.inference.holes import Automata
from smcdsl.inference.islands import island_seed
from smcdsl.inference.refining import FIRST_SALT, Path, choose, conditional_sweep
from smcdsl.inference.rejection import reject
from smcdsl.inference.runtime import Runtime, opened
from smcdsl.inference.settings import RunRequest, Settings
from smcdsl.logspace import log_mean_exp
from smcdsl.plan import Plan
from smcdsl.protocols import LanguageModel
from smcdsl.workers import WorkerPools

Start = Literal["rejection", "run"]


@dataclass(frozen=True)
class Sandwich:
    """What was measured; logs are natural, errors are standard errors of the means.

    `lower` is -inf if a run had no survivors (`dead` counts them), and `upper` NaN if no path was there to
    start from. `is_bound` says whether `upper` is a bound, in the mean, or only as good as the run itself.
    """

    runs: int
    dead: int
    lower: float
    lower_error: float
    log_z: float
    """The log of the mean estimate of the ordinary runs: the best single number."""
    upper: float
    upper_error: float
    start: Start
    lower_values: tuple[float, ...]
    upper_values: tuple[float, ...]

    @property
    def is_bound(self) -> bool:
        """Whether the kept paths were exact draws from the posterior."""
        return self.start == "rejection"

    @property
    def gap(self) -> float:
        """`upper` - `lower`: how far the sampler is from a perfect one, in nats; 0 if it is one."""
        return self.upper - self.lower

    @property
    def is_contradicted(self) -> bool:
        """Whether the sides stand the wrong way round by more than four standard errors: a sign of a wrong sampler."""
        errors = math.hypot(self.lower_error, self.upper_error)
        return self.lower - self.upper > 4 * errors + 1e-9


def evidence_sandwich(
    plan: Plan,
    model: LanguageModel,
    inputs: Mapping[str, Any],
    *,
    automata: Automata,
    functions: Functions,
    settings: Settings,
    seed: int = 0,
    runs: int = 16,
    start: Start | None = None,
    tries: int = 200,
    pools: WorkerPools | None = None,
) -> Sandwich:
    """Measure both sides with `runs` ordinary runs and as many sweeps that keep a path.

    Args:
        plan: from `compiler.compile.compile_program`.
        model: where tokens come from.
        inputs: the program's, defaults filled in.
        automata: makes the token automaton of a hole.
        functions: gives the Python function of a signature.
        settings: of the sampler that is measured: `smc` or `is`, with two particles or more. Repetitions
            (islands, growing, refinement) are left out, and `proposal: auto` is `mask`.
        seed: determines everything.
        runs: how many of each; four or more.
        start: where kept paths come from. By default rejection is tried, and where it does not find a draw
            for every run in time, each run's own population serves.
        tries: complete draws that rejection makes for each path, at most.
        pools: worker processes that outlive this.

    Raises:
        UsageError: a setting does not fit (E0711; E0708 for `awrs`), a potential does not always answer the same
            (E0711), or `start` is "rejection" and a `score` exceeds 1 (E0703) or nothing was accepted (E0711).
        PotentialError, ModelError: as `methods.run` raises them.
    """
    _check(plan, settings, runs)
    plain = replace(settings, islands=1, grow=0, grow_ess=0.0, retry=0, refine=0)
    if plain.proposal == "auto":
        plain = replace(plain, proposal="mask")
    requests = [RunRequest(inputs, island_seed(seed, run)) for run in range(runs)]

    def within(chosen: Settings, work: Callable[[Runtime], Any]) -> Any:
        with opened(
            plan, model, requests, automata=automata, functions=functions, settings=chosen, pools=pools
        ) as runtime:
            return work(runtime)

    paths = None
    if start != "run":
        paths = _by_rejection(within, plain, tries, needed=start == "rejection")
    return within(plain, lambda runtime: _measured(runtime, paths))


def _check(plan: Plan, settings: Settings, runs: int) -> None:
    check_plan(plan, "sandwich")
    if settings.proposal == "awrs":
        message = "the evidence sandwich keeps a path, and `proposal: awrs` has no weight for a path that is given"
        raise UsageError(Diagnostic("E0708", message, context="proposal: awrs", help="use `proposal: mask`"))
    if settings.method not in ("smc", "is") or settings.particles < 2 or runs < 4:
        raise UsageError(
            Diagnostic(
                "E0711",
                "the evidence sandwich needs `smc` or `is` with 2 particles or more, and 4 runs or more",
                facts=(f"given: `{settings.method}`, {settings.particles} particles, {runs} runs",),
            )
        )


def _by_rejection(within: Callable[..., Any], settings: Settings, tries: int, *, needed: bool) -> list[Path] | None:
    """An exact draw for every run; None if that takes too long, or cannot be, and is not needed.

    Which draw is accepted does not depend on how many were made before it, so that to give up after some
    number of draws leaves the law of those that were found in time as it is.
    """
    try:
        found = within(
            replace(settings, method="rejection", particles=1),
            lambda runtime: in_order(reject(runtime, max_rounds=tries)),
        )
    except UsageError:
        if needed:
            raise
        return None
    paths: list[Path] = [posterior.particles[0].path for posterior in found if posterior.finished.all()]
    if len(paths) == len(found):
        return paths
    if needed:
        message = f"rejection accepted a draw for {len(paths)} of {len(found)} runs"
        fix = "allow more tries, or start from the runs themselves (an approximate upper side)"
        raise UsageError(Diagnostic("E0711", message, facts=(f"within {tries} draws each",), help=fix))
    return None


def _measured(runtime: Runtime, paths: Sequence[Path] | None) -> Sandwich:
    first = in_order(attempt(runtime))
    kept: Sequence[Path | None] = paths or choose(first, runtime.draws(FIRST_SALT, runtime.settings.particles))
    lower = np.array([-math.inf if posterior.log_z is None else posterior.log_z for posterior in first])
    upper = np.empty(0)
    if any(path is not None for path in kept):
        swept = conditional_sweep(runtime, kept, FIRST_SALT + 1)
        upper = np.array([own.log_z for own, path in zip(swept, kept, strict=True) if path is not None])
    below, below_error = _mean(lower)
    above, above_error = _mean(upper)
    return Sandwich(
        runs=len(first),
        dead=int((lower == -np.inf).sum()),
        lower=below,
        lower_error=below_error,
        log_z=float(log_mean_exp(lower)),
        upper=above,
        upper_error=above_error,
        start="run" if paths is None else "rejection",
        lower_values=tuple(lower.tolist()),
        upper_values=tuple(upper.tolist()),
    )


def _mean(values: NDArray[np.float64]) -> tuple[float, float]:
    """The mean and its standard error; (-inf, NaN) where a value is -inf, NaN where there are too few."""
    if not np.isfinite(values).all():
        return -math.inf, math.nan
    if len(values) < 2:
        return (float(values[0]) if len(values) else math.nan), math.nan
    return float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))
