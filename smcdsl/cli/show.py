"""`smcdsl show`: what stands between a program's text and its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import click

from smcdsl.cli import exits
from smcdsl.cli.asked import named_texts
from smcdsl.cli.bound import bound, known_inputs
from smcdsl.cli.terminal import Terminal

if TYPE_CHECKING:
    from smcdsl.engine import CompiledProgram
    from smcdsl.program.program import InferenceProfile, Program
    from smcdsl.protocols import Role
    from smcdsl.report.transcripts import Piece


@click.command("show")
@click.argument("program", metavar="PROGRAM")
@click.option(
    "--prompt", is_flag=True, help="The transcript with holes as blanks, with inputs where they are given.  [default]"
)
@click.option("--grammar", metavar="NAME", help="The grammar of a hole, or a declared one, with all references closed.")
@click.option("--plan", is_flag=True, help="The instructions that particles run.")
@click.option("--ast", is_flag=True, help="The syntax tree.")
@click.option("--info", is_flag=True, help="Inputs, holes, boundaries and potentials as JSON.")
@click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; `@FILE` reads it.")
@click.option("--tokens", is_flag=True, help="With --prompt: where the model's tokens begin and end.")
@click.option("-m", "--model", metavar="NAME", help="With --prompt: through this model's chat template.")
@click.pass_obj
def command(
    terminal: Terminal,
    program: str,
    prompt: bool,
    grammar: str | None,
    plan: bool,
    ast: bool,
    info: bool,
    inputs: tuple[str, ...],
    tokens: bool,
    model: str | None,
) -> int:
    """Print the exact prompt, a grammar, the evaluation plan, or the syntax tree of a program.

    Without an option that says what to show, it is the prompt.
    """
    if sum((prompt, grammar is not None, plan, ast, info)) > 1:
        raise click.UsageError("show one at a time: --prompt, --grammar NAME, --plan, --ast or --info")
    if ast:
        return _show_tree(terminal, program)
    from smcdsl.engine import load

    compiled = load(program, config=terminal.config)
    if info:
        click.echo(json.dumps(program_info(compiled.program), indent=2, ensure_ascii=False))
    elif plan:
        click.echo(str(compiled.plan))
        click.echo(_profiles(compiled), nl=False)
    elif grammar is not None:
        _show_grammar(compiled, grammar, named_texts(compiled.program, inputs))
    else:
        _show_prompt(compiled, named_texts(compiled.program, inputs), model, tokens)
    return exits.SUCCESS


def _profiles(compiled: CompiledProgram) -> str:
    """How each profile proposes tokens, and why, where factors had a say in it; and what drafts them."""
    from smcdsl.inference.settings import Settings
    from smcdsl.inference.suitability import choose_proposal

    lines = ""
    for profile in compiled.program.profiles:
        name = f"\ninfer {profile.method} {profile.name}".rstrip()
        drafted = profile.draft != "none" and profile.lookahead != "learned"
        chosen = choose_proposal(compiled.plan, Settings.of(profile), drafted)
        if chosen.reason or chosen.checks:
            lines += f"{name}: proposal {chosen}\n"
        if profile.draft != "none":
            lines += f"{name}: {_drafts(profile)}\n"
    return lines


def _drafts(profile: InferenceProfile) -> str:
    """Where a profile's drafts come from, in the order that they are asked, and how they are checked."""
    if profile.lookahead == "learned":
        return f"draft {profile.draft}: not used, as a run that learns takes its tokens one by one"
    sources = ["text that the grammar forces"]
    if profile.draft != "forced":
        sources.append("what followed the same tokens in the prompt and in earlier text")
    if profile.draft == "self":
        sources.append("the model itself, reading the ends of the prompt")
    elif profile.draft not in ("forced", "suffix"):
        sources.append(f"the model {profile.draft}")
    most = "as many tokens at a time as pay" if profile.gamma == "auto" else f"{profile.gamma} tokens at a time"
    exact = "accepted exactly" if profile.lenience == 1.0 else f"lenience {profile.lenience:g}, corrected in the weight"
    return f"draft {profile.draft}: {', then '.join(sources)}; {most}, {exact}"


