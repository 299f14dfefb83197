"""Runs rows, methods and replicates, and grades what they give."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import smcdsl
from benchmarks.tasks.methods import Method
from benchmarks.tasks.record import Answer, Record, Records
from benchmarks.tasks.task import Row, Task, program_file
from smcdsl.engine import CompiledProgram
from smcdsl.engine.result import Result
from smcdsl.errors import UsageError
from smcdsl.protocols import LanguageModel

NO_ROOM = "E0805"


@dataclass(frozen=True)
class Options:
    """How often, and with how many particles; `together` replicates share a batch."""

    particles: int = 10
    replicates: int = 5
    ess: float = 0.9
    seed: int = 0
    together: int = 5
    temperature: float = 1.0


def run(
    task: Task,
    rows: Sequence[Row],
    methods: Sequence[Method],
    model: LanguageModel,
    options: Options,
    records: Records,
    told: Callable[[str], None] = lambda _: None,
) -> None:
    """Run what is not in the records yet, row by row, so that all methods have seen the same rows at any time."""
    for number, row in enumerate(rows, 1):
        for method in methods:
            missing = [r for r in range(options.replicates) if (row.id, method.name, r) not in records.done]
            if row.id in records.left_out or not missing:
                continue
            began = time.perf_counter()
            try:
                made = list(_cell(task, row, method, model, missing, options))
            except UsageError as error:
                if any(diagnostic.code != NO_ROOM for diagnostic in error.diagnostics):
                    raise
                records.leave_out(row.id, "the prompt does not fit into the model's context")
                continue
            records.add(made)
            mean = sum(record.mean() for record in made) / len(made)
            told(f"{number}/{len(rows)} {row.id} {method.name}: {mean:.3f} in {time.perf_counter() - began:.1f} s")


def _cell(
    task: Task, row: Row, method: Method, model: LanguageModel, replicates: Sequence[int], options: Options
) -> Iterator[Record]:
    """Some replicates of one method on one row."""
    program = _program(program_file(task, method.program))
    flags: dict[str, Any] = {"particles": options.particles, "max_tokens": task.max_tokens, **method.flags}
    flags["temperature"] = options.temperature
    if method.flags["infer"] == "smc":
        flags["ess"] = options.ess
    declared = {known.name for known in program.program.inputs}
    values = program.values({name: value for name, value in row.inputs.items() if name in declared})
    grades = cache(lambda answer: task.grade(row, answer))
    for start in range(0, len(replicates), options.together):
        batch = replicates[start : start + options.together]
        seeds = [seed_of(options.seed, row.id, replicate) for replicate in batch]
        results = program.run_many(model, [(values, seed) for seed in seeds], flags)
        tokens = sum(_tokens(result) for result in results)
        for replicate, seed, result in zip(batch, seeds, results, strict=True):
            share = _tokens(result) / tokens if tokens else 1 / len(results)
            yield _record(row, method, replicate, seed, result, share, grades)


def _record(
    row: Row,
    method: Method,
    replicate: int,
    seed: int,
    result: Result,
    share: float,
    grades: Callable[[str], dict[str, float]],
) -> Record:
    posterior = result.outcome.posterior
    # Without weights, what did not finish is a wrong answer.
    scale = 1.0 if method.weighted else float(posterior.finished.mean())
    answers = [Answer(str(item.value), scale * item.probability, grades(str(item.value))) for item in posterior.support]
    return Record(
        row.id,
        method.name,
        replicate,
        seed,
        answers,
        _tokens(result),
        {name: share * seconds for name, seconds in posterior.seconds.items()},
        {name: {count: share * number for count, number in counts.items()} for name, counts in posterior.calls.items()},
        float(posterior.ess),
        None if posterior.log_z is None or posterior.log_z == float("-inf") else float(posterior.log_z),
        posterior.resamplings,
        dict(posterior.deaths),
        posterior.complete,
    )


def seed_of(seed: int, row: str, replicate: int) -> int:
    """A run's seed; methods share it."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{row}:{replicate}".encode()).digest()[:4], "big")


def _tokens(result: Result) -> int:
    return int(result.outcome.posterior.tokens["target"])


@cache
def _program(file: Path) -> CompiledProgram:
    return smcdsl.load(file)
