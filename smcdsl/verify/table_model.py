"""A random model over a small vocabulary: every byte, which it never writes, and some pieces, which it does.

Bytes spell whatever the program gives; the law of a piece depends on the token before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.prefixes import Prefixes
from smcdsl.protocols import Role, TurnTokens
from smcdsl.vocabulary import Vocabulary

NUM_BYTES = 256
END, TURN = NUM_BYTES, NUM_BYTES + 1
"""The token that ends turns, and the one that opens them."""

_CONTEXT_LENGTH = 1 << 20
_CONCENTRATION = 0.7
_LEAST = 0.2
"""What each piece's share is from, before it is made to sum to one: nothing is very rare."""


class TableModel:
    """A Markov chain over the pieces and the end of a turn. Without pieces it writes bytes, all alike.

    Args:
        pieces: byte strings of two bytes or more, and single ones that it may write.
        seed: determines the table.
    """

    def __init__(self, pieces: Sequence[bytes] = (), seed: int = 0) -> None:
        self.name = "table"
        spelled = [bytes([byte]) for byte in range(NUM_BYTES)] + [b"", b""] + list(pieces)
        self.vocabulary = Vocabulary(tuple(spelled), (END,), ((END, "<end>"), (TURN, "<turn>")))
        self.context_length = _CONTEXT_LENGTH
        self.description: dict[str, Any] = {
            "name": "table",
            "weights_sha256": None,
            "dtype": "float64",
            "device": "cpu",
        }
        self.log_rows = _table(len(spelled), len(pieces), seed)
        # Of a byte and a piece that spell the same the piece, which has a probability.
        self._by_text = {text: number for number, text in enumerate(spelled) if text}
        self._longest = max(map(len, self._by_text))

    def encode(self, text: str, *, starts_text: bool = False) -> list[int]:
        """The longest token first."""
        data, tokens, place = text.encode(), [], 0
        while place < len(data):
            end = min(place + self._longest, len(data))
            while data[place:end] not in self._by_text:
                end -= 1
            tokens.append(self._by_text[data[place:end]])
            place = end
        return tokens

    def begin_text(self) -> list[int]:
        """The same token as before a turn, so that there is something to go on from."""
        return [TURN]

    def turn(self, earlier: Sequence[Role], role: Role) -> TurnTokens:
        """One token before a turn, one after it."""
        return TurnTokens((TURN,), (END,))

    def start(self, prefixes: Prefixes) -> TableSession:
        """Begin a run."""
        return TableSession(self.log_rows, prefixes)


class TableSession:
    """Looks rows up."""

    def __init__(self, log_rows: NDArray[np.float64], prefixes: Prefixes) -> None:
        self._log_rows, self._prefixes = log_rows, prefixes

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.float64]:
        """(U, V) rows after each prefix's last token."""
        return self._log_rows[self._prefixes.tokens[prefixes]]

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""


def _table(size: int, num_pieces: int, seed: int) -> NDArray[np.float64]:
    """(V, V) log laws by the token before."""
    law = np.zeros((size, size))
    law[:, END] = 1.0
    if not num_pieces:
        law[:, :NUM_BYTES] = 1.0
        return np.log(law / law.sum(axis=1, keepdims=True), where=law > 0, out=np.full(law.shape, -np.inf))
    generator = np.random.default_rng(seed)
    live = [END, *range(size - num_pieces, size)]
    law[:, live] = generator.dirichlet(np.full(len(live), _CONCENTRATION), size=size) + _LEAST / len(live)
    return np.log(law / law.sum(axis=1, keepdims=True), where=law > 0, out=np.full(law.shape, -np.inf))
