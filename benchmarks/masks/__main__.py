"""Replay corpora through smcdsl and every installed peer.

    python -m benchmarks.masks                          all languages, everything but the cross-check
    python -m benchmarks.masks sql json --rounds 5
    python -m benchmarks.masks --cross-check            compare masks bit by bit
    python -m benchmarks.masks --only singles --peers llguidance --save figures.json
    python -m benchmarks.masks.general                  what conflicts and ambiguity cost

Needs the Llama 3 vocabulary of the test data (SMCDSL_DATA). Peers are optional: `pip install llguidance xgrammar`.
Times are CPU times; ratios are of one run. outlines-core has no row: its languages are regular, and none of these is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import numpy as np

from benchmarks.masks import agreement, llama3, measure, report, schema_agreement
from benchmarks.masks.alone import alone
from benchmarks.masks.corpora import LANGUAGES, Text, corpus
from benchmarks.masks.engines import PEERS, Engine, Engines
from benchmarks.masks.schemas import NAME as SCHEMAS
from benchmarks.masks.schemas import Schemas

SECTIONS = ("compile", "singles", "batches")
EVERYTHING = (*LANGUAGES, SCHEMAS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and print."""
    parser = argparse.ArgumentParser("python -m benchmarks.masks", description=__doc__, formatter_class=_Plain)
    parser.add_argument("languages", nargs="*", help=f"of {', '.join(EVERYTHING)}; default all")
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=SECTIONS, help="parts to run")
    parser.add_argument("--peers", default=",".join(PEERS), help="comma-separated; empty for none")
    parser.add_argument("--rounds", type=int, default=3, help="a step's cost is the least of so many")
    parser.add_argument("--budget", type=float, default=20.0, help="CPU seconds a peer, language and round")
    parser.add_argument("--particles", type=int, nargs="*", default=[16, 64])
    parser.add_argument("--cross-check", action="store_true", help="compare masks instead of timing them")
    parser.add_argument("--first-run", action="store_true", help="also compile with numba's cache empty")
    parser.add_argument("--save", type=Path, help="write the figures as JSON")
    options = parser.parse_args(arguments)
    unknown = set(options.languages) - set(EVERYTHING)
    if unknown:
        parser.error(f"no such language: {', '.join(sorted(unknown))}")
    if not llama3.is_there():
        print(f"needs {llama3.TOKENIZER_FILE} (set SMCDSL_DATA)", file=sys.stderr)
        return 1
    peers = [name for name in options.peers.split(",") if name]
    engines = Engines(llama3.vocabulary(), llama3.TOKENIZER_FILE, peers)
    print(", ".join(f"{name} {version}" for name, version in engines.versions().items()))
    for name in engines.missing:
        print(f"{name} is not installed: skipped")
    figures = _Run(options, engines).all()
    if options.save:
        options.save.write_text(json.dumps(figures, indent=1))
    return 0


class _Plain(argparse.RawDescriptionHelpFormatter):
    pass


