"""Answers about grammars that outlive a check: between two keystrokes few grammars change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.errors import Diagnostic
from smcdsl.program.grammar import Grammar

_MOST = 512
Answer = TypeVar("Answer")


class RememberedFacts:
    """Implements `smcdsl.program.facts.GrammarFacts`: asks `GrammarAnalysis` once for each grammar and question.

    Grammars are told apart by what they say, not by where they are written. So mistakes, which have places,
    are looked for again while there are any.
    """

    def __init__(self) -> None:
        self._analysis = GrammarAnalysis()
        self._known: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    def problems(self, grammar: Grammar) -> list[Diagnostic]:
        """Its mistakes."""
        with self._lock:
            key = ("problems", _identity(grammar))
            if key in self._known:
                return []
            found = self._analysis.problems(grammar)
            if not found:
                self._keep(key, True)
            return found

    def accepts(self, grammar: Grammar, text: str) -> bool | None:
        """Whether `text` is one of its texts."""
        return self._once(("accepts", text), grammar, lambda: self._analysis.accepts(grammar, text))

    def can_contain(self, grammar: Grammar, text: str) -> bool | None:
        """Whether some text of the grammar has `text` as a substring."""
        return self._once(("contains", text), grammar, lambda: self._analysis.can_contain(grammar, text))

    def char_lengths(self, grammar: Grammar) -> tuple[int, int | None] | None:
        """(shortest, longest) length of its texts."""
        return self._once(("lengths",), grammar, lambda: self._analysis.char_lengths(grammar))

    def may_be_ambiguous(self, grammar: Grammar) -> bool | None:
        """Whether it cannot be shown that every text has one derivation."""
        return self._once(("ambiguous",), grammar, lambda: self._analysis.may_be_ambiguous(grammar))

    def _once(self, question: Hashable, grammar: Grammar, answer: Callable[[], Answer]) -> Answer:
        with self._lock:
            key = (question, _identity(grammar))
            if key not in self._known:
                self._keep(key, answer())
            return self._known[key]

    def _keep(self, key: Hashable, value: Any) -> None:
        while len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        self._known[key] = value


def _identity(grammar: Grammar) -> str:
    return grammar.digest
