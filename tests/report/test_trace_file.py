"""A trace's file: reading gives what was written; what is no trace is a mistake with a place."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from traces import histories, letters

from smcdsl.errors import UsageError
from smcdsl.inference.events import Site
from smcdsl.report.trace import file
from smcdsl.report.trace.file import as_stored, parse, read


@settings(max_examples=50)
@given(histories())
def test_reading_gives_what_was_written(events):
    stored = as_stored(events)
    assert stored.isascii()
    assert parse(stored.encode()) == events


def test_a_run_is_read_back_whole(tmp_path):
    result = letters(seed=3)
    result.trace.save(tmp_path / "t.jsonl")
    assert read(tmp_path / "t.jsonl") == result.trace.events
    assert any(isinstance(event, Site) and any(event.changes) for event in result.trace.events)


def test_texts_are_stored_once():
    """A file grows with what is written: doubling the boundaries doubles it."""
    sizes = [len(as_stored(_growing(steps))) for steps in (50, 100, 200)]
    assert all(1.8 < later / earlier < 2.2 for earlier, later in pairwise(sizes))


def _growing(steps):
    start, *_ = letters(seed=3).trace.events
    made = [start]
    for step in range(steps):
        texts = ("abcd" * step,) * start.num_particles
        made.append(
            Site(0, 0.5, step + 1, texts, (-0.5,) * 16, (False,) * 16, 16.0, step, {}, tuple(range(16)), ((),) * 16)
        )
    return made


def _lines():
    return as_stored(letters(seed=3).trace.events).splitlines()


def _code(data):
    with pytest.raises(UsageError) as caught:
        parse(data, "t.jsonl")
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n \n",
        b"\x00\xff\xfe",
        b"{}",
        b"[1, 2]",
        b"null",
        b'{"event": "started"}',
        b'{"schema": "smcdsl.result/1", "program": "x"}',
        b'{"event": "started", "schema": "smcdsl.trace/2"}',
        b"[" * 100_000,
        b"9" * 5000,
        b"%PDF-1.7",
    ],
    ids=lambda data: repr(data[:24]),
)
def test_what_is_no_trace_is_said_to_be_none(data):
    diagnostic = _code(data)
    assert diagnostic.code == "E0830"
    assert diagnostic.facts


def test_a_file_that_was_cut_off_is_damaged_in_its_last_line():
    whole = "\n".join(_lines()).encode()
    diagnostic = _code(whole[:-10])
    assert diagnostic.code == "E0831"
    assert diagnostic.context == f"t.jsonl:{len(_lines())}"
    assert "cut off" in diagnostic.help


def test_a_run_without_its_end_is_a_trace():
    lines = _lines()
    assert len(parse("\n".join(lines[:-1]).encode())) == len(lines) - 1


WRONG = {
    "of another population": {"population": 9},
    "a weight that is no number": {"log_weights": ["1"] * 16},
    "a weight too few": {"log_weights": [0.0] * 15},
    "not a number": {"ess": float("nan")},
    "an origin out of range": {"origins": [16] * 16},
    "a text that is none": {"added": [1] * 16},
    "a slot out of range": {"finished": [16]},
    "a change of no factor": {"changes": {"made": [[[7, 0.0, ""]]], "of": [0] * 16}},
    "a change out of range": {"changes": {"made": [], "of": [0] * 16}},
    "kept of no slot": {"kept": {"99": 1}},
    "one draft": {"drafts": [1]},
    "a number beyond all": {"tokens": 10**30},
    "yes for a number": {"tokens": True},
    "no event": {"event": "exploded"},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_damaged_line_is_named(name):
    lines = _lines()
    place = next(number for number, line in enumerate(lines) if '"site"' in line)
    lines[place] = json.dumps({**json.loads(lines[place]), **WRONG[name]})
    diagnostic = _code("\n".join(lines).encode())
    assert (diagnostic.code, diagnostic.context) == ("E0831", f"t.jsonl:{place + 1}")


def test_every_field_is_needed():
    lines = _lines()
    optional = {"island", "population", "origins", "kept", "changes", "drafts"}
    for number, line in enumerate(lines[:6] + lines[-1:]):
        record = json.loads(line)
        for name in set(record) - optional:
            rest = {key: value for key, value in record.items() if key != name}
            before = lines[: number if number < 6 else -1]
            assert _code("\n".join([*before, json.dumps(rest)]).encode()).code in ("E0830", "E0831"), (number, name)


@given(st.data())
def test_a_mangled_trace_is_read_or_refused(data):
    stored = bytearray(STORED)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(stored) - 1))
        stored[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with suppress(UsageError):
        parse(bytes(stored))


STORED = "\n".join(_lines()).encode()


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(file, "MOST_BYTES", 100)
    path = tmp_path / "t.jsonl"
    path.write_bytes(STORED)
    with pytest.raises(UsageError, match="E0830"):
        read(path)


@pytest.mark.parametrize("path", ["missing.jsonl", "."])
def test_what_cannot_be_read_is_said(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="E0830"):
        read(path)
