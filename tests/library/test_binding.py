"""Grammars are closed under inputs: one Grammar without free names."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.errors import CompileError, Source
from smcdsl.language.load import load_program
from smcdsl.library.binding import bind_grammar, bind_hole, outline_of
from smcdsl.program.evaluation import InputFile
from smcdsl.program.grammar import Embedded, Limit, SubstringOf
from smcdsl.program.program import Program

FACTS = GrammarAnalysis()


def program(declarations: str, hole: str, more: str = "") -> Program:
    text = f'smc 1\n{declarations}\ngenerate {{\n  user "Go."\n  assistant "[[x: {hole}]]"\n{more}}}\n'
    return load_program(Source("x.smc", text), facts=FACTS)


def accepts(grammar, *texts: str) -> list[bool]:
    return [FACTS.accepts(grammar, text) for text in texts]


def test_rules_of_a_block_keep_their_names():
    grammar = bind_hole(
        program('grammar order {\n  start = size " " drink\n  size = "s" | "l"\n  drink = /[a-z]+/\n}', "order"),
        "x",
        {},
    )
    assert grammar.boundaries == ("order", "start", "size", "drink")
    assert accepts(grammar, "s tea", "m tea") == [True, False]


def test_restrictions_of_the_whole_become_conditions():
    grammar = bind_hole(
        program("grammar a = /[a-z]+/ where chars <= 3\n", "a where tokens <= 2, excludes /z/"), "x", {}
    )
    assert [type(each).__name__ for each in grammar.conditions] == ["Limit", "Matches", "Limit"]
    assert grammar.boundaries == ("a",)


def test_differences_of_the_whole_become_filters():
    grammar = bind_hole(program('grammar a = /[a-c]+/ & /.b*/ - ("ab" | "c")\n', "a"), "x", {})
    assert [keep for _, keep in grammar.filters] == [False, True]
    assert accepts(grammar, "a", "ab", "abb", "c", "aa") == [True, False, True, False, False]


def test_filters_of_a_recursive_grammar_may_stand_on_either_side():
    declarations = 'grammar nest = "(" nest? ")"\n'
    left = bind_hole(program(declarations, "nest & /.{4}/"), "x", {})
    right = bind_hole(program(declarations, "/.{4}/ & nest"), "x", {})
    assert accepts(left, "(())", "()") == accepts(right, "(())", "()") == [True, False]


def test_parameters_are_put_into_limits():
    grammar = bind_hole(program("grammar w(n: int) = /[a-z]+/ where chars <= n\n", 'w(1) "-" w(n: 3)'), "x", {})
    assert accepts(grammar, "a-abc", "ab-a", "a-abcd") == [True, False, False]
    assert grammar.boundaries == ("w",)
    assert list(grammar.boundary_of.values()) == ["w"]


def test_parameters_reach_the_rules_of_a_block():
    declarations = "grammar b(n: int) {\n  start = w w?\n  w = /[a-z]/ where chars == n\n}\n"
    assert accepts(bind_hole(program(declarations, "b(1)"), "x", {}), "ab", "a", "abc") == [True, True, False]


def test_parameters_of_one_grammar_do_not_leak_into_another():
    declarations = (
        "input n: int = 2\ngrammar outer(m: int) = inner /-/ where chars <= m\ngrammar inner = /a+/ where chars <= n\n"
    )
    grammar = bind_hole(program(declarations, "outer(9)"), "x", {"n": 2})
    assert accepts(grammar, "aa-", "aaa-") == [True, False]


def test_inputs_are_put_into_limits():
    made = program("input n: int\n", "/a+/ where chars in n..n+1")
    assert made.holes["x"].closed is None
    assert accepts(bind_hole(made, "x", {"n": 2}), "a", "aa", "aaa", "aaaa") == [False, True, True, False]
    assert accepts(bind_hole(made, "x", {"n": 1}), "a", "aa", "aaa", "aaaa") == [True, True, False, False]


def test_a_limit_that_is_no_number_is_explained():
    made = program("input j: json\n", "/a+/ where chars <= j.n")
    with pytest.raises(CompileError) as caught:
        bind_hole(made, "x", {"j": {"n": "many"}})
    assert [each.code for each in caught.value.diagnostics] == ["E0301"]


def test_substrings_of_an_input():
    made = program("import std.text as tx\ninput doc: file\n", "tx.substring_of(doc.text)")
    grammar = bind_hole(made, "x", {"doc": InputFile("d", "some words")})
    assert SubstringOf("some words") in grammar.rules.values()
    assert grammar.boundaries == ("substring_of",)


def test_an_empty_text_has_no_substrings():
    made = program("import std.text as tx\ninput doc: str\n", "tx.substring_of(doc)")
    with pytest.raises(CompileError) as caught:
        bind_hole(made, "x", {"doc": ""})
    assert [each.code for each in caught.value.diagnostics] == ["E0403"]


def test_a_let_over_inputs_may_stand_in_a_grammar():
    made = load_program(
        Source(
            "x.smc",
            'smc 1\ninput n: int\ngenerate {\n  let most = n * 2\n  assistant "[[x: /a+/ where chars <= most]]"\n}\n',
        ),
        facts=FACTS,
    )
    assert accepts(bind_hole(made, "x", {"n": 1}), "aa", "aaa") == [True, False]


def test_library_grammars_keep_their_lexer_and_take_conditions(tmp_path):
    path = tmp_path / "shop.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE singer (name TEXT)")
    declarations = "import sql\ninput db: sqlite\ngrammar query = sql.select(schema: db) where tokens <= 20\n"
    made = program(declarations, "query where chars <= 99")
    grammar = bind_hole(made, "x", {"db": str(path)})
    assert grammar.lexing == "longest"
    assert [each.unit for each in grammar.conditions if isinstance(each, Limit)] == ["chars", "tokens"]
    assert "clause" in grammar.boundaries
    assert made.holes["x"].boundaries == grammar.boundaries
    assert accepts(grammar, "SELECT name FROM singer", "SELECT nam FROM singer") == [True, False]


def test_bound_grammars_are_kept_until_the_file_changes(tmp_path):
    path = tmp_path / "a.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE one (a TEXT)")
    made = program("import sql\ninput db: sqlite\n", "sql.select(schema: db)")
    first = bind_hole(made, "x", {"db": str(path)})
    assert bind_hole(made, "x", {"db": str(path)}) is first
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE two_tables (b TEXT, c TEXT, d TEXT)")
        database.execute("INSERT INTO two_tables VALUES (hex(randomblob(9000)), '', '')")
    assert bind_hole(made, "x", {"db": str(path)}) is not first


def test_a_lexed_grammar_inside_a_larger_one_is_embedded(tmp_path):
    (tmp_path / "sum.lark").write_text('sum: N ("+" N)*\nN: /[0-9]+/\n%ignore " "\n')
    text = 'smc 1\ngrammar s = lark("sum.lark", start: "sum")\ngenerate { assistant "[[x: "=" s where chars < 9]]" }\n'
    text = text.replace("{ assistant", "{\n  assistant").replace('" }\n', '"\n}\n')
    made = load_program(Source("x.smc", text), path=tmp_path / "x.smc", facts=FACTS)
    grammar = bind_hole(made, "x", {})
    assert any(isinstance(rule, Embedded) for rule in grammar.rules.values())
    assert grammar.lexing == "scannerless"


def test_value_types_come_with_the_grammar():
    made = program("grammar year = /[0-9]{4}/ as int\n", '(year - "0000") where excludes /9/')
    assert str(made.holes["x"].type) == str(bind_hole(made, "x", {}).value_type) == "int"


def test_a_grammar_can_be_bound_by_name():
    made = program('grammar a = "x" b\ngrammar b = "y"\n', "a")
    assert accepts(bind_grammar(made, "b", {}), "y", "xy") == [True, False]


def test_the_outline_agrees_with_the_closed_grammar():
    made = program('grammar a {\n  start = (b | c)+\n  b = "x"\n  c = b "y"\n}\n', "a - /x/")
    outline = outline_of(made.holes["x"].grammar, made.grammars)
    assert outline.boundaries == bind_hole(made, "x", {}).boundaries
    assert outline.parts == ("b", "c")


def test_two_rules_of_one_name_stay_apart():
    declarations = 'grammar a {\n  start = item\n  item = "x"\n}\ngrammar b {\n  start = item\n  item = "y"\n}\n'
    grammar = bind_hole(program(declarations, "a b"), "x", {})
    assert accepts(grammar, "xy", "xx", "yy") == [True, False, False]
    assert len(set(grammar.boundaries)) == len(grammar.boundaries)


def test_projects_may_fit_their_own_grammars(tmp_path):
    (tmp_path / "grammars").mkdir()
    (tmp_path / "grammars/own.lark").write_text(
        "// smcdsl: grammar word(n: int) specialize fit.py:fit\nword: LETTER+\nLETTER: /[a-z]/\n"
    )
    (tmp_path / "grammars/fit.py").write_text(
        "from dataclasses import replace\n"
        "from smcdsl.program.grammar import Limit\n"
        "def fit(grammar, rule, arguments):\n"
        "    return replace(grammar, conditions=(Limit('chars', None, arguments['n']),))\n"
    )
    text = 'smc 1\nimport own\ninput n: int\ngenerate {\n  assistant "[[x: own.word(n)]]"\n}\n'
    made = load_program(Source("x.smc", text), path=Path(tmp_path / "x.smc"), facts=FACTS)
    assert made.holes["x"].closed is None
    assert accepts(bind_hole(made, "x", {"n": 2}), "ab", "abc") == [True, False]
