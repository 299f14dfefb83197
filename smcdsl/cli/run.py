"""`smcdsl run`: run a program on inputs."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smcdsl.cli import exits
from smcdsl.cli.asked import Lines, Options, named_texts, write_file
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import BudgetExceeded, Diagnostic, PotentialError, UsageError

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram
    from smcdsl.engine.result import Result
    from smcdsl.inference.events import Event

SETTING_FLAGS = (
    "model",
    "backend",
    "temperature",
    "power",
    "chat_template",
    "infer",
    "particles",
    "lookahead",
    "seed",
    "timeout",
    "max_tokens",
    "islands",
    "grow",
    "grow_ess",
    "retry",
    "refine",
    "draft",
    "gamma",
    "lenience",
    "temper",
    "state_limit",
    "check_potentials",
)


class RunCommand(click.Command):
    """The command whose help also lists the inputs of the program named with it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; the arguments are kept for the help."""
        ctx.meta["arguments"] = list(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The program's inputs, then the options."""
        named = next((word for word in ctx.meta.get("arguments", []) if word.endswith((".smc", ".smcx"))), None)
        if named is not None and Path(named).is_file():
            rows = _input_rows(named)
            if rows:
                with formatter.section(f"Inputs of this program ({named})"):
                    formatter.write_dl(rows)
        super().format_options(ctx, formatter)


def _input_rows(path: str) -> list[tuple[str, str]]:
    from smcdsl.engine import load
    from smcdsl.engine.inputs import placeholder

    try:
        program = load(path).program
    except Exception:  # help must not fail because a program does
        return []
    rows = []
    for declared in program.inputs:
        need = "required" if declared.required else f"default {declared.default!r}"
        text = f"  {declared.help}" if declared.help else ""
        rows.append((f"-i {declared.name}={placeholder(declared.type)}", f"{declared.type}  {need}{text}"))
    return rows


