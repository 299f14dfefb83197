"""Tables of `genlm_control.py`: what runs cost, and what they say of Z."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Runs = Sequence[tuple[str, int, Mapping[str, Any]]]


def about(grammar_seconds: float, peer: Mapping[str, Any]) -> str:
    """Versions, and what making the constraint took."""
    versions = ", ".join(f"{name} {number}" for name, number in peer["versions"].items())
    return (
        f"genlm-control {peer['version']} ({versions})\n"
        f"grammar, once: smcdsl {grammar_seconds:.2f} s of CPU (all programs), genlm-control "
        f"{peer['grammar_seconds']:.2f} and its samplers {peer['sampler_seconds']:.2f}"
    )


def report(runs: Runs, ours: Sequence[str], peers: Sequence[str]) -> str:
    """Costs a token and particle with ratios to the first method, then Z by prompt."""
    names = [name for name in (*ours, *peers) if any(run[0] == name for run in runs)]
    return "\n\n".join([_costs(runs, names), *(_masses(runs, names, prompt) for prompt in _prompts(runs))])


def per_token(runs: Runs, name: str) -> dict[str, float]:
    """Milliseconds of CPU a token drawn, medians over runs; the first run of a method is left out."""
    own = [run for method, _, run in runs if method == name]
    own = own[1:] if len(own) > 1 else own
    drawn = np.array([run["drawn"] for run in own])
    seconds, inside = (np.array([run[key] for run in own]) for key in ("seconds", "forward_seconds"))
    return {
        "drawn": float(np.mean(drawn)),
        "total": float(1e3 * np.median(seconds / drawn)),
        "forward": float(1e3 * np.median(inside / drawn)),
        "outside": float(1e3 * np.median((seconds - inside) / drawn)),
        "run": float(np.median(seconds)),
        "wall": float(np.median([run["wall"] for run in own])),
        "forwards": float(np.mean([run["forwards"] for run in own])),
    }


def _costs(runs: Runs, names: Sequence[str]) -> str:
    found = {name: per_token(runs, name) for name in names}
    lines = [
        "| | tokens drawn | ms a token and particle | forward | outside | x outside | x total | s a run | x a run |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    first = found[names[0]]
    for name, own in found.items():
        lines.append(
            f"| {name} | {own['drawn']:.0f} | {own['total']:.3f} | {own['forward']:.3f} | {own['outside']:.3f} "
            f"| {own['outside'] / first['outside']:.1f} | {own['total'] / first['total']:.1f} "
            f"| {own['run']:.3f} | {own['run'] / first['run']:.1f} |"
        )
    return "\n".join(lines)


def _prompts(runs: Runs) -> list[int]:
    return sorted({prompt for _, prompt, _ in runs})


def _masses(runs: Runs, names: Sequence[str], prompt: int) -> str:
    lines = [
        f"| prompt {prompt} | runs | log Z | +- | sd of Z / Z | 90 % | alive |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    means: dict[str, tuple[float, float]] = {}
    for name in names:
        own = [run for method, number, run in runs if method == name and number == prompt]
        masses = np.exp([run["log_z"] for run in own])
        mean, error = float(masses.mean()), float(masses.std(ddof=1) / math.sqrt(len(masses)))
        means[name] = mean, error
        low, high = _interval(masses)
        alive = np.mean([run["alive"] for run in own])
        log_z, log_error = (math.log(mean), error / mean) if mean else (-math.inf, math.nan)
        lines.append(
            f"| {name} | {len(own)} | {log_z:.3f} | {log_error:.3f} "
            f"| {relative_sd(masses):.2f} | {low:.2f} to {high:.2f} | {alive:.1f} |"
        )
    first = names[0]
    differences = ", ".join(
        f"{name} {(means[name][0] - means[first][0]) / math.hypot(means[name][1], means[first][1]):+.1f}"
        for name in names[1:]
    )
    return "\n".join(lines) + f"\n\nDifference of the mean masses from {first}, in standard errors: {differences}"


def relative_sd(masses: NDArray[np.float64]) -> float:
    """Standard deviation over mean."""
    mean = masses.mean()
    return float(masses.std(ddof=1) / mean) if mean > 0 else math.nan


def _interval(masses: NDArray[np.float64]) -> tuple[float, float]:
    """90 % of the relative standard deviations of samples drawn from the sample."""
    generator = np.random.default_rng(0)
    draws = generator.integers(len(masses), size=(2000, len(masses)))
    found = np.array([relative_sd(masses[row]) for row in draws])
    low, high = np.nanquantile(found, [0.05, 0.95])
    return float(low), float(high)
