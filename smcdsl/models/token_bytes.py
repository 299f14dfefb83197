"""The bytes that each token of a Hugging Face tokenizer spells.

Three families, told apart by the tokenizer's decoder: byte-level BPE (GPT-2's alphabet, which tiktoken
conversions use too), SentencePiece with `▁` for a blank and `<0xNN>` for a byte, and plain texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Tokenizer

from smcdsl.errors import Diagnostic, ModelError
from smcdsl.vocabulary import Vocabulary

METASPACE = "▁"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
_SAMPLE = "Hello, world! 'It''s' 12,345.67\n\tdef f(x):\n    return x  # naïve café 日本 😀\n"


def read_vocabulary(tokenizer: Tokenizer, num_ids: int, end_of_turn: Iterable[int]) -> Vocabulary:
    """The vocabulary of a model with `num_ids` output rows; rows without a token spell nothing.

    Args:
        end_of_turn: ids that end a turn; they spell nothing, whatever the tokenizer says.
    """
    settings = json.loads(tokenizer.to_str())
    spell = _spelling(settings)
    spelled = [b""] * num_ids
    for text, token_id in tokenizer.get_vocab(with_added_tokens=True).items():
        if token_id < num_ids:
            spelled[token_id] = spell(text)
    names = []
    for added in settings["added_tokens"]:
        if added["id"] < num_ids:
            spelled[added["id"]] = b"" if added["special"] else added["content"].encode()
            if added["special"]:
                names.append((added["id"], added["content"]))
    unknown = settings["model"].get("unk_token")
    if unknown is not None and (unknown_id := tokenizer.token_to_id(unknown)) is not None and unknown_id < num_ids:
        spelled[unknown_id] = b""
    ends = tuple(dict.fromkeys(token_id for token_id in end_of_turn if 0 <= token_id < num_ids))
    for token_id in ends:
        spelled[token_id] = b""
    return Vocabulary(tuple(spelled), ends, tuple(names))


def _spelling(settings: dict[str, Any]) -> Any:
    """The function from a token's written form to its bytes."""
    kinds = set(_component_types(settings.get("decoder"))) | set(_component_types(settings.get("pre_tokenizer")))
    if "ByteLevel" in kinds:
        return _spell_byte_level
    fallback = bool(settings["model"].get("byte_fallback")) or "ByteFallback" in kinds
    metaspace = "Metaspace" in kinds or _replaces_metaspace(settings.get("decoder"))
    return lambda text: _spell_plain(text, fallback, metaspace)


def _component_types(component: dict[str, Any] | None) -> list[str]:
    if component is None:
        return []
    parts = component.get("decoders") or component.get("pretokenizers") or component.get("normalizers") or []
    return [component["type"], *(kind for part in parts for kind in _component_types(part))]


def _replaces_metaspace(decoder: dict[str, Any] | None) -> bool:
    parts = [] if decoder is None else decoder.get("decoders", [decoder])
    return any(part["type"] == "Replace" and part["pattern"].get("String") == METASPACE for part in parts)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    alphabet = {chr(byte): byte for byte in printable}
    others = (byte for byte in range(256) if byte not in set(printable))
    return alphabet | {chr(256 + index): byte for index, byte in enumerate(others)}


_ALPHABET = _byte_alphabet()


def _spell_byte_level(text: str) -> bytes:
    if all(char in _ALPHABET for char in text):
        return bytes(_ALPHABET[char] for char in text)
    return text.encode()


def _spell_plain(text: str, fallback: bool, metaspace: bool) -> bytes:
    if fallback and (byte := _BYTE_TOKEN.fullmatch(text)):
        return bytes([int(byte[1], 16)])
    return (text.replace(METASPACE, " ") if metaspace else text).encode()


