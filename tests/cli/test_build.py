"""`smcdsl build` and `smcdsl stub`: what they write, what they say, and where they may not write."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

BAD = {"missing.smc": None, "empty.smc": b"", "binary.smc": bytes(range(256)), "latin.smc": "smc 1 é".encode("latin-1")}


def test_a_program_is_built_and_run(smcdsl, run_letters):
    made = smcdsl("build", "letters.smc", "-m", "toy:toy.json")
    assert made.code == 0, made.err
    assert made.out.splitlines()[0].startswith("letters.smcx: 0.0 MB for toy:toy.json (tokenizer ")
    assert made.out.splitlines()[1] == "  x  5 states"
    assert made.err == ""
    ran = smcdsl("run", "letters.smcx", "-m", "toy:toy.json", "-i", "tag=t", "-f", "json")
    plain = run_letters("-f", "json")
    assert (ran.code, ran.json()["posterior"]) == (0, plain.json()["posterior"])
    assert smcdsl("show", "letters.smcx", "--plan").out == smcdsl("show", "letters.smc", "--plan").out
    assert "-i tag=TEXT" in smcdsl("run", "letters.smcx", "--help").out


def test_a_hole_that_depends_on_an_input(smcdsl):
    text = Path("letters.smc").read_text().replace("{1,3}/]]", "{1,3}/ where chars <= most]]")
    Path("most.smc").write_text(text.replace("input tag", "input most: int\ninput tag"))
    assert smcdsl("build", "most.smc", "-m", "toy:toy.json").out.splitlines()[1:] == [
        "  x  not included: it depends on `most`; give -i most=N"
    ]
    made = smcdsl("build", "most.smc", "-m", "toy:toy.json", "-i", "most=2")
    assert made.out.splitlines()[1].endswith("states, for this value of `most` only")
    assert smcdsl("build", "most.smc", "-m", "toy:toy.json", "-i", "most=x").code == 2
    assert smcdsl("build", "most.smc", "-m", "toy:toy.json", "-i", "least=7", "-i", "nobody=2").code == 2
    assert smcdsl("build", "most.smc", "-m", "toy:toy.json", "-i", "most").code == 2


def test_what_is_wrong_with_a_compiled_program_is_a_diagnostic(smcdsl):
    smcdsl("build", "letters.smc", "-m", "toy:toy.json")
    other = smcdsl("run", "letters.smcx", "-m", "tiny", "-i", "tag=t")
    assert other.code == 2
    assert "error[R0907]: this compiled program was built for something else" in other.err
    assert "help: rebuild: smcdsl build letters.smc --model tiny" in other.err
    data = bytearray(Path("letters.smcx").read_bytes())
    data[70] ^= 1
    Path("letters.smcx").write_bytes(data)
    for verb in (["run", "letters.smcx"], ["show", "letters.smcx", "--info"], ["test", "letters.smcx"]):
        ran = smcdsl(*verb)
        assert ran.code == 2
        assert "error[R0907]: this compiled program is damaged\n --> letters.smcx" in ran.err


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("verb", [["build", "-m", "toy:toy.json"], ["stub"]])
def test_programs_that_cannot_be_read(smcdsl, verb, name):
    if BAD[name] is not None:
        Path(name).write_bytes(BAD[name])
    before = sorted(os.listdir())
    ran = smcdsl(*verb, name)
    assert ran.code == (1 if name == "empty.smc" else 2)
    assert "error[" in ran.err
    assert "Traceback" not in ran.err
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("verb", [["build", "-m", "toy:toy.json"], ["stub"]])
def test_places_that_cannot_be_written(smcdsl, verb):
    Path("folder.smcx").mkdir()
    Path("folder.pyi").mkdir()
    for target in ("nowhere/x", "folder.smcx", "folder.pyi", "", "a\0b"):
        ran = smcdsl(*verb, "letters.smc", "-o", target)
        assert ran.code == 2, target
        assert "error: " in ran.err
        assert "Traceback" not in ran.err
    assert smcdsl(*verb, ".").code == 2


def test_a_program_is_not_written_over(smcdsl):
    text = Path("letters.smc").read_text()
    for verb in (["build", "-m", "toy:toy.json"], ["stub"]):
        assert smcdsl(*verb, "letters.smc", "-o", "letters.smc").code == 2
    assert Path("letters.smc").read_text() == text


@pytest.mark.parametrize("name", ["with blank.smc", "new\nline.smc", "-dash.smc", "2nd.smc", "class.smc"])
def test_odd_names(smcdsl, name):
    Path(name).write_text(Path("letters.smc").read_text())
    made = smcdsl("build", "-m", "toy:toy.json", "--stubs", "--", name)
    assert made.code == 0, made.err
    assert "\n" not in made.out.splitlines()[0]
    kept = name + "x"
    assert Path(kept).is_file()
    assert smcdsl("show", "--info", "--", kept).json()["inputs"][1]["name"] == "tag"
    (stub,) = Path().glob("*.pyi")
    assert stub.stem.isidentifier()


def test_a_closed_pipe_and_no_color(tmp_path):
    command = f"{sys.executable} -m smcdsl stub letters.smc -o - | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env={**os.environ, "NO_COLOR": "1"})
    assert done.stderr == ""


def test_a_stub_hides_no_module_and_replaces_nothing_of_others(smcdsl):
    assert smcdsl("stub", "letters.smc").code == 0
    assert smcdsl("stub", "letters.smc").code == 0
    Path("letters.pyi").write_text("x: int\n")
    assert "is not a stub that smcdsl wrote" in smcdsl("stub", "letters.smc").err
    Path("letters.pyi").unlink()
    Path("letters.py").write_text("x = 1\n")
    assert "would hide the module" in smcdsl("stub", "letters.smc").err
    assert not Path("letters.pyi").exists()
    assert smcdsl("stub", "letters.smc", "letters.smc", "-o", "x.pyi").code == 2
    assert smcdsl("stub").code == 2


TYPED = """smc 1
program typed "Says \\"things\\"."
input class: str = "x"
input kind: "a" | "b \\" c"
input tags: list[int] = []
input data: file
grammar number = /[0-9]+/ as int
grammar word = "yes" | "no"
generate {
  user "{{ class }}{{ kind }}{{ data }}"
  assistant "[[n: number]] [[w: word]]"
}
return best { n: n, both: { w: w } }
"""
APP = """from __future__ import annotations
from typing import TYPE_CHECKING, assert_type, cast
import smcdsl
if TYPE_CHECKING:
    from letters import Letters
    from typed import Typed
