"""`smcdsl run --batch`: one line in, one line out, in order; every line with its own status.

A line is written as soon as it and all before it are finished; on Ctrl-C also those that others are still before.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from typing import TYPE_CHECKING, Any

from smcdsl.cli import exits
from smcdsl.cli.asked import Lines, Options
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import BudgetExceeded, Diagnostic, SmcdslError, UsageError
from smcdsl.report.diagnostics import record

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram
    from smcdsl.engine.result import Result
    from smcdsl.protocols import LanguageModel
    from smcdsl.workers import WorkerPools


def run_batch(terminal: Terminal, program: CompiledProgram, options: Options) -> int:
    """Run every row; the most severe code."""
    from smcdsl.engine import read_source
    from smcdsl.workers import WorkerPools

    assert options.batch is not None, "called for --batch only"
    source = read_source(options.batch)
    rows = [(number, line) for number, line in enumerate(source.text.split("\n"), 1) if line.strip()]
    model = program.load_model(None, program.settings(**options.flags))
    codes: list[int] = []
    made: dict[int, dict[str, Any]] = {}

    def write_made(numbers: Iterable[int]) -> None:
        for number in numbers:
            codes.append(made[number]["exit_code"])
            lines.add(json.dumps(made.pop(number), ensure_ascii=False))

    with Lines(options) as lines, WorkerPools() as pools:
        waiting = deque(number for number, _ in rows)
        try:
            with closing(_records(program, model, options, source.name, rows, pools)) as records:
                for number, record in records:
                    made[number] = record
                    while waiting and waiting[0] in made:
                        write_made([waiting.popleft()])
        except KeyboardInterrupt:
            write_made(sorted(made))
            terminal.note(f"interrupted: {len(codes)} of {len(rows)} rows were finished")
            return exits.INTERRUPTED
    if failed := sum(code != exits.SUCCESS for code in codes):
        terminal.note(f"{failed} of {len(codes)} rows failed")
    return exits.most_severe(codes)


def _records(
    program: CompiledProgram,
    model: LanguageModel,
    options: Options,
    file: str,
    rows: list[tuple[int, str]],
    pools: WorkerPools,
) -> Generator[tuple[int, dict[str, Any]], None, None]:
    """The numbers of rows and their records, as they are made."""
    from smcdsl.engine.batches import run_in_line

    values: dict[int, dict[str, Any]] = {}
    for number, line in rows:
        try:
            values[number] = row_values(program, options.texts, file, number, line)
        except SmcdslError as error:
            yield number, _failed(number, error)
    numbers, requests = list(values), [(row, None) for row in values.values()]
    for place, found in run_in_line(program, model, requests, options.flags, jobs=options.jobs, pools=pools):
        number = numbers[place]
        if isinstance(found, SmcdslError):
            yield number, _failed(number, found)
        else:
            yield number, _done(number, found, options)


def row_values(
    program: CompiledProgram, given: dict[str, list[str]], file: str, number: int, line: str
) -> dict[str, Any]:
    """The inputs of one line, and those `given` on the command line that it does not name. Raises UsageError."""
    from smcdsl.engine.inputs import read_inputs, row_of

    try:
        row = json.loads(line)
    except ValueError as error:
        fact = f"{getattr(error, 'msg', error)} at column {getattr(error, 'colno', 1)}"
        raise UsageError(
            Diagnostic("E0802", "this line is not JSON", context=f"{file}:{number}", facts=(fact.lower(),))
        ) from error
    if not isinstance(row, dict):
        raise UsageError(Diagnostic("E0802", "this line is not a JSON object", context=f"{file}:{number}"))
    texts = {name: values for name, values in given.items() if name not in row}
    return read_inputs(program.program, texts, row, row_of(file, number))


def _failed(number: int, error: SmcdslError) -> dict[str, Any]:
    diagnostics = [record(diagnostic) for diagnostic in error.diagnostics]
    return {
        "line": number,
        "status": "error",
        "exit_code": exits.code_of(error),
        "error": diagnostics[0],
        "errors": diagnostics,
    }


def _done(number: int, result: Result, options: Options) -> dict[str, Any]:
    failure = result.failure
    status = "ok" if failure is None else "incomplete" if isinstance(failure, BudgetExceeded) else "error"
    code = exits.SUCCESS if failure is None else exits.code_of(failure)
    return {"line": number, "status": status, "exit_code": code, **result.as_json(options.view)}
