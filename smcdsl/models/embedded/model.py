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
from smcdsl.models.embedded.decoder import Decoder, Floats, Weights, load_weights, log_softmax
from smcdsl.models.prefix_cache import PrefixRows, Step
from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.protocols import Role, TurnTokens
from smcdsl.vocabulary import Vocabulary

FOLDER = Path(__file__).parent


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
    """Keys and values of one run.

    `PrefixRows` says which row holds which prefix. What the first prefixes asked for have in common, a
    prompt as a rule, is the decoder's common start: rows that begin with it do not hold it themselves.
    """

    def __init__(self, name: str, weights: Weights, prefixes: Prefixes) -> None:
        self._name = name
        self._prefixes = prefixes
        self._decoder = Decoder(weights)
        self._rows = PrefixRows(prefixes)
        self._start: list[int] = []  # the common start's prefixes, the empty one first; none before the first call

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Log-probabilities of the next token after each of U distinct prefixes, (U, V)."""
        weights = self._decoder.weights
        longest = int(self._prefixes.lengths[prefixes].max())
        if longest > weights.context_length:
            raise too_long(self._name, longest, weights.context_length)
        if not self._start:
            self._share(prefixes)
        logits = np.empty((len(prefixes), weights.head.shape[1]), dtype=np.float32)
        inside = np.asarray([self._is_in_start(prefix) for prefix in prefixes.tolist()])
        for index in np.flatnonzero(inside):
            logits[index] = self._again(int(prefixes[index]))
        outside = np.flatnonzero(~inside)
        for step in self._rows.steps(prefixes[outside]) if len(outside) else ():
            wanted = step.asked >= 0
            logits[outside[step.asked[wanted]]] = self._feed(step)[wanted]
        return log_softmax(logits)

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """Free the rows that none of these prefixes extends."""
        self._rows.retain(prefixes)

    def close(self) -> None:
        """Free keys and values."""
        self._decoder = Decoder(self._decoder.weights, num_rows=0)
        self._rows = PrefixRows(self._prefixes)
        self._start = []

    def _share(self, prefixes: NDArray[np.int64]) -> None:
        """Compute what the first prefixes have in common, all but their last tokens, once for all rows."""
        lengths, parents, tokens = self._prefixes.lengths, self._prefixes.parents, self._prefixes.tokens
        common, *others = parents[prefixes].tolist()
        for other in others:
            while common != other:
                if lengths[common] >= lengths[other]:
                    common = int(parents[common])
                else:
                    other = int(parents[other])
        path = [common]
        while path[-1] != ROOT:
            path.append(int(parents[path[-1]]))
        self._start = path[::-1]
        if common != ROOT:
            # The first row now holds the common start, and the rows copied from it will.
            for _ in self._rows.steps(np.asarray([common])):
                self._decoder.prefill(tokens[self._start[1:]])

    def _is_in_start(self, prefix: int) -> bool:
        length = int(self._prefixes.lengths[prefix])
        return length < len(self._start) and self._start[length] == prefix

    def _again(self, prefix: int) -> Floats:
        """Logits after a beginning of the common start, from a row that nothing else uses."""
        scratch = self._decoder.num_rows
        self._decoder.grow_rows(scratch + 1)
        token, before = self._prefixes.tokens[prefix], self._prefixes.lengths[prefix] - 1
        one = np.ones(1, dtype=np.int64)
        return self._decoder.append(scratch * one, np.asarray([[token]]), one, starts=before * one)[0]

    def _feed(self, step: Step) -> Floats:
        """Do one step of the plan and return the logits after each feed."""
        self._make_room(self._rows.num_rows)
        if step.copies:
            sources, targets, ends = np.asarray([(copy.source, copy.target, copy.end) for copy in step.copies]).T
            self._decoder.copy(sources, targets, ends)
        counts = np.asarray([len(tokens) for tokens in step.tokens])
        logits = np.empty((len(counts), self._decoder.weights.head.shape[1]), dtype=np.float32)
        # Feeds of several tokens go apart, or all would be padded to the longest.
        for feeds in (np.flatnonzero(counts == 1), np.flatnonzero(counts > 1)):
            if len(feeds):
                tokens = np.zeros((len(feeds), int(counts[feeds].max())), dtype=np.int64)
                for line, feed in zip(tokens, feeds, strict=True):
                    line[: counts[feed]] = step.tokens[feed]
                logits[feeds] = self._decoder.append(step.rows[feeds], tokens, counts[feeds], step.starts[feeds])
        return logits

    def _make_room(self, num_rows: int) -> None:
        if num_rows > self._decoder.num_rows:
            self._decoder.grow_rows(max(num_rows, 2 * self._decoder.num_rows))


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
