"""What a step and a resampling cost, by where keys and values are kept.

    python -m benchmarks.inference.cache [--shapes 15M 110M] [--particles 16 64] [--threads 1] [--dtype float32]

448 tokens of prompt and 64 of each particle's own; every step feeds one token a particle and gives log-probabilities.

- `growing`: transformers' DynamicCache: a batch of N rows, torch.cat every step, `reorder_cache` to resample.
- `slab`: rows written in place (`models/torch_padded`); the prompt in every row.
- `slab + shared`: the same with the prompt stored once (`models/torch_passes`).
- `engine`: that with linear layers laid out for few rows (`models/torch_linear`): what runs use.

Milliseconds of the process's CPU, the least of several steps: other work on the machine only ever adds. Resampling is
what survives a systematic resampling of log-normal weights; of ours, all that comes on top of the next step is counted:
bookkeeping and copies. The last column is the greatest difference from unbatched log-probabilities.

Every line is a process of its own. Which blocks a process has freed before decides whether the system hands torch.cat
fresh pages at every step (as it does when nothing larger was freed, the case of a loop by itself), or old ones; with
`--warm-heap` a large block is freed first, which makes `growing` faster and nothing else.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from benchmarks.inference.random_models import VOCAB_SIZE, llama
from smcdsl.inference.resampling import systematic
from smcdsl.models.torch_cache import CachedSession, Caching, caching
from smcdsl.models.torch_linear import lay_out
from smcdsl.models.torch_logits import written_out
from smcdsl.models.torch_whole import recompute
from smcdsl.prefixes import ROOT, Prefixes

PROMPT, OWN, STEPS, RESAMPLINGS, COMPARED = 448, 64, 8, 5, 2
LENGTH = PROMPT + OWN + STEPS + RESAMPLINGS + 8


class Growing:
    """The loop that people write with transformers."""

    def __init__(self, model: Any, prompt: NDArray[np.int64], own: NDArray[np.int64]) -> None:
        self._model = model
        self._cache = DynamicCache(config=model.config)
        with torch.inference_mode():
            model(input_ids=torch.from_numpy(prompt[None]), past_key_values=self._cache, logits_to_keep=1)
            self._cache.batch_repeat_interleave(len(own))
            model(input_ids=torch.from_numpy(own), past_key_values=self._cache, logits_to_keep=1)

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Log-probabilities after one more token of every row."""
        with torch.inference_mode():
            output = self._model(
                input_ids=torch.from_numpy(tokens[:, None]), past_key_values=self._cache, logits_to_keep=1
            )
            return np.asarray(torch.log_softmax(output.logits[:, -1].float(), dim=-1).numpy())

    def resample(self, ancestors: NDArray[np.int64], tokens: NDArray[np.int64]) -> float:
        """CPU seconds of a resampling."""
        began = time.process_time()
        with torch.inference_mode():
            self._cache.reorder_cache(torch.from_numpy(ancestors))
        return time.process_time() - began


