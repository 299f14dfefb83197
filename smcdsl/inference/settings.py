"""What a run is asked to do: Settings, and one RunRequest a group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from smcdsl.program.program import InferenceProfile, Lookahead, Method, Previews, Proposal, Scheme

if TYPE_CHECKING:
    from smcdsl.inference.results.posterior import Posterior

BIASED: Mapping[str, str] = {
    "lcd": "`lcd` masks each token and renormalises; the probability of the mask and all factors are left out",
    "rerank": "`rerank` weighs locally constrained samples by the factors; the probability of the mask is left out",
    "beam": "`beam` keeps the most probable texts so far and forgets the others",
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
    resample: Scheme = "ssp"
    ess_threshold: float = 0.5
    proposal: Proposal = "auto"
    proposal_temperature: float | Literal["auto"] = field(default=1.0, kw_only=True)
    """Draws flatter (above 1) or sharper than the mask's law; `auto` by the entropy of each row; the weight makes up
    for it. `smc` and `is` only."""
    timeout_seconds: float | None = None
    max_tokens: int | None = None
    lookahead: Lookahead = "off"
    """`learned`: propose tokens with what earlier runs learned, and learn from this one; `fixed`: only the first;
    `guides`: with the guides at `token`."""
    temper: float | Literal["auto"] = 1.0
    """The power of previews in decisions on copies; `auto` chooses it at every boundary."""
    previews: Previews = "now"
    stratified: bool = True
    """Whether particles of one prefix draw their tokens from strata; `smc` and `is` only."""
    islands: int = 1
    """Independent repetitions, each with all the particles, that make one result together."""
    grow: int = 0
    """How often the particles may be doubled while none survives, or fewer than `grow_ess` effectively."""
    grow_ess: float = 0.0
    retry: int = 0
    """Attempts at two populations that survive; 0 makes one, whatever comes of it."""
    refine: int = 0
    """Sweeps of conditional SMC after the run."""
    gamma: int | Literal["auto"] = 4
    """How many tokens to draft at a time, where there are drafts; `auto` measures what pays."""
    lenience: float = 1.0
    """How gladly drafted tokens are accepted, in [0.5, 1]; below 1 the weight corrects for it. `smc` and `is` only."""
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
            lookahead=profile.lookahead,
            previews=profile.previews,
            proposal_temperature=profile.proposal_temperature,
            islands=profile.islands,
            grow=profile.grow,
            grow_ess=profile.grow_ess,
            retry=profile.retry,
            refine=profile.refine,
            gamma=profile.gamma,
            lenience=profile.lenience,
            temper=profile.temper,
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
