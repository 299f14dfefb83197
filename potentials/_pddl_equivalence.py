"""Are two problems the same but for the names of their objects?

A problem is seen as a structure: objects with their types (constants of the domain with their names), the facts of
the initial state, and the goal with all that follows from it. Colours are refined first, jointly for both structures
(Weisfeiler and Leman 1968); what they leave open is decided by graph isomorphism (VF2, rustworkx) on the graph of
objects and facts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from smcdsl.potentials._pddl_formula import Formula, conjuncts, literal_of
from smcdsl.potentials._pddl_invariants import Closure
from smcdsl.potentials._pddl_model import Atom
from smcdsl.potentials._pddl_steps import Task

Fact = tuple[str, tuple[str, ...]]
"""A label and the objects it is about."""


@dataclass(frozen=True)
class Structure:
    """Objects with labels, and facts about them."""

    objects: dict[str, str]
    facts: frozenset[Fact]

    def without(self, part: str) -> Structure:
        """The structure without the facts of one part, `init` or `goal`."""
        return Structure(self.objects, frozenset(fact for fact in self.facts if not fact[0].startswith(part)))


class NotComparable(ValueError):
    """A goal is no conjunction of literals."""


def structure_of(task: Task, goal: Formula, closure: Closure) -> Structure:
    """A problem with this goal in place of its own.

    Raises:
        NotComparable: the goal is no conjunction of literals.
    """
    constants = task.domain.constants
    objects = {
        name: name if name in constants else f"? {' '.join(sorted(types))}"
        for name, types in task.problem.objects.items()
    }
    init = {(f"init {atom[0]}", atom[1:]) for atom in task.problem.init}
    return Structure(objects, frozenset(init | set(_goal_facts(task, goal, closure))))


def structure_of_goal(domain_constants: Iterable[str], goal: Formula) -> Structure:
    """A goal alone: nothing follows from it without an initial state. Raises NotComparable."""
    literals = [_literal(part) for part in conjuncts(goal)]
    facts = frozenset((_label(positive, atom), atom[1:]) for atom, positive in literals)
    constants = set(domain_constants)
    objects = {term: term if term in constants else "?" for _, terms in facts for term in terms}
    return Structure(objects, facts)


def _goal_facts(task: Task, goal: Formula, closure: Closure) -> Iterable[Fact]:
    literals = [_literal(part) for part in conjuncts(goal)]
    asserted = closure.after(tuple((atom, True) for atom, positive in literals if positive))
    known = closure.after(tuple(literals))
    if known.wrong is not None:
        yield "goal impossible", ()
        return
    for atom in known.true:
        if atom[0] in task.fluents:  # the others are in the initial state anyway
            yield _label(True, atom), atom[1:]
    for atom in known.false - asserted.false:
        if atom[0] in task.fluents:
            yield _label(False, atom), atom[1:]


def _literal(formula: Formula) -> tuple[Atom, bool]:
    literal = literal_of(formula)
    if literal is None:
        raise NotComparable("goals are compared that are literals, or an `and` of literals")
    return literal


def _label(positive: bool, atom: Atom) -> str:
    return f"goal {'' if positive else 'not '}{atom[0]}"


def isomorphic(left: Structure, right: Structure) -> bool:
    """Whether some renaming of the objects makes one structure the other."""
    if len(left.facts) != len(right.facts) or sorted(left.objects.values()) != sorted(right.objects.values()):
        return False
    colours = _refined(left, right)
    if colours is None:
        return False
    of_left, of_right = colours
    if len(set(of_left.values())) == len(of_left):
        partner = {colour: name for name, colour in of_right.items()}
        renamed = ((label, tuple(partner[of_left[term]] for term in terms)) for label, terms in left.facts)
        return frozenset(renamed) == right.facts
    return _graphs_match(left, right, of_left, of_right)


def _refined(left: Structure, right: Structure) -> tuple[dict[str, int], dict[str, int]] | None:
    """Colours that every renaming keeps, or None if none can exist."""
    palette: dict[object, int] = {}
    colours = [
        {name: palette.setdefault(label, len(palette)) for name, label in each.objects.items()}
        for each in (left, right)
    ]
    places = [_places(each) for each in (left, right)]
    while True:
        shades: dict[object, int] = {}
        following = [
            {
                name: shades.setdefault((colour, _surroundings(places[side].get(name, ()), of)), len(shades))
                for name, colour in of.items()
            }
            for side, of in enumerate(colours)
        ]
        if Counter(following[0].values()) != Counter(following[1].values()):
            return None
        if len(set(following[0].values())) == len(set(colours[0].values())):
            return following[0], following[1]
        colours = following


def _places(structure: Structure) -> dict[str, list[tuple[str, int, tuple[str, ...]]]]:
    places: dict[str, list[tuple[str, int, tuple[str, ...]]]] = {}
    for label, terms in structure.facts:
        for position, term in enumerate(terms):
            places.setdefault(term, []).append((label, position, terms))
    return places


def _surroundings(places: Iterable[tuple[str, int, tuple[str, ...]]], colours: dict[str, int]) -> tuple[object, ...]:
    return tuple(sorted((label, position, tuple(colours[term] for term in terms)) for label, position, terms in places))


def _graphs_match(left: Structure, right: Structure, of_left: dict[str, int], of_right: dict[str, int]) -> bool:
    from importlib.util import find_spec

    if find_spec("rustworkx") is None:
        raise RuntimeError("`pddl.equivalent` needs rustworkx: pip install smcdsl[pddl]")
    import rustworkx

    graphs = []
    for structure, colours in ((left, of_left), (right, of_right)):
        graph = rustworkx.PyDiGraph()
        nodes = {name: graph.add_node(colour) for name, colour in colours.items()}
        for label, terms in structure.facts:
            fact = graph.add_node((label, tuple(colours[term] for term in terms)))
            graph.add_edges_from([(fact, nodes[term], position) for position, term in enumerate(terms)])
        graphs.append(graph)
    same = rustworkx.is_isomorphic(*graphs, node_matcher=_equal, edge_matcher=_equal)
    return bool(same)


def _equal(first: object, second: object) -> bool:
    return first == second
