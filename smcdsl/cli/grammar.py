"""`smcdsl grammar`: try a grammar on texts, without a model."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smcdsl.cli import exits
from smcdsl.cli.asked import named_texts
from smcdsl.cli.bound import bound
from smcdsl.cli.terminal import Terminal
from smcdsl.errors import Source

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram
    from smcdsl.engine.tried_grammar import TriedGrammar
    from smcdsl.program.grammar import Grammar
    from smcdsl.program.program import Program

_TRIES = 20
"""For each sample that is asked for, where searches for an end give up."""


@click.command("grammar")
@click.argument("program", metavar="PROGRAM")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--accepts", metavar="TEXT", help="Whether TEXT is in the language; exits with 1 if not.")
@click.option("--next", "prefix", metavar="TEXT", help="What may follow TEXT.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Print N texts of the language.")
@click.option("--why-not", metavar="TEXT", help="Where TEXT leaves the language, and what was possible there.")
@click.option("--seed", type=int, default=0, show_default=True, help="With --sample.")
@click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; `@FILE` reads it.")
@click.option("-f", "--format", "output_format", type=click.Choice(["text", "json"]), default="text")
@click.pass_obj
def command(
    terminal: Terminal,
    program: str,
    name: str | None,
    accepts: str | None,
    prefix: str | None,
    sample: int | None,
    why_not: str | None,
    seed: int,
    inputs: tuple[str, ...],
    output_format: str,
) -> int:
    """Try a grammar: does it accept this text, what may come next, samples.

    NAME is a hole or a declared grammar of PROGRAM; without it they are listed. With nothing to try, its rules and
    boundaries are printed. `@FILE` in place of a TEXT reads it from a file, `-` from
    standard input. Limits on tokens need a tokenizer and are left out. Samples show what the grammar allows; how
    likely a model is to write them is another matter.
    """
    from smcdsl.engine import load

    asked = [each for each in (accepts, prefix, sample, why_not) if each is not None]
    if len(asked) > 1:
        raise click.UsageError("try one thing at a time: --accepts, --next, --sample or --why-not")
    compiled = load(program, config=terminal.config)
    if name is None:
        if asked:
            raise click.UsageError(f"name the grammar to try: {', '.join(_names(compiled.program))}")
        return _list(compiled.program, output_format)
    grammar = bound(compiled.program, name, named_texts(compiled.program, inputs), "smcdsl grammar ...")
    if not asked:
        return _print(grammar, output_format)
    tried = _tried(terminal, compiled, grammar)
    if sample is not None:
        return _sample(terminal, tried, sample, seed, output_format)
    if prefix is not None:
        return _next(terminal, tried, _text(prefix), output_format)
    found = _explained(terminal, tried, name, _text(accepts if accepts is not None else why_not or ""))
    if output_format == "json":
        click.echo(json.dumps({key: value for key, value in found.items() if key != "lines"}))
    else:
        click.echo("\n".join(found["lines"]))
    return exits.SUCCESS if accepts is None or found["accepted"] else exits.FINDINGS


def _names(program: Program) -> dict[str, str]:
    """What can be named, with what it is."""
    holes = {hole.name: "hole" for hole in program.holes.values() if hole.name != "_"}
    return holes | dict.fromkeys(program.grammars, "grammar")


def _list(program: Program, output_format: str) -> int:
    names = _names(program)
    if output_format == "json":
        click.echo(json.dumps([{"name": name, "kind": kind} for name, kind in names.items()]))
        return exits.SUCCESS
    width = max(map(len, names), default=0)
    for name, kind in names.items():
        click.echo(f"{name:<{width}}  {kind}")
    return exits.SUCCESS


def _print(grammar: Grammar, output_format: str) -> int:
    from smcdsl.report.grammars import grammar_text

    text = grammar_text(grammar)
    click.echo(json.dumps({"grammar": text}, ensure_ascii=False) if output_format == "json" else text.rstrip("\n"))
    return exits.SUCCESS


def _tried(terminal: Terminal, compiled: CompiledProgram, grammar: Grammar) -> TriedGrammar:
    from smcdsl.engine.tried_grammar import TriedGrammar

    tried = TriedGrammar(grammar, compiled.settings()["state_limit"])
    if tried.without:
        terminal.note("note: limits on tokens are left out; they need a model's tokenizer")
    return tried


def _text(argument: str) -> str:
    """The text that is meant. Raises UsageError: it cannot be read."""
    from smcdsl.engine import read_source

    if argument == "-":
        return read_source("-").text
    return read_source(argument[1:]).text if argument.startswith("@") and Path(argument[1:]).name else argument


def _sample(terminal: Terminal, tried: TriedGrammar, count: int, seed: int, output_format: str) -> int:
    from smcdsl.report.visible import escape

    numbers = random.Random(seed)
    made: list[str] = []
    for _ in range(_TRIES * count):
        if len(made) == count:
            break
        if (text := tried.sample(numbers)) is not None:
            made.append(text.decode("utf-8"))
    if output_format == "json":
        click.echo(json.dumps(made, ensure_ascii=False))
    else:
        click.echo("\n".join(escape(text) for text in made))
    if len(made) < count:
        terminal.note(f"note: only {len(made)} of {count}; the other tries found no end")
    return exits.SUCCESS if made else exits.FINDINGS


def _next(terminal: Terminal, tried: TriedGrammar, prefix: str, output_format: str) -> int:
    from smcdsl.report.continuations import continuations

    ways = tried.ways(prefix.encode())
    if ways is None:
        found = _explained(terminal, tried, "the grammar", prefix)
        click.echo(json.dumps(None) if output_format == "json" else "\n".join(found["lines"]))
        return exits.FINDINGS
    lines = continuations(ways.texts, ways.bytes, ways.may_end)
    click.echo(json.dumps(lines, ensure_ascii=False) if output_format == "json" else "\n".join(lines))
    return exits.SUCCESS


def _explained(terminal: Terminal, tried: TriedGrammar, name: str, text: str) -> dict[str, Any]:
    """Whether a text is accepted; if not, how far it was read, what was possible there, and lines that say so."""
    from smcdsl.report.continuations import continuations, listed, marked, place_of_byte

    data = text.encode()
    reading = tried.read(data)
    if reading.accepted:
        return {"accepted": True, "read": reading.read, "lines": ["accepted"]}
    ways = tried.ways(data[: reading.read])
    assert ways is not None, "what was read is the beginning of a text"
    possible = continuations(ways.texts, ways.bytes, ways.may_end)
    offset, place = place_of_byte(Source("text", text), data, reading.read)
    if reading.read == len(data):
        head, label = f"not accepted: {name} goes on after this text", "it may not end here"
    else:
        head, label = f"not accepted: it leaves {name} at {place}", "not possible here"
    lines = [head, *marked(text, offset, label, terminal.width(sys.stdout)), f"possible here: {listed(possible)}"]
    return {"accepted": False, "read": reading.read, "possible": possible, "lines": lines}
