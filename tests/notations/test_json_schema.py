"""JSON Schema: random schemas and texts against the `jsonschema` library, policies, and what is refused."""

from __future__ import annotations

import gzip
import json
import random
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.json_texts import BYTES, Oracle, accepts, automaton_of, in_order, some_texts, spelled
from oracles.work import limited_work

from smcdsl.compiler.dfa import from_expression
from smcdsl.errors import CompileError, Diagnostic
from smcdsl.notations.json_schema import load_json_schema, numbers, regexes, texts
from smcdsl.notations.json_schema.formats import FORMATS
from smcdsl.notations.json_schema.shapes import Strings
from smcdsl.program.grammar import Alternatives, Concatenation, Pattern
from smcdsl.vocabulary import Vocabulary

SCHEMAS = Path(__file__).parents[2] / "benchmarks" / "masks" / "data" / "schemas.jsonl.gz"


def grammar_of(schema: Any, **options: Any) -> Any:
    return load_json_schema(json.dumps(schema), name="schema.json", **options)


def accepts_text(schema: Any, text: str, **options: Any) -> bool:
    return accepts(automaton_of(grammar_of(schema, **options)), text)


# ---- random schemas

NAMES = ["a", "b", "ab", "é"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-12, 12),
    st.sampled_from([0.5, -1.5, 2.25, 10.1]),
    st.sampled_from(["", "a", "b", "ab", "é", "aba", 'q"', "12"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "zz"]), inner, max_size=3),
    max_leaves=5,
)


def optional(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


small = st.integers(0, 3)
bounds = st.sampled_from([-3, 0, 1, 2, 7, 12, 0.5, -1.5])
patterns = st.sampled_from(["^a", "b$", "^[a-b]{2}$", "a|é", "^(ab)*$", "^.?$"])
leaves = st.one_of(
    st.booleans(),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["string", "number", "integer", "null", "boolean", "array", "object"])}
    ),
    st.fixed_dictionaries({"enum": st.lists(scalars, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"const": scalars}),
    st.fixed_dictionaries({"const": values}),
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": small, "maxLength": small, "pattern": patterns}
    ),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["number", "integer"])},
        optional={
            "minimum": bounds,
            "exclusiveMaximum": bounds,
            "maximum": bounds,
            "multipleOf": st.sampled_from([1, 2, 3, 0.5]),
        },
    ),
    optional(minimum=bounds, exclusiveMinimum=bounds),
    optional(pattern=patterns, minLength=small),
)


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = optional(
        properties=st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        required=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
        additionalProperties=inner,
        patternProperties=st.dictionaries(patterns, inner, max_size=1),
        propertyNames=st.fixed_dictionaries({"maxLength": small}),
        maxProperties=small,
        minProperties=st.integers(0, 1),
    )
    arrays = optional(
        prefixItems=st.lists(inner, min_size=1, max_size=2),
        items=inner,
        minItems=small,
        maxItems=small,
        contains=inner,
        maxContains=st.integers(1, 2),
    )
    combined = st.one_of(
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"if": inner}, optional={"then": inner, "else": inner}),
        st.fixed_dictionaries({"dependentRequired": st.just({"a": ["b"]})}),
    )
    looking = st.fixed_dictionaries(
        {"anyOf": st.lists(objects, min_size=1, max_size=2), "unevaluatedProperties": inner}
    ) | st.fixed_dictionaries({"allOf": st.lists(arrays, min_size=1, max_size=2), "unevaluatedItems": inner})
    looking |= st.fixed_dictionaries({"anyOf": st.lists(arrays, min_size=1, max_size=2), "unevaluatedItems": inner})
    looking |= st.fixed_dictionaries({"if": objects, "unevaluatedProperties": inner})
    looking |= st.fixed_dictionaries({"if": arrays, "unevaluatedItems": inner})
    return objects | arrays | combined | looking


schemas = st.recursive(leaves, larger, max_leaves=5)