@click.command("run", cls=RunCommand)
@click.argument("program", metavar="PROGRAM")
@click.option(
    "-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; `@FILE` reads it, `-` is stdin."
)
@click.option("--inputs", "inputs_file", metavar="FILE", help="All inputs as one JSON object; `-` reads stdin.")
@click.option("--batch", metavar="FILE", help="One JSON object per line; results as JSONL, in order.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=4,
    show_default=True,
    metavar="N",
    help="Rows in flight at once with --batch.",
)
@click.option(
    "-m", "--model", metavar="NAME", help="tiny, an alias, a folder, a hub name, toy:FILE.json.  [env: SMCDSL_MODEL]"
)
@click.option("--backend", metavar="NAME", help="auto, hf, toy.")
@click.option("--temperature", metavar="X", help="Changes the target (a note is printed).")
@click.option("--power", metavar="A", help="Exponent of the model's probability; changes the target as well.")
@click.option("--chat-template", metavar="FILE", help="A Jinja file in place of the model's own template.")
@click.option("--infer", metavar="NAME", help="A named profile, or a method: smc, is, rejection, rerank, lcd.")
@click.option("--particles", metavar="N", help="How many particles.")
@click.option(
    "--lookahead",
    metavar="WORD",
    help="off, learned (use what runs learned, and learn), fixed (use it), guides (they propose).",
)
@click.option("--seed", metavar="N", help="Determines the run.  [default: 0]")
@click.option("--runs", type=click.IntRange(1), metavar="R", help="Repeat on R consecutive seeds; one JSON line each.")
@click.option("--timeout", metavar="T", help="A duration, such as 60s.")
@click.option("--max-tokens", metavar="N", help="The most that the model may write in a particle.")
@click.option(
    "--islands", metavar="R", help="Independent repetitions, 4 or more: one result, and what it may be off by."
)
@click.option("--grow", metavar="K", help="Double the particles up to K times while none survives.")
@click.option("--grow-ess", metavar="X", help="With --grow: also while the effective sample size is below X.")
@click.option("--retry", metavar="M", help="Up to M attempts at two populations that survive; log Z stays unbiased.")
@click.option("--refine", metavar="K", help="K sweeps of conditional SMC after the run: nearer to the posterior.")
@click.option(
    "--temper", metavar="X", help="Power of previews when particles are copied, 0 to 1, or auto.  [default: 1]"
)
@click.option(
    "--draft", metavar="NAME", help="none, forced, suffix, self, or a model: fewer target passes, same target."
)
@click.option("--gamma", metavar="N", help="How many tokens to draft at a time, or auto.  [default: 4]")
@click.option("--lenience", metavar="X", help="How gladly drafts are accepted, from 0.5 to 1.  [default: 1]")
@click.option("--state-limit", metavar="N", help="The most automaton states of a grammar.")
@click.option(
    "--check-potentials", is_flag=True, default=None,
    help="Make all calls of pure potentials twice, in another order, and compare.",
)  # fmt: skip
@click.option(
    "-f", "--format", "output_format", type=click.Choice(["text", "json", "jsonl", "table"]),
    help="[default: text on a terminal, json in a pipe]",
)  # fmt: skip
@click.option("--view", metavar="V", help="posterior, best, samples:N, particles.  [default: what the program returns]")
@click.option("-o", "--output", metavar="FILE", help="Write the result here, all or nothing.")
@click.option("--trace", metavar="FILE", help="Write particle events as JSONL.")
@click.option("--stream", is_flag=True, help="Print events while running.")
@click.option("--no-progress", is_flag=True, help="No live line.")
@click.option("--show-config", is_flag=True, help="Print where every setting came from, then stop.")
@click.pass_obj
def command(terminal: Terminal, /, **given: Any) -> int:
    """Run a program on inputs and print its result.

    Results go to stdout, everything else to stderr. Settings are taken from flags, the environment, the
    named profile, the infer block, [tool.smcdsl] in pyproject.toml, and defaults, in this order.
    """
    from smcdsl.engine import load
    from smcdsl.engine.settings import TARGET

    program = load(given["program"], config=terminal.config)
    options = _options(program, given)
    settings = program.settings(**options.flags)
    if given["show_config"]:
        _show_config(program, options)
        return exits.SUCCESS
    for name in TARGET:
        if options.flags[name] is not None and settings[name] != getattr(program.program.model, name):
            terminal.note(f"note: --{name} {settings[name]:g} changes the target of this program")
    terminal.report(program.program.warnings)
    if options.batch is not None:
        from smcdsl.cli.batch import run_batch

        _announce_compiling(terminal)
        return run_batch(terminal, program, options)
    values = _values(program, options)
    _announce_compiling(terminal)
    if options.runs is not None:
        return _repeat(terminal, program, options, values)
    return _single(terminal, program, options, values)


def _announce_compiling(terminal: Terminal) -> None:
    """Tell somebody who waits why the very first run takes so long."""
    if sys.stderr.isatty():
        from smcdsl.automaton.machine import kernels_are_compiled

        if not kernels_are_compiled():
            terminal.note("note: compiling smcdsl's kernels for this machine, about half a minute, once")


def _texts(program: CompiledProgram, items: Sequence[str], inputs_file: str | None) -> dict[str, list[str]]:
    """The texts of `-i` flags by name. Raises click.UsageError."""
    texts = named_texts(program.program, items)
    if sum(value == "-" for values in texts.values() for value in values) + (inputs_file == "-") > 1:
        raise click.UsageError("only one input can be read from stdin")
    return texts


def read_values(program: CompiledProgram, items: Sequence[str], inputs_file: str | None) -> dict[str, Any]:
    """Values of all inputs from `-i` flags and `--inputs`. Raises UsageError and click.UsageError."""
    from smcdsl.engine.inputs import command_line, read_inputs

    texts = _texts(program, items, inputs_file)
    values = {} if inputs_file is None else _read_object(inputs_file)
    return read_inputs(program.program, texts, values, command_line(_shown_command()))


