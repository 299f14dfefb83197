"""Keeps the blocks of positions that owe nothing: in memory, in a file, and made ahead by a thread.

A mask asks for the block of one lexer state; whoever comes first makes it. Meanwhile a thread makes the others, so
that few masks wait, and writes all to a file, which later processes map into memory: only pages that are read count.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock

import numpy as np
from numpy.typing import NDArray

from smcdsl.automaton.memory import STAMP
from smcdsl.automaton.walker import TooManyWays, Walker
from smcdsl.cache import make_room

AHEAD_NODES = 16_384
"""Vocabularies whose trie has fewer nodes need no thread and no file: a walk takes some microseconds."""
BYTES_LIMIT = 96 * 2**20
"""Blocks made ahead at most; those of further states are made when a mask asks for them."""
_MAGIC = b"smcdsl blocks 1\n"


class Blocks:
    """Blocks by lexer state.

    Args:
        make_walker: gives what makes them ahead.
        find_states: gives the lexer states wanted, in the order in which they are made; None if none are.
        path: the file, None to keep none.
    """

    def __init__(
        self, make_walker: Callable[[], Walker], find_states: Callable[[], list[int]] | None, path: Path | None
    ) -> None:
        self._make_walker, self._find_states, self._path = make_walker, find_states, path
        self.states: list[int] = []
        self._walker: Walker | None = None
        self._made: dict[int, NDArray[np.int32]] = {}
        self._file = None if path is None else BlockFile.open(path)
        self._executor: ThreadPoolExecutor | None = None
        self._lock = Lock()
        self._through = Event()
        if find_states is None:
            self._through.set()

    def get(self, state: int) -> NDArray[np.int32] | None:
        """The block of a lexer state if it is there."""
        block = self._made.get(state)
        if block is None and self._file is not None:
            block = self._file.get(state)
        return block

    def keep(self, state: int, block: NDArray[np.int32]) -> None:
        """Take a block that somebody had to make."""
        self._made[state] = block

    def forget(self) -> None:
        """Drop what is in memory; a file stays."""
        if self._executor is None:
            self._made.clear()

    @property
    def nbytes(self) -> int:
        """Memory held; what is mapped from a file does not count."""
        return sum(block.nbytes for block in list(self._made.values()))

    def make_ahead(self) -> None:
        """Begin to make the rest in a thread, or to check what the file has."""
        with self._lock:
            if self._through.is_set() or self._executor is not None:
                return
            self._executor = ThreadPoolExecutor(1, "smcdsl-blocks")
            if self._file is None:
                self._executor.submit(self._begin)
            else:
                self._executor.submit(self._check, self._file)

    def _begin(self) -> None:
        assert self._find_states is not None
        self.states = self._find_states()
        self._go_on(0, 0)

    def _check(self, file: BlockFile) -> None:
        self.states = file.check_all()
        self._finish()

    @property
    def is_through(self) -> bool:
        """Whether there is something made ahead, and no more to come."""
        return bool(self.states) and self._through.is_set()

    def wait(self) -> None:
        """Until the thread is through."""
        self._through.wait()

    def _go_on(self, position: int, held: int) -> None:
        # One task a block: at exit the interpreter waits for the task that runs, and refuses the next.
        executor = self._executor
        if executor is not None:
            try:
                executor.submit(self._make, position, held)
            except RuntimeError:
                self._executor = None
                self._through.set()

    def _make(self, position: int, held: int) -> None:
        if position < len(self.states) and held < BYTES_LIMIT:
            state = self.states[position]
            block = self._made.get(state)
            if block is None:
                try:
                    self._walker = self._walker or self._make_walker()
                    block = self._made[state] = self._walker.walk((state, 1, ()))
                except TooManyWays:
                    block = np.zeros(0, dtype=np.int32)
            self._go_on(position + 1, held + block.nbytes)
            return
        if self._path is not None:
            self._save(self._path)
        self._finish()

    def _finish(self) -> None:
        executor, self._executor, self._walker = self._executor, None, None
        self._through.set()
        if executor is not None:
            executor.shutdown(wait=False)

    def _save(self, path: Path) -> None:
        """Write what there is and use the file from now on. A cache that cannot be written only costs time."""
        try:
            write_blocks(path, self._made)
            make_room(path.parent)
        except OSError:
            return
        self._file = BlockFile.open(path)


class BlockFile:
    """A file of blocks, mapped into memory; every block is checked against its checksum before its first use.

    Layout: a magic line; int64 S; (S, 3) int64 of state, first element and crc; (S + 1)th element; int32 elements.
    """

    def __init__(self, index: dict[int, tuple[int, int, int]], data: NDArray[np.int32]) -> None:
        self._index, self._data = index, data
        self._sound: set[int] = set()

    @staticmethod
    def open(path: Path) -> BlockFile | None:
        """The blocks in a file; None if it is missing or damaged."""
        try:
            with path.open("rb") as file:
                head = file.read(len(_MAGIC) + 24)
                if len(head) < len(_MAGIC) + 24 or not head.startswith(_MAGIC):
                    return None
                count, elements, crc = np.frombuffer(head[len(_MAGIC) :], dtype=np.int64).tolist()
                size = os.fstat(file.fileno()).st_size
                if not 0 <= count <= size // 32 or elements < 0:
                    return None
                rows = file.read(32 * count)
                offset = len(head) + len(rows)
                if zlib.crc32(rows) != crc or size != offset + 4 * elements:
                    return None
            os.utime(path)
            data = np.memmap(path, dtype=np.int32, mode="r", offset=offset, shape=(elements,))
        except (OSError, ValueError):
            return None
        index = {
            state: (first, length, check)
            for state, first, length, check in np.frombuffer(rows, np.int64).reshape(-1, 4).tolist()
        }
        return BlockFile(index, data)

    def get(self, state: int) -> NDArray[np.int32] | None:
        """The block of a lexer state, if it is there and whole."""
        found = self._index.get(state)
        if found is None:
            return None
        first, length, check = found
        block: NDArray[np.int32] = np.asarray(self._data[first : first + length])
        if state not in self._sound:
            if len(block) != length or zlib.crc32(block.data) != check:
                self._index.pop(state, None)
                return None
            self._sound.add(state)
        return block

    def check_all(self) -> list[int]:
        """Compare all blocks with their checksums; the states whose blocks are whole, in the order of the file."""
        return [state for state in list(self._index) if self.get(state) is not None]


def write_blocks(path: Path, blocks: dict[int, NDArray[np.int32]]) -> None:
    """Write blocks by way of a temporary file, so that readers see all or nothing."""
    rows, first = [], 0
    for state, block in blocks.items():
        rows.append((state, first, len(block), zlib.crc32(block.data)))
        # Rows of bits begin at even elements of a block, so blocks do too.
        first += len(block) + (len(block) & 1)
    index = np.array(rows, dtype=np.int64).reshape(-1, 4).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(_MAGIC + np.array([len(rows), first, zlib.crc32(index)], dtype=np.int64).tobytes() + index)
        for block in blocks.values():
            file.write(block.data)
            if len(block) & 1:
                file.write(b"\0\0\0\0")
    temporary.replace(path)


def block_path(folder: Path, fingerprint: str, following: bytes) -> Path:
    """The file of a grammar over a vocabulary with the text that follows."""
    import hashlib

    digest = hashlib.blake2b(f"{fingerprint} {STAMP} ".encode() + following, digest_size=20)
    return folder / "blocks" / f"{digest.hexdigest()}.blocks"
