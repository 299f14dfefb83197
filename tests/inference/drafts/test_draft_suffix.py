"""The index of suffixes equals a search through all that was written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smcdsl.inference.drafts.suffix import MATCH_LENGTHS, Guess, SuffixIndex
from smcdsl.prefixes import ROOT, Prefixes

texts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=14), min_size=1, max_size=5)


def searched(
    prefixes: Prefixes, nodes: list[int], recent: tuple[int, ...], legal: set[int], shortest: int
) -> Guess | None:
    """By trying every node of the trie, in the order they were taken in."""
    for length in MATCH_LENGTHS:
        if shortest <= length <= len(recent):
            found = []
            for node in nodes:
                before = prefixes.sequence(int(prefixes.parents[node]))[-length:]
                if len(before) == length and before == list(recent[-length:]):
                    found.append(int(prefixes.tokens[node]))
            ranked = sorted(set(found), key=lambda token: (found.count(token), last(found, token)), reverse=True)
            for token in ranked[:4]:
                if token in legal:
                    return Guess(token, length, len(ranked) == 1)
    return None


def last(found: list[int], token: int) -> int:
    return max(place for place, other in enumerate(found) if other == token)


@given(texts, st.sets(st.integers(0, 2)), st.integers(1, 3))
def test_a_guess_is_the_most_frequent_legal_token_after_the_longest_match(sequences, legal, shortest):
    prefixes, nodes = Prefixes(), []
    index = SuffixIndex(prefixes)
    for sequence in sequences:
        leaf = prefixes.extend(ROOT, sequence)
        index.add([leaf])
        nodes = sorted({*nodes, *path(prefixes, leaf)})
        recent = index.recent(leaf)
        assert recent == tuple(sequence[-MATCH_LENGTHS[0] :])
        expected = searched(prefixes, nodes, recent, legal, shortest)
        assert index.guess(recent, legal.__contains__, shortest) == expected
    assert len(index) == len(nodes)


def path(prefixes: Prefixes, node: int) -> list[int]:
    found = []
    while node != ROOT:
        found.append(node)
        node = int(prefixes.parents[node])
    return found


def test_text_that_particles_share_counts_once():
    prefixes = Prefixes()
    index = SuffixIndex(prefixes)
    stem = prefixes.extend(ROOT, [5, 6, 7])
    index.add([prefixes.extend(stem, [1, 8]), prefixes.extend(stem, [1, 9]), prefixes.extend(stem, [2, 5, 6])])
    assert index.guess((5, 6), lambda token: True) == Guess(7, 2, True)
    # Token 1 was written by two particles and is one node of the trie, so 2, which came later, is as frequent.
    assert index.guess((6, 7), lambda token: True) == Guess(2, 2, False)


def test_nothing_is_guessed_where_nothing_matches():
    prefixes = Prefixes()
    index = SuffixIndex(prefixes)
    index.add([prefixes.extend(ROOT, [1, 2, 3])])
    assert index.guess((9,), lambda token: True) is None
    assert index.guess((1, 2), lambda token: False) is None
    assert index.guess((9, 2), lambda token: True, shortest=2) is None
