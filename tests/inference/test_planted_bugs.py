"""The exactness tests have teeth: samplers made wrong on purpose give another mean evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_exactness import CASES

from smcdsl.inference.advance import Interpreter
from smcdsl.inference.particles import FINISHED
from smcdsl.inference.sampler import Sampler
from smcdsl.logspace import log_mean_exp


def count_previews_as_factors(patch: pytest.MonkeyPatch) -> None:
    look = Interpreter._look

    def wrong(self: Any, factor: Any, watch: Any, write: Any, course: Any, text: Any, sites: Any) -> Any:
        verdict, place = yield from look(self, factor, watch, write, course, text, sites)
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
    patch.setattr("smcdsl.inference.sampler.log_mean_exp", lambda values, axis: values.max(axis=axis))


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


def forget_dead_particles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        "smcdsl.inference.results.evidence",
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
    )
}


@pytest.mark.parametrize("scheme", ["systematic", "multinomial"])
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_moves_the_mean_evidence(bug: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = {name: CASES[name]() for name in ("one_hole", "previews", "guides", "occurrences")}
    expected = {name: case.enumerated()["Z"] for name, case in cases.items()}
    BUGS[bug](monkeypatch)
    wrong = {}
    for name, case in cases.items():
        found = case.exact(method="smc", particles=2, resample=scheme, ess_threshold=1.0)["Z"]
        wrong[name] = abs(found / expected[name] - 1)
    assert max(wrong.values()) > 1e-3, wrong
