"""Diagnostics for other programs: SARIF 2.1.0, and commands of GitHub's workflows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from smcdsl.errors import Diagnostic, Label, Source, Span
from smcdsl.report import pages
from smcdsl.report.visible import escape

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
SARIF_VERSION = "2.1.0"


def sarif(diagnostics: Sequence[Diagnostic], version: str) -> dict[str, Any]:
    """A SARIF log with one run: a rule for each code that occurs, a result for each diagnostic.

    Columns count UTF-16 units, as the standard has it by default.

    Source: OASIS SARIF 2.1.0, sections 3.14 (run), 3.27 (result), 3.30 (region), 3.55 (fix).
    """
    codes = sorted({diagnostic.code for diagnostic in diagnostics})
    driver = {"name": "smcdsl", "version": version, "rules": [_rule(code, diagnostics) for code in codes]}
    results = [_result(diagnostic, codes.index(diagnostic.code)) for diagnostic in diagnostics]
    run = {"tool": {"driver": driver}, "columnKind": "utf16CodeUnits", "results": results}
    return {"$schema": SARIF_SCHEMA, "version": SARIF_VERSION, "runs": [run]}


def _rule(code: str, diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    level = next(diagnostic.severity for diagnostic in diagnostics if diagnostic.code == code)
    rule: dict[str, Any] = {"id": code, "defaultConfiguration": {"level": level}}
    text = pages.page(pages.ERRORS, code)
    if text is not None:
        subject = pages.headline(text).partition(": ")[2]
        rule |= {"shortDescription": {"text": subject}, "help": {"text": pages.drawn(text), "markdown": text}}
    return rule


def _result(diagnostic: Diagnostic, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": diagnostic.code,
        "ruleIndex": index,
        "level": diagnostic.severity,
        "message": {"text": _message(diagnostic)},
        "locations": [_location(label.span) for label in _primary(diagnostic)],
    }
    others = [label for label in diagnostic.labels if label not in _primary(diagnostic)]
    if others:
        result["relatedLocations"] = [
            _location(label.span) | {"id": number} | ({"message": {"text": label.text}} if label.text else {})
            for number, label in enumerate(others)
        ]
    if diagnostic.fixes:
        result["fixes"] = [_fix(diagnostic)]
    return result


def _message(diagnostic: Diagnostic) -> str:
    """What the frame says in words: the headline, the first label, facts, notes and help."""
    labels = [label.text for label in _primary(diagnostic) if label.text]
    parts = [diagnostic.message, *labels, *diagnostic.facts, *(f"note: {note}" for note in diagnostic.notes)]
    return "\n".join([*parts, *([f"help: {diagnostic.help}"] if diagnostic.help else [])])


def _primary(diagnostic: Diagnostic) -> list[Label]:
    """The label that says where, or none."""
    return [label for label in diagnostic.labels if label.span == diagnostic.primary][:1]


def _location(span: Span) -> dict[str, Any]:
    location = {"artifactLocation": {"uri": _uri(span.source.name)}}
    return {"physicalLocation": location | ({"region": _region(span)} if span.source.text else {})}


def _region(span: Span) -> dict[str, int]:
    start_line, start_column = _position(span.source, span.start)
    end_line, end_column = _position(span.source, span.end)
    return {"startLine": start_line, "startColumn": start_column, "endLine": end_line, "endColumn": end_column}


def _position(source: Source, offset: int) -> tuple[int, int]:
    """(line, column) from 1, the column in UTF-16 units."""
    line, _ = source.position(offset)
    before = source.text[source.line_starts[line - 1] : offset]
    return line, len(before.encode("utf-16-le", "surrogatepass")) // 2 + 1


def _fix(diagnostic: Diagnostic) -> dict[str, Any]:
    files = dict.fromkeys(edit.span.source.name for edit in diagnostic.fixes)
    return {
        "description": {"text": diagnostic.help or f"fix {diagnostic.code}"},
        "artifactChanges": [
            {
                "artifactLocation": {"uri": _uri(name)},
                "replacements": [
                    {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
                    for edit in diagnostic.fixes
                    if edit.span.source.name == name
                ],
            }
            for name in files
        ],
    }


def _uri(name: str) -> str:
    """A file's name as a URI reference; one like `a:b` gets `./` so that `a` is not a scheme."""
    path = PurePath(name)
    if path.is_absolute():
        return path.as_uri()
    text = quote(path.as_posix())
    return f"./{text}" if re.match(r"[^/]*:", path.as_posix()) else text


def github(diagnostic: Diagnostic) -> str:
    """A line that GitHub shows beside the code: `::error file=...,line=...,col=...,title=...::message`."""
    span = diagnostic.primary
    fields = {"title": diagnostic.code}
    if span is not None:
        line, column = span.source.position(span.start)
        fields = {"file": span.source.name, "line": str(line), "col": str(column), **_end(span), **fields}
    listed = ",".join(f"{key}={_property(value)}" for key, value in fields.items())
    labels = [label.text for label in _primary(diagnostic) if label.text]
    parts = [diagnostic.message, *labels, *([f"help: {diagnostic.help}"] if diagnostic.help else [])]
    return f"::{diagnostic.severity} {listed}::{_data(chr(10).join(parts))}"


def _end(span: Span) -> dict[str, str]:
    line, column = span.source.position(max(span.end - 1, span.start))
    same_line = line == span.source.position(span.start)[0]
    return {"endColumn": str(column)} if same_line else {"endLine": str(line)}


def _data(text: str) -> str:
    """Escaped as the runner's toolkit does; other control characters spelled out."""
    kept = text.replace("%", "%25").replace("\r", "%0D").split("\n")
    return "%0A".join(map(escape, kept))


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
