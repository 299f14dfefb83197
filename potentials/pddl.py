"""Planning problems in PDDL: can a goal be meant, does a plan work, does an agent act as if it wanted this?

    import pddl

    grammar goal = pddl.goal(domain: domain, problem: problem)
    ...
    require pddl.consistent(domain, problem, g) at conjunct
    score   pddl.plan_likelihood(domain, problem, g, observed, beta: 2.0)

`domain` and `problem` are inputs of type `file`, or texts.

| | complete | as far as it is written |
|---|---|---|
| `consistent` | the goal is one of the domain and can hold, or holds after a plan | at `conjunct`: its closed parts |
| `plan_valid` | every action is possible and the goal holds at the end | at `action`: the actions are possible |
| `plan_likelihood` | how far the actions seen are on a shortest way to the goal | |
| `equivalent` | two problems or goals differ in names only | |
| `plan_key`, `goal_key` | what a plan or a goal says however it is written, for `return posterior g by ...` | |

Read is PDDL 1.2: STRIPS, types, constants, equality, and all conditions and effects of `:adl`. Other requirements are
refused by name, as is a domain or problem with a mistake in it (E0802). Names have no case. A goal or plan that is no
PDDL has weight 0; one of more than 100,000 characters or with lists nested deeper than 100 counts as none.

`equivalent` needs rustworkx, and `planner: "fast-downward"` unified-planning; they are imported when they are first
needed. Nothing else here needs anything.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from smcdsl.errors import Diagnostic, Label, Source, Span, UsageError
from smcdsl.protocols import Weight, potential

if TYPE_CHECKING:
    from smcdsl.potentials._pddl_equivalence import Structure
    from smcdsl.potentials._pddl_formula import Formula
    from smcdsl.potentials._pddl_invariants import Closure
    from smcdsl.potentials._pddl_model import Domain, Problem
    from smcdsl.potentials._pddl_reader import PddlMistake
    from smcdsl.potentials._pddl_search import Planner
    from smcdsl.potentials._pddl_steps import State, Task

    from smcdsl.program.grammar import Grammar


def specialize(grammar: Grammar, rule: str, arguments: dict[str, Any]) -> Grammar:
    """Bind `pddl.goal`, `pddl.problem` and `pddl.plan` to their arguments; called when a program's inputs are known.

    Raises:
        UsageError: E0802, a file is no domain, or no problem of it.
    """
    from smcdsl.potentials._pddl_grammar import bind_goal, bind_plan, bind_problem

    domain, problem = arguments.get("domain"), arguments.get("problem")
    layout = str(arguments.get("layout") or "line")
    if layout not in ("line", "free"):
        raise UsageError(Diagnostic("E0802", f"`layout` is `line` or `free`, not {layout!r}"))
    if domain is None:
        if problem is not None:
            raise UsageError(Diagnostic("E0802", f"`pddl.{rule}` needs the domain of its problem"))
        return grammar
    read = _domain(*_named(domain, "domain"))
    if rule == "problem":
        return bind_problem(grammar, read, layout)
    bound_to = None if problem is None else _world(domain, problem).problem
    return (bind_goal if rule == "goal" else bind_plan)(grammar, read, bound_to, layout)


@potential(prefix="closed", cost="50us", prefix_form="_consistent_so_far", explanation="_why_inconsistent")
def consistent(domain: Any, problem: Any, g: str, plan: Any = None) -> bool:
    """Whether `g` is a goal of the domain that can be meant.

    Every literal names a predicate with objects of its types. With a `plan` (its text, or a list of actions: a known
    solution, or all that was observed) the goal is true after it. Without one no state that can be reached may be
    known to contradict it: literals exclude each other, an invariant of the domain forbids them together, a predicate
    that no action changes is otherwise, or no action ever makes one true.

    Args:
        plan: what brings the goal about.

    Raises:
        ValueError: a step of `plan` is impossible; the message names it.
    """
    return _goal_mistake(domain, problem, g, plan, complete=True) is None


def _consistent_so_far(domain: Any, problem: Any, g: str, plan: Any = None) -> bool:
    """`consistent` for a beginning: its closed conjuncts are judged, what is open may still become anything."""
    return _goal_mistake(domain, problem, g, plan, complete=False) is None


def _why_inconsistent(domain: Any, problem: Any, g: str, plan: Any = None, *, prefix: bool = False) -> str | None:
    return _goal_mistake(domain, problem, g, plan, complete=not prefix)


@potential(prefix="closed", cost="50us", prefix_form="_plan_valid_so_far", explanation="_why_invalid")
def plan_valid(domain: Any, problem: Any, plan: str) -> bool:
    """Whether every action of `plan` is possible when its turn comes, and the problem's goal holds after the last."""
    return _plan_mistake(domain, problem, plan, complete=True) is None


