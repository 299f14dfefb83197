"""Grammars in files: what the headers of `.lark` files declare, and the rules of files in every notation.

A header is made of comment lines that lark ignores; `smcdsl.notations.lark` documents its form. A file
without declared grammars offers every rule by its own name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from smcdsl.cache import cache_dir
from smcdsl.errors import CompileError, Diagnostic
from smcdsl.library.grammar_cache import read_lark
from smcdsl.library.search import LibraryFile
from smcdsl.notations.gbnf import load_gbnf
from smcdsl.notations.json_schema import WHITESPACE, load_json_schema
from smcdsl.notations.lark import read_header
from smcdsl.program.grammar import Grammar
from smcdsl.program.references import GrammarFile, Notation
from smcdsl.program.types import GrammarSignature


@dataclass(frozen=True)
class LibraryGrammar:
    """A rule that a `.lark` file offers to programs."""

    signature: GrammarSignature
    file: GrammarFile
    boundaries: tuple[str, ...]
    specialize: str = ""


def grammar_file(file: LibraryFile) -> GrammarFile:
    """The file as references keep it; its own imports are looked for beside it."""
    paths = (str(Path(file.path).parent),) if file.path else ()
    return GrammarFile(file.name, file.text, paths)


def library_grammars(file: LibraryFile, prefix: str) -> tuple[dict[str, LibraryGrammar], list[Diagnostic]]:
    """The rules that a library offers, by name, named `prefix.rule` in messages; and what is wrong with the file."""
    kept = grammar_file(file)
    try:
        header = read_header(file.text, file.name)
        boundaries = header.boundaries if header.boundaries is not None else _rule_names(kept)
    except CompileError as error:
        return {}, list(error.diagnostics)
    offered = {
        declared.name: LibraryGrammar(
            GrammarSignature(
                f"{prefix}.{declared.name}", declared.name, declared.parameters, header.docs.get(declared.name, "")
            ),
            kept,
            boundaries,
            declared.specialize,
        )
        for declared in header.grammars
    }
    if not offered:
        offered = {
            rule: LibraryGrammar(GrammarSignature(f"{prefix}.{rule}", rule, ()), kept, boundaries)
            for rule in _rule_names(kept)
        }
    return offered, []


@dataclass(frozen=True)
class NotationSignature:
    """How a notation is called: beside the path it has one option."""

    option: str
    default: str
    values: tuple[str, ...] = ()
    """What the option may be; empty for any text."""


NOTATIONS: dict[Notation, NotationSignature] = {
    "lark": NotationSignature("start", "start"),
    "gbnf": NotationSignature("start", "root"),
    "json.schema": NotationSignature("whitespace", "free", WHITESPACE),
}
"""The external notations by the names that programs call."""


def own_grammar(file: LibraryFile, notation: Notation, start: str) -> tuple[LibraryGrammar | None, list[Diagnostic]]:
    """`lark("file.lark", start: "rule")` and the like, or what is wrong with the file."""
    kept = replace(grammar_file(file), notation=notation)
    try:
        grammar = load_rules(kept, start)
    except CompileError as error:
        return None, list(error.diagnostics)
    signature = GrammarSignature(Path(file.name).stem, start, ())
    return LibraryGrammar(signature, kept, grammar.boundaries), []


@lru_cache(maxsize=64)
def load_rules(file: GrammarFile, start: str) -> Grammar:
    """The grammar in a file, from a start rule (of a JSON schema: its white space). Raises CompileError."""
    if file.notation == "gbnf":
        return load_gbnf(file.text, name=file.name, start=start)
    if file.notation == "json.schema":
        whitespace = next(known for known in WHITESPACE if known == start)
        return load_json_schema(file.text, name=file.name, whitespace=whitespace)
    return read_lark(file, start, cache_dir())


_RULE = re.compile(r"^[?!]{0,2}([a-z][a-z0-9_]*)[ \t]*(?:\.[ \t]*-?\d+)?[ \t]*:", re.MULTILINE)


def _rule_names(file: GrammarFile) -> tuple[str, ...]:
    """Rules defined in the file itself, in order; templates and names with a leading underscore are not for use."""
    return tuple(dict.fromkeys(_RULE.findall(file.text)))
