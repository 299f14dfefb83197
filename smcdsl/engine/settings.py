"""How a run is made: settings from every place that may give them, each with where it came from.

Precedence (language reference, 5.2): flag, environment, named profile, `infer` block, `[tool.smcdsl]`,
default. Nothing here changes what a program denotes, but for `temperature` and `power`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from smcdsl.errors import Diagnostic, Label, Source, Span, UsageError, shown_path
from smcdsl.language.settings import METHOD_SETTINGS
from smcdsl.program.program import (
    DRAFTS,
    FEWEST_ISLANDS,
    LEAST_LENIENCE,
    MOST_GAMMA,
    InferenceProfile,
    Lookahead,
    Method,
    Previews,
    Program,
    Proposal,
    Scheme,
)
from smcdsl.protocols import parse_duration

DEFAULT_STATE_LIMIT = 100_000
METHODS: tuple[str, ...] = get_args(Method)
TARGET = ("temperature", "power")
"""Settings that change what is sampled from, and not only how."""

_PROFILE_NAMES = {
    "particles": "particles",
    "resample": "resample",
    "ess": "ess_threshold",
    "proposal": "proposal",
    "lookahead": "lookahead",
    "proposal_temperature": "proposal_temperature",
    "previews": "previews",
    "seed": "seed",
    "timeout": "timeout_seconds",
    "max_tokens": "max_tokens",
    "islands": "islands",
    "grow": "grow",
    "grow_ess": "grow_ess",
    "retry": "retry",
    "refine": "refine",
    "draft": "draft",
    "gamma": "gamma",
    "lenience": "lenience",
    "temper": "temper",
}
"""Settings by their name outside, with the profile's field."""

NAMES = (
    "model",
    "backend",
    "chat_template",
    "temperature",
    "power",
    "infer",
    *_PROFILE_NAMES,
    "state_limit",
    "check_potentials",
)
_DEFAULTS: dict[str, Any] = {
    "model": "tiny",
    "backend": "auto",
    "chat_template": None,
    "temperature": 1.0,
    "power": 1.0,
    "infer": "smc",
    "particles": 16,
    "resample": "ssp",
    "ess": 0.5,
    "proposal": "auto",
    "lookahead": "off",
    "proposal_temperature": 1.0,
    "previews": "now",
    "seed": 0,
    "timeout": None,
    "max_tokens": None,
    "islands": 1,
    "grow": 0,
    "grow_ess": 0.0,
    "retry": 0,
    "refine": 0,
    "draft": "none",
    "gamma": 4,
    "lenience": 1.0,
    "temper": 1.0,
    "state_limit": DEFAULT_STATE_LIMIT,
    "check_potentials": False,
}
_INTEGERS = {
    "particles": 1,
    "seed": 0,
    "max_tokens": 1,
    "state_limit": 1,
    "islands": 1,
    "grow": 0,
    "retry": 0,
    "refine": 0,
}
_GAPS: dict[str, tuple[range, str]] = {
    "islands": (range(2, FEWEST_ISLANDS), f"1 for none, or {FEWEST_ISLANDS} or more"),
    "retry": (range(1, 2), "0 for a single attempt, or 2 or more"),
}
"""Values in between that mean nothing, and what to give instead."""
_AS_IN_BLOCKS = {"ess": "resample", "grow_ess": "grow"}
_METHODS_WITH: dict[str, tuple[str, ...]] = {
    name: tuple(method for method in METHODS if _AS_IN_BLOCKS.get(name, name) in METHOD_SETTINGS[method])
    for name in (
        *("resample", "ess", "proposal", "lookahead", "proposal_temperature", "previews", "temper"),
        *("islands", "grow", "grow_ess", "retry", "refine"),
    )
}
"""Settings that only some methods have, as in `infer` blocks."""
_CHOICES: dict[str, tuple[str, ...]] = {
    "backend": ("auto", "hf", "toy"),
    "resample": get_args(Scheme),
    "proposal": get_args(Proposal),
    "lookahead": get_args(Lookahead),
    "previews": get_args(Previews),
}
_GAMMA = f"a whole number from 1 to {MOST_GAMMA}, or auto"
_LENIENCE = f"a number from {LEAST_LENIENCE} to 1"
_DRAFT = f"{', '.join(DRAFTS)} or a model's name"
_NOT_IN_FILES = frozenset({"chat_template"})


