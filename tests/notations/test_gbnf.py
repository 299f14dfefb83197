"""GBNF: random grammars against Python's `re`, well-known kinds of grammars, and what is refused."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.json_texts import accepts, automaton_of
from oracles.work import limited_work

from smcdsl.compiler.analyze import check_grammar
from smcdsl.compiler.dfa import from_expression
from smcdsl.errors import CompileError, Diagnostic
from smcdsl.notations.gbnf import load_gbnf


def is_text(grammar: str, text: str, start: str = "root") -> bool:
    return accepts(automaton_of(load_gbnf(grammar, start=start)), text)


# ---- random grammars, written twice: as GBNF and as a pattern of Python

CHARACTERS = 'ab"\\]^-é\n\t😀'
_SPELLINGS = {'"': ['\\"'], "\\": ["\\\\"], "]": ["\\]"], "\n": ["\\n", "\\x0A", "\\u000a"], "\t": ["\\t", "\t"]}


def spellings(character: str, in_class: bool) -> st.SearchStrategy[str]:
    code = ord(character)
    found = list(_SPELLINGS.get(character, [character]))
    if in_class and character in "^-":
        found = []
    if not in_class and character == "]":
        found.append("]")
    found += (
        [f"\\U{code:08x}"] + ([f"\\u{code:04X}"] if code < 0x10000 else []) + ([f"\\x{code:02x}"] if code < 256 else [])
    )
    return st.sampled_from(found)


def literal(text: str) -> st.SearchStrategy[tuple[str, str]]:
    pieces = st.tuples(*(spellings(character, False) for character in text)).map("".join)
    return pieces.map(lambda inside: (f'"{inside}"', f"(?:{re.escape(text)})"))


@st.composite
def classes(draw: st.DrawFn) -> tuple[str, str]:
    negated = "^" if draw(st.booleans()) else ""
    ours, theirs = "", ""
    for _ in range(draw(st.integers(1, 3))):
        first, last = sorted((draw(st.sampled_from(CHARACTERS)), draw(st.sampled_from(CHARACTERS))))
        ours += draw(spellings(first, True))
        theirs += f"\\U{ord(first):08x}"
        if draw(st.booleans()):
            ours += "-" + draw(spellings(last, True))
            theirs += f"-\\U{ord(last):08x}"
    return f"[{negated}{ours}]", f"[{negated}{theirs}]"


leaves = st.one_of(
    st.text(CHARACTERS, max_size=3).flatmap(literal), classes(), st.just((".", "(?s:.)")), st.just(("item", "(?:a|bb)"))
)
quantifiers = st.sampled_from(
    [("", ""), ("*", "*"), ("+", "+"), ("?", "?"), ("{2}", "{2}"), ("{1,}", "{1,}"), ("{0,2}", "{0,2}")]
)
gaps = st.sampled_from([" ", "\n ", " # a comment\n\t", "\r\n"])


def larger(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
    def group(parts: list[list[tuple[str, str]]], gap: str, quantifier: tuple[str, str]) -> tuple[str, str]:
        ours = f"{gap}|{gap}".join(gap.join(part for part, _ in sequence) for sequence in parts)
        theirs = "|".join("".join(part for _, part in sequence) for sequence in parts)
        return f"({gap}{ours}{gap}){quantifier[0]}", f"(?:{theirs}){quantifier[1]}"

    return st.builds(group, st.lists(st.lists(inner, max_size=3), min_size=1, max_size=3), gaps, quantifiers)


expressions = st.recursive(leaves, larger, max_leaves=6)


@settings(max_examples=200)
@given(expressions, quantifiers, st.lists(st.text(CHARACTERS, max_size=5), max_size=10))
def test_a_grammar_accepts_what_its_pattern_matches(expression, quantifier, candidates):
    ours, theirs = expression
    grammar = load_gbnf(f'item ::= "a" | # either\n  "bb"\nroot ::= {ours}{quantifier[0]}\n\n# the end')
    dfa = from_expression(grammar.rules["root"], grammar.rules)
    pattern = re.compile(f"(?:{theirs}){quantifier[1]}")
    for text in candidates:
        assert dfa.accepts(text.encode()) == bool(pattern.fullmatch(text)), text


# ---- kinds of grammars that people write

JSON = r"""
# Any JSON text.
root    ::= ws value ws
value   ::= object | array | string | number | ("true" | "false" | "null")
object  ::= "{" ws ( pair ( ws "," ws pair )* )? ws "}"
pair    ::= string ws ":" ws value
array   ::=
  "[" ws (
    value (ws "," ws value)*
  )? ws "]"
