"""Conditional SMC: by enumeration, a sweep leaves the posterior over transcripts as it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from battery import Twist
from building import Functions, factor, hole, program, text, turn
from exact import BranchDraws, exact_means
from frequencies import assert_frequencies
from oracles.enumerated import language
from oracles.posterior import Enumeration
from running import automata, toy
from test_attempts import exact_mean, hopeless, mean_of, run_case, survivors
from test_exactness import CASES, Case

from smcdsl.compiler.compile import compile_program
from smcdsl.errors import UsageError
from smcdsl.inference import refining
from smcdsl.inference.conditional import Retained
from smcdsl.inference.draws import Purpose
from smcdsl.inference.methods import RunRequest, Settings
from smcdsl.inference.refining import choose, conditional_sweep
from smcdsl.inference.resampling import multinomial
from smcdsl.inference.runtime import opened
from smcdsl.program.evaluation import freeze

Path = tuple[int, ...]


def transcripts(case: Case) -> dict[Path, float]:
    """The posterior over whole transcripts, by enumeration."""
    oracle = Enumeration(case.program, case.model, case.languages, case.functions)
    masses: dict[Path, float] = {}
    for state in oracle.states(case.inputs):
        path = tuple(int(token) for token in oracle.flush(state).context)
        masses[path] = masses.get(path, 0.0) + state.weight
    total = math.fsum(masses.values())
    return {path: mass / total for path, mass in masses.items()}


def swept(case: Case, path: Path, provide: Any, lookahead: Any = None, **settings: Any) -> dict[Any, float]:
    """The exact law of the path drawn after a sweep that keeps `path`, and means of the evidence's powers."""
    if isinstance(lookahead, str):
        settings, lookahead = {**settings, "lookahead": lookahead}, None
    plan, made = compile_program(case.program), Settings(**settings)

    def values(draws: BranchDraws, groups: int) -> list[Mapping[Any, float]]:
        requests = [RunRequest(case.inputs, 0)] * groups
        with opened(
            plan,
            case.model,
            requests,
            automata=provide,
            functions=case.functions,
            settings=made,
            draws=lambda salt, size: draws,
            lookahead=lookahead,
        ) as runtime:
            return [masses(posterior) for posterior in conditional_sweep(runtime, [path] * groups, 0)]

    def masses(posterior: Any) -> dict[Any, float]:
        found: dict[Any, float] = {"1/Z": math.exp(-posterior.log_z), "log Z": posterior.log_z}
        for view, weight in zip(posterior.particles, posterior.normalized_weights, strict=True):
            if weight:
                found[view.path] = found.get(view.path, 0.0) + weight
        return found

    return exact_means(values)


def mixed(case: Case, **settings: Any) -> dict[Any, float]:
    """The same, from a path drawn from the posterior."""
    total: dict[Any, float] = {}
    # One automaton for all, so that a lookahead by its states' numbers is one as well.
    provide = automata(case.model, case.languages)
    for path, probability in transcripts(case).items():
        for name, value in swept(case, path, provide, **settings).items():
            total[name] = total.get(name, 0.0) + probability * value
    return total


