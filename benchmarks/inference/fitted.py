"""A small Llama that writes SQL: 32,000 tokens of GPT-2's byte-level BPE, fitted briefly to Spider's training queries.

    python -m benchmarks.inference.fitted FOLDER [--steps 240]

The queries are written in one way (`one_way`), that of `queries.lark`, which holds 98 % of them. A text is a question,
as a comment, and its query. Questions to ask the model come from the training databases held out (`tasks/splits`).
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.tasks.splits import data_folder, spider_train, spider_validation

VOCAB_SIZE = 32_000
END = "<|endoftext|>"
GRAMMAR = Path(__file__).with_name("queries.lark")

_KEYWORDS = frozenset(
    "SELECT DISTINCT FROM WHERE AND OR NOT IN LIKE BETWEEN GROUP BY HAVING ORDER ASC DESC LIMIT UNION INTERSECT EXCEPT "
    "JOIN ON AS IS NULL EXISTS".split()
)
_FUNCTIONS = frozenset("COUNT SUM AVG MIN MAX".split())
_WORD = re.compile(
    r"""\s*('[^']*'|"[^"]*"|[A-Za-z_][A-Za-z0-9_]*|[0-9]+(?:\.[0-9]+)?|<=|>=|!=|<>|[-+*/(),.=<>;])""",
)


def one_way(query: str) -> str | None:
    """A query with keywords in capitals, names in small letters, one space between words; None for other texts."""
    text, glued, before, position = "", True, "", 0
    query = query.strip().rstrip(";").rstrip()
    while position < len(query):
        match = _WORD.match(query, position)
        if match is None:
            return None
        position, word = match.end(), match[1]
        if word[0] in "'\"":
            word = f"'{word[1:-1]}'"
        elif word.upper() in _KEYWORDS | _FUNCTIONS:
            word = word.upper()
        else:
            word = "!=" if word == "<>" else word.lower()
        glued = glued or word in (")", ",", ".") or (word == "(" and before in _FUNCTIONS)
        text += word if glued else f" {word}"
        glued, before = word in ("(", "."), word
    return text


def prompt_of(question: str) -> str:
    """What stands before a query."""
    return f"-- {question.strip()}\n"


def training_texts() -> list[tuple[str, str]]:
    """(prompt, query) of every training row whose query can be written in one way."""
    pairs = ((row["question"], one_way(row["query"])) for row in spider_train())
    return [(prompt_of(question), query) for question, query in pairs if query is not None]


def questions(count: int, lengths: range = range(140, 181)) -> list[str]:
    """Questions about databases that the model has not seen, of training rows all the same.

    Args:
        lengths: of the right queries, in characters; by default long ones, so that few particles end early.
    """
    rows = [row for row in spider_validation() if len(one_way(row["query"]) or "") in lengths]
    step = max(len(rows) // count, 1)
    return [row["question"] for row in rows[::step][:count]]


def tokenizer() -> Any:
    """The first 31,999 tokens of GPT-2's vocabulary, which are its bytes and first merges, and an end of text."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    source = data_folder() / "tokenizers" / "gpt2" / "tokenizer.json"
    description = json.loads(source.read_text())
    kept = {text: number for text, number in description["model"]["vocab"].items() if number < VOCAB_SIZE - 1}
    merges = [pair.split(" ") if isinstance(pair, str) else pair for pair in description["model"]["merges"]]
    merges = [pair for pair in merges if "".join(pair) in kept and pair[0] in kept and pair[1] in kept]
    description["model"] |= {"vocab": {**kept, END: VOCAB_SIZE - 1}, "merges": merges}
    end = next(token for token in description["added_tokens"] if token["content"] == END)
    description["added_tokens"] = [{**end, "id": VOCAB_SIZE - 1}]
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(description)), bos_token=END, eos_token=END
    )


def model(hidden: int = 256, layers: int = 4) -> Any:
    """An untrained Llama of 11 million parameters, 8 of them the tokens' embeddings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=hidden,
        intermediate_size=8 * hidden // 3 // 16 * 16,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=VOCAB_SIZE - 1,
        eos_token_id=VOCAB_SIZE - 1,
    )
    return LlamaForCausalLM(config)


def fit(folder: Path, steps: int = 240, batch: int = 32) -> None:
    """Fit a model to the training queries and save it with its tokenizer."""
    import torch

    tokens, network = tokenizer(), model()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.1)
    began, network_loss = time.process_time(), 0.0
    network.train()
    for step, (ids, wanted) in enumerate(_batches(tokens, batch, steps)):
        # Only where a query's token is to be foretold: the output layer is most of the work.
        rows, places = torch.nonzero(wanted[:, 1:] >= 0, as_tuple=True)
        states = network.model(input_ids=ids).last_hidden_state[rows, places]
        loss = torch.nn.functional.cross_entropy(network.lm_head(states), wanted[rows, places + 1])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        network_loss += 0.05 * (float(loss) - network_loss) if step else float(loss)
        if step % 20 == 0:
            print(f"step {step}: {network_loss:.3f} nats a token, {time.process_time() - began:.0f} s", flush=True)
    network.eval()
    network.save_pretrained(folder)
    tokens.save_pretrained(folder)


def _batches(tokens: Any, batch: int, steps: int) -> Iterator[tuple[Any, Any]]:
    """(ids, wanted) of texts drawn at random; `wanted` is -1 in prompts and padding."""
    import torch

    end = VOCAB_SIZE - 1
    pairs = [
        ([end, *tokens.encode(prompt, add_special_tokens=False)], tokens.encode(query, add_special_tokens=False))
        for prompt, query in training_texts()
    ]
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        chosen = [pairs[i] for i in torch.randint(len(pairs), (batch,), generator=generator).tolist()]
        width = max(len(prompt) + len(query) for prompt, query in chosen) + 1
        ids = torch.full((batch, width), end)
        wanted = torch.full((batch, width), -1)
        for row, (prompt, query) in enumerate(chosen):
            text = [*prompt, *query, end]
            ids[row, : len(text)] = torch.tensor(text)
            wanted[row, len(prompt) : len(text)] = torch.tensor(text[len(prompt) :])
        yield ids, wanted


def made(folder: Path, steps: int = 240) -> Path:
    """The folder with the fitted model in it, fitted now if it is empty."""
    if not (folder / "config.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        fit(folder, steps)
    return folder


def main() -> int:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.inference.fitted",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=240)
    options = parser.parse_args()
    if not (data_folder() / "spider").is_dir():
        print(f"needs the Spider data in {data_folder()} (set SMCDSL_DATA)", file=sys.stderr)
        return 1
    made(options.folder, options.steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
