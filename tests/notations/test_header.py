"""Headers of library grammars."""

import pytest

from smcdsl.errors import CompileError
from smcdsl.notations.header import LarkHeader, read_header
from smcdsl.notations.lark import load_lark
from smcdsl.program.types import JSON, SQLITE, STR, Parameter, Type, list_of

HEADER = r"""// A comment.
// smcdsl: lexing contextual
// smcdsl: boundaries clause column
// smcdsl: boundaries table clause
// smcdsl: grammar select(dialect: "sqlite" | "other" = "sqlite", schema: sqlite | json = null, tags: list[str]) specialize smcdsl.potentials.sql:specialize
//smcdsl: grammar plain
// smcdsl: doc select One SELECT statement.
// smcdsl: doc select And more.
start: "// smcdsl: lexing nonsense"
"""  # noqa: E501


def test_a_header_says_policy_boundaries_grammars_and_docs():
    header = read_header(HEADER)
    assert header.lexing == "contextual"
    assert header.boundaries == ("clause", "column", "table")
    assert header.docs == {"select": "One SELECT statement. And more."}
    select = header.grammar("select")
    assert select is not None
    assert select.specialize == "smcdsl.potentials.sql:specialize"
    assert select.parameters == (
        Parameter("dialect", Type("str", choices=("sqlite", "other")), required=False, default="sqlite"),
        Parameter("schema", Type("union", alternatives=(SQLITE, JSON)), required=False, default=None),
        Parameter("tags", list_of(STR)),
    )
    plain = header.grammar("plain")
    assert plain is not None
    assert plain.parameters == ()
    assert header.grammar("start") is None


def test_without_a_header_longest_match_and_all_rules():
    assert read_header('start: "a" // nothing') == LarkHeader("longest", None)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("-1.5", -1.5), ('"a, b"', "a, b"), ("true", True), ("null", None), ('["x", 1]', ["x", 1]), ("{}", {})],
)
def test_defaults_are_values(text, value):
    header = read_header(f"// smcdsl: grammar g(x: any = {text}, y: int = 2)")
    assert [parameter.default for parameter in header.grammars[0].parameters] == [value, 2]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("lexing shortest", "`longest` or `contextual`"),
        ("grammar", "expected `grammar NAME"),
        ("grammar g(x)", "expected `NAME: TYPE = DEFAULT`"),
        ("grammar g(x: strng)", "is not a type"),
        ("grammar g(x: str = yes)", "is not a value"),
        ("grammar g specialize nowhere", "expected `grammar NAME"),
        ("border a", "expected `lexing`"),
        ("boundary a", "expected `boundary NAME RULE"),
        ("indenter newline=A indent=B dedent=C first=1", "the first line begins at column 0"),
    ],
)
def test_a_wrong_line_is_shown(line, reason):
    text = f'// smcdsl: {line}\n// smcdsl: also wrong\nstart: "a"\n'
    with pytest.raises(CompileError) as caught:
        read_header(text, "g.lark")
    first, second = caught.value.diagnostics
    assert first.code == second.code == "E0415"
    assert first.primary is not None
    assert first.primary.text == line
    assert reason in first.labels[0].text


def test_one_boundary_gathers_rules_and_terminals_may_be_refused():
    header = read_header(
        "// smcdsl: boundaries a\n// smcdsl: boundary b c d\n// smcdsl: refused X Y\n// smcdsl: refused Z"
    )
    assert header.boundaries == ("a", "b")
    assert header.boundary_of == {"c": "b", "d": "b"}
    assert header.refused == ("X", "Y", "Z")


@pytest.mark.parametrize(
    ("line", "reason"), [("boundary b nothing", "no rule `nothing`"), ("refused NOTHING", "no terminal `NOTHING`")]
)
def test_gathered_rules_and_refused_terminals_are_in_the_file(line, reason):
    with pytest.raises(CompileError) as caught:
        load_lark(f'// smcdsl: {line}\nstart: "a"\n')
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0415"
    assert reason in problem.labels[0].text