class _Run:
    def __init__(self, options: argparse.Namespace, engines: Engines) -> None:
        self.options, self.engines = options, engines
        tokenizer = llama3.tokenizer()
        wanted = options.languages or EVERYTHING
        self.texts = {language: corpus(language, tokenizer) for language in wanted if language != SCHEMAS}
        self.schemas = Schemas(engines, tokenizer) if SCHEMAS in wanted else None

    def all(self) -> dict[str, Any]:
        """Every language, printed as it comes."""
        figures: dict[str, Any] = {}
        if not self.options.cross_check and "compile" in self.options.only:
            figures["compile"] = self._compile()
        for language, texts in self.texts.items():
            tokens = sum(len(text.tokens) for text in texts)
            print(f"\n{language}: {len(texts)} texts, {tokens} tokens", flush=True)
            figures[language] = (
                self._check(language, texts) if self.options.cross_check else self._time(language, texts)
            )
        if self.schemas is not None:
            print(f"\n{SCHEMAS}: {len(self.schemas)}, each a grammar", flush=True)
            figures[SCHEMAS] = (
                _print_agreement(schema_agreement.compare(self.engines, self.schemas, self.options.budget))
                if self.options.cross_check
                else self._time_schemas(self.schemas)
            )
        return figures

    def _check(self, language: str, texts: list[Text]) -> list[dict[str, Any]]:
        return _print_agreement(
            agreement.compare(self.engines, language, texts, self.engines.peers, self.options.budget)
        )

    def _time(self, language: str, texts: list[Text]) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if not {"singles", "batches"} & set(self.options.only):
            return figures
        ours, peers = self.engines.smcdsl(language), self._peers(language)
        if refused := [text for text in texts if ours.refuses(text.tokens)]:
            print(f"smcdsl refuses {len(refused)} of the texts, which are left out: {refused[0].text[:60]!r}")
            texts = [text for text in texts if text not in refused]
        if "singles" in self.options.only:
            singles = measure.singles(ours, peers, texts, self.options.rounds, self.options.budget)
            figures |= _print_singles(language, singles)
        if "batches" in self.options.only:
            engines: dict[str, Engine] = {"smcdsl": ours, **peers}
            found = [measure.batches(engines, texts, count, self.options.budget) for count in self.options.particles]
            figures["batches"] = _print_batches(language, found)
        return figures

    def _time_schemas(self, schemas: Schemas) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        if "compile" in self.options.only:
            costs = schemas.compile()
            print(report.schema_compile_costs(costs, len(schemas)), flush=True)
            figures["compile"] = {name: float(np.median(found)) for name, found in costs.items()}
        if "singles" in self.options.only:
            figures |= _print_singles(SCHEMAS, schemas.singles(self.options.rounds, self.options.budget))
        if "batches" in self.options.only:
            found = [schemas.batches(count, self.options.budget) for count in self.options.particles]
            figures["batches"] = _print_batches(SCHEMAS, found)
        return figures

    def _peers(self, language: str) -> dict[str, Engine]:
        peers: dict[str, Engine] = {}
        for name in self.engines.peers:
            try:
                peers[name] = self.engines.peer(name, language)
            except ValueError as error:
                print(f"{name}: {error}")
        return peers

    def _compile(self) -> dict[str, dict[str, float]]:
        rows: dict[tuple[str, str], dict[str, float]] = {}
        grammars = {language: [texts] for language, texts in self.texts.items()}
        if self.schemas is not None:
            grammars[SCHEMAS] = self.schemas.texts
        for language, texts in grammars.items():
            cache = self.engines.cache / "alone" / language
            runs = [("smcdsl, cold", "smcdsl", False), ("smcdsl, cached", "smcdsl", False)]
            runs += [("smcdsl, first run", "smcdsl", True)] * bool(self.options.first_run)
            for title, engine, first_run in [*runs, *[(name, name, False) for name in self.engines.peers]]:
                folder = self.engines.cache / "first" / language if first_run else cache
                try:
                    rows[title, language] = alone(engine, language, texts, folder, first_run)
                except CalledProcessError as error:
                    print(f"{title}, {language}: {error.stderr.strip().splitlines()[-1]}")
        print("\n" + report.compile_costs(rows), flush=True)
        return {f"{engine}, {language}": found for (engine, language), found in rows.items()}


def _print_agreement(found: list[agreement.Comparison]) -> list[dict[str, Any]]:
    print(report.agreement(found), flush=True)
    return [
        {
            "peer": c.peer,
            "steps": c.steps,
            "differ": c.differing,
            "only ours": c.only_ours,
            "only peer": c.only_theirs,
        }
        for c in found
    ]


def _print_singles(language: str, singles: measure.Singles) -> dict[str, Any]:
    print(report.single_masks(language, singles), flush=True)
    figures: dict[str, Any] = {"held out": _figures(singles.held_out), "warm": _figures(singles.warm)}
    for name, series in singles.peers.items():
        if series.masks:
            figures[name] = {**_figures(series), "ratios": report.ratios(singles.held_out, series)}
    return figures


def _print_batches(language: str, found: list[measure.Batches]) -> list[dict[str, Any]]:
    print(report.batch_costs(language, found), flush=True)
    return [asdict(result) for result in found]


def _figures(series: measure.Series) -> dict[str, float]:
    masks, accepts = series.mask_costs(), series.accept_costs()
    return {
        "steps": len(masks),
        "mask mean": float(masks.mean()),
        "mask median": float(np.median(masks)),
        "mask p99": float(np.percentile(masks, 99)),
        "accept mean": float(accepts.mean()),
    }


if __name__ == "__main__":
    sys.exit(main())
