"""Makes hostile compiled programs from sound ones and uses them; run as a script, so that a crash is only its own.

`python hostile_containers.py FOLDER FIRST COUNT` tries so many, numbered, and prints a line for each: its number before
it is tried, and then what became of it: `refused`, `ended` with a diagnostic while it was used, or `worked`.
"""

from __future__ import annotations

import copy
import json
import resource
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from oracles.vocabularies import small_vocabulary

from smcdsl.automaton.automaton import DEAD
from smcdsl.automaton.stored_tables import section_of, trie_section
from smcdsl.automaton.tables import FORMAT
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.container import open_container, write_container
from smcdsl.engine.built import open_built
from smcdsl.errors import SmcdslError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import (
    Alternatives,
    Concatenation,
    Grammar,
    Limit,
    LiteralText,
    Pattern,
    Reference,
    Repeat,
    Restricted,
)

MEMORY = 8 << 30
STEPS = 12
LEXED = """// smcdsl: lexing {lexing}
// smcdsl: boundary atom atom
// smcdsl: boundary sum sum
start: sum
sum: atom | sum "+" atom
atom: NAME | NUMBER | "(" sum? ")" | "if" sum empty
empty: ["!"]
NAME: /[ab]+/
NUMBER: /1+(\\.1+)?/
%ignore " "
"""
INDENTED = """// smcdsl: lexing longest
// smcdsl: indenter newline=_NL indent=_IN dedent=_DE open=LPAR close=RPAR tab=8
// smcdsl: boundary row row
start: row+
row: NAME _NL | NAME ":" _NL _IN row+ _DE | LPAR NAME RPAR _NL
LPAR: "("
RPAR: ")"
NAME: /[ab]+/
_NL: /\\n */
%ignore " "
%declare _IN _DE
"""
CONFLICTS = 'start: e\ne: e "+" e | "a" | "(" e ")" | "a" e\n'
NESTED = {
    "s": Alternatives((Concatenation((LiteralText("("), Reference(("s",)), LiteralText(")"))), Reference(("x",)))),
    "x": Repeat(Pattern("[ab]"), 1, 3),
}
TEXTS = [b"a", b"ab", b"b", b"(", b")", b"()", b"+", b"a+", b"\n", b"\n  ", b" ", b":", b"1", b".", b"i", b"f", b"!"]
VOCABULARY = small_vocabulary([*TEXTS, b"a", b"if", b"1.1", b"a:\n a\n"], ends=2)


def grammars() -> list[Grammar]:
    """One for every kind of tables."""
    tokens = Grammar("t", "s", {"s": Restricted(Pattern("(ab?)+"), (Limit("tokens", 1, 4),))}, boundaries=("s",))
    filtered = load_lark(LEXED.format(lexing="longest"), name="f")
    return [
        load_lark(LEXED.format(lexing="longest"), name="g"),
        load_lark(LEXED.format(lexing="contextual"), name="g"),
        load_lark(INDENTED, name="g"),
        load_lark(CONFLICTS, name="g"),
        Grammar("n", "s", NESTED, boundaries=("x", "s")),
        tokens,
        Grammar(**{**vars(filtered), "conditions": (Limit("chars", 0, 9),)}),
    ]


def make_sound(path: Path) -> list[str]:
    """Write a sound compiled program with all of them; the keys of its tables."""
    made = [compile_grammar(grammar, VOCABULARY) for grammar in grammars()]
    sections = {"trie": trie_section(made[0].trie)}
    plain = {}
    for tables in made:
        plain[tables.fingerprint], sections[f"grammar {tables.fingerprint}"] = section_of(tables)
    from smcdsl import __version__

    facts = {
        "tool": __version__,
        "tables": FORMAT,
        "program": {"name": "p", "file": "p.smc", "text": 'smc 1\ngenerate { text "[[x: /a/]]" }\n'},
        "files": {},
        "tokenizer": {"fingerprint": VOCABULARY.fingerprint, "model": "m"},
        "grammars": plain,
        "holes": [],
    }
    write_container(path, facts, sections)
    return list(plain)


def change_value(array, rng):
    """One element, or a few, of an array."""
    flat = array.reshape(-1)
    if not flat.size:
        return np.append(flat, flat.dtype.type(1))
    top = np.iinfo(array.dtype).max if array.dtype != np.bool_ else 1
    for _ in range(int(rng.integers(1, 4))):
        at, other = (int(place) for place in rng.integers(flat.size, size=2))
        kind = rng.integers(6)
        if kind == 0:
            flat[at] = top if rng.integers(2) else 0
        elif kind == 1 and array.dtype.kind == "i":
            flat[at] = -1 if rng.integers(2) else -top
        elif kind == 2 and array.dtype != np.bool_:
            flat[at] = (int(flat[at]) + 1) % top
        elif kind == 3:
            flat[at], flat[other] = flat[other], flat[at]
        elif array.dtype != np.bool_:
            # Most often something that is in range, and wrong.
            flat[at] = rng.integers(int(np.clip(flat.max(), 0, 1 << 40)) + 1) if kind == 4 else flat[other]
        else:
            flat.view(np.uint8)[at] = rng.integers(256)
    return array


