"""Goals are compared up to names, and varied for training without changing what they ask."""

import itertools
import re
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))
pytest.importorskip("tokenizers")

from benchmarks.tasks.training import planetarium  # noqa: E402
from benchmarks.tasks.training.goals import facts_of, same_up_to_names  # noqa: E402

TEXT = """You have 3 blocks, b1 through b3.
Your arm is empty.
b1 is on b2.
Your goal is to have the following:
b1 should be on b3.
b2 should be clear."""
ROW = {
    "id": "x",
    "natural_language": TEXT,
    "problem_pddl": "(define (problem p) (:objects b1 b2 b3) (:init)\n (:goal (and (on b1 b3)\n (clear b2))))",
}
names = st.sampled_from(["b1", "b2", "b3", "b4"])
fact = (
    st.tuples(st.just("on"), names, names).filter(lambda f: f[1] != f[2])
    | st.tuples(st.sampled_from(["clear", "on-table"]), names)
    | st.just(("arm-empty",))
)
towers = st.permutations(["b1", "b2", "b3", "b4"]).flatmap(
    lambda order: st.sets(st.sampled_from([("on", *pair) for pair in itertools.pairwise(order)]))
)
goals = st.tuples(st.frozensets(fact.filter(lambda f: f[0] != "on"), max_size=5), towers).map(
    lambda parts: parts[0] | parts[1]
)


def same_by_trying_all(first, second):
    blocks = ["b1", "b2", "b3", "b4"]
    for order in itertools.permutations(blocks):
        table = dict(zip(blocks, order, strict=True))
        if frozenset((f[0], *(table[name] for name in f[1:])) for f in first) == second:
            return True
    return False


@given(goals, goals, st.permutations(["b1", "b2", "b3", "b4"]))
def test_goals_of_towers_compare_as_when_every_renaming_is_tried(first, second, order):
    table = dict(zip(["b1", "b2", "b3", "b4"], order, strict=True))
    renamed = frozenset((f[0], *(table[name] for name in f[1:])) for f in first)
    assert same_up_to_names(first, renamed)
    assert same_up_to_names(first, second) == same_by_trying_all(first, second)


@given(st.frozensets(fact, max_size=6), st.frozensets(fact, max_size=6))
def test_goals_said_to_be_the_same_are(first, second):
    assert not same_up_to_names(first, second) or same_by_trying_all(first, second)


def test_a_goal_is_read_from_its_problem():
    assert planetarium.goal_of(ROW) == "(and (on b1 b3) (clear b2))"
    assert facts_of(planetarium.goal_of(ROW)) == {("on", "b1", "b3"), ("clear", "b2")}


@pytest.mark.parametrize("text", ["(and (on b1 b3)", "nothing", "(or (clear b1) (clear b2))", "(and (not (clear b1)))"])
def test_what_is_no_conjunction_of_facts_has_none(text):
    assert facts_of(text) is None


@given(st.integers(0, 10**9))
def test_blocks_change_names_alike_in_text_and_goal(seed):
    table = planetarium.permutation((TEXT, planetarium.goal_of(ROW)), Random(seed))
    row = planetarium.row_of(ROW, table)
    assert sorted(table) == sorted(table.values()) == ["b1", "b2", "b3"]
    assert "b1 through b3." in row.user
    wanted = re.search(r"(b\d) should be on (b\d)\.\n(b\d) should be clear", row.user).groups()
    assert row.answer == "(:goal (and (on {} {}) (clear {})))".format(*wanted)
    back = {new: old for old, new in table.items()}
    assert planetarium.permuted_text(row.user, back) == TEXT
