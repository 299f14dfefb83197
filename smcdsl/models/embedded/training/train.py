"""Train the embedded model and write it in its final form.

    python -m smcdsl.models.embedded.training.train --out FOLDER --minutes 74

The corpus is made on the way, so no step repeats a document. The rate is flat for the first
part of the budget and then falls linearly to nothing at its end, so a run always ends well,
however fast the machine. Every few minutes the running average of the weights is written, all
files in their final form.
"""

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from . import corpus, export
from .network import Llama, Shape, keep_clear

PLANTED_REST = 0.15
PROMPTS_SCORED = 0.6
"""Part of the budget in which prompts are scored too: a question repeats the schema's names, which teaches to copy."""
QUESTION_WEIGHT = 0.5
SCHEMA_WEIGHT = 0.2


@dataclass(frozen=True)
class Batch:
    """Packed rows; `at` are flat positions whose next token, in `wanted`, is scored."""

    tokens: Tensor  # (B, T)
    positions: Tensor  # (B, T)
    mask: Tensor  # (B, 1, T, T), 0 or -inf
    at: Tensor  # (n,)
    wanted: Tensor  # (n,)
    branch: Tensor  # (n,) running number of the branch each scored token belongs to
    weight: Tensor  # (n,) 1 in an answer, less in a prompt


class Packer:
    """Fills rows of `length` tokens with documents, first fit."""

    def __init__(self, source: Iterator[corpus.Document], rows: int, length: int) -> None:
        self.source, self.rows, self.length = source, rows, length
        self.waiting: list[corpus.Document] = []

    def cut(self, document: corpus.Document) -> corpus.Document:
        """Drop the branches that do not fit in a row."""
        branches = document.branches
        while branches and len(document.shared) + sum(len(ids) for ids, _ in branches) > self.length:
            branches = branches[:-1]
        return corpus.Document(document.shared, branches)

    def next(self, prompts: bool = False) -> Batch:
        """Return the next full batch; see `pack`."""
        packed: list[list[corpus.Document]] = []
        for _ in range(self.rows):
            row: list[corpus.Document] = []
            room = self.length
            while True:
                fit = next((i for i, document in enumerate(self.waiting) if len(document) <= room), None)
                if fit is None and len(self.waiting) > 12:
                    break
                if fit is None:
                    document = self.cut(next(self.source))
                    if document.branches:
                        self.waiting.append(document)
                    continue
                row.append(self.waiting.pop(fit))
                room -= len(row[-1])
            packed.append(row)
        return pack(packed, self.length, prompts)


