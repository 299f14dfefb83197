"""A hundred JSON schemas, each a grammar of its own: what compiling costs, and masks along their instances.

    python -m benchmarks.masks.schemas [--no-peer]

Each schema is compiled twice; the second time the automata of its terminals are known, as they are once any schema
with such texts has been read. Masks: the first instance fills the memory, the others are timed. CPU time of the
calling thread; llguidance replays the same instances in the same run, and keeps no masks.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.masks import llama3
from benchmarks.masks.corpora import Text
from benchmarks.masks.engines import Llguidance
from benchmarks.masks.measure import clock_cost, replay
from benchmarks.masks.report import number, summary, table
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.json_schema import load_json_schema
from smcdsl.vocabulary import Vocabulary

SCHEMAS = Path(__file__).parent / "data" / "schemas.jsonl.gz"


class OurSchema:
    """One schema's automaton, and the milliseconds of its parts."""

    name = "smcdsl"

    def __init__(self, schema: Any, name: str, vocabulary: Vocabulary) -> None:
        times = [time.thread_time()]
        grammar = load_json_schema(json.dumps(schema), name=name, whitespace="free")
        times.append(time.thread_time())
        tables = compile_grammar(grammar, vocabulary)
        times.append(time.thread_time())
        self.automaton = TokenAutomaton(tables, None)
        times.append(time.thread_time())
        self.milliseconds = np.diff(times) * 1e3

    def matcher(self) -> Any:
        from benchmarks.masks.engines import _SmcdslMatcher

        return _SmcdslMatcher(self.automaton)


class PeerSchema(Llguidance):
    """The same schema in llguidance."""

    def __init__(self, schema: Any, vocabulary: Vocabulary, tokenizer: Any) -> None:
        from llguidance import LLMatcher

        began = time.thread_time()
        self._open(LLMatcher.grammar_from_json_schema(json.dumps(schema)), vocabulary, tokenizer)
        self.milliseconds = np.array([(time.thread_time() - began) * 1e3])


def measure(vocabulary: Vocabulary, with_peer: bool) -> None:
    """Print both tables."""
    tokenizer = llama3.tokenizer()
    rows = [json.loads(line) for line in gzip.decompress(SCHEMAS.read_bytes()).splitlines()]
    peer_tokenizer = Llguidance.tokenizer(llama3.TOKENIZER_FILE, vocabulary) if with_peer else None
    cost = clock_cost()
    parts: list[NDArray[np.float64]] = []
    peer_parts: list[float] = []
    masks: dict[str, list[NDArray[np.float64]]] = {"smcdsl": [], "llguidance": []}
    refused = 0
    for row in rows:
        OurSchema(row["schema"], row["name"], vocabulary).automaton._machine.blocks.wait()
        ours = OurSchema(row["schema"], row["name"], vocabulary)
        parts.append(ours.milliseconds)
        ours.automaton._machine.blocks.wait()
        texts = [_text(instance, tokenizer) for instance in row["instances"]]
        replay(ours, texts[0], cost)
        masks["smcdsl"] += [replay(ours, text, cost)[0] for text in texts[1:]]
        if with_peer:
            try:
                theirs = PeerSchema(row["schema"], vocabulary, peer_tokenizer)
                peer_parts.append(float(theirs.milliseconds[0]))
                masks["llguidance"] += [replay(theirs, text, cost)[0] for text in texts[1:]]
            except ValueError:
                refused += 1
    _print_compile(np.array(parts), np.array(peer_parts))
    series = {name: np.concatenate(found) for name, found in masks.items() if found}
    print(
        "\n"
        + table(
            ["masks, us", "steps", "mean", "median", "p99", "max"],
            [[n, str(len(c)), *summary(c)] for n, c in series.items()],
        )
    )
    if refused:
        print(f"llguidance refuses {refused} of {len(rows)} schemas, or an instance of theirs")


def _print_compile(ours: NDArray[np.float64], peer: NDArray[np.float64]) -> None:
    columns = {"read": ours[:, 0], "tables": ours[:, 1], "automaton": ours[:, 2], "all": ours.sum(axis=1)}
    if len(peer):
        columns["llguidance, all"] = peer
    rows = [[name, *(number(float(np.percentile(c, q))) for q in (50, 90, 100))] for name, c in columns.items()]
    print(table(["compile, ms", "median", "p90", "max"], rows))


def _text(instance: Any, tokenizer: Any) -> Text:
    text = json.dumps(instance, ensure_ascii=False)
    return Text(text, tuple(tokenizer.encode(text, add_special_tokens=False).ids))


def main() -> int:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.masks.schemas", description=__doc__.splitlines()[0])
    parser.add_argument("--no-peer", action="store_true", help="without llguidance")
    options = parser.parse_args()
    if not llama3.is_there():
        print(f"needs {llama3.TOKENIZER_FILE} (set SMCDSL_DATA)", file=sys.stderr)
        return 1
    measure(llama3.vocabulary(), not options.no_peer and find_spec("llguidance") is not None)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
