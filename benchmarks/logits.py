"""What a mask costs where it meets a model's output: drawn from as it is, gathered from, or applied in place.

    python benchmarks/logits.py [DEVICE]

Microseconds a row of 128,256 tokens, one thread, median. `direct` takes logits, sums what the mask allows and draws a
token of each row, as the sampler does where nothing but the mask has a say (`automaton.masked_laws`); `softmax` makes
log-probabilities of logits, from which `gather` copies what the mask allows, exponentiates and sums it, as the sampler
does elsewhere; `close` writes -inf over the rest of the row, in float32 and bfloat16; `close, all` then exponentiates
and sums the whole row, which is what drawing from it takes. With a device other than the processor only `close` is
timed, there.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from smcdsl.automaton.applying import cumulate, gather
from smcdsl.models.host_logits import HostLogits
from smcdsl.models.token_masks import apply_masks_

TOKENS, ROWS, ROUNDS = 128_256, 32, 9


def masks(allowed: int) -> NDArray[np.uint64]:
    """(ROWS, W) masks of so many tokens each, drawn at random."""
    generator = np.random.default_rng(allowed)
    bits = np.zeros((ROWS, -(-TOKENS // 64) * 64), dtype=np.bool_)
    for row in bits:
        row[generator.choice(TOKENS, allowed, replace=False)] = True
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64)


def cost(action: Callable[[], object], device: str = "cpu") -> float:
    """Microseconds a row."""
    seconds = []
    for _ in range(ROUNDS + 1):
        began = time.perf_counter() if device != "cpu" else time.thread_time()
        action()
        if device != "cpu":
            torch.accelerator.synchronize()
        seconds.append((time.perf_counter() if device != "cpu" else time.thread_time()) - began)
    return float(np.median(seconds[1:])) * 1e6 / ROWS


def drawn(logits: NDArray[np.float32], table: NDArray[np.uint64]) -> None:
    """A token of each row."""
    rows = np.arange(ROWS)
    HostLogits(logits).drawn(table, rows, rows, np.full(ROWS, 0.5), 1.0)


def gathered(logprobs: NDArray[np.float32], table: NDArray[np.uint64]) -> None:
    """What is allowed, and its sums."""
    rows = np.arange(ROWS)
    found = gather(table, rows, logprobs, rows)
    law = np.exp(found.values, out=found.values)
    cumulate(law, found.starts, np.empty(len(law)))


def closed(logits: torch.Tensor, words: torch.Tensor) -> None:
    """All tokens of the row, those closed at weight zero."""
    law = torch.exp(apply_masks_(logits, words)).numpy()
    cumulate(law.ravel(), np.arange(ROWS + 1) * TOKENS, np.empty(law.size))


def main(device: str = "cpu") -> None:
    """Print a table."""
    torch.set_num_threads(1)
    plain = torch.log_softmax(torch.randn(ROWS, TOKENS, generator=torch.Generator().manual_seed(0)), dim=-1)
    softmax = cost(lambda: torch.log_softmax(plain, dim=-1, out=torch.empty_like(plain)))
    print(f"softmax {softmax:.1f}" if device == "cpu" else "")
    print(f"{'allowed':>8} {'direct':>8} {'gather':>8} {'close':>8} {'bfloat16':>9} {'close, all':>11}")
    for allowed in (3, 50, 2_000, 30_000, 95_000, TOKENS):
        table = masks(allowed)
        words = torch.from_numpy(table.view(np.int32))
        there, half, packed = plain.to(device), plain.to(device, torch.bfloat16), words.to(device)
        close = [cost(lambda x=x, packed=packed: apply_masks_(x, packed), device) for x in (there, half)]
        line = f"{allowed:>8,} {'':>8} {'':>8} {close[0]:8.1f} {close[1]:9.1f}"
        if device == "cpu":
            took = cost(lambda table=table: gathered(plain.numpy(), table))
            whole = cost(lambda there=there, words=words: closed(there, words))
            direct = cost(lambda table=table: drawn(plain.numpy(), table))
            line = f"{allowed:>8,} {direct:8.1f} {took:8.1f} {close[0]:8.1f} {close[1]:9.1f} {whole:11.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
