"""Completion: what is offered where, in complete programs and in programs as they are being typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from smcdsl.editor.completion import complete
from smcdsl.editor.documents import Document

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "text_to_sql.smc"
TEXT = EXAMPLE.read_text("utf-8")
TYPED = """\
smc 1
import sql
input db: sqlite
input notes: file
grammar drink {
  start = size " " kind
  size = "small" | "large"
  kind = /[a-z]+/
}
potential short(s: str, scale: int) -> weight = exp(-chars(s) / scale)
template line(what: str, how: "long" | "short") { "{{ what }}\\n" }
generate {
  assistant "[[q: sql.select(schema: db)]] [[d: drink]]"
"""


def offered(text: str) -> list[str]:
    """What is offered where `@@` stands, best first."""
    offset = text.index("@@")
    document = Document(EXAMPLE.as_uri(), text.replace("@@", ""))
    return [item.label for item in complete(document, offset).items]


@pytest.mark.parametrize(
    ("before", "after", "first"),
    [
        ("at clause", "at @@", ["clause", "column", "literal", "query", "subquery", "table"]),
        ("at clause", "at q.@@", ["clause", "column", "literal", "query", "subquery", "table"]),
        ("at clause", "at clause, @@", ["clause", "column"]),
        ("at clause", "@@", ["and", "at", "each", "or"]),
        ("in q.column", "in q.@@", ["clause", "column"]),
        ("in q.column", "in @@", ["q"]),
        ('dialect: "sqlite", schema: db', "@@", ["dialect", "schema", "start"]),
        ('dialect: "sqlite", schema: db', 'dialect: "sqlite", @@', ["schema", "start"]),
        ('dialect: "sqlite"', "dialect: @@", ['"ansi"', '"mysql"', '"postgres"', '"sqlite"']),
        ('dialect: "sqlite"', 'dialect: "@@"', ["ansi", "mysql", "postgres", "sqlite"]),
        ("sql.select(", "sql.@@(", ["select"]),
        ("where tokens <= 200", "where @@", ["chars", "excludes", "lines", "matches", "tokens", "words"]),
        ("[[q: query]]", "[[q: @@]]", ["query", "sql"]),
        ("{{ question }}", "{{ @@ }}", ["db", "q", "question"]),
        ("  particles: 16\n", "  @@\n", ["draft", "gamma"]),
        ("systematic when", "@@ when", ["multinomial", "residual", "ssp", "stratified", "systematic"]),
        ("infer smc", "infer @@", ["beam", "is", "lcd", "rejection", "rerank", "smc"]),
        ("import sql", "import @@", ["judge", "pddl", "python", "smiles", "sql", "std.text"]),
        ("db: sqlite", "db: @@", ["bool", "file", "float", "int", "json", "list", "sqlite", "str"]),
        ("  accept query", "  @@\n  accept query", ["db", "question", "accept", "expect", "reject"]),
        ("accept query", "accept @@", ["query"]),
        ("return posterior", "return @@", ["db", "q", "question"]),
        ("You write", "You @@ write", []),
        ("import sql", "# import @@", []),
    ],
)
def test_a_complete_program(before, after, first):
    assert offered(TEXT.replace(before, after, 1))[: len(first)] == first
    assert bool(first) == bool(offered(TEXT.replace(before, after, 1)))


@pytest.mark.parametrize(
    ("typed", "some"),
    [
        ("  require sql.runs(q, db) at @@", {"clause", "subquery", "token", "line", "end"}),
        ("  require short(d, @@", {"scale", "q", "d"}),
        ("  score short(d, 3) at @@", {"size", "kind"}),
        ("  require sql.@@", {"runs", "known_column", "ddl"}),
        ("  use @@", {"line"}),
        ("  use line(@@", {"what", "how"}),
        ("  use line(how: @@", {'"long"', '"short"'}),
        ("  for x in notes.@@", {"text", "path", "lines"}),
        ("  for thing in q {\n    user \"{{ @@", {"thing", "q", "d", "sql", "upper"}),
        ("  assistant \"[[e: @@", {"drink", "sql"}),
        ("  @@", {"require", "score", "let", "assistant", "use"}),
        ("  score sql.cost_guard(@@", {"q", "db"}),
        ("}\n@@", {"return", "infer", "test"}),
        ("}\nreturn best @@", {"q", "d"}),
        ("}\ninfer smc { proposal: @@", {"mask", "awrs", "lm"}),
        ("}\npotential p(x: @@", {"str", "int"}),
        ("}\npotential p(x: str) -> @@", {"bool", "weight", "logweight"}),
        ("}\npotential p(x: str) -> bool = @@", {"x", "chars", "short"}),
        ("}\npotential p(x: str) -> bool = py(\"j.py:f\") { prefix: @@", {"none", "closed", "any"}),
        ("}\ngrammar g(n: int) = drink where chars <= @@", {"n", "db"}),
    ],
)  # fmt: skip
def test_a_program_as_it_is_typed(typed, some):
    found = offered(TYPED + typed)
    assert some <= set(found), found


def test_names_of_one_declaration_are_not_offered_in_another():
    assert "scale" not in offered(TYPED + "  require @@")
    assert "c" not in offered(TEXT.replace("sql.runs(q, db) at clause", "@@"))
    assert "c" in offered(TEXT.replace("known_column(c, q, db)", "known_column(@@)"))


@pytest.mark.parametrize("end", range(40, len(TEXT), 180))
def test_something_can_be_asked_everywhere(end):
    items = complete(Document(EXAMPLE.as_uri(), TEXT[:end]), end).items
    assert len({item.label for item in items}) == len(items)
