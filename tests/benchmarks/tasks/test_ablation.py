"""`benchmarks/tasks`: methods are what they are called, runs go on where they were, grades are the data's."""

import gzip
import itertools
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smcdsl.potentials import pddl, python, smiles
from smcdsl.potentials._jail_pool import JailError
from spider import SPIDER, needs_spider

from smcdsl.engine import read_source
from smcdsl.language.formatter import format_source
from smcdsl.models.toy import ToyModel

ROOT = Path(__file__).parents[3]

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks.tasks import __main__ as command  # noqa: E402
from benchmarks.tasks import bootstrap, report, runner  # noqa: E402
from benchmarks.tasks.ds1000 import Ds1000  # noqa: E402
from benchmarks.tasks.methods import CHAIN, CROSS, METHODS, chosen  # noqa: E402
from benchmarks.tasks.molecules import Molecules, among_known, diversity  # noqa: E402
from benchmarks.tasks.planetarium import Planetarium, goal_of  # noqa: E402
from benchmarks.tasks.record import Answer, OtherSetting, Record, Records  # noqa: E402
from benchmarks.tasks.spider import Spider, plain  # noqa: E402
from benchmarks.tasks.task import KINDS, PROGRAMS, Row  # noqa: E402

needs_molecules = pytest.mark.skipif(not (SPIDER.parent / "molecules").is_dir(), reason="no molecules; set SMCDSL_DATA")

needs_planetarium = pytest.mark.skipif(
    not (SPIDER.parent / "planetarium").is_dir() or find_spec("rustworkx") is None,
    reason="needs rustworkx, and Planetarium in SMCDSL_DATA",
)


def _jail_opens():
    try:
        python.jail()
    except JailError:
        return False
    return True


needs_ds1000 = pytest.mark.skipif(
    not (SPIDER.parent / "ds1000").is_dir() or find_spec("pandas") is None or not _jail_opens(),
    reason="needs pandas, a jail, and DS-1000 in SMCDSL_DATA",
)

TABLE = {
    "vocab": ["a", "b", "<end>"],
    "eos": 2,
    "lm": {"order": 1, "table": [[[-1], [0.6, 0.4, 0]], [[0], [0.2, 0.5, 0.3]], [[1], [0.1, 0.3, 0.6]]]},
}
PROGRAM = 'smc 1\n\ninput which: int\n\ngenerate {\n  text "[[m: %s]]"\n%s}\n\nreturn posterior m\n'
TEXTS = {
    "free": PROGRAM % ("/[ab]*/", ""),
    "grammar": PROGRAM % ('"aa" | "ab" | "b"', ""),
    "full": PROGRAM % ('"aa" | "ab" | "b"', '\n  require m != "aa"\n  score   chars(m) / 2\n'),
}
AA, AB, B = 0.6 * 0.2 * 0.3, 0.6 * 0.5 * 0.6, 0.4 * 0.6
"""Probabilities of the three texts under the table."""
EXPECTED = {
    "lm": AB,
    "lcd": 0.6 * 5 / 7,
    "grammar-is": AB / (AA + AB + B),
    "grammar-smc": AB / (AA + AB + B),
    "rerank": (0.6 * 5 / 7) / (0.6 * 5 / 7 + 0.4 / 2),
    "lm-rerank": AB / (AB + B / 2),
    "is": AB / (AB + B / 2),
    "smc": AB / (AB + B / 2),
}


class Letters:
    """Which of three texts is right: `ab`."""

    name = "letters"
    about = "the right text"
    max_tokens = 3

    def __init__(self, folder):
        self.programs = str(folder)
        for kind, text in TEXTS.items():
            (folder / f"{kind}.smc").write_text(text)

    def rows(self, limit):
        return [Row(f"row-{number}", {"which": number}) for number in range(limit or 3)]

    def grade(self, row, answer):
        return {"score": float(answer == "ab")}


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    return Letters(tmp_path_factory.mktemp("letters"))


def in_memory():
    return Records(None, {"model": {"name": "table"}, "particles": 2, "ess": 0.9, "seed": 0})


def finished(task, records, methods="all", rows=2, told=lambda _: None, **options):
    runner.run(task, task.rows(rows), chosen(methods), ToyModel(TABLE), runner.Options(**options), records, told)
    return records


def test_every_method_gives_what_its_definition_says(letters):
    records = finished(letters, in_memory(), rows=1, particles=2000, replicates=2)
    table = report.table_of(records)
    assert set(table.methods) == set(EXPECTED) == set(METHODS)
    for name, expected in EXPECTED.items():
        # Five standard errors of the mean of 4000 draws with weights of at most twice their mean.
        assert table.scores(name)[0] == pytest.approx(expected, abs=0.04), name
    assert len({round(value, 2) for value in EXPECTED.values()}) == 5


