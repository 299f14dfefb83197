"""`grammars/python.lark`, text by text: what it takes `ast` takes, and what it refuses is wrong or left out."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.vocabulary import Vocabulary
from tests.grammars.python_automata import grammar, parses, refused_at
from tests.oracles.vocabularies import small_vocabulary

BYTES: Vocabulary = small_vocabulary([bytes([byte]) for byte in range(256)])


@cache
def byte_automaton() -> TokenAutomaton:
    tables = compile_grammar(grammar(), BYTES)
    assert tables.deterministic
    assert tables.separable
    return TokenAutomaton(tables, None)


def is_text(text: str) -> bool:
    return refused_at(byte_automaton(), list(text.encode()), 256) is None


TEXTS = Path(__file__).parent / "python_texts"
LEFT_OUT = [
    "if a:\n\tb\n",
    "if a:\n" + 121 * " " + "b\n",
    "x",
    "x  # comment",
    "1if x else 2\n",
    "match (x)\n",
    "match -x:\n    case a: b\n",
    "f'{(lambda: 0)}'\n",
    "x = a\u0301\n",
]


def cases(name: str) -> list[str]:
    """Texts between lines of dashes."""
    return (TEXTS / name).read_text().split("---\n")


@pytest.mark.parametrize("text", cases("right.txt"))
def test_python_is_read(text):
    assert parses(text)
    walked = refused_at(byte_automaton(), list(text.encode()), 256)
    assert walked is None, text.encode()[:walked].decode(errors="replace")[-80:]


@pytest.mark.parametrize(
    "text", (TEXTS / "wrong_lines.txt").read_text().splitlines(keepends=True) + cases("wrong_blocks.txt")
)
def test_what_is_wrong_is_refused(text):
    assert not parses(text)
    assert not is_text(text)


@pytest.mark.parametrize("text", LEFT_OUT)
def test_what_is_left_out_is_refused(text):
    assert parses(text)
    assert not is_text(text)


def test_sites_are_statements_expressions_and_blocks():
    text = b"if a:\n    b = f(c); d\nx\n"
    sites = byte_automaton().sites(text, True)
    assert sorted((site.rule, text[site.start : site.end].decode()) for site in sites) == [
        ("block", "\n    b = f(c); d\n"),
        ("expr", "a"),
        ("expr", "d"),
        ("expr", "f(c)"),
        ("expr", "x"),
        ("statement", "b = f(c)"),
        ("statement", "d"),
        ("statement", "if a:\n    b = f(c); d\n"),
        ("statement", "x"),
    ]