@settings(max_examples=150)
@given(schemas, st.lists(values, min_size=1, max_size=6))
def test_values_are_judged_as_the_library_does(schema, instances):
    validator = jsonschema.Draft202012Validator(schema)
    try:
        grammar = grammar_of(schema)
    except CompileError as error:
        problem = error.diagnostics[0]
        assert problem.code in ("E0403", "E0418")
        if problem.code == "E0403":
            assert not any(map(validator.is_valid, instances))
        return
    automaton, oracle = automaton_of(grammar), Oracle(grammar)
    for value in instances:
        found = False
        for text in some_texts(value)[:40]:
            accepted = accepts(automaton, text)
            assert oracle.accepts(text) in (None, accepted), (text, accepted)
            found = found or accepted
        assert found == validator.is_valid(value), value


few = st.one_of(
    st.fixed_dictionaries({"enum": st.lists(scalars, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"type": st.just("boolean")}),
    st.fixed_dictionaries({"type": st.just(["boolean", "null"])}),
    st.fixed_dictionaries({"type": st.just("integer"), "minimum": st.integers(-1, 1), "maximum": st.integers(1, 3)}),
    st.fixed_dictionaries({"enum": st.lists(scalars, min_size=1, max_size=4), "pattern": patterns}),
)
without_repetition = st.fixed_dictionaries(
    {"uniqueItems": st.just(True), "items": few | st.just(False)},
    optional={
        "prefixItems": st.lists(few, min_size=1, max_size=2),
        "minItems": small,
        "maxItems": small,
        "contains": few,
        "minContains": st.integers(0, 2),
        "maxContains": st.integers(1, 2),
    },
)
listed = st.sampled_from([None, False, True, -1, 0, 1, 2, 3, "", "a", "b", "ab", "é"])


@settings(max_examples=100)
@given(without_repetition, st.lists(st.lists(listed, max_size=4), min_size=1, max_size=8))
def test_items_with_few_values_may_be_kept_from_repeating(schema, instances):
    validator = jsonschema.Draft202012Validator(schema)
    drawn = [
        each for part in (schema["items"], *schema.get("prefixItems", ())) if part for each in part.get("enum", ())
    ]
    instances += [drawn[:1], drawn[:2], [*drawn[:2], *drawn[:1]], [1, 1.0], [True, 1]]
    try:
        automaton = automaton_of(grammar_of(schema))
    except CompileError as error:
        (problem,) = error.diagnostics
        assert problem.code == "E0403"
        assert not any(map(validator.is_valid, instances))
        return
    for value in instances:
        accepted = any(accepts(automaton, text) for text in some_texts(value))
        assert accepted == validator.is_valid(value), value


containing = st.fixed_dictionaries(
    {"contains": few | st.fixed_dictionaries({"type": st.sampled_from(["integer", "string"])})},
    optional={
        "minContains": st.integers(0, 2),
        "maxContains": st.integers(1, 2),
        "prefixItems": st.lists(few, max_size=2, min_size=1),
    },
)
unevaluated = st.booleans() | few


@settings(max_examples=150)
@given(
    containing
    | st.fixed_dictionaries({"allOf": st.lists(containing, min_size=2, max_size=2)})
    | st.fixed_dictionaries({"anyOf": st.lists(containing, min_size=2, max_size=2)})
    | st.fixed_dictionaries({"if": containing}, optional={"then": containing}),
    unevaluated,
    st.lists(st.lists(listed, max_size=4), min_size=1, max_size=8),
)
def test_items_that_contains_matched_are_evaluated(schema, rest, instances):
    schema = {**schema, "unevaluatedItems": rest}
    validator = jsonschema.Draft202012Validator(schema)
    try:
        automaton = automaton_of(grammar_of(schema))
    except CompileError as error:
        (problem,) = error.diagnostics
        assert problem.code == "E0403" or "`unevaluatedItems`" not in problem.message
        assert problem.code == "E0418" or not any(map(validator.is_valid, instances))
        return
    for value in instances:
        accepted = any(accepts(automaton, text) for text in some_texts(value))
        assert accepted == validator.is_valid(value), value


@pytest.mark.parametrize("value", [[], [1], [1, 2], [2]])
def test_what_a_failed_schema_looked_at_is_not_evaluated(value):
    schema = {"not": {"not": {"contains": {"const": 1}}}, "unevaluatedItems": {"const": 2}}
    assert accepts_text(schema, json.dumps(value)) == jsonschema.Draft202012Validator(schema).is_valid(value)


# ---- random walks

PIECES = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b" ",
    b"1",
    b"0",
    b"-",
    b".",
    b"e",
    b"t",
    b'":',
    b'",',
    b'"}',
    b"]}",
]
WALKING = Vocabulary(
    (*PIECES, *(bytes([byte]) for byte in range(256) if bytes([byte]) not in PIECES), b"true", b"null", b"false", b""),
    (len(PIECES) + 256 - sum(len(piece) == 1 for piece in PIECES) + 3,),
)
CLOSING = [WALKING.token_bytes.index(piece) for piece in (b'"}', b"]}", b"}", b"]", b'",', b'"', b",", b'":', b":")]


