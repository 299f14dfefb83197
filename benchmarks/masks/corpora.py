"""The texts that are replayed, and the grammar files they belong to.

Every language has its own short texts in `corpora/`. With the test data at hand (SMCDSL_DATA) they are joined by real
ones: gold queries of Spider (Yu et al. 2018), molecules of ZINC250k, problems of the International Planning
Competition and of Planetarium (Zuo et al. 2024). Flat Python joins lines of the running interpreter's standard
library, indented Python is its functions and classes, of which there are no own texts. A text is kept if lark, with
the language's grammar file, and a parser that is none of the engines accept it; indented Python only asks the second.
"""

from __future__ import annotations

import ast
import gzip
import importlib.util
import json
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeGuard

import lark
from tokenizers import Tokenizer

DATA = Path(os.environ.get("SMCDSL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
HERE = Path(__file__).parent
LANGUAGES = ("sql", "sql_ci", "smiles", "pddl", "json", "python_flat", "python")
INDENTED = ("python",)
"""Languages whose indentation has a meaning."""
STARTS = {"python": "statements"}
"""Start rules that are not called `start`."""

_TOKENS = (24, 220)
"""Least and most tokens of a text from the data."""
_FROM_DATA = 24
_SQL_KEYWORDS = set(re.findall(r'"([A-Z]+)"', (HERE / "grammars" / "sql.lark").read_text(encoding="utf-8")))
_MODULES = (
    "argparse ast calendar configparser csv difflib fractions gettext heapq inspect locale mailbox optparse".split()
)
_MODULES += "pathlib pickle platform shutil smtplib statistics tarfile textwrap trace typing uuid zipfile".split()
_BLOCKS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Text:
    """One text of a corpus, and its tokens by the tokenizer's own choice."""

    text: str
    tokens: tuple[int, ...]


def grammar_text(language: str) -> str:
    """The language's Lark file; that of indented Python is shipped with the package."""
    if language == "python":
        return files("smcdsl.grammars").joinpath("python.lark").read_text(encoding="utf-8")
    return (HERE / "grammars" / f"{language}.lark").read_text(encoding="utf-8")


def ebnf_text(language: str) -> str:
    """The language's EBNF spelling."""
    return (HERE / "grammars" / f"{language}.ebnf").read_text(encoding="utf-8")


def corpus(language: str, tokenizer: Tokenizer) -> list[Text]:
    """All texts of a language, own ones and those of the data mixed evenly, in a fixed order."""
    own, found = own_texts(language), _from_data(language, tokenizer)
    random.Random(0).shuffle(texts := own + found)
    return [Text(text, tuple(_encode(tokenizer, text))) for text in texts]


def own_texts(language: str) -> list[str]:
    """The committed texts of a language; an empty line parts them."""
    if language == "python":
        return []
    name = "sql" if language == "sql_ci" else language
    texts = (HERE / "corpora" / f"{name}.txt").read_text(encoding="utf-8").strip().split("\n\n")
    return [_recase(text, number) for number, text in enumerate(texts)] if language == "sql_ci" else texts


def outside_parser_accepts(language: str, text: str) -> bool:
    """What a parser that has nothing to do with the engines says."""
    return _OUTSIDE[language](text)


@cache
def lark_parser(language: str) -> lark.Lark:
    """Lark's own parser for the language's grammar file.

    Lark reserves a keyword in any case only if the pattern of names is marked as such, too.
    """
    text = grammar_text(language)
    if '"i' in text:
        text = re.sub(r"^(NAME: /.*/)$", r"\1i", text, flags=re.MULTILINE)
    return lark.Lark(text, parser="lalr", lexer="basic")


def lark_accepts(language: str, text: str) -> bool:
    """Whether lark's basic lexer and LALR parser accept a text."""
    try:
        lark_parser(language).parse(text)
    except lark.exceptions.LarkError:
        return False
    return True


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def _from_data(language: str, tokenizer: Tokenizer) -> list[str]:
    chosen: list[str] = []
    for text in _CANDIDATES[language]():
        if len(chosen) == _FROM_DATA:
            break
        least, most = _TOKENS
        if not least <= len(_encode(tokenizer, text)) <= most:
            continue
        if (language in INDENTED or lark_accepts(language, text)) and outside_parser_accepts(language, text):
            chosen.append(text)
    return chosen


def _rows(path: str) -> list[dict[str, str]]:
    file = DATA / path
    if not file.exists():
        return []
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _shuffled(items: list[Any]) -> list[Any]:
    items = list(items)
    random.Random(1).shuffle(items)
    return items


def _sql() -> Iterator[str]:
    """One query a database."""
    seen: set[str] = set()
    for row in _shuffled(_rows("spider/train.jsonl.gz") + _rows("spider/dev.jsonl.gz")):
        if row["db_id"] not in seen and len(row["query"]) > 120 and lark_accepts("sql", row["query"]):
            seen.add(row["db_id"])
            yield row["query"]


def _sql_ci() -> Iterator[str]:
    return (_recase(text, number) for number, text in enumerate(_sql()))


def _recase(query: str, number: int) -> str:
    """Keywords in lower case for two texts of three, and with one capital for one of them."""
    write = (str.upper, str.lower, str.capitalize)[number % 3]
    pieces, end = [], 0
    for token in lark_parser("sql").lex(query):
        start = token.start_pos
        pieces.append(query[end:start])
        pieces.append(write(token.value) if token.type in _SQL_KEYWORDS else token.value)
        end = start + len(token.value)
    return "".join(pieces) + query[end:]


def _smiles() -> Iterator[str]:
    file = DATA / "molecules" / "zinc250k_part.smi.gz"
    if file.exists():
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            yield from _shuffled([line.strip() for line in lines])


def _pddl() -> Iterator[str]:
    competition = [row["text"] for row in _rows("pddl_ipc/problems.jsonl.gz") if row["kind"] == "instance"]
    planetarium = [
        row["problem_pddl"]
        for name in ("blocksworld_le9", "gripper_le12")
        for row in _rows(f"planetarium/{name}.jsonl.gz")
    ]
    for first, second in zip(_shuffled(competition), _shuffled(planetarium)):
        yield from (first.strip(), second.strip())


def _json() -> Iterator[str]:
    return iter(())


def _python_flat() -> Iterator[str]:
    """Runs of simple statements of functions, one run a module."""
    for source in _sources():
        runs = [run for run in _runs(ast.parse(source), source) if 120 < len(run) < 500 and run.isascii()]
        yield from islice((run for run in _shuffled(runs) if lark_accepts("python_flat", run)), 1)


def _python() -> Iterator[str]:
    """Functions and classes, one a module."""
    for source in _sources():
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, _BLOCKS)]
        found = [dedent(ast.get_source_segment(source, node, padded=True) or "") + "\n" for node in nodes]
        yield from islice((text for text in _shuffled(found) if 200 < len(text) < 700 and text.isascii()), 1)


