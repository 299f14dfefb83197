"""A library explained: the rules, boundaries, potentials and helpers that `import NAME` gives (nothing is run)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from smcdsl.library import standard
from smcdsl.library.lark_files import library_grammars
from smcdsl.library.search import Search
from smcdsl.library.signatures import read_functions
from smcdsl.notations.lark import read_header
from smcdsl.program.types import GrammarSignature, PotentialFacts, Signature, parameter_text
from smcdsl.report.amounts import duration

_WIDTH, _NARROWEST = 100, 30
_HOOKS = ("specialize",)
"""Functions that libraries have for the compiler, not for programs."""
_PREFIX = {
    "none": "judges complete values only",
    "closed": "judges text that ends at a boundary",
    "any": "judges any beginning of a text",
}


@dataclass(frozen=True)
class ExplainedLibrary:
    """What is known of a library without running it."""

    name: str
    files: tuple[str, ...]
    grammars: dict[str, GrammarSignature]
    boundaries: dict[str, str] = field(default_factory=dict)
    """Boundaries by name with what is said of them."""
    functions: dict[str, Signature] = field(default_factory=dict)


def find_library(search: Search, name: str) -> ExplainedLibrary | None:
    """The library of that name, or None."""
    if name == standard.NAME:
        return ExplainedLibrary(name, (), dict(standard.RULES))
    found = search.library(name)
    if found is None:
        return None
    grammars: dict[str, GrammarSignature] = {}
    boundaries: dict[str, str] = {}
    if found.grammar is not None:
        offered, _ = library_grammars(found.grammar, name)
        grammars = {rule: each.signature for rule, each in offered.items()}
        docs = read_header(found.grammar.text, found.grammar.name).docs
        named = dict.fromkeys(boundary for each in offered.values() for boundary in each.boundaries)
        boundaries = {boundary: docs.get(boundary, "") for boundary in named}
    functions = read_functions(found.functions, name).functions if found.functions is not None else {}
    files = tuple(file.name for file in (found.grammar, found.functions) if file is not None)
    return ExplainedLibrary(name, files, grammars, boundaries, functions)


def library_text(library: ExplainedLibrary, width: int | None = None) -> str:
    """All that it offers, a line or two each; ends in a newline."""
    room = width or _WIDTH
    lines = [f"library {library.name}" + (f"  ({', '.join(library.files)})" if library.files else "")]
    potentials = [each for each in library.functions.values() if each.is_potential]
    helpers = [
        each
        for each in library.functions.values()
        if not each.is_potential and each.name.rpartition(".")[2] not in _HOOKS
    ]
    lines += _section("grammars", [(str(each), each.doc) for each in library.grammars.values()], room)
    lines += _section("boundaries", list(library.boundaries.items()), room, narrow=True)
    lines += _section("potentials", [(signature_text(each), _summary(each)) for each in potentials], room)
    lines += _section("functions", [(signature_text(each), _first_line(each.doc)) for each in helpers], room)
    return "\n".join(lines) + "\n"


def member_text(library: ExplainedLibrary, member: str) -> str | None:
    """One rule, boundary or function in full; None if the library has none of that name."""
    if member in library.grammars:
        rule = library.grammars[member]
        names = [f"  {name:<10}  {doc}".rstrip() for name, doc in library.boundaries.items()]
        return "\n".join([str(rule), *_indented(rule.doc), *(["boundaries", *names] if names else [])]) + "\n"
    if member in library.boundaries:
        lines = [f"{library.name}: boundary {member}", *_indented(library.boundaries[member])]
        return "\n".join(lines) + "\n"
    if member in library.functions:
        found = library.functions[member]
        facts = [f"  {fact}" for fact in facts_of(found)] if found.is_potential else []
        return "\n".join([signature_text(found), *_indented(found.doc), *facts]) + "\n"
    return None


def members(library: ExplainedLibrary) -> list[str]:
    """Every name that can be asked about."""
    return [*library.grammars, *library.boundaries, *library.functions]


def closest_members(library: ExplainedLibrary, name: str) -> list[str]:
    """Names that may have been meant, with the library's in front."""
    return [f"{library.name}.{each}" for each in get_close_matches(name, members(library), n=3)]


def signature_text(signature: Signature) -> str:
    """`sql.runs(q: str, db: sqlite) -> bool`."""
    return f"{signature.name}({', '.join(map(parameter_text, signature.parameters))}) -> {signature.result}"


def facts_of(signature: Signature) -> Iterator[str]:
    """What a potential declares of itself, a line each."""
    facts = signature.facts
    yield f"cost     {_cost(facts)}"
    yield f"prefix   {facts.prefix}: {_PREFIX[facts.prefix]}"
    yield "pure     equal arguments give equal results, which are kept" if facts.pure else "pure     no"
    if signature.batched >= 0:
        yield f"batch    takes a list of `{signature.parameters[signature.batched].name}` at once"
    if facts.timeout_seconds is not None:
        yield f"timeout  {facts.timeout_seconds:g} s, then {facts.on_timeout}"
    if facts.workers:
        yield f"workers  {facts.workers} processes"
    yield f"failure  {facts.on_error}"


def _summary(signature: Signature) -> str:
    facts = signature.facts
    return f"{_first_line(signature.doc)} ({_cost(facts)}, {_PREFIX[facts.prefix]})".strip()


def _cost(facts: PotentialFacts) -> str:
    return "cost not declared" if facts.cost_seconds is None else f"~{duration(facts.cost_seconds)}"


def _first_line(doc: str) -> str:
    return doc.strip().split("\n\n")[0].replace("\n", " ") if doc else ""


def _section(head: str, rows: Sequence[tuple[str, str]], width: int, narrow: bool = False) -> list[str]:
    """Names with what is said of them beside (`narrow`) or below."""
    if not rows:
        return []
    column = max(len(name) for name, _ in rows) + 4 if narrow else 6
    lines = [head]
    for name, doc in rows:
        wrapped = textwrap.wrap(doc, max(width - column, _NARROWEST), break_on_hyphens=False)
        if narrow and wrapped:
            lines.append(f"  {name:<{column - 2}}{wrapped.pop(0)}")
        else:
            lines.append(f"  {name}")
        lines += [" " * column + line for line in wrapped]
    return lines


def _indented(doc: str) -> Iterable[str]:
    return (f"  {line}".rstrip() for line in doc.strip().splitlines()) if doc else ()
