"""Sites of beginnings, for grammars over bytes: never taken back, and as early as the text allows."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from oracles.languages import all_rules
from oracles.masks import allowed, step
from oracles.vocabularies import small_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1] / "compiler"))

from grammar_strategies import ALPHABET, grammars

from smcdsl.automaton import agreement, beginnings
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.site import safe_length
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError, Source
from smcdsl.language.load import load_program
from smcdsl.library.binding import bind_hole
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Difference,
    Grammar,
    Intersection,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
)

BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])

WRITTEN = {
    "lines": (
        """
  start = (row "\\n")+
  row   = /[^\\n]+/
""",
        "one\nand two\n",
        {4: ["row one"], 12: ["row and two"]},
    ),
    "records": (
        """
  start  = record ("\\n" record)*
  record = key ": " value ";"
  key    = /[a-z]+/
  value  = /[a-z0-9 ]*/
""",
        "name: ada;\nx: ;",
        {
            5: ["key name"],
            10: ["record name: ada;", "value ada"],
            13: ["key x"],
            15: ["record x: ;", "value "],
        },
    ),
    "arithmetic": (
        """
  start  = term (/[+-]/ term)*
  term   = factor (/[*\\/]/ factor)*
  factor = number | "(" start ")"
  number = /[0-9]+/
""",
        "12*(3+4)-5",
        {
            3: ["factor 12", "number 12"],
            6: ["factor 3", "number 3", "term 3"],
            8: ["factor (3+4)", "factor 4", "number 4", "start 3+4", "term 4"],
            9: ["term 12*(3+4)"],
        },
    ),
    "sums that grow to the left": (
        """
  start  = start "+" number | number
  number = /[0-9]+/
""",
        "1+22+3",
        {2: ["number 1", "start 1"], 5: ["number 22", "start 1+22"]},
    ),
    "lists that grow to the right": (
        """
  start = item "," start | item
  item  = /[a-z]+/
""",
        "ab,c,d",
        {3: ["item ab"], 5: ["item c"]},
    ),
    "plans": (
        """
  start  = action ("\\n" action)*
  action = "(" verb (" " arg)* ")"
  verb   = /[a-z]+/
  arg    = /[a-z0-9]+/
""",
        "(go a b1)\n(end)",
        {
            4: ["verb go"],
            6: ["arg a"],
            9: ["action (go a b1)", "arg b1"],
            15: ["action (end)", "verb end"],
        },
    ),
    "blanks that may belong to either side": (
        """
  start = blanks (word blanks ";" blanks)+
  word  = /[a-z]+/
  blanks = / */
""",
        " a ; bc;",
        {2: ["blanks  "], 3: ["word a"], 4: ["blanks  "], 6: ["blanks  "], 8: ["word bc", "blanks "]},
    ),
    "a limit on the whole": (
        """
  start = item+ & /.{0,20}\\n?/
  item  = /[a-z]{1,5};/
""",
        "ab;c;",
        {3: ["item ab;"], 5: ["item c;"]},
    ),
}
"""A grammar's rules, a text, and what is certain after how many bytes of it."""


def automaton_of(rules: str, following: bytes | None = None) -> TokenAutomaton:
    text = f'smc 1\ngrammar g {{{rules}}}\ngenerate {{\n  user "Write."\n  assistant "[[q: g]]"\n}}\n'
    program = load_program(Source("program.smc", text))
    (key,) = program.holes
    return TokenAutomaton(compile_grammar(bind_hole(program, key, {}), BYTES), following)


def bits_of(automaton, state, token, text):
    return int(automaton.noticed(np.array([state]), np.array([token]), lambda _: text)[0])


@pytest.mark.parametrize("name", WRITTEN)
def test_sites_are_met_as_soon_as_the_text_settles_them(name):
    rules, text, expected = WRITTEN[name]
    automaton, written = automaton_of(rules), text.encode()
    met, before, state = {}, Counter(), automaton.start
    for end in range(1, len(written) + 1):
        after = Counter(automaton.sites(written[:end], False))
        new = after - before
        assert not before - after
        bits = bits_of(automaton, state, written[end - 1], written[: end - 1])
        assert bits == sum(1 << automaton.boundaries.index(rule) for rule in {site.rule for site in new})
        if new:
            met[end] = sorted(f"{site.rule} {text[site.start : site.end]}" for site in new)
        before, state = after, step(automaton, state, written[end - 1])
    assert met == {end: sorted(found) for end, found in expected.items()}
    assert not before - Counter(automaton.sites(written, True))


