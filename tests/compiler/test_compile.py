"""Program -> Plan: where factors go, how control flow is laid out, which holes are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "inference"))

from building import (
    Functions,
    binary,
    branch,
    constant,
    each,
    factor,
    hole,
    insert,
    leave,
    let,
    loop,
    observe,
    program,
    text,
    turn,
)

from smcdsl.compiler.compile import compile_program
from smcdsl.errors import CompileError
from smcdsl.program.types import BOOL

functions = Functions()
good = functions.add("good", lambda *values: 1.0)
dear = functions.add("dear", lambda *values: 1.0, cost_seconds=1.0)
both = functions.add("both", lambda *values: True, BOOL, parameters=2)


def lines(*body):
    return [line[6:] for line in str(compile_program(program(*body))).splitlines()]


def test_a_factor_moves_behind_the_hole_it_mentions():
    made = lines(
        turn("user", "u"),
        turn("assistant", text(hole("a"), ";"), text(hole("b"))),
        factor("score", good("a")),
        factor("require", both("a", "b")),
    )
    assert made == [
        "open user",
        'give "u"',
        "close user",
        "open assistant",
        "write a",
        "judge score good",
        'give ";"',
        "write b",
        "judge require both",
        "close assistant",
    ]


def test_cheap_factors_go_before_dear_ones():
    made = lines(turn("text", text(hole("a"))), factor("score", dear("a")), factor("score", good("a")))
    assert made[2:4] == ["judge score good", "judge score dear"]


def test_a_factor_does_not_pass_a_break():
    body = loop(
        "i",
        constant(1),
        constant(3),
        text(hole("a", collects=True), ";"),
        branch(binary("a", "==", constant("x")), [leave()]),
        factor("score", good("a")),
    )
    made = lines(turn("text", body))
    unless = next(number for number, line in enumerate(made) if line.startswith("unless"))
    assert made.index("judge score good") > unless


def test_a_factor_does_not_enter_a_branch_or_a_loop():
    arm = [text(";", hole("b"))]
    made = lines(
        turn("text", text(hole("a"), ";"), branch(binary("a", "==", constant("x")), arm)), factor("score", good("b"))
    )
    assert made.index("judge score good") == len(made) - 2
    assert made[-1] == "close text"


def test_break_closes_the_turns_it_leaves():
    inner = turn("assistant", text(hole("a", collects=True), ";"), branch(binary("i", "==", constant(2)), [leave()]))
    made = lines(loop("i", constant(1), constant(3), turn("user", "u"), inner))
    position = made.index("close assistant")
    assert made[position + 1].startswith("go to")
    assert made.count("close assistant") == 2


def test_lets_keep_their_place():
    made = lines(
        turn("text", text(hole("a"), ";"), let("n", "a"), text(insert("n"), hole("b"))), factor("score", good("n"))
    )
    assert made.index("let n = a") + 1 == made.index("judge score good")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ([text(hole("a")), text(hole("b"))], "E0606"),
        ([text(hole("a")), observe("x")], "E0606"),
        ([text(hole("a"), insert("a"))], "E0607"),
        ([text(hole("a")), branch(binary("a", "==", constant("x")), [text("y")])], "E0607"),
        ([text(hole("a")), let("n", "a"), text(insert("n"))], "E0607"),
    ],
)
def test_a_hole_whose_end_cannot_be_known_is_refused(body, code):
    with pytest.raises(CompileError, match=code):
        compile_program(program(turn("text", *body)))


def test_what_ends_on_every_way_is_accepted():
    arm = [text(hole("a"))]
    compile_program(program(turn("text", branch(binary("x", "==", constant("x")), arm, [text(hole("b"), ";")]))))


def test_each_cannot_range_over_tokens():
    with pytest.raises(CompileError, match="tokens"):
        compile_program(program(turn("text", text(hole("a"))), each("score", good("c"), "c", "a.token")))
