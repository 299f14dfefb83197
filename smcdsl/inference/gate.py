"""The statistical gate: may these runs come from a sampler whose weights are proper?

A sampler is right if at every number of particles E[mean_i w_i f(x_i)] = Z pi(f), for every f (a posterior's own
frequencies need not be right at finite numbers of particles). So every run gives an estimate of the mass of each
value; indicator functionals of the values are averaged over the runs and compared with their exact masses. Weights
are skewed, so means are studentised with Hall's correction; a family of tests is judged by Holm's method; and a mean
that a few runs carry says nothing either way.

Sources: P. Hall (1992), "On the removal of skewness by transformation"; S. Holm (1979), "A simple sequentially
rejective multiple test procedure".
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALPHA = 1e-6
"""How often a right sampler fails a gate, at most, as far as Hall's correction holds so far out."""
CONCLUSIVE = 40.0
"""Runs' worth of values that must carry a mean; below it the test is inconclusive."""
HALVES = 24
"""Pseudo-random halves of the support among the functionals."""
_SHOWN = 3
"""Rejected functionals that a judgement names."""
_RARE = 0.02
"""Functionals of a smaller share of the mass are left out, and of a larger than the rest of it."""


def hall_p_value(values: Sequence[float] | NDArray[np.float64], mean: float) -> float:
    """Two-sided p-value of `mean` as the mean of skewed values, by Hall's transformation of the studentised mean."""
    array = np.asarray(values, dtype=np.float64)
    size, spread = len(array), float(array.std())
    if spread <= 1e-12 * abs(float(array.mean())):
        return 1.0 if math.isclose(float(array.mean()), mean, rel_tol=1e-9, abs_tol=1e-300) else 0.0
    skewness = float((((array - array.mean()) / spread) ** 3).mean())
    shift = (float(array.mean()) - mean) / spread
    inner = shift + skewness * shift**2 / 3 + skewness**2 * shift**3 / 27 + skewness / (6 * size)
    return math.erfc(abs(inner) * math.sqrt(size / 2))


def effective_count(values: Sequence[float] | NDArray[np.float64]) -> float:
    """By how many equal values a mean of non-negative ones is carried: (sum x)^2 / sum x^2; 0 if all are zero."""
    array = np.asarray(values, dtype=np.float64)
    peak = float(np.abs(array).max(initial=0.0))
    if peak == 0:
        return 0.0
    array = array / peak
    return float(array.sum() ** 2 / (array**2).sum())


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[bool]:
    """Which of a family of hypotheses are rejected; some true one among them with probability `alpha` at most."""
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


@dataclass(frozen=True)
class Functional:
    """The indicator of a set of values; `members` (V,) says which."""

    name: str
    members: NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """A functional tested: its exact mass, its mean over runs, how many runs' worth carry it, its p-value.

    `p_value` is None where the test is inconclusive.
    """

    name: str
    expected: float
    found: float
    effective: float
    p_value: float | None
    rejected: bool = False


