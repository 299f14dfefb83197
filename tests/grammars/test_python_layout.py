"""What `grammars/python.lark` needs of a header: gathered boundaries, refused terminals, a first line at column 0."""

import numpy as np
import pytest

from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark
from tests.oracles.vocabularies import small_vocabulary

LINES = """
// smcdsl: indenter newline=_NEWLINE indent=_INDENT dedent=_DEDENT {first}
// smcdsl: boundary part name number
// smcdsl: refused MIXED
%declare _INDENT _DEDENT
start: _NEWLINE? line+
line: (name | number)+ _NEWLINE | name ":" _NEWLINE _INDENT line+ _DEDENT
name: NAME
number: NUMBER
NAME: /[a-z]+/
NUMBER: /[0-9]+/
MIXED: /[0-9]+[a-z]/
_NEWLINE: /(\\n *)+/
%ignore " "
"""
BYTES = small_vocabulary([bytes([byte]) for byte in range(128)])


def automaton_of(first):
    tables = compile_grammar(load_lark(LINES.format(first=first)), BYTES)
    assert tables.separable
    return TokenAutomaton(tables, None)


def is_text(automaton, text):
    state = automaton.start
    for byte in text.encode():
        state = automaton.next(state, byte)
        if state == DEAD:
            return False
    return bool(automaton.finished(np.array([automaton.next(state, 128)]))[0])


@pytest.mark.parametrize(("first", "allowed"), [("", True), ("first=0", False)])
def test_blanks_before_the_first_line_are_passed_over_only_without_first(first, allowed):
    automaton = automaton_of(first)
    assert is_text(automaton, "a 1\n")
    assert is_text(automaton, " a 1\n") == allowed
    assert is_text(automaton, "\na 1\n")


def test_a_refused_terminal_is_read_nowhere():
    automaton = automaton_of("first=0")
    assert is_text(automaton, "1 a\n")
    assert not is_text(automaton, "1a\n")


def test_sites_of_gathered_rules_bear_the_name_of_the_boundary():
    automaton = automaton_of("first=0")
    assert automaton.boundaries == ("part",)
    assert [(site.rule, site.start, site.end) for site in automaton.sites(b"a 1\n", True)] == [
        ("part", 0, 1),
        ("part", 2, 3),
    ]
