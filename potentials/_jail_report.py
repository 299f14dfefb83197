"""What is asked of a jail and what comes back: programs, limits, reports."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

End = Literal["done", "died", "timeout", "large"]


@dataclass(frozen=True)
class Program:
    """A setup and code that run one after the other in one namespace, then expressions to evaluate."""

    setup: str
    code: str
    calls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Limits:
    """Of one program: CPU seconds (whole ones count), address space beyond the interpreter's."""

    seconds: float = 1.0
    memory_bytes: int = 512 << 20

    @property
    def wall_seconds(self) -> float:
        """How long it may take by the clock: it may wait as long as it may compute."""
        return 2 * self.seconds


@dataclass(frozen=True)
class Failure:
    """An exception of a program: where it was raised and what it says."""

    part: Literal["setup", "code"]
    error: str
    message: str
    line: int
    missing_name: bool = False
    inside_function: bool = False

    def __str__(self) -> str:
        # The text is the program's: no line breaks, no control characters.
        shown = "".join(char if char.isprintable() else " " for char in f"{self.error}: {self.message}").strip(": ")
        return f"{shown} (line {self.line})" if self.line else shown


@dataclass(frozen=True)
class Report:
    """What became of a program.

    `end` is `done` if it ran to its end or an exception, `died` if it ended its process, `large` if what it had to say
    was more than is read. `values` are the results of its calls by number; a call that failed has none.
    """

    end: End
    failure: Failure | None = None
    values: dict[int, Any] = field(default_factory=dict)
    finished_setup: bool = False

    @property
    def ok(self) -> bool:
        """Whether setup and code raised nothing."""
        return self.end == "done" and self.failure is None

    def __str__(self) -> str:
        if self.failure is not None:
            return str(self.failure)
        return {
            "done": "it runs",
            "died": "it ends its process",
            "timeout": "it takes too long",
            "large": "its results are too large",
        }[self.end]


def read_report(answer: dict[str, Any]) -> Report:
    """A server's answer as a report. The lines are the program's word: what is malformed counts for nothing."""
    end: End = answer["end"]
    failure: Failure | None = None
    values: dict[int, Any] = {}
    finished: set[str] = set()
    for line in answer["lines"]:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            # Only a program that meddles writes such lines.
            return Report("died", None, {}, "setup" in finished)
        if said.get("done") in ("setup", "code"):
            finished.add(said["done"])
        elif said.get("failed") in ("setup", "code"):
            failure = failure or _failure(said)
        elif isinstance(said.get("call"), int) and "value" in said:
            values.setdefault(said["call"], said["value"])
    if end == "done" and failure is None and finished != {"setup", "code"}:
        end = "died"
    return Report(end, failure, values, "setup" in finished)


def _failure(said: dict[str, Any]) -> Failure:
    line = said.get("line")
    return Failure(
        said["failed"],
        str(said.get("error", ""))[:80],
        str(said.get("message", ""))[:300],
        line if isinstance(line, int) else 0,
        said.get("missing_name") is True,
        said.get("inside_function") is True,
    )
