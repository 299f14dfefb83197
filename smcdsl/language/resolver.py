"""Names of one file: what it declares, what it imports, and what a call or reference means.

A `Module` is one file after parsing. Imported files are modules of their own; their mistakes go to the
same report. Nothing that is imported is executed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from smcdsl.errors import Diagnostic, Source, Span
from smcdsl.language import mistakes, syntax
from smcdsl.language.expressions import Callee, Functions
from smcdsl.language.potentials import define_potential, find_python_file
from smcdsl.language.suggestions import closest, closest_path
from smcdsl.language.symbols import ExpressionPotential, LibraryScope, Report, Value
from smcdsl.language.type_syntax import read_type
from smcdsl.library import standard
from smcdsl.library.lark_files import LibraryGrammar, library_grammars
from smcdsl.library.search import LATER_LIBRARIES, Library, Search
from smcdsl.library.signatures import read_functions
from smcdsl.program.builtins import BUILTINS
from smcdsl.program.types import Signature

Parse = Callable[[Source], tuple[syntax.SyntaxTree | None, list[Diagnostic]]]


@dataclass
class Module:
    """One file: its declarations by name and its imports by alias.

    `prefix` goes before the names of its grammars where the whole program's are kept together.
    """

    tree: syntax.SyntaxTree
    search: Search
    report: Report
    prefix: str = ""
    inputs: dict[str, Value] = field(default_factory=dict)
    grammars: dict[str, syntax.GrammarSyntax] = field(default_factory=dict)
    potentials: dict[str, syntax.PotentialSyntax] = field(default_factory=dict)
    templates: dict[str, syntax.TemplateSyntax] = field(default_factory=dict)
    libraries: dict[str, LibraryScope] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    broken_imports: set[str] = field(default_factory=set)
    files: list[str] = field(default_factory=list)
    fact_spans: dict[str, Span] = field(default_factory=dict)
    """Where a potential's `prefix` is stated, by its name."""
    _defined: dict[str, ExpressionPotential | Signature | None] = field(default_factory=dict)
    _defining: list[str] = field(default_factory=list)

    @property
    def functions(self) -> Functions:
        """What expressions of this file can call."""
        return Functions(self.report, self.function, self.describe)

    def function(self, path: tuple[str, ...], span: Span) -> Callee | None:
        """What `path(...)` calls, or None after saying why nothing."""
        if len(path) == 1:
            return self._own_function(path[0], span)
        alias, names = self._imported(path)
        if alias is None:
            self._unknown_import(path, span)
            return None
        if alias in self.broken_imports:
            return None
        name = names[0]
        if alias in self.modules:
            module = self.modules[alias]
            if len(names) == 1 and name in module.potentials:
                return module.potential(name)
            self._missing(alias, ".".join(names), span, "potentials", module.potentials, module.tree.broken)
            return None
        return self._library_function(self.libraries[alias], names, span)

    def describe(self, name: str) -> str | None:
        """What a name is that stands for no value."""
        imports = {alias.split(".")[0] for alias in (*self.libraries, *self.modules, *self.broken_imports)}
        if name in self.grammars:
            return "a grammar"
        if name in self.potentials:
            return "a potential"
        if name in self.templates:
            return "a template"
        if name in imports:
            return "an import"
        return "a function" if name in BUILTINS else None

    def potential(self, name: str) -> ExpressionPotential | Signature | None:
        """The potential that this file declares, checked once; None if its declaration is wrong."""
        if name in self._defining:
            self.report.add(mistakes.refers_to_itself("potential", name, self.potentials[name].name.span))
            return None
        if name not in self._defined:
            self._defining.append(name)
            self._defined[name] = define_potential(self.potentials[name], self)
            self._defining.remove(name)
        return self._defined[name]

    def find_template(self, path: tuple[str, ...], span: Span) -> tuple[Module, syntax.TemplateSyntax] | None:
        """The template that `use` names and the file it is in, or None after saying why not."""
        if len(path) == 1 and path[0] in self.templates:
            return self, self.templates[path[0]]
        if len(path) == 1:
            if path[0] not in self.report.silent:
                self.report.add(mistakes.unknown_template(path[0], span, closest(path[0], self.templates)))
            return None
        alias, names = self._imported(path)
        if alias is None:
            self._unknown_import(path, span)
        elif alias in self.modules:
            module = self.modules[alias]
            if len(names) == 1 and names[0] in module.templates:
                return module, module.templates[names[0]]
            self._missing(alias, ".".join(names), span, "templates", module.templates, module.tree.broken)
        elif alias in self.libraries:
            self._missing(alias, ".".join(names), span, "templates", (), ())
        return None

    def find_grammar(self, path: tuple[str, ...], span: Span) -> tuple[Module, str] | LibraryGrammar | str | None:
        """What `lib.rule` means in a grammar: a module's grammar, a library's, a rule of `std.text`, or None."""
        alias, names = self._imported(path)
        if alias is None:
            self._unknown_import(path, span)
            return None
        name = ".".join(names)
        if alias in self.modules:
            module = self.modules[alias]
            if name in module.grammars:
                return module, name
            self._missing(alias, name, span, "grammars", module.grammars, module.tree.broken)
        elif alias in self.libraries:
            library = self.libraries[alias]
            if library.standard and name in standard.RULES:
                return name
            if name in library.grammars:
                return library.grammars[name]
            if not library.broken:
                known = standard.RULES if library.standard else library.grammars
                self._missing(alias, name, span, "grammars", known, ())
        return None

    def _own_function(self, name: str, span: Span) -> Callee | None:
        if name in self.potentials:
            return self.potential(name)
        if name in BUILTINS:
            return BUILTINS[name]
        if name not in self.report.silent:
            near = closest(name, (*self.potentials, *BUILTINS))
            self.report.add(mistakes.unknown_function(name, span, near))
        return None

    def _library_function(self, library: LibraryScope, names: tuple[str, ...], span: Span) -> Callee | None:
        name = ".".join(names)
        if library.standard:
            if name in standard.FUNCTIONS:
                return BUILTINS[name]
            self._missing(library.alias, name, span, "functions", standard.FUNCTIONS, ())
            return None
        if name in library.functions:
            return library.functions[name]
        if not library.broken:
            potentials = {known for known, signature in library.functions.items() if signature.is_potential}
            self._missing(library.alias, name, span, "potentials", potentials or library.functions, ())
        return None

    def _imported(self, path: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
        """The alias a path begins with, the longest one, and what follows it."""
        for length in range(len(path) - 1, 0, -1):
            alias = ".".join(path[:length])
            if alias in self.libraries or alias in self.modules or alias in self.broken_imports:
                return alias, path[length:]
        return None, path

    def _unknown_import(self, path: tuple[str, ...], span: Span) -> None:
        if path[0] in self.report.silent:
            return
        known = (*self.libraries, *self.modules)
        exists = self.search.library(path[0]) is not None
        start = Span(span.source, span.start, span.start + len(path[0]))
        place = start if start.text == path[0] else span
        self.report.add(mistakes.unknown_import(path[0], place, closest(path[0], known), exists))

    def _missing(self, alias: str, name: str, span: Span, kind: str, known: Iterable[str], broken: object) -> None:
        """E0202 at the last part of a path."""
        names = list(known)
        if broken and name in self.report.silent:
            return
        last = Span(span.source, span.end - len(name), span.end)
        place = last if last.text == name else span
        self.report.add(mistakes.not_in_library(alias, name, place, closest(name, names), kind, names))


def read_module(
    tree: syntax.SyntaxTree,
    search: Search,
    report: Report,
    parse: Parse,
    *,
    prefix: str = "",
    chain: tuple[Path, ...] = (),
) -> Module:
    """Collect what a file declares and read what it imports. `chain` are the files that led here, itself last."""
    report.silence(tree.broken)
    module = Module(tree, search, report, prefix)
    places: dict[str, Span] = {}
    for declaration in tree.declarations:
        if isinstance(declaration, syntax.Import):
            _read_import(module, declaration, places, parse, chain)
        elif isinstance(declaration, syntax.InputSyntax) and tree.kind == "program":
            if _introduce(module, declaration.name, places):
                type_ = read_type(declaration.type, report)
                name = declaration.name
                module.inputs[name.text] = Value(name.text, "input", type_, name.span)
        elif isinstance(declaration, syntax.GrammarSyntax):
            _collect(module, module.grammars, declaration, places)
        elif isinstance(declaration, syntax.PotentialSyntax):
            _collect(module, module.potentials, declaration, places)
        elif isinstance(declaration, syntax.TemplateSyntax):
            _collect(module, module.templates, declaration, places)
    return module


def _introduce(module: Module, name: syntax.Word, places: dict[str, Span]) -> bool:
    """Whether the name is new; else say so."""
    if name.text in places:
        module.report.add(mistakes.defined_twice(name.text, places[name.text], name.span))
        return False
    places[name.text] = name.span
    return True


_Kept = TypeVar("_Kept", syntax.GrammarSyntax, syntax.PotentialSyntax, syntax.TemplateSyntax)


def _collect(module: Module, into: dict[str, _Kept], declaration: _Kept, places: dict[str, Span]) -> None:
    if _introduce(module, declaration.name, places):
        into[declaration.name.text] = declaration


# ---- imports


def _read_import(
    module: Module, declaration: syntax.Import, places: dict[str, Span], parse: Parse, chain: tuple[Path, ...]
) -> None:
    name = declaration.alias or declaration.target
    if not _introduce(module, name, places):
        return
    readers = {"library": _import_library, "potential": _import_potentials}
    try:
        if declaration.kind == "module":
            _import_module(module, declaration, name.text, parse, chain)
        else:
            readers[declaration.kind](module, declaration, name.text)
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error.strerror or error)
        target = declaration.target
        module.report.add(mistakes.file_unreadable(target.text, target.span, reason))
        module.broken_imports.add(name.text)


