"""Pooling: several populations of one request, put one after another, as one result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from smcdsl.inference.results.posterior import ParticleView, Posterior, evidence
from smcdsl.inference.speculation.tally import total


def pool(parts: Sequence[Posterior], log_shares: Sequence[float]) -> Posterior:
    """All slots of all parts; the weights of each part multiplied by its factor.

    The mean weight over all slots is the evidence, which weighs parts by their number of slots. Counts of
    work and of deaths are summed; what they say of errors, notes and failures is left to the caller.

    Args:
        parts: at least one, all of the same request and method.
        log_shares: logs of these factors, one a part.
    """
    log_weights = np.concatenate([part.log_weights + factor for part, factor in zip(parts, log_shares, strict=True)])
    return replace(
        parts[0],
        values=tuple(value for part in parts for value in part.values),
        finished=np.concatenate([part.finished for part in parts]),
        log_weights=log_weights,
        log_z=float(evidence(log_weights[None])[0]),
        log_z_error=None,
        eves=None,
        complete=all(part.complete for part in parts),
        resamplings=sum(part.resamplings for part in parts),
        deaths=_sum(part.deaths for part in parts),
        tokens=_sum(part.tokens for part in parts),
        speculated=total(part.speculated for part in parts),
        warnings=(),
        failure=None,
        view_particles=lambda: _views(parts, log_shares),
        keys=None if parts[0].keys is None else tuple(key for part in parts for key in part.keys or ()),
        log_factors=np.concatenate([part.log_factors for part in parts]),
    )


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for own in counts:
        found.update(own)
    return dict(found)


def _views(parts: Sequence[Posterior], log_shares: Sequence[float]) -> tuple[ParticleView, ...]:
    """Slots and Eves are counted over all parts."""
    views: list[ParticleView] = []
    start = 0
    for part, factor in zip(parts, log_shares, strict=True):
        views += [
            replace(view, slot=start + view.slot, eve=start + view.eve, log_weight=view.log_weight + factor)
            for view in part.particles
        ]
        start += part.num_particles
    return tuple(views)
