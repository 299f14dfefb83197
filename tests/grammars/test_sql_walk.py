"""Gold queries of Spider walk through the token automaton of their own schema, every token allowed."""

from __future__ import annotations

from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smcdsl.potentials.sql import specialize
from tokenizers import Tokenizer

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark
from tests.grammars.lark_reading import LarkReading
from tests.oracles.vocabularies import real_vocabulary
from tests.spider import DATA, names, needs_spider, rows, sample

FILE = Path(str(files("smcdsl.grammars").joinpath("sql.lark")))


def walks(automaton: TokenAutomaton, tokens: list[int], end: int) -> bool:
    """Whether each token, and at last the end of the turn, is allowed where it stands."""
    state = np.array([automaton.start])
    for token in [*tokens, end]:
        mask = automaton.masks(state)[0]
        if not mask[token >> 5] >> np.uint32(token & 31) & 1:
            return False
        state = automaton.advance(state, np.array([token]))
    return bool(automaton.finished(state)[0])


def refused(tokenizer: str, queries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(database, query) of the rows with a token that is not allowed; rows are grouped by database."""
    vocabulary = real_vocabulary(tokenizer)
    encoder = Tokenizer.from_file(str(DATA / "tokenizers" / tokenizer / "tokenizer.json"))
    free = load_lark(FILE.read_text(), name="sql.lark", start="select")
    found = []
    for db_id, group in groupby(queries, key=lambda row: row["db_id"]):
        grammar = specialize(free, "select", {"schema": names(db_id)})
        automaton = TokenAutomaton(compile_grammar(grammar, vocabulary, cache_dir=None), None)
        for row in group:
            tokens = encoder.encode(row["query"], add_special_tokens=False).ids
            if not walks(automaton, tokens, vocabulary.end_of_turn[0]):
                found.append((db_id, row["query"]))
    return found


@needs_spider
@pytest.mark.parametrize("tokenizer", ["gpt2", "llama3"])
def test_gold_queries_of_one_database_walk(tokenizer):
    queries = [row for row in rows("dev") if row["db_id"] == "concert_singer"][::3]
    assert refused(tokenizer, queries) == []


@needs_spider
@pytest.mark.long
@pytest.mark.parametrize("tokenizer", ["gpt2", "llama3"])
def test_two_thousand_gold_queries_walk(tokenizer):
    # One names a table that its database lacks.
    assert len(refused(tokenizer, sample(2000, "train", "dev"))) <= 2


@needs_spider
def test_sites_of_gold_queries_are_those_of_lark():
    free = load_lark(FILE.read_text(), name="sql.lark", start="select")
    grammar = specialize(free, "select", {"schema": names("concert_singer")})
    automaton = TokenAutomaton(compile_grammar(grammar, real_vocabulary("gpt2"), cache_dir=None), None)
    reading = LarkReading(grammar)
    rules = set(grammar.rules) & (set(grammar.boundaries) | set(grammar.boundary_of))
    queries = {row["query"] for row in rows("dev") if row["db_id"] == "concert_singer"}
    for query in sorted(queries):
        text = query.encode()
        sites = automaton.sites(text, True)
        wanted = [(grammar.boundary_of.get(rule, rule), part) for rule, part in reading.sites(query, rules)]
        assert sorted((site.rule, text[site.start : site.end].decode()) for site in sites) == sorted(wanted)
        for end in range(0, len(text), 5):
            assert set(automaton.sites(text[:end], False)) <= set(sites)


@needs_spider
def test_a_misspelt_column_does_not_walk():
    query = {"db_id": "concert_singer", "query": "SELECT nam FROM singer"}
    assert refused("gpt2", [query]) == [("concert_singer", "SELECT nam FROM singer")]
