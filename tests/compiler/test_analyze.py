"""Grammar analysis: mistakes with their places, and true answers about languages."""

import re
from dataclasses import replace

import pytest
from grammar_strategies import ALPHABET, conditions, grammars, leaves
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.languages import grammar_texts

from smcdsl.compiler.analyze import GrammarAnalysis, check_grammar, grammar_dfa, is_regular, too_large
from smcdsl.compiler.product import without_restrictions
from smcdsl.errors import Source, Span
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Difference,
    Embedded,
    Grammar,
    Intersection,
    Limit,
    LiteralText,
    Matches,
    Pattern,
    Reference,
    Repeat,
    Restricted,
)

LONGEST = 4
TEXT = """grammar g {
  expr = "(" expr ")"
  pw = /(?=.*[0-9])[a-z]{8,}/i
  day = /[0-9]{4}-[0-9]{2}/ where chars <= 5
  none = "a" & "b"
}"""
SOURCE = Source("g.smc", TEXT)


def span(part: str) -> Span:
    start = TEXT.index(part)
    return Span(SOURCE, start, start + len(part))


def ref(name: str, **more: object) -> Reference:
    return Reference((name,), **more)


def one_rule(body, **more) -> Grammar:
    return Grammar("g", "start", {"start": body}, span=span("grammar g"), **more)


def restricted_grammars() -> st.SearchStrategy[Grammar]:
    def add(grammar: Grammar, found: list, filters: list) -> Grammar:
        return Grammar(
            "g", "start", grammar.rules, boundaries=grammar.boundaries, conditions=tuple(found), filters=tuple(filters)
        )

    return st.builds(
        add,
        grammars(with_restrictions=True),
        st.lists(conditions, max_size=2),
        st.lists(st.tuples(leaves, st.booleans()), max_size=1),
    )


@settings(max_examples=40, deadline=None)
@given(restricted_grammars(), st.text(ALPHABET, min_size=1, max_size=2))
def test_answers_agree_with_enumeration(grammar, part):
    analysis = GrammarAnalysis()
    known = grammar_texts(grammar, ALPHABET, LONGEST)
    for text in ["", "a", "b", "ab", "a b", " ", "\n", "ba\n", part]:
        assert analysis.accepts(grammar, text) == (text in known)
    if any(part in text for text in known):
        assert analysis.can_contain(grammar, part)
    lengths = analysis.char_lengths(grammar)
    if known:
        assert lengths is not None
        # Other casings of a literal are not among the enumerated texts.
        assert lengths[0] <= min(map(len, known))
        assert lengths[1] is None or lengths[1] >= max(map(len, known))
    problems = analysis.problems(grammar)
    if lengths is None:
        assert [problem.code for problem in problems] in (["E0403"], ["E0402"])
    else:
        assert "E0403" not in [problem.code for problem in problems]


@settings(max_examples=50, deadline=None)
@given(grammars())
def test_a_longest_length_is_that_of_the_longest_text(grammar):
    lengths = GrammarAnalysis().char_lengths(grammar)
    if lengths is None or lengths[1] is None or lengths[1] > 5:
        return
    # Every pattern here has texts over the alphabet of each length it has texts of.
    assert max(map(len, grammar_texts(grammar, ALPHABET, 5))) == lengths[1]


@settings(max_examples=50, deadline=None)
@given(grammars())
def test_regular_grammars_have_automata(grammar):
    if is_regular(grammar):
        dfa = grammar_dfa(grammar)
        assert {t for t in ("", "a", "ab", "b a", "\n") if dfa.accepts(t.encode())} == grammar_texts(
            grammar, ALPHABET, 3
        ) & {"", "a", "ab", "b a", "\n"}


def test_a_rule_that_can_never_finish_is_shown():
    body = Concatenation((LiteralText("("), ref("expr"), LiteralText(")")), span=span('"(" expr ")"'))
    rules = {"start": Alternatives((ref("expr"), LiteralText("x"))), "expr": body}
    (problem,) = check_grammar(Grammar("g", "start", rules))
    assert (problem.code, problem.message) == ("E0402", "rule `expr` can never finish")
    assert problem.labels[0].text == "every alternative contains `expr` again"
    assert problem.labels[0].span.text == '"(" expr ")"'


