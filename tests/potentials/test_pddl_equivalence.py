"""Problems are equal up to the names of objects, and in nothing else; bad input 59 of the list."""

from __future__ import annotations

import random
import re
import time
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smcdsl.potentials import pddl
from smcdsl.potentials._pddl_equivalence import Structure, isomorphic

from tests.potentials.planning import (
    BLOCKS,
    CARGO,
    CARGO_PROBLEM,
    Naive,
    blocks,
    goal_of,
    has_data,
    planetarium,
    same_by_renaming,
    tree,
)

pytest.importorskip("rustworkx", reason="needs rustworkx (pip install smcdsl[pddl])")
needs_data = pytest.mark.skipif(not has_data(), reason="needs the planning problems of the test data (SMCDSL_DATA)")


def shuffled(problem: str, seed: int) -> str:
    """The problem with its objects renamed, and its facts and objects in another order."""
    chance = random.Random(seed)
    sections = {section[0]: section[1:] for section in tree(problem)[2:]}
    objects = sections[":objects"]
    new = dict(zip(objects, chance.sample([f"x{n}" for n in range(len(objects))], len(objects)), strict=True))
    goal = sections[":goal"][0]
    conjuncts = goal[1:] if goal[0] == "and" else [goal]
    parts = [
        " ".join(chance.sample([f"({' '.join(new.get(word, word) for word in fact)})" for fact in facts], len(facts)))
        for facts in (sections[":init"], conjuncts)
    ]
    names = " ".join(chance.sample(list(new.values()), len(new)))
    domain = sections[":domain"][0]
    return f"(define (problem s) (:domain {domain}) (:objects {names}) (:init {parts[0]}) (:goal (and {parts[1]})))"


def mutated(problem: str, seed: int) -> str | None:
    """The problem without one conjunct of its goal, if it has several."""
    goal = goal_of(problem)
    start = problem.rindex(goal)
    facts = re.findall(r"\([^()]*\)", goal)
    if len(facts) < 2:
        return None
    kept = goal.replace(random.Random(seed).choice(facts), "", 1)
    return problem[:start] + kept + problem[start + len(goal) :]


@needs_data
@pytest.mark.parametrize("name", ["blocksworld", "gripper"])
def test_59_renamed_and_reordered_problems_are_equal(name):
    domain, problems = planetarium(name)
    for number, problem in enumerate(problems[::21]):
        other = shuffled(problem, number)
        assert pddl.equivalent(problem, other, domain), problem
        assert pddl.equivalent(other, problem, domain, separately=True), problem


@needs_data
@pytest.mark.parametrize(("name", "most"), [("blocksworld", 4), ("gripper", 5)])
def test_59_problems_are_equal_as_the_slow_renaming_says(name, most):
    domain, problems = planetarium(name)
    small = [problem for problem in problems if len(Naive(domain, problem).objects) <= most]
    chance = random.Random(3)
    equal = tried = 0
    while tried < 40:
        left = chance.choice(small)
        other = chance.choice([shuffled(left, tried), mutated(shuffled(left, tried), tried), chance.choice(small)])
        if other is None or len(Naive(domain, left).objects) != len(Naive(domain, other).objects):
            continue
        tried += 1
        right = shuffled(other, tried)
        expected = slowly_equal(domain, left, right)
        equal += expected
        assert pddl.equivalent(left, right, domain) == expected, (left, right)
    assert 5 < equal < 35


def slowly_equal(domain: str, left: str, right: str) -> bool:
    """By all renamings; goals as the facts that hold in every state that can be reached and fulfils them."""
    first, second = (with_consequences(domain, each) for each in (left, right))
    mine, others = (Naive(domain, each).objects for each in (left, right))
    return any(
        {(fact[0], *map(dict(zip(others, names, strict=True)).__getitem__, fact[1:])) for fact in second} == first
        for names in permutations(mine)
    )


def with_consequences(domain: str, problem: str) -> set[tuple[str, ...]]:
    naive = Naive(domain, problem)
    goal = tree(goal_of(problem))
    wanted = {tuple(fact) for fact in (goal[1:] if goal[0] == "and" else [goal])}
    states = [state for state in naive.reachable() if wanted <= state]
    always = frozenset.intersection(*states) if states else frozenset({("impossible",)})
    return {(f"init {fact[0]}", *fact[1:]) for fact in naive.init} | {(f"goal {fact[0]}", *fact[1:]) for fact in always}


@needs_data
@pytest.mark.parametrize("name", ["blocksworld", "gripper"])
def test_59_one_fact_less_is_another_problem_unless_it_follows(name):
    domain, problems = planetarium(name)
    different = 0
    for number, problem in enumerate(problems[::21]):
        other = mutated(problem, number)
        if other is None or pddl.equivalent(problem, other, domain):
            continue
        different += 1
        assert not pddl.equivalent(other, shuffled(problem, number), domain)
    assert different >= 4


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("(and (on b1 b2) (on b2 b3))", "(and (on b1 b2) (on b2 b3) (clear b1) (on-table b3) (arm-empty))", True),
        ("(and (on b1 b2) (on b2 b3))", "(and (on b3 b1) (on b1 b2))", False),  # the initial state tells them apart
        ("(and (on b1 b2))", "(and (on b1 b2) (clear b1))", False),  # b3 may be on b1
        ("(and (on b1 b2) (not (on b2 b1)))", "(on b1 b2)", True),
        ("(and (on b1 b2) (not (on b3 b1)))", "(on b1 b2)", False),
        (
            "(and (on b1 b2) (not (on b3 b1)) (not (holding b3)))",
            "(and (clear b1) (on b1 b2) (not (holding b3)))",
            True,
        ),
        ("(and (on b1 b2) (on b2 b1))", "(and (holding b1) (holding b2))", True),  # neither can be
        ("(on b1", "(on b1 b2)", False),
        ("(on b1 b9)", "(on b1 b2)", False),
    ],
)
def test_goals_count_with_what_follows(left, right, same):
    problem = blocks("b1 b2", "b3")
    assert pddl.equivalent(left, right, BLOCKS, problem) == same


