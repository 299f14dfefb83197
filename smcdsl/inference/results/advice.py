"""What to try after a run in which no particle survived (R0901), or one got nearly all of the weight (R0902)."""

from __future__ import annotations

from collections.abc import Sequence

from smcdsl.inference.settings import Settings
from smcdsl.plan import Plan, PlannedFactor
from smcdsl.program.evaluation import free_names, function_calls
from smcdsl.program.expressions import Binary, Constant


def after_no_survivors(plan: Plan, settings: Settings, factors: Sequence[PlannedFactor], causes: Sequence[str]) -> str:
    """What to try after R0901.

    Args:
        factors: those that removed particles, the last one first.
        causes: what else ended particles: `grammar`, `observe`.
    """
    if not factors:
        if "observe" in causes:
            return "change the observed text, or what stands before it: the model cannot write it there"
        return "say in the prompt what the answer looks like, or let the grammar allow more"
    grow = ", or --grow 3 to double them while none survives"
    more = f"more particles (--particles {4 * settings.particles}{grow if _may_grow(settings) else ''})"
    seen = "--trace t.jsonl and `smcdsl trace t.jsonl` show every death"
    return f"try {_listed(more, earlier(plan, factors[0]))}; {seen}"


def after_collapse(plan: Plan, settings: Settings, factor: PlannedFactor | None) -> str:
    """What to try after R0902, of which `factor` was the cause where one was."""
    more = f"more particles (--particles {4 * settings.particles})"
    if factor is None:
        return f"try {more}, or a prompt that says what the answer looks like"
    return f"try {_listed(_weaker(factor), more, earlier(plan, factor))}"


def earlier(plan: Plan, factor: PlannedFactor) -> str:
    """How a factor may be judged earlier than it is; empty if it cannot."""
    potentials = [call.signature for call in function_calls(factor.expression) if call.signature.is_potential]
    late = next((potential for potential in potentials if potential.facts.prefix == "none"), None)
    had = {boundary for _, boundary in factor.boundaries}
    if factor.each is not None or "token" in had:
        return ""
    if late is not None:
        return f"a prefix form of `{late.name}`, to judge before the end (`at token`)"
    if any(potential.facts.prefix == "closed" for potential in potentials):
        rule = _rule_inside(plan, factor)
        return f"a preview at an earlier boundary (`at {rule}`)" if rule and not had else ""
    if factor.verb == "require" and not potentials:
        return "a grammar that says it (`where`)"  # of unfinished texts little can be said for certain
    return "a preview at an earlier boundary (`at token`)"


def _rule_inside(plan: Plan, factor: PlannedFactor) -> str:
    """A rule of the grammar of a hole that the factor judges; what names the whole of it is met too late."""
    names = free_names(factor.expression)
    rules = [rule for hole in plan.program.holes.values() if hole.name in names for rule in hole.boundaries]
    return next((rule for rule in rules if rule != "start" and rule not in plan.program.grammars), "")


def _listed(*tries: str) -> str:
    known = [each for each in tries if each]
    return f"{', '.join(known[:-1])}, or {known[-1]}" if known[1:] else known[0]


def _may_grow(settings: Settings) -> bool:
    return settings.method == "smc" and not (settings.grow or settings.retry)


def _weaker(factor: PlannedFactor) -> str:
    """The power to try for a `score`."""
    if factor.verb != "score":
        return ""
    match factor.expression:
        case Binary(operator="^", right=Constant(value=int() | float() as power)) if power > 1:
            return "`^ 1`"
        case Binary(operator="^", right=Constant(value=int() | float() as power)):
            return f"`^ {power / 2:g}`"
    return "`^ 0.5`"
