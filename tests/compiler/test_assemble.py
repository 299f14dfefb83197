"""Compiling grammars for vocabularies: the disk cache, and what is refused."""

import json
import subprocess
import sys

import numpy as np
import pytest
from oracles.vocabularies import small_vocabulary

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.tables import load_tables, save_tables
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Difference,
    Grammar,
    Limit,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
    Restricted,
)
from smcdsl.vocabulary import Vocabulary

BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])
LEXED = load_lark('start: NAME ("+" NAME)*\nNAME: /[a-z]+/\n%ignore " "\n', name="sum", start="start")
NESTED = Alternatives((Concatenation((LiteralText("("), Reference(("start",)), LiteralText(")"))), LiteralText("x")))


def regular(pattern, **more):
    return Grammar("g", "start", {"start": Pattern(pattern)}, **more)


def code_of(grammar, vocabulary=BYTES, **options):
    with pytest.raises(CompileError) as caught:
        TokenAutomaton(compile_grammar(grammar, vocabulary, **options), None)
    return caught.value.diagnostics[0].code


@pytest.mark.parametrize(
    "grammar", [regular("a+"), LEXED, Grammar("n", "start", {"start": NESTED}, boundaries=("start",))]
)
def test_tables_survive_the_disk(grammar, tmp_path):
    made = compile_grammar(grammar, BYTES, cache_dir=tmp_path)
    (path,) = (tmp_path / "automata").iterdir()
    loaded = load_tables(path, made.trie)
    assert loaded is not None
    assert json.dumps([loaded.boundaries, loaded.sites, loaded.token_limit]) == json.dumps(
        [made.boundaries, made.sites, made.token_limit]
    )
    for name in ("regular", "lexer", "parser", "filter", "leaves"):
        ours, theirs = getattr(made, name), getattr(loaded, name)
        assert (ours is None) == (theirs is None)
        assert ours is None or all(np.array_equal(a, b) for a, b in zip(ours, theirs))
    again = compile_grammar(grammar, BYTES, cache_dir=tmp_path)
    assert again.fingerprint == made.fingerprint


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not really", b"\x80\x04pickle"])
def test_a_damaged_file_is_compiled_again(damage, tmp_path):
    made = compile_grammar(LEXED, BYTES, cache_dir=tmp_path)
    (path,) = (tmp_path / "automata").iterdir()
    path.write_bytes(damage)
    again = compile_grammar(LEXED, BYTES, cache_dir=tmp_path)
    assert np.array_equal(again.parser.shift, made.parser.shift)
    assert load_tables(path, made.trie) is not None