def _show_tree(terminal: Terminal, path: str) -> int:
    from smcdsl.engine import read_source
    from smcdsl.engine.kinds import refuse_other_kinds
    from smcdsl.language.parser import parse
    from smcdsl.report.trees import tree_text

    refuse_other_kinds(path, compiled=False)
    tree, diagnostics = parse(read_source(path))
    terminal.report(diagnostics)
    if tree is not None:
        click.echo(tree_text(tree), nl=False)
    return exits.FINDINGS if any(diagnostic.severity == "error" for diagnostic in diagnostics) else exits.SUCCESS


def program_info(program: Program) -> dict[str, Any]:
    """What tools want to know of a program."""
    return {
        "program": program.name,
        "summary": program.summary,
        "edition": program.edition,
        "inputs": [
            {
                "name": known.name,
                "type": str(known.type),
                "required": known.required,
                "default": None if known.required else known.default,
                "help": known.help,
            }
            for known in program.inputs
        ],
        "holes": [
            {
                "name": hole.name,
                "type": str(hole.type),
                "collects": hole.collects,
                "boundaries": list(hole.boundaries),
                "depends_on_inputs": hole.closed is None,
            }
            for hole in program.holes.values()
        ],
        "potentials": [
            {
                "name": signature.name,
                "parameters": [f"{parameter.name}: {parameter.type}" for parameter in signature.parameters],
                "result": str(signature.result),
                "prefix": signature.facts.prefix,
                "cost_seconds": signature.facts.cost_seconds,
                "pure": signature.facts.pure,
            }
            for signature in program.signatures.values()
            if signature.is_potential
        ],
        "grammars": list(program.grammars),
        "returns": {
            "view": program.returns.view,
            "type": str(program.returns.type),
            "by": None if program.returns.key is None else " ".join(program.returns.key.span.text.split()),
        },
        "profiles": [{"method": profile.method, "name": profile.name} for profile in program.profiles],
        "files": list(program.files),
    }


def _show_grammar(compiled: CompiledProgram, name: str, texts: Mapping[str, list[str]]) -> None:
    from smcdsl.report.grammars import grammar_text

    click.echo(grammar_text(bound(compiled.program, name, texts, "smcdsl show ...")), nl=False)


def _show_prompt(compiled: CompiledProgram, texts: Mapping[str, list[str]], model: str | None, tokens: bool) -> None:
    from smcdsl.report.transcripts import pieces, transcript_text

    parts = pieces(compiled.program, known_inputs(compiled.program, texts, "smcdsl show ..."), _value)
    if model is None and not tokens:
        click.echo(transcript_text(parts), nl=False)
        return
    click.echo(_through_model(compiled, parts, model, tokens))


def _value(expression: Any, environment: Mapping[str, Any]) -> Any:
    """The value of an expression; helpers of libraries are called."""
    from smcdsl.library.functions import resolve_function
    from smcdsl.program.evaluation import evaluate, potential_calls
    from smcdsl.workers import quiet

    results: dict[Any, Any] = {}
    while calls := potential_calls(expression, environment, results):
        with quiet():
            for call in calls:
                results[call.key] = resolve_function(call.signature)(*call.arguments)
    return evaluate(expression, environment, results)


def _through_model(compiled: CompiledProgram, parts: list[Piece], name: str | None, tokens: bool) -> str:
    """The transcript with the chat template's own text; with `tokens`, tokens are set apart by `|`."""
    model = compiled.load_model(name, compiled.settings(model=name))
    special = dict(model.vocabulary.special_names)

    def spell(ids: list[int]) -> str:
        words = [
            special.get(i, "")
            if not model.vocabulary.token_bytes[i]
            else model.vocabulary.spell([i]).decode(errors="replace")
            for i in ids
        ]
        return "|".join(words) + "|" if tokens and words else "".join(words)

    shown, closing = "", ""
    earlier: list[Role] = []
    for part in parts:
        if part.kind == "role" and part.text == "text":
            shown += spell(model.begin_text())
        elif part.kind == "role":
            role = cast("Role", part.text)
            turn = model.turn(earlier, role)
            shown += closing + spell(list(turn.opening))
            closing = spell(list(turn.closing))
            earlier.append(role)
        elif part.kind == "control":
            shown += f"\n% {part.text}\n"
        else:
            shown += spell(model.encode(part.text)) if part.kind == "given" else part.text
    return shown + closing
