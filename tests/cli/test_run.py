"""`smcdsl run`: formats, views, settings, batches, exit codes."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from smcdsl.automaton import machine
from smcdsl.inference import rejection


def exact():
    """Total mass and posterior of the tiny program by enumeration."""
    step = {"a": 0.35, "b": 0.3, "\n": 0.3}
    masses = {}
    texts = [""]
    for _ in range(3):
        texts = [text + letter for text in texts for letter in "ab"]
        for text in texts:
            masses[text] = math.prod(step[c] for c in text) * (step["\n"]) * len(text) / 3
    total = sum(masses.values())
    return total, {text: mass / total for text, mass in masses.items()}


def test_json_has_the_fields_of_the_reference(run_letters):
    made = run_letters("--format", "json")
    assert made.code == 0
    record = made.json()
    assert record["schema"] == "smcdsl.result/1"
    assert record["program"] == "letters"
    assert record["complete"] is True
    assert record["target"] == "exact"
    assert record["view"] == "posterior"
    assert {"value", "p", "logw"} == set(record["posterior"][0])
    assert sum(item["p"] for item in record["posterior"]) == pytest.approx(1)
    assert record["particles"] == 8
    assert {"log_z", "ess", "resamplings", "deaths", "calls", "tokens", "inputs_sha256", "seconds"} <= set(record)
    assert record["model"]["name"] == "toy:toy.json"
    assert record["tool"]["edition"] == 1


def test_a_pipe_gets_json_by_default(run_letters):
    assert run_letters().json()["seed"] == 0


def test_the_mean_of_the_population_is_the_evidence(run_letters):
    record = run_letters("--view", "particles", "-i", "least=2").json()
    weights = [0.0 if item["logw"] is None else math.exp(item["logw"]) for item in record["population"]]
    assert len(weights) == record["particles"] == 8
    assert math.log(sum(weights) / 8) == pytest.approx(record["log_z"])
    for item in record["population"]:
        assert item["alive"] == (item["logw"] is not None)
        assert item["alive"] or item["cause"]


@pytest.mark.statistical
def test_many_runs_estimate_the_exact_mass(run_letters):
    """2,000 runs of 8 particles; the tolerance is 6 standard errors of the mean."""
    lines = run_letters("--runs", "2000", "--seed", "5").lines()
    assert [line["seed"] for line in lines] == list(range(5, 2005))
    estimates = [0.0 if line["log_z"] is None else math.exp(line["log_z"]) for line in lines]
    total, posterior = exact()
    mean = sum(estimates) / len(estimates)
    error = math.sqrt(sum((value - mean) ** 2 for value in estimates)) / len(estimates)
    assert abs(mean - total) < 6 * error
    share = dict.fromkeys(posterior, 0.0)
    for line, estimate in zip(lines, estimates):
        for item in line["posterior"]:
            share[item["value"]] += estimate * item["p"] / sum(estimates)
    assert share == pytest.approx(posterior, abs=0.02)


def test_a_run_in_a_batch_equals_a_run_alone(run_letters):
    together = run_letters("--runs", "3").lines()
    alone = run_letters("--seed", "2").json()
    assert together[2]["posterior"] == alone["posterior"]
    assert together[2]["log_z"] == pytest.approx(alone["log_z"], abs=1e-12)


def test_text_is_for_readers(run_letters):
    made = run_letters("--format", "text")
    lines = made.out.splitlines()
    assert lines[0] == ""
    assert lines[1].startswith("  0.")
    assert lines[-1].startswith("  log Z -")
    assert lines[-1].endswith("seed 0   exact")


def test_control_characters_are_spelled_out(smcdsl):
    Path("c.smc").write_text('smc 1\ngenerate {\n  text "[[x: "\\u001b[31m"]]\\n"\n}\n')
    table = {"vocab": ["\x1b[31m", "\n", "<end>"], "eos": 2, "lm": {"order": 0, "table": [[[], [0.5, 0.5, 0.0]]]}}
    Path("esc.json").write_text(json.dumps(table))
    made = smcdsl("run", "c.smc", "-m", "toy:esc.json", "--format", "text")
    assert made.code == 0, made.err
    assert "\x1b" not in made.out
    assert "\\x1b[31m" in made.out


@pytest.mark.parametrize(
    ("view", "check"),
    [
        ("best", lambda record: isinstance(record["best"], str)),
        ("samples:3", lambda record: len(record["samples"]) == 3),
        ("posterior", lambda record: record["posterior"]),
    ],
)
def test_views(run_letters, view, check):
    assert check(run_letters("--view", view).json())


def test_a_view_that_there_is_not(run_letters):
    made = run_letters("--view", "all")
    assert made.code == 2
    assert "samples:N" in made.err


def test_table_has_a_head(run_letters):
    assert run_letters("--format", "table").out.splitlines()[0].split() == ["p", "logw", "value"]


def test_output_is_written_whole(run_letters):
    assert run_letters("-o", "r.json").out == ""
    assert json.loads(Path("r.json").read_text())["program"] == "letters"
    assert run_letters("-o", "no/such/folder.json").code == 2
    assert sorted(p.name for p in Path().iterdir() if p.name.startswith(".")) == []


def test_trace_has_events(run_letters):
    run_letters("--trace", "t.jsonl")
    names = [json.loads(line)["event"] for line in Path("t.jsonl").read_text().splitlines()]
    assert names[0] == "started"
    assert names[-1] == "finished"


def test_stream_prints_events(run_letters):
    assert "started" in run_letters("--stream").err
    lines = run_letters("--stream", "-f", "jsonl").lines()
    assert lines[0]["event"] == "started"
    assert lines[-1]["schema"] == "smcdsl.result/1"


def test_batch_keeps_order_and_gives_each_line_its_status(run_letters, smcdsl):
    rows = ['{"tag": "t"}', '{"tag": 3}', "", "nonsense", '{"tag": "t", "least": 9}', '{"tag": "a"}', "[1]"]
    Path("rows.jsonl").write_text("\n".join(rows))
    made = smcdsl("run", "letters.smc", "-m", "toy:toy.json", "--batch", "rows.jsonl", "--jobs", "2")
    lines = made.lines()
    assert [line["line"] for line in lines] == [1, 2, 4, 5, 6, 7]
    assert [line["status"] for line in lines] == ["ok", "error", "error", "error", "ok", "error"]
    assert [line["exit_code"] for line in lines] == [0, 2, 2, 3, 0, 2]
    assert made.code == 2
    assert lines[3]["error"]["code"] == "R0901"


@pytest.mark.parametrize("output", [[], ["-o", "made.jsonl"]])
def test_what_has_finished_outlives_an_interruption(smcdsl, monkeypatch, output):
    """Of four rows the third is finished, and the first; the others were in flight, or not begun."""
    from smcdsl.engine import batches

    original = batches.run_in_line

    def interrupted(*arguments, **named):
        found = dict(original(*arguments, **named))
        yield from ((number, found[number]) for number in (2, 0))
        raise KeyboardInterrupt

    monkeypatch.setattr(batches, "run_in_line", interrupted)
    Path("rows.jsonl").write_text("".join(json.dumps({"tag": "t" * number}) + "\n" for number in range(1, 5)))
    made = smcdsl("run", "letters.smc", "-m", "toy:toy.json", "--batch", "rows.jsonl", *output)
    assert made.code == 130
    text = Path("made.jsonl").read_text() if output else made.out
    assert [json.loads(line)["line"] for line in text.splitlines()] == [1, 3]
    assert made.err == "interrupted: 2 of 4 rows were finished\n"


def test_rows_are_written_as_soon_as_all_before_them_are(smcdsl, monkeypatch):
    from smcdsl.cli.asked import Lines
    from smcdsl.engine import batches

    original, told = batches.run_in_line, []

    def listened(*arguments, **named):
        for number, result in sorted(original(*arguments, **named), key=lambda found: (1, 0, 3, 2)[found[0]]):
            told.append(f"row {number + 1} is finished")
            yield number, result

    monkeypatch.setattr(batches, "run_in_line", listened)
    monkeypatch.setattr(Lines, "add", lambda self, line: told.append(f"line {json.loads(line)['line']}"))
    Path("rows.jsonl").write_text('{"tag": "t"}\n' * 4)
    assert smcdsl("run", "letters.smc", "-m", "toy:toy.json", "--batch", "rows.jsonl").code == 0
    finished = [f"row {number} is finished" for number in (2, 1, 4, 3)]
    assert told == [*finished[:2], "line 1", "line 2", *finished[2:], "line 3", "line 4"]


def test_a_batch_of_good_rows_succeeds(smcdsl):
    Path("rows.jsonl").write_text('{"tag": "t"}\r\n{"tag": "a"}\r\n')
    assert smcdsl("run", "letters.smc", "-m", "toy:toy.json", "--batch", "rows.jsonl").code == 0


@pytest.mark.parametrize(
    ("environment", "flags", "particles", "source"),
    [
        ({}, [], 8, "infer smc (letters.smc:19)"),
        ({}, ["--infer", "quick"], 4, "infer is quick (letters.smc:23)"),
        ({"SMCDSL_PARTICLES": "3"}, ["--infer", "quick"], 3, "environment"),
        ({"SMCDSL_PARTICLES": "3"}, ["--particles", "2"], 2, "flag"),
        ({}, ["--infer", "is"], 8, "infer smc (letters.smc:19)"),
    ],
)
def test_precedence(run_letters, monkeypatch, environment, flags, particles, source):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shown = run_letters("--show-config", *flags).json()
    assert shown["particles"] == {"value": particles, "source": source}


def test_a_project_file_stands_before_defaults_only(run_letters):
    Path("pyproject.toml").write_text("[tool.smcdsl]\nparticles = 5\nseed = 7\n")
    shown = run_letters("--show-config").json()
    assert shown["particles"]["value"] == 8
    assert shown["seed"] == {"value": 7, "source": "[tool.smcdsl] in pyproject.toml"}


def test_a_project_file_with_an_unknown_setting(run_letters):
    Path("pyproject.toml").write_text("[tool.smcdsl]\nparticle = 5\n")
    made = run_letters()
    assert made.code == 2
    assert "has no setting `particle`" in made.err


def test_lcd_gives_one_sample_and_says_so(run_letters):
    Path("letters.smc").write_text(Path("letters.smc").read_text().replace("infer smc {\n  particles: 8\n}\n", ""))
    record = run_letters("--infer", "lcd").json()
    assert record["target"] == "biased"
    assert record["particles"] == 1
    assert record["target_reason"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--particles", "0"], "`0` is no value for the setting `particles`"),
        (["--particles", "many"], "a whole number"),
        (["--timeout", "soon"], "a duration"),
        (["--temperature", "-1"], "a number above 0"),
        (["--infer", "magic"], "no inference profile `magic`"),
        (["--backend", "vllm"], "one of auto, hf, toy"),
        (["--lookahead", "maybe"], "one of off, learned, fixed, guides"),
        (["-i", "least"], "NAME=VALUE"),
        (["--runs", "2", "--batch", "x"], "do not go together"),
    ],
)
def test_bad_settings(run_letters, flags, said):
    made = run_letters(*flags)
    assert made.code == 2
    assert said in made.err
    assert made.out == ""


def test_runs_learn_a_lookahead_for_later_ones(run_letters, monkeypatch, tmp_path):
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "cache"))
    path = Path("letters.smc")
    # What begins with b has to go on with what the model seldom writes.
    path.write_text(path.read_text().replace("/[ab]{1,3}/", "/a|bbba/"))
    learning = [run_letters("--lookahead", "learned", "--particles", "64", "--seed", str(seed)) for seed in range(4)]
    assert "lookahead" not in learning[0].json(), "nothing is known yet"
    fixed = [run_letters("--lookahead", "fixed").json() for _ in range(2)]
    assert fixed[0]["lookahead"] == fixed[1]["lookahead"] != learning[3].json()["lookahead"]
    assert fixed[0]["posterior"] == fixed[1]["posterior"]
    assert 0 < fixed[0]["lookahead"][0]["power"] <= 1
    assert "lookahead" not in run_letters().json()


def test_a_lookahead_is_a_setting_of_the_program_as_well(run_letters):
    path = Path("letters.smc")
    path.write_text(path.read_text().replace("  particles: 8\n", "  particles: 8\n  lookahead: fixed\n"))
    shown = run_letters("--show-config").json()["lookahead"]
    assert shown == {"value": "fixed", "source": "infer smc (letters.smc:19)"}
    path.write_text(path.read_text().replace("lookahead: fixed", "lookahead: perhaps"))
    refused = run_letters()
    assert refused.code == 1
    assert "off, learned, fixed or guides" in refused.err


def test_guides_at_token_may_propose(run_letters):
    path = Path("letters.smc")
    path.write_text(path.read_text().replace("  particles: 8\n", "  particles: 8\n  lookahead: guides\n"))
    refused = run_letters()
    assert refused.code == 2
    assert "no guide is judged after every token" in refused.err
    path.write_text(path.read_text().replace("\n}\n\nreturn", "\n  guide 1 + chars(x) at token\n}\n\nreturn"))
    assert run_letters().json()["proposal"].startswith("mask: tilted by `guide 1 + chars(x) at x.token`")


@pytest.mark.parametrize("name", ["temperature", "power"])
def test_what_changes_the_target_says_so(run_letters, name):
    made = run_letters(f"--{name}", "0.5")
    assert "changes the target" in made.err
    assert made.json()["log_z"] != run_letters().json()["log_z"]


def test_no_survivors(run_letters):
    made = run_letters("-i", "least=9", "--format", "text")
    assert made.code == 3
    assert "R0901" in made.err
    assert made.out == ""


def test_out_of_tokens_gives_what_there_is(run_letters):
    made = run_letters("--max-tokens", "2")
    assert made.code == 4
    assert made.json()["complete"] is False
    assert "R0906" in made.err


def test_a_missing_input_is_asked_for(smcdsl):
    made = smcdsl("run", "letters.smc", "-m", "toy:toy.json")
    assert made.code == 2
    assert "error[E0801]: no value for input `tag`" in made.err
    assert made.err.index("help: add") < made.err.index("note: inputs of")
    assert "tag: str (missing)" in made.err


def test_an_unknown_model(smcdsl):
    made = smcdsl("run", "letters.smc", "-m", "llama3.1-8b", "-i", "tag=t")
    assert made.code == 6
    assert "E0803" in made.err


def test_an_unknown_input_gets_a_suggestion(run_letters):
    made = run_letters("-i", "tagg=1")
    assert made.code == 2
    assert "did you mean `tag`?" in made.err


@pytest.mark.parametrize("verb", [("run",), ("show", "--prompt"), ("build",), ("grammar", "x", "--sample", "1")])
def test_an_input_without_a_value_names_the_inputs(smcdsl, verb):
    made = smcdsl(verb[0], "letters.smc", *verb[1:], "-i", "tag")
    assert (made.code, made.out) == (2, "")
    assert "`-i tag` is not of the form NAME=VALUE; letters takes `-i least=N`, `-i tag=TEXT`" in made.err


def test_inputs_from_a_file_and_flags_go_together(smcdsl):
    Path("in.json").write_text('{"tag": "a", "least": 2}')
    made = smcdsl("run", "letters.smc", "-m", "toy:toy.json", "--inputs", "in.json", "-i", "tag=t")
    assert made.code == 0
    assert all(len(item["value"]) >= 2 for item in made.json()["posterior"])


@pytest.mark.parametrize("text", ["", "[1]", "{"])
def test_inputs_that_are_no_object(smcdsl, text):
    Path("in.json").write_text(text)
    made = smcdsl("run", "letters.smc", "-m", "toy:toy.json", "--inputs", "in.json")
    assert made.code == 2
    assert "E0802" in made.err


def test_help_lists_the_inputs_of_the_program(smcdsl):
    out = smcdsl("run", "letters.smc", "--help").out
    assert "Inputs of this program (letters.smc)" in out
    assert "-i tag=TEXT" in out
    assert "default 1" in out


def test_interrupting_gives_what_there_is(run_letters, monkeypatch):
    from smcdsl.inference import sampler

    original = sampler.Sampler._go_on

    def interrupted(self, *arguments):
        original(self, *arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(sampler.Sampler, "_go_on", interrupted)
    made = run_letters()
    assert made.code == 130
    assert made.json()["complete"] is False
    assert "interrupted" in made.err


def test_a_bug_leaves_a_report(run_letters, monkeypatch):
    from smcdsl.inference import methods

    def broken(*_arguments, **_named):
        raise RuntimeError("planted")

    monkeypatch.setattr(methods, "run_each", broken)
    made = run_letters()
    assert made.code == 70
    report = Path(made.err.rstrip().rpartition(" ")[2])
    assert "planted" in report.read_text()
    report.unlink()


def test_the_first_run_ever_says_why_it_takes_so_long(run_letters, monkeypatch):
    run_letters()
    assert machine.kernels_are_compiled()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "compiling" not in run_letters("--no-progress").err
    monkeypatch.setattr(machine, "kernels_are_compiled", lambda: False)
    assert "note: compiling smcdsl's kernels" in run_letters("--no-progress").err
    assert "compiling" not in run_letters("--no-progress", "--quiet").err
    monkeypatch.undo()


def test_an_empty_cache_of_kernels_is_noticed(tmp_path):
    script = "from smcdsl.automaton.machine import kernels_are_compiled; print(kernels_are_compiled())"
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "empty")}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False"]


RARE = """smc 1

