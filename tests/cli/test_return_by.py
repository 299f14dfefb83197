"""`return ... by KEY`, factors and the Pareto front as the command line and the result show them."""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

import smcdsl as package


def plain_program() -> str:
    return Path("letters.smc").read_text()


def keyed() -> str:
    return plain_program().replace("return posterior x", "return best x by chars(x)")


def scored() -> str:
    return plain_program().replace("  score if_long(x)", "  score if_long(x)\n  score chars(x) ^ -2")


def run_text(smcdsl, text: str, *arguments: str):
    Path("own.smc").write_text(text)
    return smcdsl("run", "own.smc", "-m", "toy:toy.json", "-i", "tag=t", *arguments)


def test_json_says_what_is_in_each_class(smcdsl):
    record = run_text(smcdsl, keyed(), "--view", "posterior", "--particles", "200").json()
    plain = run_text(smcdsl, plain_program(), "--view", "posterior", "--particles", "200").json()
    assert record["classes"] == len(record["posterior"]) == 3
    by_length = dict.fromkeys((1, 2, 3), 0.0)
    for item in plain["posterior"]:
        by_length[len(item["value"])] += item["p"]
    for item in record["posterior"]:
        assert item["key"] == len(item["value"])
        assert item["p"] == pytest.approx(by_length[item["key"]], rel=1e-12)
        assert item["p"] == pytest.approx(sum(each["p"] for each in item["members"]), rel=1e-12)
        assert item["members"][0]["value"] == item["value"]
    expected = -sum(p * math.log(p) for p in by_length.values())
    assert record["semantic_entropy"] == pytest.approx(expected, abs=1e-12)
    assert "classes" not in plain
    assert "members" not in plain["posterior"][0]


def test_the_best_value_is_that_of_the_consensus(smcdsl):
    record = run_text(smcdsl, keyed(), "--particles", "200").json()
    merged = run_text(smcdsl, keyed(), "--view", "posterior", "--particles", "200").json()
    assert record["best"] == merged["posterior"][0]["value"]
    assert record["classes"] == 3


def test_text_and_table_show_classes(smcdsl):
    text = run_text(smcdsl, keyed(), "-f", "text", "--view", "posterior", "--particles", "200").out
    assert "and 7 more that mean the same" in text
    assert "3 meanings, entropy " in text
    table = run_text(smcdsl, keyed(), "-f", "table", "--view", "posterior", "--particles", "200").out.splitlines()
    assert table[0].split() == ["p", "logw", "values", "value"]
    assert sorted(line.split()[2] for line in table[1:]) == ["2", "4", "8"]


def test_json_and_table_show_factors_and_the_front(smcdsl):
    record = run_text(smcdsl, scored(), "--particles", "200").json()
    assert all(set(item["factors"]) == {"if_long(x)", "chars(x) ^ -2"} for item in record["posterior"])
    for item in record["posterior"]:
        length = len(item["value"])
        assert item["factors"]["if_long(x)"] == pytest.approx(math.log(length / 3), abs=1e-12)
        assert item["factors"]["chars(x) ^ -2"] == pytest.approx(-2 * math.log(length), abs=1e-12)
        assert item["front"] is True
    table = run_text(smcdsl, scored(), "-f", "table", "--particles", "200").out.splitlines()
    assert table[0].startswith("p       logw     front  if_long(x)  chars(x) ^ -2  value")
    particles = run_text(smcdsl, scored(), "--view", "particles").json()["population"]
    assert all(set(each["factors"]) == {"if_long(x)", "chars(x) ^ -2"} for each in particles if each["finished"])


def test_values_that_others_beat_are_not_on_the_front(smcdsl):
    text = scored().replace("chars(x) ^ -2", "chars(x)")
    record = run_text(smcdsl, text, "--particles", "200").json()
    assert {len(item["value"]) for item in record["posterior"] if item["front"]} == {3}
    assert {len(item["value"]) for item in record["posterior"]} == {1, 2, 3}


def test_the_result_has_classes_factors_and_the_front():
    model = package.model("toy:toy.json")
    result = package.compile(keyed()).run(model, tag="t", particles=200)
    assert result.classes == len(result.posterior) == 3
    assert result.value == result.best == result.support[0].value
    assert sum(result.posterior.values()) == pytest.approx(1)
    assert result.semantic_entropy > 0
    assert result.front == ()
    made = package.compile(scored()).run(model, tag="t", particles=200)
    assert made.classes is None
    assert made.semantic_entropy is None
    assert {item.value for item in made.front} == set(made.posterior)


def test_queries_of_the_same_result_are_one_answer():
    connection = sqlite3.connect("shop.sqlite")
    connection.executescript("CREATE TABLE t (a INT, b INT); INSERT INTO t VALUES (1, 2), (2, 3)")
    connection.close()
    text = """smc 1
program queries
import sql
input db: sqlite
grammar query = "SELECT a FROM t" | "SELECT a FROM t ORDER BY 1 DESC" | "SELECT b FROM t" | "SELECT x FROM t"
  | "SELECT y FROM t"
generate { text "t[[q: query]]\\n" }
return posterior q by sql.result_key(q, db)
"""
    letters = [" ", *"SELCTaFROMtDBYxyb1", "\n", "<end>"]
    letters = list(dict.fromkeys(letters))
    rows = [[[], [1 / len(letters)] * len(letters)]]
    table = {"vocab": letters, "eos": len(letters) - 1, "lm": {"order": 0, "table": rows}}
    from smcdsl.models.toy import ToyModel

    result = package.compile(text).run(ToyModel(table), db="shop.sqlite", particles=400)
    classes = {frozenset(each.value for each in item.members) for item in result.support}
    assert classes <= {
        frozenset(["SELECT a FROM t", "SELECT a FROM t ORDER BY 1 DESC"]),
        frozenset(["SELECT a FROM t"]),
        frozenset(["SELECT b FROM t"]),
        frozenset(["SELECT x FROM t"]),
        frozenset(["SELECT y FROM t"]),
    }
    assert {item.value for item in result.support if item.key is None} == {"SELECT x FROM t", "SELECT y FROM t"}
