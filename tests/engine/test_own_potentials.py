"""Potentials of a project's own file, from the program's text to the result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import smcdsl
from smcdsl.errors import UsageError
from smcdsl.models.toy import ToyModel

TABLE = {
    "vocab": ["a", "b", "\n", "<end>"],
    "eos": 3,
    "lm": {"order": 0, "table": [[[], [0.35, 0.3, 0.3, 0.05]]]},
}
PROGRAM = """smc 1
import potential "judges.py" as judges
input word: str = ""
generate {{
  text "[[x: /[ab]{{1,3}}/]]\\n"
  {factors}
}}
return posterior x
"""
JUDGES = '''
import os
from pathlib import Path
from smcdsl import potential
from smcdsl.errors import Diagnostic, UsageError
from smcdsl.protocols import Weight

HERE = Path(__file__).parent

@potential(workers=2, version="1")
def by_process(x: str, word: str) -> Weight:
    """Notes which process it runs in."""
    print("not for stdout")
    with open(HERE / "pids", "a") as pids:
        pids.write(f"{os.getpid()}\\n")
    return 1.0

@potential(cache=True)
def dear(x: str) -> Weight:
    with open(HERE / "asked", "a") as asked:
        asked.write(x + "\\n")
    return len(x) / 3

@potential(prefix="any", prefix_form="not_bb_yet")
def not_bb(x: str) -> bool:
    return "bb" not in x

def not_bb_yet(x: str) -> bool | None:
    return None if len(x) < 2 else "bb" not in x

@potential()
def moody(x: str) -> Weight:
    moody_asked.append(x)
    return float(len(moody_asked))

moody_asked = []

@potential()
def fragile(x: str) -> Weight:
    if x == "bb":
        raise RuntimeError("no")
    return 1.0

@potential(on_error="zero")
def particular(x: str) -> Weight:
    raise UsageError(Diagnostic("E0802", "no such table", help="make it"))

@potential(on_error="zero", workers=1)
def particular_elsewhere(x: str) -> Weight:
    raise UsageError(Diagnostic("E0802", "no such table", help="make it"))
'''


@pytest.fixture(scope="module")
def model() -> ToyModel:
    return ToyModel(TABLE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judges.py").write_text(JUDGES)
    return tmp_path


def program(*factors: str) -> Any:
    return smcdsl.compile(PROGRAM.format(factors="\n  ".join(factors)))


def test_workers_stay_from_row_to_row_of_a_batch(
    model: ToyModel, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = program("score judges.by_process(x, word)")
    rows = [{"word": str(number)} for number in range(6)]
    assert len(list(made.batch(model, rows, jobs=1, particles=4))) == 6
    processes = (folder / "pids").read_text().split()
    assert len(set(processes)) <= 2 < len(processes)
    assert "not for stdout" not in capfd.readouterr().out
    assert not any(Path(f"/proc/{process}").exists() for process in processes)


def test_a_batch_that_is_left_early_leaves_no_workers(model: ToyModel, folder: Path) -> None:
    made = program("score judges.by_process(x, word)")
    batch = made.batch(model, [{"word": str(number)} for number in range(6)], jobs=1, particles=4)
    next(batch)
    batch.close()
    assert not any(Path(f"/proc/{process}").exists() for process in (folder / "pids").read_text().split())


def test_kept_results_spare_the_next_run_its_calls(model: ToyModel, folder: Path) -> None:
    first, again = (program("score judges.dear(x)").run(model, particles=32) for _ in range(2))
    asked = (folder / "asked").read_text().split()
    assert len(asked) == len(set(asked))
    assert first.as_json()["posterior"] == again.as_json()["posterior"]
    calls = again.as_json()["calls"]["judges.dear"]
    assert calls["n"] == calls["cached"] > 0
    (folder / "judges.py").write_text((folder / "judges.py").read_text().replace("len(x) / 3", "len(x) / 4"))
    changed = program("score judges.dear(x)").run(model, particles=32)
    assert changed.log_z < again.log_z
    assert (folder / "asked").read_text().split() == asked * 2


def test_undetermined_looks_are_counted_in_the_result(model: ToyModel) -> None:
    result = program("require judges.not_bb(x) at token").run(model, particles=32)
    assert result.as_json()["calls"]["judges.not_bb"]["undetermined"] == 2
    assert all("bb" not in value for value, _ in result.posterior.items())


def test_an_error_keeps_what_had_finished(model: ToyModel) -> None:
    with pytest.raises(smcdsl.PotentialError) as caught:
        program("score judges.fragile(x)").run(model, particles=64)
    partial = caught.value.partial
    assert not partial.complete
    assert json.dumps(partial.as_json())
    assert all(view.text != "bb\n" for view in partial.particles if view.finished)


@pytest.mark.parametrize("asks", [{"check_potentials": True}, {}])
def test_consistency_is_checked_where_asked_for(model: ToyModel, asks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = program("score judges.moody(x)")
    assert made.run(model).log_z
    if not asks:
        monkeypatch.setenv("SMCDSL_CHECK_POTENTIALS", "true")
    with pytest.raises(smcdsl.PotentialError, match="R0908") as caught:
        made.run(model, **asks)
    assert caught.value.partial.complete


def test_consistency_wants_yes_or_no(model: ToyModel) -> None:
    with pytest.raises(smcdsl.UsageError, match="E0708"):
        program("score judges.moody(x)").run(model, check_potentials="perhaps")


def test_facts_in_braces_are_those_of_the_program(model: ToyModel, folder: Path) -> None:
    text = PROGRAM.format(factors="score dear(x)").replace(
        'import potential "judges.py" as judges',
        'potential dear(x: str) -> weight = py("judges.py:dear") { cache: true, version: "7" }',
    )
    for _ in range(2):
        smcdsl.compile(text).run(model, particles=32)
    asked = (folder / "asked").read_text().split()
    assert len(asked) == len(set(asked))
    smcdsl.compile(text.replace('"7"', '"8"')).run(model, particles=32)
    assert (folder / "asked").read_text().split() == asked * 2
    with pytest.raises(smcdsl.CompileError, match="E0508"):
        smcdsl.compile(text.replace("cache: true", "cache: true, pure: false"))


@pytest.mark.parametrize("name", ["particular", "particular_elsewhere"])
def test_what_is_wrong_with_an_input_is_no_failure_of_the_potential(model: ToyModel, folder: Path, name: str) -> None:
    """It keeps its kind, code and help, gets the call's place, and no policy makes a weight of it."""
    with pytest.raises(UsageError) as caught:
        program(f"score judges.{name}(x)").run(model, particles=4)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.help) == ("E0802", "make it")
    assert diagnostic.primary is not None
    assert diagnostic.primary.text == f"judges.{name}(x)"
