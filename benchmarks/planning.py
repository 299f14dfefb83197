"""What the PDDL potentials cost, on the real goals of the test data (SMCDSL_DATA).

    python -m benchmarks.planning

Processor time of one thread, in microseconds. A run asks `consistent` once at each conjunct's end and once at the
goal's; that is divided by the goal's tokens (Llama 3). What is worked out once for a problem stands apart.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

from smcdsl.potentials import pddl
from smcdsl.potentials._pddl_model import read_domain, read_problem
from smcdsl.potentials._pddl_steps import as_steps
from tokenizers import Tokenizer

DATA = Path(os.environ.get("SMCDSL_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
FILES = {"blocksworld": "blocksworld_le9", "gripper": "gripper_le12"}


def microseconds(function: Callable[..., object], *arguments: object) -> float:
    """Processor time of a call."""
    started = time.thread_time()
    function(*arguments)
    return (time.thread_time() - started) * 1e6


def goal_of(problem: str) -> str:
    """What stands in the goal, which is a problem's last section here."""
    inner = problem[problem.index("(:goal") + len("(:goal") :].rstrip()
    return inner.removesuffix(")").rstrip().removesuffix(")").strip()


def boundaries(goal: str) -> list[int]:
    """Where conjuncts end."""
    return [found.end() for found in re.finditer(r"\([^()]*\)", goal)]


def measure(name: str, tokenizer: Tokenizer) -> None:
    """Print one domain's figures."""
    domain = (DATA / "planetarium" / f"{name}.domain.pddl").read_text(encoding="utf-8")
    with gzip.open(DATA / "planetarium" / f"{FILES[name]}.jsonl.gz", "rt", encoding="utf-8") as lines:
        problems = list(dict.fromkeys(json.loads(line)["problem_pddl"] for line in lines))
    declared = read_domain(domain)
    so_far = pddl.consistent.prefix_function
    read, first, per_token, per_call, with_first, same = [], [], [], [], [], []
    for problem in problems:
        goal = goal_of(problem)
        tokens = len(tokenizer.encode(goal, add_special_tokens=False).ids)
        read.append(microseconds(read_problem, problem, declared))
        first.append(microseconds(so_far, domain, problem, "(and"))
        ends = boundaries(goal)
        spent = sum(microseconds(so_far, domain, problem, goal[:end]) for end in ends)
        spent += microseconds(pddl.consistent.function, domain, problem, goal)
        per_token.append(spent / tokens)
        per_call.append(spent / (len(ends) + 1))
        with_first.append((spent + first[-1]) / tokens)
        same.append(microseconds(pddl.equivalent.function, problem, problem, domain))
    print(f"{name}: {len(problems)} problems; microseconds as mean, median, largest")
    for what, values in (
        ("overhead per token", per_token),
        ("the same, one particle that pays for the problem alone", with_first),
        ("consistent, per call", per_call),
        ("read a problem, once", read),
        ("prepare a problem, once", first),
        ("equivalent, reading included", same),
    ):
        print(f"  {what:<56} {mean(values):10.1f} {median(values):10.1f} {max(values):10.1f}")


def measure_steps() -> None:
    """Print what stepping and a goal after a plan cost: a tower of seven is taken down and built again."""
    domain = (DATA / "planetarium" / "blocksworld.domain.pddl").read_text(encoding="utf-8")
    facts = "(arm-empty) (clear b1) (on-table b7) " + " ".join(f"(on b{n} b{n + 1})" for n in range(1, 7))
    objects = " ".join(f"b{n}" for n in range(1, 8))
    problem = f"(define (problem p) (:domain blocksworld) (:objects {objects}) (:init {facts}))"
    plan = "".join(f"(unstack b{n} b{n + 1})(putdown b{n})" for n in range(1, 7))
    steps, world = as_steps(plan), pddl._world(domain, problem)
    goal = "(and (on-table b1) (on-table b2) (clear b3) (clear b4) (arm-empty)"
    pddl.consistent.prefix_function(domain, problem, goal, plan)
    run = median(microseconds(world.task.run, steps) for _ in range(200))
    print(f"a plan of {len(steps)} steps      {run:8.1f}")
    call = median(microseconds(pddl.consistent.prefix_function, domain, problem, goal, plan) for _ in range(500))
    print(f"goal of 5 after the plan  {call:8.1f}")


def measure_towers() -> None:
    """Print what it costs to find six identical towers of three equal to themselves under other names."""
    domain = (DATA / "planetarium" / "blocksworld.domain.pddl").read_text(encoding="utf-8")
    problems = []
    for letters in ("abc", "zyx"):
        names = [[f"{letter}{n}" for letter in letters] for n in range(6)]
        facts = [f"(clear {a}) (on {a} {b}) (on {b} {c}) (on-table {c})" for a, b, c in names]
        goal = " ".join(f"(on {c} {b}) (on {b} {a})" for a, b, c in names)
        objects = " ".join(name for tower in names for name in tower)
        problems.append(
            f"(define (problem p) (:domain blocksworld) (:objects {objects}) "
            f"(:init (arm-empty) {' '.join(facts)}) (:goal (and {goal})))"
        )
    assert pddl.equivalent(*problems, domain)
    cost = median(microseconds(pddl.equivalent.function, *problems, domain) for _ in range(20))
    print(f"six identical towers      {cost:8.1f}")


if __name__ == "__main__":
    llama = Tokenizer.from_file(str(DATA / "tokenizers" / "llama3" / "tokenizer.json"))
    for each in FILES:
        measure(each, llama)
    measure_steps()
    measure_towers()
