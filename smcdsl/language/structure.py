"""Finding the way in a text that does not parse: by lines, braces and indentation."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lark import Token

from smcdsl.errors import Diagnostic
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language.layout import NEWLINE
from smcdsl.language.reading import END, Brace, Reader
from smcdsl.language.spelling import suggest_word

_DECLARATION = re.compile(
    r"(?:import|input|lm|grammar|potential|template|generate|return|infer|test)(?!\w)(?![ \t]*[:.(])"
)
_LIGHT = re.compile(
    r'#[^\n]*|r?"""[\s\S]*?"""|r?"(?!"")(?:\\.|[^"\\\n])*"|/(?![ \t])(?:\\.|[^/\\\n"])+/|\{\d*,?\d*\}|[{}]|[^#"r/{}]+|.'
)
_WORD = re.compile(r"[^\W\d]\w*")
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


# ---- a missing }


def missing_closer(reader: Reader, token: Token) -> tuple[Diagnostic, int] | None:
    """The block that was left open, if that is why the token does not fit, and where its `}` belongs.

    Signs are a declaration, an `else` or the end of the file inside a block. Of the open blocks, the
    innermost one that a line leaves by its indentation is the culprit.
    """
    if reader.start != "file" or not reader.braces or not _shows_open_block(reader, token):
        return None
    brace, offset = _left_by_indentation(reader) or (reader.braces[-1], _previous_end(reader))
    declaration = reader.token_span(token) if _is_declaration(reader, token) else None
    diagnostic = mistakes.unclosed_block(
        reader.token_span(brace.token),
        reader.span(offset, offset),
        is_record=brace.is_record,
        declaration=declaration,
        owner=reader.braces[0].statement.keyword,
    )
    return diagnostic, offset


def _shows_open_block(reader: Reader, token: Token) -> bool:
    if token.type == END:
        return not reader.layout.brackets
    if token.type == "ELSE":
        return reader.is_first_on_line(token) and reader.braces[-1].statement.keyword in ("if", "else")
    if reader.fresh and _is_declaration(reader, token):
        outermost = reader.indent(reader.braces[0].token.start_pos or 0)
        return reader.indent(token.start_pos or 0) <= outermost or _left_by_indentation(reader) is not None
    return False


def _is_declaration(reader: Reader, token: Token) -> bool:
    return bool(_DECLARATION.match(reader.text, token.start_pos or 0)) and reader.is_first_on_line(token)


def _previous_end(reader: Reader) -> int:
    return (reader.tokens[-1].end_pos or 0) if reader.tokens else 0


def _left_by_indentation(reader: Reader) -> tuple[Brace, int] | None:
    """The first open brace that a line's indentation contradicts, and the end of the line before."""
    opened: list[Token] = []
    previous_end = 0
    by_start = {brace.token.start_pos: brace for brace in reader.braces}
    for token in [*reader.tokens, _next_token(reader)]:
        start = token.start_pos or 0
        if opened and reader.is_first_on_line(token) and _leaves(reader, token, opened[-1]):
            culprit = opened[-1]
            found = by_start.get(culprit.start_pos) or Brace(culprit, reader.statement, False, True)
            return found, previous_end
        if token.type == "LBRACE":
            opened.append(token)
        elif token.type == "RBRACE" and opened:
            opened.pop()
        previous_end = max(previous_end, token.end_pos or start)
    return None


def _next_token(reader: Reader) -> Token:
    """The failing token's line, as far as indentation goes."""
    position = reader.parser.lexer_thread.state.line_ctr.char_pos
    start = reader.line_start(max(position - 1, 0))
    start += reader.indent(start)
    return Token(NEWLINE, "", start_pos=start, end_pos=start)


def _leaves(reader: Reader, token: Token, brace: Token) -> bool:
    indent = reader.indent(token.start_pos or 0)
    opened_at = reader.indent(brace.start_pos or 0)
    if reader.line_start(brace.start_pos or 0) == reader.line_start(token.start_pos or 0):
        return False
    return indent < opened_at if token.type == "RBRACE" else indent <= opened_at


# ---- the next statement