def walk(schema: Any, rng: random.Random, most: int) -> str | None:
    """A text written token by token, with a liking for the end; None if it got too long."""
    automaton = automaton_of(grammar_of(schema), WALKING)
    end = len(WALKING) - 1
    state, written = automaton.start, b""
    for step in range(most):
        (row,) = automaton.masks(np.array([state], dtype=np.int64))
        allowed = [token for token in range(len(WALKING)) if row[token >> 5] >> np.uint32(token & 31) & 1]
        assert allowed, f"a dead end after {written!r}"
        closing = [token for token in CLOSING if token in allowed]
        if end in allowed and (step > 20 or rng.random() < 0.3):
            return written.decode()
        token = rng.choice(closing) if closing and rng.random() < (0.3 if step < 20 else 0.8) else rng.choice(allowed)
        if token == end:
            return written.decode()
        state = int(automaton.advance(np.array([state]), np.array([token]))[0])
        written += WALKING.token_bytes[token]
    return None


def own_schemas() -> list[dict[str, Any]]:
    if not SCHEMAS.is_file():
        pytest.skip("needs the benchmarks' data")
    with gzip.open(SCHEMAS, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.mark.parametrize("part", range(4))
def test_written_texts_are_valid(part):
    rng = random.Random(part)
    finished = 0
    for line in own_schemas()[part::20]:
        for _ in range(3):
            text = walk(line["schema"], rng, 1500)
            if text is not None:
                finished += 1
                jsonschema.Draft202012Validator(line["schema"]).validate(json.loads(text))
    assert finished >= 5


@settings(max_examples=60)
@given(schemas, st.randoms(use_true_random=False))
def test_texts_of_random_schemas_are_valid(schema, rng):
    try:
        text = walk(schema, rng, 400)
    except CompileError:
        return
    if text is not None:
        jsonschema.Draft202012Validator(schema).validate(json.loads(text))


@pytest.mark.parametrize("part", range(5))
def test_instances_of_real_schemas_are_accepted(part):
    for line in own_schemas()[part::10]:
        automaton = automaton_of(grammar_of(line["schema"]))
        for value in line["instances"]:
            for style in ({"separators": (",", ":")}, {}, {"indent": 2}):
                assert accepts(automaton, json.dumps(value, ensure_ascii=False, **style)), line["name"]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of all values inside a value, itself included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


def mutated(value: Any, rng: random.Random) -> Any:
    """The value with one thing changed, the order of members kept."""
    value = json.loads(json.dumps(value))
    path = rng.choice(places(value)[1:] or [()])
    if not path:
        return rng.choice([None, 0, "a", [], {}])
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    key, old = path[-1], holder[path[-1]]
    match rng.randrange(5):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            holder.insert(key, old)
        case 2 if isinstance(old, dict):
            old["unlisted"] = 1
        case 3 if isinstance(old, str):
            holder[key] = rng.choice([old + "x", old[:-1], "", old.upper(), old + "é" * 60])
        case 3 if isinstance(old, int | float) and not isinstance(old, bool):
            holder[key] = rng.choice([-old, old + 1, old * 1000, old + 0.5, 0])
        case _:
            holder[key] = rng.choice([None, True, -1, 10**6, 0.5, "", "a", [], {}, [1], {"a": 1}])
    return value


def formats_of(schema: Any) -> set[str]:
    return set(re.findall(r'"format": "([^"]*)"', json.dumps(schema)))


@pytest.mark.parametrize("part", range(5))
def test_mutated_instances_of_real_schemas_are_judged_as_the_library_does(part):
    rng = random.Random(part)
    checked = jsonschema.FormatChecker(["date", "uuid", "ipv4", "ipv6"])  # others need packages of their own
    schemas = [line for line in own_schemas() if formats_of(line["schema"]) <= checked.checkers.keys()]
    assert len(schemas) > 40
    verdicts = []
    for line in schemas[part::5]:
        automaton = automaton_of(grammar_of(line["schema"]))
        validator = jsonschema.Draft202012Validator(line["schema"], format_checker=checked)
        for value in line["instances"]:
            for _ in range(8):
                changed = mutated(value, rng)
                verdicts.append(validator.is_valid(changed))
                assert accepts(automaton, in_order(changed)) == verdicts[-1], (line["name"], changed)
    assert {True, False} <= set(verdicts)


# ---- policies

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer"},
        "born": {"type": "string", "format": "date"},
    },
    "required": ["age", "zip"],
}


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ('{"name":"x","age":1,"zip":0}', True),
        ('{"age":1,"zip":0}', True),
        ('{"age":1,"born":"2020-02-29","zip":0,"more":[]}', True),
        ('{"age":1,"name":"x","zip":0}', False),
        ('{"age":1,"more":2,"zip":0}', False),
        ('{"name":"x","age":1}', False),
        ('{"age":1,"zip":0,"name":"x"}', False),
        ('{"age":1,"zip":0,"age":"no"}', False),
        ('{"age":1,"zip":0,"x":1,"x":2}', True),
        ('{"\\u0061ge":1,"zip":0}', False),
        ('{"age":1,"zip":0,"\\u0061ge":2}', False),
    ],
)
def test_members_come_in_the_order_of_the_schema(text, accepted):
    assert accepts_text(PERSON, text) == accepted


