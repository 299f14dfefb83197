"""Distillation: a program is run on its domain, what the model wrote is learnt by a small draft, and both are measured.

The draft may be any; what a run with it means stays the same. So all that is promised is speed, and what is
measured is acceptance on inputs that the draft has not seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smcdsl.engine import CompiledProgram
from smcdsl.engine.automata import HoleAutomata
from smcdsl.engine.settings import Settings
from smcdsl.errors import Diagnostic, UsageError
from smcdsl.protocols import LanguageModel

if TYPE_CHECKING:
    from smcdsl.models.distillation import Draft
    from smcdsl.models.draft_trees import Tree

HELD_OUT = 0.2
"""The part of the inputs that is kept for measuring."""
SAMPLING = 0.5
"""The part of the time that goes into running the program, at most."""
_MOST_ROUNDS = 8
"""How often the program is run on an input at most, each time with another seed."""

Report = Callable[[str], None]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Distilled:
    """A draft's folder and how often its tokens are kept: exact means over nodes where the grammar leaves a choice.

    `text` is the acceptance of forced and suffix drafts alone, `untrained` and `distilled` that of the draft alone;
    `certain` is the part of all tokens that the grammar forces, which every draft gets right.
    """

    folder: Path
    inputs: int
    held_out: int
    nodes: int
    held_out_nodes: int
    steps: int
    certain: float
    text: float
    untrained: float
    distilled: float

    def as_json(self) -> dict[str, Any]:
        """For `--format json`."""
        return {**vars(self), "folder": str(self.folder)}


@dataclass(frozen=True)
class _Work:
    """What every part needs."""

    program: CompiledProgram
    model: LanguageModel
    settings: Settings
    report: Report


def distill(
    program: CompiledProgram,
    model: LanguageModel,
    inputs: Sequence[Values],
    folder: Path,
    *,
    layers: int = 4,
    minutes: float = 10.0,
    steps: int | None = None,
    flags: Mapping[str, Any] | None = None,
    report: Report = lambda line: None,
) -> Distilled:
    """Train a draft for `model` on `program` and write it to `folder`.

    Args:
        inputs: values of the program's inputs, one mapping a run; the last fifth is held out. Of a single one, runs
            with other seeds are.
        minutes: for all of it, but for the last run of the program under way.
        steps: of training, in place of `minutes`; the program is then run once on every input.
        report: is told what is going on, a line at a time.

    Raises:
        UsageError: E0822, there is nothing to learn from, or the model has no embeddings to begin with.
    """
    from smcdsl.models import distillation

    if distillation.embeddings_of(model) is None:
        raise UsageError(_no_network(model))
    work = _Work(program, model, program.settings(**(flags or {})), report)
    began = time.monotonic()
    learnt, held_out = split(inputs)
    sampling = 60 * minutes * SAMPLING if steps is None else math.inf
    share = len(held_out) / (len(learnt) + len(held_out))
    tests = sampled(work, held_out, began + sampling * share, rounds=1, seed=1_000_003)
    trees = sampled(work, learnt, began + sampling, rounds=_MOST_ROUNDS if steps is None else 1, seed=0)
    if not trees or not tests:
        raise UsageError(_nothing_learnt())
    shape = replace(distillation.Shape(), layers=layers)
    draft = distillation.new_draft(model, trees, shape)
    untrained = _acceptance(draft, tests, folder, model)
    report(f"learning from {_nodes(trees):,} tokens of {len(trees)} runs")
    distillation.train(
        draft,
        trees,
        max(began + 60 * minutes - time.monotonic(), 60 * minutes * (1 - SAMPLING)),
        steps=steps,
        report=lambda made, over, loss: report(f"step {made}, {100 * over:.0f} % of the time, loss {loss:.3f}"),
    )
    return _measured(draft, trees, tests, folder, model, untrained, len(learnt), len(held_out))


def split(inputs: Sequence[Values]) -> tuple[list[Values], list[Values]]:
    """Inputs to learn from and inputs held out; the same one for both where there is no other."""
    if len(inputs) < 2:
        return list(inputs), list(inputs)
    count = max(1, round(HELD_OUT * len(inputs)))
    return list(inputs[:-count]), list(inputs[-count:])


def sampled(work: _Work, inputs: Sequence[Values], until: float, rounds: int, seed: int) -> list[Tree]:
    """What the model writes on these inputs, round after round with other seeds until the time is over.

    At least one run is made.
    """
    from smcdsl.inference.methods import RunRequest, run
    from smcdsl.inference.recording import Recorder
    from smcdsl.inference.settings import Settings as RunSettings
    from smcdsl.library.functions import resolve_function
    from smcdsl.workers import WorkerPools

    recorder, trees = Recorder(), []
    automata = HoleAutomata(work.program.program, work.model.vocabulary, work.settings["state_limit"])
    provide, model = recorder.automata(automata), recorder.model(work.model)
    settings = RunSettings.of(work.settings.profile)
    if settings.method in ("rejection", "beam") or settings.proposal != "mask":
        # Drafts are verified against masked laws that tokens are drawn from.
        settings = replace(settings, method="is", proposal="mask")
    plan = work.program.plan_for(work.settings)
    with WorkerPools() as pools:
        for number in range(rounds * len(inputs)):
            if number and time.monotonic() > until:
                break
            values = inputs[number % len(inputs)]
            request = RunRequest(values, work.settings["seed"] + seed + number)
            run(plan, model, [request], automata=provide, functions=resolve_function, settings=settings, pools=pools)
            tree = recorder.tree()
            if tree is not None and any(law is not None for law in tree.laws):
                trees.append(tree)
                work.report(f"run {number + 1}: {len(tree) - 1} tokens")
    return trees


def _acceptance(draft: Draft, tests: Sequence[Tree], folder: Path, model: LanguageModel) -> float:
    """The draft's, as a run would load it."""
    from smcdsl.inference.drafts.overlap import model_overlaps, pooled
    from smcdsl.models.distillation import save
    from smcdsl.models.draft_models import DistilledDraft

    save(draft, folder, model, {})
    loaded = DistilledDraft(str(folder), folder)
    return pooled(model_overlaps(loaded.start, tree) for tree in tests)


