"""Diagnostics for other programs: SARIF and GitHub's workflow commands."""

from __future__ import annotations

import re
from urllib.parse import unquote

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.errors import Diagnostic, Edit, Label, Source, Span
from smcdsl.report.outputs import github, sarif

TEXT = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string"}, "markdown": {"type": "string"}},
}
REGION = {
    "type": "object",
    "required": ["startLine"],
    "additionalProperties": False,
    "properties": {
        name: {"type": "integer", "minimum": 1} for name in ("startLine", "startColumn", "endLine", "endColumn")
    },
}
ARTIFACT = {
    "type": "object",
    "required": ["uri"],
    "additionalProperties": False,
    "properties": {"uri": {"type": "string", "pattern": r"^(file:///|\./)?[A-Za-z0-9\-._~!$&'()*+,;=:@/%]*$"}},
}
LOCATION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["physicalLocation"],
    "properties": {
        "id": {"type": "integer", "minimum": -1},
        "message": TEXT,
        "physicalLocation": {
            "type": "object",
            "required": ["artifactLocation"],
            "additionalProperties": False,
            "properties": {"artifactLocation": ARTIFACT, "region": REGION},
        },
    },
}
LEVEL = {"enum": ["none", "note", "warning", "error"]}
RULE = {
    "type": "object",
    "required": ["id"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string"},
        "shortDescription": TEXT,
        "help": TEXT,
        "defaultConfiguration": {"type": "object", "additionalProperties": False, "properties": {"level": LEVEL}},
    },
}
REPLACEMENT = {
    "type": "object",
    "required": ["deletedRegion"],
    "additionalProperties": False,
    "properties": {"deletedRegion": REGION, "insertedContent": TEXT},
}
CHANGE = {
    "type": "object",
    "required": ["artifactLocation", "replacements"],
    "additionalProperties": False,
    "properties": {
        "artifactLocation": ARTIFACT,
        "replacements": {"type": "array", "minItems": 1, "items": REPLACEMENT},
    },
}
FIX = {
    "type": "object",
    "required": ["artifactChanges"],
    "additionalProperties": False,
    "properties": {
        "description": TEXT,
        "artifactChanges": {"type": "array", "minItems": 1, "uniqueItems": True, "items": CHANGE},
    },
}
RESULT = {
    "type": "object",
    "required": ["message"],
    "additionalProperties": False,
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "level": LEVEL,
        "message": TEXT,
        "locations": {"type": "array", "items": LOCATION},
        "relatedLocations": {"type": "array", "uniqueItems": True, "items": LOCATION},
        "fixes": {"type": "array", "uniqueItems": True, "items": FIX},
    },
}
DRIVER = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "rules": {"type": "array", "uniqueItems": True, "items": RULE},
    },
}
RUN = {
    "type": "object",
    "required": ["tool"],
    "additionalProperties": False,
    "properties": {
        "tool": {
            "type": "object",
            "required": ["driver"],
            "additionalProperties": False,
            "properties": {"driver": DRIVER},
        },
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "results": {"type": "array", "items": RESULT},
    },
}
SCHEMA = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN},
    },
}
"""What SARIF 2.1.0 (OASIS, sections 3.13 to 3.57) says of the parts that are used here, and nothing beside them."""

VALIDATOR = jsonschema.Draft7Validator(SCHEMA)

SOURCE = Source("my query,1:2.smc", "smc 1\nlet 𝒙 = requires\nmore\n")
SPAN = Span(SOURCE, SOURCE.text.index("requires"), SOURCE.text.index("\nmore"))
DIAGNOSTIC = Diagnostic(
    "E0109",
    "`requires` is 100% not a statement",
    (Label(SPAN, "did you mean `require`?", True), Label(Span(SOURCE, 0, 3), "here")),
    notes=("a note",),
    fixes=(Edit(SPAN, "require"),),
)
NOWHERE = Diagnostic("E0801", "no value\nfor `x`", context="command line", help="add it")
UNSHOWN = Diagnostic("W0208", "hidden", (Label(Span(Source("a.lark:3", ""), 0, 0), "", True),))

texts = st.text(max_size=20)


