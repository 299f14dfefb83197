"""Regular expressions as JSON Schema writes them (ECMA-262, Unicode mode), as trees over code points.

`pattern` asks whether a text *contains* a match. `matching` decides this for one text; `spelled_in_json` is the
pattern, in Python's syntax, of the JSON spelling of all such texts, in which every character has one spelling.
Lazy quantifiers and group names change no language. What looks around or back is refused.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from smcdsl.program.regular import (
    LAST_CODE_POINT,
    Characters,
    Choice,
    Ranges,
    Repetition,
    Sequence,
    Tree,
    all_but,
    merged,
)


class PatternError(ValueError):
    """A pattern that is not valid, or needs what no automaton does."""


@dataclass(frozen=True, slots=True)
class Edge(Tree):
    """`^` or `$`: the first or the last place of the text."""

    at_start: bool


DIGITS: Ranges = ((0x30, 0x39),)
WORD: Ranges = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
LINE_ENDS: Ranges = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_SPACES = [(9, 13), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A), (0x2028, 0x2029)]
SPACE: Ranges = merged([*_SPACES, (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)])
_CLASSES = {"d": DIGITS, "w": WORD, "s": SPACE}
_CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13}
_LONG_NAMES = {
    "Letter": "L",
    "Lowercase_Letter": "Ll",
    "Uppercase_Letter": "Lu",
    "Mark": "M",
    "Number": "N",
    "Decimal_Number": "Nd",
    "Punctuation": "P",
    "Symbol": "S",
    "Separator": "Z",
    "Space_Separator": "Zs",
    "Other": "C",
    "digit": "Nd",
    "punct": "P",
}
_CATEGORIES = frozenset(
    "Cc Cf Cn Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs".split()
)


@lru_cache(maxsize=64)
def _property(name: str) -> Ranges:
    """Code points of a general category; about 0.2 s the first time."""
    value = name.partition("=")[2] if name.startswith(("General_Category=", "gc=")) else name
    value = _LONG_NAMES.get(value, value)
    if value not in _CATEGORIES and value not in {category[0] for category in _CATEGORIES}:
        raise PatternError(f"`\\p{{{name}}}` is not a general category of Unicode")
    return merged([(c, c) for c in range(LAST_CODE_POINT + 1) if unicodedata.category(chr(c)).startswith(value)])


@lru_cache(maxsize=1024)
def parse(pattern: str) -> Tree:
    """The tree of a pattern. Raises PatternError."""
    try:
        return _Parser(pattern).whole()
    except RecursionError as error:
        raise PatternError("the pattern is nested too deeply") from error


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.text, self.place = pattern, 0

    def whole(self) -> Tree:
        tree = self.choice()
        if self.place < len(self.text):
            raise PatternError(f"`{self.text[self.place]}` at {self.place + 1} closes nothing")
        return tree

    def choice(self) -> Tree:
        items = [self.sequence()]
        while self.took("|"):
            items.append(self.sequence())
        return items[0] if len(items) == 1 else Choice(tuple(items))

    def sequence(self) -> Tree:
        items: list[Tree] = []
        while self.place < len(self.text) and self.text[self.place] not in "|)":
            items.append(self.repeated(self.atom()))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def took(self, text: str) -> bool:
        if self.text.startswith(text, self.place):
            self.place += len(text)
            return True
        return False

    def repeated(self, item: Tree) -> Tree:
        bounds: tuple[int, int | None] | None = None
        if self.took("*"):
            bounds = 0, None
        elif self.took("+"):
            bounds = 1, None
        elif self.took("?"):
            bounds = 0, 1
        elif self.text.startswith("{", self.place):
            bounds = self.counts()
        if bounds is None:
            return item
        if isinstance(item, Edge):
            raise PatternError("`^` and `$` cannot be repeated")
        self.took("?")
        if bounds[1] is not None and bounds[0] > bounds[1]:
            raise PatternError("the counts of a repetition are out of order")
        return Repetition(item, *bounds)

    def counts(self) -> tuple[int, int | None] | None:
        end = self.text.find("}", self.place)
        least, comma, most = self.text[self.place + 1 : max(end, 0)].partition(",")
        if end < 0 or not least.isdecimal() or not (most.isdecimal() or not most):
            return None
        self.place = end + 1
        return int(least), int(most) if most else None if comma else int(least)

    def atom(self) -> Tree:
        character = self.text[self.place]
        self.place += 1
        match character:
            case "(":
                return self.group()
            case "[":
                return Characters(self.bracket())
            case ".":
                return Characters(all_but(LINE_ENDS))
            case "^" | "$":
                return Edge(character == "^")
            case "\\":
                return Characters(self.escape(in_class=False))
            case "*" | "+" | "?":
                raise PatternError(f"`{character}` repeats nothing")
        return Characters(((ord(character), ord(character)),))

    def group(self) -> Tree:
        if self.took("?"):
            if self.text.startswith(("=", "!"), self.place):
                raise PatternError("look-ahead cannot be used while generating")
            if self.text.startswith(("<=", "<!"), self.place):
                raise PatternError("look-behind cannot be used while generating")
            if self.took("<"):
                self.place = self.text.find(">", self.place) + 1
                if not self.place:
                    raise PatternError("the name of a group does not end")
            elif not self.took(":"):
                raise PatternError("a group with flags is not part of the patterns of JSON Schema")
        inner = self.choice()
        if not self.took(")"):
            raise PatternError("a `(` is not closed")
        return inner

    def bracket(self) -> Ranges:
        negated = self.took("^")
        members: list[tuple[int, int]] = []
        while not self.took("]"):
            first = self.member()
            if self.text.startswith("-", self.place) and not self.text.startswith("-]", self.place):
                self.place += 1
                last = self.member()
                if len(first) != 1 or len(last) != 1 or first[0][0] != first[0][1] or last[0][0] != last[0][1]:
                    raise PatternError("a class cannot be the end of a range")
                if first[0][0] > last[0][0]:
                    raise PatternError("a range is out of order")
                first = ((first[0][0], last[0][0]),)
            members += first
        ranges = merged(members)
        return all_but(ranges) if negated else ranges

    def member(self) -> Ranges:
        if self.place >= len(self.text):
            raise PatternError("a `[` is not closed")
        character = self.text[self.place]
        self.place += 1
        if character == "\\":
            return self.escape(in_class=True)
        return ((ord(character), ord(character)),)

    def escape(self, in_class: bool) -> Ranges:
        if self.place >= len(self.text):
            raise PatternError("the pattern ends in a backslash")
        letter = self.text[self.place]
        self.place += 1
        if letter.lower() in _CLASSES:
            ranges = _CLASSES[letter.lower()]
            return all_but(ranges) if letter.isupper() else ranges
        if letter in "pP":
            ranges = self.unicode_property()
            return all_but(ranges) if letter == "P" else ranges
        if letter == "b" and in_class:
            return ((8, 8),)
        if letter in "bB":
            raise PatternError("a word boundary cannot be used while generating")
        code = self.code_point(letter)
        return ((code, code),)

    def unicode_property(self) -> Ranges:
        end = self.text.find("}", self.place)
        if not self.took("{") or end < 0:
            raise PatternError("`\\p` needs the name of a property in braces")
        name, self.place = self.text[self.place : end], end + 1
        return _property(name)

    def code_point(self, letter: str) -> int:
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter == "0" and not self.text[self.place : self.place + 1].isdecimal():
            return 0
        if letter == "c" and self.text[self.place : self.place + 1].isalpha():
            self.place += 1
            return ord(self.text[self.place - 1]) % 32
        if letter == "x":
            return self.hexadecimal(2)
        if letter == "u":
            return self.unicode_escape()
        if letter.isdecimal() or letter == "k":
            raise PatternError("a back-reference cannot be used while generating")
        if letter.isalpha():
            raise PatternError(f"`\\{letter}` is not an escape of ECMA-262")
        return ord(letter)

    def unicode_escape(self) -> int:
        if self.took("{"):
            end = self.text.find("}", self.place)
            return self.hexadecimal(end - self.place, closing="}")
        code = self.hexadecimal(4)
        if 0xD800 <= code < 0xDC00 and self.text.startswith("\\u", self.place):
            back = self.place
            self.place += 2
            low = self.hexadecimal(4)
            if 0xDC00 <= low < 0xE000:
                return 0x10000 + (code - 0xD800) * 0x400 + low - 0xDC00
            self.place = back
        return code

    def hexadecimal(self, count: int, closing: str = "") -> int:
        digits = self.text[self.place : self.place + count]
        if len(digits) != count or not digits or any(c not in "0123456789abcdefABCDEF" for c in digits):
            raise PatternError("an escape needs hexadecimal digits")
        self.place += count + len(closing)
        if int(digits, 16) > LAST_CODE_POINT:
            raise PatternError("an escape names no code point")
        return int(digits, 16)


# ---- from trees to Python's patterns


def _class(ranges: Ranges) -> str:
    """A bracketed class, or a pattern of nothing."""
    if not ranges:
        return "(?!)"
    return "[" + "".join(_one(low) + (f"-{_one(high)}" if high > low else "") for low, high in ranges) + "]"


def _one(code: int) -> str:
    return chr(code) if chr(code).isascii() and chr(code).isalnum() else f"\\U{code:08x}"


_SHORT = {0x22: '"', 0x5C: "\\\\", 8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
_ESCAPED: Ranges = merged([(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C)])


@lru_cache(maxsize=4096)
def json_character(ranges: Ranges) -> str:
    """The pattern of a character's one spelling in JSON: itself, or the shortest escape if it needs one."""
    plain = merged([r for part in ranges for r in _clipped(part)])
    members = [c for low, high in ranges for c in range(low, min(high, 0x5C) + 1) if c in _SHORT or c < 0x20]
    options = [_class(plain)] if plain else []
    short = "".join(_SHORT[c] for c in members if c in _SHORT)
    if short:
        options.append(f"\\\\[{short}]")
    long = [f"{c:02x}" for c in members if c not in _SHORT]
    if long:
        options.append(rf"\\u00(?:{'|'.join(long)})")
    if not options:
        return r"(?:[^\s\S])"
    return options[0] if len(options) == 1 and plain else f"(?:{'|'.join(options)})"


