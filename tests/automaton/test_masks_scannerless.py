"""Masks of inline grammars equal trying every token, on random grammars, vocabularies and following texts."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from oracles.languages import grammar_texts
from oracles.masks import Language, allowed, can_end, check_walk, step
from oracles.vocabularies import small_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1] / "compiler"))

from grammar_strategies import ALPHABET, grammars

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.program.grammar import Concatenation, Grammar, Limit, LiteralText, Pattern, Reference

LETTERS = ALPHABET + "é"
BYTES = sorted({bytes([b]) for b in LETTERS.encode()})

pieces = st.lists(st.text(LETTERS, min_size=1, max_size=4).map(str.encode), max_size=8)
halves = st.lists(st.sampled_from([b"\xc3", b"\xa9", b"a\xc3", b"\xa9b", b"\xa9\xc3"]), max_size=3)
following_texts = st.none() | st.text(LETTERS, min_size=1, max_size=3).map(str.encode)


@st.composite
def vocabularies(draw, complete):
    tokens = draw(pieces) + draw(halves) + draw(pieces)
    if complete:
        tokens += BYTES
    tokens = draw(st.permutations(tokens)) if tokens else [b"a"]
    return small_vocabulary(tokens, ends=draw(st.integers(1, 2)))


def check(data, grammar, texts, complete, steps=6):
    vocabulary = data.draw(vocabularies(complete), label="vocabulary")
    following = data.draw(following_texts, label="following")
    if following is not None and not complete:
        assume(all(bytes([b]) in vocabulary.token_bytes for b in following) or data.draw(st.booleans()))
    language = Language.of({text.encode() for text in texts})
    try:
        automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), following)
    except CompileError as error:
        code = error.diagnostics[0].code
        if code == "E0403":
            assert not texts
        else:
            assert code == "E0410"
            assert not complete
            assert not can_end(b"", vocabulary.token_bytes, language, following, {})
        return
    choose = lambda tokens: data.draw(st.sampled_from(tokens), label="token")  # noqa: E731
    check_walk(automaton, vocabulary, language, following, choose, steps, complete)


@pytest.mark.parametrize("complete", [True, False])
@settings(max_examples=120, deadline=None)
@given(data=st.data(), grammar=grammars(with_restrictions=True))
def test_masks_are_exact_where_texts_are_short(data, grammar, complete):
    grammar = replace(grammar, conditions=(Limit("chars", 0, 5),))
    check(data, grammar, grammar_texts(grammar, LETTERS, 5), complete)


class Growing:
    """A language by its texts up to a length: enough to see what may follow short texts, or asked for more."""

    def __init__(self, grammar: Grammar, letters: str, longest: int) -> None:
        self.texts = {text.encode() for text in grammar_texts(grammar, letters, longest)}
        self.language = Language.of(self.texts)


def a(*names):
    return Concatenation(tuple(LiteralText(n[1:]) if n[0] == "'" else Reference((n,)) for n in names))


def either(*items):
    from smcdsl.program.grammar import Alternatives

    return Alternatives(items)


AMBIGUOUS = {
    "doubled": {"start": either(a("start", "start"), a("'a"))},
    "doubled or empty": {"start": either(a("start", "start"), a("'a"), a())},
    "hidden left recursion": {"start": either(a("maybe", "start", "'b"), a("'a")), "maybe": either(a("'a"), a())},
    "palindromes": {"start": either(a("'a", "start", "'a"), a("'b", "start", "'b"), a(), a("'a"), a("'b"))},
    "unit cycle": {"start": either(a("other"), a("'a", "start", "'b")), "other": either(a("start"), a("'b"))},
    "dangling": {"start": either(a("'a", "start"), a("'a", "start", "'b", "start"), a("' "))},
    "right and left": {"start": either(a("start", "'a"), a("'b", "start"), a("'b"))},
    "everything empty": {
        "start": a("x", "y", "x"),
        "x": either(a("'a", "x", "'b"), a()),
        "y": either(a(), a("x", "y")),
    },
    "pumping": {"start": either(a("'a", "start", "'b", "start"), a("word")), "word": Pattern("[ab]?")},
    "two languages": {
        "start": either(a("x"), a("y")),
        "x": either(a("'a", "x", "'b"), a("'a", "'b")),
        "y": either(a("'a", "y", "'b", "'b"), a("'a", "'b", "'b")),
    },
}


@pytest.mark.parametrize("name", AMBIGUOUS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_masks_are_exact_for_grammars_that_no_table_decides(data, name):
    grammar = Grammar("g", "start", AMBIGUOUS[name])
    texts = grammar_texts(grammar, "ab ", 10)
    # Walks stay so short that every beginning within them has a completion of at most ten letters.
    vocabulary = small_vocabulary(
        [*data.draw(st.lists(st.text("ab ", min_size=1, max_size=2).map(str.encode), max_size=5)), b"a", b"b", b" "]
    )
    following = data.draw(st.none() | st.text("ab ", min_size=1, max_size=2).map(str.encode))
    automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), following)
    choose = lambda tokens: data.draw(st.sampled_from(tokens))  # noqa: E731
    check_walk(automaton, vocabulary, Language.of({t.encode() for t in texts}), following, choose, 2, True)


@settings(max_examples=120, deadline=None)
@given(data=st.data(), grammar=grammars())
def test_masks_are_exact_for_any_recursion(data, grammar):
    texts = grammar_texts(grammar, LETTERS, 4)
    longer = grammar_texts(grammar, "ab ", 5)
    vocabulary = data.draw(vocabularies(True))
    following = data.draw(following_texts)
    try:
        automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), following)
    except CompileError:
        assert not texts
        return
    language = Language.of({text.encode() for text in {*texts, *longer}})
    whole = {t.encode() for t in {*texts, *longer}}
    known = set(language_prefixes(language, {*texts, *longer}))
    state, text = automaton.start, b""
    for _ in range(3):
        mask = allowed(automaton, state, len(vocabulary))
        for token, piece in enumerate(vocabulary.token_bytes):
            if piece and text + piece in known:
                assert token in mask, (text, piece)
        if following is None:
            assert (vocabulary.end_of_turn[0] in mask) == (text in whole) or len(text) > 3
        if not mask:
            return
        token = data.draw(st.sampled_from(sorted(mask)))
        text += vocabulary.token_bytes[token]
        state = step(automaton, state, token)
        if token in vocabulary.end_of_turn or automaton.finished(np.array([state]))[0] or len(text) > 3:
            return
        # Whatever is allowed can be completed: some path of single bytes leads to an end.
        assert reaches_an_end(automaton, state, vocabulary), text


def language_prefixes(language, texts):
    return {text.encode()[:n] for text in texts for n in range(len(text.encode()) + 1)}


def reaches_an_end(automaton, state, vocabulary, most=400):
    agenda, seen = [state], {state}
    for current in agenda:
        mask = allowed(automaton, current, len(vocabulary))
        if mask & set(vocabulary.end_of_turn) or automaton.finished(np.array([current]))[0]:
            return True
        if len(agenda) > most:
            return True
        for token in mask:
            after = step(automaton, current, token)
            if after not in seen:
                seen.add(after)
                agenda.append(after)
    return False