class Encoder:
    """Text to token ids that spell it exactly; what looks like a special token stays text."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary, model: str) -> None:
        self._vocabulary = vocabulary
        self._model = model
        settings = json.loads(tokenizer.to_str())
        settings["truncation"] = settings["padding"] = None
        plain = settings | {key: _without_prefix(settings.get(key)) for key in ("normalizer", "pre_tokenizer")}
        self._inside = Tokenizer.from_str(json.dumps(plain))
        self._inside.encode_special_tokens = True
        self._starting, self._with_special = self._inside, tokenizer
        if plain != settings:
            self._starting = Tokenizer.from_str(json.dumps(settings))
            self._starting.encode_special_tokens = True
            self._with_special = Tokenizer.from_str(json.dumps(plain))
        self._ids: dict[bytes, int] | None = None

    def encode(self, text: str, *, starts_text: bool = False) -> list[int]:
        """Ids that spell `text`, by the tokenizer's own rules where those spell it exactly.

        Raises:
            ModelError: the vocabulary has no token for some byte of the text.
        """
        if not text:
            return []
        wanted = text.encode()
        ids: list[int] = (self._starting if starts_text else self._inside).encode(text, add_special_tokens=False).ids
        spelled = self._spell(ids)
        if spelled == wanted or (starts_text and spelled == b" " + wanted):
            return ids
        return self._longest_matches(wanted)

    def tokenize(self, text: str) -> list[int]:
        """The tokenizer's own ids, whether or not they spell the text."""
        return list(self._inside.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The tokenizer's own text."""
        return str(self._inside.decode(list(ids)))

    def encode_template(self, text: str) -> list[int]:
        """Ids of a chat template's own text, in which special tokens are meant."""
        return list(self._with_special.encode(text, add_special_tokens=False).ids)

    def _spell(self, ids: Sequence[int]) -> bytes | None:
        if any(token_id >= len(self._vocabulary) or not self._vocabulary.token_bytes[token_id] for token_id in ids):
            return None
        return self._vocabulary.spell(ids)

    def _longest_matches(self, wanted: bytes) -> list[int]:
        """The longest token at each place: for tokenizers that would normalise or drop part of the text."""
        if self._ids is None:
            self._ids = {}
            for token_id, spelled in enumerate(self._vocabulary.token_bytes):
                if spelled:
                    self._ids.setdefault(spelled, token_id)
        longest = max(map(len, self._ids), default=0)
        ids, position = [], 0
        while position < len(wanted):
            reach = min(longest, len(wanted) - position)
            length = next((n for n in range(reach, 0, -1) if wanted[position : position + n] in self._ids), 0)
            if not length:
                raise ModelError(cannot_spell(self._model, wanted, position), self._model)
            ids.append(self._ids[wanted[position : position + length]])
            position += length
        return ids


def cannot_spell(model: str, text: bytes, position: int) -> Diagnostic:
    """E0806: some byte of a text has no token."""
    around = text[max(0, position - 12) : position + 12].decode(errors="replace")
    byte = text[position : position + 1]
    shown = byte.decode() if byte.isascii() and byte.decode().isprintable() else f"0x{byte.hex()}"
    return Diagnostic(
        "E0806",
        f"the vocabulary of `{model}` cannot spell this text",
        facts=(f"no token stands for `{shown}` in `{around}`",),
        help="choose a model whose tokenizer knows all bytes, or keep to the characters that this one knows",
    )


def _without_prefix(component: dict[str, Any] | None) -> dict[str, Any] | None:
    if component is None or component["type"] == "Prepend":
        return None
    component = dict(component)
    for key in ("normalizers", "pretokenizers"):
        if key in component:
            component[key] = [kept for part in component[key] if (kept := _without_prefix(part)) is not None]
    if component["type"] == "Metaspace":
        component["prepend_scheme"] = "never"
    if component["type"] == "ByteLevel" and "add_prefix_space" in component:
        component["add_prefix_space"] = False
    return component


def round_trip_fault(encoder: Encoder, vocabulary: Vocabulary) -> str | None:
    """What is wrong with the bytes read, found by encoding a sample with the tokenizer's own rules; None if nothing.

    A closed vocabulary that has no token for part of the sample proves nothing, and passes.
    """
    ids = encoder.tokenize(_SAMPLE)
    if any(token_id >= len(vocabulary) or not vocabulary.token_bytes[token_id] for token_id in ids):
        return None
    spelled = vocabulary.spell(ids)
    if spelled == _SAMPLE.encode() or encoder.decode(ids) != _SAMPLE:
        return None
    return f"a sample text comes back as {spelled[:40]!r}"
