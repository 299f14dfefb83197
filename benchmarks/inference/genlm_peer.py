"""genlm-control's side of `genlm_control.py`, for an interpreter that has it: answers requests on standard input.

One JSON object a line each way. Imports nothing of smcdsl. `setup` loads the model and the grammar, `run` is one run of
SMC, `accepts` says of texts whether the grammar has them, and whether it has texts that begin with them.

Settings are the library's fastest for one prompt on a CPU: the prompt's keys and values are cached, a batch is as large
as the population and waits for nobody (the default waits 20 ms for a batch of 20). ESS and resampling are smcdsl's.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import warnings
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from forward_clock import ForwardClock
from genlm.backend.llm import AsyncTransformer
from genlm.control import AWRS, BoolCFG, PromptedLLM, eager_token_sampler
from genlm.control.sampler import SMC, TokenSampler
from transformers import AutoModelForCausalLM, AutoTokenizer

Answer = dict[str, Any]


class Counted(TokenSampler):  # type: ignore[misc]
    """A token sampler that counts what it draws."""

    def __init__(self, sampler: TokenSampler) -> None:
        super().__init__(sampler.target)
        self.sampler = sampler
        self.drawn = 0

    async def sample(self, context: Any, draw: Any = None) -> Any:
        """See `TokenSampler.sample`."""
        self.drawn += 1
        return await self.sampler.sample(context, draw)

    async def logw_eos(self, context: Any) -> Any:
        """The end of the text that is forced at the last token."""
        self.drawn += 1
        return await super().logw_eos(context)


class Peer:
    """The loaded model, the grammar and the two token samplers."""

    def setup(self, request: Answer) -> Answer:
        """Load everything."""
        began = time.process_time()
        network = AutoModelForCausalLM.from_pretrained(request["folder"], dtype=torch.float32)
        self.clock = ForwardClock(network)
        self.lm = AsyncTransformer(
            network, AutoTokenizer.from_pretrained(request["folder"]), batch_size=request["particles"], timeout=0.0
        )
        loaded = time.process_time()
        self.grammar = BoolCFG.from_lark(request["grammar"])
        grammar = time.process_time()
        self.llm = PromptedLLM(self.lm)
        # The set sampler keeps a trie and a worker for the loop that it was made in.
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.samplers = {
            "awrs": Counted(AWRS(self.llm, self.grammar.coerce(self.llm, f=b"".join))),
            "eager": Counted(eager_token_sampler(self.llm, self.grammar)),
        }
        return {
            "version": version("genlm-control"),
            "versions": {name: version(name) for name in ("genlm-backend", "genlm-grammar", "torch", "transformers")},
            "model_seconds": loaded - began,
            "grammar_seconds": grammar - loaded,
            "sampler_seconds": time.process_time() - grammar,
        }

    def run(self, request: Answer) -> Answer:
        """One run; what was computed of the model before is forgotten, what was parsed is kept."""
        seed, sampler = request["seed"], self.samplers[request["sampler"]]
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002, what its resampling draws from
        torch.manual_seed(seed)
        if isinstance(sampler.sampler, AWRS):
            sampler.sampler.rng = np.random.default_rng(seed)
        if request.get("cold"):
            self.grammar.clear_cache()
        sampler.drawn = 0
        self.clock.reset()
        wall, began = time.perf_counter(), time.process_time()
        self.llm.prompt_ids = request["prompt"]
        self.lm.clear_cache()
        self.lm.cache_kv(request["prompt"])
        found = self.loop.run_until_complete(
            SMC(sampler)(
                n_particles=request["particles"],
                ess_threshold=request["ess"],
                max_tokens=request["max_tokens"],
                resampling_method=request["resample"],
            )
        )
        used = time.process_time() - began
        return {
            "log_z": float(found.log_ml),
            "drawn": sampler.drawn,
            "seconds": used,
            "wall": time.perf_counter() - wall,
            "forward_seconds": self.clock.seconds,
            "forwards": self.clock.passes,
            "alive": int(np.sum(found.log_weights > -np.inf)),
        }

    def accepts(self, request: Answer) -> Answer:
        """Of each text: is it in the language, does it begin a text that is."""

        async def ask() -> list[list[bool]]:
            texts = [list(text.encode()) for text in request["texts"]]
            return [[await self.grammar.complete(t) == 0.0, await self.grammar.prefix(t) == 0.0] for t in texts]

        return {"accepts": self.loop.run_until_complete(ask())}


def main() -> None:
    """Answer until there is no more to answer."""
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    answers, peer = sys.stdout, Peer()
    sys.stdout = sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        with torch.no_grad():
            answer = getattr(peer, request.pop("do"))(request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
