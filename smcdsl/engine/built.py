"""Compiled programs as files (`.smcx`): a program's text with the tables of its grammars for one tokenizer.

The program is read again from its text, and what it imports from beside the file; the tables then need not be made.
They are good for one version of this package and one tokenizer, and for imports that are what they were.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path, PurePosixPath
from threading import RLock
from typing import TYPE_CHECKING, Any

from smcdsl.container import Container, Damaged, OtherFormat, is_container, open_container, write_container
from smcdsl.errors import Diagnostic, Source, UsageError
from smcdsl.program.program import Program
from smcdsl.vocabulary import Vocabulary

if TYPE_CHECKING:
    from smcdsl.automaton.automaton import TokenAutomaton
    from smcdsl.automaton.tables import AutomatonTables, TrieTables
    from smcdsl.protocols import LanguageModel

SUFFIX = ".smcx"
_FACTS = {
    "tool": str,
    "tables": int,
    "program": dict,
    "files": dict,
    "tokenizer": dict,
    "grammars": dict,
    "holes": list,
}
_SHIPPED = ("grammars", "potentials")
_SHIPS = "smcdsl:"
_SHOWN_DIGITS = 8
_HEX = re.compile(r"[0-9a-f]{8,128}")


@dataclass(frozen=True)
class BuiltHole:
    """A hole and whether its tables are in the file; if not, `needs` are the inputs without a value."""

    name: str
    states: int | None
    needs: tuple[str, ...] = ()
    bound: tuple[str, ...] = ()
    """Inputs whose values the tables are for."""
    problem: str = ""


@dataclass(frozen=True)
class BuildReport:
    """What `build_program` has written."""

    path: Path
    size: int
    vocab_size: int
    fingerprint: str
    holes: tuple[BuiltHole, ...]
    missing: tuple[str, ...]
    """Imported files that do not stand beside the file as they stand beside the program."""


class Built:
    """A file that `build_program` wrote, opened by `open_built`; its tables are mapped when they are asked for.

    Attributes:
        path: the file, as it was named.
        name: the program's.
        source: the program's text.
        program_path: where the program would be if it were beside the file.
    """

    def __init__(self, path: Path, container: Container) -> None:
        self.path, self._container = path, container
        facts = container.facts
        for name, kind in _FACTS.items():
            if type(facts.get(name)) is not kind:
                raise damaged(path, f"its manifest does not say `{name}`")
        program, tokenizer = facts["program"], facts["tokenizer"]
        wanted = (
            (program, "name"),
            (program, "file"),
            (program, "text"),
            (tokenizer, "fingerprint"),
            (tokenizer, "model"),
        )
        for part, name in wanted:
            if type(part.get(name)) is not str:
                raise damaged(path, f"its manifest does not say `{name}`")
        if not _is_file_name(program["file"]) or not _HEX.fullmatch(tokenizer["fingerprint"]):
            raise damaged(path, "its manifest names no program or no tokenizer")
        if not all(isinstance(name, str) and isinstance(digest, str) for name, digest in facts["files"].items()):
            raise damaged(path, "its manifest names no files")
        self._files: dict[str, str] = facts["files"]
        self._fingerprint: str = tokenizer["fingerprint"]
        self._model: str = tokenizer["model"]
        self._tool: str = facts["tool"]
        self.name: str = program["name"]
        self.source = Source(str(path), program["text"])
        self.program_path = path.parent / program["file"]
        self._lock = RLock()
        self._trie: tuple[TrieTables, str] | None = None
        self._tables: dict[str, AutomatonTables | None] = {}
        self._check_tool(facts["tables"])

    def check_vocabulary(self, vocabulary: Vocabulary, model: str = "") -> None:
        """Raises UsageError R0907 for another tokenizer than the one that the tables are for."""
        if vocabulary.fingerprint != self._fingerprint:
            raise UsageError(self._other(f"tokenizer {_shown(vocabulary.fingerprint, model)}", model))

    def check_files(self, program: Program | None) -> None:
        """Compare files that the program was made from with those it is made from now.

        Args:
            program: the program as read now; None if it could not be read.

        Raises:
            UsageError: R0907, one of them has changed.
        """
        if program is not None:
            now = digests_of(program, self.program_path.parent)
        else:
            now = dict(_read_again(self._files, self.program_path.parent))
        changed = [name for name, digest in now.items() if self._files.get(name) != digest]
        if program is not None:
            changed += [name for name in self._files if name not in now]
        if changed:
            fact = f"`{sorted(changed)[0]}` is not what it was then"
            raise UsageError(self._diagnostic("this compiled program is out of date", fact))

    def tables(self, key: str, vocabulary: Vocabulary) -> AutomatonTables | None:
        """The tables of a grammar by its fingerprint, None if they are not in the file.

        Raises:
            UsageError: R0907, they are there but damaged.
        """
        from smcdsl.automaton.soundness import Unsound
        from smcdsl.automaton.stored_tables import tables_of, trie_of

        plain = self._container.facts["grammars"].get(key)
        if plain is None:
            return None
        with self._lock:
            if key not in self._tables:
                try:
                    if self._trie is None:
                        arrays, digest = self._container.section("trie")
                        self._trie = trie_of(arrays), digest
                    arrays, digest = self._container.section(f"grammar {key}")
                    tables = tables_of(plain, arrays, self._trie[0], (self._trie[1], digest))
                except (Damaged, Unsound) as error:
                    raise damaged(self.path, str(error), self._rebuild()) from error
                if (tables.vocab_size, tables.end_of_turn) != (len(vocabulary), vocabulary.end_of_turn):
                    raise damaged(self.path, "its tables are for another vocabulary than it says", self._rebuild())
                self._tables[key] = tables
            return self._tables[key]

    def has(self, tables: AutomatonTables) -> bool:
        """Whether tables are this file's."""
        return any(tables is known for known in self._tables.values())

    def automaton(self, tables: AutomatonTables, following: bytes | None, folder: Path | None) -> TokenAutomaton:
        """A hole's automaton over this file's tables.

        Args:
            folder: where walks over the vocabulary are kept.

        Raises:
            UsageError: R0907, here or when it is used: the tables contradict themselves.
            CompileError: as `TokenAutomaton`.
        """
        from smcdsl.engine.guarded import GuardedAutomaton

        def blame(error: Exception) -> UsageError:
            reason = f"its tables contradict themselves ({type(error).__name__}: {error})"
            return damaged(self.path, reason, self._rebuild())

        return GuardedAutomaton(tables, following, folder, blame)

    def _check_tool(self, tables_format: int) -> None:
        from smcdsl import __version__
        from smcdsl.automaton.tables import FORMAT

        if self._tool != __version__ or tables_format != FORMAT:
            now = f"smcdsl {__version__}" + (f" (tables {FORMAT})" if self._tool == __version__ else "")
            raise UsageError(self._other(now, ""))

    def _other(self, now: str, model: str) -> Diagnostic:
        from smcdsl import __version__

        built = f"built by smcdsl {self._tool} for tokenizer {_shown(self._fingerprint, self._model)}"
        this = now if now.startswith("smcdsl") else f"smcdsl {__version__} and {now}"
        return self._diagnostic("this compiled program was built for something else", f"{built}; this is {this}", model)

    def _diagnostic(self, message: str, fact: str, model: str = "") -> Diagnostic:
        return Diagnostic("R0907", message, context=str(self.path), facts=(fact,), help=self._rebuild(model))

    def _rebuild(self, model: str = "") -> str:
        named = shlex.quote(model or self._model)
        return f"rebuild: smcdsl build {shlex.quote(self.program_path.name)} --model {named}"


