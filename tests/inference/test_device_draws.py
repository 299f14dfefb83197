"""Runs whose logits stay on a device draw what runs on the processor draw, whatever has a say in the proposal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smcdsl import engine
from smcdsl.inference import device_draws

torch = pytest.importorskip("torch")

from smcdsl.models.torch_logits import DeviceLogits, totals_on_device  # noqa: E402

CHECKS = """from smcdsl import potential

@potential(prefix="any")
def sparing(text: str) -> bool:
    return text.count("o") < 2
"""
PROGRAM = """smc 1
import potential "checks.py" as checks
lm {{ temperature: {temperature}, power: {power} }}
grammar short = /[a-z]{{2,9}}( [a-z]{{2,9}}){{0,3}}/
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
    "checked tokens": ("1", "1", "require checks.sparing(q) at token", "smc { particles: 8, proposal: awrs }"),
}
NEVER_THERE = {"guides in the proposal", "a flatter proposal", "successors selected"}


class OnDevice:
    """A model whose laws lie elsewhere; the processor stands in for the device."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def start(self, prefixes: Any) -> Any:
        return _Session(self._model.start(prefixes))


class _Session:
    def __init__(self, session: Any) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def next_law(self, prefixes: Any) -> DeviceLogits:
        # As models leave them: tensors of inference.
        with torch.inference_mode():
            logits = torch.from_numpy(3.0 + self._session.next_logprobs(prefixes)).clone()
            return DeviceLogits(logits, totals_on_device(logits))


@pytest.mark.parametrize("name", CASES)
def test_runs_are_the_same(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def noted(*given: Any) -> Any:
        found = device_draws_there(*given)
        drawn.append(found is not None)
        return found

    device_draws_there = device_draws.draw_there
    monkeypatch.setattr("smcdsl.inference.tokens.draw_there", noted)
    temperature, power, factor, method = CASES[name]
    (tmp_path / "checks.py").write_text(CHECKS)
    (tmp_path / "short.smc").write_text(
        PROGRAM.format(temperature=temperature, power=power, factor=factor, method=method)
    )
    program = engine.load(tmp_path / "short.smc")
    model = engine.model("tiny")
    for seed in (1, 2):
        here, there = (program.run(model=each, seed=seed).outcome.posterior for each in (model, OnDevice(model)))
        assert [view.text for view in here.particles] == [view.text for view in there.particles]
        np.testing.assert_allclose(here.log_weights, there.log_weights, atol=2e-4)
    assert any(drawn) == (name not in NEVER_THERE)


def test_a_closed_token_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As rounding of sums that are made side by side may give one."""
    program = engine.compile('smc 1\ngenerate {\n user "A word."\n assistant "<[[q: /[a-z]{2,9}/]]>"\n}\n')
    model = OnDevice(engine.model("tiny"))
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