string  ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4}) )* "\""
number  ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]+)? ([eE] [-+]? [0-9]{1,3})?
ws      ::= [ \t\n\r]*
"""

SUMS = """
root   ::= (sum "=" ws number "\\n")+
sum    ::= sum [-+] ws product | product   # left recursion
product::= product [*/] ws atom | atom
atom   ::= number ws | "(" ws sum ")" ws
number ::= [0-9]+
ws     ::= " "*
"""

GAME = """root ::= turn{1,3}
turn ::= [1-9] [0-9]? ". " half-move " " half-move "\\n"
half-move ::= (piece | pawn | "O-O" "-O"?) [+#]?
piece ::= [NBKQR] [a-h]? [1-8]? "x"? square
pawn ::= ([a-h] "x")? square ("=" [NBQR])?
square ::= [a-h] [1-8]
"""

LIST = 'root ::= ("- " line)+\nline ::= [^\\r\\n\\u2028\\u2029\\x0b\\x0c\\u0085]+ "\\n"'
JAPANESE = 'root ::= jp (" " jp)*\njp ::= [ぁ-ゟ]+ | [\\u30A1-\\u30ff]+ | [一-\\u9fff]+'


@pytest.mark.parametrize(
    ("grammar", "text", "accepted"),
    [
        (JSON, '{"a": [1, -2.5e+3, "\\u00e9\\n", {}], "b":null}', True),
        (JSON, " [ ] ", True),
        (JSON, "01", False),
        (JSON, '"\n"', False),
        (JSON, "[1,]", False),
        (SUMS, "1+2*(3 - 4)= 5\n", True),
        (SUMS, "1+2=3\n4/5=6\n", True),
        (SUMS, "1+=3\n", False),
        (GAME, "1. e4 e5\n2. Nf3 O-O-O+\n", True),
        (GAME, "1. e9 e5\n", False),
        (GAME, "1. e4 e5\n" * 4, False),
        (LIST, "- one\n- zwei ☃\n", True),
        (LIST, "- one\x85\n", False),
        (JAPANESE, "ひらがな カタカナ 漢字", True),
        (JAPANESE, "latin", False),
    ],
)
def test_grammars_of_known_kinds(grammar, text, accepted):
    assert is_text(grammar, text) == accepted


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=4),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
        max_leaves=6,
    )
)
def test_the_grammar_of_json_accepts_json(value):
    assert is_text(JSON, json.dumps(value))


@pytest.mark.parametrize(
    ("grammar", "texts", "others"),
    [
        ('root ::= "a" "b"?\n', ["a", "ab"], ["b", ""]),
        ('root ::=\n  "a" |\n  "b"', ["a", "b"], ["ab"]),
        ('root ::= "a"\n  | "b"', ["a", "b"], ["ab"]),
        ('root ::= ("a"\n  "b"\n)', ["ab"], ["a"]),
        ('root ::= "a" | ', ["a", ""], ["b"]),
        ('root ::= "" | "x" root', ["", "xx"], ["y"]),
        ('root ::= "two\nlines"', ["two\nlines"], ["two"]),
        ("root ::= .", ["\n", "é"], ["", "ab"]),
        ("root ::= [^]", ["]", "\n"], [""]),
        ("root ::= [a-]", ["a", "-"], ["b"]),
        ("root ::= [\\]\\[\\-\\^]+", ["]", "[", "-", "^"], ["\\"]),
        ("root ::= [x^]", ["x", "^"], ["y"]),
        ('root ::= "a"{ 2 , 3 }', ["aa", "aaa"], ["a", "aaaa"]),
        ('root ::= "a"{2,}?', ["", "aa", "aaaaa"], ["a"]),
        ('root::="a"#c', ["a"], []),
        ('a-1 ::= "x"\nroot ::= a-1 a-1', ["xx"], ["x"]),
        ('root ::= "\\x41\\u00e9\\U0001F600"', ["Aé😀"], []),
    ],
)
def test_layout_and_operators(grammar, texts, others):
    assert all(is_text(grammar, text) for text in texts)
    assert not any(is_text(grammar, text) for text in others)


def test_rules_are_boundaries_under_names_that_programs_can_write():
    grammar = load_gbnf('root ::= half-move end\nhalf-move ::= "a"\nend ::= "b"')
    assert grammar.boundaries == ("root", "half_move")
    assert grammar.boundary_of == {"half-move": "half_move"}
    assert load_gbnf('root ::= "a"\nother ::= "b"', start="other").start == "other"


# ---- refusals


@pytest.mark.parametrize(
    ("grammar", "code", "words", "marked"),
    [
        ('root ::= "a', "E0422", "this text does not end", '"a'),
        ('root ::= "a\nother ::= b', "E0422", "this text does not end", '"a'),
        ("root ::= [a-z", "E0422", "this class does not end", "["),
        ("root ::= [z-a]", "E0422", "out of order", "[z-a"),
        ('root ::= ("a"', "E0422", "expected `)`", ""),
        ('root ::= "a")', "E0422", "unexpected `)`", ")"),
        ("root = x", "E0422", "expected `::=`", "="),
        ('::= "a"', "E0422", "a rule's name", ":"),
        ("root ::= * ", "E0422", "nothing to repeat", "*"),
        ('root ::= "a"{3,2}', "E0422", "out of order", "{3,2}"),
        ('root ::= "a"{x}', "E0422", "expected counts", "{"),
        ('root ::= "a"{99999}', "E0422", "repetitions", "{99999}"),
        ('root ::= "\\q"', "E0422", "`\\q` is not an escape", "\\q"),
        ('root ::= "\\x4"', "E0422", "`\\x` is not an escape", "\\x"),
        ('root ::= "\\ud800"', "E0422", "`\\u` is not an escape", "\\u"),
        ('root ::= "\\U00110000"', "E0422", "`\\U` is not an escape", "\\U"),
        ("root ::= <think> .*", "E0422", "tokens of a vocabulary", "<"),
        ("root ::= !<[1000]>", "E0422", "tokens of a vocabulary", "!"),
        ('root ::= "a"\nroot ::= "b"', "E0422", "defined twice", "root"),
        ('start ::= "a"', "E0422", "no rule `root`", None),
        ("", "E0422", "no rule `root`", None),
        ('root ::= iten\nitem ::= "a"', "E0401", "rule `iten` is not defined", "iten"),
    ],
)
def test_what_cannot_be_read_is_shown(grammar, code, words, marked):
    with pytest.raises(CompileError) as caught:
        load_gbnf(grammar)
    problem = caught.value.diagnostics[0]
    assert problem.code == code
    assert words in problem.message + "".join(label.text for label in problem.labels)
    assert (problem.primary.text if problem.primary else None) == marked


@given(st.text('ab"[](){}|*+?.^-\\:=#<> \n09root', max_size=30))
def test_reading_is_total(text):
    codes = {problem.code for problem in problems_of(f"root ::= {text}")}
    assert codes <= {"E0401", "E0402", "E0403", "E0422"}


def problems_of(grammar: str) -> list[Diagnostic]:
    try:
        return check_grammar(load_gbnf(grammar))
    except CompileError as error:
        return list(error.diagnostics)


@pytest.mark.parametrize(
    "grammar",
    [
        "root ::= " + "(" * 5000 + '"a"' + ")" * 5000,
        "root ::= " + "(" * 300 + '"a"' + ")?" * 300,
        'root ::= "a"' + "?" * 5000,
        'root ::= "a"' + "{1,2}" * 500,
        "root ::= [" + "a-z" * 10_000 + "]",
        'root ::= "' + "a" * 10_000 + '"',
        "root ::= r0\n" + "".join(f"r{i} ::= r{i + 1}\n" for i in range(1200)) + 'r1200 ::= "a"',
        "root ::= root root | root",
        "root ::= r0\n" + "".join(f'r{i} ::= "x" r{i + 1} | "y"\n' for i in range(1000)) + 'r1000 ::= "a"',
        "root ::= " + " | ".join(f'"{i}"' for i in range(5000)),
    ],
)
def test_hostile_grammars_are_read_or_refused_with_little_work(grammar):
    with limited_work(2_000_000):
        problems = problems_of(grammar)
    assert all(problem.code.startswith("E04") for problem in problems)