@settings(max_examples=150, deadline=None)
@given(grammar=grammars(with_restrictions=True) | grammars())
def test_sites_of_beginnings_are_sites_of_all_completions(grammar):
    try:
        automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    except CompileError:
        assume(False)
    texts = sorted(text.encode() for text in all_rules(grammar.rules, ALPHABET, 4)["start"])
    for text in texts[:: len(texts) // 60 + 1]:
        final, before = set(automaton.sites(text, True)), set()
        for end in range(len(text) + 1):
            certain = automaton.sites(text[:end], False)
            assert before <= set(certain) <= final, text[:end]
            assert list(certain) == sorted(certain, key=lambda site: (site.end, -site.start))
            before = set(certain)


def ref(name):
    return Reference((name,))


def sequence(*items):
    return Concatenation(tuple(LiteralText(item) if isinstance(item, str) else item for item in items))


def either(*items):
    return Alternatives(tuple(LiteralText(item) if isinstance(item, str) else item for item in items))


def many(*items):
    return Repeat(sequence(*items), 0, None)


def inline(**rules):
    return Grammar("g", "start", rules, boundaries=tuple(rules))


SMALL = {
    "records": inline(
        start=sequence(ref("one"), many(ref("one"))), one=sequence(ref("two"), "b", ref("two"), " "), two=Pattern("a*")
    ),
    "brackets": inline(
        start=sequence(ref("one"), many("b", ref("one"))), one=either("a", sequence(" ", ref("start"), "\n"))
    ),
    "to the left": inline(start=either(sequence(ref("start"), "b", ref("one")), ref("one")), one=Pattern("a+")),
    "to the right": inline(start=either(sequence(ref("one"), "b", ref("start")), ref("one")), one=Pattern("a+")),
    "late decision": inline(
        start=either(sequence(many(ref("one")), " "), sequence(many(ref("two")), "b")),
        one=LiteralText("a"),
        two=Pattern("a"),
    ),
    "counted": inline(start=Repeat(ref("one"), 2, 3), one=sequence("a", Repeat(LiteralText("b"), 1, 2))),
    "restricted": inline(
        start=sequence(ref("one"), many(" ", ref("one"))),
        one=Difference(Intersection(ref("two"), Pattern("[ab]{1,2}")), LiteralText("aa")),
        two=many(either("a", "b")),
    ),
}
"""Grammars of which a beginning of 4 bytes can be completed within 9."""
_BEGINNING, _WHOLE = 4, 9


@pytest.mark.parametrize("name", SMALL)
def test_what_all_completions_have_is_met_a_byte_later_at_the_latest(name):
    grammar = SMALL[name]
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    in_all = {}
    for text in all_rules(grammar.rules, ALPHABET, _WHOLE)["start"]:
        final = set(automaton.sites(text.encode(), True))
        for end in range(min(_BEGINNING, len(text)) + 1):
            beginning = text[:end].encode()
            in_all[beginning] = in_all.get(beginning, final) & final
    assert len(in_all) > 5
    met = 0
    for beginning, certain in in_all.items():
        found = set(automaton.sites(beginning, False))
        due = {site for site in in_all[beginning[:-1]] if site.end < len(beginning)}
        assert due <= found <= {site for site in certain if site.end <= len(beginning)}, beginning
        met += len(found)
    assert met


@settings(max_examples=150, deadline=None)
@given(data=st.data(), grammar=grammars(with_restrictions=True) | st.sampled_from(list(SMALL.values())))
def test_tokens_that_settle_sites_are_noticed(data, grammar):
    """Sites as runs look for them: what may be following text is left out."""
    longer = data.draw(st.lists(st.text(ALPHABET, min_size=2, max_size=4).map(str.encode), max_size=6))
    vocabulary = small_vocabulary([*(letter.encode() for letter in ALPHABET), *longer])
    following = data.draw(st.none() | st.text(ALPHABET, min_size=1, max_size=3).map(str.encode))
    try:
        automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), following)
    except CompileError:
        assume(False)
    state, text = automaton.start, b""
    for _ in range(6):
        mask = sorted(allowed(automaton, state, len(vocabulary)) - set(vocabulary.end_of_turn))
        if not mask:
            break
        token = data.draw(st.sampled_from(mask))
        before = set(automaton.sites(text[: safe_length(text, following)], False))
        bits = bits_of(automaton, state, token, text)
        state, text = step(automaton, state, token), text + vocabulary.token_bytes[token]
        new = set(automaton.sites(text[: safe_length(text, following)], False)) - before
        assert bits == sum(1 << automaton.boundaries.index(rule) for rule in {site.rule for site in new})


