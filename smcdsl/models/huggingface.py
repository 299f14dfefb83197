"""Any causal language model of transformers: a folder or a hub name, on CPU or GPU.

torch and transformers are imported when a model is loaded, never before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from smcdsl.errors import ModelError
from smcdsl.models import load_mistakes
from smcdsl.models.chat_template import ChatTemplate, no_template, renderer
from smcdsl.models.token_bytes import Encoder, read_vocabulary, round_trip_fault
from smcdsl.models.torch_cache import CachedSession, caching
from smcdsl.models.torch_linear import lay_out
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import Role, Session, TurnTokens
from smcdsl.vocabulary import Vocabulary

LARGE_PARAMETERS = 1_000_000_000
"""From this size on a CPU gets bfloat16, so that the weights fit ordinary memory."""
HASH_AT_MOST_BYTES = 1 << 30
END_OF_TURN_TEXTS = ("<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|end|>", "<|eom_id|>")
"""Special tokens that end a turn in the common chat templates, also where no setting says so."""
WEIGHT_FILES = ("*.safetensors", "pytorch_model*.bin")


class HuggingFaceModel:
    """A loaded model with its tokenizer; made by `load`."""

    def __init__(
        self, name: str, model: Any, tokenizer: Any, template: str | None, description: dict[str, Any]
    ) -> None:
        self._name = name
        self._model = model
        self._description = description
        config = model.config.get_text_config()
        backend = tokenizer.backend_tokenizer
        ends = _end_of_turn(model, tokenizer)
        num_ids = int(model.get_output_embeddings().weight.shape[0])
        ends = [token_id for token_id in ends if 0 <= token_id < num_ids]
        if not ends:
            raise ModelError(load_mistakes.no_end_token(name), name)
        self._vocabulary = read_vocabulary(backend, num_ids, ends)
        self._encoder = Encoder(backend, self._vocabulary, name)
        fault = round_trip_fault(self._encoder, self._vocabulary)
        if fault:
            raise ModelError(load_mistakes.unknown_tokenizer(name, fault), name)
        self._context_length = context_length_of(config, tokenizer)
        self._caching = caching(model, self._context_length, name)
        self._begin = _begin_text(tokenizer, config, self._vocabulary)
        self._chat = None
        if template is not None or tokenizer.chat_template is not None:
            self._chat = ChatTemplate(
                renderer(tokenizer, template), self._encoder.encode_template, self._vocabulary.end_of_turn, name
            )

    @property
    def name(self) -> str:
        """As the user gave it."""
        return self._name

    @property
    def vocabulary(self) -> Vocabulary:
        """All rows of the output layer; those without a token spell nothing."""
        return self._vocabulary

    @property
    def network(self) -> Any:
        """The transformers model itself."""
        return self._model

    @property
    def context_length(self) -> int:
        """The most tokens a prefix may have."""
        return self._context_length

    @property
    def description(self) -> dict[str, Any]:
        """Name, where it came from, hash of the weights, dtype and device."""
        return dict(self._description)

    def encode(self, text: str, *, starts_text: bool = False) -> list[int]:
        """Token ids that spell `text`. Raises ModelError E0806 for bytes without a token."""
        return self._encoder.encode(text, starts_text=starts_text)

    def begin_text(self) -> list[int]:
        """The begin-of-text token; the end-of-text token for models that know no other."""
        return list(self._begin)

    def turn(self, earlier: Sequence[Role], role: Role) -> TurnTokens:
        """The chat template's tokens around one turn. Raises ModelError E0804, E0605."""
        if self._chat is None:
            raise ModelError(no_template(self._name), self._name)
        return self._chat.turn(tuple(earlier), role)

    def start(self, prefixes: Prefixes) -> Session:
        """A run with a cache of its own."""
        return CachedSession(self._model, prefixes, self._name, self._context_length, self._caching)


def load(
    name: str,
    source: str,
    *,
    revision: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    chat_template: str | None = None,
) -> HuggingFaceModel:
    """Load a model.

    Args:
        name: what the user called it.
        source: a folder or a hub name.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: `auto`, `float32`, `bfloat16`, `float16`.
        chat_template: a Jinja text to use in place of the model's own.

    Raises:
        ModelError: the model is unknown, gated, out of reach, incomplete, or of a kind that does not fit.
    """
    is_folder = Path(source).is_dir()
    if is_folder:
        check_folder(name, Path(source))
    with Quiet(), load_mistakes.explained(name, source, is_folder):
        import torch
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        where: dict[str, Any] = {"revision": revision} if revision and not is_folder else {}
        if not is_folder and load_mistakes.must_stay_offline(source, revision):
            where["local_files_only"] = True
        config = AutoConfig.from_pretrained(source, **where)
        tokenizer = AutoTokenizer.from_pretrained(source, **where)
        chosen = choose_device(device)
        model = AutoModelForCausalLM.from_pretrained(
            source, config=config, dtype=choose_dtype(dtype, chosen, config), **where
        )
        model.eval()
        model.to(torch.device(chosen))
        lay_out(model)
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ModelError(load_mistakes.unknown_tokenizer(name, "it has no fast tokenizer"), name)
    description = {
        "name": name,
        "source": source,
        "revision": getattr(config, "_commit_hash", None),
        "weights_sha256": _weights_hash(Path(source)) if is_folder else None,
        "architecture": type(model).__name__,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": chosen,
    }
    return HuggingFaceModel(name, model, tokenizer, chat_template, description)


