"""Token automata of a program's holes: compiled once, shared by all particles, runs and threads."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from smcdsl.cache import cache_dir
from smcdsl.errors import CompileError, Label, Span
from smcdsl.program.grammar import Grammar
from smcdsl.program.program import Program
from smcdsl.vocabulary import Vocabulary

if TYPE_CHECKING:
    from smcdsl.automaton.automaton import TokenAutomaton
    from smcdsl.automaton.tables import AutomatonTables
    from smcdsl.engine.built import Built

_KEPT = 64
_lock = RLock()
_automata: OrderedDict[tuple[str, bytes | None], TokenAutomaton] = OrderedDict()


@dataclass(frozen=True)
class Compiled:
    """What compiling a hole's grammar took."""

    hole: str
    states: int
    seconds: float
    cached: bool


class HoleAutomata:
    """Makes the automata of one program over one vocabulary (the provider that `inference.run` takes).

    Args:
        told: is called with each grammar compiled.
        built: has tables that need not be made; they must be for this vocabulary.
    """

    def __init__(
        self,
        program: Program,
        vocabulary: Vocabulary,
        state_limit: int,
        told: Callable[[Compiled], None] | None = None,
        built: Built | None = None,
    ) -> None:
        self._program = program
        self._built = built
        self._vocabulary = vocabulary
        self._state_limit = state_limit
        self._told = told
        self._tables: dict[int, tuple[Grammar, AutomatonTables]] = {}
        self.seconds = 0.0

    def __call__(self, hole: str, inputs: Mapping[str, Any], following: bytes | None) -> TokenAutomaton:
        """The automaton of a hole under inputs, with the given text that follows it.

        Raises:
            CompileError: the grammar under these inputs is wrong, empty, too large, or cannot be spelled.
        """
        from smcdsl.library.binding import bind_hole

        began = time.perf_counter()
        grammar = bind_hole(self._program, hole, inputs)
        known = self._tables.get(id(grammar))
        if known is None or known[0] is not grammar:
            with _placed(grammar.span):
                known = (grammar, self._compile(hole, grammar, began))
            self._tables[id(grammar)] = known
        key = (known[1].fingerprint, following)
        with _lock:
            automaton = _automata.get(key)
            if automaton is None:
                with _placed(grammar.span):
                    automaton = self._automaton(known[1], following)
                _automata[key] = automaton
                if len(_automata) > _KEPT:
                    _automata.popitem(last=False)
            _automata.move_to_end(key)
        self.seconds += time.perf_counter() - began
        return automaton

    def prepare(self, inputs: Mapping[str, Any]) -> None:
        """Compile every hole's grammar under these inputs, and the loops that run automata.

        A run's time limit is for the run: what is compiled once and kept does not count.
        """
        import numpy as np

        for hole in self._program.holes:
            automaton = self(hole, inputs, None)
            state = np.array([automaton.start], dtype=np.int64)
            logprobs = np.zeros((1, len(self._vocabulary)), dtype=np.float32)
            allowed = automaton.pick(state, logprobs, np.zeros(1, dtype=np.int64)).tokens[:1].astype(np.int64)
            if len(allowed):
                automaton.noticed(state, allowed, lambda _: b"")
                automaton.advance(state, allowed)

    def _compile(self, hole: str, grammar: Grammar, began: float) -> AutomatonTables:
        from smcdsl.compiler.assemble import compile_grammar, fingerprint_of

        kept = self._from_file(grammar)
        if kept is not None:
            if self._told is not None:
                name, seconds = self._program.holes[hole].name, time.perf_counter() - began
                self._told(Compiled(name, kept.num_states, seconds, cached=True))
            return kept
        if self._told is None:
            known = _in_memory(fingerprint_of(grammar, self._vocabulary, self._state_limit))
            if known is not None:
                return known
        folder = cache_dir()
        before = set() if self._told is None else _stored(folder / "automata")
        declared = self._program.holes[hole]
        tables = compile_grammar(
            grammar,
            self._vocabulary,
            state_limit=self._state_limit,
            cache_dir=folder,
            checked=declared.closed is not None,
        )
        if self._told is not None:
            after = {file for file in _stored(folder / "automata") if file[0] == f"{tables.fingerprint}.arrays"}
            cached = not after.isdisjoint(before)
            self._told(Compiled(declared.name, tables.num_states, time.perf_counter() - began, cached))
        return tables

    def _automaton(self, tables: AutomatonTables, following: bytes | None) -> TokenAutomaton:
        if self._built is not None and self._built.has(tables):
            return self._built.automaton(tables, following, cache_dir())
        from smcdsl.automaton.automaton import TokenAutomaton

        return TokenAutomaton(tables, following, cache_dir())

    def _from_file(self, grammar: Grammar) -> AutomatonTables | None:
        """The tables of the compiled program, if it is one and has them."""
        if self._built is None:
            return None
        from smcdsl.compiler.assemble import fingerprint_of, refuse_special_tokens

        tables = self._built.tables(fingerprint_of(grammar, self._vocabulary, self._state_limit), self._vocabulary)
        if tables is not None:
            refuse_special_tokens(grammar, self._vocabulary)
        return tables


@contextmanager
def _placed(span: Span | None) -> Iterator[None]:
    """Put mistakes without a place at that of the grammar."""
    try:
        yield
    except CompileError as error:
        if span is None:
            raise
        here = (Label(span, primary=True),)
        raise CompileError([replace(each, labels=each.labels or here) for each in error.diagnostics]) from error


def _in_memory(fingerprint: str) -> AutomatonTables | None:
    """The tables of an automaton that another run made; None if there is none."""
    with _lock:
        return next((known.tables for key, known in _automata.items() if key[0] == fingerprint), None)


def _stored(folder: Path) -> set[tuple[str, int]]:
    """The files of a folder by name and inode, which is another one once a damaged file is replaced."""
    try:
        with os.scandir(folder) as files:
            return {(file.name, file.inode()) for file in files}
    except OSError:
        return set()
