"""Hover and definitions in programs with modules, grammar files and Python files of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from smcdsl.editor.definition import definitions
from smcdsl.editor.documents import Document
from smcdsl.editor.hover import hover

PROGRAM = """\
smc 1
import "lib/parts.smc" as parts
import potential "judge.py" as judge
import std.text as tx
input notes: file "what is known"
grammar drink {
  start = size " " kind
  size = "small" | "large"
  kind = /[a-z]+/
}
grammar order = drink ", please"
grammar own = lark("own.lark", start: "stmt")
potential fair(s: str) -> bool = py("judge.py:fair") { cost: 40ms, prefix: closed }
potential short(s: str) -> weight = exp(-chars(s) / 9)
generate {
  user "👍👍 {{ notes.text }} {{ lower(notes.text) }}"
  assistant {
    "[[o: order]]\\n"
    "[[w: parts.word]]\\n"
    "[[s: own]]\\n"
    "[[q: tx.substring_of(notes.text)]]\\n"
  }
  require fair(o) at size
  require judge.polite(w) at end
  score short(s) ^ 2 at item, token
}
return posterior { o: o, w: w, q: q }
infer smc { particles: 8, resample: systematic when ess < 0.5 }
"""
MODULE = "smc 1\nmodule parts\ngrammar word = /[a-z]+/ where chars <= 9\n"
LARK = 'stmt: item+\nitem: WORD ";"\nWORD: /[a-z]+/\n'
PYTHON = '''\
from smcdsl import potential


def helper():
    raise SystemExit("nothing of this runs")


@potential(prefix="any", cost="2ms")
def polite(text: str) -> bool:
    """Whether nobody is offended."""
    return True


@potential(prefix="closed")
def fair(s: str) -> bool:
    """Whether it is fair."""
    return True


raise SystemExit("nothing of this runs")
'''


@pytest.fixture
def document(tmp_path) -> Document:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "parts.smc").write_text(MODULE, "utf-8")
    (tmp_path / "own.lark").write_text(LARK, "utf-8")
    (tmp_path / "judge.py").write_text(PYTHON, "utf-8")
    path = tmp_path / "main.smc"
    path.write_text(PROGRAM, "utf-8")
    return Document(path.as_uri(), PROGRAM)


def at(what: str, nth: int = 0) -> int:
    offset = -1
    for _ in range(nth + 1):
        offset = PROGRAM.index(what, offset + 1)
    return offset


def said(document: Document, what: str, nth: int = 0) -> str:
    found = hover(document, at(what, nth))
    return "" if found is None else found.contents.value


def places(document: Document, what: str, nth: int = 0) -> list[tuple[str, int, int]]:
    return [
        (Path(each.uri).name, each.range.start.line, each.range.start.character)
        for each in definitions(document, at(what, nth))
    ]


def test_the_program_is_right(document):
    assert [(each.code, each.message) for each in document.diagnostics()] == []


@pytest.mark.parametrize(
    ("what", "nth", "shown"),
    [
        ("order]]", 0, 'grammar order = drink ", please"'),
        ("order]]", 0, "resolved:"),
        ("order]]", 0, 'size  = "small" | "large"'),
        ("o: order", 0, "hole o: str"),
        ("o: order", 0, "boundaries: `order`, `drink`, `start`, `size`, `kind`, `token`, `line`, `end`"),
        ("word]]", 0, "word = /[a-z]+/ where chars <= 9"),
        ("size\n", 0, "a rule of `drink`, and a boundary"),
        ("size\n", 0, "density *= [fair(o)]"),
        ("require", 0, "previews at o.size; the finished text counts"),
        ("require", 0, "cost 40 ms; may look at boundaries"),
        ("require", 1, "cost 2 ms; may look at any prefix"),
        ("score", 0, "density *= short(s) ^ 2"),
        ("score", 0, "* [judge.polite(w)]"),
        ("score", 0, "previews at s.item, s.token"),
        ("polite", 0, "Whether nobody is offended."),
        ("fair(o)", 0, 'py("judge.py:fair")'),
        ("short(s) ^", 0, "between 0 and 1"),
        ("notes.text }} {{", 0, "what is known"),
        ("lower", 0, "In lower case."),
        ("parts.word", 0, "grammars: `word`"),
        ("substring_of", 0, "substring_of(text: str)"),
        ("tx.sub", 0, "grammars: `line`, `sentence`, `paragraph`, `substring_of`"),
        ("systematic", 0, ""),
        ("resample", 0, "SCHEME [when ess < SHARE]"),
        ("smc {", 0, "Sequential Monte Carlo"),
        ("token\n", 0, "The boundary after every token."),
        ("prefix: closed", 0, "What it may judge"),
    ],
)
def test_hover(document, what, nth, shown):
    text = said(document, what, nth)
    assert shown in text, text
    assert bool(shown) == bool(text)


@pytest.mark.parametrize(
    ("what", "nth", "found"),
    [
        ("word]]", 0, [("parts.smc", 2, 8)]),
        ("parts.word", 0, [("parts.smc", 0, 0)]),
        ("lib/parts.smc", 0, [("parts.smc", 0, 0)]),
        ('judge.py" as', 0, [("judge.py", 0, 0)]),
        ("polite", 0, [("judge.py", 8, 4)]),
        ("judge.py:fair", 0, [("judge.py", 14, 4)]),
        ("own.lark", 0, [("own.lark", 0, 0)]),
        ("item, token", 0, [("own.lark", 1, 0)]),
        ("size\n", 0, [("main.smc", 7, 2)]),
        ("kind\n", 0, [("main.smc", 8, 2)]),
        ("order]]", 0, [("main.smc", 10, 8)]),
        ("o) at", 0, [("main.smc", 17, 7)]),
        ("w: w", 0, []),
        ("w, q", 0, [("main.smc", 18, 7)]),
        ("token\n", 0, []),
        ("generate", 0, []),
    ],
)
def test_definitions(document, what, nth, found):
    assert places(document, what, nth) == found


def test_what_is_shown_cannot_end_its_block_or_act_on_a_terminal(tmp_path):
    text = 'smc 1\ngrammar g = "```\\n" | "a\u202eb"  # \x1b[31m ````\ngenerate {\n  assistant "[[x: g]]"\n}\n'
    path = tmp_path / "main.smc"
    document = Document(path.as_uri(), text)
    shown = hover(document, text.index("g]]"))
    assert shown is not None
    value = shown.contents.value
    assert "\x1b" not in value
    assert "\u202e" not in value
    fences = [line for line in value.split("\n") if line.startswith("```")]
    assert len(fences) % 2 == 0
    assert all(line.strip("`") in ("", "smc") for line in fences)
