"""A hundred JSON schemas, each a grammar of its own: what compiling costs, and masks along their instances.

What is timed for a language (`measure`) is timed for each schema, with its three instances for texts. Compiling cold is
timed the second time: then the automata of a schema's terminals are known, as they are once any schema with such texts
has been read.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from benchmarks.masks import measure
from benchmarks.masks.corpora import Text
from benchmarks.masks.engines import Engine, Engines, Smcdsl, wait_for_blocks
from benchmarks.masks.measure import Batches, Singles
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.json_schema import load_json_schema
from smcdsl.program.grammar import Grammar
from smcdsl.vocabulary import Vocabulary

SCHEMAS = Path(__file__).parent / "data" / "schemas.jsonl.gz"
NAME = "schemas"

_BATCHES_OF = 5
"""Batches follow one schema of so many that have long instances."""


@dataclass(frozen=True)
class Schema:
    """A schema with instances of it."""

    name: str
    text: str
    instances: tuple[str, ...]

    def grammar(self) -> Grammar:
        """This project's reading of it."""
        return load_json_schema(self.text, name=self.name, whitespace="free")

    def texts(self, tokenizer: Tokenizer) -> list[Text]:
        """The instances as a model would write them."""
        return [Text(i, tuple(tokenizer.encode(i, add_special_tokens=False).ids)) for i in self.instances]


@cache
def schemas() -> tuple[Schema, ...]:
    """All of them, in the order of the file."""
    rows = [json.loads(line) for line in gzip.decompress(SCHEMAS.read_bytes()).splitlines()]
    return tuple(
        Schema(
            row["name"], json.dumps(row["schema"]), tuple(json.dumps(i, ensure_ascii=False) for i in row["instances"])
        )
        for row in rows
    )


class Schemas:
    """Runs them through the engines; peers have no figures for what they refuse."""

    def __init__(self, engines: Engines, tokenizer: Tokenizer, which: tuple[Schema, ...] | None = None) -> None:
        self._engines = engines
        self._all = [(schema, schema.texts(tokenizer)) for schema in (schemas() if which is None else which)]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[tuple[Schema, list[Text]]]:
        return iter(self._all)

    @property
    def texts(self) -> list[list[Text]]:
        """The instances, by schema."""
        return [texts for _, texts in self._all]

    def compile(self) -> dict[str, NDArray[np.float64]]:
        """Milliseconds a schema: of our parts cold, of all of them cached, and of the peers."""
        vocabulary, folder = self._engines.vocabulary, self._engines.cache / NAME
        found: dict[str, list[float]] = {}
        for peer in self._engines.peers:
            self._engines.tokenizer(peer)
        for schema, _ in self._all:
            for again in (False, True):
                cold = _compile(schema, vocabulary, None)
                cached = _compile(schema, vocabulary, folder)
                if again:
                    for name, cost in zip(("read", "tables", "automaton"), cold):
                        found.setdefault(name, []).append(cost)
                    found.setdefault("cold", []).append(sum(cold))
                    found.setdefault("cached", []).append(sum(cached))
            for peer in self._engines.peers:
                began = time.thread_time()
                if self._peer(peer, schema) is not None:
                    found.setdefault(peer, []).append((time.thread_time() - began) * 1e3)
        return {name: np.array(costs) for name, costs in found.items()}

    def singles(self, rounds: int, budget: float) -> Singles:
        """Masks of all schemas together; a peer stops at a schema after its share of the budget."""
        total = Singles.empty(self._engines.peers)
        for number, (schema, texts) in enumerate(self._all):
            ours, peers = self._open(schema)
            found = measure.singles(ours, peers, texts, rounds, budget / len(self._all))
            total.include(found, number * len(texts), schema.name)
        return total

    def batches(self, num_particles: int, budget: float) -> Batches:
        """Means over some schemas; those that a peer refuses are left out of its mean."""
        found = []
        long = [(schema, texts) for schema, texts in self._all if any(measure.is_long(text) for text in texts)]
        for schema, texts in long[::_BATCHES_OF]:
            ours, peers = self._open(schema)
            found.append(measure.batches({ours.name: ours, **peers}, texts, num_particles, budget / len(self._all)))
        return Batches.mean(found)

    def _open(self, schema: Schema) -> tuple[Smcdsl, dict[str, Engine]]:
        ours = self._engines.smcdsl_of_schema(schema.grammar())
        opened = {name: self._peer(name, schema) for name in self._engines.peers}
        return ours, {name: peer for name, peer in opened.items() if peer is not None}

    def _peer(self, name: str, schema: Schema) -> Engine | None:
        try:
            return self._engines.peer_of_schema(name, schema.text)
        except ValueError:
            return None


def _compile(schema: Schema, vocabulary: Vocabulary, folder: Path | None) -> list[float]:
    """Milliseconds for reading, tables and the automaton."""
    times = [time.thread_time()]
    grammar = schema.grammar()
    times.append(time.thread_time())
    tables = compile_grammar(grammar, vocabulary, cache_dir=folder)
    times.append(time.thread_time())
    automaton = TokenAutomaton(tables, None, folder)
    times.append(time.thread_time())
    wait_for_blocks(automaton)
    return (np.diff(times) * 1e3).tolist()
