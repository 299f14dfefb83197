"""Prefixes of queries: a no must mean that no completion is right."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from smcdsl.potentials import sql

from tests.potentials.queries import boundaries, queries

UNHURRIED = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@UNHURRIED
@given(marked=queries())
def test_no_prefix_of_a_right_query_is_rejected(concerts, marked):
    query, prefixes = boundaries(marked)
    if sql.resolves(query, concerts):
        rejected = [prefix for prefix in prefixes if not sql.resolves_so_far(prefix, concerts)]
        assert rejected == []
