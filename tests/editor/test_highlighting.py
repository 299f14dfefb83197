"""Highlighting: the Pygments lexer and the TextMate grammar say of a character what the scanner says.

VS Code's own engine is asked where it is installed: `npm install vscode-textmate vscode-oniguruma` in a folder, and
its `node_modules` in SMCDSL_NODE_MODULES. A small engine in Python, without Oniguruma, is asked everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.token import Comment, Error, Keyword, Name, String
from pygments.util import ClassNotFound

from smcdsl.editor import textmate
from smcdsl.editor.highlighting import SmcLexer
from smcdsl.editor.pieces import Piece
from smcdsl.editor.scan import Scanner
from tests.editor.textmate_engine import Engine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAMS = sorted([*(ROOT / "examples").glob("*.smc"), *(ROOT / "tests/language/programs").glob("*.smc")])
MODULES = os.environ.get("SMCDSL_NODE_MODULES", "")

SCOPES: dict[str, tuple[str, ...]] = {
    "comment": ("comment.",),
    "keyword": ("keyword.",),
    "role": ("entity.name.tag.role",),
    "operator_word": ("keyword.operator.word", "keyword.other.clause"),
    "constant": ("constant.language",),
    "unit": ("support.constant.unit", "variable.other"),
    "name": ("variable.", "entity.name.", "support.type", "keyword.other.clause"),
    "number": ("constant.numeric",),
    "string": ("string.quoted",),
    "text": ("string.unquoted.prompt",),
    "escape": ("constant.character.escape",),
    "regex": ("string.regexp",),
    "hole": ("punctuation.section.embedded.hole",),
    "insert": ("punctuation.section.embedded.insert",),
    "operator": ("keyword.operator", "punctuation."),
    "mark": ("punctuation.",),
}
"""What the innermost scope of a piece may be, by its kind. A grammar sees lines, so some contextual words are names."""


def disagreements(text: str, scopes_at) -> list[tuple[int, str, str, str]]:
    """(line, piece, kind, scope) of every piece whose first character has another scope than its kind says."""
    found = []
    for piece in Scanner(text).run():
        line = text.count("\n", 0, piece.start)
        start = text.rfind("\n", 0, piece.start) + 1
        scope = scopes_at(line, len(text[start : piece.start].encode("utf-16-le")) // 2)
        if not scope.startswith(SCOPES[piece.kind]) and not _is_blank_text(text, piece):
            found.append((line + 1, text[piece.start : piece.end], piece.kind, scope))
    return found


def _is_blank_text(text: str, piece: Piece) -> bool:
    """A line break or blanks of a prompt have no colour."""
    return piece.kind == "text" and not text[piece.start : piece.start + 1].strip()


# ---- TextMate


def test_the_grammar_is_made_of_the_words():
    assert textmate.FILE.read_text("utf-8") == textmate.text(), "run `python -m smcdsl.editor.textmate`"


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_textmate_grammar_agrees_with_the_scanner(path):
    text = path.read_text("utf-8")
    lines = Engine(textmate.grammar()).tokenize(text)
    assert disagreements(text, lambda line, column: lines[line].at(column)) == []


@pytest.mark.skipif(
    not MODULES or not shutil.which("node"), reason="needs node, and SMCDSL_NODE_MODULES with vscode-textmate"
)
def test_vs_codes_engine_agrees_with_the_scanner():
    command = ["node", str(HERE / "tokenize.mjs"), MODULES, str(textmate.FILE), *map(str, PROGRAMS)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    for path, lines in zip(PROGRAMS, json.loads(ended.stdout), strict=True):

        def scope(line: int, column: int, lines=lines) -> str:
            return next((scopes[-1] for start, end, scopes in lines[line] if start <= column < end), "")

        assert disagreements(path.read_text("utf-8"), scope) == [], path.name


def test_a_wrong_grammar_is_noticed():
    grammar = textmate.grammar()
    grammar["repository"]["hole"]["begin"] = r"\[\[\["
    text = PROGRAMS[-1].read_text("utf-8")
    lines = Engine(grammar).tokenize(text)
    assert disagreements(text, lambda line, column: lines[line].at(column))


# ---- the extension


def test_the_extension_names_files_that_are_there():
    folder = textmate.FILE.parents[1]
    manifest = json.loads((folder / "package.json").read_text("utf-8"))
    contributed = manifest["contributes"]
    named = [manifest["main"], *(each["path"] for each in contributed["grammars"])]
    named += [each["configuration"] for each in contributed["languages"]]
    assert all((folder / name).is_file() for name in named)
    assert contributed["grammars"][0]["scopeName"] == textmate.grammar()["scopeName"]
    assert manifest["version"] == tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


def test_the_extension_has_the_commands_of_the_lenses():
    from smcdsl.editor import hints

    folder = textmate.FILE.parents[1]
    manifest = json.loads((folder / "package.json").read_text("utf-8"))
    commands = {each["command"] for each in manifest["contributes"]["commands"]}
    script = (folder / "extension.js").read_text("utf-8")
    for command in (hints.RUN, hints.SHOW_PROMPT, hints.TEST):
        assert command in commands
        assert f'"{command}"' in script


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_extension_can_be_parsed():
    script = textmate.FILE.parents[1] / "extension.js"
    subprocess.run(["node", "--check", str(script)], check=True, capture_output=True)


# ---- Pygments


@given(st.text(st.sampled_from('ab1 \n"\\{}[]()#/:=.,|é👍\r\u2028'), max_size=60))
def test_the_lexer_keeps_every_character(text):
    pieces = list(SmcLexer().get_tokens_unprocessed(text))
    assert "".join(words for _, _, words in pieces) == text
    assert all(text[start : start + len(words)] == words for start, _, words in pieces)


def test_the_lexer_tells_prompts_from_code():
    text = 'smc 1\ngrammar g = /a/  # why\ngenerate {\n  assistant "Say [[x: g]]\\n"\n  require chars(x) < 3\n}\n'
    kinds = {words: kind for _, kind, words in SmcLexer().get_tokens_unprocessed(text)}
    assert kinds["grammar"] is Keyword.Declaration
    assert kinds["# why"] is Comment.Single
    assert kinds["/a/"] is String.Regex
    assert kinds["[["] is String.Interpol
    assert kinds['"Say '] is String
    assert kinds["\\n"] is String.Escape
    assert kinds["chars"] is Name.Function
    assert Error not in kinds.values()


def test_the_lexer_is_registered():
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pygments.lexers"]
    module, _, name = points["smc"].partition(":")
    assert getattr(import_module(module), name) is SmcLexer
    if not any(point.value == points["smc"] for point in entry_points(group="pygments.lexers")):
        pytest.skip("smcdsl was installed before it had the lexer")
    assert isinstance(get_lexer_by_name("smc"), SmcLexer)
    assert isinstance(get_lexer_for_filename("x.smc"), SmcLexer)
    with pytest.raises(ClassNotFound):
        get_lexer_by_name("smcc")
