"""Results kept from run to run: keys, rows, and files that are not as they should be."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from building import NOWHERE
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.errors import PotentialError
from smcdsl.inference.factors.calls import PotentialCalls, Request
from smcdsl.inference.factors.score_cache import ScoreCache
from smcdsl.inference.factors.score_keys import Unkeepable, key_of, source_hash
from smcdsl.program.evaluation import UNKNOWN, InputFile, PotentialCall, freeze
from smcdsl.program.types import (
    ANY,
    BOOL,
    FLOAT,
    SQLITE,
    STR,
    WEIGHT,
    Parameter,
    PotentialFacts,
    PythonLocation,
    Signature,
)
from smcdsl.protocols import Facts, Potential

HERE = PythonLocation("f", path=__file__)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def signature(result: Any = WEIGHT, types: Any = (ANY,), location: PythonLocation = HERE, **facts: Any) -> Signature:
    parameters = tuple(Parameter(f"p{number}", type_) for number, type_ in enumerate(types))
    return Signature("f", parameters, result, PotentialFacts(**{"cache": True, **facts}), location)


def call(made: Signature, *arguments: Any, prefix: bool = False) -> PotentialCall:
    return PotentialCall(made, arguments, prefix, (made.name, prefix, *map(freeze, arguments)), NOWHERE)


def key(*arguments: Any, made: Signature | None = None, source: str = "", prefix: bool = False) -> bytes:
    return key_of(call(made or signature(types=(ANY,) * len(arguments)), *arguments, prefix=prefix), source)


# Keys.

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(values, max_size=3), st.lists(values, max_size=3))
def test_keys_are_equal_where_arguments_are(first: list[Any], second: list[Any]) -> None:
    same = freeze(first) == freeze(second) and repr(first) == repr(second)
    assert (key(*first) == key(*second)) is same


def test_keys_tell_apart_what_looks_alike() -> None:
    alike: list[tuple[Any, ...]] = [
        ("1",), (1,), (1.0,), (True,), (None,), ("",), ([],), ({},), ("ab", "c"), ("a", "bc"), (["ab"], "c"),
        (["a", "b"],), ([["a"], "b"],), ({"a": "b"},), (-0.0,), (0.0,), (0,), (False,),
    ]  # fmt: skip
    assert len({key(*arguments) for arguments in alike}) == len(alike)


@pytest.mark.parametrize(
    "other",
    [
        {"source": "another"},
        {"prefix": True},
        {"made": signature(version="2")},
        {"made": signature(result=FLOAT)},
        {"made": signature(location=PythonLocation("g", path=__file__))},
        {"made": signature(location=PythonLocation("f", module="math"))},
        {"made": replace(signature(), batched=0)},
    ],
)
def test_keys_know_the_function_its_version_and_how_it_is_called(other: Any) -> None:
    assert key("text", made=signature()) != key("text", **{"made": signature(), **other})


def test_facts_that_change_no_result_are_not_in_the_key() -> None:
    assert key("text", made=signature()) == key("text", made=signature(workers=3, timeout_seconds=1.0))


def test_the_key_of_a_database_is_what_is_in_it(tmp_path: Path) -> None:
    made = signature(types=(SQLITE,))
    path, copy = tmp_path / "a.db", tmp_path / "b.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    copy.write_bytes(path.read_bytes())
    before = key(str(path), made=made)
    assert key(str(copy), made=made) == before
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO t VALUES (1)")
    os.utime(path, ns=(1, 1))
    assert key(str(path), made=made) != before


def test_the_key_of_a_file_is_its_text() -> None:
    assert key(InputFile("a", "text")) == key(InputFile("a", "text")) != key(InputFile("a", "other"))


def test_objects_without_a_lasting_name_have_no_key() -> None:
    with pytest.raises(Unkeepable):
        key(object())


def test_the_source_is_the_file_and_what_it_imports_beside_it(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import first\nfrom os import path\n")
    (tmp_path / "first.py").write_text("from second import x\n")
    (tmp_path / "second.py").write_text("import main\nx = 1\n")
    (tmp_path / "unrelated.py").write_text("x = 1\n")
    location = PythonLocation("f", path=str(tmp_path / "main.py"))
    seen = {source_hash(location)}
    (tmp_path / "unrelated.py").write_text("x = 2\n")
    assert source_hash(location) in seen
    for name in ("main", "first", "second"):
        path = tmp_path / f"{name}.py"
        path.write_text(path.read_text() + "# changed\n")
        assert source_hash(location) not in seen
        seen.add(source_hash(location))


def test_the_source_of_an_installed_module_is_found() -> None:
    assert source_hash(PythonLocation("runs", module="smcdsl.potentials.sql"))
    with pytest.raises(Unkeepable):
        source_hash(PythonLocation("f", module="there.is.no.such.module"))


# Rows.

results = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.sampled_from([UNKNOWN, -math.inf, 5e-324, -0.0])
)


@settings(max_examples=40)
@given(st.dictionaries(st.binary(min_size=1, max_size=2), results, max_size=12))
def test_what_is_put_is_what_is_got(tmp_path_factory: pytest.TempPathFactory, rows: dict[bytes, Any]) -> None:
    path = tmp_path_factory.mktemp("scores") / "scores.sqlite"
    cache = ScoreCache(path)
    cache.put(rows)
    cache.close()
    cache = ScoreCache(path)
    for one, value in rows.items():
        fits = not isinstance(value, int) or -(2**63) <= value < 2**63
        found = cache.get(one)
        assert repr(found) == (repr((value,)) if fits else "None")
    assert cache.get(b"none of them") is None
    cache.close()
    assert cache.warnings == []


def test_what_was_unused_for_longest_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1_000_000))
    monkeypatch.setattr("smcdsl.inference.factors.score_cache._now", lambda: next(clock))
    path, limit = tmp_path / "scores.sqlite", 64 << 10
    keys = [number.to_bytes(20, "big") for number in range(1500)]
    cache = ScoreCache(path, limit)
    for one in keys[:500]:
        cache.put({one: 1.0})
    cache.close()
    cache = ScoreCache(path, limit)
    assert cache.get(keys[0]) == (1.0,)
    cache.close()
    cache = ScoreCache(path, limit)
    for one in keys[500:]:
        cache.put({one: 1.0})
    cache.close()
    cache = ScoreCache(path, limit)
    kept = [number for number, one in enumerate(keys) if cache.get(one)]
    cache.close()
    assert 500 < len(kept) < 1500
    assert kept[0] == 0
    assert kept[1:] == list(range(kept[1], 1500))


# Files that are not as they should be (POTENTIALS 9, 66).


def kept_file(folder: Path) -> Path:
    cache = ScoreCache()
    cache.put({bytes([number]) * 20: number / 2 for number in range(250)})
    cache.close()
    return folder / "scores.sqlite"


def change(path: Path, *commands: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for command in commands:
            connection.execute(command)


def of_another_version(path: Path) -> None:
    change(path, "PRAGMA user_version = 7")


def of_another_program(path: Path) -> None:
    change(path, "PRAGMA application_id = 7")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def no_database(path: Path) -> None:
    path.write_bytes(b"a pickle, perhaps" * 1000)


def without_its_table(path: Path) -> None:
    change(path, "DROP TABLE scores", "CREATE TABLE scores (key, other)")


def with_texts_for_numbers(path: Path) -> None:
    change(path, "UPDATE scores SET number = 'high'")


def with_unknown_kinds(path: Path) -> None:
    change(path, "UPDATE scores SET kind = 9")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[Callable[[Path], None], tuple[str, bool]] = {
    of_another_version: ("was written by another version", False),
    of_another_program: ("is a database of another program", False),
    truncated: ("is damaged", True),
    no_database: ("is damaged", True),
    without_its_table: ("cannot be used", False),
    with_texts_for_numbers: ("holds something that is no result", True),
    with_unknown_kinds: ("holds something that is no result", True),
    a_folder: ("cannot be used", False),
}
"""What it says, and whether the file is of use afterwards."""


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_file_that_is_not_as_it_should_be_is_one_warning(damage: Callable[[Path], None], folder: Path) -> None:
    said, mended = DAMAGES[damage]
    damage(kept_file(folder))
    made = signature()
    calls = PotentialCalls(lambda signature: Potential(lambda text: 0.25, Facts(), "f"))
    lasting = key_of(call(made, "a"), source_hash(HERE))
    if damage in (with_texts_for_numbers, with_unknown_kinds):
        change(folder / "scores.sqlite", f"UPDATE scores SET key = x'{lasting.hex()}' WHERE key = x'{'05' * 20}'")
    for text in ("a", "b", "c"):
        assert calls.answer([Request(call(made, text))]) == [0.25]
    calls.close()
    assert calls.counts["f"].cached == 0
    (warning,) = calls.warnings
    assert warning.code == "W0901"
    assert said in warning.message
    after = ScoreCache()
    assert (after.get(lasting) == (0.25,)) is mended
    assert bool(after.warnings) is not mended
    after.close()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is writable for root")
def test_a_folder_that_cannot_be_written_is_one_warning(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o500)
    cache = ScoreCache()
    cache.put({b"k": 1.0})
    assert cache.get(b"k") is None
    assert len(cache.warnings) == 1


WRITER = """
import sys
from smcdsl.inference.factors import score_cache
# What another process holds up for longer than this is not kept.
score_cache._BUSY_SECONDS = 60
cache = score_cache.ScoreCache()
own = int(sys.argv[1])
for number in range(300):
    cache.put({bytes([own]) + number.to_bytes(19, "big"): number / 7})
    cache.put({bytes(20)[:18] + number.to_bytes(2, "big"): float(number)})
