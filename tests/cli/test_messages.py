"""What a run says when it fails: texts under tests/golden/runs, run as their second line says."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

RUNS = sorted((Path(__file__).parents[1] / "golden" / "runs").glob("*.smc"))
CATALOGUE = (
    "E0215 E0407 E0409 E0410 E0423 E0605 E0801 E0802 E0803 E0804 E0805 E0808 E0814 E0815 E0816 E0817 E0820 "
    "E0830 E0831 R0901 R0902 R0903 R0904 R0905 R0906 R0908 R0911 R0912 R0913 W0901"
).split()
"""The codes that only a run finds: those of the language reference, 3.2, and of files, options and vocabularies.

Drafts (E0704) and builds (R0907) do not exist; what only models of transformers say is in tests/models.
"""


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_failures_are_explained(path, golden, smcdsl, monkeypatch, tmp_path):
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path))
    command = shlex.split(path.read_text().splitlines()[1].removeprefix("# "))
    monkeypatch.setattr(sys, "argv", command)
    made = smcdsl(*command[1:])
    assert re.findall(r"^(?:error|warning)\[(\w+)\]", made.err, re.MULTILINE)[-1] == path.stem.split("_")[0]
    printed = made.err.replace(str(tmp_path), "CACHE")
    if path.stem == "R0913":
        # How long it took is another number every time.
        printed = re.sub(r"[\d.]+(?= (?:s|ms|%)\b| %)", "N", printed)
    golden(f"runs/{path.stem}.expected", f"{printed}\nexit code {made.code}\n")


def test_every_failure_of_the_catalogue_has_a_program():
    assert sorted({path.stem.split("_")[0] for path in RUNS}) == CATALOGUE
