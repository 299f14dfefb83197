"""How a run is made: settings from every place that may give them, each with where it came from.

Precedence (language reference, 5.2): flag, environment, named profile, `infer` block, `[tool.smcdsl]`,
default. Nothing here changes what a program denotes, but for `temperature`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, get_args

from smcdsl.errors import Diagnostic, Label, Source, Span, UsageError, shown_path
from smcdsl.program.program import InferenceProfile, Method, Program
from smcdsl.protocols import parse_duration

DEFAULT_STATE_LIMIT = 100_000
METHODS: tuple[str, ...] = get_args(Method)

_PROFILE_NAMES = {
    "particles": "particles",
    "resample": "resample",
    "ess": "ess_threshold",
    "proposal": "proposal",
    "seed": "seed",
    "timeout": "timeout_seconds",
    "max_tokens": "max_tokens",
}
"""Settings by their name outside, with the profile's field."""

NAMES = (
    "model",
    "backend",
    "chat_template",
    "temperature",
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
    "infer": "smc",
    "particles": 16,
    "resample": "systematic",
    "ess": 0.5,
    "proposal": "mask",
    "seed": 0,
    "timeout": None,
    "max_tokens": None,
    "state_limit": DEFAULT_STATE_LIMIT,
    "check_potentials": False,
}
_INTEGERS = {"particles": 1, "seed": 0, "max_tokens": 1, "state_limit": 1}
_CHOICES: dict[str, tuple[str, ...]] = {
    "backend": ("auto", "hf", "toy"),
    "resample": ("systematic", "stratified", "residual", "multinomial"),
    "proposal": ("mask", "lm"),
}
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
        UsageError: E0701 unknown name, E0708 a value that is out of range, E0709 no such profile.
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
    if program.model.temperature != 1.0:
        layers.append(Layer("lm block", {"temperature": program.model.temperature}))
    if config is not None:
        layers.append(config)
    values = tuple(_settle(name, layers) for name in NAMES)
    if method == "lcd":  # one sample unless somebody asks for more
        values = tuple(
            replace(setting, value=1) if (setting.name, setting.source) == ("particles", "default") else setting
            for setting in values
        )
    found = {setting.name: setting.value for setting in values}
    base = named or block or InferenceProfile()
    fields = {field: found[name] for name, field in _PROFILE_NAMES.items()}
    return Settings(values, replace(base, method=method, set_by_program=frozenset(_PROFILE_NAMES), **fields))


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
        or (name == "ess" and {"ess_threshold", "resample"} & profile.set_by_program)
    }
    return Layer(f"{shown}{place}", values | {"infer": profile.method})


def _settle(name: str, layers: Sequence[Layer]) -> Setting:
    for layer in layers:
        if name in layer.values:
            return Setting(name, check_value(name, layer.values[name], layer.source), layer.source)
    return Setting(name, _DEFAULTS[name], "default")


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
            return number if number >= _INTEGERS[name] else _refuse(f"it must be at least {_INTEGERS[name]}")
        if name == "timeout":
            seconds = float(value) if isinstance(value, int | float) else _duration(str(value))
            return seconds if seconds > 0 else _refuse("it must be longer than nothing")
        if name == "check_potentials":
            words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
            return words[str(value).lower()] if str(value).lower() in words else _refuse("it must be true or false")
        if name in ("temperature", "ess"):
            number = float(value)
            ceiling = 1.0 if name == "ess" else float("inf")
            return number if 0 < number <= ceiling or (name == "ess" and number == 0) else _refuse("it must be above 0")
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


def _bad_value(name: str, value: Any, source: str, reason: str) -> Diagnostic:
    option = f"--{name.replace('_', '-')} {value}" if source == "flag" else source
    expected = {
        "timeout": "a duration such as 60s or 2m",
        **{integer: f"a whole number, at least {least}" for integer, least in _INTEGERS.items()},
        "temperature": "a number above 0",
        "ess": "a fraction of the particles, from 0 to 1",
        "check_potentials": "true or false",
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


def _bad_config(path: Path, error: Exception) -> Diagnostic:
    labels: tuple[Label, ...] = ()
    if isinstance(error, tomllib.TOMLDecodeError) and hasattr(error, "pos"):
        source = Source(str(path), str(getattr(error, "doc", "")))
        labels = (Label(Span(source, error.pos, error.pos), str(error), primary=True),)
    return Diagnostic(
        "E0815", f"`{path}` cannot be read", labels, context=str(path), facts=() if labels else (str(error),)
    )
