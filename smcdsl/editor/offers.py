"""What can be offered: names and words of each kind, with what is said about them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from lsprotocol.types import CompletionItemKind as Kind

from smcdsl.editor import density, words
from smcdsl.editor.documents import Document, programs_in
from smcdsl.editor.markdown import code, signature_text
from smcdsl.editor.names import NameKind, Occurrence
from smcdsl.language import syntax as sx
from smcdsl.language.expressions import FILE_FIELDS
from smcdsl.language.resolver import Module
from smcdsl.language.settings import METHODS
from smcdsl.language.symbols import LibraryScope
from smcdsl.library import standard
from smcdsl.library.lark_files import NOTATIONS
from smcdsl.program.builtins import BUILTINS
from smcdsl.program.program import Lookahead, Previews, Proposal, Scheme
from smcdsl.program.types import GrammarSignature, Parameter, Signature, Type
from smcdsl.report.visible import escape


@dataclass(frozen=True)
class Item:
    """A completion; `text` is what is put in, where it is not the label. Lower ranks come first."""

    label: str
    kind: Kind
    detail: str = ""
    documentation: str = ""
    text: str = ""
    rank: int = 5


def keyword_items(names: Iterable[str], texts: Mapping[str, str] | None = None, rank: int = 5) -> list[Item]:
    """Words of the language."""
    return [Item(name, Kind.Keyword, "", words.DOCS.get(name, ""), (texts or {}).get(name, ""), rank) for name in names]


_VALUES: dict[str, tuple[str, ...]] = {
    "resample": get_args(Scheme),
    "proposal": get_args(Proposal),
    "lookahead": get_args(Lookahead),
    "previews": get_args(Previews),
    "draft": ("none", "forced", "suffix", "self"),
    "gamma": ("auto",),
    "temper": ("auto",),
    "thinking": ("false",),
    "prefix": ("none", "closed", "any"),
    "on_error": ("fail", "zero", "one"),
    "on_timeout": ("fail", "zero", "one"),
    "pure": ("true", "false"),
    "batch": ("true", "false"),
    "cache": ("true", "false"),
    "cost": ("cheap", "expensive"),
}
_KINDS: dict[NameKind, Kind] = {
    "input": Kind.Variable,
    "hole": Kind.Variable,
    "let": Kind.Variable,
    "loop": Kind.Variable,
    "occurrence": Kind.Variable,
    "parameter": Kind.Variable,
}
_HOLE = re.compile(r"\[\[[ \t]*([^\W\d]\w*)[ \t]*(?:\[[ \t]*\][ \t]*)?:(?!:)")
_LOOP = re.compile(r"\bfor[ \t]+([^\W\d]\w*)[ \t]+in\b")
_EACH = re.compile(r"\beach[ \t]+([^\W\d]\w*)[ \t]+in\b")
_PARAMETERS = re.compile(r"(?:grammar|potential|template)[ \t]+\w+[ \t]*\(([^)\n]*)\)")
_LABEL = re.compile(r"([^\W\d]\w*)[ \t]*:")
_INPUT = re.compile(r"^[ \t]*input[ \t]+([^\W\d]\w*)", re.MULTILINE)
_DECLARED = re.compile(r"^(?=[^\s}#])", re.MULTILINE)


class Offers:
    """The names that can be written at an offset of a document."""

    def __init__(self, document: Document, offset: int) -> None:
        self.document = document
        self.text = document.text
        self.offset = offset

    @cached_property
    def module(self) -> Module | None:
        """The file and what it imports."""
        return self.document.examined.module if self.document.examined is not None else None

    # ---- values

    def expression(self) -> list[Item]:
        """Values, functions and what they are called through."""
        builtins = [
            Item(name, Kind.Function, "built-in", (builtin.function.__doc__ or "").strip(), rank=7)
            for name, builtin in BUILTINS.items()
        ]
        return [*self.values(), *self._potentials(), *self._aliases(), *builtins, *keyword_items(("not",), rank=8)]

    def values(self) -> list[Item]:
        """Inputs, holes, `let`s, and the loops and parameters around the offset."""
        found = {item.label: item for item in self._values_of_text()}
        for name in self.document.names.declared:
            if name.kind in _KINDS and self._may_be_known(name):
                found[name.key.name] = Item(
                    name.key.name, _KINDS[name.kind], self._detail(name.key.name, name.kind), rank=2
                )
        found.pop("_", None)
        return list(found.values())

    def holes(self) -> list[Item]:
        """The holes of the file."""
        kinds = {each.key.name: each.kind for each in self.document.names.declared}
        found = dict.fromkeys([*(name for name, kind in kinds.items() if kind == "hole"), *_HOLE.findall(self.text)])
        rules = self.document.rules
        found |= dict.fromkeys(rules.holes if rules is not None else ())
        return [Item(name, Kind.Variable, "hole", rank=1) for name in found if name != "_"]

    def _values_of_text(self) -> list[Item]:
        """Names in lines that could not be read."""
        start = self._declaration(self.offset)
        names = [*_INPUT.findall(self.text), *_HOLE.findall(self.text), *_LOOP.findall(self.text[start : self.offset])]
        lines = self.document.lines
        declared = _PARAMETERS.match(self.text, start)
        names += _LABEL.findall(declared[1]) if declared is not None else []
        names += _EACH.findall(self.text[lines.line_start(self.offset) : lines.line_end(self.offset)])
        return [Item(name, Kind.Variable, rank=2) for name in names]

    def _may_be_known(self, name: Occurrence) -> bool:
        """Names of loops and parameters inside their declaration, that of `each` on its line, others anywhere."""
        start, lines = name.span.start, self.document.lines
        if name.kind == "occurrence":
            return lines.line_start(start) == lines.line_start(self.offset)
        if name.kind in ("loop", "parameter"):
            return start < self.offset and self._declaration(start) == self._declaration(self.offset)
        return True

    def _declaration(self, offset: int) -> int:
        starts = [match.start() for match in _DECLARED.finditer(self.text, 0, offset)]
        return starts[-1] if starts else 0

    def _detail(self, name: str, kind: str) -> str:
        if self.module is not None and name in self.module.inputs:
            return f"input: {self.module.inputs[name].type}"
        return kind

    def test_inputs(self) -> list[Item]:
        """The inputs that a test gives."""
        return [
            Item(name, Kind.Property, str(value.type), text=f"{name}: ", rank=1)
            for name, value in (self.module.inputs if self.module is not None else {}).items()
        ]

    # ---- functions, grammars, templates

    def _potentials(self) -> list[Item]:
        declared = self.module.potentials if self.module is not None else {}
        return [
            Item(name, Kind.Function, f"-> {each.result.text}", code(each.span.text), rank=3)
            for name, each in declared.items()
        ]

    def _aliases(self) -> list[Item]:
        if self.module is None:
            return []
        names = [*self.module.libraries, *self.module.modules]
        return [Item(name.split(".")[0], Kind.Module, "import", rank=4) for name in names]

    def grammars(self) -> list[Item]:
        """Grammars of the file, libraries, and notations."""
        declared = self.module.grammars if self.module is not None else {}
        own = [Item(name, Kind.Struct, "grammar", code(each.span.text), rank=2) for name, each in declared.items()]
        notations = [Item(name, Kind.Function, "notation", text=f'{name}("', rank=7) for name in NOTATIONS]
        return [*own, *self._aliases(), *notations]

    def rules(self, grammar: str) -> list[Item]:
        """The rules of a grammar block."""
        declared = self.module.grammars.get(grammar) if self.module is not None else None
        return [
            Item(word.text, Kind.Field, "rule", rank=1) for word, _ in (declared.rules if declared is not None else ())
        ]

    def templates(self) -> list[Item]:
        """What `use` may name."""
        declared = self.module.templates if self.module is not None else {}
        own = [Item(name, Kind.Method, "template", rank=1) for name in declared]
        modules = self.module.modules if self.module is not None else {}
        return [*own, *(Item(name, Kind.Module, "import", rank=4) for name in modules)]

    def members(self, path: str, *, in_grammar: bool, templates: bool) -> list[Item]:
        """What stands behind `path.`: of an import, or of a value."""
        module = self.module
        if module is not None and path in module.libraries:
            return _library_items(module.libraries[path], in_grammar)
        if module is not None and path in module.modules:
            return _module_items(module.modules[path], in_grammar, templates)
        deeper = [name for name in (module.libraries if module is not None else ()) if name.startswith(f"{path}.")]
        if deeper:
            return [Item(name[len(path) + 1 :].split(".")[0], Kind.Module, "import") for name in deeper]
        value = module.inputs.get(path) if module is not None else None
        if value is not None and value.type.name == "file":
            return [Item(name, Kind.Property, str(type_)) for name, type_ in FILE_FIELDS.items()]
        return []

    # ---- boundaries

    def boundaries(self, hole: str, *, qualified: bool) -> list[Item]:
        """The boundaries of a hole; with `qualified` also the holes, to be followed by a dot."""
        rules = self.document.rules
        found = rules.boundaries(hole) if rules is not None else {}
        names = [*(name for name, (_, kind) in found.items() if kind != "reserved"), *words.BOUNDARIES]
        items = [
            Item(name, Kind.EnumMember, f"boundary of {hole}" if name in found else "", words.DOCS.get(name, ""),
                 rank=3 if name in words.BOUNDARIES else 1)
            for name in names
        ]  # fmt: skip
        others = [item for item in self.holes() if item.label != hole] if qualified else []
        return items + [Item(item.label, Kind.Variable, "hole", text=f"{item.label}.", rank=4) for item in others]

    def rules_of(self, hole: str) -> list[Item]:
        """The rules that `each` may range over."""
        return [item for item in self.boundaries(hole, qualified=False) if item.label not in words.BOUNDARIES]

    # ---- calls

    def parameters(self, callee: str, given: set[str]) -> list[Item]:
        """Parameters of what is called, by name, but for those given."""
        found = self._parameters(callee)
        return [
            Item(name, Kind.Property, str(type_), text=f"{name}: ", rank=0)
            for name, type_ in found
            if name not in given
        ]

    def argument_values(self, callee: str, parameter: str, *, quoted: bool = True) -> list[Item]:
        """The choices that a parameter has."""
        choices = next((type_.choices for name, type_ in self._parameters(callee) if name == parameter), ())
        return [Item(f'"{choice}"' if quoted else choice, Kind.Value, rank=0) for choice in choices]

    def _parameters(self, callee: str) -> list[tuple[str, Type]]:
        module = self.module
        alias, _, name = callee.rpartition(".")
        if module is None or not callee:
            return []
        if not alias:
            declared = module.grammars.get(name) or module.potentials.get(name) or module.templates.get(name)
            if declared is not None:
                return [(each.name.text, _written(each.type)) for each in declared.parameters]
            return _typed(BUILTINS[name].parameters) if name in BUILTINS else []
        if alias in module.modules:
            inner = module.modules[alias]
            declared = inner.grammars.get(name) or inner.potentials.get(name) or inner.templates.get(name)
            return (
                [(each.name.text, _written(each.type)) for each in declared.parameters] if declared is not None else []
            )
        library = module.libraries.get(alias)
        if library is None:
            return []
        grammar: GrammarSignature | Signature | None = library.functions.get(name)
        if name in library.grammars:
            grammar = library.grammars[name].signature
        elif library.standard:
            grammar = standard.RULES.get(name)
        return _typed(grammar.parameters) if grammar is not None else []

    # ---- words

    def libraries(self) -> list[Item]:
        """Libraries that can be imported."""
        if self.module is None:
            return []
        return [Item(name, Kind.Module, "library", rank=1) for name in self.module.search.library_names()]

    def methods(self) -> list[Item]:
        """Methods of inference."""
        return [Item(name, Kind.EnumMember, "", words.METHOD_DOCS.get(name, "")) for name in METHODS]

    def settings(self, names: Sequence[str]) -> list[Item]:
        """Names of settings."""
        return [Item(name, Kind.Property, "", words.SETTING_DOCS.get(name, ""), f"{name}: ") for name in names]

    def setting_values(self, name: str) -> list[Item]:
        """Words that a setting may be."""
        return [Item(value, Kind.EnumMember) for value in _VALUES.get(name, ())]

    def files(self, ending: str) -> list[Item]:
        """Files of a kind below the program's folder, as imports write them."""
        folder = self.module.search.folder if self.module is not None else None
        if folder is None:
            return []
        if ending == ".smc":
            own = self.document.path.resolve() if self.document.path is not None else None
            found = [path for path in programs_in(folder) if path.resolve() != own]
        else:
            found = [path for path in programs_in(folder, ending) if not path.name.startswith("_")]
        return [Item(path.relative_to(folder).as_posix(), Kind.File) for path in found[:200]]


