"""Measure the model alone, without grammar or potentials.

    python -m smcdsl.models.embedded.training.evaluate [--folder FOLDER] [--questions 200]

Three sets: questions the corpus never used, questions on schemas of words it never used, and the twenty
questions on the example database. The first two count queries equal to the one canonical query, the
third queries with the same result. Each is answered greedily and by sampling at temperature 1.
"""

import argparse
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from smcdsl.models.embedded.model import FOLDER, EmbeddedModel
from smcdsl.prefixes import ROOT, Prefixes

from . import corpus, questions

EXAMPLES = Path(__file__).parents[4] / "examples"
SAMPLES = 5
LONGEST = 120


class Item(NamedTuple):
    """A question with its gold query; `database` is None where queries must be equal."""

    schema: str
    question: str
    gold: str
    database: sqlite3.Connection | None


def prompt_of(model: EmbeddedModel, system: str, user: str, opening: str = "") -> list[int]:
    """Return the ids up to where the model writes, as the engine makes them."""
    ids: list[int] = []
    for earlier, role, text in (((), "system", system), (("system",), "user", user)):
        turn = model.turn(earlier, role)  # type: ignore[arg-type]
        ids += [*turn.opening, *model.encode(text), *turn.closing]
    return [*ids, *model.turn(("system", "user"), "assistant").opening, *model.encode(opening)]


def answers(
    model: EmbeddedModel, prompt: Sequence[int], random: np.random.Generator, longest: int = LONGEST
) -> list[str]:
    """Return the greedy answer and `SAMPLES` sampled ones, of `longest` tokens at most."""
    prefixes = Prefixes()
    session = model.start(prefixes)
    rows = np.arange(SAMPLES + 1)
    live = np.full(len(rows), prefixes.extend(ROOT, prompt))
    texts: list[list[int]] = [[] for _ in rows]
    for _ in range(longest):
        distinct, own = np.unique(live, return_inverse=True)
        logprobs = session.next_logprobs(distinct)[own]
        noise = random.gumbel(size=logprobs.shape)
        noise[rows == 0] = 0
        tokens = (logprobs + noise).argmax(-1)
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            texts[row].append(token)
        goes_on = ~np.isin(tokens, model.vocabulary.end_of_turn)
        rows = rows[goes_on]
        if not len(rows):
            break
        live = prefixes.extend_each(live[goes_on], tokens[goes_on])
    return [model.vocabulary.spell(text).decode(errors="replace") for text in texts]


def result(database: sqlite3.Connection, query: str, ordered: bool) -> object:
    """Return what a query gives, in order only if that matters; None if it fails."""
    try:
        found = database.execute(query).fetchall()
    except (sqlite3.Error, sqlite3.Warning):
        return None
    return found if ordered else sorted(found, key=repr)


def is_right(item: Item, answer: str) -> bool:
    """Return whether an answer equals the gold query, or gives its result where there is a database."""
    if item.database is None:
        return answer == item.gold
    ordered = "ORDER BY" in item.gold
    return result(item.database, answer, ordered) == result(item.database, item.gold, ordered)


def runs(item: Item, answer: str) -> bool:
    """Return whether an answer is a query that runs on the schema."""
    database = sqlite3.connect(":memory:")
    database.executescript(item.schema)
    return answer.startswith("SELECT") and result(database, answer, False) is not None


def corpus_items(seed: str, count: int, unseen: bool) -> list[Item]:
    """Return questions that training did not see, one to a schema."""
    random = Random(seed)
    items = []
    for _ in range(count):
        row = corpus.sql_rows(random, 1, unseen)[0]
        schema, question = row.user.removeprefix("Schema:\n").split("\n\nQuestion: ")
        items.append(Item(schema, question, row.answer, None))
    return items


def example_items() -> list[Item]:
    """Return the twenty questions on the example database."""
    database = sqlite3.connect(EXAMPLES / "shop.sqlite")
    found = database.execute("SELECT sql FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    schema = "\n".join(f"{sql};" for (sql,) in found)
    lines = (EXAMPLES / "text_to_sql_questions.jsonl").read_text().splitlines()
    return [Item(schema, **json.loads(line), database=database) for line in lines]


def evaluate(model: EmbeddedModel, items: Sequence[Item], show: bool = False) -> dict[str, float]:
    """Return shares of right and of running answers, greedy and sampled."""
    random = np.random.default_rng(1)
    right = np.zeros((len(items), SAMPLES + 1))
    running = np.zeros_like(right)
    for index, item in enumerate(items):
        prompt = prompt_of(model, questions.SYSTEM, f"Schema:\n{item.schema}\n\nQuestion: {item.question}")
        texts = answers(model, prompt, random)
        right[index] = [is_right(item, text) for text in texts]
        running[index] = [runs(item, text) for text in texts]
        if show:
            verdict = "right" if right[index, 0] else "WRONG"
            print(f"{verdict} {right[index, 1:].mean():.1f} {item.question}\n    {texts[0]}")
    return {
        "greedy": round(float(right[:, 0].mean()), 3),
        "sampled": round(float(right[:, 1:].mean()), 3),
        "greedy_runs": round(float(running[:, 0].mean()), 3),
        "sampled_runs": round(float(running[:, 1:].mean()), 3),
    }


def main() -> None:
    """Print the three measurements, one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--show", action="store_true", help="show the answers on the example database")
    arguments = parser.parse_args()
    model = EmbeddedModel(folder=arguments.folder)
    print("example", json.dumps(evaluate(model, example_items(), arguments.show)), flush=True)
    for name, unseen in (("new", False), ("unseen", True)):
        items = corpus_items(f"evaluation {name}", arguments.questions, unseen)
        print(name, json.dumps(evaluate(model, items)), flush=True)


if __name__ == "__main__":
    main()
