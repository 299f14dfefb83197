"""Which lexemes cannot get rid of what is owed, against following all pairs of states byte by byte."""

import sys
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.vocabularies import small_vocabulary

sys.path.insert(0, str(Path(__file__).parents[1] / "automaton"))

from test_masks_lexed import IGNORED, TERMINALS, rule_sets, written

from smcdsl.compiler import obligations
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark

BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])


def tables_of(text, policy):
    grammar = load_lark(f"// smcdsl: lexing {policy}\n{text}", name="g", start="start")
    return compile_grammar(grammar, BYTES)


def escaping(lexer):
    """(S, S) whether a lexeme in the first state may end, or the owed one die, before the owed one accepts."""
    table, accepting = lexer.next_state, lexer.accepting
    size = len(table)
    found = np.repeat(accepting[:, None], size, axis=1)
    while True:
        wider = found.copy()
        for state in range(1, size):
            for owed in range(1, size):
                for after, owed_after in set(zip(table[state].tolist(), table[owed].tolist())):
                    if after and (not owed_after or (not accepting[owed_after] and found[after, owed_after])):
                        wider[state, owed] = True
        if (wider == found).all():
            return found
        found = wider


def met(lexer):
    """Pairs that one lexeme after another can come to, whatever the parser says of them."""
    table, accepting = lexer.next_state, lexer.accepting
    starts = np.flatnonzero(lexer.is_start & lexer.exclusive[lexer.mode]).tolist()
    pairs, agenda = set(), [(start, end) for end in np.flatnonzero(accepting).tolist() for start in starts]
    while agenda:
        state, owed = agenda.pop()
        for after, owed_after in set(zip(table[state].tolist(), table[owed].tolist())):
            if after and owed_after and not accepting[owed_after] and (after, owed_after) not in pairs:
                pairs.add((after, owed_after))
                agenda.append((after, owed_after))
                agenda += [(start, owed_after) for start in starts if accepting[after]]
    return pairs


def trapped(lexer):
    bounds = lexer.trapped_start.tolist()
    return {
        (q, owed) for owed in range(len(lexer.mode)) for q in lexer.trapped[bounds[owed] : bounds[owed + 1]].tolist()
    }


@settings(max_examples=60, deadline=None)
@given(rule_sets, st.sampled_from(IGNORED), st.sampled_from(["longest", "contextual"]))
def test_trapped_pairs_are_those_that_cannot_escape(rules, ignored, policy):
    try:
        lexer = tables_of(written(rules, ignored, {}), policy).lexer
    except CompileError:
        return
    escapes = escaping(lexer)
    assert not any(escapes[pair] for pair in trapped(lexer))


ANY_ORDER = "start: (" + " | ".join(TERMINALS) + ")*\n" + "".join(f"{n}: {d}\n" for n, d in TERMINALS.items())


def test_where_all_may_follow_all_no_trapped_pair_is_left_out():
    for ignored in IGNORED:
        lexer = tables_of(ANY_ORDER + ignored + "\n", "longest").lexer
        escapes = escaping(lexer)
        assert trapped(lexer) == {pair for pair in met(lexer) if not escapes[pair]} != set()


def test_too_many_pairs_are_no_mistake(monkeypatch):
    monkeypatch.setattr(obligations, "_MOST_PAIRS", 3)
    assert trapped(tables_of(ANY_ORDER, "longest").lexer) == set()
