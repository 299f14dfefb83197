"""Blocksworld goals compared: as sets of facts, and up to the names of the blocks.

Facts are compared as they are written; facts that others imply are not added, so an answer that leaves out an
implied `clear` counts as wrong. That makes the shares stated a lower bound of Planetarium's own.
"""

import re
from collections import defaultdict

Fact = tuple[str, ...]
_FACT = re.compile(r"\(([^()]+)\)")


def facts_of(goal: str) -> frozenset[Fact] | None:
    """Return the facts of `(and FACT ...)` or of one fact; None for other texts."""
    text = " ".join(goal.split())
    inner = text[5:-1] if text.startswith("(and ") and text.endswith(")") else text
    if re.sub(_FACT, "", inner).strip():
        return None
    return frozenset(tuple(match.group(1).split()) for match in _FACT.finditer(inner))


def same_up_to_names(first: frozenset[Fact], second: frozenset[Fact]) -> bool:
    """Whether some renaming of the blocks makes one set of facts the other.

    Exact where no block has two blocks on it or stands on two; otherwise only equal sets count.
    """
    forms = chains(first), chains(second)
    return first == second or (forms[0] is not None and forms[0] == forms[1])


def chains(facts: frozenset[Fact]) -> tuple[object, ...] | None:
    """Return facts without names: those of no block, and for each tower what is said of its blocks, top first.

    None if the `on` facts do not make towers.
    """
    under: dict[str, str] = {}
    said: dict[str, list[str]] = defaultdict(list)
    loose = []
    for fact in sorted(facts):
        if len(fact) == 3 and fact[0] == "on":
            if fact[1] in under:
                return None
            under[fact[1]] = fact[2]
            said.setdefault(fact[1], [])
            said.setdefault(fact[2], [])
        elif len(fact) == 2:
            said[fact[1]].append(fact[0])
        else:
            loose.append(fact)
    if len(set(under.values())) < len(under):
        return None
    towers = []
    counted = 0
    for block in said.keys() - set(under.values()):
        tower = [block]
        while tower[-1] in under:
            tower.append(under[tower[-1]])
        counted += len(tower)
        towers.append(tuple(tuple(sorted(said[name])) for name in tower))
    if counted < len(said):
        return None  # some blocks stand in a ring
    return (tuple(loose), tuple(sorted(towers)))
