"""Do the engines' masks agree? Bit by bit at every step of a corpus, and if not, why.

All masks are compared in full. Of the tokens that differ at a step, up to 200 of each side are looked at for a reason:

- `forcing`: the peer allows only the canonical token where one continuation of bytes is left; with forcing switched
  off the masks are equal. A choice of the peer's, wrong for weighted sampling.
- `blanks at the start`, `blanks at the end`: what is ignored, the peer does not take before the first lexeme, or after
  the last one.
- `lexer asks the parser`: the peer cuts only lexemes that its parser wants (`SELECTa` is SELECT and a); this project's
  contextual lexer, on the same grammar, allows the token too.
- `keyword as a name`: the peer takes a reserved word for a name where one may stand.
- `words`: the peer has no longest match at all: it cuts a word (`jo in x` in `join x`) or a number in two.
- `shorter lexeme`: the peer's lexer does not fall back where a longer lexeme begins but does not end (`0` in `0or x`).
- `letters beyond ASCII`: Python folds `ı` and the long s into ASCII letters under `i`; the peer does not.
- `unexplained`: none of these.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.masks.corpora import Text, grammar_text
from benchmarks.masks.engines import Engines, Masks, Matcher, Smcdsl

_EXAMINED = 200
_SAMPLES = 3


@dataclass
class Comparison:
    """This project against one peer on one corpus."""

    language: str
    peer: str
    steps: int = 0
    differing: int = 0
    only_ours: int = 0
    only_theirs: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Examined tokens by (who allows them, reason)."""
    samples: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    """Up to three (end of the text so far, token) a reason."""
    refused: str = ""

    @property
    def unexplained(self) -> int:
        """Examined tokens without a reason."""
        return sum(count for (_, reason), count in self.reasons.items() if reason == "unexplained")


def compare(
    engines: Engines, language: str, texts: Sequence[Text], peers: Sequence[str], seconds: float
) -> list[Comparison]:
    """All steps of the texts; llguidance as it comes, and without forcing. A peer stops after `seconds`."""
    explain = _Explainer(engines, language)
    variants = [(peer, peer, True) for peer in peers]
    if "llguidance" in peers:
        variants.insert(1 + list(peers).index("llguidance"), ("llguidance, no forcing", "llguidance", False))
    return [_compare(engines, title, peer, forcing, texts, seconds, explain) for title, peer, forcing in variants]


def _compare(
    engines: Engines, title: str, peer: str, forcing: bool, texts: Sequence[Text], seconds: float, explain: _Explainer
) -> Comparison:
    comparison = Comparison(explain.language, title)
    try:
        others = [engines.peer(peer, explain.language, forcing=forcing)]
        if peer == "llguidance" and forcing:
            others.append(engines.peer(peer, explain.language, forcing=False))
    except ValueError as error:
        comparison.refused = str(error)
        return comparison
    began = time.thread_time()
    for text in texts:
        if time.thread_time() - began > seconds:
            break
        try:
            _follow(comparison, text, [other.matcher() for other in others], explain)
        except ValueError as error:
            comparison.refused = f"{str(error).splitlines()[0][:120]} in {text.text[:60]!r}"
    return comparison


def _follow(comparison: Comparison, text: Text, others: list[Matcher], explain: _Explainer) -> None:
    ours, contextual = explain.engine.matcher(), explain.contextual.matcher()
    matchers = [ours, contextual, *others]
    for position in range(len(text.tokens) + 1):
        for matcher in matchers:
            matcher.fill()
        comparison.steps += 1
        mine, theirs = ours.mask(), others[0].mask()
        if not np.array_equal(mine, theirs):
            comparison.differing += 1
            forced = len(others) > 1 and np.array_equal(mine, others[1].mask())
            difference = _Difference(text.tokens[:position], mine, theirs, contextual.mask(), forced)
            explain(comparison, difference)
        if position < len(text.tokens):
            for matcher in matchers:
                matcher.accept(text.tokens[position])


@dataclass(frozen=True)
class _Difference:
    """One step where masks differ; `forced`: without forcing they would not."""

    prefix: tuple[int, ...]
    mine: Masks
    theirs: Masks
    contextual: Masks
    forced: bool


