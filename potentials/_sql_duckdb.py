"""DuckDB as the engine of other dialects than SQLite's: types are checked, and what GROUP BY leaves open.

The work is done by another process (`_sql_duckdb_worker`). Needs the extra `duckdb`.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

from smcdsl.potentials._sql_limits import KILL_SECONDS
from smcdsl.potentials._sql_outcomes import Outcome, Outcomes
from smcdsl.potentials._sql_processes import Engine, EngineFailed, Stopped

from smcdsl.errors import Diagnostic, UsageError

_PROCESS_BYTES = 2_000_000_000
"""Most address space of the process; the libraries alone take more than one gigabyte of it."""
_OPENING_SECONDS = 120.0
"""The most time to read a file into DuckDB; beyond it no query of the file has an outcome."""
_engine = Engine("smcdsl.potentials._sql_duckdb_worker", KILL_SECONDS, _PROCESS_BYTES)


class DuckDatabase:
    """One version of one SQLite file, asked in one dialect. Thread-safe."""

    def __init__(self, path: str, version: tuple[int, int], dialect: str) -> None:
        """Raises UsageError (E0802) where DuckDB is not installed."""
        if find_spec("duckdb") is None:
            raise UsageError(
                Diagnostic(
                    "E0802",
                    f"SQL of dialect `{dialect}` is checked by DuckDB, which is not installed",
                    help="pip install 'smcdsl[duckdb]'",
                )
            )
        self._arguments = (path, version)
        self._dialect = dialect
        self._generation = -1
        self._compiled = Outcomes(lambda query, _: self._call(query, None))
        self._outcomes = Outcomes(self._call)

    def compile_error(self, query: str) -> str | None:
        """DuckDB's message, or sqlglot's, if one of them does not take the query; None if both do."""
        return self._compiled.of(query, False).error

    def execute(self, query: str, *, keep_rows: bool = False) -> Outcome:
        """Run one query within the limits. Outcomes are remembered."""
        return self._outcomes.of(query, keep_rows)

    def _call(self, query: str, keep_rows: bool | None) -> Outcome:
        if self._generation != _engine.generation:
            try:
                _engine.call(*self._arguments, None, self._dialect, None, seconds=_OPENING_SECONDS)
            except Stopped as stopped:
                raise EngineFailed(f"{self._arguments[0]} cannot be read into DuckDB: {stopped}") from stopped
            self._generation = _engine.generation
        try:
            return Outcome(*_engine.call(*self._arguments, query, self._dialect, keep_rows))
        except Stopped as stopped:
            return Outcome(str(stopped))


@lru_cache(maxsize=16)
def duck_database(path: str, version: tuple[int, int], dialect: str) -> DuckDatabase:
    """The database for one version of a file; see `DuckDatabase`."""
    return DuckDatabase(path, version, dialect)
