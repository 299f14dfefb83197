"""What generalised parsing costs: the same languages on LALR tables and on sets of stacks.

    python -m benchmarks.masks.general [LANGUAGE ...]

Three grammars a language, all with the same texts:

- `lalr`: as it is, no conflicts.
- `general`: the start has two derivations that differ in name alone. One conflict at the very end is enough for the
  whole grammar to be read by the generalised parser, without the forms that only conflicts need: the price of the
  machinery on a grammar that both accept.
- `ambiguous`: every rule has a twin, so that each reduction has two ways; texts have exponentially many derivations.

Masks of the three are compared at every step of the corpus. Indented Python is left out: indentation needs LALR rules.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.masks import llama3, measure
from benchmarks.masks.corpora import INDENTED, LANGUAGES, Text, corpus
from benchmarks.masks.engines import Smcdsl, grammar_of
from benchmarks.masks.report import number, table
from smcdsl.program.grammar import Alternatives, Grammar, Reference
from smcdsl.vocabulary import Vocabulary

_BATCH = 64


def general(grammar: Grammar) -> Grammar:
    """The same language with one conflict, at the end of every text."""
    start = Reference((grammar.start,))
    twins = {f"{grammar.start}@{which}": start for which in ("one", "two")}
    top = Alternatives(tuple(Reference((name,)) for name in twins))
    return replace(grammar, rules={**grammar.rules, **twins, "@either": top}, start="@either")


def ambiguous(grammar: Grammar) -> Grammar:
    """The same language, with two ways to read each occurrence of a rule."""
    rules = {}
    for name, expression in grammar.rules.items():
        twins = {f"{name}@{which}": expression for which in ("one", "two")}
        rules |= {**twins, name: Alternatives(tuple(Reference((twin,)) for twin in twins))}
    return replace(grammar, rules=rules)


FORMS = {"lalr": lambda grammar: grammar, "general": general, "ambiguous": ambiguous}


def differing(engines: Sequence[Smcdsl], texts: Sequence[Text]) -> int:
    """Steps at which some engine's mask is not the first one's."""
    found = 0
    for text in texts:
        matchers = [engine.matcher() for engine in engines]
        for token in (*text.tokens, None):
            for matcher in matchers:
                matcher.fill()
            found += any(not np.array_equal(matchers[0].mask(), matcher.mask()) for matcher in matchers[1:])
            if token is not None:
                for matcher in matchers:
                    matcher.accept(token)
    return found


def compared(language: str, vocabulary: Vocabulary, texts: Sequence[Text], rounds: int) -> str:
    """A table of the three, with ratios to the first."""
    rows, first, engines = [], np.empty(0), []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name, form in FORMS.items():
            engine = Smcdsl(form(grammar_of(language)), vocabulary, Path(folder))
            engines.append(engine)
            assert engine.automaton.tables.deterministic == (name == "lalr")
            masks = measure.singles(engine, {}, texts, rounds, 0.0).held_out.mask_costs()
            apart = measure.batches({engine.name: engine}, texts, _BATCH, 20.0).spread
            costs = np.array([masks.mean(), np.percentile(masks, 99), *apart.values()])
            first = costs if name == "lalr" else first
            rows.append([name, *map(number, costs), *map(number, costs / first)])
        same = differing(engines, texts)
        for engine in engines:
            engine.wait()
    batch = [f"N={_BATCH} rows", f"N={_BATCH} copied"]
    headings = [f"{language}, µs", "mask mean", "p99", *batch, "times: mean", "p99", *batch]
    return table(headings, rows) + f"\nsteps whose masks differ: {same}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and print."""
    able = [language for language in LANGUAGES if language not in INDENTED]
    parser = argparse.ArgumentParser("python -m benchmarks.masks.general", description=__doc__.splitlines()[0])
    parser.add_argument("languages", nargs="*", help=f"of {', '.join(able)}; default all")
    parser.add_argument("--rounds", type=int, default=2, help="a step's cost is the least of so many")
    options = parser.parse_args(arguments)
    if not set(options.languages) <= set(able):
        parser.error(f"choose of {', '.join(able)}")
    if not llama3.is_there():
        print(f"needs {llama3.TOKENIZER_FILE} (set SMCDSL_DATA)", file=sys.stderr)
        return 1
    vocabulary, tokenizer = llama3.vocabulary(), llama3.tokenizer()
    for language in options.languages or able:
        print("\n" + compared(language, vocabulary, corpus(language, tokenizer), options.rounds), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
