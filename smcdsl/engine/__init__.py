"""The three stages strung together: a text becomes a program, a plan, a posterior.

    text --language--> Program --compiler--> Plan --inference--> Posterior

What only a run needs (numba, torch, the code of potentials) is imported by a run.
"""

from __future__ import annotations

import hashlib
import json
import queue
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smcdsl.collector import collector_paused
from smcdsl.engine.automata import Compiled, HoleAutomata
from smcdsl.engine.inputs import PYTHON, from_values
from smcdsl.engine.kinds import refuse_other_kinds
from smcdsl.engine.settings import (
    NAMES,
    TARGET,
    Layer,
    Settings,
    drafts_without_effect,
    place_of_draft,
    read_config,
    resolve,
)
from smcdsl.errors import CompileError, Diagnostic, PotentialError, SmcdslError, Source, UsageError
from smcdsl.program.program import Program
from smcdsl.protocols import LanguageModel

if TYPE_CHECKING:
    from smcdsl.engine.built import Built
    from smcdsl.engine.result import Result
    from smcdsl.inference.drafts.drafting import Maker
    from smcdsl.inference.events import Event
    from smcdsl.inference.results.posterior import Posterior
    from smcdsl.language.checker import Examined
    from smcdsl.plan import Plan
    from smcdsl.program.facts import GrammarFacts
    from smcdsl.report.outcome import Outcome
    from smcdsl.workers import WorkerPools

Listener = Callable[["Event"], None]