def tokens_of(mask: Masks) -> NDArray[np.int64]:
    """The tokens whose bits are set."""
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))


class _Explainer:
    """Finds reasons for one language."""

    def __init__(self, engines: Engines, language: str) -> None:
        self.language = language
        self.engine: Smcdsl = engines.smcdsl(language)
        self.contextual: Smcdsl = engines.smcdsl(language, "contextual")
        self._vocabulary = engines.vocabulary
        text = grammar_text(language)
        blanks = re.search(r"^BLANKS: /(.*)/$", text, re.MULTILINE)
        self._blanks = blanks[1].encode() if blanks else b"(?!)"
        words = re.findall(r'"([A-Za-z]+)"(i?)', text)
        self._folded = any(folded for _, folded in words)
        self._keywords = {word.lower() if self._folded else word for word, _ in words}
        self._generator = np.random.default_rng(0)

    def __call__(self, comparison: Comparison, found: _Difference) -> None:
        only_ours, only_theirs = tokens_of(found.mine & ~found.theirs), tokens_of(found.theirs & ~found.mine)
        comparison.only_ours += len(only_ours)
        comparison.only_theirs += len(only_theirs)
        contextual = set(tokens_of(found.contextual).tolist())
        prefix = self._vocabulary.spell(found.prefix)
        for token in self._examined(only_ours):
            reason = "forcing" if found.forced else self._missing(found.prefix, token)
            self._note(comparison, ("smcdsl", reason), prefix, token)
        for token in self._examined(only_theirs):
            reason = "lexer asks the parser" if token in contextual else self._additional(prefix, token)
            self._note(comparison, ("peer", reason), prefix, token)

    def _examined(self, tokens: NDArray[np.int64]) -> list[int]:
        if len(tokens) > _EXAMINED:
            tokens = self._generator.choice(tokens, _EXAMINED, replace=False)
        return tokens.tolist()

    def _missing(self, prefix: tuple[int, ...], token: int) -> str:
        """Why a peer does not allow a token."""
        text = self._vocabulary.token_bytes[token]
        if re.match(self._blanks, text) and not self._vocabulary.spell(prefix).strip():
            return "blanks at the start"
        if re.search(self._blanks + rb"\Z", text) and self._may_end_after((*prefix, token)):
            return "blanks at the end"
        if self._folded and not text.isascii():
            return "letters beyond ASCII"
        if re.search(rb"[0-9.]\Z", self._vocabulary.spell(prefix)) or re.search(rb"[0-9][A-Za-z]|\.\.", text):
            return "shorter lexeme"
        return "unexplained"

    def _may_end_after(self, tokens: tuple[int, ...]) -> bool:
        matcher = self.engine.matcher()
        for token in tokens:
            matcher.accept(token)
        matcher.fill()
        return bool(set(self._vocabulary.end_of_turn) & set(tokens_of(matcher.mask()).tolist()))

    def _additional(self, prefix: bytes, token: int) -> str:
        """Why a peer allows a token that is wrong by longest match."""
        text = (prefix + self._vocabulary.token_bytes[token]).decode("utf-8", "replace")
        recent = text[-len(self._vocabulary.token_bytes[token]) - 40 :]
        words = [word.lower() if self._folded else word for word in re.findall(r"\w+", recent)]
        if any(word in self._keywords for word in words):
            return "keyword as a name"
        if any(self._has_keyword_at_an_end(word) for word in words) or re.search(r"\d\.?[A-Za-z_]|\w\d|\w-\W", recent):
            return "words"
        return "unexplained"

    def _has_keyword_at_an_end(self, word: str) -> bool:
        return any(word[:cut] in self._keywords or word[cut:] in self._keywords for cut in range(1, len(word)))

    def _note(self, comparison: Comparison, key: tuple[str, str], prefix: bytes, token: int) -> None:
        comparison.reasons[key] += 1
        samples = comparison.samples.setdefault(key, [])
        if len(samples) < _SAMPLES and (comparison.reasons[key] - 1) % 97 == 0:
            text = self._vocabulary.token_bytes[token].decode("utf-8", "replace")
            if token in self._vocabulary.end_of_turn:
                text = "<end of turn>"
            samples.append((prefix.decode("utf-8", "replace")[-30:], text))