@dataclass(frozen=True)
class Setting:
    """A setting's value and where it came from."""

    name: str
    value: Any
    source: str


@dataclass(frozen=True)
class Settings:
    """All settings of a run; `profile` is what inference reads."""

    values: tuple[Setting, ...]
    profile: InferenceProfile

    def __getitem__(self, name: str) -> Any:
        return next(setting.value for setting in self.values if setting.name == name)

    def source(self, name: str) -> str:
        """Where a setting came from."""
        return next(setting.source for setting in self.values if setting.name == name)


@dataclass(frozen=True)
class Layer:
    """Settings of one place."""

    source: str
    values: Mapping[str, Any]


def resolve(program: Program, flags: Mapping[str, Any], config: Layer | None = None) -> Settings:
    """Settle every setting.

    Args:
        flags: those given with this run, under the names of `NAMES`; None is not given.
        config: what a project's file says (`read_config`).

    Raises:
        UsageError: E0701 unknown name, E0702 the method cannot give the program's view, E0708 a value that is
            out of range, E0709 no such profile, E0711 settings that do not go together, E0714 a draft where tokens
            are drawn without masks.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    for name in given:
        if name not in NAMES:
            raise UsageError(_unknown_setting(name, "a run"))
    outer = [Layer("flag", given), environment()]
    block = next((profile for profile in program.profiles if not profile.name), None)
    named, method = _chosen(
        program, [*outer, *([_layer(program, block)] if block else []), *([config] if config else [])]
    )
    layers = [*outer, *(_layer(program, profile) for profile in (named, block) if profile is not None)]
    of_model = {name: getattr(program.model, name) for name in TARGET if getattr(program.model, name) != 1.0}
    if of_model:
        layers.append(Layer("lm block", of_model))
    if config is not None:
        layers.append(config)
    if method == "beam" and program.returns.view != "best":
        raise UsageError(_one_answer_only(program))
    values = tuple(_settle(name, layers) for name in NAMES)
    if method == "lcd":  # one sample unless somebody asks for more
        values = tuple(
            replace(setting, value=1) if (setting.name, setting.source) == ("particles", "default") else setting
            for setting in values
        )
    values = tuple(_suited(setting, method) for setting in values)
    found = {setting.name: setting.value for setting in values}
    if found["grow"] and found["retry"]:
        raise UsageError(_grow_and_retry(next(setting for setting in values if setting.name == "retry")))
    if found["grow_ess"] and not found["grow"]:
        aim = next(setting for setting in values if setting.name == "grow_ess")
        if aim.source in ("flag", "environment"):
            raise UsageError(_never_grows(aim))
    if found["refine"] and found["particles"] == 1:
        raise UsageError(_alone(next(setting for setting in values if setting.name == "refine")))
    _check_draft(found, method, next(setting.source for setting in values if setting.name == "draft"))
    base = named or block or InferenceProfile()
    fields = {field: found[name] for name, field in _PROFILE_NAMES.items()}
    return Settings(values, replace(base, method=method, set_by_program=frozenset(_PROFILE_NAMES), **fields))


def _check_draft(found: Mapping[str, Any], method: Method, source: str) -> None:
    """Drafted tokens are checked under masks, and lenience is corrected by weights.

    Raises:
        UsageError: E0714.
    """
    if found["draft"] == "none":
        return
    context = f"--draft {found['draft']}" if source == "flag" else source
    if method in ("rejection", "beam") or found["proposal"] not in ("auto", "mask"):
        drawn = f"`{method}`" if method in ("rejection", "beam") else f"`proposal: {found['proposal']}`"
        message = f"drafts need `proposal: mask`, and {drawn} takes tokens in another way"
        fix = "leave the draft out (`--draft none`)"
        raise UsageError(Diagnostic("E0714", message, context=context, help=fix))
    if found["lenience"] < 1 and method not in ("smc", "is"):
        message = f"`lenience` needs weights to correct for it, and `{method}` has none"
        raise UsageError(Diagnostic("E0714", message, context=context, help="use `smc` or `is`, or a lenience of 1"))


def drafts_without_effect(settings: Settings, drafts: bool, learns: bool) -> Iterator[Diagnostic]:
    """W0715 and W0722, where it is not the program's own text that says so: that has been told.

    Args:
        drafts: whether something would draft.
        learns: whether the run learns a lookahead.
    """
    for name in ("gamma", "lenience"):
        source = settings.source(name)
        if not drafts and source in ("flag", "environment"):
            context = f"--{name} {settings[name]}" if source == "flag" else source
            message = f"without a draft, `{name}` has no effect"
            yield Diagnostic("W0715", message, context=context, help="add `--draft suffix`, which needs no model")
    sources = [settings.source(name) for name in ("draft", "lookahead")]
    if drafts and learns and not (sources[0] == sources[1] and sources[0].startswith("infer ")):
        yield Diagnostic(
            "W0722",
            "a run that learns takes its tokens one by one, so nothing is drafted",
            context=f"--draft {settings['draft']}" if sources[0] == "flag" else sources[0],
            help="use `lookahead: fixed` once enough has been learned, and drafts are used",
        )


def place_of_draft(program: Program, settings: Settings) -> Span | str:
    """Where the draft was asked for: in the program, or in words."""
    draft, source = settings["draft"], settings.source("draft")
    spans = [profile.draft_span for profile in program.profiles if profile.draft == draft]
    if source.startswith("infer "):
        return next((span for span in spans if span is not None), source)
    return f"--draft {draft}" if source == "flag" else source


def _chosen(program: Program, layers: Sequence[Layer]) -> tuple[InferenceProfile | None, Method]:
    """The profile asked for by its name, if one was, and the method.

    Raises:
        UsageError: E0709.
    """
    wanted = next((layer.values["infer"] for layer in layers if "infer" in layer.values), _DEFAULTS["infer"])
    for profile in program.profiles:
        if profile.name and profile.name == wanted:
            return profile, profile.method
    if wanted not in METHODS:
        raise UsageError(_unknown_profile(program, str(wanted)))
    return None, cast(Method, wanted)


def _layer(program: Program, profile: InferenceProfile) -> Layer:
    place = ""
    if profile.span is not None:
        line, _ = profile.span.source.position(profile.span.start)
        place = f" ({profile.span.source.name}:{line})"
    shown = f"infer {profile.method} {profile.name}".rstrip()
    values = {
        name: getattr(profile, field)
        for name, field in _PROFILE_NAMES.items()
        if {name, field, "max" if name == "max_tokens" else name} & profile.set_by_program
        or (name == "grow_ess" and "grow" in profile.set_by_program)
        or (name == "ess" and {"ess_threshold", "resample"} & profile.set_by_program)
    }
    return Layer(f"{shown}{place}", values | {"infer": profile.method})


def _settle(name: str, layers: Sequence[Layer]) -> Setting:
    for layer in layers:
        if name in layer.values:
            return Setting(name, check_value(name, layer.values[name], layer.source), layer.source)
    return Setting(name, _DEFAULTS[name], "default")


def _suited(setting: Setting, method: Method) -> Setting:
    """The setting, or its default where it belongs to another method's block. Raises UsageError if it was asked for."""
    able = _METHODS_WITH.get(setting.name, METHODS)
    if method in able or setting.value == _DEFAULTS[setting.name]:
        return setting
    if setting.source in ("flag", "environment"):
        raise UsageError(_unsuited(setting, method, able))
    return replace(setting, value=_DEFAULTS[setting.name], source="default")