def _library_items(library: LibraryScope, in_grammar: bool) -> list[Item]:
    if in_grammar:
        signatures = [each.signature for each in library.grammars.values()]
        signatures += standard.RULES.values() if library.standard else ()
        return [Item(each.rule, Kind.Struct, str(each), escape(each.doc, keep_newlines=True)) for each in signatures]
    items = [
        Item(name, Kind.Function, signature_text(each), _function_doc(each), rank=1 if each.is_potential else 2)
        for name, each in library.functions.items()
    ]
    return items + [Item(name, Kind.Function, "built-in") for name in (standard.FUNCTIONS if library.standard else ())]


def _function_doc(signature: Signature) -> str:
    facts = density.facts_of(signature) if signature.is_potential else ""
    return escape("\n\n".join(part for part in (signature.doc, facts) if part), keep_newlines=True)


def _module_items(module: Module, in_grammar: bool, templates: bool) -> list[Item]:
    if templates:
        return [Item(name, Kind.Method, "template") for name in module.templates]
    if in_grammar:
        return [Item(name, Kind.Struct, "grammar", code(each.span.text)) for name, each in module.grammars.items()]
    return [Item(name, Kind.Function, "potential", code(each.span.text)) for name, each in module.potentials.items()]


def _typed(parameters: Iterable[Parameter]) -> list[tuple[str, Type]]:
    return [(each.name, each.type) for each in parameters]


def _written(type_: sx.TypeExpression) -> Type:
    """A type as it is written; what it is called is all that is shown."""
    return Type("str", choices=type_.choices) if type_.choices else Type(type_.name)  # type: ignore[arg-type]
