"""The engines under one roof: what a matcher does is the same for all, and only this file knows their interfaces.

A matcher follows one text: `fill` makes the mask of what may come next, `accept` takes a token. Each is one call
into the engine, so that what is timed is what a user's loop pays. A batch follows N texts at once.

Only special tokens' ids reach the peers, not their texts: as texts they would be part of some languages.
"""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.masks.corpora import INDENTED, STARTS, ebnf_text, grammar_text
from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar, vocabulary_trie
from smcdsl.library.grammar_cache import read_lark
from smcdsl.notations.lark import load_lark
from smcdsl.program.grammar import Grammar
from smcdsl.program.references import GrammarFile
from smcdsl.vocabulary import Vocabulary

PEERS = ("llguidance", "xgrammar")

Masks = NDArray[np.uint32]


class Matcher(Protocol):
    """One text on its way."""

    def fill(self) -> None:
        """Make the mask of the tokens that may come next."""

    def accept(self, token: int) -> None:
        """Take a token."""

    def mask(self) -> Masks:
        """(W,) the mask last made."""


class Batch(Protocol):
    """N texts on their way; `tokens` is (N,)."""

    def step(self, tokens: NDArray[np.int64]) -> None:
        """Take a token each and write the N masks that follow into one array."""


class Engine(Protocol):
    """A grammar, compiled for a vocabulary."""

    name: str

    def matcher(self) -> Matcher:
        """At the start of a text."""

    def batch(self, prefixes: Sequence[Sequence[int]]) -> Batch:
        """One text each, after so many tokens."""


def wait_for_blocks(automaton: TokenAutomaton) -> None:
    """Until the thread is through that makes ahead what masks are made of, and writes it to disk."""
    automaton._machine.blocks.wait()


def grammar_of(language: str, lexing: str = "", cache: Path | None = None) -> Grammar:
    """This project's grammar of a language, read or from a cache; `lexing` overrides what its file declares."""
    text = grammar_text(language)
    if lexing:
        text = text.replace("lexing longest", f"lexing {lexing}")
    start = STARTS.get(language, "start")
    if cache is not None:
        return read_lark(GrammarFile(language, text), start, cache)
    return load_lark(text, name=language, start=start)


class Smcdsl:
    """This project. `forget` drops what masks have been remembered."""

    name = "smcdsl"

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary, cache: Path) -> None:
        self._grammar, self._vocabulary, self._cache = grammar, vocabulary, cache
        self.forget()

    def forget(self) -> None:
        """Begin again with tables as they are on disk."""
        tables = compile_grammar(self._grammar, self._vocabulary, cache_dir=self._cache)
        self.automaton = TokenAutomaton(tables, None, self._cache)

    def wait(self) -> None:
        """Until nothing is made ahead any more."""
        wait_for_blocks(self.automaton)

    def refuses(self, tokens: Sequence[int]) -> bool:
        """Whether some token of a text is not allowed, or its end."""
        state = self.automaton.start
        for token in (*tokens, self._vocabulary.end_of_turn[0]):
            state = self.automaton.next(state, token)
            if state == DEAD:
                return True
        return False

    def matcher(self) -> SmcdslMatcher:
        return SmcdslMatcher(self.automaton)

    def batch(self, prefixes: Sequence[Sequence[int]]) -> SmcdslBatch:
        return SmcdslBatch(self.automaton, prefixes)


class SmcdslMatcher:
    """One text on its way through an automaton; for texts of its language."""

    def __init__(self, automaton: TokenAutomaton) -> None:
        self._state, self._mask, self._next = automaton.start, automaton.mask, automaton.next
        self._row: Any = None

    def fill(self) -> None:
        self._row = self._mask(self._state)

    def accept(self, token: int) -> None:
        self._state = self._next(self._state, token)

    def mask(self) -> Masks:
        return np.array(self._row)


