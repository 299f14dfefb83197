"""The Python interface: load, compile, run, arun, astream, batch, results."""

import asyncio
import json
from pathlib import Path

import pytest

import smcdsl
from smcdsl.models.toy import ToyModel

PROGRAM = """smc 1
input least: int = 1
generate {
  text "[[x: /[ab]{1,3}/]]\\n"
  score chars(x) / 3
  require chars(x) >= least
}
return posterior { text: x, size: chars(x) }
"""
TABLE = {
    "vocab": ["a", "b", "\n", "<end>"],
    "eos": 3,
    "lm": {"order": 0, "table": [[[], [0.35, 0.3, 0.3, 0.05]]]},
}


@pytest.fixture(scope="module")
def model():
    return ToyModel(TABLE)


@pytest.fixture(scope="module")
def program():
    return smcdsl.compile(PROGRAM)


def test_a_result_has_every_view(program, model):
    result = program.run(model, particles=64, seed=3)
    assert result.target == "exact"
    assert result.seed == 3
    assert result.complete
    best = result.best
    assert best["size"] == len(best["text"])
    assert result.posterior[best] == max(p for _, p in result.posterior.items())
    assert result.posterior[{"text": "zzz", "size": 3}] == 0
    assert sum(p for _, p in result.posterior.items()) == pytest.approx(1)
    assert all(value in result.posterior for value in result.samples(5))
    assert result.samples(5) == result.samples(5)
    assert 1 <= result.ess <= 64
    assert len(result.particles) == 64
    assert "log Z" in repr(result)
    assert "<table>" in result._repr_html_()


def test_equal_seeds_give_equal_results_and_others_do_not(program, model):
    first, again, other = (program.run(model, seed=seed) for seed in (1, 1, 2))
    assert first.as_json()["posterior"] == again.as_json()["posterior"]
    assert first.log_z == again.log_z != other.log_z


def test_inputs_may_be_named_like_settings(model):
    program = smcdsl.compile(
        'smc 1\ninput seed: int\ngenerate {\n  text "[[x: /a+/]]\\n"\n  require chars(x) == seed\n}\n'
    )
    assert program.run(model, seed=2, particles=64).best == "aa"


def test_no_survivors_carry_what_there_is(program, model):
    with pytest.raises(smcdsl.NoSurvivors) as caught:
        program.run(model, least=9)
    assert caught.value.diagnostics[0].code == "R0901"
    assert caught.value.deaths
    assert caught.value.partial.log_z == float("-inf")


def test_running_out_carries_a_partial_result(program, model):
    with pytest.raises(smcdsl.BudgetExceeded) as caught:
        program.run(model, max_tokens=2, seed=1)
    assert not caught.value.partial.complete


def test_arun_and_astream(program, model):
    async def both():
        result = await program.arun(model, seed=1)
        names = [event.name async for event in program.astream(model, seed=1)]
        return result, names

    result, names = asyncio.run(both())
    assert result.log_z == program.run(model, seed=1).log_z
    assert names[0] == "started"
    assert names[-1] == "finished"


def test_astream_raises_what_a_run_raises(program, model):
    async def consume():
        async for _ in program.astream(model, least=9):
            pass

    with pytest.raises(smcdsl.NoSurvivors):
        asyncio.run(consume())


def test_batch_keeps_order_and_marks_failures(program, model):
    results = list(program.batch(model, [{"least": 1}, {"least": 9}, {"least": 3}], jobs=2, particles=32))
    assert [result.failure is None for result in results] == [True, False, True]
    assert all(value["size"] == 3 for value in results[2].posterior)


def test_traces_are_saved_as_lines(program, model, tmp_path):
    result = program.run(model, seed=1)
    result.trace.save(tmp_path / "t.jsonl")
    events = [json.loads(line) for line in (tmp_path / "t.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "started"
    assert result.trace._repr_html_().startswith("<svg")


def test_mistakes_are_raised_with_their_records():
    with pytest.raises(smcdsl.CompileError) as caught:
        smcdsl.compile("smc 1\ngenerate {\n}\n")
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["E0602"]
    with pytest.raises(smcdsl.UsageError, match="E0816"):
        smcdsl.load("there is none.smc")


def test_settings_know_where_they_come_from(program):
    settings = program.settings(particles=3)
    assert settings["particles"] == 3
    sources = {setting.name: setting.source for setting in settings.values}
    assert sources["particles"] == "flag"
    assert sources["resample"] == "default"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    import os

    from smcdsl.report.files import write_whole

    path = tmp_path / "f"
    path.write_text("old")

    def refuse(*_):
        raise OSError("planted")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="planted"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in Path(tmp_path).iterdir()] == ["f"]


def test_who_asks_is_told_whether_a_grammar_was_kept(model, monkeypatch, tmp_path):
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path))
    told = []
    for _ in range(2):
        smcdsl.compile(PROGRAM).run_many(model, [({"least": 1}, 0)], {}, on_compiled=told.append)
    assert [(compiled.hole, compiled.cached) for compiled in told] == [("x", False), ("x", True)]


def told_twice(model, between):
    """Whether the grammar was kept, in a first run and in a second."""
    told = []
    for _ in range(2):
        smcdsl.compile(PROGRAM).run_many(model, [({"least": 1}, 0)], {}, on_compiled=told.append)
        between()
    return [compiled.cached for compiled in told]


def test_a_damaged_grammar_is_not_called_kept(model, monkeypatch, tmp_path):
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path))

    def damage():
        (path,) = (tmp_path / "automata").iterdir()
        path.write_bytes(path.read_bytes()[:-7])

    assert told_twice(model, damage) == [False, False]


def test_a_cache_that_is_no_folder_does_no_harm(model, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "file"))
    assert told_twice(model, lambda: None) == [False, False]
