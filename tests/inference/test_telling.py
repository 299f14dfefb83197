"""Events against the run's own numbers: weights, effective sample sizes, deaths, lines, what factors did."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from building import Functions, binary, constant, factor
from running import results, toy
from test_exactness import CASES
from test_methods import SPOKEN, simple

from smcdsl.inference.events import Died, Event, Finished, Resampled, Site, Started
from smcdsl.inference.resampling import SCHEMES, Scheme
from smcdsl.logspace import effective_sample_size
from smcdsl.program.types import BOOL
from smcdsl.report.trace.populations import populations

SETTINGS: dict[str, dict[str, Any]] = {
    "smc": {"ess_threshold": 1.0},
    "multinomial": {"ess_threshold": 1.0, "resample": "multinomial"},
    "tempered": {"ess_threshold": 1.0, "temper": 0.5},
    "is": {"method": "is"},
    "lm": {"proposal": "lm"},
    "select": {"proposal": "select"},
    "beam": {"method": "beam"},
    "retry": {"retry": 3},
    "refine": {"refine": 2},
    "islands": {"islands": 4},
    "rejection": {"method": "rejection"},
}
BOUNDED = {"one_hole", "previews", "occurrences"}


def traced(name: str, **settings: Any) -> tuple[list[Any], list[Event]]:
    case = CASES[name]()
    events: list[Event] = []
    found = results(
        case.program,
        case.model,
        case.languages,
        case.functions,
        case.inputs,
        seeds=[7, 8],
        particles=8,
        events=events.append,
        **settings,
    )
    return found, events


@pytest.mark.parametrize("settings", ["smc", "multinomial", "is", "lm", "select"])
@pytest.mark.parametrize("name", CASES)
def test_the_trace_ends_where_the_result_is(name: str, settings: str) -> None:
    found, events = traced(name, **SETTINGS[settings])
    told = populations(events)
    assert len(told) == len(found)
    for posterior, population in zip(found, told, strict=True):
        assert population.final_log_weights == tuple(posterior.log_weights.tolist())
        views = posterior.particles
        for slot in np.flatnonzero(posterior.finished).tolist():
            assert population.texts[slot] == views[slot].text
            assert (
                "".join(population.piece(step, at) for step, at in enumerate(population.line(slot))) == views[slot].text
            )
        assert Counter(death.event.cause for death in population.deaths) == Counter(posterior.deaths)
        assert len(population.resampled) == posterior.resamplings
        assert population.finished is not None
        assert population.finished.log_z == posterior.log_z
        assert population.finished.ess == posterior.ess
        assert population.finished.log_weights == tuple(posterior.log_weights.tolist())
        for site, shares in zip(population.steps, population.shares, strict=True):
            assert site.ess == effective_sample_size(np.array(site.log_weights))
            assert sum(shares) == pytest.approx(1.0 if site.alive else 0.0)


@pytest.mark.parametrize("settings", ["smc", "multinomial"])
@pytest.mark.parametrize("name", ["previews", "one_hole"])
def test_lines_are_those_that_resampling_drew(name: str, settings: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheme's own ancestors, the event's, and where slots say they come from, which the sampler copies along."""
    drawn: list[tuple[int, ...]] = []
    scheme = SETTINGS[settings].get("resample", "ssp")
    plain = SCHEMES[scheme]

    def spied(weights: Any, numbers: Any) -> Any:
        ancestors = plain.ancestors(weights, numbers)
        drawn.extend(tuple(own) for own in ancestors.tolist())
        return ancestors

    monkeypatch.setitem(SCHEMES, scheme, Scheme(spied, plain.numbers, plain.breakpoints))  # type: ignore[arg-type]
    found, events = traced(name, **SETTINGS[settings])
    assert [event.ancestors for event in events if isinstance(event, Resampled)] == drawn
    for posterior, population in zip(found, populations(events), strict=True):
        identity = tuple(range(population.size))
        for step in range(1, len(population.steps)):
            known = population.resampled.get(step - 1)
            assert population.origins[step] == (identity if known is None else known.ancestors)
        eves = [population.line(slot)[0] for slot in range(population.size)]
        assert eves == [view.eve for view in posterior.particles]
        # All weigh the same after resampling: their mean before.
        for step, known in population.resampled.items():
            weights = np.exp(population.steps[step].log_weights)
            assert math.exp(known.log_weight) == pytest.approx(weights.mean(), rel=1e-12)
    assert name == "one_hole" or drawn


