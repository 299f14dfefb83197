"""Terminals put together once are the languages, and have the widths, of the patterns that lark writes out."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lark.load_grammar import GrammarBuilder

from smcdsl.compiler.dfa import from_expression, pattern_dfa
from smcdsl.compiler.regex import RegexError
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark, read_header
from smcdsl.notations.lark_terminals import compose, stands_alone
from smcdsl.program.grammar import Pattern, Reference, Terminal

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("grammars/*.lark"), *ROOT.glob("benchmarks/masks/grammars/*.lark")])

LEAVES = [
    '"a"',
    '"b"i',
    '"+"',
    '"ab"',
    "/a|b/",
    "/a|b/i",
    "/[ab]+/",
    "/(a|bc)?/",
    "/a{2}/",
    "/a{2/",
    "/b*/",
    "/a?/",
    "/(?:a|b)c/",
    "/[^]]/",
    "/[|]/",
    r"/\|/",
    r"/\(|a/",
    '"a".."c"',
]


@st.composite
def definitions(draw: st.DrawFn) -> str:
    """A few terminals, each of leaves and of those before it."""
    names = [f"T{number}" for number in range(draw(st.integers(1, 5)))]
    lines = []
    for number, name in enumerate(names):
        atoms = st.sampled_from(LEAVES + 3 * names[:number])
        lines.append(f"{name}: {draw(bodies(atoms))}")
    return f"start: {' | '.join(names)}\n" + "\n".join(lines) + "\n"


def bodies(atoms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Right-hand sides of terminals."""
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.lists(inner, min_size=2, max_size=3).map(" ".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda items: f"({' | '.join(items)})"),
            st.tuples(inner, st.sampled_from(["?", "*", "+", "~2", "~0..2"])).map(lambda pair: f"({pair[0]}){pair[1]}"),
            inner.map(lambda item: f"[{item}]"),
        ),
        max_leaves=6,
    )


def as_lark_has_them(text: str) -> dict[str, tuple[str, int, int, int]]:
    """(regular expression, least and most characters, length) of every terminal, without any help of ours."""
    builder = GrammarBuilder()
    builder.load_grammar(text, "<test>")
    terminals, _, _ = builder.build().compile(["start"], "*")
    return {
        terminal.name: (
            terminal.pattern.to_regexp(),
            terminal.pattern.min_width,
            terminal.pattern.max_width,
            len(terminal.pattern.value),
        )
        for terminal in terminals
    }


@given(definitions())
def test_languages_and_widths_are_those_of_the_written_out_patterns(text: str) -> None:
    builder = GrammarBuilder()
    builder.load_grammar(text, "<test>")
    trees = {str(name): found.tree for name, found in builder._definitions.items() if found.is_term}
    try:
        expected = as_lark_has_them(text)
        for pattern, *_ in expected.values():
            pattern_dfa(pattern)
    except Exception:
        return  # not a grammar for lark, or with a pattern that is none
    parts = compose(trees, lambda *_: None)
    assert parts.keys() >= expected.keys() - {"A", "B"}
    fragments = {name: part.expression for name, part in parts.items() if part.expression is not None}
    for name in parts.keys() & expected.keys():
        regex, least, most, length = expected[name]
        pattern = parts[name].pattern
        assert (pattern.min_width, pattern.max_width, len(pattern.value)) == (least, most, length)
        if name in fragments:
            assert from_expression(fragments[name], fragments) == pattern_dfa(regex), (name, regex)


