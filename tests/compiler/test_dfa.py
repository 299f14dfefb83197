"""Automata of regular expressions of grammars accept exactly what the definition says."""

import re
from itertools import islice

import numpy as np
import pytest
from grammar_strategies import ALPHABET, leaves, regular
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.languages import all_rules, every_text, texts_of
from oracles.work import limited_work

from smcdsl.compiler.dfa import (
    Dfa,
    NotRegular,
    TooLarge,
    byte_lengths,
    can_contain,
    char_lengths,
    complement,
    concatenate,
    containing,
    difference,
    from_automaton,
    from_bytes,
    from_expression,
    intersect,
    is_empty,
    is_finite,
    limit_dfa,
    pattern_dfa,
    prefixes,
    remainder,
    repeat,
    shortest,
    substrings,
    tagged_union,
    texts,
    to_automaton,
    union,
)
from smcdsl.program.builtins import lines, words
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Limit,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
    Restricted,
    SubstringOf,
)

LONGEST = 5
TEXTS = every_text(ALPHABET, LONGEST)

expressions = regular(leaves)


def language(dfa: Dfa) -> set[str]:
    return {text for text in TEXTS if dfa.accepts(text.encode())}


def check_form(dfa: Dfa) -> None:
    """State 0 is dead, all others are useful and different, numbered breadth-first."""
    assert dfa.next_state.dtype == np.int32
    assert dfa.next_state.shape == (len(dfa), 256)
    assert not dfa.next_state[0].any()
    assert not dfa.accepting[0]
    rows = {(bool(a), tuple(row)) for a, row in zip(dfa.accepting, dfa.next_state.tolist())}
    assert len(rows) == len(dfa)  # equal rows would be one state
    order = []
    for row in dfa.next_state[dfa.start :].tolist() if dfa.start else []:
        order.extend(target for target in row if target and target not in order)
    assert [state for state in order if state != 1] == list(range(2, len(dfa)))


@settings(max_examples=150, deadline=None)
@given(expressions)
def test_an_expression_accepts_its_texts_and_no_other(expression):
    dfa = from_expression(expression)
    check_form(dfa)
    assert language(dfa) == texts_of(expression, {}, ALPHABET, LONGEST)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(leaves, st.sampled_from(["first", "last"]), leaves), min_size=1, max_size=3), st.booleans())
def test_linear_rules_are_regular(bodies, optional):
    """Rules r0, r1, ... that refer to each other in their last or in their first place."""
    side = bodies[0][1]
    rules = {}
    for index, (recursive, _, final) in enumerate(bodies):
        following = Reference((f"r{(index + 1) % len(bodies)}",))
        parts = (recursive, following) if side == "last" else (following, recursive)
        step = Concatenation(parts)
        rules[f"r{index}"] = Alternatives((Repeat(step, 0, 1) if optional else step, final))
    rules["start"] = Concatenation((Reference(("r0",)), LiteralText("b"), Reference(("r0",))))
    dfa = from_expression(rules["start"], rules)
    check_form(dfa)
    assert language(dfa) == all_rules(rules, ALPHABET, LONGEST)["start"]


def test_recursion_in_the_middle_is_not_regular():
    reference = Reference(("start",))
    body = Alternatives((Concatenation((LiteralText("a"), reference, LiteralText("b"))), LiteralText("")))
    with pytest.raises(NotRegular) as caught:
        from_expression(body, {"start": body})
    assert caught.value.expression == reference


@settings(max_examples=40, deadline=None)
@given(expressions, expressions)
def test_operations_are_those_of_sets(left_expression, right_expression):
    left, right = from_expression(left_expression), from_expression(right_expression)
    in_left, in_right = language(left), language(right)
    assert language(union([left, right])) == in_left | in_right
    assert language(intersect(left, right)) == in_left & in_right
    assert language(difference(left, right)) == in_left - in_right
    assert language(complement(left)) == set(TEXTS) - in_left
    assert language(prefixes(left)) >= {t[:n] for t in in_left for n in range(len(t) + 1)}
    joined = language(concatenate([left, right]))
    assert joined == {t for t in TEXTS if any(t[:n] in in_left and t[n:] in in_right for n in range(len(t) + 1))}
    for result in (union([left, right]), intersect(left, right), difference(left, right), prefixes(left)):
        check_form(result)


@settings(max_examples=40, deadline=None)
@given(expressions)
def test_equal_languages_have_equal_tables(expression):
    dfa = from_expression(expression)
    again = union([dfa, intersect(dfa, dfa)])
    assert again == dfa
    assert from_automaton(to_automaton(dfa)) == dfa
    assert complement(complement(dfa)) == dfa


@settings(max_examples=40, deadline=None)
@given(expressions, st.integers(0, 2), st.none() | st.integers(0, 3))
def test_repeat_repeats(expression, least, most):
    most = None if most is None else max(least, most)
    dfa = from_expression(expression)
    assert repeat(dfa, least, most) == from_expression(Repeat(to_automaton(dfa), least, most))


@settings(max_examples=40, deadline=None)
@given(expressions, st.text(ALPHABET, min_size=1, max_size=3))
def test_questions_are_answered_as_by_enumeration(expression, part):
    dfa = intersect(from_expression(expression), pattern_dfa(f"[{ALPHABET}]*"))
    known = language(dfa)
    assert not known or not is_empty(dfa)
    assert is_empty(remainder(dfa, part.encode())) == (dfa.after(part.encode()) == 0)
    assert language(remainder(dfa, part.encode())) >= {t[len(part) :] for t in known if t.startswith(part)}
    if any(part in text for text in known):
        assert can_contain(dfa, part.encode())
    if can_contain(dfa, part.encode()):
        assert part.encode() in shortest(intersect(dfa, containing(from_bytes(part.encode()))))
    if is_empty(dfa):
        return
    low, high = char_lengths(dfa)
    assert (high is None) == (not is_finite(dfa))
    if low <= LONGEST:
        assert low == min(map(len, known))
        assert len(shortest(dfa)) == byte_lengths(dfa)[0]
        assert shortest(dfa).decode() in known
    if high is not None and high <= LONGEST:
        assert high == max(map(len, known))
        assert {text.decode() for text in texts(dfa, 4 * LONGEST)} == known


