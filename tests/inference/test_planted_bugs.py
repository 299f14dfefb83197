"""The exactness tests and the battery have teeth: samplers made wrong on purpose give another mean evidence.

The bugs are those of the list that came with the method, as far as the runtime has what they break.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from battery import RUNS, gate, instance
from grid import Cell, judged
from test_exactness import CASES

from smcdsl.inference import proposals
from smcdsl.inference.advance import Interpreter
from smcdsl.inference.course import Course
from smcdsl.inference.draws import Purpose
from smcdsl.inference.particles import FINISHED, RUNNING
from smcdsl.inference.sampler import Sampler
from smcdsl.logspace import effective_sample_size, log_mean_exp, normalize

FEW = 240
"""Runs of most cells."""
MORE = {"never_choose_the_last_particle": 1000}


def count_previews_as_factors(patch: pytest.MonkeyPatch) -> None:
    look = Interpreter._look

    def wrong(self: Any, factor: Any, watch: Any, write: Any, course: Any, *rest: Any) -> Any:
        verdict, place = yield from look(self, factor, watch, write, course, *rest)
        if factor.verb != "guide":
            course.log_weight += verdict.log_weight
        return verdict, place

    patch.setattr(Interpreter, "_look", wrong)


def keep_guides(patch: pytest.MonkeyPatch) -> None:
    judge = Interpreter._judge

    def wrong(self: Any, factor: Any, course: Any) -> Any:
        if factor.verb == "guide":
            course.log_weight += course.previews.get(factor.index, 0.0)
        return (yield from judge(self, factor, course))

    patch.setattr(Interpreter, "_judge", wrong)


def drop_finished_particles(patch: pytest.MonkeyPatch) -> None:
    total = Sampler.total_log_weights

    def wrong(self: Any) -> Any:
        weights = total(self)
        return np.where(self.particles.status.reshape(weights.shape) == FINISHED, -np.inf, weights)

    patch.setattr(Sampler, "total_log_weights", wrong)


def forget_local_normalizers(patch: pytest.MonkeyPatch) -> None:
    draw = Sampler._draw

    def wrong(self: Any, log_rows: Any, rows: Any, own: Any, slots: Any) -> Any:
        tokens, weights = draw(self, log_rows, rows, own, slots)
        return tokens, np.where(np.isneginf(weights), weights, 0.0)

    patch.setattr(Sampler, "_draw", wrong)


def level_weights_at_their_maximum(patch: pytest.MonkeyPatch) -> None:
    patch.setattr("smcdsl.inference.meeting.log_mean_exp", lambda values, axis: values.max(axis=axis))


def keep_previews_through_resampling(patch: pytest.MonkeyPatch) -> None:
    resample = Sampler._resample

    def wrong(self: Any, groups: Any) -> None:
        before = self.resamplings.copy()
        resample(self, groups)
        for group in np.flatnonzero(self.resamplings > before).tolist():
            slots = self.particles.slots_of(np.array([group]))[0]
            total = self.particles.log_weights[slots] + self.interpreter.frames.previews[self.particles.frames[slots]]
            self.particles.log_weights[slots] = log_mean_exp(total)

    patch.setattr(Sampler, "_resample", wrong)


def keep_the_old_preview(patch: pytest.MonkeyPatch) -> None:
    judge = Interpreter._judge

    def wrong(self: Any, factor: Any, course: Any) -> Any:
        course.log_weight += course.previews.get(factor.index, 0.0)
        return (yield from judge(self, factor, course))

    patch.setattr(Interpreter, "_judge", wrong)


def weigh_factors_twice(patch: pytest.MonkeyPatch) -> None:
    weigh = Course.weigh
    patch.setattr(Course, "weigh", lambda self, factor, log_weight: weigh(self, factor, 2 * log_weight))


def never_choose_the_last_particle(patch: pytest.MonkeyPatch) -> None:
    ancestors = Sampler._ancestors

    def wrong(self: Any, groups: Any, weights: Any) -> Any:
        found = ancestors(self, groups, weights)
        return np.where(found == weights.shape[1] - 1, 0, found)

    patch.setattr(Sampler, "_ancestors", wrong)


def floor_small_weights(patch: pytest.MonkeyPatch) -> None:
    def wrong(log_weights: Any, axis: int = -1) -> Any:
        weights = np.maximum(normalize(log_weights, axis), 0.05)
        return weights / weights.sum(axis=axis, keepdims=True)

    patch.setattr("smcdsl.inference.meeting.normalize", wrong)


def forget_what_the_proposal_was(patch: pytest.MonkeyPatch) -> None:
    """With a lookahead: weigh by the normaliser of the mask alone."""

    def wrong(local: Any, rule: Any, own: Any, *rest: Any) -> Any:
        drawn = draw(local, rule, own, *rest)
        if local.log_twists is None:
            return drawn
        plain = [np.exp(local.log_target[a:b]).sum() for a, b in zip(local.starts, local.starts[1:])]
        return replace(drawn, log_weights=np.log(np.array(plain))[own.rows])

    draw = proposals._draw
    patch.setattr(proposals, "_draw", wrong)


def forget_dead_particles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "smcdsl.inference.results.reading.evidence",
        lambda groups: np.array([log_mean_exp(alive(weights)) for weights in groups]),
    )


def alive(weights: Any) -> Any:
    return weights[weights > -np.inf] if (weights > -np.inf).any() else weights


BUGS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    bug.__name__: bug
    for bug in (
        count_previews_as_factors,
        keep_guides,
        drop_finished_particles,
        forget_local_normalizers,
        level_weights_at_their_maximum,
        keep_previews_through_resampling,
        forget_dead_particles,
        keep_the_old_preview,
        weigh_factors_twice,
        never_choose_the_last_particle,
        floor_small_weights,
    )
}


NEEDS_NO_OTHER_SCHEME = (
    "keep_the_old_preview",
    "weigh_factors_twice",
    "never_choose_the_last_particle",
    "floor_small_weights",
)


@pytest.mark.parametrize(
    ("bug", "scheme"),
    [(bug, "systematic") for bug in BUGS] + [(bug, "multinomial") for bug in BUGS if bug not in NEEDS_NO_OTHER_SCHEME],
)
def test_a_planted_bug_moves_the_mean_evidence(bug: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {name: CASES[name]() for name in ("one_hole", "previews", "guides", "occurrences")}
    expected = {name: case.enumerated()["Z"] for name, case in cases.items()}
    BUGS[bug](monkeypatch)
    means = {}
    for name, case in cases.items():
        means[name] = case.exact(method="smc", particles=2, resample=scheme, ess_threshold=1.0)["Z"] / expected[name]
        if abs(means[name] - 1) > 1e-3:
            return
    pytest.fail(f"no case tells: {means}")


USUAL = (
    Cell("smc", "systematic", 1.0, "clause", "none", "clauses"),
    Cell("smc", "multinomial", 1.0, "token", "none", "dyck_kill"),
    Cell("smc", "ssp", 1.0, "token", "none", "tokens"),
)
GATED: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], tuple[Cell, ...]]] = {
    **{name: (bug, USUAL) for name, bug in BUGS.items()},
    # What some need to show: a guide that is not one everywhere, deaths that stay, a lookahead.
    "keep_guides": (keep_guides, (Cell("smc", "ssp", 1.0, "clause", "none", "guided"),)),
    "forget_dead_particles": (forget_dead_particles, (Cell("smc", "is", 0.0, "never", "none", "dyck_kill"),)),
    "never_choose_the_last_particle": (
        never_choose_the_last_particle,
        (Cell("two particles", "ssp", 1.0, "clause", "none", "clauses"),),
    ),
    "forget_what_the_proposal_was": (
        forget_what_the_proposal_was,
        (Cell("random lookahead", "ssp", 0.5, "clause", "none", "clauses"),),
    ),
}


@pytest.mark.statistical
@pytest.mark.parametrize("name", GATED)
def test_a_cell_of_the_grid_catches_a_planted_bug(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a rejection and not for lack of runs, most in a grid of half the runs of every commit's."""
    bug, cells = GATED[name]
    bug(monkeypatch)
    verdicts = (judged(cell, RUNS, MORE.get(name, FEW)) for cell in cells)
    assert any(verdict.failed and verdict.sums.conclusive for verdict in verdicts)


