"""transformers models: cached probabilities equal recomputed ones, and turns are the template's own."""

import os
from pathlib import Path

import numpy as np
import pytest

from smcdsl.errors import ModelError
from smcdsl.models.chat_template import ChatTemplate
from smcdsl.models.load import load_model
from smcdsl.models.torch_cache import Caching
from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.protocols import LanguageModel
from smcdsl.report.diagnostics import render

torch = pytest.importorskip("torch")

DATA = Path(os.environ.get("SMCDSL_DATA", Path(__file__).parents[3] / "shared" / "data"))
needs_data = pytest.mark.skipif(not (DATA / "lm").is_dir(), reason="no models: set SMCDSL_DATA")
STORIES, SMILES = DATA / "lm" / "stories260k", DATA / "lm" / "smiles_gpt2_0.2m"


def worst_difference(
    model, session, prefixes: Prefixes, start: list[int], vocab_size: int, seed: int, steps: int
) -> float:
    """The largest error of a session against whole recomputation, over forks, deaths and ragged blocks."""
    from smcdsl.models.torch_logits import written_out
    from smcdsl.models.torch_whole import recompute

    rng = np.random.default_rng(seed)
    stem = prefixes.extend(ROOT, [*start, *rng.integers(0, vocab_size, 12).tolist()])
    live, worst = [stem], 0.0
    for _ in range(steps):
        wanted = np.array(sorted(set(live)), dtype=np.int64)
        expected = written_out(recompute(model, [prefixes.sequence(prefix) for prefix in wanted.tolist()]))
        worst = max(worst, float(np.abs(session.next_logprobs(wanted) - expected).max()))
        if rng.random() < 0.4:
            live = rng.choice(wanted, 6).tolist()
            session.retain(np.array(sorted(set(live)), dtype=np.int64))
        live = (live * 6)[:6]
        longer = [
            rng.integers(0, vocab_size, rng.integers(1, 5)) if rng.random() < 0.3 else rng.integers(0, vocab_size, 1)
            for _ in live
        ]
        live = [prefixes.extend(p, more.tolist()) if rng.random() < 0.85 else p for p, more in zip(live, longer)]
    return worst


@needs_data
@pytest.mark.parametrize("folder", [STORIES, SMILES], ids=["llama", "gpt2"])
def test_cached_equals_recomputed(folder):
    model = load_model(str(folder))
    assert isinstance(model, LanguageModel)
    prefixes = Prefixes()
    session = model.start(prefixes)
    assert model._caching == Caching("packed", model.context_length)
    assert worst_difference(model._model, session, prefixes, model.begin_text(), len(model.vocabulary), 0, 12) < 1e-4


@needs_data
def test_rows_are_normalised_and_the_context_is_a_limit():
    model = load_model(str(SMILES))
    prefixes = Prefixes()
    session = model.start(prefixes)
    full = prefixes.extend(ROOT, [model.begin_text()[0], *[5] * 73])
    logprobs = session.next_logprobs(np.array([full]))
    assert np.allclose(np.exp(logprobs).sum(axis=1), 1, atol=1e-5)
    with pytest.raises(ModelError, match="E0805"):
        session.next_logprobs(np.array([prefixes.extend(full, [5])]))


@needs_data
def test_long_blocks_are_fed_in_pieces(monkeypatch):
    from smcdsl.models import torch_packed

    monkeypatch.setattr(torch_packed, "TOKENS_AT_ONCE", 5)
    model = load_model(str(STORIES))
    prefixes = Prefixes()
    assert worst_difference(model._model, model.start(prefixes), prefixes, [1], 512, 3, 4) < 1e-4


def tiny(kind: str, **settings):
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        **settings,
    )
    torch.manual_seed(0)
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval()


LATENT = {
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "n_routed_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 8,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 6,
}
SHAPE = {"intermediate_size": 32, "num_key_value_heads": 1, "max_position_embeddings": 64}


@pytest.mark.parametrize("way", ["packed", "padded"])
@pytest.mark.parametrize(
    ("model", "cached"),
    [
        (lambda: tiny("Qwen2", **SHAPE), 64),
        (lambda: tiny("Mistral", sliding_window=30, **SHAPE), 30),
        (lambda: tiny("GPTNeoX", intermediate_size=32, max_position_embeddings=64), 64),
        (lambda: tiny("OPT", ffn_dim=32, max_position_embeddings=64, word_embed_proj_dim=16), 64),
    ],
    ids=["qwen2", "mistral-sliding", "gpt-neox", "opt"],
)
def test_other_architectures(model, cached, way):
    from smcdsl.models.torch_cache import CachedSession, caching

    made = model()
    assert caching(made, 64, "m") == Caching("packed", cached)
    prefixes = Prefixes()
    session = CachedSession(made, prefixes, "m", 64, Caching(way, cached))
    assert worst_difference(made, session, prefixes, [1], 40, 1, 6) < 1e-5