for number in range(300):
    found = cache.get(bytes([own]) + number.to_bytes(19, "big"))
    assert found == (number / 7,), found
cache.close()
assert not cache.warnings, cache.warnings
"""


@pytest.mark.parametrize("begins", ["new", "damaged"])
def test_processes_write_the_same_file_side_by_side(folder: Path, begins: str) -> None:
    if begins == "damaged":
        folder.mkdir()
        (folder / "scores.sqlite").write_bytes(b"no database" * 1000)
        # The first one to see it warns.
        warned = ScoreCache()
        assert warned.get(b"k") is None
        warned.close()
        assert len(warned.warnings) == 1
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(own)], stderr=subprocess.PIPE, text=True)
        for own in (1, 2, 3)
    ]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    cache = ScoreCache()
    for own in (1, 2, 3):
        assert all(cache.get(bytes([own]) + n.to_bytes(19, "big")) == (n / 7,) for n in range(300))
    assert all(cache.get(bytes(18) + n.to_bytes(2, "big")) == (float(n),) for n in range(300))
    cache.close()


# Calls.


def test_kept_results_are_used_by_the_next_run() -> None:
    made, seen = signature(BOOL), []

    def judge(text: str) -> bool:
        seen.append(text)
        return len(text) > 1

    for run in range(2):
        calls = PotentialCalls(lambda signature: Potential(judge, Facts(), "f"))
        requests = [Request(call(made, text), 2) for text in ("a", "bb", "a")]
        assert calls.answer(requests) == [False, True, False]
        assert calls.counts["f"].cached == (4 if run == 0 else 6)
        calls.close()
    assert seen == ["a", "bb"]


@pytest.mark.parametrize("facts", [{"cache": False}, {"pure": False}])
def test_nothing_is_kept_unless_asked_for_and_pure(folder: Path, facts: Any) -> None:
    made = signature(**facts)
    calls = PotentialCalls(lambda signature: Potential(lambda text: 1.0, Facts(), "f"))
    assert calls.answer([Request(call(made, "a"))]) == [1.0]
    calls.close()
    assert not folder.exists()


def test_neither_failures_nor_what_stands_for_them_is_kept() -> None:
    made = signature(on_error="zero")
    for works in (False, True):
        calls = PotentialCalls(lambda signature, works=works: Potential(lambda text: 1 / works, Facts(), "f"))
        assert calls.answer([Request(call(made, "a"))]) == [float(works)]
        calls.close()


def test_nothing_yet_is_kept_as_such() -> None:
    made = signature(types=(STR,))
    for answer in (None, 0.5):
        calls = PotentialCalls(lambda signature, answer=answer: Potential(lambda text: answer, Facts(), "f"))
        assert calls.answer([Request(call(made, "a", prefix=True))]) == [UNKNOWN]
        calls.close()


def test_what_was_answered_before_a_failure_is_kept() -> None:
    made = signature()

    def judge(text: str) -> float:
        return 1.0 if text == "a" else 1 / 0

    calls = PotentialCalls(lambda signature: Potential(judge, Facts(), "f"))
    with pytest.raises(PotentialError):
        calls.answer([Request(call(made, "a")), Request(call(made, "b"))])
    calls.close()
    cache = ScoreCache()
    assert cache.get(key_of(call(made, "a"), source_hash(HERE))) == (1.0,)
    cache.close()
