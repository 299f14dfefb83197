"""Sequence classifiers and reward models of transformers: a row of numbers for a text, or a prompt and its answer.

Texts are data: what looks like a special token in them stays text. The marks around them come from the
tokenizer's own template for one or two texts, or from the model's chat template. Texts of similar length
are computed together, padded on the right; a model that names no padding token gets equal lengths together.
torch and transformers are imported when a model is loaded, never before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import ModelError
from smcdsl.models import load_mistakes
from smcdsl.models.chat_template import ChatTemplate, renderer
from smcdsl.models.huggingface import Quiet, check_folder, choose_device, choose_dtype, context_length_of
from smcdsl.models.load import source_of
from smcdsl.models.torch_cache import context_exceeded

TEXTS_AT_ONCE = 32
PADDED_AT_MOST = 1.25
"""The longest of the texts that are computed together, as a multiple of the shortest."""


@dataclass(frozen=True)
class Encoded:
    """Token ids, and of which of two texts each is a part."""

    ids: tuple[int, ...]
    kinds: tuple[int, ...]


class Classifier:
    """A loaded model with its tokenizer; made by `load_classifier`.

    `labels` are the names of its outputs. `independent` says that each is a yes or no of its own, and not one choice
    among all.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any) -> None:
        from tokenizers import Tokenizer

        self.name = name
        config = model.config
        self.labels = tuple(str(config.id2label[index]) for index in range(config.num_labels))
        self.independent = config.problem_type == "multi_label_classification" or config.num_labels == 1
        self._model = model
        backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        backend.no_padding()
        backend.no_truncation()
        self._template = Tokenizer.from_str(backend.to_str())
        backend.encode_special_tokens = True
        self._plain = backend
        self._padding = getattr(config.get_text_config(), "pad_token_id", None)
        self._takes_kinds = getattr(config, "type_vocab_size", 0) > 1
        limit = int(tokenizer.model_max_length)
        self._context_length = min(context_length_of(config.get_text_config(), tokenizer), limit)
        self._chat = None
        if tokenizer.chat_template is not None:
            ends = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
            self._chat = ChatTemplate(renderer(tokenizer, None), self._encode_template, ends, name)

    def encode(self, text: str) -> Encoded:
        """A text between the marks that the tokenizer puts around one text."""
        encoding = self._plain.encode(text)
        return Encoded(tuple(encoding.ids), tuple(encoding.type_ids))

    def encode_answer(self, prompt: str, answer: str) -> Encoded:
        """A prompt and its answer: as a turn each by the chat template, without one as a pair of texts."""
        if self._chat is None:
            encoding = self._plain.encode(prompt, answer)
            return Encoded(tuple(encoding.ids), tuple(encoding.type_ids))
        asked, answered = self._chat.turn((), "user"), self._chat.turn(("user",), "assistant")
        ids = (*asked.opening, *self._encode_inside(prompt), *asked.closing)
        ids += (*answered.opening, *self._encode_inside(answer), *answered.closing)
        return Encoded(ids, (0,) * len(ids))

    def logits(self, sequences: Sequence[Encoded]) -> NDArray[np.float64]:
        """(U, labels) outputs of the model.

        Raises:
            ModelError: E0805, a sequence exceeds the model's context.
        """
        results = np.empty((len(sequences), len(self.labels)))
        if max((len(sequence.ids) for sequence in sequences), default=0) > self._context_length:
            raise ModelError(context_exceeded(self.name, self._context_length), self.name)
        for places in self._batches([len(sequence.ids) for sequence in sequences]):
            results[places] = self._forward([sequences[place] for place in places])
        return results

    def _encode_template(self, text: str) -> list[int]:
        return list(self._template.encode(text, add_special_tokens=False).ids)

    def _encode_inside(self, text: str) -> tuple[int, ...]:
        return tuple(self._plain.encode(text, add_special_tokens=False).ids)

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Places of sequences that are computed together."""
        spread = 1.0 if self._padding is None else PADDED_AT_MOST
        batch: list[int] = []
        for place in sorted(range(len(lengths)), key=lengths.__getitem__):
            if batch and (len(batch) == TEXTS_AT_ONCE or lengths[place] > spread * lengths[batch[0]]):
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch

    def _forward(self, sequences: Sequence[Encoded]) -> NDArray[np.float64]:
        import torch

        width = max(len(sequence.ids) for sequence in sequences)
        ids = np.full((len(sequences), width), self._padding or 0, dtype=np.int64)
        seen, kinds = np.zeros_like(ids), np.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            length = len(sequence.ids)
            ids[row, :length], kinds[row, :length], seen[row, :length] = sequence.ids, sequence.kinds, 1
        fed = {"input_ids": ids, "attention_mask": seen} | ({"token_type_ids": kinds} if self._takes_kinds else {})
        device = self._model.device
        with torch.inference_mode():
            output = self._model(**{key: torch.from_numpy(array).to(device) for key, array in fed.items()})
        return np.asarray(output.logits.double().cpu().numpy(), dtype=np.float64)


def load_classifier(name: str) -> Classifier:
    """Load a sequence classifier or reward model: a folder, an alias or a hub name. On a GPU if there is one.

    Raises:
        ModelError: it is unknown, gated, out of reach, incomplete, or of a kind that does not fit.
    """
    source = source_of(name)
    is_folder = Path(source).is_dir()
    if is_folder:
        check_folder(name, Path(source))
    with Quiet(), load_mistakes.explained(name, source, is_folder):
        import torch
        from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

        where: dict[str, Any] = {}
        if not is_folder and load_mistakes.must_stay_offline(source, None):
            where["local_files_only"] = True
        config = AutoConfig.from_pretrained(source, **where)
        if not any("SequenceClassification" in kind for kind in config.architectures or ()):
            raise ModelError(load_mistakes.not_a_classifier(name, config.architectures or ()), name)
        tokenizer = AutoTokenizer.from_pretrained(source, **where)
        chosen = choose_device("auto")
        model = AutoModelForSequenceClassification.from_pretrained(
            source, config=config, dtype=choose_dtype("auto", chosen, config), **where
        )
        model.eval()
        model.to(torch.device(chosen))
    if not hasattr(tokenizer, "backend_tokenizer"):
        raise ModelError(load_mistakes.unknown_tokenizer(name, "it has no fast tokenizer"), name)
    return Classifier(name, model, tokenizer)
