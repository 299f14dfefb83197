"""The embedded model behind the `LanguageModel` protocol: no torch, no transformers, no download.

It is loaded in a fraction of a second and decodes at the speed of a few matrix products a token.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from smcdsl.errors import Diagnostic, ModelError
from smcdsl.models.cache_plan import Drop, Feed, Fill, Promote, Split
from smcdsl.models.embedded.decoder import Decoder, Floats, Weights, load_weights, log_softmax
from smcdsl.models.prefix_cache import PrefixRows
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import Role, TurnTokens
from smcdsl.vocabulary import Vocabulary

FOLDER = Path(__file__).parent
ROWS_AT_ONCE = 256


class EmbeddedModel:
    """The model shipped with smcdsl, or another in the same form.

    Args:
        name: as the user gave it.
        folder: where `model.safetensors`, `config.json` and `tokenizer.json` lie.
    """

    def __init__(self, name: str = "embedded", folder: Path = FOLDER) -> None:
        self._name = name
        self._folder = folder
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # Strings that look like special tokens stay text.
        self._tokenizer.encode_special_tokens = True
        self._end_of_turn = tuple(json.loads((folder / "config.json").read_text())["eos_token_id"])
        self._weights: Weights = load_weights(folder)

    @property
    def name(self) -> str:
        """As the user gave it."""
        return self._name

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""
        special = {token_id: token.content for token_id, token in self._tokenizer.get_added_tokens_decoder().items()}
        token_bytes = [b""] * len(self._weights.embedding)
        for text, token_id in self._tokenizer.get_vocab(with_added_tokens=True).items():
            if token_id not in special:
                token_bytes[token_id] = bytes(BYTE_OF[char] for char in text)
        return Vocabulary(tuple(token_bytes), self._end_of_turn, tuple(sorted(special.items())))

    @property
    def context_length(self) -> int:
        """The most tokens a prefix may have."""
        return self._weights.context_length

    @cached_property
    def description(self) -> dict[str, Any]:
        """For result records."""
        digest = hashlib.sha256((self._folder / "model.safetensors").read_bytes()).hexdigest()
        return {"name": self._name, "weights_sha256": digest, "dtype": "float32", "device": "cpu", "engine": "numpy"}

    def encode(self, text: str, *, starts_text: bool = False) -> list[int]:
        """Token ids of `text`; strings that look like special tokens stay text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def begin_text(self) -> list[int]:
        """The begin-of-text token."""
        return [self._special("<|bos|>")]

    def turn(self, earlier: Sequence[Role], role: Role) -> TurnTokens:
        """A role's token before the content, the end token after it; any order of roles will do."""
        opening = (*(() if earlier else self.begin_text()), self._special(f"<|{role}|>"))
        return TurnTokens(opening, (self._special("<|end|>"),))

    def start(self, prefixes: Prefixes) -> EmbeddedSession:
        """Begin a run whose prefixes are named by `prefixes`."""
        return EmbeddedSession(self._name, self._weights, prefixes)

    def _special(self, token: str) -> int:
        token_id = self._tokenizer.token_to_id(token)
        assert token_id is not None, token
        return token_id


class EmbeddedSession:
    """Keys and values of one run. `PrefixRows` says which row holds which prefix, the decoder does the rest."""

    def __init__(self, name: str, weights: Weights, prefixes: Prefixes) -> None:
        self._name = name
        self._weights = weights
        self._prefixes = prefixes
        self.close()

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> Floats:
        """Log-probabilities of the next token after each of U distinct prefixes, (U, V), in the weights' type."""
        longest = int(self._prefixes.lengths[prefixes].max(initial=0))
        if longest > self._weights.context_length:
            raise too_long(self._name, longest, self._weights.context_length)
        decoder, rows = self._decoder, self._rows
        logits = np.empty((len(prefixes), self._weights.head.shape[1]), dtype=self._weights.dtype)
        for operation in rows.operations(prefixes):
            match operation:
                case Feed():
                    decoder.make_room(rows.num_rows, rows.num_slots)
                    decoder.copy(operation.copies)
                    for asked, found in decoder.feed(operation, rows.path):
                        logits[asked] = found
                case Fill():
                    decoder.fill(operation)
                case Split():
                    decoder.split(operation)
                case Promote():
                    decoder.promote(operation)
                case Drop():
                    decoder.drop(operation)
        return log_softmax(logits)

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """Free the rows that none of these prefixes extends."""
        self._rows.retain(prefixes)

    def close(self) -> None:
        """Free keys and values."""
        self._decoder = Decoder(self._weights)
        self._rows = PrefixRows(self._prefixes, ROWS_AT_ONCE)


def too_long(name: str, length: int, context_length: int) -> ModelError:
    """The failure of a prefix that does not fit."""
    message = f"the text is {length} tokens long, and `{name}` reads at most {context_length}"
    return ModelError(Diagnostic("E0805", message, help="shorten the prompt or bound the holes"), name)


def byte_alphabet() -> dict[str, int]:
    """The byte each character of a byte-level BPE's entries stands for."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + place): byte for place, byte in enumerate(others)}


BYTE_OF = byte_alphabet()
