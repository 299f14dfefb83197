"""GrammarFacts: what the checker asks about the language of a closed grammar.

The answers need automata, which live above the language's floor; so the engine passes them in
(`smcdsl.compiler.analyze` implements the protocol). Every answer may be None: it could not be told
within the analysis' limits, and the checker then says nothing.
"""

from __future__ import annotations

from typing import Protocol

from smcdsl.errors import Diagnostic
from smcdsl.program.grammar import Grammar


class GrammarFacts(Protocol):
    """Questions about one closed grammar (`Grammar` as `library.binding` makes it), conditions and filters included."""

    def problems(self, grammar: Grammar) -> list[Diagnostic]:
        """Its mistakes: E0402 never finishes, E0403 empty, E0404 not regular beside `-` or `&`, E0405 look-around.

        Spans are those of the nodes; nodes without a span are never blamed. One mistake, one message.
        """
        ...

    def accepts(self, grammar: Grammar, text: str) -> bool | None:
        """Whether `text` is one of its texts."""
        ...

    def can_contain(self, grammar: Grammar, text: str) -> bool | None:
        """Whether some text of the grammar has the non-empty `text` as a substring (W0408)."""
        ...

    def char_lengths(self, grammar: Grammar) -> tuple[int, int | None] | None:
        """(shortest, longest) length of its texts in Unicode code points; longest None if without bound."""
        ...

    def may_be_ambiguous(self, grammar: Grammar) -> bool | None:
        """Whether it cannot be shown that every text has one derivation (W0410)."""
        ...
