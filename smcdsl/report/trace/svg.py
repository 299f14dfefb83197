"""The family tree and the charts of a population as SVG. Colours are classes of `trace.css`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files

from smcdsl.report.trace.drawing import CAUSES
from smcdsl.report.trace.markup import markup
from smcdsl.report.trace.populations import Population

MOST_DISCS = 3000
"""More particles at boundaries than this are strips of colour, no discs."""
LEVELS = (0.0, 0.0625, 0.25, 0.9, 2.0, 6.0)
"""Lower ends of the shades: shares as multiples of 1/N."""
MOST_TITLES = 1000
"""Deaths that say their reason when they are pointed at."""


def stylesheet() -> str:
    """What the classes look like, in light and in dark."""
    return (files("smcdsl.report.trace") / "trace.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Layout:
    """Where steps and slots are drawn, in pixels."""

    population: Population
    breadth: int = 960
    left: float = 34.0
    top: float = 24.0

    @cached_property
    def dx(self) -> float:
        """From step to step."""
        return _within(round(self.breadth / max(len(self.population.steps), 1), 1), 9.0, 150.0)

    @cached_property
    def dy(self) -> float:
        """From slot to slot."""
        return _within(round(620 / self.population.size, 2), 2.4, 20.0)

    def x(self, step: int) -> float:
        """A step's middle."""
        return round(self.left + self.dx * (step + 0.5), 1)

    def y(self, slot: int) -> float:
        """A slot's middle."""
        return round(self.top + self.dy * (slot + 0.5), 2)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        steps, slots = len(self.population.steps), self.population.size
        return math.ceil(self.left + self.dx * steps + 12), math.ceil(self.top + self.dy * slots + 8)

    @property
    def draws_discs(self) -> bool:
        """Whether a particle is large enough for a disc of its own."""
        return self.dy >= 7 and self.population.size * len(self.population.steps) <= MOST_DISCS


def _within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


def tree_svg(population: Population, *, style: bool = True) -> str:
    """The family tree: time goes right, a row is a slot, what has no heirs is faint, deaths are crossed.

    Args:
        style: whether the picture carries its own style sheet, as it must where nothing else does.
    """
    layout = Layout(population)
    width, height = layout.size
    dense = "" if layout.dy >= 5 else " dense"
    label = f"Family tree of {population.size} particles over {len(population.steps)} boundaries"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="smcdsl-trace tree{dense}" role="img" '
        f'aria-label="{markup(label)}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'data-left="{layout.left}" data-top="{layout.top}" data-dx="{layout.dx}" data-dy="{layout.dy}">',
        f"<style>{stylesheet()}</style>" if style else "",
        *_labels(layout),
        f'<path class="lost" d="{"".join(_lines(layout, False))}"/>',
        f'<path class="kept" d="{"".join(_lines(layout, True))}"/>',
        *(_discs(layout) if layout.draws_discs else _strips(layout)),
        *_deaths(layout),
        '<g class="chosen"></g></svg>',
    ]
    return "".join(parts)


def _labels(layout: Layout) -> Iterator[str]:
    population = layout.population
    every = math.ceil(22 / layout.dx)
    bottom = layout.size[1] - 6
    for step, site in enumerate(population.steps):
        x = layout.x(step)
        if step in population.resampled and step + 1 < len(population.steps):
            between = round(x + layout.dx / 2, 1)
            title = f"resampled after site {site.number}, at ESS {site.ess:.1f}"
            yield f'<g><title>{title}</title><path class="cut" d="M{between} {layout.top - 4}V{bottom}"/></g>'
        if step % every == 0:
            name = "end" if population.has_closing_step and step == len(population.steps) - 1 else str(site.number)
            yield f'<text x="{x}" y="{layout.top - 9}" text-anchor="middle">{name}</text>'
    every = math.ceil(11 / layout.dy)
    for slot in range(0, population.size, every):
        yield f'<text x="{layout.left - 6}" y="{layout.y(slot) + 3.5}" text-anchor="end">{slot}</text>'


def _lines(layout: Layout, kept: bool) -> Iterator[str]:
    """Paths from each step to the next, of lines that have heirs at the end or of the others."""
    population = layout.population
    for slot in range(population.size):
        run: int | None = None  # the step that a straight line began at
        for step in range(1, len(population.steps) + 1):
            straight, curve = _link(population, step, slot, kept)
            if run is not None and not straight:
                yield f"M{layout.x(run)} {layout.y(slot)}H{layout.x(step - 1)}"
                run = None
            if straight and run is None:
                run = step - 1
            if curve is not None:
                x, end = layout.x(step - 1), layout.x(step)
                middle, y, down = round((x + end) / 2, 1), layout.y(curve), layout.y(slot)
                yield f"M{x} {y}C{middle} {y} {middle} {down} {end} {down}"


def _link(population: Population, step: int, slot: int, kept: bool) -> tuple[bool, int | None]:
    """Whether a slot's line goes straight on to a step, or the other slot that it comes from."""
    if step == len(population.steps):
        return False, None
    origin = population.origins[step][slot]
    before = population.steps[step - 1]
    if origin < 0 or before.log_weights[origin] == -math.inf or population.has_heirs[step][slot] != kept:
        return False, None
    return origin == slot, None if origin == slot else origin


def _discs(layout: Layout) -> Iterator[str]:
    population = layout.population
    for step, shares in enumerate(population.shares):
        for slot, share in enumerate(shares):
            if share > 0:
                radius = _within(math.sqrt(share * population.size) * layout.dy * 0.22, 1.2, layout.dy * 0.48)
                kind = "kept" if population.has_heirs[step][slot] else "lost"
                place = f'cx="{layout.x(step)}" cy="{layout.y(slot)}"'
                yield f'<circle class="{kind}" {place} r="{radius:.1f}"/>'


