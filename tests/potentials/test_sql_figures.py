"""What the SQL library reaches on Spider's dev set, printed and held:

python -m pytest tests/potentials/test_sql_figures.py -m long -s
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from importlib.resources import files
from itertools import groupby
from pathlib import Path

import pytest
from smcdsl.potentials import _sql_database, sql

from smcdsl.notations.lark import load_lark
from tests.grammars.lark_reading import LarkReading
from tests.potentials.mutations import cuts, mutate
from tests.spider import DATA, names, needs_spider, rows, unpacked

FILE = Path(str(files("smcdsl.grammars").joinpath("sql.lark")))
LEAST_EARLY = {
    "no such column": 0.60,
    "column of another table": 0.60,
    "no such table": 0.80,
    "undeclared alias": 0.60,
}
"""Kind of mutation -> the share that must be caught before the end."""
ROUNDS = 5

pytestmark = [needs_spider, pytest.mark.long]


def gold() -> list[dict[str, str]]:
    """The rows that have a database here."""
    return sorted((row for row in rows("dev") if row["has_db"]), key=lambda row: row["db_id"])


def _processor_time(pid: int) -> float:
    """Seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_grammar_takes_gold_queries():
    free = load_lark(FILE.read_text(), name="sql.lark", start="select")
    anything, count = LarkReading(sql.specialize(free, "select", {})), Counter()
    for db_id, group in groupby(gold(), key=lambda row: row["db_id"]):
        bound = LarkReading(sql.specialize(free, "select", {"schema": names(db_id)}))
        for row in group:
            count.update(all=1, free=anything.accepts(row["query"]), bound=bound.accepts(row["query"]))
    print(f"\ngold queries taken: free {count['free']}, bound to their schema {count['bound']}, of {count['all']}")
    assert count["bound"] >= 0.97 * count["all"]
    assert count["free"] >= 0.97 * count["all"]


def test_no_gold_query_is_rejected_at_any_boundary(tmp_path):
    prefixes = [(prefix, row["db_id"]) for row in gold() for prefix in cuts(row["query"])]
    rejected = [p for p, db_id in prefixes if not sql.resolves.prefix_function(p, unpacked(db_id, tmp_path))]
    print(f"\ngold prefixes rejected: {len(rejected)} of {len(prefixes)}, of {len(gold())} queries")
    assert rejected == []


def test_wrong_names_are_caught_before_the_end(tmp_path):
    """Each kind of mutation, five times over the gold queries with other places each time."""
    for kind, least in LEAST_EARLY.items():
        outcomes: Counter[str] = Counter()
        for seed in range(ROUNDS):
            chance = random.Random(seed)
            for row in gold():
                wrong = mutate(kind, row["query"], names(row["db_id"]), chance)
                if wrong is None:
                    continue
                path = unpacked(row["db_id"], tmp_path)
                early = not all(sql.resolves.prefix_function(prefix, path) for prefix in cuts(wrong))
                outcomes["early" if early else "missed" if sql.resolves(wrong, path) else "late"] += 1
        share = outcomes["early"] / outcomes.total()
        print(f"\n{kind}: {outcomes.total()} queries, {share:.0%} before the end, {outcomes['missed']} missed")
        assert share >= least
        assert outcomes["missed"] == 0


def test_the_potentials_take_little_of_a_token(tmp_path):
    """`known_column` at each column, `runs` at each clause and at the end, `returns_rows` at the end; nothing cached.

    Processor time of this process and of the one that runs queries, and the clock; a token is Llama 3's.
    """
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(DATA / "tokenizers" / "llama3" / "tokenizer.json"))
    free, num_tokens, spent, waited, calls = (
        load_lark(FILE.read_text(), name="sql.lark", start="select"),
        0,
        0.0,
        0.0,
        0,
    )
    for db_id, group in groupby(gold(), key=lambda row: row["db_id"]):
        path = unpacked(db_id, tmp_path)
        sql.runs("SELECT 1", path)
        grammar = sql.specialize(free, "select", {"schema": names(db_id)})
        reading = LarkReading(grammar)
        rules = {"clause", "column"} | {rule for rule, b in grammar.boundary_of.items() if b in ("clause", "column")}
        for query in dict.fromkeys(row["query"] for row in group):
            sites = [(grammar.boundary_of.get(rule, rule), text) for rule, text in reading.sites(query, rules)]
            num_tokens += len(encoder.encode(query, add_special_tokens=False).ids)
            ends = {query.rfind(text) + len(text) for boundary, text in sites if boundary == "clause"}
            started, begun = time.process_time(), time.perf_counter()
            for boundary, text in sites:
                if boundary == "column":
                    sql.known_column(text, query, path)
            for end in ends:
                sql.runs.prefix_function(query[:end], path)
            sql.runs(query, path)
            sql.returns_rows(query, path)
            spent, waited = spent + time.process_time() - started, waited + time.perf_counter() - begun
            calls += len(sites) + 2
    there = 1e3 * _processor_time(_sql_database._engine._pool._workers[0]._process.pid) / num_tokens
    print(f"\n{there:.3f} ms of processor time a token in the process that runs queries, its start included", end="")
    per_token, by_clock = 1e3 * spent / num_tokens, 1e3 * waited / num_tokens
    print(
        f"\n{per_token:.3f} ms of processor time a token here, {by_clock:.3f} by the clock with the execution;", end=""
    )
    print(f" {calls} calls, {num_tokens} tokens")
    assert num_tokens > 5_000
