"""Fine-tune the embedded model for one of the task benchmarks and write it in its final form.

    python -m benchmarks.tasks.training.finetune spider --out FOLDER --minutes 55
    python -m benchmarks.tasks.training.finetune planetarium --out FOLDER --minutes 25

The loop is that of `smcdsl.models.embedded.training.train`: Muon for matrices, AdamW for the rest, a rate that
falls to nothing at the end of the minutes given, the running average of the weights written every few minutes.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from benchmarks.tasks import splits
from benchmarks.tasks.training import planetarium, spider, tokens
from benchmarks.tasks.training.branches import Laid, forward, lay_out
from smcdsl.models.embedded.model import FOLDER
from smcdsl.models.embedded.training import corpus, export
from smcdsl.models.embedded.training.network import Llama, Shape
from smcdsl.models.embedded.training.train import Muon, write_checkpoint

ENTRIES, FEWER_ENTRIES = 3072, 2560
"""Sizes of the vocabularies; a tokenizer that has as many already stays what it is."""
CONTEXT = 2048
"""Positions turn, so more of them cost nothing; the longest prompts of training are shorter."""
PROMPTS_SCORED = 0.4
AVERAGED = 0.97
"""How much of the running average of the weights a step leaves."""
CHECK_SECONDS = 240
LONGEST = 1600
"""Documents of more tokens are passed over."""
CHECKED = 24
"""Held-out documents that the checks read."""


class Task(NamedTuple):
    """What a model is trained on."""

    tokenizer: Tokenizer
    documents: Iterator[corpus.Document]
    held_out: Iterator[corpus.Document]
    documents_per_step: int


def mixed(
    chosen: Iterator[corpus.Document], tokenizer: Tokenizer, share: float, seed: str
) -> Iterator[corpus.Document]:
    """Yield documents of the task, and for `share` of them documents of the embedded model's SQL corpus instead."""
    random, encoder = Random(f"mixed-{seed}"), corpus.Encoder(tokenizer)
    while True:
        if random.random() < share:
            yield encoder.document(corpus.sql_rows(random, 5))
        else:
            yield next(chosen)


def spider_task(old: Tokenizer, seed: str) -> Task:
    """Return the questions of Spider's training databases, one document in six from the embedded model's corpus."""
    train = spider.databases(splits.spider_train())
    validation = spider.databases(splits.spider_validation())
    random = Random("tokenizer")
    texts = [database.schema.ddl() for database in train for _ in range(3)]
    texts += [text for database in train for e in database.examples for text in (e.question, e.text)]
    texts += [text for _ in range(500) for row in corpus.sql_rows(random, 2) for text in (row.user, row.answer)]
    tokenizer, _ = tokens.extended(old, texts, ENTRIES)
    source = iter(spider.Source(train, tokenizer, f"train-{seed}"))
    held_out = iter(spider.Source(validation, tokenizer, "held-out"))
    return Task(tokenizer, mixed(source, tokenizer, 1 / 6, seed), held_out, 8)


def planetarium_task(old: Tokenizer, seed: str) -> Task:
    """Return Planetarium's training problems with their objects permuted."""
    rows = splits.planetarium_train()
    texts = [
        text for row in rows for text in (row["natural_language"], planetarium.answer_of(planetarium.goal_of(row)))
    ]
    tokenizer, _ = tokens.extended(old, texts, FEWER_ENTRIES, min_count=100)
    encoder = corpus.Encoder(tokenizer)
    train = planetarium.documents(rows, encoder, f"train-{seed}")
    validation = planetarium.documents(splits.planetarium_validation(), encoder, "held-out", permuted=0.0)
    return Task(tokenizer, train, validation, 12)


TASKS: dict[str, Callable[[Tokenizer, str], Task]] = {"spider": spider_task, "planetarium": planetarium_task}


def load(model: Llama, folder: Path, old: Tokenizer, new: Tokenizer) -> None:
    """Fill a model from a folder; an entry the old tokenizer lacks starts as the mean of what it is made of."""
    stored = load_file(folder / "model.safetensors")
    weights = {name.removeprefix("model."): value.float() for name, value in stored.items()}
    embedding = weights["embed_tokens.weight"]
    added = sorted((place, text) for text, place in new.get_vocab().items() if place >= len(embedding))
    rows = []
    for _, text in added:
        parts = [token.id for token in old.model.tokenize(text)]
        rows.append(embedding[parts].mean(0) * len(parts) ** 0.5)
    weights["embed_tokens.weight"] = torch.cat((embedding, torch.stack(rows))) if rows else embedding
    model.load_state_dict(weights)


