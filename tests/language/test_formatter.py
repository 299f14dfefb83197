"""The formatter never changes a program, loses no comment, and has nothing to do on its own output."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from smcdsl.errors import CompileError, Source
from smcdsl.language.formatter import format_source
from smcdsl.language.parser import parse
from smcdsl.language.syntax import SyntaxTree
from tests.language.program_texts import programs

HERE = Path(__file__).parent
PROGRAMS = sorted([*(HERE / "programs").glob("*.smc"), *(HERE.parents[1] / "examples").glob("*.smc")])


def meaning(tree: SyntaxTree | None) -> object:
    """What a tree says, whatever the order of its declarations."""
    assert tree is not None
    declarations = sorted(tree.declarations, key=lambda item: type(item).__name__)
    return tree.edition, tree.kind, tree.name, tree.summary, declarations


def parsed(text: str) -> SyntaxTree:
    tree, diagnostics = parse(Source("x.smc", text))
    assert tree is not None, diagnostics
    assert not diagnostics, (text, diagnostics)
    return tree


def formatted(text: str) -> str:
    return format_source(Source("x.smc", text))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_programs_are_laid_out_as_the_formatter_does(path: Path) -> None:
    text = path.read_text("utf-8")
    assert formatted(text) == text


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_squeezed_programs_keep_their_meaning(path: Path) -> None:
    text = path.read_text("utf-8")
    squeezed = "\n".join(line if '"' in line or "`" in line else line.replace("  ", " ") for line in text.split("\n"))
    assert meaning(parsed(formatted(text))) == meaning(parsed(text))
    assert meaning(parsed(formatted(squeezed))) == meaning(parsed(squeezed))


@settings(max_examples=150, deadline=None)
@given(programs())
@example('smc 1\ngenerate {\n  user """a\n    b\n  c"""\n}\n')
@example("smc 1\ngenerate { }\n# the end")
@example("smc 1\ngenerate {\nif a { let b = 1 } else { let b = 2 } # c\n}")
def test_formatting_keeps_meaning_and_comments_and_is_idempotent(text: str) -> None:
    before = parsed(text)
    once = formatted(text)
    after = parsed(once)
    assert meaning(after) == meaning(before), once
    assert Counter(c.text for c in after.comments) == Counter(c.text for c in before.comments), once
    assert formatted(once) == once
    assert not any(line != line.rstrip() for line in once.split("\n") if '"' not in text)


def test_declarations_come_in_the_canonical_order() -> None:
    text = 'smc 1\nreturn q\n# about q\ngenerate { assistant "[[q: /x/]]" }\ninput a: str\nimport sql\n'
    assert formatted(text) == (
        'smc 1\n\nimport sql\n\ninput a: str\n\n# about q\ngenerate { assistant "[[q: /x/]]" }\n\nreturn q\n'
    )


def test_what_follows_each_other_is_aligned() -> None:
    text = (
        "smc 1\ngrammar a = /x/\ngrammar long = /y/\n\ngrammar z = /z/\n"
        "generate {\nrequire a\nscore b\n\nscore c\n}\ninfer smc {\nseed: 1\nparticles: 2\n}\n"
    )
    assert formatted(text) == (
        "smc 1\n\ngrammar a    = /x/\ngrammar long = /y/\n\ngrammar z = /z/\n\n"
        "generate {\n  require a\n  score   b\n\n  score c\n}\n\ninfer smc {\n  seed:      1\n  particles: 2\n}\n"
    )


def test_long_unions_are_broken_before_the_bars() -> None:
    words = [f'"{letter * 20}"' for letter in "abcdef"]
    text = f"smc 1\ngrammar g = {' | '.join(words)} where chars <= 9\n"
    assert formatted(text).split("\n")[2:5] == [f"grammar g = {words[0]}", f"  | {words[1]}", f"  | {words[2]}"]
    assert formatted(text).endswith("  where chars <= 9\n")


def test_blocks_of_text_move_with_their_statement() -> None:
    text = 'smc 1\ngenerate {\n        user """\n            a\n          b\n\n        """\n}\n'
    assert formatted(text) == 'smc 1\n\ngenerate {\n  user """\n      a\n    b\n\n  """\n}\n'


def test_a_text_with_mistakes_is_not_formatted() -> None:
    with pytest.raises(CompileError) as caught:
        formatted("smc 1\ngenerate {\n")
    assert caught.value.diagnostics[0].code == "E0103"


@pytest.mark.parametrize("blank", [" ", "\t", " \ufeff", "\ufeff "])
def test_a_turn_with_a_block_stays_one_whatever_blanks_stand_before_it(blank: str) -> None:
    text = f'smc 1\n\ngenerate {{\n  assistant{blank}{{\n    "a"\n    "[[x: /b/]]"\n  }}\n}}\n'
    assert format_source(Source("blanks.smc", text)) == text.replace(f"assistant{blank}{{", "assistant {")
