"""Sites: occurrences of boundary rules in the text of a hole (language reference, 2.2.4)."""

from __future__ import annotations

from typing import NamedTuple

from smcdsl.automaton.recognizers import ParsedRecognizer, RegularRecognizer
from smcdsl.automaton.tables import AutomatonTables


class Site(NamedTuple):
    """An occurrence of a boundary: bytes `start` up to `end` of the hole's text."""

    rule: str
    start: int
    end: int


class SiteFinder:
    """Finds the sites of one grammar."""

    def __init__(self, tables: AutomatonTables, recognizer: RegularRecognizer | ParsedRecognizer) -> None:
        self._tables = tables
        self.incremental = False

    def find(self, text: bytes, complete: bool) -> tuple[Site, ...]:
        """The sites of a text."""
        return ()

    def noticed(self, configuration: int, text: bytes) -> int:
        """Bits of boundaries."""
        return 0
