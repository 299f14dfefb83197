"""The table of verbs, the options of all of them, and what becomes of every error.

A verb's module is imported when the verb runs. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from smcdsl.cli import exits
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import SmcdslError

SECTIONS: dict[str, dict[str, str]] = {
    "Write": {
        "new": "Start a project or a program from a template (sql, python, smiles, pddl, extract)",
        "check": "Find mistakes without running anything             (no model needed)",
        "fmt": "Format files                                       (no model needed)",
        "explain": "Explain an error code, a library name, or a whole program",
        "show": "Print the exact prompt, the grammar, or the evaluation plan",
        "grammar": "Try a grammar: does it accept this text, what may come next, samples",
    },
    "Run": {
        "run": "Run a program on inputs",
        "test": "Run the test blocks",
        "trace": "Look at what the particles did",
        "serve": "Serve programs over HTTP (OpenAI-compatible)",
        "verify": "Check potentials' promises and the weights of runs (no model needed)",
        "distill": "Train a small draft model for a program",
    },
    "Ship": {
        "build": "Compile for a model's tokenizer and save a .smcx file",
        "stub": "Write Python type stubs for programs",
    },
    "Machine": {
        "models": "List model aliases and what is installed",
        "cache": "Show or clear compiled grammars and cached judgements",
        "doctor": "Check the installation, GPU, models and external tools",
        "lsp": "Start the language server",
    },
}

HEADING = "smcdsl - programs that say what a language model may write, and how good it is"
OPTIONS = """\
  -q, --quiet        Only results and errors
  -v, --verbose      More detail; repeat for more
      --color WHEN   auto, always, never                       [env: NO_COLOR]
      --config FILE  Use this instead of [tool.smcdsl] in pyproject.toml
  -V, --version
  -h, --help         Help for a command: smcdsl help run
"""


class Verbs(click.Group):
    """The top-level command: verbs by name, its help in sections."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, and `help`."""
        return [*(verb for verbs in SECTIONS.values() for verb in verbs), "help"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module, which holds its command under the verb's own name."""
        if cmd_name == "help":
            return help_command
        if not any(cmd_name in verbs for verbs in SECTIONS.values()):
            return None
        module = importlib.import_module(f"smcdsl.cli.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does, with a suggestion for a misspelled verb."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            known = ", ".join(self.list_commands(ctx))
            hint = f"did you mean `{close[0]}`?" if close else f"commands: {known}"
            raise click.UsageError(f"there is no command `{args[0]}`; {hint}", ctx=ctx) from error

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The page of the language reference, 5.1."""
        lines = [HEADING, "", "Usage: smcdsl <command> [options]"]
        for section, verbs in SECTIONS.items():
            lines += ["", section, *(f"  {verb:<9} {text}" for verb, text in verbs.items())]
        formatter.write("\n".join([*lines, "", "Options", OPTIONS]))


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from smcdsl import __version__

    click.echo(f"smcdsl {__version__}")
    ctx.exit()


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-q", "--quiet", is_flag=True)
@click.option("-v", "--verbose", count=True)
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto")
@click.option("--config", type=click.Path(), default=None)
@click.option("-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version)
@click.pass_context
def program(ctx: click.Context, quiet: bool, verbose: int, color: str, config: str | None) -> None:
    """The command line."""
    ctx.obj = Terminal(quiet=quiet, verbose=verbose, color=color, config=config)


@click.command("help", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("verb", required=False)
@click.pass_context
def help_command(ctx: click.Context, verb: str | None) -> None:
    """Show help for a command."""
    parent = ctx.parent
    assert parent is not None, "help is a verb of the group"
    assert isinstance(parent.command, Verbs)
    if verb is None:
        click.echo(parent.get_help())
        return
    _, command, _ = parent.command.resolve_command(parent, [verb])
    with click.Context(command, info_name=verb, parent=parent) as inner:
        click.echo(command.get_help(inner))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    # Read when numpy is imported. The embedded model's products are too small for two threads, which then
    # spin against each other; torch has its own threads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not if started with Ctrl-C ignored
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(run(arguments))


def _interrupt(*_: object) -> NoReturn:
    """The first Ctrl-C: what is going on stops, and says what it has. The next one ends the process at once."""
    signal.signal(signal.SIGINT, _end_at_once)
    raise KeyboardInterrupt


def _end_at_once(*_: object) -> NoReturn:
    if sys.stderr.isatty():  # the live line hides the cursor
        os.write(sys.stderr.fileno(), b"\x1b[?25h\n")
    os._exit(exits.INTERRUPTED)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code."""
    terminal = Terminal()
    context: list[click.Context] = []
    try:
        with program.make_context("smcdsl", list(sys.argv[1:] if arguments is None else arguments)) as ctx:
            context.append(ctx)
            code = program.invoke(ctx)
            sys.stdout.flush()
            return code if isinstance(code, int) else exits.SUCCESS
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return exits.USAGE
    except click.ClickException as error:
        _of(context, terminal).complain(error.format_message(), _usage(error))
        return exits.USAGE
    except SmcdslError as error:
        _of(context, terminal).report(error.diagnostics)
        return exits.code_of(error)
    except (KeyboardInterrupt, click.Abort):
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.SUCCESS
    except Exception as error:
        return _of(context, terminal).crash(error)


def _of(context: list[click.Context], fallback: Terminal) -> Terminal:
    return context[0].obj if context and isinstance(context[0].obj, Terminal) else fallback


def _usage(error: click.ClickException) -> str:
    ctx = getattr(error, "ctx", None)
    option = getattr(error, "option_name", "") if isinstance(error, click.NoSuchOption) else ""
    if ctx is not None and ctx.parent is not None and any(option in each.opts for each in ctx.parent.command.params):
        return f"`{option}` goes before the verb: `{ctx.parent.command_path} {option} {ctx.info_name} ...`"
    return f"see `{ctx.command_path} --help`" if ctx is not None else ""
