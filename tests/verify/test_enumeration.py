"""What verify enumerates is the measure that the program denotes, and broken promises are found with their texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from building import Functions, factor, hole, program, text, turn
from oracles.enumerated import language, letters_of
from running import automata, toy
from test_exactness import CASES, Case

from smcdsl.compiler.compile import compile_program
from smcdsl.inference.factors.calls import PotentialCalls
from smcdsl.program.types import BOOL
from smcdsl.verify.enumeration import Enumerated, Enumeration
from smcdsl.verify.scouting import Scouted, pieces_of
from smcdsl.verify.table_model import END, TableModel


def enumerate_case(case: Case, **more: Any) -> Enumerated:
    calls = PotentialCalls(case.functions, checks=True)
    try:
        plan = compile_program(case.program)
        return Enumeration(plan, case.model, automata(case.model, case.languages), calls, **more).run(case.inputs)
    finally:
        calls.close()


@pytest.mark.parametrize("name", CASES)
def test_the_masses_are_those_of_the_oracle(name: str) -> None:
    case = CASES[name]()
    expected = {key[1]: mass for key, mass in case.enumerated().items() if key != "Z"}
    found = enumerate_case(case)
    assert found.findings == []
    assert found.whole
    assert found.masses.keys() == expected.keys()
    for value, mass in found.masses.items():
        assert mass == pytest.approx(expected[value], rel=1e-10)


def test_texts_that_are_too_many_are_left_out_whole_layers_at_a_time() -> None:
    case = CASES["one_hole"]()
    expected = {key[1]: mass for key, mass in case.enumerated().items() if key != "Z"}
    found = next(made for nodes in range(50) if (made := enumerate_case(case, most_nodes=nodes)).masses)
    assert not found.whole
    assert len(found.masses) < len(expected)
    # A layer has every text of its length, so nothing shorter is missing.
    assert all(mass <= expected[value] * (1 + 1e-12) for value, mass in found.masses.items())


TEXTS = ["a", "ab", "abb", "ba"]


def broken(functions: Functions, *factors: Any) -> Enumerated:
    made = program(turn("text", "b", text(hole("q"))), *factors)
    spoken = language(TEXTS, ("letter",), letters_of("ab"))
    return enumerate_case(Case(made, toy(["a", "b", "ab"], seed=2), {"q": spoken}, functions))


def test_a_preview_that_refuses_what_has_mass_is_named_with_both_texts() -> None:
    functions = Functions()
    short = functions.add("short", lambda q: q != "ab", BOOL, prefix="any")
    (finding,) = broken(functions, factor("require", short("q"), "q.letter")).findings
    assert finding.code == "R0905"
    assert 'no to the prefix "ab" but yes to the finished "abb"' in finding.labels[0].text


def test_a_score_whose_preview_is_zero_promises_as_well() -> None:
    functions = Functions()
    good = functions.add("good", lambda q: 0.0 if q == "ab" else 1.0, prefix="any")
    (finding,) = broken(functions, factor("score", good("q"), "q.token")).findings
    assert (finding.code, "`good`" in finding.message) == ("R0905", True)


def test_a_guide_promises_nothing() -> None:
    functions = Functions()
    hope = functions.add("hope", lambda q: 0.0 if q == "ab" else 1.0, prefix="any")
    assert broken(functions, factor("guide", hope("q"), "q.token")).findings == []


def test_a_pure_potential_that_answers_at_random_is_named() -> None:
    functions = Functions()
    generator = np.random.default_rng(0)
    moody = functions.add("moody", lambda q: float(generator.random()))
    (finding,) = broken(functions, factor("score", moody("q"))).findings
    assert finding.code == "R0908"
    assert "q" not in finding.message
    assert 'for p0 = "' in finding.labels[0].text


def test_a_negative_score_is_named_with_its_text_and_the_rest_is_walked() -> None:
    functions = Functions()
    sour = functions.add("sour", lambda q: 2.5 - len(q))
    good = functions.add("good", lambda q: 1.0)
    found = broken(functions, factor("score", good("q")), factor("score", sour("q")))
    (finding,) = found.findings
    assert finding.code == "R0904"
    assert 'on the text "abb"' in finding.notes
    assert found.masses.keys() == {"a", "ab", "ba"}


def test_a_failure_is_told_once_for_each_potential() -> None:
    functions = Functions()

    def fails(q: str) -> float:
        raise ValueError(f"not {q}")

    bad = functions.add("bad", fails)
    found = broken(functions, factor("score", bad("q")))
    assert [finding.code for finding in found.findings] == ["R0903"]
    assert found.masses == {}


def test_the_table_model_writes_its_pieces_and_no_other_bytes() -> None:
    model = TableModel([b"ab", b"c"], seed=3)
    law = np.exp(model.log_rows)
    assert np.allclose(law.sum(axis=1), 1)
    written = np.flatnonzero(law[0])
    assert written.tolist() == [END, 258, 259]
    assert (law[:, written] > 0.01).all()
    assert model.vocabulary.spell(model.encode("abcé")) == "abcé".encode()
    assert model.encode("abc") == [258, 259]
    assert np.array_equal(TableModel([b"ab", b"c"], seed=3).log_rows, model.log_rows)


def test_pieces_are_cut_at_characters_and_spell_the_texts() -> None:
    texts = ["naïve 🙂 text", "b"]
    scouted = Scouted([text.encode() for text in texts], [b"seen"])
    for seed in range(20):
        pieces = pieces_of(scouted, [], 20, np.random.default_rng(seed))
        assert pieces[0] == b"seen"
        assert all(piece.decode() for piece in pieces)
        assert b"".join(dict.fromkeys(pieces[1:-1])) == texts[0].encode()
        assert pieces[-1] == b"b"


def test_given_pieces_come_first_and_whole() -> None:
    pieces = pieces_of(Scouted([b"xyz"], [b"seen"]), [b"given"], 5, np.random.default_rng(1))
    assert pieces[:2] == [b"given", b"seen"]
    assert len(pieces) <= 5
