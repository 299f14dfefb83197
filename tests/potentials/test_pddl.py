"""Goals and plans: what is refused cannot be meant, what is true is accepted; bad inputs 53 to 58 of the list."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smcdsl.potentials import pddl
from smcdsl.potentials._pddl_formula import read_formula
from smcdsl.potentials._pddl_ground import PlanningLimit
from smcdsl.potentials._pddl_reader import read_one
from smcdsl.potentials._pddl_steps import as_steps

from smcdsl.errors import UsageError
from smcdsl.program.types import PythonLocation
from smcdsl.workers import ProcessPool
from tests.potentials.planning import (
    BLOCKS,
    CARGO,
    CARGO_PROBLEM,
    Naive,
    blocks,
    goal_of,
    has_data,
    planetarium,
)

needs_data = pytest.mark.skipif(not has_data(), reason="needs the planning problems of the test data (SMCDSL_DATA)")
PROBLEM = blocks("b1 b2", "b3")
PLAN = "(unstack b1 b2)\n(putdown b1)\n(pickup b2)\n(stack b2 b3)"


def alive(g: str, problem: str = PROBLEM, domain: str = BLOCKS, plan: object = None) -> bool:
    return pddl.consistent.prefix_function(domain, problem, g, plan)


def why(g: str, problem: str = PROBLEM, domain: str = BLOCKS) -> str:
    return str(pddl._why_inconsistent(domain, problem, g, prefix=True))


@pytest.mark.parametrize(
    ("literal", "reason"),
    [
        ("(on b1)", "`on` takes 2 objects, not 1"),
        ("(on b1 b2 b3)", "`on` takes 2 objects, not 3"),
        ("(under b1 b2)", "there is no predicate `under`"),
        ("(on b1 b9)", "there is no object `b9`"),
    ],
)
@pytest.mark.parametrize("around", ["{}", "(and {}", "(and (clear b1) {}", "(and (not {}", "(or (not (and {}"])
def test_53_what_is_wrong_counts_once_it_is_closed(literal, reason, around):
    text = around.format(literal)
    assert not alive(text)
    assert reason in why(text)
    assert alive(text.removesuffix(literal) + literal[:-1])
    assert not pddl.consistent(BLOCKS, PROBLEM, "(and (clear b1))"[:-1])


def test_53_objects_are_of_the_right_types():
    assert alive("(and (at t1 north)", CARGO_PROBLEM, CARGO)
    assert not alive("(and (at north t1)", CARGO_PROBLEM, CARGO)
    assert "takes a place there" in why("(at t1 t1)", CARGO_PROBLEM, CARGO)
    assert alive("(seen t1)", CARGO_PROBLEM, CARGO)  # either
    assert alive("(seen depot)", CARGO_PROBLEM, CARGO)
    assert not alive("(seen s1)", CARGO_PROBLEM, CARGO)


@pytest.mark.parametrize(
    "g",
    [
        "(and (clear b1) (not (clear b1))",
        "(and (not (on b1 b2)) (on b1 b2)",
        "(and (on b1 b2) (on b2 b1)",
        "(and (on b1 b2) (on b2 b3) (on b3 b1)",
        "(and (on b1 b3) (on b2 b3)",
        "(and (holding b1) (arm-empty)",
        "(and (holding b1) (clear b1)",
        "(and (on b1 b1)",
        "(and (on b1 b2) (on b2 b3) (not (clear b1))",
        "(and (not (arm-empty)) (on b1 b2) (on b2 b3)",
    ],
)
def test_54_what_contradicts_itself_is_refused(g):
    assert not alive(g)
    assert not alive(g + " (clear b3)")
    assert not pddl.consistent(BLOCKS, PROBLEM, g + ")")
    assert why(g) != "None"


def test_55_lists_without_end_are_refused_in_bounded_time():
    started = time.thread_time()
    for text in (
        "(not" * 5000,
        "(and " * 5000,
        "(and " * 5000 + ")" * 5000,
        "(and " + "(clear b1) " * 20_000 + ")",
        "(and (clear b1)))",
        ")",
        "(clear b1))",
    ):
        assert not alive(text), text[:20]
        assert not pddl.consistent(BLOCKS, PROBLEM, text)
    assert alive("(not (")
    assert alive("(and " + "(clear b1) " * 5000)
    assert time.thread_time() - started < 2 * 60  # not quadratic, however slow the machine


def test_56_names_have_no_case():
    assert pddl.consistent(BLOCKS, PROBLEM, "(AND (On B1 b2) (ON b2 B3))")
    assert not alive("(and (On B1 b2) (not (on b1 B2))")
    assert pddl.plan_valid(BLOCKS.upper(), blocks("b1 b2", "b3", goal="(ON B2 b3)").upper(), PLAN)
    twice = PROBLEM.replace("(:objects b1", "(:objects B1 b1")
    assert pddl.consistent(BLOCKS, twice, "(on b1 b2)")


def test_56_a_comment_hides_a_literal():
    assert pddl.consistent(BLOCKS, PROBLEM, "(and (on b1 b2) ; (on b1 b3)\n)")
    assert not pddl.consistent(BLOCKS, PROBLEM, "(and (on b1 b2) ; )")
    assert not alive("(and (on b1 b2) ; (on b1 b3)\n (on b1 b3)")


@pytest.mark.parametrize("text", ["(on b1 b2\0)", "(on b1 é)", "(\u212aeep b1)", "(on b1 \x1b[0m)", "(on b1 \ud800)"])
def test_56_other_characters_are_refused(text):
    assert not alive(text)
    assert not pddl.consistent(BLOCKS, PROBLEM, text)
    with pytest.raises(UsageError, match="PDDL"):
        pddl.consistent(BLOCKS, PROBLEM.replace("(arm-empty)", text), "(clear b1)")


def test_57_a_plan_that_fails_is_an_error_that_names_the_step():
    with pytest.raises(ValueError, match=r"step 2, `\(pickup b2\)`: `\(arm-empty\)` does not hold"):
        pddl.consistent(BLOCKS, PROBLEM, "(on b1 b2)", "(unstack b1 b2)(pickup b2)")
    with pytest.raises(ValueError, match=r"step 1, `\(stack b1 b2\)`"):
        pddl.plan_likelihood(BLOCKS, PROBLEM, "(on b1 b2)", ["stack b1 b2"])
    with pytest.raises(ValueError, match=r"step 1, `\(fly b1\)`: there is no action `fly`"):
        alive("(and", plan="(fly b1)")


EIGHT = """
(define (domain wide) (:requirements :strips)
  (:predicates (all ?a ?b ?c ?d ?e ?f ?g ?h) (never ?a))
  (:action do :parameters (?a ?b ?c ?d ?e ?f ?g ?h) :precondition (and) :effect (all ?a ?b ?c ?d ?e ?f ?g ?h)))
