"""A trace for a terminal: the family tree, boundaries with ESS and weights, deaths, time; or one particle's way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from smcdsl.inference.collapse import Change
from smcdsl.report.trace.drawing import CAUSES, tree_lines
from smcdsl.report.trace.lineage import family_tree
from smcdsl.report.trace.populations import Death, Population
from smcdsl.report.visible import cells, escape, shorten

EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS = "▁▂▃▄▅▆▇█"
MOST_STEPS = 40
"""Boundaries in the table; of more, those where something happened and some between."""
_INDENT = "  "


def bar(share: float, width: int) -> str:
    """A bar of at most `width` cells, to an eighth of one; never empty for what is not zero."""
    eighths = min(round(share * width * 8), width * 8)
    eighths = max(eighths, 1 if share > 0 else 0)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def weights_line(shares: Sequence[float], width: int) -> str:
    """Normalised weights by slot, the heaviest the highest; neighbours added up where there are too many."""
    size = -(-len(shares) // max(width, 1))
    sums = [sum(shares[start : start + size]) for start in range(0, len(shares), size)]
    largest = max(sums, default=0.0)
    return "".join("·" if not share else LEVELS[min(int(8 * share / largest), 7)] for share in sums)


def overview(population: Population, others: int = 0, *, width: int | None = None) -> list[str]:
    """All of it but for the texts of deaths that are alike."""
    parts = [
        [heading(population)],
        tree_lines(population, family_tree(population), width) or [f"{_INDENT}nothing was written"],
        steps_table(population, width),
        death_lines(population, width=width),
        accounts(population),
    ]
    if others:
        noun = "population" if others == 1 else "populations"
        parts.append([f"{_INDENT}the trace has {others} more {noun}: --population N shows another"])
    lines = [line for part in parts if part for line in [*part, ""]][:-1]
    return lines if width is None else [shorten(line, width) for line in lines]


def heading(population: Population) -> str:
    """`text_to_sql   smc   16 particles   seed 0`, and which of several this is."""
    started = population.started
    parts = [
        started.program or "a program",
        started.method,
        f"{started.num_particles} particles",
        f"seed {started.seed}",
    ]
    for name, number, least in (
        ("run", started.group, 0),
        ("island", started.island, 0),
        ("population", started.population, 1),
    ):
        parts += [f"{name} {number + (name == 'run')}"] if number > least else []
    return escape("   ".join(filter(None, parts)))


def steps_table(population: Population, width: int | None) -> list[str]:
    """A line a boundary: alive, ESS as a bar, the weights by slot, whether it was resampled."""
    room = max(0, (width or 80) - 34)
    bars, weights = (10, min(32, room - 10)) if room >= 26 else (0, min(16, room))
    head = f"{_INDENT}site  alive    ESS" + (" " * (bars + 3) if bars else "  ") + ("weights" if weights >= 7 else "")
    lines = [head.rstrip()]
    shown = _chosen(population)
    for step, site in enumerate(population.steps):
        if step not in shown:
            if step - 1 in shown:
                lines.append(f"{_INDENT}   …")
            continue
        name = " end" if population.has_closing_step and step == len(population.steps) - 1 else f"{site.number:4d}"
        line = f"{_INDENT}{name}  {site.alive:5d}  {site.ess:5.1f}"
        if bars:
            line += f" {bar(site.ess / population.size, bars):<{bars}}"
        if weights > 0:
            line += f"  {weights_line(population.shares[step], weights)}"
        lines.append(line + ("  resampled" if step in population.resampled else ""))
    return lines


def _chosen(population: Population) -> set[int]:
    """The steps that a table has room for: the first, the last, those before and after copies, and some between."""
    number = len(population.steps)
    if number <= MOST_STEPS:
        return set(range(number))
    found = {0, number - 1}
    for step in population.resampled:
        if len(found) < MOST_STEPS // 2:
            found.add(step)
    return found | {round(place * (number - 1) / (MOST_STEPS // 2)) for place in range(MOST_STEPS // 2)}


def death_lines(population: Population, *, every: bool = False, width: int | None = None) -> list[str]:
    """Deaths with their reasons: one text for those that are alike, or every one."""
    if not population.deaths:
        return []
    lines = [f"{_INDENT}deaths"]
    for deaths in [[death] for death in population.deaths] if every else _alike(population.deaths):
        event = deaths[0].event
        count = f"{len(deaths)}× " if len(deaths) > 1 else ""
        slots = ", ".join(str(slot) for slot in sorted({death.event.slot for death in deaths})[:8])
        more = ", …" if len({death.event.slot for death in deaths}) > 8 else ""
        noun = "slots" if "," in slots + more else "slot"
        place = f" {event.place}" if event.place else ""
        lines.append(
            escape(f"{_INDENT * 2}{count}{event.cause}{place}, by site {deaths[0].step + 1} ({noun} {slots}{more})")
        )
        if said := event.reason or CAUSES.get(event.cause, ""):
            lines += [f"{_INDENT * 3}{escape(line)}" for line in said.splitlines()]
        texts = list(dict.fromkeys(death.event.text.strip() for death in deaths))
        lines += [f"{_INDENT * 3}{escape(text)}" for text in texts[:1] if text]
        if len(texts) > 1:
            lines.append(
                f"{_INDENT * 3}and {len(texts) - 1} other text{'' if len(texts) == 2 else 's'}: --deaths shows all"
            )
    return lines if width is None else [shorten(line, width) for line in lines]


def _alike(deaths: Iterable[Death]) -> list[list[Death]]:
    """Deaths of one cause, place and reason together."""
    found: dict[tuple[str, str, str, int], list[Death]] = {}
    for death in deaths:
        event = death.event
        found.setdefault((event.cause, event.place, event.reason, death.step), []).append(death)
    return list(found.values())


def accounts(population: Population) -> list[str]:
    """Where the time went, what drafts did, and what the result says of itself."""
    lines = []
    spent = spent_shares(population)
    if spent:
        lines.append(_INDENT + "time   " + "   ".join(f"{name} {100 * share:.0f} %" for name, share in spent))
    drafted = next((site.drafts for site in reversed(population.steps) if site.drafts is not None), None)
    if drafted is not None and drafted[0]:
        lines.append(
            f"{_INDENT}drafts {drafted[1]} of {drafted[0]} tokens kept ({100 * drafted[1] / drafted[0]:.0f} %)"
        )
    ended = population.finished
    if ended is None:
        lines.append(f"{_INDENT}the run did not come to its end")
    else:
        log_z = "" if ended.log_z is None else f"log Z {ended.log_z:.2f}   "
        size = len(ended.log_weights) or population.size
        parts = f"{log_z}ESS {ended.ess:.1f} of {size}   {ended.target}{'' if ended.complete else '   incomplete'}"
        lines += [_INDENT + escape(parts), *(f"{_INDENT}{escape(warning)}" for warning in ended.warnings)]
    return lines


def spent_shares(population: Population) -> list[tuple[str, float]]:
    """The parts of the run's time, the largest first; those below one in a hundred are left out."""
    spent = population.finished.spent if population.finished else population.steps[-1].spent if population.steps else {}
    parts = {name: seconds for name, seconds in spent.items() if name != "total"}
    total = sum(parts.values())
    found = [(escape(name), seconds / total) for name, seconds in parts.items() if total > 0]
    return sorted((each for each in found if each[1] >= 0.01), key=lambda each: -each[1])


