"""Vocabularies of real models from the test data, and small ones from lists of texts."""

from __future__ import annotations

import base64
import gzip
import os
from functools import cache
from pathlib import Path

import pytest

from smcdsl.vocabulary import Vocabulary

DATA = Path(os.environ.get("SMCDSL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))


def small_vocabulary(texts: list[bytes], ends: int = 1) -> Vocabulary:
    """The texts as tokens 0, 1, ...; then `ends` end-of-turn tokens."""
    size = len(texts)
    return Vocabulary((*texts, *[b""] * ends), tuple(range(size, size + ends)))


@cache
def real_vocabulary(name: str) -> Vocabulary:
    """A tokenizer's token bytes; skips the test where the data is not there."""
    path = DATA / "tokenizers" / name / "token_bytes.txt.gz"
    if not path.exists():
        pytest.skip(f"needs {path} (set SMCDSL_DATA)")
    tokens: list[bytes] = []
    special: list[tuple[int, str]] = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            text = line.rstrip("\n")
            if text.startswith("!"):
                special.append((len(tokens), text[1:]))
                tokens.append(b"")
            else:
                tokens.append(base64.b64decode(text[1:]))
    return Vocabulary(tuple(tokens), (special[0][0],), tuple(special))
