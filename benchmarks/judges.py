"""What a step of judging costs: a language model asked about several texts, and a service on the same computer.

    python benchmarks/judges.py MODEL [TEXTS]

The ways to ask a model, each with what the one before has: one text after the other from the whole prompt; all in one
batch; the logits of the last place only; the question kept in the model's cache (what `judge.yes` does); and the
same in a worker process. Milliseconds a step, medians; of CPU and, in brackets, of wall time. All ways must
agree to 1e-4. The service answers at once, over a connection that is kept.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import torch
from smcdsl.potentials import judge
from smcdsl.potentials._judge_answers import Judge, Question, judge_of, probability

from smcdsl.program.types import PythonLocation
from smcdsl.workers import ProcessPool

ROUNDS = 3
QUESTION = (
    "You are asked about the letter of a customer to a shop. A letter is a complaint if its writer is not content with "
    "goods, with a delivery or with an earlier answer and wants something done about it: money back, an exchange, an "
    "excuse. Praise, questions about goods, orders and changes of address are none, however angry they sound. "
    "Is the letter a complaint?"
)
THINGS = ("lamp", "red chair", "kettle", "garden table", "pair of shoes", "bicycle pump", "carpet", "radio")
WISHES = ("Please send me a new one", "I want my money back", "Thank you very much", "Do you have it in green as well")


def letters(count: int, round_: int) -> list[str]:
    """Letters of 20 to 35 tokens, others in each round, so that no answer is known from the round before."""
    return [
        f"Dear shop, on the {number + 1}. of May I bought a {THINGS[number % len(THINGS)]} for {10 + round_} euros. "
        f"It {'came' if number % 3 else 'has not come'}. {WISHES[number % len(WISHES)]}."
        for number in range(count)
    ]


def prompts(asked: Judge, texts: Sequence[str]) -> list[list[int]]:
    """Whole prompts as token ids."""
    return [asked.prefixes.sequence(asked.prompt(Question(QUESTION), text)) for text in texts]


def padded(asked: Judge, texts: Sequence[str], **settings: Any) -> list[float]:
    """From whole prompts in one batch, padded on the left."""
    sequences = prompts(asked, texts)
    width = max(map(len, sequences))
    ids = torch.zeros((len(sequences), width), dtype=torch.long)
    seen = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = torch.tensor(sequence)
        seen[row, width - len(sequence) :] = 1
    places = (seen.cumsum(dim=1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = asked.model._model(  # type: ignore[attr-defined]
            input_ids=ids, attention_mask=seen, position_ids=places, use_cache=False, **settings
        ).logits[:, -1]
    logprobs = torch.log_softmax(logits.double(), dim=-1)
    yes, no = (torch.logsumexp(logprobs[:, asked.tokens(word)], dim=1) for word in ("yes", "no"))
    return [probability(logit) for logit in (yes - no).tolist()]


def ways(model: str) -> dict[str, Callable[[list[str]], list[float]]]:
    """The ways to ask, by name."""
    asked = judge_of(model)
    return {
        "one by one": lambda texts: [padded(asked, [text])[0] for text in texts],
        "one batch": lambda texts: padded(asked, texts),
        "last logits only": lambda texts: padded(asked, texts, logits_to_keep=1),
        "question kept in the cache": lambda texts: judge.yes(model, QUESTION, texts),
    }


def timed(action: Callable[[int], Any]) -> tuple[float, float]:
    """Median milliseconds of CPU and of wall time."""
    seconds = []
    action(0)
    for round_ in range(1, ROUNDS + 1):
        began = time.process_time(), time.perf_counter()
        action(round_)
        seconds.append((time.process_time() - began[0], time.perf_counter() - began[1]))
    cpu, wall = np.median(np.array(seconds), axis=0) * 1e3
    return float(cpu), float(wall)


def report(model: str, count: int) -> None:
    """Print the table."""
    asked = judge_of(model)
    lengths = [len(sequence) for sequence in prompts(asked, letters(count, 0))]
    columns = zip(*prompts(asked, letters(count, 0)), strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
    print(
        f"{count} texts, prompts of {min(lengths)} to {max(lengths)} tokens, {shared} of them common to all", flush=True
    )
    first = None
    expected: list[float] = []
    for name, ask in ways(model).items():
        answers = ask(letters(count, 9))
        expected = expected or answers
        assert np.allclose(answers, expected, atol=1e-4), (name, answers, expected)
        cpu, wall = timed(lambda round_, ask=ask: ask(letters(count, round_)))  # type: ignore[misc]
        first = first or cpu
        print(f"  {name:<28} {cpu:8.1f} ({wall:.1f})   {first / cpu:5.2f} times faster than one by one", flush=True)
    pool = ProcessPool(PythonLocation("yes", module="smcdsl.potentials.judge"), "yes", 1)
    _, wall = timed(lambda round_: pool.call_all([[model, QUESTION, letters(count, round_)]], None))
    pool.close()
    print(f"  {'the same in a worker':<28} {'':>8} ({wall:.1f})")


class Handler(BaseHTTPRequestHandler):
    """A judge that likes every text alike."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer with one score a text."""
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["texts"]
        body = json.dumps({"scores": [0.5] * len(texts)}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)


def report_service(count: int) -> None:
    """Print what a call over the loopback costs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"127.0.0.1:{server.server_address[1]}"
    os.environ["SMCDSL_HTTP_HOSTS"] = place
    _, wall = timed(lambda round_: [judge.endpoint(f"http://{place}/", letters(count, round_)) for _ in range(100)])
    server.shutdown()
    print(f"  {f'a service, {count} texts a call':<28} {'':>8} ({wall / 100:.2f})")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    texts_a_step = int(sys.argv[2]) if len(sys.argv) > 2 else 16
    report(sys.argv[1], texts_a_step)
    report_service(texts_a_step)
