"""The methods of the ablation: which program each runs, and how.

| method | program | draws from | weight | resamples |
|---|---|---|---|---|
| `lm` | free | the model | one | |
| `lm-rerank` | full | the model | grammar and potentials, yes or no | |
| `lcd` | grammar | the model, masked | one | |
| `grammar-is` | grammar | the model, masked | probability of the masks | |
| `grammar-smc` | grammar | the model, masked | probability of the masks | at the full program's boundaries |
| `rerank` | full | the model, masked | potentials | |
| `is` | full | the model, masked | probability of the masks, potentials | |
| `smc` | full | the model, masked | probability of the masks, potentials | at boundaries |

The names in arXiv 2504.13139, table 2: language model; locally constrained decoding; grammar-only IS; grammar-only SMC;
sample-rerank (`rerank`); full IS; full SMC. `lm-rerank` is best-of-N of the bare model, which is not in that table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Method:
    """A way to answer. Of methods without weights, every particle counts one Nth, unfinished ones as wrong."""

    name: str
    title: str
    program: str
    flags: Mapping[str, Any] = field(default_factory=dict)
    weighted: bool = True


METHODS = {
    method.name: method
    for method in (
        Method("lm", "language model", "free", {"infer": "lcd"}, weighted=False),
        Method("lm-rerank", "model, reranked", "full", {"infer": "is", "proposal": "lm"}),
        Method("lcd", "locally constrained", "grammar", {"infer": "lcd"}, weighted=False),
        Method("grammar-is", "grammar-only IS", "grammar", {"infer": "is"}),
        Method("grammar-smc", "grammar-only SMC", "grammar", {"infer": "smc"}),
        Method("rerank", "sample-rerank", "full", {"infer": "rerank"}),
        Method("is", "full IS", "full", {"infer": "is"}),
        Method("smc", "full SMC", "full", {"infer": "smc"}),
    )
}


@dataclass(frozen=True)
class Ingredient:
    """What is added to the method `without` to get the method `added`."""

    name: str
    without: str
    added: str


CHAIN = (
    Ingredient("grammar, masks only", "lm", "lcd"),
    Ingredient("weight correction", "lcd", "grammar-is"),
    Ingredient("potentials", "grammar-is", "is"),
    Ingredient("resampling", "is", "smc"),
)
"""From the bare model to full SMC, one ingredient a step; the steps add up to the whole gain."""

CROSS = (
    Ingredient("potentials, without correction", "lcd", "rerank"),
    Ingredient("weight correction, with potentials", "rerank", "is"),
    Ingredient("resampling, without potentials", "grammar-is", "grammar-smc"),
    Ingredient("potentials, with resampling", "grammar-smc", "smc"),
    Ingredient("all of it", "lm", "smc"),
)
"""The same ingredients added at other places."""


def chosen(names: str) -> list[Method]:
    """The methods of a comma-separated list, `all` for every one.

    Raises:
        ValueError: there is no such method.
    """
    wanted = list(METHODS) if names == "all" else [name for name in names.split(",") if name]
    for name in wanted:
        if name not in METHODS:
            raise ValueError(f"no method `{name}`; methods: {', '.join(METHODS)}")
    return [METHODS[name] for name in dict.fromkeys(wanted)]