def _options(program: CompiledProgram, given: dict[str, Any]) -> Options:
    texts = _texts(program, given["inputs"], given["inputs_file"])
    if given["batch"] and given["runs"]:
        raise click.UsageError("--batch and --runs do not go together")
    if given["batch"] and given["output_format"] in ("text", "table"):
        raise click.UsageError(f"--batch writes JSON lines, so `--format {given['output_format']}` has no meaning here")
    view = None
    if given["view"] is not None:
        from smcdsl.report.results import parse_view

        try:
            view = parse_view(given["view"])
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    to_terminal = given["output"] is None and sys.stdout.isatty()
    return Options(
        texts=texts,
        inputs=given["inputs_file"],
        batch=given["batch"],
        jobs=given["jobs"],
        runs=given["runs"],
        output_format=given["output_format"] or ("text" if to_terminal else "json"),
        view=view,
        output=given["output"],
        trace=given["trace"],
        stream=given["stream"],
        progress=not given["no_progress"],
        flags={name: given[name] for name in SETTING_FLAGS},
    )


def _values(program: CompiledProgram, options: Options) -> dict[str, Any]:
    from smcdsl.engine.inputs import command_line, read_inputs

    values: dict[str, Any] = {}
    if options.inputs is not None:
        values = _read_object(options.inputs)
    return read_inputs(program.program, options.texts, values, command_line(_shown_command()))


def _read_object(path: str) -> dict[str, Any]:
    """The JSON object of `--inputs`. Raises UsageError."""
    from smcdsl.engine import read_source
    from smcdsl.errors import Label, Span

    source = read_source(path)
    labels: tuple[Label, ...] = ()
    try:
        found = json.loads(source.text)
        if isinstance(found, dict):
            return found
        message = f"`{source.name}` holds no JSON object"
    except ValueError as error:
        message = f"`{source.name}` is not JSON"
        offset = min(getattr(error, "pos", 0), len(source.text))
        labels = (Label(Span(source, offset, offset), str(getattr(error, "msg", error)).lower(), primary=True),)
    raise UsageError(
        Diagnostic(
            "E0802",
            message,
            labels if source.text else (),
            context=f"--inputs {path}",
            help='write all inputs as one object: {"name": value, ...}',
        )
    )


def _shown_command() -> str:
    """The command as it was typed, long values left out."""
    words = []
    for word in sys.argv[1:]:
        name, equals, value = word.partition("=")
        words.append(f'{name}="..."' if equals and (" " in value or len(value) > 40) else shlex.quote(word))
    return " ".join(["smcdsl", *words])