class Quiet:
    """transformers' own bars and notices belong to nobody who runs a program; off while loading."""

    def __enter__(self) -> None:
        from transformers.utils import logging

        self._verbosity = logging.get_verbosity()
        self._bars = logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        from transformers.utils import logging

        logging.set_verbosity(self._verbosity)
        if self._bars:
            logging.enable_progress_bar()


def check_folder(name: str, folder: Path) -> None:
    """A folder must hold a description, weights and a tokenizer; say which is missing before anything loads."""
    if not (folder / "config.json").is_file():
        raise ModelError(load_mistakes.incomplete_folder(name, folder, "config.json, which describes the model"), name)
    if not any(any(folder.glob(pattern)) for pattern in WEIGHT_FILES):
        raise ModelError(load_mistakes.incomplete_folder(name, folder, "weights (model.safetensors)"), name)
    tokenizers = ("tokenizer.json", "tokenizer.model", "vocab.json", "tokenizer_config.json")
    if not any((folder / file).is_file() for file in tokenizers):
        raise ModelError(load_mistakes.incomplete_folder(name, folder, "tokenizer (tokenizer.json)"), name)


def choose_device(wanted: str) -> str:
    """The device that `auto` stands for: a GPU if there is one."""
    import torch

    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    return "cpu"


def choose_dtype(wanted: str, device: str, config: Any) -> Any:
    """The torch type that `auto` stands for: float32 on a CPU, its own 16-bit type on a GPU; large models see above."""
    import torch

    if wanted != "auto":
        return getattr(torch, {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}.get(wanted, wanted))
    own = getattr(config, "dtype", None)
    if device.startswith("cpu"):
        return torch.float32 if _num_parameters(config) < LARGE_PARAMETERS else torch.bfloat16
    return own if own in (torch.bfloat16, torch.float16) else torch.float32


def _num_parameters(config: Any) -> int:
    """Roughly, from the shape: 12 d^2 a layer, and the embeddings."""
    text = config.get_text_config()
    width = int(getattr(text, "hidden_size", 0) or 0)
    layers = int(getattr(text, "num_hidden_layers", 0) or 0)
    return 12 * layers * width * width + int(text.vocab_size) * width


def _end_of_turn(model: Any, tokenizer: Any) -> list[int]:
    """Ids that end a turn or a text, from the generation settings, the model's description and the tokenizer."""
    found: list[int] = []
    for holder in (model.generation_config, model.config, model.config.get_text_config(), tokenizer):
        found += _ids(getattr(holder, "eos_token_id", None))
    special = {
        token.content: token_id
        for token_id, token in tokenizer.backend_tokenizer.get_added_tokens_decoder().items()
        if token.special
    }
    found += [special[text] for text in END_OF_TURN_TEXTS if text in special]
    return list(dict.fromkeys(found))


def _ids(value: int | Iterable[int] | None) -> list[int]:
    if value is None:
        return []
    return [value] if isinstance(value, int) else list(value)


def context_length_of(config: Any, tokenizer: Any) -> int:
    """The most tokens that a model takes."""
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    limit = int(tokenizer.model_max_length)
    return limit if limit < 1 << 30 else 1 << 20


def _begin_text(tokenizer: Any, config: Any, vocabulary: Vocabulary) -> list[int]:
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    marked = tokenizer("a", add_special_tokens=True)["input_ids"]
    for start in range(1, len(marked) - len(plain) + 1):
        if marked[start : start + len(plain)] == plain:
            return list(marked[:start])
    for token_id in (tokenizer.bos_token_id, getattr(config, "bos_token_id", None)):
        if isinstance(token_id, int) and not vocabulary.token_bytes[token_id]:
            return [token_id]
    return [vocabulary.end_of_turn[0]]


def _weights_hash(folder: Path) -> str | None:
    """SHA-256 over the weight files in order of their names; None if that would take long."""
    files = sorted(file for pattern in WEIGHT_FILES for file in folder.glob(pattern))
    if sum(file.stat().st_size for file in files) > HASH_AT_MOST_BYTES:
        return None
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
