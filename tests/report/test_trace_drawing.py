"""The terminal's drawing: every line accounted for, widths kept, nothing that acts on a terminal."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given, settings
from traces import HOSTILE, histories, letters

from smcdsl.inference.events import Died, Resampled, Site, Started
from smcdsl.report.trace import text
from smcdsl.report.trace.drawing import MOST_ROWS, tree_lines
from smcdsl.report.trace.lineage import family_tree
from smcdsl.report.trace.populations import populations
from smcdsl.report.visible import cells


def of(result):
    (population,) = populations(result.trace.events)
    return population


@pytest.mark.parametrize("seed", range(6))
def test_every_line_of_descent_ends_once(seed):
    """Leaves are the final slots, the deaths whose slots were copied over, and the lines that nobody continued."""
    population = of(letters(seed=seed))
    leaves = [leaf for root in family_tree(population) for leaf in root.leaves()]
    ends = [leaf for leaf in leaves if leaf.outcome == "finished"]
    assert {leaf.slot for leaf in ends} == {
        slot for slot, weight in enumerate(population.final_log_weights) if weight > -math.inf
    }
    assert sum(leaf.outcome == "died" for leaf in leaves) == len(population.deaths)
    for leaf in leaves:
        if leaf.outcome == "dropped":
            assert leaf.slot not in population.resampled[leaf.last].ancestors
        if leaf.outcome == "died":
            assert leaf.death is not None
            assert leaf.death.event.slot == leaf.slot
    splits = sum(len(node.branches) - 1 for node in _splits(family_tree(population)))
    assert len(leaves) == population.size + splits


def _splits(roots):
    waiting, found = list(roots), []
    while waiting:
        node = waiting.pop()
        found += [node] if node.branches else []
        waiting += node.branches
    return found


def test_a_tree_is_drawn_as_it_is():
    """Four particles: one died on the way, one was copied twice, one was not, one went on alone."""
    zeros, changes = (0.0,) * 4, ((),) * 4
    events = [
        Started(0, 0.0, 4, 0, "p", "smc"),
        Died(0, 0.1, 3, "runs", "at clause 1 of `q`", "x", reason="no such column"),
        Site(
            0,
            0.1,
            1,
            ("a", "b", "c", "x"),
            (0.0, 0.0, -9.0, -math.inf),
            (False,) * 4,
            2.0,
            4,
            {},
            (0, 1, 2, 3),
            changes,
        ),
        Resampled(0, 0.1, 1, (0, 0, 1, 1), -0.7),
        Site(0, 0.2, 2, ("aa", "ab", "ba", "ba"), zeros, (True,) * 4, 4.0, 8, {}, (0, 0, 1, 1), changes),
    ]
    (population,) = populations(events)
    lines = [line.rstrip() for line in tree_lines(population, family_tree(population), 80)]
    assert lines == [
        "  ─────┬────●  0.25  aa",
        "       └────●  0.25  ab",
        "  ──────────●  0.50  2× ba",
        "  ─────╴       not copied, share 6.2e-05",
        "  ─────×       runs at clause 1 of `q`: no such column",
    ]
    assert "     1      3    2.0" in "\n".join(text.steps_table(population, 80))
    assert "  resampled" in text.steps_table(population, 80)[1]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("particles", [1, 16, 200])
def test_no_line_is_wider_than_the_terminal(width, particles):
    lines = text.overview(of(letters(particles=particles, seed=2)), 3, width=width)
    assert max(map(cells, lines)) <= width
    assert len(lines) < MOST_ROWS + 60


@settings(max_examples=25)
@given(histories())
def test_nothing_drawn_acts_on_a_terminal(events):
    for population in populations(events):
        for width in (None, 40):
            lines = text.overview(population, width=width)
            for slot in range(population.size):
                lines += text.particle_lines(population, slot)
            lines += text.death_lines(population, every=True)
            for line in lines:
                assert not [char for char in line if unicodedata.category(char) in ("Cc", "Cs")], line
                assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def test_hostile_texts_are_spelled_out():
    assert "\\x1b[31mred" in "".join(text.escape(part) for part in HOSTILE)


def test_runs_of_many_copies_are_drawn():
    """A tree deeper than functions may nest."""
    events = [Started(0, 0.0, 3, 0, "p", "smc")]
    for step in range(1500):
        texts = tuple("a" * min(step, 30) + letter for letter in "abc")
        events += [
            Site(0, 0.1, step + 1, texts, (0.0,) * 3, (False,) * 3, 3.0, step, {}, (0, 0, 1), ((),) * 3),
            Resampled(0, 0.1, step + 1, (0, 0, 1), 0.0),
        ]
    (population,) = populations(events)
    lines = text.overview(population, width=80)
    assert len(lines) < 2 * MOST_ROWS + 60


def test_a_particles_way_adds_up():
    population = of(letters(seed=2))
    lines = "\n".join(text.particle_lines(population, 3))
    assert lines.splitlines()[2] == f"  particle 3: share 0.011, log weight {population.final_log_weights[3]:.3f}"
    assert "resampled at ESS" in lines
    assert "‹2›" in lines
    for step, slot in enumerate(population.line(3)):
        before, tokens = population.before(step, slot), population.of_tokens(step, slot)
        moved = sum(change.log_weight for change in population.steps[step].changes[slot])
        assert before + tokens + moved == pytest.approx(population.steps[step].log_weights[slot], abs=1e-12)


@pytest.mark.parametrize(
    ("share", "bar"), [(0.0, ""), (1.0, "████"), (0.5, "██"), (0.001, "▏"), (0.28, "█▏"), (2.0, "████")]
)
def test_bars_are_exact_to_an_eighth(share, bar):
    assert text.bar(share, 4) == bar