def open_built(path: Path) -> Built | None:
    """The compiled program in a file; None if the file is something else.

    Raises:
        UsageError: R0907, it is damaged, or was built by another version; E0816, it cannot be read.
    """
    try:
        if not path.is_file() or not (is_container(path) or path.suffix == SUFFIX):
            return None
        return Built(path, open_container(path))
    except Damaged as error:
        raise damaged(path, str(error)) from error
    except OtherFormat as error:
        fact = f"it is of format {error.args[0]}, which this version of smcdsl does not read"
        message = "this compiled program was built for something else"
        raise UsageError(Diagnostic("R0907", message, context=str(path), facts=(fact,), help=_REBUILD)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"`{path}` cannot be read"
        raise UsageError(Diagnostic("E0816", message, context=str(path), facts=(reason,))) from error


_REBUILD = "rebuild it from the program: smcdsl build PROGRAM --model NAME"


def damaged(path: Path, reason: str, help_text: str = _REBUILD) -> UsageError:
    """R0907 for a file that is not as it was written, or that nobody wrote."""
    facts = (reason,)
    return UsageError(
        Diagnostic("R0907", "this compiled program is damaged", context=str(path), facts=facts, help=help_text)
    )


def build_program(
    program: Program,
    model: LanguageModel,
    path: Path,
    *,
    model_name: str,
    values: Mapping[str, Any],
    state_limit: int,
    folder: Path,
) -> BuildReport:
    """Compile a program's grammars for a model's tokenizer and write them to a file.

    Args:
        model_name: what the model is called in messages.
        values: inputs that are known; grammars that take others are left out.
        folder: where the program is, from where names of imported files count.

    Raises:
        CompileError: a grammar is wrong under these inputs.
        OSError: the file cannot be written.
    """
    from smcdsl import __version__
    from smcdsl.automaton.stored_tables import section_of, trie_section
    from smcdsl.automaton.tables import FORMAT
    from smcdsl.cache import cache_dir
    from smcdsl.compiler.assemble import vocabulary_trie

    vocabulary = model.vocabulary
    trie = vocabulary_trie(vocabulary, cache_dir())
    sections = {"trie": trie_section(trie)}
    grammars: dict[str, Any] = {}
    holes = []
    for hole, key, tables in _compiled(program, vocabulary, values, state_limit):
        holes.append(hole)
        if tables is not None:
            grammars[key], sections[f"grammar {key}"] = section_of(tables)
    read = digests_of(program, folder)
    facts = {
        "tool": __version__,
        "tables": FORMAT,
        "program": {"name": program.name, "file": _file_name(program, path), "text": program.source.text},
        "files": read,
        "tokenizer": {"fingerprint": vocabulary.fingerprint, "model": model_name},
        "grammars": grammars,
        "holes": [{"name": hole.name, "included": hole.states is not None, "needs": hole.needs} for hole in holes],
    }
    write_container(path, facts, sections)
    beside = dict(_read_again(read, path.parent))
    missing = [name for name in read if not name.startswith(_SHIPS) and beside.get(name) != read[name]]
    size = path.stat().st_size if path.is_file() else 0
    return BuildReport(path, size, len(vocabulary), vocabulary.fingerprint, tuple(holes), tuple(missing))


def _compiled(
    program: Program, vocabulary: Vocabulary, values: Mapping[str, Any], state_limit: int
) -> Iterator[tuple[BuiltHole, str, AutomatonTables | None]]:
    """Every hole, the key of its tables, and the tables; None where inputs are missing or they are too large."""
    from smcdsl.automaton.soundness import Unsound, check_grammar_tables
    from smcdsl.cache import cache_dir
    from smcdsl.compiler.assemble import compile_grammar
    from smcdsl.library.binding import bind_hole, expression_names

    for key, declared in program.holes.items():
        names = () if declared.closed is not None else sorted(expression_names(declared.grammar, program.grammars))
        needs = tuple(name for name in names if name not in values)
        if needs:
            yield BuiltHole(declared.name, None, needs), "", None
            continue
        tables = compile_grammar(
            bind_hole(program, key, values),
            vocabulary,
            state_limit=state_limit,
            cache_dir=cache_dir(),
            checked=declared.closed is not None,
        )
        try:
            check_grammar_tables(tables)
        except Unsound as error:
            yield BuiltHole(declared.name, None, problem=str(error)), "", None
        else:
            yield BuiltHole(declared.name, tables.num_states, bound=tuple(names)), tables.fingerprint, tables


def digests_of(program: Program, folder: Path) -> dict[str, str]:
    """SHA-256 of every file that a program was made from besides its own, by names that do not depend on the place."""
    found = {}
    for name in program.files:
        path = Path(name)
        try:
            found[_name_of(path, folder)] = hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, ValueError):
            continue  # what ships inside an archive is settled by the version of the package
    return found