def test_rules_that_need_an_unfinished_rule_are_not_blamed():
    rules = {"start": ref("a"), "a": Concatenation((LiteralText("x"), ref("b"))), "b": Repeat(ref("b"), 1, None)}
    assert [problem.message for problem in check_grammar(Grammar("g", "start", rules))] == ["rule `b` can never finish"]


def test_rules_that_need_each_other_are_one_mistake():
    rules = {"start": ref("a"), "a": Concatenation((LiteralText("x"), ref("start")))}
    assert [problem.code for problem in check_grammar(Grammar("g", "start", rules))] == ["E0402"]


def test_look_around_is_shown_inside_the_pattern():
    pattern = Pattern("(?=.*[0-9])[a-z]{8,}", "i", span=span("/(?=.*[0-9])[a-z]{8,}/i"))
    (problem,) = check_grammar(one_rule(pattern))
    assert (problem.code, problem.message) == ("E0405", "look-ahead cannot be used while generating")
    assert problem.labels[0].span.text == "(?=.*[0-9])"
    assert problem.labels[0].text == "the automaton reads left to right only"
    assert problem.help.startswith("intersect two patterns")


def test_patterns_of_conditions_are_checked_too():
    condition = Matches(Pattern(r"(a)\1"), excludes=True)
    assert [p.code for p in check_grammar(one_rule(Pattern("a*"), conditions=(condition,)))] == ["E0405"]


def test_a_limit_that_leaves_nothing_is_blamed():
    limit = Limit("chars", None, 5, span=span("chars <= 5"))
    day = Pattern("[0-9]{4}-[0-9]{2}", span=span("/[0-9]{4}-[0-9]{2}/"))
    inner, outer = one_rule(Restricted(day, (limit,))), one_rule(day, conditions=(limit,))
    whole = Restricted(day, (limit,), span=span("/[0-9]{4}-[0-9]{2}/ where chars <= 5"))
    for grammar in (one_rule(whole), outer):
        (problem,) = check_grammar(grammar)
        assert (problem.code, problem.message) == ("E0403", "no text can match this grammar")
        assert problem.primary is not None
        assert problem.primary.text == "chars <= 5"
        assert problem.labels[0].text == "at most 5 characters"
    assert check_grammar(inner)[0].code == "E0403"


def test_limits_that_only_together_leave_nothing_are_told():
    found = (Limit("chars", None, 3), Matches(Pattern("aaa|aaaaa", span=span("none")), excludes=True))
    (problem,) = check_grammar(one_rule(Pattern("a{3}|a{5}"), conditions=found))
    assert problem.code == "E0403"
    assert problem.primary is not None
    assert problem.primary.text == "none"
    conflicting = (Limit("chars", None, 4), Matches(Pattern("^aaa$", span=span("none")), excludes=True))
    (problem,) = check_grammar(one_rule(Pattern("a{3}|a{5}"), conditions=conflicting))
    assert "with the conditions before it" in problem.labels[0].text


def test_two_sides_without_a_common_text_are_blamed():
    both = Intersection(LiteralText("a"), LiteralText("b"), span=span('"a" & "b"'))
    (problem,) = check_grammar(one_rule(Concatenation((LiteralText("x"), both))))
    assert problem.primary is not None
    assert problem.primary.text == '"a" & "b"'
    assert problem.labels[0].text == "no text is on both sides"


def test_a_restriction_around_itself_is_refused():
    inner = Difference(ref("start"), LiteralText("a"), span=span("none"))
    body = Alternatives((Concatenation((LiteralText("("), inner, LiteralText(")"))), LiteralText("a")))
    assert [problem.code for problem in check_grammar(one_rule(body))] == ["E0404"]


