"""What the engine keeps: it may forget all of it, read it from a file or make it in a thread, and no mask changes."""

import numpy as np
import pytest
from oracles.masks import Language, allowed, check_walk, step
from oracles.vocabularies import small_vocabulary

from smcdsl.automaton import layout, machine
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.blocks import BlockFile, write_blocks
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Alternatives, Concatenation, Grammar, LiteralText, Pattern, Reference, Repeat

ARITHMETIC = """
start: sum
sum: product | sum "+" product
product: atom | product "*" atom
atom: NUMBER | NAME | "(" sum ")" | "if" sum
NUMBER: /[12]+(\\.[12]+)?/
NAME: /[fix]+/
%ignore " "
"""
TOKENS = [
    b"2",
    b"i",
    b"f",
    b"if",
    b"x",
    b"if(",
    b"1",
    b".",
    b"2)",
    b"(",
    b"((",
    b")",
    b"))",
    b"+",
    b"*",
    b"+ 1",
    b" ",
    b") + (x",
]
VOCABULARY = small_vocabulary(TOKENS)


def tables(lexing="longest", text=ARITHMETIC):
    return compile_grammar(load_lark(f"// smcdsl: lexing {lexing}\n{text}", name="g"), VOCABULARY)


def masks_of_walks(automaton, seeds=range(6), length=25):
    found = []
    for seed in seeds:
        choose, state = np.random.default_rng(seed), automaton.start
        for _ in range(length):
            mask = sorted(allowed(automaton, state, len(VOCABULARY)))
            found.append((seed, tuple(mask)))
            tokens = [token for token in mask if token not in VOCABULARY.end_of_turn]
            if not tokens:
                break
            state = step(automaton, state, int(choose.choice(tokens)))
    return found


@pytest.fixture(scope="module", params=["longest", "contextual"])
def plain(request):
    made = tables(request.param)
    return made, masks_of_walks(TokenAutomaton(made, None))


@pytest.mark.parametrize(
    ("limit", "value"),
    [("ROW_BYTES_LIMIT", 0), ("MEMO_LIMIT", 4), ("BLOCK_BYTES_LIMIT", 0), ("BLOCK_BYTES_LIMIT", 9000)],
)
def test_masks_do_not_depend_on_what_is_remembered(plain, monkeypatch, limit, value):
    made, expected = plain
    monkeypatch.setattr(machine, limit, value)
    automaton = TokenAutomaton(made, None)
    if limit == "ROW_BYTES_LIMIT":
        automaton._machine._row_limit = 4
    assert masks_of_walks(automaton) == expected
    if limit == "ROW_BYTES_LIMIT":
        assert automaton.sizes()["masks"] <= 16
        assert automaton._machine.pools.get(layout.ROW_AGE).any(), "some were given up"


def test_a_batch_of_masks_is_right_though_rows_are_given_up(plain, monkeypatch):
    made, _ = plain
    automaton, other = TokenAutomaton(made, None), TokenAutomaton(made, None)
    automaton._machine._row_limit = 2
    states = [automaton.start]
    for state in states[:40]:
        tokens = sorted(allowed(other, state, len(VOCABULARY)) - set(VOCABULARY.end_of_turn))
        for token in tokens:
            states.append(step(automaton, state, token))
            assert states[-1] == step(other, state, token)
    batch = np.array(states)
    assert (automaton.masks(batch) == np.concatenate([other.masks(batch[i : i + 1]) for i in range(len(batch))])).all()
    rows = automaton.rows(batch)
    words = (len(VOCABULARY) + 31) // 32
    assert (automaton.row_table[rows][:, :words] == other.masks(batch)).all()


def test_no_row_of_a_batch_is_given_up_for_another(plain, monkeypatch):
    made, _ = plain
    other = TokenAutomaton(made, None)
    states = [other.start]
    for state in states[:12]:
        states += [step(other, state, token) for token in sorted(allowed(other, state, len(VOCABULARY)))]
    monkeypatch.setattr(machine, "_FIRST_ROWS", 2)
    automaton = TokenAutomaton(made, None)
    automaton._machine._row_limit = 2
    again = [automaton.start]
    for state in again[:12]:
        again += [step(automaton, state, token) for token in sorted(allowed(automaton, state, len(VOCABULARY)))]
    automaton._machine._row_limit = len(automaton._machine.pools.get(layout.ROW_AGE))
    rows = automaton.rows(np.array(again))
    words = (len(VOCABULARY) + 31) // 32
    assert (automaton.row_table[rows][:, :words] == other.masks(np.array(states))).all()


