"""Positions are UTF-16 units of lines that end in newlines; URIs are files, on both kinds of systems."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import Position

from smcdsl.editor.places import Lines, name_of, uri_of, with_newlines

texts = st.text(st.sampled_from("ab é👍𝒳\t\u2028\x0b\x0c\n"), max_size=40)


def slow_position(text: str, offset: int) -> tuple[int, int]:
    before = text[:offset].split("\n")
    return len(before) - 1, len(before[-1].encode("utf-16-le")) // 2


@given(texts, st.data())
def test_positions_count_utf16_units(text, data):
    offset = data.draw(st.integers(0, len(text)))
    place = Lines(text).position(offset)
    assert (place.line, place.character) == slow_position(text, offset)
    assert Lines(text).offset(place) == offset


@given(texts, st.integers(0, 12), st.integers(0, 60))
def test_any_position_is_some_offset(text, line, character):
    offset = Lines(text).offset(Position(line, character))
    assert 0 <= offset <= len(text)
    found = Lines(text).position(offset)
    assert (found.line, found.character) <= (line, character)


def test_the_middle_of_a_character_is_its_start():
    assert Lines("a👍b").offset(Position(0, 2)) == 1
    assert Lines("a👍b").offset(Position(0, 3)) == 2


def test_positions_beyond_the_end_are_the_end():
    lines = Lines("ab\ncd")
    assert lines.offset(Position(0, 99)) == 2
    assert lines.offset(Position(99, 0)) == 5


@given(st.text(st.sampled_from("ab\r\n"), max_size=12))
def test_every_line_ending_becomes_a_newline(text):
    assert with_newlines(text) == "\n".join(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    assert "\r" not in with_newlines(text)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/a%20b/x%23y.smc", "/home/a b/x#y.smc"),
        ("file:///h%C3%A9/%E2%9C%93.smc", "/hé/✓.smc"),
        ("file:///with%25percent.smc", "/with%percent.smc"),
        ("file:///new%0Aline.smc", "/new\nline.smc"),
        ("untitled:Untitled-1", None),
        ("file:///bad%00.smc", None),
        ("file://[", None),
        ("", None),
    ],
)
def test_uris_of_files_here(uri, path):
    assert name_of(uri, windows=False) == path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///c%3A/My%20Programs/a%26b.smc", r"c:\My Programs\a&b.smc"),
        ("file:///C:/x.smc", r"C:\x.smc"),
        ("file://server/share/a%20b.smc", r"\\server\share\a b.smc"),
        ("file://localhost/D:/x.smc", r"D:\x.smc"),
    ],
)
def test_uris_of_files_on_windows(uri, path):
    assert name_of(uri, windows=True) == path


@pytest.mark.parametrize("path", ["/home/a b/x#y?.smc", "/h%20é/✓.smc", "/-/new\nline.smc"])
def test_paths_come_back(path):
    assert name_of(uri_of(PurePosixPath(path)), windows=False) == path


@pytest.mark.parametrize("path", [r"C:\My Programs\50% & more.smc", r"\\server\share\x y.smc"])
def test_paths_of_windows_come_back(path):
    assert name_of(uri_of(PureWindowsPath(path)), windows=True) == path
