"""Score the twenty questions on the example database: a full run against the model alone.

    python examples/score_questions.py [--model tiny] [--particles 16] [--seed 0] [--samples 5]

A query is right if it gives the same rows as the gold query. `run` is the best value of
`text_to_sql.smc`; `alone` is one plain sample of the model with the same prompt, no grammar and no
potentials, averaged over `--samples` seeds.
"""

import argparse
import json
from pathlib import Path

from smcdsl.potentials import sql

import smcdsl

HERE = Path(__file__).parent
DATABASE = str(HERE / "shop.sqlite")

ALONE = '''smc 1
import sql

input question: str
input db: sqlite

grammar anything = /(.|\\n)*/ where tokens <= 200

generate {
  system "You write exactly one SQLite query and nothing else."
  user """
  Schema:
  {{ sql.ddl(db) }}

  Question: {{ question }}
  """
  assistant "[[q: anything]]"
}

return samples(1) q

infer is { particles: 1 }
'''


def is_right(query: str, gold: str) -> bool:
    """Whether a query gives the gold query's rows; one that does not run is wrong."""
    return bool(sql.runs(query, DATABASE) and sql.same_result(query, gold, DATABASE))


def main() -> None:
    """Print a line a question, then both scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--particles", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=5)
    options = parser.parse_args()

    model = smcdsl.model(options.model)
    full, alone = smcdsl.load(HERE / "text_to_sql.smc"), smcdsl.compile(ALONE)
    rows = [json.loads(line) for line in (HERE / "text_to_sql_questions.jsonl").read_text("utf-8").splitlines()]
    run_right, alone_right = 0, 0
    for number, row in enumerate(rows, 1):
        inputs = {"question": row["question"], "db": DATABASE}
        try:
            best = full.run(model, particles=options.particles, seed=options.seed, **inputs).best
        except smcdsl.NoSurvivors:
            best = ""
        guesses = [alone.run(model, seed=options.seed + k, **inputs).best for k in range(options.samples)]
        right, hits = is_right(best, row["gold"]), sum(is_right(guess, row["gold"]) for guess in guesses)
        run_right, alone_right = run_right + right, alone_right + hits
        print(f"{number:2}  run {'right' if right else 'WRONG'}  alone {hits}/{options.samples}  {row['question']}")
        print(f"      {best or '(no particle survived)'}")
    print(f"\nrun    {run_right} of {len(rows)} right ({options.particles} particles, seed {options.seed})")
    print(f"alone  {alone_right / options.samples:.1f} of {len(rows)} right (mean over {options.samples} samples each)")


if __name__ == "__main__":
    main()
