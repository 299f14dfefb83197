"""TokenAutomaton: which tokens may come next in a hole, for all particles at once.

A state is an int: a set of hypotheses of lexer and parser, the *tails* (lengths k such that the text is some text of
the language followed by the first k bytes of what follows the hole, as bits), and the number of tokens if the
grammar limits them. When a hole ends is in the language reference, 2.2.3; of several ways to split the text into
hole and following text the one with the shortest hole counts. States, rows and stacks are made by compiled code
(`machine.py`); here is what needs the whole picture: limits, searches, sites.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from pathlib import Path
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import layout
from smcdsl.automaton.applying import gather
from smcdsl.automaton.closing import Closing
from smcdsl.automaton.completion import Completion
from smcdsl.automaton.distinct import mapped
from smcdsl.automaton.forcing import Forcing
from smcdsl.automaton.layout import PLACES, STATES
from smcdsl.automaton.limits import UNASKED, TokenLimit, missing_tokens
from smcdsl.automaton.machine import Held, Machine
from smcdsl.automaton.mistakes import cannot_spell
from smcdsl.automaton.recognizers import Hypothesis, ParsedRecognizer, RegularRecognizer
from smcdsl.automaton.remembered import Column, Remembered
from smcdsl.automaton.sites import Site, SiteFinder
from smcdsl.automaton.tables import AutomatonTables
from smcdsl.errors import CompileError, Diagnostic
from smcdsl.log_rows import Allowed, Laws

DEAD = -1

_SMALL_VOCABULARY = 4096
_SMALL_PARSER = 128
"""Up to so many tokens, and states of the parser, a limit that is near is decided by search."""
_SEARCH_STEPS = 2000
_KEPT_GUESSES = 1 << 24
"""Guesses for tokens of places that are remembered, four bytes each; beyond them all are forgotten."""


class TokenAutomaton:
    """A hole's grammar over a vocabulary, ended by an end-of-turn token or by the text that follows."""

    def __init__(self, tables: AutomatonTables, following: bytes | None, cache_dir: Path | None = None) -> None:
        """Make an automaton with no state but the first.

        Args:
            tables: the compiled grammar.
            following: the given text right after the hole, not empty; None if the hole ends its turn.
            cache_dir: where walks over the vocabulary are kept; None to keep none.

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
        self._completion = (
            Completion(tables, self._recognizer) if isinstance(self._recognizer, ParsedRecognizer) else None
        )
        self._machine = Machine(tables, following or b"", self._possible, cache_dir)
        self._limit = TokenLimit(tables, self._machine)
        self._closing: Closing | None = None
        if self._limit.most is not None and Closing.fits(tables, self._recognizer):
            assert isinstance(self._recognizer, ParsedRecognizer)
            self._closing = Closing(tables, self._machine, self._recognizer)
        self._guesses, self._guesses_after = Column(), Remembered(tables.vocab_size, _KEPT_GUESSES)
        self._sites = SiteFinder(tables, self._recognizer, following)
        self._forcing = Forcing(self._machine, self._spell, self.mask, self.next)
        self._lock = RLock()
        self._noticed: dict[int, int] = {}
        self._turn_ends = frozenset(tables.end_of_turn)
        self._search_always = not self._spells_all_bytes()
        self._search_near_limit = (
            self._limit.active
            and tables.vocab_size <= _SMALL_VOCABULARY
            and (tables.parser is None or len(tables.parser.shift) <= _SMALL_PARSER)
        )
        self._set_limits()
        self._completable: dict[int, bool] = {}
        self._left: dict[int, int] = {}
        self._undecided = 0
        config, _ = self._machine.parts_of(self._machine.start_place)
        self.start = self._machine.state(self._machine.start_place, 0)
        if not config or not self._possible(self._machine.hypotheses(config)):
            raise CompileError(Diagnostic("E0403", "no text can match this grammar"))
        if self._searches(0) and not self._can_finish(self.start):
            raise CompileError(cannot_spell(self._missing_bytes(), self._limit.most))
        self._machine.blocks.make_ahead()

    def masks(self, states: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The tokens that may come next.

        Args:
            states: (N,), none of them DEAD.

        Returns:
            (N, W) bit t % 32 of word t // 32 is set when some way to go on after token t is admissible; for
            end-of-turn tokens exactly when the hole may end here. All zero once the hole has ended.
        """
        out = np.empty((len(states), self._machine.words), dtype=np.uint64)
        self.fill(states, out)
        return out.view(np.uint32)[:, : (self.tables.vocab_size + 31) // 32]

    def fill(self, states: NDArray[np.int64], out: NDArray[np.uint64]) -> None:
        """Write the masks of states, (N,), into `out`, (N, W) contiguous, where W = ceil(V / 64)."""
        states = np.ascontiguousarray(states, dtype=np.int64)
        with self._lock:
            self._machine.rows(states, out, self._special_row)

    def rows(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) the numbers of the masks of states, rows of `row_table`; nothing is copied."""
        states = np.ascontiguousarray(states, dtype=np.int64)
        with self._lock:
            return self._machine.rows(states, None, self._special_row)

    @property
    def row_table(self) -> NDArray[np.uint32]:
        """(R, 2 ceil(V / 64)) masks by number. A number is good until the next call that asks for masks."""
        return self._machine.row_table

    def pick(self, states: NDArray[np.int64], values: Laws, rows: NDArray[np.int64]) -> Allowed:
        """What the masks of states, (N,), allow of `values`, (M, V), in rows `rows`, (N,). Masks are not copied."""
        states = np.ascontiguousarray(states, dtype=np.int64)
        with self._lock:
            numbers = self._machine.rows(states, None, self._special_row)
            table: NDArray[np.uint64] = self._machine.pools.get(layout.ROWS)
            if isinstance(values, np.ndarray):
                return gather(table, numbers, values, rows)
            return values.allowed(table, numbers, rows)

    def mask(self, state: int) -> NDArray[np.uint32]:
        """The mask of one state, not to be written to; good until the next call that asks for masks."""
        with self._lock:
            row = self._machine.row(state, self._special_row)
            return self._machine.row_table[row]

    def advance(self, states: NDArray[np.int64], tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) the states after one token each; DEAD where the token was not allowed."""
        states = np.ascontiguousarray(states, dtype=np.int64)
        tokens = np.ascontiguousarray(tokens, dtype=np.int64)
        with self._lock:
            return self._machine.advance(states, tokens, self._special_advance)

    def next(self, state: int, token: int) -> int:
        """The state after one token; DEAD if it is not allowed."""
        with self._lock:
            return self._machine.next(state, token, self._special_advance)

    def forced(self, state: int) -> bytes:
        """The text that the grammar forces after a state: every admissible way to go on begins with it.

        It ends where two bytes are possible, where the hole may end, and after `forcing.FORCED_BYTES`; it may end
        within a character. Once the hole has ended nothing is forced. For drafts: how forced text is cut into
        tokens is the model's choice, so masks allow every way. A limit on tokens counts where it is near.
        """
        with self._lock:
            return self._forcing.after(state)

    def finished(self, states: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(N,) whether the tokens so far are admissible: the hole has ended."""
        done: NDArray[np.int32] = self._machine.pools.get(layout.STATE_DONE)
        return (done[states] > 0) & (states >= 0)

    def written(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) how many bytes of the following text the model wrote itself, where the hole has ended."""
        done: NDArray[np.int32] = self._machine.pools.get(layout.STATE_DONE)
        return np.maximum(done[states].astype(np.int64) - 1, 0)

    def noticed(
        self, states: NDArray[np.int64], tokens: NDArray[np.int64], text_before: Callable[[int], bytes]
    ) -> NDArray[np.uint64]:
        """(N,) which boundaries each token makes sites of certain, as `sites` will say: bits (`site.boundary_bit`).

        Args:
            states: (N,).
            tokens: (N,).
            text_before: what the model wrote of the hole before the token of an index. Asked for only where a state
                does not tell the sites.
        """
        with self._lock:
            if not self.boundaries:
                return np.zeros(len(states), dtype=np.uint64)
            notice = self._notice if self._sites.by_configuration else self._notice_in
            pairs = zip(states.tolist(), tokens.tolist())
            found = [notice(state, token, index, text_before) for index, (state, token) in enumerate(pairs)]
            return np.array(found, dtype=np.uint64)

    def sites(self, text: bytes, complete: bool) -> tuple[Site, ...]:
        """Occurrences of boundary rules in the text of a hole, in order of their end.

        Args:
            text: the hole's text so far; a text of the language if `complete`.
            complete: False to get those that are certain already, however the text goes on.
        """
        with self._lock:
            return self._sites.find(text, complete)

    def bytes_left(self, state: int) -> int:
        """A guess of how many bytes are left to write, for searches to go by; 0 where there is none."""
        with self._lock:
            return self._bytes_left(state)

    @property
    def guesses_ends(self) -> bool:
        """Whether there is a limit on tokens, of which masks know no more than a bound."""
        return self._closing is not None

    def tokens_left(self, states: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) how many more tokens the hole may have, where `guesses_ends`."""
        assert self._limit.most is not None
        counts = self._machine.pools.column(STATES, layout.SECOND)[states].astype(np.int64) - 1
        return self._limit.most - np.maximum(counts, 0)

    def tokens_missing(self, states: NDArray[np.int64], within: int) -> NDArray[np.int64]:
        """(N,) about how many more tokens than are left the hole needs to end, where `guesses_ends` (`closing`).

        Below zero where tokens are to spare; `limits.FAR_FROM_LIMIT` where more than `within` are left, of which
        nothing is asked.
        """
        assert self._limit.most is not None
        pools, found = self._machine.pools, np.empty(len(states), dtype=np.int64)
        with self._lock:
            places, counts = pools.column(STATES, layout.FIRST), pools.column(STATES, layout.SECOND)
            known = places, counts, pools.get(layout.STATE_DONE), self._limit.most, within
            unknown = missing_tokens(states, *known, self._guesses.known, found)
            if unknown:
                self._guesses.of(places[states[found == UNASKED]], self._guess)
                missing_tokens(states, *known, self._guesses.known, found)
        return found

    def tokens_to_end_after(self, state: int, tokens: NDArray[np.int32]) -> NDArray[np.int64]:
        """(K,) the same after each of some tokens that the mask of a state allows."""
        place = self._machine.place_of(state)
        with self._lock:
            return self._guesses_after.of(place, tokens, lambda new: self._guess_after(place, new))

    def known_to_end_after(self, state: int) -> NDArray[np.int32]:
        """(V,) what `tokens_to_end_after` has been asked of a state's place, -1 elsewhere; not for long."""
        with self._lock:
            return self._guesses_after.row(self._machine.place_of(state))

    def sizes(self) -> dict[str, int]:
        """Numbers for reports: states, distinct masks and their bytes, bytes of all, states kept without proof."""
        return {
            "states": self._machine.pools.used(STATES) - 1,
            "masks": self._machine.num_rows,
            "mask_bytes": self._machine.num_rows * 8 * self._machine.words,
            "bytes": self._machine.nbytes,
            "undecided": self._undecided + (0 if self._completion is None else self._completion.undecided),
        }

    def _guess(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        assert self._closing is not None
        parts = [self._machine.parts_of(place) for place in places.tolist()]
        return np.array([0 if tails or not config else self._closing.tokens_left(config) for config, tails in parts])

    def _guess_after(self, place: int, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        assert self._closing is not None
        config, tails = self._machine.parts_of(place)
        if tails or not config:
            return self._guess_reading(place, tokens)
        guesses = self._closing.tokens_left_inside(config, tokens)
        others = np.flatnonzero(guesses < 0)
        if len(others):
            guesses[others] = self._guess_reading(place, tokens[others])
        return guesses

    def _guess_reading(self, place: int, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        assert self._closing is not None
        pools = self._machine.pools
        states = self._machine.read_all(place, 0, tokens)
        places = pools.column(STATES, layout.FIRST)[states]
        configs, tails = pools.column(PLACES, layout.FIRST)[places], pools.column(PLACES, layout.SECOND)[places]
        done: NDArray[np.int32] = pools.get(layout.STATE_DONE)
        # 0 is no config; nor is there one to ask about where the text has ended.
        configs = np.where((states < 0) | (tails != 0) | (done[states] != 0), 0, configs)
        return mapped(configs, 0, self._closing.tokens_left)

    def _set_limits(self) -> None:
        table, limit = self._machine.pools.table, self._limit
        table[layout.COUNTS] = limit.active
        table[layout.LEAST] = limit.least
        table[layout.MOST] = -1 if limit.most is None else limit.most
        # Without a limit every count is 0, so that the states of a search are as few as the places.
        free = (1, 0) if self._search_always else limit.free_counts(self._search_near_limit)
        table[layout.COUNT_FROM], table[layout.COUNT_TO] = free

    def _special_row(self, state: int) -> int:
        """The row of a state whose mask limits or a small vocabulary have a say in."""
        machine = self._machine
        place, count = machine.place_of(state), machine.count_of(state)
        tokens = machine.tokens_of(place)
        if self.following is None and count == self._limit.most:
            # One token more would be one too many, but for those that only end the turn.
            tokens = tokens[np.isin(tokens, self.tables.end_of_turn)]
        search = self._searches(count)
        after = machine.read_all(place, count, tokens) + 1  # 0 for none
        good = np.zeros(int(after.max(initial=0)) + 1, dtype=np.bool_)
        good[after] = True
        for follower in np.flatnonzero(good).tolist():
            settled = self._settled(follower - 1)
            good[follower] = settled >= 0 and (not search or self._can_finish(settled))
        bits = np.zeros(64 * machine.words, dtype=np.uint8)
        bits[tokens[good[after]]] = 1
        return machine.keep_row(np.packbits(bits, bitorder="little").view(np.uint32))

    def _special_advance(self, state: int, token: int) -> int:
        machine = self._machine
        place, count = machine.place_of(state), machine.count_of(state)
        after = self._settled(int(machine.read_all(place, count, np.array([token], dtype=np.int64))[0]))
        if after >= 0 and self._searches(count) and not self._can_finish(after):
            return DEAD
        return after

    def _settled(self, state: int) -> int:
        """The same state without what can no longer end within the limit; DEAD where nothing is left."""
        if state < 0:
            return DEAD
        machine = self._machine
        count = machine.count_of(state)
        config, tails = machine.parts_of(machine.place_of(state))
        if count < 0 or not config or not self._limit.active or self._limit.feasible(config, count):
            return state
        return machine.state(machine.place(0, tails), count) if tails else DEAD

    def _searches(self, num_tokens: int) -> bool:
        """Whether only a search tells if the hole can still end after one more token."""
        return self._search_always or (self._search_near_limit and self._limit.is_near(num_tokens))

    def _may_end_turn(self, state: int) -> bool:
        machine = self._machine
        config, _ = machine.parts_of(machine.place_of(state))
        return self.following is None and self._limit.allows_end(machine.count_of(state)) and machine.may_end(config)

    def _followers(self, state: int) -> list[int]:
        """All states that a token leads to, end-of-turn tokens left out."""
        machine = self._machine
        place, count = machine.place_of(state), machine.count_of(state)
        tokens = machine.tokens_of(place)
        after = map(self._settled, np.unique(machine.read_all(place, count, tokens)).tolist())
        return sorted({state for state in after if state >= 0})

    def _can_finish(self, state: int) -> bool:
        """Whether some tokens lead from `state` to the end of the hole: a search, remembered.

        It goes first where the fewest bytes are left. Decides with a bounded number of steps; beyond them the
        answer is yes, and counted.
        """
        known = self._completable.get(state)
        if known is not None:
            return known
        parents = {state: state}
        agenda = [(self._bytes_left(state), 0, state)]
        while agenda:
            _, _, current = heappop(agenda)
            if self._completable.get(current) or self._is_finished(current) or self._may_end_turn(current):
                return self._prove(parents, current)
            if self._completable.get(current) is False:
                continue
            if len(parents) > _SEARCH_STEPS:
                self._undecided += 1
                return self._prove(parents, current)
            for after in self._followers(current):
                if after not in parents:
                    parents[after] = current
                    heappush(agenda, (self._bytes_left(after), len(parents), after))
        for visited in parents:
            self._completable[visited] = False
        return False

    def _bytes_left(self, state: int) -> int:
        """A guess of how many bytes are left to write, for a search to go by; 0 where there is none."""
        config, tails = self._machine.parts_of(self._machine.place_of(state))
        if tails or self._completion is None:
            return 0
        known = self._left.get(config)
        if known is None:
            hypotheses = self._machine.hypotheses(config)
            known = self._left[config] = self._completion.bytes_left(self._configuration(hypotheses))
        return known

    def _is_finished(self, state: int) -> bool:
        return bool(self._machine.pools.get(layout.STATE_DONE)[state])

    def _prove(self, parents: dict[int, int], state: int) -> bool:
        self._completable[state] = True
        while parents[state] != state:
            state = parents[state]
            self._completable[state] = True
        return True

    def _notice(self, state: int, token: int, index: int, text_before: Callable[[int], bytes]) -> int:
        key = state * self.tables.vocab_size + token
        bits = self._noticed.get(key)
        if bits is None:
            bits = 0
            if not self._ends_by(state, token):
                config, _ = self._machine.parts_of(self._machine.place_of(state))
                hypotheses = self._machine.hypotheses(config)
                bits = self._sites.noticed(self._configuration(hypotheses), self._spell(token))
            self._noticed[key] = bits
        return bits

    def _notice_in(self, state: int, token: int, index: int, text_before: Callable[[int], bytes]) -> int:
        return 0 if self._ends_by(state, token) else self._sites.noticed_in(text_before(index), self._spell(token))

    def _ends_by(self, state: int, token: int) -> bool:
        """Whether there is nothing to write behind a state, or by a token."""
        return state < 0 or token in self._turn_ends or self._is_finished(state)

    def _spell(self, token: int) -> bytes:
        trie = self.tables.trie
        return trie.text[trie.text_start[token] : trie.text_start[token + 1]].tobytes()

    def _configuration(self, hypotheses: list[Held]) -> int:
        """The recogniser's number for some hypotheses."""
        recognizer = self._recognizer
        assert isinstance(recognizer, ParsedRecognizer)
        stacks = self._machine.whole_stacks
        return recognizer.of_hypotheses(
            hypotheses[0][3] if hypotheses else 1,
            [Hypothesis(q, recognizer.stacks.of_stacks(stacks(node)), owed) for q, node, owed, _ in hypotheses],
        )

    def _possible(self, hypotheses: list[Held]) -> bool:
        """Whether one of some hypotheses can be completed."""
        if self._completion is None or self._completion.takes_for_granted():
            return True
        return self._completion.possible(self._configuration(hypotheses))

    def _spells_all_bytes(self) -> bool:
        """Whether every byte that may be needed is a token by itself, so that every text can be written."""
        trie = self.tables.trie
        first = np.flatnonzero(trie.depth == 1)
        single = set(trie.byte[first[trie.first_token[first] != trie.first_token[first + 1]]].tolist())
        return len(single) == 256 or self._needed_bytes() <= single

    def _missing_bytes(self) -> bytes:
        """Bytes that texts may need and no token contains."""
        return bytes(sorted(self._needed_bytes() - set(self.tables.trie.byte[1:].tolist())))

    def _needed_bytes(self) -> set[int]:
        tables = self.tables.regular or self.tables.lexer
        assert tables is not None
        return {*np.flatnonzero(tables.next_state.any(axis=0)).tolist(), *(self.following or b"")}
