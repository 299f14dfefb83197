"""Molecules: drug-like ones, written as SMILES; `$SMCDSL_DATA/molecules/README.md`.

The score of a text is its QED (Bickerton and others 2012), 0 if it is no molecule. With `prompt="examples"`, each row
shows twenty molecules of the GDB-17 sample (a language model that reads prompts); with `prompt="none"`, a row is only a
number (a model of molecules, which begins by itself). Of one answer drawn from every run: the share of valid ones, of
distinct ones among these, of those that are not in the training set's files or the prompt, and 1 less the mean
similarity of two (Morgan fingerprints of radius 2).
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import combinations
from pathlib import Path
from random import Random

from smcdsl.potentials import smiles

from benchmarks.tasks import splits
from benchmarks.tasks.task import Grades, MissingData, Row

EXAMPLES = 20
"""Molecules that a prompt shows."""
ROWS = 100
_PAIRS = 20_000
_ATOM = re.compile("Cl|Br|[BCNOPSFIbcnops]")


class Molecules:
    """SMILES with a high QED."""

    name = "molecules"
    max_tokens = 72
    about = "QED (0 for what is no molecule), weighted by posterior probability"

    def __init__(self, prompt: str = "none") -> None:
        self.programs = "molecules" if prompt == "none" else "molecules_prompted"
        self._prompt = prompt

    def rows(self, limit: int | None) -> list[Row]:
        """As many as are asked for, `ROWS` if that is not said."""
        count = ROWS if limit is None else limit
        if self._prompt == "none":
            return [Row(f"molecules-{number:04}", {}) for number in range(count)]
        known = gdb17()
        draws = [Random(number).sample(known, EXAMPLES) for number in range(count)]
        return [Row(f"prompted-{number:04}", {"examples": drawn}) for number, drawn in enumerate(draws)]

    def grade(self, row: Row, answer: str) -> Grades:
        """Whether it is a molecule, and its drug-likeness."""
        answer = answer.strip()
        valid = bool(smiles.valence_ok(answer))
        shown = [smiles.canonical(example) for example in row.inputs.get("examples", ())]
        return {
            "score": float(smiles.qed(answer)) if valid else 0.0,
            "valid": float(valid),
            "shown": float(valid and smiles.canonical(answer) in shown),
        }

    def extras(self, drawn: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, str]:
        """Columns of one answer from every run."""
        valid = [text.strip() for text, grades in drawn if grades["valid"]]
        shown = {smiles.canonical(text.strip()) for text, grades in drawn if grades["shown"]}
        unique = {smiles.canonical(text) for text in valid}
        known = shown | among_known(unique)
        count = max(len(valid), 1)
        return {
            "valid": f"{len(valid) / max(len(drawn), 1):.1%}",
            "QED of valid": f"{sum(map(smiles.qed, valid)) / count:.3f}",
            "unique": f"{len(unique) / count:.1%}",
            "novel": f"{sum(smiles.canonical(text) not in known for text in valid) / count:.1%}",
            "diversity": f"{diversity(sorted(unique)):.3f}",
        }


def diversity(molecules: Sequence[str]) -> float:
    """1 less the mean Tanimoto similarity of two of them; of many pairs, some are drawn."""
    pairs = list(combinations(molecules, 2))
    if not pairs:
        return 0.0
    if len(pairs) > _PAIRS:
        pairs = Random(0).sample(pairs, _PAIRS)
    return 1.0 - sum(smiles.similar(one, other) for one, other in pairs) / len(pairs)


@cache
def gdb17() -> list[str]:
    """The GDB-17 sample. Raises MissingData."""
    return _lines("gdb17_sample30.smi")


def among_known(molecules: Collection[str]) -> set[str]:
    """Those in the part of ZINC250k at hand, which the model of molecules was trained on; all are canonical."""
    wanted = {_atoms(molecule) for molecule in molecules}
    # Only what has the same atoms can be the same, and canonical forms take long.
    alike = [line for line in _zinc() if _atoms(line) in wanted and smiles.valence_ok(line)]
    return {smiles.canonical(line) for line in alike} & set(molecules)


def _atoms(molecule: str) -> str:
    return "".join(sorted(atom.upper() for atom in _ATOM.findall(molecule)))


@cache
def _zinc() -> list[str]:
    return _lines("zinc250k_part.smi.gz")


def _lines(name: str) -> list[str]:
    path: Path = splits.data_folder() / "molecules" / name
    if not path.exists():
        raise MissingData(f"no molecules in {path}; set SMCDSL_DATA")
    data = path.read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).decode().split()
