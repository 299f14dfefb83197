"""The syntax: what parses to what, and what is said about the rest."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from smcdsl.errors import Diagnostic, Source
from smcdsl.language import syntax as sx
from smcdsl.language import tables
from smcdsl.language.parser import parse
from smcdsl.program import expressions as ex
from smcdsl.program import grammar as gr
from smcdsl.program import statements as st

HERE = Path(__file__).parent
PROGRAMS = sorted((HERE / "programs").glob("*.smc"))


def parsed(text: str) -> sx.SyntaxTree:
    tree, diagnostics = parse(Source("x.smc", text))
    assert tree is not None, diagnostics
    assert not diagnostics, diagnostics
    return tree


def declaration(text: str) -> sx.Declaration:
    return parsed(f"smc 1\n{text}\n").declarations[0]


def expression(text: str) -> ex.Expression:
    item = declaration(f"return {text}")
    assert isinstance(item, sx.ReturnSyntax)
    return item.expression


def grammar(text: str) -> gr.GrammarExpression:
    item = declaration(f"grammar g = {text}")
    assert isinstance(item, sx.GrammarSyntax)
    assert item.expression is not None
    return item.expression


def body(text: str) -> tuple[st.Statement, ...]:
    item = declaration(f"generate {{\n{text}\n}}")
    assert isinstance(item, sx.Generate)
    return item.body


def brackets(node: ex.Expression) -> str:
    """The structure of an expression, every operation in brackets."""
    match node:
        case ex.Binary(operator=operator, left=left, right=right):
            return f"({brackets(left)} {operator} {brackets(right)})"
        case ex.Unary(operator=operator, operand=operand):
            return f"({operator} {brackets(operand)})"
        case ex.Maybe(operand=operand):
            return f"({brackets(operand)} ?)"
    return node.span.text


def mistakes(text: str) -> list[Diagnostic]:
    return parse(Source("x.smc", text))[1]


# ---- the grammar

GRAMMAR = (Path(tables.__file__).parent / tables.GRAMMAR).read_text("utf-8")


def conflicts(caplog: pytest.LogCaptureFixture, grammar: str, start: list[str]) -> list[str]:
    """What lark logs about conflicts in a grammar."""
    lark.logger.setLevel(logging.DEBUG)
    lark.logger.addHandler(caplog.handler)
    try:
        lark.Lark(grammar, parser="lalr", lexer="contextual", start=start, debug=True)
    finally:
        lark.logger.removeHandler(caplog.handler)
        lark.logger.setLevel(logging.CRITICAL)
    return [record.message for record in caplog.records if "onflict" in record.message]


def test_the_grammar_has_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    assert not conflicts(caplog, GRAMMAR, ["file", "hole", "insert"])


def test_conflicts_would_be_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert conflicts(caplog, 'start: e\ne: e "+" e | "x"', ["start"])


def test_the_tables_on_file_are_those_of_the_grammar() -> None:
    saved = json.loads((Path(tables.__file__).parent / tables.TABLES).read_text("utf-8"))
    assert saved["made_from"]["grammar"] == tables.origin(GRAMMAR)["grammar"], "run python -m smcdsl.language.tables"
    built = tables.build(GRAMMAR)
    for start, text in (
        ("file", 'smc 1\nprogram p "x"\ngenerate {\nrequire f(a, b: [1]) ^ 2 at end, q.line\n}\n'),
        ("hole", 'q[]: ("a" | /b/)* - lib.rule(n: 1) where chars in 1..2, matches /x/'),
        ("insert", "{ a: not b or c? } == {}"),
    ):
        revived = tables.syntax().parse_interactive(text, start=start)
        assert _accepted(revived) == _accepted(built.parse_interactive(text, start=start))
    fresh_rules = {str(rule) for rule in built.rules}
    assert {str(rule) for rule in tables.syntax().rules} == fresh_rules
    assert len(_states(tables.syntax())) == len(_states(built))


def test_other_grammars_are_not_read_from_the_tables() -> None:
    assert tables.origin(GRAMMAR + "\n") != tables.origin(GRAMMAR)
    assert json.loads(tables.dumped(GRAMMAR))["made_from"] == tables.origin(GRAMMAR)


def _states(parser: lark.Lark) -> dict[int, dict[str, tuple[object, object]]]:
    return parser.parser.parser._parse_table.states


def _accepted(parser: object) -> list[frozenset[str]]:
    """What may come next after each token."""
    return [frozenset(parser.accepts()) for _ in [*parser.iter_parse(), None]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_programs_parse(path: Path) -> None:
    tree = parsed(path.read_text("utf-8"))
    assert tree.name is not None
    assert tree.name.text == path.stem


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_line_endings_tabs_and_byte_order_marks_do_not_matter(path: Path) -> None:
    text = path.read_text("utf-8")
    expected = parsed(text)
    assert parsed(text.replace("\n", "\r\n")).declarations == expected.declarations
    assert parsed("\ufeff" + text).declarations == expected.declarations
    assert parsed(text.replace("{ ", "{\t").replace(" | ", "\t|\t")).declarations[-1] == expected.declarations[-1]


# ---- expressions and grammars


@pytest.mark.parametrize(
    ("text", "structure"),
    [
        ("a or b and not c == d", "(a or (b and (not (c == d))))"),
        ("a - b - c * d / e", "((a - b) - ((c * d) / e))"),
        ("-a ^ 2 ^ -b", "(- (a ^ (2 ^ (- b))))"),
        ("a in b + 1", "(a in (b + 1))"),
        ("not not a", "(not (not a))"),
        ("a.b[0]?", "(a.b[0] ?)"),
        ("(a + b) * c", "((a + b) * c)"),
    ],
)
def test_operators_bind_as_usual(text: str, structure: str) -> None:
    assert brackets(expression(text)) == structure


def test_bracketed_sides_belong_to_the_span() -> None:
    node = expression("(1 - a) ^ 2")
    assert node.span.text == "(1 - a) ^ 2"


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), ("1.5", 1.5), ("2e-3", 0.002), ("true", True), ("null", None), ('"a\\n"', "a\n"), ('r"\\n"', "\\n")],
)
def test_literals_have_values(text: str, value: object) -> None:
    node = expression(text)
    assert isinstance(node, ex.Constant)
    assert node.value == value
    assert type(node.value) is type(value)


def test_calls_may_name_arguments() -> None:
    node = expression('sql.runs(q, db: "x")')
    assert isinstance(node, ex.Call)
    assert node.path == ("sql", "runs")
    assert node.path_span.text == "sql.runs"
    assert [argument.name for argument in node.arguments] == [None, "db"]


def test_sequences_bind_tighter_than_sets_and_sets_than_unions() -> None:
    node = grammar('"a" "b" & "c" - "d" | "e"')
    assert isinstance(node, gr.Alternatives)
    difference = node.items[0]
    assert isinstance(difference, gr.Difference)
    assert isinstance(difference.left, gr.Intersection)
    assert isinstance(difference.left.left, gr.Concatenation)


def test_a_call_has_no_space_before_its_bracket() -> None:
    call, sequence = grammar("drink(x)"), grammar("drink (x)")
    assert isinstance(call, gr.Reference)
    assert call.arguments is not None
    assert isinstance(sequence, gr.Concatenation)
    assert [type(item) for item in sequence.items] == [gr.Reference, gr.Reference]


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("*", 0, None), ("+", 1, None), ("?", 0, 1), ("{3}", 3, 3), ("{2,}", 2, None), ("{,4}", 0, 4), ("{2, 5}", 2, 5)],
)
def test_repetitions_have_bounds(text: str, least: int, most: int | None) -> None:
    assert grammar(f'"a"{text}') == gr.Repeat(gr.LiteralText("a"), least, most)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("<= 9", None, 9), ("< 9", None, 8), (">= 2", 2, None), ("> 2", 3, None), ("== 4", 4, 4), ("in 1..9", 1, 9)],
)
def test_limits_have_bounds(text: str, least: int | None, most: int | None) -> None:
    node = grammar(f"a where chars {text}")
    assert isinstance(node, gr.Restricted)
    assert node.conditions == (gr.Limit("chars", least, most),)


def test_slashes_divide_values_and_enclose_patterns() -> None:
    node = grammar("a where chars <= 8 / 4 / 2, matches /[/]x/i")
    assert isinstance(node, gr.Restricted)
    limit, match = node.conditions
    assert isinstance(limit, gr.Limit)
    assert isinstance(limit.most, ex.Binary)
    assert match == gr.Matches(gr.Pattern("[/]x", "i"), False)


def test_contextual_words_may_be_names() -> None:
    parsed(
        "smc 1\ninput text: str\ninput tokens: int\ninput list: list[str]\ninput system: str\n"
        "generate { require user.assistant(text, tokens) }\ninfer smc smc_ { tokens: 3 tokens }\n"
    )


def test_settings_may_have_units_and_conditions() -> None:
    item = declaration("infer smc {\n  resample: residual when ess < 0.5\n  max: 600 tokens, timeout: 1.5min\n}")
    assert isinstance(item, sx.Infer)
    resample, most, timeout = item.settings
    assert resample.when is not None
    assert most.unit is not None
    assert isinstance(timeout.value, ex.Duration)
    assert timeout.value.seconds == 90


# ---- newlines


def test_newlines_do_not_count_inside_brackets_and_before_continuations() -> None:
    parsed(
        "smc 1\n"
        'grammar g = "a"\n  # between\n  | f(\n    a,\n\n    b: [1,\n 2]\n  )\n  where chars <= 3\n  , words == 1\n'
        "generate {\n  require f(\n  x\n  )\n    at line\n  score a\n    each c in q.r\n"
        "  if a { break_() }\n}\n".replace("if a { break_() }", 'if a {\n  }\n  else {\n    "x"\n  }')
    )


def test_records_may_span_lines() -> None:
    node = expression("{\n  a: 1,\n  b: { c: 2 },\n}")
    assert isinstance(node, ex.Record)
    assert [name for name, _ in node.fields] == ["a", "b"]


def test_comments_are_kept_with_their_places() -> None:
    tree = parsed("# one\nsmc 1 # two\nreturn f(a, # three\n  b)\n# four")
    assert [comment.text for comment in tree.comments] == ["# one", "# two", "# three", "# four"]
    assert all(comment.span.text == comment.text for comment in tree.comments)


def test_statements_on_one_line_make_a_block() -> None:
    branch = body("if a { break_ } else { }".replace("break_", "require b"))[0]
    assert isinstance(branch, st.Branch)
    assert isinstance(branch.then[0], st.Factor)


# ---- mistakes

PROGRAM = "smc 1\n\ngenerate {{\n  {}\n  score b\n}}\n\nreturn q\n"

STATEMENTS = [
    ("while not done {\n    let x = 1\n  }", "E0105", "while"),
    ("until x {\n  }", "E0105", "until"),
    ("def f(x) {\n    y\n  }", "E0105", "def"),
    ("requires a", "E0109", "requires"),
    ("reqiure a", "E0109", "reqiure"),
    ("constraint a", "E0109", "constraint"),
    ("observe a > 3", "E0109", "observe"),
    ('assistent "x"', "E0109", "assistent"),
    ("sql.runs(q, db)", "E0109", "sql"),
    ("score a ** 3", "E0110", "**"),
    ("require a = 3", "E0117", "="),
    ("require a && b || c", "E0117", "&&"),
    ("require !a", "E0117", "!"),
    ("require a <> b", "E0117", "<>"),
    ("require 1 < a < 3", "E0117", "<"),
    ("user 'hello'", "E0116", "'hello'"),
    ("user \u201chello\u201d", "E0116", "\u201chello\u201d"),
    ('user "hello', "E0114", '"'),
    ("require f(a, b", "E0113", "("),
    ("require f(a, [b)", "E0112", ""),
    ("require f(a))", "E0113", ")"),
    ("require a;", "E0111", ";"),
    ("let x", "E0112", ""),
    ("let = 3", "E0111", "="),
    ("x = 3", "E0112", "x"),
    ("for x in {\n    score a\n  }", "E0112", "{"),
    ("if a", "E0112", ""),
    ("if a\n    score c\n  }", "E0112", ""),
    ("for x seeds {\n  }", "E0112", ""),
    ("guide a", "E0112", ""),
    ("require a at", "E0112", ""),
    ("require 5x", "E0121", "5x"),
    ("require a $ b", "E0111", "$"),
    ("break", "E0120", "break"),
    ("else {\n  }", "E0118", "else"),
    ("  input x: str", "E0118", "input"),
    ('user "[[a: verdict]]"', "E0106", "[[a: verdict]]"),
    ("require 60s < a", "E0121", "60s"),
]

DECLARATIONS = [
    ("grammar g = a where sql.runs(it, db)", "E0406", "sql.runs"),
    ("grammar g = a where token <= 3", "E0117", "token"),
    ("grammar g = a where chars != 3", "E0111", "!="),
    ("grammar g = /a/gx", "E0121", "gx"),
    ("grammar g = /abc", "E0121", "/"),
    ("grammar g = a{5,2}", "E0121", "{5,2}"),
    ("grammar g a | b", "E0112", ""),
    ("input q str", "E0112", ""),
    ("inputs q: str", "E0109", "inputs"),
    ("model { temperature: 1 }", "E0109", "model"),
    ("require a", "E0118", "require"),
    ('user "x"', "E0118", "user"),
    ('"x"', "E0118", '"x"'),
    ("}", "E0113", "}"),
    ("return b", "E0119", "return"),
    ('test "a" {\n  accpet g "x"\n}', "E0109", "accpet"),
    ("infer smc {\n  particles 16\n}", "E0112", ""),
    ("infer smc {\n  particles: 16", "E0103", "{"),
    ("import potential chem.py", "E0111", "chem"),
    ("potential p(x: str) -> bool = a\n  cost: 40ms\n}", "E0112", ""),
    ("return " + "9" * 401, "E0121", "9" * 401),
]


def check_mistake(text: str, code: str, marked: str) -> None:
    found = mistakes(text)
    assert [(d.code, d.primary.text) for d in found if d.primary] == [(code, marked)], found


@pytest.mark.parametrize(("statement", "code", "marked"), STATEMENTS)
def test_one_wrong_statement_gives_one_message(statement: str, code: str, marked: str) -> None:
    check_mistake(PROGRAM.format(statement), code, marked)


@pytest.mark.parametrize(
    ("statement", "marked"),
    [
        ("require " + "not " * 5_000 + "deep", "deep"),
        ("require a\n  require " + "f(" * 3_000 + "deep" + ")" * 3_000, "deep"),
        ('text "[[x: ' + "(y " * 3_000 + "deep" + ")" * 3_000 + ']]"', "deep"),
        ('text "{{ ' + "-" * 3_000 + 'deep }}"', "deep"),
    ],
)
def test_a_statement_nested_too_deeply_is_a_mistake_at_its_innermost_part(statement: str, marked: str) -> None:
    text = PROGRAM.format(statement)
    (found,) = mistakes(text)
    assert found.code == "E0122"
    assert found.primary is not None
    assert (found.primary.text, found.primary.start) == (marked, text.index(marked))


@pytest.mark.parametrize(("text", "code", "marked"), DECLARATIONS)
def test_one_wrong_declaration_gives_one_message(text: str, code: str, marked: str) -> None:
    prefix = "smc 1\n" if "9" in text else "smc 1\nreturn a\n"
    check_mistake(f'{prefix}{text}\ninput last: str\ntest "t" {{\n  expect a\n}}\n', code, marked)


@pytest.mark.parametrize(
    ("text", "code", "marked"),
    [
        ("", "E0101", ""),
        ("program p\n", "E0101", "program"),
        ("smc\nreturn q\n", "E0101", "smc"),
        ("1\nreturn q\n", "E0101", "1"),
        ("smc 3\nreturn q\n", "E0102", "3"),
        ("smc 0\nreturn q\n", "E0102", "0"),
        ("smc 1\nmodule m\ninfer smc {\n}\n", "E0118", "infer"),
    ],
)
def test_the_header_is_checked(text: str, code: str, marked: str) -> None:
    check_mistake(text, code, marked)


def test_two_mistakes_give_two_messages_and_the_rest_of_the_tree() -> None:
    tree, found = parse(
        Source(
            "x.smc",
            "smc 1\ninput a str\ngrammar g = )\ninput b: str\ngenerate {\n  requires a\n  score\n  score b\n}\n",
        )
    )
    assert [d.code for d in found] == ["E0112", "E0113", "E0109", "E0112"]
    assert tree is not None
    assert [type(item).__name__ for item in tree.declarations] == ["InputSyntax", "InputSyntax", "Generate"]
    assert [span.text for span in tree.broken if span.text == "score"] == ["score"]


def test_a_missing_brace_is_found_by_indentation() -> None:
    text = "smc 1\ngenerate {\n  for x in a {\n    if x {\n      score x\n    score b\n  }\n}\nreturn q\n"
    tree, found = parse(Source("x.smc", text))
    (mistake,) = found
    assert mistake.code == "E0103"
    opened, missing, declared = mistake.labels
    assert opened.span.source.position(opened.span.start) == (4, 10)
    assert missing.span.source.position(missing.span.start) == (5, 14)
    assert declared.span.text == "return"
    assert tree is not None
    assert len(tree.declarations) == 2


def test_the_end_of_a_lost_text_block_is_guessed() -> None:
    text = 'smc 1\ngenerate {\n  user """\n    Hello {{ x }}, it is "you"\n\n  assistant "[[q: /x/]]"\n}\nreturn q\n'
    tree, found = parse(Source("x.smc", text))
    (mistake,) = found
    assert mistake.code == "E0104"
    assert [label.span.source.position(label.span.start)[0] for label in mistake.labels] == [3, 4]
    assert tree is not None
    assert len(tree.declarations) == 2


