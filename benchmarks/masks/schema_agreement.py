"""Do the engines' masks of JSON schemas agree? As `agreement` asks of languages, along one instance of each schema.

llguidance is asked without forcing. A token that one side alone allows is explained by the text before it and its own:

- `escapes`: a peer does not take some escapes of JSON in texts whose form or length is limited, nor `\\/` anywhere;
  this project takes no needless ones in texts and names that the schema says more about.
- `control characters`: llguidance leaves out U+007F, which JSON texts may hold; xgrammar allows U+0000 to U+001F, which
  they may not, where a length is limited.
- `blanks`: a peer takes no blanks before or after the value, or beside its brackets and commas.
- `negative zero`: `-0` is not less than 0, so a `minimum` of 0 allows it.
- `dates`: peers know no calendar (31 April, 29 February of any year), and allow second 60, which this project leaves
  out; `t` and `z` may be small letters (RFC 3339).
- `host names`: this project's labels are at most 41 characters long; xgrammar's have no capitals.
- `keywords passed over`: xgrammar takes any value where a schema has `allOf`.
- `addresses`: of e-mail addresses and URIs everybody has a part; this project leaves out `@[...]` and `//[v...]`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.masks.agreement import Comparison, tokens_of
from benchmarks.masks.engines import Engine, Engines
from benchmarks.masks.schemas import NAME, Schema, Schemas

_BEFORE = 40
_SPLIT = "¦"
"""Between the end of the text so far and the token, in what reasons are matched against."""
_EXAMINED = 200
_SAMPLES = 3

_STAMP = r'"\d{2,4}[-\dTtZz:¦]*'
_REASONS = [
    ("control characters", r"¦.*[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"),
    ("blanks", r"¦.*[ \t\r\n]$"),
    ("escapes", r"\\[^ ]*$|\\.{0,5}¦"),
    ("negative zero", r"¦[\": ]*-|-¦0|-0¦"),
    ("dates", rf"{_STAMP}[-0-9TtZz:.+]*(\"[]}}, ]*)?$"),
    ("addresses", r"@[^ \"]*¦|¦.*@|https?.*¦|\w+:[^ \"]*¦|¦.*://"),
    ("blanks", r"¦.*[ \t\r\n]"),
]

_BY_KEYWORD = [("host names", '"hostname"'), ("keywords passed over", '"allOf"')]
"""For what is left: a reason, and a text that only schemas have to which it applies."""


def compare(engines: Engines, schemas: Schemas, seconds: float) -> list[Comparison]:
    """The first instance of each schema; a peer stops after `seconds`, schemas that it refuses are named."""
    return [_compare(engines, peer, schemas, seconds) for peer in engines.peers]


def _compare(engines: Engines, peer: str, schemas: Schemas, seconds: float) -> Comparison:
    comparison = Comparison(NAME, peer)
    generator = np.random.default_rng(0)
    refused: list[str] = []
    began = time.thread_time()
    for schema, texts in schemas:
        if time.thread_time() - began > seconds:
            break
        try:
            theirs = engines.peer_of_schema(peer, schema.text, forcing=False)
            _follow(engines, comparison, schema, texts[0].tokens, theirs, generator)
        except ValueError as error:
            refused.append(f"{schema.name} ({str(error).splitlines()[0][:60]})")
    if refused:
        comparison.refused = f"refuses {len(refused)} schemas or their instances: {', '.join(refused)}"
    return comparison


def _follow(
    engines: Engines,
    comparison: Comparison,
    schema: Schema,
    tokens: Sequence[int],
    theirs: Engine,
    generator: np.random.Generator,
) -> None:
    ours, other = engines.smcdsl_of_schema(schema.grammar()).matcher(), theirs.matcher()
    for position in range(len(tokens) + 1):
        ours.fill()
        other.fill()
        comparison.steps += 1
        mine, its = ours.mask()[: len(other.mask())], other.mask()
        sides = {"smcdsl": tokens_of(mine & ~its), "peer": tokens_of(its & ~mine)}
        comparison.differing += any(len(found) for found in sides.values())
        comparison.only_ours += len(sides["smcdsl"])
        comparison.only_theirs += len(sides["peer"])
        before = engines.vocabulary.spell(tokens[:position]).decode(errors="replace")[-_BEFORE:]
        for side, found in sides.items():
            examined = found if len(found) <= _EXAMINED else generator.choice(found, _EXAMINED, replace=False)
            for token in examined.tolist():
                _note(comparison, side, before, _shown(engines, token), schema)
        if position < len(tokens):
            ours.accept(tokens[position])
            other.accept(tokens[position])


def _shown(engines: Engines, token: int) -> str:
    if token in engines.vocabulary.end_of_turn:
        return "<end of turn>"
    return engines.vocabulary.token_bytes[token].decode(errors="replace")


def _note(comparison: Comparison, side: str, before: str, token: str, schema: Schema) -> None:
    key = (side, reason_of(before, token, schema.text))
    comparison.reasons[key] += 1
    samples = comparison.samples.setdefault(key, [])
    if len(samples) < _SAMPLES and (comparison.reasons[key] - 1) % 97 == 0:
        samples.append((before, token))


def reason_of(before: str, token: str, schema: str = "{}") -> str:
    """Why only one side allows a token after a text; the first reason of the lists that fits."""
    text = before + _SPLIT + token
    fitting = [name for name, fits in _REASONS if re.search(fits, text, re.DOTALL)]
    fitting += [name for name, keyword in _BY_KEYWORD if keyword in schema]
    return fitting[0] if fitting else "unexplained"
