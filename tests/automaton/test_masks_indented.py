"""Masks of indented grammars against lark's lexer, its `Indenter` and its parser, on the same grammar text."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import LarkError
from lark.indenter import DedentError, Indenter
from oracles.masks import accepts, allowed, step
from oracles.vocabularies import small_vocabulary

from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark

HEADER = """
// smcdsl: indenter newline=_NEWLINE indent=_INDENT dedent=_DEDENT open=LPAR,LSQB close=RPAR,RSQB tab=8
%declare _INDENT _DEDENT
"""
BLOCKS = """
start: _NEWLINE? statement*
statement: expr _NEWLINE | "if" expr ":" block | "else" ":" block
block: expr _NEWLINE | _NEWLINE _INDENT statement+ _DEDENT
expr: NAME | NAME "(" [expr] ")" | "[" expr* "]" | expr "." NAME
NAME: /[a-z]+/
_NEWLINE: (/\\r?\\n[\\t ]*/ | /#[a-z ]*/)+
%ignore /[ \\t]+/
"""
MAPPINGS = """
start: entry+
entry: NAME ":" (value _NEWLINE | _NEWLINE _INDENT entry+ _DEDENT)
value: NAME | "[" [NAME ("," NAME)*] "]" | "(" value ")"
NAME: /[a-z]+/
_NEWLINE: /\\n[ \\t]*/
%ignore " "
"""
NESTED = """
start: (item | _NEWLINE)*
item: NAME _NEWLINE [_INDENT item+ _DEDENT] | "(" ")" _NEWLINE | "[" "]" _NEWLINE
NAME: /[a-z]+/
_NEWLINE: /(\\n[ \\t]*)+/
%ignore /\\t/
"""
GRAMMARS = {"blocks": BLOCKS, "mappings": MAPPINGS, "nested": NESTED}
LETTERS = "ab(): \n[].#\tif,"
LINES = ["\n  ", "\n    ", "\n", "\n\n ", ":\n ", "\n#\n  ", "\r\n "]
CHUNKS = [*LINES, "if a:", "a", "a.b", "(", ")", "[a", "]", " ", "  ", "\t", "#a", "a:"]


class Layout(Indenter):
    NL_type, INDENT_type, DEDENT_type = "_NEWLINE", "_INDENT", "_DEDENT"
    OPEN_PAREN_types, CLOSE_PAREN_types, tab_len = ["LPAR", "LSQB"], ["RPAR", "RSQB"], 8


def lark_accepts(name, policy):
    reader = Lark(
        HEADER + GRAMMARS[name], parser="lalr", lexer={"longest": "basic"}.get(policy, policy), postlex=Layout()
    )

    def reads(text):
        try:
            reader.parse(text)
        except (LarkError, DedentError, AssertionError, IndexError):
            return False
        return True

    return reads


def automaton_of(name, policy, vocabulary):
    grammar = load_lark(f"// smcdsl: lexing {policy}\n{HEADER}{GRAMMARS[name]}", name=name)
    return TokenAutomaton(compile_grammar(grammar, vocabulary), None)


ALL_BYTES = [bytes([byte]) for byte in {*(LETTERS + "\rabcdefghijklmnopqrstuvwxyz").encode()}]
BYTES = small_vocabulary(ALL_BYTES)
POLICIES = ["longest", "contextual"]


@pytest.fixture(scope="module", params=[(name, policy) for name in GRAMMARS for policy in POLICIES], ids="-".join)
def language(request):
    return (*request.param, automaton_of(*request.param, BYTES), lark_accepts(*request.param))


@settings(max_examples=150, deadline=None)
@given(text=st.lists(st.sampled_from(CHUNKS), max_size=14).map("".join) | st.text(LETTERS, max_size=6))
def test_texts_are_those_of_lark(language, text):
    _, _, automaton, lark = language
    for candidate in {text, text + "\n"}:
        assert accepts(automaton, BYTES, candidate) == lark(candidate), candidate


def finish(automaton, state, vocabulary, most=60):
    """Bytes that lead to an end, by the single-byte tokens that close things first."""
    wanted = [b")", b"]", b"\n", b"a", b":", b" ", b"e", b"l", b"s", b"f"]
    order = [vocabulary.token_bytes.index(byte) for byte in wanted]
    agenda, seen = [(state, b"")], {state}
    for current, text in agenda:
        mask = allowed(automaton, current, len(vocabulary))
        if vocabulary.end_of_turn[0] in mask:
            return text
        assert mask, "a state from which nothing leads on"
        for token in order:
            if token in mask and len(text) < most:
                after = step(automaton, current, token)
                if after not in seen:
                    seen.add(after)
                    agenda.append((after, text + vocabulary.token_bytes[token]))
    raise AssertionError("no way to an end")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", GRAMMARS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_masks_of_walks(name, policy, data):
    pieces = data.draw(st.lists(st.sampled_from(CHUNKS) | st.text(LETTERS, min_size=2, max_size=5), max_size=8))
    vocabulary = small_vocabulary([*ALL_BYTES, *(piece.encode() for piece in pieces)])
    automaton, lark = automaton_of(name, policy, vocabulary), lark_accepts(name, policy)
    single = [vocabulary.token_bytes.index(byte) for byte in ALL_BYTES]
    # Most tokens lead to one of few states.
    ends = cache(lambda state: finish(automaton, state, vocabulary))
    state, text = automaton.start, b""
    for _ in range(12):
        mask = allowed(automaton, state, len(vocabulary))
        assert (vocabulary.end_of_turn[0] in mask) == lark(text.decode()), text
        for token, piece in enumerate(vocabulary.token_bytes):
            # A token is allowed just when its bytes are, one after the other.
            after = state
            for byte in piece:
                after = step(automaton, after, single[ALL_BYTES.index(bytes([byte]))]) if after != DEAD else DEAD
            if piece:
                assert (token in mask) == (after != DEAD), (text, piece)
        for token in sorted(mask & set(single))[::3]:
            rest = ends(step(automaton, state, token))
            assert lark((text + vocabulary.token_bytes[token] + rest).decode())
        choices = sorted(mask - set(vocabulary.end_of_turn))
        if not choices:
            return
        token = data.draw(st.sampled_from(choices))
        state, text = step(automaton, state, token), text + vocabulary.token_bytes[token]


def lark_sites(name):
    """The spans of all trees of public rules, in characters."""
    reader = Lark(
        HEADER + GRAMMARS[name],
        parser="lalr",
        lexer="basic",
        postlex=Layout(),
        propagate_positions=True,
        keep_all_tokens=True,
        maybe_placeholders=False,
    )

    def sites(text):
        return sorted(
            (tree.data, tree.meta.start_pos, tree.meta.end_pos)
            for tree in reader.parse(text).iter_subtrees()
            if not tree.meta.empty and tree.data != "start"
        )

    return sites


@pytest.mark.parametrize("name", GRAMMARS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_sites_are_the_trees_of_lark(name, data):
    automaton, sites = automaton_of(name, "longest", BYTES), lark_sites(name)
    state, text = automaton.start, b""
    noticed = 0
    for _ in range(40):
        mask = allowed(automaton, state, len(BYTES))
        certain = automaton.sites(text, False)
        if BYTES.end_of_turn[0] in mask:
            found = {(site.rule, site.start, site.end) for site in automaton.sites(text, True)}
            expected = {site for site in sites(text.decode()) if site[1] < site[2]}
            assert {site for site in found if site[0] != "start" and site[1] < site[2]} == expected, text
            assert {(site.rule, site.start, site.end) for site in certain} <= found
        noticed = len(certain)
        choices = sorted(mask - set(BYTES.end_of_turn))
        if not choices:
            return
        token = data.draw(st.sampled_from(choices))
        bits = int(automaton.noticed(np.array([state]), np.array([token]), lambda _, text=text: text)[0])
        state, text = step(automaton, state, token), text + BYTES.token_bytes[token]
        fresh = {automaton.boundaries.index(site.rule) for site in automaton.sites(text, False)[noticed:]}
        assert {i for i in range(len(automaton.boundaries)) if bits >> i & 1} >= fresh, text
