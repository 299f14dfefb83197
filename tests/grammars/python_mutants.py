"""Programs of the standard library spoilt in one place, so that `ast.parse` rejects them."""

from __future__ import annotations

import io
import random
import tokenize
from collections.abc import Iterator

from tests.grammars.python_automata import library_texts, parses

_MOST_CHARACTERS = 20_000
_LAYOUT = (tokenize.ENCODING, tokenize.ENDMARKER, tokenize.INDENT, tokenize.DEDENT, tokenize.NL, tokenize.COMMENT)

Place = tuple[int, int, str]
"""(start, end, text) of a token, in characters of the file."""


def mutants(number: int, step: int, seed: int) -> Iterator[tuple[str, str, str]]:
    """(kind, file and line, text) of mutants that `ast.parse` rejects; of each file one of each kind at most."""
    draws = random.Random(seed)
    made = 0
    while True:
        for name, text in library_texts(step):
            places = token_places(text) if len(text) <= _MOST_CHARACTERS else []
            if len(places) < 20:
                continue
            kind = draws.choice(sorted(MUTATIONS))
            for _ in range(20):
                at, mutant = MUTATIONS[kind](draws, text, places)
                if mutant.endswith("\n") and not parses(mutant):
                    yield kind, f"{name}:{text.count(chr(10), 0, at) + 1}", mutant
                    made += 1
                    break
            if made == number:
                return


def token_places(text: str) -> list[Place]:
    """Where the tokens of a program stand, without those of its layout."""
    starts = [0]
    for line in io.StringIO(text, newline=""):
        starts.append(starts[-1] + len(line))
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text, newline="").readline))
    except (tokenize.TokenError, SyntaxError):
        return []
    return [
        (starts[token.start[0] - 1] + token.start[1], starts[token.end[0] - 1] + token.end[1], token.string)
        for token in tokens
        if token.type not in _LAYOUT and token.string.strip()
    ]


def _delete(draws: random.Random, text: str, places: list[Place]) -> tuple[int, str]:
    start, end, _ = draws.choice(places)
    return start, text[:start] + text[end:]


def _insert(draws: random.Random, text: str, places: list[Place]) -> tuple[int, str]:
    start = draws.choice(places)[0]
    return start, f"{text[:start]}{draws.choice(places)[2]} {text[start:]}"


def _replace(draws: random.Random, text: str, places: list[Place]) -> tuple[int, str]:
    start, end, _ = draws.choice(places)
    return start, text[:start] + draws.choice(places)[2] + text[end:]


def _swap(draws: random.Random, text: str, places: list[Place]) -> tuple[int, str]:
    index = draws.randrange(len(places) - 1)
    (start, end, first), (start_2, end_2, second) = places[index], places[index + 1]
    return start, text[:start] + second + text[end:start_2] + first + text[end_2:]


def _margin(draws: random.Random, text: str, places: list[Place]) -> tuple[int, str]:
    start = text.rfind("\n", 0, draws.choice(places)[0]) + 1
    if draws.random() < 0.5:
        return start, text[:start] + " " * draws.randint(1, 4) + text[start:]
    blanks = len(text[start:]) - len(text[start:].lstrip(" "))
    return start, text[:start] + text[start + min(blanks, draws.randint(1, 4)) :]


def _character(draws: random.Random, text: str, places: list[Place]) -> tuple[int, str]:
    start, end, _ = draws.choice(places)
    at = draws.randrange(start, end)
    return at, text[:at] + text[at + 1 :]


MUTATIONS = {
    "deleted token": _delete,
    "inserted token": _insert,
    "replaced token": _replace,
    "swapped tokens": _swap,
    "margin": _margin,
    "deleted character": _character,
}
