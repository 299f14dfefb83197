"""Results go to stdout, everything else to stderr (language reference, 5.2), in every verb alike."""

from __future__ import annotations

from pathlib import Path

import pytest

TOY = ("-m", "toy:toy.json")
RUN = ("run", "letters.smc", *TOY, "-i", "tag=t")
GOOD = [
    ("check", "letters.smc", "--output-format", "json"),
    ("fmt", "--diff", "letters.smc"),
    ("explain", "E0303"),
    ("explain", "smc"),
    ("explain", "sql.runs"),
    ("explain", "letters.smc"),
    ("show", "letters.smc", "-i", "tag=t"),
    ("show", "letters.smc", "--info"),
    ("show", "letters.smc", "--ast"),
    ("grammar", "letters.smc"),
    ("grammar", "letters.smc", "x"),
    ("grammar", "letters.smc", "x", "--sample", "2"),
    (*RUN, "-f", "table"),
    (*RUN, "-f", "table", "--view", "particles"),
    (*RUN, "--show-config"),
    ("build", "letters.smc", *TOY),
    ("stub", "letters.smc", "-o", "-"),
    ("models",),
    ("cache",),
    ("cache", "dir"),
]
BAD = [
    ("fmt", "broken.smc"),
    ("run", "broken.smc", *TOY),
    ("show", "broken.smc"),
    ("grammar", "broken.smc"),
    ("test", "broken.smc"),
    ("build", "broken.smc", *TOY),
    ("stub", "broken.smc"),
    ("verify", "broken.smc"),
    ("explain", "broken.smc"),
    ("check", "missing.smc"),
    ("trace", "missing.jsonl"),
    ("trace", "--last"),
    ("cache", "clear", "everything"),
    ("new", "nothing"),
    ("explain", "nothing"),
    ("run", "letters.smc", *TOY),
]


@pytest.fixture(autouse=True)
def with_a_cache_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "cache"))
    Path("broken.smc").write_text("smc 1\n\ngenerate {\n")


@pytest.mark.parametrize("arguments", GOOD, ids=" ".join)
def test_quiet_takes_nothing_from_stdout_and_all_from_stderr(smcdsl, arguments):
    loud, quiet = smcdsl(*arguments), smcdsl("-q", *arguments)
    assert loud.out
    assert (quiet.code, quiet.out) == (loud.code, loud.out)
    assert quiet.err == ""
    assert "note: " not in loud.out
    assert "help: " not in loud.out or arguments[0] == "explain"


@pytest.mark.parametrize("arguments", BAD, ids=" ".join)
def test_mistakes_are_told_on_stderr_alone(smcdsl, arguments):
    made = smcdsl("-q", *arguments)
    assert made.code in (1, 2)
    assert made.out == ""
    assert made.err.startswith("error")


def test_findings_are_what_check_is_asked_for(smcdsl):
    made = smcdsl("check", "broken.smc")
    assert made.code == 1
    assert made.out.startswith("error[")
    assert made.err == "1 file checked: 1 error\n"