@pytest.mark.parametrize(
    ("whitespace", "accepted"),
    [
        ("free", ['{"a":[1,2]}', '{"a": [1, 2]}', ' {\n\t"a" :[ 1 ,2 ] }\r\n']),
        ("compact", ['{"a":[1,2]}']),
        ("spaced", ['{"a": [1, 2]}']),
    ],
)
def test_white_space_is_as_asked_for(whitespace, accepted):
    schema = {"properties": {"a": {"items": {"type": "integer"}}}}
    automaton = automaton_of(grammar_of(schema, whitespace=whitespace))
    for text in ('{"a":[1,2]}', '{"a": [1, 2]}', ' {\n\t"a" :[ 1 ,2 ] }\r\n', '{"a":[1, 2]}'):
        assert accepts(automaton, text) == (text in accepted or whitespace == "free")


@pytest.mark.parametrize(
    ("schema", "text", "accepted"),
    [
        ({"type": "string"}, '"\\u0061\\/\\ud83d\\ude00"', True),
        ({"type": "string"}, '"\\ud83d"', False),
        ({"type": "string"}, '"\\ud83d\\u0061"', False),
        ({"type": "string"}, '"\n"', False),
        ({"maxLength": 1}, '"\\ud83d\\ude00"', True),
        ({"maxLength": 1}, '"\U0001f600"', True),
        ({"maxLength": 1}, '"\\u00e9"', True),
        ({"maxLength": 1}, '"e\u0301"', False),
        ({"minLength": 2}, '"\\n"', False),
        ({"pattern": "^a$"}, '"a"', True),
        ({"pattern": "^a$"}, '"\\u0061"', False),
        ({"pattern": "^\n$"}, '"\\n"', True),
        ({"pattern": "^\n$"}, '"\\u000a"', False),
        ({"pattern": '^"$'}, '"\\""', True),
        ({"type": "number"}, "1e5", True),
        ({"type": "number"}, "-0.0E+1", True),
        ({"type": "integer"}, "1.0", False),
        ({"type": "integer"}, "-0", True),
        ({"type": "integer"}, "01", False),
        ({"type": "number", "minimum": 0}, "1e5", False),
        ({"type": "number", "minimum": 0}, "-0.00", True),
        ({"type": "number", "minimum": 0}, "1.50", True),
    ],
)
def test_spelling_is_free_where_the_schema_says_nothing(schema, text, accepted):
    assert accepts_text(schema, text) == accepted


