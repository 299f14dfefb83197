"""A program explained as a database explains a query: its density, sites, plan and bounds (language reference, 5.4)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from smcdsl.inference.settings import Settings
from smcdsl.inference.suitability import choose_proposal
from smcdsl.plan import Plan, PlannedFactor
from smcdsl.program.evaluation import function_calls
from smcdsl.program.facts import GrammarFacts
from smcdsl.program.program import HoleDeclaration, InferenceProfile, Program
from smcdsl.report.amounts import duration
from smcdsl.report.bounds import bounds
from smcdsl.report.density import TIMES, definitions, density
from smcdsl.report.hints import masking_hints

_LABEL = 10
_NARROWEST = 40


def explained(plan: Plan, facts: GrammarFacts, width: int | None = None) -> str:
    """The explanation, a label in front of each part; ends in a newline.

    Args:
        facts: answers of how long texts may be.
        width: where lines are wrapped; None never does.
    """
    program = plan.program
    parts: list[tuple[str, list[str]]] = [("density", _density(program, width))]
    parts.append(("where", [f"{each.name} = {each.text}" for each in definitions(program.body)]))
    parts.append(("model", _model(program)))
    parts.append(("sites", _sites(plan)))
    parts.append(("masking", masking_hints(program)))
    parts.append(("plan", [_profile(plan, profile) for profile in program.profiles]))
    parts.append(("bounds", bounds(program, facts)))
    parts.append(("returns", [_returns(program)]))
    return "".join(_labelled(label, lines, width) for label, lines in parts if lines)


def _labelled(label: str, lines: Sequence[str], width: int | None) -> str:
    made = []
    for index, line in enumerate(lines):
        head = label if index == 0 else ""
        room = None if width is None else max(width - _LABEL, _NARROWEST)
        wrapped = [line] if room is None else textwrap.wrap(line, room, break_on_hyphens=False) or [""]
        made += [f"{head if number == 0 else '':<{_LABEL}}{text}" for number, text in enumerate(wrapped)]
    return "".join(f"{line.rstrip()}\n" for line in made)


def _density(program: Program, width: int | None) -> list[str]:
    """Factors joined by `*`, as many on a line as fit."""
    room = 110 if width is None else max(width - _LABEL, _NARROWEST)
    lines: list[str] = []
    for factor in density(program):
        joined = f"{lines[-1]}{TIMES}{factor}" if lines else factor
        if lines and len(joined) <= room:
            lines[-1] = joined
        else:
            lines.append(f"*  {factor}" if lines else factor)
    return lines


def _model(program: Program) -> list[str]:
    temperature = program.model.temperature
    return [] if temperature == 1.0 else [f"p_lm at temperature {temperature:g}"]


def _sites(plan: Plan) -> list[str]:
    rows = list(_site_rows(plan))
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(2)]
    return ["  ".join([row[0].ljust(widths[0]), row[1].ljust(widths[1]), row[2]]).rstrip() for row in rows]


def _site_rows(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """(site, what happens there, what it costs), in the order in which a run meets them."""
    factors = plan.factors
    for factor in factors:
        if factor.each is not None:
            place = f"{factor.each.hole}.{factor.each.rule}".rstrip(".")
            yield place, f"{factor.name}, judged once each, when complete", _cost([factor])
    for site in dict.fromkeys(site for factor in factors for site in factor.boundaries if site[1] != "end"):
        here = [factor for factor in factors if site in factor.boundaries]
        previews = [factor for factor in here if factor.verb != "guide"]
        guides = [factor for factor in here if factor.verb == "guide"]
        words = ([f"preview of {_names(previews)}"] if previews else []) + (
            [f"hint of {_names(guides)}"] if guides else []
        )
        yield ".".join(site).lstrip("."), ", ".join(words), _cost(here)
    final = [factor for factor in factors if factor.each is None and factor.verb != "guide"]
    if final:
        holes = [hole.name for hole in plan.program.holes.values() if hole.name != "_"]
        yield f"{holes[-1]}.end" if len(holes) == 1 else "end", _names(final), _cost(final)


def _names(factors: Sequence[PlannedFactor]) -> str:
    return ", ".join(dict.fromkeys(factor.name for factor in factors))


def _cost(factors: Sequence[PlannedFactor]) -> str:
    calls = [call for factor in factors for call in function_calls(factor.expression)]
    potentials = [call.signature for call in calls if call.signature.is_potential]
    if not potentials:
        return "free"
    declared = [each.facts.cost_seconds for each in potentials if each.facts.cost_seconds is not None]
    cost = f"~{duration(sum(declared))}" if declared else "cost not declared"
    kept = "" if not all(each.facts.pure for each in potentials) else ", cached by arguments"
    workers = max(each.facts.workers for each in potentials)
    return cost + kept + (f", {workers} worker processes" if workers else "")


def _profile(plan: Plan, profile: InferenceProfile) -> str:
    settings = Settings.of(profile)
    name = f"{profile.method} {profile.name}: " if profile.name else "" if profile.method == "smc" else profile.method
    words = [f"{profile.particles} particles"]
    if profile.method == "smc":
        words.append(f"{profile.resample} when ess < {profile.ess_threshold:g}")
    if profile.method in ("smc", "is"):
        words.append(f"proposal {choose_proposal(plan, settings, drafted=profile.draft != 'none')}")
    if profile.draft != "none":
        words.append(f"speculative, draft {profile.draft}, gamma {profile.gamma}")
    for word, value, usual in (
        ("lookahead", profile.lookahead, "off"),
        ("islands", profile.islands, 1),
        ("refine", profile.refine, 0),
        ("retry", profile.retry, 0),
        ("grow to", profile.grow, 0),
        ("lenience", profile.lenience, 1.0),
        ("temper", profile.temper, 1.0),
        ("seed", profile.seed, None),
    ):
        if value != usual:
            words.append(f"{word} {value}")
    return (name if not name or name.endswith(" ") else f"{name}: ") + ", ".join(words)


def _returns(program: Program) -> str:
    returned = " ".join(program.returns.expression.span.text.split()) or ", ".join(_holes(program))
    key = program.returns.key
    by = "" if key is None else f" by {' '.join(key.span.text.split())}"
    return f"{program.returns.view} of {returned}{by}, {program.returns.type}"


def _holes(program: Program) -> list[str]:
    declared: Sequence[HoleDeclaration] = tuple(program.holes.values())
    return [each.name for each in declared if each.name != "_"]