def test_a_library_grammar_inside_can_be_used_but_not_restricted():
    inner = load_lark(LARK, name="g.lark")
    plain = one_rule(Concatenation((LiteralText("x"), Embedded(inner))))
    assert check_grammar(plain) == []
    limit = Limit("chars", None, 5)
    item = Embedded(inner, span=span("none"))
    for part in (Restricted(item, (limit,)), replace(item, grammar=replace(inner, conditions=(limit,)))):
        (problem,) = check_grammar(one_rule(Concatenation((LiteralText("x"), part))))
        assert problem.message == "a library grammar inside a larger one cannot be restricted"
        assert problem.primary == span("none")


def test_unknown_names_are_undefined():
    rules = {"start": ref("drnk"), "drink": LiteralText("tea")}
    (problem,) = check_grammar(Grammar("g", "start", rules))
    assert (problem.code, problem.message) == ("E0401", "rule `drnk` is not defined")


def test_the_largest_rule_is_blamed_for_size():
    note = Pattern("[ab]*a[ab]{30}")
    rules = {"start": Concatenation((LiteralText("x"), ref("note"))), "note": note}
    problem = too_large(Grammar("g", "start", rules, span=span("none")), limit=3000)
    assert problem.code == "E0409"
    assert problem.notes == ("rule `note` alone has more than 3,000 states, because of `{30}`",)
    assert problem.labels[0].text == "stopped at 3,000 automaton states, the limit"


SUM = {
    "start": Alternatives((Concatenation((ref("start"), LiteralText("+"), ref("number"))), ref("number"))),
    "number": Pattern("[0-9]+"),
}
AMBIGUOUS_SUM = {
    "start": Alternatives((Concatenation((ref("start"), LiteralText("+"), ref("start"))), Pattern("[0-9]"))),
}
NESTED = {"start": Alternatives((Concatenation((LiteralText("("), ref("start"), LiteralText(")"))), Pattern("[a-z]+")))}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (SUM, False),
        (NESTED, False),
        (AMBIGUOUS_SUM, True),
        ({"start": Repeat(ref("word"), 0, None), "word": Pattern("[a-z]+")}, True),
        ({"start": Repeat(ref("letter"), 0, None), "letter": Pattern("[a-z]")}, False),
        ({"start": Concatenation((ref("a"), ref("b"))), "a": Pattern("x*"), "b": Pattern("x*y")}, True),
        ({"start": Concatenation((ref("a"), ref("b"))), "a": Pattern("(x|x)*"), "b": Pattern("y*")}, False),
        ({"start": Alternatives((ref("a"), ref("b"))), "a": Pattern("x+"), "b": Pattern("y?x")}, True),
        ({"start": Alternatives((ref("a"), ref("b"))), "a": Pattern("xx+"), "b": Pattern("y?x")}, False),
        ({"start": Repeat(ref("a"), 0, 1), "a": Pattern("x*")}, True),
        ({"start": Alternatives((ref("a"), Pattern("x")))} | {"a": Pattern("x")}, True),
    ],
)
def test_ambiguity(rules, expected):
    assert GrammarAnalysis().may_be_ambiguous(Grammar("g", "start", rules)) is expected


@st.composite
def flat_grammars(draw) -> Grammar:
    """Two rules over single letters and a start without recursion: all readings can be listed."""
    words = st.lists(st.text("ab", max_size=2), min_size=1, max_size=3, unique=True)
    sets = {"one": draw(words), "two": draw(words)}
    parts = st.sampled_from(["one", "two", "a", "b", ""])
    starts = draw(st.lists(st.lists(parts, max_size=3).map(tuple), min_size=1, max_size=3, unique=True))
    rules = {name: Alternatives(tuple(LiteralText(word) for word in found)) for name, found in sets.items()}
    alternatives = [
        Concatenation(tuple(ref(part) if part in sets else LiteralText(part) for part in parts)) for parts in starts
    ]
    readings = set()
    for parts in starts:
        found = [("", "")]
        for part in parts:
            options = [(f"<{part}{w}>", w) for w in sets[part]] if part in sets else [(part, part)]
            found = [(marked + m, text + t) for marked, text in found for m, t in options]
        readings.update(found)
    texts = [text for _, text in readings]
    return Grammar("g", "start", {"start": Alternatives(tuple(alternatives)), **rules}), len(texts) != len(set(texts))


