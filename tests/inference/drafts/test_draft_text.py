"""Drafts from text: legal tokens, nothing of another group, forced text as the tokenizer cuts it."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.vocabularies import small_vocabulary

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import Diagnostic, ModelError
from smcdsl.inference.drafts.acceptance import Acceptance, Acceptances, Followed
from smcdsl.inference.drafts.drafting import Requests, Surroundings
from smcdsl.inference.drafts.forced import Choices, Forced, ForcedText
from smcdsl.inference.drafts.text import TextDrafts, break_even
from smcdsl.inference.draws import CounterDraws
from smcdsl.inference.particles import Frames
from smcdsl.notations.lark import load_lark
from smcdsl.prefixes import ROOT, Prefixes

TEXTS = [
    b"select",
    b" name",
    b" from",
    b" singer",
    b" song",
    b";",
    b"s",
    b"e",
    b"l",
    b"c",
    b"t",
    b" ",
    b"sel",
    b"ect",
    b" s",
]
TEXTS += [bytes([byte]) for byte in b"namefromsingersong" if bytes([byte]) not in TEXTS]
TEXTS = list(dict.fromkeys(TEXTS))
VOCABULARY = small_vocabulary(TEXTS)
LARK = 'start: "select" (" name" | " song") " from" (" singer" | " song") ";"'


def token(text: str) -> int:
    return TEXTS.index(text.encode())


def encode(text: str) -> list[int]:
    """The longest token at each place; a ModelError for other letters, as real tokenizers of closed vocabularies."""
    found, data = [], text.encode()
    if not set(data) <= set(b"".join(TEXTS)):
        raise ModelError(Diagnostic("E0806", "no token"), "small")
    while data:
        best = max((t for t in TEXTS if data.startswith(t)), key=len)
        found.append(TEXTS.index(best))
        data = data[len(best) :]
    return found


@pytest.fixture(scope="module")
def automaton() -> TokenAutomaton:
    return TokenAutomaton(compile_grammar(load_lark(LARK), VOCABULARY), None)


def surroundings(automaton: TokenAutomaton) -> Surroundings:
    model = SimpleNamespace(vocabulary=VOCABULARY, encode=encode)
    return Surroundings(model, Prefixes(), Frames(), [automaton], CounterDraws([0], 8))


def requests(around: Surroundings, where: Sequence[tuple[int, int]], room: int, groups: Sequence[int] = ()) -> Requests:
    """One particle at each (prefix, state)."""
    count = len(where)
    own = np.array(groups or [0] * count, dtype=np.int64)
    prefixes = np.array([prefix for prefix, _ in where], dtype=np.int64)
    zeros = np.zeros(count, dtype=np.int64)
    return Requests(
        rows=np.arange(count),
        groups=own,
        slots=np.arange(count),
        room=np.full(count, room, dtype=np.int64),
        steps=zeros,
        frames=zeros,
        prefixes=prefixes,
        automata=zeros,
        states=np.array([state for _, state in where], dtype=np.int64),
        visible=prefixes,
        visible_groups=own,
    )


def after(automaton: TokenAutomaton, tokens: Sequence[int]) -> int:
    state = automaton.start
    for each in tokens:
        state = automaton.next(state, each)
    return state


def test_forced_text_is_cut_as_the_tokenizer_cuts_it(automaton):
    forced = ForcedText(automaton, VOCABULARY, encode)
    # `select ` is forced, and no token of it reaches further.
    assert forced.after(automaton.start, ()) == Forced(token("select"), False, True)
    # Within a word: what the tokenizer would do with the whole word is no longer to be had.
    assert forced.after(after(automaton, [token("sel")]), (token("sel"),)) == Forced(token("ect"), False, True)
    # The blank is forced, but tokens that begin with it go on with what is not.
    blank = forced.after(after(automaton, [token("select")]), (token("select"),))
    assert blank == Forced(token(" "), False, False)


def test_a_mask_of_one_token_is_certain(automaton):
    state = after(automaton, [token(text) for text in ("select", " name", " from", " singer")])
    assert ForcedText(automaton, VOCABULARY, encode).after(state, ()) == Forced(token(";"), True, True)
    done = after(automaton, [token(text) for text in ("select", " name", " from", " singer", ";")])
    assert Choices(automaton).only(done) == VOCABULARY.end_of_turn[0]


def test_nothing_is_forced_where_two_bytes_are_possible(automaton):
    state = after(automaton, [token("select"), token(" ")])
    assert ForcedText(automaton, VOCABULARY, encode).after(state, ()) is None


def test_forced_drafts_stop_where_the_grammar_leaves_a_choice(automaton):
    around = surroundings(automaton)
    drafted = TextDrafts(around, suffixes=False).propose(requests(around, [(ROOT, automaton.start)], room=8))
    tokens = drafted.tokens.tolist()
    assert tokens[0] == token("select")
    assert VOCABULARY.spell(tokens) in (b"select", b"select ")


def test_a_sibling_shows_the_way(automaton):
    around = surroundings(automaton)
    text = [token(part) for part in ("select", " name", " from", " singer", ";")]
    sibling = around.prefixes.extend(ROOT, [1, *text])
    mine = around.prefixes.extend(ROOT, [2, *text[:2]])
    source = TextDrafts(around, free_rows=1e9)
    asked = requests(around, [(mine, after(automaton, text[:2])), (sibling, after(automaton, text))], room=8)
    drafted = source.propose(asked)
    own = drafted.tokens[drafted.starts[0] : drafted.starts[1]].tolist()
    assert own == [*text[2:], VOCABULARY.end_of_turn[0]]
    assert (drafted.laws == -1).all()


def test_siblings_of_another_group_are_not_read(automaton):
    around = surroundings(automaton)
    text = [token(part) for part in ("select", " name", " from", " singer", ";")]
    other = around.prefixes.extend(ROOT, [1, *text])
    mine = around.prefixes.extend(ROOT, [2, *text[:3]])
    where = [(mine, after(automaton, text[:3])), (other, after(automaton, text))]
    alone = TextDrafts(around, free_rows=1e9).propose(requests(around, where[:1], 8))
    beside = TextDrafts(around, free_rows=1e9).propose(requests(around, where, 8, groups=[0, 1]))
    assert alone.tokens.tolist() == beside.tokens[: beside.starts[1]].tolist() == [token(" s")]


@given(st.lists(st.lists(st.integers(0, 40), max_size=8), min_size=1, max_size=4), st.integers(0, 6), st.booleans())
def test_drafts_are_legal_and_states_are_theirs(automaton, choices, room, suffixes):
    around = surroundings(automaton)
    where = []
    for path in choices:
        state, prefix = automaton.start, around.prefixes.extend(ROOT, [3, 1, 4])
        for choice in path:
            allowed = automaton.pick(np.array([state]), np.zeros((1, len(VOCABULARY))), np.zeros(1, dtype=np.int64))
            if not len(allowed.tokens):
                break
            step = int(allowed.tokens[choice % len(allowed.tokens)])
            state, prefix = automaton.next(state, step), around.prefixes.extend(prefix, [step])
        if not automaton.finished(np.array([state]))[0]:
            where.append((prefix, state))
    if not where:
        return
    source = TextDrafts(around, suffixes=suffixes, free_rows=1e9)
    drafted = source.propose(requests(around, where, room))
    for place, (_, state) in enumerate(where):
        part = slice(drafted.starts[place], drafted.starts[place + 1])
        assert drafted.lengths[place] <= room
        for each, stated in zip(drafted.tokens[part].tolist(), drafted.states[part].tolist(), strict=True):
            assert not automaton.finished(np.array([state]))[0]
            state = automaton.next(state, each)
            assert state == stated >= 0


def test_a_chain_ends_where_it_is_unlikely_to_be_kept(automaton):
    around = surroundings(automaton)
    text = [token(part) for part in ("select", " name", " from", " singer", ";")]
    sibling = around.prefixes.extend(ROOT, [1, *text])
    mine = around.prefixes.extend(ROOT, [2, *text[:1]])
    asked = requests(around, [(mine, after(automaton, text[:1])), (sibling, after(automaton, text))], room=8)
    lengths = [int(TextDrafts(around, free_rows=rows).propose(asked).lengths[0]) for rows in (1e9, 2.0, 1e-9)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1]


def test_break_even_is_the_share_of_a_row_in_what_it_saves():
    # One row of cost 1 against a pass of 11 + 4 rows for 4 particles.
    assert break_even(4, 11.0) == pytest.approx(1 / ((11 + 4) / 4))
    assert break_even(1, 1e9) < 1e-6
    assert break_even(10**9, 11.0) == pytest.approx(1.0)


def test_acceptance_follows_what_happens():
    acceptance = Acceptance({"a": 0.9})
    assert acceptance["a"] == 0.9
    assert acceptance["unknown"] == 0.5
    for _ in range(400):
        acceptance.record("a", False)
    assert acceptance["a"] < 0.05
    for _ in range(1000):
        acceptance.record("a", True)
    assert acceptance["a"] > 0.9


def test_what_became_of_drafts_is_read_off_the_prefixes(automaton):
    around = surroundings(automaton)
    acceptances = Acceptances({})
    followed = Followed(around.prefixes, acceptances)
    stem = around.prefixes.extend(ROOT, [1, 2])
    followed.expect(requests(around, [(stem, 0)], 4), [[(7, "x"), (8, "x"), (9, "y"), (10, "y")]])
    followed.settle(requests(around, [(around.prefixes.extend(stem, [7, 8, 5]), 0)], 4))
    # Two kept, the third refused; the fourth was never reached.
    assert acceptances[0]["x"] == pytest.approx((4 * 0.5 + 2) / 6, rel=0.02)
    assert acceptances[0]["y"] == pytest.approx(4 * 0.5 / 5, rel=0.02)
    # A slot that another particle has taken since says nothing.
    followed.expect(requests(around, [(stem, 0)], 4), [[(7, "z")]])
    followed.settle(requests(around, [(around.prefixes.extend(ROOT, [4, 4, 4]), 0)], 4))
    assert acceptances[0]["z"] == 0.5
