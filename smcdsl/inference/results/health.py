"""Warnings after a run that a user can act on: lines that died out, previews that say nothing, slow potentials.

Each has a threshold that is explained in docs/inference/health.md. R0902, weight on one particle, is in `reading`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from smcdsl.errors import Diagnostic, Label
from smcdsl.program.evaluation import freeze, function_calls

if TYPE_CHECKING:
    from smcdsl.inference.advance import Interpreter
    from smcdsl.inference.results.looks import Looks
    from smcdsl.inference.results.posterior import Posterior
    from smcdsl.plan import Plan, PlannedFactor

FEWEST_PARTICLES = 8
"""With fewer particles few lines are nothing to speak of."""
COPIES_PER_LINE = 16
"""Surviving lines of descent are few where each has at least so many slots."""
SLOTS_PER_VALUE = 4
"""Values are few where each has at least so many slots."""
FEWEST_LOOKS = 20
"""Previews of so many different texts that say nothing: 95 % sure that they do for less than one in seven."""
SPEAKING_SHARE = 0.25
"""What finished texts must fare worse than their previews for those to be blamed."""
SLOW_SHARE = 0.5
"""Beyond it nothing but the potentials can make the run twice as fast."""
SLOW_SECONDS = 2.0
"""What nobody waits for is not slow."""


def few_lines(posterior: Posterior) -> Diagnostic | None:
    """R0911: what survived are copies of few lines, which did not grow apart."""
    alive = np.flatnonzero(posterior.log_weights > -np.inf).tolist()
    size = len(alive)
    if size < FEWEST_PARTICLES or not posterior.resamplings or posterior.eves is None:
        return None
    values = len({freeze(posterior.values[slot]) for slot in alive})
    eves = posterior.eves
    if eves * COPIES_PER_LINE > max(size, COPIES_PER_LINE) or values * SLOTS_PER_VALUE > size:
        return None
    lines = "one line" if eves == 1 else f"{eves} lines"
    noun = "value" if values == 1 else "distinct values"
    particles = posterior.num_particles
    return Diagnostic(
        "R0911",
        f"the particles are copies of {lines} of descent, with {values} {noun}",
        facts=(f"{size} of {particles} particles are alive, after {posterior.resamplings} resamplings",),
        notes=("copies that agree are no evidence; lines that came to a value each by itself would be",),
        help=f"more particles (--particles {4 * particles}), `--islands 4`, or resample later (`when ess < 0.25`)",
    )


def idle_previews(interpreter: Interpreter) -> Iterator[Diagnostic]:
    """R0912: factors whose boundary never came, or whose previews said nothing of texts that ended badly."""
    if not (interpreter.previews and interpreter.applies_factors):
        return
    for factor in interpreter.plan.factors:
        looks = interpreter.looks.get(factor.index)
        if looks is None or factor.index in interpreter.checked or factor.index in interpreter.late:
            continue
        if not looks.early and looks.ended:
            yield _never_came(factor)
        elif (
            looks.early >= FEWEST_LOOKS
            and not looks.spoke_early
            and looks.spoke_at_end > max(1.0, SPEAKING_SHARE * looks.ended)
        ):
            yield _said_nothing(factor, looks)


def _never_came(factor: PlannedFactor) -> Diagnostic:
    places = ", ".join(f"`{hole}.{boundary}`" for hole, boundary in factor.boundaries)
    label = Label(factor.span, f"{places} was not met before a text was finished", primary=True)
    wanted = "the guide had no effect" if factor.verb == "guide" else "it was judged at the end only"
    return Diagnostic(
        "R0912",
        f"`{factor.name}` was never looked at early",
        (label,),
        notes=(wanted,),
        help="a rule is met where nothing that may follow can change it, a rule around the whole text or one that may "
        "be read in several ways often when the text ends; choose a part of it, judge at `token` with a potential for "
        "any prefix, or leave out `at`",
    )


def _said_nothing(factor: PlannedFactor, looks: Looks) -> Diagnostic:
    label = Label(factor.span, f"{looks.early} previews, none of which changed a weight", primary=True)
    at_end = f"{looks.spoke_at_end} of {looks.ended} finished texts were judged otherwise"
    return Diagnostic(
        "R0912",
        f"previews of `{factor.name}` say nothing",
        (label,),
        notes=(f"{at_end}: the work was done, and the weights come too late to save it",),
        help="give the potential a prefix form that sees more, choose a later boundary, or leave out `at`",
    )


def slow_potentials(plan: Plan, posteriors: Sequence[Posterior]) -> Diagnostic | None:
    """R0913: more than half of the time went into potentials."""
    if not posteriors or any(posterior.failure is not None for posterior in posteriors):
        return None
    seconds, calls = posteriors[0].seconds, posteriors[0].calls
    spent, total = seconds.get("potentials", 0.0), seconds.get("total", 0.0)
    if not calls or spent < SLOW_SECONDS or spent < SLOW_SHARE * total:
        return None
    name, counts = max(calls.items(), key=lambda item: item[1]["seconds"])
    made = max(int(counts["n"] - counts["cached"]), 1)
    each = 1000 * counts["seconds"] / made
    return Diagnostic(
        "R0913",
        f"{100 * spent / total:.0f} % of the time went into potentials",
        _places(plan, name),
        facts=(f"`{name}`: {made} calls, {each:.3g} ms each, {counts['seconds']:.1f} s of {total:.1f} s",),
        help=_faster(plan, name, counts),
    )


def _places(plan: Plan, name: str) -> tuple[Label, ...]:
    found = [factor for factor in plan.factors if name in _names(factor)]
    return tuple(Label(factor.span, "", primary=place == 0) for place, factor in enumerate(found))


def _names(factor: PlannedFactor) -> set[str]:
    return {call.signature.name for call in function_calls(factor.expression)}


def _faster(plan: Plan, name: str, counts: Mapping[str, float]) -> str:
    """What has not been tried yet."""
    facts = {
        call.signature.name: call.signature.facts for each in plan.factors for call in function_calls(each.expression)
    }
    known = facts.get(name)
    tries = []
    if known is not None and not known.workers:
        tries.append("let it run in parallel (`workers: 8`)")
    if known is not None and known.pure and not known.cache:
        tries.append("keep its results from run to run (`cache: true`)")
    if counts["n"] and any(name in _names(factor) and factor.boundaries for factor in plan.factors):
        tries.append("preview it at a boundary that comes less often")
    return "; ".join(tries) or "fewer particles, or a cheaper test before it"
