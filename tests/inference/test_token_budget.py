"""No particle writes more than it may, however it met others at boundaries."""

from __future__ import annotations

import pytest
from running import results
from test_exactness import CASES


@pytest.mark.parametrize("name", ["previews", "occurrences", "guides", "lines"])
@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_particle_that_waits_at_the_budgets_end_writes_no_more(name: str, most: int) -> None:
    case = CASES[name]()
    runs = results(
        case.program, case.model, case.languages, case.functions, case.inputs, range(60), particles=5, max_tokens=most
    )
    written = [view.tokens for posterior in runs for view in posterior.particles]
    assert max(written) <= most
