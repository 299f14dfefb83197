"""Laws of draws by frequency: locally constrained decoding, with drafts and without; calibration by simulation."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from battery import instance, posteriors
from building import Functions, factor
from frequencies import assert_frequencies, chi_square_p
from grid import drafts_of
from oracles.instances import Instance, asked

from smcdsl.compiler.compile import compile_program
from smcdsl.inference.conditional import Retained
from smcdsl.inference.methods import RunRequest, Settings
from smcdsl.inference.refining import choose, conditional_sweep
from smcdsl.inference.resampling import multinomial
from smcdsl.inference.runtime import opened
from smcdsl.program.types import BOOL

pytestmark = pytest.mark.statistical

ALPHA = 1e-6
FEWEST = 5.0


def locally_constrained_law(problem: Instance) -> dict[Any, float]:
    """The law of texts whose tokens are drawn one by one under the mask, by walking all of them."""
    model, automaton = problem.model, problem.automaton
    found: dict[Any, float] = {}
    stack: list[tuple[tuple[int, ...], int, float]] = [((), automaton.start, 1.0)]
    while stack:
        tokens, state, chance = stack.pop()
        if automaton.finished(np.array([state]))[0]:
            text = automaton._states[state][0].decode()
            found[text] = found.get(text, 0.0) + chance
            continue
        context = tuple(([-1] * model.order + list(tokens))[-model.order :]) if model.order else ()
        row = np.exp(model.log_rows[model.row_of(context)])
        bits = np.unpackbits(automaton.masks(np.array([state])).view(np.uint8), bitorder="little")[: len(row)]
        allowed = np.flatnonzero(bits)
        for token in allowed[row[allowed] > 0].tolist():
            after = int(automaton.advance(np.array([state]), np.array([token]))[0])
            stack.append(((*tokens, token), after, chance * float(row[token] / row[allowed].sum())))
    return found


def projections() -> list[Any]:
    usual = [("tokens", ""), ("clauses", ""), ("dyck", ""), ("tokens", "model")]
    pairs = [(name, draft) for name in ("tokens", "clauses", "dyck") for draft in ("", "model", "chain", "self")]
    return [pytest.param(*pair, marks=[] if pair in usual else [pytest.mark.long]) for pair in pairs]


@pytest.mark.parametrize(("name", "draft"), projections())
def test_locally_constrained_draws_have_the_law_of_the_projection(name: str, draft: str) -> None:
    """50,000 draws, a chi-square test of all texts that are expected five times; false alarms 1e-6 each.

    With drafts it is the law of exact speculation, which is the same one.
    """
    problem = instance(name)
    drafts: dict[str, Any] = {"drafts": drafts_of(draft, problem), "gamma": 3} if draft else {}
    runs = posteriors(problem, range(250), method="lcd", particles=200, **drafts)
    drawn = Counter(value for posterior in runs for value in posterior.values)
    assert sum(drawn.values()) == 50_000
    law = locally_constrained_law(problem)
    assert chi_square_p(drawn, law, FEWEST) > ALPHA


BUCKETS = {0: (0, 1), 1: (2, 2), 2: (3, 9)}
"""A partition of texts, by how many letters `a` they have."""


def bucket(text: str) -> int:
    return next(name for name, (least, most) in BUCKETS.items() if least <= text.count("a") <= most)


def in_buckets() -> Instance:
    """The texts of `clauses` with a score on the way, of which an input names the bucket."""
    plain, functions = instance("clauses"), Functions()
    soft = functions.add("soft", lambda q: 1.0 if q.endswith("a;") else 0.5, prefix="any")
    at_most = functions.add("at_most", lambda q, c: q.count("a") <= BUCKETS[c][1], BOOL, parameters=2, prefix="any")
    at_least = functions.add("at_least", lambda q, c: q.count("a") >= BUCKETS[c][0], BOOL, parameters=2)
    made = asked(
        factor("score", soft("q"), "q.clause"),
        factor("require", at_most("q", "c"), "q.clause"),
        factor("require", at_least("q", "c")),
    )
    return Instance("in buckets", made, plain.model, plain.language, functions)


def without_buckets() -> Instance:
    """The same with no word of buckets."""
    made = in_buckets()
    first = made.program.body[1]
    return Instance("no buckets", asked(first), made.model, made.language, made.functions)


def swept(
    problem: Instance, paths: Sequence[Any], cells: Sequence[int], particles: int, salt: int
) -> list[tuple[int, ...]]:
    """The path after one sweep from each path."""
    with opened(
        compile_program(problem.program),
        problem.model,
        [RunRequest({"c": cell}, number) for number, cell in enumerate(cells)],
        automata=problem.provide,
        functions=problem.functions,
        settings=Settings(particles=particles, ess_threshold=1.0),
    ) as runtime:
        return choose(conditional_sweep(runtime, paths, salt), runtime.draws(salt + 1, particles))


def ranks(number: int, others: int, particles: int) -> list[int]:
    """Where a draw stands among others of the law that it made itself.

    A text is drawn, by rejection from the model itself; the constraint is the bucket that it is in. So it is a draw
    of the posterior under that constraint. A sweep leads from it to a path, and a sweep each from there to the
    others: sweeps are reversible, so the first and the others are exchangeable, and any rank is as likely as another
    (Besag and Clifford 1989). Nothing is enumerated.
    """
    base, problem = without_buckets(), in_buckets()
    drawn = posteriors(base, range(number), method="rejection", particles=1)
    first = [posterior.particles[0].path for posterior in drawn]
    cells = [bucket(posterior.values[0]) for posterior in drawn]
    middle = swept(problem, first, cells, particles, 10)
    again = [path for path in middle for _ in range(others)]
    found = swept(problem, again, [cell for cell in cells for _ in range(others)], particles, 20)
    chance = np.random.default_rng(4)

    def height(path: tuple[int, ...]) -> tuple[float, float]:
        return zlib.crc32(bytes(path)) % 7 + len(path), chance.random()

    # Each has one number of its own that decides between equals.
    own, heights = [height(path) for path in first], [height(path) for path in found]
    return [sum(other < mine for other in heights[i * others : (i + 1) * others]) for i, mine in enumerate(own)]


@pytest.mark.parametrize(
    ("number", "particles"),
    [(250, 2), pytest.param(2000, 2, marks=pytest.mark.long), pytest.param(2000, 6, marks=pytest.mark.long)],
)
def test_a_draw_has_any_rank_among_those_of_the_law_it_made(number: int, particles: int) -> None:
    """Calibration by simulation. Exact binomial tails: false alarms at most 1e-6."""
    found = ranks(number, 9, particles)
    assert_frequencies(Counter(found), dict.fromkeys(range(10), 0.1), ALPHA)


def test_sweeps_that_lose_the_retained_line_are_miscalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    def free(self: Retained, groups: Any, resamplings: Any, weights: Any, draws: Any) -> Any:
        return multinomial(weights, np.random.default_rng(5).random(weights.shape))

    monkeypatch.setattr(Retained, "ancestors", free)
    with pytest.raises(AssertionError):
        assert_frequencies(Counter(ranks(250, 9, 2)), dict.fromkeys(range(10), 0.1), ALPHA)