def _sources() -> Iterator[str]:
    """Modules of the standard library."""
    for name in _MODULES:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        yield Path(spec.origin).read_text(encoding="utf-8")


def _runs(tree: ast.Module, source: str) -> Iterator[str]:
    """Neighbouring statements that each stand on one line, without the blanks before them."""
    lines = source.splitlines()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        run: list[str] = []
        for statement in [*body, None]:
            text = None
            if _is_flat(statement):
                text = lines[statement.lineno - 1][statement.col_offset : statement.end_col_offset]
            if text is not None and len(run) < 8:
                run.append(text)
                continue
            if len(run) >= 3:
                yield "\n".join(run)
            run = [text] if text is not None else []


def _is_flat(statement: ast.stmt | None) -> TypeGuard[ast.stmt]:
    simple = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Raise, ast.Assert, ast.Import, ast.ImportFrom)
    if isinstance(statement, ast.Expr):
        return not isinstance(statement.value, ast.Constant) and statement.lineno == statement.end_lineno
    return isinstance(statement, simple) and statement.lineno == statement.end_lineno


def _parses_as_sql(text: str) -> bool:
    import sqlglot

    try:
        sqlglot.parse_one(text, read="sqlite")
    except sqlglot.errors.SqlglotError:
        return False
    return True


def _parses_as_smiles(text: str) -> bool:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(text) is not None


def _parses_as_pddl(text: str) -> bool:
    """Brackets match, and their first words are `define`, `problem`, `:domain` and so on."""
    lines = [line.partition(";")[0] for line in text.lower().splitlines()]
    words = " ".join(lines).replace("(", " ( ").replace(")", " ) ").split()
    depth = 0
    for position, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth < 0 or (depth == 0) != (position == len(words) - 1):
            return False
    return words[:4] == ["(", "define", "(", "problem"] and "( :domain" in " ".join(words)


def _parses_as_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _parses_as_module(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _parses_as_python(text: str) -> bool:
    """As the body of a coroutine, so that `return`, `yield` and `await` may stand."""
    body = "\n".join(" " + line for line in text.split("\n"))
    try:
        ast.parse(f"async def f():\n{body}")
    except SyntaxError:
        return False
    return True


_CANDIDATES: dict[str, Callable[[], Iterator[str]]] = {
    "sql": _sql,
    "sql_ci": _sql_ci,
    "smiles": _smiles,
    "pddl": _pddl,
    "json": _json,
    "python_flat": _python_flat,
    "python": _python,
}
_OUTSIDE: dict[str, Callable[[str], bool]] = {
    "sql": _parses_as_sql,
    "sql_ci": _parses_as_sql,
    "smiles": _parses_as_smiles,
    "pddl": _parses_as_pddl,
    "json": _parses_as_json,
    "python_flat": _parses_as_python,
    "python": _parses_as_module,
}
