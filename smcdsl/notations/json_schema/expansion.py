"""From schemas to shapes: what a goal is, one type at a time.

All keywords of a schema hold together, so its shapes are the intersection of theirs; `anyOf` is a union,
`$ref` what it names. Negations go inward (De Morgan) as far as every keyword has one; where one has none, a
`oneOf` may still be a union if its branches cannot hold together.

`unevaluatedProperties` needs to know what the keywords beside it looked at. Under it, `anyOf` becomes the
union over all sets of branches that hold: a shape of fewer branches looks at less and so admits less, which
keeps the union exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fractions import Fraction
from itertools import combinations
from typing import Any
from urllib.parse import urldefrag

from smcdsl.errors import CompileError, Diagnostic
from smcdsl.notations.json_schema import mistakes, numbers, texts
from smcdsl.notations.json_schema.documents import Decimal, Document, escaped
from smcdsl.notations.json_schema.keywords import KEYWORDS, PARTNERS, but_objects
from smcdsl.notations.json_schema.shapes import (
    ALL,
    ANY,
    NEVER,
    Arrays,
    Goal,
    Objects,
    Others,
    Shape,
    Shapes,
    Strings,
    both,
    merged,
    shortened,
)

MOST_SHAPES = 512
MOST_EFFORT = 200_000
"""Parts of shapes that are intersected, in all; a schema of everyday use has some hundreds."""
_COMBINING = ("oneOf", "anyOf", "allOf", "if", "not", "dependentSchemas", "dependentRequired", "enum", "properties")
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


class Expansion:
    """Expands the goals of one document. Goals may name negated schemas and constants."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.constants: dict[str, Any] = {}
        self.unions: dict[str, tuple[Goal, ...]] = {}
        self.goals: dict[Goal, Shapes] = {}
        self.schemas: dict[tuple[str, bool, bool], Shapes] = {}
        self.open: list[tuple[str, bool, bool]] = []
        self.checked: set[str] = set()
        self.effort = 0
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
                shapes = self.product(shapes, self.schema(pointer, keep, False), pointer)
            known = self.goals[goal] = merged(_unseen(shapes))
        return known

    def schema(self, pointer: str, keep: bool, looking: bool) -> Shapes:
        """The shapes of one schema, or of its negation; `looking`: they must tell what is evaluated."""
        key = (pointer, keep, looking)
        if key in self.schemas:
            return self.schemas[key]
        if pointer in self.unions:
            assert keep, "unions are not negated"
            return tuple(shape for goal in self.unions[pointer] for shape in self.expand(goal))
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

    def either(self, goals: Iterable[Goal]) -> Goal:
        """The goal of satisfying at least one of some goals. Nothing negates it."""
        kept = tuple(dict.fromkeys(goal for goal in goals if not goal >= NEVER))
        if ANY in kept:
            return ANY
        if len(kept) < 2:
            return kept[0] if kept else NEVER
        name = f"either {[sorted(goal) for goal in kept]}"
        self.unions[name] = kept
        return frozenset({(name, True)})

    def refuse(self, pointer: str, keyword: str, reason: str, help_: str = "") -> Unsupported:
        """The exception for a keyword at a schema."""
        pointer = self.document.holder(keyword, pointer if not pointer or pointer.startswith("/") else "")
        span = self.document.span(f"{pointer}/{escaped(keyword)}")
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
        known = ANNOTATIONS | KEYWORDS.keys() | PARTNERS.keys()
        for keyword in schema:
            if keyword in known or keyword.startswith("x-"):
                continue
            span = self.document.span(f"{pointer}/{escaped(keyword)}")
            if keyword in _OLD_ONLY:
                reason = "JSON Schema 2020-12 replaced it"
                raise CompileError(mistakes.unsupported(keyword, pointer, span, reason))
            near = get_close_matches(keyword, known, 1, 0.75)
            raise CompileError(mistakes.unknown_keyword(keyword, pointer, span, next(iter(near), None)))

    def bad(self, pointer: str, keyword: str, wanted: str) -> CompileError:
        """The exception for a keyword whose value is not what it must be."""
        span = self.document.span(f"{pointer}/{escaped(keyword)}")
        return CompileError(mistakes.bad_value(keyword, pointer, span, wanted))

    def number(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> Fraction:
        """A keyword that is a number."""
        if not isinstance(schema[keyword], Decimal):
            raise self.bad(pointer, keyword, "a number")
        self.check_spelling(schema[keyword], keyword, pointer)
        return schema[keyword].value

    def check_spelling(self, number: Decimal, keyword: str, pointer: str) -> None:
        """Refuse numbers that nobody writes out."""
        try:
            numbers.spelled(number.value)
        except numbers.TooFine as error:
            raise self.refuse(pointer, keyword, str(error)) from error

    def count(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> int:
        """A keyword that counts."""
        value = self.number(schema, keyword, pointer)
        if value < 0 or value.denominator != 1:
            raise self.bad(pointer, keyword, "a whole number that is not negative")
        return int(value)

    def names(self, value: Any, keyword: str, pointer: str) -> list[str]:
        """A list of names."""
        if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
            raise self.bad(pointer, keyword, "a list of names")
        return list(dict.fromkeys(value))

    def within(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> list[str]:
        """Pointers of the schemas in a list."""
        if not isinstance(schema[keyword], list) or not schema[keyword]:
            raise self.bad(pointer, keyword, "a list of schemas that is not empty")
        return [f"{pointer}/{keyword}/{index}" for index in range(len(schema[keyword]))]

    def members(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> list[tuple[str, str]]:
        """(name, pointer) of the schemas in an object."""
        if not isinstance(schema[keyword], dict):
            raise self.bad(pointer, keyword, "an object of schemas")
        return [(name, f"{pointer}/{keyword}/{escaped(name)}") for name in schema[keyword]]

    # ---- combining

    def product(self, left: Iterable[Shape], right: Iterable[Shape], pointer: str) -> Shapes:
        """The intersection of two unions."""
        right = tuple(right)
        found: dict[Shape, None] = {}
        for first in left:
            self.effort += len(right) * _weight(first)
            if self.effort > MOST_EFFORT:
                raise self.blame(_COMBINING, pointer, "its alternatives combine in too many ways")
            for second in right:
                if type(first) is type(second) and (shape := both(first, second)) is not None:
                    found[shape] = None
            self._bounded(len(found), pointer)
        return tuple(found)

    def _bounded(self, count: int, pointer: str) -> None:
        if count > MOST_SHAPES:
            raise self.blame(_COMBINING, pointer, f"its alternatives combine in more than {MOST_SHAPES} ways")

    def blame(self, keywords: Sequence[str], pointer: str, reason: str) -> Unsupported:
        """The exception for what several keywords do together: it names the first of them that is there."""
        pointer = pointer if not pointer or pointer.startswith("/") else ""
        keyword, holder = self.document.first_of(keywords, pointer) or ("schema", pointer)
        return self.refuse(holder, keyword, reason)

    def _all(self, schema: Mapping[str, Any], pointer: str, looking: bool) -> Shapes:
        """All keywords of a schema together."""
        late = [keyword for keyword in ("unevaluatedItems", "unevaluatedProperties") if keyword in schema]
        looking = looking or bool(late)
        shapes: Shapes = ALL
        for keyword in schema:
            if keyword in KEYWORDS and keyword not in late:
                shapes = self.product(shapes, self.keyword(keyword, schema, pointer, looking), pointer)
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
            goal = self.either([goal, *sorted(shape.evaluated_by, key=sorted)])
            limit = Arrays((ANY,) * shape.evaluated, goal, evaluated=-1)
            kept = shortened(limit)
            return None if kept is None else both(replace(shape, evaluated=-1), kept)
        return shape

    def _none(self, schema: Mapping[str, Any], pointer: str) -> Shapes:
        """At least one keyword of a schema does not hold."""
        found: dict[Shape, None] = {}
        for keyword in schema:
            if keyword in KEYWORDS:
                found.update(dict.fromkeys(self.negated(keyword, schema, pointer)))
        return tuple(found)

    def keyword(self, keyword: str, schema: Mapping[str, Any], pointer: str, looking: bool) -> Shapes:
        """The shapes of one keyword."""
        match keyword:
            case "allOf":
                shapes: Shapes = ALL
                for inner in self.within(schema, keyword, pointer):
                    shapes = self.product(shapes, self.schema(inner, True, looking), inner)
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
                    present = self.product((Objects(required=(name,)),), self.schema(inner, True, looking), inner)
                    absent = Objects(properties=((name, NEVER),))
                    shapes = self.product(shapes, (*but_objects(), absent, *present), pointer)
                return shapes
        return KEYWORDS[keyword][0](self, schema, pointer)

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
                    pair = self.product(self.schema(first, True, False), self.schema(second, True, False), pointer)
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
                        found.update(dict.fromkeys(self.product(condition, wrong, pointer)))
                return tuple(found)
            case "$ref" | "$dynamicRef":
                return self.schema(self.target(schema, keyword, pointer), False, False)
            case "dependentSchemas":
                found = {}
                for name, each in self.members(schema, keyword, pointer):
                    wrong = self.schema(each, False, False)
                    found.update(dict.fromkeys(self.product((Objects(required=(name,)),), wrong, pointer)))
                return tuple(found)
        opposite = KEYWORDS[keyword][1]
        if opposite is None:
            reason = "here it stands under a negation, for which there is no grammar"
            raise self.refuse(pointer, keyword, reason, "`not`, `oneOf` and `if` negate what is in them")
        return opposite(self, schema, pointer)

    def _none_of(self, branches: list[str]) -> Shapes:
        shapes: Shapes = ALL
        for branch in branches:
            shapes = self.product(shapes, self.schema(branch, False, False), branch)
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
                together += [self.product(each, shapes, pointer) for each in together]
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
                if other != index and self.product(kept, shapes[other], pointer) and self._meet(kept, shapes[other]):
                    try:
                        without = self.schema(branch, False, False)
                    except Unsupported as error:
                        reason = "its branches are not seen to exclude each other"
                        help_ = f"use `anyOf`, or give each a `const` of its own ({error.diagnostic.message})"
                        raise self.refuse(pointer, "oneOf", reason, help_) from error
                    kept = self.product(kept, _unseen(without), pointer)
            found.update(dict.fromkeys(kept))
        return tuple(found)

    def _meet(self, left: Shapes, right: Shapes) -> bool:
        return any(self.may_meet(first, second, 4) for first in left for second in right)

    def may_meet(self, left: Shape, right: Shape, depth: int) -> bool:
        """Whether two shapes may have a value in common; False only if surely not."""
        shape = both(left, right) if type(left) is type(right) else None
        self.effort += _weight(left)
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
        if "then" not in schema and "else" not in schema:
            # Where evaluated less is, less is admitted: values for which it holds may be in the rest as well.
            return (*self.schema(f"{pointer}/if", True, looking), *ALL) if looking else ALL
        holds = self.schema(f"{pointer}/if", True, looking)
        if "then" in schema:
            holds = self.product(holds, self.schema(f"{pointer}/then", True, looking), pointer)
        fails = _unseen(self.schema(f"{pointer}/if", False, False))
        if "else" in schema:
            fails = self.product(fails, self.schema(f"{pointer}/else", True, looking), pointer)
        return (*holds, *fails)

    def target(self, schema: Mapping[str, Any], keyword: str, pointer: str) -> str:
        """The pointer that a reference leads to."""
        reference = schema[keyword]
        if not isinstance(reference, str):
            raise self.bad(pointer, keyword, "a text")
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


def _weight(shape: Shape) -> int:
    """How many parts a shape has, more or less."""
    if isinstance(shape, Objects):
        return 1 + len(shape.properties) + len(shape.required) + len(shape.others)
    return 1 + len(shape.prefix) if isinstance(shape, Arrays) else 1


def _looks(shape: Shape) -> bool:
    if isinstance(shape, Objects):
        return bool(shape.evaluated_names or shape.evaluated_patterns or shape.all_evaluated)
    return isinstance(shape, Arrays) and bool(shape.evaluated or shape.evaluated_by)


def _unseen(shapes: Shapes) -> Shapes:
    """Without what was evaluated: failed schemas annotate nothing."""
    return tuple(
        replace(shape, evaluated_names=frozenset(), evaluated_patterns=frozenset(), all_evaluated=False)
        if isinstance(shape, Objects)
        else replace(shape, evaluated=0, evaluated_by=frozenset())
        if isinstance(shape, Arrays)
        else shape
        for shape in shapes
    )


def _key(value: Any) -> str:
    """Equal for equal JSON values."""
    if isinstance(value, Decimal):
        return f"number {value.value}"
    if isinstance(value, list):
        return "[" + ",".join(map(_key, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{texts.spelled(name)}:{_key(value[name])}" for name in sorted(value)) + "}"
    return repr(value)
