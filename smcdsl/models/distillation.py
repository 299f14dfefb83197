"""Training a small Llama to draft for a model, on trees of the model's own samples with its masked laws.

The loss is the forward Kullback-Leibler divergence from the target's law to the draft's, both under the grammar's mask,
in mean over the nodes of the trees. Under the mask, because that is what drafts are drawn from and verified
against: acceptance, the sum of min(pt, qt), sees nothing of what the mask leaves out, and a small model has
nothing to spare for it. Forward, on the target's samples, because that is the law of the prefixes drafts start from.

The draft reads a shortened prompt (`pruned_prompt`), and its output layer is restricted to the tokens that the domain's
prompts and laws contain, since over a large vocabulary that layer costs more than all others.
Its embeddings begin as the principal components of the target's.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.models.draft_models import DISTILLED, spelling_fingerprint
from smcdsl.models.draft_trees import MaskedLaw, Tree
from smcdsl.protocols import LanguageModel

MOST_TOKENS = 8192
"""Rows of a draft's output layer at most."""
_EMBEDDING_SCALE = 0.05
_RATE = 2e-3
_WARM_UP = 10
"""Steps over which the rate rises."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a draft; `first` and `last` tokens of a prompt are read."""

    layers: int = 4
    hidden: int = 256
    intermediate: int = 640
    heads: int = 8
    kv_heads: int = 4
    first: int = 4
    last: int = 256
    context: int = 2048


@dataclass
class Draft:
    """A draft in training: a Llama of transformers over all V ids, and the ids that it can say."""

    network: Any
    shape: Shape
    said: NDArray[np.int64]
    steps: int = 0


