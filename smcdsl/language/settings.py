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
from smcdsl.program.program import (
    DRAFTS,
    FEWEST_ISLANDS,
    LEAST_LENIENCE,
    MOST_GAMMA,
    InferenceProfile,
    Lookahead,
    Method,
    ModelSettings,
    Previews,
    Proposal,
    Scheme,
)

_COMMON = ("seed", "timeout", "max")
_SPECULATIVE = ("draft", "gamma")
_LENIENT = (*_SPECULATIVE, "lenience")
_REPEATED = ("islands", "grow", "retry", "refine")
METHOD_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "smc": (
        "particles",
        "resample",
        "proposal",
        "lookahead",
        "proposal_temperature",
        "previews",
        "temper",
        *_LENIENT,
        *_REPEATED,
        *_COMMON,
    ),
    "is": ("particles", "proposal", "lookahead", "proposal_temperature", *_LENIENT, *_REPEATED, *_COMMON),
    "rejection": ("particles", *_COMMON),
    "rerank": ("particles", *_SPECULATIVE, *_COMMON),
    "lcd": (*_SPECULATIVE, *_COMMON),
    "beam": ("particles", *_COMMON),
}
"""What each method can be told."""

METHODS: tuple[str, ...] = get_args(Method)
_SCHEMES = get_args(Scheme)
_PROPOSALS = get_args(Proposal)
_LOOKAHEADS = get_args(Lookahead)
_PREVIEWS = get_args(Previews)
_MODEL_SETTINGS = ("temperature", "power", "thinking")


