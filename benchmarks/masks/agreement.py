"""Do the engines' masks agree? Bit by bit at every step of a corpus, and if not, why.

The reasons a difference can have, tried in this order:

- `end`: only whether the text may end here.
- `forcing`: the peer allows only the canonical token where one continuation of bytes is left; without forcing the
  masks are equal. A choice of the peer's, wrong for weighted sampling.
- `blanks at the end`: what may be ignored after the last lexeme, the peer does not take it there.
- `keyword`: the peer cuts only lexemes that its parser wants (`SELECTa` is SELECT and a); the same grammar with the
  contextual lexer of this project allows the token too.
- `keyword as a name`: the peer reads a reserved word as a name, where a name may stand.
- `words`: the peer has no longest match at all: it parts a word (`jo in x` in `join x`) or a number.
- `comments`: the EBNF spelling has none.
- `unexplained`: none of these.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.masks.corpora import Text, grammar_text
from benchmarks.masks.engines import Engines, Matcher
from smcdsl.vocabulary import Vocabulary

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
    """Tokens by (who allows them, reason)."""
    samples: dict[tuple[str, str], list[tuple[str, str]]] = field(default_factory=dict)
    """Up to three (end of the text so far, token) a reason."""
    refused: str = ""

    @property
    def unexplained(self) -> int:
        return sum(count for (_, reason), count in self.reasons.items() if reason == "unexplained")


def compare(
    engines: Engines, language: str, texts: Sequence[Text], peers: Sequence[str], seconds: float
) -> list[Comparison]:
    """All steps of the texts; llguidance with forcing, as it comes, and without. Slow peers stop after `seconds`."""
    import time

    ours = engines.smcdsl(language)
    variants: list[tuple[str, str, bool]] = []
    for peer in peers:
        variants.append((peer, peer, True))
        if peer == "llguidance":
            variants.append(("llguidance, no forcing", peer, False))
    result = []
    explain = _Explainer(engines, language)
    for title, peer, forcing in variants:
        comparison = Comparison(language, title)
        result.append(comparison)
        try:
            engine = engines.peer(peer, language, forcing=forcing)
            unforced = engines.peer(peer, language, forcing=False) if peer == "llguidance" and forcing else None
        except ValueError as error:
            comparison.refused = str(error)
            continue
        began = time.thread_time()
        for text in texts:
            if time.thread_time() - began > seconds:
                break
            matchers = [ours.matcher(), engine.matcher(), *([unforced.matcher()] if unforced else [])]
            try:
                _follow(comparison, text, matchers, explain)
            except ValueError as error:
                comparison.refused = f"{error} in {text.text[:60]!r}"
    return result


def _follow(comparison: Comparison, text: Text, matchers: list[Matcher], explain: _Explainer) -> None:
    contextual = explain.contextual()
    for position in range(len(text.tokens) + 1):
        for matcher in matchers:
            matcher.fill()
        comparison.steps += 1
        mine, theirs = matchers[0].mask(), matchers[1].mask()
        if not np.array_equal(mine, theirs):
            comparison.differing += 1
            contextual.fill()
            prefix = b"".join(explain.vocabulary.token_bytes[token] for token in text.tokens[:position])
            forced = len(matchers) > 2 and np.array_equal(mine, matchers[2].mask())
            explain(comparison, prefix, mine, theirs, contextual.mask(), forced)
        if position < len(text.tokens):
            for matcher in [*matchers, contextual]:
                matcher.accept(text.tokens[position])


def tokens_of(mask: NDArray[np.uint32]) -> NDArray[np.int64]:
    """The tokens whose bits are set."""
    return np.flatnonzero(np.unpackbits(mask.view(np.uint8), bitorder="little"))


class _Explainer:
    """Finds reasons for one language."""

    def __init__(self, engines: Engines, language: str) -> None:
        self.vocabulary: Vocabulary = engines.vocabulary
        self._contextual = engines.smcdsl(language, "contextual")
        self._ends = set(self.vocabulary.end_of_turn)
        ignored = re.findall(r"^(?:BLANKS|COMMENT): /(.*)/$", grammar_text(language), re.MULTILINE)
        self._ignored = re.compile(f"(?:{'|'.join(ignored)})*".encode() if ignored else b"")
        words = re.findall(r'"([A-Za-z]+)"(i?)', grammar_text(language))
        self._keywords = {word.lower() if folded else word for word, folded in words}
        self._folded = any(folded for _, folded in words)

    def contextual(self) -> Matcher:
        return self._contextual.matcher()

    def __call__(
        self,
        comparison: Comparison,
        prefix: bytes,
        mine: NDArray[np.uint32],
        theirs: NDArray[np.uint32],
        contextual: NDArray[np.uint32],
        forced: bool,
    ) -> None:
        may_end = bool(self._ends & set(tokens_of(mine).tolist()))
        contextually = set(tokens_of(contextual & theirs & ~mine).tolist())
        for who, tokens in (("ours", tokens_of(mine & ~theirs)), ("theirs", tokens_of(theirs & ~mine))):
            if who == "ours":
                comparison.only_ours += len(tokens)
            else:
                comparison.only_theirs += len(tokens)
            for token in tokens.tolist():
                text = self.vocabulary.token_bytes[token]
                if token in self._ends:
                    reason = "end"
                elif forced:
                    reason = "forcing"
                elif who == "ours":
                    reason = self._missing(prefix, text, may_end)
                else:
                    reason = "keyword" if token in contextually else self._additional(prefix, text)
                self._note(comparison, (who, reason), prefix, text)

    def _missing(self, prefix: bytes, token: bytes, may_end: bool) -> str:
        """Why a peer does not allow a token."""
        if may_end and self._ignored.fullmatch(token):
            return "blanks at the end"
        if may_end is False and token.strip() == b"" and token:
            return "blanks"
        if b"#" in token or b";" in token or re.search(rb"[;#][^\n]*$", prefix):
            return "comments"
        return "unexplained"

    def _additional(self, prefix: bytes, token: bytes) -> str:
        """Why a peer allows a token that is wrong by longest match."""
        if not token:
            return "special token"
        text = (prefix + token).decode("utf-8", "replace")
        recent = text[-len(token) - 40 :]
        words = re.findall(r"\w+", recent)
        if any((word.lower() if self._folded else word) in self._keywords for word in words):
            return "keyword as a name"
        if any(self._begins_or_ends_with_keyword(word) for word in words) or re.search(r"\d[A-Za-z_]|\w\d", recent):
            return "words"
        return "unexplained"

    def _begins_or_ends_with_keyword(self, word: str) -> bool:
        word = word.lower() if self._folded else word
        return any(word[:cut] in self._keywords or word[cut:] in self._keywords for cut in range(1, len(word)))

    def _note(self, comparison: Comparison, key: tuple[str, str], prefix: bytes, token: bytes) -> None:
        comparison.reasons[key] += 1
        samples = comparison.samples.setdefault(key, [])
        if len(samples) < _SAMPLES and (comparison.reasons[key] - 1) % 97 == 0:
            samples.append((prefix.decode("utf-8", "replace")[-30:], token.decode("utf-8", "replace")))
