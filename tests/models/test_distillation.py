"""Distillation: a tree is learnt as its sequences would be, a draft learns, and what is saved is what was trained."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.models.distillation import Shape, _Example, _loss, new_draft, said_tokens, save, train
from smcdsl.models.draft_models import DISTILLED, DistilledDraft, is_distilled
from smcdsl.models.draft_trees import MaskedLaw, Tree
from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.vocabulary import Vocabulary

torch = pytest.importorskip("torch")

SIZE = 12
SHAPE = Shape(layers=2, hidden=16, intermediate=32, heads=2, kv_heads=1, first=2, last=3, context=64)
TARGET = SimpleNamespace(
    name="target", vocabulary=Vocabulary((*(bytes([97 + i]) for i in range(SIZE - 1)), b""), (SIZE - 1,))
)


def law_of(tokens: list[int], seed: int) -> MaskedLaw:
    law = np.random.default_rng(seed).dirichlet(np.ones(len(tokens)))
    places = np.arange(len(tokens), dtype=np.int32)
    return MaskedLaw(np.array(tokens, dtype=np.int32), places, law.astype(np.float32))


def tree_of(parents: list[int], tokens: list[int], prompt: tuple[int, ...], seed: int = 0) -> Tree:
    """Laws over even tokens at even nodes, over all at odd ones."""
    laws = tuple(law_of(list(range(0, SIZE, 1 + (node % 2 == 0))), seed + node) for node in range(len(parents) + 1))
    return Tree(
        prompt,
        np.array([-1, *parents]),
        np.array([-1, *tokens]),
        laws,
        np.zeros(len(parents) + 1, dtype=np.bool_),
    )


TREE = tree_of([0, 0, 1, 1, 2, 3], [1, 2, 3, 4, 5, 6], (7, 8, 9, 10, 1, 2, 3))


@settings(max_examples=12)
@given(st.data())
def test_a_tree_is_learnt_as_its_sequences_would_be(data):
    count = data.draw(st.integers(1, 7))
    parents = [data.draw(st.integers(0, node)) for node in range(count)]
    tokens = data.draw(st.lists(st.integers(0, SIZE - 2), min_size=count, max_size=count))
    prompt = tuple(data.draw(st.lists(st.integers(0, SIZE - 2), min_size=1, max_size=9)))
    tree = tree_of(parents, tokens, prompt)
    draft = new_draft(TARGET, [tree], SHAPE)
    draft.network.eval()
    with torch.no_grad():
        together = float(_loss(draft, _Example.of(tree, draft)))
    # One sequence a node, its prompt shortened by hand.
    losses = []
    kept = list(prompt) if len(prompt) <= 5 else [*prompt[:2], *prompt[-3:]]
    for node, law in enumerate(tree.laws):
        sequence = kept + tree.sequence(node)[len(prompt) :]
        with torch.no_grad():
            logits = draft.network(input_ids=torch.tensor([sequence])).logits[0, -1].numpy().astype(np.float64)
        said = [int(token) for token in law.tokens if token in draft.said]
        scores = logits[said] - np.logaddexp.reduce(logits[said])
        wanted = dict(zip(law.tokens.tolist(), law.probabilities.tolist()))
        losses.append(-sum(wanted[token] * score for token, score in zip(said, scores)))
    assert together == pytest.approx(np.mean(losses), abs=1e-4)


def test_a_draft_learns_and_is_loaded_as_it_was_trained(tmp_path):
    draft = new_draft(TARGET, [TREE], SHAPE)
    losses = []
    train(draft, [TREE], 60.0, steps=200, report=lambda step, part, loss: losses.append(loss))
    example = _Example.of(TREE, draft)
    with torch.no_grad():
        after = float(_loss(draft, example))
    entropy = -np.mean([float((law.probabilities * np.log(law.probabilities)).sum()) for law in TREE.laws])
    assert losses[0] - entropy > 2.5 * (after - entropy) > 0
    save(draft, tmp_path, TARGET, {"why": "a test"})
    assert is_distilled(tmp_path)
    loaded = DistilledDraft("folder", tmp_path)
    assert loaded.fits(TARGET.vocabulary)
    prefixes = Prefixes()
    session = loaded.start(prefixes)
    for node in range(len(TREE)):
        rows = session.next_logprobs(np.array([prefixes.extend(ROOT, TREE.sequence(node))]))
        kept = [*TREE.prompt[:2], *TREE.prompt[-3:], *TREE.sequence(node)[len(TREE.prompt) :]]
        with torch.no_grad():
            logits = draft.network(input_ids=torch.tensor([kept])).logits[0, -1, torch.from_numpy(draft.said)]
        expected = np.full(SIZE, -np.inf)
        expected[draft.said] = torch.log_softmax(logits, dim=-1).numpy()
        # Weights are stored in half precision.
        assert np.exp(rows[0]) == pytest.approx(np.exp(expected), abs=5e-3)


def test_a_folder_of_other_tokens_does_not_fit(tmp_path):
    save(new_draft(TARGET, [TREE], SHAPE), tmp_path, TARGET, {})
    other = Vocabulary((b"x", *TARGET.vocabulary.token_bytes[1:]), (SIZE - 1,))
    wider = Vocabulary((*TARGET.vocabulary.token_bytes, b"", b""), (SIZE - 1,))
    loaded = DistilledDraft("folder", tmp_path)
    assert not loaded.fits(other)
    assert loaded.fits(wider)
    assert DISTILLED in (tmp_path / "config.json").read_text()
    assert not is_distilled(tmp_path / "nowhere")


def test_what_prompts_contain_and_laws_give_probability_can_be_said():
    law = MaskedLaw(np.array([1, 5, 9], dtype=np.int32), np.array([0, 2]), np.array([0.7, 0.3], dtype=np.float32))
    tree = Tree((2, 3), np.array([-1]), np.array([-1]), (law,), np.zeros(1, dtype=np.bool_))
    assert said_tokens([tree], SIZE).tolist() == [1, 2, 3, 9]


def test_embeddings_begin_as_the_targets_components():
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(SIZE, 16)) @ np.diag(2.0 ** -np.arange(16))
    embedding = torch.nn.Embedding.from_pretrained(torch.from_numpy(wide).float())
    target = SimpleNamespace(
        name="t", vocabulary=TARGET.vocabulary, network=SimpleNamespace(get_input_embeddings=lambda: embedding)
    )
    own = new_draft(target, [TREE], SHAPE).network.get_input_embeddings().weight.detach().numpy()
    # A rotation and a scale keep the angles.
    grams = [x @ x.T for x in (wide, own)]
    assert grams[0] / np.trace(grams[0]) == pytest.approx(grams[1] / np.trace(grams[1]), abs=1e-4)
    narrow = SimpleNamespace(
        name="t",
        vocabulary=TARGET.vocabulary,
        network=SimpleNamespace(get_input_embeddings=lambda: torch.nn.Embedding(SIZE, 6)),
    )
    assert np.isfinite(new_draft(narrow, [TREE], SHAPE).network.get_input_embeddings().weight.detach().numpy()).all()
