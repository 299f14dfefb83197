"""Regular expressions that mean harm end in an automaton or a refusal, with little work and memory."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.work import limited_work

from smcdsl.compiler.dfa import TooLarge, from_expression, from_tree, is_empty, pattern_dfa
from smcdsl.compiler.regex import RegexError, parse
from smcdsl.program.grammar import Alternatives, Difference, Intersection, LiteralText, Pattern, Reference, Repeat

ANSWERED = {
    r"(a+)+$": "a" * 50,
    r"((((((((((x*)*)*)*)*)*)*)*)*)*)*": "x" * 50,
    r"(?:){1000000}": "",
    r"(?:(?:){1000000}){1000000}": "",
    r"(\w|\d|\S){500}": "a" * 500,
    r"(.*a){30}": "ba" * 30,
    r"[\s\S]{1000}": "é" * 1000,
    "[" + "".join(map(chr, range(0x4E00, 0x9F00, 2))) + "]": "丂",
    r"(?i)[\u0000-\U0010ffff]": "ß",
    "|".join(f"word{number}" for number in range(5000)): "word4999",
    "a" * 5000: "a" * 5000,
    r"x{0,5000}": "x" * 5000,
}
LIMIT = 5000
"""States, a twentieth of what is allowed otherwise: work grows with the limit, whatever the pattern."""

REFUSED = [
    r"(a|b)*a(a|b){24}",
    r"((a{1,1000}){1,1000}){1,1000}",
    r"(?:(?:a{1000}){1000}){1000}",
    r"(?:(?:(?:(?:(?:a?){100}){100}){100}){100}){100}",
    r"a{999999999}",
    r"\w{1000}",
    r"(?i)\w{300}x\w{300}",
    r".*a.{20}",
    r"(a?){2000}a{2000}",
    r"(?:.{0,50}a){0,50}",
    r"(?:[^\W]{0,30}|[\d_]{0,40}|é{1,20}){0,40}",
    r"(?:^|$|a){3000}",
    r"(.*)(.*)(.*)(.*)(.*)(.*)[^a]{500}",
    r"((x{0,100})*y){0,300}",
    "(" * 5000 + ")" * 5000,
    "(?:" * 5000 + "a" + ")*" * 5000,
    "a{1000}{1000}",
    "a{99999999999999999999}",
]


@pytest.mark.parametrize("pattern", ANSWERED)
def test_patterns_that_only_look_bad_have_an_automaton(pattern):
    with limited_work():
        dfa = pattern_dfa.__wrapped__(pattern)
    assert dfa.accepts(ANSWERED[pattern].encode())
    assert not is_empty(dfa)


@pytest.mark.parametrize("pattern", REFUSED)
def test_patterns_that_need_too_many_states_are_refused(pattern):
    with limited_work(1_000_000, 20_000_000), pytest.raises((TooLarge, RegexError)):
        from_tree(parse.__wrapped__(pattern), LIMIT)


@pytest.mark.parametrize(
    "expression",
    [
        Repeat(Repeat(Repeat(LiteralText("a"), 1000, 1000), 1000, 1000), 1000, 1000),
        Intersection(Pattern("(.{97})*"), Pattern("(.{89}..){0,900}")),
        Intersection(Pattern("(a{397})*"), Pattern("(a{389})*")),
        Difference(Pattern(".{0,300}"), Pattern(".*a.{12}")),
        Alternatives(tuple(Pattern(f"(?:.*{chr(97 + i)}.*){{2}}") for i in range(24))),
    ],
)
def test_expressions_that_need_too_many_states_are_refused(expression):
    with limited_work(1_000_000, 20_000_000), pytest.raises(TooLarge):
        from_expression(expression, limit=LIMIT)


def test_a_chain_of_rules_is_no_matter():
    rules = {f"r{i}": Reference((f"r{i + 1}",)) for i in range(200)} | {"r200": LiteralText("x")}
    with limited_work():
        assert from_expression(rules["r0"], rules).accepts(b"x")


def test_a_refusal_is_remembered():
    expression = Alternatives((Pattern(r"(a|b)*a(a|b){22}"), LiteralText("!")))
    with pytest.raises(TooLarge):
        from_expression(expression, limit=LIMIT)
    with limited_work(most_calls=1000), pytest.raises(TooLarge):
        from_expression(expression, limit=LIMIT)


chains = st.lists(
    st.sampled_from(["a{40}", "(ab){30}", "b{0,50}", "(a|b)", "(aab?){20}", "(a{9})*"]), min_size=1, max_size=4
)


@settings(max_examples=40)
@given(
    chains, st.lists(st.lists(st.sampled_from(["a", "b", "ab"]), max_size=120).map("".join), max_size=5), st.randoms()
)
def test_long_narrow_automata_accept_what_fullmatch_accepts(parts, candidates, rng):
    pattern = "".join(parts)
    dfa = pattern_dfa(pattern)
    made = "".join(
        {"a{40}": "a" * 40, "(ab){30}": "ab" * 30, "(aab?){20}": "aab" * 20}.get(p, rng.choice("ab")) for p in parts
    )
    for text in (*candidates, made, made + "a", made[:-1]):
        assert dfa.accepts(text.encode()) == bool(re.fullmatch(pattern, text)), text


@given(st.lists(st.integers(0, 60), min_size=1, max_size=4, unique=True))
def test_deep_automata_are_minimal(counts):
    dfa = from_expression(Alternatives(tuple(Pattern(f"a{{{count}}}") for count in counts)))
    assert len(dfa) == 2 + max(counts)
