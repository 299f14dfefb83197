"""Compiled programs: they run as their programs do, and what they were not built for, or is damaged, is an error."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import smcdsl
from smcdsl.automaton.tables import FORMAT
from smcdsl.container import MAGIC, Damaged, open_container, write_container
from smcdsl.engine.built import Built, build_program, open_built
from smcdsl.errors import UsageError

PROGRAM = """smc 1
import "words.smc" as words

input least: int = 1
input most: int

grammar nested = "(" nested ")" | /[ab]/

generate {
  text {
    "[[x: words.word]]\\n"
    "[[y: nested]]\\n"
    "[[z: /[ab]{1,3}/ where chars <= most]]\\n"
  }
  require chars(x) >= least
}

return posterior { x: x, y: y, z: z }
"""
WORDS = "smc 1\nmodule words\n\ngrammar word = /[ab]{1,3}/\n"


def table(vocab):
    law = [1 / len(vocab)] * len(vocab)
    rows = [[[c], law] for c in range(-1, len(vocab))]
    return {"vocab": vocab, "eos": len(vocab) - 1, "lm": {"order": 1, "table": rows}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("nested.smc").write_text(PROGRAM)
    Path("words.smc").write_text(WORDS)
    Path("toy.json").write_text(json.dumps(table(["a", "b", "\n", "(", ")", "((", "<end>"])))
    Path("other.json").write_text(json.dumps(table(["a", "b", "\n", "(", ")", "<end>"])))
    return tmp_path


def build(path="nested.smcx", **values):
    compiled = smcdsl.load("nested.smc")
    model = smcdsl.model("toy:toy.json")
    settings = {"model_name": "toy:toy.json", "state_limit": 100_000, "folder": Path()}
    return build_program(compiled.program, model, Path(path), values={"least": 1, **values}, **settings)


def refused(path="nested.smcx"):
    with pytest.raises(UsageError) as caught:
        smcdsl.load(path)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "R0907"
    return diagnostic


def test_a_compiled_program_runs_as_the_program_does(folder, monkeypatch):
    report = build(most=2)
    assert [hole.name for hole in report.holes if hole.states is not None] == ["x", "y", "z"]
    compiled = []
    kept, plain = smcdsl.load("nested.smcx"), smcdsl.load("nested.smc")
    assert kept.built is not None
    arguments = {"most": 2, "particles": 8, "seed": 3}
    ours = kept.run("toy:toy.json", on_compiled=compiled.append, **arguments)
    theirs = plain.run("toy:toy.json", **arguments)
    assert [item.cached for item in compiled] == [True, True, True]
    assert ours.posterior.items() == theirs.posterior.items()
    assert ours.log_z == theirs.log_z
    assert ours.as_json()["program"] == "nested"


def test_nothing_is_compiled_for_what_is_in_the_file(folder, monkeypatch):
    build(most=2)
    kept = smcdsl.load("nested.smcx")

    def never(*_, **__):
        raise AssertionError("a grammar was compiled")

    monkeypatch.setattr("smcdsl.compiler.assemble._Assembly.tables", never)
    monkeypatch.setattr("smcdsl.compiler.assemble.load_tables", lambda *_: None)
    kept.run("toy:toy.json", most=2)
    with pytest.raises(AssertionError, match="compiled"):
        kept.run("toy:toy.json", most=1)


def test_holes_that_depend_on_inputs_are_left_out_without_them(folder):
    report = build()
    assert [(hole.name, hole.needs) for hole in report.holes] == [("x", ()), ("y", ()), ("z", ("most",))]
    result = smcdsl.load("nested.smcx").run("toy:toy.json", most=1)
    assert all(len(value["z"]) == 1 for value, _ in result.posterior.items())


def test_the_fingerprint_of_tables_from_a_file_is_not_the_files_to_say(folder):
    build(most=2)
    kept = smcdsl.load("nested.smcx")
    vocabulary = smcdsl.model("toy:toy.json").vocabulary
    (key, *_) = kept.built._container.facts["grammars"]
    assert kept.built.tables(key, vocabulary).fingerprint.startswith("built-")
    assert kept.built.tables("0" * 40, vocabulary) is None


def test_another_tokenizer_is_refused(folder):
    build(most=2)
    with pytest.raises(UsageError) as caught:
        smcdsl.load("nested.smcx").run("toy:other.json", most=2)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "R0907"
    assert diagnostic.message == "this compiled program was built for something else"
    ours, theirs = (smcdsl.model(f"toy:{name}.json").vocabulary.fingerprint[:8] for name in ("toy", "other"))
    built = f"built by smcdsl {smcdsl.__version__} for tokenizer {ours}... (toy:toy.json)"
    now = f"this is smcdsl {smcdsl.__version__} and tokenizer {theirs}... (toy:other.json)"
    assert diagnostic.facts == (f"{built}; {now}",)
    assert diagnostic.help == "rebuild: smcdsl build nested.smc --model toy:other.json"


def changed(**facts):
    """Write the file again with other facts, sections as they are."""
    container = open_container(Path("nested.smcx"))
    sections = {name: container.section(name)[0] for name in container._sections}
    write_container(Path("nested.smcx"), container.facts | facts, sections)


def test_another_version_is_refused(folder):
    build(most=2)
    changed(tool="0.0.7")
    diagnostic = refused()
    assert diagnostic.message == "this compiled program was built for something else"
    assert diagnostic.facts[0].startswith("built by smcdsl 0.0.7 for tokenizer ")
    assert diagnostic.facts[0].endswith(f"; this is smcdsl {smcdsl.__version__}")
    build(most=2)
    changed(tables=FORMAT - 1)
    assert f"(tables {FORMAT})" in refused().facts[0]
    data = Path("nested.smcx").read_bytes()
    Path("nested.smcx").write_bytes(data.replace(MAGIC, MAGIC.replace(b"1", b"7"), 1))
    assert "format 7" in refused().facts[0]


def test_a_changed_import_is_refused(folder):
    build(most=2)
    Path("words.smc").write_text(WORDS.replace("[ab]", "[a]"))
    diagnostic = refused()
    assert diagnostic.message == "this compiled program is out of date"
    assert diagnostic.facts == ("`words.smc` is not what it was then",)
    Path("words.smc").write_text("smc 1\nmodule words\n\ngrammar wor")
    assert refused().facts == ("`words.smc` is not what it was then",)
    Path("words.smc").write_text(WORDS)
    smcdsl.load("nested.smcx")
    Path("words.smc").unlink()
    with pytest.raises(smcdsl.CompileError, match="E02"):
        smcdsl.load("nested.smcx")


def test_imports_are_looked_for_beside_the_file(folder):
    Path("out").mkdir()
    report = build("out/renamed.smcx", most=2)
    assert report.missing == ("words.smc",)
    Path("out/words.smc").write_text(WORDS)
    assert build("out/renamed.smcx", most=2).missing == ()
    os.chdir("out")
    Path("../words.smc").unlink()
    compiled = smcdsl.load("renamed.smcx")
    assert compiled.program.name == "nested"


@pytest.mark.parametrize("data", [b"", b"smc", MAGIC, MAGIC * 9, b"\0" * 5000, MAGIC + b"\xff" * 500])
def test_files_that_are_no_containers(folder, data):
    Path("x.smcx").write_bytes(data)
    assert refused("x.smcx").message == "this compiled program is damaged"


def test_a_folder_or_nothing_is_an_unreadable_file(folder):
    Path("d.smcx").mkdir()
    for name in ("d.smcx", "none.smcx"):
        with pytest.raises(UsageError) as caught:
            smcdsl.load(name)
        assert caught.value.diagnostics[0].code == "E0816"


def test_every_cut_and_every_flipped_byte_of_the_manifest_is_seen(folder):
    build(most=2)
    data = Path("nested.smcx").read_bytes()
    length = 64 + int.from_bytes(data[16:24], "little")
    for end in {*range(0, 200, 7), length - 1, length}:
        Path("cut.smcx").write_bytes(data[:end])
        with pytest.raises(UsageError):
            smcdsl.load("cut.smcx").built.tables(next(iter(json.loads(data[64:length])["facts"]["grammars"])), None)
    for at in [*range(56), *range(64, length, 97)]:
        damaged = bytearray(data)
        damaged[at] ^= 0x20
        Path("flipped.smcx").write_bytes(damaged)
        assert refused("flipped.smcx").code == "R0907"


def test_a_flipped_byte_of_a_section_is_seen_when_it_is_asked_for(folder):
    build(most=2)
    data = bytearray(Path("nested.smcx").read_bytes())
    data[-100] ^= 1
    Path("nested.smcx").write_bytes(data)
    with pytest.raises(UsageError, match="R0907"):
        smcdsl.load("nested.smcx").run("toy:toy.json", most=2)


BAD_FACTS = [
    {"program": 3},
    {"program": {"name": "x", "file": "../../x.smc", "text": "smc 1\n"}},
    {"program": {"name": "x", "file": "x.smc", "text": 7}},
    {"program": {"name": "x", "file": "x.smc"}},
    {"files": ["words.smc"]},
    {"files": {"words.smc": 1}},
    {"tokenizer": {"fingerprint": "zz", "model": "x"}},
    {"tokenizer": {"fingerprint": "\x1b[31m" * 9, "model": "x"}},
    {"tool": None},
    {"tables": True},
    {"grammars": []},
    {"holes": {}},
]


@pytest.mark.parametrize("facts", BAD_FACTS)
def test_facts_of_other_types(folder, facts):
    build(most=2)
    changed(**facts)
    refused()


@pytest.mark.parametrize(
    "described",
    [
        None,
        ["i4", [2**40, 2**40], 0],
        ["i4", [-1], 0],
        ["i4", [3], 8],
        ["i4", [3], 2**61],
        ["O", [3], 0],
        ["i4", [], 0],
        ["i4", [1, 1, 1], 0],
        ["i4", [True], 0],
        ["i4", [0, 1 << 40], 0],
        ["f8", [1], 0],
        [["i4"], [1], 0],
        ["i4", "1", 0],
    ],
)
def test_arrays_that_are_not_inside_their_section(tmp_path, described):
    path = tmp_path / "c"
    write_container(path, {}, {"s": {"a": np.arange(4, dtype=np.int32)}})
    container = open_container(path)
    assert container.section("s")[0]["a"].tolist() == [0, 1, 2, 3]
    container._sections["s"]["arrays"]["a"] = described
    with pytest.raises(Damaged):
        container.section("s")


@pytest.mark.parametrize("change", [{"offset": 8}, {"offset": -16}, {"size": 1 << 50}, {"sha256": 5}, {"arrays": []}])
def test_sections_that_are_not_inside_the_file(tmp_path, change):
    path = tmp_path / "c"
    write_container(path, {}, {"s": {"a": np.arange(4, dtype=np.int32)}})
    container = open_container(path)
    container._sections["s"].update(change)
    with pytest.raises(Damaged):
        container.section("s")


def test_arrays_come_back_as_they_were(tmp_path):
    arrays = {
        "a": np.arange(6, dtype=np.int32).reshape(2, 3),
        "empty": np.zeros((0, 256), dtype=np.int32),
        "bits": np.array([True, False]),
        "wide": np.array([2**63], dtype=np.uint64),
        "bytes": np.frombuffer(b"abc", dtype=np.uint8),
        "long": np.array([-1, 2**40]),
    }
    write_container(tmp_path / "c", {"fact": "é\n"}, {"one": arrays, "none": {}})
    container = open_container(tmp_path / "c")
    assert container.facts == {"fact": "é\n"}
    read, _ = container.section("one")
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert np.array_equal(read[name], array)
        assert read[name].ctypes.data % 16 == 0
    assert container.section("none")[0] == {}


def test_a_failed_write_leaves_what_was_there(folder, monkeypatch):
    build(most=2)
    before = Path("nested.smcx").read_bytes()

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(KeyboardInterrupt):
        build(most=1)
    assert Path("nested.smcx").read_bytes() == before
    assert sorted(os.listdir()) == ["nested.smc", "nested.smcx", "other.json", "toy.json", "words.smc"]


def test_what_is_written_to_arrays_stays_in_the_process(tmp_path):
    write_container(tmp_path / "c", {}, {"s": {"a": np.arange(4, dtype=np.int32)}})
    open_container(tmp_path / "c").section("s")[0]["a"][:] = 7
    assert open_container(tmp_path / "c").section("s")[0]["a"].tolist() == [0, 1, 2, 3]


def test_other_files_are_not_opened_as_compiled_ones(folder):
    assert open_built(Path("nested.smc")) is None
    assert open_built(Path("-")) is None
    build("built-without-ending", most=2)
    assert isinstance(open_built(Path("built-without-ending")), Built)
