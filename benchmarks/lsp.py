"""How long an editor waits: `python -m benchmarks.lsp`.

A program of about 200 lines is opened in `smcdsl lsp` over its pipes and typed into, a character at a time, in each
kind of line; measured is the time from sending the changed text to having read its diagnostics, and how long the
other requests take at the place of the keystroke. `check` is measured as a process of its own, started again and
again with warm caches.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
REQUESTS = ("documentSymbol", "foldingRange", "semanticTokens/full", "codeLens")
AT_PLACES = ("completion", "hover", "definition")


def program(kind: str) -> str:
    """A program of about 200 lines: many grammars, potentials, turns and factors around one library."""
    library = {
        "sql": (
            "sql",
            "input db: sqlite",
            'sql.select(dialect: "sqlite", schema: db) where tokens <= 200',
            ["sql.runs(answer, db) at clause", "sql.known_column(c, answer, db) each c in answer.column"],
        ),
        "python": (
            "python",
            "input setup: file",
            'python.statements(version: "3.11") where tokens <= 400, excludes /```/',
            ["python.no_error(setup.text, answer) at statement"],
        ),
    }
    name, given, grammar, factors = library[kind]
    lines = ["smc 1", 'program long "A program as long as they get."', "", f"import {name}", ""]
    lines += [f'input text_{n}: str = "nothing"  "the {n}th text"' for n in range(20)] + [given, ""]
    lines += [f"grammar answer_grammar = {grammar}"]
    for n in range(15):
        lines += [f"grammar choice_{n} {{"]
        lines += ['  start = size " " drink (" with " extra)*', f'  size = "small" | "large" | "size {n}"']
        lines += ["  drink = /[a-z]{3,12}/", '  extra = drink - ("decaf" | "tea")', "}"]
    lines += [f"potential short_{n}(s: str) -> weight = exp(-0.0{n + 1} * chars(s))" for n in range(9)]
    lines += ["", "generate {", '  system "You answer at length. 👍"']
    for n in range(15):
        lines += [f'  user "Question {n}: {{{{ text_{n} }}}}"', f'  assistant "[[c{n}: choice_{n}]]"']
        lines += [f"  score short_{n % 9}(c{n}) ^ 2", f"  require chars(c{n}) < 60 at extra"]
    lines += ['  user """', "    Now the answer, please.", '  """', '  assistant "[[answer: answer_grammar]]"']
    lines += [f"  require {factor}" for factor in factors]
    lines += ["}", "", "return posterior answer", "", "infer smc {", "  particles: 16", "  timeout:   60s", "}", ""]
    return "\n".join(lines) + "\n"


def percentile(times: list[float], share: float) -> float:
    """The time below which a share of them lies."""
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def shown(times: list[float]) -> str:
    """Minimum, median and 95th percentile in milliseconds."""
    values = (min(times), statistics.median(times), percentile(times, 0.95))
    return "  ".join(f"{value * 1000:8.1f}" for value in values)


def cpu_of(process: int) -> float:
    """Seconds of CPU that a process has used; 0 where /proc has no such thing."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def keystrokes(text: str, rounds: int) -> list[tuple[str, int]]:
    """(text, offset) after each keystroke: words typed at the ends of lines of every kind, and taken away again."""
    places = [
        ("input text_3: str", " = "),
        ("drink = /[a-z]{3,12}/", " extra"),
        ("score short_0(c0) ^ 2", " at end"),
        ("Question 7: ", "what about this"),
        ("[[c5: choice_5", " where chars < 30"),
        ("particles: 16", "0"),
        ("return posterior answer", " "),
    ]
    found = []
    for _ in range(rounds):
        for place, typed in places:
            start = text.index(place) + len(place)
            for length in (*range(1, len(typed) + 1), *range(len(typed) - 1, -1, -1)):
                found.append((text[:start] + typed[:length] + text[start:], start + length))
    return found


def typing(client: Any, uri: str, text: str, rounds: int) -> None:
    """Print how long diagnostics and requests take after keystrokes."""
    from smcdsl.editor.places import Lines

    began = time.perf_counter()
    client.open(uri, text)
    print(f"opened: first diagnostics after {time.perf_counter() - began:.2f} s (grammars are new)")
    waits: list[float] = []
    others: dict[str, list[float]] = {name: [] for name in (*REQUESTS, *AT_PLACES)}
    strokes = keystrokes(text, rounds)
    cpu = cpu_of(client.process.pid)
    for version, (changed, _) in enumerate(strokes, start=2):
        began = time.perf_counter()
        client.change(uri, changed, version)
        waits.append(time.perf_counter() - began)
    cpu = cpu_of(client.process.pid) - cpu
    print(f"{'milliseconds':<34} {'min':>8}  {'median':>8}  {'95 %':>8}")
    print(f"{'diagnostics after a keystroke':<34} {shown(waits)}   ({len(waits)} keystrokes)")
    print(f"{'  CPU of the server, mean':<34} {'':>8}  {cpu / len(waits) * 1000:8.1f}")
    for version, (changed, offset) in enumerate(strokes[:: max(1, len(strokes) // 25)], start=len(strokes) + 2):
        client.change(uri, changed, version)
        place = Lines(changed).position(offset)
        for name in others:
            began = time.perf_counter()
            if name in AT_PLACES:
                client.at(name, uri, place.line, place.character)
            else:
                client.about(name, uri)
            others[name].append(time.perf_counter() - began)
    for name, times in others.items():
        print(f"{name:<34} {shown(times)}")


def check(path: Path, times: int) -> None:
    """Print how long `smcdsl check` takes, start of Python included."""
    waits, cpus = [], []
    # As installed: modules are compiled once, even where this variable would have every process compile them anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-m", "smcdsl", "check", str(path)]
    for _ in range(times + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run(command, check=False, capture_output=True, env=environment)
        waits.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"{'smcdsl check, a process':<34} {shown(waits[1:])}   ({times} runs after one)")
    print(f"{'  CPU':<34} {shown(cpus[1:])}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=["sql", "python"], default="sql", help="the library that is used")
    parser.add_argument("--rounds", type=int, default=2, help="how often everything is typed")
    parser.add_argument("--checks", type=int, default=7, help="how often `check` is run")
    parser.add_argument("--folder", type=Path, default=ROOT / "examples", help="where the program is said to be")
    arguments = parser.parse_args()
    from tests.editor.client import Client

    text = program(arguments.kind)
    print(f"{text.count(chr(10))} lines, `import {arguments.kind}`")
    with Client(arguments.folder) as client:
        typing(client, (arguments.folder.resolve() / "long.smc").as_uri(), text, arguments.rounds)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.smc"
        path.write_text(text, "utf-8")
        check(path, arguments.checks)


if __name__ == "__main__":
    main()
