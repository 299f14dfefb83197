"""Sites: lark's own parse trees, certainty on prefixes, and derivations where no parser table decides."""

import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles.languages import all_rules
from oracles.masks import allowed, step
from oracles.vocabularies import small_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1] / "grammars"))
sys.path.insert(0, str(Path(__file__).parents[1] / "compiler"))

from grammar_strategies import ALPHABET, grammars
from lark_reading import LarkReading
from test_masks_lexed import IGNORED, LETTERS, completion, rule_sets, written

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Difference,
    Embedded,
    Grammar,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
)

SQL = files("smcdsl.grammars").joinpath("sql.lark").read_text(encoding="utf-8")
QUERIES = [
    "SELECT T1.name, count(*) FROM singer AS T1 WHERE T1.country = 'Fr' AND x IN (SELECT y FROM z) LIMIT 5",
    "select a , b from t order by a desc",
    "SELECT CASE WHEN a > 1.5 THEN 'x' ELSE NULL END FROM (SELECT 1 AS a) AS s JOIN u USING (a)",
]
BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])


def notice(automaton, state, token, text=b""):
    bits = int(automaton.noticed(np.array([state]), np.array([token]), lambda _: text)[0])
    return {rule for i, rule in enumerate(automaton.boundaries) if bits >> i & 1}


NUMBERS = """// smcdsl: lexing %s
// smcdsl: boundaries one two
start: one+ | two ";" start
one: NUMBER? DOT
two: NUMBER NUMBER
NUMBER: /1+(\\.1+)?/
DOT: "."
%%ignore " "
"""
RELATED = {
    "sql": (load_lark(SQL, name="sql", start="select"), QUERIES),
    "lexemes": (load_lark(NUMBERS % "longest"), ["1.1.", "1. .", "11 1;1.", "1 1;.", "1.1 .", "1 11;1.1.", "111."]),
    "contextual": (load_lark(NUMBERS % "contextual"), ["1.1.", "1. .", "11 1;1.", "1 1;.", "1.1 .", "1 11;1.1."]),
}
"""Texts with beginnings in common whose lexemes are other ones."""


@pytest.mark.parametrize("text", QUERIES)
def test_sql_sites_are_the_nodes_of_larks_tree(text):
    grammar = load_lark(SQL, name="sql", start="select")
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    rules = set(grammar.boundaries) & set(grammar.rules)
    found = [(s.rule, text.encode()[s.start : s.end].decode()) for s in automaton.sites(text.encode(), True)]
    expected = LarkReading(grammar).sites(text, rules)
    assert Counter(pair for pair in found if pair[0] in rules) == Counter(expected)


@pytest.mark.parametrize("text", QUERIES)
def test_sql_sites_are_noticed_when_they_become_certain(text):
    grammar = load_lark(SQL, name="sql", start="select")
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    final = set(automaton.sites(text.encode(), True))
    state, before = automaton.start, set()
    for end in range(1, len(text) + 1):
        token = text.encode()[end - 1]
        after = set(automaton.sites(text.encode()[:end], False))
        assert before <= after <= final
        assert notice(automaton, state, token) == {site.rule for site in after - before}
        state, before = step(automaton, state, token), after
    assert before


@pytest.mark.parametrize("policy", ["longest", "contextual"])
@settings(max_examples=60, deadline=None)
@given(data=st.data(), rules=rule_sets, ignored=st.sampled_from(IGNORED))
def test_certain_sites_are_sites_of_every_completion(data, policy, rules, ignored):
    text = f"// smcdsl: lexing {policy}\n// smcdsl: boundaries start one two\n" + written(rules, ignored, {})
    longer = data.draw(st.lists(st.text(LETTERS, min_size=2, max_size=4).map(str.encode), max_size=6))
    vocabulary = small_vocabulary([*(letter.encode() for letter in LETTERS), *longer])
    try:
        automaton = TokenAutomaton(compile_grammar(load_lark(text, name="g", start="start"), vocabulary), None)
    except CompileError:
        assume(False)
    assume(automaton.tables.deterministic and automaton.tables.separable)
    state, so_far, before = automaton.start, b"", set(automaton.sites(b"", False))
    for _ in range(6):
        mask = sorted(allowed(automaton, state, len(vocabulary)) - set(vocabulary.end_of_turn))
        if not mask:
            break
        token = data.draw(st.sampled_from(mask))
        seen = notice(automaton, state, token)
        state, so_far = step(automaton, state, token), so_far + vocabulary.token_bytes[token]
        certain = set(automaton.sites(so_far, False))
        assert before <= certain
        assert {site.rule for site in certain - before} <= seen
        rest = completion(automaton, state, vocabulary)
        if rest is not None:
            assert certain <= set(automaton.sites(so_far + rest, True))
        before = certain


@pytest.mark.parametrize("source", ["sql", "lexemes", "contextual"])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_sites_do_not_depend_on_what_was_read_before(data, source):
    """Beginnings of related texts in any order, against a finder that has read none."""
    grammar, texts = RELATED[source]
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    fresh = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    for _ in range(12):
        text = data.draw(st.sampled_from(texts)).encode()
        end = data.draw(st.integers(0, len(text)))
        fresh._sites._parser._read.forget()
        assert automaton.sites(text[:end], False) == fresh.sites(text[:end], False), text[:end]
        fresh._sites._parser._read.forget()
        assert automaton.sites(text, True) == fresh.sites(text, True)


