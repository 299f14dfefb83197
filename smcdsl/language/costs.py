"""How long previews would take, where potentials say what they cost (W0502)."""

from __future__ import annotations

from collections.abc import Mapping

from smcdsl.errors import Diagnostic
from smcdsl.language import mistakes_judging as judging
from smcdsl.language.factors import FactorUse, judging_calls
from smcdsl.language.holes import Holes
from smcdsl.program.grammar import Limit
from smcdsl.program.program import InferenceProfile

LONGEST_SECONDS = 600.0
"""What a run's previews of one factor may take before a warning."""

_USUAL_TOKENS = 200
_TOKENS_BETWEEN_SITES: Mapping[str, int] = {"token": 1, "line": 10}
_TOKENS_BETWEEN_RULES = 3


def slow_factor(use: FactorUse, holes: Holes, profile: InferenceProfile) -> Diagnostic | None:
    """W0502 for a factor whose previews would take too long."""
    factor = use.factor
    for boundary in factor.boundaries:
        hole = next((key for key, each in holes.declared.items() if each.name == boundary.hole), None)
        if boundary.name == "end" or hole is None:
            continue
        calls = judging_calls(factor.expression, frozenset({boundary.hole or ""}))
        cost = sum((each.signature.facts.cost_seconds or 0.0) for each in calls)
        workers = max([each.signature.facts.workers for each in calls], default=0) or 1
        tokens = _most_tokens(holes, hole, profile)
        sites = _sites(boundary.name, tokens)
        total = sites * profile.particles * cost / workers
        if total > LONGEST_SECONDS:
            return judging.slow(
                boundary.span,
                sites,
                profile.particles,
                _shown(cost),
                _shown(total),
                _advice(holes, hole, boundary.name, tokens),
            )
    return None


def _sites(boundary: str, tokens: int) -> int:
    between = _TOKENS_BETWEEN_SITES.get(boundary, _TOKENS_BETWEEN_RULES)
    return tokens if between == 1 else tokens // between + 1


def _most_tokens(holes: Holes, hole: str, profile: InferenceProfile) -> int:
    """The declared most; a character counts as a token, since that is how short texts may come out."""
    limits = [each for each in holes.outlines[hole].conditions if isinstance(each, Limit)]
    most = [each.most for each in limits if each.unit in ("tokens", "chars") and isinstance(each.most, int)]
    return min([*most, profile.max_tokens or _USUAL_TOKENS])


def _advice(holes: Holes, hole: str, boundary: str, tokens: int) -> str:
    rules = holes.outlines[hole].parts
    if boundary == "token" and rules:
        return f"`at {rules[0]}` needs about {_sites(rules[0], tokens)} calls per particle; `at end` needs 1"
    return "`at end` needs 1 call per particle"


def _shown(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            amount = seconds / size
            return f"{amount:.0f} {unit}" if amount >= 9.95 or amount == int(amount) else f"{amount:.1f} {unit}"
    return f"{seconds:.1e} s"