def change_array(array, rng):
    """An array of other values, length, order or type."""
    kind = rng.integers(12)
    if kind == 0 and array.size:
        return array.reshape(-1)[: int(rng.integers(array.size))]
    if kind == 1:
        return array[::-1].copy()
    if kind == 2:
        return array.astype(np.int64) if array.dtype != np.int64 else array.astype(np.int32)
    if kind == 3:
        return np.concatenate([array, array])
    if kind == 4:
        return rng.permutation(array)
    return change_value(array.copy(), rng)


WORDS = [
    None,
    True,
    -1,
    0,
    1,
    3,
    1 << 20,
    1 << 70,
    1e308,
    "x",
    "",
    [],
    [1],
    [0, -1],
    [3, 2],
    {},
    ["a"] * 99,
    "[" * 9999,
]


def change_json(value, rng):
    """The same but for one place."""
    if isinstance(value, dict) and value and rng.integers(8):
        key = list(value)[rng.integers(len(value))]
        return {**value, key: change_json(value[key], rng)}
    if isinstance(value, list) and value and rng.integers(8):
        at = int(rng.integers(len(value)))
        return [*value[:at], change_json(value[at], rng), *value[at + 1 :]]
    if isinstance(value, bool) and rng.integers(2):
        return not value
    if type(value) is int and rng.integers(2):
        return value + int(rng.integers(-3, 4))
    if isinstance(value, str) and value.startswith("{") and rng.integers(4):
        return json.dumps(change_json(json.loads(value), rng))
    return WORDS[rng.integers(len(WORDS))]


def make_hostile(sound: Path, path: Path, key: str, number: int) -> None:
    """Write hostile file `number`, which breaks the tables under `key` or what they stand on."""
    rng = np.random.default_rng(number)
    container = open_container(sound)
    facts = copy.deepcopy(container.facts)
    sections = {name: dict(container.section(name)[0]) for name in container._sections}
    kind = rng.integers(12)
    name = "trie" if rng.integers(6) == 0 else f"grammar {key}"
    if kind == 0:
        data = bytearray(sound.read_bytes())
        for _ in range(int(rng.integers(1, 4))):
            data[int(rng.integers(len(data)))] = rng.integers(256)
        path.write_bytes(data[: int(rng.integers(len(data)))] if rng.integers(2) else data)
        return
    if kind == 1:
        facts = change_json(facts, rng)
    elif kind == 2:
        facts["grammars"][key] = change_json(facts["grammars"][key], rng)
    elif kind == 3:
        one, other = rng.choice(list(sections), 2)
        sections[one], sections[other] = sections[other], sections[one]
    elif kind == 4:
        fields = [field for field in sections[name] if rng.integers(3)]
        sections[name] = {field: sections[name][field] for field in fields}
    else:
        for _ in range(int(rng.integers(1, 3))):
            field = list(sections[name])[rng.integers(len(sections[name]))]
            sections[name][field] = change_array(sections[name][field], rng)
    if not isinstance(facts, dict):
        facts = {}
    write_container(path, facts, sections)
    if kind == 5:
        change_manifest(path, rng)


def change_manifest(path: Path, rng) -> None:
    """Say something else of where things are; the checksum of the manifest is made again."""
    import hashlib

    data = path.read_bytes()
    length = int.from_bytes(data[16:24], "little")
    manifest = json.loads(data[64 : 64 + length])
    manifest["sections"] = change_json(manifest["sections"], rng)
    text = json.dumps(manifest).encode()[:length].ljust(length)
    head = data[:24] + hashlib.sha256(data[16:24] + text).digest() + data[56:64]
    path.write_bytes(head + text + data[64 + length :])


def use(built, tables, rng) -> None:
    """Everything that a run does with an automaton, along a random text."""
    automaton = built.automaton(tables, [None, b"\n", b"a)"][rng.integers(3)], None)
    state, text = automaton.start, b""
    for _ in range(STEPS):
        mask = automaton.masks(np.array([state]))[0]
        allowed = np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))
        automaton.forced(state)
        automaton.sites(text, False)
        every = np.arange(len(VOCABULARY), dtype=np.int64)
        automaton.advance(np.full(len(every), state), every)
        if not len(allowed):
            break
        token = int(allowed[rng.integers(len(allowed))])
        automaton.noticed(np.array([state]), np.array([token]), lambda _, text=text: text)
        after = automaton.next(state, token)
        if after == DEAD or token in tables.end_of_turn:
            automaton.sites(text, True)
            break
        state, text = after, text + VOCABULARY.token_bytes[token]


def attempt(sound: Path, path: Path, key: str, number: int) -> str:
    """What becomes of one hostile file."""
    make_hostile(sound, path, key, number)
    try:
        built = open_built(path)
        tables = None if built is None else built.tables(key, VOCABULARY)
    except SmcdslError:
        return "refused"
    if tables is None:
        return "refused"
    try:
        use(built, tables, np.random.default_rng(number))
    except SmcdslError:
        return "ended"
    return "worked"


def main(folder: Path, first: int, count: int) -> None:
    """Try some."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    keys = make_sound(folder / "sound.smcx")
    for key in keys:
        sound = open_built(folder / "sound.smcx")
        use(sound, sound.tables(key, VOCABULARY), np.random.default_rng(0))
    for number in range(first, first + count):
        print(number, end=" ", flush=True)
        try:
            print(attempt(folder / "sound.smcx", folder / "hostile.smcx", keys[number % len(keys)], number), flush=True)
        except Exception as error:
            print(f"failed {type(error).__name__}: {error}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
