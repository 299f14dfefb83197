"""From schemas to shapes: what a goal is, one type at a time.

All keywords of a schema hold together, so its shapes are the intersection of theirs; `anyOf` is a union,
`$ref` what it names. Negations go inward (De Morgan) as far as every keyword has one; where one has none, a
`oneOf` may still be a union if its branches cannot hold together.

`unevaluatedProperties` needs to know what the keywords beside it looked at. Under it, `anyOf` becomes the
union over all sets of branches that hold: a shape of fewer branches looks at less and so admits less, which
keeps the union exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from itertools import combinations
from typing import Any
from urllib.parse import urldefrag

from smcdsl.errors import CompileError, Diagnostic
from smcdsl.notations.json_schema import mistakes, numbers, regexes, texts
from smcdsl.notations.json_schema.documents import Decimal, Document, escaped
from smcdsl.notations.json_schema.formats import FORMATS, HINTS, HOSTNAME_LENGTH, INTEGER_RANGES
from smcdsl.notations.json_schema.numbers import Numbers
from smcdsl.notations.json_schema.shapes import (
    ALL,
    ANY,
    NEVER,
    TYPES,
    Arrays,
    Booleans,
    Goal,
    Null,
    Objects,
    Others,
    Shape,
    Strings,
    both,
    shortened,
)

MOST_SHAPES = 512
ANNOTATIONS = frozenset(
    "$anchor $comment $defs $dynamicAnchor $id $schema $vocabulary contentEncoding contentMediaType contentSchema "
    "default definitions deprecated description discriminator example examples externalDocs readOnly title "
    "writeOnly xml".split()
)
"""Keywords that say where things are or what to show, and limit nothing."""

DIALECTS = {
    "https://json-schema.org/draft/2020-12/schema": (),
    "https://json-schema.org/draft/2019-09/schema": ("$recursiveRef", "additionalItems", "dependencies"),
    "http://json-schema.org/draft-07/schema": ("additionalItems", "dependencies"),
    "http://json-schema.org/draft-06/schema": ("additionalItems", "dependencies"),
}
"""`$schema` -> keywords of the dialect that 2020-12 lacks. What these dialects mean otherwise is refused where met."""

_OLD_ONLY = frozenset({"additionalItems", "dependencies", "$recursiveRef", "$recursiveAnchor"})


class Unsupported(Exception):
    """A keyword that does not become shapes; the diagnostic says which and why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


Shapes = tuple[Shape, ...]


