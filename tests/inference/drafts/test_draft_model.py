"""Drafts of a model follow its law under the mask, token by token, and say which law that was."""

from __future__ import annotations

import numpy as np
import pytest
from exact import exact_means
from oracles.enumerated import EnumeratedAutomaton, language
from running import toy

from smcdsl.inference.drafts.drafting import Requests, Surroundings
from smcdsl.inference.drafts.model import ModelDrafts
from smcdsl.inference.draws import CounterDraws, Purpose
from smcdsl.inference.particles import Frames
from smcdsl.prefixes import ROOT, Prefixes

MODEL = toy(["a", "b", "ab", "!"], seed=3)
TEXTS = ["a", "ab", "aba", "bb", "bab", "b"]
TEMPERATURE = 0.7


def around(draws):
    automaton = EnumeratedAutomaton(language([text + "!" for text in TEXTS]), MODEL.vocabulary, None)
    return Surroundings(MODEL, Prefixes(), Frames(), [automaton], draws, TEMPERATURE)


def requests(surroundings, groups, room=3, first=0):
    count = len(groups)
    stem = surroundings.prefixes.extend(ROOT, [0])
    zeros = np.zeros(1, dtype=np.int64)
    return Requests(
        rows=np.zeros(count, dtype=np.int64),
        groups=np.array(groups, dtype=np.int64),
        slots=np.zeros(count, dtype=np.int64),
        room=np.full(count, room, dtype=np.int64),
        steps=np.full(count, first, dtype=np.int64),
        frames=zeros,
        prefixes=zeros + stem,
        automata=zeros,
        states=zeros + surroundings.automata[0].start,
    )


def masked_law(surroundings, tokens):
    """(allowed token -> probability) after the prompt and `tokens`, by definition."""
    automaton = surroundings.automata[0]
    state = np.array([automaton.start])
    for token in tokens:
        state = automaton.advance(state, np.array([token]))
    mask = automaton.masks(state)[0]
    allowed = [t for t in range(len(MODEL.vocabulary)) if mask[t >> 5] >> (t & 31) & 1]
    law = np.exp(MODEL.log_rows[MODEL.row_of(((0, *tokens)[-1],))] / TEMPERATURE)
    return {t: law[t] / law[allowed].sum() for t in allowed}, automaton.finished(state)[0]


def chains(surroundings, room):
    """Every chain with its probability, by enumeration."""
    found, frontier = {}, {(): 1.0}
    while frontier:
        (tokens, mass), *_ = frontier.items()
        del frontier[tokens]
        law, done = masked_law(surroundings, tokens)
        if done or len(tokens) == room:
            found[tokens] = found.get(tokens, 0.0) + mass
            continue
        for token, probability in law.items():
            frontier[*tokens, token] = mass * probability
    return found


@pytest.mark.parametrize("room", [1, 2, 3])
def test_chains_have_the_probability_of_the_masked_law(room):
    def values(draws, groups):
        surroundings = around(draws)
        source = ModelDrafts(surroundings, MODEL.start(surroundings.prefixes), free_rows=1e12)
        drafted = source.propose(requests(surroundings, list(range(groups)), room))
        parts = [drafted.tokens[a:b].tolist() for a, b in zip(drafted.starts, drafted.starts[1:])]
        return [{tuple(part): 1.0} for part in parts]

    expected = chains(around(None), room)
    assert exact_means(values) == pytest.approx(expected, rel=1e-12)


def test_the_law_of_every_token_is_told():
    surroundings = around(CounterDraws(list(range(40)), 1))
    source = ModelDrafts(surroundings, MODEL.start(surroundings.prefixes), free_rows=1e12)
    drafted = source.propose(requests(surroundings, list(range(40))))
    certain = 0
    for start, end in zip(drafted.starts, drafted.starts[1:]):
        own = drafted.tokens[start:end].tolist()
        for place in range(start, end):
            law, _ = masked_law(surroundings, own[: place - start])
            if drafted.laws[place] < 0:
                assert list(law) == [drafted.tokens[place]]
                certain += 1
                continue
            part = slice(*drafted.table.starts[drafted.laws[place] : drafted.laws[place] + 2])
            told = dict(zip(drafted.table.tokens[part].tolist(), drafted.table.probabilities[part].tolist()))
            assert told == pytest.approx(law, rel=1e-12)
    assert certain


def test_tokens_depend_on_seed_slot_and_place_alone():
    """A group drafts the same alone and beside others, and behind a source that drafted the first token."""
    both = around(CounterDraws([5, 9], 1))
    alone = around(CounterDraws([9], 1))
    one = ModelDrafts(both, MODEL.start(both.prefixes)).propose(requests(both, [0, 1], first=4))
    two = ModelDrafts(alone, MODEL.start(alone.prefixes)).propose(requests(alone, [0], first=4))
    assert one.tokens[one.starts[1] :].tolist() == two.tokens.tolist()


def test_numbers_are_keyed_by_round_and_place():
    asked = []

    class Listening(CounterDraws):
        def uniforms(self, purpose, steps, groups, slots, breakpoints):
            asked.append((purpose, steps.tolist()))
            return super().uniforms(purpose, steps, groups, slots, breakpoints)

    surroundings = around(Listening([1], 1))
    source = ModelDrafts(surroundings, MODEL.start(surroundings.prefixes), free_rows=1e12)
    source.propose(requests(surroundings, [0], first=2))
    assert asked == [(Purpose.DRAFT, [2 + depth]) for depth in range(len(asked))]


def test_no_pass_is_made_where_the_mask_leaves_no_choice():
    automaton = EnumeratedAutomaton(language(["abab!"]), toy(["ab", "!"]).vocabulary, None)
    model = toy(["ab", "!"])
    surroundings = Surroundings(model, Prefixes(), Frames(), [automaton], CounterDraws([1], 1))
    source = ModelDrafts(surroundings, model.start(surroundings.prefixes))
    drafted = source.propose(requests(surroundings, [0], room=9))
    assert drafted.tokens.tolist() == [0, 0, 1, 2]
    assert (drafted.laws == -1).all()
    assert source.passes == 0


def test_an_unsure_model_drafts_less():
    surroundings = around(CounterDraws(list(range(30)), 1))

    def drafted(free_rows):
        source = ModelDrafts(surroundings, MODEL.start(surroundings.prefixes), free_rows=free_rows)
        return int(source.propose(requests(surroundings, list(range(30)))).lengths.sum())

    assert drafted(1e12) > drafted(1.0) > drafted(1e-12)