def test_most_terminals_are_put_together() -> None:
    """Else the property above would hold of nothing."""
    text = 'start: A B C\nA: "x" B\nB: (C | /a|b/)+\nC: "c"i /[0-9]/ D D\nD: /a|b/ "c" | "d"~2..3\n'
    grammar = load_lark(text)
    assert grammar.terminals["A"].definition.items[1] == Reference(("B",))
    assert set(grammar.fragments) == {"B", "C", "D"}
    assert grammar.fragments["D"].items[0] == Pattern("a|bc")
    assert not any(isinstance(terminal.definition, Pattern) for terminal in grammar.terminals.values())


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.parent.name}-{file.stem}")
def test_shipped_terminals_are_what_lark_writes_out(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    starts = re.findall(r"^[?!]*([a-z]\w*)\s*:", text, re.MULTILINE)
    grammar = load_lark(text, name=str(file), start="start" if "start" in starts else starts[0])
    builder = GrammarBuilder()
    builder.load_grammar(text, str(file))
    terminals, _, _ = builder.build().compile([grammar.start], set(read_header(text, file.name).refused))
    for terminal in terminals:
        ours = grammar.terminals[terminal.name]
        assert from_expression(ours.definition, grammar.definitions) == pattern_dfa(terminal.pattern.to_regexp())
    by_order: list[Terminal] = sorted(grammar.terminals.values(), key=lambda each: each.order)
    assert [each.name for each in by_order] == [
        each.name
        for each in sorted(
            terminals,
            key=lambda each: (
                -each.priority,
                each.pattern.type == "re",
                -each.pattern.max_width,
                -len(each.pattern.value),
                each.name,
            ),
        )
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("abc", False),
        ("a|b", True),
        ("(a|b)", False),
        ("(?:a|b)|c", True),
        ("[a|b]", False),
        (r"\|", False),
        (r"[]|]\]", False),
        ("^a", None),
        ("a$", None),
        (r"a\b", None),
        (r"(a)\1", None),
        (r"\07", None),
        ("(?=a)b", None),
        ("(?i)a", None),
        ("(?P<n>a)", None),
        ("a{2", None),
        ("a{2,3}", False),
        (r"\x41{3}", False),
    ],
)
def test_what_stands_alone(pattern: str, expected: bool | None) -> None:
    assert stands_alone(pattern) is expected


def test_terminals_that_double_end_in_a_diagnostic() -> None:
    """lark alone would follow 2 ** 40 uses."""
    lines = [f"T{n}: T{n - 1} T{n - 1}" for n in range(1, 40)]
    with pytest.raises(CompileError) as raised:
        load_lark("start: T39\nT0: /[a-z]x/\n" + "\n".join(lines))
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == "E0412"
    assert "used more than" in diagnostic.labels[0].text
    assert diagnostic.labels[0].span.text == "T14"


def test_only_uses_of_terminals_count_as_such() -> None:
    lines = [f'T{n}: "T{n - 1}" /T{n - 1} [T{n - 1}]\\/ T0/ // T{n - 1} T{n - 1}' for n in range(1, 40)]
    assert load_lark("start: T39\nT0: /[a-z]x/\n" + "\n".join(lines)).fragments == {}
    rules = [f"t{n}: t{n - 1} t{n - 1}" for n in range(1, 40)]
    load_lark("start: t39\nt0: T0\nT0: /[a-z]x/\n" + "\n".join(rules))


def test_a_pattern_that_would_be_too_long_is_refused() -> None:
    lines = ["A: " + " ".join(["B"] * 100), "B: " + " ".join(["C"] * 100), f'C: "{"c" * 500}"']
    with pytest.raises(CompileError) as raised:
        load_lark("start: A\n" + "\n".join(lines))
    (diagnostic,) = raised.value.diagnostics
    assert "longer than 4,000,000 characters" in diagnostic.labels[0].text


def test_a_bad_pattern_in_a_part_is_shown_where_it_is_written() -> None:
    for text, place in (('start: A "x"\nA: /(/ | "b"\n', "A"), ("start: A\nA: B B\nB: /[/ | /b/\n", "B")):
        with pytest.raises(CompileError) as raised:
            load_lark(text)
        (diagnostic,) = raised.value.diagnostics
        assert (diagnostic.code, diagnostic.labels[0].span.text) == ("E0412", place)


def test_a_look_ahead_in_a_part_is_still_refused() -> None:
    grammar = load_lark('start: A\nA: B "c"\nB: /(?=a)b/\n')
    with pytest.raises(RegexError, match="look-ahead"):
        from_expression(grammar.terminals["A"].definition, grammar.definitions)