class Expansion:
    """Expands the goals of one document. Goals may name negated schemas and constants."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.constants: dict[str, Any] = {}
        self.goals: dict[Goal, Shapes] = {}
        self.schemas: dict[tuple[str, bool, bool], Shapes] = {}
        self.open: list[tuple[str, bool, bool]] = []
        self.checked: set[str] = set()
        self.old = self._dialect()

    def goal(self, pointer: str, keep: bool = True) -> Goal:
        """The goal of one schema, or of what it refers to; trivial ones as `ANY` and `NEVER`."""
        schema = self._schema(pointer)
        passed: set[str] = set()
        while isinstance(schema, dict) and schema.keys() - ANNOTATIONS == {"$ref"} and pointer not in passed:
            passed.add(pointer)
            pointer = self.target(schema, "$ref", pointer)
            schema = self._schema(pointer)
        if schema is True or schema == {}:
            return ANY if keep else NEVER
        if schema is False:
            return NEVER if keep else ANY
        return frozenset({(pointer, keep)})

    def expand(self, goal: Goal) -> Shapes:
        """The shapes whose union is the goal. Raises Unsupported, CompileError."""
        known = self.goals.get(goal)
        if known is None:
            shapes: Shapes = ALL
            for pointer, keep in sorted(goal):
                shapes = self._product(shapes, self.schema(pointer, keep, False), pointer)
            known = self.goals[goal] = merged(_unseen(shapes))
        return known

    def schema(self, pointer: str, keep: bool, looking: bool) -> Shapes:
        """The shapes of one schema, or of its negation; `looking`: they must tell what is evaluated."""
        key = (pointer, keep, looking)
        if key in self.schemas:
            return self.schemas[key]
        schema = self._schema(pointer)
        if isinstance(schema, bool):
            return ALL if schema == keep else ()
        if key in self.open:
            raise CompileError(mistakes.endless(pointer, self.document.span(pointer)))
        self.open.append(key)
        try:
            found = self._all(schema, pointer, looking) if keep else self._none(schema, pointer)
        finally:
            self.open.pop()
        found = tuple(dict.fromkeys(found))
        self.schemas[key] = found
        return found

    def constant(self, value: Any) -> Goal:
        """The goal of exactly this value."""
        name = f"const {_key(value)}"
        self.constants[name] = {"const": value}
        return frozenset({(name, True)})

    def refuse(self, pointer: str, keyword: str, reason: str, help_: str = "") -> Unsupported:
        """The exception for a keyword at a schema."""
        if not pointer or pointer.startswith("/"):
            span = self.document.span(f"{pointer}/{escaped(keyword)}")
        else:
            span = self.document.span("")
        return Unsupported(mistakes.unsupported(keyword, pointer, span, reason, help_))

    # ---- reading

    def _dialect(self) -> tuple[str, ...]:
        root = self.document.root
        name = root.get("$schema") if isinstance(root, dict) else None
        if name is None:
            return ()
        known = DIALECTS.get(urldefrag(name)[0]) if isinstance(name, str) else None
        if known is None:
            reason = "the dialects that are read are 2020-12, 2019-09, draft-07 and draft-06"
            raise CompileError(mistakes.unsupported("$schema", "", self.document.span("/$schema"), reason))
        return known

    def _schema(self, pointer: str) -> Any:
        if pointer == "false":
            return False
        if pointer in self.constants:
            return self.constants[pointer]
        schema = self.document.at(pointer)
        if pointer not in self.checked:
            self.checked.add(pointer)
            if not isinstance(schema, dict | bool):
                wanted = "an object, true or false"
                raise CompileError(mistakes.bad_value("schema", pointer, self.document.span(pointer), wanted))
            if isinstance(schema, dict):
                self._check_keywords(schema, pointer)
        return schema

    def _check_keywords(self, schema: Mapping[str, Any], pointer: str) -> None:
        known = ANNOTATIONS | _KEYWORDS.keys() | _PARTNERS.keys()
        for keyword in schema:
            if keyword in known or keyword.startswith("x-"):
                continue
            span = self.document.span(f"{pointer}/{escaped(keyword)}")
            if keyword in _OLD_ONLY:
                reason = "JSON Schema 2020-12 replaced it"
                raise CompileError(mistakes.unsupported(keyword, pointer, span, reason))
            near = get_close_matches(keyword, known, 1, 0.75)
            raise CompileError(mistakes.unknown_keyword(keyword, pointer, span, next(iter(near), None)))

    def _bad(self, pointer: str, keyword: str, wanted: str) -> CompileError:
        span = self.document.span(f"{pointer}/{escaped(keyword)}")
        return CompileError(mistakes.bad_value(keyword, pointer, span, wanted))

    def _number(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> Fraction:
        if not isinstance(schema[keyword], Decimal):
            raise self._bad(pointer, keyword, "a number")
        return _value(schema[keyword])

    def count(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> int:
        """A keyword that counts."""
        value = self._number(schema, keyword, pointer)
        if value < 0 or value.denominator != 1:
            raise self._bad(pointer, keyword, "a whole number that is not negative")
        return int(value)

    def names(self, value: Any, keyword: str, pointer: str) -> list[str]:
        """A list of names."""
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self._bad(pointer, keyword, "a list of names")
        return list(dict.fromkeys(value))

    def within(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> list[str]:
        """Pointers of the schemas in a list."""
        if not isinstance(schema[keyword], list) or not schema[keyword]:
            raise self._bad(pointer, keyword, "a list of schemas that is not empty")
        return [f"{pointer}/{keyword}/{index}" for index in range(len(schema[keyword]))]

    def members(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> list[tuple[str, str]]:
        """(name, pointer) of the schemas in an object."""
        if not isinstance(schema[keyword], dict):
            raise self._bad(pointer, keyword, "an object of schemas")
        return [(name, f"{pointer}/{keyword}/{escaped(name)}") for name in schema[keyword]]

    # ---- combining

    def _product(self, left: Iterable[Shape], right: Iterable[Shape], pointer: str) -> Shapes:
        right = tuple(right)
        found: dict[Shape, None] = {}
        for first in left:
            for second in right:
                if type(first) is type(second) and (shape := both(first, second)) is not None:
                    found[shape] = None
            self._bounded(len(found), pointer)
        return tuple(found)

    def _bounded(self, count: int, pointer: str) -> None:
        if count > MOST_SHAPES:
            span = self.document.span(pointer if not pointer or pointer.startswith("/") else "")
            reason = f"its alternatives combine in more than {MOST_SHAPES} ways"
            raise Unsupported(mistakes.unsupported("schema", pointer, span, reason))

    def _all(self, schema: Mapping[str, Any], pointer: str, looking: bool) -> Shapes:
        """All keywords of a schema together."""
        late = [keyword for keyword in ("unevaluatedItems", "unevaluatedProperties") if keyword in schema]
        looking = looking or bool(late)
        shapes: Shapes = ALL
        for keyword in schema:
            if keyword in _KEYWORDS and keyword not in late:
                shapes = self._product(shapes, self.keyword(keyword, schema, pointer, looking), pointer)
        for keyword in late:
            goal = self.goal(f"{pointer}/{keyword}")
            limited = [self._unevaluated(shape, keyword, goal, pointer) for shape in shapes]
            shapes = tuple(shape for shape in limited if shape is not None)
        return shapes

    def _unevaluated(self, shape: Shape, keyword: str, goal: Goal, pointer: str) -> Shape | None:
        if isinstance(shape, Objects) and keyword == "unevaluatedProperties":
            if shape.all_evaluated:
                return shape
            others = Others(shape.evaluated_names, shape.evaluated_patterns, goal)
            return both(replace(shape, all_evaluated=True), Objects(others=(others,), all_evaluated=True))
        if isinstance(shape, Arrays) and keyword == "unevaluatedItems" and shape.evaluated >= 0:
            if shape.contains:
                raise self.refuse(pointer, keyword, "`contains` beside it decides which items were looked at")
            limit = Arrays((ANY,) * shape.evaluated, goal, evaluated=-1)
            kept = shortened(limit)
            return None if kept is None else both(replace(shape, evaluated=-1), kept)
        return shape

    def _none(self, schema: Mapping[str, Any], pointer: str) -> Shapes:
        """At least one keyword of a schema does not hold."""
        found: dict[Shape, None] = {}
        for keyword in schema:
            if keyword in _KEYWORDS:
                found.update(dict.fromkeys(self.negated(keyword, schema, pointer)))
        return tuple(found)

    def keyword(self, keyword: str, schema: Mapping[str, Any], pointer: str, looking: bool) -> Shapes:
        """The shapes of one keyword."""
        match keyword:
            case "allOf":
                shapes: Shapes = ALL
                for inner in self.within(schema, keyword, pointer):
                    shapes = self._product(shapes, self.schema(inner, True, looking), inner)
                return shapes
            case "anyOf":
                return self.any_of(self.within(schema, keyword, pointer), pointer, looking)
            case "oneOf":
                return self.one_of(self.within(schema, keyword, pointer), pointer, looking)
            case "not":
                return _unseen(self.schema(f"{pointer}/not", False, False))
            case "if":
                return self.conditional(schema, pointer, looking)
            case "$ref" | "$dynamicRef":
                return self.schema(self.target(schema, keyword, pointer), True, looking)
            case "dependentSchemas":
                shapes = ALL
                for name, inner in self.members(schema, keyword, pointer):
                    present = self._product((Objects(required=(name,)),), self.schema(inner, True, looking), inner)
                    absent = Objects(properties=((name, NEVER),))
                    shapes = self._product(shapes, (*_but_objects(), absent, *present), pointer)
                return shapes
        return _KEYWORDS[keyword][0](self, schema, pointer)

    def negated(self, keyword: str, schema: Mapping[str, Any], pointer: str) -> Shapes:
        """The shapes of values for which one keyword does not hold."""
        match keyword:
            case "allOf":
                inner = self.within(schema, keyword, pointer)
                return tuple(shape for each in inner for shape in self.schema(each, False, False))
            case "anyOf":
                return self._none_of(self.within(schema, keyword, pointer))
            case "oneOf":
                branches = self.within(schema, keyword, pointer)
                found = dict.fromkeys(self._none_of(branches))
                for first, second in combinations(branches, 2):
                    pair = self._product(self.schema(first, True, False), self.schema(second, True, False), pointer)
                    found.update(dict.fromkeys(pair))
                return tuple(found)
            case "not":
                return self.schema(f"{pointer}/not", True, False)
            case "if":
                found = {}
                for partner, keep in (("then", True), ("else", False)):
                    if partner in schema:
                        condition = self.schema(f"{pointer}/if", keep, False)
                        wrong = self.schema(f"{pointer}/{partner}", False, False)
                        found.update(dict.fromkeys(self._product(condition, wrong, pointer)))
                return tuple(found)
            case "$ref" | "$dynamicRef":
                return self.schema(self.target(schema, keyword, pointer), False, False)
            case "dependentSchemas":
                found = {}
                for name, each in self.members(schema, keyword, pointer):
                    wrong = self.schema(each, False, False)
                    found.update(dict.fromkeys(self._product((Objects(required=(name,)),), wrong, pointer)))
                return tuple(found)
        opposite = _KEYWORDS[keyword][1]
        if opposite is None:
            reason = "here it stands under a negation, for which there is no grammar"
            raise self.refuse(pointer, keyword, reason, "`not`, `oneOf` and `if` negate what is in them")
        return opposite(self, schema, pointer)

    def _none_of(self, branches: list[str]) -> Shapes:
        shapes: Shapes = ALL
        for branch in branches:
            shapes = self._product(shapes, self.schema(branch, False, False), branch)
        return shapes

    def any_of(self, branches: list[str], pointer: str, looking: bool) -> Shapes:
        """The union; if evaluations matter, over all sets of branches."""
        found: dict[Shape, None] = {}
        alternatives = [self.schema(branch, True, looking) for branch in branches]
        for shapes in alternatives:
            found.update(dict.fromkeys(shapes))
        if looking and any(_looks(shape) for shapes in alternatives for shape in shapes):
            together: list[Shapes] = [ALL]
            for shapes in alternatives:
                together += [self._product(each, shapes, pointer) for each in together]
                self._bounded(sum(map(len, together)), pointer)
            for shapes in together[1:]:
                found.update(dict.fromkeys(shapes))
        return tuple(found)

    def one_of(self, branches: list[str], pointer: str, looking: bool) -> Shapes:
        """Exactly one: the union where no two can hold together, else each without the others."""
        shapes = [self.schema(branch, True, looking) for branch in branches]
        found: dict[Shape, None] = {}
        for index, own in enumerate(shapes):
            kept: Shapes = own
            for other, branch in enumerate(branches):
                if other != index and self._product(kept, shapes[other], pointer) and self._meet(kept, shapes[other]):
                    try:
                        without = self.schema(branch, False, False)
                    except Unsupported as error:
                        reason = "its branches are not seen to exclude each other"
                        help_ = f"use `anyOf`, or give each a `const` of its own ({error.diagnostic.message})"
                        raise self.refuse(pointer, "oneOf", reason, help_) from error
                    kept = self._product(kept, _unseen(without), pointer)
            found.update(dict.fromkeys(kept))
        return tuple(found)

    def _meet(self, left: Shapes, right: Shapes) -> bool:
        return any(self.may_meet(first, second, 4) for first in left for second in right)

    def may_meet(self, left: Shape, right: Shape, depth: int) -> bool:
        """Whether two shapes may have a value in common; False only if surely not."""
        shape = both(left, right) if type(left) is type(right) else None
        if shape is None:
            return False
        if isinstance(shape, Strings):
            return texts.simplified(shape) is not None
        if depth == 0:
            return True
        needed: list[Goal] = []
        if isinstance(shape, Objects):
            needed = [self.member(shape, name) for name in shape.required]
        elif isinstance(shape, Arrays):
            needed = [shape.item(i) for i in range(min(shape.least, len(shape.prefix) + 1))]
        return all(self.may_hold(goal, depth - 1) for goal in needed)

    def may_hold(self, goal: Goal, depth: int) -> bool:
        """Whether a goal may have a value; False only if surely not."""
        try:
            return any(self.may_meet(shape, shape, depth) for shape in self.expand(goal))
        except Unsupported:
            return True

    def member(self, shape: Objects, name: str) -> Goal:
        """What the value of the member `name` must satisfy."""
        goal = dict(shape.properties).get(name, ANY)
        for pattern, inner in shape.patterns:
            if matches(pattern, name):
                goal |= inner
        for others in shape.others:
            if name not in others.names and not any(matches(pattern, name) for pattern in others.patterns):
                goal |= others.goal
        return NEVER if goal >= NEVER else goal

    def conditional(self, schema: Mapping[str, Any], pointer: str, looking: bool) -> Shapes:
        """`if` with `then` and `else`."""
        if "then" not in schema and "else" not in schema and not looking:
            return ALL
        holds = self.schema(f"{pointer}/if", True, looking)
        if "then" in schema:
            holds = self._product(holds, self.schema(f"{pointer}/then", True, looking), pointer)
        fails = _unseen(self.schema(f"{pointer}/if", False, False))
        if "else" in schema:
            fails = self._product(fails, self.schema(f"{pointer}/else", True, looking), pointer)
        return (*holds, *fails)

    def target(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> str:
        """The pointer that a reference leads to."""
        reference = schema[keyword]
        if not isinstance(reference, str):
            raise self._bad(pointer, keyword, "a text")
        if self.old and len(schema.keys() - ANNOTATIONS) > 1 and "2019" not in str(self.document.root.get("$schema")):
            raise self.refuse(pointer, keyword, "in this dialect it hides the keywords beside it", "remove them")
        found = self.document.resolve(reference, pointer)
        if found is None:
            raise CompileError(mistakes.unresolved(reference, pointer, self.document.span(f"{pointer}/{keyword}")))
        if keyword == "$dynamicRef":
            target, name = self.document.at(found), urldefrag(reference)[1]
            is_dynamic = isinstance(target, dict) and target.get("$dynamicAnchor") == name
            if is_dynamic and len(self.document.dynamic[name]) > 1:
                raise self.refuse(pointer, keyword, f"`{name}` is the `$dynamicAnchor` of several schemas")
        return found


def matches(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern of `patternProperties`."""
    return texts.contains(Strings(patterns=frozenset({("pattern", pattern, True)})), name)