@pytest.mark.parametrize(
    ("name", "threshold"), [(name, 1.0) for name in CASES] + [("loops", 0.5), ("chat", 0.5), ("previews", 0.5)]
)
def test_a_sweep_leaves_the_posterior_as_it_is(name: str, threshold: float) -> None:
    """Resampled whenever weights differ, and never: ESS is at least one of two."""
    case = CASES[name]()
    law = transcripts(case)
    found = mixed(case, particles=2, ess_threshold=threshold)
    for path, probability in law.items():
        assert found.get(path, 0.0) == pytest.approx(probability, rel=1e-12, abs=0.0)
    assert found.keys() - {"1/Z", "log Z"} <= law.keys()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("one_hole", {"particles": 3}),
        ("survivors", {"proposal": "lm"}),
        ("previews", {"proposal": "select"}),
        ("previews", {"proposal_temperature": 1.7}),
        ("previews", {"lookahead": Twist}),
        ("two_holes_with_a_branch", {"lookahead": Twist}),
        ("guides", {"lookahead": "guides"}),
    ],
)
def test_so_does_one_of_more_particles_or_with_another_proposal(name: str, settings: dict[str, Any]) -> None:
    case = survivors() if name == "survivors" else CASES[name]()
    law = transcripts(case)
    found = mixed(case, **{"particles": 2, "ess_threshold": 1.0, **settings})
    for path, probability in law.items():
        assert found[path] == pytest.approx(probability, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("name", ["previews", "guides", "two_holes_with_a_branch"])
def test_evidence_of_a_sweep_is_that_of_a_run_weighted_by_itself(name: str) -> None:
    """Started from the posterior, a sweep has the law of a run with each run counted as its evidence says.

    So the mean of 1/Z' is P(alive) / Z, and that of log Z' is above log Z.
    """
    case = CASES[name]()
    settings = {"particles": 2, "ess_threshold": 1.0}
    found, evidence = mixed(case, **settings), case.enumerated()["Z"]
    alive = run_mean(case, lambda log_z: float(log_z > -math.inf), **settings)
    assert found["1/Z"] == pytest.approx(alive / evidence, rel=1e-12, abs=0.0)
    by_itself = run_mean(case, lambda log_z: math.exp(log_z) * log_z if log_z > -math.inf else 0.0, **settings)
    assert found["log Z"] == pytest.approx(by_itself / evidence, rel=1e-12, abs=0.0)
    assert found["log Z"] > math.log(evidence)


def run_mean(case: Case, value: Callable[[float], float], **settings: Any) -> float:
    """The exact mean of a function of the log evidence of a run with independent ancestors."""
    return exact_mean(
        case, lambda posterior: value(posterior.log_z), resample="multinomial", stratified=False, **settings
    )


def test_a_retained_particle_that_may_lose_its_line_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def free(self: Retained, groups: Any, resamplings: Any, weights: Any, draws: Any) -> Any:
        count, size = weights.shape
        numbers = draws.uniforms(
            Purpose.RESAMPLE,
            np.repeat(resamplings, size),
            np.repeat(groups, size),
            np.tile(np.arange(size), count),
            lambda _: (np.cumsum(row) for row in weights for _ in range(size)),
        )
        return multinomial(weights, numbers.reshape(count, size))

    monkeypatch.setattr(Retained, "ancestors", free)
    # A copy of another path stands where the path should: what it is told to write next is not allowed there.
    case = CASES["previews"]()
    with pytest.raises(AssertionError):
        assert_invariant(case)


def test_a_path_that_is_never_left_out_of_the_draw_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ancestors of free particles drawn from the free ones only."""

    def among_free(self: Retained, groups: Any, resamplings: Any, weights: Any, draws: Any) -> Any:
        return np.tile(np.arange(weights.shape[1]), (len(weights), 1))

    monkeypatch.setattr(Retained, "ancestors", among_free)
    with pytest.raises(AssertionError):
        assert_invariant(CASES["previews"]())


def test_a_path_without_its_own_weight_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the local normalisers."""
    case = CASES["one_hole"]()
    rules = refining._rules
    monkeypatch.setattr(refining, "_rules", lambda runtime: replace(rules(runtime), normalizes=False))
    with pytest.raises(AssertionError):
        assert_invariant(case)


def assert_invariant(case: Case) -> None:
    law, found = transcripts(case), mixed(case, particles=2, ess_threshold=1.0)
    for path, probability in law.items():
        assert found.get(path, 0.0) == pytest.approx(probability, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("name", ["guides", pytest.param("occurrences", marks=pytest.mark.long)])
def test_refining_gets_nearer_to_the_posterior(name: str) -> None:
    """Total variation between the exact mean of what two particles say and the posterior, before and after a sweep."""
    case = CASES[name]()
    masses = case.enumerated()
    law = {value[1]: mass / masses["Z"] for value, mass in masses.items() if value != "Z"}
    distances = []
    for sweeps in range(2):
        found = mean_of(case, shares, particles=2, stratified=False, refine=sweeps)
        alive = sum(found.values())
        distances.append(sum(abs(found.get(value, 0.0) / alive - law[value]) for value in law) / 2)
    assert distances[1] < 0.7 * distances[0]


def shares(posterior: Any) -> dict[Any, float]:
    return {freeze(item.value): item.probability for item in posterior.support}


def test_the_evidence_stays_that_of_the_first_run() -> None:
    case = CASES["previews"]()
    (plain,), (refined,) = (run_case(case, [5], particles=8, refine=sweeps) for sweeps in (0, 3))
    assert refined.sweeps == 3
    assert refined.num_particles == 24
    assert 0 <= refined.moves <= 3
    assert (refined.log_z, refined.log_z_error, refined.eves) == (plain.log_z, plain.log_z_error, plain.eves)
    assert np.mean(np.exp(refined.log_weights)) == pytest.approx(np.exp(plain.log_z))
    for sweep in np.exp(refined.log_weights).reshape(3, 8):
        assert sweep.mean() == pytest.approx(np.exp(plain.log_z))
    assert refined.tokens["target"] > plain.tokens["target"]
    assert [view.slot for view in refined.particles] == list(range(24))


def test_a_run_without_survivors_is_not_refined() -> None:
    (posterior,) = run_case(hopeless(), particles=2, refine=2)
    assert posterior.sweeps == 0
    assert posterior.failure is not None


def test_groups_are_refined_apart_from_each_other() -> None:
    case = survivors()
    together = run_case(case, range(12), particles=2, refine=2, stratified=False)
    assert {posterior.sweeps for posterior in together} == {0, 2}
    for seed, posterior in enumerate(together):
        (alone,) = run_case(case, [seed], particles=2, refine=2, stratified=False)
        assert np.array_equal(alone.log_weights, posterior.log_weights)


def test_islands_are_refined_each() -> None:
    (posterior,) = run_case(CASES["previews"](), [3], particles=4, refine=2, islands=4)
    assert posterior.num_particles == 32
    assert np.exp(posterior.log_z) == pytest.approx(np.mean(np.exp(posterior.islands)))


def test_impure_potentials_are_refused() -> None:
    functions = Functions()
    noisy = functions.add("noisy", lambda q: 1.0, pure=False)
    made = program(turn("text", "b", text(hole("q"))), factor("score", noisy("q")))
    case = Case(made, toy(["a", "b"]), {"q": language(["a", "b"])}, functions)
    with pytest.raises(UsageError, match="needs pure potentials"):
        run_case(case, particles=2, refine=1)


@pytest.mark.statistical
@pytest.mark.parametrize("particles", [2, 5, 16])
@pytest.mark.parametrize("name", ["previews", "occurrences", "chat"])
def test_paths_drawn_after_a_sweep_are_posterior_draws(name: str, particles: int) -> None:
    """1000 sweeps from posterior draws, exact binomial tails: false alarms at most 1e-6 each.

    Whatever the number of particles; here with the draws of a run, as many as no enumeration could follow.
    """
    case = CASES[name]()
    law = transcripts(case)
    paths = list(law)
    generator = np.random.default_rng(11)
    starts = [paths[index] for index in generator.choice(len(paths), 1000, p=list(law.values()))]
    settings = Settings(particles=particles, ess_threshold=1.0)
    with opened(
        compile_program(case.program),
        case.model,
        [RunRequest(case.inputs, seed) for seed in range(1000)],
        automata=automata(case.model, case.languages),
        functions=case.functions,
        settings=settings,
    ) as runtime:
        found = choose(conditional_sweep(runtime, starts, 0), runtime.draws(1, particles))
    assert_frequencies(Counter(found), law, 1e-6)
    moved = sum(old != new for old, new in zip(starts, found, strict=True))
    assert moved > 0.03 * 1000 * (1 - sum(probability**2 for probability in law.values()))
