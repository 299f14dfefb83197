"""A lookahead learned between runs: read before a run, frozen during it, written after it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.automaton.contexts import contexts_of
from smcdsl.cache import cache_dir
from smcdsl.inference.lookahead.counts import Counts
from smcdsl.inference.lookahead.learning import Recorder
from smcdsl.inference.lookahead.store import file_of, read_counts, version_of, write_counts
from smcdsl.inference.lookahead.twists import Twist, chosen_strength
from smcdsl.program.program import InferenceProfile, Program


def learned_lookahead(program: Program, model: Mapping[str, Any], profile: InferenceProfile) -> LearnedLookahead | None:
    """What a run's settings ask for, with the counts of the user's cache; None if that is nothing.

    Counts belong to a program's text, a model and what is made of its probabilities; each grammar has its own.
    """
    if profile.lookahead not in ("learned", "fixed") or profile.method not in ("smc", "is"):
        return None
    of_model = tuple((name, model.get(name)) for name in ("name", "weights_sha256", "dtype"))
    identity = (program.source.text, of_model, program.model.temperature, program.model.power)
    return LearnedLookahead(cache_dir(), identity, learns=profile.lookahead == "learned")


class LearnedLookahead:
    """The twists of one run: its `lookahead` and its `recorder`.

    Args:
        folder: the cache's.
        identity: what the counts belong to beside a grammar: program, model, target.
        learns: whether the run is added to the counts at its end.

    Attributes:
        version: names the counts that the run used: equal versions, equal twists. Empty if it used none.
    """

    def __init__(self, folder: Path, identity: tuple[object, ...], learns: bool) -> None:
        self._folder, self._identity = folder, identity
        self._read: dict[Path, Counts | None] = {}
        self._versions: dict[str, float] = {}
        self.recorder = Recorder(self.counts) if learns else None

    @property
    def used(self) -> dict[str, float]:
        """Versions of the counts that made a twist, with the power that it was raised to."""
        return dict(sorted(self._versions.items()))

    def __call__(self, automaton: Any) -> Twist | None:
        """The twist of an automaton; None where nothing is known yet, or what is known has not helped."""
        if not isinstance(automaton, TokenAutomaton):
            return None
        counts = self.counts(automaton)
        strength = 0.0 if counts is None else chosen_strength(counts)
        if counts is None or strength == 0.0:
            return None
        version = version_of(counts)
        self._versions[version] = strength
        return Twist(contexts_of(automaton), counts, strength, version)

    def save(self) -> None:
        """Keep what the run has found, for later ones."""
        for automaton, counts in () if self.recorder is None else self.recorder.after:
            write_counts(self._path(automaton), counts)

    def counts(self, automaton: TokenAutomaton) -> Counts | None:
        """What was known of an automaton when the run first asked."""
        path = self._path(automaton)
        if path not in self._read:
            self._read[path] = read_counts(path)
        return self._read[path]

    def _path(self, automaton: TokenAutomaton) -> Path:
        return file_of(self._folder, *self._identity, automaton.tables.fingerprint, automaton.following)