def resume_point(reader: Reader, start: int, error_end: int) -> int:
    """Offset of the line on which reading goes on after the statement at `start` was dropped.

    The parser stands before that statement. What is indented deeper belongs to it, as does its block.
    """
    text = reader.text
    indent = reader.indent(start)
    position = _line_after(text, _past_text_block(text, start, error_end))
    closing = _matching_brace(reader, start, line_end(text, start))
    if closing is not None and closing >= position:
        position = _line_after(text, closing)
    has_block = closing is None and _net_braces(text, start, line_end(text, start)) > 0
    while position < len(text):
        line = text[position : line_end(text, position)]
        stripped = line.strip()
        own = reader.indent(position)
        if stripped and not stripped.startswith("#") and own <= indent and stripped not in ('"""', "'''"):
            if has_block and stripped.startswith("}") and own == indent:
                has_block = _net_braces(text, position, position + len(line)) >= 0
            elif _could_start(reader, position, stripped):
                return position
        has_block = has_block or (own > indent and bool(stripped))
        position = _line_after(text, position)
    return len(text)


def _could_start(reader: Reader, position: int, line: str) -> bool:
    reader.move(position)
    if reader.trial().starts_statement():
        return True
    word = _WORD.match(line)
    level = "file" if not reader.braces else "block"
    return word is not None and bool(suggest_word(word.group(), level)) and not line[word.end() :].startswith(".")


def _past_text_block(text: str, start: int, error_end: int) -> int:
    """The end of a text block that opens on the error's line behind the error, else the error's end."""
    end = line_end(text, error_end)
    rest = text[error_end:end]
    if rest.count('"""') % 2 == 1 and not text.startswith('"""', start):
        opener = error_end + rest.rfind('"""')
        closer = text.find('"""', opener + 3)
        if closer >= 0:
            return closer + 3
    return error_end


def _matching_brace(reader: Reader, start: int, end: int) -> int | None:
    """Offset behind the `}` of the block that the line at `start` opens; None if there is no such."""
    text = reader.text
    if _net_braces(text, start, end) <= 0:
        return None
    depth, opened = 0, False
    for piece_start, piece in _pieces(text, start):
        if piece == "{":
            depth, opened = depth + 1, True
        elif piece == "}":
            depth -= 1
        if opened and depth == 0:
            rest = text[piece_start + 1 : line_end(text, piece_start)].strip()
            if not rest.startswith("else"):
                return piece_start + 1
        if "\n" in piece and not piece.startswith(('"', "r")):
            line = reader.line_start(piece_start + len(piece))
            if _DECLARATION.match(text, line + reader.indent(line)) and depth:
                return None
    return None


def _net_braces(text: str, start: int, end: int) -> int:
    pieces = [piece for position, piece in _pieces(text, start) if position < end] if start < end else []
    return pieces.count("{") - pieces.count("}")


def _pieces(text: str, start: int) -> Iterator[tuple[int, str]]:
    """A rough cut into comments, texts, braces and the rest; quotes in regular expressions may mislead it."""
    for match in _LIGHT.finditer(text, start):
        yield match.start(), match.group()


def line_end(text: str, offset: int) -> int:
    """Offset of the newline that ends the line."""
    newline = text.find("\n", offset)
    return len(text) if newline < 0 else newline - (text[newline - 1] == "\r" and newline > offset)


def _line_after(text: str, offset: int) -> int:
    newline = text.find("\n", offset)
    return len(text) if newline < 0 else newline + 1


# ---- text blocks, names


def possible_block_end(reader: Reader, start: int) -> int | None:
    """Number of a line, the text's last by indentation or before, that ends in just two quotes."""
    position, indent = _line_after(reader.text, start), reader.indent(start)
    while position < len(reader.text):
        line = reader.text[position : line_end(reader.text, position)].rstrip()
        if line.endswith('""') and not line.endswith(('"""', '\\""')):
            return reader.source.position(reader.base + position)[0]
        if line and reader.indent(position) <= indent:
            return None
        position = _line_after(reader.text, position)
    return None


def last_deeper_line(reader: Reader, start: int) -> int | None:
    """Offset of the end of the last of the lines below that are indented deeper; None if there are none."""
    indent, found = reader.indent(start), None
    position = _line_after(reader.text, start)
    while position < len(reader.text):
        end = line_end(reader.text, position)
        if reader.text[position:end].strip():
            if reader.indent(position) <= indent:
                break
            found = end
        position = _line_after(reader.text, position)
    return found


def dotted_end(text: str, start: int) -> int:
    """Offset behind a dotted name."""
    match = _DOTTED.match(text, start)
    return match.end() if match else start


def call_end(text: str, opener: int) -> int:
    """Offset behind the `)` that closes the one at `opener`, on its line."""
    depth = 0
    for position in range(opener, line_end(text, opener)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position + 1
    return line_end(text, opener)
