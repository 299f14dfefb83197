"""A model given by a table of next-token probabilities: for tests, documentation and outside checks.

The file is JSON:

    {"vocab": ["a", "b", "<end>"], "eos": 2,
     "lm": {"order": 1, "table": [[[-1], [0.5, 0.5, 0]], [[0], [0.2, 0.3, 0.5]], ...]}}

`vocab` are the tokens' texts and `eos` the token that ends a turn (its text is only a name, as are empty
texts: no grammar can write them). A row of the table is a context, the last `order` tokens with -1 where
there are fewer, and the probabilities of all tokens after it. Only contexts that are met need a row; to
meet another one is an error. Raw text begins with nothing.

Optional: `"chat": {"user": [[opening tokens], [closing tokens]], ...}` gives the model chat turns (the
closing of `assistant` begins with `eos`), and `"context_length"` limits prefixes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, ModelError
from smcdsl.models.chat_template import refused_turn
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import Role, TurnTokens
from smcdsl.vocabulary import Vocabulary

_CONTEXT_LENGTH = 1 << 16
_TOLERANCE = 1e-6
"""How far from one the probabilities of a row may sum."""


def load(path: str) -> ToyModel:
    """The model in a JSON file.

    Raises:
        ModelError: E0803 for a file that cannot be read, E0820 for one that is not a table.
    """
    name = f"toy:{path}"
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        message = f"cannot read the toy model `{path}`"
        fact = error.strerror or str(error)
        raise ModelError(Diagnostic("E0803", message, context=f"--model {name}", facts=(fact,)), name) from None
    try:
        table = json.loads(data)
    except ValueError as error:
        raise _mistake(name, f"it is not JSON: {error}") from None
    return ToyModel(table, name, hashlib.sha256(data).hexdigest())


class ToyModel:
    """A Markov chain over tokens. `table` is what the JSON file holds.

    Raises:
        ModelError: E0820, the table is not as this module describes.
    """

    def __init__(self, table: Mapping[str, Any], name: str = "toy", sha256: str | None = None) -> None:
        self.name = name
        try:
            self._read(table)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            missing = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise _mistake(name, missing) from None
        except ValueError as error:
            raise _mistake(name, str(error)) from None
        self.description: dict[str, Any] = {
            "name": name,
            "weights_sha256": sha256,
            "dtype": "float64",
            "device": "cpu",
        }
        self._spelled = lru_cache(maxsize=4096)(self._spell)

    def _read(self, table: Mapping[str, Any]) -> None:
        texts, eos = list(table["vocab"]), table["eos"]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("`vocab` must be a list of texts")
        if not isinstance(eos, int) or not 0 <= eos < len(texts):
            raise ValueError(f"`eos` must be the number of a token, from 0 to {len(texts) - 1}")
        spelled = tuple(b"" if token == eos else text.encode() for token, text in enumerate(texts))
        self.vocabulary = Vocabulary(spelled, (eos,), ((eos, texts[eos]),))
        self.order = int(table["lm"]["order"])
        if self.order < 0:
            raise ValueError("`order` must not be negative")
        rows = table["lm"]["table"]
        self._rows = {}
        self.log_rows = np.empty((len(rows), len(texts)))
        for number, (context, probabilities) in enumerate(rows):
            self._add(number, tuple(int(token) for token in context), probabilities)
        self.context_length = int(table.get("context_length", _CONTEXT_LENGTH))
        self._chat = {
            role: TurnTokens(tuple(opening), tuple(closing))
            for role, (opening, closing) in table.get("chat", {}).items()
        }
        if "assistant" in self._chat and self._chat["assistant"].closing[:1] != (eos,):
            raise ValueError("the closing of `assistant` turns must begin with `eos`")

    _rows: dict[tuple[int, ...], int]

    def _add(self, number: int, context: tuple[int, ...], probabilities: Sequence[float]) -> None:
        size = len(self.vocabulary)
        shown = list(context)
        if len(context) != self.order or not all(-1 <= token < size for token in context):
            raise ValueError(f"context {shown} must be {self.order} token numbers below {size}, or -1")
        if context in self._rows:
            raise ValueError(f"context {shown} has two rows")
        row = np.array(probabilities, dtype=np.float64)
        if row.shape != (size,) or not np.isfinite(row).all() or (row < 0).any():
            raise ValueError(f"context {shown} needs {size} probabilities, one a token")
        if not math.isclose(row.sum(), 1.0, abs_tol=_TOLERANCE):
            raise ValueError(f"the probabilities after context {shown} sum to {row.sum():.9g}")
        with np.errstate(divide="ignore"):
            self.log_rows[number] = np.log(row)
        self._rows[context] = number

    def row_of(self, context: tuple[int, ...]) -> int:
        """The row of a context. Raises ModelError (E0820) where there is none."""
        row = self._rows.get(context)
        if row is None:
            raise _mistake(self.name, f"the table has no row for context {list(context)}")
        return row

    def encode(self, text: str, *, starts_text: bool = False) -> list[int]:
        """The longest token first, as far as the rest can still be spelled.

        Raises:
            ModelError: E0820, no tokens spell the text.
        """
        return list(self._spelled(text.encode()))

    def begin_text(self) -> list[int]:
        """Nothing."""
        return []

    def turn(self, earlier: Sequence[Role], role: Role) -> TurnTokens:
        """The turn's tokens as the table gives them, whatever came before."""
        if not self._chat:
            message = f"`{self.name}` is a toy model without a chat template"
            fix = 'rewrite the turns with `text`, or give the table a "chat" entry'
            raise ModelError(Diagnostic("E0804", message, help=fix), self.name)
        if role not in self._chat:
            turns = ", ".join(f"`{known}`" for known in self._chat)
            raise ModelError(refused_turn(role, f'the "chat" entry of {self.name} has {turns}'), self.name)
        return self._chat[role]

    def start(self, prefixes: Prefixes) -> ToySession:
        """Begin a run."""
        return ToySession(self, prefixes)

    def _spell(self, text: bytes) -> tuple[int, ...]:
        by_text: dict[bytes, int] = {}
        for token, spelled in enumerate(self.vocabulary.token_bytes):
            if spelled:
                by_text.setdefault(spelled, token)
        longest = max(map(len, by_text), default=0)
        # From the end: the token that the spelling of each suffix begins with.
        firsts: list[int | None] = [None] * len(text)
        for start in range(len(text) - 1, -1, -1):
            for end in range(min(start + longest, len(text)), start, -1):
                if text[start:end] in by_text and (end == len(text) or firsts[end] is not None):
                    firsts[start] = by_text[text[start:end]]
                    break
        if text and firsts[0] is None:
            shown = text.decode(errors="replace")
            raise _mistake(self.name, f"no tokens spell the given text {shown!r}")
        tokens, position = [], 0
        while position < len(text):
            first = firsts[position]
            assert first is not None
            tokens.append(first)
            position += len(self.vocabulary.token_bytes[first])
        return tuple(tokens)


