"""LanguageModel and Potential: the two things a user may supply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from smcdsl.log_rows import Laws
from smcdsl.prefixes import Prefixes
from smcdsl.vocabulary import Vocabulary

Role = Literal["system", "user", "assistant"]

Weight = float
"""Annotates a potential's result that is never negative: `score` takes it as it is."""
LogWeight = float
"""Annotates a potential's result that may be any real number and is exponentiated."""


@dataclass(frozen=True)
class TurnTokens:
    """What a chat template writes around the content of one turn.

    `opening` is everything between what stands so far and the content (at the start of a conversation
    that includes a begin-of-text token); `closing` is everything that ends the turn, beginning with an
    end-of-turn token. A hole that ends its turn is ended by the model's own end-of-turn token, which
    then stands for the first token of `closing`.
    """

    opening: tuple[int, ...]
    closing: tuple[int, ...]


class Session(Protocol):
    """A model's computations for one run, its cache included. Closed with the run."""

    def next_logprobs(self, prefixes: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
        """Log-probabilities of the next token after each of U *distinct* prefixes.

        Args:
            prefixes: (U,) ids in the run's `Prefixes`; every prefix has at least one token.

        Returns:
            (U, V) float32 (or float64), each row normalised over all V ids (padding rows of the output layer
            included, at the probability the model gives them). The caller may overwrite it.

        Raises:
            ModelError: the model failed, or a prefix exceeds its context.
        """
        ...

    def retain(self, prefixes: NDArray[np.int64]) -> None:
        """From now on only these prefixes and their extensions are asked for; the rest may be forgotten.

        A hint: it never changes results.
        """
        ...

    def close(self) -> None:
        """Free what the session holds."""
        ...


def next_law(session: Session, prefixes: NDArray[np.int64]) -> Laws:
    """`session.next_logprobs`, or what they follow from where the session has a `next_law` of the same arguments."""
    ask: Callable[[NDArray[np.int64]], Laws] = getattr(session, "next_law", session.next_logprobs)
    return ask(prefixes)


@runtime_checkable
class LanguageModel(Protocol):
    """A causal language model with its tokenizer. Implementations are thread-safe but for their sessions."""

    @property
    def name(self) -> str:
        """As the user gave it."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Its tokens."""
        ...

    @property
    def context_length(self) -> int:
        """The most tokens a prefix may have."""
        ...

    @property
    def description(self) -> dict[str, Any]:
        """For result records: `name`, `weights_sha256` (or None), `dtype`, `device`, ... (JSON values)."""
        ...

    def encode(self, text: str, *, starts_text: bool = False) -> list[int]:
        """Token ids of `text`; strings that look like special tokens stay text.

        The ids spell exactly `text`. A tokenizer that puts a blank before a text (SentencePiece's
        dummy prefix) does so only with `starts_text`.
        """
        ...

    def begin_text(self) -> list[int]:
        """What raw text (role `text`) begins with: the begin-of-text token where the model has one."""
        ...

    def turn(self, earlier: Sequence[Role], role: Role) -> TurnTokens:
        """The chat template's own tokens for a turn of `role` after turns of `earlier` roles.

        Raises:
            ModelError: E0804 without a chat template, E0605 where the template refuses this turn.
        """
        ...

    def start(self, prefixes: Prefixes) -> Session:
        """Begin a run whose prefixes are named by `prefixes`."""
        ...


PrefixFact = Literal["none", "closed", "any"]
FailurePolicy = Literal["fail", "zero", "one"]


@dataclass(frozen=True)
class Facts:
    """What a potential says of itself (language reference, 2.9)."""

    prefix: PrefixFact = "none"
    cost_seconds: float | None = None
    pure: bool = True
    batch: bool = False
    timeout_seconds: float | None = None
    on_error: FailurePolicy = "fail"
    on_timeout: FailurePolicy = "fail"
    workers: int = 0
    version: str = ""
    cache: bool = False


Sqlite: TypeAlias = str
"""Annotates a parameter that takes an input of type `sqlite`: the database file's path."""


@dataclass(frozen=True)
class Potential:
    """A function of values with facts: what `@potential` makes and what factors call.

    A batch potential takes a list in place of the parameters annotated `list[...]`'s items; see
    `smcdsl.potential`. Complete values go to `function`, text up to a boundary to `prefix_function`, which
    may return None where it cannot tell yet.
    """

    function: Callable[..., Any]
    facts: Facts
    name: str
    prefix_form: str | None = None
    explanation: str | None = None

    @property
    def prefix_function(self) -> Callable[..., Any]:
        """What judges previews: the function named by `prefix_form`, or `function` itself."""
        return self._sibling(self.prefix_form) or self.function

    def explain(self, arguments: Sequence[Any], *, prefix: bool = False) -> str | None:
        """Say in one line why these arguments got zero, where the potential can."""
        explain = self._sibling(self.explanation)
        return None if explain is None else explain(*arguments, prefix=prefix)

    def _sibling(self, name: str | None) -> Callable[..., Any] | None:
        found = None if name is None else self.function.__globals__[name]
        return found.function if isinstance(found, Potential) else found

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call the function itself: no cache, no time limit, no policy."""
        return self.function(*arguments, **named)


def potential(
    *,
    prefix: PrefixFact = "none",
    cost: str | None = None,
    batch: bool = False,
    timeout: str | None = None,
    pure: bool = True,
    on_error: FailurePolicy = "fail",
    on_timeout: FailurePolicy | None = None,
    workers: int = 0,
    version: str = "",
    cache: bool = False,
    prefix_form: str | None = None,
    explanation: str | None = None,
) -> Callable[[Callable[..., Any]], Potential]:
    """Declare a Python function as a potential.

    The arguments must be literals, so that `smcdsl check` can read them without importing the file.
    With `batch`, exactly one parameter is annotated `list[T]` where the program passes a `T`: the
    function gets one list of distinct texts that share all other arguments, and returns a list.

    Args:
        prefix: `none`: judges complete values only; `closed`: also text that ends exactly at a boundary;
            `any`: any byte prefix. A declared form promises that a no to a prefix means a no to every
            completion.
        cost: a duration such as `"40ms"`, or `"cheap"`/`"expensive"`.
        timeout: a duration; `on_timeout` (default: `on_error`) says what running out means.
        workers: the most worker processes at a time; with 0 the function runs in the tool's own process.
        cache: keep results on disk for later runs; for potentials that are pure and dear.
        version: change it when results change for a reason that the function's files do not show, such as a
            model behind it; kept results of another version are not used.
        prefix_form: the name of a function of the same file and parameters that judges prefixes in this
            function's place, where a complete value is held to more than a prefix can be.
        explanation: the name of a function of the same file, with the same parameters and a keyword
            `prefix: bool`, that says in a line why a value got zero.
    """
    facts = Facts(
        prefix=prefix,
        cost_seconds=None if cost is None else parse_cost(cost),
        pure=pure,
        batch=batch,
        timeout_seconds=None if timeout is None else parse_duration(timeout),
        on_error=on_error,
        on_timeout=on_timeout or on_error,
        workers=workers,
        version=version,
        cache=cache,
    )
    return lambda function: Potential(function, facts, function.__name__, prefix_form, explanation)


_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_COSTS = {"cheap": 1e-5, "expensive": 1.0}


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `40ms`, `60s`, `2m`, `1h`. Raises ValueError."""
    number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = text.strip()[len(number) :]
    if unit not in _UNITS:
        raise ValueError(f"{text!r} is not a duration; write for example 40ms, 60s, 2m")
    return float(number) * _UNITS[unit]


def parse_cost(text: str) -> float:
    """Seconds of a declared cost: a duration, `cheap` or `expensive`. Raises ValueError."""
    return _COSTS[text] if text in _COSTS else parse_duration(text)
