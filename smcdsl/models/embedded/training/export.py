"""Writing the model's files, each in one go, so that a reader never sees half a file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from tokenizers import Tokenizer

from .corpus import BOS, END, EOS, PAD, SPECIALS

CONTEXT = 1024
CHAT_TEMPLATE = (
    "{{ '<|bos|>' }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def write_file(path: Path, content: bytes) -> None:
    """Replace a file, readable by everybody."""
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(content)
    draft.chmod(0o644)
    os.replace(draft, path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a JSON file."""
    write_file(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())


def write_weights(folder: Path, weights: Mapping[str, NDArray[np.float16]]) -> None:
    """Write the weights."""
    write_file(folder / "model.safetensors", save(dict(weights), metadata={"format": "pt"}))


def write_config(folder: Path, shape: Mapping[str, Any]) -> None:
    """Write transformers' description of the model."""
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": shape["vocab_size"],
        "hidden_size": shape["hidden_size"],
        "intermediate_size": shape["intermediate_size"],
        "num_hidden_layers": shape["num_layers"],
        "num_attention_heads": shape["num_heads"],
        "num_key_value_heads": shape["num_kv_heads"],
        "head_dim": shape["head_dim"],
        "max_position_embeddings": CONTEXT,
        "rope_theta": shape["rope_theta"],
        "rms_norm_eps": shape["norm_eps"],
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "dtype": "float16",
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": [EOS, END],
    }
    write_json(folder / "config.json", config)


def write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    """Write the tokenizer and what transformers must know about it."""
    write_file(folder / "tokenizer.json", (tokenizer.to_str(pretty=True) + "\n").encode())
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": CONTEXT,
        "bos_token": SPECIALS[BOS],
        "eos_token": SPECIALS[END],
        "pad_token": SPECIALS[PAD],
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    write_json(folder / "tokenizer_config.json", config)
