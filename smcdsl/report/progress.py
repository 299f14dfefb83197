"""The live line of a run: particles alive, ESS, boundary, tokens, potentials, time; on a terminal or in a notebook."""

from __future__ import annotations

import sys
import time
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smcdsl.inference.events import Event


def is_notebook() -> bool:
    """Whether a Jupyter kernel runs us; a terminal with IPython is none."""
    if "ipykernel" not in sys.modules:
        return False
    from IPython import get_ipython

    return type(get_ipython()).__name__ == "ZMQInteractiveShell"


class Progress:
    """Shows events of one run while it goes on, and leaves the last state behind: on stderr, or below a cell.

    A notebook without ipywidgets, in which nothing can be redrawn, gets the last state only.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        in_notebook = is_notebook()
        file = None if in_notebook else sys.stderr
        self._console = Console(file=file, highlight=False, force_jupyter=in_notebook)
        self._redraws = not in_notebook or find_spec("ipywidgets") is not None
        self._live = Live("", console=self._console, refresh_per_second=8, transient=False)
        self._began = time.perf_counter()
        self._died = 0
        self._site: Any = None

    def __enter__(self) -> Progress:
        if self._redraws:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._redraws:
            # Below a cell, stopping draws nothing any more.
            self._live.update(self._line(), refresh=True)
            self._live.stop()
        else:
            self._console.print(self._line(), markup=False)

    def compiled(self, compiled: Any) -> None:
        """A hole's grammar is ready; `compiled` is an `engine.automata.Compiled`, which stands above."""
        cached = ", cached" if compiled.cached else ""
        text = f"{compiled.hole}: {compiled.states:,} states{cached}"
        self._console.print(f"  compile   {text:<38}{compiled.seconds:.1f} s", markup=False)

    def event(self, event: Event) -> None:
        """Something happened."""
        if event.name == "died":
            self._died += 1
        elif event.name == "site":
            self._site = event
        else:
            return
        self._live.update(self._line())

    def _line(self) -> str:
        seconds = f"{time.perf_counter() - self._began:.1f} s"
        if self._site is None:
            return f"  particles started   {seconds}"
        site = self._site
        calls = "   ".join(f"{name} {n} calls ({cached} cached)" for name, (n, cached) in site.calls.items())
        parts = [
            f"  particles {site.alive}/{len(site.log_weights)} alive",
            f"ESS {site.ess:.1f}",
            f"boundary {site.number}",
            f"tokens {site.tokens}",
            *([f"deaths {self._died}"] if self._died else []),
        ]
        whole = "   ".join([*parts, *([calls] if calls else []), seconds])
        return whole if len(whole) < self._console.width else "   ".join([*parts, seconds])


def describe(event: Event) -> str:
    """An event as one line, for `--stream`."""
    facts = event.as_json()
    seconds = f"{facts.pop('seconds'):8.3f} s"
    name = facts.pop("event")
    kept = {key: value for key, value in facts.items() if key not in ("texts", "log_weights", "finished", "calls")}
    return f"{seconds}  {name:<9} " + "  ".join(f"{key} {_short(value)}" for key, value in kept.items())


def _short(value: Any) -> str:
    from smcdsl.report.visible import escape, shorten

    text = f"{value:.3f}" if isinstance(value, float) else escape(str(value))
    return shorten(text, 80)