def _show_config(program: CompiledProgram, options: Options) -> None:
    settings = program.settings(**options.flags)
    rows = [(setting.name, _setting_text(setting.value), setting.source) for setting in settings.values]
    if options.output_format in ("json", "jsonl"):
        click.echo(
            json.dumps({name: {"value": settings[name], "source": source} for name, _, source in rows}, indent=2)
        )
        return
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for name, value, source in rows:
        click.echo(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {source}")


def _setting_text(value: Any) -> str:
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _single(terminal: Terminal, program: CompiledProgram, options: Options, values: dict[str, Any]) -> int:
    from smcdsl.engine import RunInterrupted

    events: list[Event] = []
    try:
        with _listener(terminal, options, events) as (listen, compiled):
            (result,) = program.run_many(
                None, [(values, None)], options.flags, on_event=listen, on_compiled=compiled, on_notice=terminal.note
            )
    except PotentialError:
        # What the particles did up to the failure is what its trace is for.
        write_trace(options, events)
        raise
    except RunInterrupted as stop:
        (result,) = stop.partial
        write_trace(options, events)
        posterior = result.outcome.posterior
        done = f"{int(posterior.finished.sum())} of {posterior.num_particles} particles had finished"
        terminal.note(f"interrupted after {result.outcome.seconds:.1f} s: {done}, {posterior.tokens['target']} tokens")
        if posterior.finished.any() or options.output_format in ("json", "jsonl"):
            write(terminal, options, [result_text(terminal, options, result)])
        return exits.INTERRUPTED
    write_trace(options, events)
    failure = result.failure
    shows = failure is None or isinstance(failure, BudgetExceeded) or options.output_format in ("json", "jsonl")
    if shows:
        write(terminal, options, [result_text(terminal, options, result)])
    terminal.report(result.outcome.posterior.warnings)
    if failure is not None:
        terminal.report(failure.diagnostics)
        return exits.code_of(failure)
    return exits.SUCCESS


def _repeat(terminal: Terminal, program: CompiledProgram, options: Options, values: dict[str, Any]) -> int:
    """`--runs`: many seeds side by side; one JSON line each. No survivors is an outcome like others here."""
    assert options.runs is not None, "called for --runs only"
    settings = program.settings(**options.flags)
    model = program.load_model(None, settings)
    at_once = max(1, (16384 if settings["model"].startswith("toy:") else 256) // settings["particles"])
    seeds = list(range(settings["seed"], settings["seed"] + options.runs))
    codes: list[int] = []
    events: list[Event] = []
    listen = events.append if options.trace is not None else None
    from smcdsl.workers import WorkerPools

    with Lines(options) as lines, WorkerPools() as pools:
        for start in range(0, len(seeds), at_once):
            requests = [(values, seed) for seed in seeds[start : start + at_once]]
            done = program.run_many(
                model, requests, options.flags, on_event=listen, pools=pools, on_notice=terminal.note
            )
            for result in done:
                lines.add(json.dumps(result.as_json(options.view)))
                codes.append(exits.SUCCESS if result.failure is None else exits.code_of(result.failure))
    write_trace(options, events)
    if all(code == exits.NO_SURVIVORS for code in codes):
        return exits.NO_SURVIVORS
    return exits.most_severe([code for code in codes if code != exits.NO_SURVIVORS])


@contextlib.contextmanager
def _listener(terminal: Terminal, options: Options, events: list[Event]) -> Iterator[tuple[Any, Any]]:
    """What listens to a run: the trace, the stream, the live line. Nothing listens if nobody asked."""
    wants_line = options.progress and not terminal.quiet and sys.stderr.isatty() and not options.stream
    if wants_line:
        from smcdsl.report.progress import Progress

        with Progress() as progress:

            def both(event: Event) -> None:
                progress.event(event)
                events.append(event)

            yield both, progress.compiled
        return
    listeners: list[Any] = []
    if options.trace is not None:
        listeners.append(events.append)
    if options.stream:
        listeners.append(_streamer(options))
    yield (lambda event: [listener(event) for listener in listeners]) if listeners else None, None


def _streamer(options: Options) -> Any:
    from smcdsl.report.progress import describe

    if options.output_format == "jsonl":
        return lambda event: click.echo(json.dumps(event.as_json()))
    return lambda event: click.echo(describe(event), err=True)


def result_text(terminal: Terminal, options: Options, result: Result) -> str:
    """The result in the format asked for."""
    if options.output_format == "json":
        return json.dumps(result.as_json(options.view), indent=2, ensure_ascii=False) + "\n"
    if options.output_format == "jsonl":
        return json.dumps(result.as_json(options.view), ensure_ascii=False) + "\n"
    if options.output_format == "table":
        return result.as_table(options.view)
    if terminal.quiet:
        from smcdsl.report.results import own_view, values_text

        return "\n".join(values_text(result.outcome, options.view or own_view(result.outcome))) + "\n"
    color = options.output is None and terminal.colored(sys.stdout)
    return result.as_text(options.view, width=terminal.width(sys.stdout), color=color)


def write(terminal: Terminal, options: Options, texts: Sequence[str]) -> None:
    """To stdout, or to the file of `--output` in one go."""
    if options.output is None:
        for text in texts:
            click.echo(text, nl=False, color=True)
        return
    write_file(options.output, "".join(texts), "--output")


def write_trace(options: Options, events: Sequence[Event]) -> None:
    """The events, where they were asked for, and where `smcdsl trace --last` looks for what was made of them."""
    from smcdsl.report.trace.file import as_stored

    if not events and options.trace is None:
        return
    stored = as_stored(events)
    keep_last(stored)
    if options.trace is not None:
        write_file(options.trace, stored, "--trace")


def keep_last(stored: str) -> None:
    """Remember a trace; where that fails there is none to be looked at, and nothing else is lost."""
    from smcdsl.cli.trace import kept_trace
    from smcdsl.report.files import write_whole

    path = kept_trace()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, stored)
