"""What `proposal: awrs` gives: a hard factor that judges every token, checked before tokens are taken or after.

    python -m benchmarks.inference.token_checks MODEL [RUNS] [PARTICLES]

A model of English writes a line in which no word is of more than five letters. Reported for each proposal: the relative
variance of the estimated evidence, particles that died, texts judged, and seconds of processor time.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import smcdsl

PROGRAM = """smc 1
import potential "judges.py" as judges
grammar line = /[A-Za-z ,']{20,60}/
generate {
  text "Once upon a time, there was[[q: line]]."
  require judges.fits(q) at token
}
"""

JUDGES = '''
from smcdsl import potential

@potential(prefix="any", batch=True)
def fits(texts: list[str]) -> list[bool]:
    """No word of more than five letters."""
    return [max(map(len, q.strip(".").split(" "))) <= 5 for q in texts]
'''


def main(name: str, runs: int = 64, particles: int = 8) -> None:
    """Print a line for each proposal."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "judges.py").write_text(JUDGES)
        (Path(folder) / "program.smc").write_text(PROGRAM)
        program, model = smcdsl.load(Path(folder) / "program.smc"), smcdsl.model(name)
        for proposal in ("mask", "awrs"):
            program.run_many(model, [({}, runs)], {"proposal": proposal, "particles": particles})
            began = time.process_time()
            requests: list[tuple[dict[str, object], int | None]] = [({}, seed) for seed in range(runs)]
            found = program.run_many(model, requests, {"proposal": proposal, "particles": particles})
            seconds = time.process_time() - began
            evidence = np.exp([-np.inf if result.log_z is None else result.log_z for result in found])
            counts = found[0].outcome.posterior.calls["judges.fits"]
            print(
                f"{proposal}: variance of Z {evidence.var() / evidence.mean() ** 2:.3f}, "
                f"log of mean {np.log(evidence.mean()):.2f}, "
                f"{sum(sum(result.deaths.values()) for result in found)} deaths, "
                f"{int(counts['n'] - counts['cached'])} texts judged, {seconds:.2f} s"
            )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:4]))
