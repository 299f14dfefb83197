"""One engine and one language in a process of their own: what compiling costs, the first mask, and memory.

    python -m benchmarks.masks.alone ENGINE LANGUAGE CACHE_FOLDER [first-run] < TOKENS.json

Prints a JSON object. What depends on the vocabulary alone is made before and told apart. numba's own compilation is
out of the way before the clock starts, by a grammar of two words, unless `first-run` is asked for. Compiling and the
first mask are timed by what the calling thread waits for, peers by all their threads; what our thread makes ahead
meanwhile has columns of its own (`blocks`).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.masks import llama3
from benchmarks.masks.corpora import Text


def alone(engine: str, language: str, texts: Sequence[Text], cache: Path, first_run: bool = False) -> dict[str, float]:
    """Run this file in a fresh process. Raises CalledProcessError with what it printed."""
    environment = dict(os.environ)
    with tempfile.TemporaryDirectory() as empty:
        if first_run:
            environment["NUMBA_CACHE_DIR"] = empty
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.masks.alone",
                engine,
                language,
                str(cache),
                *["first-run"][: int(first_run)],
            ],
            input=json.dumps([text.tokens for text in texts]),
            capture_output=True,
            text=True,
            check=True,
            env=environment,
            cwd=Path(__file__).parents[2],
        )
    return json.loads(done.stdout)


def resident() -> float:
    """Megabytes of this process in memory, after giving back what its allocator holds in store."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _main(name: str, language: str, cache: Path, first_run: bool, texts: list[list[int]]) -> dict[str, float]:
    vocabulary = llama3.vocabulary()
    if name == "smcdsl" and not first_run:
        _warm_numba()
    figures: dict[str, float] = {"resident_before": resident()}
    made, figures["vocabulary_ms"], _ = _timed(lambda: _vocabulary_part(name, vocabulary, cache))
    figures["resident_vocabulary"] = resident()
    ours = name == "smcdsl"
    clock = time.thread_time if ours else time.process_time
    before = time.process_time() - time.thread_time()
    engine, figures["compile_ms"], figures["compile_wall_ms"] = _timed(
        lambda: _open(name, language, vocabulary, cache, made), clock
    )
    matcher = engine.matcher()
    _, figures["first_mask_ms"], _ = _timed(matcher.fill, clock)
    if ours:
        engine.wait()
        figures["blocks_seconds"] = time.process_time() - time.thread_time() - before
        figures["blocks_disk"] = sum(path.stat().st_size for path in cache.rglob("*.blocks")) / 1e6
    figures["resident_compiled"] = resident()
    for tokens in texts:
        matcher = engine.matcher()
        for token in tokens:
            matcher.fill()
            matcher.accept(token)
        matcher.fill()
    figures["resident_replayed"] = resident()
    return figures


def _timed(action: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> tuple[Any, float, float]:
    """What it gives, and milliseconds of CPU by `clock` and of the wall clock."""
    began, used = time.perf_counter(), clock()
    value = action()
    return value, (clock() - used) * 1e3, (time.perf_counter() - began) * 1e3


def _vocabulary_part(name: str, vocabulary: Any, cache: Path) -> Any:
    from benchmarks.masks.engines import Llguidance, Xgrammar
    from smcdsl.compiler.assemble import vocabulary_trie

    if name == "llguidance":
        return Llguidance.tokenizer(llama3.TOKENIZER_FILE, vocabulary)
    if name == "xgrammar":
        return Xgrammar.tokenizer(vocabulary)
    return vocabulary_trie(vocabulary, cache)


def _open(name: str, language: str, vocabulary: Any, cache: Path, made: Any) -> Any:
    from benchmarks.masks.engines import Llguidance, Smcdsl, Xgrammar

    if name == "llguidance":
        return Llguidance(language, vocabulary, made)
    if name == "xgrammar":
        return Xgrammar(language, vocabulary, made)
    return Smcdsl(language, vocabulary, cache)


def _warm_numba() -> None:
    from benchmarks.masks.engines import Smcdsl
    from smcdsl.automaton.automaton import TokenAutomaton
    from smcdsl.compiler.assemble import compile_grammar
    from smcdsl.notations.lark import load_lark
    from smcdsl.vocabulary import Vocabulary

    letters = Vocabulary((*[bytes([byte]) for byte in range(256)], b""), (256,))
    grammar = load_lark('start: "a" start | NAME\nNAME: /[b-z]+/\nB: " "\n%ignore B\n', name="warm")
    small = Smcdsl.__new__(Smcdsl)
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(2):
            small.automaton = TokenAutomaton(compile_grammar(grammar, letters, cache_dir=Path(cache)), None)
            matcher = small.matcher()
            for byte in b"a b":
                matcher.fill()
                matcher.accept(byte)


if __name__ == "__main__":
    print(
        json.dumps(
            _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), "first-run" in sys.argv[4:], json.load(sys.stdin))
        )
    )
