"""Many inputs in one line: some in flight at a time, the next one from where one has ended.

An input that fails fails alone: when a run stops, those of its inputs that were in flight are run again, each by
itself, and the line goes on with the others. A run ends, and its memory with it, when it has become large; what was
left of the line begins the next one.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from smcdsl.errors import PotentialError, SmcdslError

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram
    from smcdsl.engine.result import Result
    from smcdsl.engine.settings import Settings
    from smcdsl.protocols import LanguageModel
    from smcdsl.workers import WorkerPools

MOST_INPUTS = 256
"""Of a run, islands counted: what is done for each token is done for all of them at once, waiting ones included."""
SWEPT_TOGETHER = 4
"""Of inputs that take more than one sweep so many times those in flight are a run: results come at its last sweep."""

Request: TypeAlias = tuple[Mapping[str, Any], int | None]
"""Values and a seed; a seed of None is the settings'."""


class Share(NamedTuple):
    """How many inputs make a run, how many are in flight, and how many may be under way in one that has stopped."""

    inputs: int
    width: int | None
    suspects: int


def share_of(settings: Settings, jobs: int) -> Share:
    """How inputs are shared out to runs."""
    from smcdsl.inference.runtime import has_sweeps
    from smcdsl.inference.settings import Settings as RunSettings

    made = RunSettings.of(settings.profile)
    if made.lookahead == "learned" or settings["check_potentials"]:
        # What a run learns, or finds to contradict itself, it does so at its end.
        return Share(jobs, None, jobs)
    if has_sweeps(made):
        return Share(SWEPT_TOGETHER * jobs, jobs, SWEPT_TOGETHER * jobs)
    return Share(max(MOST_INPUTS // made.islands, jobs), jobs, jobs * made.islands)


def run_in_line(
    program: CompiledProgram,
    model: LanguageModel,
    requests: Sequence[Request],
    flags: Mapping[str, Any],
    *,
    jobs: int,
    pools: WorkerPools,
) -> Generator[tuple[int, Result | SmcdslError], None, None]:
    """The number of each request and what came of it, as soon as that is known.

    Failures that are a run's own are in its result's `.failure`; an error is what running the request alone raises.
    """
    share = share_of(program.settings(**flags), jobs)
    waiting = list(range(len(requests)))
    while waiting:
        numbers, done = waiting[: share.inputs], set()
        results = program.run_each(
            model, [requests[number] for number in numbers], flags, width=share.width, pools=pools
        )
        failed = False
        with closing(results):
            try:
                for place, result in results:
                    done.add(numbers[place])
                    yield numbers[place], result
            except SmcdslError:
                failed = True
        if failed:
            suspects = [number for number in numbers if number not in done][: share.suspects]
            for number in suspects:
                done.add(number)
                yield number, _alone(program, model, requests[number], flags, pools)
        waiting = [number for number in waiting if number not in done]


def _alone(
    program: CompiledProgram,
    model: LanguageModel,
    request: Request,
    flags: Mapping[str, Any],
    pools: WorkerPools,
) -> Result | SmcdslError:
    """What a request comes to by itself."""
    try:
        (result,) = program.run_many(model, [request], flags, pools=pools)
    except PotentialError as error:
        error.partial = error.partial[0] if error.partial else None
        return error
    except SmcdslError as error:
        return error
    return result
