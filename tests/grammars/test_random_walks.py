"""No dead ends: random walks under the masks of shipped grammars end in texts that other parsers take.

lark reads SQL, `ast` Python, `json` and jsonschema the instances of schemas. By default a few walks each; run with
`-m long` there are 10,000, with fresh seeds, and with `-s` their figures are printed.
"""

from __future__ import annotations

import ast
import gzip
import json
import warnings
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from lark import Lark
from lark.exceptions import LarkError
from smcdsl.potentials.sql import specialize
from tokenizers import Tokenizer

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.json_schema import load_json_schema
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar
from tests.grammars import python_automata
from tests.grammars.lark_reading import LarkReading
from tests.grammars.random_walks import Outcome, RandomWalks, judged
from tests.oracles.vocabularies import real_vocabulary
from tests.potentials import molecules
from tests.spider import DATA, names, needs_spider, rows

SQL = Path(str(files("smcdsl.grammars").joinpath("sql.lark")))
SMILES = Path(str(files("smcdsl.grammars").joinpath("smiles.lark")))
SCHEMAS = Path(__file__).parents[2] / "benchmarks" / "masks" / "data" / "schemas.jsonl.gz"

TOGETHER = 1000
"""Walks at once."""


@cache
def tokens_of_texts(tokenizer: str, language: str) -> list[int]:
    """Tokens of real texts of a language."""
    encoder = Tokenizer.from_file(str(DATA / "tokenizers" / tokenizer / "tokenizer.json"))
    texts = {
        "sql": lambda: [row["query"] for row in rows("dev")],
        "python": lambda: [text for _, text in python_automata.library_texts(100)],
        "smiles": lambda: molecules.real("zinc250k_part.smi.gz", 1000),
        "json": lambda: [json.dumps(instance) for row in schema_rows() for instance in row["instances"]],
    }[language]()
    return [token for text in texts for token in encoder.encode(text, add_special_tokens=False).ids]


@cache
def schema_rows() -> list[dict[str, Any]]:
    if not SCHEMAS.exists():
        pytest.skip("needs a checkout, for the schemas of the benchmark")
    return [json.loads(line) for line in gzip.decompress(SCHEMAS.read_bytes()).splitlines()]


Mistake = Callable[[str], str | None]


def sql_free() -> Iterator[tuple[Grammar, Mistake]]:
    grammar = load_lark(SQL.read_text(), name="sql.lark", start="select")
    yield grammar, LarkReading(grammar).mistake


def sql_bound() -> Iterator[tuple[Grammar, Mistake]]:
    """Bound to databases of Spider."""
    free = load_lark(SQL.read_text(), name="sql.lark", start="select")
    for db_id in sorted({row["db_id"] for row in rows("dev")}):
        grammar = specialize(free, "select", {"schema": names(db_id)})
        yield grammar, LarkReading(grammar).mistake


def smiles() -> Iterator[tuple[Grammar, Mistake]]:
    lark = Lark(SMILES.read_text(), parser="lalr", lexer="basic", start="molecule")

    def mistake(text: str) -> str | None:
        try:
            lark.parse(text)
        except LarkError as error:
            return str(error).splitlines()[0]
        return None

    yield load_lark(SMILES.read_text(), name="smiles.lark", start="molecule"), mistake


def python() -> Iterator[tuple[Grammar, Mistake]]:
    yield python_automata.grammar(), mistake_in_python


def json_schemas() -> Iterator[tuple[Grammar, Mistake]]:
    """The hundred schemas of the benchmark."""
    for row in schema_rows():
        validator = jsonschema.Draft202012Validator(row["schema"])
        grammar = load_json_schema(json.dumps(row["schema"]), name=row["name"], whitespace="free")
        yield grammar, partial(mistake_in_instance, validator)


def mistake_in_python(text: str) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            return f"{type(error).__name__}: {error}"
    return None


def mistake_in_instance(validator: jsonschema.protocols.Validator, text: str) -> str | None:
    try:
        validator.validate(json.loads(text))
    except (ValueError, jsonschema.ValidationError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return None


BOUND = 1
"""Databases that few walks are bound to: for each there is a parser of lark's to make."""
LANGUAGES = {
    "sql": sql_free,
    "sql bound": sql_bound,
    "smiles": smiles,
    "python": python,
    "json schemas": json_schemas,
}


def outcome(language: str, tokenizer: str, how_many: int, parts: int, seed: int) -> Outcome:
    """Walks of `parts` grammars of a kind together."""
    vocabulary, usual = real_vocabulary(tokenizer), tokens_of_texts(tokenizer, language.split()[0])
    found = list(islice(LANGUAGES[language](), parts))
    each = [how_many // len(found) + (number < how_many % len(found)) for number in range(len(found))]
    seeds = iter(np.random.default_rng(seed).integers(1 << 32, size=how_many + len(found)).tolist())
    total = Outcome(0, 0, 0, 0, ())
    for (grammar, mistake), count in zip(found, each):
        walks = RandomWalks(TokenAutomaton(compile_grammar(grammar, vocabulary), None), vocabulary, usual)
        for begun in range(0, count, TOGETHER):
            total += judged(walks, min(TOGETHER, count - begun), next(seeds), mistake)
    print(f"{language}, {tokenizer}, seed {seed}: {total}")
    return total


EXPLAINED = {"python": ("unknown Unicode character name", "illegal target for annotation")}
"""Faults that `docs/grammars.md` tells of: `ast` refuses what the language's reference allows, or knows more names."""


def unexplained(language: str, found: Outcome) -> list[str]:
    return [fault for fault in found.faults if not any(said in fault for said in EXPLAINED.get(language, ()))]


@needs_spider
@pytest.mark.parametrize("language", LANGUAGES)
def test_random_walks_end_in_accepted_texts(language):
    found = outcome(language, "gpt2", 60, BOUND if language == "sql bound" else 3, seed=1)
    assert unexplained(language, found) == []


@needs_spider
@pytest.mark.long
@pytest.mark.parametrize(("tokenizer", "how_many"), [("llama3", 10_000), ("gpt2", 2_000)])
@pytest.mark.parametrize("language", LANGUAGES)
def test_thousands_of_random_walks_end_in_accepted_texts(language, tokenizer, how_many):
    seed = int(np.random.default_rng().integers(1 << 32))
    found = outcome(language, tokenizer, how_many, 100, seed)
    assert found.walks == how_many
    assert unexplained(language, found) == []
