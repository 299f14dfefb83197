"""Vocabulary: token ids and the bytes they spell."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Vocabulary:
    """All V tokens of a model.

    A token that spells no text (special tokens, padding rows of the output layer) is the empty byte
    string; no grammar can ever produce it. Two ids may spell the same bytes.
    """

    token_bytes: tuple[bytes, ...]  # (V,) b"" for special tokens
    end_of_turn: tuple[int, ...]  # ids that end a model's turn or text; at least one
    special_names: tuple[tuple[int, str], ...] = ()  # (id, name) of special tokens, for messages

    def __post_init__(self) -> None:
        if not self.end_of_turn:
            raise ValueError("a vocabulary needs at least one end-of-turn token")
        for token_id in self.end_of_turn:
            if not 0 <= token_id < len(self.token_bytes) or self.token_bytes[token_id]:
                raise ValueError(f"end-of-turn token {token_id} must be a special token of the vocabulary")

    def __len__(self) -> int:
        return len(self.token_bytes)

    def spell(self, tokens: Sequence[int]) -> bytes:
        """The bytes of a token sequence; special tokens spell nothing."""
        return b"".join(self.token_bytes[token] for token in tokens)

    @cached_property
    def newlines(self) -> bytes:
        """(V,) 1 for a token that holds a newline; kept, as a run may be shorter than finding it out."""
        return bytes(b"\n" in token for token in self.token_bytes)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of everything above but the names; keys of caches and compiled files."""
        digest = hashlib.blake2b(digest_size=16)
        for token in self.token_bytes:
            digest.update(len(token).to_bytes(4, "little") + token)
        digest.update(repr(self.end_of_turn).encode())
        return digest.hexdigest()
