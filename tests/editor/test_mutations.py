"""No text, however wrong, makes `check`, `fmt` or the language server fail.

The long runs take the features one by one, and a server over its pipes; `SMCDSL_MUTATIONS` says for how many
texts (2,000 if it does not), `SMCDSL_SEED` which. A thousand take a minute and more.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

from smcdsl.cli.fmt import formatted_text
from smcdsl.compiler.remembered import RememberedFacts
from smcdsl.editor import complaints, completion, definition, formatting, hints, hover, outline, rename, semantics
from smcdsl.editor.documents import Document, Documents
from smcdsl.engine import examine
from smcdsl.errors import Diagnostic, Source
from smcdsl.report.diagnostics import concise, record, render
from tests.editor.client import Client, Refused
from tests.editor.mutations import mutations

ROOT = Path(__file__).parents[2]
FOLDERS = ("examples", "tests/language/programs", "tests/golden/good")
PATHS = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.smc"))]
SLOW = ("import python",)
"""Programs of which one check takes seconds while grammars are new."""
PROGRAMS = [text for path in PATHS if not any(word in (text := path.read_text("utf-8")) for word in SLOW)]
WHOLE = lsp.Range(lsp.Position(0, 0), lsp.Position(9999, 0))


def check_and_format(source: Source, facts: RememberedFacts) -> list[Diagnostic]:
    """What is said about a text, shown in every way; and the text in its one layout, which stays as it is."""
    _, diagnostics = examine(source, path=ROOT / "examples/mutated.smc", facts=facts)
    assert render(diagnostics) or not diagnostics
    for diagnostic in diagnostics:
        assert "\x1b" not in concise(diagnostic)
        record(diagnostic)
    formatted, _ = formatted_text(source)
    if formatted is not None:
        assert formatted_text(Source("again.smc", formatted))[0] == formatted
    return diagnostics


def ask_everything(document: Document, offset: int, diagnostics: list[Diagnostic]) -> None:
    """Every request about a document, at an offset."""
    known = complaints.complaints(document, diagnostics)
    for complaint in known:
        place = complaint.shown.range
        assert (place.start.line, place.start.character) <= (place.end.line, place.end.character)
    complaints.actions(document, known, WHOLE, None)
    formatting.edits(document)
    for symbol in outline.symbols(document):
        assert symbol.name
    for fold in outline.folds(document):
        assert fold.start_line < fold.end_line < len(document.lines.starts)
    hover.hover(document, offset)
    definition.definitions(document, offset)
    completion.complete(document, offset)
    hints.inlay_hints(document, WHOLE)
    hints.code_lenses(document)
    rename.highlights(document, offset)
    rename.prepare(document, offset)
    data = semantics.tokens(document).data
    assert len(data) % 5 == 0
    assert min(data, default=0) >= 0


def mutate(seed: int, count: int) -> None:
    """Check, format and show `count` mutated programs."""
    chance = random.Random(seed)
    documents = Documents()
    uri = (ROOT / "examples/mutated.smc").as_uri()
    for text in mutations(PROGRAMS, seed, count):
        document = documents.put(uri, text, 1)
        diagnostics = check_and_format(document.source, documents.facts)
        ask_everything(document, chance.randrange(len(document.text) + 1), diagnostics)


def test_mutated_programs_are_checked_formatted_and_shown():
    mutate(seed=7, count=12)


@pytest.mark.long
def test_many_mutated_programs_are_checked_formatted_and_shown():
    mutate(seed=int(os.environ.get("SMCDSL_SEED", "1")), count=int(os.environ.get("SMCDSL_MUTATIONS", "2000")))


def test_programs_as_they_are_typed_have_symbols():
    text = (ROOT / "examples/lead_design.smc").read_text("utf-8")
    uri = (ROOT / "examples/typed.smc").as_uri()
    declared = ("import smiles", "input seeds", "input core", "input target_logp", "grammar molecule")
    for end in range(text.index("generate"), len(text), 41):
        names = [symbol.name for symbol in outline.symbols(Document(uri, text[:end]))]
        assert names[: len(declared)] == [each.split()[1] for each in declared], text[:end]


def request(client: Client, method: str, uri: str, **more: Any) -> Any:
    try:
        return client.about(method, uri, **more)
    except Refused as refused:
        if refused.args[0]["code"] != -32803:  # refused on purpose
            raise
        return None


@pytest.mark.long
def test_mutated_programs_go_through_check_fmt_and_the_server():
    count, seed = int(os.environ.get("SMCDSL_MUTATIONS", "2000")), int(os.environ.get("SMCDSL_SEED", "1"))
    chance = random.Random(seed)
    facts = RememberedFacts()
    uri = (ROOT / "examples/mutated.smc").as_uri()
    with Client(ROOT) as client:
        client.open(uri, "smc 1\n")
        for version, text in enumerate(mutations(PROGRAMS, seed, count), start=2):
            document = Document(uri, text)
            check_and_format(document.source, facts)
            client.change(uri, text, version)
            place = document.lines.position(chance.randrange(len(document.text) + 1))
            position = {"line": place.line, "character": place.character}
            whole = {"start": {"line": 0, "character": 0}, "end": {"line": 9999, "character": 0}}
            for method in ("documentSymbol", "foldingRange", "semanticTokens/full", "codeLens"):
                request(client, method, uri)
            request(client, "inlayHint", uri, range=whole)
            request(client, "codeAction", uri, range=whole, context={"diagnostics": []})
            request(client, "formatting", uri, options={"tabSize": 2, "insertSpaces": True})
            for method in ("hover", "completion", "definition", "documentHighlight", "prepareRename"):
                request(client, method, uri, position=position)
            request(client, "rename", uri, position=position, newName="fresh_name")
            client.notes = [note for note in client.notes if note["method"] == "window/logMessage"]
            assert client.notes == [], text
