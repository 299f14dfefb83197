"""Lookahead learned between runs: what it knows is right, and whatever it knows leaves the mean evidence alone."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from building import Functions, factor, hole, program, text, turn
from exact import BranchDraws, exact_means
from oracles.enumerated import language
from running import enumerated, masses, toy

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.contexts import Contexts, characters_left, contexts_of
from smcdsl.automaton.tables import RegularTables
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.compiler.compile import compile_program
from smcdsl.compiler.limits import limit_dfa
from smcdsl.inference.lookahead import judging
from smcdsl.inference.lookahead.counts import ENDS, Counts
from smcdsl.inference.lookahead.learned import LearnedLookahead
from smcdsl.inference.lookahead.learning import Recorder
from smcdsl.inference.lookahead.store import file_of, read_counts, version_of, write_counts
from smcdsl.inference.lookahead.twists import STRENGTHS, Chain, Twist, chosen_strength
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.notations.lark import load_lark
from smcdsl.prefixes import Prefixes
from smcdsl.program.grammar import Limit
from smcdsl.program.types import BOOL

TEXTS = ["ab", "b", "bba"]
LANGUAGES = {
    "parsed": 'start: "a" "b" | "b" end\nend: ("b" "a")?',
}
MODEL = toy(["a", "b", "ab", "ba"], order=1, seed=3)


@lru_cache
def automaton(name, following=None, most=None):
    grammar = load_lark(LANGUAGES[name])
    if most is not None:
        grammar = replace(grammar, conditions=(Limit("tokens", None, most),))
    return TokenAutomaton(compile_grammar(grammar, MODEL.vocabulary), following)


def written(following):
    parts = (hole("q"),) if following is None else (hole("q"), following.decode())
    functions = Functions()
    liked = functions.add("liked", lambda q: 0.5 + len(q), prefix="any")
    long = functions.add("long", lambda q: len(q) > 1, BOOL)
    made = program(
        turn("text", "b", text(*parts)), factor("score", liked("q"), "q.token"), factor("require", long("q"))
    )
    return made, functions


def sweep(name, following, most, seeds, lookahead=None, recorder=None, draws=None, **settings):
    made, functions = written(following)
    return run(
        compile_program(made),
        MODEL,
        [RunRequest({}, seed) for seed in seeds],
        automata=lambda key, inputs, after: automaton(name, after, most),
        functions=functions,
        settings=Settings(**settings),
        draws=draws,
        lookahead=lookahead,
        recorder=recorder,
    )


@lru_cache
def learned(name, following=None, most=None, seeds=(0, 1, 2)):
    recorder = Recorder(lambda known: None)
    sweep(name, following, most, seeds, recorder=recorder, particles=8)
    ((_, counts),) = recorder.after
    return counts


@pytest.mark.parametrize(
    ("following", "strength", "settings"),
    [(None, 1.0, {"method": "is"}), (b"aa", 0.5, {"method": "smc", "ess_threshold": 1.0})],
)
def test_a_learned_twist_leaves_the_mean_evidence_alone(following, strength, settings):
    name = "parsed"
    counts = learned(name, following)
    made, functions = written(following)

    def values(draws: BranchDraws, groups: int):
        posteriors = sweep(
            name,
            following,
            None,
            [0] * groups,
            lookahead=lambda own: Twist(contexts_of(own), counts, strength),
            draws=lambda salt: draws,
            particles=2,
            **settings,
        )
        return [masses(posterior) for posterior in posteriors]

    expected = enumerated(made, MODEL, {"q": language(TEXTS)}, functions)
    found = exact_means(values, limit=200_000)
    for key, mass in expected.items():
        assert found[key] == pytest.approx(mass, rel=1e-12, abs=0.0)


def flat_model():
    """A model whose law does not depend on what was written, so that contexts know all there is to know."""
    return toy(["a", "b", "ab", "ba"], order=0, seed=5)


@pytest.mark.parametrize("most", [None, 2, 5])
def test_where_contexts_say_all_psi_is_the_mass_of_what_is_left(most):
    """The grammar has no bound of its own; up to the limit, or to 14 tokens, all is tried."""
    model = flat_model()
    grammar = load_lark('start: "b" | start "a" "b"')
    if most is not None:
        grammar = replace(grammar, conditions=(Limit("tokens", None, most),))
    own = TokenAutomaton(compile_grammar(grammar, model.vocabulary), None)
    recorder = Recorder(lambda known: None)
    run(
        compile_program(program(turn("text", "b", text(hole("q"))))),
        model,
        [RunRequest({}, seed) for seed in range(30)],
        automata=lambda key, inputs, after: own,
        functions=Functions(),
        settings=Settings(method="is", particles=32),
        recorder=recorder,
    )
    ((_, counts),) = recorder.after
    twist = Twist(contexts_of(own), counts, 1.0)
    expected = mass_by_trial(own, first_law(model), own.start, 14 if most is None else most)
    found = float(np.exp(twist.log_values(np.array([own.start]))[0]))
    assert found == pytest.approx(expected, rel=1e-4 if most is None else 1e-6)


def first_law(model):
    prefixes = Prefixes()
    session = model.start(prefixes)
    (prefix,) = prefixes.extend_each(np.array([0]), np.array([1]))
    return np.exp(session.next_logprobs(np.array([prefix]))[0])


def mass_by_trial(own, law, state, left):
    total = 0.0
    for token, probability in enumerate(law.tolist()):
        after = own.next(state, token)
        if after < 0:
            continue
        if own.finished(np.array([after]))[0]:
            total += probability
        elif left > 0:
            total += probability * mass_by_trial(own, law, after, left - 1)
    return total


def random_counts(seed, size=4, costs=(1, 2)):
    generator = np.random.default_rng(seed)
    counts = Counts(3)
    names = [(number, 1, 0, number) for number in range(size)]
    for name in names:
        for weight in (0.3, 0.7):
            shares = generator.dirichlet(np.full(size * len(costs) + 2, 0.5))[:-1]
            groups = [(names[i % size], costs[i // size], share) for i, share in enumerate(shares[:-1])]
            counts.add(name, [*groups, (ENDS, 0, shares[-1])], weight)
    return counts, names


@pytest.mark.parametrize("costs", [(1, 2), (0, 1)])
def test_a_chain_is_solved_backward_over_the_budget(costs):
    counts, names = random_counts(2, costs=costs)

    def psi(context, left):
        """By walking the flows, where each costs something."""
        total = 0.0
        for (source, target, cost), mass in counts.flows.items():
            if source == context and (target == ENDS or cost <= left):
                total += mass / counts.visits[source] * (1.0 if target == ENDS else psi(target, left - cost))
        return total

    chain = Chain(counts, 3)
    for left in range(3):
        column = {name: float(chain.table[chain.row(name), left]) for name in names}
        for name in names:
            expected = 0.0
            for (source, target, cost), mass in counts.flows.items():
                if source == name:
                    share = mass / counts.visits[source]
                    if target == ENDS:
                        expected += share
                    elif cost == 0:
                        expected += share * column[target]
                    elif cost <= left:
                        expected += share * float(chain.table[chain.row(target), left - cost])
            assert column[name] == pytest.approx(expected, rel=1e-5)
            if 0 not in costs:
                assert column[name] == pytest.approx(psi(name, left), rel=1e-10)


def test_without_a_budget_a_chain_is_the_limit_of_budgets():
    counts, names = random_counts(3)
    forever, bounded = Chain(counts, None), Chain(counts, 400)
    for name in names:
        assert forever.table[forever.row(name), 0] == pytest.approx(bounded.table[bounded.row(name), -1], rel=1e-4)


def test_contexts_that_no_run_met_get_the_mean_of_those_most_like_them():
    counts = Counts(3)
    counts.add((1, 1, 0, 7, 2), [(ENDS, 0, 0.5)], 3.0)
    counts.add((1, 1, 0, 7, 4), [(ENDS, 0, 0.1)], 1.0)
    counts.add((2, 1, 0, 9), [(ENDS, 0, 0.9)], 4.0)
    chain = Chain(counts, None)
    psi = {key: float(chain.table[chain.row(key), 0]) for key in [(1, 1, 0, 7, 5), (1, 1, 0, 8), (3, 1, 0, 7)]}
    assert psi[1, 1, 0, 7, 5] == pytest.approx(0.4)
    assert psi[1, 1, 0, 8] == pytest.approx(0.4)
    assert psi[3, 1, 0, 7] == pytest.approx(0.65)


def test_counts_survive_the_disk_and_equal_counts_have_equal_versions(tmp_path):
    counts, _ = random_counts(4)
    counts.gains, counts.runs = np.arange(len(STRENGTHS), dtype=float), 3
    counts.judged, counts.finals = 1.75, (5.0, 0.25)
    counts.memory = {2**64 - 3: {1: 0.5, 2: 0.0}, 7: {0: 1.0}}
    path = file_of(tmp_path, "program", "model")
    write_counts(path, counts)
    found = read_counts(path)
    assert found is not None
    assert (found.visits, found.flows, found.memory) == (counts.visits, counts.flows, counts.memory)
    assert (found.runs, found.judged, found.finals) == (3, 1.75, (5.0, 0.25))
    assert version_of(found) == version_of(counts)
    found.add((0, 1, 0, 0), [(ENDS, 0, 0.1)], 1.0)
    assert version_of(found) != version_of(counts)
    path.write_bytes(path.read_bytes()[:-3])
    assert read_counts(path) is None
    assert file_of(tmp_path, "program", "other") != path


def test_a_twist_is_used_only_at_a_strength_that_has_helped():
    counts = Counts(3)
    assert chosen_strength(counts) == 0.0
    counts.judged, counts.gains = 2.0, np.array([0.0, 0.1, 0.3, 0.2, -4.0])
    assert chosen_strength(counts) == 0.0, "a gain of 16 % is none"
    counts.gains = np.array([0.0, 1.0, 3.0, 2.0, -4.0])
    assert chosen_strength(counts) == 0.5


def test_a_run_is_not_changed_by_being_recorded():
    plain = sweep("parsed", None, None, [4], particles=8)[0]
    recorded = sweep("parsed", None, None, [4], particles=8, recorder=Recorder(lambda known: None))[0]
    assert plain.log_z == recorded.log_z
    assert plain.values == recorded.values


def test_rows_whose_particles_were_resampled_away_count_a_little():
    recorder = Recorder(lambda known: None)
    sweep("parsed", None, None, range(6), particles=8, recorder=recorder, ess_threshold=1.0)
    ((_, counts),) = recorder.after
    assert min(counts.visits[source] for source, _, _ in counts.flows) > 0
    Chain(counts, None)


def test_runs_learn_one_after_another_and_say_what_they_used(tmp_path):
    versions = []
    for seed in range(4):
        lookahead = LearnedLookahead(tmp_path, ("test",), learns=True)
        sweep("parsed", None, None, [seed], particles=16, lookahead=lookahead, recorder=lookahead.recorder)
        lookahead.save()
        ((_, counts),) = lookahead.recorder.after
        versions.append(version_of(counts))
        assert counts.runs == seed + 1
    assert len(set(versions)) == 4
    fixed = LearnedLookahead(tmp_path, ("test",), learns=False)
    assert fixed.recorder is None
    twist = fixed(automaton("parsed"))
    assert fixed.used == ({} if twist is None else {versions[-1]: twist.strength})


def test_a_verdict_is_the_variance_of_weights_though_only_survivors_tell():
    """Outcomes of a proposal q and a target gamma, some of mass 0: what is left of them knows Var(gamma / q) / Z^2."""
    generator = np.random.default_rng(8)
    laws = generator.dirichlet(np.ones(6), size=len(STRENGTHS))
    gamma = generator.random(6) * np.array([1, 0, 1, 1, 0, 1])
    mass, alive = gamma.sum(), gamma > 0
    expected = [float((gamma[alive] ** 2 / law[alive]).sum() / mass**2 - 1) for law in laws]
    logs = np.log(gamma[alive][:, None] / laws.T[alive])
    shares = gamma[alive] / mass
    assert judging._variances(logs, shares, float(np.log(mass))) == pytest.approx(expected)
    blind = judging._variances(logs, shares, np.inf)
    living = laws[:, alive].sum(axis=1)
    assert blind == pytest.approx((np.array(expected) + 1) * living - 1), "as if what dies were never proposed"


def test_what_died_of_a_factor_is_remembered_as_nothing():
    recorder = Recorder(lambda known: None)
    sweep("parsed", None, None, range(8), particles=64, recorder=recorder, method="is")
    ((_, counts),) = recorder.after
    prefixes = Prefixes()
    start = prefixes.extend(0, MODEL.encode("b", starts_text=True))
    end = len(MODEL.vocabulary.token_bytes) - 1
    for words, expected in (["b"], 0.0), (["b", "ba"], 3.5), (["ab"], 2.5):
        prefix = prefixes.extend(start, [token for word in words for token in MODEL.encode(word, starts_text=False)])
        assert counts.memory[int(prefixes.histories[prefix])][end] == pytest.approx(expected)
    number, total = counts.finals
    assert 0 < counts.end_value() == total / number


def test_misleading_counts_are_found_out():
    """Counts that say the opposite of the model: the gain of using them is negative."""
    recorder = Recorder(lambda known: None)
    sweep("parsed", None, None, [0], particles=8, recorder=recorder)
    ((_, right),) = recorder.after
    chain, wrong = Chain(right, None), right.copy()
    psi = {context: float(chain.table[row, 0]) for context, row in chain.rows.items()}
    least = min(psi.values())
    wrong.memory = {}
    wrong.flows = {(context, ENDS, 0): right.visits[context] * least / mass for context, mass in psi.items()}
    judged = Recorder(lambda known: wrong)
    sweep("parsed", None, None, [1], particles=64, recorder=judged)
    ((_, counts),) = judged.after
    assert counts.gains[-1] < 0


def test_the_characters_that_a_filter_leaves_are_counted():
    dfa = limit_dfa("chars", 0, 7)
    left = characters_left(RegularTables(dfa.next_state, dfa.accepting))
    state = dfa.start
    for used, byte in enumerate("aé日a".encode()):
        assert left[state] == 7 - len("aé日a".encode()[:used].decode(errors="ignore")) or byte & 0xC0 == 0x80
        state = int(dfa.next_state[state, byte])
    assert left[state] == 3
    anything = RegularTables(np.array([[0] * 256, [1] * 256], dtype=np.int32), np.array([False, True]))
    assert characters_left(anything)[1] > 10**5


def test_a_budget_of_tokens_is_what_is_left_of_the_limit():
    own = automaton("parsed", None, 4)
    contexts = Contexts(own)
    assert (contexts.unit, contexts.budget) == ("tokens", 4)
    after = own.next(own.start, 0)
    _, left = contexts.at(np.array([own.start, after]))
    assert left.tolist() == [4, 3]


def test_what_was_found_behind_a_text_is_the_mass_of_its_ends():
    """With every way tried, memory alone knows the mass, factors included; the model's law depends on all before."""
    recorder = Recorder(lambda known: None)
    sweep("parsed", None, None, range(8), particles=64, recorder=recorder, method="is")
    ((_, counts),) = recorder.after
    prefixes = Prefixes()
    start = prefixes.extend(0, MODEL.encode("b", starts_text=True))
    session = MODEL.start(prefixes)

    def mass(prefix, state):
        total = 0.0
        for token, chance in enumerate(np.exp(session.next_logprobs(np.array([prefix]))[0]).tolist()):
            after = automaton("parsed").next(state, token)
            if after >= 0 and chance > 0:
                is_end = bool(automaton("parsed").finished(np.array([after]))[0])
                length = len(MODEL.vocabulary.spell(prefixes.sequence(prefix, start)))
                weight = 0.5 + length if length > 1 else 0.0
                total += chance * (weight if is_end else mass(prefixes.extend(prefix, [token]), after))
        return total

    known = counts.memory[int(prefixes.histories[start])]
    assert known
    for token, found in known.items():
        after = automaton("parsed").next(automaton("parsed").start, token)
        assert found == pytest.approx(mass(prefixes.extend(start, [token]), after), rel=1e-4)
