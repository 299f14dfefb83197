"""What has been run, one JSON object a line, so that a run that ended early goes on where it was.

The first line is the setting; a file is continued under the same setting only. Each other line is a finished
(row, method, replicate), or a row that is left out. A last line that was cut off is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Key = tuple[str, str, int]


class OtherSetting(Exception):
    """The file was made under another setting."""


@dataclass(frozen=True)
class Answer:
    """A text, its posterior probability (or share of the particles), and its grades."""

    text: str
    probability: float
    grades: Mapping[str, float]


@dataclass(frozen=True)
class Record:
    """One run. Seconds, calls and tokens are its share of the batch that it was made in, by tokens."""

    row: str
    method: str
    replicate: int
    seed: int
    answers: list[Answer]
    tokens: int
    seconds: Mapping[str, float]
    calls: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ess: float = 0.0
    log_z: float | None = None
    resamplings: int = 0
    deaths: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True

    @property
    def key(self) -> Key:
        """What it is the run of."""
        return self.row, self.method, self.replicate

    def mean(self, grade: str = "score") -> float:
        """The posterior mean of a grade; what has no answer has 0."""
        return sum(answer.probability * answer.grades.get(grade, 0.0) for answer in self.answers)


class Records:
    """The file of a benchmark's runs; give None to keep them in memory.

    Raises:
        OtherSetting: the file is of another setting, or is no such file.
    """

    def __init__(self, path: Path | None, setting: Mapping[str, Any]) -> None:
        self.path = path
        self.done: dict[Key, Record] = {}
        self.left_out: dict[str, str] = {}
        self.setting = dict(setting)
        lines = [] if path is None or not path.exists() else _whole_lines(path)
        if path is not None and lines:
            _compare(lines[0].get("setting"), self.setting, path)
            self._read(lines[1:])
            path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        else:
            self._append({"setting": self.setting})

    @classmethod
    def read(cls, path: Path) -> Records:
        """What a file holds, whatever its setting."""
        lines = _whole_lines(path)
        if not lines or "setting" not in lines[0]:
            raise OtherSetting(f"{path} is no file of this benchmark")
        found = cls(None, lines[0]["setting"])
        found._read(lines[1:])
        return found

    def add(self, records: Iterable[Record]) -> None:
        """Keep finished runs."""
        for record in records:
            self.done[record.key] = record
            self._append(asdict(record))

    def leave_out(self, row: str, reason: str) -> None:
        """Keep that a row cannot be run."""
        self.left_out[row] = reason
        self._append({"left_out": row, "reason": reason})

    def _read(self, lines: Iterable[Mapping[str, Any]]) -> None:
        for line in lines:
            if "left_out" in line:
                self.left_out[line["left_out"]] = line["reason"]
            else:
                record = Record(**{**line, "answers": [Answer(**answer) for answer in line["answers"]]})
                self.done[record.key] = record

    def _append(self, line: Mapping[str, Any]) -> None:
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    return list(_parsed(path.read_text(encoding="utf-8").splitlines()))


def _parsed(lines: list[str]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            if number < len(lines):
                raise OtherSetting(f"line {number} is not JSON") from None


def _compare(found: Any, wanted: Mapping[str, Any], path: Path | None) -> None:
    if not isinstance(found, dict):
        raise OtherSetting(f"{path} is no file of this benchmark")
    plain = json.loads(json.dumps(wanted))
    names = sorted(name for name in found.keys() | plain.keys() if found.get(name) != plain.get(name))
    if names:
        said = "; ".join(f"{name}: {found.get(name)} there, {plain.get(name)} now" for name in names)
        raise OtherSetting(f"{path} was made under another setting ({said}); give another --out")
