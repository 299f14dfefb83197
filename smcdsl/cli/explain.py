"""`smcdsl explain`: a page about a code or a method, or what a name or a program means."""

from __future__ import annotations

import click

from smcdsl.cli.terminal import Terminal


@click.command("explain")
@click.argument("what", metavar="CODE|METHOD|NAME|PROGRAM")
@click.pass_obj
def command(terminal: Terminal, what: str) -> int:
    """Explain an error code, a method of inference, a library name, or a whole program.

    CODE is one such as E0303; METHOD is smc, is, rejection, rerank, lcd or beam.
    """
    from smcdsl.cli.explain_code import explain_code, explain_method, is_code, is_method

    if is_code(what):
        return explain_code(terminal, what)
    if is_method(what):
        return explain_method(terminal, what)
    from smcdsl.cli.explain_names import explain_other

    return explain_other(terminal, what)
