"""What each keyword means for its type, and what its negation means.

A reader gives the shapes of values for which the keyword holds; of other types that is everything. Its
opposite gives those for which it does not hold, or is None where that is no grammar. Keywords that combine
schemas are the business of `Expansion`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from smcdsl.notations.json_schema import matching, numbers, regexes, texts
from smcdsl.notations.json_schema.documents import Decimal
from smcdsl.notations.json_schema.formats import FORMATS, HINTS, INTEGER_RANGES, NARROWED
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
    Shapes,
    Strings,
    merged,
    shortened,
)

if TYPE_CHECKING:
    from smcdsl.notations.json_schema.expansion import Expansion


def _but(kind: type) -> Shapes:
    return tuple(shape for shape in ALL if not isinstance(shape, kind))


def but_objects() -> Shapes:
    """Any value that is no object."""
    return _but(Objects)


Reader = Callable[["Expansion", Mapping[str, Any], str], Shapes]
MOST_CHARACTERS = 10_000
"""Of a pattern without counts."""
INTEGERS = Numbers(multiples=frozenset({(numbers.ONE, True)}))
FRACTIONS = Numbers(multiples=frozenset({(numbers.ONE, False)}))


def _types(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> list[str]:
    value = schema["type"]
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name in (*TYPES, "integer") for name in names):
        raise expansion.bad(pointer, "type", f"one of {', '.join((*TYPES, 'integer'))}, or a list of these")
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


def _of_values(expansion: Expansion, values: list[Any], pointer: str, keyword: str) -> Shapes:
    found: list[Shape] = []
    for value in values:
        if isinstance(value, Decimal):
            expansion.check_spelling(value, keyword, pointer)
    if any(value is None for value in values):
        found.append(Null())
    if flags := frozenset(value for value in values if isinstance(value, bool)):
        found.append(Booleans(flags))
    if amounts := frozenset(value.value for value in values if isinstance(value, Decimal)):
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
        if isinstance(value, Decimal):
            expansion.check_spelling(value, keyword, pointer)
    found: list[Shape] = [] if any(value is None for value in values) else [Null()]
    flags = frozenset({False, True}) - {value for value in values if isinstance(value, bool)}
    if flags:
        found.append(Booleans(flags))
    found.append(Numbers(without=frozenset(value.value for value in values if isinstance(value, Decimal))))
    found.append(Strings(without=frozenset(value for value in values if isinstance(value, str))))
    return (*found, Arrays(), Objects())


def _enum(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    if not isinstance(schema["enum"], list):
        raise expansion.bad(pointer, "enum", "a list")
    return _of_values(expansion, schema["enum"], pointer, "enum")


def _not_enum(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    if not isinstance(schema["enum"], list):
        raise expansion.bad(pointer, "enum", "a list")
    return _of_no_values(expansion, schema["enum"], pointer, "enum")


def _const(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return _of_values(expansion, [schema["const"]], pointer, "const")


def _not_const(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    return _of_no_values(expansion, [schema["const"]], pointer, "const")


def _bound(keyword: str, is_low: bool, excluded: bool) -> tuple[Reader, Reader]:
    """A limit of numbers and its negation: the other side, and the limit itself the other way."""

    def holds(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
        bound = expansion.number(schema, keyword, pointer), excluded
        return (*_but(Numbers), Numbers(low=bound) if is_low else Numbers(high=bound))

    def fails(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
        bound = expansion.number(schema, keyword, pointer), not excluded
        return (Numbers(high=bound) if is_low else Numbers(low=bound),)

    return holds, fails


def _divisor(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Fraction:
    divisor = expansion.number(schema, "multipleOf", pointer)
    if divisor <= 0:
        raise expansion.bad(pointer, "multipleOf", "a number above 0")
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
        raise expansion.bad(pointer, keyword, "a text")
    try:
        written_out = matching.size(regexes.parse(pattern))
    except regexes.PatternError as error:
        raise expansion.refuse(pointer, keyword, str(error)) from error
    if written_out > MOST_CHARACTERS:
        reason = f"written out, its repetitions are more than {MOST_CHARACTERS:,} characters"
        raise expansion.refuse(pointer, keyword, reason, "lower the counts")
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
    return (*_but(Strings), Strings(patterns=frozenset({("format", name, True)})))


def _not_format(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    name = _format_name(expansion, schema, pointer)
    if name in HINTS:
        return ()
    if name in INTEGER_RANGES:
        low, high = INTEGER_RANGES[name]
        return (Numbers(high=(Fraction(low), True)), Numbers(low=(Fraction(high), True)))
    if name in NARROWED:
        raise expansion.refuse(pointer, "format", f"not every `{name}` is in its grammar, so its negation is not known")
    return (Strings(patterns=frozenset({("format", name, False)})),)


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
        raise expansion.bad(pointer, "uniqueItems", "true or false")
    return (*_but(Arrays), Arrays(unique=pointer or "/") if schema["uniqueItems"] else Arrays())


def _contains_bounds(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> tuple[int, int | None]:
    least = expansion.count(schema, "minContains", pointer) if "minContains" in schema else 1
    most = expansion.count(schema, "maxContains", pointer) if "maxContains" in schema else None
    return least, most


def _contains(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    goal = expansion.goal(f"{pointer}/contains")
    least, most = _contains_bounds(expansion, schema, pointer)
    evaluating = Arrays(evaluated_by=frozenset({goal}))
    return (*_but(Arrays), *expansion.product(_containing(goal, least, most), (evaluating,), pointer))


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
        raise expansion.bad(pointer, "dependentRequired", "an object of lists of names")
    return [(name, expansion.names(needed, "dependentRequired", pointer)) for name, needed in value.items()]


def _dependent_required(expansion: Expansion, schema: Mapping[str, Any], pointer: str) -> Shapes:
    shapes: Shapes = ALL
    for name, needed in _dependents(expansion, schema, pointer):
        options = (*but_objects(), Objects(((name, NEVER),)), Objects(required=(name, *needed)))
        shapes = expansion.product(shapes, options, pointer)
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


KEYWORDS: dict[str, tuple[Reader, Reader | None]] = {
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
PARTNERS = {"then": "if", "else": "if", "minContains": "contains", "maxContains": "contains"}
"""Keywords that mean something beside another only."""
