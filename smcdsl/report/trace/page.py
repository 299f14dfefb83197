"""A trace as one page that needs nothing else: family tree, particles, weights of factors, ESS, time, drafts.

The page's own script follows particles; it runs under a policy that lets no other script run and fetches nothing.
Every text of the trace is spelled out (`markup.visible`) before it is put into the page.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from smcdsl.report.trace.drawing import CAUSES
from smcdsl.report.trace.markup import markup, script_data, visible
from smcdsl.report.trace.populations import Population
from smcdsl.report.trace.svg import columns_svg, ess_svg, stylesheet, tree_svg
from smcdsl.report.trace.text import accounts, heading

MOST_POPULATIONS = 16
"""On one page; the one asked for and its neighbours."""
MOST_PIECES = 8000
"""More pieces of text than this are not marked in the table of particles; the way of each still shows them."""
MOST_DEATHS = 500
"""Deaths with their texts; of more, the first ones."""
PARTS = ("model", "potentials", "masks", "sampling", "drafts", "bookkeeping")


def page_of(found: Sequence[Population], chosen: int = 0) -> str:
    """The page of some populations, `chosen` shown first."""
    first = max(0, min(chosen - MOST_POPULATIONS // 2, len(found) - MOST_POPULATIONS))
    shown = found[first : first + MOST_POPULATIONS]
    number = chosen - first
    own = shown[number]
    script = _read("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    title, *facts = heading(own).split("   ")
    ended = [line.strip().replace("   ", " · ").replace(" -", " −") for line in accounts(own)]
    warnings = () if own.finished is None else own.finished.warnings
    values = {
        "title": markup(title),
        "facts": markup(
            " · ".join([*facts, *(line for line in ended if line.startswith(("log Z", "ESS", "the run")))])
        ),
        "warnings": "".join(f'<p class="warning">{markup(warning)}</p>' for warning in warnings),
        "style": stylesheet() + _read("page.css"),
        "script": script,
        "script_hash": f"sha256-{digest}",
        "chooser": _chooser(shown, number),
        "populations": "".join(_section(each, place, place == number) for place, each in enumerate(shown)),
        "data": script_data([_told(each) for each in shown]),
    }
    # In one pass, so that nothing in a value is taken for a name.
    return re.sub(r"\{\{(\w+)\}\}", lambda name: values[name[1]], _read("page.html"))


def _read(name: str) -> str:
    return (files("smcdsl.report.trace") / name).read_text(encoding="utf-8")


def _chooser(shown: Sequence[Population], chosen: int) -> str:
    if len(shown) == 1:
        return ""
    options = "".join(
        f'<option value="{place}"{" selected" if place == chosen else ""}>{markup(heading(each))}</option>'
        for place, each in enumerate(shown)
    )
    return f'<p><label>Population <select id="chooser">{options}</select></label></p>'


def _section(population: Population, number: int, is_shown: bool) -> str:
    head = f'<section data-population="{number}"{"" if is_shown else " hidden"}>'
    if not population.steps:
        return f'{head}<p class="note">Nothing was written.</p></section>'
    return "".join(
        [
            head,
            _tree(population),
            _charts(population),
            _particles(population),
            _factors(population),
            _deaths(population),
            "</section>",
        ]
    )


def _tree(population: Population) -> str:
    return (
        "<h2>Family tree <small>time goes right, a row is a slot; sites along the top</small></h2>"
        '<ul class="legend"><li><span class="full"></span>has heirs with weight at the end</li>'
        '<li><span class="dim"></span>has none</li><li><span class="cross">×</span>died</li>'
        "<li>dotted: resampled here</li><li>the larger or darker, the more weight</li></ul>"
        '<div class="scroll figure" tabindex="0" role="group" aria-label="Family tree. Up and down: another slot. '
        "Left: where it comes from. Right: its heir. Home and End: the line's ends.\">"
        f"{tree_svg(population, style=False)}</div>"
        '<p class="said" aria-live="polite"></p>'
        "<h2>The way of the chosen particle <small>what it wrote up to each site, and what that did to the log of its "
        'weight</small></h2><div class="scroll tall" tabindex="0" role="region" aria-label="The way of the chosen '
        'particle"><table class="way"></table></div>'
        '<p class="note">Arrow keys in the tree go from particle to particle and along its line. The column '
        "<em>tokens</em> is what the model and the proposal of tokens did; ⤨ marks where particles were resampled.</p>"
    )


def _charts(population: Population) -> str:
    made = [
        "<h2>Effective sample size <small>solid; dashed: particles with weight</small></h2>",
        f'<div class="scroll">{ess_svg(population)}</div>',
    ]
    parts = _seconds(population)
    if parts:
        total = sum(sum(values) for _, values in parts)
        legend = "".join(
            f'<li><span class="p{number}"></span>{name} {sum(values):.3f} s, {100 * sum(values) / total:.0f} %</li>'
            for number, (name, values) in enumerate(parts)
            if sum(values) > 0
        )
        made += [
            "<h2>Time by part <small>seconds up to each site, of the whole batch</small></h2>",
            f'<ul class="legend">{legend}</ul>',
            f'<div class="scroll">{columns_svg(population, parts, "Seconds by part before every site", "s")}</div>',
        ]
    drafts = _drafts(population)
    if drafts:
        kept, refused = sum(drafts[0][1]), sum(drafts[1][1])
        share = 100 * kept / max(kept + refused, 1)
        made += [
            f"<h2>Speculation <small>{kept:.0f} of {kept + refused:.0f} drafted tokens kept, {share:.0f} %</small>",
            '</h2><ul class="legend"><li><span class="p0"></span>kept</li>',
            '<li><span class="p1"></span>refused</li></ul>',
            f'<div class="scroll">{columns_svg(population, drafts, "Drafts before every site", "tokens")}</div>',
        ]
    return "".join(made)


def _seconds(population: Population) -> list[tuple[str, list[float]]]:
    """Seconds by part between the steps; empty where a trace has none."""
    found = []
    for name in PARTS:
        until = [site.spent.get(name, 0.0) for site in population.steps]
        found.append((name, [max(later - earlier, 0.0) for earlier, later in zip([0.0, *until], until)]))
    return found if any(sum(values) for _, values in found) else []


def _drafts(population: Population) -> list[tuple[str, list[float]]]:
    """Drafted tokens that were kept, and the others, between the steps."""
    told = [site.drafts or (0, 0) for site in population.steps]
    if not any(proposed for proposed, _ in told):
        return []
    pairs = list(zip([(0, 0), *told], told))
    kept = [float(max(now[1] - before[1], 0)) for before, now in pairs]
    proposed = [float(max(now[0] - before[0], 0)) for before, now in pairs]
    return [("kept", kept), ("refused", [max(all_ - some, 0.0) for all_, some in zip(proposed, kept)])]


def _particles(population: Population) -> str:
    order = sorted(range(population.size), key=lambda slot: (-population.final_shares[slot], slot))
    causes = {death.event.slot: death for death in population.deaths if death.step == len(population.steps) - 1}
    is_marked = population.size * len(population.steps) <= MOST_PIECES
    largest = max(population.final_shares) or 1.0
    rows = []
    for slot in order:
        share, weight = population.final_shares[slot], population.final_log_weights[slot]
        death = causes.get(slot)
        state = "" if death is None else f"{death.event.cause} {death.event.place}"
        bar = f'<span class="bar" style="width:{round(90 * share / largest)}px"></span> ' if share else ""
        text = _marked(population, slot) if is_marked else markup(population.texts[slot])
        shown = "−∞" if weight == -math.inf else f"{weight:.3f}".replace("-", "−")
        rows.append(
            f'<tr data-slot="{slot}"{"" if share else " class=dead"}><td class="number">'
            f'<button type="button" tabindex="-1" aria-pressed="false">{slot}</button></td>'
            f'<td class="share">{bar}{share:.3f}</td><td class="number">{shown}</td>'
            f'<td class="text">{text}</td><td>{markup(state)}</td></tr>'
        )
    marks = ", the small numbers are its sites" if is_marked else ""
    return (
        f"<h2>Particles <small>by weight at the end; text behind the prompt{marks}</small></h2>"
        '<div class="scroll tall"><table><thead><tr><th scope="col" class="number">slot</th><th scope="col">share</th>'
        '<th scope="col" class="number">log weight</th><th scope="col">text</th><th scope="col">lost to</th></tr>'
        f'</thead><tbody class="particles">{"".join(rows)}</tbody></table></div>'
    )


def _marked(population: Population, slot: int) -> str:
    pieces = []
    for step, at in enumerate(population.line(slot)):
        piece = population.piece(step, at) if at >= 0 else ""
        if piece:
            pieces.append(f"{markup(piece)}<i>{population.steps[step].number}</i>")
    return "".join(pieces)


def _factors(population: Population) -> str:
    """What each factor did at every site: the mean of the logs that are finite, and how many particles it removed."""
    if not population.started.factors:
        return ""
    head = "".join(f'<th scope="col" class="number">{site.number}</th>' for site in population.steps)
    rows = []
    for number, factor in enumerate(population.started.factors):
        cells = []
        for site in population.steps:
            logs = [change.log_weight for own in site.changes for change in own if change.factor == number]
            finite = [log for log in logs if log > -math.inf]
            dead = len(logs) - len(finite)
            mean = f"{sum(finite) / len(finite):+.2f}".replace("-", "−") if finite else ""
            lost = f' <span class="minus">{dead}×</span>' if dead else ""
            cells.append(f'<td class="number">{mean}{lost}</td>')
        line = population.started.lines[number]
        rows.append(f"<tr><td>{markup(factor)} <small>line {line}</small></td>{''.join(cells)}</tr>")
    return (
        "<h2>Factors <small>at every site the mean of what each adds to the log weights; in red how many particles it "
        'removed</small></h2><div class="scroll" tabindex="0" role="region" aria-label="Factors by site"><table><thead>'
        f'<tr><th scope="col">factor</th>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _deaths(population: Population) -> str:
    if not population.deaths:
        return ""
    rows = []
    for death in population.deaths[:MOST_DEATHS]:
        event = death.event
        said = event.reason or CAUSES.get(event.cause, "")
        rows.append(
            f'<tr><td class="number">{death.step + 1}</td><td class="number">{event.slot}</td>'
            f"<td>{markup(event.cause)}</td><td>{markup(event.place)}</td><td>{markup(said)}</td>"
            f'<td class="text">{markup(event.text)}</td></tr>'
        )
    more = "" if len(population.deaths) <= MOST_DEATHS else f", the first {MOST_DEATHS} of {len(population.deaths)}"
    return (
        f"<h2>Deaths <small>before or at which site, and why{more}</small></h2>"
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Deaths"><table><thead><tr>'
        '<th scope="col" class="number">site</th><th scope="col" class="number">slot</th><th scope="col">cause</th>'
        '<th scope="col">where</th><th scope="col">reason</th><th scope="col">text</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _told(population: Population) -> dict[str, Any]:
    """What the page's script needs of a population."""
    return {
        "size": population.size,
        "factors": [visible(factor) for factor in population.started.factors],
        "steps": [_step(population, step) for step in range(len(population.steps))],
    }


def _step(population: Population, step: int) -> dict[str, Any]:
    site = population.steps[step]
    identity = tuple(range(population.size))
    distinct = list(dict.fromkeys(site.changes))
    places = {changes: place for place, changes in enumerate(distinct)}
    made = [[[each.factor, _short(each.log_weight), visible(each.place)] for each in own] for own in distinct]
    is_end = population.has_closing_step and step == len(population.steps) - 1
    told: dict[str, Any] = {
        "name": "the end" if is_end else f"site {site.number}",
        "origins": None if population.origins[step] == identity else population.origins[step],
        "weights": [_short(weight) for weight in site.log_weights],
        "pieces": [visible(population.piece(step, slot)) for slot in range(population.size)],
        "changes": {"made": made if any(distinct) else [], "of": [places[own] for own in site.changes]},
    }
    if step in population.resampled:
        told["level"] = _short(population.resampled[step].log_weight)
    return told


def _short(log_weight: float) -> float | None:
    return None if log_weight == -math.inf else round(log_weight, 5)