def environment() -> Layer:
    """Settings of the environment: `SMCDSL_` and the name in capitals."""
    found = {
        name: os.environ[key] for name in NAMES if (key := f"SMCDSL_{name.upper()}") in os.environ and os.environ[key]
    }
    return Layer("environment", found)


def check_value(name: str, value: Any, source: str) -> Any:
    """A setting's value with its type, from text or from a value.

    Raises:
        UsageError: E0708.
    """
    try:
        if value is None:
            return None
        if name in _INTEGERS:
            number = int(str(value)) if not isinstance(value, bool) else _refuse(value)
            if name in _GAPS and number in _GAPS[name][0]:
                _refuse(_GAPS[name][1])
            return number if number >= _INTEGERS[name] else _refuse(f"it must be at least {_INTEGERS[name]}")
        if name == "timeout":
            seconds = float(value) if isinstance(value, int | float) else _duration(str(value))
            return seconds if seconds > 0 else _refuse("it must be longer than nothing")
        if name == "temper":
            if value == "auto":
                return value
            number = float(value)
            return number if 0 <= number <= 1 else _refuse("it must be from 0 to 1")
        if name == "grow_ess":
            number = float(value)
            return number if number == 0 or 1 <= number < float("inf") else _refuse("it must be at least 1")
        if name == "check_potentials":
            words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
            return words[str(value).lower()] if str(value).lower() in words else _refuse("it must be true or false")
        if name == "proposal_temperature" and value == "auto":
            return value
        if name in (*TARGET, "proposal_temperature", "ess"):
            number = float(value)
            if name == "ess":
                return number if 0 <= number <= 1 else _refuse("it must be from 0 to 1")
            return number if 0 < number < float("inf") else _refuse("it must be above 0")
        if name == "gamma" and value != "auto":
            number = int(str(value)) if not isinstance(value, bool) else _refuse(value)
            return number if 1 <= number <= MOST_GAMMA else _refuse(_GAMMA)
        if name == "lenience":
            number = float(value)
            return number if LEAST_LENIENCE <= number <= 1 else _refuse(_LENIENCE)
        if name == "draft" and not (isinstance(value, str) and value):
            _refuse(_DRAFT)
        if name in _CHOICES and value not in _CHOICES[name]:
            _refuse(f"it must be one of {', '.join(_CHOICES[name])}")
        return str(value)
    except ValueError as error:
        raise UsageError(_bad_value(name, value, source, str(error))) from error


