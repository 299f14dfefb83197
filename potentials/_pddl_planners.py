"""Shortest plans by Fast Downward, through unified-planning (extra `planners`).

Fast Downward runs in a process of its own, which ends at its time limit.
"""

from __future__ import annotations

from importlib.util import find_spec

from smcdsl.potentials._pddl_formula import Formula
from smcdsl.potentials._pddl_ground import PlanningLimit
from smcdsl.potentials._pddl_steps import State, Task, spell, spelled_types

SECONDS = 25.0
"""For one plan. Two are looked for within the minute that `plan_likelihood` has."""


def fast_downward_cost(domain: str, task: Task, state: State, goal: Formula) -> int | None:
    """The fewest actions from a state to a goal; None if no plan leads there.

    Raises:
        RuntimeError: the extra is not installed.
        PlanningLimit: not found out in time.
    """
    for package in ("unified_planning", "up_fast_downward"):
        if find_spec(package) is None:
            raise RuntimeError(f'`planner: "fast-downward"` needs {package}: pip install smcdsl[planners]')
    from unified_planning.io import PDDLReader
    from unified_planning.model.metrics import MinimizeSequentialPlanLength
    from unified_planning.shortcuts import OneshotPlanner, get_environment

    get_environment().credits_stream = None
    problem = PDDLReader().parse_problem_string(domain, problem_text(task, state, goal))
    problem.add_quality_metric(MinimizeSequentialPlanLength())
    with OneshotPlanner(name="fast-downward-opt") as planner:
        result = planner.solve(problem, timeout=SECONDS)
    if result.status.name == "SOLVED_OPTIMALLY":
        return len(result.plan.actions)
    if result.status.name == "UNSOLVABLE_PROVEN":
        return None
    raise PlanningLimit(f"Fast Downward ended with {result.status.name}")


def problem_text(task: Task, state: State, goal: Formula) -> str:
    """A problem with this initial state and goal."""
    objects = []
    for name, types in task.problem.objects.items():
        if name not in task.domain.constants:
            kind = spelled_types(types)
            objects.append(name if kind == "object" and len(task.domain.parents) == 1 else f"{name} - {kind}")
    facts = " ".join(f"({' '.join(atom)})" for atom in sorted(state))
    return (
        f"(define (problem p) (:domain {task.domain.name}) (:objects {' '.join(objects)}) "
        f"(:init {facts}) (:goal {spell(goal, {})}))"
    )