def read_model_settings(blocks: Sequence[syntax.ModelBlock], report: Report) -> ModelSettings:
    """The `lm` block, or the defaults."""
    values: dict[str, Any] = {}
    for setting in blocks[0].settings if blocks else ():
        name, value = setting.name.text, setting.value
        if name not in _MODEL_SETTINGS:
            near = closest(name, _MODEL_SETTINGS)
            report.add(wording.unknown_setting("lm", name, setting.name.span, near, _MODEL_SETTINGS))
        elif name in ("temperature", "power"):
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
        profiles.append(_Block(block, report).read())
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

    def read(self) -> InferenceProfile:
        """The profile."""
        method = self.block.method.text
        for setting in self.block.settings:
            self._setting(setting)
        self._threshold()
        self._growth()
        self._drafts()
        if method == "lcd":
            self.report.add(wording.does_not_sample(method, self.block.method.span))
            self.values["particles"] = 1
        if self.values.get("particles") == 1 and "refine" in self.places:
            place = self.places["refine"].name.span
            self.report.add(
                wording.bad_setting("refine", place, "2 particles or more", "one of them only keeps a path")
            )
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
        if setting.when is not None and name not in ("resample", "grow"):
            shown = "only `resample` and `grow` have one"
            self.report.add(wording.bad_setting(name, setting.when.span, "no `when`", shown))
        if setting.unit is not None and name != "max":
            self.report.add(wording.bad_setting(name, setting.unit.span, "no unit"))
        getattr(self, f"_read_{name}")(setting.value)

    def _read_particles(self, value: Expression) -> None:
        self._whole("particles", "particles", value, least=1)

    def _read_max(self, value: Expression) -> None:
        self._whole("max", "max_tokens", value, least=1)

    def _read_seed(self, value: Expression) -> None:
        self._whole("seed", "seed", value, least=0)

    def _read_islands(self, value: Expression) -> None:
        self._whole("islands", "islands", value, least=FEWEST_ISLANDS)

    def _read_grow(self, value: Expression) -> None:
        self._whole("grow", "grow", value, least=1)

    def _read_retry(self, value: Expression) -> None:
        self._whole("retry", "retry", value, least=2)

    def _read_temper(self, value: Expression) -> None:
        number = _number(value)
        if isinstance(value, Name) and value.name == "auto":
            self.values["temper"] = "auto"
        elif number is not None and 0 <= number <= 1:
            self.values["temper"] = float(number)
        else:
            self.report.add(wording.bad_setting("temper", value.span, "a power from 0 to 1, or `auto`"))

    def _read_refine(self, value: Expression) -> None:
        self._whole("refine", "refine", value, least=1)

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
        if isinstance(value, Name) and value.name == "select" and self.block.method.text != "smc":
            label = f"`{self.block.method.text}` draws one token a particle"
            self.report.add(wording.bad_setting("proposal", value.span, "`auto`, `mask`, `awrs` or `lm` here", label))
            return
        self._word("proposal", value, _PROPOSALS)

    def _read_lookahead(self, value: Expression) -> None:
        self._word("lookahead", value, _LOOKAHEADS)

    def _read_proposal_temperature(self, value: Expression) -> None:
        number = _number(value)
        if _name(value) == "auto":
            self.values["proposal_temperature"] = "auto"
        elif number is None or not 0 < number < float("inf"):
            self.report.add(wording.bad_setting("proposal_temperature", value.span, "a number above 0, or `auto`"))
        else:
            self.values["proposal_temperature"] = float(number)

    def _read_previews(self, value: Expression) -> None:
        self._word("previews", value, _PREVIEWS)

    def _read_draft(self, value: Expression) -> None:
        name = value.name if isinstance(value, Name) else value.value if isinstance(value, Constant) else None
        if isinstance(value, Name) and name not in DRAFTS:
            near = closest(value.name, DRAFTS)
            self.report.add(wording.bad_setting("draft", value.span, _DRAFT_NEEDED, "a model's name is a text", near))
        elif not isinstance(name, str) or not name:
            self.report.add(wording.bad_setting("draft", value.span, _DRAFT_NEEDED))
        else:
            self.values |= {"draft": name, "draft_span": value.span}

    def _read_gamma(self, value: Expression) -> None:
        if _name(value) == "auto":
            self.values["gamma"] = "auto"
            return
        number = _number(value)
        if not isinstance(number, int) or not 1 <= number <= MOST_GAMMA:
            needed = f"a whole number from 1 to {MOST_GAMMA}, or `auto`"
            self.report.add(wording.bad_setting("gamma", value.span, needed))
        else:
            self.values["gamma"] = number

    def _read_lenience(self, value: Expression) -> None:
        number = _number(value)
        if number is None or not LEAST_LENIENCE <= number <= 1:
            self.report.add(wording.bad_setting("lenience", value.span, f"a number from {LEAST_LENIENCE} to 1"))
        else:
            self.values["lenience"] = float(number)

    def _drafts(self) -> None:
        """Drafts need masks; what is said of drafts needs one."""
        draft = self.values.get("draft", "none")
        if draft != "none" and self.values.get("proposal", "auto") not in ("auto", "mask"):
            self.report.add(
                wording.drafts_need_masks(self.places["draft"].name.span, self.places["proposal"].name.span)
            )
        if draft != "none" and self.values.get("lookahead") == "learned":
            self.report.add(
                wording.learning_takes_tokens_one_by_one(
                    self.places["draft"].name.span, self.places["lookahead"].name.span
                )
            )
        if draft == "none" and ("draft" not in self.places or "draft" in self.values):
            for name in ("gamma", "lenience"):
                if name in self.places:
                    self.report.add(wording.without_draft(name, self.places[name].name.span))

    def _later(self, what: str, place: Expression | syntax.Word, help: str) -> None:
        self.report.add(wording.of_a_later_version(what, place.span, "planned for a later one", help))

    def _word(self, name: str, value: Expression, allowed: Sequence[str]) -> None:
        if isinstance(value, Name) and value.name in allowed:
            self.values[name] = value.name
            return
        near = closest(value.name, allowed) if isinstance(value, Name) else None
        self.report.add(wording.bad_setting(name, value.span, _either(allowed), near=near))

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
            self.report.add(wording.ess_is_a_fraction(when.right.span, particles, number, when.span))
        else:
            self.values["ess_threshold"] = float(number)

    def _growth(self) -> None:
        """`when ess < 8` of `grow`: a number of particles, since these grow."""
        setting = self.places.get("grow")
        if setting is not None and "retry" in self.places:
            shown = "each says when to run again"
            self.report.add(wording.bad_setting("retry", self.places["retry"].name.span, "no `grow` beside it", shown))
        if setting is None or setting.when is None:
            return
        when = setting.when
        if not isinstance(when, Binary) or when.operator != "<" or _name(when.left) != "ess":
            self.report.add(wording.bad_setting("grow", when.span, "a condition such as `when ess < 8`"))
            return
        number = _number(when.right)
        if number is None or number < 1:
            shown = "the particles grow, so a fraction of them is no aim"
            self.report.add(wording.bad_setting("grow", when.right.span, "a number of particles, 1 or more", shown))
        else:
            self.values["grow_ess"] = float(number)


_DRAFT_NEEDED = f"{', '.join(DRAFTS)} or a model's name in quotes"
_SETTING_SYNONYMS = {"n": "particles", "samples": "particles", "max_tokens": "max", "resampling": "resample"}


def _either(words: Sequence[str]) -> str:
    """`a, b or c`."""
    return " or ".join((", ".join(words[:-1]), words[-1]))


def _name(expression: Expression) -> str:
    return expression.name if isinstance(expression, Name) else ""


def _number(expression: Expression) -> int | float | None:
    """A written number, with its sign."""
    if isinstance(expression, Unary) and expression.operator == "-":
        inner = _number(expression.operand)
        return None if inner is None else -inner
    value = expression.value if isinstance(expression, Constant) else None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
