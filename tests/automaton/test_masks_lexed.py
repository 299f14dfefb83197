"""Masks of lexed grammars against lark itself: its basic lexer is `longest`, its contextual lexer `contextual`.

What a mask allows is completed by a search, and lark must accept the completed text; what lark accepts, the
masks must allow token by token.
"""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import GrammarError, LarkError
from oracles.masks import Language, accepts, allowed, check_walk, step
from oracles.vocabularies import small_vocabulary

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Limit

TERMINALS = {
    "NAME": "/[ab]+/",
    "NUMBER": r"/1+(\.1+)?(b1+)?/",
    "AB": '"ab"',
    "A": '"a"',
    "DOT": '"."',
    "DOTS": '".."',
    "QUOTED": r"/'(b|'')*'/",
    "ELLIPSIS": '"..."',
    "LONG": r"/\.1\.1/",
}
LETTERS = "ab1.' "
ALL_LETTERS = LETTERS + "-"
IGNORED = ['%ignore " "', "", "%ignore /'-+'/\n%ignore \" \""]

symbols = st.sampled_from([*TERMINALS, "one", "two"])
factors = st.builds(lambda s, mark: s + mark, symbols, st.sampled_from(["", "", "", "?", "*", "+"]))
bodies = st.lists(st.lists(factors, max_size=3).map(" ".join), min_size=1, max_size=3)
rule_sets = st.tuples(bodies, bodies, bodies)


def written(rules, ignored, priorities):
    text = "start: " + " | ".join(rules[0]) + "\n"
    text += "one: " + " | ".join(rules[1]) + "\ntwo: " + " | ".join(rules[2]) + "\n"
    for name, definition in TERMINALS.items():
        text += f"{name}{priorities.get(name, '')}: {definition}\n"
    return text + ignored + "\n"


def lark_reader(text, policy):
    """(does lark accept this text?) by LALR where lark can, else by Earley over the same lexemes."""
    for parser, lexer in (("lalr", "basic" if policy == "longest" else "contextual"), ("earley", "basic")):
        if policy == "contextual" and parser == "earley":
            break
        try:
            reader = Lark(text, parser=parser, lexer=lexer, strict=False)
        except GrammarError:
            continue
        if parser == "lalr" and has_hidden_conflicts(text):
            continue

        def reads(candidate, reader=reader):
            try:
                reader.parse(candidate)
            except LarkError:
                return False
            return True

        return reads
    return None


def has_hidden_conflicts(text):
    """Lark settles shift/reduce conflicts by shifting, which loses texts."""
    import logging

    from lark import logger

    found = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        Lark(text, parser="lalr", debug=True)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    return any("onflict" in record.getMessage() for record in found)


def completion(automaton, state, vocabulary, most=3000):
    """Bytes after which the text is complete, by single-byte tokens; None beyond the bound."""
    agenda, seen = [(state, b"")], {state}
    for current, text in agenda:
        mask = allowed(automaton, current, len(vocabulary))
        if vocabulary.end_of_turn[0] in mask:
            return text
        assert mask, "a state from which nothing leads on"
        if len(agenda) > most:
            return None
        for token in sorted(mask):
            if len(vocabulary.token_bytes[token]) == 1:
                after = step(automaton, current, token)
                if after not in seen:
                    seen.add(after)
                    agenda.append((after, text + vocabulary.token_bytes[token]))
    raise AssertionError("no way to an end")


@pytest.mark.parametrize("policy", ["longest", "contextual"])
@settings(max_examples=70, deadline=None)
@given(data=st.data(), rules=rule_sets, ignored=st.sampled_from(IGNORED))
def test_masks_are_what_lark_reads(data, policy, rules, ignored):
    priorities = data.draw(st.dictionaries(st.sampled_from([*TERMINALS]), st.sampled_from([".1", ".2"]), max_size=1))
    text = written(rules, ignored, priorities)
    oracle = lark_reader(text, policy)
    assume(oracle is not None)
    tokens = [letter.encode() for letter in LETTERS]
    tokens += data.draw(st.lists(st.text(LETTERS, min_size=2, max_size=4).map(str.encode), max_size=6))
    vocabulary = small_vocabulary(tokens)
    texts = ["".join(letters) for n in range(4) for letters in product(LETTERS, repeat=n)]
    texts += data.draw(st.lists(st.text(LETTERS, min_size=4, max_size=9), max_size=10))
    good = {candidate for candidate in texts if oracle(candidate)}
    try:
        grammar = load_lark(f"// smcdsl: lexing {policy}\n{text}", name="g", start="start", import_paths=[])
        automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), None)
    except CompileError as error:
        code = error.diagnostics[0].code
        assert code == "E0403" and not good  # noqa: PT018
        return
    for candidate in texts:
        assert accepts(automaton, vocabulary, candidate) == (candidate in good), candidate
    beginnings = {candidate.encode()[:n] for candidate in good for n in range(len(candidate) + 1)}
    state, so_far = automaton.start, b""
    for _ in range(3):
        mask = allowed(automaton, state, len(vocabulary))
        for token, piece in enumerate(vocabulary.token_bytes):
            if piece and so_far + piece in beginnings:
                assert token in mask, (so_far, piece)
        for token in sorted(mask - set(vocabulary.end_of_turn))[:6]:
            rest = completion(automaton, step(automaton, state, token), vocabulary)
            if rest is not None:
                assert oracle((so_far + vocabulary.token_bytes[token] + rest).decode())
        choices = sorted(mask - set(vocabulary.end_of_turn))
        if not choices:
            return
        token = data.draw(st.sampled_from(choices))
        state, so_far = step(automaton, state, token), so_far + vocabulary.token_bytes[token]


@pytest.mark.parametrize("policy", ["longest", "contextual"])
@settings(max_examples=30, deadline=None)
@given(data=st.data(), rules=rule_sets, ignored=st.sampled_from(IGNORED))
def test_short_lexed_texts_end_where_the_definition_says(data, policy, rules, ignored):
    text = written(rules, ignored, {})
    oracle = lark_reader(text, policy)
    assume(oracle is not None)
    candidates = ("".join(letters) for n in range(4) for letters in product(ALL_LETTERS, repeat=n))
    language = Language.of({candidate.encode() for candidate in candidates if oracle(candidate)})
    tokens = [letter.encode() for letter in ALL_LETTERS]
    tokens += data.draw(st.lists(st.text(LETTERS, min_size=2, max_size=4).map(str.encode), max_size=6))
    vocabulary = small_vocabulary(tokens)
    following = data.draw(st.none() | st.text(LETTERS, min_size=1, max_size=3).map(str.encode))
    grammar = load_lark(f"// smcdsl: lexing {policy}\n{text}", name="g", start="start", import_paths=[])
    grammar = replace(grammar, conditions=(Limit("chars", 0, 3),))
    try:
        automaton = TokenAutomaton(compile_grammar(grammar, vocabulary), following)
    except CompileError:
        assert not language.begins(b"")
        return
    assert language.begins(b"")
    choose = lambda tokens: data.draw(st.sampled_from(tokens))  # noqa: E731
    check_walk(automaton, vocabulary, language, following, choose, 5, True)
    assert automaton.sizes()["undecided"] == 0
