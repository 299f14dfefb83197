"""Planning problems for tests: a blocksworld, real files, and slow twins of what is fast."""

from __future__ import annotations

import gzip
import json
from functools import cache
from itertools import pairwise, permutations, product
from typing import Any

from tests.spider import DATA

BLOCKS = """
(define (domain blocksworld)
  (:requirements :strips)
  (:predicates (arm-empty) (clear ?x) (holding ?x) (on ?x ?y) (on-table ?x))
  (:action pickup :parameters (?x)
    :precondition (and (clear ?x) (on-table ?x) (arm-empty))
    :effect (and (holding ?x) (not (clear ?x)) (not (on-table ?x)) (not (arm-empty))))
  (:action putdown :parameters (?x)
    :precondition (holding ?x)
    :effect (and (clear ?x) (arm-empty) (on-table ?x) (not (holding ?x))))
  (:action stack :parameters (?x ?y)
    :precondition (and (clear ?y) (holding ?x))
    :effect (and (arm-empty) (clear ?x) (on ?x ?y) (not (clear ?y)) (not (holding ?x))))
  (:action unstack :parameters (?x ?y)
    :precondition (and (on ?x ?y) (clear ?x) (arm-empty))
    :effect (and (holding ?x) (clear ?y) (not (on ?x ?y)) (not (clear ?x)) (not (arm-empty)))))
"""

CARGO = """
; Everything of :adl but quantified effects over several types.
(define (domain cargo)
  (:requirements :adl)
  (:types truck boat - vehicle vehicle package - thing place)
  (:constants depot - place)
  (:predicates (at ?t - thing ?p - place) (in ?k - package ?v - vehicle) (road ?a ?b - place)
    (broken ?v - vehicle) (seen ?x - (either truck place)))
  (:action drive :parameters (?t - truck ?a ?b - place)
    :precondition (and (at ?t ?a) (not (broken ?t)) (not (= ?a ?b)) (or (road ?a ?b) (road ?b ?a)))
    :effect (and (at ?t ?b) (not (at ?t ?a)) (when (= ?b depot) (seen ?t))
      (forall (?k - package) (when (in ?k ?t) (and (at ?k ?b) (not (at ?k ?a)))))))
  (:action load :parameters (?k - package ?v - vehicle ?p - place)
    :precondition (and (at ?k ?p) (at ?v ?p) (forall (?o - package) (imply (in ?o ?v) (= ?o ?k))))
    :effect (in ?k ?v))
  (:action break :parameters (?v - vehicle)
    :precondition (exists (?k - package) (in ?k ?v))
    :effect (and (broken ?v) (seen depot))))
"""

CARGO_PROBLEM = """
(define (problem c) (:domain cargo)
  (:objects t1 - truck s1 - boat k1 k2 - package north - place)
  (:init (at t1 north) (at s1 depot) (at k1 north) (at k2 depot) (road north depot))
  (:goal (and (at k1 depot) (seen t1) (not (broken t1)))))
"""


def blocks(*towers: str, goal: str = "", held: str = "", name: str = "p") -> str:
    """A problem: towers as blocks from top to bottom, `"b1 b2"`."""
    facts, objects = ["(arm-empty)"] if not held else [f"(holding {held})"], held.split()
    for tower in towers:
        members = tower.split()
        objects += members
        facts += [f"(clear {members[0]})", f"(on-table {members[-1]})"]
        facts += [f"(on {top} {under})" for top, under in pairwise(members)]
    section = f" (:goal {goal})" if goal else ""
    return (
        f"(define (problem {name}) (:domain blocksworld) (:objects {' '.join(objects)}) "
        f"(:init {' '.join(facts)}){section})"
    )


def has_data() -> bool:
    return (DATA / "planetarium" / "blocksworld_le9.jsonl.gz").exists()


@cache
def planetarium(name: str) -> tuple[str, list[str]]:
    """(domain, distinct problems)."""
    domain = (DATA / "planetarium" / f"{name}.domain.pddl").read_text(encoding="utf-8")
    file = {"blocksworld": "blocksworld_le9", "gripper": "gripper_le12"}[name]
    rows = _rows(f"planetarium/{file}.jsonl.gz")
    return domain, list(dict.fromkeys(row["problem_pddl"] for row in rows))


