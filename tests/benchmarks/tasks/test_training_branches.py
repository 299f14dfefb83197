"""The network on one document gives what the packed network gives."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))
torch = pytest.importorskip("torch")

from benchmarks.tasks.training.branches import forward, lay_out  # noqa: E402
from smcdsl.models.embedded.training.corpus import Document  # noqa: E402
from smcdsl.models.embedded.training.network import Llama, Shape  # noqa: E402
from smcdsl.models.embedded.training.train import pack  # noqa: E402

DOCUMENT = Document([1, 5, 6, 7, 8], [([9, 4, 11, 12], 2), ([3, 2, 10, 13, 14, 2], 3), ([15, 16], 1)])


@pytest.mark.parametrize("prompts", [False, True])
def test_logits_and_what_is_scored_are_those_of_a_packed_row(prompts):
    torch.manual_seed(0)
    model = Llama(Shape(32))
    # Written at zero, these would hide every difference in attention.
    for layer in model.layers:
        torch.nn.init.normal_(layer.self_attn.o_proj.weight, std=0.05)
        torch.nn.init.normal_(layer.mlp.down_proj.weight, std=0.05)
    laid, batch = lay_out(DOCUMENT, prompts), pack([[DOCUMENT]], 24, prompts)
    packed = model(batch.tokens, batch.positions, batch.mask, batch.at)

    def keyed(at, wanted, weight, logits):
        return {(int(a), int(w), float(s)): row for a, w, s, row in zip(at, wanted, weight, logits, strict=True)}

    first = keyed(laid.at, laid.wanted, laid.weight, forward(model, laid))
    second = keyed(batch.at, batch.wanted, batch.weight, packed)
    assert first.keys() == second.keys()
    for key, row in first.items():
        assert torch.allclose(row, second[key], atol=1e-4), key