def new_draft(target: LanguageModel, trees: Sequence[Tree], shape: Shape, seed: int = 0) -> Draft:
    """A draft that knows nothing but the target's embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    num_ids = len(target.vocabulary)
    config = LlamaConfig(
        vocab_size=num_ids,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.hidden // shape.heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=True,
        eos_token_id=list(target.vocabulary.end_of_turn),
        attn_implementation="sdpa",
    )
    network = LlamaForCausalLM(config)
    known = embeddings_of(target)
    if known is not None:
        with torch.no_grad():
            network.get_input_embeddings().weight.copy_(torch.from_numpy(_components(known, shape.hidden, seed)))
    return Draft(network, shape, said_tokens(trees, num_ids))


def embeddings_of(model: LanguageModel) -> NDArray[np.float32] | None:
    """(V, width) the embeddings of a model that has any."""
    network = getattr(model, "network", None)
    if network is None:
        return None
    weight = network.get_input_embeddings().weight.detach().float().cpu().numpy()
    return weight[: len(model.vocabulary)] if len(weight) >= len(model.vocabulary) else None


def _components(embeddings: NDArray[np.float32], width: int, seed: int) -> NDArray[np.float32]:
    """(V, width) the principal components of (V, any), widened with noise if there are fewer."""
    covariance = embeddings.T.astype(np.float64) @ embeddings
    _, directions = np.linalg.eigh(covariance)
    found = embeddings @ directions[:, ::-1][:, :width].astype(np.float32)
    found *= _EMBEDDING_SCALE / max(float(found.std()), 1e-12)
    missing = width - found.shape[1]
    if missing > 0:
        noise = np.random.default_rng(seed).normal(0, _EMBEDDING_SCALE / 4, (len(found), missing))
        found = np.concatenate([found, noise.astype(np.float32)], axis=1)
    return found


def said_tokens(trees: Sequence[Tree], num_ids: int) -> NDArray[np.int64]:
    """The ids that prompts contain and laws give some probability, the most probable first where they are too many."""
    mass = np.zeros(num_ids)
    for tree in trees:
        mass[list(tree.prompt)] += 1e-3
        for law in tree.laws:
            if law is not None:
                np.add.at(mass, law.tokens[law.places], law.probabilities)
    order = np.argsort(-mass, kind="stable")[:MOST_TOKENS]
    return np.sort(order[mass[order] > 1e-4])


def train(
    draft: Draft,
    trees: Sequence[Tree],
    seconds: float,
    *,
    seed: int = 0,
    steps: int | None = None,
    report: Callable[[int, float, float], None] | None = None,
) -> None:
    """Train for so many seconds, or `steps` steps if that is given; the rate falls to nothing at the end.

    Args:
        report: is told the steps made, the part of the time that is over, and the loss since it was last told.
    """
    import torch

    examples = [_Example.of(tree, draft) for tree in trees]
    examples = [example for example in examples if len(example.nodes)]
    if not examples:
        raise ValueError("no tree has a law to learn")
    network = draft.network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, betas=(0.9, 0.98), weight_decay=0.01)
    generator = np.random.default_rng(seed)
    began, told, losses = time.monotonic(), time.monotonic(), []
    order: list[int] = []
    while True:
        over = (time.monotonic() - began) / seconds if steps is None else draft.steps / steps
        if over >= 1:
            break
        order = order or generator.permutation(len(examples)).tolist()
        for group in optimizer.param_groups:
            group["lr"] = _RATE * min(1.0, (draft.steps + 1) / _WARM_UP) * (1 - over)
        loss = _loss(draft, examples[order.pop()])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        draft.steps += 1
        losses.append(float(loss.detach()))
        if report is not None and (time.monotonic() - told > 5 or draft.steps == 1):
            report(draft.steps, over, float(np.mean(losses)))
            told, losses = time.monotonic(), []
    network.eval()


@dataclass(frozen=True)
class _Example:
    """One tree as tensors: a row of tokens with positions, what each sees, and the laws at some of them."""

    tokens: Any  # (T,)
    positions: Any  # (T,)
    seen: Any  # (T, T) bool
    nodes: NDArray[np.int64]  # (n,) places with laws
    allowed: Any  # (n, said) bool
    wanted: Any  # (n, said) the target's law on what the draft can say

    @classmethod
    def of(cls, tree: Tree, draft: Draft) -> _Example:
        """The tree with its prompt shortened."""
        import torch

        shape, said = draft.shape, draft.said
        prompt = list(tree.prompt)
        if len(prompt) > shape.first + shape.last:
            prompt = prompt[: shape.first] + prompt[-shape.last :]
        start, count = len(prompt) - 1, len(tree)
        tokens = np.concatenate([np.asarray(prompt), tree.tokens[1:]])
        seen = np.tril(np.ones((len(tokens), len(tokens)), dtype=np.bool_))
        seen[start + 1 :, start + 1 :] = False
        positions = np.arange(len(tokens))
        for node in range(1, count):
            parent = int(tree.parents[node])
            positions[start + node] = positions[start + parent] + 1
            seen[start + node, start + 1 :] = seen[start + parent, start + 1 :]
            seen[start + node, start + node] = True
        chosen = [node for node, law in enumerate(tree.laws) if law is not None and _has_place(law, said)]
        allowed = np.zeros((len(chosen), len(said)), dtype=np.bool_)
        wanted = np.zeros((len(chosen), len(said)), dtype=np.float32)
        for row, node in enumerate(chosen):
            law = tree.laws[node]
            assert law is not None, "chosen for having one"
            allowed[row] = np.isin(said, law.tokens, assume_unique=True)
            kept = law.tokens[law.places]
            places = np.minimum(np.searchsorted(said, kept), len(said) - 1)
            sayable = said[places] == kept
            wanted[row, places[sayable]] = law.probabilities[sayable]
        return cls(
            torch.from_numpy(tokens.astype(np.int64)),
            torch.from_numpy(positions),
            torch.from_numpy(seen),
            start + np.array(chosen, dtype=np.int64),
            torch.from_numpy(allowed),
            torch.from_numpy(wanted),
        )


def _has_place(law: MaskedLaw, said: NDArray[np.int64]) -> bool:
    return bool(np.isin(law.tokens[law.places], said).any())


def _loss(draft: Draft, example: _Example) -> Any:
    """Mean cross entropy of the draft's masked law under the target's: the divergence but for a constant."""
    import torch

    network = draft.network
    hidden = network.model(
        input_ids=example.tokens[None],
        position_ids=example.positions[None],
        attention_mask=example.seen[None, None],
        use_cache=False,
    ).last_hidden_state[0, torch.from_numpy(example.nodes)]
    logits = hidden @ network.get_input_embeddings().weight[torch.from_numpy(draft.said)].T
    logits = logits.masked_fill(~example.allowed, -1e9)
    return -(example.wanted * torch.log_softmax(logits, dim=-1)).sum(dim=-1).mean()


def save(draft: Draft, folder: Path, target: LanguageModel, about: dict[str, Any]) -> None:
    """Write the draft as `draft: FOLDER` loads it: config.json and model.safetensors in half precision.

    Args:
        about: what made it, for people who read config.json.
    """
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    shape = draft.shape
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(target.vocabulary),
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.hidden // shape.heads,
        "max_position_embeddings": shape.context,
        "rope_theta": 10000.0,
        "rms_norm_eps": float(draft.network.config.rms_norm_eps),
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "dtype": "float16",
        DISTILLED: {
            "first": shape.first,
            "last": shape.last,
            "spelling": spelling_fingerprint(target.vocabulary),
            "said": draft.said.tolist(),
            "shape": asdict(shape),
            **about,
        },
    }
    weights = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in draft.network.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
