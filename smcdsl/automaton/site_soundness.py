"""Whether rules for sites, read from somebody's file, are what `derivations` takes them for."""

from __future__ import annotations

from typing import Any

_MOST_DEPTH = 100
_MOST_NODES = 1_000_000
_MOST_REPEATED = 1 << 20
_PARTS = frozenset({"start", "rules", "boundaries", "lexed", "ignored", "mode", "embedded"})


def check_site_rules(rules: Any, *, boundaries: frozenset[str], num_leaves: int, num_modes: int) -> str | None:
    """What is wrong with rules, or None.

    Args:
        boundaries: names that sites may have.
        num_leaves: states of the automata of regular parts.
        num_modes: lexers, 0 for a regular language.
    """
    return _Check(boundaries, num_leaves, num_modes).grammar(rules, 0)


class _Check:
    """One walk over rules; all of them together are so many nodes at most."""

    def __init__(self, boundaries: frozenset[str], num_leaves: int, num_modes: int) -> None:
        self._boundaries, self._num_leaves, self._num_modes = boundaries, num_leaves, num_modes
        self._nodes = 0
        self._num_rules, self._num_embedded = 0, 0

    def grammar(self, rules: Any, depth: int) -> str | None:
        if depth > _MOST_DEPTH or not isinstance(rules, dict) or rules.keys() != _PARTS:
            return "they are not complete"
        bodies, names, embedded, ignored = (rules[part] for part in ("rules", "boundaries", "embedded", "ignored"))
        if not all(isinstance(part, list) for part in (bodies, names, embedded, ignored)):
            return "parts of them are no lists"
        if len(bodies) != len(names) or not _is_index(rules["start"], len(bodies)):
            return "there is no rule to start with"
        if any(name is not None and (not isinstance(name, str) or name not in self._boundaries) for name in names):
            return "they name boundaries that there are not"
        if type(rules["lexed"]) is not bool or not all(_is_index(terminal, 1 << 20) for terminal in ignored):
            return "they are not as they must be"
        if (rules["lexed"] or embedded or depth) and not self._num_modes:
            return "they speak of a lexer, and there is none"
        if not _is_index(rules["mode"], max(self._num_modes, 1)):
            return "they speak of a lexer that there is not"
        for inner in embedded:
            problem = self.grammar(inner, depth + 1)
            if problem is not None:
                return problem
        self._num_rules, self._num_embedded = len(bodies), len(embedded)
        return next((problem for body in bodies if (problem := self._node(body, 0)) is not None), None)

    def _node(self, node: Any, depth: int) -> str | None:
        self._nodes += 1
        if self._nodes > _MOST_NODES or depth > _MOST_DEPTH:
            return "they are nested too deeply, or too many"
        if not isinstance(node, list) or not node or not isinstance(node[0], str):
            return "a part is no list"
        kind, rest = node[0], node[1:]
        items: list[Any] = []
        sound = False
        if kind in ("sequence", "choice"):
            items, sound = rest, bool(rest) or kind == "sequence"
        elif kind in ("rule", "leaf", "terminal", "embedded"):
            ends = {"rule": self._num_rules, "leaf": max(self._num_leaves, 1), "embedded": self._num_embedded}
            sound = len(rest) == 1 and _is_index(rest[0], ends.get(kind, 1 << 20))
        elif kind == "repeat" and len(rest) == 3:
            items = rest[:1]
            sound = _is_index(rest[1], _MOST_REPEATED)
            sound = sound and (rest[2] is None or (_is_index(rest[2], 1 << 40) and rest[2] >= rest[1]))
        elif kind in ("keep", "drop") and len(rest) == 2:
            items, sound = rest[:1], _is_index(rest[1], max(self._num_leaves, 1))
        if not sound:
            return f"a part of kind {kind[:20]!r} is not as it must be"
        return next((problem for item in items if (problem := self._node(item, depth + 1)) is not None), None)


def _is_index(value: Any, end: int) -> bool:
    return type(value) is int and 0 <= value < end
