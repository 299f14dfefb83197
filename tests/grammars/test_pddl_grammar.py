"""The grammars of planning: real goals and problems are in them, and bound ones have the domain's own names only."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import LarkError
from smcdsl.potentials import pddl
from smcdsl.potentials._pddl_formula import closed_conjuncts
from smcdsl.potentials._pddl_reader import PddlMistake, read_prefix
from tokenizers import Tokenizer

import smcdsl
from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import UsageError
from smcdsl.notations.lark import load_lark
from tests.oracles.vocabularies import real_vocabulary, small_vocabulary
from tests.potentials.planning import (
    BLOCKS,
    CARGO,
    CARGO_PROBLEM,
    blocks,
    competition,
    goal_of,
    has_data,
    planetarium,
)
from tests.spider import DATA

TEXT = files("smcdsl.grammars").joinpath("pddl.lark").read_text(encoding="utf-8")
BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])
PROBLEM = blocks("b1 b2", "b3")
EXAMPLE = Path(__file__).parents[2] / "examples" / "goal_inference.smc"

needs_data = pytest.mark.skipif(not has_data(), reason="needs the planning problems of the test data (SMCDSL_DATA)")


def automaton(rule: str, vocabulary=BYTES, **arguments: str) -> TokenAutomaton:
    grammar = load_lark(TEXT, name="pddl.lark", start=rule)
    return TokenAutomaton(compile_grammar(pddl.specialize(grammar, rule, arguments), vocabulary), None)


def accepts(bound: TokenAutomaton, text: str) -> bool:
    return walks(bound, list(text.encode()), 256)


def walks(bound: TokenAutomaton, tokens: list[int], end: int) -> bool:
    state = bound.start
    for token in (*tokens, end):
        mask = bound.mask(state)
        if not mask[token >> 5] >> np.uint32(token & 31) & 1:
            return False
        state = bound.next(state, token)
        assert state != DEAD
    return True


@pytest.fixture(scope="module")
def goals() -> TokenAutomaton:
    return automaton("goal", domain=BLOCKS, problem=PROBLEM)


@pytest.fixture(scope="module")
def cargo_goals() -> TokenAutomaton:
    return automaton("goal", domain=CARGO, problem=CARGO_PROBLEM)


@pytest.mark.parametrize(
    "text", ["(on b1 b2)", "(arm-empty)", "(and (on b1 b2))", "(and (on-table b3) (clear b1) (arm-empty))"]
)
def test_goals_of_the_domain_are_in_it(text, goals):
    assert accepts(goals, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(and)",
        "(on b1)",
        "(on b1 b2 b3)",
        "(on b1 b9)",
        "(under b1 b2)",
        "(pickup b1)",
        "(not (on b1 b2))",  # the domain does not ask for negation
        "(or (on b1 b2) (on b2 b1))",
        "(and (and (on b1 b2)))",
        "(on b1  b2)",
        "( on b1 b2)",
        "(and (on b1 b2)(clear b1))",
        "(and (on b1 b2)\n(clear b1))",
        "(ON b1 b2)",
        "(on b1 b2) ",
        "(on b1 b2) ; it",
        "(on b1b2)",
        "(on b1 b)",
        "(on b1 b12)",
    ],
)
def test_other_texts_are_not(text, goals):
    assert not accepts(goals, text)


@pytest.mark.parametrize(
    ("text", "within"),
    [
        ("(at t1 north)", True),
        ("(at north t1)", False),
        ("(at k1 depot)", True),  # a constant, and a type two levels down
        ("(in k1 s1)", True),
        ("(in s1 k1)", False),
        ("(seen t1)", True),  # either
        ("(seen depot)", True),
        ("(seen k1)", False),
        ("(not (broken s1))", True),
        ("(and (or (at t1 north) (not (in k1 s1))) (imply (seen t1) (broken t1)))", True),
        ("(forall (?x - package) (in ?x t1))", True),
        ("(and (exists (?x - package ?p - place) (and (at ?x ?p) (not (= ?x k1)))) (seen t1))", True),
        ("(forall (?x - parcel) (in ?x t1))", False),
        ("(in ?x t1)", False),
    ],
)
def test_types_and_conditions_are_part_of_it(text, within, cargo_goals):
    assert accepts(cargo_goals, text) == within


@pytest.mark.parametrize(
    ("text", "within"),
    [
        ("(ON  b1\n B2)", True),
        ("(AND(on b1 b2)\n  (Clear B1))", True),
        ("(on b1b2)", False),
        ("(on b1 b9)", False),
        ("(andon b1 b2)", False),
        ("(\u212aeep b1)", False),
    ],
)
def test_a_free_layout_takes_any_case_and_blanks(text, within):
    assert accepts(automaton("goal", domain=BLOCKS, problem=PROBLEM, layout="free"), text) == within


def test_names_are_spelled_as_in_the_files():
    bound = automaton("goal", domain=BLOCKS, problem=PROBLEM.replace("b1", "Box"))
    assert accepts(bound, "(on Box b2)")
    assert not accepts(bound, "(on box b2)")


def test_plans_have_the_domains_actions():
    bound = automaton("plan", domain=CARGO, problem=CARGO_PROBLEM)
    assert accepts(bound, "(load k1 t1 north)\n(drive t1 north depot)")
    for wrong in ("(load t1 k1 north)", "(drive s1 north depot)", "(load k1 t1)", "(fly t1)", "(break t1)\n", ""):
        assert not accepts(bound, wrong), wrong


def sites(bound: TokenAutomaton, text: str, complete: bool = True) -> list[tuple[str, str]]:
    return [(site.rule, text[site.start : site.end]) for site in bound.sites(text.encode(), complete)]


@pytest.mark.parametrize("layout", ["line", "free", None])
def test_boundaries_are_conjuncts_and_actions(layout):
    arguments = {} if layout is None else {"domain": CARGO, "problem": CARGO_PROBLEM, "layout": layout}
    goals, plans = automaton("goal", **arguments), automaton("plan", **arguments)
    parts = ["(at t1 north)", "(not (in k1 s1))", "(or (seen t1) (seen depot))"]
    whole = f"(and {' '.join(parts)})"
    assert sites(goals, whole) == [("conjunct", part) for part in parts]
    assert sites(goals, whole[:-1], False) == [("conjunct", part) for part in parts]
    assert sites(goals, whole[:-3], False) == [("conjunct", part) for part in parts[:2]]
    for single in parts:
        assert sites(goals, single) == [("conjunct", single)]
    steps = ["(load k1 t1 north)", "(drive t1 north depot)"]
    assert sites(plans, "\n".join(steps)) == [("action", step) for step in steps]


def test_problems_have_the_domains_predicates():
    bound = automaton("problem", domain=BLOCKS, layout="free")
    whole = blocks("a b", "c", goal="(on b c)")
    assert accepts(bound, whole)
    for old, new in (("(clear a)", "(clean a)"), ("(clear a)", "(clear a b)"), ("blocksworld", "gripper")):
        assert not accepts(bound, whole.replace(old, new)), new


def test_conjuncts_of_a_problem_are_sites_while_it_is_written():
    text = (
        "(define (problem c)\n    (:domain cargo)\n    (:objects t1 t2 - truck north - place)\n"
        "    (:init (at t1 north) (at t2 depot))\n    (:goal (and (at t1 depot) (seen t1)"
    )
    assert sites(automaton("problem", domain=CARGO), text, False) == [
        ("conjunct", "(at t1 depot)"),
        ("conjunct", "(seen t1)"),
    ]


def test_without_a_domain_the_general_grammar_stands():
    assert accepts(automaton("goal"), "(and (under x y) (not (p)))")
    assert accepts(automaton("plan"), "(a) (b c)")
    assert accepts(automaton("problem"), CARGO_PROBLEM.strip())
    with pytest.raises(UsageError, match="needs the domain"):
        automaton("goal", problem=PROBLEM)
    with pytest.raises(UsageError, match="`layout`"):
        automaton("goal", domain=BLOCKS, layout="wide")
    with pytest.raises(UsageError, match="cannot be used"):
        automaton("goal", domain="(define", problem=PROBLEM)
    needy = "(define (domain d) (:predicates (p ?x)) (:action a :parameters (?x) :effect (p ?x)))"
    empty = "(define (problem p) (:domain d))"
    for rule in ("goal", "plan"):
        with pytest.raises(UsageError, match="no object of the problem fits"):
            automaton(rule, domain=needy, problem=empty)


@settings(max_examples=40)
@given(chance=st.randoms(use_true_random=False))
def test_what_masks_allow_is_well_formed_but_for_variables(chance, cargo_goals):
    """Walks at random: what is refused of them contradicts itself or has a variable of no or another type."""
    state, text = cargo_goals.start, bytearray()
    for _ in range(80):
        mask = cargo_goals.mask(state)
        allowed = [token for token in range(257) if mask[token >> 5] >> np.uint32(token & 31) & 1]
        token = chance.choice(allowed)
        if token == 256:
            break
        text.append(token)
        state = cargo_goals.next(state, token)
    written = text.decode()
    world = pddl._world(CARGO, CARGO_PROBLEM)
    reason = ""
    try:
        closed_conjuncts(world.task.domain, world.problem.objects, read_prefix(written))
    except PddlMistake as mistake:
        reason = str(mistake)
    assert reason == "" or "`?" in reason, written


@needs_data
@pytest.mark.parametrize("name", ["blocksworld", "gripper"])
def test_real_goals_are_in_their_own_grammars(name):
    domain, problems = planetarium(name)
    whole = automaton("problem", domain=domain)
    for problem in problems[::40]:
        goal = goal_of(problem)
        assert accepts(automaton("goal", domain=domain, problem=problem), goal)
        assert accepts(whole, problem)


@needs_data
@pytest.mark.long
@pytest.mark.parametrize("name", ["blocksworld", "gripper"])
def test_all_real_goals_are_in_their_own_grammars(name):
    domain, problems = planetarium(name)
    vocabulary = real_vocabulary("llama3")
    encoder = Tokenizer.from_file(str(DATA / "tokenizers" / "llama3" / "tokenizer.json"))
    for problem in problems:
        tokens = encoder.encode(goal_of(problem), add_special_tokens=False).ids
        assert walks(automaton("goal", vocabulary, domain=domain, problem=problem), tokens, vocabulary.end_of_turn[0])


@needs_data
def test_problems_of_the_competitions_are_read_and_in_the_grammar():
    lark = Lark(TEXT, parser="lalr", lexer="basic", start="problem")
    bound: dict[str, TokenAutomaton] = {}
    for number, (domain, name, text) in enumerate(competition()):
        assert pddl._world(domain, text).task.goal, name
        bare = "\n".join(line.partition(";")[0] for line in text.split("\n")).strip()
        if number % 12 == 0 and len(bare) < 3000:
            try:
                lark.parse(bare)
            except LarkError as error:
                pytest.fail(f"{name}: {error}")
            if domain not in bound:
                bound[domain] = automaton("problem", domain=domain, layout="free")
            assert accepts(bound[domain], bare), name


def test_the_example_weighs_the_story_against_the_actions():
    program = smcdsl.load(EXAMPLE)
    story_alone = program.run(observed=[], seed=1)
    with_actions = program.run(seed=1)
    assert story_alone.best == "(on b2 b1)"
    assert with_actions.best == "(on b2 b3)"
    assert with_actions.target == "exact"
    assert with_actions.posterior["(on b2 b3)"] > 0.6