def competition() -> list[tuple[str, str, str]]:
    """(domain, file name, problem) of the planning competitions."""
    rows = _rows("pddl_ipc/problems.jsonl.gz")
    domains = {row["variant"]: row["text"] for row in rows if row["file"] == "domain.pddl"}
    instances = [row for row in rows if row["kind"] == "instance"]
    return [(domains[row["variant"]], f"{row['variant']}/{row['file']}", row["text"]) for row in instances]


def _rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def goal_of(problem: str) -> str:
    """What stands in `(:goal ...)`."""
    start = problem.lower().index("(:goal") + len("(:goal")
    depth, end = 0, problem.index("(", start)
    start = end
    while True:
        depth += {"(": 1, ")": -1}.get(problem[end], 0)
        end += 1
        if depth == 0:
            return problem[start:end]


def tree(text: str) -> Any:
    """A slow reader: lists and words, comments dropped, lower case."""
    text = "\n".join(line.split(";")[0] for line in text.split("\n")).lower()
    words = text.replace("(", " ( ").replace(")", " ) ").split()

    def read(position: int) -> tuple[Any, int]:
        if words[position] != "(":
            return words[position], position + 1
        items, position = [], position + 1
        while words[position] != ")":
            item, position = read(position)
            items.append(item)
        return items, position + 1

    found, end = read(0)
    assert end == len(words)
    return found


class Naive:
    """A slow twin of the stepper and the planner for untyped STRIPS: everything is tried on the bare tree."""

    def __init__(self, domain: str, problem: str) -> None:
        self.actions = {}
        for section in tree(domain)[2:]:
            if section[0] == ":action":
                parts = dict(zip(section[2::2], section[3::2], strict=True))
                self.actions[section[1]] = (parts[":parameters"], parts[":precondition"], parts[":effect"])
        sections = {section[0]: section[1:] for section in tree(problem)[2:]}
        self.objects = sections[":objects"]
        self.init = frozenset(map(tuple, sections[":init"]))

    def after(self, state: frozenset, name: str, *arguments: str) -> frozenset | None:
        parameters, condition, effect = self.actions[name]
        binding = dict(zip(parameters, arguments, strict=True))

        def literals(node: Any) -> list[tuple[tuple[str, ...], bool]]:
            if node[0] == "and":
                return [literal for part in node[1:] for literal in literals(part)]
            if node[0] == "not":
                return [(atom, not sign) for atom, sign in literals(node[1])]
            return [(tuple(binding.get(word, word) for word in node), True)]

        if any((atom in state) != sign for atom, sign in literals(condition)):
            return None
        effects = literals(effect)
        kept = state - {atom for atom, sign in effects if not sign}
        return kept | {atom for atom, sign in effects if sign}

    def moves(self, state: frozenset) -> list[tuple[tuple[str, ...], frozenset]]:
        found = []
        for name, (parameters, _, _) in self.actions.items():
            for arguments in product(self.objects, repeat=len(parameters)):
                following = self.after(state, name, *arguments)
                if following is not None:
                    found.append(((name, *arguments), following))
        return found

    def reachable(self, start: frozenset | None = None) -> dict[frozenset, int]:
        """All states with their distances from the start."""
        first = self.init if start is None else start
        distances = {first: 0}
        agenda = [first]
        for state in agenda:
            for _, following in self.moves(state):
                if following not in distances:
                    distances[following] = distances[state] + 1
                    agenda.append(following)
        return distances


def same_by_renaming(left: list[tuple[str, ...]], right: list[tuple[str, ...]], objects: list[str]) -> bool:
    """Whether some renaming of the objects makes one set of facts the other: all are tried."""
    wanted = set(right)
    for names in permutations(objects):
        new = dict(zip(objects, names, strict=True))
        if {(fact[0], *(new.get(term, term) for term in fact[1:])) for fact in left} == wanted:
            return True
    return False
