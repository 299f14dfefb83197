"""JSON Schema against the official test suite (draft 2020-12) and the `jsonschema` library."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from oracles.json_texts import Oracle, accepts, automaton_of, some_texts

from smcdsl.errors import CompileError
from smcdsl.notations.json_schema import load_json_schema

DATA = Path(__file__).parent / "data" / "json_schema_suite.json.gz"
Case = dict[str, Any]


def read_cases() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = defaultdict(list)
    for case in json.loads(gzip.decompress(DATA.read_bytes()))["cases"]:
        found[case["file"]].append(case)
    return dict(found)


CASES = read_cases()
ANNOTATION_ONLY = "format"
"""The file that says formats limit nothing; here they do."""

STRUCTURAL = [file for file in CASES if "/" not in file and file != ANNOTATION_ONLY]
OPTIONAL = [file for file in CASES if "/" in file]

SUPPORTED = {"structural": 311, "optional": 46}
"""Cases whose schema becomes a grammar, or is seen to have no value. May only grow."""

SHARES = {"structural": 0.89, "optional": 0.83}
"""Of all cases of the suite, rounded down."""

NARROWER = ("leap second", "address-literal", "maximum label length")
"""What formats leave out, as `docs/notations.md` says."""


def read(case: Case) -> Any:
    """The automaton and the oracle of a case; "nothing" if no value satisfies it, None if it is refused."""
    try:
        grammar = load_json_schema(json.dumps(case["schema"]), name="schema.json")
    except CompileError as error:
        (problem,) = error.diagnostics
        if problem.code == "E0403":
            return "nothing"
        assert problem.code in ("E0418", "E0421"), problem
        assert problem.primary is not None
        return None
    return automaton_of(grammar), Oracle(grammar)


def is_encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def judged(machine: Any, value: Any) -> bool:
    """Whether some order of the members is accepted; the two machines must agree on every text."""
    if machine == "nothing":
        return False
    automaton, oracle = machine
    found = False
    for text in some_texts(value):
        accepted = accepts(automaton, text)
        assert oracle.accepts(text) in (None, accepted), text
        found = found or accepted
    return found


@pytest.mark.parametrize("file", STRUCTURAL)
def test_instances_are_judged_as_the_suite_and_the_library_do(file):
    for case in CASES[file]:
        machine = read(case)
        if machine is None:
            continue
        schema = case["schema"]
        validator = jsonschema.Draft202012Validator(schema)
        for test in case["tests"]:
            where = (case["description"], test["description"])
            assert judged(machine, test["data"]) == test["valid"], where
            assert validator.is_valid(test["data"]) == test["valid"], where


@pytest.mark.parametrize("file", OPTIONAL)
def test_optional_instances_are_judged_as_the_suite_does(file):
    for case in CASES[file]:
        machine = read(case)
        if machine is None:
            continue
        for test in case["tests"]:
            if any(words in test["description"] for words in NARROWER):
                assert not judged(machine, test["data"])
            elif is_encodable(test["data"]):
                assert judged(machine, test["data"]) == test["valid"], (case["description"], test["description"])


def refused(schema: Any) -> bool:
    """Whether a schema is refused; then the message must name a keyword of it, and show where it stands."""
    try:
        load_json_schema(json.dumps(schema))
    except CompileError as error:
        (problem,) = error.diagnostics
        if problem.code == "E0403":  # seen to have no value, which is an answer
            return False
        assert problem.code in ("E0418", "E0421")
        assert problem.primary is not None
        keyword = problem.message.split("`")[1]
        assert f'"{keyword}"' in json.dumps(schema)
        assert problem.primary.text == f'"{keyword}"'
        return True
    return False


@pytest.mark.parametrize(("kind", "files"), [("structural", STRUCTURAL), ("optional", OPTIONAL)])
def test_the_share_of_supported_schemas_does_not_shrink(kind, files):
    schemas = [case["schema"] for file in files for case in CASES[file]]
    supported = len(schemas) - sum(map(refused, schemas))
    assert supported == SUPPORTED[kind]
    assert supported / len(schemas) >= SHARES[kind]
