"""Hostile compiled programs are refused or can be run: whatever is in them, the process that uses them lives on.

Each file breaks one of a sound program's parts (values within and out of range, lengths, types, order, whole sections,
facts, offsets, cut and flipped bytes), with checksums made again, so that only what looks at the content can refuse it.
Those that pass are used: masks, steps, forced text, sites, along a random text.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("hostile_containers.py")


def outcomes(folder, first, count, seconds):
    """How many files came to what; a crash or a file that takes for ever fails the test with its number."""
    command = [sys.executable, str(SCRIPT), str(folder), str(first), str(count)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired as error:
        pytest.fail(f"file {(error.stdout or b'').split()[-1:]} takes for ever")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"file {lines[-1:]} ended the process with {done.returncode}: {done.stderr[-2000:]}"
    failed = [line for line in lines if line.split()[1] == "failed"]
    assert not failed, failed[:5]
    return Counter(line.split()[1] for line in lines)


def test_hostile_files_are_refused_or_work(tmp_path):
    found = outcomes(tmp_path, 0, 140, 300)
    assert found.total() == 140
    assert found["refused"] > 60
    assert found["worked"] > 10


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_thousands_of_hostile_files(tmp_path, part):
    found = outcomes(tmp_path, 1000 + 1000 * part, 1000, 1200)
    print(dict(found))
    assert found.total() == 1000
