"""Packed masks on logits equal booleans on logits, whatever the sizes, types and layout."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from smcdsl.models.token_masks import apply_masks_, close_in_parts  # noqa: E402

KINDS = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


@st.composite
def cases(draw):
    """(logits (N, V), allowed (N, V) booleans, words (N, W) int32), some words full or empty, bits to spare."""
    count, size = draw(st.integers(0, 4)), draw(st.integers(1, 150) | st.sampled_from([8191, 8192, 8200, 9000]))
    width = -(-size // 32) + draw(st.integers(0, 2))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    words = random.integers(0, 2**32, (count, width), dtype=np.uint32)
    words[random.random(words.shape) < 0.3] = 0
    words[random.random(words.shape) < 0.3] = 2**32 - 1
    allowed = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, :size].astype(bool)
    kind = draw(st.sampled_from(KINDS))
    logits = torch.from_numpy(random.standard_normal((count, size))).to(kind)
    return logits, torch.from_numpy(allowed), torch.from_numpy(words.view(np.int32))


def expected(logits, allowed):
    return torch.where(allowed, logits, torch.tensor(float("-inf"), dtype=logits.dtype))


@settings(deadline=None)
@given(cases(), st.booleans())
def test_what_is_not_allowed_becomes_impossible(case, signed):
    logits, allowed, words = case
    wanted = expected(logits, allowed)
    assert apply_masks_(logits, words if signed else words.view(torch.uint32)) is logits
    assert torch.equal(logits, wanted)


@settings(deadline=None)
@given(cases())
def test_plain_torch_does_the_same(case):
    logits, allowed, words = case
    wanted = expected(logits, allowed)
    close_in_parts(logits, words)
    assert torch.equal(logits, wanted)


_KERNEL = """
import torch
from smcdsl.models.token_masks import close_in_parts
from smcdsl.models.token_masks_triton import close_rows
torch.manual_seed(0)
for kind in (torch.float32, torch.bfloat16, torch.float16):
    for size in (1, 31, 32, 33, 2047, 2049, 9000):
        for whole in (torch.randn(3, size + 5), torch.randn(size + 5, 3).T):
            words = torch.randint(-(2**31), 2**31, (3, -(-size // 32) + 1)).to(torch.int32)
            found, wanted = whole.to(kind), whole.to(kind)
            close_rows(found[:, :size], words)
            close_in_parts(wanted[:, :size], words)
            assert torch.equal(found, wanted), (kind, size)
"""


def test_the_kernel_for_gpus_does_the_same():
    """Run by triton's interpreter, which asks for no GPU; it must be chosen before triton is imported."""
    pytest.importorskip("triton", reason="triton is not installed; it comes with torch for CUDA")
    done = subprocess.run(
        [sys.executable, "-c", _KERNEL], env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_logits_may_be_a_view_of_others(kind):
    whole = torch.zeros((4, 80), dtype=kind)
    words = torch.zeros((2, 2), dtype=torch.int32)
    words[:, 0] = -1
    apply_masks_(whole[::2, 10:50], words)
    shut = torch.isinf(whole)
    assert shut[::2, 42:50].all()
    assert int(shut.sum()) == 2 * 8


def test_logits_of_a_model_in_training_keep_their_gradient():
    logits = torch.zeros((1, 3), requires_grad=True)
    grown = logits * 2
    apply_masks_(grown, torch.tensor([[5]], dtype=torch.int32))
    assert torch.isinf(grown).tolist() == [[False, True, False]]


@pytest.mark.parametrize(
    ("logits", "masks"),
    [
        (torch.zeros(2, 33), torch.zeros(2, 1, dtype=torch.int32)),
        (torch.zeros(2, 32), torch.zeros(1, 1, dtype=torch.int32)),
        (torch.zeros(32), torch.zeros(1, dtype=torch.int32)),
        (torch.zeros(1, 32), torch.zeros(1, 1, dtype=torch.int64)),
        (torch.zeros(1, 32, dtype=torch.int32), torch.zeros(1, 1, dtype=torch.int32)),
    ],
)
def test_what_does_not_go_together_is_refused(logits, masks):
    with pytest.raises(ValueError, match="masks"):
        apply_masks_(logits, masks)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("size", [1, 31, 2048, 128_256])
def test_a_gpu_gives_what_the_processor_gives(kind, size):
    random = np.random.default_rng(size)
    words = torch.from_numpy(random.integers(-(2**31), 2**31, (5, -(-size // 32)), dtype=np.int64).astype(np.int32))
    logits = torch.from_numpy(random.standard_normal((5, size))).to(kind)
    here, there = logits.clone(), logits.cuda()
    apply_masks_(here, words)
    apply_masks_(there, words.cuda())
    assert torch.equal(here, there.cpu())
    plain = logits.cuda()
    close_in_parts(plain, words.cuda())
    assert torch.equal(here, plain.cpu())