def merged(shapes: Shapes) -> Shapes:
    """Shapes that say more than another of their type are left out where that is plain to see."""
    found = tuple(dict.fromkeys(shapes))
    for bare in ALL:
        if bare in found:
            found = (*(shape for shape in found if type(shape) is not type(bare)), bare)
    return found


def _looks(shape: Shape) -> bool:
    if isinstance(shape, Objects):
        return bool(shape.evaluated_names or shape.evaluated_patterns or shape.all_evaluated)
    return isinstance(shape, Arrays) and shape.evaluated != 0


def _unseen(shapes: Shapes) -> Shapes:
    """Without what was evaluated: failed schemas annotate nothing."""
    return tuple(
        replace(shape, evaluated_names=frozenset(), evaluated_patterns=frozenset(), all_evaluated=False)
        if isinstance(shape, Objects)
        else replace(shape, evaluated=0)
        if isinstance(shape, Arrays)
        else shape
        for shape in shapes
    )


def _value(decimal: Decimal) -> Fraction:
    exponent = decimal.text.lower().partition("e")[2]
    if exponent and abs(int(exponent)) > numbers.MOST_DIGITS:
        return Fraction(0) if decimal.text.startswith("0e") else Fraction(10) ** (numbers.MOST_DIGITS + 1)
    return Fraction(decimal.text)


