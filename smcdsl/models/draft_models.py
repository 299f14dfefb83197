"""Models that draft for another: their sessions over the target's token ids, and whether their tokens are the same.

A token means the same to both if it spells the same bytes. Rows of an output layer beyond the tokens may differ in
number (padding): they get probability zero, or are left out.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smcdsl.errors import Diagnostic, Label, ModelError, Span, UsageError
from smcdsl.models.load import EMBEDDED, aliases, installed, load_model, source_of
from smcdsl.models.pruned_prompt import PrunedPrompt, PrunedSession
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import LanguageModel, Session
from smcdsl.vocabulary import Vocabulary

SELF = "self"
"""The name of the target itself with a shortened prompt, as a draft."""
DISTILLED = "smcdsl_draft"
"""The key of a folder's config.json that says it was made by `smcdsl distill`, and how."""


class Drafting(Protocol):
    """What makes sessions that draft."""

    def start(self, prefixes: Prefixes) -> Session:
        """Begin a run over the target's token ids."""
        ...


class PaddedSession:
    """A session whose rows are cut or widened to the target's number of ids; what it lacks has probability zero."""

    def __init__(self, session: Session, num_ids: int) -> None:
        self._session, self._num_ids = session, num_ids
        self.retain, self.close = session.retain, session.close

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """(U, num_ids) log-probabilities; rows that were cut are not normalised anew."""
        rows = self._session.next_logprobs(prefixes)
        missing = self._num_ids - rows.shape[1]
        if missing <= 0:
            return rows[:, : self._num_ids]
        return np.pad(rows, ((0, 0), (0, missing)), constant_values=-np.inf)


class DraftModel:
    """Another model as a draft for a target of `num_ids` ids."""

    def __init__(self, model: LanguageModel, num_ids: int) -> None:
        self._model, self._num_ids = model, num_ids

    def start(self, prefixes: Prefixes) -> Session:
        """See `Drafting`."""
        session = self._model.start(prefixes)
        return session if len(self._model.vocabulary) == self._num_ids else PaddedSession(session, self._num_ids)


class ScatteredSession:
    """A session whose rows are of some ids only; the others have probability zero."""

    def __init__(self, session: Session, ids: NDArray[np.int64], num_ids: int) -> None:
        self._session, self._ids, self._num_ids = session, ids, num_ids
        self.retain, self.close = session.retain, session.close

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """(U, num_ids) log-probabilities."""
        rows = self._session.next_logprobs(prefixes)
        found = np.full((len(rows), self._num_ids), -np.inf, dtype=rows.dtype)
        found[:, self._ids] = rows
        return found