letters = cast("Letters", smcdsl.load("letters.smc"))
res = letters.run("tiny", tag="x", particles=3, seed=1)
assert_type(res.best, str)
assert_type(res.posterior, smcdsl.Distribution[str])
assert_type(res.samples(2), list[str])
assert_type(res.value, smcdsl.Distribution[str])
assert_type(res.posterior["a"], float)
typed = cast("Typed", smcdsl.load("typed.smc"))
val = typed.run(kind="a", data="x.txt", tags=[1]).value
assert_type(val["n"], int)
assert_type(val["both"]["w"], str)
for each in letters.batch("tiny", [{"tag": "x"}], jobs=2):
    assert_type(each.best, str)
async def later() -> None:
    assert_type((await letters.arun(tag="x", least=3)).best, str)
"""
WRONG = [
    'letters.run("tiny", tug="x")',
    "letters.run(tag=3)",
    'letters.run("tiny")',
    'letters.run("tiny", tag="x", particles="many")',
    'letters.run("tiny", tag="x", partcles=3)',
    'typed.run(kind="c", data="x")',
    'typed.run(kind="a", data="x", tags=["1"])',
    'val["m"]',
    "res.best.n",
]


@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy")
def test_a_type_checker_sees_inputs_and_results(smcdsl, tmp_path):
    Path("typed.smc").write_text(TYPED)
    made = smcdsl("stub", "letters.smc", "typed.smc")
    assert made.code == 0, made.err
    Path("app.py").write_text(APP + "".join(f"{line}\n" for line in WRONG))
    root = Path(sys.modules["smcdsl"].__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), "app.py", "typed.pyi"],
        capture_output=True,
        text=True,
        env={**os.environ, "MYPYPATH": str(root)},
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    first = APP.count("\n") + 1
    assert [line.split(":")[:2] for line in errors] == [
        ["app.py", str(number)] for number in range(first, first + len(WRONG))
    ], done.stdout