def test_what_did_not_finish_counts_as_wrong(letters):
    records = finished(letters, in_memory(), "lm", rows=1, particles=500, replicates=1)
    (record,) = records.done.values()
    assert not record.complete
    assert 0.5 < sum(answer.probability for answer in record.answers) < 0.9


def test_a_run_goes_on_where_it_was(letters, tmp_path):
    setting, told = in_memory().setting, []
    whole = finished(letters, Records(tmp_path / "whole", setting), particles=3, replicates=2)
    path = tmp_path / "part"
    finished(letters, Records(path, setting), "lm,smc", rows=1, particles=3, replicates=2)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:20])  # stopped while it wrote
    records = finished(letters, Records(path, setting), told=told.append, particles=3, replicates=2)
    assert len(told) == 2 * len(METHODS) - 1  # `lm` of the first row was there
    again = Records(path, setting)
    assert again.done.keys() == records.done.keys() == whole.done.keys()
    assert {key: again.done[key].answers for key in again.done} == {key: whole.done[key].answers for key in whole.done}
    assert report.table_of(again).scores("smc") == report.table_of(whole).scores("smc")
    told.clear()
    finished(letters, again, told=told.append, particles=3, replicates=2)
    assert not told


def test_a_file_of_another_setting_is_refused(tmp_path):
    Records(tmp_path / "runs", {"particles": 10, "model": {"name": "x"}})
    with pytest.raises(OtherSetting, match="particles: 10 there, 20 now"):
        Records(tmp_path / "runs", {"particles": 20, "model": {"name": "x"}})
    (tmp_path / "other").write_text('{"a": 1}\n')
    with pytest.raises(OtherSetting, match="no file of this benchmark"):
        Records.read(tmp_path / "other")


def test_replicates_do_not_depend_on_what_shares_their_batch(letters):
    together = finished(letters, in_memory(), particles=3, replicates=4, together=4)
    apart = finished(letters, in_memory(), particles=3, replicates=4, together=1)
    assert {k: r.answers for k, r in together.done.items()} == {k: r.answers for k, r in apart.done.items()}


def test_the_report_is_of_rows_that_all_methods_have(letters):
    records = finished(letters, in_memory(), "lm,lcd,grammar-is,is,smc", rows=3, particles=20, replicates=2)
    del records.done["row-1", "smc", 1]
    records.leave_out("row-9", "too long")
    table = report.table_of(records)
    assert table.rows == ("row-0", "row-2")
    text = report.text(letters, records)
    assert "2 rows x 2 replicates" in text
    assert "left out: 1 rows (too long)" in text
    assert "full SMC and base LM: intervals" in text
    for ingredient in CHAIN:
        assert ingredient.name in text
    steps = [bootstrap.difference(table.scores(step.without), table.scores(step.added)).mean for step in CHAIN]
    whole = bootstrap.difference(table.scores("lm"), table.scores("smc")).mean
    assert sum(steps) == pytest.approx(whole)


def test_the_chain_begins_at_the_model_and_ends_at_full_smc():
    assert CHAIN[0].without == "lm"
    assert CHAIN[-1].added == "smc"
    assert all(one.added == other.without for one, other in itertools.pairwise(CHAIN))
    assert {name for step in CHAIN + CROSS for name in (step.without, step.added)} <= METHODS.keys()
    with pytest.raises(ValueError, match="no method `beam`"):
        chosen("lm,beam")


@settings(max_examples=12)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=5), st.integers(0, 1000))
def test_intervals_are_those_of_all_resamples(rows, seed):
    """The slow way: every one of n^n resamples."""
    found = bootstrap.interval(rows, seed)
    means = np.array([np.mean(draw) for draw in itertools.product(rows, repeat=len(rows))])
    assert found.mean == pytest.approx(np.mean(rows))
    # Six standard errors of a share of 2.5 % in 10,000 draws.
    off, rounding = 6 * (0.025 * 0.975 / bootstrap.DRAWS) ** 0.5, 1e-9
    assert np.mean(means < found.low - rounding) <= 0.025 + off
    assert np.mean(means <= found.low + rounding) >= 0.025 - off or found.low < means.min()
    assert np.mean(means > found.high + rounding) <= 0.025 + off
    assert np.mean(means >= found.high - rounding) >= 0.025 - off


def test_intervals_of_an_even_coin_are_the_binomials():
    # Of 100 fair draws, 40 to 60 heads are 96.5 %, 41 to 59 are 94.3 %.
    found = bootstrap.interval([0.0, 1.0] * 50)
    assert found.low in (0.4, 0.41)
    assert found.high in (0.59, 0.6)


