"""A Pygments lexer for .smc files, registered as `smc`: documentation and terminals paint programs with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pygments.lexer import Lexer
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
    Whitespace,
    _TokenType,
)

from smcdsl.editor.pieces import Kind
from smcdsl.editor.scan import Scanner
from smcdsl.editor.words import DECLARATIONS, HEADER, TYPES

_KINDS: dict[Kind, _TokenType] = {
    "comment": Comment.Single,
    "keyword": Keyword,
    "role": Keyword.Namespace,
    "operator_word": Operator.Word,
    "constant": Keyword.Constant,
    "unit": Name.Builtin,
    "name": Name,
    "number": Number,
    "string": String.Double,
    "text": String,
    "escape": String.Escape,
    "regex": String.Regex,
    "hole": String.Interpol,
    "insert": String.Interpol,
    "operator": Operator,
    "mark": Punctuation,
    "odd": Error,
}


class SmcLexer(Lexer):
    """Programs of the smcdsl language; `[[ ]]` and `{{ }}` in prompts are painted inside."""

    name = "smcdsl"
    aliases: ClassVar[list[str]] = ["smc", "smcdsl"]
    filenames: ClassVar[list[str]] = ["*.smc"]
    mimetypes: ClassVar[list[str]] = ["text/x-smc"]
    url = ""

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """(offset, kind, characters) of all of the text."""
        end = 0
        before = ""
        for piece in Scanner(text).run():
            if piece.start > end:
                yield end, Whitespace, text[end : piece.start]
            words = text[piece.start : piece.end]
            yield piece.start, _kind(piece.kind, words, text[piece.end : piece.end + 1], before), words
            before, end = words, piece.end
        if end < len(text):
            yield end, Text if text[end:].strip() else Whitespace, text[end:]


def _kind(kind: Kind, words: str, after: str, before: str) -> _TokenType:
    if kind == "keyword" and words in (*DECLARATIONS, *HEADER):
        return Keyword.Declaration
    if kind == "name" and before in ("grammar", "potential", "template", "program", "module"):
        return Name.Class if before == "grammar" else Name.Function
    if kind == "name" and before == ":" and words in TYPES:
        return Keyword.Type
    if kind == "name" and after == "(":
        return Name.Function
    return _KINDS[kind]
