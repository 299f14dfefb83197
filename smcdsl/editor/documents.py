"""The programs an editor has open, and what is known about each version of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from smcdsl.compiler.remembered import RememberedFacts
from smcdsl.editor.grammar_rules import Rules
from smcdsl.editor.names import Names
from smcdsl.editor.naming import names_of
from smcdsl.editor.pieces import Piece
from smcdsl.editor.places import Lines, path_of, with_newlines
from smcdsl.editor.scan import Scanner
from smcdsl.engine import examine
from smcdsl.errors import Diagnostic, Source
from smcdsl.language.checker import Examined
from smcdsl.language.load import examine as examine_names
from smcdsl.language.syntax import SyntaxTree

_MOST_FILES = 2000
_MOST_TRIES = 3
_SKIPPED = frozenset({"node_modules", "__pycache__", "site-packages", "build", "dist"})


class Document:
    """One version of a text. Everything is worked out when it is first asked for, and then kept."""

    def __init__(self, uri: str, text: str, version: int | None = None, facts: RememberedFacts | None = None) -> None:
        self.uri = uri
        self.version = version
        self.path = path_of(uri)
        self.source = Source(str(self.path) if self.path is not None else uri, with_newlines(text))
        self._facts = facts or RememberedFacts()

    @property
    def text(self) -> str:
        """The text, lines ending in newlines."""
        return self.source.text

    @cached_property
    def lines(self) -> Lines:
        """Its places."""
        return Lines(self.text)

    @cached_property
    def scanned(self) -> Scanner:
        """Its lexical pieces, and where its prompts are."""
        scanner = Scanner(self.text)
        scanner.run()
        return scanner

    @property
    def pieces(self) -> list[Piece]:
        """Its lexical pieces."""
        return self.scanned.pieces

    @cached_property
    def tree(self) -> SyntaxTree | None:
        """Its syntax tree, as far as it could be read."""
        return self.examined.module.tree if self.examined is not None else None

    @cached_property
    def examined(self) -> Examined | None:
        """What the checks find out without automata: quick, and enough for all but mistakes.

        Where nothing could be read, the lines with the mistakes are left out, their places kept.
        """
        source = self.source
        for _ in range(_MOST_TRIES):
            examined, diagnostics = examine_names(source, path=self.path)
            if examined is not None:
                return examined
            source = Source(source.name, _without_lines(source.text, diagnostics))
        return None

    @property
    def file(self) -> str:
        """What the keys of its names are known by."""
        return str(self.path.resolve()) if self.path is not None else self.uri

    @cached_property
    def _named(self) -> tuple[Names, Rules | None]:
        if self.examined is None:
            return Names(()), None
        try:
            return names_of(self.examined.module, self.file)
        except RecursionError:  # nested as deeply as could still be parsed
            return Names(()), None

    @property
    def names(self) -> Names:
        """Every name with its place and what it stands for."""
        return self._named[0]

    @property
    def rules(self) -> Rules | None:
        """Where the names of grammars lead; None where nothing could be read."""
        return self._named[1]

    def diagnostics(self) -> list[Diagnostic]:
        """Everything that `smcdsl check` says. May take long where grammars have changed."""
        examined, found = examine(self.source, path=self.path, facts=self._facts)
        if examined is not None:
            self.__dict__.setdefault("examined", examined)  # knows as much, and more
        return found


class Documents:
    """The open documents by URI, and the other programs of the folders that are open."""

    def __init__(self) -> None:
        self.facts = RememberedFacts()
        self.open: dict[str, Document] = {}
        self.folders: list[Path] = []

    def put(self, uri: str, text: str, version: int | None) -> Document:
        """A new version of a document."""
        document = Document(uri, text, version, self.facts)
        self.open[uri] = document
        return document

    def forget(self, uri: str) -> None:
        """A document was closed."""
        self.open.pop(uri, None)

    def refresh(self) -> None:
        """Something on disk has changed, which programs may import: what is known is found out anew."""
        for uri, document in list(self.open.items()):
            self.open[uri] = Document(uri, document.text, document.version, self.facts)

    def every(self) -> Iterator[Document]:
        """All open programs, then those in the folders that are not open."""
        yield from self.open.values()
        known = {document.path.resolve() for document in self.open.values() if document.path is not None}
        for folder in self.folders:
            for path in programs_in(folder):
                if path.resolve() not in known:
                    known.add(path.resolve())
                    try:
                        text = path.read_text("utf-8")
                    except (OSError, UnicodeDecodeError):
                        continue
                    yield Document(path.resolve().as_uri(), text, None, self.facts)


def _without_lines(text: str, diagnostics: Iterable[Diagnostic]) -> str:
    """The text with blanks for the lines of mistakes, all of it if they have no places."""
    lines = text.split("\n")
    source = Source("", text)
    marked = {
        source.position(label.span.start)[0] - 1 for each in diagnostics for label in each.labels if label.primary
    }
    return "\n".join(" " * len(line) if index in marked or not marked else line for index, line in enumerate(lines))


def programs_in(folder: Path, ending: str = ".smc") -> Iterator[Path]:
    """The .smc files (or others) of a folder, sorted; hidden folders and those of other tools are passed over."""
    found = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED)
        for name in sorted(files):
            found += 1
            if found > _MOST_FILES:
                return
            if name.endswith(ending):
                yield Path(parent) / name
