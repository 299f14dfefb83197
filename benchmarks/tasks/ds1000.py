"""DS-1000: data-science problems, answered in Python (Lai and others 2022); `$SMCDSL_DATA/ds1000/README.md`.

An answer is right if the row's own tests pass with it, in the jail of `smcdsl.potentials.python`. Never train on it.

The potentials know what the prompt shows, and none of the tests: the code before the answer must run on with it, and
the variable that is asked for must be there at the end. Rows are those whose answer stands at the left margin and goes
into a variable, and whose reference solution passes here (with the libraries at hand, within the jail's limits).
"""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec

from smcdsl.potentials import python
from smcdsl.potentials._jail import run_all
from smcdsl.potentials._jail_report import Limits, Program

from benchmarks.tasks import splits
from benchmarks.tasks.task import Grades, MissingData, Row, spread

LIMITS = Limits(seconds=10.0, memory_bytes=2 << 30)
"""Of a row's tests."""

_MODULES = {"Sklearn": "sklearn", "Pytorch": "torch"}
"""What libraries are imported as, where that is not their name."""

_PROMPT = re.compile(
    r"(?:Problem:\n)?(?P<task>.*)\nA:\n+<code>\n(?P<setup>.*?)</code>\n+"
    r"(?P<name>\w+) = \.\.\. # put solution in this variable\nBEGIN SOLUTION\n<code>\s*",
    re.DOTALL,
)


class Ds1000:
    """Data-science code."""

    name = programs = "ds1000"
    about = "the row's own tests pass, weighted by posterior probability"
    max_tokens = 300

    def rows(self, limit: int | None) -> list[Row]:
        """Rows that can be asked and whose reference passes, over all libraries."""
        path = splits.data_folder() / "ds1000" / "problems.jsonl.gz"
        if not path.exists():
            raise MissingData(f"no DS-1000 data in {path}; set SMCDSL_DATA")
        asked = [row for found in splits.read_rows(path) if (row := _row(found)) is not None]
        kept: list[Row] = []
        for row in spread(asked, None):
            if len(kept) == limit:
                break
            if passes(row, row.gold["reference"]) and _goes_on(row):
                kept.append(row)
        return kept

    def grade(self, row: Row, answer: str) -> Grades:
        """Whether the tests pass, and whether the code of the prompt goes on with it and sets the variable."""
        setup, cases = row.inputs["setup"], row.inputs["cases"]
        runs = python.no_error(setup, [answer])[0] and python.pass_rate(setup, [answer], cases)[0] == 1.0
        return {"runs": float(runs), "score": float(passes(row, answer))}


def _row(found: splits.Row) -> Row | None:
    """A row as inputs; None for another form of question."""
    prompt = _PROMPT.fullmatch(found["prompt"])
    if prompt is None or "\n[insert]" not in found["code_context"] or not _is_here(found["metadata"]["library"]):
        return None
    # The reference is defined where the variable is; `...` is what nobody means.
    cases = [{"call": f"{prompt['name']} is not ...", "want": True}]
    inputs = {"task": prompt["task"].strip(), "setup": prompt["setup"].strip() + "\n", "cases": cases}
    inputs["name"] = prompt["name"]
    gold = {"tests": found["code_context"], "reference": found["reference_code"]}
    return Row(f"ds1000-{found['metadata']['problem_id']:04}", inputs, gold)


@cache
def _is_here(library: str) -> bool:
    name = _MODULES.get(library, library.lower())
    return find_spec(name) is not None


def passes(row: Row, answer: str) -> bool:
    """Whether the row's tests pass with an answer; its end, an exception and what takes too long are failures."""
    tests = row.gold["tests"]
    calls = [name for name in ("test_execution", "test_string") if f"def {name}(" in tests]
    code = "".join(f"{name}({answer!r})\n" for name in calls)
    (report,) = run_all([Program(tests, code)], LIMITS)
    return report.ok


def _goes_on(row: Row) -> bool:
    """Whether the code of the prompt runs, and the reference after it, as the potentials see them."""
    setup, reference = row.inputs["setup"], row.gold["reference"]
    runs, goes_on = run_all([Program(setup, ""), Program(setup, reference)])
    return runs.ok and goes_on.ok and python.pass_rate(setup, [reference], row.inputs["cases"]) == [1.0]
