"""Llamas with random weights, in shapes that are common, and a byte-level tokenizer for them made on the spot.

No weights are needed to time a forward pass. The tokenizer learns its merges from what is at hand: Spider's training
questions and queries where the data is there (SMCDSL_DATA), and the source of Python's standard library.
"""

from __future__ import annotations

import gzip
import json
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHAPES = {
    "15M": {"hidden_size": 288, "intermediate_size": 768, "num_hidden_layers": 6, "num_attention_heads": 6},
    "30M": {"hidden_size": 384, "intermediate_size": 1024, "num_hidden_layers": 10, "num_attention_heads": 6},
    "110M": {"hidden_size": 768, "intermediate_size": 2048, "num_hidden_layers": 12, "num_attention_heads": 12},
}
VOCAB_SIZE = 32_000
CHAT = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
_FILES = 200


def llama(shape: str, **settings: Any) -> Any:
    """A random Llama, tied embeddings, float32, 2,048 tokens of context."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        **SHAPES[shape],
        **settings,
    )
    return LlamaForCausalLM(config).eval()


def save(shape: str, folder: Path) -> None:
    """A random Llama with its tokenizer and a chat template, as transformers saves them."""
    from transformers import PreTrainedTokenizerFast

    llama(shape).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer(), eos_token="<|end|>")
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)


def byte_tokenizer() -> Any:
    """A byte-level BPE of `VOCAB_SIZE` tokens; `<|end|>` is number 0."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return tokenizer


def _texts() -> Iterator[str]:
    folder = os.environ.get("SMCDSL_DATA")
    questions = Path(folder or "", "spider", "train.jsonl.gz")
    if folder and questions.exists():
        with gzip.open(questions, "rt", encoding="utf-8") as rows:
            for row in map(json.loads, rows):
                yield f"{row['question']}\n{row['query']}\n"
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("**/*.py"))[:_FILES]:
        yield path.read_text(encoding="utf-8", errors="ignore")
