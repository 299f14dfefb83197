"""From logits to a model's law, which stays where the logits are.

Of what is on a device only what a mask allows is fetched, or, where nothing else has a say, drawn tokens alone; on the
processor see `host_logits`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smcdsl.log_rows import Allowed
from smcdsl.models.host_logits import HostLogits
from smcdsl.models.token_masks import apply_masks_, unpacked

if TYPE_CHECKING:
    import torch


Guard = Callable[[Callable[[], Any]], Any]
"""Calls what computes, and says in words what can go wrong there."""


def unguarded(compute: Callable[[], Any]) -> Any:
    """As it comes."""
    return compute()


def law_of(logits: torch.Tensor, guard: Guard = unguarded) -> HostLogits | DeviceLogits:
    """The law of (M, V) logits of any floating type, where they are."""
    import torch

    with torch.inference_mode():
        logits = logits.float()
        if logits.device.type != "cpu":
            return DeviceLogits(logits, totals_on_device(logits), guard)
        return HostLogits(np.asarray(logits.contiguous().numpy(), dtype=np.float32))


def written_out(logits: torch.Tensor) -> NDArray[np.float32]:
    """(M, V) log-probabilities, on the processor, of logits; those of float32 that are there are written over."""
    import torch

    with torch.inference_mode():
        logits = logits.float()
        # In place: rows of a large vocabulary are in no cache, and half of the time goes to fetching other memory.
        out = logits if logits.device.type == "cpu" else None
        return np.asarray(torch.log_softmax(logits, dim=-1, out=out).cpu().numpy(), dtype=np.float32)


def totals_on_device(logits: torch.Tensor) -> torch.Tensor:
    """(M,) log normalisers of float32 logits, float64 where the device has it."""
    import torch

    exact = torch.float32 if logits.device.type == "mps" else torch.float64
    peaks = logits.amax(dim=-1, keepdim=True)
    return (logits - peaks).exp_().sum(dim=-1, dtype=exact).log_() + peaks.squeeze(-1)


class DeviceLogits:
    """See `LogRows`.

    Args:
        logits: (M, V) float32 on a device.
        log_totals: (M,) float64, there too.
        guard: for all that is computed later.
    """

    def __init__(self, logits: torch.Tensor, log_totals: torch.Tensor, guard: Guard = unguarded) -> None:
        self._logits, self._log_totals, self._guard = logits, log_totals, guard

    @property
    def shape(self) -> tuple[int, int]:
        """(M, V)."""
        count, size = self._logits.shape
        return count, size

    def __getitem__(self, key: Any) -> NDArray[np.floating[Any]]:
        """Log-probabilities of whole rows, float32, or of single tokens, float64."""
        found: NDArray[np.floating[Any]] = self._guard(lambda: self._item(key).cpu().numpy())
        return found

    def _item(self, key: Any) -> torch.Tensor:
        if isinstance(key, tuple):
            rows, tokens = (self._there(each) for each in key)
            return self._logits[rows, tokens] - self._log_totals[rows]
        rows = self._there(key)
        return self._logits[rows] - self._log_totals[rows].float()[..., None]

    def allowed(self, table: NDArray[np.uint64], numbers: NDArray[np.int64], rows: NDArray[np.int64]) -> Allowed:
        """What masks allow; see `gather`."""

        def fetched() -> Allowed:
            is_open = unpacked(self._words(table[numbers]), self._logits.shape[1])
            tokens, values = open_values(self._logits, self._log_totals, is_open, self._there(rows))
            starts = np.zeros(len(numbers) + 1, dtype=np.int64)
            np.cumsum(is_open.sum(dim=1).cpu().numpy(), out=starts[1:])
            return Allowed(starts, tokens.cpu().numpy(), values.cpu().numpy())

        found: Allowed = self._guard(fetched)
        return found

    def tempered(self, temperature: float) -> DeviceLogits:
        """The law whose logits are these by a temperature."""

        def made() -> DeviceLogits:
            logits = self._logits / temperature
            return DeviceLogits(logits, totals_on_device(logits), self._guard)

        law: DeviceLogits = self._guard(made)
        return law

    def drawn(
        self,
        words: NDArray[np.uint64],
        rows: NDArray[np.int64],
        which: NDArray[np.int64],
        numbers: NDArray[np.float64],
        power: float,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """See `DrawingRows`."""

        def fetched() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
            edges = edges_of(self._logits, self._log_totals, self._words(words), self._there(rows), power)
            tokens, totals = drawn_by(edges, self._there(which), self._there(numbers).to(edges.dtype))
            return tokens.cpu().numpy(), totals.log().cpu().numpy().astype(np.float64)

        found: tuple[NDArray[np.int64], NDArray[np.float64]] = self._guard(fetched)
        return found

    def _words(self, words: NDArray[np.unsignedinteger[Any]]) -> torch.Tensor:
        """Masks on the device, as int32."""
        there: torch.Tensor = self._there(np.ascontiguousarray(words).view(np.int32))
        return there

    def _there(self, numbers: Any) -> Any:
        import torch

        if not isinstance(numbers, np.ndarray):
            return numbers
        there = torch.from_numpy(np.ascontiguousarray(numbers))
        if self._logits.device.type == "mps" and there.is_floating_point():
            there = there.float()
        return there.to(self._logits.device)


# Functions of tensors alone take no indices in brackets, so that tensors that only pretend to be on a device will do.


def open_values(
    logits: torch.Tensor, log_totals: torch.Tensor, is_open: torch.Tensor, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """(K,) tokens that (D, V) masks allow, int32, one mask after another, and (K,) their log-probabilities, float32."""
    import torch

    masks, tokens = is_open.nonzero(as_tuple=True)
    own = rows[masks]
    return tokens.to(torch.int32), (logits[own, tokens] - log_totals[own]).float()


def edges_of(
    logits: torch.Tensor, log_totals: torch.Tensor, words: torch.Tensor, rows: torch.Tensor, power: float
) -> torch.Tensor:
    """(D, V) running sums, float64, of p^power where (D, W) masks allow a token."""
    law = apply_masks_(logits.index_select(0, rows), words)
    law.sub_(log_totals.index_select(0, rows).to(logits.dtype).unsqueeze(1))
    return law.mul_(power).exp_().cumsum(dim=1, dtype=log_totals.dtype)


def drawn_by(edges: torch.Tensor, which: torch.Tensor, numbers: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(n,) the first token of each row whose edge exceeds number * total, and (D,) totals; see `applying.draw`."""
    import torch

    totals = edges.amax(dim=1)  # the last of each
    own, most = edges.index_select(0, which), totals.index_select(0, which)
    # Rounding can put the target on the last edge; then the outcome is the last that has weight.
    targets = torch.minimum(numbers * most, torch.nextafter(most, torch.zeros_like(most)))
    tokens = torch.searchsorted(own, targets.unsqueeze(1), right=True).squeeze(1)
    return tokens.clamp_(max=edges.shape[1] - 1), totals


def joined(parts: list[tuple[NDArray[np.int64], torch.Tensor]], count: int) -> torch.Tensor:
    """The `count` rows of logits that came in parts, each with its ascending places; nothing is copied if one has all.

    A row of a large vocabulary is half a megabyte, and copying it takes as long as drawing from it.
    """
    import torch

    (places, first), *more = parts
    if not more and len(places) == count:
        return first
    rows = first.new_empty((count, first.shape[1]), dtype=torch.float32)
    for places, part in parts:
        rows[torch.from_numpy(places).to(rows.device)] = part.float()
    return rows
