"""`smcdsl explain CODE` and `smcdsl explain METHOD`: a page of the documentation."""

from __future__ import annotations

import re
import sys
from difflib import SequenceMatcher

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Diagnostic, UsageError
from smcdsl.report import pages

_CODE = re.compile(r"[a-z]{1,2}[0-9]{1,6}", re.IGNORECASE | re.ASCII)
_SHOWN = 3


def is_code(what: str) -> bool:
    """Whether this looks like a code, right or not: a letter or two and digits, in any case."""
    return _CODE.fullmatch(what) is not None


def is_method(what: str) -> bool:
    """Whether a page about a method has this name, in any case."""
    return what.lower() in pages.names(pages.METHODS)


def explain_code(terminal: Terminal, what: str) -> int:
    """Print the page about a code.

    Raises:
        UsageError: E0818, there is no such code; the nearest are named.
    """
    code = what.upper()
    text = pages.page(pages.ERRORS, code)
    if text is None:
        shown = [f"{near} ({_subject(near)})" for near in nearest(code)]
        raise UsageError(
            Diagnostic(
                "E0818",
                f"there is no code `{what}`",
                context=f"explain {what}",
                help="did you mean one of these?\n" + "\n".join(shown),
            )
        )
    return _print(terminal, text)


def explain_method(terminal: Terminal, what: str) -> int:
    """Print the page about a method of inference."""
    text = pages.page(pages.METHODS, what.lower())
    assert text is not None, "is_method was asked before"
    return _print(terminal, text)


def nearest(code: str) -> list[str]:
    """The codes most like this one: in spelling, then in number."""

    def distance(known: str) -> tuple[float, int, str]:
        unlike = 1 - SequenceMatcher(None, code, known, autojunk=False).ratio()
        return (round(unlike, 6), abs(_number(code) - _number(known)), known)

    return sorted(pages.names(pages.ERRORS), key=distance)[:_SHOWN]


def _number(code: str) -> int:
    return int(re.sub(r"\D", "", code) or 0)


def _subject(code: str) -> str:
    text = pages.page(pages.ERRORS, code)
    assert text is not None, "its name comes from the list of pages"
    return pages.headline(text).partition(": ")[2]


def _print(terminal: Terminal, text: str) -> int:
    drawn = pages.drawn(text, color=terminal.colored(sys.stdout), width=terminal.width(sys.stdout))
    click.echo(drawn, nl=False, color=True)
    return exits.SUCCESS