def _strips(layout: Layout) -> Iterator[str]:
    """Columns of cells, neighbours of one shade together."""
    population, width = layout.population, round(min(layout.dx * 0.6, 14), 1)
    paths: list[list[str]] = [[] for _ in LEVELS]
    for step, shares in enumerate(population.shares):
        levels = [level(share * population.size) for share in shares]
        for start, stop in _runs(levels):
            if levels[start] >= 0:
                x, y = round(layout.x(step) - width / 2, 1), round(layout.y(start) - layout.dy / 2, 2)
                paths[levels[start]].append(f"M{x} {y}h{width}v{round(layout.dy * (stop - start), 2)}h-{width}z")
    for number, path in enumerate(paths):
        if path:
            yield f'<path class="shade shade{number}" d="{"".join(path)}"/>'


def level(multiple: float) -> int:
    """The shade of a share, given as a multiple of 1/N; -1 for none."""
    return -1 if multiple <= 0 else max(number for number, least in enumerate(LEVELS) if multiple >= least)


def _runs(values: Sequence[int]) -> Iterator[tuple[int, int]]:
    start = 0
    for place in range(1, len(values) + 1):
        if place == len(values) or values[place] != values[start]:
            yield start, place
            start = place


def _deaths(layout: Layout) -> Iterator[str]:
    population = layout.population
    reach = round(_within(layout.dy * 0.3, 1.5, 4.5), 1)
    for number, death in enumerate(population.deaths):
        if death.step >= len(population.steps):
            continue
        event = death.event
        x, y = layout.x(death.step), layout.y(event.slot)
        cross = f"M{x - reach:.1f} {y - reach:.1f}l{2 * reach} {2 * reach}m0 -{2 * reach}l-{2 * reach} {2 * reach}"
        said = event.reason or CAUSES.get(event.cause, "")
        title = f"slot {event.slot}: {event.cause} {event.place}" + (f": {said}" if said else "")
        yield "<g>" + (f"<title>{markup(title)}</title>" if number < MOST_TITLES else "")
        yield f'<path class="death" d="{cross}"/></g>'


def ess_svg(population: Population) -> str:
    """Effective sample size and particles alive at every step."""
    layout = Layout(population)
    width, height = layout.size[0], 110
    top, bottom = 10, height - 12

    def y(value: float) -> float:
        return round(bottom - (bottom - top) * value / population.size, 1)

    def line(values: Sequence[float]) -> str:
        return " ".join(f"{layout.x(step)},{y(value)}" for step, value in enumerate(values))

    sizes = [site.ess for site in population.steps]
    end = layout.x(len(sizes) - 1) if sizes else layout.left
    area = f"M{layout.x(0)} {bottom}L{line(sizes)}L{end} {bottom}Z" if sizes else ""
    dots = "".join(
        f'<circle class="kept" cx="{layout.x(step)}" cy="{y(site.ess)}" r="2.4">'
        f"<title>site {site.number}: ESS {site.ess:.1f}, {site.alive} alive</title></circle>"
        for step, site in enumerate(population.steps)
    )
    cuts = "".join(
        f'<path class="cut" d="M{round(layout.x(step) + layout.dx / 2, 1)} {top}V{bottom}"/>'
        for step in population.resampled
        if step + 1 < len(population.steps)
    )
    return (
        _opened("Effective sample size at every boundary", width, height)
        + _grid(layout, [(y(value), f"{value:g}") for value in (0, population.size / 2, population.size)], width)
        + f'{cuts}<path class="area" d="{area}"/><polyline class="line" points="{line(sizes)}"/>'
        + f'<polyline class="line second" points="{line([site.alive for site in population.steps])}"/>{dots}</svg>'
    )


def columns_svg(population: Population, parts: Sequence[tuple[str, Sequence[float]]], title: str, unit: str) -> str:
    """Stacked columns, one a step: parts are (name, value by step), drawn in the order of their classes."""
    layout = Layout(population)
    width, height, top, bottom = layout.size[0], 110, 10, 98
    totals = [sum(values[step] for _, values in parts) for step in range(len(population.steps))]
    most = max(totals, default=0.0) or 1.0
    breadth = round(min(layout.dx * 0.6, 22), 1)
    drawn = []
    for step in range(len(population.steps)):
        base = float(bottom)
        for number, (name, values) in enumerate(parts):
            tall = (bottom - top) * values[step] / most
            if tall < 0.05:
                continue
            base -= tall
            said = markup(f"site {population.steps[step].number}: {name} {values[step]:.3g} {unit}".rstrip())
            place = f'x="{round(layout.x(step) - breadth / 2, 1)}" y="{base:.1f}" width="{breadth}" height="{tall:.1f}"'
            drawn.append(f'<rect class="part part{number}" {place}><title>{said}</title></rect>')
    scale = [(float(bottom), "0"), (float(top), f"{most:.0f}" if most >= 10 else f"{most:.2g}")]
    return _opened(title, width, height) + _grid(layout, scale, width) + "".join(drawn) + "</svg>"


def _opened(title: str, width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="smcdsl-trace chart" role="img" aria-label="{markup(title)}" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    )


def _grid(layout: Layout, scale: Sequence[tuple[float, str]], width: int) -> str:
    return "".join(
        f'<path class="grid" d="M{layout.left} {y}H{width - 10}"/>'
        f'<text x="{layout.left - 6}" y="{y + 3.5}" text-anchor="end">{name}</text>'
        for y, name in scale
    )
