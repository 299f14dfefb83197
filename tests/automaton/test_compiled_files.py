"""numba's cache of compiled kernels when several processes fill it, or a new version finds an old one's."""

import pytest

from smcdsl.automaton.memory import CompiledFiles


@pytest.fixture
def files(tmp_path):
    def make(stamp="new"):
        return CompiledFiles(str(tmp_path), "module.function-1.py311", stamp)

    return make


def test_what_was_kept_is_found(files):
    files().save("one", b"1")
    files().save("two", b"2")
    assert (files().load("one"), files().load("two"), files().load("three")) == (b"1", b"2", None)


def test_two_processes_at_once_never_mix_signatures_up(files, monkeypatch):
    first, second = files(), files()
    # Both read the index before either writes it.
    seen = first._load_index()
    monkeypatch.setattr(first, "_load_index", lambda: dict(seen))
    second.save("two", b"2")
    first.save("one", b"1")
    assert files().load("one") == b"1"
    assert files().load("two") in (None, b"2")


def test_an_earlier_versions_code_is_never_found(files, monkeypatch, tmp_path):
    files("old").save("one", b"old")
    new = files()
    # The process ends before it has written what the index would speak of.
    monkeypatch.setattr(new, "_save_data", lambda name, data: (_ for _ in ()).throw(OSError("disk full")))
    new.save("one", b"new")
    assert files().load("one") is None
    files().save("two", b"2")
    assert files().load("one") is None
    assert len(list(tmp_path.glob("*.nbc"))) == 1


def test_files_of_other_functions_stay(tmp_path, files):
    other = CompiledFiles(str(tmp_path), "module.function-12.py311", "old")
    other.save("one", b"1")
    files().save("one", b"2")
    assert other.load("one") == b"1"
