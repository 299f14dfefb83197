"""Regular expressions in Python's syntax, as trees over characters.

Python's own parser reads the pattern, so that its syntax and flags are exactly Python's; what a character
class matches is asked of `re` as well. The language of a pattern is the set of texts that `re.fullmatch`
accepts, so lazy quantifiers and named groups change nothing. Anchors keep their meaning. What is not
regular or needs to look around is refused, with its place in the pattern: look-ahead and look-behind,
back-references and conditional groups, atomic groups and possessive quantifiers, `\\b` and `\\B`.
"""

from __future__ import annotations

import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as sre_parser  # type: ignore[import-not-found]
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from smcdsl.compiler.unicode_classes import EVERYTHING, NEWLINE, complement, ignoring_case, matched_by, normalize
from smcdsl.program.regular import Characters, Choice, Ranges, Repetition, Sequence, Tree

AnchorKind = Literal["text start", "line start", "text end", "line end", "last line end"]


class RegexError(ValueError):
    """A pattern that cannot be used; `start` and `end` are character offsets in it, `kind` says why."""

    def __init__(self, message: str, start: int, end: int, kind: str = "syntax") -> None:
        super().__init__(message)
        self.message, self.start, self.end, self.kind = message, start, end, kind


@dataclass(frozen=True, slots=True)
class Anchor(Tree):
    """A place in the text: "last line end" is `$`, the end or just before a last newline."""

    kind: AnchorKind


FLAGS = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "a": re.ASCII, "u": re.UNICODE}
_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}
_REFUSED_GROUPS = (
    ("(?=", "look-ahead"),
    ("(?!", "look-ahead"),
    ("(?<=", "look-behind"),
    ("(?<!", "look-behind"),
    ("(?>", "atomic group"),
    ("(?P=", "back-reference"),
    ("(?(", "conditional group"),
)


@lru_cache(maxsize=8192)
def parse(pattern: str, flags: str = "") -> Tree:
    """The tree of a pattern; `flags` are of `imsxau`.

    Raises:
        RegexError: the pattern is not valid, or uses what a left-to-right automaton cannot do.
    """
    bits = 0
    for letter in flags:
        if letter not in FLAGS:
            raise RegexError(f"unknown flag `{letter}`", 0, len(pattern), "flag")
        bits |= FLAGS[letter]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = sre_parser.parse(pattern, bits)
    except re.error as error:
        start = min(error.pos or 0, max(len(pattern) - 1, 0))
        raise RegexError(error.msg, start, min(start + 1, len(pattern))) from error
    except (RecursionError, OverflowError) as error:
        raise RegexError("the pattern is nested too deeply or repeats too often", 0, len(pattern)) from error
    for message, start, end in refused_parts(pattern, verbose=bool(parsed.state.flags & re.VERBOSE)):
        raise RegexError(f"{message} cannot be used while generating", start, end, message)
    return _Translation(pattern).sequence(parsed, parsed.state.flags)


def literal(text: str, ignore_case: bool = False) -> Tree:
    """The tree of exactly this text, or of any casing of it as `re.IGNORECASE` sees it."""
    flags = re.IGNORECASE if ignore_case else 0
    return Sequence(tuple(Characters(_one_of(((ord(c), ord(c)),), _escape(ord(c)), flags)) for c in text))


