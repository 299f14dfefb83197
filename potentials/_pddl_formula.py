"""Conditions and goals: read, checked against a domain, and asked of a state.

A formula is a tuple whose first part says what it is:

    ("atom", (predicate, term, ...))    ("=", term, term)    ("not", formula)
    ("and", (formula, ...))             ("or", (formula, ...))
    ("forall", ((variable, types), ...), formula)            ("exists", ...)

`imply` is read as what it stands for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from itertools import product
from typing import Any

from smcdsl.potentials._pddl_model import FORMULA_WORDS, Atom, Domain, Types, check_atom, typed_list
from smcdsl.potentials._pddl_reader import Listing, Node, PddlMistake, Reading, show

Formula = tuple[Any, ...]
Literal = tuple[Atom, bool]
ObjectsOf = Callable[[Types], list[str]]

_ARGUMENTS = {"not": 1, "imply": 2, "=": 2, "forall": 2, "exists": 2}
TRUE: Formula = ("and", ())


def read_formula(domain: Domain, types_of: Mapping[str, Types], node: Node) -> Formula:
    """The formula that a node writes; `types_of` are the objects and variables it may speak of.

    Raises:
        PddlMistake: it is none.
    """
    if not isinstance(node, Listing) or not node:
        raise PddlMistake(f"`{show(node)}` is no condition", getattr(node, "start", -1))
    head, parts = node[0], node[1:]
    if not isinstance(head, str) or head not in FORMULA_WORDS:
        wrong = check_atom(domain, dict(types_of), node)
        if wrong is not None:
            raise PddlMistake(wrong, node.start)
        return ("atom", tuple(node))
    if head == "when" or len(parts) != _ARGUMENTS.get(head, len(parts)):
        raise PddlMistake(f"`{show(node)}` is no condition", node.start)
    if head == "=":
        return _equality(types_of, node)
    if head in ("forall", "exists"):
        variables, inner = read_variables(domain, types_of, parts[0])
        return (head, variables, read_formula(domain, inner, parts[1]))
    read = tuple(read_formula(domain, types_of, part) for part in parts)
    if head == "not":
        return ("not", read[0])
    if head == "imply":
        return ("or", (("not", read[0]), read[1]))
    return (head, read)


def read_variables(
    domain: Domain, types_of: Mapping[str, Types], node: Node
) -> tuple[tuple[tuple[str, Types], ...], dict[str, Types]]:
    """The variables of a quantifier, and all terms inside it. Raises PddlMistake."""
    if not isinstance(node, Listing):
        raise PddlMistake(f"a quantifier has a list of variables, not `{node}`")
    variables = tuple(typed_list(domain, node, node.start))
    if any(not name.startswith("?") for name, _ in variables):
        raise PddlMistake(f"variables begin with `?`: `{show(node)}`", node.start)
    return variables, {**types_of, **dict(variables)}


def _equality(types_of: Mapping[str, Types], node: Listing) -> Formula:
    for term in node[1:]:
        if not isinstance(term, str) or term not in types_of:
            raise PddlMistake(f"there is no object `{show(term)}`", node.start)
    return ("=", node[1], node[2])


def holds(formula: Formula, state: Set[Atom], objects_of: ObjectsOf, binding: Mapping[str, str]) -> bool:
    """Whether a formula is true in a state, with its free variables bound."""
    match formula:
        case ("atom", atom):
            return substituted(atom, binding) in state if binding else atom in state
        case ("not", inner):
            return not holds(inner, state, objects_of, binding)
        case ("and", parts):
            return all(holds(part, state, objects_of, binding) for part in parts)
        case ("or", parts):
            return any(holds(part, state, objects_of, binding) for part in parts)
        case ("=", left, right):
            return binding.get(left, left) == binding.get(right, right)
        case (quantifier, variables, inner):
            answers = (holds(inner, state, objects_of, each) for each in bindings(variables, objects_of, binding))
            return all(answers) if quantifier == "forall" else any(answers)
    raise AssertionError(f"no formula: {formula}")


def bindings(
    variables: tuple[tuple[str, Types], ...], objects_of: ObjectsOf, binding: Mapping[str, str]
) -> Iterator[dict[str, str]]:
    """The binding with the variables added, in all ways."""
    names = [name for name, _ in variables]
    for values in product(*(objects_of(types) for _, types in variables)):
        yield {**binding, **dict(zip(names, values, strict=True))}


def substituted(atom: Atom, binding: Mapping[str, str]) -> Atom:
    """The atom with its variables replaced."""
    return tuple([binding.get(term, term) for term in atom])


def conjuncts(formula: Formula) -> Iterator[Formula]:
    """The parts of a conjunction, those of its conjunctions included; else the formula."""
    if formula[0] == "and":
        for part in formula[1]:
            yield from conjuncts(part)
    else:
        yield formula


def literal_of(formula: Formula) -> Literal | None:
    """(atom, whether it is asserted), or None for what is no literal."""
    is_positive = True
    while formula[0] == "not":
        formula, is_positive = formula[1], not is_positive
    return (formula[1], is_positive) if formula[0] == "atom" else None


def closed_conjuncts(domain: Domain, types_of: Mapping[str, Types], reading: Reading) -> list[Formula]:
    """The conjuncts of a goal that are written to their end, of a text that may be unfinished.

    What stands closed inside another unfinished list is checked and not returned: whether it must be true is open.

    Raises:
        PddlMistake: no continuation is a goal of the domain.
    """
    if not reading.top:
        return []
    if len(reading.top) > 1 or not isinstance(reading.top[0], Listing):
        raise PddlMistake("a goal is one list in parentheses", getattr(reading.top[-1], "start", -1))
    if not reading.open:
        return list(conjuncts(read_formula(domain, types_of, reading.top[0])))
    found: list[Formula] = []
    asserted = True
    for depth, node in enumerate(reading.open):
        is_innermost = depth == len(reading.open) - 1
        head = node[0] if node else ""
        if not node or (is_innermost and len(node) == 1 and reading.last_word_open):
            continue  # its first word is still being written
        if not isinstance(head, str):
            raise PddlMistake("a list begins with a word", node.start)
        if head not in FORMULA_WORDS or head in ("=", "when"):
            _check_open_atom(domain, node)
            continue
        types_of, parts = _closed_parts(domain, types_of, node, is_innermost)
        read = [read_formula(domain, types_of, part) for part in parts]
        asserted = asserted and head == "and"
        if asserted:
            found += [conjunct for formula in read for conjunct in conjuncts(formula)]
    return found


def _check_open_atom(domain: Domain, node: Listing) -> None:
    """An atom that is not closed can be mended as long as its predicate's name is right and no list is in it."""
    head = node[0]
    if any(isinstance(part, Listing) for part in node):
        raise PddlMistake(f"`{head}` takes objects, not lists", node.start)
    if head == "when":
        raise PddlMistake("`when` is no condition", node.start)


def _closed_parts(
    domain: Domain, types_of: Mapping[str, Types], node: Listing, is_innermost: bool
) -> tuple[Mapping[str, Types], list[Node]]:
    """The terms inside an unfinished list of formulas, and those of its parts that are formulas to their end."""
    parts = node[1:] if is_innermost else node[1:-1]
    if len(node) - 1 > _ARGUMENTS.get(str(node[0]), len(node)):
        raise PddlMistake(f"`{node[0]}` has too many parts", node.start)
    if node[0] in ("forall", "exists"):
        if not parts:
            return types_of, []
        _, types_of = read_variables(domain, types_of, parts[0])
        parts = parts[1:]
    return types_of, list(parts)
