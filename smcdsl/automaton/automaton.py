"""TokenAutomaton: which tokens may come next in a hole, for all particles at once.

A state is an int: a configuration of the recogniser, the *tails* (lengths k such that the text is some text of
the language followed by the first k bytes of what follows the hole, as bits), and the number of tokens if the
grammar limits them. States are interned as they are met; masks and successors are remembered per state. When
a hole ends is in the language reference, 2.2.3; of several ways to split the text into hole and following text
the one with the shortest hole counts.
"""

from __future__ import annotations

from threading import RLock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.limits import TokenLimit
from smcdsl.automaton.recognizers import ParsedRecognizer, RegularRecognizer
from smcdsl.automaton.rows import MaskRows
from smcdsl.automaton.sites import Site, SiteFinder
from smcdsl.automaton.tables import AutomatonTables
from smcdsl.automaton.walks import Walker
from smcdsl.errors import CompileError, Diagnostic

DEAD = -1

_FIRST_CAPACITY = 1024
_SMALL_VOCABULARY = 4096
_SMALL_PARSER = 128
"""Up to so many tokens, and states of the parser, a limit that is near is decided by search."""
_SEARCH_STEPS = 2000


class Reading(NamedTuple):
    """What a state stands for. `configuration` 0: no text of the language begins like the text so far."""

    configuration: int
    tails: int
    num_tokens: int
    """Tokens so far, always 0 if the grammar does not limit them; -1: ended by an end-of-turn token."""


