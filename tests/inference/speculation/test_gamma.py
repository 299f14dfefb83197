"""`gamma: auto` on simulated rounds, whose costs and chances are known."""

from __future__ import annotations

import numpy as np
import pytest

from smcdsl.inference.speculation.gamma import Account, AdaptiveGamma, FixedGamma, Gamma


class Machine:
    """F + a rows for a pass, d a drafted depth; drafts are there with `presence` and accepted with `chance`."""

    def __init__(self, seed: int, fixed: float, row: float, depth: float, chance: float, presence: float = 1.0) -> None:
        self.generator = np.random.default_rng(seed)
        self.fixed, self.row, self.depth, self.chance, self.presence = fixed, row, depth, chance, presence

    def round(self, gamma: int, particles: int) -> Account:
        lengths = np.minimum(self.generator.geometric(1 - min(self.presence, 1 - 1e-9), particles) - 1, gamma)
        accepted = np.minimum(self.generator.geometric(1 - min(self.chance, 1 - 1e-9), particles) - 1, lengths)
        depths = np.arange(gamma)
        noise = self.generator.lognormal(0.0, 0.1, 2)
        rows = particles + int(lengths.sum())
        return Account(
            particles=particles,
            emitted=int((accepted + 1).sum()),
            rows=rows,
            fewest=particles,
            drafted=((lengths[:, None] > depths) & (accepted[:, None] >= depths)).sum(axis=0),
            accepted=(accepted[:, None] > depths).sum(axis=0),
            target_seconds=float((self.fixed + self.row * rows) * noise[0]),
            draft_seconds=float(self.depth * gamma * noise[1]),
            other_seconds=0.0,
        )


def seconds_per_token(gamma: Gamma, machine: Machine, tokens: int, particles: int = 4) -> float:
    seconds, written = 0.0, 0
    while written < tokens:
        chosen = gamma.choose(particles, particles)
        account = machine.round(chosen, particles)
        gamma.note(chosen, account)
        seconds += account.target_seconds + account.draft_seconds + account.other_seconds
        written += account.emitted
    return seconds / written


CASES = {
    "good model": (10.0, 1.0, 2.0, 0.9, 1.0),
    "dear model": (10.0, 1.0, 9.0, 0.6, 1.0),
    "useless model": (10.0, 1.0, 3.0, 0.1, 1.0),
    "rows cost much": (1.0, 5.0, 0.1, 0.5, 1.0),
    "free and rare": (10.0, 1.0, 0.001, 0.9, 0.4),
    "never there": (10.0, 1.0, 0.2, 0.9, 0.0),
}


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", CASES)
def test_auto_is_never_much_slower_than_no_draft_and_near_the_best(name: str, seed: int) -> None:
    """Over 4,000 tokens of four particles; fixed seeds, so nothing here is left to chance."""
    plain = seconds_per_token(FixedGamma(0), Machine(seed, *CASES[name]), 4000)
    best = min(seconds_per_token(FixedGamma(gamma), Machine(seed, *CASES[name]), 4000) for gamma in (0, 2, 4, 8, 16))
    found = seconds_per_token(AdaptiveGamma(), Machine(seed, *CASES[name]), 4000)
    assert found < 1.05 * plain
    assert found < 1.15 * best


def test_a_draft_that_turns_bad_is_given_up_and_one_that_turns_good_is_found() -> None:
    gamma = AdaptiveGamma()
    good, bad = (10.0, 1.0, 2.0, 0.9), (10.0, 1.0, 2.0, 0.05)
    for case, least, most in ((good, 1, 16), (bad, 0, 0), (good, 1, 16)):
        machine = Machine(5, *case)
        chosen = []
        for _ in range(400):
            chosen.append(gamma.choose(4, 4))
            gamma.note(chosen[-1], machine.round(chosen[-1], 4))
        late = np.array(chosen[-100:])
        assert np.mean((late >= least) & (late <= most)) > 0.9


def test_the_line_through_measured_passes_is_never_negative() -> None:
    gamma = AdaptiveGamma()
    for rows, seconds in ((4, 3.0), (8, 1.0), (4, 3.1), (8, 0.9)):
        none = np.zeros(0, dtype=np.int64)
        gamma.note(0, Account(4, 4, rows, 4, none, none, seconds, 0.0, 0.0))
    assert gamma.pass_seconds(100) == pytest.approx(gamma.pass_seconds(1))
    assert gamma.pass_seconds(1) > 0
