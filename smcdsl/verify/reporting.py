"""A verification as text and as JSON values (`smcdsl.verification/1`)."""

from __future__ import annotations

from typing import Any

from smcdsl.report.diagnostics import record
from smcdsl.report.visible import escape
from smcdsl.verify.verification import Check, Verification

SCHEMA = "smcdsl.verification/1"
_WORDS = {True: "ok", False: "wrong", None: "open"}


def as_text(found: Verification) -> str:
    """A line or two for each check, and the verdict. Findings are shown apart. Ends in a newline."""
    width = max(len(check.name) for check in found.checks)
    lines = [line for check in found.checks for line in _lines(check, width)]
    return "\n".join([f"verify {escape(found.program)}", *lines, verdict(found)]) + "\n"


def _lines(check: Check, width: int) -> list[str]:
    head = f"  {_WORDS[check.passed]:<5}  {check.name:<{width}}  "
    first, *more = check.details or ("",)
    return [head + escape(first), *(" " * len(head) + escape(line) for line in more)]


def verdict(found: Verification) -> str:
    """One line."""
    if found.passed:
        return "verified: nothing wrong was found"
    wrong = [check.name for check in found.checks if check.passed is False]
    if wrong:
        return f"not verified: {', '.join(wrong)} wrong"
    missing = [check.name for check in found.checks if check.passed is None]
    return f"not verified: {', '.join(missing)} could not be checked"


def as_json(found: Verification) -> dict[str, Any]:
    """The same as values."""
    return {
        "schema": SCHEMA,
        "program": found.program,
        "verified": found.passed,
        "seed": found.seed,
        "checks": [
            {
                "name": check.name,
                "passed": check.passed,
                "details": list(check.details),
                "findings": [record(finding) for finding in check.findings],
            }
            for check in found.checks
        ],
        "numbers": dict(found.numbers),
    }