class TokenAutomaton:
    """A hole's grammar over a vocabulary, ended by an end-of-turn token or by the text that follows."""

    def __init__(self, tables: AutomatonTables, following: bytes | None) -> None:
        """Make an automaton with no state but the first.

        Args:
            tables: the compiled grammar.
            following: the given text right after the hole, not empty; None if the hole ends its turn.

        Raises:
            CompileError: E0403, restrictions leave no text; E0410, no tokens spell any text of the grammar with
                its end.
        """
        if following == b"":
            raise ValueError("the text that follows a hole must not be empty")
        self.tables, self.following = tables, following
        self.boundaries = tables.boundaries
        self._recognizer: RegularRecognizer | ParsedRecognizer = (
            ParsedRecognizer(tables) if tables.regular is None else RegularRecognizer(tables.regular, 1)
        )
        self._walker = Walker(tables, self._recognizer, following)
        self._limit = TokenLimit(tables, self._walker)
        self._rows = MaskRows(tables.vocab_size)
        self._sites = SiteFinder(tables, self._recognizer)
        self._lock = RLock()
        self._readings: list[Reading] = []
        self._numbers: dict[Reading, int] = {}
        self._finished = np.zeros(_FIRST_CAPACITY, dtype=np.bool_)
        self._written = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._row_of = np.full(_FIRST_CAPACITY, -1, dtype=np.int64)
        self._successors: dict[int, int] = {}
        self._noticed: dict[int, int] = {}
        self._turn_ends = frozenset(tables.end_of_turn)
        self._search_always = not self._walker.spells_all_bytes
        self._search_near_limit = (
            self._limit.active
            and tables.vocab_size <= _SMALL_VOCABULARY
            and (tables.parser is None or len(tables.parser.shift) <= _SMALL_PARSER)
        )
        self._completable: dict[int, bool] = {}
        self._undecided = 0
        self.start = self._intern(Reading(self._recognizer.start, 0, 0))
        if not self._walker.completion.possible(self._recognizer.start):
            raise CompileError(Diagnostic("E0403", "no text can match this grammar"))
        if self._searches(0) and not self._can_finish(self.start):
            raise CompileError(cannot_spell(self._walker.missing_bytes(), self._limit.most))

    def masks(self, states: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The tokens that may come next.

        Args:
            states: (N,), none of them DEAD.

        Returns:
            (N, W) bit t % 32 of word t // 32 is set when some way to go on after token t is admissible; for
            end-of-turn tokens exactly when the hole may end here. All zero once the hole has ended.
        """
        with self._lock:
            rows = self._row_of[states]
            if (rows < 0).any():
                if self._rows.is_full:
                    self._rows.clear()
                    self._row_of[:] = -1
                for state in np.unique(states[self._row_of[states] < 0]).tolist():
                    self._row_of[state] = self._rows.add(self._mask(state))
                rows = self._row_of[states]
            return self._rows.take(rows)

    def advance(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) the states after one token each; DEAD where the token was not allowed."""
        with self._lock:
            known = self._successors
            size = self.tables.vocab_size
            result = []
            for state, token in zip(states.tolist(), tokens.tolist()):
                after = known.get(state * size + token)
                if after is None:
                    after = known[state * size + token] = self._advance(state, token)
                result.append(after)
            return np.array(result, dtype=np.int64)

    def finished(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether the tokens so far are admissible: the hole has ended."""
        return self._finished[states] & (states >= 0)

    def written(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) how many bytes of the following text the model wrote itself, where the hole has ended."""
        return self._written[states]

    def noticed(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.uint64]:
        """(N,) bit i is set when the token makes a site of boundary i certain, as `sites` will say."""
        with self._lock:
            if not self.boundaries or not self._sites.incremental:
                return np.zeros(len(states), dtype=np.uint64)
            known = self._noticed
            size = self.tables.vocab_size
            result = []
            for state, token in zip(states.tolist(), tokens.tolist()):
                bits = known.get(state * size + token)
                if bits is None:
                    bits = known[state * size + token] = self._notice(state, token)
                result.append(bits)
            return np.array(result, dtype=np.uint64)

    def sites(self, text: bytes, complete: bool) -> tuple[Site, ...]:
        """Occurrences of boundary rules in the text of a hole, in order of their end.

        Args:
            text: the hole's text so far; a text of the language if `complete`.
            complete: False to get those that are certain already, however the text goes on.
        """
        with self._lock:
            return self._sites.find(text, complete)

    def sizes(self) -> dict[str, int]:
        """Numbers for reports: states, distinct masks, bytes of masks, states kept without proof."""
        return {
            "states": len(self._readings),
            "masks": len(self._rows),
            "mask_bytes": self._rows.nbytes,
            "undecided": self._undecided + self._walker.undecided,
        }

    def _mask(self, state: int) -> NDArray[np.uint32]:
        reading = self._readings[state]
        mask = self._rows.empty()
        if self._finished[state]:
            return mask
        if self._may_end_turn(reading):
            for token in self._turn_ends:
                mask[token >> 5] |= np.uint32(1 << (token & 31))
        search = self._searches(reading.num_tokens)
        if search or self._limit.constrains(reading.num_tokens):
            for tokens, after in self._after_tokens(reading):
                if after >= 0 and (not search or self._can_finish(after)):
                    np.bitwise_or.at(mask, tokens >> 5, np.uint32(1) << (tokens & 31).astype(np.uint32))
        else:
            self._walker.fill(reading.configuration, reading.tails, mask)
        return mask

    def _may_end_turn(self, reading: Reading) -> bool:
        return (
            self.following is None
            and reading.num_tokens >= 0
            and self._limit.allows_end(reading.num_tokens)
            and self._recognizer.may_end(reading.configuration)
        )

    def _after_tokens(self, reading: Reading) -> list[tuple[NDArray[np.int32], int]]:
        """(tokens, state after any of them) for all tokens that the recogniser allows."""
        count = self._limit.counted(reading.num_tokens)
        window = self._limit.window(reading.num_tokens)
        return [
            (tokens, self._settle(configuration, tails, count))
            for tokens, configuration, tails in self._walker.outcomes(reading.configuration, reading.tails, window)
        ]

    def _advance(self, state: int, token: int) -> int:
        if state < 0 or self._finished[state]:
            return DEAD
        reading = self._readings[state]
        if token in self._turn_ends:
            return self._intern(Reading(0, 0, -1)) if self._may_end_turn(reading) else DEAD
        text = self._walker.spell(token)
        if not text:
            return DEAD
        window = self._limit.window(reading.num_tokens)
        configuration, tails = self._walker.read(reading.configuration, reading.tails, text, window)
        after = self._settle(configuration, tails, self._limit.counted(reading.num_tokens))
        if after >= 0 and self._searches(reading.num_tokens) and not self._can_finish(after):
            return DEAD
        return after

    def _searches(self, num_tokens: int) -> bool:
        """Whether only a search tells if the hole can still end after one more token."""
        return self._search_always or (self._search_near_limit and self._limit.is_near(num_tokens))

    def _settle(self, configuration: int, tails: int, count: int) -> int:
        """The state after a token that led here; DEAD if the hole can no longer end."""
        if configuration and not self._limit.feasible(configuration, count):
            configuration = 0
        if not configuration and not tails:
            return DEAD
        return self._intern(Reading(configuration, tails, count))

    def _intern(self, reading: Reading) -> int:
        number = self._numbers.get(reading)
        if number is None:
            number = self._numbers[reading] = len(self._readings)
            self._readings.append(reading)
            if number == len(self._finished):
                self._finished = np.concatenate([self._finished, np.zeros_like(self._finished)])
                self._written = np.concatenate([self._written, np.zeros_like(self._written)])
                self._row_of = np.concatenate([self._row_of, np.full_like(self._row_of, -1)])
            self._finished[number], self._written[number] = self._end_of(reading)
        return number

    def _end_of(self, reading: Reading) -> tuple[bool, int]:
        """Whether the hole has ended, and how much of the following text was written."""
        if reading.num_tokens < 0:
            return True, 0
        longest = reading.tails.bit_length() - 1
        if self.following is not None and longest > 0 and (longest == len(self.following) or not reading.configuration):
            return True, longest
        return False, 0

    def _can_finish(self, state: int) -> bool:
        """Whether some tokens lead from `state` to the end of the hole: a search, remembered.

        Decides with a bounded number of steps; beyond them the answer is yes, and counted.
        """
        known = self._completable.get(state)
        if known is not None:
            return known
        parents = {state: state}
        agenda = [state]
        for current in agenda:
            if self._completable.get(current) or self._finished[current] or self._may_end_turn(self._readings[current]):
                return self._prove(parents, current)
            if self._completable.get(current) is False:
                continue
            if len(agenda) > _SEARCH_STEPS:
                self._undecided += 1
                return self._prove(parents, current)
            for _, after in self._after_tokens(self._readings[current]):
                if after >= 0 and after not in parents:
                    parents[after] = current
                    agenda.append(after)
        for visited in parents:
            self._completable[visited] = False
        return False

    def _prove(self, parents: dict[int, int], state: int) -> bool:
        self._completable[state] = True
        while parents[state] != state:
            state = parents[state]
            self._completable[state] = True
        return True

    def _notice(self, state: int, token: int) -> int:
        if state < 0 or token in self._turn_ends or self._finished[state]:
            return 0
        return self._sites.noticed(self._readings[state].configuration, self._walker.spell(token))


def cannot_spell(missing: bytes, most: int | None) -> Diagnostic:
    """E0410: the tokens of the model cannot make any text of the grammar, or not so few of them."""
    shown = ", ".join(repr(chr(byte)) if 32 <= byte < 127 else f"byte 0x{byte:02x}" for byte in missing[:8])
    limit = "" if most is None else f" in {most} tokens"
    return Diagnostic(
        "E0410",
        f"the model's vocabulary cannot spell any text of this grammar{limit}",
        facts=(f"no token contains {shown}",) if missing else (),
        help="use a model with single-byte tokens, or a grammar over the texts that its tokens spell",
    )
