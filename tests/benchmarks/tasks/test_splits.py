"""What the task benchmarks are trained on, and what they are scored on, have nothing in common."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from spider import DATA, needs_spider  # noqa: E402

from benchmarks.tasks import splits  # noqa: E402

needs_planetarium = pytest.mark.skipif(not (DATA / "planetarium").is_dir(), reason=f"no Planetarium data in {DATA}")


def problem(name, goal, blocks="b1 b2"):
    return {
        "problem_pddl": f"(define (problem {name})\n  (:domain blocksworld)\n  (:objects {blocks})\n  (:goal {goal}))"
    }


def test_a_problem_is_the_same_under_another_name():
    assert splits.problem_of(problem("one", "(clear b1)")) == splits.problem_of(problem("two", "(clear b1)"))


@pytest.mark.parametrize("other", [problem("one", "(clear b2)"), problem("one", "(clear b1)", blocks="b1 b2 b3")])
def test_problems_with_another_goal_or_other_objects_differ(other):
    assert splits.problem_of(problem("one", "(clear b1)")) != splits.problem_of(other)


def test_a_draw_does_not_depend_on_the_order_of_the_keys():
    keys = [f"k{number}" for number in range(50)]
    assert splits.drawn(keys, 10, "seed") == splits.drawn(reversed(keys), 10, "seed")
    assert splits.drawn(keys, 10, "seed") != splits.drawn(keys, 10, "another seed")


@needs_spider
def test_no_database_of_spider_is_in_two_splits():
    parts = [splits.spider_train(DATA), splits.spider_validation(DATA), splits.spider_evaluation(DATA)]
    names = [{row["db_id"] for row in part} for part in parts]
    assert [len(part) for part in parts] == [6296, 605, 484]
    assert sum(map(len, names)) == len(set().union(*names))
    assert len(names[1]) == splits.SPIDER_VALIDATION_DATABASES


@needs_planetarium
def test_no_problem_of_planetarium_is_in_two_splits():
    parts = [splits.planetarium_train(DATA), splits.planetarium_validation(DATA), splits.planetarium_evaluation(DATA)]
    problems = [{splits.problem_of(row) for row in part} for part in parts]
    assert sum(map(len, problems)) == len(set().union(*problems))
    assert [len(parts[1]), len(parts[2])] == [len(problems[1]), len(problems[2])] == [60, 100]


@needs_planetarium
def test_no_text_of_a_problem_kept_back_is_trained_on():
    rows = splits.read_rows(DATA / "planetarium/blocksworld_le9.jsonl.gz")
    drawn = splits.planetarium_validation(DATA) + splits.planetarium_evaluation(DATA)
    kept_back = {splits.problem_of(row) for row in drawn}
    texts = {row["natural_language"] for row in rows if splits.problem_of(row) in kept_back}
    assert not texts & {row["natural_language"] for row in splits.planetarium_train(DATA)}


@needs_planetarium
def test_the_official_test_split_is_not_trained_on():
    assert {row["official_split"] for row in splits.planetarium_train(DATA)} == {"train"}