def test_a_cut_file_is_compiled_again(tmp_path):
    compile_grammar(LEXED, BYTES, cache_dir=tmp_path)
    (path,) = (tmp_path / "automata").iterdir()
    whole = path.read_bytes()
    for length in range(0, len(whole), max(len(whole) // 20, 1)):
        path.write_bytes(whole[:length])
        assert compile_grammar(LEXED, BYTES, cache_dir=tmp_path).lexer is not None


def test_a_byte_gone_wrong_does_no_harm(tmp_path):
    made = compile_grammar(LEXED, BYTES, cache_dir=tmp_path)
    (path,) = (tmp_path / "automata").iterdir()
    whole = path.read_bytes()
    # Every byte of the zip file's directory and some of its contents, which a checksum covers.
    for place in (*range(0, len(whole), 997), *range(len(whole) - 400, len(whole), 3)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        again = compile_grammar(LEXED, BYTES, cache_dir=tmp_path)
        assert np.array_equal(again.parser.shift, made.parser.shift)


KEEP_AND_FORGET = """
import sys
from pathlib import Path
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.program.grammar import Grammar, Pattern
from smcdsl.vocabulary import Vocabulary

vocabulary = Vocabulary((b"a", b""), (1,))
for _ in range(30):
    compile_grammar(Grammar("g", "start", {"start": Pattern("a+")}), vocabulary, cache_dir=Path(sys.argv[1]))
    for path in Path(sys.argv[1], "automata").glob("*.arrays"):
        path.unlink(missing_ok=True)
"""


def test_processes_that_keep_the_same_grammar_do_not_meet(tmp_path):
    both = [subprocess.Popen([sys.executable, "-c", KEEP_AND_FORGET, str(tmp_path)]) for _ in range(2)]
    assert [process.wait(60) for process in both] == [0, 0]
    assert not list((tmp_path / "automata").iterdir())


def test_what_goes_in_decides_the_name_of_the_file(tmp_path):
    for grammar in (regular("a+"), regular("a*"), regular("a+", conditions=(Limit("tokens", 0, 3),))):
        compile_grammar(grammar, BYTES, cache_dir=tmp_path)
    compile_grammar(regular("a+"), small_vocabulary([b"a"]), cache_dir=tmp_path)
    assert len(list((tmp_path / "automata").iterdir())) == 4


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert compile_grammar(LEXED, BYTES, cache_dir=blocked).parser is not None


def test_saving_leaves_no_other_file(tmp_path):
    tables = compile_grammar(LEXED, BYTES)
    save_tables(tables, tmp_path / "a.arrays")
    assert [path.name for path in tmp_path.iterdir()] == ["a.arrays"]


def test_a_grammar_without_texts_is_refused():
    assert code_of(regular("[^\\x00-\\U0010ffff]")) == "E0403"
    assert (
        code_of(Grammar("g", "start", {"start": Concatenation((LiteralText("a"), Reference(("start",))))})) == "E0403"
    )


def test_terminals_that_never_win_are_not_waited_for():
    shadowed = load_lark('start: A | B "x"\nA: "ab"\nB.-1: "ab"\n', name="s", start="start")
    automaton = TokenAutomaton(compile_grammar(shadowed, BYTES), None)
    state = np.array([automaton.start])
    for byte in b"ab":
        state = automaton.advance(state, np.array([byte]))
    assert np.flatnonzero(np.unpackbits(automaton.masks(state)[0].view(np.uint8), bitorder="little")).tolist() == [256]


def test_too_many_states_are_refused():
    assert code_of(regular("(a|b)*a(a|b){14}"), state_limit=1000) == "E0409"


def accepted(automaton, text):
    state = np.array([automaton.start])
    for symbol in [*text, 256]:
        if not np.unpackbits(automaton.masks(state)[0].view(np.uint8), bitorder="little")[symbol]:
            return False
        state = automaton.advance(state, np.array([symbol])) if symbol < 256 else state
    return True


def test_what_is_too_large_for_one_automaton_is_parsed_in_parts():
    # As one automaton: 50 * 50 * 2 states and more; in parts: some fifty rules twice.
    row = Concatenation((Repeat(LiteralText("a"), 0, 50), LiteralText("b")))
    grammar = Grammar("g", "start", {"start": Repeat(row, 0, 50)})
    automaton = TokenAutomaton(compile_grammar(grammar, BYTES, state_limit=500), None)
    for text in (b"", b"b", b"aab" * 50, b"b" + b"a" * 50 + b"b"):
        assert accepted(automaton, text)
    for text in (b"a", b"b" * 51, b"a" * 51 + b"b", b"c"):
        assert not accepted(automaton, text)


def test_what_no_rule_makes_smaller_is_refused():
    part = Concatenation((Pattern("(a|b)*a(a|b){14}"), LiteralText("b")))
    assert code_of(Grammar("g", "start", {"start": part}), state_limit=1000) == "E0409"


def test_special_tokens_are_no_text():
    vocabulary = Vocabulary((b"a", b"", b""), (1,), ((1, "<|end|>"), (2, "<|pad|>")))
    grammar = Grammar("g", "start", {"start": Concatenation((LiteralText("a<|end|>"),))})
    assert code_of(grammar, vocabulary) == "E0407"


def test_a_vocabulary_that_cannot_spell_the_grammar_is_refused():
    with pytest.raises(CompileError, match="E0410") as caught:
        TokenAutomaton(compile_grammar(regular("ab+c"), small_vocabulary([b"a", b"b"])), None)
    assert "'c'" in caught.value.diagnostics[0].facts[0]
    assert code_of(LEXED, small_vocabulary([b"1", b"+"])) == "E0410"


def test_texts_that_no_tokens_spell_are_taken_out_when_compiling():
    lacking = small_vocabulary([bytes([byte]) for byte in range(256) if byte != 0xF1])
    for grammar in (
        regular('"[^"]*"'),
        Grammar("n", "start", {"start": Alternatives((*NESTED.items, Pattern('"[^"]*"')))}),
        load_lark("start: TEXT+\nTEXT: /'[^']*'/\n", name="t", start="start"),
    ):
        tables = compile_grammar(grammar, lacking)
        automaton = tables.regular or tables.lexer
        assert not automaton.next_state[:, 0xF1].any()
        assert automaton.next_state[:, 0xF0].any()
        assert TokenAutomaton(tables, None).sizes()["undecided"] == 0


def test_whether_tokens_or_the_grammar_leave_no_text():
    abc = small_vocabulary([b"a", b"b"])
    restricted = regular("ab|abc", conditions=(Limit("chars", 3, 3),))
    assert code_of(restricted, abc) == "E0410"
    assert code_of(regular("ab|abc", conditions=(Limit("chars", 4, 4),)), abc) == "E0403"
    assert code_of(LEXED, small_vocabulary([b"+", b" "])) == "E0410"


def test_restrictions_inside_a_recursion_are_compiled():
    word = Difference(Pattern("[a-c]+"), LiteralText("abc"))
    inner = Restricted(Reference(("nested",)), (Limit("chars", 0, 5),))
    rules = {
        "start": Concatenation((inner, LiteralText("!"))),
        "nested": Alternatives((Concatenation((LiteralText("("), Reference(("nested",)), LiteralText(")"))), word)),
    }
    automaton = TokenAutomaton(compile_grammar(Grammar("g", "start", rules), BYTES), None)

    def accepts(text: bytes) -> bool:
        state = np.array([automaton.start])
        for byte in text:
            state = automaton.advance(state, np.array([byte]))
            if state[0] < 0:
                return False
        return bool(automaton.masks(state)[0][8] & 1)

    assert accepts(b"((a))!")
    assert accepts(b"(abb)!")
    assert not accepts(b"(abc)!")
    assert not accepts(b"((ab))!")