def test_goals_alone_are_compared_literally():
    assert pddl.equivalent("(and (on a b) (clear a))", "(and (clear x) (on x y))", BLOCKS)
    assert not pddl.equivalent("(and (on a b) (clear a))", "(and (clear y) (on x y))", BLOCKS)
    assert not pddl.equivalent("(and (on a b) (on b c))", "(and (on a b) (on c b))", BLOCKS)
    assert not pddl.equivalent("(on a a)", "(on a b)", BLOCKS)
    assert pddl.equivalent("(seen depot)", "(SEEN DEPOT)", CARGO)
    assert not pddl.equivalent("(seen depot)", "(seen t1)", CARGO)  # constants keep their names


def test_types_and_separate_renamings():
    assert pddl.equivalent(CARGO_PROBLEM, CARGO_PROBLEM.replace("k1", "zz").replace("k2", "k1"), CARGO)
    assert not pddl.equivalent(
        CARGO_PROBLEM,
        CARGO_PROBLEM.replace("k1 k2 - package", "k1 - package k2 - truck").replace("(at k2 depot)", "(at k2 depot)"),
        CARGO,
    )
    left = blocks("b1 b2", "b3", goal="(holding b1)")
    right = blocks("b1 b2", "b3", goal="(holding b2)")
    assert not pddl.equivalent(left, right, BLOCKS)
    assert pddl.equivalent(left, right, BLOCKS, separately=True)


def test_what_cannot_be_compared_is_an_error():
    with pytest.raises(ValueError, match="what to compare with is wrong"):
        pddl.equivalent("(on a b)", "(under a b)", BLOCKS)
    with pytest.raises(ValueError, match="an `and` of literals"):
        pddl.equivalent("(on a b)", "(or (on a b) (on b a))", BLOCKS)


def test_59_six_identical_towers_take_little_time():
    towers = [f"t{n}a t{n}b t{n}c" for n in range(6)]
    goal = f"(and {' '.join(f'(on t{n}b t{n}a) (on t{n}a t{n}c)' for n in range(6))})"
    problem = blocks(*towers, goal=goal)
    times = []
    for seed in range(3):
        other = shuffled(problem, seed)
        started = time.thread_time()
        assert pddl.equivalent(problem, other, BLOCKS)
        times.append(time.thread_time() - started)
    assert not pddl.equivalent(problem, shuffled(problem.replace("(on t5a t5c)", "(on t5a t4c)", 1), 1), BLOCKS)
    assert len(times) == 3


names = st.sampled_from("abcde")


@given(
    st.lists(st.tuples(st.sampled_from(["p", "q"]), names, names), max_size=6),
    st.lists(st.tuples(st.sampled_from(["p", "q"]), names, names), max_size=6),
    st.permutations("abcde"),
)
def test_structures_are_isomorphic_where_some_renaming_works(left, right, renaming):
    objects = dict.fromkeys("abcde", "?")
    new = dict(zip("abcde", renaming, strict=True))
    renamed = [(fact[0], new[fact[1]], new[fact[2]]) for fact in left]

    def structure(facts: list[tuple[str, str, str]]) -> Structure:
        return Structure(objects, frozenset((fact[0], fact[1:]) for fact in facts))

    assert isomorphic(structure(left), structure(renamed))
    assert isomorphic(structure(left), structure(right)) == same_by_renaming(left, right, list("abcde"))


def test_colours_alone_do_not_decide():
    hexagon = [(f"o{n}", f"o{(n + 1) % 6}") for n in range(6)]
    triangles = [(f"o{n}", f"o{n // 3 * 3 + (n + 1) % 3}") for n in range(6)]
    objects = {f"o{n}": "?" for n in range(6)}
    ring, pair = (Structure(objects, frozenset(("edge", each) for each in edges)) for edges in (hexagon, triangles))
    assert not isomorphic(ring, pair)
    turned = Structure(objects, frozenset(("edge", (b, a)) for a, b in hexagon))
    assert isomorphic(ring, turned)


def test_goals_and_plans_have_one_key_however_they_are_written():
    problem = blocks("a b", "c")
    key = pddl.goal_key("(and (on a b) (and (clear c)) (clear c))", BLOCKS, problem)
    assert key == "(clear c) (on a b)"
    assert pddl.goal_key(";x\n(AND (clear  c)(ON a b))", BLOCKS, problem) == key
    assert pddl.goal_key("(on a b)", BLOCKS, problem) != key
    assert pddl.goal_key("(on a", BLOCKS, problem) is None
    assert pddl.goal_key("(above a b)", BLOCKS, problem) is None
    assert pddl.plan_key("(PickUp a)\n( stack a  b ) ; done") == "(pickup a) (stack a b)"
    assert pddl.plan_key("(stack a b) (pickup a)") != pddl.plan_key("(pickup a) (stack a b)")
    assert pddl.plan_key("(pickup a") is None