def test_lexemes_that_two_alternatives_share_are_kept_for_both():
    schema = {
        "anyOf": [
            {"type": "array", "prefixItems": [{"const": "a"}, {"type": "integer"}], "items": False, "minItems": 2},
            {
                "type": "array",
                "prefixItems": [{"pattern": "^[ab]$", "type": "string"}, {"type": "null"}],
                "minItems": 2,
            },
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "minItems": 2, "maxItems": 2},
        ]
    }
    automaton = automaton_of(grammar_of(schema))
    assert accepts(automaton, '["a",1]')
    assert accepts(automaton, '["a",null]')
    assert accepts(automaton, '["b",null]')
    assert not accepts(automaton, '["b",1]')
    assert accepts(automaton, '["c",true]')
    assert accepts(automaton, '["a",true]')
    assert not accepts(automaton, '["c",null]')


def test_names_that_two_alternatives_share_are_kept_for_both():
    schema = {
        "oneOf": [
            {"properties": {"k": {"const": 1}, "a": {"type": "null"}}, "required": ["k"], "type": "object"},
            {"type": "object", "additionalProperties": {"enum": [2, 3]}, "required": ["k"]},
        ]
    }
    automaton = automaton_of(grammar_of(schema))
    assert accepts(automaton, '{"k":1,"a":null}')
    assert accepts(automaton, '{"k":2,"a":3}')
    assert not accepts(automaton, '{"k":2,"a":null}')
    assert accepts(automaton, '{"k":1,"b":null}')
    assert not accepts(automaton, '{"k":2,"b":null}')


def test_definitions_are_boundaries():
    schema = {
        "$ref": "#/$defs/node",
        "$defs": {"node": {"properties": {"next": {"$ref": "#/$defs/node"}}, "type": "object"}},
    }
    grammar = grammar_of({"items": schema["$defs"]["node"] | {"$id": "x"}, **schema})
    assert grammar_of({"items": {"$ref": "#/$defs/node"}, "$defs": schema["$defs"]}).boundaries == ("node",)
    assert "node" in grammar.rules


def test_an_object_with_many_optional_members_stays_small():
    grammar = grammar_of(
        {"properties": {f"p{i}": {"type": "integer"} for i in range(100)}, "additionalProperties": False}
    )
    assert sum(len(rule.items) for rule in grammar.rules.values() if isinstance(rule, Alternatives)) < 1000


# ---- refusals


