"""The family tree in characters: time goes right, one row a line of descent, alike ones together."""

from __future__ import annotations

from dataclasses import dataclass, field

from smcdsl.report.trace.lineage import Branch
from smcdsl.report.trace.populations import Population
from smcdsl.report.visible import escape, shorten

MOST_ROWS = 48
"""Rows of a drawing; what has less weight is counted below it."""
MARKS = {"finished": "●", "open": "○", "died": "×", "dropped": "╴", "split": ""}
CAUSES = {
    "grammar": "the model gives every token that the grammar allows probability zero",
    "observe": "the model gives an observed text probability zero",
    "budget": "the budget ran out",
}
"""What deaths mean that are no factor's."""


@dataclass
class _Row:
    """A leaf, or several that are alike."""

    branch: Branch
    count: int
    share: float
    label: str


@dataclass
class _Node:
    """A branch as drawn: its children are nodes or one row."""

    branch: Branch
    nodes: list[_Node] = field(default_factory=list)
    row: _Row | None = None
    since: int = 0
    """The column that its line begins in."""
    place: int = 0
    """The row that its line is on."""


def tree_lines(population: Population, roots: list[Branch], width: int | None) -> list[str]:
    """The drawing; no line is longer than `width` cells, if there is one."""
    nodes = _thinned(population, roots, MOST_ROWS)
    steps = len(population.steps)
    room = min(48, (width or 100) // 3)
    canvas = _Canvas(max(1, min(5, (room - 2) // max(steps, 1))), steps, room)
    canvas.draw(nodes)
    lines = []
    for row, drawn in zip(canvas.rows, canvas.lines(), strict=True):
        line = f"  {drawn} {row.label}"
        lines.append(line if width is None else shorten(line, width))
    kept = sum(row.count for row in canvas.rows)
    every = sum(1 for root in roots for _ in root.leaves())
    if kept < every:
        rest = 1.0 - sum(row.share for row in canvas.rows)
        lines.append(f"  and {every - kept} more, {max(rest, 0.0):.2f} of the weight together")
    return lines


def death_label(branch: Branch) -> str:
    """Why a line ended."""
    if branch.death is None:
        return "weight zero"
    event = branch.death.event
    said = event.reason or CAUSES.get(event.cause, "")
    words = " ".join(filter(None, [event.cause, event.place]))
    return escape(f"{words}: {said}" if said else words)


def _label(population: Population, branch: Branch, count: int, share: float) -> str:
    times = f"{count}× " if count > 1 else ""
    if branch.outcome in ("finished", "open"):
        more = "" if branch.outcome == "finished" else " …"
        return f"{share:.2f}  {times}{escape(population.texts[branch.slot].strip())}{more}"
    if branch.outcome == "died":
        return f"{times}{death_label(branch)}"
    weight = "" if count > 1 else f", share {population.shares[branch.last][branch.slot]:.2g}"
    return f"{times}not copied{weight}"


def _thinned(population: Population, roots: list[Branch], most: int) -> list[_Node]:
    """The tree with leaves that are alike together; if that is still too much, the heaviest of it."""
    nodes = _nodes(population, roots)
    everything = _in_order(nodes)
    rows = [node.row for node in everything if node.row is not None]
    if len(rows) <= most:
        return nodes
    kept = {id(row) for row in sorted(rows, key=lambda row: (-row.share, -row.count))[:most]}
    for node in reversed(everything):
        node.nodes = [child for child in node.nodes if child.nodes or id(child.row) in kept]
    return [node for node in nodes if node.nodes or id(node.row) in kept]


def _in_order(nodes: list[_Node]) -> list[_Node]:
    """All nodes, each before its children. Trees of long runs are deeper than functions may nest."""
    found, waiting = [], list(reversed(nodes))
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += reversed(node.nodes)
    return found


def _nodes(population: Population, roots: list[Branch]) -> list[_Node]:
    top: list[_Node] = []
    waiting = [(roots, top)]
    while waiting:
        branches, made = waiting.pop()
        alike: dict[tuple[object, ...], list[Branch]] = {}
        for branch in branches:
            if branch.branches:
                made.append(_Node(branch))
                waiting.append((branch.branches, made[-1].nodes))
                continue
            own = alike.setdefault(_kind(population, branch), [])
            own.append(branch)
            if len(own) == 1:
                made.append(_Node(branch))
        groups = {id(own[0]): own for own in alike.values()}
        for node in made:
            if not node.branch.branches:
                node.row = _row(population, groups[id(node.branch)])
    return top


def _row(population: Population, own: list[Branch]) -> _Row:
    shares = population.shares[-1]
    is_alive = own[0].outcome in ("finished", "open")
    share = sum(shares[each.slot] for each in own) if is_alive else 0.0
    return _Row(own[0], len(own), share, _label(population, own[0], len(own), share))


def _kind(population: Population, branch: Branch) -> tuple[object, ...]:
    """Leaves of one kind are drawn as one."""
    if branch.outcome in ("finished", "open"):
        return (branch.outcome, population.texts[branch.slot])
    if branch.outcome == "died" and branch.death is not None:
        event = branch.death.event
        return ("died", branch.last, event.cause, event.place, event.reason)
    return (branch.outcome, branch.last)


class _Canvas:
    """Rows of characters. A step is `scale` columns wide; more steps than fit share columns."""

    def __init__(self, scale: int, steps: int, room: int) -> None:
        self.rows: list[_Row] = []
        self._cells: list[dict[int, str]] = []
        self._shrink = min(1.0, (room - 2) / max(steps * scale, 1))
        self._scale = scale
        self._width = self.column(steps - 1) + 2

    def column(self, step: int) -> int:
        """Where a step is drawn."""
        return round((step + 1) * self._scale * self._shrink)

    def draw(self, nodes: list[_Node]) -> None:
        """Draw a forest: rows in the order of its leaves, then the lines, from the leaves back."""
        everything = _in_order(nodes)
        for node in everything:
            end = self.column(node.branch.last)
            for child in node.nodes:
                child.since = end + 1
            if node.row is not None:
                node.place = len(self.rows)
                self.rows.append(node.row)
                self._cells.append({})
        for node in reversed(everything):
            self._draw(node)

    def _draw(self, node: _Node) -> None:
        end = self.column(node.branch.last)
        if node.row is not None:
            mark = MARKS[node.branch.outcome]
        else:
            own = [child.place for child in node.nodes]
            node.place, mark = own[0], "┬" if len(own) > 1 else "─"
            for row in range(own[0] + 1, own[-1] + 1):
                self._cells[row][end] = "│" if row not in own else "└" if row == own[-1] else "├"
        for column in range(node.since, end):
            self._cells[node.place][column] = "─"
        self._cells[node.place][end] = mark

    def lines(self) -> list[str]:
        """The rows as text, all of one width."""
        return ["".join(cells.get(column, " ") for column in range(self._width)) for cells in self._cells]
