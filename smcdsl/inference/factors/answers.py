"""What a call of a potential may answer: checked results, what policies put in their place, and errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from smcdsl.errors import Diagnostic, Label, ModelError, PotentialError, UsageError, line_of_file
from smcdsl.library.functions import how_to_load
from smcdsl.program.evaluation import UNKNOWN, PotentialCall
from smcdsl.program.types import Signature
from smcdsl.workers import Outcome

LONGEST_SHOWN = 80
"""Characters of an argument that a message shows: its last ones."""


def values_of(calls: Sequence[PotentialCall], value: Any) -> Sequence[Any]:
    """What one call of the function answered, text by text. Raises PotentialError (R0904)."""
    signature = calls[0].signature
    if signature.batched < 0:
        return [value]
    wanted = f"not a list of {len(calls)} results for as many texts"
    if not isinstance(value, list | tuple):
        raise wrong_result(calls[0], f"`{signature.name}` returned {shown(value)}, {wanted}")
    if len(value) != len(calls):
        raise wrong_result(calls[0], f"`{signature.name}` returned {len(value)} results, {wanted}")
    return value


def checked(call: PotentialCall, value: Any) -> Any:
    """The result as a plain value, if it is what the signature declares.

    `UNKNOWN` is the result of a prefix form that returned None. Raises PotentialError (R0904).
    """
    if value is None and call.prefix and call.signature.is_potential:
        return UNKNOWN
    if hasattr(value, "item") and getattr(value, "shape", None) == () and not _is_tensor(value):
        value = value.item()
    result = call.signature.result.name
    name = call.signature.name
    if result == "bool":
        if not isinstance(value, bool):
            raise wrong_result(call, f"`{name}` returned {shown(value)}, not a yes or no")
    elif result in ("weight", "logweight", "float", "int"):
        if not isinstance(value, int | float):
            raise wrong_result(call, f"`{name}` returned {shown(value)}, not a number")
        try:
            float(value)
        except OverflowError:
            raise wrong_result(call, f"`{name}` returned a number that is too large") from None
        if math.isnan(value):
            raise wrong_result(call, f"`{name}` returned NaN")
        if value == math.inf or (result == "weight" and value < 0):
            raise wrong_result(call, f"`{name}` returned {shown(value)}")
    return value


def _is_tensor(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] in ("torch", "tensorflow", "jax")


def wrong_result(call: PotentialCall, message: str) -> PotentialError:
    """R0904."""
    label = Label(call.site, f"for {shown_arguments(call)}", primary=True)
    fix = "a weight must be a finite number that is zero or larger"
    if call.signature.result.name == "bool":
        fix = "a potential for `require` returns True or False"
    elif call.signature.result.name == "logweight":
        fix = "a log-weight must be a number below infinity"
    return PotentialError(Diagnostic("R0904", message, (label,), help=fix), call.signature.name, call.arguments)


def failure(
    call: PotentialCall, outcome: Outcome, succeeded: int, *, tries: int = 1, together: int = 1
) -> PotentialError:
    """R0903: a call raised, ran out of time or lost its process, and the policy is to fail.

    Args:
        call: the call, or one of those that failed together.
        succeeded: how many calls of the potential went well before.
        tries: how often it was made.
        together: how many texts the call had, none of which fails alone.
    """
    name, facts = call.signature.name, call.signature.facts
    labels = [Label(call.site, f"for {shown_arguments(call)}", primary=True)]
    facts_shown: tuple[str, ...] = ()
    policy = "on_error"
    if outcome.kind == "timeout":
        message = f"`{name}` took longer than {facts.timeout_seconds or 0:g} s"
        policy = "on_timeout"
    elif outcome.died:
        message = f"`{name}` ended its worker process"
        facts_shown = (outcome.error,)
    else:
        message = f"`{name}` cannot be loaded" if outcome.unloaded else f"`{name}` raised an exception"
        place = line_of_file(outcome.file, outcome.line)
        if place is None:
            facts_shown = (outcome.error,)
        else:
            labels.append(Label(place, outcome.error))
    notes = [f"{succeeded} earlier calls succeeded; the policy is `{policy}: fail`"]
    if tries > 1:
        notes.append(f"it was tried {tries} times")
    if together > 1:
        notes.append(f"it failed on {together} texts at once, and on none of them alone")
    fix = f"fix the function, or choose what a failure means: {{ {policy}: zero }}"
    if call.signature.location.path:
        fix += f', in Python `@potential({policy}="zero")`'
    if outcome.unloaded:
        notes, fix = [], how_to_load(outcome.error)
    diagnostic = Diagnostic("R0903", message, tuple(labels), tuple(notes), fix, facts=facts_shown)
    return PotentialError(diagnostic, name, call.arguments)


def refused(call: PotentialCall, error: UsageError | ModelError) -> UsageError | ModelError:
    """The error of a potential that an input or a model does not suit, with the call's place where it has none."""
    diagnostic = error.diagnostics[0]
    if not diagnostic.labels:
        label = Label(call.site, f"for {shown_arguments(call)}", primary=True)
        error.diagnostics = (replace(diagnostic, labels=(label,), context=""), *error.diagnostics[1:])
    return error


class PolicyValue(float):
    """A number that a policy put in the place of a result; `is_one` says which policy."""

    is_one: bool

    def __new__(cls, value: float, is_one: bool) -> PolicyValue:
        """As a float."""
        made = super().__new__(cls, value)
        made.is_one = is_one
        return made


def policy_value(signature: Signature, policy: str) -> Any:
    """What `zero` and `one` mean for a result of this type."""
    one = policy == "one"
    if signature.result.name == "bool":
        return one
    if signature.result.name == "logweight":
        return PolicyValue(0.0 if one else -math.inf, one)
    return PolicyValue(1.0 if one else 0.0, one)


def shown_arguments(call: PotentialCall) -> str:
    """The arguments by name, long ones cut to their ends."""
    pairs = zip(call.signature.parameters, call.arguments, strict=False)
    return ", ".join(f"{parameter.name} = {shown(value)}" for parameter, value in pairs)


def shown(value: Any) -> str:
    """A value in a message."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        cut = value if len(value) <= LONGEST_SHOWN else value[-LONGEST_SHOWN:]
        return ("..." if len(value) > len(cut) else "") + '"' + cut.replace("\n", "\\n") + '"'
    if isinstance(value, bool | int | float):
        return repr(value)
    try:
        text = repr(value)
    except Exception:  # a user's object
        text = f"a {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else "..." + text[3 - LONGEST_SHOWN :]