def test_two_quotes_at_the_end_of_a_line_may_be_the_end_of_a_block() -> None:
    text = 'smc 1\ngenerate {\n  user """\n    Hello\n  ""\n  score a\n}\n'
    (mistake,) = mistakes(text)
    assert mistake.notes == ('line 5 ends in `""`, which may be the intended end',)


def test_fixes_mend_what_they_are_for() -> None:
    for statement, _, _ in STATEMENTS:
        text = PROGRAM.format(statement)
        for mistake in mistakes(text):
            repaired = text
            for edit in sorted(mistake.fixes, key=lambda edit: -edit.span.start):
                repaired = repaired[: edit.span.start] + edit.text + repaired[edit.span.end :]
            if mistake.fixes:
                assert len(mistakes(repaired)) < len(mistakes(text)) or "&&" in text, (text, repaired)


@settings(max_examples=100, deadline=None)
@given(some.data())
def test_anything_is_parsed_or_explained(data: some.DataObject) -> None:
    text = data.draw(some.sampled_from(PROGRAMS)).read_text("utf-8")
    for _ in range(data.draw(some.integers(1, 4))):
        start = data.draw(some.integers(0, len(text)))
        removed = data.draw(some.sampled_from([0, 0, 1, 5, 80]))
        put_in = data.draw(
            some.sampled_from(["", "", '"', '"""', "{", "}", "(", "[[", "}}", "\n", "/", "\\", "é", "\0", "else"])
        )
        text = text[:start] + put_in + text[start + removed :]
    tree, found = parse(Source("x.smc", text))
    assert tree is not None or found
    for label in (label for diagnostic in found for label in diagnostic.labels):
        assert 0 <= label.span.start <= label.span.end <= len(text)


