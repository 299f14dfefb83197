"""Small models with random weights, as folders that transformers reads: real ones, but for what they know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
WORDS = ["yes", "no", " yes", " no", "Yes", "No", " good", " bad"]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 512}


def byte_tokenizer(chat: str | None = CHAT) -> Any:
    """Bytes, a few words, and three special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate(MARKS + alphabet)}
    merges = []
    for word in WORDS:
        spelled = word.replace(" ", "Ġ")
        for end in range(2, len(spelled) + 1):
            pair = (spelled[: end - 1], spelled[end - 1])
            if spelled[:end] not in vocabulary:
                vocabulary[spelled[:end]] = len(vocabulary)
                merges.append(pair)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=MARKS[2], bos_token=MARKS[0], pad_token=MARKS[0]
    )
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    tokenizer.chat_template = chat
    tokenizer.model_max_length = 512
    return tokenizer


def save(folder: Path, kind: str, tokenizer: Any, *, seed: int = 0, spread: float = 0.5, **settings: Any) -> str:
    """Write a model of class `kind`, say `LlamaForCausalLM`; a larger `spread` makes it surer of what it says."""
    import torch
    import transformers

    config_kind = kind.partition("For")[0] + "Config"
    config = getattr(transformers, config_kind)(vocab_size=len(tokenizer), **(SHAPE | settings))
    config.initializer_range = spread
    torch.manual_seed(seed)
    model = getattr(transformers, kind)(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def language_model(folder: Path, *, chat: str | None = CHAT, **settings: Any) -> str:
    """A Llama with random weights."""
    marks = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0}
    shape = {"intermediate_size": 48, "num_key_value_heads": 1}
    return save(folder, "LlamaForCausalLM", byte_tokenizer(chat), **marks, **(shape | settings))


def word_tokenizer() -> Any:
    """BERT's way: pieces of words between [CLS] and [SEP]."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(33, 127)]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{letter}" for letter in letters)]
    backend = Tokenizer(models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token="[UNK]"))
    backend.normalizer = normalizers.Lowercase()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    marks = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **marks)
    tokenizer.model_max_length = 512
    return tokenizer
