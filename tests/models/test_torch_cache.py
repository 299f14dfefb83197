"""The particle engine on a tiny random Llama: chains, tries, segments, pieces and types equal whole recomputation."""

from functools import cache

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from smcdsl.errors import ModelError
from smcdsl.models import prefix_cache, segments
from smcdsl.prefixes import ROOT, Prefixes

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from smcdsl.models import torch_attention, torch_cache, torch_packed  # noqa: E402
from smcdsl.models.torch_cache import CachedSession, Caching, caching  # noqa: E402
from smcdsl.models.torch_logits import DeviceLogits, totals_on_device, written_out  # noqa: E402
from smcdsl.models.torch_whole import recompute  # noqa: E402

V = 30


@cache
def tiny(dtype: str = "float32"):
    import transformers

    torch.manual_seed(3)
    config = transformers.LlamaConfig(
        vocab_size=V,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
    )
    model = transformers.LlamaForCausalLM(config).to(getattr(torch, dtype)).eval()
    assert caching(model, 512, "tiny") == Caching("packed", 512)
    return model


def session(prefixes: Prefixes, way: str = "packed", dtype: str = "float32") -> CachedSession:
    return CachedSession(tiny(dtype), prefixes, "tiny", 512, Caching(way, 512))


def gap(run: CachedSession, prefixes: Prefixes, wanted: list[int], dtype: str = "float32") -> float:
    """The greatest difference from unbatched recomputation."""
    found = run.next_logprobs(np.array(wanted, dtype=np.int64))
    alone = written_out(recompute(tiny(dtype), [prefixes.sequence(prefix) for prefix in wanted], at_once=1))
    return float(np.abs(found - alone).max())


@pytest.fixture
def small_segments(monkeypatch):
    """Segments that random tries of a few tokens make, cut and grow."""
    monkeypatch.setattr(prefix_cache, "SEGMENT_AT_LEAST", 4)
    monkeypatch.setattr(segments, "SPLIT_AT_LEAST", 2)


tries = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(0, 20), st.lists(st.integers(0, V - 1), max_size=7), st.booleans()),
            min_size=1,
            max_size=6,
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("way", ["packed", "padded"])
def test_any_tries_equal_recomputation(way, small_segments):
    @settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.generate])
    @given(tries)
    def check(script):
        prefixes = Prefixes()
        run = session(prefixes, way)
        known = [prefixes.extend(ROOT, [1, 2, 3, 4, 5, 6])]
        for extensions, retain in script:
            wanted = set()
            for pick, tokens, whole in extensions:
                prefix = known[pick % len(known)]
                for token in tokens:
                    prefix = prefixes.extend(prefix, [token])
                    if whole:
                        wanted.add(prefix)
                wanted.add(prefix)
            assert gap(run, prefixes, sorted(wanted)) < 1e-5
            known += sorted(wanted)
            if retain:
                known = known[-5:]
                run.retain(np.unique(known))

    check()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_of_particles_with_drafts_and_resampling(dtype):
    """Two prompts with a common start, own paces, rejected drafts, collapses to one ancestor."""
    generator = np.random.default_rng(0)
    prefixes = Prefixes()
    run = session(prefixes, dtype=dtype)
    start = prefixes.extend(ROOT, generator.integers(0, V, 60).tolist())
    live = [prefixes.extend(start, generator.integers(0, V, 40).tolist()) for _ in range(2)] * 5
    tolerance = 1e-5 if dtype == "float32" else 0.3
    for step in range(12):
        asked = set()
        for place, prefix in enumerate(live):
            drafts = [prefix]
            for token in generator.integers(0, V, generator.integers(1, 5)).tolist():
                drafts.append(prefixes.extend(drafts[-1], [token]))
            asked |= set(drafts)
            # Some drafts are accepted, then another token is drawn.
            kept = drafts[generator.integers(0, len(drafts))]
            live[place] = prefixes.extend(kept, [int(generator.integers(0, V))])
        assert gap(run, prefixes, sorted(asked), dtype) < tolerance
        if step % 6 == 5:
            live = [live[0], live[1]] * 5
            run.retain(np.unique(live))
    assert len(run._rows._segments.ends) >= 3


def test_a_chain_is_one_row_of_one_pass(monkeypatch):
    prefixes = Prefixes()
    run = session(prefixes)
    prompt = prefixes.extend(ROOT, [1] * 40)
    run.next_logprobs(np.array([prompt]))
    fed = []
    kept = torch_packed.Packed._run
    monkeypatch.setattr(
        torch_packed.Packed,
        "_run",
        lambda self, one, places: (fed.append((one.tokens.shape[1], len(places))), kept(self, one, places))[1],
    )
    heads = [prefixes.extend(prompt, [token]) for token in (3, 4)]
    chains = [[prefixes.extend(head, range(10, 10 + count)) for count in range(4)] for head in heads]
    # All of one chain, the ends of the other.
    run.next_logprobs(np.array([*chains[0], chains[1][0], chains[1][3]]))
    assert fed == [(8, 6)]