@settings(max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from([*WRITTEN]), most=st.integers(1, 9))
@example(None, "records", 1)
def test_sites_do_not_depend_on_what_was_read_before(data, name, most):
    rules, text, _ = WRITTEN[name]
    automaton, written = automaton_of(rules), text.encode()
    ends = range(len(written) + 1)
    alone = [TokenAutomaton(automaton.tables, None).sites(written[:end], False) for end in ends]
    if data is not None:
        ends = data.draw(st.lists(st.sampled_from(ends), max_size=30))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beginnings, "_MOST_READ", most)
        for end in ends:
            assert automaton.sites(written[:end], False) == alone[end]


MEETING = {
    "in a regular part": inline(start=either(Pattern("a*b"), sequence(ref("one"), Pattern("a*b"))), one=Pattern("a")),
    "in a rule": inline(
        start=either(sequence(Pattern("a"), ref("two"), "b"), sequence(ref("one"), ref("two"), Pattern("[b ]"))),
        one=Pattern("a"),
        two=Pattern("[ab]b?"),
    ),
    "in a rule read as nothing": inline(
        start=either(sequence(ref("two"), ref("two"), "b"), ref("one")), one=LiteralText("b"), two=Pattern("a?")
    ),
}
"""Readings that meet in one place, of which only the one that is not taken has a `one`."""


@pytest.mark.parametrize("name", MEETING)
def test_readings_that_meet_agree_on_what_both_have(name):
    automaton = TokenAutomaton(compile_grammar(MEETING[name], BYTES), None)
    for text in sorted(all_rules(MEETING[name].rules, ALPHABET, 4)["start"]):
        final = set(automaton.sites(text.encode(), True))
        for end in range(len(text) + 1):
            assert set(automaton.sites(text[:end].encode(), False)) <= final, text[:end]


AMBIGUOUS = {
    "sums": inline(start=either(sequence(ref("start"), "b", ref("start")), ref("one")), one=Pattern("a")),
    "cuts": inline(start=many(ref("one")), one=Pattern("a+")),
    "counts": inline(start=Repeat(ref("one"), 0, 100), one=Pattern("a*b?")),
    "nothing": inline(start=many(ref("one")), one=many(either(ref("one"), "a", ""))),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_texts_with_too_many_readings_wait_for_their_end(name, monkeypatch):
    automaton = TokenAutomaton(compile_grammar(AMBIGUOUS[name], BYTES), None)
    whole = b"abababababa" if name == "sums" else b"aaaaaaaaaaa"
    final = set(automaton.sites(whole, True))
    for most in (1, 3, 50):
        monkeypatch.setattr(agreement, "_MOST_STARTS", most)
        monkeypatch.setattr(agreement, "_MOST_PLACES", 10 * most)
        automaton = TokenAutomaton(automaton.tables, None)
        assert set(automaton.sites(whole, False)) <= final
    for _ in range(8):
        whole += whole
    assert automaton.sites(whole, False) == automaton.sites(whole[:-1], False)


def test_lists_nested_as_deep_as_they_are_long_are_met_item_by_item():
    grammar = inline(start=either(sequence(ref("one"), ref("start")), ref("one")), one=Pattern("a+b"))
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES), None)
    text = b"aab" * 200
    assert automaton.sites(text, False) == tuple(("one", end - 3, end) for end in range(3, 601, 3))


def test_a_text_of_many_undecided_sites_forgets_them(monkeypatch):
    monkeypatch.setattr(agreement, "_MOST_HELD", 5)
    either_end = either(sequence(many(ref("one")), "!"), sequence(many(ref("two")), "?"))
    automaton = TokenAutomaton(
        compile_grammar(inline(start=either_end, one=Pattern("ab"), two=Pattern("ab")), BYTES), None
    )
    assert len(automaton.sites(b"ab" * 4 + b"!", False)) == 5
    few = automaton.sites(b"ab" * 20 + b"!", False)
    assert 0 < len(few) < 20
    assert set(few) <= set(automaton.sites(b"ab" * 20 + b"!", True))


def test_the_boundaries_of_large_grammars_share_the_last_bit():
    names = [f"r{number}" for number in range(80)]
    rules = {name: LiteralText(f"{name};") for name in names}
    automaton = TokenAutomaton(compile_grammar(inline(start=many(either(*map(ref, names))), **rules), BYTES), None)
    assert automaton.boundaries[71] == "r70"
    assert bits_of(automaton, automaton.start, ord(";"), b"r70") == 1 << 63
    assert bits_of(automaton, automaton.start, ord(";"), b"r7") == 1 << 8
