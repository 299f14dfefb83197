"""Valid programs made wrong at random, as fingers, tools and cosmic rays do it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from smcdsl.editor.scan import Scanner

_CHARS = "ab_01 \n\t\"'\\/{}[]()#=:.,|&-+*^?<>@%$`~;é👍\u202e\u2028\0\x1b\r\ufeff"
_BITS = (
    '"""', "[[", "]]", "{{", "}}", "[[x: ", "{", "}", "(", ")", "/", "#", " at ", " each c in q.", "smc 1", "smc 9",
    "require ", "grammar g = ", "import ", "[[[[", "\\u{110000}", "\\", "1e999", "9" * 500, "((((", "where tokens <= ",
    "for i in 1..", "if ", "else", "return ", "infer smc {", "test \"x\" {", ' as int', "->", "..", "r\"",
)  # fmt: skip


def mutations(programs: Sequence[str], seed: int, count: int) -> Iterator[str]:
    """`count` texts, each a program with one to four changes; the same for the same seed."""
    chance = random.Random(seed)
    for _ in range(count):
        text = chance.choice(programs)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            text = _changed(text, chance, programs)
        yield text


def _changed(text: str, chance: random.Random, programs: Sequence[str]) -> str:
    kind = chance.randrange(9)
    here = chance.randrange(len(text) + 1)
    there = min(len(text), here + chance.choice((1, 1, 2, 5, 20, 200)))
    if kind == 0:  # a character goes, or several
        return text[:here] + text[there:]
    if kind == 1:
        return text[:here] + "".join(chance.choices(_CHARS, k=chance.choice((1, 1, 3)))) + text[here:]
    if kind == 2:
        return text[:here] + chance.choice(_BITS) + text[here:]
    if kind == 3:  # typed up to here
        return text[:here]
    if kind == 4:
        return text[:there] + text[here:]
    if kind == 5:  # a piece of another program
        other = chance.choice(programs)
        start = chance.randrange(len(other) + 1)
        return text[:here] + other[start : start + chance.choice((3, 30, 300))] + text[there:]
    pieces = Scanner(text).run()
    if not pieces:
        return text
    one, two = chance.choice(pieces), chance.choice(pieces)
    if kind == 6:  # a token goes
        return text[: one.start] + text[one.end :]
    if kind == 7:  # a token is replaced by another
        return text[: one.start] + text[two.start : two.end] + text[one.end :]
    lines = text.split("\n")  # two lines change places
    first, second = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return "\n".join(lines)