def test_rows_are_drawn_with_their_replicates():
    runs = [
        Record(f"row-{row}", "lm", replicate, 0, [Answer("x", 1.0, {"score": float(row % 2)})], 1, {"total": 1.0})
        for row in range(10)
        for replicate in range(20)
    ]
    records = in_memory()
    records.done.update((run.key, run) for run in runs)
    found = bootstrap.interval(report.table_of(records).scores("lm"))
    alone = bootstrap.interval([run.mean() for run in runs])
    assert found.high - found.low > 3 * (alone.high - alone.low)


@pytest.mark.parametrize("file", sorted(PROGRAMS.glob("*/*.smc")), ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_programs_are_formatted_and_ask_the_same(file):
    source = read_source(file)
    assert source.text == format_source(source)
    beginnings = {
        (file.parent / f"{kind}.smc").read_text().split("generate {")[1].split("]]")[0].split("[[")[0] for kind in KINDS
    }
    assert len(beginnings) == 1


def test_the_query_is_taken_out_of_a_fence():
    assert plain("```sql\nSELECT 1;\n```\nThis counts.") == "SELECT 1"
    assert plain(" SELECT 1 ; ") == "SELECT 1"
    assert plain("SELECT '```'") == "SELECT '```'"


@needs_spider
def test_gold_queries_of_spider_are_right():
    task = Spider()
    for row in task.rows(25):
        assert task.grade(row, row.gold["query"]) == {"runs": 1.0, "score": 1.0}
    assert task.grade(row, "SELECT nothing FROM nowhere") == {"runs": 0.0, "score": 0.0}
    assert task.grade(row, "SELECT 'not the answer', 1, 2, 3, 4, 5, 6, 7") == {"runs": 1.0, "score": 0.0}


@needs_spider
def test_answers_of_published_systems_are_graded_as_the_data_says():
    task = Spider()
    rows = {row.id: row for row in task.rows(None)}
    lines = gzip.decompress((SPIDER / "llm_predictions.jsonl.gz").read_bytes()).splitlines()
    answers = [json.loads(line) for line in lines[::40]]
    known = [answer for answer in answers if answer["id"] in rows]
    ordered = [answer for answer in known if "order by" in rows[answer["id"]].gold["query"].lower()]
    assert len(known) > 80
    for answer in known:
        grades = task.grade(rows[answer["id"]], answer["predicted"])
        if answer not in ordered:  # the data's label takes every result as a bag of rows
            assert grades["score"] == float(bool(answer["matches_gold"])), answer
        assert grades["score"] <= float(bool(answer["matches_gold"])), answer


@needs_spider
def test_rows_of_a_smaller_limit_come_first():
    task = Spider()
    few, more = task.rows(3), task.rows(9)
    assert [row.id for row in more[:3]] == [row.id for row in few]
    assert len({row.gold["db_id"] for row in more}) > 2


@needs_planetarium
def test_gold_goals_of_planetarium_are_right_and_hold_after_their_plans():
    rows = Planetarium().rows(30)
    for row in rows:
        task, gold = Planetarium(), goal_of(row.gold["problem"])
        assert task.grade(row, gold) == task.grade(row, f"{gold})") == {"consistent": 1.0, "score": 1.0}
        assert pddl.consistent(row.inputs["domain"], row.inputs["problem"], gold, row.inputs["plan"])
        assert gold not in row.inputs["problem"]
    assert {row.gold["is_placeholder"] for row in rows} == {True, False}


@needs_planetarium
@pytest.mark.parametrize(("is_placeholder", "score"), [(True, 1.0), (False, 0.0)])
def test_names_count_where_the_story_gives_them(is_placeholder, score):
    problem = """(define (problem p) (:domain blocksworld) (:requirements :strips) (:objects b1 b2 b3)
      (:init (arm-empty) (clear b1) (clear b2) (clear b3) (on-table b1) (on-table b2) (on-table b3))
      (:goal (and (on b1 b2) (on b2 b3))))"""
    (some,) = Planetarium().rows(1)
    inputs = {"domain": some.inputs["domain"], "problem": problem.replace("(and (on b1 b2) (on b2 b3))", "(arm-empty)")}
    row = Row("p", inputs, {"problem": problem, "is_placeholder": is_placeholder})
    grade = Planetarium().grade
    assert grade(row, "(and (on b2 b3) (on b1 b2))")["score"] == 1.0
    assert grade(row, "(and (on b2 b1) (on b1 b3))")["score"] == score
    assert grade(row, "(and (on b1 b2))")["score"] == 0.0
    assert grade(row, "(and (on b1 b2) (on b1 b3))") == {"consistent": 0.0, "score": 0.0}
    assert grade(row, "no goal") == {"consistent": 0.0, "score": 0.0}


@needs_ds1000
def test_reference_solutions_of_ds1000_pass_and_others_do_not():
    task = Ds1000()
    (row,) = task.rows(1)
    assert task.grade(row, row.gold["reference"]) == {"runs": 1.0, "score": 1.0}
    assert task.grade(row, f"{row.inputs['name']} = 'wrong'") == {"runs": 1.0, "score": 0.0}
    for wrong in ("pass", "raise SystemExit", "import os; os._exit(0)", "1 +", '"'):
        assert task.grade(row, wrong) == {"runs": 0.0, "score": 0.0}, wrong
    # What the programs see holds neither tests nor solution.
    shown = json.dumps(row.inputs)
    assert "test_execution" not in shown
    assert row.gold["reference"].strip() not in shown


@needs_molecules
def test_molecules_are_graded():
    task = Molecules("examples")
    (row,) = task.rows(1)
    known = row.inputs["examples"][0]
    assert task.grade(row, known)["shown"] == task.grade(row, known)["valid"] == 1.0
    assert task.grade(row, "c1cccc1") == {"score": 0.0, "valid": 0.0, "shown": 0.0}
    drawn = [(text, task.grade(row, text)) for text in ("CCO", "OCC", "c1ccccc1CCN", "C(")]
    extras = task.extras(drawn)
    assert (extras["valid"], extras["unique"], extras["novel"]) == ("75.0%", "66.7%", "100.0%")


@needs_molecules
def test_a_molecule_of_the_training_data_is_known_however_it_is_written():
    written = "O=C1SC(=Cc2ccc(cc2)[N+](=O)[O-])C(=O)N1c3ccccc3OC"
    stereo = "O=C1S/C(=C/c2ccc(cc2)[N+](=O)[O-])C(=O)N1c3ccccc3OC"  # the second line of the file, rewritten
    molecules = [smiles.canonical(text) for text in (written, stereo)]
    assert among_known(molecules) == {molecules[1]}


def test_diversity_of_one_molecule_with_itself_is_none():
    assert diversity(["CCO", "CCO"]) == 0.0
    assert diversity(["CCO"]) == 0.0
    assert 0.5 < diversity(["CCO", "c1ccccc1"]) <= 1.0


@needs_spider
def test_the_command_runs_spider_and_prints_its_file_again(tmp_path, capsys):
    options = ["spider", "--limit", "1", "--methods", "lm,smc", "--particles", "2", "--replicates", "1", "--quiet"]
    out = ["--out", str(tmp_path / "runs")]
    assert command.main([*options, *out]) == 0
    printed = capsys.readouterr().out
    assert "spider: 1 rows x 1 replicates, 2 particles" in printed
    assert command.main(["spider", "--report", *out]) == 0
    assert capsys.readouterr().out == printed
    assert command.main([*options, *out, "--particles", "3"]) == 1
    assert "made under another setting" in capsys.readouterr().err


@needs_molecules
def test_the_command_runs_molecules(tmp_path, capsys):
    options = ["--limit", "1", "--methods", "lm,smc", "--particles", "2", "--replicates", "1", "--quiet"]
    out = ["--out", str(tmp_path / "runs")]
    assert command.main(["molecules", "--prompt", "examples", *options, *out]) == 0
    assert "unique" in capsys.readouterr().out


@needs_planetarium
@pytest.mark.parametrize("prompt", ["none", "examples"])
def test_the_command_runs_planetarium(prompt, tmp_path, capsys):
    options = ["--limit", "1", "--methods", "lm,smc", "--particles", "2", "--replicates", "1", "--max-tokens", "40"]
    out = ["--out", str(tmp_path / "runs")]
    assert command.main(["planetarium", "--quiet", "--prompt", prompt, *options, *out]) == 0
    assert "the goal is the gold one" in capsys.readouterr().out


@pytest.mark.long
@needs_ds1000
def test_the_command_runs_ds1000(tmp_path, capsys):
    options = ["--limit", "2", "--methods", "lm,smc", "--particles", "2", "--replicates", "1", "--max-tokens", "20"]
    assert command.main(["ds1000", "--quiet", *options, "--out", str(tmp_path / "runs")]) == 0
    printed = capsys.readouterr().out
    assert "ds1000: 1 rows" in printed
    assert "left out: 1 rows (the prompt does not fit into the model's context)" in printed


def test_missing_data_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("SMCDSL_DATA", str(tmp_path / "nowhere"))
    assert command.main(["spider", "--out", str(tmp_path / "runs")]) == 1
    assert "set SMCDSL_DATA" in capsys.readouterr().err
