"""Answers about grammars that outlive a check: between two checks of a program few of its grammars change."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from smcdsl.cache import keep, read_kept
from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.errors import Diagnostic
from smcdsl.program.grammar import Grammar

_MOST = 512
_WORTH_KEEPING = 0.002
"""Seconds that an answer took, if it goes into a file: most are found faster than they are read."""
Answer = TypeVar("Answer")


class RememberedFacts:
    """Implements `smcdsl.program.facts.GrammarFacts`: asks `GrammarAnalysis` once for each grammar and question.

    Grammars are told apart by what they say, not by where they are written. So mistakes, which have places,
    are looked for again while there are any.
    """

    def __init__(self) -> None:
        self._analysis = GrammarAnalysis()
        self._known: dict[str, Any] = {}
        self._lock = threading.RLock()

    def problems(self, grammar: Grammar) -> list[Diagnostic]:
        """Its mistakes."""
        with self._lock:
            key = f"problems {grammar.digest}"
            if key in self._known:
                self._keep(key, self._known.pop(key), 0.0)
                return []
            began = time.perf_counter()
            found = self._analysis.problems(grammar)
            if not found:
                self._keep(key, True, time.perf_counter() - began)
            return found

    def accepts(self, grammar: Grammar, text: str) -> bool | None:
        """Whether `text` is one of its texts."""
        return self._once("accepts", text, grammar, lambda: self._analysis.accepts(grammar, text))

    def can_contain(self, grammar: Grammar, text: str) -> bool | None:
        """Whether some text of the grammar has `text` as a substring."""
        return self._once("contains", text, grammar, lambda: self._analysis.can_contain(grammar, text))

    def char_lengths(self, grammar: Grammar) -> tuple[int, int | None] | None:
        """(shortest, longest) length of its texts."""
        found = self._once("lengths", "", grammar, lambda: self._analysis.char_lengths(grammar))
        return None if found is None else (found[0], found[1])

    def may_be_ambiguous(self, grammar: Grammar) -> bool | None:
        """Whether it cannot be shown that every text has one derivation."""
        return self._once("ambiguous", "", grammar, lambda: self._analysis.may_be_ambiguous(grammar))

    def _once(self, question: str, text: str, grammar: Grammar, answer: Callable[[], Answer]) -> Answer:
        with self._lock:
            # The digest has one length, so no two texts make one key.
            key = f"{question} {grammar.digest} {text}"
            began = time.perf_counter()
            value = self._known.pop(key) if key in self._known else answer()
            self._keep(key, value, time.perf_counter() - began)
            return value

    def _keep(self, key: str, value: Any, seconds: float) -> None:
        """Put an answer behind all others: those used least recently go first."""
        while len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        self._known[key] = value


class KeptFacts(RememberedFacts):
    """The same, with what took long kept in a file of `folder` from process to process."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._path = folder / "facts" / f"{_stamp()}.json"
        content = read_kept(self._path)
        if content is not None:
            self._known = json.loads(bytes(content))
        self._worthy, self._changed = set(self._known), False

    def save(self) -> None:
        """Write the file, if there is anything new in it."""
        if self._changed:
            found = {key: value for key, value in self._known.items() if key in self._worthy}
            keep(self._path, [json.dumps(found).encode()])
            self._changed = False

    def _keep(self, key: str, value: Any, seconds: float) -> None:
        super()._keep(key, value, seconds)
        if seconds > _WORTH_KEEPING and key not in self._worthy:
            self._worthy.add(key)
            self._changed = True


@cache
def _stamp() -> str:
    """A hash of the code that answers, which changes between versions."""
    from smcdsl import __version__
    from smcdsl.program import grammar

    files = [*sorted(Path(__file__).parent.glob("*.py")), Path(grammar.__file__)]
    code = b"".join(file.read_bytes() for file in files)
    return hashlib.blake2b(__version__.encode() + code, digest_size=12).hexdigest()
