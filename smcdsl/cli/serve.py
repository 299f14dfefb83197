"""`smcdsl serve`: programs over HTTP."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal


@click.command("serve")
@click.argument("folder", metavar="DIR")
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option("-m", "--model", metavar="NAME", help="For requests that name none.  [env: SMCDSL_MODEL]")
@click.option("--models", "models", multiple=True, metavar="NAME", help="A model that clients may ask for; repeat it.")
@click.option("--api-key-env", metavar="NAME", help="The environment variable that holds the key clients must show.")
@click.option("--allow-inline", is_flag=True, help="Also run programs that clients send.")
@click.pass_obj
def command(
    terminal: Terminal,
    folder: str,
    host: str,
    port: int,
    model: str | None,
    models: Sequence[str],
    api_key_env: str | None,
    allow_inline: bool,
) -> int:
    """Serve the programs of a folder over HTTP, as OpenAI's chat completions are asked for.

    Programs are compiled when the server starts. A request's `model` is `program@model` or `program`, its inputs are
    `inputs`; each choice is a draw from the posterior, which comes back whole under `smcdsl`. Files that clients name
    are looked for in DIR only.
    """
    try:
        import uvicorn

        from smcdsl.serve.app import Server
    except ImportError as error:
        message = f"`smcdsl serve` needs the package `{error.name}`: pip install 'smcdsl[serve]'"
        raise click.UsageError(message) from error
    from smcdsl.serve.programs import serve_folder

    key = None
    if api_key_env is not None:
        key = os.environ.get(api_key_env)
        if not key:
            raise click.UsageError(f"the environment variable `{api_key_env}` holds no key")
    served = serve_folder(Path(folder), model, models, terminal.config)
    if key is None and host not in ("127.0.0.1", "localhost", "::1"):
        terminal.note(f"note: anybody who reaches {host} may run these programs; --api-key-env asks for a key")
    terminal.note(f"serving {', '.join(served.programs)}")
    app = Server(served, key, allow_inline=allow_inline).app()
    level = "info" if terminal.verbose else "warning"
    uvicorn.run(app, host=host, port=port, log_level=level, log_config=_logging(uvicorn.config.LOGGING_CONFIG))
    return exits.SUCCESS


def _logging(usual: dict[str, Any]) -> dict[str, Any]:
    """The server's own settings, with requests on stderr as well: stdout is for results."""
    handlers = {name: {**handler, "stream": "ext://sys.stderr"} for name, handler in usual["handlers"].items()}
    return {**usual, "handlers": handlers}
