"""What a wrong word may have meant: known synonyms, else a name within edit distance two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

MOST_EDITS = 2


def closest(word: str, names: Iterable[str], synonyms: Mapping[str, str] | None = None) -> str | None:
    """The name that `word` probably stands for, or None.

    A synonym counts if its meaning is among the names. Short words must agree in more than half of
    their letters, so that `a` is not taken for `db`. Ties go to the first name.
    """
    known = list(names)
    meant = (synonyms or {}).get(word)
    if meant in known:
        return meant
    folded = next((name for name in known if name.lower() == word.lower() and name != word), None)
    if folded is not None:
        return folded
    most = min(MOST_EDITS, (len(word) - 1) // 2)
    distances = [(edit_distance(word, name, most), name) for name in known if name != word]
    near = [(distance, name) for distance, name in distances if distance <= most and distance < len(name)]
    return min(near, key=lambda pair: pair[0])[1] if near else None


def closest_path(path: str, paths: Iterable[str]) -> str | None:
    """The file of that name in another folder or with an ending; else a path that is written much like it."""
    known = list(paths)
    name = PurePosixPath(path).name
    same = (each for each in known if name in (PurePosixPath(each).name, PurePosixPath(each).stem))
    return next(same, None) or closest(str(PurePosixPath(path)), known)


def edit_distance(left: str, right: str, most: int) -> int:
    """Insertions, deletions, replacements and swaps of neighbours between two words; `most + 1` if more.

    Source: optimal string alignment, Damerau (1964).
    """
    if abs(len(left) - len(right)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return min(row[-1], most + 1)
