"""`smcdsl run --batch`: one line in, one line out, in order; every line with its own status."""

from __future__ import annotations

import json
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
    with Lines(options) as lines, WorkerPools() as pools:
        for start in range(0, len(rows), options.jobs):
            for made in _run_rows(program, model, options, source.name, rows[start : start + options.jobs], pools):
                lines.add(json.dumps(made, ensure_ascii=False))
                codes.append(made["exit_code"])
    if failed := sum(code != exits.SUCCESS for code in codes):
        terminal.note(f"{failed} of {len(codes)} rows failed")
    return exits.most_severe(codes)


def _run_rows(
    program: CompiledProgram,
    model: LanguageModel,
    options: Options,
    file: str,
    rows: list[tuple[int, str]],
    pools: WorkerPools,
) -> list[dict[str, Any]]:
    """Records of some rows, run side by side; one by one if that fails, so that only the culprit does."""
    made: dict[int, dict[str, Any]] = {}
    values: dict[int, dict[str, Any]] = {}
    for number, line in rows:
        try:
            values[number] = row_values(program, options.texts, file, number, line)
        except SmcdslError as error:
            made[number] = _failed(number, error)
    groups = [list(values)] if values else []
    while groups:
        group = groups.pop(0)
        try:
            requests = [(values[number], None) for number in group]
            results = program.run_many(model, requests, options.flags, pools=pools)
        except SmcdslError as error:
            if len(group) > 1:
                groups = [[number] for number in group] + groups
            else:
                made[group[0]] = _failed(group[0], error)
            continue
        for number, result in zip(group, results, strict=True):
            made[number] = _done(number, result, options)
    return [made[number] for number, _ in rows]


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