def _measured(
    draft: Draft,
    trees: Sequence[Tree],
    tests: Sequence[Tree],
    folder: Path,
    model: LanguageModel,
    untrained: float,
    inputs: int,
    held_out: int,
) -> Distilled:
    from smcdsl.inference.drafts.overlap import certainty, pooled, text_overlaps
    from smcdsl.models.distillation import save

    found = Distilled(
        folder=folder,
        inputs=inputs,
        held_out=held_out,
        nodes=_nodes(trees),
        held_out_nodes=_nodes(tests),
        steps=draft.steps,
        certain=certainty(tests),
        text=pooled(text_overlaps(tree) for tree in tests),
        untrained=untrained,
        distilled=_acceptance(draft, tests, folder, model),
    )
    about = {"target": model.name, **{name: value for name, value in found.as_json().items() if name != "folder"}}
    save(draft, folder, model, about)
    return found


def _nodes(trees: Sequence[Tree]) -> int:
    return sum(sum(law is not None for law in tree.laws) for tree in trees)


def _no_network(model: LanguageModel) -> Diagnostic:
    return Diagnostic(
        "E0822",
        f"`{model.name}` is not a model that a draft can be distilled from",
        facts=("only models of transformers are: a folder, an alias or a hub name",),
        help="the embedded model is as small as a draft; use `draft: suffix` with it",
    )


def _nothing_learnt() -> Diagnostic:
    return Diagnostic(
        "E0822",
        "the model was never asked for a token that the grammar leaves a choice about",
        help="give inputs (`--batch FILE`) on which the program's holes are reached",
    )
