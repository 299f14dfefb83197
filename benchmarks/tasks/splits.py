"""Which rows of the data are for training, which for choosing a recipe, and which only for the final number.

Training and evaluation both take their rows from here, so they cannot overlap.

Spider: dev rows are for evaluation. Of the training databases, some are held out whole for validation.
Planetarium: rows of one problem, whatever it is called and however it is described, are never parted.
DS-1000 is never trained on and has no training rows.
"""

import gzip
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]

SPIDER_VALIDATION_DATABASES = 12
PLANETARIUM_EVALUATION_PROBLEMS = 100
PLANETARIUM_VALIDATION_PROBLEMS = 60


def data_folder() -> Path:
    """Where the data lies: `$SMCDSL_DATA`, by default `../shared/data`."""
    return Path(os.environ.get("SMCDSL_DATA", "../shared/data"))


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a compressed file of JSON lines."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def drawn(keys: Iterable[str], count: int, seed: str) -> list[str]:
    """Return `count` of the keys, the same ones whatever their order and whatever else there is of them."""
    return sorted(set(keys), key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())[:count]


def spider_train(data: Path | None = None) -> list[Row]:
    """Return the rows to train on: those of the training databases that are not held out."""
    rows, held_out = _spider_rows(data)
    return [row for row in rows if row["db_id"] not in held_out]


def spider_validation(data: Path | None = None) -> list[Row]:
    """Return the rows of the training databases that are held out."""
    rows, held_out = _spider_rows(data)
    return [row for row in rows if row["db_id"] in held_out]


def spider_evaluation(data: Path | None = None) -> list[Row]:
    """Return the dev rows whose database is there."""
    return [row for row in read_rows((data or data_folder()) / "spider/dev.jsonl.gz") if row["has_db"]]


def _spider_rows(data: Path | None) -> tuple[list[Row], frozenset[str]]:
    """The training rows that can be run, and the databases held out."""
    rows = [row for row in read_rows((data or data_folder()) / "spider/train.jsonl.gz") if row["has_db"]]
    rows = [row for row in rows if row["gold_rows"] >= 0]
    held_out = drawn((row["db_id"] for row in rows), SPIDER_VALIDATION_DATABASES, "spider-validation")
    return rows, frozenset(held_out)


def problem_of(row: Row) -> str:
    """What a Planetarium problem is apart from its name: objects, initial state, goal."""
    problem: str = row["problem_pddl"]
    return " ".join(problem[problem.index("(:objects") :].split())


def planetarium_evaluation(data: Path | None = None) -> list[Row]:
    """Return the blocksworld rows of the final number, one description for each of the problems drawn."""
    evaluation, _, _ = _planetarium(data)
    return evaluation


def planetarium_validation(data: Path | None = None) -> list[Row]:
    """Return blocksworld rows to choose a recipe by, one description for each of the problems drawn."""
    _, validation, _ = _planetarium(data)
    return validation


def planetarium_train(data: Path | None = None) -> list[Row]:
    """Return the rows to train on: all of gripper, and blocksworld less the problems drawn and their texts.

    Rows of the official test split are left out too.
    """
    _, _, train = _planetarium(data)
    return train


def _planetarium(data: Path | None) -> tuple[list[Row], list[Row], list[Row]]:
    folder = (data or data_folder()) / "planetarium"
    rows = read_rows(folder / "blocksworld_le9.jsonl.gz")
    problems: dict[str, list[Row]] = {}
    for row in rows:
        problems.setdefault(problem_of(row), []).append(row)
    count = PLANETARIUM_EVALUATION_PROBLEMS + PLANETARIUM_VALIDATION_PROBLEMS
    chosen = drawn(problems, count, "planetarium-evaluation")
    kept_back = frozenset(chosen)
    told = [_one_description(problems[problem]) for problem in chosen]
    texts = {row["natural_language"] for problem in chosen for row in problems[problem]}
    others = [row for row in rows if problem_of(row) not in kept_back and row["natural_language"] not in texts]
    train = [row for row in others + read_rows(folder / "gripper_le12.jsonl.gz") if row["official_split"] == "train"]
    return told[:PLANETARIUM_EVALUATION_PROBLEMS], told[PLANETARIUM_EVALUATION_PROBLEMS:], train


def _one_description(rows: list[Row]) -> Row:
    """One of the descriptions of a problem."""
    (chosen,) = drawn((row["id"] for row in rows), 1, "planetarium-description")
    return next(row for row in rows if row["id"] == chosen)
