"""The TextMate grammar of .smc files, made of the words of the language.

VS Code, GitHub and JetBrains paint with it; what it cannot know (what a name is), semantic tokens say.
After a change run

    python -m smcdsl.editor.textmate
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from smcdsl.editor import words

FILE = Path(__file__).parent / "vscode" / "syntaxes" / "smc.tmLanguage.json"

Rule = dict[str, Any]

_NAME = r"[A-Za-z_\p{L}][\w\p{L}]*"
_REGEX = r"/(?:\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|[^/\\\[])+/[a-zA-Z]*"
_HOLE = rf"\[\[(?=[ \t]*{_NAME}[ \t]*(?:\[[ \t]*\][ \t]*)?:(?!:))"
_ESCAPE = r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]{1,6}\}|.)"
_CONTINUES = r"[|&,)\]]|(?:where|as)\b|#|$"


def grammar() -> Rule:
    """The grammar as the JSON of its file."""
    return {
        "$schema": "https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json",
        "name": "smcdsl",
        "scopeName": "source.smc",
        "fileTypes": ["smc"],
        "patterns": [_include("comment"), _include("grammar-block"), _include("grammar-line"), _include("prompt"),
                     _include("statement"), _include("expression")],
        "repository": _repository(),
    }  # fmt: skip


def _repository() -> dict[str, Rule]:
    return {
        "comment": {"name": "comment.line.number-sign.smc", "match": "#.*$"},
        "grammar-block": {
            "begin": rf"^\s*(grammar)\s+({_NAME})([^={{]*)(\{{)(?=\s*(?:#.*)?$)",
            "beginCaptures": {**_captures("keyword.declaration.smc", "entity.name.type.grammar.smc"),
                              "3": {"patterns": [_include("expression")]}, **_mark(4)},
            "end": r"^\s*(\})",
            "endCaptures": _mark(1),
            "patterns": [
                {"match": rf"^\s*({_NAME})\s*(=)",
                 "captures": _captures("entity.name.function.rule.smc", "keyword.operator.smc")},
                _include("grammar"),
            ],
        },
        "grammar-line": {
            "begin": rf"^\s*(grammar)\s+({_NAME})",
            "beginCaptures": _captures("keyword.declaration.smc", "entity.name.type.grammar.smc"),
            "end": rf"^(?!\s*(?:{_CONTINUES}))",
            "patterns": [_include("grammar")],
        },
        "grammar": {
            "patterns": [
                _include("comment"),
                {"name": "string.regexp.smc", "match": _REGEX},
                {"match": rf"(?<=where|,)\s*({_any(words.UNITS)})\b",
                 "captures": _captures("support.constant.unit.smc")},
                {"name": "keyword.operator.quantifier.smc", "match": r"\{[ \t]*\d*[ \t]*(?:,[ \t]*\d*[ \t]*)?\}"},
                _include("expression"),
            ]
        },
        "prompt": {"patterns": list(_prompts())},
        "escape": {"name": "constant.character.escape.smc", "match": _ESCAPE},
        "insert": {
            "name": "meta.embedded.insert.smc",
            "begin": r"\{\{", "end": r"\}\}|$",
            "beginCaptures": _bracket("insert"), "endCaptures": _bracket("insert"),
            "patterns": [_include("expression")],
        },
        "hole": {
            "name": "meta.embedded.hole.smc",
            "begin": _HOLE, "end": r"\]\]|$",
            "beginCaptures": _bracket("hole"), "endCaptures": _bracket("hole"),
            "patterns": [
                {"match": rf"(?<=\[\[)\s*({_NAME})\s*(\[\s*\])?\s*(:)",
                 "captures": _captures("variable.other.hole.smc", "punctuation.smc", "punctuation.smc")},
                _include("grammar"),
            ],
        },
        "statement": {
            "patterns": [
                {"match": r"^\s*(smc)\s+(\d+)", "captures": _captures("keyword.control.smc", "constant.numeric.smc")},
                {"match": rf"^\s*(program|module|potential|template)\s+({_NAME})",
                 "captures": _captures("keyword.declaration.smc", "entity.name.function.smc")},
                {"match": r"^\s*(import)(?:\s+(potential))?\b",
                 "captures": _captures("keyword.declaration.smc", "keyword.declaration.smc")},
                {"match": rf"^\s*({_any(words.DECLARATIONS)})\b(?!\s*[:=])",
                 "captures": _captures("keyword.declaration.smc")},
                {"match": rf"(?:^\s*|(?<=\{{)\s*)({_any(words.STATEMENTS)})\b(?!\s*[:=])",
                 "captures": _captures("keyword.control.smc")},
                {"match": rf"^\s*({_any(words.TEST_WORDS)})\b(?!\s*[:=])",
                 "captures": _captures("keyword.control.smc")},
                {"match": rf"^\s*({_any(words.ROLES)})(?=\s*\{{)",
                 "captures": _captures("entity.name.tag.role.smc")},
                {"match": r"\belse(?:\s+if)?\b", "name": "keyword.control.smc"},
            ]
        },
        "expression": {
            "patterns": [
                _include("comment"),
                {"name": "string.quoted.triple.smc", "begin": r'r?"""', "end": r'"""',
                 "patterns": [_include("escape")]},
                {"name": "string.quoted.double.smc", "match": r'r"[^"]*"'},
                {"name": "string.quoted.double.smc", "begin": '"', "end": '"|$', "patterns": [_include("escape")]},
                {"name": "constant.numeric.smc",
                 "match": r"\b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?:ms|min|[smh])?\b"},
                {"name": "constant.language.smc", "match": rf"\b(?:{_any(words.CONSTANTS)})\b(?!\s*:)"},
                {"name": "keyword.operator.word.smc", "match": rf"\b(?:{_any(words.OPERATOR_WORDS)})\b(?!\s*:)"},
                {"match": rf"(?<=[:\[])\s*({_any(words.TYPES)})\b", "captures": _captures("support.type.smc")},
                {"match": rf"(->)\s*({_any(words.RESULTS)})\b",
                 "captures": _captures("keyword.operator.smc", "support.type.smc")},
                {"name": "keyword.other.clause.smc", "match": rf"\b(?:{_any(words.CLAUSES)})\b(?!\s*:)"},
                {"name": "entity.name.function.call.smc", "match": rf"{_NAME}(?=\()"},
                {"name": "variable.other.smc", "match": _NAME},
                {"name": "keyword.operator.smc", "match": r"->|\.\.|[<>=!]=|[-+*/^<>=|&?]"},
                {"name": "punctuation.smc", "match": r"[{}()\[\],:.]"},
            ]
        },
    }  # fmt: skip


def _prompts() -> Iterable[Rule]:
    """Texts of the transcript: behind a role, at the start of a line, or behind the `{` of a block on one line."""
    roles = _any(words.ROLES)
    before = rf"(?:^\s*(?:(?:({roles})|(observe))[ \t]*)?|(?<=\{{)[ \t]*)"
    for quotes, end in (('"""', '"""'), ('"', '"|$')):
        for raw in ("r", ""):
            inner = [] if raw else [_include("escape"), _include("insert"), _include("hole")]
            yield {
                "begin": f"{before}({raw}{quotes})",
                "beginCaptures": _captures(
                    "entity.name.tag.role.smc", "keyword.control.smc", "string.unquoted.prompt.smc"
                ),
                "end": end,
                "endCaptures": {"0": {"name": "string.unquoted.prompt.smc"}},
                "contentName": "string.unquoted.prompt.smc",
                "patterns": inner,
            }


def _include(name: str) -> Rule:
    return {"include": f"#{name}"}


def _any(names: Iterable[str]) -> str:
    return "|".join(names)


def _captures(*names: str) -> Rule:
    return {str(number): {"name": name} for number, name in enumerate(names, start=1)}


def _mark(number: int) -> Rule:
    return {str(number): {"name": "punctuation.smc"}}


def _bracket(kind: str) -> Rule:
    return {"0": {"name": f"punctuation.section.embedded.{kind}.smc"}}


def text() -> str:
    """The file's text."""
    return json.dumps(grammar(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text(), "utf-8")
