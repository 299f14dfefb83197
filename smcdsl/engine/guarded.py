"""Automata over tables from somebody's file.

Such tables were proved to be safe to run, not to mean anything: a lexer may promise a terminal that the parser never
takes, which no table of the compiler does. Where the engine meets such a contradiction it is the file's fault.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.tables import AutomatonTables

_Parameters = ParamSpec("_Parameters")
_Answer = TypeVar("_Answer")

CONTRADICTIONS = (ArithmeticError, AssertionError, LookupError, MemoryError, RecursionError, TypeError, ValueError)
Blame = Callable[[Exception], Exception]


def _guarded(
    method: Callable[Concatenate[Any, _Parameters], _Answer],
) -> Callable[Concatenate[Any, _Parameters], _Answer]:
    """A method whose mishaps are put down to the file."""

    @wraps(method)
    def call(self: Any, /, *arguments: _Parameters.args, **named: _Parameters.kwargs) -> _Answer:
        try:
            return method(self, *arguments, **named)
        except CONTRADICTIONS as error:
            raise self._blame(error) from error

    return call


class GuardedAutomaton(TokenAutomaton):
    """A `TokenAutomaton` that raises what `blame` makes of an error that tables of the compiler never lead to."""

    def __init__(self, tables: AutomatonTables, following: bytes | None, cache_dir: Path | None, blame: Blame) -> None:
        self._blame = blame
        self._make(tables, following, cache_dir)

    _make = _guarded(TokenAutomaton.__init__)
    masks = _guarded(TokenAutomaton.masks)
    fill = _guarded(TokenAutomaton.fill)
    rows = _guarded(TokenAutomaton.rows)
    pick = _guarded(TokenAutomaton.pick)
    mask = _guarded(TokenAutomaton.mask)
    advance = _guarded(TokenAutomaton.advance)
    next = _guarded(TokenAutomaton.next)
    forced = _guarded(TokenAutomaton.forced)
    noticed = _guarded(TokenAutomaton.noticed)
    sites = _guarded(TokenAutomaton.sites)
    bytes_left = _guarded(TokenAutomaton.bytes_left)