def test_long_blocks_are_fed_in_pieces(monkeypatch):
    monkeypatch.setattr(torch_packed, "TOKENS_AT_ONCE", 7)
    prefixes = Prefixes()
    run = session(prefixes)
    prompt = prefixes.extend(ROOT, [(3 * i) % V for i in range(50)])
    assert gap(run, prefixes, [prompt]) < 1e-5
    long = prefixes.extend(prompt, [(5 * i) % V for i in range(31)])
    whole = prefixes.extend(prompt, [7])
    asked = [whole]
    for token in range(20):
        asked.append(prefixes.extend(asked[-1], [token]))
    assert gap(run, prefixes, sorted([long, *asked])) < 1e-5


def test_rows_far_apart_are_gathered():
    prefixes = Prefixes()
    run = session(prefixes)
    prompt = prefixes.extend(ROOT, [1] * 40)
    live = [prefixes.extend(prompt, [token]) for token in range(20)]
    run.next_logprobs(np.array(live))
    few = [prefixes.extend(live[place], [place]) for place in (0, 9, 19)]
    assert gap(run, prefixes, few) < 1e-5
    ragged = [prefixes.extend(live[place], [3] * count) for place, count in ((1, 1), (5, 3), (8, 2), (18, 6))]
    assert gap(run, prefixes, ragged) < 1e-5


def test_more_prefixes_than_rows_at_once(monkeypatch):
    monkeypatch.setattr(torch_cache, "ROWS_AT_ONCE", 4)
    prefixes = Prefixes()
    run = session(prefixes)
    stem = prefixes.extend(ROOT, [1, 2, 3])
    live = [prefixes.extend(stem, [token]) for token in range(11)]
    assert gap(run, prefixes, live) < 1e-5
    assert gap(run, prefixes, [prefixes.extend(prefix, [5]) for prefix in live]) < 1e-5


@pytest.mark.parametrize("causal", [False, True])
def test_parts_of_attention_merge_to_the_whole(causal):
    torch.manual_seed(0)
    query, key, value = (torch.randn(3, 2, count, 8) for count in (6, 10, 10))
    mask = torch.zeros(3, 1, 6, 4).masked_fill(torch.rand(3, 1, 6, 4) < 0.3, float("-inf"))
    mask[..., 0] = 0
    for function in (torch_attention.part, torch_attention.plain_part):
        first = function(query, key[:, :, :4], value[:, :, :4], mask, 0.3)
        second = function(query, key[:, :, 4:], value[:, :, 4:], None, 0.3, causal)
        mixed, logs = torch_attention.merged(first, second)
        scores = query @ key.transpose(-1, -2) * 0.3
        scores[..., :4] += mask
        if causal:
            scores[..., 4:].masked_fill_(torch.ones(6, 6, dtype=torch.bool).triu(1), float("-inf"))
        assert torch.allclose(mixed, scores.softmax(-1) @ value, atol=1e-6)
        assert torch.allclose(logs, scores.logsumexp(-1), atol=1e-6)


def test_a_model_goes_on_working_for_others():
    """Its own `generate` and forward passes are what they were before the engine took its attention over."""
    import transformers

    plain = transformers.LlamaForCausalLM(tiny().config.__class__(**tiny().config.to_dict()))
    plain.load_state_dict(tiny().state_dict())
    plain.eval()
    tokens = torch.tensor([[1, 2, 3, 4]])
    expected = plain.generate(tokens, max_new_tokens=8, do_sample=False, pad_token_id=0)
    assert torch.equal(tiny().generate(tokens, max_new_tokens=8, do_sample=False, pad_token_id=0), expected)


@pytest.mark.parametrize("way", ["packed", "padded", "none"])
def test_laws_stay_where_the_model_left_them(way, monkeypatch):
    """As of a device, for which the processor stands in."""
    prefixes = Prefixes()
    stem = prefixes.extend(ROOT, [1, 2, 3])
    wanted = np.array([prefixes.extend(stem, [token]) for token in (4, 5)])
    expected = session(prefixes, way).next_logprobs(wanted)

    def left_there(logits, guard):
        return DeviceLogits(logits.float(), totals_on_device(logits.float()), guard)

    monkeypatch.setattr(torch_cache, "law_of", left_there)
    law = session(prefixes, way).next_law(wanted)
    assert isinstance(law, DeviceLogits)
    np.testing.assert_allclose(law[np.array([1, 0])], expected[[1, 0]], atol=1e-5)
    np.testing.assert_allclose(session(prefixes, way).next_logprobs(wanted), expected, atol=1e-5)

    def out_of_memory(*_):
        raise torch.OutOfMemoryError("too much")

    monkeypatch.setattr("smcdsl.models.torch_logits.edges_of", out_of_memory)
    with pytest.raises(ModelError, match="failed while computing"):
        law.drawn(np.zeros((1, 1), np.uint64), np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1), 1.0)