def _refuse(reason: Any) -> Any:
    raise ValueError(str(reason))


def _duration(text: str) -> float:
    """Seconds; a bare number counts seconds."""
    try:
        return float(text)
    except ValueError:
        return parse_duration(text)


def read_config(folder: Path, file: Path | None = None) -> Layer | None:
    """`[tool.smcdsl]` of the nearest pyproject.toml at or above `folder`, or the settings of `file`.

    Raises:
        UsageError: E0815 the file cannot be read, E0701 it has a setting that there is not.
    """
    path = file
    if path is None:
        parents = (folder.resolve(), *folder.resolve().parents)
        path = next((parent / "pyproject.toml" for parent in parents if (parent / "pyproject.toml").is_file()), None)
        if path is None:
            return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        if file is None and isinstance(error, OSError):
            return None
        raise UsageError(_bad_config(path, error)) from error
    values = table.get("tool", {}).get("smcdsl")
    if values is None:
        values = table if file is not None and "tool" not in table else {}
    for name in values:
        if name not in NAMES or name in _NOT_IN_FILES:
            raise UsageError(_unknown_setting(name, "[tool.smcdsl]", str(path)))
    return Layer(f"[tool.smcdsl] in {shown_path(path)}", values) if values else None


def _unknown_setting(name: str, place: str, context: str = "") -> Diagnostic:
    close = [known for known in NAMES if known.startswith(name[:4]) or name in known]
    return Diagnostic(
        "E0701",
        f"`{place}` has no setting `{name}`" if place.startswith("[") else f"{place} has no setting `{name}`",
        context=context,
        help=f"did you mean `{close[0]}`?" if close else f"settings: {', '.join(NAMES)}",
    )