@pytest.mark.parametrize("name", ["lead_design", "goal_inference"])
def test_a_program_as_it_is_typed_has_a_tree_and_each_mistake_once(name):
    text = (HERE / "programs" / f"{name}.smc").read_text("utf-8")
    for end in range(len("smc 1\n"), len(text), 7):
        tree, diagnostics = parse(Source("typed.smc", text[:end]))
        assert tree is not None, text[:end]
        said = [(each.code, each.primary) for each in diagnostics]
        assert len(said) == len(set(said)), text[:end]


LAST = 'smc 1\ngenerate {\n  user "x"\n  assistant "[[q: /x/]]"\n  score '


@pytest.mark.parametrize(
    "before",
    [
        "",
        "smc 1\n",
        "smc 1\ngrammar g = ",
        "smc 1\ngrammar g = /x/ where chars ",
        LAST,
        LAST + "a",
        LAST + "a *",
        LAST + "f(q) at ",
    ],
)
def test_a_text_may_end_in_any_word_or_mark(before: str) -> None:
    marks = {terminal.pattern.value for terminal in tables.syntax().terminals if terminal.pattern.type == "str"}
    for mark in sorted(marks | {"", '"', '"""', 'r"', 'r"""', "/", "**", "a", "1", "1.5", "2s", "#"}):
        tree, found = parse(Source("x.smc", before + mark))
        assert tree is not None or found, mark
