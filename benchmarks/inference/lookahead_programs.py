"""Shipped programs with inputs, for `lookahead.py`.

| domain | with potentials | without |
|---|---|---|
| sql | `examples/text_to_sql.smc` and its questions | its grammar, Spider's dev; others: the same database |
| pddl | `examples/goal_inference.smc`, other stories | `tasks/programs/planetarium`; others have as many blocks |
| molecules | `tasks/programs/molecules/full.smc`, no input | at most 30 characters |
| invoices | `examples/invoice_date.smc` on invoices made here; it has none | the same |
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smcdsl import engine
from smcdsl.engine.automata import HoleAutomata
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.inference.results.posterior import Posterior
from smcdsl.library.functions import resolve_function

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TASKS = ROOT / "benchmarks" / "tasks" / "programs"
DOMAINS = ("sql", "pddl", "molecules", "invoices")

Sample = Callable[..., list[Posterior]]
"""(seeds, particles, lookahead, recorder) -> a posterior a seed."""

SQL = """smc 1
import sql
input question: str
input db: sqlite
grammar query = sql.select(dialect: "sqlite", schema: db) where tokens <= 200
generate {
  system "You write exactly one SQLite query and nothing else."
  user "Schema:\\n{{ sql.ddl(db) }}\\n\\nQuestion: {{ question }}\\n"
  assistant "[[q: query]]"
  guide 1 + 0 * chars(q) at q.clause
}
"""
MOLECULES = """smc 1
import smiles
grammar molecule = smiles.molecule(aromatic: true) where chars <= 30
generate {
  text "[[m: molecule]]"
  guide 1 + 0 * chars(m) at m.atom
}
"""
INVOICES = (
    "ACME Ltd.\nInvoice no. 2231\nDate: 14 March 2023\nDue: 13 April 2023\nTotal: EUR 310.00\n",
    "INVOICE\n\nNumber: 77-104\nIssued on: Feb 2, 2021\nDelivered: January 28, 2021\nAmount due: $1,204.50\n",
    "Rechnung Nr. 5512\nDatum: 09.11.2019\nZahlbar bis 09.12.2019\nSumme 88,20 EUR\n",
    "Bright Cleaning Services\nTo: Hotel Astoria\nInvoice date 1998/07/21\nTerms: 30 days\nTotal 640.00\n",
    "Billing statement. Prepared October 5th, 2024 for services in September 2024. Please pay 45.00 by November 1st.\n",
    "Invoice 0093, dated 30/06/2016. Period: 1 to 30 June 2016. Net 1,000.00, VAT 190.00.\n",
    "Garage Rossi, 12 May 2008\nInvoice for repairs carried out on 10 May 2008\nTotal: 415.30\n",
    "Web hosting, annual fee\nInvoice issued: 2022-12-31\nValid from 2023-01-01 to 2023-12-31\nTotal: 96.00\n",
)


STORIES = (
    ("stack b2 on b3 or b1", ["(unstack b1 b2)", "(putdown b1)", "(pickup b2)", "(stack b2 b3)"]),
    ("put b3 on b1", ["(pickup b3)", "(stack b3 b1)"]),
    ("put all blocks on the table", ["(unstack b1 b2)", "(putdown b1)"]),
    ("b1 goes on b3", ["(unstack b1 b2)", "(stack b1 b3)"]),
    ("a tower of three with b3 at the top", ["(pickup b3)"]),
    ("hold b1", ["(unstack b1 b2)"]),
)


@dataclass(frozen=True)
class Case:
    """A program on one input, and the same program on others."""

    name: str
    sample: Sample
    others: Sequence[Sample] = ()


def program_sample(program: engine.CompiledProgram, model: Any, inputs: Mapping[str, Any]) -> Sample:
    """Runs of a program on one set of inputs."""
    declared = {known.name for known in program.plan.program.inputs}
    values = program.values({name: value for name, value in inputs.items() if name in declared})
    automata = HoleAutomata(program.plan.program, model.vocabulary, 100_000)

    def sample(seeds: Sequence[int], particles: int, lookahead: Any, recorder: Any) -> list[Posterior]:
        return run(
            program.plan,
            model,
            [RunRequest(values, seed) for seed in seeds],
            automata=automata,
            functions=resolve_function,
            settings=Settings(particles=particles, max_tokens=300),
            lookahead=lookahead,
            recorder=recorder,
        )

    return sample


def domains(options: argparse.Namespace) -> Iterator[tuple[str, list[Case]]]:
    """Those whose model is given, with their cases."""
    for kind in ("without", "with") if options.potentials == "both" else (options.potentials,):
        if options.sql:
            program = engine.load(EXAMPLES / "text_to_sql.smc") if kind == "with" else engine.compile(SQL)
            questions = _shop(options) if kind == "with" else _questions(options)
            yield f"sql {kind} potentials", _cases(program, options.sql, questions, "question")
        if options.pddl:
            path = EXAMPLES / "goal_inference.smc" if kind == "with" else TASKS / "planetarium" / "grammar.smc"
            stories = _seen(options) if kind == "with" else _stories(options)
            yield f"pddl {kind} potentials", _cases(engine.load(path), options.pddl, stories, "story")
        if options.molecules:
            program = engine.load(TASKS / "molecules" / "full.smc") if kind == "with" else engine.compile(MOLECULES)
            yield f"molecules {kind} potentials", _cases(program, options.molecules, [({}, [])], "")
    if options.invoices:
        with tempfile.TemporaryDirectory() as folder:
            program = engine.load(EXAMPLES / "invoice_date.smc")
            yield "invoices", _cases(program, options.invoices, _invoices(options, Path(folder)), "title")


Inputs = Mapping[str, Any]


def _cases(
    program: engine.CompiledProgram, folder: str, inputs: Sequence[tuple[Inputs, Sequence[Inputs]]], told: str
) -> list[Case]:
    model = engine.model(folder)
    return [
        Case(
            " ".join(str(own.get(told, "no input")).split())[:40].replace("|", " "),
            program_sample(program, model, own),
            [program_sample(program, model, other) for other in others],
        )
        for own, others in inputs
    ]


def _grouped(
    rows: Sequence[Any], keys: Sequence[Any], options: argparse.Namespace
) -> list[tuple[Inputs, list[Inputs]]]:
    """Inputs from different groups, each with others of its group."""
    groups: dict[Any, list[Inputs]] = {}
    for row, key in zip(rows, keys, strict=True):
        groups.setdefault(key, []).append(row.inputs)
    enough = [group for group in groups.values() if len(group) > options.others]
    found = []
    for number in range(options.inputs):
        group = enough[number % len(enough)]
        first = number // len(enough)
        found.append((group[first], [other for i, other in enumerate(group) if i != first][-options.others :]))
    return [(own, others if options.others else []) for own, others in found]


def _questions(options: argparse.Namespace) -> list[tuple[Inputs, list[Inputs]]]:
    from benchmarks.tasks.spider import Spider

    task = Spider()
    rows = task.rows(None)
    _KEPT.append(task)
    return _grouped(rows, [row.inputs["db"] for row in rows], options)


_KEPT: list[Any] = []
"""Tasks whose temporary files are in use."""


def _stories(options: argparse.Namespace) -> list[tuple[Inputs, list[Inputs]]]:
    from benchmarks.tasks.planetarium import Planetarium

    rows = Planetarium().rows(None)
    return _grouped(rows, [_objects(row.inputs["problem"]) for row in rows], options)


def _objects(problem: str) -> str:
    """The objects of a problem."""
    found = re.search(r"\(:objects([^)]*)\)", problem)
    return " ".join(found[1].split()) if found else ""


def _shop(options: argparse.Namespace) -> list[tuple[Inputs, list[Inputs]]]:
    lines = (EXAMPLES / "text_to_sql_questions.jsonl").read_text(encoding="utf-8").splitlines()
    database = str(EXAMPLES / "shop.sqlite")
    return _each([{"question": json.loads(line)["question"], "db": database} for line in lines], options)


def _seen(options: argparse.Namespace) -> list[tuple[Inputs, list[Inputs]]]:
    return _each([{"story": story, "observed": observed} for story, observed in STORIES], options)


def _each(made: list[Inputs], options: argparse.Namespace) -> list[tuple[Inputs, list[Inputs]]]:
    """The first inputs, each with the last of the others."""
    return [
        (own, [other for other in made if other is not own][-options.others :] if options.others else [])
        for own in made[: options.inputs]
    ]


def _invoices(options: argparse.Namespace, folder: Path) -> list[tuple[Inputs, list[Inputs]]]:
    made: list[Inputs] = []
    for number, text in enumerate(INVOICES):
        path = folder / f"{number}.txt"
        path.write_text(text, encoding="utf-8")
        made.append({"invoice": str(path), "title": text.splitlines()[0]})
    return _each(made, options)
