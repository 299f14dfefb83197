"""`.lark` files mean what lark says they mean."""

from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import LarkError

from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.compiler.recursion import reachable
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar, LiteralText, Pattern, references

GRAMMARS = {
    "calculator": r"""
        ?start: sum
        ?sum: product | sum "+" product -> add | sum "-" product -> sub
        ?product: atom | product "*" atom -> mul
        ?atom: NUMBER -> number | "-" atom -> neg | NAME | "(" sum ")"
        NAME: "a".."c"+
        %import common.INT -> NUMBER
        %ignore " "
    """,
    "keywords": r"""
        start: (statement ";")+
        statement: "let"i NAME "=" value | "if"i value "then"i statement
        value: NAME | INT | STRING
        NAME: /[a-z_]\w*/i
        %import common (INT, WS)
        STRING: /'[^']*'/
        %ignore WS
    """,
    "templates": r"""
        start: _list{item, ","} ["."]
        _list{x, sep}: x (sep x)*
        item: "a"~2 | "b"~1..3 | "(" _list{item, ";"} ")"
    """,
    "priorities": r"""
        start: (SHORT | LONG | OTHER)*
        SHORT.2: "ab"
        LONG: "abab"
        OTHER: /[abc]/
    """,
    "terminals": r"""
        start: (WORD | PAIR | HEX)+
        WORD: LETTER (LETTER | DIGIT)*
        fragment: "never used"
        PAIR: "<" WORD? ("," WORD)~0..2 ">"
        HEX: /0x/i ("0".."9" | "a".."f")+
        LETTER: "a".."c"
        DIGIT: "0".."9"
        %ignore /\s+/
        %ignore "#" /[^\n]*/
    """,
    "empty": r"""
        start: a? b* c
        a: "x"
        b: "y" |
        c: ["z"]
    """,
    "unicode": r"""
        start: (WORD | DIGITS)+
        WORD: /[^\W\d_]+/
        DIGITS: /\d+/
        %ignore " "
    """,
}
PIECES = {
    "calculator": ["1", "23", "a", "bc", "+", "-", "*", "(", ")", " ", "x"],
    "keywords": ["let", "LET", "If", "then", "x", "letter", "=", "1", "'a b'", ";", " ", "\n", "é"],
    "templates": ["a", "b", ",", ";", "(", ")", "."],
    "priorities": ["a", "b", "c", "ab", "abab"],
    "terminals": ["a", "b1", "<", ">", ",", "0x", "0X", "9f", " ", "# c\n", "#"],
    "empty": ["x", "y", "z"],
    "unicode": ["a", "é", "日本", "٣", "1", " ", "_"],
}
LALR = {name: Lark(text, parser="lalr", lexer="basic") for name, text in GRAMMARS.items() if name != "empty"}
CONTEXTUAL = {name: Lark(text, parser="lalr", lexer="contextual") for name, text in GRAMMARS.items() if name != "empty"}
OURS = {name: load_lark(text) for name, text in GRAMMARS.items()}
OURS_CONTEXTUAL = {name: load_lark("// smcdsl: lexing contextual\n" + text) for name, text in GRAMMARS.items()}
ANALYSIS = GrammarAnalysis()


def lark_accepts(parser: Lark, text: str) -> bool:
    try:
        parser.parse(text)
    except LarkError:
        return False
    return True


@st.composite
def cases(draw):
    name = draw(st.sampled_from(sorted(LALR)))
    return name, "".join(draw(st.lists(st.sampled_from(PIECES[name]), max_size=12)))


@settings(max_examples=200, deadline=None)
@given(cases())
def test_longest_match_agrees_with_the_basic_lexer(case):
    name, text = case
    assert ANALYSIS.accepts(OURS[name], text) == lark_accepts(LALR[name], text)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_contextual_lexing_agrees_with_the_contextual_lexer(case):
    name, text = case
    ours = ANALYSIS.accepts(OURS_CONTEXTUAL[name], text)
    assert ours is None or ours == lark_accepts(CONTEXTUAL[name], text)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(PIECES["empty"]), max_size=6).map("".join))
def test_empty_rules_agree_with_earley(text):
    assert ANALYSIS.accepts(OURS["empty"], text) == lark_accepts(Lark(GRAMMARS["empty"], parser="earley"), text)


@st.composite
def generated_grammars(draw):
    """lark texts of up to three rules over three terminals that cannot be confused."""
    names = ["start", "one", "two"][: draw(st.integers(1, 3))]
    symbols = st.sampled_from([*names, "A", "B", '"c"'])

    def combine(inner):
        group = st.lists(inner, min_size=1, max_size=3).map(" ".join)
        choice = st.lists(group, min_size=1, max_size=2).map(lambda items: "(" + " | ".join(items) + ")")
        return st.builds(str.__add__, choice, st.sampled_from(["", "*", "+", "?", "~2", "~0..2"])) | group.map(
            "[{}]".format
        )

    body = st.lists(st.recursive(symbols, combine, max_leaves=4), min_size=1, max_size=2).map(" ".join)
    lines = [
        f"{name}: {' | '.join(draw(st.lists(body, min_size=1, max_size=2)))} | {draw(st.sampled_from('AB'))}"
        for name in names
    ]
    return "\n".join([*lines, 'A: "a"', 'B: "b"'])


@settings(max_examples=50, deadline=None)
@given(generated_grammars(), st.lists(st.text("abc", max_size=4), min_size=3, max_size=8))
def test_generated_grammars_agree_with_earley(text, candidates):
    try:
        parser = Lark(text, parser="earley", lexer="basic")
    except LarkError:
        with pytest.raises(CompileError):
            load_lark(text)
        return
    grammar = load_lark(text)
    for candidate in candidates:
        assert ANALYSIS.accepts(grammar, candidate) == lark_accepts(parser, candidate), candidate