def _clipped(part: tuple[int, int]) -> list[tuple[int, int]]:
    """The parts of a range that need no escape."""
    low, high = part
    gaps = all_but(_ESCAPED)
    return [(max(low, a), min(high, b)) for a, b in gaps if max(low, a) <= min(high, b)]


ANY_CHARACTER = Characters(((0, LAST_CODE_POINT),))
ANYTHING = Repetition(ANY_CHARACTER, 0, None)


def _written(tree: Tree) -> str:
    match tree:
        case Characters(ranges):
            return json_character(ranges)
        case Sequence(items):
            return "".join(f"(?:{_written(item)})" if isinstance(item, Choice) else _written(item) for item in items)
        case Choice(items):
            return "|".join(_written(item) for item in items)
        case Repetition(item, least, most):
            count = {(0, None): "*", (1, None): "+", (0, 1): "?"}.get((least, most))
            return f"(?:{_written(item)}){count or _counted(least, most)}"
        case Edge(at_start):
            return r"\A" if at_start else r"\Z"
    raise AssertionError(f"unknown tree {tree}")


def _counted(least: int, most: int | None) -> str:
    return f"{{{least}}}" if most == least else f"{{{least},{'' if most is None else most}}}"


def spelled_in_json(tree: Tree) -> str:
    """The pattern of the insides of JSON strings whose texts contain a match, for `re.fullmatch`."""
    return "|".join(_written(_whole(option)) for option in _options(tree))


def _options(tree: Tree) -> tuple[Tree, ...]:
    return tree.items if isinstance(tree, Choice) else (tree,)


def _whole(tree: Tree) -> Tree:
    """The tree with what may stand around a match; edges that say nothing stands there are resolved."""
    items = list(tree.items) if isinstance(tree, Sequence) else [tree]
    if items and items[0] == Edge(True):
        items = items[1:]
    else:
        items = [ANYTHING, *items]
    if items and items[-1] == Edge(False):
        items = items[:-1]
    else:
        items = [*items, ANYTHING]
    return Sequence(tuple(items))
