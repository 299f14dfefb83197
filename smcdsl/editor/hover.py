"""What hovering over a place says: what a name is, what a word does, what a factor multiplies by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from lsprotocol import types as lsp

from smcdsl.editor import density
from smcdsl.editor.documents import Document
from smcdsl.editor.markdown import code, libraries, library_grammar, signature_text
from smcdsl.editor.names import NameKind, Occurrence
from smcdsl.editor.pieces import Piece
from smcdsl.editor.words import DOCS, METHOD_DOCS, SETTING_DOCS
from smcdsl.errors import CompileError, Span
from smcdsl.language import syntax as sx
from smcdsl.language.checker import Examined
from smcdsl.library import standard
from smcdsl.library.binding import close, is_settled
from smcdsl.program.builtins import BUILTINS
from smcdsl.program.references import DeclaredReference
from smcdsl.program.types import Signature
from smcdsl.report.density import density as whole_density
from smcdsl.report.grammars import grammar_text
from smcdsl.report.visible import escape

_BOUNDARIES = "boundaries: "


def hover(document: Document, offset: int) -> lsp.Hover | None:
    """What is said about an offset, as Markdown; None where there is nothing to say."""
    found = document.names.at(offset)
    piece = next((each for each in document.pieces if each.start <= offset < each.end), None)
    if found is not None and document.examined is not None:
        text = "\n\n".join(_said(document, document.examined, found))
        span = found.span
    elif piece is not None:
        text = _word(document, piece)
        span = Span(document.source, piece.start, piece.end)
    else:
        return None
    if not text:
        return None
    return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, text), document.lines.range_of(span))


# ---- words


def _word(document: Document, piece: Piece) -> str:
    word = document.text[piece.start : piece.end]
    if piece.kind in ("keyword", "role", "unit"):
        parts = [DOCS.get(word, "")]
        if word in ("require", "score", "guide", "at", "each"):
            parts += _factor(document, piece.start)
        return "\n\n".join(part for part in parts if part)
    if piece.kind != "name":
        return ""
    return SETTING_DOCS.get(word, "") or METHOD_DOCS.get(word, "") if _in_settings(document, piece) else ""


def _in_settings(document: Document, piece: Piece) -> bool:
    declarations = document.tree.declarations if document.tree is not None else ()
    for each in declarations:
        if isinstance(each, sx.Infer | sx.ModelBlock) and each.span.start <= piece.start < each.span.end:
            return True
        settings = each.settings if isinstance(each, sx.PotentialSyntax) else ()
        if any(setting.name.span.start == piece.start for setting in settings):
            return True
    return False


def _factor(document: Document, offset: int) -> Iterator[str]:
    """The density line of the factor around an offset, where it is looked at, and what that costs."""
    examined = document.examined
    if examined is None:
        return
    use = next((each for each in examined.factors if _holds(each.factor.span, document, offset)), None)
    if use is None:
        return
    yield code(f"density *= {density.term(use.factor)}")
    looked = density.sites(use)
    if looked:
        yield escape(looked)
    for call in density.calls(use):
        yield f"`{call.signature.name}`: {escape(density.facts_of(call.signature))}"
    if examined.program is not None:
        yield "The whole density:"
        yield code("\n* ".join(whole_density(examined.program)))


def _holds(span: Span, document: Document, offset: int) -> bool:
    return span.source.name == document.source.name and span.start <= offset < span.end


# ---- names


def _said(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    describe = _DESCRIBED.get(found.kind)
    if describe is not None:
        yield from describe(document, examined, found)
    if found.kind in ("reserved", "library_rule", "rule") and _is_boundary(document, found):
        yield from _factor(document, found.span.start)


def _is_boundary(document: Document, found: Occurrence) -> bool:
    """Whether a rule's name stands behind `at` or in `each`."""
    examined = document.examined
    factors = examined.factors if examined is not None else ()
    return any(_holds(each.factor.span, document, found.span.start) for each in factors)


