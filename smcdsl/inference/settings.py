"""What a run is asked to do: Settings, and one RunRequest a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from smcdsl.program.program import InferenceProfile, Method, Scheme

if TYPE_CHECKING:
    from smcdsl.inference.posterior import Posterior

BIASED: Mapping[str, str] = {
    "lcd": "`lcd` masks each token and renormalises; the probability of the mask and all factors are left out",
    "rerank": "`rerank` weighs locally constrained samples by the factors; the probability of the mask is left out",
}
"""Methods that do not draw from the program's posterior, and why."""


@dataclass(frozen=True)
class Settings:
    """How to run; never what the result means (but for the biased methods).

    `max_tokens` is the most that the model may write in any one particle. A particle that reaches it,
    or the time limit, dies of the budget and the result is incomplete.
    """

    method: Method = "smc"
    particles: int = 16
    resample: Scheme = "systematic"
    ess_threshold: float = 0.5
    proposal: Literal["mask", "lm"] = "mask"
    timeout_seconds: float | None = None
    max_tokens: int | None = None
    check_potentials: bool = False
    """Whether all calls of pure functions are made again at the end, and compared (R0908)."""

    @classmethod
    def of(cls, profile: InferenceProfile, **overrides: Any) -> Settings:
        """A profile's settings; overrides that are None change nothing. `lcd` gives one sample unless told."""
        settings = cls(
            profile.method,
            profile.particles,
            profile.resample,
            profile.ess_threshold,
            profile.proposal,
            profile.timeout_seconds,
            profile.max_tokens,
        )
        given = {name: value for name, value in overrides.items() if value is not None}
        settings = replace(settings, **given)
        if settings.method == "lcd" and not ("particles" in given or "particles" in profile.set_by_program):
            settings = replace(settings, particles=1)
        return settings


@dataclass(frozen=True)
class RunRequest:
    """One group: values of all inputs (defaults filled in) and a seed."""

    inputs: Mapping[str, Any]
    seed: int = 0


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; `partial` are the results so far, incomplete."""

    def __init__(self, partial: list[Posterior]) -> None:
        super().__init__()
        self.partial = partial