@st.composite
def diagnostics(draw: st.DrawFn) -> Diagnostic:
    source = Source(draw(texts), draw(texts))
    places = st.tuples(st.integers(0, len(source.text)), st.integers(0, len(source.text))).map(sorted)
    spans = draw(st.lists(places, max_size=3))
    labels = tuple(Label(Span(source, *place), draw(texts), not index) for index, place in enumerate(spans))
    fixes = tuple(Edit(Span(source, *place), draw(texts)) for place in spans[:1])
    code = draw(st.sampled_from(["E0101", "W0603", "E9999"]))
    return Diagnostic(code, draw(texts), labels, draw(st.tuples(texts)), draw(texts), fixes, draw(texts))


@settings(max_examples=15)
@given(st.lists(diagnostics(), max_size=2))
def test_sarif_is_as_the_standard_says(found):
    log = sarif(found, "1.0")
    VALIDATOR.validate(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len(run["results"]) == len(found)
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]


def test_sarif_says_where_and_what_to_change():
    (result,) = sarif([DIAGNOSTIC], "1.0")["runs"][0]["results"]
    assert result["level"] == "error"
    assert result["message"]["text"] == ("`requires` is 100% not a statement\ndid you mean `require`?\nnote: a note")
    place = result["locations"][0]["physicalLocation"]
    assert unquote(place["artifactLocation"]["uri"]) == "./my query,1:2.smc"
    # The letter before it is two units of UTF-16.
    region = {"startLine": 2, "startColumn": 10, "endLine": 2, "endColumn": 18}
    assert place["region"] == region
    (replacement,) = result["fixes"][0]["artifactChanges"][0]["replacements"]
    assert replacement == {"deletedRegion": region, "insertedContent": {"text": "require"}}
    assert result["relatedLocations"][0]["message"] == {"text": "here"}


def test_sarif_rules_carry_their_pages():
    (rule,) = sarif([DIAGNOSTIC, DIAGNOSTIC], "1.0")["runs"][0]["tool"]["driver"]["rules"]
    assert rule["help"]["markdown"].startswith("# E0109: ")
    assert rule["defaultConfiguration"] == {"level": "error"}


def test_what_has_no_place_has_no_region():
    results = sarif([NOWHERE, UNSHOWN], "1.0")["runs"][0]["results"]
    assert results[0]["locations"] == []
    assert list(results[1]["locations"][0]["physicalLocation"]) == ["artifactLocation"]


def test_sarif_paths_may_be_absolute():
    span = Span(Source("/a b/c.smc", "x"), 0, 1)
    (result,) = sarif([Diagnostic("E0101", "m", (Label(span),))], "1.0")["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "file:///a%20b/c.smc"


def test_github_commands_are_escaped():
    assert github(DIAGNOSTIC) == (
        "::error file=my query%2C1%3A2.smc,line=2,col=9,endColumn=16,title=E0109"
        "::`requires` is 100%25 not a statement%0Adid you mean `require`?"
    )
    assert github(NOWHERE) == "::error title=E0801::no value%0Afor `x`%0Ahelp: add it"
    assert github(UNSHOWN).startswith("::warning file=a.lark%3A3,")


@settings(max_examples=40)
@given(diagnostics())
def test_a_github_command_is_one_line_that_can_be_read_back(diagnostic):
    line = github(diagnostic)
    assert line.isprintable() or " " in line
    assert not re.search(r"[\x00-\x1f\x7f]", line)
    head, _, data = line.removeprefix("::").partition("::")
    kind, _, properties = head.partition(" ")
    assert kind == diagnostic.severity
    fields = dict(pair.split("=", 1) for pair in properties.split(","))
    assert fields["title"] == diagnostic.code
    assert data.replace("%0D", "").replace("%0A", "").replace("%25", "").count("%") == 0


@pytest.mark.parametrize("name", ["a\nb.smc", "-x.smc", "a b.smc", "é.smc", "c:d.smc"])
def test_odd_file_names_make_valid_references(name):
    span = Span(Source(name, "x"), 0, 1)
    log = sarif([Diagnostic("E0101", "m", (Label(span),))], "1.0")
    VALIDATOR.validate(log)
    uri = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri).removeprefix("./") == name