class ToySession:
    """Looks rows up for all prefixes at once."""

    def __init__(self, model: ToyModel, prefixes: Prefixes) -> None:
        self._model = model
        self._prefixes = prefixes
        self._base = len(model.vocabulary) + 1
        contexts = list(model._rows)
        # Contexts as digits of one number, where a number can hold them.
        self._numbered = self._base**model.order < 2**62
        if self._numbered:
            codes = np.array([self._code(context) for context in contexts], dtype=np.int64)
            self._rows = np.argsort(codes)
            self._codes = codes[self._rows]

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.float64]:
        """(U, V) rows of the table, in float64."""
        model = self._model
        contexts = self._contexts(prefixes)
        if not self._numbered:
            return model.log_rows[[model.row_of(tuple(context)) for context in contexts.tolist()]]
        weights = self._base ** np.arange(model.order, dtype=np.int64)
        codes = ((contexts + 1) * weights).sum(axis=1)
        places = np.minimum(np.searchsorted(self._codes, codes), max(len(self._codes) - 1, 0))
        if not len(self._codes) or (self._codes[places] != codes).any():
            for context in contexts.tolist():
                model.row_of(tuple(context))
        return model.log_rows[self._rows[places]]

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""

    def _contexts(self, prefixes: NDArray[np.int64]) -> NDArray[np.int64]:
        """(U, order) the last tokens of each prefix, -1 where there are fewer."""
        contexts = np.empty((len(prefixes), self._model.order), dtype=np.int64)
        for column in range(self._model.order - 1, -1, -1):
            contexts[:, column] = np.where(prefixes > 0, self._prefixes.tokens[prefixes], -1)
            prefixes = np.where(prefixes > 0, self._prefixes.parents[prefixes], 0)
        return contexts

    def _code(self, context: tuple[int, ...]) -> int:
        return sum((token + 1) * self._base**place for place, token in enumerate(context))


def _mistake(name: str, what: str) -> ModelError:
    fix = 'a toy model is {"vocab": [...], "eos": N, "lm": {"order": K, "table": [[[context], [probabilities]], ...]}}'
    message = f"`{name}` cannot be used as a toy model"
    return ModelError(Diagnostic("E0820", message, context=f"--model {name}", facts=(what,), help=fix), name)
