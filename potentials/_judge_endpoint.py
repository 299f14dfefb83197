"""Scores from a service: `{"texts": [...]}` goes there by POST, `{"scores": [...]}` comes back.

There is one number for each text, in their order. Whatever else comes back is an error, never a weight.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

from smcdsl.potentials._judge_hosts import Service, allowed_service
from smcdsl.potentials._judge_http import failure, post

from smcdsl.errors import Diagnostic, UsageError

MOST_SECONDS = 50.0


def scores(
    url: str, texts: Sequence[str], seconds: float, least: float = -math.inf, most: float = math.inf
) -> list[float]:
    """The service's scores of texts, finite numbers from `least` to `most`.

    Raises:
        UsageError: E0802, the address or the time limit is not right, or the address is not allowed.
        PotentialError: R0903, the service failed; R0904, a score is not one.
    """
    if not 0 < seconds <= MOST_SECONDS:
        message = f"a service's time limit is above 0 s and at most {MOST_SECONDS:g} s, not {seconds!r}"
        raise UsageError(Diagnostic("E0802", message))
    service = allowed_service(url)
    answer = post(service, json.dumps({"texts": list(texts)}).encode("ascii"), seconds)
    found = _scores(service, _read(service, answer), len(texts))
    for number, (score, text) in enumerate(zip(found, texts, strict=True), start=1):
        if not least <= score <= most or not math.isfinite(score):
            allowed = "a finite number" if most == math.inf else f"a number from {least:g} to {most:g}"
            fact = f"score {number} of {len(texts)}, of the text that ends in {text[-80:]!r}"
            raise failure(service, f"gives {score:g} where {allowed} was promised", fact, "R0904")
    return found


def _read(service: Service, answer: bytes) -> Any:
    try:
        return json.loads(answer.decode(), parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        fact = f"{error.msg} at line {error.lineno}, column {error.colno} of {len(answer):,} bytes"
    except ValueError as error:
        fact = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else "it holds a number that is none"
    except RecursionError:
        fact = "it is nested too deeply"
    raise failure(service, "does not answer in JSON", fact)


def _refuse_constant(name: str) -> NoReturn:
    # Python's reader takes NaN and Infinity, which JSON does not have.
    raise ValueError(name)


def _scores(service: Service, answer: Any, wanted: int) -> list[float]:
    found = answer.get("scores") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise failure(service, "gives no scores", 'the answer must be {"scores": [...]}', "R0904")
    if len(found) != wanted:
        raise failure(service, f"gives {len(found)} scores for {wanted} texts", code="R0904")
    for number, score in enumerate(found, start=1):
        if isinstance(score, bool) or not isinstance(score, int | float):
            kind = "null" if score is None else type(score).__name__
            raise failure(service, f"gives no number as score {number} of {wanted}", f"it is of type {kind}", "R0904")
    return [_float(score) for score in found]


def _float(score: int | float) -> float:
    try:
        return float(score)
    except OverflowError:
        return math.inf if score > 0 else -math.inf
