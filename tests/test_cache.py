"""Files of the cache: whole or not at all, and never in the way."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smcdsl.cache import cache_dir, keep, make_room, read_kept

PARTS = [b"first", b"", bytes(range(256))]


@pytest.fixture
def kept(tmp_path):
    path = tmp_path / "folder" / "file"
    keep(path, PARTS)
    return path


def test_what_was_kept_is_read(kept):
    assert read_kept(kept) == b"".join(PARTS)
    assert [path.name for path in kept.parent.iterdir()] == ["file"]


def test_a_file_with_any_byte_changed_is_none(kept):
    whole = kept.read_bytes()
    for place in range(len(whole)):
        kept.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        assert read_kept(kept) is None


def test_a_file_of_another_length_is_none(kept):
    whole = kept.read_bytes()
    for content in (whole[:0], whole[:7], whole[:20], whole[:-1], whole + b"\0"):
        kept.write_bytes(content)
        assert read_kept(kept) is None


def test_no_file_and_a_folder_are_none(tmp_path):
    assert read_kept(tmp_path / "nothing") is None
    assert read_kept(tmp_path) is None


def test_a_folder_that_cannot_be_made_does_no_harm(tmp_path):
    (tmp_path / "file").write_text("")
    keep(tmp_path / "file" / "inner", PARTS)
    assert (tmp_path / "file").read_text() == ""


def test_threads_that_keep_one_file_do_not_meet(tmp_path):
    path = tmp_path / "file"
    texts = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda text: keep(path, [text]), texts * 4))
    assert read_kept(path) in texts
    assert list(tmp_path.iterdir()) == [path]


def test_the_folder_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path))
    assert cache_dir() == Path(tmp_path)
    monkeypatch.delenv("SMCDSL_CACHE_DIR")
    assert cache_dir().name == "smcdsl"


def test_the_files_used_least_recently_go_first(tmp_path):
    for i in range(5):
        keep(tmp_path / str(i), [b"x" * 100])
        os.utime(tmp_path / str(i), (i, i))
    size = (tmp_path / "0").stat().st_size
    assert read_kept(tmp_path / "1") is not None
    make_room(tmp_path, 2 * size)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "4"]


def test_writing_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr("smcdsl.cache.make_room", lambda folder: make_room(folder, 300))
    for i in range(5):
        keep(tmp_path / str(i), [b"x" * 100])
    assert 1 <= len(list(tmp_path.iterdir())) <= 2
    assert (tmp_path / "4").exists()


def test_what_was_read_outlives_its_file(tmp_path):
    keep(tmp_path / "a", [b"x" * 10_000])
    content = read_kept(tmp_path / "a")
    make_room(tmp_path, 0)
    assert not list(tmp_path.iterdir())
    assert bytes(content) == b"x" * 10_000
