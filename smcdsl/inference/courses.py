"""Courses side by side: generators that ask for calls of potentials go on together, and their calls are one batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Generic, NamedTuple, TypeVar

from smcdsl.errors import PotentialError
from smcdsl.inference.factors.calls import PotentialCalls, Request
from smcdsl.inference.judgement import Calling
from smcdsl.inference.proposals import Seconds
from smcdsl.program.evaluation import PotentialCall

T = TypeVar("T")
Answers = dict[int, Any]
"""Results of the calls that each course asked for; None begins a course."""


class Failure(NamedTuple):
    """The first error, and the number of the course whose call it was, where that is known."""

    error: PotentialError
    course: int | None


@dataclass
class Courses(Generic[T]):
    """Courses by number, on their way.

    Attributes:
        running: those that have not ended.
        counts: how many particles each stands for; one where nothing is said.
        found: what those that ended came to.
        made: the potentials that each has called, by name.
        failure: what kept some from ending, if anything did.
    """

    calls: PotentialCalls
    seconds: Seconds
    running: dict[int, Calling[T]]
    counts: Mapping[int, int] = field(default_factory=dict)
    found: dict[int, T] = field(default_factory=dict)
    made: dict[int, Counter[str]] = field(default_factory=dict)
    failure: Failure | None = None

    def run(self) -> None:
        """Take all to their ends. After a failure no more calls are made: what was answered is enough for some."""
        self.made = {number: Counter() for number in self.running}
        answers: Answers = dict.fromkeys(self.running)
        while self.running:
            asked = self._send(answers)
            answers = self._answers(asked) if self.failure is None else {}
            if self.failure is not None:
                known = {number: self.calls.known(calls) for number, calls in asked.items()}
                # A course that was blamed is gone, though its own call may have gone well when made alone.
                answers = {n: results for n, results in known.items() if results is not None and n in self.running}
                self.running = {number: self.running[number] for number in answers}
            for number in self.running:
                self.made[number].update(call.signature.name for call in asked[number] if call.signature.is_potential)

    def results(self) -> list[T]:
        """Take all to their ends; what they come to, in order.

        Raises:
            PotentialError: a call failed; its `place` says where in a text, if that is known.
        """
        numbers = sorted(self.running)
        self.run()
        if self.failure is not None:
            raise self.failure.error
        return [self.found[number] for number in numbers]

    def _send(self, answers: Answers) -> dict[int, Sequence[PotentialCall]]:
        """Give courses their answers; what those that go on ask for next."""
        asked: dict[int, Sequence[PotentialCall]] = {}
        for number, course in list(self.running.items()):
            try:
                asked[number] = course.send(answers[number])
            except StopIteration as stop:
                self.found[number] = stop.value
                del self.running[number]
            except PotentialError as error:
                self.failure = self.failure or Failure(error, number)
                del self.running[number]
        return asked

    def _answers(self, asked: Mapping[int, Sequence[PotentialCall]]) -> Answers:
        """The results of all courses' calls, made in one batch."""
        if not asked:
            return {}
        requests = [Request(call, self.counts.get(number, 1)) for number, calls in asked.items() for call in calls]
        began = perf_counter()
        try:
            results = iter(self.calls.answer(requests))
        except PotentialError as error:
            self.failure = self._blamed(error, asked)
            return {}
        finally:
            self.seconds.potentials += perf_counter() - began
        return {number: [next(results) for _ in calls] for number, calls in asked.items()}

    def _blamed(self, error: PotentialError, asked: Mapping[int, Sequence[PotentialCall]]) -> Failure:
        """The error of a batch of calls, as the course sees it that asked for the call that failed."""
        if error.request is None:
            return Failure(error, None)
        owners = [number for number, calls in asked.items() for _ in calls]
        number = owners[error.request]
        try:
            self.running.pop(number).throw(error)
        except PotentialError as placed:
            return Failure(placed, number)
        raise AssertionError("a course goes on after its call failed")