generate {
  text "[[x: /[ab]{6}/]]\\n"
  require x == "abbaba" and x %s "bbbbbb"
}

infer rejection {
  particles: 2
}
"""


@pytest.mark.parametrize("more", [(), ("--runs", "2"), ("-f", "text")])
def test_a_rejection_that_accepts_nothing_for_long_says_so_early(smcdsl, monkeypatch, more):
    monkeypatch.setattr(rejection, "_MAX_ROUNDS", 300)
    monkeypatch.setattr(rejection, "_NONE_OF", 100)
    Path("rare.smc").write_text(RARE % "==")
    told = "note: none of 100 draws was accepted so far; it gives up after"
    made = smcdsl("run", "rare.smc", "-m", "toy:toy.json", *more)
    assert made.err.count(told) == 1
    assert told not in made.out
    assert told not in smcdsl("-q", "run", "rare.smc", "-m", "toy:toy.json", *more).err


def test_a_rejection_that_accepts_says_nothing(smcdsl, monkeypatch):
    monkeypatch.setattr(rejection, "_NONE_OF", 500)
    Path("often.smc").write_text(RARE.replace("and", "or") % "!=")
    made = smcdsl("run", "often.smc", "-m", "toy:toy.json")
    assert (made.code, made.err) == (0, "")


def test_an_expression_that_particles_died_of_is_shown_whole(smcdsl):
    text = Path("letters.smc").read_text().replace("chars(x) >= least", "chars(x) * 1.5 > 2.5")
    Path("letters.smc").write_text(text)
    made = smcdsl("run", "letters.smc", "-m", "toy:toy.json", "-i", "tag=t", "--particles", "64", "--format", "text")
    assert made.code == 0, made.err
    (line,) = [line for line in made.out.splitlines() if "log Z" in line]
    assert "lost: chars(x) * 1.5 > 2.5 " in line
