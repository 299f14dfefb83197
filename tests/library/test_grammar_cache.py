"""`.lark` files from the cache: the same grammar as read anew, and never an old one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smcdsl.errors import CompileError
from smcdsl.library import grammar_cache
from smcdsl.library.grammar_cache import read_lark
from smcdsl.notations.lark import load_lark
from smcdsl.program.references import GrammarFile

TEXT = """
%import .words.NAME
%import common.WS
start: NAME ("," NAME)*
other: NAME
%ignore WS
"""
WORDS = "NAME: /[a-z]+/\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project's folder, an empty cache, and how often lark was asked."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "words.lark").write_text(WORDS)
    calls = []

    def counted(*arguments, **named):
        calls.append(named["start"])
        return load_lark(*arguments, **named)

    monkeypatch.setattr(grammar_cache, "load_lark", counted)
    return folder, tmp_path / "cache", calls


def in_folder(folder, text=TEXT, name="list.lark"):
    return GrammarFile(str(folder / name), text, (str(folder),))


def test_what_was_read_before_is_not_read_again(place):
    folder, cache, calls = place
    file = in_folder(folder)
    first, again = (read_lark(file, "start", cache) for _ in range(2))
    assert calls == ["start"]
    assert again == first == load_lark(file.text, name=file.name, start="start", import_paths=file.import_paths)
    assert again.rules["start"].span == first.rules["start"].span


def test_the_digest_that_is_kept_is_the_grammars(place):
    folder, cache, _ = place
    file = in_folder(folder)
    first, again = (read_lark(file, "start", cache) for _ in range(2))
    assert "digest" in vars(again)
    assert again.digest == first.digest == replace(again).digest
    assert replace(again, start="other").digest != again.digest


def test_another_text_name_rule_or_folder_is_another_grammar(place):
    folder, cache, calls = place
    files = [
        in_folder(folder),
        in_folder(folder, TEXT + "third: NAME\n"),
        in_folder(folder, name="other.lark"),
        GrammarFile(str(folder / "list.lark"), TEXT),
    ]
    for file in files:
        read_lark(file, "start", cache)
    read_lark(files[0], "other", cache)
    assert len(calls) == 5


def test_an_import_that_changed_is_read_anew(place):
    folder, cache, calls = place
    file = in_folder(folder)
    read_lark(file, "start", cache)
    (folder / "words.lark").write_text("NAME: /[0-9]+/\n")
    changed = read_lark(file, "start", cache)
    assert changed.terminals["NAME"].definition.regex == "[0-9]+"
    (folder / "words.lark").write_text(WORDS)
    assert read_lark(file, "start", cache).terminals["NAME"].definition.regex == "[a-z]+"
    assert len(calls) == 3


def test_an_import_that_is_shadowed_later_is_read_anew(place):
    folder, cache, _ = place
    nearer = folder / "nearer"
    nearer.mkdir()
    file = GrammarFile(str(folder / "list.lark"), TEXT, (str(nearer), str(folder)))
    read_lark(file, "start", cache)
    (nearer / "words.lark").write_text("NAME: /[A-Z]+/\n")
    assert read_lark(file, "start", cache).terminals["NAME"].definition.regex == "[A-Z]+"


def test_a_file_of_the_user_hides_one_of_larks_own(place):
    folder, cache, _ = place
    file = in_folder(folder)
    read_lark(file, "start", cache)
    (folder / "common.lark").write_text("WS: /~+/\n")
    assert read_lark(file, "start", cache).terminals["WS"].definition.regex == "~+"


def test_imports_of_imports_count(place):
    folder, cache, calls = place
    (folder / "words.lark").write_text("%import .letters.LETTER\nNAME: LETTER+\n")
    (folder / "letters.lark").write_text("LETTER: /[a-c]/\n")
    file = in_folder(folder)
    read_lark(file, "start", cache)
    (folder / "letters.lark").write_text("LETTER: /[x-z]/\n")
    assert "[x-z]" in repr(read_lark(file, "start", cache).terminals["NAME"].definition)
    assert len(calls) == 2


def test_a_damaged_file_is_read_anew(place):
    folder, cache, calls = place
    file = in_folder(folder)
    made = read_lark(file, "start", cache)
    (path,) = (cache / "grammars").iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-3], whole.replace(b"NAME", b"NAMF"), b"[]"):
        path.write_bytes(damaged)
        assert read_lark(file, "start", cache) == made
    assert len(calls) == 5


def test_mistakes_are_not_kept(place):
    folder, cache, _ = place
    (folder / "words.lark").unlink()
    file = in_folder(folder)
    for _ in range(2):
        with pytest.raises(CompileError):
            read_lark(file, "start", cache)
    (folder / "words.lark").write_text(WORDS)
    assert read_lark(file, "start", cache).start == "start"
