"""What is inside the quotes: dedent, escapes, insertions, holes, and where each of them is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as some

from smcdsl.errors import Diagnostic, Source
from smcdsl.language.parser import parse
from smcdsl.language.syntax import Generate, SyntaxTree
from smcdsl.language.templates import open_quotes, plain_pieces
from smcdsl.program import statements as st
from smcdsl.program.expressions import Expression, Name
from smcdsl.program.grammar import GrammarExpression


def template_of(text: str, role: str = "assistant") -> tuple[SyntaxTree, st.Template, list[Diagnostic]]:
    tree, diagnostics = parse(Source("x.smc", f"smc 1\ngenerate {{\n  {role} {text}\n}}\n"))
    assert tree is not None, diagnostics
    generate = tree.declarations[0]
    assert isinstance(generate, Generate)
    turn = generate.body[0]
    assert isinstance(turn, st.Turn)
    assert isinstance(turn.body[0], st.Text)
    return tree, turn.body[0].template, diagnostics


def shown(template: st.Template) -> list[object]:
    """Given texts, insertions as their source, holes as (name, source of the grammar)."""
    return [
        part.text
        if isinstance(part, st.Given)
        else part.expression.span.text
        if isinstance(part, st.Insert)
        else (part.name, part.grammar.span.text if part.grammar.span else "")
        for part in template.parts
    ]


def given_text(text: str) -> str:
    _, template, diagnostics = template_of(text)
    assert not diagnostics, diagnostics
    return "".join(part.text for part in template.parts if isinstance(part, st.Given))


def nodes(value: object) -> Iterator[Expression | GrammarExpression]:
    """All nodes with places below a value."""
    if isinstance(value, Expression | GrammarExpression):
        yield value
    if isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from nodes(item)
    elif hasattr(value, "__dataclass_fields__") and not isinstance(value, Source):
        for name in value.__dataclass_fields__:
            if name not in ("span", "source"):
                yield from nodes(getattr(value, name))


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ('"""\n  a\n  """', "a"),
        ('"""\n    a\n  b\n  """', "  a\nb"),
        ('"""\n  a\n\n  b\n  """', "a\n\nb"),
        ('"""\n    a\n"""', "    a"),
        ('"""\na\n    """', "a"),
        ('"""\n  \n  """', ""),
        ('"""\n  """', ""),
        ('""""""', ""),
        ('"""a"""', "a"),
        ('"""a\n    b\n  """', "a\n  b"),
        ('"""\n    a\n      b"""', "a\n  b"),
        ('"""\n\n  a\n\n  """', "\na\n"),
        ('"""\n\ta\n\t"""', "a"),
        ('"""\r\n  a\r\n  b\r\n  """', "a\nb"),
        ('"""\n  \\"\\"\\" \\u{1F600}\\n\n  """', '""" \U0001f600\n'),
        ('r"""\n  \\d {{ x }} [[y: z]]\n  """', "\\d {{ x }} [[y: z]]"),
    ],
)
def test_blocks_are_dedented_to_their_closing_quotes(block: str, expected: str) -> None:
    assert given_text(block) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r'"\n\t\r\\\"\'"', "\n\t\r\\\"'"),
        (r'"\x41\u00e9\u{1F600}"', "Aé\U0001f600"),
        (r'"\{{ a }} \[[q: x]]"', "{{ a }} [[q: x]]"),
        (r'r"\n{{ a }}[[q: x]]"', r"\n{{ a }}[[q: x]]"),
    ],
)
def test_escapes_stand_for_characters(text: str, expected: str) -> None:
    assert given_text(text) == expected


@pytest.mark.parametrize("escape", [r"\d", r"\u12", r"\u{110000}", r"\ud800", r"\xg0"])
def test_unknown_escapes_are_mistakes(escape: str) -> None:
    _, _, diagnostics = template_of(f'"a{escape} b"')
    assert [(d.code, d.primary.text[:2] if d.primary else "") for d in diagnostics] == [("E0115", escape[:2])]
    assert diagnostics[0].fixes[0].text == "\\"


@pytest.mark.parametrize(
    "text",
    [
        "np.array([[1,2],[3,4]])",
        "[[ -f x ]]",
        "[[tool.x]]",
        "[[]]",
        "[[gnu::pure]]",
        "f([[x]])",
        "[[a b: c]]",
        "[[1: x]]",
    ],
)
def test_other_brackets_are_text(text: str) -> None:
    assert given_text(f'"{text}"') == text


@pytest.mark.parametrize("text", ["[[q]]", "[[q[]]]", "[[q:]]", "[[q: ]]"])
def test_a_hole_needs_a_grammar(text: str) -> None:
    _, _, diagnostics = template_of(f'"a {text}\\n"')
    assert [(d.code, d.primary.text) for d in diagnostics if d.primary] == [("E0107", text)]


def test_a_lone_name_in_a_prompt_is_text() -> None:
    _, template, diagnostics = template_of('"see [[q]]"', role="user")
    assert not diagnostics
    assert shown(template) == ["see [[q]]"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"[[ok: "yes" | "no"]]"', [("ok", '"yes" | "no"')]),
        ('"[[a: /[^]]]+/]] b"', [("a", "/[^]]]+/"), " b"]),
        ('"[[a: "]]" ]]"', [("a", '"]]"')]),
        ('"[[a: tx.of(x[y[0]])]]"', [("a", "tx.of(x[y[0]])")]),
        ('"[[a[] : q]]{{ f({k: {j: 1}}) }}"', [("a", "q"), "f({k: {j: 1}})"]),
        ('"{{ x["k"] }}-{{y}}"', ['x["k"]', "-", "y"]),
        ('"[[q: /a\\/b"c/]]"', [("q", '/a\\/b"c/')]),
    ],
)
def test_insertions_and_holes_end_at_their_own_brackets(text: str, expected: list[object]) -> None:
    _, template, diagnostics = template_of(text)
    assert not diagnostics
    assert shown(template) == expected


def test_every_node_inside_a_block_knows_its_very_characters() -> None:
    text = '"""\n    \\u00e9 {{ first.a + 2 }}\n      [[q[]: /x+/ "y" | lib.rule(n: second)]]\r\n  """'
    tree, template, diagnostics = template_of(text)
    assert not diagnostics
    names = {node.name for node in nodes(template.parts) if isinstance(node, Name)}
    assert names == {"first", "second"}
    for node in nodes(template.parts):
        assert node.span is not None
        again, _ = parse(Source("x.smc", f"smc 1\nreturn {node.span.text}\n"))
        assert again is not None or isinstance(node, GrammarExpression)
        if isinstance(node, Name):
            assert node.span.text == node.name
    hole = next(part for part in template.parts if isinstance(part, st.Hole))
    assert hole.collects
    assert hole.span.text == '[[q[]: /x+/ "y" | lib.rule(n: second)]]'
    assert hole.name_span.text == "q"
    assert tree.source.text[hole.span.start :].startswith("[[q")


@given(some.text(max_size=30))
def test_every_text_can_be_written(text: str) -> None:
    escaped = "".join(f"\\u{{{ord(char):x}}}" if char in '"\\\n' else char for char in text)
    quoted = f'"{escaped}"'
    pieces = list(plain_pieces(quoted, open_quotes(quoted, 0, len(quoted))))
    assert not any(piece.flaw for piece in pieces)
    assert "".join(piece.text for piece in pieces) == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("text", "code", "marked", "fixed"),
    [
        ('"a {{ question }"', "E0108", "{{", "a {{ question }}"),
        ('"a {{ question"', "E0108", "{{", None),
        ('"""\n  {{ question }\n  {{ b }}\n  """', "E0108", "{{", "{{ question }}"),
        ('"[[q: word]"', "E0108", "[[", "[[q: word]]"),
        ('"{{ }}"', "E0112", "{{ }}", None),
    ],
)
def test_what_is_not_closed_on_its_line_is_a_mistake(text: str, code: str, marked: str, fixed: str | None) -> None:
    tree, _, diagnostics = template_of(text)
    assert [(d.code, d.primary.text) for d in diagnostics if d.primary] == [(code, marked)]
    repaired = tree.source.text
    for edit in diagnostics[0].fixes:
        repaired = repaired[: edit.span.start] + edit.text + repaired[edit.span.end :]
    assert (fixed in repaired and not parse(Source("x", repaired))[1]) if fixed else not diagnostics[0].fixes
