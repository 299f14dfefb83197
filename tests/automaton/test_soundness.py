"""Tables from a file: those of the compiler pass, and every way of breaking them that kernels would trust is found."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
from oracles.vocabularies import small_vocabulary

from smcdsl.automaton import proving
from smcdsl.automaton.layout import SCRATCH
from smcdsl.automaton.soundness import Unsound, check_tables
from smcdsl.automaton.tables import ParserTables
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Alternatives, Concatenation, Grammar, LiteralText, Pattern, Reference, Repeat

TEXTS = [b"a", b"ab", b"abc", b"b", b"(", b")", b"()", b"+", b"a+", b"\n", b"  ", b" ", b":", b"\xc3", b"\xa9"]
VOCABULARY = small_vocabulary([*TEXTS, b"a"], ends=2)

LEXED = '// smcdsl: lexing {lexing}\nstart: sum\nsum: atom | sum "+" atom\natom: NAME | "(" sum? ")"\n'
LEXED += 'NAME: /[ab]+/\n%ignore " "\n'
INDENTED = """// smcdsl: lexing longest
// smcdsl: indenter newline=_NL indent=_IN dedent=_DE open=LPAR close=RPAR tab=8
start: line+
line: NAME _NL | NAME ":" _NL _IN line+ _DE | LPAR NAME RPAR _NL
LPAR: "("
RPAR: ")"
NAME: /[ab]+/
_NL: /\\n */
%ignore " "
%declare _IN _DE
"""
SITES = Grammar(
    "sites",
    "s",
    {
        "s": Alternatives((Concatenation((LiteralText("("), Reference(("s",)), LiteralText(")"))), Reference(("x",)))),
        "x": Repeat(Pattern("[ab]"), 1, 3),
    },
    boundaries=("x",),
)


def lexed(lexing="longest"):
    return compile_grammar(load_lark(LEXED.format(lexing=lexing), name="g"), VOCABULARY)


def kinds():
    """Tables of every kind: regular, deterministic, with conflicts, with indentation, with rules for sites."""
    ambiguous = 'start: e\ne: e "+" e | "a" | "(" e ")"\n'
    return {
        "regular": compile_grammar(Grammar("g", "s", {"s": Pattern("(ab?)+")}), VOCABULARY),
        "longest": lexed(),
        "contextual": lexed("contextual"),
        "conflicts": compile_grammar(load_lark(ambiguous, name="g"), VOCABULARY),
        "indented": compile_grammar(load_lark(INDENTED, name="g"), VOCABULARY),
        "sites": compile_grammar(SITES, VOCABULARY),
    }


@pytest.fixture(scope="module")
def made():
    return kinds()


def test_what_the_compiler_makes_is_sound(made):
    assert made["regular"].regular is not None
    assert not made["conflicts"].deterministic
    assert made["indented"].layout is not None
    assert made["sites"].leaves is not None
    for tables in made.values():
        check_tables(tables)


@pytest.mark.parametrize(("name", "start"), [("sql", "select"), ("python", "statements"), ("smiles", "molecule")])
def test_shipped_grammars_are_sound(name, start):
    text = files("smcdsl.grammars").joinpath(f"{name}.lark").read_text(encoding="utf-8")
    grammar = load_lark(text, name=name, start=start)
    check_tables(compile_grammar(grammar, small_vocabulary([bytes([byte]) for byte in range(256)])))


def broken(tables, part, field, change):
    """Tables with one array changed in a copy."""
    array = getattr(getattr(tables, part), field).copy()
    array = change(array)
    return tables._replace(**{part: getattr(tables, part)._replace(**{field: array})})


def put(index, value):
    def change(array):
        array[index] = value
        return array

    return change


BREAKS = [
    ("longest", "lexer", "next_state", put((1, 97), 10_000)),
    ("longest", "lexer", "next_state", put((1, 97), -1)),
    ("longest", "lexer", "next_state", put((0, 97), 1)),
    ("longest", "lexer", "next_state", lambda array: array[:, :255].copy()),
    ("longest", "lexer", "next_state", lambda array: array.astype(np.int64)),
    ("longest", "lexer", "next_state", np.asfortranarray),
    ("longest", "lexer", "accepts", put((1, 0), 1 << 40)),
    ("longest", "lexer", "accepting", lambda array: (array.view(np.uint8) * 7).view(np.bool_)),
    ("longest", "lexer", "winner", put(1, 60)),
    ("longest", "lexer", "alive", put((1, 0), 1 << 63)),
    ("longest", "lexer", "mode", put(1, 1)),
    ("longest", "lexer", "trapped_start", put(1, 9)),
    ("longest", "lexer", "ignored", lambda array: np.append(array, array)),
    ("longest", "parser", "shift", put((0, 0), 999)),
    ("longest", "parser", "shift", put((0, -1), 1)),
    ("longest", "parser", "first_reduce", put(3, -1)),
    ("longest", "parser", "first_reduce", put(3, 1 << 30)),
    ("longest", "parser", "reduce", put(0, 77)),
    ("longest", "parser", "lhs", put(0, 77)),
    ("longest", "parser", "lhs", put(0, -1)),
    ("longest", "parser", "length", put(0, -1)),
    ("longest", "parser", "length", put(0, 1 << 30)),
    ("longest", "parser", "start_of", put((0, 0), 1 << 20)),
    ("longest", "parser", "possible", put((0, 0), 0)),
    ("longest", "parser", "markers", put(0, 5)),
    ("longest", "parser", "boundary", put(0, 99)),
    ("longest", "trie", "skip", put(1, 1)),
    ("longest", "trie", "skip", put(1, 3)),
    ("longest", "trie", "depth", put(1, 2)),
    ("longest", "trie", "depth", put(1, SCRATCH)),
    ("longest", "trie", "byte", put(1, 255)),
    ("longest", "trie", "tokens", put(0, 900)),
    ("longest", "trie", "tokens", put(0, 1)),
    ("longest", "trie", "first_token", put(1, 1)),
    ("longest", "trie", "first_token", put(2, 1 << 20)),
    ("longest", "trie", "text_start", put(1, -1)),
    ("longest", "trie", "text", put(0, 255)),
    ("regular", "regular", "next_state", put((1, 97), 1 << 20)),
    ("regular", "regular", "accepting", put(0, True)),
    ("indented", "layout", "column", put(0, 1 << 20)),
    ("indented", "layout", "access", lambda array: np.where(array == 4, 0, array).astype(np.uint8)),
    ("indented", "layout", "access", lambda array: np.where(array == 0, 3, array).astype(np.uint8)),
    ("indented", "layout", "numbers", put(1, 500)),
    ("indented", "layout", "numbers", put(2, 1 << 20)),
    ("sites", "leaves", "next_state", put((1, 97), 1 << 20)),
]


@pytest.mark.parametrize("at", range(len(BREAKS)), ids=lambda at: f"{at}-{BREAKS[at][1]}.{BREAKS[at][2]}")
def test_one_thing_that_kernels_trust_is_wrong(made, at):
    kind, part, field, change = BREAKS[at]
    with pytest.raises(Unsound):
        check_tables(broken(made[kind], part, field, change))


@pytest.mark.parametrize(
    "changed",
    [
        {"vocab_size": 3},
        {"end_of_turn": ()},
        {"end_of_turn": (0,)},
        {"end_of_turn": (-1,)},
        {"token_limit": (-1, 3)},
        {"token_limit": (0, 1 << 70)},
        {"lexer": None},
        {"deterministic": False, "layout": None, "parser": None},
    ],
)
def test_plain_facts_are_looked_at(made, changed):
    with pytest.raises(Unsound):
        check_tables(made["longest"]._replace(**changed))


def rules(body, **changed):
    """Rules for sites with one body."""
    plain = {"rules": [body], "start": 0, "boundaries": ["x"], "lexed": False, "ignored": [], "mode": 0, "embedded": []}
    return json.dumps(plain | changed)


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[",
        "[" * 5000,
        "{}",
        rules(["rule", 7]),
        rules(["leaf", 99]),
        rules(["leaf", 1], boundaries=["y"]),
        rules(["repeat", ["leaf", 1], 3, 1]),
        rules(["leaf", 1], lexed=1),
        rules(["leaf", 1], mode=9),
        rules(["leaf", 1], embedded=[[]]),
        rules(["embedded", 0]),
        rules(["nothing", 0]),
        rules(["leaf", True]),
        rules(json.loads('["choice", ' * 300 + '["leaf", 1]' + "]" * 300)),
    ],
)
def test_rules_for_sites_are_looked_at(made, text):
    tables = made["sites"]
    check_tables(tables._replace(sites=rules(["leaf", 1])))
    if text == "null":
        tables = tables._replace(deterministic=False)
    with pytest.raises(Unsound):
        check_tables(tables._replace(sites=text))


def parser_arrays(shift, goto, reductions, lhs, length):
    """Parser tables from (state, terminal, production) triples; the last terminal is `$end`."""
    shift, goto = np.array(shift, dtype=np.int32), np.array(goto, dtype=np.int32)
    cells = sorted((state * shift.shape[1] + terminal, production) for state, terminal, production in reductions)
    first = np.searchsorted([cell for cell, _ in cells], np.arange(shift.size + 1)).astype(np.int32)
    return (
        shift,
        goto,
        first,
        np.array([production for _, production in cells], dtype=np.int32),
        np.array(lhs, dtype=np.int32),
        np.array(length, dtype=np.int32),
    )


def test_a_reduction_may_not_reach_below_the_stack():
    # State 1 is one step from the bottom, and its production has two symbols.
    tables = parser_arrays([[1, -1], [-1, -1]], [[1], [1]], [(1, 1, 0)], [0], [2])
    assert proving.parser_fault(*tables, True) == proving.TOO_SHORT
    tables = parser_arrays([[1, -1], [-1, -1]], [[1], [1]], [(1, 1, 0)], [0], [1])
    assert proving.parser_fault(*tables, True) == proving.ENDLESS  # state 1 becomes itself before `$end`


def test_a_reduction_must_lead_somewhere():
    tables = parser_arrays([[1, -1], [-1, -1]], [[-1], [-1]], [(1, 1, 0)], [0], [1])
    assert proving.parser_fault(*tables, True) == proving.NO_GOTO


def test_reductions_that_feed_each_other_are_found():
    # Before `$end` 1 becomes 2 and 2 becomes 1, above state 0.
    tables = parser_arrays(
        [[1, -1], [-1, -1], [-1, -1]], [[1, 2], [-1, -1], [-1, -1]], [(1, 1, 1), (2, 1, 0)], [0, 1], [1, 1]
    )
    assert proving.parser_fault(*tables, True) == proving.ENDLESS
    # A tail that runs into such a circle, from a state outside it.
    tables = parser_arrays(
        [[1, -1], [-1, -1], [-1, -1], [-1, -1]],
        [[1, 2, 3], [-1] * 3, [-1] * 3, [-1] * 3],
        [(1, 1, 1), (2, 1, 2), (3, 1, 1)],
        [0, 1, 2],
        [1, 1, 1],
    )
    assert proving.parser_fault(*tables, True) == proving.ENDLESS


def test_empty_reductions_that_grow_for_ever_are_found():
    tables = parser_arrays([[1, -1], [-1, -1]], [[1], [1]], [(1, 1, 0)], [0], [0])
    assert proving.parser_fault(*tables, True) == proving.ENDLESS
    # An empty rule, then two symbols are one again: the stack is as it was.
    tables = parser_arrays(
        [[1, -1], [-1, -1], [-1, -1]],
        [[1, -1], [-1, 2], [-1, -1]],
        [(1, 1, 1), (2, 1, 0)],
        [0, 1],
        [2, 0],
    )
    assert proving.parser_fault(*tables, True) == proving.ENDLESS


def test_reductions_down_a_right_recursion_are_no_circle():
    text = 'start: list\nlist: "a" list | "a"\n'
    tables = compile_grammar(load_lark(f"// smcdsl: lexing longest\n{text}", name="g"), VOCABULARY)
    assert isinstance(tables.parser, ParserTables)
    check_tables(tables)


def test_markers_that_follow_each_other_for_ever_are_found(made):
    tables = made["longest"]
    modes = 2
    lexer = tables.lexer._replace(exclusive=np.array([True, True]))
    terminals = tables.parser.shift.shape[1]
    start_of = np.repeat(tables.parser.start_of, modes, axis=1)
    for marker in range(terminals - 2):
        parser_ = tables.parser._replace(markers=np.array([-1, marker], dtype=np.int32), start_of=start_of)
        shift = parser_.shift.copy()
        # After the marker comes its end, and after that the marker.
        shift[:, marker], shift[:, marker + 1] = 0, 0
        with pytest.raises(Unsound):
            check_tables(tables._replace(lexer=lexer, parser=parser_._replace(shift=shift)))


def test_a_text_says_what_is_wrong(made):
    with pytest.raises(Unsound, match=r"lexer\.next_state has values out of range"):
        check_tables(broken(made["longest"], *BREAKS[0][1:]))
    assert replace(VOCABULARY, special_names=()) == VOCABULARY
