"""From configurations through the token trie: whole masks, outcomes of all tokens, single tokens.

The compiled walk handles what is one configuration at a time; where a byte forks a configuration the walk goes
on here with sets of hypotheses, and back into the kernel as soon as one is left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton import kernels
from smcdsl.automaton.completion import Completion
from smcdsl.automaton.kernels import Ending, Items
from smcdsl.automaton.recognizers import ParsedRecognizer, RegularRecognizer
from smcdsl.automaton.tables import AutomatonTables, RegularTables

Window = tuple[bool, bool]
"""Whether the number of tokens allows the hole to end right before a token, and inside one."""

ALWAYS: Window = (True, True)

Final = tuple[NDArray[np.int64], int, int]
"""(nodes of the trie, configuration, tails): where tokens end, and what they lead to."""

Part = tuple[int, int, int, int]
"""Nodes `first` up to `end` of the trie, from a configuration and tails before their bytes."""


class Walker:
    """Walks one vocabulary's trie with one recogniser and one following text."""

    def __init__(
        self, tables: AutomatonTables, recognizer: RegularRecognizer | ParsedRecognizer, following: bytes | None
    ) -> None:
        self.tables, self.recognizer = tables, recognizer
        self._trie = tables.trie
        self._levels = int(tables.trie.depth.max(initial=0)) + 1
        self._text = tables.trie.text.tobytes()
        self._starts = tables.trie.text_start
        self._following = following or b""
        self._moves = _moves(self._following)
        self._ending = _ending(self._following, self._moves)
        self._words = self._ending.moves.shape[1]
        self._filter = tables.filter or _everything()
        self._mask_words = (tables.vocab_size + 31) // 32
        self._capacity = 1024
        self.completion = Completion(tables, recognizer)
        self.spells_all_bytes = self._needed_bytes() <= self._single_bytes()
        """Whether every byte that may be needed is a token by itself, so that every text can be written."""

    @property
    def undecided(self) -> int:
        """How many configurations were kept because a search for a completion was too long."""
        return self.completion.undecided

    def spell(self, token: int) -> bytes:
        """The bytes of a token; empty for special ones and for numbers that are no token."""
        if not 0 <= token < self.tables.vocab_size:
            return b""
        return self._text[self._starts[token] : self._starts[token + 1]]

    def read(self, configuration: int, tails: int, text: bytes, window: Window) -> tuple[int, int]:
        """(configuration, tails) after the bytes of one token; configuration 0 if it cannot be completed."""
        for offset, byte in enumerate(text):
            configuration, tails = self._byte(configuration, tails, byte, window[min(offset, 1)])
            if not configuration and not tails:
                break
        if configuration and not self.completion.possible(configuration):
            configuration = 0
        return configuration, tails

    def fill(self, configuration: int, tails: int, mask: NDArray[np.uint32]) -> None:
        """Set the bits of all tokens after which the language may still be met, or the hole has ended."""
        if self._kernel_decides:
            self._walk(configuration, tails, ALWAYS, mask, None)
            return
        for tokens, _, _ in self.outcomes(configuration, tails, ALWAYS):
            np.bitwise_or.at(mask, tokens >> 5, np.uint32(1) << (tokens & 31).astype(np.uint32))

    def outcomes(self, configuration: int, tails: int, window: Window) -> list[tuple[NDArray[np.int32], int, int]]:
        """(tokens, configuration, tails) for all tokens that are not impossible, grouped by where they lead."""
        finals: list[Final] = []
        self._walk(configuration, tails, window, np.zeros(self._mask_words, dtype=np.uint32), finals)
        found: dict[tuple[int, int], list[NDArray[np.int64]]] = {}
        for nodes, after, after_tails in finals:
            settled = after if after and self.completion.possible(after) else 0
            if settled or after_tails:
                found.setdefault((settled, after_tails), []).append(nodes)
        return [(self._tokens_at(np.concatenate(nodes)), *key) for key, nodes in found.items()]

    def _tokens_at(self, nodes: NDArray[np.int64]) -> NDArray[np.int32]:
        """All tokens that end at some nodes of the trie."""
        starts = self._trie.first_token[nodes].astype(np.int64)
        counts = self._trie.first_token[nodes + 1] - starts
        within = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return self._trie.tokens[np.repeat(starts, counts) + within]

    def missing_bytes(self) -> bytes:
        """Bytes that texts may need and no token contains."""
        return bytes(sorted(self._needed_bytes() - set(self._trie.byte[1:].tolist())))

    def _needed_bytes(self) -> set[int]:
        tables = self.tables.regular or self.tables.lexer
        assert tables is not None
        return {*np.flatnonzero(tables.next_state.any(axis=0)).tolist(), *self._following}

    def _single_bytes(self) -> set[int]:
        trie = self._trie
        with_token = trie.first_token[1:] != trie.first_token[:-1]
        return set(trie.byte[(trie.depth == 1) & with_token].tolist())

    @property
    def _kernel_decides(self) -> bool:
        return self.completion.is_local or self.completion.has_given_up

    def _byte(self, configuration: int, tails: int, byte: int, may_open: bool) -> tuple[int, int]:
        opens = (
            may_open
            and self._following[:1] == bytes((byte,))
            and configuration != 0
            and self.recognizer.may_end(configuration)
        )
        tails = ((tails | opens) << 1) & self._moves[byte]
        return (self.recognizer.step(configuration, byte) if configuration else 0), tails

    def _walk(
        self,
        configuration: int,
        tails: int,
        window: Window,
        mask: NDArray[np.uint32],
        finals: list[Final] | None,
    ) -> None:
        """Walk the whole trie; tokens go into `mask`, or as (node, configuration, tails) into `finals`."""
        whole: Part = (1, len(self._trie.byte), configuration, tails)
        if isinstance(self.recognizer, RegularRecognizer):
            self._run_kernel([whole], window, mask, finals)
            return
        simple: list[Part] = []
        forked: list[Part] = []
        self._sort(whole, simple, forked)
        while simple or forked:
            if simple:
                forked += self._run_kernel(simple, window, mask, finals)
                simple = []
            else:
                for part in forked:
                    self._walk_forked(part, window, mask, finals, simple)
                forked = []

    def _sort(self, part: Part, simple: list[Part], forked: list[Part]) -> None:
        assert isinstance(self.recognizer, ParsedRecognizer)
        (simple if not part[2] or self.recognizer.single(part[2]) else forked).append(part)

    def _run_kernel(
        self, parts: list[Part], window: Window, mask: NDArray[np.uint32], finals: list[Final] | None
    ) -> list[Part]:
        """Walk parts with the kernel, giving it more room until it is done; return what it hands back."""
        todo = self._items(max(len(parts), 1))
        for i, part in enumerate(parts):
            self._enter(todo, i, part)
        todo.used[0] = len(parts)
        ending = self._ending._replace(opens_first=window[0], opens_later=window[1])
        record = finals is not None
        while True:
            deferred = self._items(self._capacity)
            recorded = self._items(16 * self._capacity if record else 1)
            if isinstance(self.recognizer, RegularRecognizer):
                assert self.tables.regular is not None
                outcome = kernels.walk_regular(
                    self._trie, self.tables.regular, ending, todo, recorded, record, self._levels, mask
                )
            else:
                stacks = self.recognizer.stacks
                mark = stacks.mark()
                outcome = kernels.walk_parsed(
                    self._trie,
                    self.recognizer.lexer,
                    self.recognizer.parser,
                    self._filter,
                    stacks.arrays,
                    ending,
                    todo,
                    deferred,
                    recorded,
                    record,
                    self._levels,
                    mask,
                )
                if outcome == kernels.FULL or not (record or deferred.used[0]):
                    stacks.release(mark)
                if outcome == kernels.FULL:
                    stacks.grow()
            if outcome == kernels.DONE:
                break
            self._capacity *= 2
        if finals is not None:
            finals += self._grouped(recorded)
        return self._parts(deferred)

    def _walk_forked(
        self,
        part: Part,
        window: Window,
        mask: NDArray[np.uint32],
        finals: list[Final] | None,
        simple: list[Part],
    ) -> None:
        """Walk a part from a configuration of several hypotheses; what becomes simple goes to `simple`."""
        assert isinstance(self.recognizer, ParsedRecognizer)
        node, end, configuration, tails = part
        trie = self._trie
        offset = node
        depths = trie.depth[node:end].tolist()
        skips = trie.skip[node:end].tolist()
        text = trie.byte[node:end].tobytes()
        has_token = (trie.first_token[node : end + 1][1:] != trie.first_token[node:end]).tolist()
        path = {depths[0] - 1: (configuration, tails)}
        while node < end:
            i = node - offset
            depth = depths[i]
            configuration, tails = path[depth - 1]
            configuration, tails = self._byte(configuration, tails, text[i], window[min(depth - 1, 1)])
            if not configuration and not tails:
                node = skips[i]
                continue
            if has_token[i]:
                if finals is not None:
                    finals.append((np.array([node]), configuration, tails))
                elif tails or self.completion.possible(configuration):
                    kernels.set_tokens(trie, node, mask)
            path[depth] = configuration, tails
            if skips[i] > node + 1 and (not configuration or self.recognizer.single(configuration)):
                simple.append((node + 1, skips[i], configuration, tails))
                node = skips[i]
            else:
                node += 1

    def _items(self, capacity: int) -> Items:
        def column() -> NDArray[np.int64]:
            return np.zeros(capacity, dtype=np.int64)

        tails = np.zeros((capacity, self._words), dtype=np.uint64)
        return Items(column(), column(), column(), column(), column(), tails, np.zeros(1, dtype=np.int64))

    def _enter(self, items: Items, i: int, part: Part) -> None:
        node, end, configuration, tails = part
        items.node[i], items.end[i] = node, end
        if isinstance(self.recognizer, RegularRecognizer):
            items.filter[i] = configuration
        elif configuration:
            single = self.recognizer.single(configuration)
            assert single is not None, "only single configurations go to the kernel"
            items.lexer[i], items.parser[i], items.filter[i] = single
        items.tails[i] = np.frombuffer(tails.to_bytes(8 * self._words, "little"), dtype="<u8")

    def _parts(self, items: Items) -> list[Part]:
        count = int(items.used[0])
        rows = zip(
            items.node[:count].tolist(),
            items.end[:count].tolist(),
            items.lexer[:count].tolist(),
            items.parser[:count].tolist(),
            items.filter[:count].tolist(),
            self._tails_of(items, count),
        )
        if isinstance(self.recognizer, RegularRecognizer):
            return [(node, end, r, tails) for node, end, _, _, r, tails in rows]
        of_single = self.recognizer.of_single
        return [(node, end, of_single(q, p, r), tails) for node, end, q, p, r, tails in rows]

    def _grouped(self, items: Items) -> list[Final]:
        """Nodes with equal outcomes together."""
        count = int(items.used[0])
        columns = [items.lexer[:count], items.parser[:count], items.filter[:count]]
        columns += [column.view(np.int64) for column in items.tails[:count].T.copy()]
        order = np.lexsort(columns)
        changed = np.zeros(count, dtype=np.bool_)
        for column in columns:
            changed[1:] |= column[order[1:]] != column[order[:-1]]
        first = np.concatenate([[0], np.flatnonzero(changed)]) if count else np.zeros(0, dtype=np.int64)
        heads = Items._make([*(array[order[first]] for array in items[:-1]), np.array([len(first)])])
        groups = np.split(items.node[:count][order], first[1:])
        return [(nodes, after, tails) for nodes, (_, _, after, tails) in zip(groups, self._parts(heads))]

    def _tails_of(self, items: Items, count: int) -> list[int]:
        if not self._following:
            return [0] * count
        if self._words == 1:
            return items.tails[:count, 0].tolist()
        return [int.from_bytes(row.tobytes(), "little") for row in items.tails[:count]]


def _moves(following: bytes) -> list[int]:
    """Per byte the tails that it can lead to: k + 1 for every k with that byte at k."""
    moves = [0] * 256
    for position, byte in enumerate(following):
        moves[byte] |= 1 << (position + 1)
    return moves


def _ending(following: bytes, moves: list[int]) -> Ending:
    words = len(following) // 64 + 1
    raw = b"".join(mask.to_bytes(8 * words, "little") for mask in moves)
    table = np.frombuffer(raw, dtype="<u8").astype(np.uint64).reshape(256, words)
    return Ending(table, len(following), following[0] if following else -1, True, True)


def _everything() -> RegularTables:
    """The filter that all texts pass; state 0 is dead and never entered."""
    next_state = np.ones((2, 256), dtype=np.int32)
    next_state[0] = 0
    return RegularTables(next_state, np.array([False, True]))
