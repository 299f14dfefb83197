"""Where things are declared: in this file, in modules, in grammar files, in Python files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lsprotocol import types as lsp

from smcdsl.editor.complaints import location
from smcdsl.editor.documents import Document
from smcdsl.editor.names import OWN, Occurrence
from smcdsl.editor.places import Lines, uri_of
from smcdsl.language import syntax as sx
from smcdsl.language.resolver import Module
from smcdsl.language.symbols import LibraryScope
from smcdsl.library.search import LibraryFile

_PATH = re.compile(r'"([^"\n]+?\.(?:smc|py|lark|gbnf|json))(?::(\w+))?"')


def definitions(document: Document, offset: int) -> list[lsp.Location]:
    """Where what stands at an offset is declared; a library is in two files."""
    if document.examined is None:
        return []
    module = document.examined.module
    found = document.names.at(offset)
    imported = next(
        (each for each in _imports(module) if each.target.span.start <= offset <= each.target.span.end), None
    )
    if imported is not None:
        return [_start_of(file) for file in _files(module, imported)]
    if found is None:
        return list(_named_file(document, module, offset))
    if found.kind == "import":
        declared = next((each for each in _imports(module) if (each.alias or each.target).text == found.key.name), None)
        return [_start_of(file) for file in _files(module, declared)] if declared is not None else []
    if found.kind in OWN:
        return _own(document, found)
    if found.kind == "library_rule" and Path(found.key.file).is_absolute():
        return list(_in_own_grammar(found))
    return list(_in_library(document, module, found))


def _own(document: Document, found: Occurrence) -> list[lsp.Location]:
    if found.key.file == document.file:
        return [location(each.span, document) for each in document.names.of(found.key) if each.defines][:1]
    path = Path(found.key.file)
    try:
        other = Document(uri_of(path), path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ValueError):
        return []
    declared = other.names.definition(found.key)
    return [location(declared.span, other)] if declared is not None else []


def _in_library(document: Document, module: Module, found: Occurrence) -> Iterator[lsp.Location]:
    for library in _all_libraries(module):
        if found.kind == "function" and library.name == found.key.file and found.key.name in library.functions:
            declared = library.functions[found.key.name].declared
            if declared is not None:
                yield location(declared, document)
                return
        for name, grammar in library.grammars.items():
            if grammar.file.name == found.key.file and (found.kind == "library_rule" or name == found.key.name):
                path = _path_of_grammar(grammar.file.name, grammar.file.import_paths)
                if path is not None:
                    rule = found.key.name if found.kind == "library_rule" else grammar.signature.rule
                    yield _rule(path, grammar.file.text, rule, found.key.name)
                return


def _in_own_grammar(found: Occurrence) -> Iterator[lsp.Location]:
    """A rule of a file that `lark("...")` or the like names."""
    path = Path(found.key.file)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError, ValueError):
        return
    yield _rule(path, text, found.key.name, found.key.name)


def _all_libraries(module: Module) -> Iterator[LibraryScope]:
    yield from module.libraries.values()
    for inner in module.modules.values():
        yield from _all_libraries(inner)


def _path_of_grammar(name: str, folders: tuple[str, ...]) -> Path | None:
    found = [Path(folder) / Path(name).name for folder in folders]
    return next((path for path in found if path.is_file()), None)


def _rule(path: Path, text: str, rule: str, name: str) -> lsp.Location:
    """The line of a rule in a grammar file; a boundary of several rules is declared in the header."""
    for pattern in (
        rf"^[?!]{{0,2}}({re.escape(rule)})[ \t]*(?:\.[ \t]*-?\d+|\{{[^}}\n]*\}})?[ \t]*:",
        rf"^//[ \t]*smcdsl:[^\n]*?\b({re.escape(name)})\b",
        rf"^//[^\n]*?\b({re.escape(rule)})\b",
    ):
        match = re.search(pattern, text, re.MULTILINE)
        if match is not None:
            return lsp.Location(uri_of(path.resolve()), Lines(text).range(*match.span(1)))
    return _at_start(path)


# ---- files


def _imports(module: Module) -> list[sx.Import]:
    return [each for each in module.tree.declarations if isinstance(each, sx.Import)]


def _files(module: Module, declaration: sx.Import) -> list[LibraryFile]:
    """The files that an import reads."""
    target = declaration.target.text
    try:
        if declaration.kind == "library":
            library = module.search.library(target)
            return [file for file in (library.grammar, library.functions) if file] if library is not None else []
        file = module.search.module(target) if declaration.kind == "module" else module.search.file(target)
    except (OSError, UnicodeDecodeError, ValueError):
        return []
    return [file] if file is not None else []


def _start_of(file: LibraryFile) -> lsp.Location:
    return _at_start(Path(file.path))


def _at_start(path: Path) -> lsp.Location:
    return lsp.Location(uri_of(path.resolve()), lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0)))


def _named_file(document: Document, module: Module, offset: int) -> Iterator[lsp.Location]:
    """The file in `lark("...")` or `py("file.py:function")`, at the function where one is named."""
    piece = next((each for each in document.pieces if each.kind == "string" and each.start <= offset <= each.end), None)
    if piece is None:
        return
    match = _PATH.fullmatch(document.text[piece.start : piece.end])
    if match is None:
        return
    try:
        file = module.search.file(match[1])
    except (OSError, UnicodeDecodeError, ValueError):
        return
    if file is None or not file.path:
        return
    named = re.search(rf"^(?:async[ \t]+)?def[ \t]+({match[2]})\b", file.text, re.MULTILINE) if match[2] else None
    if named is None:
        yield _start_of(file)
    else:
        yield lsp.Location(uri_of(Path(file.path).resolve()), Lines(file.text).range(*named.span(1)))
