"""Settings: `lm`, `infer` and what the methods support (E07)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from smcdsl.language import mistakes_transcript as wording
from smcdsl.language import syntax
from smcdsl.language.suggestions import closest
from smcdsl.language.symbols import Report
from smcdsl.program.expressions import Binary, Constant, Duration, Expression, Name, Unary
from smcdsl.program.program import InferenceProfile, Method, ModelSettings, Scheme

_COMMON = ("seed", "timeout", "max")
_SPECULATIVE = ("draft", "gamma")
METHOD_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "smc": ("particles", "resample", "proposal", *_SPECULATIVE, *_COMMON),
    "is": ("particles", "proposal", *_SPECULATIVE, *_COMMON),
    "rejection": ("particles", "proposal", *_COMMON),
    "rerank": ("particles", *_SPECULATIVE, *_COMMON),
    "lcd": (*_SPECULATIVE, *_COMMON),
    "beam": ("particles", *_COMMON),
}
"""What each method can be told; `beam` is known so that it can be refused by name."""

METHODS: tuple[str, ...] = get_args(Method)
_SCHEMES = get_args(Scheme)
_PROPOSALS = ("mask", "lm")
_MODEL_SETTINGS = ("temperature", "thinking")


def read_model_settings(blocks: Sequence[syntax.ModelBlock], report: Report) -> ModelSettings:
    """The `lm` block, or the defaults."""
    values: dict[str, Any] = {}
    for setting in blocks[0].settings if blocks else ():
        name, value = setting.name.text, setting.value
        if name not in _MODEL_SETTINGS:
            near = closest(name, _MODEL_SETTINGS)
            report.add(wording.unknown_setting("lm", name, setting.name.span, near, _MODEL_SETTINGS))
        elif name == "temperature":
            number = _number(value)
            if number is None or not 0 < number < float("inf"):
                report.add(wording.bad_setting(name, value.span, "a number above 0"))
            else:
                values[name] = float(number)
        elif not isinstance(value, Constant) or not isinstance(value.value, bool):
            report.add(wording.bad_setting(name, value.span, "`true` or `false`"))
        elif value.value:
            label = "planned for a later one"
            report.add(
                wording.of_a_later_version("`thinking: true`", value.span, label, "leave it out, or say `false`")
            )
    return ModelSettings(**values)


def read_profiles(declared: Sequence[syntax.Infer], report: Report) -> tuple[InferenceProfile, ...]:
    """Every `infer` block as a profile; the default profile if there is none without a name."""
    profiles: list[InferenceProfile] = []
    for block in declared:
        method = block.method.text
        if method not in METHOD_SETTINGS:
            near = closest(method, METHODS, _METHOD_SYNONYMS)
            report.add(wording.unknown_method(method, block.method.span, near, METHODS))
            continue
        profile = _Block(block, report).read()
        if profile is not None:
            profiles.append(profile)
    if not any(profile.name == "" for profile in profiles):
        profiles.insert(0, InferenceProfile())
    return tuple(profiles)


_METHOD_SYNONYMS = {"importance": "is", "greedy": "lcd", "best_of_n": "rerank", "particle_filter": "smc"}


@dataclass
class _Block:
    """Reads one `infer` block."""

    block: syntax.Infer
    report: Report
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, syntax.Setting] = field(default_factory=dict)

    def read(self) -> InferenceProfile | None:
        """The profile; None if its method cannot be used."""
        method = self.block.method.text
        for setting in self.block.settings:
            self._setting(setting)
        self._threshold()
        if method == "beam":
            return None
        if method == "lcd":
            self.report.add(wording.does_not_sample(method, self.block.method.span))
            self.values["particles"] = 1
        if self.values.get("particles") == 1 and "resample" in self.places:
            self.report.add(wording.resample_without_effect(self.places["resample"].name.span))
        name = self.block.name.text if self.block.name is not None else ""
        given = frozenset(self.places)
        return InferenceProfile(
            method=method,  # type: ignore[arg-type]
            name=name,
            set_by_program=given,
            span=self.block.span,
            **self.values,
        )

    def _setting(self, setting: syntax.Setting) -> None:
        method, name = self.block.method.text, setting.name.text
        known = METHOD_SETTINGS[method]
        if name not in known:
            near = closest(name, known, _SETTING_SYNONYMS)
            self.report.add(wording.unknown_setting(method, name, setting.name.span, near, known))
            return
        if name in self.places:
            self.report.add(wording.given_twice(name, self.places[name].name.span, setting.name.span))
            return
        self.places[name] = setting
        if setting.when is not None and name != "resample":
            self.report.add(wording.bad_setting(name, setting.when.span, "no `when`", "only `resample` has one"))
        if setting.unit is not None and name != "max":
            self.report.add(wording.bad_setting(name, setting.unit.span, "no unit"))
        getattr(self, f"_read_{name}")(setting.value)

    def _read_particles(self, value: Expression) -> None:
        self._whole("particles", "particles", value, least=1)

    def _read_max(self, value: Expression) -> None:
        self._whole("max", "max_tokens", value, least=1)

    def _read_seed(self, value: Expression) -> None:
        self._whole("seed", "seed", value, least=0)

    def _whole(self, name: str, key: str, value: Expression, least: int) -> None:
        number = _number(value)
        if not isinstance(number, int) or number < least:
            self.report.add(wording.bad_setting(name, value.span, f"a whole number, {least} or more"))
        else:
            self.values[key] = number

    def _read_timeout(self, value: Expression) -> None:
        if not isinstance(value, Duration) or value.seconds <= 0:
            self.report.add(wording.bad_setting("timeout", value.span, "a duration such as `60s`"))
        else:
            self.values["timeout_seconds"] = value.seconds

    def _read_resample(self, value: Expression) -> None:
        self._word("resample", value, _SCHEMES)

    def _read_proposal(self, value: Expression) -> None:
        if isinstance(value, Name) and value.name == "awrs":
            self._later("`proposal: awrs`", value, "`mask` has the same target, at another cost")
            return
        self._word("proposal", value, _PROPOSALS)

    def _read_draft(self, value: Expression) -> None:
        self._later("`draft`", self.places["draft"].name, "leave it out: the target is the same")

    def _read_gamma(self, value: Expression) -> None:
        if "draft" not in self.places:
            self._later("`gamma`", self.places["gamma"].name, "leave it out: the target is the same")

    def _later(self, what: str, place: Expression | syntax.Word, help: str) -> None:
        self.report.add(wording.of_a_later_version(what, place.span, "planned for a later one", help))

    def _word(self, name: str, value: Expression, allowed: Sequence[str]) -> None:
        if isinstance(value, Name) and value.name in allowed:
            self.values[name] = value.name
            return
        near = closest(value.name, allowed) if isinstance(value, Name) else None
        shown = f"did you mean `{near}`?" if near else ""
        needed = " or ".join((", ".join(allowed[:-1]), allowed[-1]))
        self.report.add(wording.bad_setting(name, value.span, needed, shown))

    def _threshold(self) -> None:
        """`when ess < 0.5`."""
        setting = self.places.get("resample")
        if setting is None or setting.when is None:
            return
        when = setting.when
        if not isinstance(when, Binary) or when.operator not in ("<", "<=") or _name(when.left) != "ess":
            self.report.add(wording.bad_setting("resample", when.span, "a condition such as `when ess < 0.5`"))
            return
        number = _number(when.right)
        if number is None or not 0 <= number <= 1:
            particles = self.values.get("particles", InferenceProfile().particles)
            self.report.add(wording.ess_is_a_fraction(when.right.span, particles))
        else:
            self.values["ess_threshold"] = float(number)


_SETTING_SYNONYMS = {"n": "particles", "samples": "particles", "max_tokens": "max", "resampling": "resample"}


def _name(expression: Expression) -> str:
    return expression.name if isinstance(expression, Name) else ""


def _number(expression: Expression) -> int | float | None:
    """A written number, with its sign."""
    if isinstance(expression, Unary) and expression.operator == "-":
        inner = _number(expression.operand)
        return None if inner is None else -inner
    value = expression.value if isinstance(expression, Constant) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