def write(folder: Path, average: dict[str, Tensor], shape: Shape) -> None:
    """Write weights and configuration, with the longer context."""
    write_checkpoint(folder, average, shape)
    for name, key in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        config = json.loads((folder / name).read_text())
        export.write_json(folder / name, config | {key: CONTEXT})


def train(arguments: argparse.Namespace) -> None:
    """Train for the minutes given."""
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    old = Tokenizer.from_file(str(arguments.start / "tokenizer.json"))
    task = TASKS[arguments.task](old, str(arguments.seed))
    export.write_tokenizer(folder, task.tokenizer)
    shape = Shape(task.tokenizer.get_vocab_size())
    model = Llama(shape)
    load(model, arguments.start, old, task.tokenizer)
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    muon = Muon(matrices, rate=0.006, decay=0.5)
    groups = [
        {"params": [model.embed_tokens.weight], "rate": 0.015},
        {"params": [p for p in model.parameters() if p.dim() == 1], "rate": 1e-3},
    ]
    adam = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.0)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    documents = (document for document in task.documents if len(document) <= LONGEST)
    checks = [lay_out(document, prompts=False) for document in islice(task.held_out, CHECKED)]

    budget = arguments.minutes * 60
    log = (folder / "log.jsonl").open("w")
    start = time.monotonic()
    step = seen = answers = 0
    recent: list[float] = []
    last_log = last_check = start
    while (part := (time.monotonic() - start) / budget) < 1:
        scale = arguments.rate * min(1.0, (step + 1) / 40, (1 - part) / 0.85)
        prompts = part < PROMPTS_SCORED and arguments.start == FOLDER
        batch = [lay_out(document, prompts) for document in islice(documents, task.documents_per_step)]
        weight = sum(float(laid.weight.sum()) for laid in batch)
        loss = torch.zeros(())
        with torch.autocast("cpu", dtype=torch.bfloat16):
            for laid in batch:
                losses = functional.cross_entropy(forward(model, laid).float(), laid.wanted, reduction="none")
                loss = loss + (losses * laid.weight).sum() / weight
                recent += losses[laid.weight == 1].tolist()
        loss.backward()
        muon.step(scale)
        for group in adam.param_groups:
            group["lr"] = group["rate"] * scale
        adam.step()
        model.zero_grad(set_to_none=True)
        step += 1
        seen += sum(len(laid.tokens) for laid in batch)
        answers += sum(int(laid.branch.max()) + 1 for laid in batch)
        keep = min(AVERAGED, 1 - 1 / (step + 1))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                average[name].lerp_(parameter, 1 - keep)
        now = time.monotonic()
        if now - last_log > 20 or step == 1:
            line: dict[str, object] = {
                "step": step,
                "seconds": round(now - start),
                "cpu_seconds": round(time.process_time()),
                "tokens": seen,
                "answers": answers,
                "scale": round(scale, 3),
                "loss": round(sum(recent) / len(recent), 4),
            }
            if now - last_check > CHECK_SECONDS:
                line.update(checked(model, average, checks))
                write(folder, average, shape)
                last_check = time.monotonic()
            print(json.dumps(line), file=log, flush=True)
            recent, last_log = [], now
    final: dict[str, object] = {"step": step, "cpu_seconds": round(time.process_time()), "tokens": seen}
    final.update({"answers": answers, "final": True}, **checked(model, average, checks))
    print(json.dumps(final), file=log, flush=True)
    write(folder, average, shape)


def checked(model: Llama, average: dict[str, Tensor], checks: list[Laid]) -> dict[str, float]:
    """Return the loss of the averaged weights on held-out answers, and the share that greedy decoding gets right."""
    current = {name: p.detach().clone() for name, p in model.named_parameters()}
    model.load_state_dict(average)
    loss = 0.0
    scored = exact = answers = 0
    for laid in checks:
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            logits = forward(model, laid).float()
        loss += float(functional.cross_entropy(logits, laid.wanted, reduction="sum"))
        scored += len(laid.wanted)
        wrong = torch.zeros(int(laid.branch.max()) + 1)
        wrong.index_add_(0, laid.branch, (logits.argmax(-1) != laid.wanted).float())
        exact += int((wrong == 0).sum())
        answers += len(wrong)
    model.load_state_dict(current)
    return {"held_out_loss": round(loss / scored, 4), "held_out_exact": round(exact / answers, 4)}


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=sorted(TASKS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=55.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--start", type=Path, default=FOLDER, help="continue from the weights in this folder")
    parser.add_argument("--rate", type=float, default=0.6, help="part of the full rate to begin with")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if not (splits.data_folder() / arguments.task).is_dir():
        parser.error(f"no folder `{arguments.task}` in {splits.data_folder()}; set SMCDSL_DATA")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    train(arguments)


if __name__ == "__main__":
    main()