def _import_library(module: Module, declaration: syntax.Import, alias: str) -> None:
    target = declaration.target
    library = module.search.library(target.text)
    if library is None and target.text == standard.NAME:
        module.libraries[alias] = LibraryScope(target.text, alias, {}, {}, target.span, standard=True)
        return
    if library is None:
        known = module.search.library_names()
        if target.text in LATER_LIBRARIES:
            module.report.add(mistakes.library_of_a_later_version(target.text, target.span, known))
        else:
            module.report.add(mistakes.library_not_found(target.text, target.span, closest(target.text, known), known))
        module.broken_imports.add(alias)
        return
    for hidden in library.hides:
        module.report.add(mistakes.hides_library(hidden, target.text, target.span))
    module.libraries[alias] = _read_library(module, library, alias, target.span)


def _read_library(module: Module, library: Library, alias: str, span: Span) -> LibraryScope:
    grammars: dict[str, LibraryGrammar] = {}
    functions: dict[str, Signature] = {}
    problems: list[Diagnostic] = []
    if library.grammar is not None:
        grammars, found = library_grammars(library.grammar, alias)
        problems += found
        module.files.append(library.grammar.path or library.grammar.name)
    if library.functions is not None:
        python = read_functions(library.functions, alias)
        functions = python.functions
        problems += python.problems
        module.files.append(library.functions.path or library.functions.name)
    module.report.add(*problems)
    return LibraryScope(library.name, alias, functions, grammars, span, broken=bool(problems))


