"""The vocabulary of Llama 3, from the test data: 128 000 tokens of bytes and 256 special ones."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.masks.corpora import DATA
from smcdsl.vocabulary import Vocabulary

FOLDER = DATA / "tokenizers" / "llama3"
TOKENIZER_FILE: Path = FOLDER / "tokenizer.json"
END_OF_TEXT = "<|end_of_text|>"


def is_there() -> bool:
    """Whether the test data hold it."""
    return TOKENIZER_FILE.exists()


def tokenizer() -> Tokenizer:
    """The tokenizer, to spell the corpora as the model would."""
    return Tokenizer.from_file(str(TOKENIZER_FILE))


def vocabulary() -> Vocabulary:
    """All tokens; the turn ends with `<|end_of_text|>`."""
    tokens: list[bytes] = []
    special: list[tuple[int, str]] = []
    with gzip.open(FOLDER / "token_bytes.txt.gz", "rt") as lines:
        for line in lines:
            text = line.rstrip("\n")
            if text.startswith("!"):
                special.append((len(tokens), text[1:]))
            tokens.append(b"" if text.startswith("!") else base64.b64decode(text[1:]))
    ends = tuple(number for number, name in special if name == END_OF_TEXT)
    return Vocabulary(tuple(tokens), ends, tuple(special))
