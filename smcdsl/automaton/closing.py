"""About how many tokens a text still needs to end, where that is not known exactly.

A rest of the text is thought of as lexemes one after another, each spelled by tokens of its own, words with a space
before them where spaces are passed over. Tokens that read the end of one lexeme and the beginning of the next save
some, so the number is a guess, mostly right or one too high. Masks must not go by it; proposals may
(`inference/lookahead/budget`). For deterministic parsers.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.bits import bits
from smcdsl.automaton.distinct import mapped
from smcdsl.automaton.machine import Machine
from smcdsl.automaton.recognizers import ParsedRecognizer
from smcdsl.automaton.shortest import FAR, ShortestEnds
from smcdsl.automaton.stacks import LinearStacks
from smcdsl.automaton.tables import AutomatonTables

MOST_STATES = 2_000
"""LR states of parsers at most; the ways to an end are worked out for all of them."""
_MOST_LEXEMES = 3
_MOST_CUTS = 4
"""Lexemes in a token, and places in tokens where a lexeme ends, up to which tokens need not be read."""
_MOST_INSIDE = 256
"""Lexer states of which it is remembered where all tokens end, four bytes a token."""
_MOST_STEPS = 400
"""Lexer states that are walked from for one lexeme; beyond them it is taken to need no more tokens than found."""


class Closing:
    """The guesses of one automaton. `machine` and `recognizer` are the automaton's."""

    def __init__(self, tables: AutomatonTables, machine: Machine, recognizer: ParsedRecognizer) -> None:
        assert tables.lexer is not None
        assert tables.parser is not None
        assert isinstance(recognizer.stacks, LinearStacks), "made for deterministic parsers"
        self._tables, self._machine, self._recognizer = tables, machine, recognizer
        self._lexer, self._parser, self._stacks = tables.lexer, tables.parser, recognizer.stacks
        self._reached: dict[int, NDArray[np.int64]] = {}
        self._lexemes: dict[tuple[int, int], int] = {}
        self._inside: dict[tuple[int, int], tuple[NDArray[np.int32], list[tuple[int, int]] | None]] = {}
        self._numbers: dict[int, int] = {}
        self._known: dict[int, int] = {}
        self._known_between: dict[tuple[int, int], int] = {}
        self._spaced: dict[int, NDArray[np.int64]] = {}

    @staticmethod
    def fits(tables: AutomatonTables, recognizer: object) -> bool:
        """Whether there are guesses for an automaton."""
        if not isinstance(recognizer, ParsedRecognizer) or not isinstance(recognizer.stacks, LinearStacks):
            return False
        return tables.parser is not None and len(tables.parser.shift) <= MOST_STATES

    def tokens_left(self, config: int) -> int:
        """About how many tokens from a config of the machine to where its text may end."""
        known = self._known.get(config)
        if known is None:
            found = [self._from(q, self._stack(node)) for q, node, _, _ in self._machine.hypotheses(config)]
            known = self._known[config] = min(found, default=0)
        return known

    def tokens_left_inside(self, config: int, tokens: NDArray[np.int64]) -> NDArray[np.int64]:
        """(K,) about how many tokens are left after each of some, -1 where they have to be read for that.

        Most tokens do not end the lexeme in which they begin, or all end it after the same bytes (a space): then it
        suffices to know where in a lexeme they end.
        """
        hypotheses = self._machine.hypotheses(config)
        if len(hypotheses) != 1 or hypotheses[0][2]:
            return np.full(len(tokens), -1)
        q, node, _, _ = hypotheses[0]
        return self._by_lexeme(q, 0, self._stack(node), tokens, _MOST_LEXEMES)

    def _by_lexeme(self, q: int, top: int, stack: int, tokens: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """(K,) what is left after tokens that are under a node of the trie and so many lexemes at most; else -1."""
        reached, cuts = self._inside_of(q, top)
        found = mapped(reached[tokens], -1, lambda state: self._from(state, stack))
        found[found >= FAR] = -1
        for node, state in cuts if most > 1 and cuts is not None else ():
            rest = np.flatnonzero(found < 0)
            if not len(rest):
                break
            terminal = int(self._lexer.winner[state])
            is_ignored = self._recognizer.plain_lexer.ignored >> terminal & 1
            after = (stack,) if is_ignored else self._stacks.shift(stack, terminal)
            if len(after) == 1:
                start = self._stacks.start(after[0], self._recognizer.plain_lexer.mode[state])
                found[rest] = self._by_lexeme(start, node, after[0], tokens[rest], most - 1)
        return found

    def _inside_of(self, q: int, top: int) -> tuple[NDArray[np.int32], list[tuple[int, int]] | None]:
        known = self._inside.get((q, top))
        if known is None:
            if len(self._inside) >= _MOST_INSIDE:
                self._inside.clear()
            known = self._inside[q, top] = self._machine.inside(q, top, _MOST_CUTS)
        return known

    def _stack(self, node: int) -> int:
        """The number among the stacks for searches of a node of the machine."""
        known = self._numbers.get(node)
        if known is None:
            known = self._numbers[node] = self._stacks.of_stacks(self._machine.whole_stacks(node))
        return known

    def _from(self, state: int, stack: int) -> int:
        stacks, plain = self._stacks, self._recognizer.plain_lexer
        if plain.is_start[state]:
            return self._between(state, stack)
        alive = plain.alive(state)
        least = self._through(state, stack, alive & ~plain.ignored)
        if alive & plain.ignored:
            least = min(least, self._between(stacks.start(stack, plain.mode[state]), stack))
        return least

    def _between(self, start: int, stack: int) -> int:
        """The fewest tokens to an end from between lexemes: a word that comes next needs no space there."""
        known = self._known_between.get((start, stack))
        if known is None:
            known = self._ends.to_end(stack)
            for terminal in bits(self._words & self._stacks.possible(stack)) if known > 1 else ():
                after = self._stacks.shift(stack, terminal)
                own = self.tokens_to_lexeme(start, terminal)
                if after and own < known and own + self._ends.to_end(after[0]) < known:
                    known -= 1
                    break
            self._known_between[start, stack] = known
        return known

    @cached_property
    def _words(self) -> int:
        """Bitmask of the terminals that need a space, or seem to."""
        found = 0
        for terminal, cost in enumerate(self._costs):
            starts = [int(start) for start in np.unique(self._parser.start_of) if start]
            if cost < FAR and any(self.tokens_to_lexeme(start, terminal) < cost for start in starts):
                found |= 1 << terminal
        return found

    def _through(self, state: int, stack: int, terminals: int) -> int:
        """The fewest tokens to an end whose next lexeme, begun or not, is one of some terminals."""
        least = FAR
        for terminal in bits(terminals & self._stacks.possible(stack)):
            own = self.tokens_to_lexeme(state, terminal)
            if own >= least:
                continue
            after = self._stacks.shift(stack, terminal)
            if after:
                least = min(least, own + self._ends.to_end(after[0]))
        return least

    def tokens_to_lexeme(self, state: int, terminal: int) -> int:
        """The fewest tokens from a lexer state to where the lexeme can be a terminal; FAR if it cannot."""
        known = self._lexemes.get((state, terminal))
        if known is None:
            known = self._lexemes[state, terminal] = self._walk(state, terminal)
        return known

    def _walk(self, state: int, terminal: int) -> int:
        word, bit = terminal >> 6, np.uint64(terminal & 63)
        accepts = (self._lexer.accepts[:, word] >> bit & np.uint64(1)).astype(np.bool_)
        alive = (self._lexer.alive[:, word] >> bit & np.uint64(1)).astype(np.bool_)
        if accepts[state]:
            return 0
        seen = np.zeros(len(alive), dtype=np.bool_)
        seen[state] = True
        frontier, steps, tokens = np.array([state]), 0, 0
        while len(frontier):
            tokens += 1
            reached = np.unique(np.concatenate([self._after(q) for q in frontier.tolist()]))
            reached = reached[alive[reached] & ~seen[reached]]
            if accepts[reached].any():
                return tokens
            steps += len(frontier)
            if steps > _MOST_STEPS:
                return tokens + 1
            seen[reached] = True
            frontier = reached
        return FAR

    def _after(self, state: int) -> NDArray[np.int64]:
        """Lexer states in which tokens from a state end, within one lexeme."""
        known = self._reached.get(state)
        if known is None:
            known = self._reached[state] = self._machine.reached(state)[0]
        return known

    @cached_property
    def _ends(self) -> ShortestEnds:
        return ShortestEnds(self._lexer, self._parser, self._stacks, self._costs)

    @cached_property
    def _costs(self) -> list[int]:
        return [self._cost(terminal) for terminal in range(self._parser.shift.shape[1] - 1)]

    def _cost(self, terminal: int) -> int:
        """The fewest tokens that spell a terminal."""
        layout, markers = self._tables.layout, self._parser.markers
        spells_nothing = [] if layout is None else layout.numbers[:2].tolist()
        spells_nothing += [number for marker in markers.tolist() if marker >= 0 for number in (marker, marker + 1)]
        if terminal in spells_nothing:
            return 0
        starts = [int(start) for start in np.unique(self._parser.start_of) if start]
        # Where lines begin otherwise than they go on, words are mostly within lines.
        starts = [start for start in starts if len(self._after_space(start))] or starts
        return min((self._from_start(start, terminal) for start in starts), default=FAR)

    def _from_start(self, start: int, terminal: int) -> int:
        """The fewest tokens for a terminal between lexemes; a word follows a space, so that it ends what is before."""
        after = self._after_space(start)
        word, bit = terminal >> 6, np.uint64(terminal & 63)
        alive = self._lexer.alive[self._lexer.next_state[start], word] >> bit & np.uint64(1)
        first = np.flatnonzero(alive.astype(np.bool_) & (self._lexer.next_state[start] > 0))
        if not len(after) or not len(first) or not all(_is_of_word(byte) for byte in first.tolist()):
            return self.tokens_to_lexeme(start, terminal)
        return 1 + min(self.tokens_to_lexeme(q, terminal) for q in after.tolist())

    def _after_space(self, start: int) -> NDArray[np.int64]:
        """Lexer states after tokens that begin with a space, from a start state; none if a space is not passed over."""
        lexer, trie = self._lexer, self._tables.trie
        blank = int(lexer.next_state[start, 0x20])
        if not blank or not (lexer.accepts[blank] & lexer.ignored).any():
            return np.zeros(0, dtype=np.int64)
        if start in self._spaced:
            return self._spaced[start]
        found: set[int] = set()
        tops = np.flatnonzero((trie.depth == 1) & (trie.byte == 0x20))
        for top in tops.tolist():
            path = [0, start]
            node, end = top, int(trie.skip[top])
            if trie.first_token[node] != trie.first_token[node + 1]:
                found.add(start)
            node += 1
            while node < end:
                depth = int(trie.depth[node])
                del path[depth:]
                path.append(int(lexer.next_state[path[-1], trie.byte[node]]))
                if not path[-1]:
                    node = int(trie.skip[node])
                    continue
                if trie.first_token[node] != trie.first_token[node + 1]:
                    found.add(path[-1])
                node += 1
        self._spaced[start] = np.array(sorted(found), dtype=np.int64)
        return self._spaced[start]


def _is_of_word(byte: int) -> bool:
    return byte >= 0x80 or chr(byte).isalnum() or byte == 0x5F
