"""Cache rows: whatever is asked for in whatever order, every feed finds its whole past in its row."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.models.prefix_cache import PrefixRows
from smcdsl.prefixes import ROOT, Prefixes


class Slab:
    """A cache that stores tokens instead of keys and values, and checks what each feed would attend to."""

    def __init__(self, prefixes: Prefixes, max_rows: int) -> None:
        self.prefixes = prefixes
        self.rows = PrefixRows(prefixes, max_rows)
        self.cells: dict[tuple[int, int], int] = {}
        self.fed = 0

    def ask(self, wanted: list[int]) -> None:
        answered = set()
        for step in self.rows.steps(np.array(wanted, dtype=np.int64)):
            copied = {}
            for copy in step.copies:
                for position in range(copy.start, copy.end):
                    copied[copy.target, position] = self.cells[copy.source, position]
            self.cells.update(copied)
            writes = {}
            for row, start, tokens in zip(step.rows.tolist(), step.starts.tolist(), step.tokens):
                assert tokens
                for offset, token in enumerate(tokens):
                    assert writes.setdefault((row, start + offset), token) == token
                assert row < self.rows.num_rows
                assert start + len(tokens) <= self.rows.num_positions
                self.fed += len(tokens)
            self.cells.update(writes)
            for row, start, tokens, asked in zip(
                step.rows.tolist(), step.starts.tolist(), step.tokens, step.asked.tolist()
            ):
                if asked >= 0:
                    length = start + len(tokens)
                    past = [self.cells[row, position] for position in range(length)]
                    assert past == self.prefixes.sequence(wanted[asked])
                    answered.add(asked)
        assert answered == set(range(len(wanted)))


operations = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(0, 2), max_size=7)), min_size=1, max_size=5),
        st.booleans(),
        st.integers(0, 5),
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(operations, st.sampled_from([5, 8, 1000]))
def test_every_feed_finds_its_past(script, max_rows):
    prefixes = Prefixes()
    slab = Slab(prefixes, max_rows)
    known = [prefixes.extend(ROOT, [0, 1])]
    for extensions, retain, keep in script:
        wanted = sorted({prefixes.extend(known[base % len(known)], tokens) for base, tokens in extensions})
        slab.ask(wanted)
        known += wanted
        if retain:
            slab.rows.retain(np.array(wanted[:keep], dtype=np.int64))


def test_a_shared_prompt_is_computed_once():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(50))
    slab.ask([prefixes.extend(prompt, [token]) for token in range(8)])
    assert slab.fed == 50 + 8


def test_a_step_feeds_one_token_a_prefix_and_survivors_stay():
    prefixes = Prefixes()
    rows = PrefixRows(prefixes)
    prompt = prefixes.extend(ROOT, range(50))
    list(rows.steps(np.array([prompt])))
    first = [prefixes.extend(prompt, [token]) for token in range(4)]
    list(rows.steps(np.array(first)))
    rows.retain(np.array(first[:2]))
    second = [prefixes.extend(first[0], [0]), prefixes.extend(first[0], [1]), prefixes.extend(first[1], [0])]
    (step,) = rows.steps(np.array(second))
    assert [len(tokens) for tokens in step.tokens] == [1, 1, 1]
    assert [copy.end - copy.start for copy in step.copies] == [1]  # the prompt is in the dead row already
    assert rows.num_rows == 4


def test_rows_stay_bounded_without_hints():
    prefixes = Prefixes()
    rows = PrefixRows(prefixes, max_rows=8)
    for token in range(100):
        list(rows.steps(np.array([prefixes.extend(ROOT, [token, 1, 2])])))
    assert rows.num_rows <= 8


def test_a_prefix_asked_again_costs_one_token():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(20))
    slab.ask([prompt])
    slab.ask([prompt])
    assert slab.fed == 21
