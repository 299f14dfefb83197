"""`smcdsl run` with repetitions: error bars, islands, growing and retrying, from flags and from the program."""

import math
from pathlib import Path

import pytest


def test_a_result_says_how_far_its_evidence_may_be_off(run_letters):
    record = run_letters().json()
    assert record["log_z_error"] > 0
    assert 1 <= record["eves"] <= 8
    assert record["ess"] <= record["entropy_ess"] <= 8
    text = run_letters("-f", "text").out
    assert f"log Z {record['log_z']:.2f} +- {record['log_z_error']:.2f} ({record['eves']} Eve" in text


def test_few_lines_of_descent_are_called_unreliable(run_letters):
    text = run_letters("-f", "text", "--particles", "2").out
    assert ", unreliable)" in text
    assert "unreliable" not in run_letters("-f", "text", "--particles", "2", "--islands", "4").out


def test_islands_from_a_flag_and_from_the_program(run_letters):
    record = run_letters("--islands", "4").json()
    assert len(record["islands"]) == 4
    assert record["particles"] == 32
    assert record["log_z"] == pytest.approx(math.log(sum(math.exp(own) for own in record["islands"]) / 4))
    program = Path("letters.smc").read_text().replace("  particles: 8\n}\n", "  particles: 8\n  islands: 4\n}\n", 1)
    assert "islands: 4" in program
    Path("letters.smc").write_text(program)
    assert run_letters().json()["posterior"] == record["posterior"]
    shown = run_letters("--show-config").json()["islands"]
    assert shown["value"] == 4
    assert shown["source"].startswith("infer smc")


def test_growing_from_the_program(run_letters):
    program = Path("letters.smc").read_text()
    program = program.replace("  particles: 8\n}\n", "  particles: 1\n  grow: 5 when ess < 3\n}\n", 1)
    Path("letters.smc").write_text(program)
    record = run_letters().json()
    assert record["attempts"] >= 3
    assert record["ess"] >= 3
    assert record["log_z_note"].startswith("biased upwards")
    assert "log Z is biased upwards" in run_letters("-f", "text").out
    assert run_letters("--show-config").json()["grow_ess"]["value"] == 3.0


def test_retrying_keeps_two_populations(run_letters):
    record = run_letters("--retry", "9").json()
    assert record["attempts"] == 2
    assert record["particles"] == 16
    assert "log_z_note" not in record


def test_refining_from_a_flag_and_from_the_program(run_letters):
    record = run_letters("--refine", "3").json()
    assert record["refined"]["sweeps"] == 3
    assert record["particles"] == 24
    assert record["log_z"] == run_letters().json()["log_z"]
    program = Path("letters.smc").read_text()
    Path("letters.smc").write_text(program.replace("  particles: 8\n}\n", "  particles: 8\n  refine: 3\n}\n", 1))
    assert run_letters().json()["posterior"] == record["posterior"]
    assert "refined 3x, moved" in run_letters("-f", "text").out


def test_tempering_from_a_flag_and_from_the_program(run_letters):
    assert run_letters("--temper", "0.5", "--show-config").json()["temper"] == {"value": 0.5, "source": "flag"}
    program = Path("letters.smc").read_text()
    Path("letters.smc").write_text(program.replace("  particles: 8\n}\n", "  particles: 8\n  temper: auto\n}\n", 1))
    assert run_letters("--show-config").json()["temper"]["value"] == "auto"
    assert run_letters().code == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--islands", "3"], "give 1 for none, or 4 or more"),
        (["--retry", "1"], "give 0 for a single attempt, or 2 or more"),
        (["--grow-ess", "0.5"], "a number of particles, at least 1"),
        (["--grow", "2", "--retry", "4"], "`grow` and `retry` do not go together"),
        (["--refine", "2", "--particles", "1"], "`refine` needs 2 particles or more"),
        (["--temper", "2"], "a power from 0 to 1, or auto"),
        (["--temper", "auto", "--infer", "is"], "methods that have it: smc"),
        (["--islands", "4", "--infer", "rejection"], "`rejection` has no setting `islands`"),
        (["--grow", "4", "--infer", "lcd"], "methods that have it: smc, is"),
    ],
)
def test_what_means_nothing_is_refused(run_letters, flags, said):
    made = run_letters(*flags)
    assert made.code == 2
    assert said in made.err


def test_a_block_of_another_method_does_not_stand_in_the_way(run_letters):
    program = Path("letters.smc").read_text()
    Path("letters.smc").write_text(program.replace("  particles: 8\n}\n", "  particles: 8\n  islands: 4\n}\n", 1))
    record = run_letters("--infer", "lcd").json()
    assert "islands" not in record
