"""What an indenter asks of a grammar, and how it is said that something is missing."""

import pytest

from smcdsl.compiler.analyze import check_grammar
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.errors import CompileError
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Concatenation, Embedded, Grammar, LiteralText
from smcdsl.vocabulary import Vocabulary

BYTES = Vocabulary((*(bytes([b]) for b in range(256)), b""), (256,), ())
HEADER = (
    "// smcdsl: indenter newline=_NL indent=_INDENT dedent=_DEDENT open=LPAR close=RPAR\n%declare _INDENT _DEDENT\n"
)
TERMINALS = 'NAME: /[a-z]+/\n_NL: /(\\n *)+/\nLPAR: "("\nRPAR: ")"\n%ignore " "\n'


def compiled(rules, header=HEADER):
    return compile_grammar(load_lark(header + rules + TERMINALS, name="g"), BYTES)


SOUND = "start: line+\nline: NAME _NL | NAME LPAR NAME RPAR block\nblock: _NL _INDENT line+ _DEDENT\n"


def test_a_sound_grammar_has_a_terminal_for_each_column():
    tables = compiled(SOUND)
    assert tables.layout is not None
    assert sorted(tables.layout.column[tables.layout.column >= 0].tolist()) == list(range(122))
    assert tables.separable
    assert check_grammar(load_lark(HEADER + SOUND + TERMINALS, name="g")) == []


BLOCK = "block: _NL _INDENT line+ _DEDENT\n"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("start: line+\nline: NAME _NL | NAME _INDENT line+ _DEDENT\n", "`_INDENT` does not follow `_NL`"),
        ("start: line+\nline: NAME _NL | _NL _INDENT NAME _DEDENT\n", "a line may go on before `_DEDENT`"),
        ("start: line+\nline: NAME _NL | LPAR NAME | LPAR RPAR _NL block\n" + BLOCK, "`LPAR` in rule `line`"),
        ("start: line+\nline: NAME _NL | NAME RPAR _NL | LPAR RPAR block\n" + BLOCK, "`RPAR` in rule `line`"),
        ("start: line+\nline: NAME _NL | LPAR NAME _NL RPAR | NAME block\n" + BLOCK, "line break inside brackets"),
        ("start: line+\nline: NAME _NL | LPAR line RPAR | NAME block\n" + BLOCK, "line break inside brackets"),
        ("start: line+\nline: NAME _NL | _DEDENT\n", "`_INDENT` is in no rule"),
        ("start: line+\nline: NAME _NL | _DEDENT _INDENT\n", "`_DEDENT` in rule `line` closes nothing"),
        ("start: a | b\na: NAME _NL _INDENT a _DEDENT | NAME _NL\nb: NAME _NL\n", "LALR(1) conflicts"),
    ],
)
def test_rules_that_do_not_keep_blocks_and_brackets_in_order(rules, said):
    with pytest.raises(CompileError) as caught:
        compiled(rules)
    (problem,) = caught.value.diagnostics
    assert problem.code == "E0423"
    assert said in problem.message


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("newline=_NL indent=_INDENT", "lacks `dedent="),
        ("newline=_NL indent=_INDENT dedent=_DEDENT tab=0", "`tab=0`"),
        ("newline=_NL indent=_INDENT dedent=_DEDENT tab=x", "`tab=x`"),
        ("newline=_NL indent=_INDENT dedent=_DEDENT open=LPAR", "as many terminals"),
        ("newline=_NL indent=_INDENT dedent=_DEDENT colour=red", "`colour=red`"),
        ("newline=_LINE indent=_INDENT dedent=_DEDENT", "no terminal `_LINE`"),
        ("newline=_NL indent=_INDENT dedent=_DEDENT open=LBRACE close=RPAR", "no terminal `LBRACE`"),
        ("newline=_NL indent=_IN dedent=_DEDENT", "%declare"),
        ("newline=_NL indent=_INDENT dedent=_DEDENT open=LPAR close=RBRACE", "no terminal `RBRACE`"),
    ],
)
def test_header_lines_that_cannot_be_read(line, said):
    with pytest.raises(CompileError) as caught:
        compiled(SOUND, f"// smcdsl: indenter {line}\n%declare _INDENT _DEDENT\n")
    assert said in caught.value.diagnostics[0].labels[0].text


def test_an_indented_grammar_is_no_part_of_another():
    inner = load_lark(HEADER + SOUND + TERMINALS, name="inner")
    outer = Grammar("g", "start", {"start": Concatenation((LiteralText("<"), Embedded(inner), LiteralText(">")))})
    with pytest.raises(CompileError, match=r"E0423.*inner"):
        compile_grammar(outer, BYTES)
