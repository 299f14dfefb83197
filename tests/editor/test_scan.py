"""The scanner agrees with the parser's lexer on right programs, and takes any text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Token

from smcdsl.editor.pieces import Piece
from smcdsl.editor.scan import Scanner
from smcdsl.errors import Source
from smcdsl.language.reading import Reader
from smcdsl.language.templates import open_quotes, template_pieces
from tests.language.program_texts import programs

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted([*(ROOT / "examples").glob("*.smc"), *(ROOT / "tests/language/programs").glob("*.smc")])
KINDS = {
    "NAME": {"name", "keyword", "role", "unit"},
    "STRING": {"string"},
    "REGEX": {"regex"},
    "INT": {"number"},
    "FLOAT": {"number"},
    "DURATION": {"number"},
    "REPEAT": {"operator"},
    "COMPARE": {"operator"},
    "SLASH": {"operator"},
    "AND": {"operator_word"},
    "TRUE": {"constant"},
    "REQUIRE": {"keyword"},
    "SYSTEM": {"role"},
    "LBRACE": {"mark"},
}
"""What the kinds of the parser's tokens are to the scanner; those not named may be anything."""


def scan(text: str) -> list[Piece]:
    return Scanner(text).run()


def assert_covers(text: str, pieces: list[Piece]) -> None:
    """Pieces are in order, do not overlap, and leave out nothing but blanks."""
    end = 0
    for piece in pieces:
        assert end <= piece.start < piece.end <= len(text)
        assert not text[end : piece.start].strip(" \t\f\r\n\ufeff")
        end = piece.end
    assert not text[end:].strip(" \t\f\r\n\ufeff")


def lexer_tokens(source: Source, start: int, end: int, symbol: str) -> list[tuple[int, int, Token]]:
    """The parser's tokens of a right program, those inside prompts included."""
    reader = Reader(source, start, end, symbol, [], [], [])
    reader.read(lambda reader, token: pytest.fail(f"{source.name} has a mistake at {token!r}"))
    found = []
    for token in reader.tokens:
        first, last = start + (token.start_pos or 0), start + (token.end_pos or 0)
        if token.type == "TEXT" or (token.type == "BLOCK" and _is_prompt(reader, token)):
            for piece in template_pieces(source.text, open_quotes(source.text, first, last), flag_lone_names=False):
                if piece.kind in ("insert", "hole"):
                    found += lexer_tokens(source, *piece.inner, piece.kind)
        elif token.type != "BLOCK":
            found.append((first, last, token))
    return found


def _is_prompt(reader: Reader, block: Token) -> bool:
    before = [token for token in reader.tokens if (token.end_pos or 0) <= (block.start_pos or 0)]
    return bool(before) and before[-1].type in ("SYSTEM", "USER", "ASSISTANT", "RAW", "LBRACE")


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_every_token_of_a_program_is_a_piece(path):
    source = Source(str(path), path.read_text("utf-8"))
    pieces = scan(source.text)
    assert_covers(source.text, pieces)
    known = {(piece.start, piece.end): piece for piece in pieces}
    for start, end, token in lexer_tokens(source, 0, len(source.text), "file"):
        if token.type == "CALLHEAD":  # `sql.select` before its bracket: names and dots
            parts = [piece for piece in pieces if start <= piece.start < end]
            assert {source.text[piece.start : piece.end] for piece in parts} == {
                *token.split("."),
                *("." * ("." in token)),
            }
            continue
        if token.type == "COLLECTS":
            continue
        assert (start, end) in known, (source.position(start), token)
        assert known[(start, end)].kind in KINDS.get(token.type, {known[(start, end)].kind}), (
            source.position(start),
            token,
        )


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_no_piece_of_a_right_program_is_odd(path):
    text = path.read_text("utf-8")
    assert [text[piece.start : piece.end] for piece in scan(text) if piece.kind == "odd"] == []


@settings(max_examples=25)
@given(programs())
def test_generated_programs_are_covered(text):
    assert_covers(text, scan(text))


@given(st.text(st.sampled_from('ab1 \n"\\{}[]()#/:=.,|é👍\r'), max_size=60))
def test_any_text_is_covered(text):
    assert_covers(text, scan(text))


def test_the_beginnings_of_a_program_are_covered():
    text = PROGRAMS[-1].read_text("utf-8")
    for end in range(0, len(text), 3):
        assert_covers(text[:end], scan(text[:end]))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("require q / 2 > 1", []),
        ("grammar g = /a b/ where chars <= n / 2, matches /x/", ["/a b/", "/x/"]),
        ('generate {\n  assistant "[[q: /]]/]]"\n}', ["/]]/"]),
        ("grammar g {\n  a = /x/ /y/\n}\nrequire a / b", ["/x/", "/y/"]),
        ("grammar g = lib.f(n / 2) /z/", ["/z/"]),
    ],
)
def test_regular_expressions_are_told_from_divisions(text, what):
    assert [text[piece.start : piece.end] for piece in scan(text) if piece.kind == "regex"] == what


def test_a_bracket_without_a_hole_is_text():
    text = 'generate {\n  assistant "np.array([[1,2],[3,4]]) [[tool.x]] [[x: "a"]]"\n}'
    assert sum(piece.kind == "hole" for piece in scan(text)) == 2