def _plan_valid_so_far(domain: Any, problem: Any, plan: str) -> bool:
    """`plan_valid` for a beginning: its closed actions are possible."""
    return _plan_mistake(domain, problem, plan, complete=False) is None


def _why_invalid(domain: Any, problem: Any, plan: str, *, prefix: bool = False) -> str | None:
    return _plan_mistake(domain, problem, plan, complete=not prefix)


@potential(prefix="none", cost="20ms", timeout="60s", workers=2, explanation="_why_unlikely")
def plan_likelihood(
    domain: Any,
    problem: Any,
    g: str,
    observed: list[str],
    beta: float = 1.0,
    nodes: int = 40_000,
    undecided: str = "fail",
    planner: str = "own",
) -> Weight:
    """How probable the observed actions are for an agent that wants `g`, relative to a shortest plan: 0 to 1.

    exp(-beta * d), where d is the number of actions by which the shortest plan that begins with the observed ones is
    longer than the shortest plan. 1 if they begin a shortest plan; 0 if no plan leads to the goal, before or after
    them, and for what is no goal. Every action costs 1. Runs in a worker, which is killed after 60 s.

    Args:
        observed: `(action object ...)` from the initial state on, each with its parentheses or without.
        beta: how rational the agent is; 0: not at all.
        nodes: how many states the planner may look at for a goal.
        undecided: what to do when it has found out nothing within them: `fail` stops the run, `zero` gives weight 0.
        planner: `own`, or `fast-downward`, which has 25 s for a plan in place of `nodes` (extra `planners`).

    Source: Ramirez and Geffner (2010), "Probabilistic plan recognition using off-the-shelf classical planners", with
    the observations taken as the plan's beginning.

    Raises:
        ValueError: an observed action is impossible; or `beta` or `undecided` is not one of those above.
        PlanningLimit: nothing was found out within `nodes` states, and `undecided` is `fail`.
    """
    from smcdsl.potentials._pddl_ground import PlanningLimit

    if undecided not in ("fail", "zero"):
        raise ValueError(f"`undecided` is `fail` or `zero`, not {undecided!r}")
    if planner not in ("own", "fast-downward"):
        raise ValueError(f"`planner` is `own` or `fast-downward`, not {planner!r}")
    if not (isinstance(beta, int | float) and 0 <= beta < math.inf):
        raise ValueError(f"`beta` is a number from 0 up, not {beta!r}")
    try:
        extra = _detour(domain, problem, g, observed, nodes, planner)
    except PlanningLimit as error:
        if undecided == "zero":
            return 0.0
        raise PlanningLimit(f'{error}; goal {g[:200]}; choose `undecided: "zero"` or more `nodes`') from error
    return 0.0 if extra is None else math.exp(-beta * extra)


def _why_unlikely(domain: Any, problem: Any, g: str, observed: list[str], *_: Any, prefix: bool = False) -> str | None:
    return _goal_mistake(domain, problem, g, None, complete=True) or "no plan was found that leads to the goal"


@potential(prefix="none", cost="1ms")
def equivalent(p: str, q: str, domain: Any, problem: Any = None, separately: bool = False) -> bool:
    """Whether two problems, or two goals, are the same up to the names of objects and the order of facts.

    Goals count with all that follows from them: where every block has its place in blocksworld, `(clear a)` and
    `(on-table b)` may be left out. Goals that no state can fulfil are all the same. Constants keep their names.

    Args:
        p, q: both `(define (problem ...) ...)`, or both what stands in `(:goal ...)`.
        problem: for goals: the problem they belong to. Without it their literals are compared, and no more.
        separately: whether the initial state and the goal may be renamed differently, as where a description does
            not say which object is which.

    Raises:
        ValueError: `q` is no problem or goal of the domain, or a goal is no conjunction of literals.
    """
    from smcdsl.potentials._pddl_equivalence import isomorphic
    from smcdsl.potentials._pddl_reader import PddlMistake

    try:
        wanted = _structure(q, domain, problem)
    except PddlMistake as error:
        raise ValueError(f"what to compare with is wrong: {error}") from error
    try:
        found = _structure(p, domain, problem)
    except PddlMistake:
        return False
    if separately:
        return all(isomorphic(found.without(part), wanted.without(part)) for part in ("init", "goal"))
    return isomorphic(found, wanted)


def plan_key(plan: str) -> str | None:
    """The plan's steps in one spelling: case, spaces and comments do not count. None for what is no plan."""
    from smcdsl.potentials._pddl_reader import PddlMistake
    from smcdsl.potentials._pddl_steps import read_steps

    try:
        return " ".join(map(str, read_steps(plan, complete=True)))
    except PddlMistake:
        return None


