"""From the setting `draft` to the sources of a run.

`forced` is text that the grammar forces; `suffix` that and matches with earlier text; `self` and the name of a model
or folder are those two and then the model. What costs nothing comes first.

Drafts from text alone change no particle, so they may look at whatever was written before, in earlier runs and other
groups. Where a model drafts too, what it draws depends on where text left off, and each group keeps to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from smcdsl.errors import Span
from smcdsl.inference.drafts.drafting import Chain, Maker, Surroundings
from smcdsl.inference.drafts.model import ModelDrafts, model_acceptances
from smcdsl.inference.drafts.text import Memory, TextDrafts
from smcdsl.models.draft_models import SELF, Drafting, load_draft
from smcdsl.prefixes import Prefixes
from smcdsl.protocols import LanguageModel, Role, Session, TurnTokens
from smcdsl.vocabulary import Vocabulary

FORCED, SUFFIX = "forced", "suffix"
"""Drafts that need no model."""


def makers(
    draft: str,
    target: LanguageModel,
    load: Callable[[str, LanguageModel], Drafting] | None = None,
    place: Span | str = "",
) -> tuple[Maker, ...]:
    """Makers of a run's sources, in the order of their chain.

    Args:
        draft: the setting.
        target: the model that is drafted for.
        load: loads a draft by its name, in place of `load_draft`.
        place: where the draft was asked for, for messages.

    Raises:
        ModelError: there is no such model.
        UsageError: E0704, its tokens are not the target's.
    """
    if draft in (FORCED, SUFFIX):
        memory = _known_of(target).memory
        return (lambda surroundings: TextDrafts(surroundings, suffixes=draft == SUFFIX, memory=memory),)
    # A draft that is the target itself would keep it alive.
    known = {} if draft == SELF else _known_of(target).drafts
    key = (draft, _written(draft))
    if key not in known:
        known[key] = load_draft(draft, target, place) if load is None else load(draft, target)
    drafting = known[key]
    return (lambda surroundings: texts_and_model(surroundings, drafting, draft),)


@dataclass
class _Known:
    """What is kept for a target while it lives: what it wrote, and the drafts loaded for it."""

    memory: Memory = field(default_factory=Memory)
    drafts: dict[tuple[str, float], Drafting] = field(default_factory=dict)


_known: WeakKeyDictionary[LanguageModel, _Known] = WeakKeyDictionary()


def _known_of(target: LanguageModel) -> _Known:
    return _known.setdefault(target, _Known())


def _written(draft: str) -> float:
    """When a draft's folder was written, 0 for what is no folder: another draft may lie there now."""
    try:
        return (Path(draft) / "config.json").stat().st_mtime
    except OSError:
        return 0.0


@dataclass(frozen=True)
class DraftedModel:
    """A model with what drafts for it in runs that do not say otherwise; else it is the model."""

    model: LanguageModel
    draft: str
    makers: tuple[Maker, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """See `LanguageModel`."""
        return self.model.name

    @property
    def vocabulary(self) -> Vocabulary:
        """See `LanguageModel`."""
        return self.model.vocabulary

    @property
    def context_length(self) -> int:
        """See `LanguageModel`."""
        return self.model.context_length

    @property
    def description(self) -> dict[str, Any]:
        """See `LanguageModel`; with the draft's name."""
        return self.model.description | {"draft": self.draft}

    def encode(self, text: str, *, starts_text: bool = False) -> list[int]:
        """See `LanguageModel`."""
        return self.model.encode(text, starts_text=starts_text)

    def begin_text(self) -> list[int]:
        """See `LanguageModel`."""
        return self.model.begin_text()

    def turn(self, earlier: Sequence[Role], role: Role) -> TurnTokens:
        """See `LanguageModel`."""
        return self.model.turn(earlier, role)

    def start(self, prefixes: Prefixes) -> Session:
        """See `LanguageModel`."""
        return self.model.start(prefixes)


def texts_and_model(surroundings: Surroundings, drafting: Drafting, name: str) -> Chain:
    """Text first, then the model; a match that the model is better than is left to it."""
    known = model_acceptances()
    session = drafting.start(surroundings.prefixes)
    sources = (
        TextDrafts(surroundings, rival=known),
        ModelDrafts(surroundings, session, name, known),
    )
    return Chain(sources, surroundings)
