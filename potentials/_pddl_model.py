"""Domains and problems: types, predicates, actions, objects, and what is wrong with them.

Read are the STRIPS part of PDDL 1.2 with types (`either` included), constants, equality, negative and disjunctive
conditions, quantifiers and conditional effects: all that `:adl` stands for. Other requirements (numbers, time,
derived predicates, preferences, costs) are refused by name.

An atom is a tuple of its predicate and its terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from smcdsl.potentials._pddl_reader import (
    MOST_CHARACTERS,
    NAME,
    Listing,
    Node,
    PddlMistake,
    read_one,
    show,
    words_of,
)

Atom = tuple[str, ...]
Types = tuple[str, ...]
"""Alternatives: `(either a b)`, or one."""

OBJECT = "object"
ADL = frozenset(
    (":negative-preconditions :disjunctive-preconditions :equality :existential-preconditions "
     ":universal-preconditions :conditional-effects :typing").split()
)  # fmt: skip
_IMPLIED = {
    ":adl": ADL,
    ":quantified-preconditions": frozenset({":existential-preconditions", ":universal-preconditions"}),
}
REQUIREMENTS = ADL | _IMPLIED.keys() | {":strips"}
FORMULA_WORDS = frozenset({"and", "or", "not", "imply", "forall", "exists", "=", "when"})


@dataclass(frozen=True)
class Action:
    """A schema: `condition` and `effect` are read again for each use (`_pddl_formula`)."""

    name: str
    parameters: tuple[tuple[str, Types], ...]
    condition: Listing | None = field(compare=False)
    effect: Listing | None = field(compare=False)


@dataclass
class Domain:
    """A domain; `parents` maps each type to those declared right above it."""

    name: str
    requirements: frozenset[str]
    parents: dict[str, frozenset[str]]
    constants: dict[str, Types]
    predicates: dict[str, tuple[Types, ...]]
    actions: dict[str, Action] = field(default_factory=dict)
    above: dict[str, frozenset[str]] = field(default_factory=dict)
    """Each type -> itself and all types it is a part of."""
    spellings: dict[str, str] = field(default_factory=dict)
    """Names in lower case -> as the domain first writes them."""

    def __post_init__(self) -> None:
        """Close the order of types."""
        for name in self.parents:
            self.above[name] = frozenset(self._ancestors(name)) | {OBJECT}

    def _ancestors(self, name: str) -> Iterator[str]:
        seen, agenda = {name}, [name]
        while agenda:
            current = agenda.pop()
            yield current
            new = self.parents.get(current, frozenset()) - seen
            seen |= new
            agenda += new

    def fits(self, types: Types, wanted: Types) -> bool:
        """Whether an object of `types` may stand where `wanted` is asked for."""
        return any(not self.above[name].isdisjoint(wanted) for name in types)


@dataclass
class Problem:
    """A problem of a domain; `objects` include the domain's constants.

    Without a goal it is what a goal is still to be found for.
    """

    name: str
    objects: dict[str, Types]
    init: frozenset[Atom]
    goal: Listing | None
    spellings: dict[str, str] = field(default_factory=dict)

    def of_types(self, domain: Domain, wanted: Types) -> list[str]:
        """The objects that fit, in order of declaration."""
        return [name for name, types in self.objects.items() if domain.fits(types, wanted)]


def read_domain(text: str) -> Domain:
    """The domain that a text declares. Raises PddlMistake, with the place."""
    form = read_one(text, "a domain", MOST_CHARACTERS)
    name, sections = _sections(form, "domain")
    known = (":requirements", ":types", ":constants", ":predicates", ":action")
    for section in sections:
        if section[0] not in known:
            raise PddlMistake(f"`{section[0]}` in a domain is not supported", section.start)
    requirements = _requirements(_only(sections, ":requirements"))
    parents = _types(_only(sections, ":types"))
    domain = Domain(name, requirements, parents, {}, {})
    domain.constants = _typed_objects(domain, _only(sections, ":constants"))
    for declaration in (_only(sections, ":predicates") or [])[1:]:
        predicate, types = _predicate(domain, declaration)
        if predicate in domain.predicates:
            raise PddlMistake(f"the predicate `{predicate}` is declared twice", _start(declaration))
        domain.predicates[predicate] = types
    for section in sections:
        if section[0] == ":action":
            action = _action(domain, section)
            if action.name in domain.actions:
                raise PddlMistake(f"the action `{action.name}` is declared twice", section.start)
            domain.actions[action.name] = action
    domain.spellings = _spellings(text)
    return domain


def read_problem(text: str, domain: Domain) -> Problem:
    """The problem of `domain` that a text declares. Raises PddlMistake, with the place."""
    form = read_one(text, "a problem", MOST_CHARACTERS)
    name, sections = _sections(form, "problem")
    known = (":domain", ":requirements", ":objects", ":init", ":goal")
    for section in sections:
        if section[0] not in known:
            raise PddlMistake(f"`{section[0]}` in a problem is not supported", section.start)
    of = _only(sections, ":domain")
    if of is None or of[1:] != [domain.name]:
        found = show(of) if of is not None else "nothing"
        raise PddlMistake(f"a problem of the domain `{domain.name}` is needed, not {found}", form.start)
    _requirements(_only(sections, ":requirements"))
    objects = dict(domain.constants)
    for object_name, types in _typed_objects(domain, _only(sections, ":objects")).items():
        if objects.setdefault(object_name, types) != types:
            raise PddlMistake(f"the object `{object_name}` is declared twice with different types", form.start)
    init, goal = _only(sections, ":init"), _only(sections, ":goal")
    facts = frozenset(_facts(domain, objects, (init or [])[1:]))
    formula = goal[1] if goal is not None and len(goal) == 2 else None
    if goal is not None and not isinstance(formula, Listing):
        raise PddlMistake("a goal is one list, `(:goal (...))`", goal.start)
    assert formula is None or isinstance(formula, Listing), "by the line before"
    return Problem(name, objects, facts, formula, _spellings(text))


def check_atom(domain: Domain, types_of: dict[str, Types], node: Listing) -> str | None:
    """What is wrong with an atom whose terms have these types, or None."""
    if not node or not all(isinstance(word, str) for word in node):
        return f"`{show(node)}` is no atom"
    predicate, *terms = node
    assert isinstance(predicate, str), "all are words"
    wanted = domain.predicates.get(predicate)
    if wanted is None:
        return f"there is no predicate `{predicate}`"
    if len(terms) != len(wanted):
        return f"`{predicate}` takes {len(wanted)} objects, not {len(terms)}: `{show(node)}`"
    for term, needed in zip(terms, wanted, strict=True):
        assert isinstance(term, str), "all are words"
        types = types_of.get(term)
        if types is None:
            return f"there is no object `{term}`"
        if not domain.fits(types, needed):
            return f"`{term}` is a {' or '.join(types)}, and `{predicate}` takes a {' or '.join(needed)} there"
    return None


def typed_list(domain: Domain, nodes: Iterable[Node], start: int) -> list[tuple[str, Types]]:
    """`a b - t c` as (name, types); names without a type are objects. Raises PddlMistake."""
    found: list[tuple[str, Types]] = []
    for names, types in _typed_groups(nodes, start):
        for type_name in types:
            if type_name not in domain.above:
                raise PddlMistake(f"there is no type `{type_name}`", start)
        found += [(name, types) for name in names]
    return found


def _typed_groups(nodes: Iterable[Node], start: int) -> Iterator[tuple[list[str], Types]]:
    names: list[str] = []
    waiting = iter(nodes)
    for node in waiting:
        if node == "-":
            types = next(waiting, None)
            if types is None or not names:
                raise PddlMistake("a `-` stands between names and their type", start)
            yield names, _alternatives(types, start)
            names = []
        elif isinstance(node, str) and NAME.fullmatch(node.removeprefix("?")):
            names.append(node)
        else:
            raise PddlMistake(f"`{show(node)}` is no name", start)
    if names:
        yield names, (OBJECT,)


def _alternatives(node: Node, start: int) -> Types:
    if isinstance(node, str) and NAME.fullmatch(node):
        return (node,)
    if isinstance(node, Listing) and len(node) > 1 and node[0] == "either":
        words = tuple(word for word in node[1:] if isinstance(word, str) and NAME.fullmatch(word))
        if len(words) == len(node) - 1:
            return words
    raise PddlMistake(f"`{show(node)}` is no type", start)


def _sections(form: Listing, kind: str) -> tuple[str, list[Listing]]:
    """The name and the sections of `(define (KIND NAME) ...)`."""
    head = form[1] if len(form) > 1 else None
    if form[:1] != ["define"] or not isinstance(head, Listing) or len(head) != 2 or head[0] != kind:
        raise PddlMistake(f"a {kind} begins with `(define ({kind} NAME)`", form.start)
    if not isinstance(head[1], str):
        raise PddlMistake(f"a {kind} has a name", head.start)
    sections = []
    for section in form[2:]:
        if not isinstance(section, Listing) or not section or not isinstance(section[0], str):
            raise PddlMistake(f"`{show(section)}` is no section of a {kind}", form.start)
        sections.append(section)
    return head[1], sections


def _only(sections: list[Listing], name: str) -> Listing | None:
    found = [section for section in sections if section[0] == name]
    if len(found) > 1:
        raise PddlMistake(f"there are two sections `{name}`", found[1].start)
    return found[0] if found else None


def _requirements(section: Listing | None) -> frozenset[str]:
    found: set[str] = set()
    for word in (section or [])[1:]:
        if not isinstance(word, str) or word not in REQUIREMENTS:
            raise PddlMistake(f"the requirement `{show(word)}` is not supported", section.start if section else -1)
        found |= {word, *_IMPLIED.get(word, ())}
    return frozenset(found)


def _types(section: Listing | None) -> dict[str, frozenset[str]]:
    parents: dict[str, frozenset[str]] = {OBJECT: frozenset()}
    if section is None:
        return parents
    for names, above in _typed_groups(section[1:], section.start):
        for name in above:
            parents.setdefault(name, frozenset())
        for name in names:
            parents[name] = parents.get(name, frozenset()) | (set(above) - {OBJECT, name})
    return parents


def _typed_objects(domain: Domain, section: Listing | None) -> dict[str, Types]:
    objects: dict[str, Types] = {}
    if section is not None:
        for name, types in typed_list(domain, section[1:], section.start):
            if objects.setdefault(name, types) != types:
                raise PddlMistake(f"`{name}` is declared twice with different types", section.start)
    return objects


def _predicate(domain: Domain, node: Node) -> tuple[str, tuple[Types, ...]]:
    if not isinstance(node, Listing) or not node or not isinstance(node[0], str) or not NAME.fullmatch(node[0]):
        raise PddlMistake(f"`{show(node)}` declares no predicate", _start(node))
    if node[0] in FORMULA_WORDS:
        raise PddlMistake(f"no predicate can be called `{node[0]}`", _start(node))
    return node[0], tuple(types for _, types in typed_list(domain, node[1:], node.start))


def _action(domain: Domain, section: Listing) -> Action:
    if len(section) < 2 or not isinstance(section[1], str) or len(section) % 2:
        raise PddlMistake("an action is `(:action NAME :parameters (...) :precondition ... :effect ...)`", section.start)
    parts: dict[str, Listing] = {}
    for key, value in zip(section[2::2], section[3::2], strict=True):
        if key not in (":parameters", ":precondition", ":effect") or key in parts or not isinstance(value, Listing):
            raise PddlMistake(f"`{show(key)} {show(value)}` is no part of an action", section.start)
        assert isinstance(key, str), "one of three words"
        parts[key] = value
    listed = parts.get(":parameters")
    parameters = tuple(typed_list(domain, listed, section.start)) if listed is not None else ()
    if len({name for name, _ in parameters}) < len(parameters) or any(name[0] != "?" for name, _ in parameters):
        raise PddlMistake(f"the parameters of `{section[1]}` are different names that begin with `?`", section.start)
    return Action(section[1], parameters, parts.get(":precondition") or None, parts.get(":effect") or None)


def _facts(domain: Domain, objects: dict[str, Types], nodes: Iterable[Node]) -> Iterator[Atom]:
    for node in nodes:
        if not isinstance(node, Listing):
            raise PddlMistake(f"`{node}` is no fact")
        is_negated = len(node) == 2 and node[0] == "not" and isinstance(node[1], Listing)
        inner = node[1] if is_negated else node
        assert isinstance(inner, Listing), "by the two lines above"
        wrong = check_atom(domain, objects, inner)
        if wrong is not None:
            raise PddlMistake(wrong, inner.start)
        if not is_negated:  # `(not FACT)` says what holds anyway
            yield tuple(str(word) for word in inner)


def _start(node: Node) -> int:
    return node.start if isinstance(node, Listing) else -1


def _spellings(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words_of(text):
        found.setdefault(word.lower(), word)
    return found