def goal_key(g: str, domain: Any, problem: Any) -> str | None:
    """The goal's conjuncts, each once and sorted: their order and nesting, case, spaces and comments do not count.

    None for what is no goal of the domain. What follows from conjuncts is not added; see `equivalent`.
    """
    from smcdsl.potentials._pddl_formula import conjuncts, read_formula
    from smcdsl.potentials._pddl_reader import MOST_CHARACTERS, PddlMistake, read_one
    from smcdsl.potentials._pddl_steps import spell

    world = _world(domain, problem)
    try:
        goal = read_formula(world.task.domain, world.problem.objects, read_one(g, "a goal", MOST_CHARACTERS))
    except PddlMistake:
        return None
    return " ".join(sorted({spell(part, {}) for part in conjuncts(goal)}))


class _World:
    """A problem of a domain and what was worked out for it."""

    def __init__(self, domain: Domain, problem: Problem) -> None:
        from smcdsl.potentials._pddl_search import Planner
        from smcdsl.potentials._pddl_steps import Task

        self.problem = problem
        self.task: Task = Task(domain, problem)
        self.planner: Planner = Planner(self.task)

    @cached_property
    def closure(self) -> Closure:
        """What follows from literals, with what can be reached where that can be worked out."""
        from smcdsl.potentials._pddl_ground import PlanningLimit
        from smcdsl.potentials._pddl_invariants import Closure

        try:
            reachable = self.planner.grounding.atoms
        except PlanningLimit:
            reachable = None
        return Closure(self.task, reachable)


def _goal_mistake(domain: Any, problem: Any, g: str, plan: Any, *, complete: bool) -> str | None:
    """Why a goal, or all that begin so, cannot be meant."""
    from smcdsl.potentials._pddl_formula import closed_conjuncts, holds
    from smcdsl.potentials._pddl_invariants import literals_of
    from smcdsl.potentials._pddl_reader import PddlMistake, read_prefix
    from smcdsl.potentials._pddl_steps import spell

    world = _world(domain, problem)
    final = None if plan is None else _final_state(world, plan)
    try:
        reading = read_prefix(g)
        closed = closed_conjuncts(world.task.domain, world.problem.objects, reading)
    except PddlMistake as error:
        return str(error)
    if complete and (reading.open or not reading.top):
        return "the goal is not complete"
    if final is not None:
        wrong = (part for part in closed if not holds(part, final, world.task.objects_of, {}))
        return next((f"`{spell(part, {})}` does not hold after the plan" for part in wrong), None)
    return world.closure.after(tuple(literals_of(closed))).wrong


def _plan_mistake(domain: Any, problem: Any, plan: str, *, complete: bool) -> str | None:
    """Why a plan, or all that begin so, does not work."""
    from smcdsl.potentials._pddl_formula import conjuncts, holds
    from smcdsl.potentials._pddl_reader import PddlMistake
    from smcdsl.potentials._pddl_steps import read_steps, spell

    world = _world(domain, problem)
    try:
        steps = read_steps(plan, complete=complete)
    except PddlMistake as error:
        return str(error)
    state, wrong = world.task.run(steps)
    if wrong is not None or not complete:
        return wrong
    for part in conjuncts(_own_goal(world, problem)):
        if not holds(part, state, world.task.objects_of, {}):
            return f"`{spell(part, {})}` does not hold after the last action"
    return None


def _detour(domain: Any, problem: Any, g: str, observed: list[str], nodes: int, planner: str) -> int | None:
    """By how many actions the observed ones miss a shortest plan; None if no plan is there."""
    from smcdsl.potentials._pddl_formula import read_formula
    from smcdsl.potentials._pddl_planners import fast_downward_cost
    from smcdsl.potentials._pddl_reader import PddlMistake, read_one

    world = _world(domain, problem)
    seen, state = _run(world, observed, "the observed actions")
    try:
        goal = read_formula(world.task.domain, world.problem.objects, read_one(g, "a goal"))
    except PddlMistake:
        return None

    def cost(start: State) -> int | None:
        if planner == "own":
            return world.planner.cost(start, goal, nodes)
        return fast_downward_cost(_named(domain, "domain")[1], world.task, start, goal)

    after = cost(state)
    if after is None:
        return None
    before = cost(world.problem.init)
    assert before is not None, "the observed actions lead on from the initial state"
    return seen + after - before


def _final_state(world: _World, plan: Any) -> State:
    key = tuple(plan) if isinstance(plan, list) else str(getattr(plan, "text", plan))
    return _run_cached(world, key)[1]


@lru_cache(maxsize=64)
def _run_cached(world: _World, plan: Any) -> tuple[int, State]:
    return _run(world, plan, "the plan")


