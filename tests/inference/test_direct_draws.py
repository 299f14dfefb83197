"""Runs that draw where the logits are draw what runs on arrays of log-probabilities do, whatever has a say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smcdsl import engine
from smcdsl.automaton import automaton as automata_module
from smcdsl.inference import direct_draws
from smcdsl.inference.lookahead.budget import BudgetTwist

torch = pytest.importorskip("torch")

from smcdsl.models.host_logits import HostLogits  # noqa: E402
from smcdsl.models.torch_logits import DeviceLogits, totals_on_device  # noqa: E402

CHECKS = """from smcdsl import potential

@potential(prefix="any")
def sparing(text: str) -> bool:
    return text.count("o") < 2
"""
PROGRAM = """smc 1
import potential "checks.py" as checks
lm {{ temperature: {temperature}, power: {power} }}
grammar short = {short}
grammar number = /[0-9]{{1,4}}/
generate {{
  user "A word for a boat, and a number."
  assistant {{
    "<[[q: short]]> x[[n: number]] m"
    observe " long"
  }}
  {factor}
}}
return posterior q
infer {method}
"""
CASES = {
    "the masked law": ("1", "1", "", "smc { particles: 8 }"),
    "many rows, one by one": (
        "1",
        "1",
        "guide exp(0.1 * chars(q)) at token",
        "smc { particles: 40, resample: ssp when ess < 1 }",
    ),
    "a temperature and a power": ("0.7", "1.5", "", "smc { particles: 8, resample: multinomial }"),
    "locally normalised": ("1", "1", "", "lcd {}"),
    "guides in the proposal": ("1", "1", "guide exp(chars(q)) at token", "smc { particles: 6, lookahead: guides }"),
    "a flatter proposal": ("1", "1", "", "smc { particles: 8, proposal_temperature: 1.5 }"),
    "successors selected": ("1", "1", "", "smc { particles: 8, proposal: select }"),
    "learned": ("1", "1", "score 1 + chars(q)", "smc { particles: 8, lookahead: learned }"),
    "refined": ("1", "1", "score 1 + chars(q)", "smc { particles: 6, refine: 1 }"),
    "near the limit on tokens": ("1", "1", "", "smc { particles: 8 }"),
    "checked tokens": ("1", "1", "require checks.sparing(q) at token", "smc { particles: 8, proposal: awrs }"),
}
SHORT = {
    "": "/[a-z]{2,9}( [a-z]{2,9}){0,3}/",
    "near the limit on tokens": 'a where tokens <= 14\ngrammar a = "(" a ")" | /[a-z]{1,9}/ | "[" a a "]"',
}
NEVER_THERE = {"guides in the proposal", "a flatter proposal", "successors selected"}


class Model:
    """A model whose laws are kept in some way."""

    def __init__(self, model: Any, kept: Callable[[Any], Any] | None) -> None:
        self._model, self._kept = model, kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def start(self, prefixes: Any) -> Any:
        return _Session(self._model.start(prefixes), self._kept)


class _Session:
    def __init__(self, session: Any, kept: Callable[[Any], Any] | None) -> None:
        self._session, self._kept = session, kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def next_law(self, prefixes: Any) -> Any:
        logprobs = self._session.next_logprobs(prefixes)
        return logprobs if self._kept is None else self._kept(3.0 + logprobs)


def on_device(logits: np.ndarray) -> DeviceLogits:
    """The processor stands in for the device."""
    # As models leave them: tensors of inference.
    with torch.inference_mode():
        tensor = torch.from_numpy(logits).clone()
        return DeviceLogits(tensor, totals_on_device(tensor))


KEPT = {"device": on_device, "host": HostLogits}


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("name", CASES)
def test_runs_are_the_same(name: str, kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[bool] = []
    acted: list[int] = []
    log_successors = BudgetTwist.log_successors

    def noted(*given: Any) -> Any:
        found = direct_draws_there(*given)
        drawn.append(found is not None)
        return found

    if name == "near the limit on tokens":
        # As with large vocabularies: masks know no more than a bound, and the lookahead for budgets leads to an end.
        monkeypatch.setattr(automata_module, "_SMALL_VOCABULARY", 0)
        monkeypatch.setattr(BudgetTwist, "log_successors", lambda *given: acted.append(1) or log_successors(*given))
    direct_draws_there = direct_draws.draw_there
    monkeypatch.setattr("smcdsl.inference.tokens.draw_there", noted)
    temperature, power, factor, method = CASES[name]
    (tmp_path / "checks.py").write_text(CHECKS)
    (tmp_path / "short.smc").write_text(
        PROGRAM.format(
            temperature=temperature, power=power, factor=factor, method=method, short=SHORT.get(name, SHORT[""])
        )
    )
    program = engine.load(tmp_path / "short.smc")
    models = [Model(engine.model("tiny"), way) for way in (None, KEPT[kept])]
    for seed in (1, 2):
        here, there = (program.run(model=each, seed=seed).outcome.posterior for each in models)
        assert [view.text for view in here.particles] == [view.text for view in there.particles]
        np.testing.assert_allclose(here.log_weights, there.log_weights, atol=2e-4)
    assert any(drawn) == (name not in NEVER_THERE)
    assert bool(acted) == (name == "near the limit on tokens")


def test_a_closed_token_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As rounding of sums that are made side by side may give one."""
    program = engine.compile('smc 1\ngenerate {\n user "A word."\n assistant "<[[q: /[a-z]{2,9}/]]>"\n}\n')
    model = Model(engine.model("tiny"), on_device)
    expected = program.run(model=model, seed=1, particles=6).outcome.posterior
    drawn, calls = DeviceLogits.drawn, []

    def wrong(self: DeviceLogits, words: Any, *more: Any) -> Any:
        tokens, totals = drawn(self, words, *more)
        calls.append(len(tokens))
        return np.full_like(
            tokens, int(np.flatnonzero(np.unpackbits(~words[0].view(np.uint8), bitorder="little"))[0])
        ), totals

    monkeypatch.setattr(DeviceLogits, "drawn", wrong)
    found = program.run(model=model, seed=1, particles=6).outcome.posterior
    assert calls
    assert [view.text for view in found.particles] == [view.text for view in expected.particles]
    np.testing.assert_allclose(found.log_weights, expected.log_weights, atol=1e-4)