def _key(value: Any) -> str:
    """Equal for equal JSON values."""
    if isinstance(value, Decimal):
        return f"number {_value(value)}"
    if isinstance(value, list):
        return "[" + ",".join(map(_key, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{texts.spelled(name)}:{_key(value[name])}" for name in sorted(value)) + "}"
    return repr(value)


def _but(kind: type) -> Shapes:
    return tuple(shape for shape in ALL if not isinstance(shape, kind))


def _but_objects() -> Shapes:
    return _but(Objects)


# ---- keywords: what each means for its type, and what its negation means

Reader = Callable[[Expansion, Mapping[str, Any], str], Shapes]
INTEGERS = Numbers(multiples=frozenset({(numbers.ONE, True)}))
FRACTIONS = Numbers(multiples=frozenset({(numbers.ONE, False)}))


def _types(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> list[str]:
    value = schema["type"]
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name in (*TYPES, "integer") for name in names):
        raise expansion._bad(pointer, "type", f"one of {', '.join((*TYPES, 'integer'))}, or a list of these")
    return names


def _type(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    found: Shapes = ()
    for name in _types(expansion, schema, pointer):
        found += (INTEGERS,) if name == "integer" else tuple(s for s in ALL if isinstance(s, TYPES[name]))
    return merged(found)


def _not_type(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    names = _types(expansion, schema, pointer)
    kept = [shape for shape in ALL if not any(name != "integer" and isinstance(shape, TYPES[name]) for name in names)]
    if "integer" in names:
        kept = [FRACTIONS if isinstance(shape, Numbers) else shape for shape in kept]
    return tuple(kept)


def _of_values(expansion: Expansion, values: list[Any]) -> Shapes:
    found: list[Shape] = []
    if any(value is None for value in values):
        found.append(Null())
    if flags := frozenset(value for value in values if isinstance(value, bool)):
        found.append(Booleans(flags))
    if amounts := frozenset(_value(value) for value in values if isinstance(value, Decimal)):
        found.append(Numbers(only=amounts))
    if strings := frozenset(value for value in values if isinstance(value, str)):
        found.append(Strings(only=strings))
    for value in values:
        if isinstance(value, list):
            items = tuple(map(expansion.constant, value))
            found.append(Arrays(items, NEVER, len(items), len(items)))
        elif isinstance(value, dict):
            members = tuple((name, expansion.constant(inner)) for name, inner in value.items())
            others = Others(frozenset(value), frozenset(), NEVER)
            found.append(Objects(members, tuple(value), others=(others,)))
    return tuple(dict.fromkeys(found))


def _of_no_values(expansion: Expansion, values: list[Any], pointer: str, keyword: str) -> Shapes:
    for value in values:
        if isinstance(value, list | dict):
            raise expansion.refuse(pointer, keyword, "a negated array or object has no grammar")
    found: list[Shape] = [] if any(value is None for value in values) else [Null()]
    flags = frozenset({False, True}) - {value for value in values if isinstance(value, bool)}
    if flags:
        found.append(Booleans(flags))
    found.append(Numbers(without=frozenset(_value(value) for value in values if isinstance(value, Decimal))))
    found.append(Strings(without=frozenset(value for value in values if isinstance(value, str))))
    return (*found, Arrays(), Objects())


def _enum(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    if not isinstance(schema["enum"], list):
        raise expansion._bad(pointer, "enum", "a list")
    return _of_values(expansion, schema["enum"])


def _not_enum(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    if not isinstance(schema["enum"], list):
        raise expansion._bad(pointer, "enum", "a list")
    return _of_no_values(expansion, schema["enum"], pointer, "enum")


def _const(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return _of_values(expansion, [schema["const"]])


def _not_const(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return _of_no_values(expansion, [schema["const"]], pointer, "const")


def _bound(keyword: str, is_low: bool, excluded: bool) -> tuple[Reader, Reader]:
    """A limit of numbers and its negation: the other side, and the limit itself the other way."""

    def holds(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
        bound = expansion._number(schema, keyword, pointer), excluded
        return (*_but(Numbers), Numbers(low=bound) if is_low else Numbers(high=bound))

    def fails(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
        bound = expansion._number(schema, keyword, pointer), not excluded
        return (Numbers(high=bound) if is_low else Numbers(low=bound),)

    return holds, fails


def _divisor(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Fraction:
    divisor = expansion._number(schema, "multipleOf", pointer)
    if divisor <= 0:
        raise expansion._bad(pointer, "multipleOf", "a number above 0")
    try:
        if divisor != 1:
            numbers.multiples_of(divisor)
    except numbers.TooFine as error:
        raise expansion.refuse(pointer, "multipleOf", str(error)) from error
    return divisor


def _multiple_of(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (*_but(Numbers), Numbers(multiples=frozenset({(_divisor(expansion, schema, pointer), True)})))


def _not_multiple_of(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (Numbers(multiples=frozenset({(_divisor(expansion, schema, pointer), False)})),)


def _length(expansion: Expansion, schema: Mapping[str, Any], pointer: str, keyword: str) -> int:
    count = expansion.count(schema, keyword, pointer)
    if count > texts.LONGEST:
        reason = f"no automaton counts beyond {texts.LONGEST:,} characters"
        raise expansion.refuse(pointer, keyword, reason, "drop it, or limit the whole hole: `where chars <= ...`")
    return count


def _min_length(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (*_but(Strings), Strings(least=_length(expansion, schema, pointer, "minLength")))


def _below_min_length(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    least = _length(expansion, schema, pointer, "minLength")
    return (Strings(most=least - 1),) if least else ()


def _max_length(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (*_but(Strings), Strings(most=_length(expansion, schema, pointer, "maxLength")))


def _above_max_length(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (Strings(least=_length(expansion, schema, pointer, "maxLength") + 1),)


def _checked_pattern(expansion: Expansion, pattern: Any, pointer: str, keyword: str) -> str:
    if not isinstance(pattern, str):
        raise expansion._bad(pointer, keyword, "a text")
    try:
        regexes.parse(pattern)
    except regexes.PatternError as error:
        raise expansion.refuse(pointer, keyword, str(error)) from error
    return pattern


def _pattern(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    pattern = _checked_pattern(expansion, schema["pattern"], pointer, "pattern")
    return (*_but(Strings), Strings(patterns=frozenset({("pattern", pattern, True)})))


def _not_pattern(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    pattern = _checked_pattern(expansion, schema["pattern"], pointer, "pattern")
    return (Strings(patterns=frozenset({("pattern", pattern, False)})),)


def _format_name(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> str:
    name = schema["format"]
    if isinstance(name, str) and (name in FORMATS or name in HINTS or name in INTEGER_RANGES):
        return name
    known = ", ".join(sorted(FORMATS))
    raise expansion.refuse(pointer, "format", f"the formats that have a grammar are {known}", "use `pattern`")


def _format(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    name = _format_name(expansion, schema, pointer)
    if name in HINTS:
        return ALL
    if name in INTEGER_RANGES:
        low, high = INTEGER_RANGES[name]
        return (*_but(Numbers), Numbers((Fraction(low), False), (Fraction(high), False)))
    most = HOSTNAME_LENGTH if name == "hostname" else None
    return (*_but(Strings), Strings(most=most, patterns=frozenset({("format", name, True)})))


def _not_format(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    name = _format_name(expansion, schema, pointer)
    if name in HINTS:
        return ()
    if name in INTEGER_RANGES:
        low, high = INTEGER_RANGES[name]
        return (Numbers(high=(Fraction(low), True)), Numbers(low=(Fraction(high), True)))
    other: Shapes = (Strings(patterns=frozenset({("format", name, False)})),)
    return (*other, Strings(least=HOSTNAME_LENGTH + 1)) if name == "hostname" else other


# ---- arrays


def _prefix_items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    inner = expansion.within(schema, "prefixItems", pointer)
    found = shortened(Arrays(tuple(map(expansion.goal, inner)), evaluated=len(inner)))
    assert found is not None, "nothing asks for items"
    return (*_but(Arrays), found)


def _not_prefix_items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    inner = expansion.within(schema, "prefixItems", pointer)
    options = [
        Arrays((*(ANY,) * i, expansion.goal(each, False)), least=i + 1)
        for i, each in enumerate(inner)
        if expansion.goal(each, False) != NEVER
    ]
    return tuple(options)


def _items_goal(expansion: Expansion, schema: Mapping[str, Any], pointer: str, keep: bool) -> Goal:
    if isinstance(schema["items"], list):
        raise expansion.refuse(pointer, "items", "a list of schemas is `prefixItems` since 2020-12")
    return expansion.goal(f"{pointer}/items", keep)


def _fixed(schema: Mapping[str, Any]) -> int:
    return len(schema["prefixItems"]) if isinstance(schema.get("prefixItems"), list) else 0


def _items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    goal = _items_goal(expansion, schema, pointer, True)
    found = shortened(Arrays((ANY,) * _fixed(schema), goal, evaluated=-1))
    assert found is not None, "nothing asks for items"
    return (*_but(Arrays), found)


def _not_items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    goal = _items_goal(expansion, schema, pointer, False)
    if goal == NEVER:
        return ()
    if _fixed(schema) and goal != ANY:
        raise expansion.refuse(pointer, "items", "behind `prefixItems` its negation has no grammar")
    if goal == ANY:
        return (Arrays(least=_fixed(schema) + 1),)
    return (Arrays(contains=((goal, 1, None),)),)


def _min_items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (*_but(Arrays), Arrays(least=expansion.count(schema, "minItems", pointer)))


def _below_min_items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    least = expansion.count(schema, "minItems", pointer)
    return (Arrays(most=least - 1),) if least else ()


def _max_items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (*_but(Arrays), Arrays(most=expansion.count(schema, "maxItems", pointer)))


def _above_max_items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (Arrays(least=expansion.count(schema, "maxItems", pointer) + 1),)


def _unique_items(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    if not isinstance(schema["uniqueItems"], bool):
        raise expansion._bad(pointer, "uniqueItems", "true or false")
    return (*_but(Arrays), Arrays(unique=pointer or "/") if schema["uniqueItems"] else Arrays())


def _contains_bounds(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> tuple[int, int | None]:
    least = expansion.count(schema, "minContains", pointer) if "minContains" in schema else 1
    most = expansion.count(schema, "maxContains", pointer) if "maxContains" in schema else None
    return least, most


def _contains(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    goal = expansion.goal(f"{pointer}/contains")
    least, most = _contains_bounds(expansion, schema, pointer)
    return (*_but(Arrays), *_containing(goal, least, most))


def _not_contains(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    goal = expansion.goal(f"{pointer}/contains")
    least, most = _contains_bounds(expansion, schema, pointer)
    found: Shapes = ()
    if least == 1 and goal != ANY:
        found += (Arrays(rest=expansion.goal(f"{pointer}/contains", False)),)
    elif least:
        found += _containing(goal, 0, least - 1)
    return found + _containing(goal, most + 1, None) if most is not None else found


def _containing(goal: Goal, least: int, most: int | None) -> Shapes:
    if most is not None and least > most:
        return ()
    if goal == ANY:
        return (Arrays(least=least, most=most),)
    if goal == NEVER:
        return () if least else (Arrays(),)
    return (Arrays(contains=((goal, least, most),)),) if least or most is not None else (Arrays(),)


# ---- objects


def _properties(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    members = tuple((n, expansion.goal(inner)) for n, inner in expansion.members(schema, "properties", pointer))
    return (*_but(Objects), Objects(members, evaluated_names=frozenset(name for name, _ in members)))


def _not_properties(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    found = []
    for name, inner in expansion.members(schema, "properties", pointer):
        goal = expansion.goal(inner, False)
        if goal != NEVER:
            found.append(Objects(((name, goal),), (name,)))
    return tuple(found)


def _pattern_names(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> frozenset[str]:
    patterns = [name for name, _ in expansion.members(schema, "patternProperties", pointer)]
    return frozenset(_checked_pattern(expansion, pattern, pointer, "patternProperties") for pattern in patterns)


def _pattern_properties(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    names = _pattern_names(expansion, schema, pointer)
    inner = expansion.members(schema, "patternProperties", pointer)
    patterns = tuple((pattern, expansion.goal(each)) for pattern, each in inner)
    return (*_but(Objects), Objects(patterns=patterns, evaluated_patterns=names))


def _additional(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    names = frozenset(schema["properties"]) if isinstance(schema.get("properties"), dict) else frozenset()
    patterns = _pattern_names(expansion, schema, pointer) if "patternProperties" in schema else frozenset()
    goal = expansion.goal(f"{pointer}/additionalProperties")
    others = () if goal == ANY else (Others(names, patterns, goal),)
    return (*_but(Objects), Objects(others=others, all_evaluated=True))


def _not_additional(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    if expansion.goal(f"{pointer}/additionalProperties") == ANY:
        return ()
    raise expansion.refuse(pointer, "additionalProperties", "here it stands under a negation, which has no grammar")


def _property_names(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (*_but(Objects), Objects(names=expansion.goal(f"{pointer}/propertyNames")))


def _required(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    names = expansion.names(schema["required"], "required", pointer)
    return (*_but(Objects), Objects(required=tuple(names)))


def _not_required(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    names = expansion.names(schema["required"], "required", pointer)
    return tuple(Objects(((name, NEVER),)) for name in names)


def _dependents(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> list[tuple[str, list[str]]]:
    value = schema["dependentRequired"]
    if not isinstance(value, dict):
        raise expansion._bad(pointer, "dependentRequired", "an object of lists of names")
    return [(name, expansion.names(needed, "dependentRequired", pointer)) for name, needed in value.items()]


def _dependent_required(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    shapes: Shapes = ALL
    for name, needed in _dependents(expansion, schema, pointer):
        options = (*_but_objects(), Objects(((name, NEVER),)), Objects(required=(name, *needed)))
        shapes = expansion._product(shapes, options, pointer)
    return shapes


def _not_dependent_required(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    dependents = _dependents(expansion, schema, pointer)
    return tuple(
        Objects(((other, NEVER),), (name,)) for name, needed in dependents for other in needed if other != name
    )


def _min_properties(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (*_but(Objects), Objects(least=expansion.count(schema, "minProperties", pointer)))


def _below_min_properties(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    least = expansion.count(schema, "minProperties", pointer)
    return (Objects(most=least - 1),) if least else ()


def _max_properties(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (*_but(Objects), Objects(most=expansion.count(schema, "maxProperties", pointer)))


def _above_max_properties(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return (Objects(least=expansion.count(schema, "maxProperties", pointer) + 1),)


def _elsewhere(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    raise AssertionError("combined by `Expansion.keyword`")


_KEYWORDS: dict[str, tuple[Reader, Reader | None]] = {
    **dict.fromkeys(
        ("allOf", "anyOf", "oneOf", "not", "if", "$ref", "$dynamicRef", "dependentSchemas"), (_elsewhere, _elsewhere)
    ),
    "type": (_type, _not_type),
    "enum": (_enum, _not_enum),
    "const": (_const, _not_const),
    "minimum": _bound("minimum", True, False),
    "maximum": _bound("maximum", False, False),
    "exclusiveMinimum": _bound("exclusiveMinimum", True, True),
    "exclusiveMaximum": _bound("exclusiveMaximum", False, True),
    "multipleOf": (_multiple_of, _not_multiple_of),
    "minLength": (_min_length, _below_min_length),
    "maxLength": (_max_length, _above_max_length),
    "pattern": (_pattern, _not_pattern),
    "format": (_format, _not_format),
    "prefixItems": (_prefix_items, _not_prefix_items),
    "items": (_items, _not_items),
    "minItems": (_min_items, _below_min_items),
    "maxItems": (_max_items, _above_max_items),
    "uniqueItems": (_unique_items, None),
    "contains": (_contains, _not_contains),
    "unevaluatedItems": (_elsewhere, None),
    "properties": (_properties, _not_properties),
    "patternProperties": (_pattern_properties, None),
    "additionalProperties": (_additional, _not_additional),
    "propertyNames": (_property_names, None),
    "required": (_required, _not_required),
    "dependentRequired": (_dependent_required, _not_dependent_required),
    "minProperties": (_min_properties, _below_min_properties),
    "maxProperties": (_max_properties, _above_max_properties),
    "unevaluatedProperties": (_elsewhere, None),
}
_PARTNERS = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}
"""Keywords that mean something beside another only."""
