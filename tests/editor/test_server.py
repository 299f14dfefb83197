"""The language server, driven over its pipes as an editor drives it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.editor.client import Client, Refused, applied, place_of

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "text_to_sql.smc"
TEXT = EXAMPLE.read_text("utf-8")
URI = EXAMPLE.resolve().as_uri()


@pytest.fixture(scope="module")
def client():
    """One server for all tests of this file; each opens what it needs under names of its own."""
    offered = {"general": {"positionEncodings": ["utf-8", "utf-32", "utf-16"]}}
    with Client(ROOT, capabilities=offered) as running:
        running.version = 1
        running.open(URI, TEXT)
        yield running


def changed(client, text: str) -> list[dict]:
    client.version += 1
    return client.change(URI, text, client.version)


def test_a_right_program_has_no_diagnostics(client):
    assert changed(client, TEXT) == []


def test_a_mistake_is_told_with_a_fix_that_mends_it(client):
    wrong = TEXT.replace("at clause", "at clauses")
    (found,) = changed(client, wrong)
    assert (found["code"], found["severity"], found["source"]) == ("E0206", 1, "smcdsl")
    assert found["range"]["start"] == dict(zip(("line", "character"), place_of(wrong, "clauses")))
    (action,) = client.about("codeAction", URI, range=found["range"], context={"diagnostics": [found]})
    assert action["kind"] == "quickfix"
    assert applied(wrong, action["edit"]["changes"][URI]) == TEXT


def test_all_fixes_at_once(client):
    wrong = TEXT.replace("at clause", "at clauses").replace("return posterior q", "return posterior queri")
    found = changed(client, wrong.replace("queri", "Q"))
    actions = client.about(
        "codeAction", URI, range=found[0]["range"], context={"diagnostics": [], "only": ["source.fixAll"]}
    )
    assert [action["kind"] for action in actions] == ["source.fixAll.smcdsl"]
    mended = applied(wrong.replace("queri", "Q"), actions[0]["edit"]["changes"][URI])
    assert mended == TEXT


def test_columns_are_utf16_units(client):
    assert client.capabilities["positionEncoding"] == "utf-16"
    wrong = TEXT.replace('"You write exactly', '"👍👍 {{ nobody }} write exactly')
    (found,) = changed(client, wrong)
    line, start = place_of(wrong, "nobody")
    assert found["range"] == {
        "start": {"line": line, "character": start},
        "end": {"line": line, "character": start + len("nobody")},
    }
    assert wrong.split("\n")[line].index("nobody") == start - 2


def test_windows_line_endings_and_odd_line_separators(client):
    wrong = TEXT.replace('"You write', '"You \u2028\x0b write').replace("at clause", "at clauses").replace("\n", "\r\n")
    found = changed(client, wrong)
    places = [each["range"]["start"]["line"] for each in found if each["code"] == "E0206"]
    assert places == [TEXT[: TEXT.index("at clause")].count("\n")]


def test_formatting_is_what_fmt_writes(client):
    crooked = TEXT.replace("  score   sql", "      score sql").replace("import sql", "import   sql")
    changed(client, crooked)
    edits = client.about("formatting", URI, options={"tabSize": 4, "insertSpaces": False})
    assert applied(crooked, edits) == TEXT
    changed(client, TEXT)
    assert client.about("formatting", URI, options={"tabSize": 4, "insertSpaces": False}) == []


def test_a_text_with_mistakes_is_not_formatted(client):
    changed(client, TEXT.replace("generate {", "generate"))
    assert client.about("formatting", URI, options={"tabSize": 2, "insertSpaces": True}) is None


def hover(client, what: str, nth: int = 0, after: int = 0) -> str:
    found = client.at("hover", URI, *place_of(TEXT, what, nth, after))
    return found["contents"]["value"] if found else ""


def test_hover(client):
    changed(client, TEXT)
    query = hover(client, "q: query")
    assert "hole q: str" in query
    assert "boundaries: `clause`, `column`, `table`, `literal`, `subquery`, `token`, `line`, `end`" in query
    runs = hover(client, "runs")
    assert "potential sql.runs(q: str, db: sqlite" in runs
    assert "cost 200 µs" in runs
    assert "may look at boundaries" in runs
    require = hover(client, "require")
    assert "density *= product over c in q.column of [sql.known_column(c, q, db)]" in require
    assert "sql.known_column`: cost 20 µs" in require
    assert "* sql.returns_rows(q, db)" in require
    assert "previews at q.clause; the finished text counts" in hover(client, "require", 1)
    assert 'dialect: "sqlite"' in hover(client, "select", 0)
    assert "input question: str" in hover(client, "question", 2)
    assert "weighted partial transcripts" in hover(client, "particles")
    assert hover(client, "You write") == ""


def definitions(client, what: str, nth: int = 0, after: int = 0) -> list[tuple[str, int]]:
    found = client.at("definition", URI, *place_of(TEXT, what, nth, after))
    return [("/".join(each["uri"].split("/")[-2:]), each["range"]["start"]["line"]) for each in found]


def line_of(path: str, start: str) -> int:
    import smcdsl

    package = Path(smcdsl.__file__).parent
    file = package / path if (package / path).is_file() else package.parent / path
    return next(i for i, line in enumerate(file.read_text("utf-8").split("\n")) if line.startswith(start))


def test_definitions_in_three_kinds_of_files(client):
    changed(client, TEXT)
    assert definitions(client, "runs") == [("potentials/sql.py", line_of("potentials/sql.py", "def runs"))]
    assert definitions(client, "select") == [("grammars/sql.lark", line_of("grammars/sql.lark", "select"))]
    assert definitions(client, "query]]") == [("examples/text_to_sql.smc", place_of(TEXT, "query =")[0])]
    assert definitions(client, "q, db") == [("examples/text_to_sql.smc", place_of(TEXT, "q: query")[0])]
    files = definitions(client, "sql\n")
    assert files == [("grammars/sql.lark", 0), ("potentials/sql.py", 0)]
    assert [name for name, _ in definitions(client, "clause")] == ["grammars/sql.lark"]


def labels(client, text: str) -> list[str]:
    """What is offered where `@@` stands."""
    line, character = place_of(text, "@@")
    changed(client, text.replace("@@", ""))
    return [item["label"] for item in client.at("completion", URI, line, character)["items"]]


def test_boundaries_are_offered_behind_at(client):
    offered = labels(client, TEXT.replace("at clause", "at @@"))
    assert offered[:6] == ["clause", "column", "literal", "query", "subquery", "table"]
    assert {"token", "line", "end"} <= set(offered)


def test_parameters_of_a_library_are_offered(client):
    offered = labels(client, TEXT.replace('sql.select(dialect: "sqlite", schema: db)', "sql.select(@@"))
    assert offered[:3] == ["dialect", "schema", "start"]


def test_a_completion_replaces_the_word_that_is_typed(client):
    text = TEXT.replace("at clause", "at cla@@")
    line, character = place_of(text, "@@")
    changed(client, text.replace("@@", ""))
    (item,) = [item for item in client.at("completion", URI, line, character)["items"] if item["label"] == "clause"]
    assert applied(text.replace("@@", ""), [item["textEdit"]]) == TEXT


def test_symbols_folds_hints_and_lenses(client):
    changed(client, TEXT)
    symbols = client.about("documentSymbol", URI)
    assert [each["name"] for each in symbols] == [
        "sql", "question", "db", "query", "generate", "return", "infer smc", 'test "counts rows"',
    ]  # fmt: skip
    assert [each["name"] for each in symbols[4]["children"]][:2] == ["q", "require sql.known_column(c, q, db)"]
    folds = {(each["startLine"], each["endLine"]) for each in client.about("foldingRange", URI)}
    lines = TEXT.split("\n")
    assert (lines.index("generate {"), lines.index("}") - 1) in folds
    assert (place_of(TEXT, 'user """')[0], place_of(TEXT, '  """\n')[0]) in folds
    whole = {"start": {"line": 0, "character": 0}, "end": {"line": 99, "character": 0}}
    hints = client.about("inlayHint", URI, range=whole)
    assert [hint["label"] for hint in hints] == ["~15 tokens", "~6 tokens + 2 values", "~0 tokens + 1 hole"]
    lenses = [each["command"] for each in client.about("codeLens", URI)]
    assert [each["title"] for each in lenses] == ["Run", "Show prompt", "Test"]
    assert lenses[2]["arguments"] == [URI, "counts rows"]


def test_semantic_tokens_inside_prompts(client):
    changed(client, TEXT)
    legend = client.capabilities["semanticTokensProvider"]["legend"]["tokenTypes"]
    data = client.about("semanticTokens/full", URI)["data"]
    lines, line, column, found = TEXT.split("\n"), 0, 0, []
    for shift_line, shift, length, kind, _ in zip(*[iter(data)] * 5):
        line, column = line + shift_line, shift + (0 if shift_line else column)
        found.append((line, lines[line][column : column + length], legend[kind]))
    row = place_of(TEXT, "[[q: query]]")[0]
    assert [(text, kind) for at, text, kind in found if at == row] == [
        ("[[", "macro"), ("q", "variable"), ("query", "struct"), ("]]", "macro"),
    ]  # fmt: skip
    row = place_of(TEXT, "{{ sql.ddl")[0]
    assert [(text, kind) for at, text, kind in found if at == row] == [
        ("{{", "macro"), ("sql", "namespace"), (".", "operator"), ("ddl", "function"),
        ("db", "parameter"), ("}}", "macro"),
    ]  # fmt: skip


def test_rename(client):
    changed(client, TEXT)
    edit = client.at("rename", URI, *place_of(TEXT, "q: query"), newName="answer")
    renamed = applied(TEXT, edit["changes"][URI])
    assert "[[answer: query]]" in renamed
    assert "each c in answer.column" in renamed
    assert changed(client, renamed) == []
    with pytest.raises(Refused, match="word of the language"):
        client.at("rename", URI, *place_of(renamed, "answer"), newName="where")
    highlights = client.at("documentHighlight", URI, *place_of(renamed, "answer"))
    assert len(highlights) == len(edit["changes"][URI])


def test_files_with_odd_names_and_their_modules(client, tmp_path):
    folder = tmp_path / "my programs 100% é"
    folder.mkdir()
    module = folder / "part's #1.smc"
    module.write_text("smc 1\nmodule part\ngrammar word = /[a-z]+/\n", "utf-8")
    main = folder / "-main file.smc"
    text = 'smc 1\nimport "part\'s #1.smc" as part\ngenerate {\n  assistant "[[x: part.word]]"\n}\n'
    main.write_text(text, "utf-8")
    uri = main.as_uri()
    assert "%20" in uri
    assert client.open(uri, text) == []
    (found,) = client.at("definition", uri, *place_of(text, "word"))
    assert found["uri"] == module.resolve().as_uri()
    assert found["range"]["start"] == {"line": 2, "character": 8}
    module.write_text("smc 1\nmodule part\ngrammar wort = /[a-z]+/\n", "utf-8")
    client.notify("textDocument/didSave", {"textDocument": {"uri": module.as_uri()}})
    (told,) = client.diagnostics(uri, 1)
    assert told["code"] == "E0202"
    client.notify("textDocument/didClose", {"textDocument": {"uri": uri}})


def test_references_in_folders_that_are_opened_later(client, tmp_path):
    (tmp_path / "part.smc").write_text("smc 1\nmodule part\ngrammar word = /[a-z]+/\n", "utf-8")
    text = 'smc 1\nimport "part.smc" as part\ngenerate {\n  assistant "[[x: part.word]]"\n}\n'
    (tmp_path / "user.smc").write_text(text, "utf-8")
    added = {"uri": tmp_path.as_uri(), "name": "later"}
    client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [added], "removed": []}})
    uri = (tmp_path / "part.smc").as_uri()
    client.open(uri, (tmp_path / "part.smc").read_text("utf-8"))
    found = client.at("references", uri, 2, 10, context={"includeDeclaration": False})
    assert [each["uri"] for each in found] == [(tmp_path / "user.smc").as_uri()]
    client.notify("workspace/didChangeWorkspaceFolders", {"event": {"added": [], "removed": [added]}})


def test_mistakes_of_a_module_stand_at_its_import(client, tmp_path):
    (tmp_path / "part.smc").write_text("smc 1\nmodule part\ngrammar word = /[a-z/\n", "utf-8")
    text = 'smc 1\nimport "part.smc" as part\ngenerate {\n  assistant "[[x: /a+/]]"\n}\n'
    uri = (tmp_path / "main.smc").as_uri()
    (tmp_path / "main.smc").write_text(text, "utf-8")
    found = client.open(uri, text)
    assert found
    assert {each["range"]["start"]["line"] for each in found} == {1}
    related = found[0]["relatedInformation"][0]["location"]
    assert related["uri"].endswith("/part.smc")
    assert related["range"]["start"]["line"] == 2


def test_a_text_that_is_in_no_file(client):
    text = 'smc 1\ngenerate {\n  assistant "[[x: /a+/]]"\n  require y\n}\n'
    (found,) = client.open("untitled:Untitled-1", text)
    assert found["code"] == "E0201"
    assert client.at("hover", "untitled:Untitled-1", *place_of(text, "require"))


def test_without_pygls_the_verb_says_what_to_install():
    code = "import sys; sys.modules['pygls'] = None; from smcdsl.cli.main import main; main(['lsp'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 2
    assert "pip install 'smcdsl[lsp]'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_it_loads_no_model_and_no_machine_code():
    code = (
        "import sys, smcdsl.editor.server as s; from pathlib import Path; d = s.build().documents\n"
        f"doc = d.put({URI!r}, Path({str(EXAMPLE)!r}).read_text('utf-8'), 1)\n"
        "doc.diagnostics(); doc.names\n"
        "print(sorted({'torch', 'transformers', 'numba', 'rdkit', 'sqlglot'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout == "[]\n"


def test_what_is_no_message_is_a_line_and_the_server_goes_on_until_its_input_ends():
    messages = b"hello\r\n\r\nContent-Length: x\r\n\r\n"
    shutdown = b'{"jsonrpc": "2.0", "id": 1, "method": "shutdown"}'
    for body in (b"{no json", b"[1, 2]", b'"\xff"', b'{"jsonrpc": "2.0", "method": "textDocument/didOpen"}', shutdown):
        messages += b"Content-Length: %d\r\n\r\n" % len(body) + body
    command = [sys.executable, "-m", "smcdsl", "lsp"]
    ended = subprocess.run(command, input=messages, capture_output=True, timeout=100)
    assert ended.returncode == 0
    assert b'"id": 1' in ended.stdout or b'"id":1' in ended.stdout
    assert ended.stderr
    assert b"Traceback" not in ended.stderr