def test_blocks_made_ahead_and_kept_in_a_file(plain, monkeypatch, tmp_path):
    made, expected = plain
    monkeypatch.setattr(machine, "AHEAD_NODES", 1)
    for _ in range(2):
        automaton = TokenAutomaton(made, None, tmp_path)
        automaton._machine.blocks.wait()
        assert masks_of_walks(automaton) == expected
        assert len(list((tmp_path / "blocks").glob("*.blocks"))) == 1
    assert automaton._machine.blocks._made == {}, "the second one read the file"


@pytest.mark.parametrize("damage", ["cut", "flip", "head", "empty", "text"])
def test_damaged_block_files_cost_time_only(plain, monkeypatch, tmp_path, damage):
    made, expected = plain
    monkeypatch.setattr(machine, "AHEAD_NODES", 1)
    TokenAutomaton(made, None, tmp_path)._machine.blocks.wait()
    (path,) = (tmp_path / "blocks").glob("*.blocks")
    good = path.read_bytes()
    flipped = bytearray(good)
    for place in range(len(good) // 2, len(good), 50):
        flipped[place] ^= 255
    texts = {"cut": good[:-7], "flip": bytes(flipped), "head": good[:30], "empty": b"", "text": b"not blocks" * 100}
    path.write_bytes(texts[damage])
    assert masks_of_walks(TokenAutomaton(made, None, tmp_path)) == expected


def test_files_of_blocks_hold_what_was_written(tmp_path):
    written = {3: np.arange(5, dtype=np.int32), 9: np.arange(8, dtype=np.int32), 4: np.zeros(0, dtype=np.int32)}
    write_blocks(tmp_path / "a.blocks", written)
    file = BlockFile.open(tmp_path / "a.blocks")
    for state, block in written.items():
        assert file.get(state).tolist() == block.tolist()
    assert file.get(7) is None


def many_ways():
    """Items in parentheses, where each of many letters may end an item of one of two kinds."""

    def nested(name, pattern):
        return Alternatives((Concatenation((LiteralText("("), Reference((name,)), LiteralText(")"))), Pattern(pattern)))

    item = Alternatives((Reference(("one",)), Reference(("two",))))
    rules = {"start": Repeat(item, 1, None), "one": nested("one", "a+"), "two": nested("two", "a+b?")}
    return Grammar("g", "start", rules)


def read_items(text):
    """(whether some text begins so, whether this is a text), letter by letter."""
    depth, phase = 0, "empty"
    for letter in text.decode():
        if letter == "(" and phase != "closing" and (phase not in "ab" or depth == 0):
            depth, phase = depth + 1, "open"
        elif letter == "a" and phase != "closing" and (phase != "b" or depth == 0):
            phase = "a"
        elif letter == "b" and phase == "a":
            phase = "b"
        elif letter == ")" and phase in ("a", "b", "closing") and depth > 0:
            depth -= 1
            phase = "closing" if depth else "ended"
        else:
            return False, False
    return True, depth == 0 and phase not in ("empty", "open")


def test_tokens_that_can_be_read_in_many_ways(monkeypatch):
    read, read_row = [], machine.Machine._read_row
    monkeypatch.setattr(machine.Machine, "_read_row", lambda self, place: read.append(place) or read_row(self, place))
    pieces = [b"a" * n for n in range(1, 24)]
    vocabulary = small_vocabulary([*pieces, b"(", b")", b"b", b"ab)", b"((a", b"a" * 12 + b")", b"a" * 14 + b"(b"])
    language = Language(lambda text: read_items(text)[1], lambda text: read_items(text)[0])
    automaton = TokenAutomaton(compile_grammar(many_ways(), vocabulary), None)
    for seed in range(4):
        choose = np.random.default_rng(seed).choice
        check_walk(automaton, vocabulary, language, None, lambda tokens, choose=choose: int(choose(tokens)), 12, True)
    assert len(read) == len(set(read)) > 0, "rows of places are remembered"


def test_a_token_with_more_readings_than_the_engine_keeps_is_refused(monkeypatch):
    vocabulary = small_vocabulary([b"a" * n for n in range(1, 24)] + [b"(", b")", b"b"])
    automaton = TokenAutomaton(compile_grammar(many_ways(), vocabulary), None)

    def overflow(*_):
        automaton._machine.pools.table[layout.FLAG] = -1
        return layout.FULL

    state, token = np.array([automaton.start]), np.array([0])
    for kernel in ("read_all", "advance_all", "advance_one"):
        monkeypatch.setattr(machine.reading, kernel, overflow)
    for ask in (
        lambda: automaton.masks(state),
        lambda: automaton.advance(state, token),
        lambda: automaton.next(automaton.start, 0),
    ):
        with pytest.raises(CompileError, match=r"E0409.*ways"):
            ask()