@pytest.mark.parametrize(
    ("schema", "code", "words", "marked"),
    [
        ('{"properties": {"a": {"uniqueItems": true}}}', "E0418", "`uniqueItems` at `#/properties/a`", '"uniqueItems"'),
        ('{"items": {"type": "string"}, "uniqueItems": true}', "E0418", "`uniqueItems` at `#`", '"uniqueItems"'),
        (
            '{"items": {"enum": ["abcd", 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}, "uniqueItems": true}',
            "E0418",
            "`uniqueItems`",
            '"uniqueItems"',
        ),
        ('{"requierd": []}', "E0418", "`requierd` at `#`", '"requierd"'),
        ('{"items": {"format": "phone"}}', "E0418", "`format` at `#/items`", '"format"'),
        ('{"pattern": "(?=a)"}', "E0418", "`pattern`", '"pattern"'),
        ('{"pattern": "(a)\\\\1"}', "E0418", "`pattern`", '"pattern"'),
        ('{"not": {"patternProperties": {"a": {"type": "null"}}}}', "E0418", "at `#/not`", '"patternProperties"'),
        ('{"minProperties": 2}', "E0418", "`minProperties`", '"minProperties"'),
        ('{"maxLength": 100000}', "E0418", "`maxLength`", '"maxLength"'),
        ('{"items": [{}]}', "E0418", "`items`", '"items"'),
        ('{"dependencies": {}}', "E0418", "`dependencies`", '"dependencies"'),
        ('{"$schema": "http://json-schema.org/draft-04/schema#"}', "E0418", "`$schema`", '"$schema"'),
        ('{"$ref": "other.json"}', "E0421", "other.json", '"$ref"'),
        ('{"properties": {"a": {"$ref": "#/$defs/none"}}}', "E0421", "#/$defs/none", '"$ref"'),
        ('{"allOf": [{"$ref": "#"}]}', "E0421", "refers to itself", '{"allOf": [{"$ref": "#"}]}'),
        ('{"type": "text"}', "E0420", "`type` at `#`", '"type"'),
        ('{"minLength": -1}', "E0420", "`minLength`", '"minLength"'),
        ('{"required": "a"}', "E0420", "`required`", '"required"'),
        ('{"properties": {"a": 1}}', "E0420", "at `#/properties/a`", '"a"'),
        ('{"a" "b"}', "E0420", "not a JSON schema", '"'),
        ('{"const": NaN}', "E0420", "not a JSON schema", "{"),
        ('{"type": "null", "type": "object"}', "E0420", "not a JSON schema", "{"),
        ('{"type": "null", "const": 1}', "E0403", "no text", '{"type": "null", "const": 1}'),
        ('{"minimum": 1e99999}', "E0418", "`minimum`", '"minimum"'),
        ('{"multipleOf": 1e-9}', "", "", ""),
    ],
)
def test_what_cannot_be_kept_is_named_with_its_place(schema, code, words, marked):
    if not code:
        load_json_schema(schema)
        return
    with pytest.raises(CompileError) as caught:
        load_json_schema(schema, name="s.json")
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    assert words in problem.message
    assert problem.primary is not None
    assert problem.primary.text == marked


