"""Running acceptance: how often tokens of each kind of draft were kept, known before they are verified.

Kinds are short: a match's length, a model, forced text. An estimate is a mean with a prior of a few tokens' weight,
and old outcomes fade, so that it follows what the particles write now. It only steers what is drafted; what is
accepted follows from the laws alone, whatever is written here.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from smcdsl.inference.drafts.drafting import Requests
from smcdsl.prefixes import ROOT, Prefixes

_WEIGHT = 4.0
"""What a prior counts, in tokens."""
_FADES = 1 - 1 / 256


class Acceptance:
    """Means by kind.

    Args:
        priors: the probability to begin with; `default` for a kind that is not in it.
    """

    def __init__(self, priors: Mapping[Hashable, float], default: float = 0.5) -> None:
        self._priors, self._default = priors, default
        self._sums: dict[Hashable, list[float]] = {}

    def __getitem__(self, kind: Hashable) -> float:
        """The probability, as far as is known, that the next token of this kind is kept."""
        found = self._sums.get(kind)
        if found is None:
            return self._priors.get(kind, self._default)
        return found[0] / found[1]

    def mean(self, default: float = 0.6) -> float:
        """Over all kinds, as often as each was met; `default` where nothing is known."""
        total = sum(weight for _, weight in self._sums.values())
        return sum(kept for kept, _ in self._sums.values()) / total if total else default

    def record(self, kind: Hashable, kept: bool) -> None:
        """A token of this kind was verified, and all tokens before it in its chain were kept."""
        self.record_probability(kind, float(kept))

    def record_probability(self, kind: Hashable, probability: float) -> None:
        """The same where the probability to keep it is known: less noise than whether it was."""
        sums = self._sums.get(kind)
        if sums is None:
            prior = self._priors.get(kind, self._default)
            sums = self._sums[kind] = [_WEIGHT * prior, _WEIGHT]
        sums[0] = sums[0] * _FADES + probability
        sums[1] = sums[1] * _FADES + 1.0


class Acceptances:
    """Running acceptance by group, so that what a group drafts does not depend on the others in its batch.

    With `shared` there is one for all.
    """

    def __init__(self, priors: Mapping[Hashable, float], shared: bool = False) -> None:
        self._priors, self._shared = priors, shared
        self._groups: dict[int, Acceptance] = {}

    def __getitem__(self, group: int) -> Acceptance:
        """That of a group."""
        group = 0 if self._shared else group
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = Acceptance(self._priors)
        return found


class Followed:
    """Finds out what became of the tokens drafted for particles, from where they stand when they draft again.

    What a boundary cut off, and what a particle drafted that has ended since, stays unknown.

    Args:
        prefixes: the run's trie.
        acceptances: are told of every token of their group that was reached.
    """

    def __init__(self, prefixes: Prefixes, acceptances: Acceptances) -> None:
        self._prefixes, self._acceptances = prefixes, acceptances
        self._drafted: dict[tuple[int, int], tuple[int, list[tuple[int, Hashable]]]] = {}

    def expect(self, requests: Requests, drafted: Sequence[list[tuple[int, Hashable]]]) -> None:
        """Remember what was drafted for each particle: tokens with their kinds; None for a token of no interest."""
        starts = requests.prefixes[requests.rows].tolist()
        keys = zip(requests.groups.tolist(), requests.slots.tolist())
        self._drafted.update({key: (start, own) for key, start, own in zip(keys, starts, drafted) if own})

    def settle(self, requests: Requests) -> None:
        """Compare with where the particles stand now."""
        now = requests.prefixes[requests.rows].tolist()
        for key, prefix in zip(zip(requests.groups.tolist(), requests.slots.tolist()), now):
            start, drafted = self._drafted.pop(key, (ROOT, []))
            for (token, kind), written in zip(drafted, self._since(prefix, start, len(drafted))):
                if kind is not None:
                    self._acceptances[key[0]].record(kind, token == written)
                if token != written:
                    break

    def _since(self, prefix: int, start: int, most: int) -> list[int]:
        """The first tokens of `prefix` after `start`; none if it does not extend that."""
        parents, tokens = self._prefixes.parents, self._prefixes.tokens
        length = int(self._prefixes.lengths[start])
        written = []
        while int(self._prefixes.lengths[prefix]) > length:
            written.append(int(tokens[prefix]))
            prefix = int(parents[prefix])
        return written[::-1][:most] if prefix == start else []
