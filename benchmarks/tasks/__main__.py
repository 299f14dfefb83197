"""Run the ablation on a task and print its tables.

    python -m benchmarks.tasks spider --model tiny --limit 20
    python -m benchmarks.tasks molecules --model FOLDER --methods lm,lcd,smc --out molecules.jsonl
    python -m benchmarks.tasks spider --out spider.jsonl --report        only print what there is

A run that was stopped goes on where it was if it is started again with the same --out. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import smcdsl
from benchmarks.tasks import report
from benchmarks.tasks.methods import METHODS, chosen
from benchmarks.tasks.record import OtherSetting, Records
from benchmarks.tasks.runner import Options, run
from benchmarks.tasks.task import MissingData, Task
from smcdsl.report.diagnostics import render

TASKS = ("spider", "molecules", "planetarium", "ds1000")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser("python -m benchmarks.tasks", description=__doc__, formatter_class=_Plain)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--model", default="tiny", help="a folder, an alias, ORG/NAME, or tiny, the embedded one")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--methods", default="all", help=f"of {', '.join(METHODS)}; default all")
    parser.add_argument("--limit", type=int, help="rows; default all (molecules: 100)")
    parser.add_argument("--particles", type=int, default=10)
    parser.add_argument("--ess", type=float, default=0.9, help="resample below this share of the particles")
    parser.add_argument("--replicates", type=int, default=5)
    parser.add_argument("--together", type=int, default=5, help="replicates in one batch; 1 for clean times")
    parser.add_argument("--max-tokens", type=int, help="the most that a particle writes; default the task's")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the model, whatever the method")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prompt", choices=("none", "examples"), default="none", help="of molecules and planetarium")
    parser.add_argument("--out", type=Path, help="file of finished runs; default TASK.jsonl")
    parser.add_argument("--report", action="store_true", help="run nothing, print the tables of --out")
    parser.add_argument("--quiet", action="store_true", help="do not tell of every finished cell")
    options = parser.parse_args(arguments)
    out = options.out or Path(f"{options.task}.jsonl")
    try:
        chosen(options.methods)
        task = make_task(options.task, options.prompt)
        records = Records.read(out) if options.report else _run(options, task, out)
    except smcdsl.SmcdslError as error:
        print(render(error.diagnostics), file=sys.stderr)
        return 1
    except (MissingData, OtherSetting, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(report.text(task, records, [method.name for method in chosen(options.methods)]))
    return 0


def make_task(name: str, prompt: str = "none") -> Task:
    """The task of that name. Raises MissingData if a library that it needs is missing."""
    if name == "spider":
        from benchmarks.tasks.spider import Spider

        return Spider()
    if name == "molecules":
        from benchmarks.tasks.molecules import Molecules

        return Molecules(prompt)
    if name == "planetarium":
        from benchmarks.tasks.planetarium import Planetarium

        return Planetarium(prompt)
    from benchmarks.tasks.ds1000 import Ds1000

    return Ds1000()


def _run(options: argparse.Namespace, task: Task, out: Path) -> Records:
    methods = chosen(options.methods)
    if options.max_tokens is not None:
        task.max_tokens = options.max_tokens
    rows = task.rows(options.limit)
    # Threads of small matrix products wait for each other; a large model's owner sets the number.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    model = smcdsl.model(options.model, dtype=options.dtype)
    facts = {name: value for name, value in model.description.items() if name not in ("source", "device")}
    facts["name"] = Path(options.model).name
    setting = {
        "task": task.programs,
        "model": facts,
        "particles": options.particles,
        "ess": options.ess,
        "seed": options.seed,
        "max_tokens": task.max_tokens,
        "version": smcdsl.__version__,
    }
    if options.temperature != 1.0:
        setting["temperature"] = options.temperature
    records = Records(out, setting)
    together = max(options.together, 1)
    how = Options(options.particles, options.replicates, options.ess, options.seed, together, options.temperature)
    told: Callable[[str], None] = (lambda _: None) if options.quiet else _tell
    run(task, rows, methods, model, how, records, told)
    return records


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class _Plain(argparse.RawDescriptionHelpFormatter):
    pass


if __name__ == "__main__":
    sys.exit(main())
