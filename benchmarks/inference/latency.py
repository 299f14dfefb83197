"""What `previews: late` hides of a slow potential: one program, judged in time and late, in turns within one run.

    python -m benchmarks.inference.latency [ROUNDS] [MILLISECONDS]

A potential that sleeps in worker processes judges a text at every line. Wall time of runs with one that answers at
once, in time and late, and how much of what the potential costs is hidden. Waiting costs no processor, so wall time is
what there is to measure.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import smcdsl
from smcdsl.workers import WorkerPools

PROGRAM = """smc 1
import potential "judges.py" as judges
grammar items {{
  start = item{{4}} "!"
  item  = /[a-z ]{{{least},{most}}}/ "\\n"
}}
generate {{
  text "A list of things to buy: [[q: items]]"
  score judges.vowels(q) at line
}}
infer smc {{ particles: 8 }}
"""

JUDGES = '''
import time
from smcdsl import potential
from smcdsl.protocols import Weight

@potential(prefix="closed", workers=8, cost="{milliseconds}ms")
def vowels(q: str) -> Weight:
    """The share of vowels, sharpened."""
    time.sleep({milliseconds} / 1000)
    return (0.1 + sum(letter in "aeiou" for letter in q) / max(len(q), 1)) ** 4
'''


def written(folder: Path, milliseconds: int) -> Path:
    """The program with a potential of some cost."""
    folder.mkdir()
    (folder / "judges.py").write_text(JUDGES.format(milliseconds=milliseconds))
    path = folder / "program.smc"
    path.write_text(PROGRAM.format(least=40, most=60))
    return path


def main(rounds: int, milliseconds: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as name:
        slow = smcdsl.load(written(Path(name) / "slow", milliseconds))
        quick = smcdsl.load(written(Path(name) / "quick", 0))
        ways = {"answers at once": (quick, "now"), "in time": (slow, "now"), "late": (slow, "late")}
        model = smcdsl.model("tiny")
        seconds: dict[str, list[float]] = {way: [] for way in ways}
        with WorkerPools() as pools:
            # The first round starts the processes and compiles the grammar.
            for round_ in range(rounds + 1):
                for way, (program, previews) in ways.items():
                    began = time.perf_counter()
                    program.run_many(model, [({}, round_)], {"previews": previews}, pools=pools)
                    if round_:
                        seconds[way].append(time.perf_counter() - began)
        base = statistics.median(seconds["answers at once"])
        for way in ways:
            middle = statistics.median(seconds[way])
            print(f"{way:16} {middle:7.3f} s   {middle / base:5.2f} times no cost")
        cost = statistics.median(seconds["in time"]) - base
        hidden = statistics.median(seconds["in time"]) - statistics.median(seconds["late"])
        print(f"cost in time {cost:.3f} s, hidden when late {hidden:.3f} s ({100 * hidden / cost:.0f} %)")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]), *(5, 200)[len(sys.argv[1:3]) :])