@pytest.mark.parametrize("policy", ["longest", "contextual"])
@pytest.mark.parametrize("token", [" ", " ."])
def test_sites_are_noticed_when_a_longer_lexeme_turns_out_not_to_come(policy, token):
    # After `1.` the number may go on; a blank says that the dot was a lexeme, and all of `one` is certain.
    text = f"// smcdsl: lexing {policy}\n// smcdsl: boundaries one\n"
    text += 'start: one+\none: NUMBER? DOT\nNUMBER: /1+(\\.1+)?/\nDOT: "."\n%ignore " "\n'
    vocabulary = small_vocabulary([b"1", b".", b" ", b" ."])
    automaton = TokenAutomaton(compile_grammar(load_lark(text, name="g", start="start"), vocabulary), None)
    state = automaton.start
    for byte in b"1.":
        state = step(automaton, state, vocabulary.token_bytes.index(bytes([byte])))
    assert automaton.sites(b"1.", False) == ()
    assert automaton.sites(b"1." + token.encode(), False)[0] == ("one", 0, 2)
    assert notice(automaton, state, vocabulary.token_bytes.index(token.encode())) == {"one"}


def test_a_lexeme_that_can_only_go_on_makes_sites_certain():
    # After `.1` the dot was no lexeme, although it is one and `.1.1` is not complete.
    text = "// smcdsl: lexing contextual\n// smcdsl: boundaries two\n"
    text += 'start: DOTS | two LONG | DOT A\ntwo: A?\nDOTS: ".."\nLONG: ".1.1"\nDOT: "."\nA: "a"\n'
    vocabulary = small_vocabulary([b".", b"1", b"a"])
    automaton = TokenAutomaton(compile_grammar(load_lark(text, name="g", start="start"), vocabulary), None)
    dot = step(automaton, automaton.start, 0)
    assert automaton.sites(b".", False) == ()
    assert notice(automaton, dot, 1) == {"two"}
    assert automaton.sites(b".1", False) == (("two", 0, 0),)


def inline(**rules):
    return Grammar("g", "start", rules, boundaries=tuple(rules))


def ref(name):
    return Reference((name,))


def found(grammar, text):
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    return [(site.rule, text[site.start : site.end].decode()) for site in automaton.sites(text, True)]


def test_regular_grammars_have_sites_too():
    extra = Difference(ref("drink"), LiteralText("decaf"))
    grammar = inline(
        start=Concatenation((ref("size"), LiteralText(" "), ref("drink"), Repeat(ref("more"), 0, None))),
        more=Concatenation((LiteralText(" with "), ref("extra"))),
        size=Alternatives((LiteralText("small"), LiteralText("large"))),
        drink=Pattern("[a-z]{3,12}"),
        extra=extra,
    )
    assert found(grammar, b"small tea with milk") == [
        ("size", "small"),
        ("drink", "tea"),
        ("drink", "milk"),
        ("extra", "milk"),
        ("more", " with milk"),
        ("start", "small tea with milk"),
    ]


def test_the_leftmost_longest_derivation_is_taken():
    grammar = inline(start=Concatenation((ref("x"), ref("y"))), x=Pattern("a+"), y=Pattern("a*b?"))
    assert Counter(found(grammar, b"aaa")) == Counter([("x", "aaa"), ("y", ""), ("start", "aaa")])


def test_left_recursion_and_cycles_have_derivations():
    grammar = inline(
        start=Alternatives((Concatenation((ref("start"), LiteralText("+"), ref("n"))), ref("n"), ref("start"))),
        n=Pattern("[0-9]"),
    )
    assert Counter(found(grammar, b"1+2+3")) == Counter(
        [("n", "1"), ("n", "2"), ("n", "3"), ("start", "1"), ("start", "1+2"), ("start", "1+2+3")]
    )


def test_nested_brackets_have_all_their_sites():
    grammar = inline(
        start=Alternatives((Concatenation((LiteralText("("), ref("start"), LiteralText(")"))), ref("atom"))),
        atom=Pattern("[a-z]*"),
    )
    assert Counter(found(grammar, b"((ab))")) == Counter(
        [("atom", "ab"), ("start", "ab"), ("start", "(ab)"), ("start", "((ab))")]
    )


def test_sites_of_inline_grammars_come_at_the_end():
    grammar = inline(start=Concatenation((ref("x"), LiteralText("!"))), x=Pattern("a+"))
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    assert automaton.sites(b"aa", False) == ()
    assert notice(automaton, automaton.start, ord("a")) == set()


def test_embedded_grammars_are_read_by_their_own_lexer():
    text = 'start: item ("+" item)*\nitem: NAME\nNAME: /[a-z]+/\n%ignore " "\n'
    inner = load_lark(text, name="inner", start="start")
    grammar = Grammar(
        "g",
        "start",
        {
            "start": Concatenation((LiteralText("```\n"), ref("body"), LiteralText("\n```"))),
            "body": Repeat(Embedded(inner), 1, 2),
        },
        boundaries=("start", "body", "item"),
    )
    text = b"```\na +  b\n```"
    assert found(grammar, text) == [
        ("item", "a"),
        ("item", "b"),
        ("body", "a +  b"),
        ("start", text.decode()),
    ]
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    state = automaton.start
    for byte in b"```\na ":
        state = step(automaton, state, byte)
    assert allowed(automaton, state, len(BYTES)) == {*b" +\n", *range(ord("a"), ord("z") + 1)}


@settings(max_examples=80, deadline=None)
@given(grammar=grammars())
def test_sites_of_inline_grammars_are_texts_of_their_rules(grammar):
    texts = all_rules(grammar.rules, ALPHABET, 4)
    try:
        automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    except CompileError:
        assert not texts["start"]
        return
    for text in sorted(texts["start"])[:40]:
        sites = automaton.sites(text.encode(), True)
        assert ("start", 0, len(text)) in sites
        for site in sites:
            assert text[site.start : site.end] in texts[site.rule]
        assert [site.end for site in sites] == sorted(site.end for site in sites)
