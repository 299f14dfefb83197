"""Cache rows: whatever is asked for in whatever order, every token finds its whole past in its segments and row."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.models import prefix_cache, segments
from smcdsl.models.cache_plan import Drop, Feed, Fill, Promote, Split
from smcdsl.models.prefix_cache import PrefixRows
from smcdsl.prefixes import ROOT, Prefixes


class Slab:
    """A cache that stores tokens instead of keys and values, and checks what each token would attend to."""

    def __init__(self, prefixes: Prefixes, max_rows: int, shares: bool = True) -> None:
        self.prefixes = prefixes
        self.rows = PrefixRows(prefixes, max_rows, shares)
        self.cells: dict[tuple[int, int], int] = {}
        self.segments: dict[int, list[int]] = {}
        self.parents: dict[int, int] = {}
        self.fed = self.copied = 0
        self.done: list[object] = []

    def ask(self, wanted: list[int]) -> None:
        answered: list[int] = []
        for operation in self.rows.operations(np.array(wanted, dtype=np.int64)):
            self.done.append(operation)
            match operation:
                case Fill():
                    assert operation.segment not in self.segments
                    # Sessions look these up when the fill comes, before the operations after it.
                    assert [t for each in operation.path for t in self.segments[each]] == self.past(operation.parent)
                    assert len(self.past(operation.parent)) == operation.start
                    self.segments[operation.segment] = list(operation.tokens)
                    self.parents[operation.segment] = operation.parent
                    self.fed += len(operation.tokens)
                case Split():
                    tokens = self.segments[operation.segment]
                    self.segments[operation.head] = tokens[: operation.length]
                    self.segments[operation.segment] = tokens[operation.length :]
                    self.parents[operation.head] = self.parents[operation.segment]
                    self.parents[operation.segment] = operation.head
                case Promote():
                    self.promote(operation)
                case Drop():
                    del self.segments[operation.segment], self.parents[operation.segment]
                case Feed():
                    answered += self.feed(operation, wanted)
        assert sorted(answered) == list(range(len(wanted)))
        assert set(self.parents.values()) <= {-1, *self.segments}

    def past(self, segment: int) -> list[int]:
        return [] if segment < 0 else [*self.past(self.parents[segment]), *self.segments[segment]]

    def promote(self, operation: Promote) -> None:
        moved = [self.cells[operation.row, slot] for slot in range(operation.count)]
        self.segments[operation.segment] = self.segments.get(operation.segment, []) + moved
        self.parents.setdefault(operation.segment, operation.parent)
        left = sorted((row, slot) for row, slot in self.cells if row in operation.rows)
        for row, slot in left:
            token = self.cells.pop((row, slot))
            if slot >= operation.count:
                self.cells[row, slot - operation.count] = token

    def feed(self, feed: Feed, wanted: list[int]) -> list[int]:
        copied = {}
        for copy in feed.copies:
            for slot in range(copy.start, copy.end):
                copied[copy.target, slot] = self.cells[copy.source, slot]
        self.copied += len(copied)
        self.cells.update(copied)
        assert (np.diff(feed.rows) >= 0).all()
        assert feed.counts.min() > 0
        ends = np.cumsum(feed.counts)
        writes: dict[tuple[int, int], int] = {}
        pasts = []
        for row, slot, end, count in zip(feed.rows, feed.slots, ends, feed.counts):
            assert row < self.rows.num_rows
            assert slot + count <= self.rows.num_slots
            for offset, token in enumerate(feed.tokens[end - count : end].tolist()):
                assert writes.setdefault((row, slot + offset), token) == token
        self.cells.update(writes)
        self.fed += len(feed.tokens)
        for row, base, start, slot, count in zip(
            feed.rows.tolist(), feed.bases.tolist(), feed.starts.tolist(), feed.slots.tolist(), feed.counts.tolist()
        ):
            shared = self.past(base)
            assert len(shared) == start - slot
            for length in range(slot + 1, slot + count + 1):
                pasts.append([*shared, *(self.cells[row, place] for place in range(length))])
        for place, asked in zip(feed.places.tolist(), feed.asked.tolist()):
            assert pasts[place] == self.prefixes.sequence(wanted[asked])
        return feed.asked.tolist()


operations = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(0, 30), st.lists(st.integers(0, 2), max_size=9), st.booleans()),
            min_size=1,
            max_size=5,
        ),
        st.booleans(),
        st.integers(0, 5),
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(operations, st.sampled_from([3, 8, 1000]), st.booleans(), st.sampled_from([2, 5, 32]))
def test_every_token_finds_its_past(script, max_rows, shares, length):
    """Random tries: with chains of asked prefixes, branches, deaths, and segments that are made, cut and grown."""
    before = prefix_cache.SEGMENT_AT_LEAST, segments.SPLIT_AT_LEAST
    prefix_cache.SEGMENT_AT_LEAST, segments.SPLIT_AT_LEAST = length, length // 2
    try:
        prefixes = Prefixes()
        slab = Slab(prefixes, max_rows, shares)
        known = [prefixes.extend(ROOT, [0, 1])]
        for extensions, retain, keep in script:
            wanted = set()
            for base, tokens, whole in extensions:
                prefix = known[base % len(known)]
                for token in tokens:
                    prefix = prefixes.extend(prefix, [token])
                    if whole:
                        wanted.add(prefix)
                wanted.add(prefix)
            slab.ask(sorted(wanted))
            known += sorted(wanted)
            if retain:
                kept = sorted(wanted)[:keep]
                slab.rows.retain(np.array(kept, dtype=np.int64))
                known = kept + known[:3]
    finally:
        prefix_cache.SEGMENT_AT_LEAST, segments.SPLIT_AT_LEAST = before


def test_a_shared_prompt_is_computed_and_stored_once():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(50))
    slab.ask([prefixes.extend(prompt, [token]) for token in range(8)])
    assert slab.fed == 50 + 8
    assert slab.rows.num_slots == 1


def test_prompts_with_a_common_start_store_that_once():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    start = prefixes.extend(ROOT, range(100))
    prompts = [prefixes.extend(start, range(200 + 50 * k, 250 + 50 * k)) for k in range(3)]
    slab.ask(prompts)
    assert slab.fed == 100 + 3 * 50
    assert sorted(map(len, slab.segments.values())) == [49, 49, 49, 100]
    slab.ask([prefixes.extend(prompt, [token]) for prompt in prompts for token in range(4)])
    assert len([operation for operation in slab.done if isinstance(operation, Feed)]) == 2


def test_the_prompt_of_what_has_ended_is_freed_and_what_others_share_with_it_stays():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    start = prefixes.extend(ROOT, range(100))
    prompts = [prefixes.extend(start, range(200 + 50 * k, 250 + 50 * k)) for k in range(3)]
    slab.ask(prompts[:2])
    slab.rows.retain(np.array(prompts[1:]))
    slab.ask(prompts[1:])
    assert sorted(map(len, slab.segments.values())) == [49, 49, 100]
    assert slab.fed == 100 + 3 * 50 + 1  # the second prompt's last token was asked for twice


def test_segments_stay_few_while_prompts_come_and_go():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompts = [prefixes.extend(ROOT, [k, *range(50)]) for k in range(20)]
    for prompt in prompts:
        slab.ask([prefixes.extend(prompt, [token]) for token in range(4)])
        slab.rows.retain(np.array([prompt]))
        assert len(slab.segments) <= 2
    assert slab.rows.num_rows <= 16


def test_a_prompt_that_is_kept_does_not_part_what_has_grown_from_it():
    """Texts that have much in common share it, beside a prompt that later sweeps will ask for again."""
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(10))
    slab.ask([prompt])
    for length in range(60):
        common = prefixes.extend(prompt, range(100, 100 + length))
        slab.ask([common])
    texts = [prefixes.extend(common, [token]) for token in range(4)]
    slab.ask(texts)
    assert not slab.segments
    slab.rows.retain(np.array([prompt, *texts]))
    slab.ask(prefixes.extend_each(np.array(texts), np.full(4, 7)).tolist())
    assert list(map(len, slab.segments.values())) == [68]


def test_two_texts_leave_a_stored_one_at_two_places_at_once():
    """The second cut is of what the first has cut off, and what the first fills comes in between."""
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    stored = prefixes.extend(ROOT, range(100))
    slab.ask([prefixes.extend(stored, [token]) for token in range(2)])
    late, early = (prefixes.extend(ROOT, range(length)) for length in (90, 60))
    slab.ask(sorted((prefixes.extend(late, range(200, 260)), prefixes.extend(early, range(300, 360)))))
    assert [type(operation) for operation in slab.done[-5:]] == [Split, Fill, Split, Fill, Feed]


def test_a_step_feeds_one_token_a_prefix_and_survivors_stay():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(50))
    slab.ask([prompt])
    first = [prefixes.extend(prompt, [token]) for token in range(4)]
    slab.ask(first)
    second = prefixes.extend_each(np.array(first), np.array([7, 8, 9, 7]))
    slab.ask(second.tolist())
    slab.rows.retain(second[:2])
    forks = [prefixes.extend(int(second[k]), [token]) for k, token in ((0, 0), (0, 1), (0, 2), (1, 0))]
    slab.ask(forks)
    feed = slab.done[-1]
    assert feed.counts.tolist() == [1, 1, 1, 1]
    # The prompt is nobody's own, and the token that all drew first is in the dead rows already.
    assert sorted((copy.start, copy.end) for copy in feed.copies) == [(1, 3), (1, 3)]
    assert slab.rows.num_rows == 4


def test_a_chain_of_drafts_is_one_row_and_a_rejected_one_costs_nothing():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(50))
    slab.ask([prompt])
    chain = [prefixes.extend(prompt, range(60, 61 + count)) for count in range(5)]
    slab.ask(chain)
    drafted = slab.done[-1]
    assert drafted.counts.tolist() == [5]
    assert len(drafted.asked) == 5
    # Two drafts are accepted and a third replaced: the row goes on from there.
    slab.ask([prefixes.extend(chain[1], [99])])
    feed = slab.done[-1]
    assert not feed.copies
    assert feed.rows.tolist() == drafted.rows.tolist()
    assert feed.counts.tolist() == [1]
    assert slab.rows.num_rows == 1


def test_what_was_built_on_is_not_written_over():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(50))
    slab.ask([prompt])
    ahead = prefixes.extend(prompt, [1])
    slab.ask([ahead])
    slab.ask([prefixes.extend(prompt, [2])])
    fed = slab.fed
    slab.ask([prefixes.extend(ahead, [3])])
    assert slab.fed == fed + 1


def test_what_all_particles_descend_from_is_stored_once():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(50))
    live = np.array([prefixes.extend(prompt, [token]) for token in range(4)])
    for step in range(40):
        slab.ask(live.tolist())
        live = prefixes.extend_each(live, np.full(4, 100 + step))
    forks = np.array([prefixes.extend(int(live[0]), [token]) for token in range(4)])
    slab.rows.retain(forks)
    slab.ask(forks.tolist())
    promoted = next(operation for operation in slab.done if isinstance(operation, Promote))
    assert promoted.count == 40
    for step in range(40):
        forks = prefixes.extend_each(forks, np.full(4, 200 + step))
        slab.ask(forks.tolist())
    assert slab.done[-1].slots.max() < 45


def test_rows_stay_bounded_without_hints():
    prefixes = Prefixes()
    slab = Slab(prefixes, 4)
    for token in range(100):
        slab.ask([prefixes.extend(ROOT, [token, 1, 2])])
    assert slab.rows.num_rows <= 8


def test_a_prefix_asked_again_costs_one_token():
    prefixes = Prefixes()
    slab = Slab(prefixes, 100)
    prompt = prefixes.extend(ROOT, range(50))
    slab.ask([prompt])
    slab.ask([prompt])
    assert slab.fed == 51


def test_more_prefixes_than_rows_come_in_several_feeds():
    prefixes = Prefixes()
    slab = Slab(prefixes, 4)
    slab.ask([prefixes.extend(ROOT, [token]) for token in range(10)])
    assert [len(operation.rows) for operation in slab.done] == [4, 4, 2]
