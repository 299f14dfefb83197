"""Compiled programs at Llama 3's 128,256 tokens: how large, and how long from the file to an automaton.

    python -m benchmarks.build [--repeats N]

For a grammar of a program: `load` is from opening the file to an automaton that is ready (the file is mapped, its
checksums compared, its tables proved, a `TokenAutomaton` made), in a process that has done so before; `cached` is the
same from the compiler's own cache, `tables` is compiling with the vocabulary's trie at hand, and `trie` is making that,
as the first compilation for a tokenizer does. Times are CPU times of the thread, medians, in ms; what else runs on the
machine counts little.

Needs the Llama 3 vocabulary of the test data (SMCDSL_DATA).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import smcdsl
from benchmarks.masks import llama3
from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler import assemble
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.compiler.trie import build_trie
from smcdsl.engine.built import build_program, open_built
from smcdsl.library.binding import bind_hole
from smcdsl.vocabulary import Vocabulary

PROGRAMS = {
    "SQL": ('import sql\ngenerate {\n  text "[[x: sql.select()]]"\n}\n', {}),
    "Python": ('import python\ngenerate {\n  text "[[x: python.statements()]]"\n}\n', {}),
}


class TokenizerAlone:
    """As much of a model as a build asks for."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary


def milliseconds(work: Callable[[], Any], repeats: int) -> float:
    """The median CPU time of a call."""
    times = []
    for _ in range(repeats):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return 1e3 * statistics.median(times)


def load(path: Path, key: str, vocabulary: Vocabulary) -> TokenAutomaton:
    """From a file to an automaton."""
    built = open_built(path)
    assert built is not None
    tables = built.tables(key, vocabulary)
    assert tables is not None
    return built.automaton(tables, None, None)


def measure(name: str, folder: Path, vocabulary: Vocabulary, repeats: int) -> None:
    """One row."""
    text, inputs = PROGRAMS[name]
    path = folder / f"{name}.smc"
    path.write_text(f"smc 1\n{text}")
    program = smcdsl.load(path).program
    grammar = bind_hole(program, "x", inputs)
    cache = folder / "cache"
    target = path.with_suffix(".smcx")
    options = {"model_name": "llama3", "values": inputs, "state_limit": 100_000, "folder": folder}
    report = build_program(program, TokenizerAlone(vocabulary), target, **options)  # type: ignore[arg-type]
    key = assemble.fingerprint_of(grammar, vocabulary, 100_000)
    compile_grammar(grammar, vocabulary, cache_dir=cache)
    load(target, key, vocabulary)  # kernels are loaded

    def cached() -> None:
        assemble._trie.cache_clear()
        TokenAutomaton(compile_grammar(grammar, vocabulary, cache_dir=cache), None, None)

    from_file = milliseconds(lambda: load(target, key, vocabulary), repeats)
    from_cache = milliseconds(cached, repeats)
    tables = milliseconds(lambda: compile_grammar(grammar, vocabulary, cache_dir=None), 3)
    trie = milliseconds(lambda: build_trie(vocabulary), 3)
    states = report.holes[0].states
    ratio = (tables + trie) / from_file
    print(
        f"{name:<7} {states:>6,} states {report.size / 1e6:>5.1f} MB   load {from_file:>6.1f}"
        f"   cached {from_cache:>6.1f}   tables {tables:>7.1f}   trie {trie:>6.1f}   compiling / load {ratio:>5.1f}",
        flush=True,
    )


def main() -> None:
    """Both rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    if not llama3.is_there():
        sys.exit(f"needs {llama3.TOKENIZER_FILE} (set SMCDSL_DATA)")
    vocabulary = llama3.vocabulary()
    _ = vocabulary.fingerprint
    with tempfile.TemporaryDirectory() as folder:
        for name in PROGRAMS:
            measure(name, Path(folder), vocabulary, repeats)


if __name__ == "__main__":
    main()