def read_source(path: str | Path) -> Source:
    """The text of a file; `-` is standard input. Line endings become newlines.

    Raises:
        UsageError: E0816, it cannot be read or is not UTF-8.
    """
    name = str(path)
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(path).read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        fact = f"byte 0x{error.object[error.start]:02x} on line {line} is not UTF-8"
        raise UsageError(_unreadable(name, f"`{name}` is not a UTF-8 text", fact)) from error
    except FileNotFoundError as error:
        near = get_close_matches(Path(name).name, _programs_in(Path(name).parent), 1)
        help = f"did you mean `{Path(name).with_name(near[0])}`?" if near else ""
        raise UsageError(_unreadable(name, f"there is no file `{name}`", help=help)) from error
    except IsADirectoryError as error:
        inside = _programs_in(Path(name))
        help = f"name a program in it: {', '.join(f'`{Path(name) / each}`' for each in inside[:3])}" if inside else ""
        raise UsageError(_unreadable(name, f"`{name}` is a folder, not a program", help=help)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(_unreadable(name, f"`{name}` cannot be read", reason)) from error
    return Source("<stdin>" if name == "-" else name, text.replace("\r\n", "\n").replace("\r", "\n"))


def _unreadable(name: str, message: str, fact: str = "", help: str = "") -> Diagnostic:
    return Diagnostic("E0816", message, context=name, facts=(fact,) if fact else (), help=help)


def _programs_in(folder: Path) -> list[str]:
    """The names of the programs in a folder."""
    try:
        return sorted(path.name for path in folder.glob("*.smc"))
    except OSError:
        return []


def check(
    source: Source, *, pedantic: bool = False, path: Path | None = None
) -> tuple[Program | None, list[Diagnostic]]:
    """Everything there is to say about a text, without running anything of it.

    Args:
        path: where the text is, if not in the file that it is named after.
    """
    examined, diagnostics = examine(source, path=path, pedantic=pedantic)
    return examined.program if examined is not None else None, diagnostics


def examine(
    source: Source, *, path: Path | None = None, facts: GrammarFacts | None = None, pedantic: bool = False
) -> tuple[Examined | None, list[Diagnostic]]:
    """As `check`, with what was found out about a text that is wrong.

    Args:
        path: where the text is, if not in the file that it is named after.
        facts: answers about grammars that are kept from check to check; those in the cache if not given.
    """
    from smcdsl.cache import cache_dir
    from smcdsl.compiler.compile import compile_program
    from smcdsl.compiler.remembered import KeptFacts
    from smcdsl.language.load import examine as examine_text

    kept = KeptFacts(cache_dir()) if facts is None else None
    with collector_paused():
        examined, diagnostics = examine_text(source, path=path, facts=facts or kept, pedantic=pedantic)
    if kept is not None:
        kept.save()
    program = examined.program if examined is not None else None
    if program is not None and not any(diagnostic.severity == "error" for diagnostic in diagnostics):
        try:
            compile_program(program)
        except CompileError as error:
            diagnostics = [*diagnostics, *error.diagnostics]
    return examined, diagnostics


def load(path: str | Path, *, config: str | Path | None = None) -> CompiledProgram:
    """The program in a file: a text, or one that `smcdsl build` compiled (`.smcx`).

    Raises:
        UsageError: the file cannot be read, or is no program; R0907, it was built for something else, or is damaged.
        CompileError: it is wrong; `.diagnostics` says all that is.
    """
    from smcdsl.engine.built import open_built

    refuse_other_kinds(path)
    built = open_built(Path(path))
    if built is None:
        return _compile(read_source(path), Path(path).parent, config)
    return _load_built(built, config)


def _load_built(built: Built, config: str | Path | None) -> CompiledProgram:
    try:
        compiled = _compile(built.source, built.path.parent, config, built.program_path)
    except CompileError:
        built.check_files(None)  # the likely reason
        raise
    built.check_files(compiled.program)
    # Else a program without a name would be called as the file is.
    compiled.program = replace(compiled.program, name=built.name)
    compiled.built = built
    return compiled


def compile(source: str, *, name: str = "<string>", config: str | Path | None = None) -> CompiledProgram:
    """The program that a text means; imports are looked for in the working folder.

    Raises:
        CompileError: it is wrong.
    """
    return _compile(Source(name, source.replace("\r\n", "\n")), Path(), config)


def model(name: str | None = None, *, draft: str | None = None, **options: Any) -> LanguageModel:
    """Load a model by name: `tiny` (the default), `toy:FILE.json`, a folder, an alias, `org/name`.

    Args:
        draft: what drafts for it in runs that do not say otherwise: `forced`, `suffix`, `self`, or a model's name.
        options: those of `smcdsl.models.load.load_model`.

    Raises:
        ModelError: a model cannot be loaded.
        UsageError: E0704, the draft's tokens are not the model's.
    """
    from smcdsl.models.load import load_model

    loaded = load_model(name, **options)
    if draft in (None, "none"):
        return loaded
    from smcdsl.inference.drafts.setting import DraftedModel, makers

    return DraftedModel(loaded, draft, makers(draft, loaded, place=f'draft="{draft}"'))


def _compile(source: Source, folder: Path, config: str | Path | None, path: Path | None = None) -> CompiledProgram:
    program, diagnostics = check(source, path=path)
    if program is None or any(diagnostic.severity == "error" for diagnostic in diagnostics):
        if all(diagnostic.severity == "warning" for diagnostic in diagnostics):
            from smcdsl.language.load import load_program

            load_program(source)  # says why there is nothing to run
        raise CompileError(diagnostics)
    return CompiledProgram(program, read_config(folder, None if config is None else Path(config)))


class CompiledProgram:
    """A program ready to run; safe to share between threads."""

    def __init__(self, program: Program, config: Layer | None = None) -> None:
        self.program = program
        self.config = config
        self.built: Built | None = None
        self._known_drafts: tuple[str, LanguageModel, Sequence[Maker]] | None = None

    @cached_property
    def plan(self) -> Plan:
        """The program as instructions."""
        from smcdsl.compiler.compile import compile_program

        return compile_program(self.program)

    def settings(self, **flags: Any) -> Settings:
        """How it would run, and where each setting comes from. Raises UsageError."""
        return resolve(self.program, flags, self.config)

    def run(
        self,
        model: LanguageModel | str | None = None,
        *,
        inputs: Mapping[str, Any] | None = None,
        on_event: Listener | None = None,
        on_compiled: Callable[[Compiled], None] | None = None,
        progress: bool | None = None,
        **settings_and_inputs: Any,
    ) -> Result:
        """Run once.

        Args:
            model: a model, a name, or None for the one that the settings name.
            inputs: values by name; they may also be given as keywords.
            on_event: is told what happens.
            on_compiled: is told of every grammar that is ready.
            progress: whether to show a live line; by default in notebooks only.
            settings_and_inputs: `particles`, `seed`, `timeout`, ... and the program's inputs.

        Raises:
            UsageError: inputs or settings do not fit.
            CompileError: a grammar is wrong under these inputs.
            ModelError: the model failed.
            PotentialError, NoSurvivors, BudgetExceeded: with `.partial`, the result so far.
        """
        from smcdsl.report.progress import is_notebook

        if progress or (progress is None and is_notebook()):
            return self._run_shown(model, inputs, on_event, on_compiled, settings_and_inputs)
        flags, values = self._split(inputs, settings_and_inputs)
        events: list[Event] = []

        def listen(event: Event) -> None:
            events.append(event)
            if on_event is not None:
                on_event(event)

        try:
            (result,) = self.run_many(
                model, [(self.values(values), None)], flags, on_event=listen, on_compiled=on_compiled, events=events
            )
        except PotentialError as error:
            error.partial = error.partial[0] if error.partial else None
            raise
        if result.failure is not None:
            result.failure.partial = result  # type: ignore[attr-defined]
            raise result.failure
        return result

    def _run_shown(
        self,
        model: LanguageModel | str | None,
        inputs: Mapping[str, Any] | None,
        on_event: Listener | None,
        on_compiled: Callable[[Compiled], None] | None,
        settings_and_inputs: dict[str, Any],
    ) -> Result:
        """`run` with a live line."""
        from smcdsl.report.progress import Progress

        with Progress() as shown:

            def tell(event: Event) -> None:
                shown.event(event)
                if on_event is not None:
                    on_event(event)

            return self.run(
                model,
                inputs=inputs,
                on_event=tell,
                on_compiled=on_compiled or shown.compiled,
                progress=False,
                **settings_and_inputs,
            )

    async def arun(self, model: LanguageModel | str | None = None, **arguments: Any) -> Result:
        """`run` in a thread of its own."""
        import asyncio

        return await asyncio.to_thread(self.run, model, **arguments)

    async def astream(self, model: LanguageModel | str | None = None, **arguments: Any) -> AsyncIterator[Event]:
        """The events of a run as they happen; what `run` raises is raised after the last one."""
        import asyncio

        events: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()

        def work() -> None:
            try:
                self.run(model, on_event=events.put, **{"progress": False, **arguments})
                events.put(None)
            except BaseException as error:
                events.put(error)

        threading.Thread(target=work, daemon=True).start()
        while (event := await asyncio.to_thread(events.get)) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    def batch(
        self,
        model: LanguageModel | str | None,
        rows: Sequence[Mapping[str, Any]],
        *,
        jobs: int = 4,
        **settings: Any,
    ) -> Iterator[Result]:
        """Run on many inputs, `jobs` in flight at a time; results in order, `.failure` set where one failed.

        Raises:
            UsageError: a row's inputs do not fit, when its turn comes.
            CompileError, ModelError, PotentialError: as `run` does on a row, when its turn comes.
        """
        from smcdsl.engine.batches import run_in_line
        from smcdsl.workers import WorkerPools

        loaded = self.load_model(model, self.settings(**settings))
        made: dict[int, Result | SmcdslError] = {}
        requests: dict[int, tuple[dict[str, Any], None]] = {}
        for number, row in enumerate(rows):
            try:
                requests[number] = self.values(row), None
            except UsageError as error:
                made[number] = error
        numbers = list(requests)
        with WorkerPools() as pools:
            results = run_in_line(self, loaded, list(requests.values()), settings, jobs=max(jobs, 1), pools=pools)
            with closing(results):
                for number in range(len(rows)):
                    while number not in made:
                        place, result = next(results)
                        made[numbers[place]] = result
                    found = made.pop(number)
                    if isinstance(found, SmcdslError):
                        raise found
                    yield found

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs as the program sees them, defaults filled in. Raises UsageError."""
        return from_values(self.program, given, PYTHON)

    def load_model(self, model: LanguageModel | str | None, settings: Settings) -> LanguageModel:
        """The model to run on. Raises ModelError."""
        if model is not None and not isinstance(model, str):
            return model
        from smcdsl.models.load import load_model

        template = settings["chat_template"]
        text = None if template is None else read_source(template).text
        return load_model(model or settings["model"], backend=settings["backend"], chat_template=text)

    def run_many(
        self,
        model: LanguageModel | str | None,
        requests: Sequence[tuple[Mapping[str, Any], int | None]],
        flags: Mapping[str, Any],
        *,
        on_event: Listener | None = None,
        on_compiled: Callable[[Compiled], None] | None = None,
        events: Sequence[Event] = (),
        pools: WorkerPools | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> list[Result]:
        """Several runs in one batch, all side by side: (values, seed) pairs; a seed of None is the settings'.

        Failures that are a run's own are in its `.failure`. Worker processes in `pools` stay for the next batch.
        `on_notice` is told in words what somebody who waits should know before the runs are over.
        """
        results = self.run_each(
            model,
            requests,
            flags,
            on_event=on_event,
            on_compiled=on_compiled,
            events=events,
            pools=pools,
            on_notice=on_notice,
        )
        return [result for _, result in results]

    def run_each(
        self,
        model: LanguageModel | str | None,
        requests: Sequence[tuple[Mapping[str, Any], int | None]],
        flags: Mapping[str, Any],
        *,
        width: int | None = None,
        on_event: Listener | None = None,
        on_compiled: Callable[[Compiled], None] | None = None,
        events: Sequence[Event] = (),
        pools: WorkerPools | None = None,
        on_notice: Callable[[str], None] | None = None,
    ) -> Generator[tuple[int, Result], None, None]:
        """`run_many` one by one: the number of a request and its result, in order once all are there.

        With a `width` so many are in flight at a time, and results come as soon as they are known; those that a run
        too large does not begin have none.
        """
        from smcdsl.inference.lookahead.learned import learned_lookahead
        from smcdsl.inference.methods import Interrupted, RunRequest, run_each
        from smcdsl.inference.settings import Settings as RunSettings
        from smcdsl.library.functions import resolve_function

        began = time.perf_counter()
        settings = self.settings(**flags)
        loaded = self.load_model(model, settings)
        plan = self.plan_for(settings)
        groups = [RunRequest(values, settings["seed"] if seed is None else seed) for values, seed in requests]
        if self.built is not None:
            self.built.check_vocabulary(loaded.vocabulary, _name_of(loaded))
        automata = HoleAutomata(plan.program, loaded.vocabulary, settings["state_limit"], on_compiled, self.built)
        if groups:
            automata.prepare(groups[0].inputs)
        lookahead = learned_lookahead(plan.program, loaded.description, settings.profile)
        drafts = self._drafts(loaded, settings)
        learns = lookahead is not None and lookahead.recorder is not None
        unused = tuple(drafts_without_effect(settings, bool(drafts), learns))
        inputs = [group.inputs for group in groups]
        outcome_of = _Outcomes(self.program, loaded, settings, inputs, began if width is None else None)
        try:
            for index, posterior in run_each(
                plan,
                loaded,
                groups,
                automata=automata,
                functions=resolve_function,
                settings=RunSettings.of(settings.profile, check_potentials=settings["check_potentials"]),
                events=on_event,
                pools=pools,
                lookahead=lookahead,
                recorder=None if lookahead is None else lookahead.recorder,
                # A run that learns takes its tokens one by one.
                drafts=() if learns else drafts,
                notices=on_notice,
                width=width,
            ):
                made = replace(posterior, warnings=(*posterior.warnings, *unused))
                if lookahead is not None:
                    made = replace(made, lookahead=lookahead.used)
                    if learns and not index:
                        lookahead.save()
                unused = ()
                yield index, outcome_of.result(index, made, events)
        except PotentialError as error:
            if error.partial is not None:
                error.partial = [outcome_of.result(i, p, events) for i, p in enumerate(error.partial)]
            raise
        except Interrupted as stop:
            raise RunInterrupted([outcome_of.result(i, p, events) for i, p in enumerate(stop.partial)]) from None

    def _drafts(self, model: LanguageModel, settings: Settings) -> Sequence[Maker]:
        """What makes the sources of drafts: the settings', or the model's own where they do not say."""
        from smcdsl.inference.drafts.setting import DraftedModel, makers

        if settings.source("draft") == "default" and isinstance(model, DraftedModel):
            return model.makers
        if settings["draft"] == "none":
            return ()
        target = model.model if isinstance(model, DraftedModel) else model
        known = self._known_drafts
        if known is None or known[0] != settings["draft"] or known[1] is not target:
            place = place_of_draft(self.program, settings)
            known = self._known_drafts = settings["draft"], target, makers(settings["draft"], target, place=place)
        return known[2]

    def plan_for(self, settings: Settings) -> Plan:
        """The plan; under another temperature or power another target."""
        model = replace(self.program.model, **{name: settings[name] for name in TARGET})
        if model == self.program.model:
            return self.plan
        return replace(self.plan, program=replace(self.program, model=model))

    def _split(
        self, inputs: Mapping[str, Any] | None, named: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Settings and inputs among keywords; a name that the program declares is its input."""
        declared = {known.name for known in self.program.inputs}
        flags = {name: value for name, value in named.items() if name in NAMES and name not in declared}
        values = {name: value for name, value in named.items() if name not in flags}
        return flags, {**(inputs or {}), **values}

    def __repr__(self) -> str:
        inputs = ", ".join(f"{known.name}: {known.type}" for known in self.program.inputs)
        return f"<CompiledProgram {self.program.name}({inputs})>"


def _name_of(model: LanguageModel) -> str:
    return str(model.description.get("name", ""))


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C during a run; `partial` are the results so far."""

    def __init__(self, partial: list[Result]) -> None:
        super().__init__()
        self.partial = partial


class _Outcomes:
    """Makes results from posteriors."""

    def __init__(
        self,
        program: Program,
        model: LanguageModel,
        settings: Settings,
        inputs: Sequence[Mapping[str, Any]],
        began: float | None,
    ) -> None:
        """`began` is when they began together; without it each has its own time."""
        self._program = program
        self._model = model
        self._settings = settings
        self._inputs = inputs
        self._began = began

    def result(self, index: int, posterior: Posterior, events: Sequence[Event]) -> Result:
        """The result of one group."""
        from smcdsl.engine.result import Result

        return Result(self._outcome(self._inputs[index], posterior), events)

    def _outcome(self, inputs: Mapping[str, Any], posterior: Posterior) -> Outcome:
        from smcdsl import __version__
        from smcdsl.report.outcome import Outcome

        return Outcome(
            posterior=posterior,
            program=self._program.name,
            edition=self._program.edition,
            view=self._program.returns.view,
            num_samples=self._num_samples(inputs),
            seconds=posterior.seconds["total"] if self._began is None else time.perf_counter() - self._began,
            inputs_sha256=hash_inputs(inputs),
            model=self._model.description,
            version=__version__,
            warnings=self._program.warnings,
        )

    def _num_samples(self, inputs: Mapping[str, Any]) -> int:
        from smcdsl.program.evaluation import evaluate

        wanted = self._program.returns.samples
        return 0 if wanted is None else int(evaluate(wanted, inputs, {}))


def hash_inputs(inputs: Mapping[str, Any]) -> str:
    """SHA-256 of inputs by name: of values, and of the contents of files and databases."""
    digest = hashlib.sha256()
    for name in sorted(inputs):
        digest.update(json.dumps([name, _hashable(inputs[name])], sort_keys=True).encode())
    return digest.hexdigest()


def _hashable(value: Any) -> Any:
    if hasattr(value, "text") and hasattr(value, "path"):
        return value.text
    if isinstance(value, str) and len(value) < 4096 and "\0" not in value and "\n" not in value:
        path = Path(value)
        try:
            return [value, hashlib.sha256(path.read_bytes()).hexdigest()] if path.is_file() else value
        except OSError:
            return value
    if isinstance(value, list | tuple):
        return [_hashable(item) for item in value]
    return value


__all__ = ["CompiledProgram", "RunInterrupted", "SmcdslError", "check", "compile", "load", "model", "read_source"]
