"""`docs/notations.md` says what is so: its examples run, its lists are complete."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from oracles.json_texts import accepts, automaton_of

import smcdsl
from smcdsl.errors import CompileError
from smcdsl.notations.gbnf import load_gbnf
from smcdsl.notations.json_schema import load_json_schema
from smcdsl.notations.json_schema.expansion import ANNOTATIONS
from smcdsl.notations.json_schema.formats import FORMATS, HINTS, INTEGER_RANGES
from smcdsl.notations.json_schema.keywords import KEYWORDS, PARTNERS
from smcdsl.program.grammar import Grammar

PAGE = (Path(__file__).parents[2] / "docs" / "notations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
PAIRS = list(pairwise(BLOCKS))


def read(kind: str, text: str) -> Grammar:
    return load_gbnf(text) if kind == "gbnf" else load_json_schema(text)


def test_every_block_is_of_a_known_kind():
    assert [kind for kind, _ in BLOCKS] == ["smc", "gbnf", "texts", "json", "texts", "json", "refused"]


@pytest.mark.parametrize("source", [text for kind, text in BLOCKS if kind == "smc"])
def test_programs_compile(source):
    assert smcdsl.compile(source)


@pytest.mark.parametrize(("grammar", "texts"), [pair for pair in PAIRS if pair[1][0] == "texts"])
def test_texts_are_judged_as_shown(grammar, texts):
    automaton = automaton_of(read(*grammar))
    for line in texts[1].splitlines():
        answer, text = line.split(maxsplit=1)
        found = accepts(automaton, json.loads(text) if grammar[0] == "gbnf" else text)
        assert found == {"yes": True, "no": False}[answer], line


@pytest.mark.parametrize(("grammar", "refusal"), [pair for pair in PAIRS if pair[1][0] == "refused"])
def test_refusals_are_as_shown(grammar, refusal):
    code, keyword = refusal[1].split()
    with pytest.raises(CompileError) as caught:
        read(*grammar)
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    assert f"`{keyword}`" in problem.message


def test_all_keywords_and_formats_are_listed():
    named = set(re.findall(r"`([^`\s]+)`", PAGE))
    assert KEYWORDS.keys() | PARTNERS.keys() <= named
    assert FORMATS.keys() | HINTS | INTEGER_RANGES.keys() <= named


@pytest.mark.parametrize(
    "name", ["idn-email", "idn-hostname", "iri", "iri-reference", "uri-template", "regex", "phone"]
)
def test_other_formats_are_refused(name):
    with pytest.raises(CompileError) as caught:
        load_json_schema(json.dumps({"format": name}))
    assert caught.value.diagnostics[0].code == "E0418"


def test_annotations_are_passed_over():
    schema = {"type": "null", "x-note": 1} | {
        name: {} for name in ("title", "default", "examples") if name in ANNOTATIONS
    }
    assert accepts(automaton_of(load_json_schema(json.dumps(schema))), "null")