@settings(max_examples=40, deadline=None)
@given(st.lists(expressions, max_size=4))
def test_a_tagged_union_knows_who_accepts_and_who_still_may(found):
    dfas = [from_expression(expression) for expression in found]
    tagged = tagged_union(dfas)
    for text in TEXTS[:400]:
        states = [dfa.after(text.encode()) for dfa in dfas]
        state = tagged.start
        for byte in text.encode():
            state = tagged.next_state[state, byte]
        assert tagged.accepts[state] == {i for i, s in enumerate(states) if dfas[i].accepting[s]}
        assert tagged.alive[state] == {i for i, s in enumerate(states) if s}
    rows = set(zip(tagged.accepts, map(tuple, tagged.next_state.tolist())))
    assert len(rows) == len(tagged)


WORDS = ["", "a", " a", "a b", "a\u2003b\x85c", "é日", "a\n", "\n", "\n\n", "a\nb\n", "\x1cx y", "  ", "a b c\nd e"]


@pytest.mark.parametrize("least", [0, 1, 2, 3])
@pytest.mark.parametrize("most", [None, 0, 1, 2, 3])
@pytest.mark.parametrize(("unit", "count"), [("chars", len), ("words", words), ("lines", lines)])
def test_limits_count_as_the_built_ins_do(unit, count, least, most):
    dfa = limit_dfa(unit, least, most)
    for text in WORDS:
        expected = least <= count(text) and (most is None or count(text) <= most)
        assert dfa.accepts(text.encode()) == expected, text


def test_substrings_begin_and_end_between_characters():
    text = "né日né𝒜a"
    dfa = substrings(text)
    assert is_finite(dfa)
    expected = {text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
    assert {found.decode() for found in texts(dfa, 40)} == expected


def test_substrings_of_a_long_text_stay_small():
    text = " ".join(f"word{number * number % 997}" for number in range(1500))
    dfa = substrings(text)
    assert len(dfa) <= 2 * len(text)
    assert dfa.accepts(text[1000:5000].encode())
    assert not dfa.accepts(b"word word")
    quotes = from_expression(Restricted(SubstringOf(text[:2000]), (Limit("words", 4, 6),)))
    assert quotes.accepts(text[5:40].encode()) == (4 <= words(text[5:40]) <= 6)
    assert shortest(quotes).decode() in text
    assert words(shortest(quotes).decode()) == 4


def test_long_chains_are_minimised_quickly():
    # An algorithm that is quadratic in the length would take thirty times as many.
    with limited_work(1_500_000):
        dfa = pattern_dfa(r"(?s).{0,1000}")
    assert char_lengths(dfa) == (0, 1000)
    check = limit_dfa("chars", 0, 1000)
    assert intersect(dfa, check) == dfa


def test_the_first_of_very_many_texts_come_at_once():
    dfa = pattern_dfa("[A-Z]+([a-z]{1,2}\\s{2,}){2,}", "")
    first = list(islice(texts(dfa, 12), 3))
    assert first == [b"Aa\t\ta\t\t", b"Aa\t\ta\t\n", b"Aa\t\ta\t\x0b"]


LISTS = [
    "x(,x)*",
    "xy(,y)*",
    "x*(x)*y",
    "(x(,x)*)?;(x(,x)*)*",
    "a(xy)*xy(,xy)*",
    "(a|b)+(,(a|b)+)*",
    "x?(,x?)*",
    "(|x)(|x)*",
    "x+x+",
    "(x*)+",
    "(a?b?)+,",
]


@pytest.mark.parametrize("pattern", LISTS)
def test_lists_with_one_copy_of_their_item(pattern):
    dfa = pattern_dfa(pattern)
    for text in every_text("xy,;ab", 5):
        assert dfa.accepts(text.encode()) == bool(re.fullmatch(pattern, text)), text


def test_rules_within_rules_do_not_double():
    rules = {
        f"r{n}": Concatenation((Reference((f"r{n + 1}",)), Repeat(Reference((f"r{n + 1}",)), 0, 1))) for n in range(9)
    }
    rules["r9"] = LiteralText("a")
    dfa = from_expression(Reference(("r0",)), rules)
    assert [n for n in range(600) if dfa.accepts(b"a" * n)] == list(range(1, 513))


def test_growth_past_the_limit_is_an_error():
    # The n-th character from the end is an `a`: 2**n subsets.
    with pytest.raises(TooLarge) as caught:
        from_expression(Pattern("[ab]*a[ab]{20}"), limit=5000)
    assert caught.value.limit == 5000
    with pytest.raises(TooLarge):
        intersect(pattern_dfa("(a{97})*"), pattern_dfa("(a{89})*"), limit=3000)


def test_a_list_of_names_is_as_small_as_its_trie():
    names = [f"{a}{b}{c}" for a in ("user", "order", "item") for b in ("_id", "_name", "s") for c in ("", "_old")]
    dfa = from_expression(Alternatives(tuple(LiteralText(name) for name in names)))
    assert {text.decode() for text in texts(dfa, 20)} == set(names)
    assert len(dfa) < 25
