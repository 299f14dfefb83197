"""PDDL's outer form: lists in parentheses, words, comments to the end of the line.

Nothing here recurses, so depth costs no stack, and every text is read in time linear in its length. Names are
ASCII and have no case: words come back in lower case. A text may be read as far as it goes (`read_prefix`): its
closed lists are then separated from those still open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TypeAlias

MOST_CHARACTERS = 4_000_000
"""Of a domain or problem; the largest of the planning competitions have three million."""
MOST_GOAL_CHARACTERS = 100_000
"""Of a goal or plan that is judged."""
MOST_DEPTH = 100
"""Of lists in lists."""

_TOKEN = re.compile(r"[()]|[^\s();]+|;[^\n]*")
_COMMENT = re.compile(r";[^\n]*")
_WORD = re.compile(r"[A-Za-z0-9_:?=.+*/<>#-]+")
NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*")
"""Names of objects, predicates and so on. Some public problems begin them with a digit."""


class PddlMistake(ValueError):
    """What is wrong in a text; `start` is an offset in it, or -1."""

    def __init__(self, message: str, start: int = -1) -> None:
        super().__init__(message)
        self.start = start


class Listing(list["Node"]):
    """A list with its place in the text; `end` is -1 while it is open."""

    __slots__ = ("end", "start")

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start
        self.end = -1


Node: TypeAlias = "str | Listing"


@dataclass
class Reading:
    """What was read of a text.

    `top` holds the outermost nodes; `open` the lists not closed yet, the outermost first; `last_word_open` says that
    the text ends in a word that may still grow.
    """

    top: list[Node] = field(default_factory=list)
    open: list[Listing] = field(default_factory=list)
    last_word_open: bool = False


def read_prefix(text: str, most_characters: int = MOST_GOAL_CHARACTERS) -> Reading:
    """Read a text that may end anywhere.

    Raises:
        PddlMistake: no continuation is PDDL: a character that it does not have, a `)` too many, too long, too deep.
    """
    if len(text) > most_characters:
        raise PddlMistake(f"the text is longer than {most_characters:,} characters")
    _refuse_characters(text)
    reading = Reading()
    current: list[Node] = reading.top
    stack = reading.open
    for found in _TOKEN.finditer(text.lower()):
        token = found[0]
        if token == "(":
            if len(stack) >= MOST_DEPTH:
                raise PddlMistake(f"lists are nested deeper than {MOST_DEPTH}", found.start())
            inner = Listing(found.start())
            current.append(inner)
            stack.append(inner)
            current = inner
        elif token == ")":
            if not stack:
                raise PddlMistake("there is a `)` without its `(`", found.start())
            stack.pop().end = found.end()
            current = stack[-1] if stack else reading.top
        elif token[0] != ";":
            if not _WORD.fullmatch(token):
                raise PddlMistake(f"`{token}` is no word of PDDL", found.start())
            current.append(token)
            reading.last_word_open = found.end() == len(text)
    return reading


def read_all(text: str, most_characters: int = MOST_GOAL_CHARACTERS) -> list[Node]:
    """The outermost nodes of a complete text.

    Raises:
        PddlMistake: it is not complete, or no PDDL.
    """
    reading = read_prefix(text, most_characters)
    if reading.open:
        raise PddlMistake("a `(` is not closed", reading.open[-1].start)
    return reading.top


def read_one(text: str, what: str, most_characters: int = MOST_GOAL_CHARACTERS) -> Listing:
    """The one list that a text is. Raises PddlMistake."""
    top = read_all(text, most_characters)
    if len(top) != 1 or not isinstance(top[0], Listing):
        raise PddlMistake(f"{what} is one list in parentheses")
    return top[0]


def show(node: Node) -> str:
    """The node in one line, cut after 80 characters."""
    words: list[str] = []
    agenda: list[Node] = [node]
    length = 0
    while agenda and length <= 100:
        current = agenda.pop()
        if isinstance(current, Listing):
            words.append("(")
            agenda += [")", *reversed(current)]
        else:
            words.append(current)
        length += len(words[-1]) + 1
    text = " ".join(words).replace("( ", "(").replace(" )", ")")
    return text if len(text) <= 80 else text[:77] + "..."


def _refuse_characters(text: str) -> None:
    """Outside comments only printable ASCII and blanks may stand."""
    if text.isascii() and text.isprintable():
        return
    # A comment keeps its length, so that offsets stay right.
    bare = _COMMENT.sub(lambda comment: " " * len(comment[0]), text) if ";" in text else text
    wrong = _FOREIGN.search(bare)
    if wrong is not None:
        raise PddlMistake(f"the character {wrong[0]!a} is not one of PDDL's", wrong.start())


_FOREIGN = re.compile(r"[^ -~\t\n\r\f]")


def words_of(text: str) -> list[str]:
    """The words outside comments, as they are written."""
    return [token for token in _TOKEN.findall(text) if token[0] not in "();"]
