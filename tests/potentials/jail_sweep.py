"""All attacks on the jail in one process, whose user and means can be chosen: prints one JSON object.

    python -m tests.potentials.jail_sweep [--user] [--plain] [--without landlock,seccomp] [--wasm]

`--user` gives up root first, `--plain` hides bubblewrap. With `--without` layers are left open, to see what attacks
do then. `--wasm` takes that rung.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from smcdsl.potentials import _jail, _jail_launch, _jail_user
from smcdsl.potentials._jail import Jail
from smcdsl.potentials._jail_pool import JailError
from smcdsl.potentials._jail_report import Program, Report

from tests.potentials.jail_attacks import ATTACKS, Attack
from tests.potentials.jail_canaries import Canaries

CONTROL = Program("base = 6", "answer = base * 7", ("answer",))
_MOST_SECONDS = 20.0
"""Of one attack on a busy machine; the jail's own limit is 2."""


def sweep(jail: Jail, chosen: Sequence[Attack] = tuple(ATTACKS)) -> dict[str, Any]:
    """Try attacks one after the other, a control after each.

    Returns:
        `escapes`, each with what it did; `controls`, the attacks after which a plain program was not run right;
        `probes`, their number; `ends`, how often they ended in which way.
    """
    canaries = Canaries()
    escapes, controls = [], []
    ends: dict[str, int] = {}
    try:
        processes = descendants()
        for attack in chosen:
            began = time.monotonic()
            try:
                report = jail.run_all([attack.program(canaries.places())])[0]
                control = jail.run_all([CONTROL])[0]
            except JailError as error:
                escapes.append(f"{attack.group}, {attack.name}: the jail failed: {error}")
                continue
            signs = [*signs_of(report, canaries.word), *canaries.traces()]
            if time.monotonic() - began > _MOST_SECONDS:
                signs.append("it took too long")
            if signs:
                escapes.append(f"{attack.group}, {attack.name}: {'; '.join(signs)}")
            if not (control.ok and control.values == {0: 42}):
                controls.append(attack.name)
            ends[report.end] = ends.get(report.end, 0) + 1
        left = descendants() - processes
        if len(left) > len(os.sched_getaffinity(0)) * 3:
            escapes.append(f"{len(left)} processes were left behind")
    finally:
        canaries.close()
    return {"probes": len(chosen), "escapes": escapes, "controls": controls, "ends": ends, "rung": jail.rung}


def signs_of(report: Report, word: str) -> list[str]:
    """What a report says of having got out."""
    loot, escaped = report.values.get(0, ""), report.values.get(1, False)
    return ["it read the word"] * (word in str(loot)) + ["it says so"] * (escaped is True)


def descendants() -> set[int]:
    """Processes below this one."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parents[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {os.getpid()}


class OpenJail(Jail):
    """A jail that leaves layers open and opens nevertheless."""

    def _test(self) -> None:
        """Nothing is tested."""


def main() -> None:
    """Run the sweep."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--user", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--without", default="")
    parser.add_argument("--wasm", action="store_true")
    chosen = parser.parse_args()
    if chosen.user:
        # The server's own files, and the tests'.
        needed = [*_jail_launch._needed_paths(), str(Path(__file__).parents[2])]
        _jail_user.become_ordinary(needed, 61000)
    if chosen.plain:
        _jail_launch.bubblewrap = lambda: None
    hidden = [layer for layer in chosen.without.split(",") if layer]
    began = time.perf_counter()
    jail = (OpenJail if hidden else _jail.Jail)(monty=False, cpython=not chosen.wasm, hidden=hidden)
    started = time.perf_counter() - began
    try:
        print(json.dumps({**sweep(jail), "start_seconds": round(started, 3), "uid": os.getuid()}))
    finally:
        jail.close()


if __name__ == "__main__":
    main()
