"""The driven parser against lark's own: the same trees with the same places, the same stacks, the same complaints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Token, Tree, UnexpectedToken

from smcdsl.errors import Source
from smcdsl.language.driving import interactive
from smcdsl.language.reading import END, Reader
from smcdsl.language.recovery import Recovery
from smcdsl.language.tables import syntax

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.smc"))
STARTS = ["file", "hole", "insert"]


def both(start: str) -> tuple[Any, Any]:
    return interactive("", start), syntax().parse_interactive("", start=start)


def placed(node: Any) -> Any:
    """A tree with all that lark says of its places."""
    if isinstance(node, Tree):
        return node.data, sorted(vars(node.meta).items()), [placed(child) for child in node.children]
    return (node.type, str(node), node.start_pos, node.end_pos) if isinstance(node, Token) else node


def outcome(parser: Any, token: Token) -> Any:
    try:
        result = parser.feed_token(token)
    except UnexpectedToken as error:
        return error.token, error.expected, list(parser.parser_state.state_stack)
    return (
        placed(result),
        list(parser.parser_state.state_stack),
        [placed(each) for each in parser.parser_state.value_stack],
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_a_program(path: Path) -> None:
    text = path.read_text("utf-8")
    reader = Reader(Source(path.name, text), 0, len(text), "file", [], [], [])
    read = []
    feed = reader.feed
    reader.feed = lambda token: (read.append(token), feed(token))[1]  # type: ignore[method-assign,assign,func-returns-value]
    tree = reader.read(Recovery().recover)
    driven, plain = both("file")
    for token in read:
        driven.feed_token(token)
        plain.feed_token(token)
    end = Token(END, "", start_pos=len(text), end_pos=len(text))
    assert placed(driven.feed_token(end)) == placed(plain.feed_token(end)) == placed(tree)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(STARTS), st.data())
def test_any_tokens(start: str, data: st.DataObject) -> None:
    """Mostly tokens that fit, each as both take it; what both accept in every state is the same."""
    driven, plain = both(start)
    every = sorted({terminal.name for terminal in syntax().terminals} | {END})
    for number in range(data.draw(st.integers(1, 40))):
        accepted = driven.accepts()
        assert accepted == plain.accepts()
        fits = data.draw(st.integers(0, 19)) > 0 and accepted
        kind = data.draw(st.sampled_from(sorted(accepted) if fits else every))
        token = Token(
            kind,
            kind.lower(),
            start_pos=number,
            line=1,
            column=number,
            end_line=1,
            end_column=number + 1,
            end_pos=number + 1,
        )
        seen = outcome(driven, token)
        assert seen == outcome(plain, token)
        if kind == END:
            break


def test_a_copy_without_callbacks_keeps_the_stacks_apart() -> None:
    driven, _ = both("hole")
    twin = driven.copy(deepcopy_values=False)
    kind = sorted(driven.accepts())[0]
    before = list(driven.parser_state.state_stack)
    twin.feed_token(Token(kind, ""))
    assert driven.parser_state.state_stack == before != twin.parser_state.state_stack
    assert type(twin.parser_state) is type(driven.parser_state)