def pack(packed: list[list[corpus.Document]], length: int, prompts: bool = False) -> Batch:
    """Lay documents out in rows; with `prompts`, these are scored too, at their weights."""
    rows = len(packed)
    tokens = np.full((rows, length), corpus.PAD, np.int64)
    positions = np.zeros((rows, length), np.int64)
    owner = np.zeros((rows, length), np.int64)  # document in the row, 0 for padding
    branch = np.zeros((rows, length), np.int64)  # branch in the row, 0 for a common start
    at: list[int] = []
    wanted: list[int] = []
    belongs: list[int] = []
    weights: list[float] = []
    count = 0
    for r, documents in enumerate(packed):
        cursor = 0
        number = 0
        for d, document in enumerate(documents, 1):
            shared = len(document.shared)
            for ids, start, skipped, own in [(document.shared, 0, len(document.shared), 0)] + [
                (b, shared, s, 1) for b, s in document.branches
            ]:
                span = slice(cursor, cursor + len(ids))
                tokens[r, span] = ids
                positions[r, span] = np.arange(start, start + len(ids))
                owner[r, span] = d
                if own:
                    number += 1
                    count += 1
                    branch[r, span] = number
                    at += range(r * length + cursor + skipped - 1, r * length + cursor + len(ids) - 1)
                    wanted += ids[skipped:]
                    belongs += [count - 1] * (len(ids) - skipped)
                    weights += [1.0] * (len(ids) - skipped)
                if prompts and skipped > 1:
                    at += range(r * length + cursor, r * length + cursor + skipped - 1)
                    wanted += ids[1:skipped]
                    belongs += [0] * (skipped - 1)
                    weights += [QUESTION_WEIGHT if own else SCHEMA_WEIGHT] * (skipped - 1)
                cursor += len(ids)
    order = np.arange(length)
    allowed = (owner[:, :, None] == owner[:, None, :]) & (order[:, None] >= order[None, :])
    allowed &= (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    mask = np.where(allowed, np.float32(0), np.float32(-np.inf))[:, None]
    arrays = (tokens, positions, mask, at, wanted, belongs, np.asarray(weights, np.float32))
    return Batch(*(torch.from_numpy(np.asarray(array)) for array in arrays))


def orthogonalize(stack: Tensor) -> Tensor:
    """Return (n, a, b) matrices with their singular values brought near 1 by Newton-Schulz steps.

    Source: Jordan et al. (2024), "Muon: an optimizer for hidden layers in neural networks".
    """
    tall = stack.shape[1] > stack.shape[2]
    x = (stack.mT if tall else stack).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()


class Muon:
    """Momentum whose steps are orthogonalised; all matrices of one shape in one go."""

    def __init__(self, matrices: list[nn.Parameter], rate: float, momentum: float = 0.95, decay: float = 0.01) -> None:
        shapes = sorted({tuple(m.shape) for m in matrices})
        self.groups = [[m for m in matrices if tuple(m.shape) == shape] for shape in shapes]
        self.buffers = [torch.zeros(len(group), *group[0].shape) for group in self.groups]
        self.rate, self.momentum, self.decay = rate, momentum, decay

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """Change the matrices; `scale` is the part of the full rate."""
        for group, buffer in zip(self.groups, self.buffers, strict=True):
            gradient = torch.stack([m.grad for m in group if m.grad is not None])
            buffer.lerp_(gradient, 1 - self.momentum)
            update = orthogonalize(gradient.lerp(buffer, self.momentum))
            rate = self.rate * scale
            size = max(1.0, group[0].shape[0] / group[0].shape[1]) ** 0.5
            for matrix, change in zip(group, update, strict=True):
                matrix.mul_(1 - rate * self.decay).add_(change, alpha=-rate * size)


@torch.no_grad()
def measure(model: Llama, batches: list[Batch]) -> dict[str, float]:
    """Return the loss a scored token and the share of answers that greedy decoding gets exactly right."""
    model.eval()
    loss, scored, exact, answers = 0.0, 0, 0, 0
    for batch in batches:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(batch.tokens, batch.positions, batch.mask, batch.at).float()
        loss += float(functional.cross_entropy(logits, batch.wanted, reduction="sum"))
        scored += len(batch.wanted)
        wrong = torch.zeros(int(batch.branch.max()) + 1)
        wrong.index_add_(0, batch.branch, (logits.argmax(-1) != batch.wanted).float())
        exact += int((wrong == 0).sum())
        answers += len(wrong)
    model.train()
    return {"loss": round(loss / scored, 4), "exact": round(exact / answers, 4)}


def sql_documents(tokenizer: Tokenizer, seed: str, unseen: bool) -> Iterator[corpus.Document]:
    """Yield documents of SQL questions only."""
    from random import Random

    random, encoder = Random(seed), corpus.Encoder(tokenizer)
    while True:
        yield encoder.document(corpus.sql_rows(random, 3, unseen))


def write_checkpoint(folder: Path, average: dict[str, Tensor], shape: Shape) -> None:
    """Write the averaged weights as the model file, in one go."""
    weights: dict[str, NDArray[np.float16]] = {f"model.{name}": value.half().numpy() for name, value in average.items()}
    export.write_weights(folder, weights)
    export.write_config(folder, asdict(shape))


def main() -> None:
    """Train for the minutes given and leave the finished model in the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=43.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, default=12)
    parser.add_argument("--length", type=int, default=320)
    parser.add_argument("--start", type=Path, help="continue from the weights in this folder")
    parser.add_argument("--rate", type=float, default=1.0, help="part of the full rate to begin with")
    parser.add_argument("--drilled", type=int, default=10_000, help="documents at the start with many copying drills")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)

    if arguments.start:
        tokenizer = Tokenizer.from_file(str(arguments.start / "tokenizer.json"))
    else:
        tokenizer = corpus.train_tokenizer()
    export.write_tokenizer(folder, tokenizer)
    shape = Shape(tokenizer.get_vocab_size())
    model = Llama(shape)
    if arguments.start:
        stored = load_file(arguments.start / "model.safetensors")
        model.load_state_dict({name.removeprefix("model."): value.float() for name, value in stored.items()})
    parameters = sum(p.numel() for p in model.parameters())
    planted = [p for layer in model.layers[:2] for p in layer.self_attn.parameters()]
    kept = {id(p) for p in planted}
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name and id(p) not in kept]
    others = [
        {"params": [model.embed_tokens.weight], "rate": 0.015},
        {"params": [p for name, p in model.named_parameters() if p.dim() == 1], "rate": 1e-3},
        {"params": planted, "rate": 5e-4},
    ]
    muon = Muon(matrices, rate=0.006, decay=0.5)
    adam = torch.optim.AdamW(others, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}

    packer = Packer(
        corpus.documents(tokenizer, f"train-{arguments.seed}", arguments.drilled), arguments.rows, arguments.length
    )
    held_out = {
        "mixed": (corpus.documents(tokenizer, "held-out"), 3),
        "sql": (sql_documents(tokenizer, "held-out sql", unseen=False), 4),
        "unseen": (sql_documents(tokenizer, "held-out words", unseen=True), 4),
    }
    checks = {}
    for name, (source, count) in held_out.items():
        checker = Packer(source, 16, arguments.length)
        checks[name] = [checker.next() for _ in range(count)]

    budget = arguments.minutes * 60
    log = (folder / "log.jsonl").open("w")
    print(f"{parameters} parameters, vocabulary {shape.vocab_size}", flush=True)
    start = time.monotonic()
    step = tokens = answers = 0
    recent: list[float] = []
    last_log = last_check = start
    while True:
        elapsed = time.monotonic() - start
        part = elapsed / budget
        if part >= 1:
            break
        scale = arguments.rate * min(1.0, (step + 1) / 40, (1 - part) / 0.85)
        batch = packer.next(prompts=part < PROMPTS_SCORED and not arguments.start)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(batch.tokens, batch.positions, batch.mask, batch.at)
        losses = functional.cross_entropy(logits.float(), batch.wanted, reduction="none")
        ((losses * batch.weight).sum() / batch.weight.sum()).backward()
        loss = losses[batch.weight == 1].mean()
        muon.step(scale)
        for group in adam.param_groups:
            # The planted heads rest while the others learn the first things.
            rests = group["rate"] == 5e-4 and part < PLANTED_REST and not arguments.start
            group["lr"] = 0.0 if rests else group["rate"] * scale
        adam.step()
        if not arguments.start:
            keep_clear(model)
        model.zero_grad(set_to_none=True)
        step += 1
        tokens += int((batch.tokens != corpus.PAD).sum())
        answers += int(batch.branch.max()) + 1
        recent.append(float(loss.detach()))
        keep = min(0.985, 1 - 1 / (step + 1))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                average[name].lerp_(parameter, 1 - keep)
        now = time.monotonic()
        if now - last_log > 20:
            line = {
                "step": step,
                "seconds": round(now - start),
                "cpu_seconds": round(time.process_time()),
                "tokens": tokens,
                "answers": answers,
                "scale": round(scale, 3),
            }
            line["loss"] = round(sum(recent) / len(recent), 4)
            if now - last_check > 240 and step > 30:
                current = {name: p.detach().clone() for name, p in model.named_parameters()}
                model.load_state_dict(average)
                line.update(
                    {
                        f"{name}_{key}": value
                        for name, batches in checks.items()
                        for key, value in measure(model, batches).items()
                    }
                )
                model.load_state_dict(current)
                write_checkpoint(folder, average, shape)
                last_check = time.monotonic()
            print(json.dumps(line), file=log, flush=True)
            recent, last_log = [], now
    model.load_state_dict(average)
    final: dict[str, object] = {
        "step": step,
        "seconds": round(time.monotonic() - start),
        "cpu_seconds": round(time.process_time()),
        "tokens": tokens,
        "answers": answers,
        "final": True,
    }
    final.update(
        {f"{name}_{key}": value for name, batches in checks.items() for key, value in measure(model, batches).items()}
    )
    print(json.dumps(final), file=log, flush=True)
    write_checkpoint(folder, average, shape)
    os.fsync(log.fileno())


if __name__ == "__main__":
    main()
