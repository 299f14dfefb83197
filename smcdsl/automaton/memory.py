"""Loads and stores at addresses, for kernels that take one pointer table instead of forty arrays.

numba counts references to every array of a call, which costs more than a mask that is known already (measured: 1.3 us
for 25 arrays, 0.16 us for one address). Here a kernel gets the address of a table of addresses; `pools.py` owns the
arrays behind them. Nothing is checked: kernels compare counts with capacities before they store.

Kernels do not call themselves: a function that does crashes once it comes from numba's cache (seen with numba 0.68).
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core.caching import IndexDataCacheFile
from numba.extending import intrinsic

if not numba.config.CACHE_DIR and not any(
    os.access(folder, os.W_OK) for folder in (Path(__file__).parent, Path.home())
):
    # numba refuses to cache where neither the package nor the user's folder can be written.
    numba.config.CACHE_DIR = str(Path(tempfile.gettempdir()) / f"smcdsl-numba-{os.getuid()}")

_KERNELS = (
    "applying",
    "deciding",
    "distinct",
    "forcing",
    "grouping",
    "interning",
    "layout",
    "lexing",
    "memory",
    "parsing",
    "proving",
    "reading",
    "tails",
)


def _stamp() -> str:
    """Hash of all files that kernels are compiled from."""
    digest = hashlib.blake2b(digest_size=16)
    for name in _KERNELS:
        digest.update(Path(__file__).with_name(f"{name}.py").read_bytes())
    return digest.hexdigest()


STAMP = _stamp()
"""Hash of all kernels' sources: of what they are, and of what they make."""


class CompiledFiles(IndexDataCacheFile):  # type: ignore[misc]
    """numba's cache files of one function, safe for processes that compile it at the same time.

    numba counts data files, and names one in the index before it is written: a second process may give the same number
    to another signature, or find the file of an earlier version behind it, and then runs wrong machine code (seen as
    loops without end and crashes of parallel tests). Here a name says what is in the file, which is written first; an
    entry of the index that another process writes over is compiled again.
    """

    def save(self, key: Any, data: Any) -> None:
        """Keep what was compiled for a signature; where nothing can be written, it is compiled again next time."""
        with suppress(OSError):
            self._save(key, data)

    def _save(self, key: Any, data: Any) -> None:
        digest = hashlib.blake2b(f"{self._source_stamp} {key!r}".encode(), digest_size=8).digest()
        name = self._data_name(int.from_bytes(digest, "big"))
        self._save_data(name, data)
        overloads = self._load_index()
        if not overloads:
            self._remove_others(name)
        overloads[key] = name
        self._save_index(overloads)

    def _remove_others(self, name: str) -> None:
        """Delete data files that no index speaks of any more."""
        before, after = (re.escape(part) for part in self._data_name_pattern.split("{number:d}"))
        for entry in os.scandir(self._cache_path):
            if entry.name != name and re.fullmatch(rf"{before}\d+{after}", entry.name):
                with suppress(OSError):
                    os.unlink(entry.path)


def njit(**options: Any) -> Callable[[Any], Any]:
    """`numba.njit` with the cache on, and stale as soon as any kernel's file changes.

    numba itself looks at the file of the function only, but compiles in what that calls and every constant it uses.
    """

    def decorate(function: Any) -> Any:
        compiled = numba.njit(cache=True, **options)(function)
        known = compiled._cache._cache_file
        known.__class__ = CompiledFiles
        known._source_stamp = STAMP
        return compiled

    return decorate


__all__ = [
    "STAMP",
    "bits_of_float",
    "count_ones",
    "float_of_bits",
    "i32",
    "i64",
    "njit",
    "set_i32",
    "set_i64",
    "set_u8",
    "set_u32",
    "set_u64",
    "trailing_zeros",
    "u8",
    "u32",
    "u64",
]


def _element(builder: Any, address: Any, index: Any, bits: int) -> Any:
    pointer = builder.inttoptr(address, ir.IntType(bits).as_pointer())
    return builder.gep(pointer, [index])


def _loader(bits: int, result: Any, signed: bool) -> Any:
    @intrinsic
    def load(typing_context, address, index):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            value = builder.load(_element(builder, arguments[0], arguments[1], bits))
            if bits == 64:
                return value
            return (builder.sext if signed else builder.zext)(value, ir.IntType(64))

        return result(types.int64, types.int64), generate

    return load


def _storer(bits: int, kind: Any) -> Any:
    @intrinsic
    def store(typing_context, address, index, value):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            value = arguments[2] if bits == 64 else builder.trunc(arguments[2], ir.IntType(bits))
            builder.store(value, _element(builder, arguments[0], arguments[1], bits))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, kind), generate

    return store


i32 = _loader(32, types.int64, signed=True)
"""The signed 32-bit integer at `address[index]`, as int64."""
i64 = _loader(64, types.int64, signed=True)
u8 = _loader(8, types.int64, signed=False)
u32 = _loader(32, types.int64, signed=False)
u64 = _loader(64, types.uint64, signed=False)
set_i32 = _storer(32, types.int64)
"""Store the low 32 bits of an int64 at `address[index]`."""
set_i64 = _storer(64, types.int64)
set_u8 = _storer(8, types.int64)
set_u32 = _storer(32, types.int64)
set_u64 = _storer(64, types.uint64)


@intrinsic
def trailing_zeros(typing_context, word):  # type: ignore[no-untyped-def]
    """The number of the lowest bit of a uint64 that is set; 64 if none is."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@intrinsic
def count_ones(typing_context, word):  # type: ignore[no-untyped-def]
    """How many bits of a uint64 are set."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def bits_of_float(typing_context, number):  # type: ignore[no-untyped-def]
    """The bits of a float32 as int32."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def float_of_bits(typing_context, bits):  # type: ignore[no-untyped-def]
    """The float32 of the bits of an int32."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate
