"""Answers about grammars that are kept are those that would be found, and what is kept may be lost or damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smcdsl import engine
from smcdsl.compiler import remembered
from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.compiler.remembered import KeptFacts
from smcdsl.engine import read_source
from smcdsl.notations.lark import load_lark

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.smc"))
GRAMMARS = {
    "finite": 'start: "yes" | "no"',
    "lists": 'start: ITEM ("," ITEM)*\nITEM: /[0-9]+/',
    "ambiguous": 'start: start start | "a"',
    "nothing": "start: A\nA: /a(?!a)a/",
}
QUESTIONS: dict[str, Any] = {
    "problems": lambda facts, grammar: [found.code for found in facts.problems(grammar)],
    "accepts": lambda facts, grammar: [facts.accepts(grammar, text) for text in ("yes", "1,2", "aa", "")],
    "can_contain": lambda facts, grammar: [facts.can_contain(grammar, text) for text in ("e", ",", "b")],
    "char_lengths": lambda facts, grammar: facts.char_lengths(grammar),
    "may_be_ambiguous": lambda facts, grammar: facts.may_be_ambiguous(grammar),
}


@pytest.fixture(autouse=True)
def _keep_all(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(remembered, "_WORTH_KEEPING", -1.0)
    return


def asked(facts: Any) -> dict[str, Any]:
    return {
        f"{name} {question}": ask(facts, load_lark(text))
        for name, text in GRAMMARS.items()
        for question, ask in QUESTIONS.items()
    }


def test_kept_answers_are_those_that_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = asked(GrammarAnalysis())
    first = KeptFacts(tmp_path)
    assert asked(first) == plain
    first.save()
    second = KeptFacts(tmp_path)
    found = []
    for question in QUESTIONS:
        right = getattr(GrammarAnalysis, question)
        monkeypatch.setattr(
            GrammarAnalysis, question, lambda *given, right=right: found.append(given[1]) or right(*given)
        )
    assert asked(second) == plain
    assert {grammar.digest for grammar in found} <= {load_lark(GRAMMARS["nothing"]).digest}, "mistakes have places"
    (file,) = (tmp_path / "facts").iterdir()
    written = file.stat().st_mtime_ns
    second.save()
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 400, None])
def test_a_damaged_file_is_none(tmp_path: Path, damage: bytes | None) -> None:
    first = KeptFacts(tmp_path)
    plain = asked(first)
    first.save()
    (file,) = (tmp_path / "facts").iterdir()
    file.write_bytes(file.read_bytes()[:-9] if damage is None else damage)
    assert asked(KeptFacts(tmp_path)) == plain


def test_other_code_does_not_find_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = KeptFacts(tmp_path)
    asked(first)
    first.save()
    monkeypatch.setattr(remembered, "_stamp", lambda: "another")
    assert not KeptFacts(tmp_path)._known


def test_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "_MOST", 6)
    facts = KeptFacts(tmp_path)
    asked(facts)
    facts.save()
    assert len(KeptFacts(tmp_path)._known) == 6


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_checks_say_the_same_the_second_time(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path))
    found = [engine.check(read_source(path), pedantic=True)[1] for _ in range(2)]
    assert [str(each) for each in found[0]] == [str(each) for each in found[1]]
