"""What hovering over a factor shows: its line of the density, where it is looked at, what its potentials say."""

from __future__ import annotations

from collections.abc import Iterator

from smcdsl.language.expressions import mentioned
from smcdsl.language.factors import FactorUse, judging_calls
from smcdsl.program import statements as st
from smcdsl.program.expressions import FunctionCall
from smcdsl.program.types import PotentialFacts, Signature
from smcdsl.report.density import one_line, terms


def term(factor: st.Factor) -> str:
    """What a factor multiplies the density by: `[E]` is 1 where E is true and else 0."""
    found = next(terms(factor), None)
    return found if found is not None else f"1    (the previews of {one_line(factor.expression)} cancel)"


def sites(use: FactorUse) -> str:
    """Where a factor is looked at."""
    factor = use.factor
    if factor.each is not None:
        return f"once for each {one_line(factor.each.source)}, when it is complete"
    early = [f"{each.hole}.{each.name}" if each.hole else each.name for each in factor.boundaries if each.name != "end"]
    final = "" if factor.verb == "guide" else "the finished text counts"
    previews = f"previews at {', '.join(early)}" if early else ""
    return "; ".join(part for part in (previews, final) if part)


def calls(use: FactorUse) -> list[FunctionCall]:
    """The potentials that judge, innermost last, each once."""
    names = {name.name for name in mentioned(use.factor.expression)}
    found = {call.signature.name: call for call in judging_calls(use.factor.expression, frozenset(names))}
    return [call for call in found.values() if call.signature.is_potential]


def facts_of(signature: Signature) -> str:
    """What a potential says of itself, in words."""
    facts = signature.facts
    words = [f"cost {duration(facts.cost_seconds)}" if facts.cost_seconds is not None else "cost unknown"]
    words.append(
        {
            "none": "judges finished texts only",
            "closed": "may look at boundaries (`prefix: closed`)",
            "any": "may look at any prefix (`prefix: any`)",
        }[facts.prefix]
    )
    return "; ".join(words + list(_other_facts(facts)))


def _other_facts(facts: PotentialFacts) -> Iterator[str]:
    if not facts.pure:
        yield "not pure"
    if facts.batch:
        yield "takes batches"
    if facts.workers:
        yield f"{facts.workers} workers"
    if facts.timeout_seconds is not None:
        yield f"timeout {duration(facts.timeout_seconds)}"
    if facts.on_error != "fail":
        yield f"a failure means {facts.on_error}"


def duration(seconds: float) -> str:
    """`4 ms`, `1.5 s`."""
    for size, unit in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
