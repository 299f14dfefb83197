"""Which factors a way of inference can work on, and the proposal that a plan's factors ask for.

A *checked* factor is a `require ... at` a boundary whose potentials can say for certain that a prefix is hopeless.
The proposal `awrs` asks it about tokens before one is taken; under `mask` a particle takes one and dies of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from smcdsl.errors import Diagnostic, UsageError
from smcdsl.inference.settings import Settings
from smcdsl.plan import Plan, PlannedFactor
from smcdsl.program.evaluation import function_calls
from smcdsl.program.promises import judged_by_workers, refuses_for_good

FEWEST_CHECKS = 8
GUIDED_TOKENS = 32
"""Of how many tokens of a row guides are asked at least."""
BATCH_CHECKS = 16
"""How many tokens are checked together: at least, and by a potential that takes a batch."""

MOST_SECONDS = 0.1
"""What the checks of one particle's token may cost for `awrs` to be chosen."""

_UNDECLARED_SECONDS = 1e-3


@dataclass(frozen=True)
class ChosenProposal:
    """How tokens are proposed, and why that was chosen; the reason is empty where the program says so itself.

    `checks` are the factors that judge tokens before they are taken, `size` the number of tokens checked together;
    with `is_guided` the guides at `token` are asked about that many tokens, and propose by what they say.
    """

    kind: Literal["mask", "lm", "awrs", "select"]
    reason: str = ""
    checks: tuple[int, ...] = ()
    size: int = FEWEST_CHECKS
    is_guided: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}" if self.reason else self.kind


def late_factors(plan: Plan) -> Iterator[int]:
    """The factors of which a preview can be under way while particles go on: those that worker processes judge.

    An impure one is not among them, as its results belong to one particle each; nor is one with `each`, whose
    occurrences are judged for good.
    """
    for factor in plan.factors:
        if factor.each is None and factor.boundaries and judged_by_workers(factor.expression):
            yield factor.index


def checked_factors(plan: Plan) -> Iterator[PlannedFactor]:
    """The factors that can judge tokens before they are taken, the cheapest first."""
    yield from sorted(filter(is_checkable, plan.factors), key=lambda factor: factor.cost_seconds)


def is_checkable(factor: PlannedFactor) -> bool:
    """Whether the factor's no at one of its boundaries is final."""
    is_preview = factor.verb == "require" and factor.each is None and bool(factor.boundaries)
    return is_preview and refuses_for_good(factor.expression)


def _is_at_token(factor: PlannedFactor) -> bool:
    return any(boundary == "token" for _, boundary in factor.boundaries)


def choose_proposal(plan: Plan, settings: Settings, drafted: bool = False) -> ChosenProposal:
    """Settle a run's proposal.

    `auto` is `awrs` where factors judge every token and that costs little, else `mask`. `awrs` by name also checks
    the tokens that close a site of another boundary. Methods other than `smc` and `is` check nothing.

    Raises:
        UsageError: E0708, `awrs` with sweeps that keep a path, for which it has no weight; a temperature of a
            proposal that has none; or guides that cannot propose.
    """
    wanted, weighs = settings.proposal, settings.method in ("smc", "is")
    if wanted == "awrs" and weighs and settings.refine:
        message = "`refine` keeps a particle's path, and `proposal: awrs` has no weight for a path that is given"
        raise UsageError(Diagnostic("E0708", message, context="proposal: awrs", help="use `proposal: mask`"))
    tempered = settings.proposal_temperature != 1.0
    if tempered and weighs and wanted not in ("auto", "mask"):
        message = f"`proposal: {wanted}` has no temperature of its own"
        raise UsageError(Diagnostic("E0708", message, context="proposal_temperature", help="use `proposal: mask`"))
    if settings.lookahead == "guides" and weighs:
        return _guided(plan, wanted, drafted)
    factors = tuple(checked_factors(plan)) if weighs and not (settings.refine or tempered) else ()
    if wanted == "awrs":
        return _checking(factors)
    factors = tuple(filter(_is_at_token, factors))
    if wanted == "auto" and factors and drafted:
        return ChosenProposal("mask", "drafted tokens are verified under the mask")
    if wanted != "auto" or not factors:
        return ChosenProposal("mask" if wanted == "auto" else wanted)
    names = " and ".join(f"`{factor}`" for factor in factors)
    seconds = checks_together(factors) * sum(factor.cost_seconds or _UNDECLARED_SECONDS for factor in factors)
    cost = f"{1000 * seconds:.3g} ms of checks for a token"
    if seconds > MOST_SECONDS:
        return ChosenProposal("mask", f"{names} would take {cost}, declared, more than {1000 * MOST_SECONDS:g} ms")
    return _checking(factors, f"{names} can check tokens before they are taken, {cost}, declared")


def _guided(plan: Plan, wanted: str, drafted: bool) -> ChosenProposal:
    """Masked tokens, tilted by guides.

    Raises:
        UsageError: E0708, there is none, or tokens are drawn in another way.
    """
    guides = [factor for factor in plan.factors if factor.verb == "guide" and _is_at_token(factor)]
    message, advice = "", "use `proposal: mask`"
    if not guides:
        message, advice = "no guide is judged after every token", "write `guide P(...) at token`"
    elif wanted not in ("auto", "mask"):
        message = f"`proposal: {wanted}` has no room for guides"
    elif drafted:
        message, advice = "drafted tokens are verified without guides", "use no draft"
    if message:
        raise UsageError(Diagnostic("E0708", message, context="lookahead: guides", help=advice))
    names = " and ".join(f"`{factor}`" for factor in guides)
    return ChosenProposal(
        "mask", f"tilted by {names}", size=max(GUIDED_TOKENS, checks_together(guides)), is_guided=True
    )


def _checking(factors: Sequence[PlannedFactor], reason: str = "") -> ChosenProposal:
    return ChosenProposal("awrs", reason, tuple(factor.index for factor in factors), checks_together(factors))


def checks_together(factors: Sequence[PlannedFactor]) -> int:
    """How many tokens to check at a time: what one call of the potentials takes."""
    calls = [call for factor in factors for call in function_calls(factor.expression)]
    if any(call.signature.batched >= 0 for call in calls):
        return BATCH_CHECKS
    return max([FEWEST_CHECKS, *(call.signature.facts.workers for call in calls)])