@pytest.mark.parametrize(
    "schema",
    [
        '{"properties":{"a":' * 3000 + "{}" + "}}" * 3000,
        '{"allOf":[' * 400 + "{}" + "]}" * 400,
        "[" * 200_000,
        json.dumps({"anyOf": [{"required": [f"a{i}"]} for i in range(2000)]}),
        json.dumps({"allOf": [{"anyOf": [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(30)]}),
        json.dumps({"dependentRequired": {f"a{i}": [f"b{i}"] for i in range(40)}}),
        json.dumps({"enum": [f"value {i}" for i in range(20_000)]}),
        json.dumps({"patternProperties": {f"^a{i}": {"const": i} for i in range(40)}}),
        json.dumps({"minItems": 10**9}),
        json.dumps({"minItems": 2000, "contains": {"type": "null"}, "minContains": 2000}),
        json.dumps({"pattern": "(" * 5000 + ")" * 5000}),
        json.dumps({"pattern": "((a{1000}){1000}){1000}"}),
        json.dumps({"pattern": "^(a|a?)+$", "enum": ["a" * 5000 + "!"]}),
        json.dumps({"pattern": "^.*.*.*.*x$", "enum": ["a" * 2000]}),
        json.dumps(
            {"properties": {"x" * i: {} for i in range(300)}, "patternProperties": {"(x*)*y": {"type": "null"}}}
        ),
        json.dumps({"minimum": 10**900, "multipleOf": 7}),
        '{"minimum": 1' + "0" * 5000 + "}",
        '{"const": ' + "9" * 100_000 + "}",
        '{"multipleOf": 1e-300}',
        json.dumps({"oneOf": [{"minLength": i} for i in range(100)]}),
        json.dumps({"anyOf": [{"pattern": f"a{i}"} for i in range(30)]}),
        json.dumps({"oneOf": [{"properties": {f"p{i}": {"const": i}}} for i in range(200)]}),
        json.dumps({"not": {"not": {"not": {"not": {"anyOf": [{"required": [f"a{i}"]} for i in range(100)]}}}}}),
        json.dumps({"uniqueItems": True, "prefixItems": [{"const": i} for i in range(150)], "items": False}),
        json.dumps({"uniqueItems": True, "items": {"enum": [f"value {i}" for i in range(5000)]}, "maxItems": 2}),
        json.dumps({"uniqueItems": True, "items": {"type": "integer", "minimum": 0, "maximum": 10**18}}),
        json.dumps({"uniqueItems": True, "items": {"enum": [f"value {i}" for i in range(44)]}, "maxItems": 2}),
        json.dumps({"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 1000}}, "$ref": "#/$defs/a"}),
        json.dumps(
            {
                "properties": {
                    f"p{i}": {"type": "object", "properties": {f"q{j}": {} for j in range(40)}} for i in range(100)
                }
            }
        ),
        json.dumps({"$defs": {f"r{i}": {"$ref": f"#/$defs/r{i + 1}"} for i in range(3000)}, "$ref": "#/$defs/r0"}),
    ],
)
def test_hostile_schemas_are_read_or_refused_with_little_work(schema):
    with limited_work(2_000_000):
        problems = _problems(schema)
    assert all(problem.code in ("E0403", "E0418", "E0420", "E0421") and problem.labels for problem in problems)


def _problems(schema: str) -> tuple[Diagnostic, ...]:
    try:
        load_json_schema(schema)
    except CompileError as error:
        return error.diagnostics
    return ()


# ---- regular languages


def dfa_of(pattern: str) -> Any:
    return from_expression(Concatenation((Pattern(pattern), Pattern(""))))


decimals = st.decimals(-300, 300, allow_nan=False, places=2).map(lambda d: Fraction(d)) | st.integers(-30, 1200).map(
    Fraction
)
spellings = st.from_regex(r"\A-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?\Z")


@given(decimals, decimals, st.booleans(), st.booleans(), st.booleans(), st.lists(spellings, max_size=8))
@settings(max_examples=80)
def test_ranges_hold_the_numbers_between_their_bounds(low, high, low_out, high_out, integers, candidates):
    multiples = frozenset({(numbers.ONE, True)}) if integers else frozenset()
    found = numbers.Numbers((low, low_out), (high, high_out), multiples).simplified()
    near = [numbers.spelled(bound + step) for bound in (low, high) for step in (0, Fraction(1, 100), -1, 1)]
    dfa = None if found is None or found.only is not None else from_expression(numbers.expression(found))
    for text in (*candidates, *near, "0", "-0", "-0.0"):
        value = Fraction(Decimal(text))
        inside = (low < value or (low == value and not low_out)) and (value < high or (value == high and not high_out))
        inside = inside and not (integers and value.denominator != 1)
        if found is None or (found.only is not None):
            assert inside == (found is not None and found.contains(value))
        elif not (integers and "." in text):
            assert dfa.accepts(text.encode()) == inside, text


@given(st.sampled_from(["2", "3", "0.5", "0.25", "1.5", "0.01", "10", "7", "0.3"]), spellings)
def test_multiples_are_told_by_their_digits(divisor, text):
    dfa = from_expression(Concatenation((numbers.multiples_of(Fraction(Decimal(divisor))),)))
    assert dfa.accepts(text.encode()) == (Decimal(text) % Decimal(divisor) == 0)


@given(st.integers(0, 4), st.none() | st.integers(0, 5), st.booleans(), st.text(max_size=6))
def test_lengths_count_code_points(least, most, free, value):
    if most is not None and most < least:
        return
    if not texts.is_text(value):
        return
    dfa = from_expression(texts.lengths(least, most, free))
    expected = least <= len(value) and (most is None or len(value) <= most)
    assert dfa.accepts(spelled(value).encode()) == expected
    if free:
        assert dfa.accepts(json.dumps(value).encode()) == expected
    assert len(dfa) == len(from_expression(Concatenation((texts.lengths(least, most, free),)))), "it is minimal"


ATOMS = [
    "a",
    "b",
    "é",
    ".",
    r"\d",
    r"\w",
    r"\s",
    r"\S",
    "[a-c]",
    "[^b]",
    r"\n",
    r"\"",
    r"\u0061",
    "(?:ab|c)",
    "(x)",
    r"\\",
]
pieces = st.sampled_from(ATOMS).flatmap(
    lambda atom: st.sampled_from(["", "*", "+", "?", "{2}", "{1,2}", "*?"]).map(atom.__add__)
)
sequences = st.tuples(
    st.sampled_from(["", "^"]), st.lists(pieces, max_size=3).map("".join), st.sampled_from(["", "$"])
).map("".join)
patterns_of_all_kinds = st.lists(sequences, min_size=1, max_size=2).map("|".join)


@given(patterns_of_all_kinds, st.lists(st.text('abcdé \n"\\x1', max_size=5), max_size=6))
@settings(max_examples=150)
def test_patterns_of_json_spellings_match_what_the_pattern_finds(pattern, candidates):
    strings = Strings(patterns=frozenset({("pattern", pattern, True)}))
    dfa = from_expression(texts.expression(strings))
    python = re.compile(pattern.replace("$", r"\Z"), re.ASCII)  # the same language, for these patterns and texts
    for value in candidates:
        assert texts.contains(strings, value) == bool(python.search(value)), value
        assert dfa.accepts(spelled(value).encode()) == bool(python.search(value)), value


@pytest.mark.parametrize(
    ("pattern", "value", "found"),
    [
        (r"^\d$", "\u0663", False),
        (r"^\w$", "é", False),
        (r"^\s$", "\ufeff", True),
        (r"^\s$", "\u180e", False),
        (r"^.$", "\u2028", False),
        (r"a$", "a\n", False),
        (r"^\p{Lu}$", "É", True),
        (r"^\P{Lu}$", "É", False),
        (r"^\p{Letter}+$", "aé", True),
        (r"^\u{1f600}$", "\U0001f600", True),
        (r"^\ud83d\ude00$", "\U0001f600", True),
        (r"^[\b]$", "\b", True),
        (r"^\cA$", "\x01", True),
        (r"(^a|b)c", "xbc", True),
        (r"(^a|b)c", "xac", False),
        (r"x{,2}", "x{,2}", True),
        (r"^[^]$", "\n", True),
        (r"^(?<year>[0-9]{4})$", "2020", True),
    ],
)
def test_patterns_are_those_of_ecma_262(pattern, value, found):
    assert texts.contains(Strings(patterns=frozenset({("pattern", pattern, True)})), value) == found
    assert accepts_text({"pattern": pattern}, spelled(value)) == found


@pytest.mark.parametrize(
    "pattern", ["(", ")", "[a", "a{2,1}", "*", r"\b", "(?=a)", "(?!a)", "(?<=a)", r"\1", r"\p{Foo}", r"\q", "^*"]
)
def test_patterns_that_are_no_regular_expressions_are_refused(pattern):
    with pytest.raises(regexes.PatternError):
        regexes.parse(pattern)


@given(st.datetimes())
def test_dates_and_times_of_the_calendar_are_formats(moment):
    dates = from_expression(texts.expression(Strings(patterns=frozenset({("format", "date", True)}))))
    moments = from_expression(texts.expression(Strings(patterns=frozenset({("format", "date-time", True)}))))
    assert dates.accepts(f'"{moment.date().isoformat()}"'.encode())
    assert moments.accepts(f'"{moment.isoformat()}Z"'.encode())


@given(st.integers(1, 9999), st.integers(0, 14), st.integers(0, 33))
def test_dates_that_no_calendar_has_are_not_formats(year, month, day):
    import datetime

    try:
        datetime.date(year, month, day)
        exists = True
    except ValueError:
        exists = False
    dates = from_expression(texts.expression(Strings(patterns=frozenset({("format", "date", True)}))))
    assert dates.accepts(f'"{year:04}-{month:02}-{day:02}"'.encode()) == exists


@pytest.mark.parametrize("name", FORMATS)
def test_no_format_is_empty(name):
    grammar = grammar_of({"type": "string", "format": name})
    assert grammar.rules
    assert not accepts(automaton_of(grammar, BYTES), '"\\u0000"')