class InPlace:
    """A session of ours."""

    def __init__(self, model: Any, prompt: NDArray[np.int64], own: NDArray[np.int64], way: Caching) -> None:
        self.prefixes = Prefixes()
        self._session = CachedSession(model, self.prefixes, "", LENGTH, way)
        start = self.prefixes.extend(ROOT, prompt.tolist())
        self._session.next_logprobs(np.array([start]))
        self.live = np.array([self.prefixes.extend(start, row.tolist()) for row in own])
        self._session.next_logprobs(self.live)

    def step(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Log-probabilities after one more token of every row."""
        self.live = self.prefixes.extend_each(self.live, tokens)
        return self._session.next_logprobs(self.live)

    def resample(self, ancestors: NDArray[np.int64], tokens: NDArray[np.int64]) -> float:
        """CPU seconds that a resampling adds to the next step, in which all draw different tokens."""
        self.live = self.live[ancestors]
        began = time.process_time()
        self._session.retain(np.unique(self.live))
        spent = time.process_time() - began
        session, rows, store = self._session, self._session._rows, self._session._engine.store
        timed = _Timed()
        plan, copy, promote = rows.operations, store.copy, store.promote
        rows.operations = lambda wanted: timed.each(plan(wanted))
        store.copy, store.promote = timed.call(copy), timed.call(promote)
        self.live = self.prefixes.extend_each(self.live, tokens)
        session.next_logprobs(self.live)
        del rows.operations, store.copy, store.promote
        return spent + timed.seconds


class _Timed:
    """Adds up the CPU seconds of calls."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def call(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed."""

        def timed(*arguments: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.process_time() - began

        return timed

    def each(self, items: Iterator[Any]) -> Iterator[Any]:
        """What an iterator gives, its own time counted."""
        following = self.call(lambda: next(items, None))
        while (item := following()) is not None:
            yield item


def measure(model: Any, way: Caching | None, count: int) -> tuple[float, float, float]:
    """Seconds of a step and of a resampling, and the difference from unbatched log-probabilities (ours only)."""
    generator = np.random.default_rng(0)
    prompt = generator.integers(0, VOCAB_SIZE, PROMPT)
    own = generator.integers(0, VOCAB_SIZE, (count, OWN - STEPS))
    loop = Growing(model, prompt, own) if way is None else InPlace(model, prompt, own, way)
    steps, resamplings, worst = [], [], 0.0
    for _ in range(STEPS):
        tokens = generator.integers(0, VOCAB_SIZE, count)
        began = time.process_time()
        found = loop.step(tokens)
        steps.append(time.process_time() - began)
    if isinstance(loop, InPlace):
        chosen = range(0, count, count // COMPARED)
        sequences = [loop.prefixes.sequence(int(loop.live[place])) for place in chosen]
        alone = written_out(recompute(model, sequences, at_once=1))
        worst = float(np.abs(found[list(chosen)] - alone).max())
    for _ in range(RESAMPLINGS):
        weights = np.exp(generator.normal(size=count))
        ancestors = systematic((weights / weights.sum())[None], generator.random((1, 1)))[0]
        resamplings.append(loop.resample(ancestors, generator.integers(0, VOCAB_SIZE, count)))
        loop.step(generator.integers(0, VOCAB_SIZE, count))
    return min(steps), float(np.median(resamplings)), worst


WAYS = ("growing", "slab", "slab + shared", "engine")


def one(shape: str, count: int, way: str, threads: int, dtype: str, warm_heap: bool) -> tuple[float, float, float]:
    """A line of the table, in this process."""
    torch.set_num_threads(threads)
    model = llama(shape).to(getattr(torch, dtype))
    if warm_heap:
        del_me = [torch.ones(size << 18) for size in (8, 16, 31)]
        del del_me
    if way == "growing":
        return measure(model, None, count)
    if way == "engine":
        lay_out(model)
    # Ours find out by themselves; the padded one is what they come to where attention cannot be replaced.
    return measure(model, Caching("padded", LENGTH) if way == "slab" else caching(model, LENGTH, shape), count)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--shapes", nargs="+", default=["15M", "110M"])
    parser.add_argument("--particles", nargs="+", type=int, default=[16, 64])
    parser.add_argument("--ways", nargs="+", default=WAYS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--warm-heap", action="store_true")
    given = parser.parse_args()
    print("model    N cache           step ms  ratio  resample ms  ratio  difference")
    for shape, count in itertools.product(given.shapes, given.particles):
        first: tuple[float, float, float] | None = None
        for way in given.ways:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                line = shape, count, way, given.threads, given.dtype, given.warm_heap
                step, resample, worst = found = process.submit(one, *line).result()
            first = first or found
            print(
                f"{shape:6} {count:3} {way:14} {1e3 * step:8.1f} {first[0] / step:6.2f} {1e3 * resample:12.2f} "
                f"{first[1] / resample:6.1f} {'' if way == 'growing' else f'{worst:.1e}':>11}",
                flush=True,
            )


if __name__ == "__main__":
    main()