def _run(world: _World, plan: Any, what: str) -> tuple[int, State]:
    """How many steps a plan has and where it leads. Raises ValueError, which names the step that is impossible."""
    from smcdsl.potentials._pddl_reader import PddlMistake
    from smcdsl.potentials._pddl_steps import as_steps

    try:
        steps = as_steps(plan)
    except PddlMistake as error:
        raise ValueError(f"{what} cannot be read: {error}") from error
    state, wrong = world.task.run(steps)
    if wrong is not None:
        raise ValueError(f"{what} cannot be carried out: {wrong}")
    return len(steps), state


def _structure(text: str, domain: Any, problem: Any) -> Structure:
    """What a problem or goal says. Raises PddlMistake and ValueError."""
    from smcdsl.potentials._pddl_equivalence import structure_of, structure_of_goal
    from smcdsl.potentials._pddl_formula import read_formula
    from smcdsl.potentials._pddl_invariants import Closure
    from smcdsl.potentials._pddl_model import read_problem
    from smcdsl.potentials._pddl_reader import MOST_CHARACTERS, read_one
    from smcdsl.potentials._pddl_steps import Task

    form = read_one(text, "a problem or goal", MOST_CHARACTERS)
    declared = _domain(*_named(domain, "domain"))
    if form[:1] == ["define"]:
        task = Task(declared, read_problem(text, declared))
        return structure_of(task, task.goal, Closure(task, None))
    if problem is not None:
        task = _world(domain, problem).task
        goal: Formula = read_formula(declared, task.problem.objects, form)
        return structure_of(task, goal, Closure(task, None))
    return structure_of_goal(declared.constants, _goal_of_any_objects(declared, form))


def _goal_of_any_objects(domain: Domain, form: Any) -> Formula:
    """A goal whose objects are not declared: each is whatever it is used as."""
    from smcdsl.potentials._pddl_formula import read_formula
    from smcdsl.potentials._pddl_reader import Listing

    anything = tuple(domain.above)
    names = {}
    agenda = [form]
    while agenda:
        node = agenda.pop()
        if isinstance(node, Listing):
            agenda += node
        else:
            names[node] = anything
    return read_formula(domain, {**names, **domain.constants}, form)


def _own_goal(world: _World, problem: Any) -> Formula:
    from smcdsl.potentials._pddl_reader import PddlMistake

    try:
        return world.task.goal
    except PddlMistake as error:
        raise _unusable(*_named(problem, "problem"), error) from error


def _named(value: Any, what: str) -> tuple[str, str]:
    """(name to show, text) of a file or a text."""
    text = getattr(value, "text", value)
    if not isinstance(text, str):
        raise UsageError(Diagnostic("E0802", f"a {what} is a file or a text, not {value!r}"))
    return str(getattr(value, "path", what)), text


def _world(domain: Any, problem: Any) -> _World:
    # Without `_named`: this is asked at every boundary.
    return _world_of(getattr(domain, "text", domain), getattr(problem, "text", problem), domain, problem)


_worlds: dict[tuple[Any, Any], _World] = {}
_MOST_WORLDS = 32


def _world_of(domain_text: Any, problem_text: Any, domain: Any, problem: Any) -> _World:
    key = (domain_text, problem_text)
    try:
        return _worlds[key]
    except (KeyError, TypeError):
        pass
    from smcdsl.potentials._pddl_model import read_problem
    from smcdsl.potentials._pddl_reader import PddlMistake

    declared = _domain(*_named(domain, "domain"))
    name, text = _named(problem, "problem")
    try:
        world = _World(declared, read_problem(text, declared))
    except PddlMistake as error:
        raise _unusable(name, text, error) from error
    while len(_worlds) >= _MOST_WORLDS:
        _worlds.pop(next(iter(_worlds)))
    _worlds[key] = world
    return world


@lru_cache(maxsize=16)
def _domain(name: str, text: str) -> Domain:
    """The domain of a text. Raises UsageError, with the place."""
    from smcdsl.potentials._pddl_model import read_domain
    from smcdsl.potentials._pddl_reader import PddlMistake
    from smcdsl.potentials._pddl_steps import read_schema

    try:
        domain = read_domain(text)
        for action in domain.actions.values():
            read_schema(domain, action)
    except PddlMistake as error:
        raise _unusable(name, text, error) from error
    return domain


def _unusable(name: str, text: str, error: PddlMistake) -> UsageError:
    labels: tuple[Label, ...] = ()
    if 0 <= error.start < len(text):
        labels = (Label(Span(Source(name, text), error.start, error.start + 1), "here", primary=True),)
    return UsageError(Diagnostic("E0802", f"`{name}` cannot be used: {error}", labels))
