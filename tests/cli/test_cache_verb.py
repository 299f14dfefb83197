"""`smcdsl cache`: what is kept, and getting rid of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from smcdsl.engine import automata


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = tmp_path / "kept"
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(made))
    return made


def kinds(made):
    return {row["kind"]: row["files"] for row in made.json()["kept"]}


def test_runs_fill_the_cache_and_clearing_it_changes_no_result(smcdsl, run_letters, folder, monkeypatch):
    # As in a process of its own: what a run before this one compiled is in memory.
    monkeypatch.setattr(automata, "_automata", type(automata._automata)())
    before = run_letters("-f", "json", "--seed", "3").json()
    stats = smcdsl("cache", "stats", "-f", "json")
    assert stats.json()["dir"] == str(folder)
    assert kinds(stats)["automata"] > 0
    assert kinds(stats)["vocabularies"] > 0
    made = smcdsl("cache", "clear")
    assert made.code == 0
    assert not [file for file in folder.rglob("*") if file.is_file()]
    assert not any(kinds(smcdsl("cache", "-f", "json")).values())
    after = run_letters("-f", "json", "--seed", "3").json()
    assert after["posterior"] == before["posterior"]


def test_what_was_learned_goes_only_by_name(smcdsl, folder):
    for kind in ("lookahead", "automata"):
        (folder / kind).mkdir(parents=True)
        (folder / kind / "x").write_bytes(b"12345")
    (folder / "not ours").write_text("stays")
    assert smcdsl("cache", "clear").out == "1 files deleted, 5 B\n"
    assert (folder / "lookahead" / "x").exists()
    assert smcdsl("cache", "clear", "lookahead").out == "1 files deleted, 5 B\n"
    assert not (folder / "lookahead" / "x").exists()
    assert (folder / "not ours").read_text() == "stays"


def test_links_out_of_the_cache_are_not_followed(smcdsl, folder, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("stays")
    (folder / "automata").mkdir(parents=True)
    (folder / "automata" / "link").symlink_to(outside)
    smcdsl("cache", "clear")
    assert (outside / "mine").read_text() == "stays"


def test_an_empty_cache_and_its_place(smcdsl, folder):
    assert smcdsl("cache", "dir").out == f"{folder}\n"
    stats = smcdsl("cache")
    assert "0 files" in stats.out
    assert stats.out.endswith(f"in {folder}\n")
    assert stats.err == ""
    assert smcdsl("cache", "clear").out == "0 files deleted, 0 B\n"
    assert not Path(folder).exists()


def test_unknown_kinds_are_refused(smcdsl, folder):
    made = smcdsl("cache", "clear", "everything")
    assert made.code == 2
    assert "there are automata" in made.err
