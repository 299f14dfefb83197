"""What is recorded of a run is the masked law at every node it visited; overlaps follow their definition."""

from __future__ import annotations

import numpy as np
import pytest
from running import automata, toy
from test_exactness import CASES

from smcdsl.compiler.compile import compile_program
from smcdsl.inference import recording
from smcdsl.inference.drafts.overlap import certainty, model_overlaps, pooled, text_overlaps
from smcdsl.inference.methods import RunRequest, run
from smcdsl.inference.recording import Recorder
from smcdsl.inference.settings import Settings
from smcdsl.models.draft_trees import MaskedLaw, Tree
from smcdsl.prefixes import ROOT, Prefixes


def recorded(name: str, particles: int = 6):
    case = CASES[name]()
    recorder = Recorder()
    (posterior,) = run(
        compile_program(case.program),
        recorder.model(case.model),
        [RunRequest(case.inputs or {}, 3)],
        automata=recorder.automata(automata(case.model, case.languages)),
        functions=case.functions,
        settings=Settings(particles=particles),
    )
    return case, recorder, posterior


@pytest.mark.parametrize("name", tuple(CASES))
def test_laws_are_the_models_under_the_mask(name):
    case, recorder, _ = recorded(name)
    tree = recorder.tree()
    assert recorder.tree() is None
    temperature = compile_program(case.program).program.model.temperature
    prefixes = Prefixes()
    session = case.model.start(prefixes)
    laws = [(node, law) for node, law in enumerate(tree.laws) if law is not None]
    assert laws
    for node, law in laws:
        (row,) = session.next_logprobs(np.array([prefixes.extend(ROOT, tree.sequence(node))]))
        expected = np.exp(row[law.tokens] / temperature)
        assert law.probabilities == pytest.approx(expected / expected.sum(), abs=1e-6)
        assert len(law.places) == len(law.tokens) > 1


@pytest.mark.parametrize("name", tuple(CASES))
def test_recording_changes_no_run(name):
    case, _, posterior = recorded(name)
    (plain,) = run(
        compile_program(case.program),
        case.model,
        [RunRequest(case.inputs or {}, 3)],
        automata=automata(case.model, case.languages),
        functions=case.functions,
        settings=Settings(particles=6),
    )
    assert plain.values == posterior.values
    np.testing.assert_array_equal(plain.log_weights, posterior.log_weights)


def test_children_come_after_their_parents():
    _, recorder, _ = recorded(next(iter(CASES)))
    tree = recorder.tree()
    assert tree.parents[0] == -1
    assert (tree.parents[1:] < np.arange(1, len(tree))).all()
    assert not (tree.certain & np.array([law is not None for law in tree.laws])).any()


def test_of_a_law_the_likeliest_tokens_are_kept(monkeypatch):
    monkeypatch.setattr(recording, "KEPT_TOKENS", 2)
    law = Recorder()._law(np.array([3, 5, 8, 9], dtype=np.int32), np.log([0.1, 0.4, 0.2, 0.3]))
    assert law.tokens.tolist() == [3, 5, 8, 9]
    assert law.places.tolist() == [1, 3]
    assert law.probabilities == pytest.approx([0.4, 0.3])
    assert Recorder()._law(np.array([3], dtype=np.int32), np.zeros(1)) is None


MODEL = toy(["a", "b", "c"], seed=5)


def tree() -> Tree:
    """Two ways on from a prompt `a b`."""
    law = MaskedLaw(np.array([0, 1, 2], dtype=np.int32), np.arange(3), np.array([0.2, 0.5, 0.3], dtype=np.float32))
    part = MaskedLaw(np.array([0, 2], dtype=np.int32), np.arange(2), np.array([0.9, 0.1], dtype=np.float32))
    return Tree(
        (0, 1), np.array([-1, 0, 0, 1]), np.array([-1, 2, 0, 1]), (law, part, None, part), np.array([0, 0, 1, 0]) > 0
    )


def test_overlaps_of_a_model_are_sums_of_the_smaller_probability():
    expected = []
    for node in (0, 1, 3):
        law = tree().laws[node]
        row = np.exp(MODEL.log_rows[MODEL.row_of((tree().sequence(node)[-1],))])[law.tokens]
        expected.append(np.minimum(row / row.sum(), law.probabilities).sum())
    assert model_overlaps(MODEL.start, tree()) == pytest.approx(expected, abs=1e-6)
    assert pooled(model_overlaps(MODEL.start, tree()) for _ in range(2)) == pytest.approx(np.mean(expected), abs=1e-6)


def test_overlaps_of_matches_are_the_probability_of_the_token_named():
    # After `a b c` and `a b a`: at node 3 (`a b c b`) the last `b` was followed by `c` first, and then by `a`.
    assert text_overlaps(tree()) == pytest.approx([0.0, 0.0, 0.9])


def test_certainty_is_the_share_of_nodes_without_a_choice():
    assert certainty([tree()]) == pytest.approx(1 / 4)