@settings(max_examples=150, deadline=None)
@given(flat_grammars())
def test_ambiguity_without_recursion_is_decided_exactly(case):
    grammar, expected = case
    assert GrammarAnalysis().may_be_ambiguous(grammar) is expected


LARK = r"""
start: item ("," item)*
item: NAME ("=" value)?
value: NUMBER | STRING | "(" start ")"
NAME: /[a-z]+/
NUMBER: /[0-9]+/
STRING: /"[^"\n]*"/
%ignore / +/
"""


def lexed(**more) -> Grammar:
    grammar = load_lark(LARK, name="g.lark")
    return Grammar(
        **{**{f: getattr(grammar, f) for f in grammar.__dataclass_fields__}, "span": span("grammar g"), **more}
    )


def test_lexed_grammars_are_asked_too():
    analysis = GrammarAnalysis()
    grammar = lexed()
    assert analysis.problems(grammar) == []
    assert analysis.accepts(grammar, 'a = 1, b=(c="x y")') is True
    assert analysis.accepts(grammar, "a = ") is False
    assert analysis.accepts(grammar, "a $ b") is False
    assert analysis.can_contain(grammar, "?!") is True  # in a string
    assert analysis.can_contain(grammar, "\n") is False
    assert analysis.can_contain(grammar, "   ") is True  # ignored, or in a string
    assert analysis.may_be_ambiguous(grammar) is False


def test_conditions_of_lexed_grammars_count():
    analysis = GrammarAnalysis()
    without_quotes = lexed(conditions=(Matches(Pattern('"'), excludes=True),))
    assert analysis.accepts(without_quotes, "a=1") is True
    assert analysis.accepts(without_quotes, 'a="1"') is False
    assert analysis.can_contain(without_quotes, '"') is False
    (problem,) = analysis.problems(lexed(conditions=(Limit("chars", None, 0, span=span("chars <= 5")),)))
    assert problem.code == "E0403"
    assert problem.primary is not None
    assert problem.primary.text == "chars <= 5"


def test_the_lexer_of_a_lexed_grammar_may_be_contextual():
    text = 'start: "let" NAME "=" NAME\nNAME: /[a-z]+/\n%ignore " "\n'
    analysis = GrammarAnalysis()
    longest, contextual = load_lark(text), load_lark("// smcdsl: lexing contextual\n" + text)
    assert analysis.accepts(longest, "let let = b") is False  # reserved
    assert analysis.accepts(contextual, "let let = b") is True
    assert analysis.accepts(contextual, "letb = c") is True
    assert analysis.accepts(longest, "letb = c") is False


def test_an_ambiguous_lark_grammar_may_be_ambiguous():
    grammar = load_lark('start: start "+" start | NAME\nNAME: /[a-z]+/')
    assert GrammarAnalysis().may_be_ambiguous(grammar) is True


def test_a_terminal_with_look_ahead_is_a_mistake_in_the_lark_file():
    grammar = load_lark("start: NAME\nNAME: /a(?!b)c/\n", name="g.lark")
    (problem,) = check_grammar(grammar)
    assert problem.code == "E0405"
    assert problem.primary is not None
    assert problem.primary.text == "(?!b)"
    assert problem.primary.source.name == "g.lark"


def test_plain_rules_of_a_restricted_grammar_stay_small():
    rules = {**SUM, "start": Alternatives((*SUM["start"].items,))}
    grammar = Grammar("g", "top", {"top": Restricted(ref("start"), (Limit("chars", None, 9),)), **rules})
    plain = without_restrictions(grammar)
    assert len(plain.rules) < 200
    analysis = GrammarAnalysis()
    assert analysis.char_lengths(grammar) == (1, 9)
    assert analysis.accepts(grammar, "1+2+3+4+5") is True
    assert analysis.accepts(grammar, "1+2+3+4+56") is False


def test_the_rules_of_an_error_text_are_regular_expressions():
    # The catalogue's advice must itself be accepted.
    for pattern in (r"(?i)^\s*drop", r"\nScore: ", "```"):
        assert re.compile(pattern)
        assert check_grammar(one_rule(Pattern("[a-z ]*"), conditions=(Matches(Pattern(pattern), excludes=True),))) == []