@pytest.mark.parametrize(
    ("model", "way"),
    [
        # Scores that are capped, and an attention function that is not looked up.
        (lambda: tiny("Gemma2", sliding_window=30, head_dim=8, **SHAPE), "padded"),
        (lambda: tiny("Falcon"), "padded"),
        # What is stored is not what is attended to.
        (lambda: tiny("DeepseekV3", **LATENT), "padded"),
        # Biases by distance, in a mask of another shape.
        (lambda: tiny("Bloom"), "none"),
    ],
    ids=["gemma2", "falcon", "deepseek", "bloom"],
)
def test_architectures_with_attention_of_their_own(model, way):
    from smcdsl.models.torch_cache import CachedSession, caching

    made = model()
    found = caching(made, 64, "m")
    assert found.way == way
    prefixes = Prefixes()
    assert worst_difference(made, CachedSession(made, prefixes, "m", 64, found), prefixes, [1], 40, 1, 6) < 1e-5


def test_an_architecture_without_such_a_cache_is_recomputed():
    import transformers

    from smcdsl.models.torch_cache import CachedSession, caching

    config = transformers.MambaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=2, state_size=4)
    torch.manual_seed(0)
    model = transformers.MambaForCausalLM(config).eval()
    assert caching(model, 64, "m") == Caching("none", 0)
    prefixes = Prefixes()
    short, long = prefixes.extend(ROOT, [1, 2]), prefixes.extend(ROOT, [1, 2, 3, 4, 5])
    together = CachedSession(model, prefixes, "m", 64, Caching("none", 0)).next_logprobs(np.array([short, long]))
    alone = CachedSession(model, prefixes, "m", 64, Caching("none", 0)).next_logprobs(np.array([short]))
    assert np.allclose(together[0], alone[0], atol=1e-5)


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA2 = (
    "{% if messages[0].role == 'system' %}{% set s = '<<SYS>>' ~ messages[0].content ~ '<</SYS>>' %}"
    "{% set messages = messages[1:] %}{% else %}{% set s = '' %}{% endif %}"
    "{% if not messages %}{{ raise_exception('a system turn alone') }}{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' %}<s>[INST] {% if loop.first %}{{ s }}{% endif %}"
    "{{ m.content }} [/INST]"
    "{% else %} {{ m.content }} </s>{% endif %}{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def template(text: str, ends: str) -> ChatTemplate:
    """A template over a vocabulary of characters, its end-of-turn token one more id."""
    import jinja2

    def refuse(message):
        raise jinja2.TemplateError(message)

    compiled = jinja2.Environment().from_string(text)
    end_id = 0x110000

    def encode(rendered: str) -> list[int]:
        parts = rendered.split(ends)
        return [x for i, part in enumerate(parts) for x in ([end_id] if i else []) + [ord(char) for char in part]]

    render = lambda messages, generation: compiled.render(  # noqa: E731
        messages=messages, add_generation_prompt=generation, raise_exception=refuse
    )
    return ChatTemplate(render, encode, [end_id], "m")


def shown(tokens, ends: str) -> str:
    return "".join(ends if token == 0x110000 else chr(token) for token in tokens)


@pytest.mark.parametrize(
    ("text", "ends", "roles"),
    [
        (CHATML, "<|im_end|>", ("system", "user", "assistant", "user", "assistant")),
        (LLAMA2, "</s>", ("system", "user", "assistant", "user", "assistant")),
        (LLAMA2, "</s>", ("user", "assistant")),
        (NO_SYSTEM, "<end>", ("user", "assistant")),
    ],
)
def test_turns_spell_the_rendered_conversation(text, ends, roles):
    import jinja2

    chat = template(text, ends)
    written = ""
    for index, role in enumerate(roles):
        turn = chat.turn(roles[:index], role)
        written += shown(turn.opening, ends) + f"content{index}" + shown(turn.closing, ends)
        if role == "assistant":
            assert turn.closing[0] == 0x110000
    messages = [{"role": role, "content": f"content{index}"} for index, role in enumerate(roles)]
    rendered = jinja2.Environment().from_string(text).render(messages=messages, add_generation_prompt=False)
    # A model ends its turn with its own token; what a template writes before that is left to the model.
    assert written.replace(" </s>", "</s>") == rendered.replace(" </s>", "</s>")


def test_a_refused_turn_is_a_model_error():
    with pytest.raises(ModelError, match="E0605") as caught:
        template(NO_SYSTEM, "<end>").turn((), "system")
    assert "System role not supported" in caught.value.diagnostics[0].facts[0]


@needs_data
def test_no_template_is_a_model_error():
    with pytest.raises(ModelError, match="E0804"):
        load_model(str(STORIES)).turn((), "user")


@needs_data
def test_a_template_may_be_given():
    model = load_model(
        str(STORIES), chat_template="{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}"
    )
    turn = model.turn(("user",), "assistant")
    assert model.vocabulary.spell(turn.opening) == b"[assistant]"
    assert turn.closing == (2,)


class Failing:
    """A model that cannot compute."""

    device = torch.device("cpu")

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, **_):
        raise self.error


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("E0807", RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x8 and 9x8)\nat some place")),
        ("E0807_memory", torch.OutOfMemoryError("tried to allocate 2 GiB")),
    ],
)
def test_a_model_that_fails_is_named(name, error, golden):
    from smcdsl.models.torch_cache import CachedSession

    prefixes = Prefixes()
    session = CachedSession(Failing(error), prefixes, "some-model", context_length=8, caching=Caching("none", 0))
    with pytest.raises(ModelError) as caught:
        session.next_logprobs(np.array([prefixes.extend(ROOT, [1])]))
    assert caught.value.__cause__ is error
    golden(f"models/{name}.expected", render(caught.value.diagnostics))
