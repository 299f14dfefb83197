"""What the jail costs: start, checks a second, and `python.no_error` at every statement by token of the program.

    python -m benchmarks.jail [--rows 60] [--wasm]

The programs are reference solutions of DS-1000 (`$SMCDSL_DATA/ds1000`), run and not learnt from, with the code of their
prompts as setup; each is judged at the end of every statement, as a single particle would be. Tokens are StarCoder's.
Besides the wall clock the processor time of all processes is told, since a busy machine shows in the former.
`--wasm` measures the rung of WebAssembly instead, its start and its checks only.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from smcdsl.potentials import _jail, python
from smcdsl.potentials._jail_report import Program

DATA = Path(os.environ.get("SMCDSL_DATA", "../shared/data"))
TICKS = os.sysconf("SC_CLK_TCK")
STDLIB = Program("xs = [3, 1, 2]", "ys = sorted(x * x for x in xs)\nassert ys[0] == 1")
PANDAS = Program(
    "import pandas as pd\ndf = pd.DataFrame({'a': [1, 1, 2], 'b': [1.0, 2.0, 4.0]})", "r = df.groupby('a').b.mean()"
)
PURE = """
def mean(values):
    return sum(values) / len(values)

words = "the cat sat on the mat".split()
counts = {}
for word in words:
    counts[word] = counts.get(word, 0) + 1
ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
longest = max(words, key=len)
average = mean([len(word) for word in words])
result = [word for word, number in ordered if number > 1]
"""


def processor_seconds() -> float:
    """Of this process and of all below it, those that ended included."""
    stats = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            stats[int(entry)] = (int(fields[1]), sum(map(int, fields[11:15])) / TICKS)
    found = {os.getpid()}
    while more := {process for process, (parent, _) in stats.items() if parent in found} - found:
        found |= more
    return sum(stats[process][1] for process in found)


def rate(jail: _jail.Jail, program: Program, number: int) -> str:
    """Checks a second, many at a time."""
    jail.run_all([program] * (number // 10))
    cpu, wall = processor_seconds(), time.perf_counter()
    assert all(report.ok for report in jail.run_all([program] * number))
    cpu, wall = processor_seconds() - cpu, time.perf_counter() - wall
    alone = []
    for _ in range(number // 5):
        began = time.perf_counter()
        jail.run_all([program])
        alone.append(1e3 * (time.perf_counter() - began))
    ways = f"one alone {min(alone):.1f} ms at best, {statistics.median(alone):.1f} in the median"
    return f"{number / wall:.0f} checks/s by the clock, {1e3 * cpu / number:.2f} ms of CPU each; {ways}"


def measure(opened: Callable[[], _jail.Jail], stdlib: int, pandas: int) -> None:
    """Print what opening a jail and so many checks in it cost."""
    cpu, began = processor_seconds(), time.perf_counter()
    jail = opened()
    wall = time.perf_counter() - began
    cpu = processor_seconds() - cpu
    print(f"{jail.rung}: opens with its self-test in {wall:.2f} s, {cpu:.2f} of CPU; load {os.getloadavg()[0]:.1f}")
    print("stdlib:", rate(jail, STDLIB, stdlib))
    print("pandas:", rate(jail, PANDAS, pandas))
    jail.close()


def prefixes(code: str) -> list[str]:
    """The beginnings of a program that end where a statement ends."""
    starts = [0]
    for line in code.encode().split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.stmt)]
    ends = {starts[node.end_lineno - 1] + node.end_col_offset for node in nodes if node.end_lineno}
    return [code.encode()[:end].decode() for end in sorted(ends)]


def programs(rows: int) -> list[tuple[str, str]]:
    """(setup, code) of pandas programs of DS-1000 that run."""
    found = []
    with gzip.open(DATA / "ds1000" / "problems.jsonl.gz", "rt") as file:
        for row in map(json.loads, file):
            if row["metadata"]["library"] != "Pandas" or len(found) == rows:
                continue
            setup = "\n".join(re.findall(r"<code>\n(.*?)</code>", row["prompt"], re.DOTALL)[:1])
            code = row["reference_code"].strip("\n") + "\n"
            try:
                runs = python.no_error(setup, [code])[0]
            except ValueError:
                continue
            if runs:
                found.append((setup, code))
    return found


def by_token(jobs: list[tuple[str, str]], count: Callable[[str], int]) -> str:
    """The cost of judging every beginning of programs, by their tokens."""
    python._kept.clear()
    tokens = checks = 0
    walls = []
    cpu, wall = processor_seconds(), time.perf_counter()
    for setup, code in jobs:
        began = time.perf_counter()
        for prefix in prefixes(code):
            assert python._no_error_so_far(setup, [prefix])[0]
            checks += 1
        assert python.no_error(setup, [code])[0]
        walls.append(1e3 * (time.perf_counter() - began) / count(code))
        tokens += count(code)
    cpu, wall = processor_seconds() - cpu, time.perf_counter() - wall
    return (
        f"{len(jobs)} programs, {tokens} tokens, {checks} boundaries: {1e3 * cpu / tokens:.3f} ms of CPU a token, "
        f"{1e3 * wall / tokens:.3f} by the clock; median program {statistics.median(walls):.3f}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=60)
    parser.add_argument("--wasm", action="store_true")
    chosen = parser.parse_args()
    if chosen.wasm:
        measure(lambda: _jail.Jail(monty=False, cpython=False), 200, 20)
        return
    from tokenizers import Tokenizer

    encoder = Tokenizer.from_file(str(DATA / "tokenizers" / "starcoder" / "tokenizer.json"))

    def count(text: str) -> int:
        return len(encoder.encode(text, add_special_tokens=False).ids)

    measure(lambda: _jail.Jail(monty=False), 400, 100)
    jail = _jail.open_jail()
    print(jail.rung)
    jobs = programs(chosen.rows)
    print("pandas, DS-1000:", by_token(jobs, count))
    # Another program each time, so that no verdict is remembered.
    pure = [("", f"base = {number}{PURE}") for number in range(200)]
    print("pure:", by_token(pure, count))


if __name__ == "__main__":
    main()
