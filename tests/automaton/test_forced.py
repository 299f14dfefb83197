"""Forced text equals the longest common beginning of all that may follow, on random finite languages."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.languages import grammar_texts
from oracles.masks import Language, allowed, end_of_hole, is_open, step
from oracles.vocabularies import small_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1] / "compiler"))

from grammar_strategies import ALPHABET, grammars

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.forcing import FORCED_BYTES
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Alternatives, Concatenation, Grammar, Limit, LiteralText, Pattern, Reference

LETTERS = ALPHABET + "é"
BYTES = sorted({bytes([b]) for b in LETTERS.encode()})
following_texts = st.none() | st.text(LETTERS, min_size=1, max_size=3).map(str.encode)
vocabularies = st.lists(st.text(LETTERS, min_size=2, max_size=4).map(str.encode), max_size=6).map(
    lambda tokens: small_vocabulary([*tokens, *BYTES])
)


def common_beginning(texts):
    first, last = min(texts), max(texts)
    return first[: next((n for n, (one, two) in enumerate(zip(first, last)) if one != two), len(first))]


def endings(text, known, following):
    """All that may be written after `text`, byte by byte, until the hole is over."""
    if end_of_hole(text, known, following) is not None:
        return [b""]
    after = [text + byte for byte in BYTES if is_open(text + byte, known, following)]
    return [t[len(text) : len(text) + 1] + rest for t in after for rest in endings(t, known, following)]


def expected(text, language, following):
    if following is None:
        common = common_beginning([t[len(text) :] for t in language if t.startswith(text)])
    else:
        common = common_beginning(endings(text, Language.of(language), following))
    stops = [n for n in range(len(common)) if text + common[:n] in language]
    return common[: stops[0]] if stops else common


def check(data, grammar, language, vocabulary, following, steps=5):
    try:
        automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), following)
    except CompileError:
        assert not language
        return
    state, text = automaton.start, b""
    for _ in range(steps):
        wanted = expected(text, language, following)
        assert automaton.forced(state) == wanted, text
        assert automaton.forced(state) == wanted, "once more, from memory"
        tokens = allowed(automaton, state, len(vocabulary)) - set(vocabulary.end_of_turn)
        if not tokens:
            break
        token = data.draw(st.sampled_from(sorted(tokens)), label="token")
        state, text = step(automaton, state, token), text + vocabulary.token_bytes[token]
    else:
        return
    assert automaton.forced(state) == b""


@settings(max_examples=200, deadline=None)
@given(st.data(), grammars(with_restrictions=True), vocabularies, following_texts)
def test_grammars_of_short_texts(data, grammar, vocabulary, following):
    grammar = replace(grammar, conditions=(Limit("chars", 0, 5),))
    language = {text.encode() for text in grammar_texts(grammar, LETTERS, 5)}
    check(data, grammar, language, vocabulary, following)


stems = st.lists(st.text(LETTERS, min_size=1, max_size=4), min_size=1, max_size=3)


@settings(max_examples=200, deadline=None)
@given(st.data(), stems, vocabularies, following_texts)
def test_texts_that_share_long_parts(data, parts, vocabulary, following):
    texts = data.draw(st.lists(st.lists(st.sampled_from(parts), min_size=1, max_size=4), min_size=1, max_size=4))
    items = tuple(Concatenation(tuple(map(LiteralText, text))) for text in texts)
    grammar = Grammar("g", "start", {"start": Alternatives(items)})
    check(data, grammar, {"".join(text).encode() for text in texts}, vocabulary, following)


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(0, 3), st.integers(0, 5), vocabularies)
def test_limits_on_tokens_force_what_still_fits(data, least, most, vocabulary):
    start = Alternatives(
        (Concatenation((LiteralText("ab"), Reference(("start",)), LiteralText("a"))), Pattern("b?(aab)?"))
    )
    grammar = Grammar("g", "start", {"start": start}, conditions=(Limit("tokens", least, most),))
    texts = {b"ab" * n + middle + b"a" * n for n in range(6) for middle in (b"", b"b", b"aab", b"baab")}
    spelled = vocabulary.token_bytes

    def within(text, count):
        """What may still be written, by trying all tokens."""
        found = [b""] if text in texts and least <= count <= most else []
        if count < most:
            for piece in {piece for piece in spelled if piece}:
                if any(whole.startswith(text + piece) for whole in texts):
                    found += [piece + rest for rest in within(text + piece, count + 1)]
        return found

    try:
        automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), None)
    except CompileError:
        assert not within(b"", 0)
        return
    state, text = automaton.start, b""
    for count in range(most + 1):
        assert automaton.forced(state) == common_beginning(within(text, count)), (text, count)
        tokens = allowed(automaton, state, len(vocabulary)) - set(vocabulary.end_of_turn)
        if not tokens:
            return
        token = data.draw(st.sampled_from(sorted(tokens)), label="token")
        state, text = step(automaton, state, token), text + spelled[token]


@pytest.mark.parametrize("lexing", ["longest", "contextual"])
def test_keywords_of_a_lexed_grammar_are_forced(lexing):
    grammar = load_lark(
        f"// smcdsl: lexing {lexing}\n"
        'start: "select" " " NAME " " "from" " " NAME | "selective" "(" NAME ")"\nNAME: /[a-z]/\n',
        name="g",
    )
    vocabulary = small_vocabulary([bytes([byte]) for byte in range(256)])
    automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), None)

    def after(text):
        state = automaton.start
        for byte in text:
            state = automaton.next(state, byte)
        return automaton.forced(state)

    assert after(b"") == b"select"
    assert after(b"selecti") == b"ve("
    assert after(b"select ") == b""
    assert after(b"select x") == b" from "
    assert after(b"selective(x") == b")"
    assert after(b"selective(x)") == b""


def test_text_without_end_is_cut():
    grammar = Grammar("g", "start", {"start": Pattern("a{3000}")})
    automaton = TokenAutomaton(compile_grammar(grammar, small_vocabulary([b"a", b"aaa"])), None)
    assert automaton.forced(automaton.start) == b"a" * FORCED_BYTES


def test_vocabularies_that_cannot_spell_all_bytes_force_more():
    grammar = Grammar("g", "start", {"start": Pattern("xa|yb|xcd|xcc")})
    automaton = TokenAutomaton(compile_grammar(grammar, small_vocabulary([b"xc", b"d", b"c"])), None)
    assert automaton.forced(automaton.start) == b"xc"
