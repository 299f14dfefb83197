"""Benchmarks that count a model's passes see those that leave logits where they are, too."""

from typing import Any

import numpy as np
import pytest

from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.protocols import next_law

pytest.importorskip("benchmarks.inference", reason="benchmarks are not part of the wheel")
from benchmarks.inference.counting import Counting


class Model:
    """Its sessions answer both ways."""

    def start(self, prefixes: Any) -> "Model":
        return self

    def next_logprobs(self, prefixes: Any) -> Any:
        return np.zeros((len(prefixes), 2), dtype=np.float32)

    def next_law(self, prefixes: Any) -> Any:
        return np.ones((len(prefixes), 2), dtype=np.float32)


def test_every_pass_is_counted_once() -> None:
    model = Counting(Model())
    session = model.start(Prefixes())
    asked = np.array([ROOT, ROOT])
    assert next_law(session, asked).all()
    assert not session.next_logprobs(asked).any()
    assert (model.counts.passes, model.counts.rows) == (2, 4)