@dataclass(frozen=True)
class Judgement:
    """What the gate says. `impossible` are values with weight that have no mass."""

    findings: tuple[Finding, ...]
    impossible: tuple[Any, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing is rejected, and the evidence itself was tested."""
        return not self.impossible and not self.rejected and self.conclusive

    @property
    def conclusive(self) -> bool:
        """Whether the mean evidence is carried by enough runs."""
        return self.findings[0].p_value is not None

    @property
    def rejected(self) -> tuple[Finding, ...]:
        """What is wrong, the evidence first."""
        return tuple(finding for finding in self.findings if finding.rejected)

    def __str__(self) -> str:
        if self.impossible:
            return f"impossible values have weight: {self.impossible[:3]!r}"
        worst = min((f.p_value for f in self.findings if f.p_value is not None), default=1.0)
        tested = sum(finding.p_value is not None for finding in self.findings)
        text = f"{tested} of {len(self.findings)} tested, least p {worst:.2g}"
        if not self.conclusive:
            return f"inconclusive: {self.findings[0].effective:.1f} runs' worth carry the evidence; {text}"
        wrong = [f"{f.name}: mean {f.found:.6g}, exact {f.expected:.6g}, p {f.p_value:.2g}" for f in self.rejected]
        more = [f"and {len(wrong) - _SHOWN} more"] if len(wrong) > _SHOWN else []
        return "; ".join([text, *wrong[:_SHOWN], *more])


def functionals(masses: Mapping[Hashable, float], texts: Mapping[Hashable, str] | None = None) -> list[Functional]:
    """About forty fixed indicator functionals of the values, none rare; all of them first, whose mass is the evidence.

    Args:
        masses: exact mass of every value.
        texts: what lengths, first and last characters are taken from; by default `str` of the value.
    """
    values = list(masses)
    shares = np.array([masses[value] for value in values])
    shares = shares / shares.sum()
    written = [str(value) if texts is None else texts[value] for value in values]
    wanted: dict[str, NDArray[np.bool_]] = {"Z": np.ones(len(values), dtype=np.bool_)}
    for place in np.argsort(-shares, kind="stable")[:6].tolist():
        wanted[f"value {written[place]!r}"] = np.arange(len(values)) == place
    for name, feature in (
        ("length", len),
        ("first", lambda text: text[:1]),
        ("last", lambda text: text[-1:]),
    ):
        features = [feature(text) for text in written]
        for each in sorted(set(features), key=repr):
            wanted.setdefault(f"{name} {each!r}", np.array([own == each for own in features]))
    for half in range(HALVES):
        wanted[f"half {half}"] = np.array([_bit(half, text) for text in written], dtype=np.bool_)
    return [
        Functional(name, members)
        for name, members in wanted.items()
        if name == "Z" or _RARE <= float(shares[members].sum()) <= 1 - _RARE
    ]


def _bit(number: int, text: str) -> bool:
    return bool(blake2b(f"{number} {text}".encode("utf-8", "surrogatepass"), digest_size=1).digest()[0] & 1)


def judge(
    masses: Mapping[Hashable, float],
    runs: Sequence[Mapping[Hashable, float]],
    *,
    alpha: float = ALPHA,
    texts: Mapping[Hashable, str] | None = None,
    evidence: Sequence[float] | None = None,
) -> Judgement:
    """Test runs against exact masses.

    Args:
        masses: the mass of every value that has any; they sum to Z.
        runs: for each independent run, its estimates of the masses: the mean over slots of weight, by value.
        alpha: the false-alarm rate of the whole family.
        texts: see `functionals`.
        evidence: what each run says of Z; by default the sum of its masses.
    """
    places = {value: place for place, value in enumerate(masses)}
    impossible = {value for run in runs for value, mass in run.items() if mass > 0 and value not in places}
    if impossible:
        return Judgement((Finding("Z", math.fsum(masses.values()), math.nan, 0.0, None),), tuple(impossible))
    found = np.zeros((len(runs), len(places)))
    for number, run in enumerate(runs):
        for value, mass in run.items():
            if mass > 0:
                found[number, places[value]] = mass
    wanted = functionals(masses, texts)
    exact = np.array(list(masses.values()))
    tested = [_tested(functional, exact, found[:, functional.members].sum(axis=1)) for functional in wanted]
    if evidence is not None:
        tested[0] = _tested(wanted[0], exact, np.asarray(evidence, dtype=np.float64))
    conclusive = [index for index, finding in enumerate(tested) if finding.p_value is not None]
    family = holm([tested[index].p_value or 0.0 for index in conclusive], alpha)
    wrong = {index for index, rejected in zip(conclusive, family, strict=True) if rejected}
    return Judgement(
        tuple(
            Finding(each.name, each.expected, each.found, each.effective, each.p_value, index in wrong)
            for index, each in enumerate(tested)
        )
    )


def _tested(functional: Functional, exact: NDArray[np.float64], values: NDArray[np.float64]) -> Finding:
    expected = float(exact[functional.members].sum())
    effective = effective_count(values)
    p_value = hall_p_value(values, expected) if effective >= CONCLUSIVE else None
    return Finding(functional.name, expected, float(values.mean()), effective, p_value)
