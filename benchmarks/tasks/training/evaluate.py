"""Measure a fine-tuned model alone, without grammar or potentials.

    python -m benchmarks.tasks.training.evaluate spider --folder FOLDER
    python -m benchmarks.tasks.training.evaluate planetarium --folder FOLDER
    python -m benchmarks.tasks.training.evaluate spider --folder FOLDER --final

By default on rows held out of training; with `--final` on the rows of the final number, which are to be looked at
once. Each is answered greedily and by sampling at temperature 1.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from benchmarks.tasks import splits
from benchmarks.tasks.training import goals, planetarium, spider
from benchmarks.tasks.training.databases import opened, result, same_result, schema_of
from benchmarks.tasks.training.queries import canonical, rendered
from smcdsl.models.embedded.model import EmbeddedModel
from smcdsl.models.embedded.training.evaluate import answers, prompt_of
from smcdsl.models.embedded.training.questions import SYSTEM

LONGEST = 140


class Verdict(NamedTuple):
    """What is true of one answer."""

    right: bool
    exact: bool
    runs: bool


def shares(verdicts: list[list[Verdict]], fit: int, rows: int) -> dict[str, float]:
    """Return the shares of right, exact and running answers among the rows that fit."""
    table = np.asarray(verdicts, dtype=float)  # (rows, answers, verdicts)
    found: dict[str, float] = {"rows": rows, "fit": fit}
    for index, name in enumerate(Verdict._fields):
        found[f"greedy_{name}"] = round(float(table[:, 0, index].mean()), 3)
        found[f"sampled_{name}"] = round(float(table[:, 1:, index].mean()), 3)
    return found


def spider_shares(model: EmbeddedModel, rows: Sequence[splits.Row], show: bool) -> dict[str, float]:
    """Return execution accuracy, equality with the rewritten gold query, and the share that runs."""
    random = np.random.default_rng(1)
    verdicts = []
    for row in rows:
        path = spider.database_path(row["db_id"])
        schema = schema_of(path)
        prompt = prompt_of(model, SYSTEM, f"Schema:\n{schema.ddl()}\n\nQuestion: {row['question']}")
        if len(prompt) + LONGEST > model.context_length:
            continue
        tokens, _ = canonical(row["query"], schema)
        gold = rendered(tokens)
        texts = answers(model, prompt, random, LONGEST)
        checked = {}
        for text in set(texts):
            runs = text.startswith("SELECT") and result(opened(path), text, False) is not None
            checked[text] = Verdict(runs and same_result(opened(path), text, row["query"]), text == gold, runs)
        verdicts.append([checked[text] for text in texts])
        if show:
            verdict = "right" if verdicts[-1][0].right else "wrong"
            print(f"{verdict} {row['db_id']}: {row['question']}\n    {gold}\n    {texts[0]}")
    return shares(verdicts, len(verdicts), len(rows))


def planetarium_shares(model: EmbeddedModel, rows: Sequence[splits.Row], show: bool) -> dict[str, float]:
    """Return the shares of goals that mean the same, of equal texts, and of well-formed goals."""
    random = np.random.default_rng(1)
    verdicts = []
    for row in rows:
        prompt = prompt_of(model, planetarium.SYSTEM, row["natural_language"], planetarium.OPENING)
        gold = planetarium.goal_of(row)
        wanted = goals.facts_of(gold)
        assert wanted is not None, row["id"]
        line = []
        for text in answers(model, prompt, random, LONGEST):
            goal = text.removesuffix(planetarium.CLOSING)
            facts = goals.facts_of(goal)
            right = facts is not None and (
                goals.same_up_to_names(facts, wanted) if row["is_placeholder"] else facts == wanted
            )
            line.append(Verdict(right, goal == gold, facts is not None))
            if show and len(line) == 1:
                print(f"{'right' if right else 'wrong'} {row['id']}\n    {gold}\n    {goal}")
        verdicts.append(line)
    return shares(verdicts, len(verdicts), len(rows))


def main() -> None:
    """Print the shares as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("planetarium", "spider"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=10_000)
    parser.add_argument("--final", action="store_true", help="the evaluation rows, for the final number")
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    if not (splits.data_folder() / arguments.task).is_dir():
        parser.error(f"no folder `{arguments.task}` in {splits.data_folder()}; set SMCDSL_DATA")
    model = EmbeddedModel(folder=arguments.folder)
    if arguments.task == "spider":
        rows = splits.spider_evaluation() if arguments.final else splits.spider_validation()
        measure = spider_shares
    else:
        rows = splits.planetarium_evaluation() if arguments.final else splits.planetarium_validation()
        measure = planetarium_shares
    rows = Random("evaluate").sample(rows, min(arguments.limit, len(rows)))
    rows.sort(key=lambda row: str(row.get("db_id")))
    print(json.dumps(measure(model, rows, arguments.show)))


if __name__ == "__main__":
    main()
