"""Taking places in a plan onwards side by side, so that potentials are called in batches; failures are kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smcdsl.errors import PotentialError
from smcdsl.inference.factors.calls import PotentialCalls, Request
from smcdsl.inference.judgement import Calling


def settle(courses: Sequence[Calling[Any]], calls: PotentialCalls) -> list[Any]:
    """What each course returns; the PotentialError of one that fails stands in its place."""
    found: list[Any] = [None] * len(courses)
    answers: dict[int, Any] = dict.fromkeys(range(len(courses)))
    while answers:
        asked = {}
        for index, answer in answers.items():
            try:
                asked[index] = courses[index].send(answer)
            except StopIteration as stop:
                found[index] = stop.value
            except PotentialError as error:
                found[index] = error
        answers = {}
        while asked:
            owners = [index for index, wanted in asked.items() for _ in wanted]
            try:
                results = iter(calls.answer([Request(call) for wanted in asked.values() for call in wanted]))
                answers = {index: [next(results) for _ in wanted] for index, wanted in asked.items()}
                break
            except PotentialError as error:
                if error.request is None:
                    raise
                found[owners[error.request]] = error
                del asked[owners[error.request]]
    return found
