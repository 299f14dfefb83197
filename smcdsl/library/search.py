"""Where imports look: the project first, then what is installed with smcdsl.

A library NAME is `grammars/NAME.lark`, `potentials/NAME.py` or both; dots are folders. The project's
root is the nearest folder with a `pyproject.toml`, at or above the program's own folder, else that folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

GRAMMARS, POTENTIALS = "grammars", "potentials"

LATER_LIBRARIES = ("json",)
"""Libraries of the language reference that this version does not ship."""


@dataclass(frozen=True)
class LibraryFile:
    """A file found: the name to show, its text, and how Python reaches it.

    `path` is empty for what ships inside an archive; `module` is the installed module's name, empty for
    a project's own file.
    """

    name: str
    text: str
    path: str = ""
    module: str = ""


@dataclass(frozen=True)
class Library:
    """What `import NAME` found."""

    name: str
    grammar: LibraryFile | None
    functions: LibraryFile | None
    hides: tuple[str, ...] = ()
    """Names of the project's files that stand before shipped ones."""


def project_root(folder: Path) -> Path:
    """The nearest folder at or above `folder` that has a `pyproject.toml`, else `folder`."""
    folder = folder.resolve()
    return next((parent for parent in (folder, *folder.parents) if (parent / "pyproject.toml").is_file()), folder)


@dataclass(frozen=True)
class Search:
    """The places to look in for one file's imports: beside it, in its project, among what ships."""

    folder: Path
    root: Path
    main: Path
    """The main program's folder as the user gave it: names of files are shown from there."""

    @classmethod
    def beside(cls, path: Path | None, root: Path | None = None) -> Search:
        """For the file at `path`; without one, for text that stands in the working folder."""
        given = path.parent if path is not None else Path()
        folder = given.resolve()
        return cls(folder, root.resolve() if root is not None else project_root(folder), given)

    def at(self, path: Path) -> Search:
        """For a file that this one imports."""
        return Search(path.parent.resolve(), self.root, self.main)

    def library(self, name: str) -> Library | None:
        """The library `name` (dots are folders), or None."""
        inner = name.replace(".", "/")
        grammar, hides_grammar = self._first(GRAMMARS, f"{inner}.lark")
        functions, hides_functions = self._first(POTENTIALS, f"{inner}.py")
        if grammar is None and functions is None:
            return None
        hides = [
            file.name for file, hiding in ((grammar, hides_grammar), (functions, hides_functions)) if file and hiding
        ]
        return Library(name, grammar, functions, tuple(hides))

    def library_names(self) -> tuple[str, ...]:
        """Every library there is, sorted."""
        names = {"std.text"}
        for kind, ending in ((GRAMMARS, ".lark"), (POTENTIALS, ".py")):
            for base in (self.root / kind, _shipped(kind)):
                names |= {entry.name.removesuffix(ending) for entry in _entries(base) if entry.name.endswith(ending)}
        return tuple(sorted(name for name in names if not name.startswith("_")))

    def file(self, path: str) -> LibraryFile | None:
        """A file named by its path: beside the program, in the project's root, or among what ships.

        Raises:
            UnicodeDecodeError, OSError: it is there but cannot be read.
        """
        for base in dict.fromkeys((self.folder, self.root)):
            found = base / path
            if _is_file(found):
                return self._own(found)
        kind, _, inner = path.partition("/")
        if kind in (GRAMMARS, POTENTIALS) and ".." not in PurePosixPath(inner).parts:
            return _read_shipped(kind, inner)
        return None

    def module(self, path: str) -> LibraryFile | None:
        """A `.smc` file, relative to the importing one only."""
        found = self.folder / path
        return self._own(found) if _is_file(found) else None

    def files_like(self, path: str, *, beside: bool = False) -> tuple[str, ...]:
        """Paths that one which is nowhere may have meant: files of its folder, and of its name in the usual folders.

        With `beside` only those that `module` would find.
        """
        meant = PurePosixPath(path)
        ending = meant.suffix or ".py"
        found: list[str] = []
        for base in dict.fromkeys((self.folder, self.folder if beside else self.root)):
            folders = dict.fromkeys((meant.parent, PurePosixPath(), PurePosixPath(POTENTIALS), PurePosixPath(GRAMMARS)))
            for folder in folders:
                names = [entry.name for entry in _entries(base / folder) if entry.name.endswith(ending)]
                found += [
                    str(folder / name)
                    for name in sorted(names)
                    if folder == meant.parent or PurePosixPath(name).stem == meant.stem
                ]
        return tuple(dict.fromkeys(found))

    def _first(self, kind: str, inner: str) -> tuple[LibraryFile | None, bool]:
        """The project's file before the shipped one, and whether it hides that."""
        shipped = _read_shipped(kind, inner)
        own = self.root / kind / inner
        if not _is_file(own):
            return shipped, False
        if shipped is not None and shipped.path and Path(shipped.path).samefile(own):
            return shipped, False
        return self._own(own), shipped is not None

    def _own(self, path: Path) -> LibraryFile:
        text = path.read_text(encoding="utf-8")
        for kind in (GRAMMARS, POTENTIALS):  # a checkout's own libraries are the shipped ones
            shipped = _shipped(kind)
            if isinstance(shipped, Path) and path.resolve().is_relative_to(shipped.resolve()):
                inner = path.resolve().relative_to(shipped.resolve()).as_posix()
                return LibraryFile(f"smcdsl/{kind}/{inner}", text, str(path.resolve()), _module(kind, inner))
        return LibraryFile(self._shown(path), text, str(path.resolve()))

    def _shown(self, path: Path) -> str:
        main = self.main.resolve()
        if path.resolve().is_relative_to(main):
            return (self.main / path.resolve().relative_to(main)).as_posix()
        if path.resolve().is_relative_to(self.root):
            return path.resolve().relative_to(self.root).as_posix()
        return path.as_posix()


def _is_file(path: Path | Traversable) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _shipped(kind: str) -> Traversable:
    return files(f"smcdsl.{kind}")


def _entries(base: Traversable) -> list[Traversable]:
    try:
        return list(base.iterdir()) if base.is_dir() else []
    except (OSError, ValueError):
        return []


def _read_shipped(kind: str, inner: str) -> LibraryFile | None:
    found = _shipped(kind)
    for part in inner.split("/"):
        found = found / part
    if not _is_file(found):
        return None
    path = str(found.resolve()) if isinstance(found, Path) else ""
    return LibraryFile(f"smcdsl/{kind}/{inner}", found.read_text(encoding="utf-8"), path, _module(kind, inner))


def _module(kind: str, inner: str) -> str:
    if not inner.endswith(".py"):
        return ""
    return ".".join(("smcdsl", kind, *inner.removesuffix(".py").split("/")))
