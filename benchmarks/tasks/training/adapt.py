"""Fine-tune a public model on exercises from docstrings, for DS-1000's form of question.

    python -m benchmarks.tasks.training.adapt --start SMOLLM2 --out FOLDER --minutes 45

SMOLLM2 is a folder that `benchmarks.tasks.get_smollm2` has made. Products are in bf16, the weights that learn are in 32
bits (AdamW); only answers are learnt. DS-1000 is not read here: no row of it, question or answer, is trained on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.tasks.training.docstrings import Exercise, exercises

SYSTEM = "Complete the program. Reply with code only."
USER = "{task}\n\n```python\n{setup}\n{name} = ...  # your code goes here\n```"
"""The prompt of programs/ds1000."""
OPENING, CLOSING = "```python\n", "\n```"
HELD_OUT = 150
TOKENS_PER_STEP = 3600
LONGEST = 420
RATE, WARM_UP = 2e-4, 15
CHECK_SECONDS = 300


class Document(NamedTuple):
    """Tokens, and how many of the first are the prompt."""

    tokens: list[int]
    prompt: int


def document(exercise: Exercise, tokenizer: Any) -> Document:
    """An exercise as the model meets it: the prompt's tokens, then those of the answer."""
    user = USER.format(task=exercise.task, setup=exercise.setup, name=exercise.name)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) + OPENING
    before = tokenizer.encode(prompt, add_special_tokens=False)
    answer = tokenizer.encode(exercise.answer + CLOSING, add_special_tokens=False)
    return Document([*before, *answer, tokenizer.eos_token_id], len(before))


def divided(found: Sequence[Exercise]) -> tuple[list[Exercise], list[Exercise]]:
    """What is trained on, and what is held out: the exercises of some docstrings."""
    names = sorted({exercise.about for exercise in found})
    Random("held-out").shuffle(names)
    held: set[str] = set()
    count = 0
    for name in names:
        if count >= HELD_OUT:
            break
        held.add(name)
        count += sum(exercise.about == name for exercise in found)
    return [e for e in found if e.about not in held], [e for e in found if e.about in held]


def batches(tokenizer: Any, seed: int) -> Iterator[list[Document]]:
    """Batches of about as many tokens each, of documents about as long; questions are put anew at each pass."""
    for epoch in range(1_000_000):
        random = Random(f"{seed}-{epoch}")
        made = [document(exercise, tokenizer) for exercise in divided(exercises(random))[0]]
        made = sorted((d for d in made if len(d.tokens) <= LONGEST), key=lambda d: len(d.tokens))
        cut: list[list[Document]] = [[]]
        for one in made:
            if cut[-1] and len(one.tokens) * (len(cut[-1]) + 1) > TOKENS_PER_STEP:
                cut.append([])
            cut[-1].append(one)
        random.shuffle(cut)
        yield from cut


def answer_logits(model: Any, batch: Sequence[Document]) -> tuple[Tensor, Tensor]:
    """Logits at the answers' tokens, (answers' tokens, vocabulary), and these tokens."""
    width = max(len(d.tokens) for d in batch)
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    wanted = torch.zeros(len(batch), width, dtype=torch.bool)
    for row, one in enumerate(batch):
        tokens[row, : len(one.tokens)] = torch.tensor(one.tokens)
        wanted[row, one.prompt : len(one.tokens)] = True
    # What stands behind the end is not looked at from before it.
    hidden = model.model(input_ids=tokens).last_hidden_state[:, :-1][wanted[:, 1:]]
    return functional.linear(hidden, model.lm_head.weight).float(), tokens[:, 1:][wanted[:, 1:]]


def checked(model: Any, held_out: Sequence[Document]) -> dict[str, float]:
    """The loss on answers that were held out, and the share that greedy decoding would write exactly."""
    loss, tokens, exact = 0.0, 0, 0
    with torch.no_grad():
        for one in held_out:
            logits, wanted = answer_logits(model, [one])
            loss += float(functional.cross_entropy(logits, wanted, reduction="sum"))
            tokens += len(wanted)
            exact += bool((logits.argmax(-1) == wanted).all())
    return {"held_out_loss": round(loss / tokens, 4), "held_out_exact": round(exact / len(held_out), 4)}


def train(start: Path, out: Path, minutes: float, seed: int) -> None:
    """Train for the minutes given and write the folder."""
    tokenizer = AutoTokenizer.from_pretrained(start)
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.bfloat16, attn_implementation="eager")
    exact = [parameter.detach().float().requires_grad_() for parameter in model.parameters()]
    adam = torch.optim.AdamW(exact, lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    held = [document(exercise, tokenizer) for exercise in divided(exercises(Random("held-out")))[1]]
    held = [one for one in held if len(one.tokens) <= LONGEST]
    out.mkdir(parents=True, exist_ok=True)
    log = (out / "log.jsonl").open("w")
    _log(log, step=0, **checked(model, held))
    began = last = time.monotonic()
    seen, recent = 0, []
    for step, batch in enumerate(batches(tokenizer, seed), 1):
        part = (time.monotonic() - began) / (60 * minutes)
        if part >= 1:
            break
        logits, wanted = answer_logits(model, batch)
        loss = functional.cross_entropy(logits, wanted)
        loss.backward()
        _update(model, exact, adam, RATE * min(1.0, step / WARM_UP, (1 - part) / 0.9))
        seen += sum(len(one.tokens) for one in batch)
        recent.append(loss.item())
        if time.monotonic() - last > CHECK_SECONDS:
            last = time.monotonic()
            _log(log, step=step, tokens=seen, loss=sum(recent) / len(recent), **checked(model, held))
            recent = []
    _log(log, step=step, tokens=seen, cpu_seconds=time.process_time(), final=True, **checked(model, held))
    model.float().save_pretrained(out)
    tokenizer.save_pretrained(out)


def _update(model: Any, exact: Sequence[Tensor], adam: torch.optim.Optimizer, rate: float) -> None:
    """One step of the weights in 32 bits, and their copy in 16."""
    pairs = list(zip(model.parameters(), exact, strict=True))
    for rounded, weight in pairs:
        weight.grad = rounded.grad.float()
        rounded.grad = None
    torch.nn.utils.clip_grad_norm_(exact, 1.0)
    for group in adam.param_groups:
        group["lr"] = rate
    adam.step()
    with torch.no_grad():
        for rounded, weight in pairs:
            rounded.copy_(weight)


def _log(log: Any, **facts: object) -> None:
    print(json.dumps(facts), file=log, flush=True)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser("python -m benchmarks.tasks.training.adapt", description=__doc__.splitlines()[0])
    parser.add_argument("--start", type=Path, required=True, help="folder of the model to begin with")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    train(options.start, options.out, options.minutes, options.seed)


if __name__ == "__main__":
    main()