def _unsuited(setting: Setting, method: Method, able: Sequence[str]) -> Diagnostic:
    option = f"--{setting.name.replace('_', '-')} {setting.value}" if setting.source == "flag" else setting.source
    message = f"`{method}` has no setting `{setting.name}`"
    return Diagnostic("E0701", message, context=option, help=f"methods that have it: {', '.join(able)}")


def _grow_and_retry(retry: Setting) -> Diagnostic:
    return Diagnostic(
        "E0711",
        "`grow` and `retry` do not go together",
        context=f"--retry {retry.value}" if retry.source == "flag" else retry.source,
        notes=("each says when to run again, and what becomes of the evidence",),
        help="set one of them to 0",
    )


def _never_grows(aim: Setting) -> Diagnostic:
    return Diagnostic(
        "E0711",
        "`grow_ess` says until when particles are doubled, and `grow` is 0: they never are",
        context=f"--grow-ess {aim.value:g}" if aim.source == "flag" else aim.source,
        help="say how often they may be doubled, `--grow 4`",
    )


def _alone(refine: Setting) -> Diagnostic:
    return Diagnostic(
        "E0711",
        "`refine` needs 2 particles or more",
        context=f"--refine {refine.value}" if refine.source == "flag" else refine.source,
        notes=("one of them only keeps a path; others have to offer another",),
        help="give `--particles 16`, or leave `refine` out",
    )


def _bad_value(name: str, value: Any, source: str, reason: str) -> Diagnostic:
    option = f"--{name.replace('_', '-')} {value}" if source == "flag" else source
    expected = {
        "timeout": "a duration such as 60s or 2m",
        **{integer: f"a whole number, at least {least}" for integer, least in _INTEGERS.items()},
        **dict.fromkeys(TARGET, "a number above 0"),
        "proposal_temperature": "a number above 0, or auto",
        "ess": "a fraction of the particles, from 0 to 1",
        "grow_ess": "a number of particles, at least 1",
        "temper": "a power from 0 to 1, or auto",
        **{name: instead for name, (_, instead) in _GAPS.items()},
        "check_potentials": "true or false",
        "gamma": _GAMMA,
        "lenience": _LENIENCE,
        "draft": _DRAFT,
        **{choice: f"one of {', '.join(options)}" for choice, options in _CHOICES.items()},
    }
    return Diagnostic(
        "E0708",
        f"`{value}` is no value for the setting `{name}`",
        context=option,
        help=f"give {expected[name]}" if name in expected else reason,
    )


def _unknown_profile(program: Program, wanted: str) -> Diagnostic:
    names = [profile.name for profile in program.profiles if profile.name]
    return Diagnostic(
        "E0709",
        f"{program.name} has no inference profile `{wanted}`, and there is no such method",
        context=f"--infer {wanted}",
        notes=(f"profiles of {program.name}: {', '.join(names)}",) if names else (),
        help=f"methods: {', '.join(METHODS)}",
    )


def _one_answer_only(program: Program) -> Diagnostic:
    return Diagnostic(
        "E0702",
        "`beam` finds one answer, not a distribution",
        context="--infer beam",
        notes=(f"{program.name} says `return {program.returns.view}`",),
        help="write `return best`, or use another method",
    )


def _bad_config(path: Path, error: Exception) -> Diagnostic:
    labels: tuple[Label, ...] = ()
    if isinstance(error, tomllib.TOMLDecodeError) and hasattr(error, "pos"):
        source = Source(str(path), str(getattr(error, "doc", "")))
        labels = (Label(Span(source, error.pos, error.pos), str(error), primary=True),)
    return Diagnostic(
        "E0815", f"`{path}` cannot be read", labels, context=str(path), facts=() if labels else (str(error),)
    )
