"""Planetarium: what is the goal of this story? (Zuo and others 2024); `$SMCDSL_DATA/planetarium/README.md`.

Blocksworld problems of at most nine blocks, kept out of all training (`splits.planetarium_evaluation`). A goal is right
if the problem with it is the gold problem. Where the story does not say which object is which (`is_placeholder`), goals
are compared up to renaming, apart from the initial state; else names count. What follows from a goal may be left out.

The potential knows what the paper's does: a plan that the agent was seen to carry out, which ends where the gold goal
holds. Every conjunct that is false there is none of the goal's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smcdsl.potentials import pddl

from benchmarks.tasks import splits
from benchmarks.tasks.task import Grades, MissingData, Row, spread

NO_GOAL = "(:goal (and (arm-empty)))"
"""What stands in the problem that programs see; they read its objects and its initial state."""

Fact = tuple[str, ...]


class Planetarium:
    """Story to PDDL goal."""

    name = "planetarium"
    about = "the goal is the gold one, weighted by posterior probability"
    max_tokens = 250

    def __init__(self, prompt: str = "none") -> None:
        self.programs = "planetarium" if prompt == "none" else "planetarium_prompted"

    def rows(self, limit: int | None) -> list[Row]:
        """The evaluation rows, each with a plan to its goal."""
        folder = splits.data_folder() / "planetarium"
        if not folder.is_dir():
            raise MissingData(f"no Planetarium data in {folder}; set SMCDSL_DATA")
        domain = (folder / "blocksworld.domain.pddl").read_text(encoding="utf-8")
        return spread([_row(row, domain) for row in splits.planetarium_evaluation()], limit)

    def grade(self, row: Row, answer: str) -> Grades:
        """Whether the goal is of the domain, and whether it is the gold one."""
        domain, problem = row.inputs["domain"], row.inputs["problem"]
        goal = plain(answer)
        if not pddl.consistent(domain, problem, goal):
            return {"consistent": 0.0, "score": 0.0}
        gold = row.gold["problem"]
        if row.gold["is_placeholder"]:
            right = pddl.equivalent(gold.replace(_goal_part(gold), f"(:goal {goal})"), gold, domain, separately=True)
        else:
            right = pddl.equivalent(goal, goal_of(gold), *with_names(domain, problem))
        return {"consistent": 1.0, "score": float(right)}


def _row(row: splits.Row, domain: str) -> Row:
    problem = row["problem_pddl"]
    inputs = {
        "story": row["natural_language"],
        "domain": domain,
        "problem": problem.replace(_goal_part(problem), NO_GOAL),
        "plan": plan_of(problem),
    }
    return Row(row["id"], inputs, {"problem": problem, "is_placeholder": row["is_placeholder"]})


def plain(answer: str) -> str:
    """The goal in an answer: the parenthesis that closes `(:goal` may follow it."""
    answer = answer.strip()
    if answer.endswith(")") and answer.count(")") == answer.count("(") + 1:
        return answer[:-1].rstrip()
    return answer


def goal_of(problem: str) -> str:
    """What stands in a problem's `(:goal ...)`."""
    return _goal_part(problem)[len("(:goal") : -1].strip()


def _goal_part(problem: str) -> str:
    """`(:goal ...)` as it is written."""
    start = problem.index("(:goal")
    depth = 0
    for end in range(start, len(problem)):
        depth += (problem[end] == "(") - (problem[end] == ")")
        if depth == 0:
            return problem[start : end + 1]
    raise ValueError("the goal does not end")


def with_names(domain: str, problem: str) -> tuple[str, str]:
    """The domain and problem with the objects as constants, whose names count when goals are compared."""
    objects = re.search(r"\(:objects([^()]*)\)", problem)
    assert objects is not None, "a problem has objects"
    constants = f"(:constants {objects[1].strip()})"
    return (
        domain.replace("(:predicates", f"{constants}\n  (:predicates", 1),
        problem.replace(objects[0], "(:objects)", 1),
    )


def plan_of(problem: str) -> list[str]:
    """Actions of blocksworld after which the goal of a problem holds: everything to the table, then towers, then up.

    Not the shortest, but what is true after it is the same for every way to build the goal's towers.
    """
    start, goal = _facts(problem, ":init"), _facts(problem, ":goal")
    held, under = _arrangement(start)
    wanted_held, wanted_under = _arrangement(goal)
    plan = [f"(putdown {held})"] if held else []
    # From the tops down.
    while under:
        top = next(block for block in sorted(under) if block not in under.values())
        plan += [f"(unstack {top} {under.pop(top)})", f"(putdown {top})"]
    built: set[str] = set()
    while len(built) < len(wanted_under):
        for block, below in sorted(wanted_under.items()):
            if block not in built and (below in built or below not in wanted_under):
                plan += [f"(pickup {block})", f"(stack {block} {below})"]
                built.add(block)
    return plan + ([f"(pickup {wanted_held})"] if wanted_held else [])


def _arrangement(facts: Iterable[Fact]) -> tuple[str, dict[str, str]]:
    """The block that is held, and what each block that stands on another one stands on."""
    facts = list(facts)
    held = next((fact[1] for fact in facts if fact[0] == "holding"), "")
    return held, {fact[1]: fact[2] for fact in facts if fact[0] == "on"}


def _facts(problem: str, part: str) -> list[Fact]:
    text = problem[problem.index(f"({part}") :]
    end = text.find("(:", 2)
    return [tuple(found.split()) for found in re.findall(r"\(([a-z][^():]*)\)", text[: end if end > 0 else None])]