class SmcdslBatch:
    """N texts on their way through an automaton."""

    def __init__(self, automaton: TokenAutomaton, prefixes: Sequence[Sequence[int]]) -> None:
        self._automaton = automaton
        states = []
        for prefix in prefixes:
            state = automaton.start
            for token in prefix:
                state = automaton.next(state, token)
            states.append(state)
        self._states = np.array(states, dtype=np.int64)
        self._out = np.zeros((len(states), -(-automaton.tables.vocab_size // 64)), dtype=np.uint64)

    def step(self, tokens: NDArray[np.int64]) -> None:
        self._states = self._automaton.advance(self._states, tokens)
        self._automaton.fill(self._states, self._out)

    def step_rows(self, tokens: NDArray[np.int64]) -> None:
        """Take a token each; masks are given as numbers of rows in the automaton's table."""
        self._states = self._automaton.advance(self._states, tokens)
        self._rows = self._automaton.rows(self._states)


class Llguidance:
    """Guidance's Rust engine, reading the same Lark file.

    Its limit of items is raised: with the default it stops in the middle of some Python texts.
    """

    name = "llguidance"

    def __init__(self, grammar: str, vocabulary: Vocabulary, tokenizer: Any) -> None:
        from llguidance import LLExecutor, LLMatcher, LLParserLimits

        limits = LLParserLimits(step_max_items=10_000_000)
        self._first = LLMatcher(tokenizer, grammar, limits=limits, log_level=0)
        if self._first.is_error():
            raise ValueError(self._first.get_error())
        self._words = (len(vocabulary) + 31) // 32
        self._executor = LLExecutor(1)

    @staticmethod
    def of_language(language: str, forcing: bool = True) -> str:
        """Its own description of a language's Lark file. Raises ValueError where it has no means for it."""
        from llguidance import LLMatcher

        if language in INDENTED:
            raise ValueError("has no significant indentation")
        text = grammar_text(language)
        return LLMatcher.grammar_from_lark(text if forcing else f'%llguidance {{"no_forcing": true}}\n{text}')

    @staticmethod
    def of_schema(schema: str, forcing: bool = True) -> str:
        """Its own description of a JSON schema."""
        from llguidance import LLMatcher

        if forcing:
            return LLMatcher.grammar_from_json_schema(schema)
        return LLMatcher.grammar_from_lark(f'%llguidance {{"no_forcing": true}}\nstart: %json {schema}')

    @staticmethod
    def tokenizer(path: Path, vocabulary: Vocabulary) -> Any:
        """What it keeps a vocabulary."""
        from llguidance import LLTokenizer

        return LLTokenizer(str(path), n_vocab=len(vocabulary), eos_token=vocabulary.end_of_turn[0])

    def matcher(self) -> Matcher:
        return _LlguidanceMatcher(self._first.deep_copy(), self._words)

    def batch(self, prefixes: Sequence[Sequence[int]]) -> Batch:
        matchers = []
        for prefix in prefixes:
            matcher = self._first.deep_copy()
            assert matcher.consume_tokens(list(prefix))
            matchers.append(matcher)
        return _LlguidanceBatch(matchers, self._words, self._executor)


class _LlguidanceMatcher:
    def __init__(self, matcher: Any, words: int) -> None:
        self._matcher, self._row = matcher, np.zeros(words, dtype=np.uint32)
        self._fill, self._consume = matcher.unsafe_compute_mask_ptr, matcher.consume_token
        self._address, self._bytes = self._row.ctypes.data, self._row.nbytes

    def fill(self) -> None:
        self._fill(self._address, self._bytes)

    def accept(self, token: int) -> None:
        if not self._consume(token):
            raise ValueError(f"refused token {token}: {self._matcher.get_error()}")

    def mask(self) -> Masks:
        return self._row


class _LlguidanceBatch:
    def __init__(self, matchers: list[Any], words: int, executor: Any) -> None:
        self._matchers, self._executor = matchers, executor
        self._numbered = [(matcher, number) for number, matcher in enumerate(matchers)]
        self._out = np.zeros((len(matchers), words), dtype=np.uint32)

    def step(self, tokens: NDArray[np.int64]) -> None:
        for matcher, token in zip(self._matchers, tokens.tolist()):
            matcher.consume_token(token)
        out = self._out
        self._executor.unsafe_compute_mask_ptr(self._numbered, out.ctypes.data, out.strides[0], len(out))


class Xgrammar:
    """MLC's C++ engine, reading an EBNF spelling chosen for its speed."""

    name = "xgrammar"

    def __init__(self, grammar: Any, vocabulary: Vocabulary, tokenizer: Any) -> None:
        from xgrammar import GrammarCompiler

        compiler = GrammarCompiler(tokenizer, max_threads=1, cache_enabled=False)
        try:
            self._compiled = compiler.compile_grammar(grammar)
        except RuntimeError as error:
            raise ValueError(str(error)) from error
        self._vocab_size = len(vocabulary)

    @staticmethod
    def of_language(language: str) -> Any:
        """Its grammar of a language. Raises ValueError where there is none."""
        from xgrammar import Grammar

        if language in INDENTED:
            raise ValueError("has no significant indentation")
        return Grammar.from_ebnf(ebnf_text(language))

    @staticmethod
    def of_schema(schema: str) -> Any:
        """Its grammar of a JSON schema. Raises ValueError where it refuses it."""
        from xgrammar import Grammar

        try:
            return Grammar.from_json_schema(schema, any_whitespace=True, strict_mode=False)
        except RuntimeError as error:
            raise ValueError(str(error)) from error

    @staticmethod
    def tokenizer(vocabulary: Vocabulary) -> Any:
        """What it keeps a vocabulary."""
        from xgrammar import TokenizerInfo, VocabType

        ends = list(vocabulary.end_of_turn)
        return TokenizerInfo(
            list(vocabulary.token_bytes), VocabType.RAW, vocab_size=len(vocabulary), stop_token_ids=ends
        )

    def matcher(self) -> Matcher:
        from xgrammar import GrammarMatcher

        return _XgrammarMatcher(GrammarMatcher(self._compiled), self._vocab_size)

    def batch(self, prefixes: Sequence[Sequence[int]]) -> Batch:
        from xgrammar import GrammarMatcher

        matchers = []
        for prefix in prefixes:
            matcher = GrammarMatcher(self._compiled)
            assert all(matcher.accept_token(token) for token in prefix)
            matchers.append(matcher)
        return _XgrammarBatch(matchers, self._vocab_size)


class _XgrammarMatcher:
    def __init__(self, matcher: Any, vocab_size: int) -> None:
        from xgrammar import allocate_token_bitmask

        self._rows = allocate_token_bitmask(1, vocab_size)
        self._fill, self._accept = matcher.fill_next_token_bitmask, matcher.accept_token

    def fill(self) -> None:
        self._fill(self._rows)

    def accept(self, token: int) -> None:
        if not self._accept(token):
            raise ValueError(f"refused token {token}")

    def mask(self) -> Masks:
        return np.array(self._rows.numpy()[0].view(np.uint32))


class _XgrammarBatch:
    def __init__(self, matchers: list[Any], vocab_size: int) -> None:
        from xgrammar import BatchGrammarMatcher, allocate_token_bitmask

        self._matchers, self._batch = matchers, BatchGrammarMatcher(max_threads=1)
        self._out = allocate_token_bitmask(len(matchers), vocab_size)

    def step(self, tokens: NDArray[np.int64]) -> None:
        self._batch.batch_accept_token(self._matchers, tokens.tolist())
        self._batch.batch_fill_next_token_bitmask(self._matchers, self._out)


class Engines:
    """Opens engines; what they keep a vocabulary is made once."""

    def __init__(self, vocabulary: Vocabulary, tokenizer_file: Path, peers: Sequence[str] = PEERS) -> None:
        self.vocabulary = vocabulary
        self.missing = [name for name in peers if find_spec(name) is None]
        self.peers = [name for name in peers if name not in self.missing]
        self._folder = tempfile.TemporaryDirectory(prefix="masks-", ignore_cleanup_errors=True)
        self.cache = Path(self._folder.name)
        self._tokenizers: dict[str, Any] = {}
        self._file = tokenizer_file

    def smcdsl(self, language: str, lexing: str = "") -> Smcdsl:
        """This project's engine; `lexing` overrides what the grammar file declares."""
        vocabulary_trie(self.vocabulary, self.cache)
        return Smcdsl(grammar_of(language, lexing), self.vocabulary, self.cache)

    def smcdsl_of_schema(self, grammar: Grammar) -> Smcdsl:
        """This project's engine of a JSON schema."""
        return Smcdsl(grammar, self.vocabulary, self.cache / "schemas")

    def peer(self, name: str, language: str, *, forcing: bool = True) -> Llguidance | Xgrammar:
        """A peer's engine. Raises ValueError where the peer has no means for the language, or refuses it."""
        if name == "llguidance":
            return Llguidance(Llguidance.of_language(language, forcing), self.vocabulary, self.tokenizer(name))
        return Xgrammar(Xgrammar.of_language(language), self.vocabulary, self.tokenizer(name))

    def peer_of_schema(self, name: str, schema: str, *, forcing: bool = True) -> Llguidance | Xgrammar:
        """A peer's engine of a JSON schema. Raises ValueError where the peer refuses it."""
        if name == "llguidance":
            return Llguidance(Llguidance.of_schema(schema, forcing), self.vocabulary, self.tokenizer(name))
        return Xgrammar(Xgrammar.of_schema(schema), self.vocabulary, self.tokenizer(name))

    def tokenizer(self, name: str) -> Any:
        """What a peer keeps a vocabulary, made once."""
        if name not in self._tokenizers:
            self._tokenizers[name] = (
                Llguidance.tokenizer(self._file, self.vocabulary)
                if name == "llguidance"
                else Xgrammar.tokenizer(self.vocabulary)
            )
            gc.collect()
        return self._tokenizers[name]

    def versions(self) -> dict[str, str]:
        """What is installed."""
        return {name: version(name) for name in ("smcdsl", *self.peers)}
