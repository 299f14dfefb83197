"""Spider's questions, schemas and databases, where the data is at hand.

The folder is `$SMCDSL_DATA/spider`, by default `../shared/data/spider` beside the checkout.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest

DATA = Path(os.environ.get("SMCDSL_DATA", Path(__file__).parents[2] / "shared" / "data"))
SPIDER = DATA / "spider"

needs_spider = pytest.mark.skipif(not SPIDER.is_dir(), reason=f"no Spider data in {SPIDER}; set SMCDSL_DATA")


@cache
def rows(*parts: str) -> tuple[dict[str, Any], ...]:
    """The rows of `dev` or `train`, in the order of the files."""
    return tuple(row for part in parts for row in _lines(f"{part}.jsonl.gz"))


def sample(count: int, *parts: str) -> list[dict[str, Any]]:
    """A fixed sample of rows, grouped by database."""
    found = random.Random(0).sample(rows(*parts), count)
    return sorted(found, key=lambda row: (row["db_id"], row["id"]))


@cache
def names(db_id: str) -> dict[str, list[str]]:
    """Table -> columns, from Spider's own list of schemas."""
    return _names()[db_id]


@cache
def _names() -> dict[str, dict[str, list[str]]]:
    schemas = {}
    for entry in _lines("tables.jsonl.gz"):
        tables = entry["table_names_original"]
        schemas[entry["db_id"]] = {
            table: [column for index, column in entry["column_names_original"] if index == number]
            for number, table in enumerate(tables)
        }
    return schemas


def unpacked(db_id: str, folder: Path) -> str:
    """The path of a copy of a database in `folder`."""
    path = folder / f"{db_id}.sqlite"
    if not path.exists():
        path.write_bytes(lzma.decompress((SPIDER / "databases" / f"{db_id}.sqlite.xz").read_bytes()))
    return str(path)


def _lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress((SPIDER / name).read_bytes()).splitlines()]
