"""One engine and one language in a process of their own: what compiling costs, the first mask, and memory.

    python -m benchmarks.masks.alone ENGINE LANGUAGE CACHE_FOLDER [first-run] < TOKENS.json

The language may be `schemas`: all of them are compiled and kept, and the figures are means of one.
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
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.masks import llama3
from benchmarks.masks.corpora import Text
from smcdsl.vocabulary import Vocabulary


def alone(
    engine: str, language: str, texts: Sequence[Sequence[Text]], cache: Path, first_run: bool = False
) -> dict[str, float]:
    """Run this file in a fresh process. Raises CalledProcessError with what it printed.

    Args:
        texts: to replay, of each grammar.
    """
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
            input=json.dumps([[text.tokens for text in some] for some in texts]),
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


def _main(name: str, language: str, cache: Path, first_run: bool, texts: list[list[list[int]]]) -> dict[str, float]:
    vocabulary = llama3.vocabulary()
    if name == "smcdsl" and not first_run:
        _warm_numba()
    figures: dict[str, float] = {"resident_before": resident()}
    made, figures["vocabulary_ms"], _ = _timed(lambda: _vocabulary_part(name, vocabulary, cache))
    figures["resident_vocabulary"] = resident()
    ours = name == "smcdsl"
    clock = time.thread_time if ours else time.process_time
    before = time.process_time() - time.thread_time()
    figures |= {"compile_ms": 0.0, "compile_wall_ms": 0.0, "first_mask_ms": 0.0, "refused": 0.0}
    engines: list[tuple[Any, list[list[int]]]] = []
    for open_engine, its_texts in zip(_openers(name, language, vocabulary, cache, made), texts):
        try:
            engine, cpu, wall = _timed(open_engine, clock)
        except ValueError:
            if len(texts) == 1:
                raise
            figures["refused"] += 1
            continue
        _, first, _ = _timed(engine.matcher().fill, clock)
        for key, cost in (("compile_ms", cpu), ("compile_wall_ms", wall), ("first_mask_ms", first)):
            figures[key] += cost
        engines.append((engine, its_texts))
        if ours:
            engine.wait()
    if ours:
        figures["blocks_seconds"] = time.process_time() - time.thread_time() - before
        figures["blocks_disk"] = sum(path.stat().st_size for path in cache.rglob("*.blocks")) / 1e6
    figures["resident_compiled"] = resident()
    for engine, its_texts in engines:
        _replay(engine, its_texts)
    figures["resident_replayed"] = resident()
    return _of_one(figures, len(engines))


def _replay(engine: Any, texts: list[list[int]]) -> None:
    for tokens in texts:
        matcher = engine.matcher()
        # A peer may refuse an instance of a schema that it took.
        with contextlib.suppress(ValueError):
            for token in tokens:
                matcher.fill()
                matcher.accept(token)
            matcher.fill()


def _of_one(figures: dict[str, float], grammars: int) -> dict[str, float]:
    """Means of one grammar; what the vocabulary costs is paid once."""
    base = figures["resident_vocabulary"]
    for key in ("compile_ms", "compile_wall_ms", "first_mask_ms", "blocks_seconds", "blocks_disk"):
        if key in figures:
            figures[key] /= grammars
    for key in ("resident_compiled", "resident_replayed"):
        figures[key] = base + (figures[key] - base) / grammars
    return figures


def _openers(name: str, language: str, vocabulary: Vocabulary, cache: Path, made: Any) -> list[Callable[[], Any]]:
    """What opens the engine of each grammar."""
    from benchmarks.masks.engines import Llguidance, Smcdsl, Xgrammar, grammar_of
    from benchmarks.masks.schemas import NAME, schemas

    every = schemas() if language == NAME else ()
    if name == "smcdsl":
        readers: list[Callable[[], Any]] = [schema.grammar for schema in every] or [
            partial(grammar_of, language, cache=cache)
        ]
        return [partial(_opened, Smcdsl, read, vocabulary, cache) for read in readers]
    kind: Any = {"llguidance": Llguidance, "xgrammar": Xgrammar}[name]
    readers = [partial(kind.of_schema, schema.text) for schema in every] or [partial(kind.of_language, language)]
    return [partial(_opened, kind, read, vocabulary, made) for read in readers]


def _opened(kind: Any, read: Callable[[], Any], vocabulary: Vocabulary, made: Any) -> Any:
    return kind(read(), vocabulary, made)


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


def _warm_numba() -> None:
    from benchmarks.masks.engines import Smcdsl
    from smcdsl.notations.lark import load_lark

    letters = Vocabulary((*[bytes([byte]) for byte in range(256)], b""), (256,))
    grammar = load_lark('start: "a" start | NAME\nNAME: /[b-z]+/\nB: " "\n%ignore B\n', name="warm")
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(2):
            small = Smcdsl(grammar, letters, Path(cache))
            matcher = small.matcher()
            for byte in b"a b":
                matcher.fill()
                matcher.accept(byte)
            small.wait()


if __name__ == "__main__":
    print(
        json.dumps(
            _main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), "first-run" in sys.argv[4:], json.load(sys.stdin))
        )
    )
