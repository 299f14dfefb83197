"""Shared fixtures, and settings of all tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

GOLDEN = Path(__file__).parent / "golden"

# Small arrays, and often as many test processes as cores: threads would only wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


# Collecting tests makes millions of objects and hardly any garbage, and what it made stays until the end.
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="accept what is printed now as expected")
    parser.addoption("--battery-seed", type=int, help="the first seed of the battery's grid; a fresh one by default")
    parser.addoption("--battery-keep", help="a file for what is known of a grid, to go on with it later")
    parser.addoption("--battery-runs", type=int, default=1000, help="runs of most cells of the battery's grid")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a print with the file of that name under tests/golden, or accept it with --update-golden."""

    def compare(name: str, printed: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden"):
            path.write_text(printed, encoding="utf-8")
        assert path.is_file(), f"{name} is missing; accept it with --update-golden after reading it"
        assert printed == path.read_text(encoding="utf-8")

    return compare


# The default run draws the same examples every time; fresh ones come with `--hypothesis-profile fresh`.
hypothesis.settings.register_profile("fixed", derandomize=True, deadline=None)
hypothesis.settings.register_profile("fresh", deadline=None)
hypothesis.settings.load_profile("fixed")