class DistilledDraft:
    """A folder written by `smcdsl distill`: computed in numpy, on shortened prompts, over the ids that it can say."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self._settings = _config(folder)[DISTILLED]
        self.num_ids = int(_config(folder)["vocab_size"])

    @cached_property
    def _weights(self) -> Any:
        from smcdsl.models.embedded.decoder import load_weights

        weights = load_weights(self._folder)
        return replace(weights, head=np.ascontiguousarray(weights.head[:, self._settings["said"]]))

    def fits(self, target: Vocabulary) -> bool:
        """Whether it was trained for these tokens."""
        return bool(self._settings["spelling"] == spelling_fingerprint(target))

    def start(self, prefixes: Prefixes) -> Session:
        """See `Drafting`."""
        from smcdsl.models.embedded.model import EmbeddedSession

        session = PrunedSession(
            lambda shorter: EmbeddedSession(self._name, self._weights, shorter),
            prefixes,
            self._settings["first"],
            self._settings["last"],
        )
        return ScatteredSession(session, np.array(self._settings["said"], dtype=np.int64), self.num_ids)


def spelling_fingerprint(vocabulary: Vocabulary) -> str:
    """A hash of what ids spell; rows after the last token that spells something do not count."""
    spelled = vocabulary.token_bytes
    used = max((place + 1 for place, token in enumerate(spelled) if token), default=0)
    digest = hashlib.blake2b(digest_size=16)
    for token in spelled[:used]:
        digest.update(len(token).to_bytes(4, "little") + token)
    return digest.hexdigest()


def _config(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def load_draft(name: str, target: LanguageModel, place: Span | str = "") -> Drafting:
    """The draft called `name`: `self`, a folder of `smcdsl distill`, or a model as `--model` takes it.

    Args:
        place: where it was asked for: in a program, or in words (`--draft NAME`).

    Raises:
        ModelError: there is no such model, or it cannot be loaded.
        UsageError: E0704, its tokens are not the target's.
    """
    if name == SELF:
        return PrunedPrompt(target)
    folder = Path(name)
    if is_distilled(folder):
        draft = DistilledDraft(name, folder)
        if not draft.fits(target.vocabulary):
            raise UsageError(other_tokens(name, draft.num_ids, target, place))
        return draft
    try:
        model = load_model(name)
    except ModelError as error:
        raise ModelError(_as_draft(error.diagnostics[0], place), name) from error
    if not fits(model.vocabulary, target.vocabulary):
        raise UsageError(other_tokens(name, len(model.vocabulary), target, place))
    return DraftModel(model, len(target.vocabulary))


def _as_draft(diagnostic: Diagnostic, place: Span | str) -> Diagnostic:
    """What is wrong with a model, said where it was asked for as a draft."""
    if isinstance(place, Span):
        return replace(diagnostic, labels=(Label(place, "the draft", primary=True),), context="")
    return replace(diagnostic, context=place or diagnostic.context)


def is_distilled(folder: Path) -> bool:
    """Whether `smcdsl distill` wrote the folder."""
    try:
        return DISTILLED in _config(folder)
    except (OSError, ValueError):
        return False


def fits(draft: Vocabulary, target: Vocabulary) -> bool:
    """Whether ids mean the same in both; ids that only one of them has must spell nothing."""
    shared = min(len(draft), len(target))
    if draft.token_bytes[:shared] != target.token_bytes[:shared]:
        return False
    return not any(draft.token_bytes[shared:]) and not any(target.token_bytes[shared:])


def vocabulary_of(folder: Path, target: Vocabulary) -> Vocabulary | None:
    """The vocabulary of a model's folder, read without the model; None if it cannot be.

    Ids that end a turn are taken to be the target's, since whatever else does spells nothing either.
    """
    from tokenizers import Tokenizer

    from smcdsl.models.token_bytes import read_vocabulary

    try:
        config = _config(folder)
        num_ids = int(config.get("text_config", config)["vocab_size"])
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return read_vocabulary(tokenizer, num_ids, [i for i in target.end_of_turn if i < num_ids])
    except Exception:
        # The tokenizers library raises bare exceptions; a folder that cannot be read fits nothing.
        return None


def fitting(target: LanguageModel) -> list[str]:
    """Models installed here, by their short names, whose tokens are the target's."""
    folders = {EMBEDDED: Path(source_of(EMBEDDED))}
    folders |= {alias.name: folder for alias in aliases().values() if (folder := installed(alias.hub)) is not None}
    found = []
    for name, folder in folders.items():
        own = vocabulary_of(folder, target.vocabulary) if name != target.name else None
        if own is not None and fits(own, target.vocabulary):
            found.append(name)
    return found


def other_tokens(name: str, num_tokens: int, target: LanguageModel, place: Span | str) -> Diagnostic:
    """E0704: a draft whose tokens are not the target's."""
    count = len(target.vocabulary)
    if not num_tokens:
        label = f"its tokens cannot be read; {target.name} has {count:,}"
    elif num_tokens != count:
        label = f"{num_tokens:,} tokens; {target.name} has {count:,}"
    else:
        label = f"as many tokens as {target.name} has, but not the same"
    found = fitting(target)
    note = f"drafts with the tokenizer of {target.name} that are installed here: {', '.join(found)}"
    return Diagnostic(
        "E0704",
        "the draft model uses a different tokenizer",
        labels=(Label(place, label, primary=True),) if isinstance(place, Span) else (),
        context="" if isinstance(place, Span) else place,
        facts=() if isinstance(place, Span) else (label,),
        notes=(note,) if found else (f"no other model with the tokenizer of {target.name} is installed here",),
        help="`draft: suffix` needs no model, and `smcdsl distill` trains a draft for this one",
    )