class _Translation:
    """Turns the tree of Python's parser into ours."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def sequence(self, parsed: Any, flags: int) -> Tree:
        items = tuple(self.item(operator, argument, flags) for operator, argument in parsed)
        return items[0] if len(items) == 1 else Sequence(items)

    def item(self, operator: Any, argument: Any, flags: int) -> Tree:
        if operator is sre.LITERAL:
            return Characters(_class(((sre.LITERAL, argument),), flags))
        if operator is sre.NOT_LITERAL:
            return Characters(_class(((sre.NEGATE, None), (sre.LITERAL, argument)), flags))
        if operator is sre.ANY:
            return Characters(EVERYTHING if flags & re.DOTALL else complement(NEWLINE))
        if operator is sre.IN:
            return Characters(_class(tuple(argument), flags))
        if operator is sre.BRANCH:
            return Choice(tuple(self.sequence(branch, flags) for branch in argument[1]))
        if operator is sre.SUBPATTERN:
            _, added, removed, body = argument
            return self.sequence(body, _changed(flags, added, removed))
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            least, most, body = argument
            return Repetition(self.sequence(body, flags), least, None if most is sre.MAXREPEAT else most)
        if operator is sre.AT:
            return Anchor(self.anchor(argument, flags))
        if operator is sre.FAILURE:
            return Choice(())
        raise RegexError(f"`{operator}` cannot be used while generating", 0, len(self.pattern), str(operator))

    def anchor(self, where: Any, flags: int) -> AnchorKind:
        multiline = bool(flags & re.MULTILINE)
        if where is sre.AT_BEGINNING:
            return "line start" if multiline else "text start"
        if where is sre.AT_END:
            return "line end" if multiline else "last line end"
        if where is sre.AT_BEGINNING_STRING:
            return "text start"
        if where is sre.AT_END_STRING:
            return "text end"
        raise RegexError("word boundary cannot be used while generating", 0, len(self.pattern), "word boundary")


def _changed(flags: int, added: int, removed: int) -> int:
    """The flags inside a group; `(?a:` and `(?u:` exclude each other."""
    types = re.ASCII | re.LOCALE | re.UNICODE
    if added & types:
        flags &= ~int(types)
    return (flags | added) & ~removed


@lru_cache(maxsize=4096)
def _class(items: tuple[tuple[Any, Any], ...], flags: int) -> Ranges:
    """The members of a bracketed class, `\\d` and the like."""
    negated = bool(items) and items[0][0] is sre.NEGATE
    members: list[tuple[int, int]] = []
    spelled = []
    for operator, argument in items[1:] if negated else items:
        if operator is sre.LITERAL:
            members.append((argument, argument))
            spelled.append(_escape(argument))
        elif operator is sre.RANGE:
            members.append((argument[0], argument[1]))
            spelled.append(f"{_escape(argument[0])}-{_escape(argument[1])}")
        else:
            members.extend(matched_by(_CATEGORIES[argument], flags & re.ASCII))
            spelled.append(_CATEGORIES[argument])
    plain = normalize(members)
    if negated:
        return _one_of(complement(plain), f"[^{''.join(spelled)}]", flags)
    return _one_of(plain, f"[{''.join(spelled)}]", flags)


def _one_of(plain: Ranges, spelling: str, flags: int) -> Ranges:
    """`plain`, widened as `re.IGNORECASE` does if the flags ask for it."""
    if not flags & re.IGNORECASE:
        return normalize(plain)
    return ignoring_case(spelling, plain, flags & int(re.ASCII))


def _escape(code_point: int) -> str:
    return f"\\U{code_point:08x}"


_MAY_BE_REFUSED = re.compile(r"\\[bB1-9]|\(\?[=!<>P(]|[*+?}]\+")
"""Without any of these nothing is refused; with them only a look at each piece tells."""


def refused_parts(pattern: str, verbose: bool = False) -> Iterator[tuple[str, int, int]]:
    """What in a valid pattern no left-to-right automaton does: (its name, start, end), in order."""
    if not _MAY_BE_REFUSED.search(pattern):
        return
    previous_quantifier = False
    for start, end in _pieces(pattern, verbose):
        piece = pattern[start:end]
        if piece.startswith("\\"):
            if piece[1:2] in ("b", "B"):
                yield "word boundary", start, end
            elif piece[1:2].isdigit() and piece[1] != "0" and not _is_octal(piece):
                yield "back-reference", start, end
        elif piece == "(":
            for opening, name in _REFUSED_GROUPS:
                if pattern.startswith(opening, start):
                    yield name, start, _group_end(pattern, start, verbose)
        elif previous_quantifier and piece == "+":
            yield "possessive quantifier", start, end
        quantifies = piece in ("*", "+", "?") or (piece.startswith("{") and len(piece) > 1)
        previous_quantifier = quantifies and not previous_quantifier


def _is_octal(escape: str) -> bool:
    return len(escape) == 4 and all(digit in "01234567" for digit in escape[1:])


def _pieces(pattern: str, verbose: bool) -> Iterator[tuple[int, int]]:
    """Cut a valid pattern into escapes, classes, counts, comments and single characters: (start, end)."""
    position = 0
    while position < len(pattern):
        end = position + 1
        character = pattern[position]
        if character == "\\":
            found = re.compile(r"\\(?:[0-3][0-7]{2}|[1-9][0-9]?|N\{[^}]*\}|.)", re.DOTALL).match(pattern, position)
            end = found.end() if found else end
        elif character == "[":
            end = _class_end(pattern, position)
        elif character == "{":
            found = re.compile(r"\{(?:\d+(?:,\d*)?|,\d*)\}").match(pattern, position)
            end = found.end() if found and found.group() != "{}" else end
        elif pattern.startswith("(?#", position):
            end = pattern.index(")", position) + 1
            position = end
            continue
        elif verbose and character in " \t\n\r\v\f":
            position = end
            continue
        elif verbose and character == "#":
            newline = pattern.find("\n", position)
            position = len(pattern) if newline < 0 else newline + 1
            continue
        elif character == "(":
            # The name of a group may not be read as pattern text.
            yield position, end
            if pattern.startswith("(?", position):
                head = re.compile(r"\(\?(?:P?<\w+>|P=\w+|P>\w+|\(\w+\)|[aiLmsux-]*(?::|(?=\)))|<?[=!]|>|)")
                found = head.match(pattern, position)
                end = max(found.end(), position + 2) if found else position + 2
            position = end
            continue
        yield position, end
        position = end


def _class_end(pattern: str, start: int) -> int:
    """The offset after the bracketed class that starts at `start`."""
    position = start + 1
    if pattern.startswith("^", position):
        position += 1
    if pattern.startswith("]", position):
        position += 1
    while position < len(pattern) and pattern[position] != "]":
        position += 2 if pattern[position] == "\\" else 1
    return min(position + 1, len(pattern))


def _group_end(pattern: str, start: int, verbose: bool) -> int:
    """The offset after the group that starts at `start`."""
    if pattern.startswith("(?P=", start):
        return pattern.index(")", start) + 1
    depth = 0
    for piece_start, piece_end in _pieces(pattern, verbose):
        if piece_start < start:
            continue
        piece = pattern[piece_start:piece_end]
        depth += (piece == "(") - (piece == ")")
        if depth == 0:
            return piece_end
    return len(pattern)