def test_what_factors_did_is_told_exactly() -> None:
    """At every boundary: the new preview over the old one, and at the end the value over the last preview."""
    functions = Functions()
    length = functions.add("length", lambda q: 1.0 + len(q), prefix="any")
    few = functions.add("few", lambda q: len(q) < 3, BOOL)
    made = simple(functions, factor("score", length("q"), "q.letter"), factor("require", few("q")))
    events: list[Event] = []
    results(made, toy(["a", "b"], seed=3), SPOKEN, functions, particles=16, seeds=[1], events=events.append)
    (population,) = populations(events)
    assert population.started.factors[0] == "score length at q.letter"
    for slot in range(population.size):
        line = population.line(slot)
        total, weighed = 0.0, 0
        for step, at in enumerate(line):
            for change in population.steps[step].changes[at]:
                if change.factor == 0:
                    total += change.log_weight
                    weighed += 1
                else:
                    allowed = len(population.steps[step].texts[at]) < 3
                    assert change.log_weight == (0.0 if allowed else -math.inf)
        if population.final_log_weights[slot] > -math.inf:
            assert weighed >= 2
            assert total == pytest.approx(math.log(1 + len(population.texts[slot])), abs=1e-12)


def test_what_tokens_did_is_the_rest() -> None:
    """Without resampling and with one hole: the sum of the tokens' parts and the factors' is the weight."""
    functions = Functions()
    good = functions.add("good", lambda q: 0.25 + len(q), prefix="any")
    made = simple(functions, factor("score", good("q"), "q.letter"))
    events: list[Event] = []
    (posterior,) = results(
        made, toy(["a", "b"], seed=3), SPOKEN, functions, particles=12, ess_threshold=0.0, events=events.append
    )
    (population,) = populations(events)
    for slot, view in enumerate(posterior.particles):
        parts = [population.of_tokens(step, slot) for step in range(len(population.steps))]
        if view.finished:
            assert None not in parts
            tokens = sum(part for part in parts if part is not None)
            assert tokens + math.log(0.25 + len(view.text)) == pytest.approx(view.log_weight, abs=1e-12)


@pytest.mark.parametrize("name", ["tempered", "retry", "refine", "islands", "rejection", "beam"])
def test_every_population_is_told_apart(name: str) -> None:
    case = "previews" if name != "rejection" else "one_hole"
    if name == "rejection":
        functions = Functions()
        some = functions.add("some", lambda q: len(q) / 4, prefix="none")
        events: list[Event] = []
        results(
            simple(functions, factor("score", some("q"))),
            toy(["a", "b"], seed=2),
            SPOKEN,
            functions,
            particles=8,
            method="rejection",
            events=events.append,
        )
    else:
        _, events = traced(case, **SETTINGS[name])
    told = populations(events)
    keys = [(own.started.group, own.started.island, own.started.population) for own in told]
    assert len(set(keys)) == len(keys) == sum(isinstance(event, Started) for event in events)
    told_of = sum(len(own.steps) - own.has_closing_step for own in told)
    assert told_of == sum(isinstance(event, Site) for event in events)
    assert sum(len(own.deaths) for own in told) == sum(isinstance(event, Died) for event in events)
    for own in told:
        assert [site.number for site in own.steps] == list(range(1, len(own.steps) + 1))
    if name == "refine":
        assert [own.started.population for own in told if own.started.group == 0] == [1, 2, 3]
    if name == "islands":
        assert {own.started.island for own in told} == {0, 1, 2, 3}


def test_deaths_say_why() -> None:
    functions = Functions()
    few = functions.add("few", lambda q: len(q) < 3, BOOL)
    made = simple(functions, factor("require", few("q")))
    events: list[Event] = []
    results(made, toy(["a", "b"], seed=3), SPOKEN, functions, particles=32, events=events.append)
    deaths = [event for event in events if isinstance(event, Died)]
    assert deaths
    assert {(death.cause, death.factor, death.place) for death in deaths} == {("few", 0, "at the end")}
    assert all(len(death.text) == 3 for death in deaths)


def test_nothing_is_told_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not an event is made, and no text is spelled."""
    import smcdsl.inference.telling as telling

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("an event was made")

    for name in ("Started", "Site", "Resampled", "Died", "Teller"):
        monkeypatch.setattr(telling, name, refuse)
    case = CASES["previews"]()
    monkeypatch.setattr("smcdsl.inference.runtime.Teller", refuse)
    results(case.program, case.model, case.languages, case.functions, case.inputs, particles=8, ess_threshold=1.0)


def test_finished_events_end_a_group() -> None:
    _, events = traced("previews", ess_threshold=1.0)
    assert [event.group for event in events[-2:]] == [0, 1]
    assert all(isinstance(event, Finished) for event in events[-2:])
    spent = events[-1].spent  # type: ignore[attr-defined]
    assert {"model", "masks", "sampling", "potentials", "bookkeeping", "total"} <= set(spent)


def test_weights_of_a_binary_factor_are_told() -> None:
    functions = Functions()
    half = functions.add("half", lambda q: 0.5)
    made = simple(functions, factor("score", binary(half("q"), "*", constant(0.5))))
    events: list[Event] = []
    results(made, toy(["a", "b"], seed=3), SPOKEN, functions, particles=4, events=events.append)
    (population,) = populations(events)
    told = [change.log_weight for own in population.steps[-1].changes for change in own]
    assert told == pytest.approx([math.log(0.25)] * 4)