def test_keywords_come_before_patterns_of_the_same_priority():
    terminals = OURS["keywords"].terminals
    by_order = sorted(terminals.values(), key=lambda terminal: terminal.order)
    kinds = [terminal.is_keyword for terminal in by_order]
    assert kinds == sorted(kinds, reverse=True)
    assert terminals["LET"].definition == LiteralText("let", ignore_case=True)
    assert terminals["NAME"].definition == Pattern(r"[a-z_]\w*", "i")
    assert [terminal.order for terminal in by_order] == list(range(len(by_order)))


def test_a_higher_priority_comes_first_and_hides_longer_matches():
    terminals = OURS["priorities"].terminals
    assert terminals["SHORT"].priority == 2
    assert terminals["SHORT"].order == 0
    assert ANALYSIS.accepts(OURS["priorities"], "ababc") is True


def test_helpers_and_underscored_rules_are_no_boundaries():
    grammar = OURS["templates"]
    assert grammar.boundaries == ("start", "item")
    assert any(name.startswith("__") for name in grammar.rules)
    assert OURS["calculator"].boundaries == ("start", "sum", "product", "atom")
    assert "fragment" not in OURS["terminals"].rules  # not reachable from the start


def test_the_header_names_the_boundaries():
    grammar = load_lark("// smcdsl: boundaries item other\n" + GRAMMARS["templates"])
    assert grammar.boundaries == ("item",)


@pytest.mark.parametrize("grammar", OURS.values(), ids=OURS)
def test_every_reference_has_a_rule_or_terminal(grammar: Grammar):
    for name in reachable(grammar.start, grammar.rules):
        for reference in references(grammar.rules[name]):
            assert reference.name in grammar.rules or reference.name in grammar.terminals
    assert set(grammar.ignored) <= set(grammar.terminals)


def test_another_rule_may_be_the_start():
    grammar = load_lark(GRAMMARS["templates"], start="item")
    assert ANALYSIS.accepts(grammar, "bb") is True
    assert ANALYSIS.accepts(grammar, "bb,b") is False


def test_imports_are_relative_to_the_file_and_to_the_paths_given(tmp_path: Path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "names.lark").write_text('pair: NAME "=" inner\ninner: NAME\nNAME: /[a-z]+/\n')
    text = '%import .parts.names.pair\n%import .parts.names (NAME)\nstart: pair (";" NAME)*\n'
    grammar = load_lark(text, name=str(tmp_path / "main.lark"))
    assert ANALYSIS.accepts(grammar, "a=b;c") is True
    assert grammar.boundaries == ("start", "pair")
    elsewhere = load_lark("%import names.pair\nstart: pair\n", name="main.lark", import_paths=[tmp_path / "parts"])
    assert ANALYSIS.accepts(elsewhere, "a=b") is True
    assert elsewhere.boundaries == ("start", "pair")


@pytest.mark.parametrize(
    ("text", "code", "place", "label"),
    [
        ('start: item\nitems: "a"\n', "E0401", (1, 8), "did you mean `items` (line 2)?"),
        ("start: A\n", "E0401", (1, 8), "not defined here"),
        ('start: "a" (\n', "E0412", (1, 12), "unclosed parenthesis"),
        ('start: "a"\n  foo bar\n', "E0412", (2, 7), "unexpected `bar`"),
        ('start: "a"\nstart: "b"\n', "E0412", (1, 1), "Rule 'start' defined more than once"),
        ("start: X\n%import nowhere.X\n", "E0412", (2, 9), "no such file"),
        ("start: A\n%declare A\n", "E0413", (1, 8), "Python lexer"),
        ("start: A\nA: /a*/\n", "E0414", (2, 4), "find it everywhere"),
        ("start: A\nA: /(a/\n", "E0412", (2, 4), "missing ), unterminated subpattern"),
    ],
)
def test_mistakes_have_their_place(text, code, place, label):
    with pytest.raises(CompileError) as caught:
        load_lark(text, name="x.lark")
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    assert problem.primary is not None
    assert problem.primary.source.name == "x.lark"
    assert problem.primary.source.position(problem.primary.start) == place
    assert label in problem.labels[0].text


def test_a_missing_start_lists_the_rules():
    with pytest.raises(CompileError) as caught:
        load_lark('statement: "a"\n_x: "b"\n', name="x.lark")
    (problem,) = caught.value.diagnostics
    assert problem.message == "the grammar has no rule `start` to start with"
    assert problem.facts == ("its rules: statement",)
    assert problem.context == "x.lark"


def test_rules_and_patterns_know_where_they_are_written():
    text = 'start: item+\nitem: /[a-b]+/ ";"\n'
    grammar = load_lark(text, name="x.lark")
    span = grammar.rules["item"].span
    assert span is not None
    assert span.source.position(span.start) == (2, 1)
    (pattern,) = [t.definition for t in grammar.terminals.values() if isinstance(t.definition, Pattern)]
    assert pattern.span is not None
    assert pattern.span.text == "/[a-b]+/"


def test_the_shipped_sql_grammar_loads():
    path = Path(str(files("smcdsl.grammars").joinpath("sql.lark")))
    if not path.is_file():
        pytest.skip(f"no file {path}")
    grammar = load_lark(path.read_text(encoding="utf-8"), name="sql.lark", start="select")
    assert ANALYSIS.problems(grammar) == []
    assert ANALYSIS.may_be_ambiguous(grammar) is False
    assert ANALYSIS.accepts(grammar, "SELECT count(*) FROM singer WHERE age > 3") is True
    assert ANALYSIS.accepts(grammar, "SELECT FROM") is False
