"""The automata of `grammars/python.lark` over real vocabularies, and the files of the standard library."""

from __future__ import annotations

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path

from tokenizers import Tokenizer

from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar
from smcdsl.vocabulary import Vocabulary
from tests.oracles.vocabularies import real_vocabulary
from tests.spider import DATA

FILE = Path(str(files("smcdsl.grammars").joinpath("python.lark")))


@cache
def grammar() -> Grammar:
    return load_lark(FILE.read_text(), name="python.lark", start="statements")


@cache
def automaton(tokenizer: str) -> tuple[TokenAutomaton, Vocabulary, Tokenizer]:
    vocabulary = real_vocabulary(tokenizer)
    encoder = Tokenizer.from_file(str(DATA / "tokenizers" / tokenizer / "tokenizer.json"))
    return TokenAutomaton(compile_grammar(grammar(), vocabulary), None), vocabulary, encoder


def parses(text: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            ast.parse(text)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            return False
    return True


def library_files() -> list[Path]:
    """Files of the standard library, without those for Python 2 or wrong on purpose."""
    root = Path(sysconfig.get_path("stdlib"))
    return sorted(
        path
        for path in root.rglob("*.py")
        if not {"site-packages", "lib2to3"} & {*path.relative_to(root).parts} and not path.name.startswith("bad")
    )


def library_texts(step: int) -> Iterator[tuple[str, str]]:
    """(name, text) of every `step`-th file that `ast` takes; a last line without its line break gets one."""
    for path in library_files()[::step]:
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue
        if parses(text):
            yield "/".join(path.parts[-3:]), text if text.endswith("\n") else text + "\n"


def refused_at(walker: TokenAutomaton, tokens: list[int], end: int) -> int | None:
    """The first token that is not allowed, `len(tokens)` if the text may not end there, None if all are."""
    state = walker.start
    for place, token in enumerate([*tokens, end]):
        state = walker.next(state, token)
        if state == DEAD:
            return place
    return None
