"""`smcdsl lsp`: the language server."""

from __future__ import annotations

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal


@click.command("lsp")
@click.option("--stdio", is_flag=True, help="Talk over standard input and output, which it does anyway.")
@click.option("--extension", is_flag=True, help="Print the folder of the VS Code extension, then stop.")
@click.pass_obj
def command(terminal: Terminal, stdio: bool, extension: bool) -> int:
    """Start the language server, for editors: it talks over standard input and output.

    It loads no model and runs none of your code. Needs pygls: pip install 'smcdsl[lsp]'.
    """
    if extension:
        from smcdsl.editor.vscode import FOLDER

        click.echo(str(FOLDER))
        return exits.SUCCESS
    try:
        from smcdsl.editor.server import serve
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in ("pygls", "lsprotocol", "cattrs", "attrs"):
            raise
        terminal.complain(f"the language server needs `{error.name}`", "pip install 'smcdsl[lsp]'")
        return exits.USAGE
    serve(verbose=terminal.verbose > 0)
    return exits.SUCCESS