def _import_potentials(module: Module, declaration: syntax.Import, alias: str) -> None:
    target = declaration.target
    file = find_python_file(module, target.text, target.span)
    if file is None:
        module.broken_imports.add(alias)
        return
    python = read_functions(file, alias)
    module.report.add(*python.problems)
    module.files.append(file.path or file.name)
    broken = bool(python.problems)
    module.libraries[alias] = LibraryScope(target.text, alias, python.functions, {}, target.span, broken=broken)


def _import_module(
    module: Module, declaration: syntax.Import, alias: str, parse: Parse, chain: tuple[Path, ...]
) -> None:
    target = declaration.target
    file = module.search.module(target.text)
    if file is None:
        where = f"next to {Path(module.tree.source.name).name}"
        near = closest_path(target.text, module.search.files_like(target.text, beside=True))
        module.report.add(mistakes.file_not_found(target.text, target.span, where, near))
        module.broken_imports.add(alias)
        return
    path = Path(file.path)
    if path.suffix == ".py":
        module.report.add(mistakes.python_as_module(target.text, target.span))
        module.broken_imports.add(alias)
        return
    if path in chain:
        names = [each.name for each in (*chain[chain.index(path) :], path)]
        module.report.add(mistakes.import_cycle(names, target.span))
        module.broken_imports.add(alias)
        return
    tree, problems = parse(Source(file.name, file.text))
    module.report.add(*problems)
    module.files.append(file.path)
    if tree is not None and tree.kind != "module":
        module.report.add(mistakes.not_a_module(target.text, target.span))
        tree = None
    if tree is None:
        module.broken_imports.add(alias)
        return
    search = module.search.at(path)
    inner = read_module(tree, search, module.report, parse, prefix=f"{module.prefix}{alias}.", chain=(*chain, path))
    module.files += inner.files
    module.modules[alias] = inner
