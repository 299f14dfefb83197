"""Which grammars, rules and templates the names of a file lead to, in other files too."""

from __future__ import annotations

from smcdsl.editor.names import Key, NameKind
from smcdsl.language import syntax as sx
from smcdsl.language.resolver import Module
from smcdsl.library import standard
from smcdsl.library.binding import RESERVED_BOUNDARIES
from smcdsl.library.lark_files import NOTATIONS, own_grammar
from smcdsl.program import expressions as ex
from smcdsl.program import grammar as gr

Boundaries = dict[str, tuple[Key, NameKind]]


class Rules:
    """The grammars of one file and of what it imports. `holes` are filled in by the walk over the transcript."""

    def __init__(self, module: Module, file: str) -> None:
        self.module = module
        self.file = file
        self.holes: dict[str, tuple[gr.GrammarExpression, Module, str]] = {}
        self._known: dict[str, Boundaries] = {}

    # ---- imports

    def alias(self, path: tuple[str, ...], module: Module) -> tuple[str, str]:
        """The alias that a dotted name begins with (the longest), and what follows it; empty without one."""
        for length in range(len(path) - 1, 0, -1):
            alias = ".".join(path[:length])
            if alias in module.libraries or alias in module.modules or alias in module.broken_imports:
                return alias, ".".join(path[length:])
        return "", ".".join(path)

    def file_of_module(self, alias: str, module: Module) -> str:
        """The path of a module file that is imported under an alias."""
        imports = [each for each in module.tree.declarations if isinstance(each, sx.Import) and each.kind == "module"]
        found = next((each for each in imports if each.alias is not None and each.alias.text == alias), None)
        return str((module.search.folder / found.target.text).resolve()) if found is not None else ""

    def template(
        self, path: tuple[str, ...], module: Module, file: str
    ) -> tuple[sx.TemplateSyntax, Module, str] | None:
        """The template that `use` names, and the file it is in."""
        if len(path) == 1:
            return (module.templates[path[0]], module, file) if path[0] in module.templates else None
        alias, name = self.alias(path, module)
        inner = module.modules.get(alias)
        if inner is None or name not in inner.templates:
            return None
        return inner.templates[name], inner, self.file_of_module(alias, module)

    def library_grammar(self, path: tuple[str, ...], module: Module) -> tuple[Key | None, NameKind]:
        """What `alias.name` is in a grammar."""
        alias, name = self.alias(path, module)
        if alias in module.modules:
            return Key(self.file_of_module(alias, module), "grammar", name), "grammar"
        if alias in module.libraries:
            library = module.libraries[alias]
            if name in library.grammars:
                return Key(library.grammars[name].file.name, "grammars", name), "library_grammar"
            if library.standard and name in standard.RULES:
                return Key(standard.NAME, "grammars", name), "library_grammar"
        return None, "library_grammar"

    # ---- boundaries

    def boundaries(self, hole: str) -> Boundaries:
        """The rules that `at` and `each` may name for a hole, with what they are. Reserved names are always there."""
        if hole not in self._known:
            found: Boundaries = {name: (Key("", "boundary", name), "reserved") for name in RESERVED_BOUNDARIES}
            if hole in self.holes:
                expression, module, file = self.holes[hole]
                self._reach(expression, module, file, "", found, set())
            self._known[hole] = found
        return self._known[hole]

    def _reach(
        self,
        expression: gr.GrammarExpression,
        module: Module,
        file: str,
        inside: str,
        found: Boundaries,
        seen: set[tuple[str, str, str]],
    ) -> None:
        """Collect the rules that an expression leads to; `inside` is the grammar whose rules it may name."""
        for reference in gr.references(expression):
            if reference.name in NOTATIONS and reference.arguments:
                self._reach_file(reference, module, found)
                continue
            if len(reference.path) == 1:
                self._reach_own(reference.path[0], module, file, inside, found, seen)
                continue
            alias, name = self.alias(reference.path, module)
            if alias in module.modules:
                self._reach_own(name, module.modules[alias], self.file_of_module(alias, module), "", found, seen)
            elif alias in module.libraries and name in module.libraries[alias].grammars:
                grammar = module.libraries[alias].grammars[name]
                for rule in grammar.boundaries:
                    found.setdefault(rule, (Key(grammar.file.name, "rules", rule), "library_rule"))

    def _reach_file(self, reference: gr.Reference, module: Module, found: Boundaries) -> None:
        """The rules of `lark("file.lark", start: "rule")` and the like."""
        notation = next(known for known in NOTATIONS if known == reference.name)
        texts = [
            (argument.name, argument.value.value)
            for argument in reference.arguments or ()
            if isinstance(argument.value, ex.Constant) and isinstance(argument.value.value, str)
        ]
        path = next((text for name, text in texts if name is None), "")
        start = next((text for name, text in texts if name is not None), NOTATIONS[notation].default)
        try:
            file = module.search.file(path)
        except (OSError, UnicodeDecodeError, ValueError):
            return
        grammar = own_grammar(file, notation, start)[0] if file is not None else None
        if file is not None and grammar is not None:
            for rule in grammar.boundaries:
                found.setdefault(rule, (Key(file.path, "rules", rule), "library_rule"))

    def _reach_own(
        self, name: str, module: Module, file: str, inside: str, found: Boundaries, seen: set[tuple[str, str, str]]
    ) -> None:
        declared = module.grammars.get(inside)
        rule = next((body for word, body in declared.rules if word.text == name), None) if declared else None
        if rule is not None:
            found.setdefault(name, (Key(file, f"rules of {inside}", name), "rule"))
            self._follow((file, inside, name), [rule], module, file, inside, found, seen)
            return
        grammar = module.grammars.get(name)
        if grammar is None:
            return
        found.setdefault(name, (Key(file, "grammar", name), "grammar"))
        for word, _ in grammar.rules:
            found.setdefault(word.text, (Key(file, f"rules of {name}", word.text), "rule"))
        bodies = [body for _, body in grammar.rules] if grammar.expression is None else [grammar.expression]
        self._follow((file, "", name), bodies, module, file, name if grammar.rules else "", found, seen)

    def _follow(
        self,
        key: tuple[str, str, str],
        bodies: list[gr.GrammarExpression],
        module: Module,
        file: str,
        inside: str,
        found: Boundaries,
        seen: set[tuple[str, str, str]],
    ) -> None:
        if key not in seen:
            seen.add(key)
            for body in bodies:
                self._reach(body, module, file, inside, found, seen)