def _name_of(path: Path, folder: Path) -> str:
    """`smcdsl:grammars/sql.lark` for what ships, else the path from the program's folder."""
    resolved = path.resolve()
    for kind in _SHIPPED:
        base = Path(str(files(f"smcdsl.{kind}"))).resolve()
        if resolved.is_relative_to(base):
            return f"{_SHIPS}{kind}/{resolved.relative_to(base).as_posix()}"
    return PurePosixPath(Path(os.path.relpath(resolved, folder.resolve()))).as_posix()


def _read_again(names: Any, folder: Path) -> Iterator[tuple[str, str]]:
    """Digests of those files that are there under their names from a folder."""
    for name in names:
        if name.startswith(_SHIPS) or os.path.isabs(name):
            continue
        try:
            path = folder / name
            if path.is_file():
                yield name, hashlib.sha256(path.read_bytes()).hexdigest()
        except (OSError, ValueError):
            continue


def _file_name(program: Program, path: Path) -> str:
    name = Path(program.source.name).name
    if name.endswith(SUFFIX):
        name = name[: -len(SUFFIX)] + ".smc"
    return name if _is_file_name(name) and name.endswith(".smc") else f"{path.stem}.smc"


def _is_file_name(name: str) -> bool:
    return 0 < len(name) < 256 and not {"/", "\\", "\0"} & set(name) and name not in (".", "..")


def _shown(fingerprint: str, model: str) -> str:
    return f"{fingerprint[:_SHOWN_DIGITS]}..." + (f" ({model})" if model else "")
