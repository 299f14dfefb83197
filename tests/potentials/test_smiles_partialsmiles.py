"""Beginnings of molecules, beside 12,172 verdicts of partialsmiles and beside RDKit: every difference has a name.

Figures are printed (`pytest -s`); docs/grammars.md shows them.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from collections import Counter
from functools import cache

import pytest
from rdkit import Chem, rdBase
from smcdsl.potentials._smiles_prefixes import problem

from tests.potentials.molecules import HAND, has_data, mutants, real, rewritings
from tests.spider import DATA

pytestmark = pytest.mark.skipif(not has_data(), reason="needs the molecules of the test data (SMCDSL_DATA)")


def rdkit_reads(text: str) -> bool:
    with rdBase.BlockLogs():
        return Chem.MolFromSmiles(text) is not None


@cache
def verdicts() -> list[dict]:
    lines = gzip.decompress((DATA / "molecules" / "partialsmiles_verdicts.jsonl.gz").read_bytes()).splitlines()
    return [json.loads(line) for line in lines]


def name_of_refusal(row: dict, reason: str) -> str | None:
    """Why this library refuses what partialsmiles takes; RDKit reads none of it."""
    if ">" in row["smiles"] or row["rules_to_ignore"]:
        return "reactions, empty parts and other forms of a switched-off rule"
    names = {
        "is aromatic and in no ring": "aromatic atom that no ring can be closed through",
        "is no ring bond": "% without two digits",
        "may not have these": "chlorine or bromine with two bonds and no oxygen",
        "cannot be drawn": "aromatic system that cannot be drawn, whatever follows",
        "begins no atom": "brackets that begin no atom",
        "bonds and can have": "more bonds than RDKit allows",
        "one more or one less": "nitrogen with four bonds",
        "is no atom": "brackets that are no atom",
    }
    return next((name for part, name in names.items() if part in reason), None)


FORMS = {
    r"\.": "dot within a branch or a ring",
    r"\)[-=#]?[0-9%]": "ring bond after a branch",
    r"\)$|\)\)": "branch without an atom after it",
    r"@(OH|TH|AL|SP|TB)": "chirality without a number",
    r"\[0": "isotope 0",
    r"[-=#:]?[0-9].*:|:.*[0-9]|[-=#][0-9]": "ring bond with two different ends",
}
VALENCES = {
    r"I": "iodine with three bonds or more",
    r"\[(?!.*H[0-9]?[+-]?\])|\[": "brackets: radicals, bare metal ions",
    r"[-=#][0-9%]": "order of a ring bond written at its first end only",
    r"[cnos]": "aromatic atom with other bonds, refused when it is finished",
    r"[NOSPB]": "lone pair that may be a metal's, nitrogen that may have oxygen",
}


def name_of_acceptance(row: dict) -> str | None:
    """Why partialsmiles refuses what this library takes."""
    if row["verdict"] == "KekulizationFailure":
        return "bond with a direction between aromatic atoms" if re.search(r"[/\\]", row["smiles"]) else None
    if row["verdict"].startswith("crash"):
        return None
    names = FORMS if row["verdict"] == "SMILESSyntaxError" else VALENCES
    return next((name for pattern, name in names.items() if re.search(pattern, row["smiles"])), None)


def test_every_difference_from_partialsmiles_has_a_name():
    counts: Counter[str] = Counter()
    nameless, false = [], []
    for row in verdicts():
        reason = problem(row["smiles"], complete=not row["partial"])
        if (reason is None) == (row["verdict"] == "ok"):
            counts["the same"] += 1
            continue
        name = name_of_acceptance(row) if reason is None else name_of_refusal(row, reason)
        counts[("taken here: " if reason is None else "refused here: ") + str(name)] += 1
        if name is None:
            nameless.append((row["smiles"], row["verdict"], reason))
        if reason is not None and rdkit_reads(row["smiles"]):
            false.append((row["smiles"], reason))
        if reason is None and not row["partial"] and not rdkit_reads(row["smiles"]):
            counts["of these read by neither"] += 1
    for name, count in counts.most_common():
        print(f"{count:6} {name}")
    assert nameless == []
    assert false == []
    assert counts["the same"] >= 0.96 * len(verdicts())
    assert counts["of these read by neither"] <= 3


def corpus() -> list[str]:
    """Some 1,000 texts of molecules: by hand, of GDB-17, and rewritings of drug-like and small ones."""
    texts = [*HAND, *real("gdb17_sample30.smi", 30)]
    for name in ("zinc250k_part.smi.gz", "qm9_gdb9.smi.gz"):
        texts += [form for text in real(name, 110) for form in rewritings(text, all_bonds=False)]
    return list(dict.fromkeys(texts))[:1016]


def test_mutants_are_refused_while_they_are_written_and_molecules_are_not():
    chance = random.Random(4047)
    texts = corpus()
    edited = [mutant for text in texts for mutant in mutants(text, 4, chance)]
    edited = [text for text in edited if text][:4047]
    valid = [text for text in (*texts, *edited) if rdkit_reads(text)]
    invalid = [text for text in edited if not rdkit_reads(text)]
    wrongly = [text for text in valid if any_refusal(text)]
    early = sum(problem(text, complete=False) is not None for text in invalid)
    ends = sum(problem(text, complete=True) is not None for text in invalid) - early
    missed = len(invalid) - early - ends
    print(f"{len(valid)} valid, {len(wrongly)} of them refused; {len(invalid)} invalid:")
    print(f"prefix {early / len(invalid):.1%}, end {ends / len(invalid):.1%}, missed {missed / len(invalid):.1%}")
    assert wrongly == []
    assert len(invalid) > 2500
    assert early >= 0.80 * len(invalid)
    assert missed <= 0.006 * len(invalid)


def any_refusal(text: str) -> bool:
    beginnings = (problem(text[:end], complete=False) for end in range(len(text) + 1))
    return problem(text, complete=True) is not None or any(reason is not None for reason in beginnings)
