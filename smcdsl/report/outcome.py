"""Outcome: a posterior with what a reader of its report needs beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from smcdsl.errors import Diagnostic
from smcdsl.inference.results.posterior import Posterior
from smcdsl.program.program import ReturnView

SCHEMA = "smcdsl.result/1"


@dataclass(frozen=True)
class Outcome:
    """One run of a program on one set of inputs.

    `view` and `num_samples` are what the program returns; a report may show another view.
    """

    posterior: Posterior
    program: str
    edition: int
    view: ReturnView
    num_samples: int
    seconds: float
    inputs_sha256: str = ""
    model: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    warnings: tuple[Diagnostic, ...] = ()
