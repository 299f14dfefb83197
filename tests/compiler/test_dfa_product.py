"""Products of grammars with automata keep exactly the texts that both have."""

import pytest
from grammar_strategies import ALPHABET, grammars, leaves, regular
from hypothesis import given, settings
from oracles.languages import all_rules, grammar_texts, texts_of

from smcdsl.compiler.dfa import NotRegular, from_expression
from smcdsl.compiler.product import TooLarge, grammar_accepts, has_text_in, intersect_rules, without_restrictions
from smcdsl.compiler.productions import Productions
from smcdsl.compiler.recursion import reachable
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Difference,
    Grammar,
    LiteralText,
    Matches,
    Pattern,
    Reference,
    Repeat,
    Restricted,
)

LONGEST = 4


@settings(max_examples=60, deadline=None)
@given(grammars(), regular(leaves))
def test_a_product_has_the_texts_of_both(grammar, expression):
    product = intersect_rules(grammar, from_expression(expression))
    expected = grammar_texts(grammar, ALPHABET, LONGEST) & texts_of(expression, {}, ALPHABET, LONGEST)
    assert grammar_texts(product, ALPHABET, LONGEST) == expected
    assert has_text_in(grammar, from_expression(expression)) or not expected


@settings(max_examples=60, deadline=None)
@given(grammars(), regular(leaves))
def test_every_rule_of_a_product_is_useful_and_keeps_its_sites(grammar, expression):
    product = intersect_rules(grammar, from_expression(expression))
    assert set(product.rules) == set(reachable(product.start, product.rules))
    shortest = Productions(product.rules, product.start).shortest
    if shortest[product.start] is not None:
        assert None not in shortest.values()
    for name, boundary in product.boundary_of.items():
        assert name in product.rules
        assert boundary in product.boundaries
    assert product.boundary_of.get(product.start) == "start"


@settings(max_examples=60, deadline=None)
@given(grammars(with_restrictions=True))
def test_restrictions_inside_become_plain_rules(grammar):
    plain = without_restrictions(grammar)
    assert grammar_texts(plain, ALPHABET, LONGEST) == grammar_texts(grammar, ALPHABET, LONGEST)
    Productions(plain.rules, plain.start)  # raises if a restriction is left


@settings(max_examples=40, deadline=None)
@given(grammars(with_restrictions=True))
def test_texts_are_recognised(grammar):
    plain = without_restrictions(grammar)
    texts = grammar_texts(grammar, ALPHABET, 3)
    for text in ["", "a", "b", "ab", "ba", " a", "aab", "a b", "\n"]:
        assert grammar_accepts(plain, text) == (text in texts)


def test_sites_of_a_restricted_rule_are_those_of_the_rule():
    rules = {
        "start": Difference(Reference(("expr",)), Pattern(r"1\+.*")),
        "expr": Alternatives(
            (Reference(("number",)), Concatenation((Reference(("expr",)), LiteralText("+"), Reference(("number",)))))
        ),
        "number": Pattern("[0-9]"),
    }
    plain = without_restrictions(Grammar("sum", "start", rules, boundaries=("start", "expr", "number")))
    assert grammar_accepts(plain, "2+1+3")
    assert not grammar_accepts(plain, "1+2")
    assert set(plain.boundary_of.values()) == {"expr", "number"}


def test_a_rule_that_restricts_itself_is_refused():
    rules = {
        "start": Alternatives(
            (LiteralText("a"), Concatenation((Difference(Reference(("start",)), LiteralText("a")), LiteralText("b"))))
        )
    }
    with pytest.raises(NotRegular):
        without_restrictions(Grammar("g", "start", rules))


def test_the_definition_of_rules_agrees_with_enumeration_of_balanced_texts():
    body = Alternatives((Concatenation((LiteralText("a"), Reference(("start",)), LiteralText("b"))), LiteralText("")))
    grammar = Grammar("g", "start", {"start": body})
    product = intersect_rules(grammar, from_expression(Pattern("aaa?b*")))
    assert all_rules(product.rules, "ab", 8)[product.start] == {"aabb", "aaabbb"}


def test_a_product_that_grows_too_large_is_an_error():
    body = Alternatives((Concatenation((Reference(("start",)), Reference(("start",)))), LiteralText("a")))
    with pytest.raises(TooLarge):
        intersect_rules(Grammar("g", "start", {"start": body}), from_expression(Pattern("(a{97})*")), limit=50)


def test_two_restrictions_that_end_in_freedom_keep_their_rules_apart():
    """Behind `a` the pattern forbids nothing more, so repetitions are used as they are, twice."""
    letters = Repeat(Alternatives((Reference(("pair",)), LiteralText("b"))), 0, None)
    more = Repeat(Alternatives((Reference(("pair",)), LiteralText("a"))), 0, None)
    no_b = (Matches(Pattern("^b"), excludes=True),)
    rules = {
        "start": Concatenation((Reference(("one",)), LiteralText(" "), Reference(("two",)))),
        "one": Restricted(Concatenation((LiteralText("a"), letters)), no_b),
        "two": Restricted(Concatenation((LiteralText("a"), more)), no_b),
        "pair": Alternatives(
            (LiteralText("ab"), Concatenation((LiteralText("b"), Reference(("pair",)), LiteralText("b"))))
        ),
    }
    grammar = Grammar("g", "start", rules, boundaries=tuple(rules))
    plain = without_restrictions(grammar)
    assert grammar_texts(plain, "ab ", 6) == grammar_texts(grammar, "ab ", 6)
