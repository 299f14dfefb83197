"""Names: every place of one key and no other; renaming changes them all and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pygls.exceptions import JsonRpcException

from smcdsl.editor.documents import Document, Documents
from smcdsl.editor.names import OWN
from smcdsl.editor.rename import prepare, references, rename
from smcdsl.language.load import check_source
from tests.editor.client import applied

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.smc"))
GOOD = sorted((ROOT / "tests/golden/good").glob("*.smc"))

PROGRAM = """\
smc 1
import "lib/parts.smc" as parts
import sql
input topic: str
input many: int = 2
grammar item(most: int) = drink where chars <= most
grammar drink {
  start = size " " name
  size = "small" | "large"
  name = /[a-z]+/
}
potential short(s: str, scale: int) -> weight = exp(-chars(s) / scale)
template line(what: str) {
  let shout = upper(what)
  "{{ shout }}:[[said[]: parts.word]]\\n"
}
generate {
  user "👍 {{ topic }} {{ many }}"
  assistant {
    use line(what: topic)
    for i in 1..many { "{{ i }}:[[d[]: drink]]\\n" }
    "[[q: item(most: many)]]\\n"
    use parts.closing(name: q)
  }
  require short(q, scale: 3) < 1 at size, q.name
  score short(c, 2) each c in q.name
}
return posterior { q: q, all: d, said: said, why: why }
test "it" {
  topic: "x"
  accept drink "small tea"
}
"""
PARTS = """\
smc 1
module parts
grammar word = /[a-z]+/ where chars <= 9
potential fine(s: str) -> bool = chars(s) < 9
template closing(name: str) {
  "[[why: word]]\\n{{ name }}\\n"
}
"""


@pytest.fixture
def folder(tmp_path):
    """A program and the module that it imports."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "parts.smc").write_text(PARTS, "utf-8")
    (tmp_path / "main.smc").write_text(PROGRAM, "utf-8")
    return tmp_path


def opened(folder: Path) -> tuple[Documents, Document]:
    documents = Documents()
    documents.folders = [folder]
    path = folder / "main.smc"
    return documents, documents.put(path.as_uri(), path.read_text("utf-8"), 1)


def complaints(document: Document) -> list[tuple[str, int]]:
    found = check_source(document.source, path=document.path)[1]
    return [(each.code, document.source.position(each.primary.start)[0] if each.primary else 0) for each in found]


def test_the_program_is_right(folder):
    assert complaints(opened(folder)[1]) == []


def own_names(document: Document):
    return [each for each in document.names.occurrences if each.kind in OWN]


def test_every_own_name_can_be_renamed_and_means_the_same(folder):
    documents, document = opened(folder)
    keys = {each.key: each for each in own_names(document)}
    assert len(keys) > 20
    for occurrence in keys.values():
        edit = rename(documents, document, occurrence.span.start, "fresh_name")
        assert edit is not None
        assert edit.changes is not None
        changed = {}
        for uri, edits in edit.changes.items():
            path = Document(uri, "").path
            assert path is not None
            plain = [
                {
                    "range": {
                        "start": {"line": each.range.start.line, "character": each.range.start.character},
                        "end": {"line": each.range.end.line, "character": each.range.end.character},
                    },
                    "newText": each.new_text,
                }
                for each in edits
            ]
            changed[path] = (path.read_text("utf-8"), applied(path.read_text("utf-8"), plain))
        try:
            for path, (_, after) in changed.items():
                path.write_text(after, "utf-8")
            again = opened(folder)[1]
            assert complaints(again) == [], (occurrence, again.text)
            kinds = [(each.kind, each.defines) for each in document.names.occurrences]
            assert [(each.kind, each.defines) for each in again.names.occurrences] == kinds
        finally:
            for path, (before, _) in changed.items():
                path.write_text(before, "utf-8")


def test_a_name_of_a_module_is_renamed_in_both_files(folder):
    documents, document = opened(folder)
    edit = rename(documents, document, document.text.index("word"), "letters")
    assert edit is not None
    assert edit.changes is not None
    counts = {Path(uri).name: len(edits) for uri, edits in edit.changes.items()}
    assert counts == {"main.smc": 1, "parts.smc": 2}


def test_a_module_renames_in_the_programs_that_import_it(folder):
    documents, _ = opened(folder)
    path = folder / "lib" / "parts.smc"
    module = documents.put(path.as_uri(), PARTS, 1)
    places = references(documents, module, PARTS.index("closing"), True)
    assert sorted(Path(place.uri).name for place in places) == ["main.smc", "parts.smc"]


@pytest.mark.parametrize("path", [*EXAMPLES, *GOOD], ids=lambda path: path.stem)
def test_what_is_written_like_a_value_has_a_key(path):
    """Oracle: in a right program every word of an expression that is an input or hole is found as one."""
    document = Document(path.as_uri(), path.read_text("utf-8"))
    if document.examined is None or document.examined.program is None:
        pytest.skip("a module")
    known = {each.span.start for each in document.names.occurrences}
    values = set(document.examined.module.inputs) | {each.name for each in document.examined.holes.declared.values()}
    for piece in document.pieces:
        word = document.text[piece.start : piece.end]
        after = document.text[piece.end :].lstrip()
        before = document.text[: piece.start].rstrip()
        if piece.kind != "name" or word not in values or before.endswith(".") or after.startswith(":"):
            continue
        assert piece.start in known, (word, document.source.position(piece.start))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_name_has_one_declaration_at_most(path):
    document = Document(path.as_uri(), path.read_text("utf-8"))
    for each in document.names.declared:
        assert len([other for other in document.names.of(each.key) if other.defines]) == 1 or each.kind in (
            "let",
            "hole",
        )
        assert re.fullmatch(r"[\w.]+", each.span.text)


@pytest.mark.parametrize(
    ("what", "name", "why"),
    [
        ("topic", "1x", "not a name"),
        ("topic", "where", "word of the language"),
        ("topic", "drink", "something else"),
        ("topic", "a b", "not a name"),
        ("topic", "", "not a name"),
        ("short", "chars", "word of the language"),
        ("upper", "lower", "only names that a program declares"),
    ],
)
def test_refusals(folder, what, name, why):
    documents, document = opened(folder)
    with pytest.raises(JsonRpcException, match=why):
        rename(documents, document, document.text.index(what), name)


def test_a_name_in_a_line_that_cannot_be_read_is_not_renamed(folder):
    documents, document = opened(folder)
    broken = document.text.replace("return posterior {", "require topic topic (\nreturn posterior {")
    document = documents.put(document.uri, broken, 2)
    with pytest.raises(JsonRpcException, match="cannot be read"):
        rename(documents, document, document.text.index("topic"), "subject")


def test_names_of_libraries_cannot_be_renamed(folder):
    document = Document((ROOT / "examples/text_to_sql.smc").as_uri(), (ROOT / "examples/text_to_sql.smc").read_text())
    assert prepare(document, document.text.index("runs(")) is None
    assert prepare(document, document.text.index("clause")) is None
    assert prepare(document, document.text.index("question:")) is not None
