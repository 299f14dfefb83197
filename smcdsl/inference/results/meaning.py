"""What values mean: classes of equal keys, their entropy, and which values no other beats in every score.

`return posterior q by KEY(q)` puts values of equal keys into one class. Numbers are equal by value, records whatever
the order of their fields; all else as the language's `==` has it. A value without a key stands alone: the key is null,
or a potential that it asks has no answer, or one failed and its policy is `zero`. With the policy `one`
all values whose key failed are one class.

Sources: semantic entropy, Kuhn, Gal and Farquhar (2023), "Semantic uncertainty", eq. 3-4, and Farquhar, Kossen, Kuhn
and Gal (2024), "Detecting hallucinations in large language models using semantic entropy"; with the weights of
particles in place of sequence probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from smcdsl.inference.factors.answers import PolicyValue
from smcdsl.inference.judgement import Calling
from smcdsl.program.evaluation import UNKNOWN, MissingResult, PotentialCall, evaluate, potential_calls
from smcdsl.program.expressions import Expression


class Failed:
    """The key of values whose key failed under the policy `one`."""

    def __repr__(self) -> str:
        return "failed"


FAILED = Failed()


def key_of(expression: Expression, environment: Mapping[str, Any]) -> Calling[Any]:
    """The value of a key; None where the value stands alone."""
    results: dict[Hashable, Any] = {}
    while True:
        calls = list({call.key: call for call in potential_calls(expression, environment, results)}.values())
        if calls:
            answers = yield calls
            results.update((call.key, _answer(call, value)) for call, value in zip(calls, answers, strict=True))
        if any(value is FAILED for value in results.values()):
            return FAILED
        try:
            key = evaluate(expression, environment, results)
        except MissingResult:
            continue
        return None if key is UNKNOWN else key


def _answer(call: PotentialCall, value: Any) -> Any:
    if isinstance(value, PolicyValue):
        return FAILED if value.is_one else UNKNOWN
    return UNKNOWN if value is None and call.signature.is_potential else value


def identity(key: Any) -> Hashable:
    """What is equal for keys that mean the same."""
    if isinstance(key, str | Failed):
        return key
    if isinstance(key, bool) or key is None:
        return ("word", key)
    if isinstance(key, int | float):
        return ("number", key)
    if isinstance(key, Mapping):
        return ("record", frozenset((name, identity(item)) for name, item in key.items()))
    if isinstance(key, list | tuple):
        return ("list", *map(identity, key))
    try:
        hash(key)
    except TypeError:
        return ("object", id(key))
    return cast(Hashable, key)


def entropy(probabilities: Iterable[float]) -> float:
    """In nats, of probabilities that sum to one."""
    return max(0.0, -math.fsum(p * math.log(p) for p in probabilities if p > 0))


def not_dominated(scores: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of (n, k) rows no other row beats: as large in every column, and larger in one.

    Equal rows do not beat each other. O(n * front): rows are met in an order in which none is beaten by a later one.
    """
    kept = np.zeros(len(scores), dtype=np.bool_)
    front = np.empty((0, scores.shape[1]))
    for index in np.lexsort(scores.T)[::-1].tolist():
        row = scores[index]
        if not ((front >= row).all(axis=1) & (front > row).any(axis=1)).any():
            kept[index] = True
            front = np.vstack([front, row])
    return kept
