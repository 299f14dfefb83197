"""A program from its text: parse, read imports, check. Nothing is executed, and no model is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from smcdsl.errors import CompileError, Diagnostic, Source
from smcdsl.language import mistakes
from smcdsl.language.aftermath import without_echoes
from smcdsl.language.checker import Examined, examine_tree
from smcdsl.language.parser import parse
from smcdsl.language.resolver import read_module
from smcdsl.language.symbols import Report
from smcdsl.library.search import Search
from smcdsl.program.facts import GrammarFacts
from smcdsl.program.program import Program


def load_program(
    source: Source,
    *,
    path: Path | None = None,
    project_root: Path | None = None,
    facts: GrammarFacts | None = None,
    pedantic: bool = False,
) -> Program:
    """The program that a text means; its warnings are in `Program.warnings`.

    Args:
        path: where the text is; by default `source.name`, if that is a file.
        project_root: where libraries are looked for first; by default found from the path.
        facts: answers about grammars (`smcdsl.compiler.analyze`); without it, what needs automata is
            not checked.

    Raises:
        CompileError: with every mistake and warning.
    """
    program, diagnostics = check_source(source, path=path, project_root=project_root, facts=facts, pedantic=pedantic)
    if program is None:
        if all(diagnostic.severity == "warning" for diagnostic in diagnostics):
            diagnostics = [*diagnostics, mistakes.nothing_to_run(source)]
        raise CompileError(diagnostics)
    return program


def check_source(
    source: Source,
    *,
    path: Path | None = None,
    project_root: Path | None = None,
    facts: GrammarFacts | None = None,
    pedantic: bool = False,
) -> tuple[Program | None, list[Diagnostic]]:
    """The program, or None for a module or where something is wrong; and everything there is to say."""
    examined, diagnostics = examine(source, path=path, project_root=project_root, facts=facts, pedantic=pedantic)
    return examined.program if examined is not None else None, diagnostics


def examine(
    source: Source,
    *,
    path: Path | None = None,
    project_root: Path | None = None,
    facts: GrammarFacts | None = None,
    pedantic: bool = False,
) -> tuple[Examined | None, list[Diagnostic]]:
    """As `check_source`, with what was found out about a text that is wrong; None where nothing could be read."""
    if path is None and source.name.endswith(".smc") and Path(source.name).is_file():
        path = Path(source.name)
    tree, syntax_mistakes = parse(source)
    report = Report()
    report.add(*syntax_mistakes)
    diagnostics = report.diagnostics
    examined = None
    if tree is not None:
        search = Search.beside(path, project_root)
        chain = (path.resolve(),) if path is not None else ()
        module = read_module(tree, search, report, parse, chain=chain)
        examined = examine_tree(module, facts, is_whole=not syntax_mistakes, pedantic=pedantic)
        found = [diagnostic for diagnostic in report.diagnostics if diagnostic not in syntax_mistakes]
        diagnostics = without_echoes(tree, syntax_mistakes, found)
    return examined, in_order(diagnostics, source)


def in_order(diagnostics: Sequence[Diagnostic], source: Source) -> list[Diagnostic]:
    """By place: this file's first, then those of what it imports."""

    def place(diagnostic: Diagnostic) -> tuple[bool, str, int]:
        span = diagnostic.primary
        if span is None:
            return (True, "", 0)
        return (span.source.name != source.name, span.source.name, span.start)

    return sorted(diagnostics, key=place)