"""
THIRTY = f"(define (problem w) (:domain wide) (:objects {' '.join(f'o{n}' for n in range(30))}) (:init))"
WIDE_GOAL = "(all o1 o2 o3 o4 o5 o6 o7 o8)"


def test_58_a_goal_that_no_plan_reaches_has_weight_zero():
    for g in ("(and (on b1 b2) (on b2 b1))", "(and (holding b1) (holding b2))"):
        assert pddl.plan_likelihood(BLOCKS, PROBLEM, g, []) == 0.0


def test_58_what_cannot_be_found_out_is_an_error_or_zero_as_chosen():
    with pytest.raises(PlanningLimit, match="grounding the actions takes more than"):
        pddl.plan_likelihood(EIGHT, THIRTY, WIDE_GOAL, [])
    assert pddl.plan_likelihood(EIGHT, THIRTY, WIDE_GOAL, [], undecided="zero") == 0.0
    assert pddl.consistent(EIGHT, THIRTY, WIDE_GOAL)  # needs no planner
    assert not pddl.consistent(EIGHT, THIRTY, "(all o1 o2)")
    many = blocks(*(f"b{n}" for n in range(1, 10)))
    tower = f"(and {' '.join(f'(on b{n} b{n + 1})' for n in range(1, 9))})"
    with pytest.raises(PlanningLimit, match=r"no plan was found among 100 states; goal .*; choose `undecided"):
        pddl.plan_likelihood(BLOCKS, many, tower, [], nodes=100)
    assert pddl.plan_likelihood(BLOCKS, many, tower, [], nodes=100, undecided="zero") == 0.0


def test_58_a_worker_that_runs_out_of_time_is_replaced():
    location = PythonLocation("plan_likelihood", module="smcdsl.potentials.pddl")
    pool = ProcessPool(location, "plan_likelihood", 1)
    many = blocks(*(f"b{n}" for n in range(1, 15)))
    goal = f"(and {' '.join(f'(on b{n} b{n + 1})' for n in range(1, 14))} (not (clear b1)))"
    hard = (BLOCKS, many, goal.replace(" (not (clear b1))", ""), [], 1.0, 10**9)
    easy = (BLOCKS, PROBLEM, "(on b2 b3)", ["(unstack b1 b2)"], 1.0)
    try:
        slow, quick = pool.call_all([hard], 0.2)[0], pool.call_all([easy], 60)[0]
    finally:
        pool.close()
    assert slow.kind == "timeout"
    assert (quick.kind, quick.value) == ("value", 1.0)


def test_goals_hold_after_the_plan():
    assert pddl.consistent(BLOCKS, PROBLEM, "(and (on b2 b3) (clear b1) (not (on b1 b2)))", PLAN)
    assert pddl.consistent(BLOCKS, PROBLEM, "(and (on b2 b3))", PLAN.split("\n"))
    assert not pddl.consistent(BLOCKS, PROBLEM, "(and (on b1 b2))", PLAN)
    assert not alive("(and (on b2 b3) (not (clear b1))", plan=PLAN)
    assert alive("(and (on b2 b3) (not (clear b1)", plan=PLAN)
    assert alive("(and (or (on b1 b2)", plan=PLAN)  # the rest of the disjunction may hold
    assert not alive("(and (or (on b1 b2))", plan=PLAN)
    assert pddl._why_inconsistent(BLOCKS, PROBLEM, "(on b1 b2)", PLAN) == "`(on b1 b2)` does not hold after the plan"


def test_plans_are_judged_action_by_action():
    problem = blocks("b1 b2", "b3", goal="(and (on b2 b3) (not (on b1 b2)))")
    so_far = pddl.plan_valid.prefix_function
    for end in range(len(PLAN) + 1):
        assert so_far(BLOCKS, problem, PLAN[:end]), PLAN[:end]
        assert pddl.plan_valid(BLOCKS, problem, PLAN[:end]) == (end == len(PLAN))
    assert not so_far(BLOCKS, problem, "(pickup b1)")
    assert pddl._why_invalid(BLOCKS, problem, "(pickup b3)(pickup b1)") == (
        "step 2, `(pickup b1)`: `(on-table b1)` does not hold"
    )
    assert pddl._why_invalid(BLOCKS, problem, PLAN[:15]) == "`(on b2 b3)` does not hold after the last action"
    for wrong in ("(pickup)", "(pickup b3 b3)", "(pickup b9)", "(fly b3)", "pickup", "((pickup b3))", "(pickup b3))"):
        assert not so_far(BLOCKS, problem, wrong), wrong


def test_all_of_adl_is_stepped_through():
    plan = "(load k1 t1 north)(drive t1 north depot)"
    assert pddl.plan_valid(CARGO, CARGO_PROBLEM, plan)  # the package moves with the truck, which is seen
    assert not pddl.plan_valid(CARGO, CARGO_PROBLEM, plan + "(break t1)")
    twice = "(load k1 t1 north)(drive t1 north depot)(load k2 t1 depot)"
    assert "(forall" in str(pddl._why_invalid(CARGO, CARGO_PROBLEM, twice))
    assert "(exists" in str(pddl._why_invalid(CARGO, CARGO_PROBLEM, "(break t1)"))
    assert "(or" in str(pddl._why_invalid(CARGO, CARGO_PROBLEM.replace("(road north depot)", ""), plan))
    assert "(not (= north north))" in str(pddl._why_invalid(CARGO, CARGO_PROBLEM, "(drive t1 north north)"))
    assert pddl.plan_likelihood(CARGO, CARGO_PROBLEM, "(at k1 depot)", ["load k1 t1 north"]) == 1.0
    assert pddl.plan_likelihood(CARGO, CARGO_PROBLEM, "(at k1 depot)", ["(drive t1 north depot)"]) == pytest.approx(
        2.718281828459045**-2
    )


def test_likelihood_falls_with_the_detour():
    seen = PLAN.split("\n")
    assert pddl.plan_likelihood(BLOCKS, PROBLEM, "(on b2 b3)", seen, 2.0) == 1.0
    assert pddl.plan_likelihood(BLOCKS, PROBLEM, "(on b2 b1)", seen, 2.0) == pytest.approx(2.718281828459045**-4)
    assert pddl.plan_likelihood(BLOCKS, PROBLEM, "(on b2 b1)", seen, 0.0) == 1.0
    assert pddl.plan_likelihood(BLOCKS, PROBLEM, "(on b2 b1)", []) == 1.0
    assert pddl.plan_likelihood(BLOCKS, PROBLEM, "(or (on b2 b1) (on b2 b3))", seen, 2.0) == 1.0
    assert pddl.plan_likelihood(BLOCKS, PROBLEM, "(on b2", seen) == 0.0
    for wrong in ({"beta": -1.0}, {"beta": float("nan")}, {"undecided": "one"}):
        with pytest.raises(ValueError):
            pddl.plan_likelihood(BLOCKS, PROBLEM, "(on b2 b1)", seen, **wrong)


@pytest.mark.long
def test_fast_downward_finds_the_same_costs():
    pytest.importorskip("unified_planning", reason="needs unified-planning (pip install smcdsl[planners])")
    pytest.importorskip("up_fast_downward", reason="needs up-fast-downward (pip install smcdsl[planners])")
    seen = PLAN.split("\n")
    for g, observed in (("(on b2 b1)", seen), ("(and (on b3 b1) (on b1 b2))", [])):
        own, other = (
            pddl.plan_likelihood(BLOCKS, PROBLEM, g, observed, 0.5, planner=planner)
            for planner in ("own", "fast-downward")
        )
        assert own == other
    with pytest.raises(ValueError, match="`planner`"):
        pddl.plan_likelihood(BLOCKS, PROBLEM, "(on b2 b1)", [], planner="other")


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        (BLOCKS.replace(":strips", ":numeric-fluents"), "the requirement `:numeric-fluents` is not supported"),
        (BLOCKS.replace("(:action", "(:derived", 1), "`:derived` in a domain is not supported"),
        (BLOCKS.replace("(clear ?y) (holding ?x)", "(clear ?z) (holding ?x)"), "there is no object `?z`"),
        (BLOCKS.replace("(holding ?x)", "(holds ?x)", 1), "there is no predicate `holding`"),
        (BLOCKS[:-5], "a `(` is not closed"),
        (BLOCKS.replace(":effect", ":result"), "is no part of an action"),
        ("", "a domain is one list in parentheses"),
        (CARGO.replace("truck boat - vehicle", "truck boat - - vehicle"), "`-`"),
        (CARGO.replace("- package ?v", "- parcel ?v"), "there is no type `parcel`"),
    ],
)
def test_domains_with_mistakes_are_refused_by_name(domain, reason):
    with pytest.raises(UsageError) as caught:
        pddl.consistent(domain, PROBLEM, "(clear b1)")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "problem",
    [
        PROBLEM.replace("blocksworld", "gripper"),
        PROBLEM.replace("(clear b1)", "(clear b9)"),
        PROBLEM.replace("(clear b1)", "(clean b1)"),
        PROBLEM.replace("(:init", "(:metric minimize (total-cost)) (:init"),
        PROBLEM + ")",
        PROBLEM + PROBLEM,
    ],
)
def test_problems_with_mistakes_are_refused(problem):
    with pytest.raises(UsageError):
        pddl.consistent(BLOCKS, problem, "(clear b1)")
    with pytest.raises(UsageError):
        pddl.plan_valid(BLOCKS, PROBLEM, PLAN)  # it has no goal


TOWERS = st.sampled_from([("b1 b2", "b3"), ("b1", "b2", "b3"), ("b3 b1 b2",), ("b1", "b2"), ("b2 b1", "b3 b4")])


@given(TOWERS, st.data())
def test_the_stepper_does_what_the_naive_one_does(towers, data):
    problem = blocks(*towers)
    naive, world = Naive(BLOCKS, problem), pddl._world(BLOCKS, problem)
    state = naive.init
    assert state == world.problem.init
    steps = []
    for _ in range(data.draw(st.integers(0, 6))):
        name = data.draw(st.sampled_from(sorted(naive.actions)))
        arguments = [data.draw(st.sampled_from(naive.objects)) for _ in naive.actions[name][0]]
        text = f"({' '.join((name, *arguments))})"
        following = naive.after(state, name, *arguments)
        reached, wrong = world.task.run(as_steps([*steps, text]))
        assert (wrong is None) == (following is not None)
        if following is not None:
            state = following
            steps.append(text)
            assert reached == state
    assert not steps or pddl.consistent(BLOCKS, problem, "(arm-empty)", "".join(steps)) == (("arm-empty",) in state)


def atoms_of(objects: list[str]) -> list[tuple[str, ...]]:
    one = [(name, b) for name in ("clear", "holding", "on-table") for b in objects]
    return [("arm-empty",), *one, *(("on", a, b) for a in objects for b in objects)]


@given(TOWERS, st.data())
def test_refused_conjunctions_hold_in_no_state_and_costs_are_least(towers, data):
    problem = blocks(*towers)
    naive = Naive(BLOCKS, problem)
    distances = reachable(problem)
    drawn = data.draw(st.lists(st.tuples(st.sampled_from(atoms_of(naive.objects)), st.booleans()), max_size=4))
    parts = [f"({' '.join(atom)})" if sign else f"(not ({' '.join(atom)}))" for atom, sign in drawn]
    goal = f"(and {' '.join(parts)})"
    costs = [cost for state, cost in distances.items() if all((atom in state) == sign for atom, sign in drawn)]
    if costs:
        assert pddl.consistent(BLOCKS, problem, goal), why(goal, problem)
    assert pddl.plan_likelihood(BLOCKS, problem, goal, []) == (1.0 if costs else 0.0)
    world = pddl._world(BLOCKS, problem)
    read = read_formula(world.task.domain, world.problem.objects, read_one(goal, "a goal"))
    assert world.planner.cost(world.problem.init, read) == min(costs, default=None)
    assert world.planner.cost_by_cuts(world.problem.init, read, 10**6) == min(costs, default=None)


_reached: dict[str, dict[frozenset, int]] = {}


def reachable(problem: str) -> dict[frozenset, int]:
    if problem not in _reached:
        _reached[problem] = Naive(BLOCKS, problem).reachable()
    return _reached[problem]


@needs_data
@pytest.mark.parametrize("name", ["blocksworld", "gripper"])
def test_real_goals_and_all_their_beginnings_are_accepted(name):
    domain, problems = planetarium(name)
    for problem in problems[::9]:
        goal = goal_of(problem)
        ends = [end for end in range(len(goal) + 1) if end == len(goal) or goal[end - 1 : end] in ("", ")", " ")]
        for end in ends:
            assert alive(goal[:end], problem, domain), (goal[:end], why(goal[:end], problem, domain))
        assert pddl.consistent(domain, problem, goal)


@needs_data
def test_real_goals_with_a_fact_of_another_place_are_mostly_refused():
    domain, problems = planetarium("blocksworld")
    refused = tried = 0
    for problem in problems[::5]:
        goal = goal_of(problem)
        if goal.startswith("(and") and "(on b2 b1)" in goal:
            tried += 1
            refused += not alive(goal[:-1] + " (on b2 b2)", problem, domain)
            refused += not alive(goal[:-1] + " (on b1 b2)", problem, domain)
    assert tried > 5
    assert refused == 2 * tried