def resample_only_the_unfinished(patch: pytest.MonkeyPatch) -> None:
    """No bug: the finished keep their places and weights."""

    def other(self: Any, groups: Any) -> None:
        particles = self.particles
        totals = self.total_log_weights()
        for group in groups.tolist():
            slots = particles.slots_of(np.array([group]))[0]
            slots = slots[particles.status[slots] == RUNNING]
            own = totals[group][slots % particles.num_particles]
            if not len(slots) or effective_sample_size(own) > 0.8 * len(slots):
                continue
            places = np.arange(len(slots))
            same = np.full(len(slots), group)
            steps = np.full(len(slots), self.resamplings[group])
            numbers = self.draws.uniforms(Purpose.RESAMPLE, steps, same, places, lambda _: ())
            chosen = np.searchsorted(np.cumsum(normalize(own)), numbers, side="right")
            particles.take(slots, slots[np.minimum(chosen, len(slots) - 1)])
            previews = self.interpreter.frames.previews[particles.frames[slots]]
            particles.log_weights[slots] = log_mean_exp(own) - previews - particles.log_twists[slots]
            self.resamplings[group] += 1

    patch.setattr(Sampler, "_resample", other)


@pytest.mark.statistical
@pytest.mark.parametrize("problem", ["clauses", "tokens"])
def test_a_legal_variation_passes(problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """False alarms at most 1e-6 each."""
    resample_only_the_unfinished(monkeypatch)
    judgement = gate(instance(problem), range(RUNS))
    assert judgement.passed, judgement
