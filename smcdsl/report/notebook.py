"""A result in a notebook and in an interpreter: its values with their probabilities as bars."""

from __future__ import annotations

from smcdsl.report.outcome import Outcome
from smcdsl.report.results import SHOWN_VALUES, as_lines, summary, value_text
from smcdsl.report.trace.markup import markup, markup_block
from smcdsl.report.trace.text import bar

BAR_CELLS = 12


def table_html(outcome: Outcome) -> str:
    """A table: probability, bar, value, what each `score` line gave; below it what the run says of itself.

    Colours are the page's own, so that it fits light and dark.
    """
    posterior = outcome.posterior
    factors = posterior.factors if len(posterior.factors) > 1 else ()
    front = {id(item) for item in posterior.front}
    head = ["p", "", "value", *(["members"] if posterior.keys is not None else []), *factors]
    rows = []
    for item in posterior.support[:SHOWN_VALUES]:
        cells = [
            _cell(f"{item.probability:.3f}", "text-align:right;font-variant-numeric:tabular-nums"),
            _bar(item.probability),
            _cell(markup_block(value_text(item.value)), "text-align:left;white-space:pre-wrap;font-family:monospace"),
        ]
        cells += [_cell(str(len(item.members)), "text-align:right")] if posterior.keys is not None else []
        star = " *" if id(item) in front else ""
        cells += [
            _cell(f"{value:.3f}{star}", "text-align:right") for value in (item.factors.values() if factors else ())
        ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    rest = posterior.support[SHOWN_VALUES:]
    if rest:
        share = sum(item.probability for item in rest)
        rows.append(
            f"<tr>{_cell(f'{share:.3f}', 'text-align:right')}{_bar(share)}{_cell(f'{len(rest)} more', '')}</tr>"
        )
    if not rows:
        rows.append(f'<tr><td colspan="{len(head)}">nothing: no particle survived</td></tr>')
    top = "".join(f'<th style="text-align:left">{markup(name)}</th>' for name in head)
    notes = [summary(outcome).replace("   ", " · "), *(f"{each.code}: {each.message}" for each in posterior.warnings)]
    below = "".join(f'<div style="opacity:.7">{markup(note)}</div>' for note in notes)
    return f"<div><table><thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table>{below}</div>"


def _cell(text: str, style: str) -> str:
    return f'<td style="{style}">{text}</td>'


def _bar(share: float) -> str:
    inner = f"width:{100 * share:.1f}%;min-width:1px;height:10px;background:currentColor;opacity:.45"
    return f'<td style="min-width:120px"><div style="{inner}"></div></td>'


def bars_text(outcome: Outcome) -> str:
    """The same as text: `0.71 ████████▌    SELECT ...`."""
    return as_lines(outcome, lambda share: f"{bar(share, BAR_CELLS):<{BAR_CELLS}}  ")