def particle_lines(population: Population, slot: int, *, width: int | None = None) -> list[str]:
    """One particle's way from the start: what it wrote, and what tokens and factors did to its weight."""
    weight = population.final_log_weights[slot]
    state = f"share {population.final_shares[slot]:.2g}, log weight {weight:.3f}" if weight > -math.inf else "no weight"
    line = population.line(slot)
    lines = [heading(population), "", f"{_INDENT}particle {slot}: {state}", ""]
    marked = []
    for step, at in enumerate(line):
        if at < 0:
            continue
        site = population.steps[step]
        piece = population.piece(step, at)
        marked.append(f"{escape(piece)}‹{site.number}›")
        share = population.shares[step][at]
        total = site.log_weights[at]
        shown = f"log weight {total:.3f}, share {share:.2g}" if total > -math.inf else "weight zero"
        lines.append(f"{_INDENT}site {site.number}, slot {at}: {shown}")
        if piece:
            lines.append(f"{_INDENT * 3}wrote  {escape(piece)}")
        tokens = population.of_tokens(step, at)
        if tokens is not None:
            lines.append(f"{_INDENT * 3}{tokens:+9.3f}  tokens")
        lines += [f"{_INDENT * 3}{_changed(population, change)}" for change in changes_at(population, step, at)]
        if step in population.resampled:
            level = population.resampled[step].log_weight
            lines.append(f"{_INDENT * 2}resampled at ESS {site.ess:.1f}: every copy weighs {level:.3f}")
    for death in population.deaths:
        if line and death.event.slot == line[-1] and death.step == len(population.steps) - 1:
            lines += death_lines_of(death)
    lines += ["", f"{_INDENT}{''.join(marked)}"]
    return lines if width is None else [shorten(each, width) if cells(each) > width else each for each in lines]


def death_lines_of(death: Death) -> list[str]:
    """One death."""
    event = death.event
    said = event.reason or CAUSES.get(event.cause, "")
    return [escape(f"{_INDENT * 2}died: {event.cause} {event.place}" + (f": {said}" if said else ""))]


def changes_at(population: Population, step: int, slot: int) -> tuple[Change, ...]:
    """What factors did to a slot."""
    changes = population.steps[step].changes
    return changes[slot] if changes else ()


def _changed(population: Population, change: Change) -> str:
    name = escape(population.started.factors[change.factor])
    value = "     -inf" if change.log_weight == -math.inf else f"{change.log_weight:+9.3f}"
    return f"{value}  {name}" + (f"  {escape(change.place)}" if change.place else "")
