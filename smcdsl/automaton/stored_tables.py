"""AutomatonTables as sections of a container, and back: what comes back has been checked and may be run."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from smcdsl.automaton.soundness import Unsound, check_grammar_tables, check_trie
from smcdsl.automaton.tables import PARTS, PLAIN, AutomatonTables, TrieTables
from smcdsl.container import Arrays

STORED = tuple(name for name in PLAIN if name != "fingerprint")


def trie_section(trie: TrieTables) -> Arrays:
    """A vocabulary's trie as a section."""
    return dict(trie._asdict())


def section_of(tables: AutomatonTables) -> tuple[dict[str, Any], Arrays]:
    """(plain facts, section) of tables, the trie left out."""
    arrays: Arrays = {}
    for name, kind in PARTS.items():
        part = getattr(tables, name)
        if part is not None and name != "trie":
            arrays.update({f"{name}.{field}": getattr(part, field) for field in kind._fields})
    return {name: getattr(tables, name) for name in STORED}, arrays


def trie_of(arrays: Arrays) -> TrieTables:
    """The trie of a section. Raises Unsound."""
    trie = _part(TrieTables, arrays, "")
    check_trie(trie)
    return trie


def tables_of(plain: Any, arrays: Arrays, trie: TrieTables, digests: tuple[str, ...]) -> AutomatonTables:
    """Tables from what `section_of` made, over a trie that was checked.

    Their fingerprint is made from the digests of what was read, not taken from the file: what is kept by fingerprint,
    in memory and in the cache, then never meets what is kept of other tables.

    Raises:
        Unsound: they cannot be run.
    """
    if not isinstance(plain, dict) or plain.keys() != set(STORED):
        raise Unsound("facts are missing")
    known = {f"{name}.{field}" for name, kind in PARTS.items() if name != "trie" for field in kind._fields}
    if not arrays.keys() <= known:
        raise Unsound("there are arrays of no part")
    kinds = {"deterministic": bool, "separable": bool, "sites": str, "vocab_size": int}
    if any(type(plain[name]) is not kind for name, kind in kinds.items()):
        raise Unsound("a fact is of another type")
    limit, ends = _numbers(plain["token_limit"]), _numbers(plain["end_of_turn"])
    names = plain["boundaries"]
    if len(limit) != 2 or not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Unsound("a fact is of another type")
    parts: dict[str, Any] = {
        name: _part(kind, arrays, f"{name}.") if any(key.startswith(f"{name}.") for key in arrays) else None
        for name, kind in PARTS.items()
        if name != "trie"
    }
    facts: dict[str, Any] = plain | {"token_limit": limit, "end_of_turn": ends, "boundaries": tuple(names)}
    digest = hashlib.sha256(json.dumps([plain, *digests], sort_keys=True).encode()).hexdigest()
    tables = AutomatonTables(trie=trie, **parts, **facts, fingerprint=f"built-{digest[:40]}")
    check_grammar_tables(tables)
    return tables


def _part(kind: Any, arrays: Arrays, prefix: str) -> Any:
    missing = [field for field in kind._fields if prefix + field not in arrays]
    if missing:
        raise Unsound(f"{prefix}{missing[0]} is missing")
    return kind(*(arrays[prefix + field] for field in kind._fields))


def _numbers(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(number) is int for number in value):
        raise Unsound("a fact is of another type")
    return tuple(value)