def _input(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    for declaration in examined.module.tree.declarations:
        if isinstance(declaration, sx.InputSyntax) and declaration.name.text == found.key.name:
            yield code(declaration.span.text)
            if declaration.help:
                yield escape(declaration.help)


def _hole(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    declared = [each for each in examined.holes.declared.values() if each.name == found.key.name]
    if not declared:
        yield code(f"[[{found.key.name}]]")
        return
    first = declared[0]
    yield code(f"hole {first.name}: {f'list[{first.type}]' if first.collects else first.type}")
    span = first.grammar.span
    if first.closed is not None and first.closed.lexing == "scannerless":
        yield code(grammar_text(first.closed))
    elif span is not None:
        yield code(span.text)
        yield from _references(document, examined, span)
    yield _boundaries(first.boundaries)


def _references(document: Document, examined: Examined, span: Span) -> Iterator[str]:
    """What the names in a hole's grammar stand for."""
    for each in document.names.occurrences:
        if span.start <= each.span.start < span.end and each.kind in ("grammar", "library_grammar"):
            yield from (said for said in _said(document, examined, each) if not said.startswith(_BOUNDARIES))


def _boundaries(names: tuple[str, ...]) -> str:
    return _BOUNDARIES + ", ".join(f"`{name}`" for name in (*names, "token", "line", "end"))


def _grammar(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    prefix = "" if found.key.file == document.file else _prefix_of(examined, found)
    declared = examined.holes.grammars.declarations.get(prefix + found.key.name)
    syntax = examined.module.grammars.get(found.key.name) if not prefix else None
    if syntax is not None:
        yield code(syntax.span.text)
    elif declared is not None:
        for name, rule in declared.rules.items():
            if rule.span is not None:
                yield code(f"{name} = {rule.span.text}")
    if declared is not None:
        yield from _resolved(examined, prefix + found.key.name)
        yield f"value: `{declared.value_type}`"
    for hole in examined.holes.declared.values():
        if hole.grammar.span is not None and hole.grammar.span.text.split("(")[0].strip() == found.span.text:
            yield _boundaries(hole.boundaries)
            return


def _resolved(examined: Examined, key: str) -> Iterator[str]:
    """A declared grammar with what its references lead to, where that needs no inputs and is more than its text."""
    declarations = examined.holes.grammars.declarations
    declared = declarations[key]
    reference = DeclaredReference(key, declared.start, span=declared.span)
    if declared.parameters or key in examined.holes.grammars.unresolved or not is_settled(reference, declarations):
        return
    try:
        closed = close(reference, declarations, {}, declared.name)
    except CompileError:
        return
    if closed.lexing == "scannerless" and len(closed.rules) > len(declared.rules):
        yield "resolved:"
        yield code(grammar_text(closed))


def _prefix_of(examined: Examined, found: Occurrence) -> str:
    keys = [key for key in examined.holes.grammars.declarations if key.rpartition(".")[2] == found.key.name]
    return next((key.removesuffix(found.key.name) for key in keys if "." in key), "")


def _rule(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    grammar = found.key.scope.removeprefix("rules of ")
    declared = examined.module.grammars.get(grammar) if found.key.file == document.file else None
    for word, body in declared.rules if declared is not None else ():
        if word.text == found.key.name and body.span is not None:
            yield code(f"{word.text} = {body.span.text}")
    yield f"a rule of `{escape(grammar)}`, and a boundary"


def _potential(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    module = examined.module
    if found.key.file != document.file:
        module = next((each for each in module.modules.values() if found.key.name in each.potentials), module)
    declared = module.potentials.get(found.key.name)
    if declared is None:
        return
    yield code(declared.span.text)
    defined = module.potential(found.key.name)
    if isinstance(defined, Signature):
        yield escape(density.facts_of(defined))
    elif defined is not None and defined.high < float("inf"):
        yield f"between {defined.low:g} and {defined.high:g}"


def _template(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    module = examined.module
    if found.key.file != document.file:
        module = next((each for each in module.modules.values() if found.key.name in each.templates), module)
    declared = module.templates.get(found.key.name)
    if declared is not None:
        yield code(declared.span.text)


def _value(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    declared = document.names.definition(found.key)
    what = {"loop": "loop variable", "occurrence": "text of one occurrence", "parameter": "parameter"}
    if declared is not None:
        start = document.lines.line_start(declared.span.start)
        yield code(document.text[start : document.lines.line_end(declared.span.start)].strip())
    if found.kind in what:
        yield what[found.kind]


def _import(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    library = examined.module.libraries.get(found.key.name)
    module = examined.module.modules.get(found.key.name)
    if library is not None:
        yield code(f"import {library.name}")
        grammars = (*library.grammars, *standard.RULES) if library.standard else tuple(library.grammars)
        yield from _listed("grammars", grammars)
        potentials = [name for name, each in library.functions.items() if each.is_potential]
        yield from _listed("potentials", potentials)
        yield from _listed("functions", [name for name in library.functions if name not in potentials])
    elif module is not None:
        yield from _listed("grammars", module.grammars)
        yield from _listed("potentials", module.potentials)
        yield from _listed("templates", module.templates)


def _listed(what: str, names: object) -> Iterator[str]:
    shown = ", ".join(f"`{name}`" for name in names)  # type: ignore[attr-defined]
    if shown:
        yield f"{what}: {shown}"


def _function(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    for library in libraries(examined):
        signature = library.functions.get(found.key.name)
        if signature is not None and library.name == found.key.file:
            yield code(signature_text(signature))
            if signature.doc:
                yield escape(signature.doc, keep_newlines=True)
            if signature.is_potential:
                yield escape(density.facts_of(signature))
            return


def _library_grammar(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    grammar = library_grammar(examined, found)
    if grammar is not None:
        yield code(f"grammar {grammar.signature}")
        if grammar.signature.doc:
            yield escape(grammar.signature.doc, keep_newlines=True)
        yield _boundaries(grammar.boundaries)
    elif found.key.file == standard.NAME:
        yield code(f"grammar {standard.RULES[found.key.name]}")


def _library_rule(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    yield f"`{escape(found.key.name)}`: a boundary of `{escape(Path(found.key.file).name)}`"


def _reserved(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    yield DOCS[found.key.name]


def _builtin(document: Document, examined: Examined, found: Occurrence) -> Iterator[str]:
    builtin = BUILTINS[found.key.name]
    parameters = ", ".join(f"{each.name}: {each.type}" for each in builtin.parameters)
    yield code(f"{builtin.name}({parameters}{', ...' if builtin.variadic else ''})")
    if builtin.function.__doc__:
        yield builtin.function.__doc__.strip()


_DESCRIBED: dict[NameKind, Callable[[Document, Examined, Occurrence], Iterator[str]]] = {
    "input": _input,
    "hole": _hole,
    "grammar": _grammar,
    "rule": _rule,
    "potential": _potential,
    "template": _template,
    "let": _value,
    "loop": _value,
    "occurrence": _value,
    "parameter": _value,
    "import": _import,
    "function": _function,
    "library_grammar": _library_grammar,
    "library_rule": _library_rule,
    "reserved": _reserved,
    "builtin": _builtin,
}
