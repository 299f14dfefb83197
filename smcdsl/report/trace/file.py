"""A trace as a file: events as JSON, one a line (`smcdsl.trace/1`), and back.

Texts are stored as what was added since the boundary before, and what factors did once for all slots where they
did the same, so that a file grows with what was written and not with its square. Reading trusts nothing: what is
not as `lines_of` writes it is a mistake with the number of its line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from smcdsl.errors import Diagnostic, UsageError
from smcdsl.inference.collapse import Change
from smcdsl.inference.events import Died, Event, Finished, Resampled, Site, Started, plain

SCHEMA = "smcdsl.trace/1"
MOST_BYTES = 256 * 1024 * 1024
"""A trace of 256 particles that are judged after each of 200 tokens has about a hundredth of it."""

_MADE = "`smcdsl run PROGRAM --trace FILE` writes a trace; `smcdsl trace --last` shows the last one that was kept"
_Key = tuple[int, int, int]
_HEAD = ("group", "seconds", "island", "population")
_Value = TypeVar("_Value")


def lines_of(events: Iterable[Event]) -> Iterator[str]:
    """The lines of a trace's file, each with its newline."""
    before: dict[_Key, _Before] = {}
    for event in events:
        record = _head(event)
        if isinstance(event, Site):
            known = before.setdefault(key_of(event), _Before(len(event.texts)))
            record |= _site_record(event, known)
            known.arrived(event.texts)
        else:
            record |= {each.name: plain(getattr(event, each.name)) for each in _own(event)}
        if isinstance(event, Started):
            before[key_of(event)] = _Before(event.num_particles)
            record = {"event": "started", "schema": SCHEMA, **record}
        elif isinstance(event, Resampled) and key_of(event) in before:
            before[key_of(event)].origins = event.ancestors
        # ASCII: what a model wrote may hold characters that act on a terminal.
        yield json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n"


def key_of(event: Event) -> _Key:
    """What tells populations apart."""
    return event.group, event.island, event.population


def common_length(one: str, other: str) -> int:
    """How many characters two texts begin with together."""
    if other.startswith(one):
        return len(one)
    return next((place for place, (left, right) in enumerate(zip(one, other)) if left != right), len(other))


class _Before:
    """Texts at the boundary before, and where the slots' lines come from unless an event says otherwise."""

    def __init__(self, size: int) -> None:
        self.texts: tuple[str, ...] = ("",) * size
        self.origins: tuple[int, ...] = tuple(range(size))

    def arrived(self, texts: tuple[str, ...]) -> None:
        """These are the texts now."""
        self.texts, self.origins = texts, tuple(range(len(texts)))

    def text(self, origin: int) -> str:
        return self.texts[origin] if origin >= 0 else ""


def _own(event: Event) -> list[Any]:
    return [each for each in fields(event) if each.name not in _HEAD]


def _head(event: Event) -> dict[str, Any]:
    record = {"event": event.name, "group": event.group, "seconds": event.seconds}
    record |= {"island": event.island} if event.island else {}
    return record | ({"population": event.population} if event.population != 1 else {})


def _site_record(event: Site, before: _Before) -> dict[str, Any]:
    record: dict[str, Any] = {"number": event.number}
    origins = event.origins or before.origins
    if origins != before.origins:
        record["origins"] = list(origins)
    added, kept = [], {}
    for slot, text in enumerate(event.texts):
        old = before.text(origins[slot])
        same = common_length(old, text)
        if same < len(old):
            kept[str(slot)] = same
        added.append(text[same:])
    record["added"] = added
    if kept:
        record["kept"] = kept
    record["log_weights"] = plain(event.log_weights)
    record["finished"] = [slot for slot, is_finished in enumerate(event.finished) if is_finished]
    distinct = list(dict.fromkeys(event.changes))
    if any(distinct):
        places = {changes: place for place, changes in enumerate(distinct)}
        made = [[[each.factor, plain(each.log_weight), each.place] for each in changes] for changes in distinct]
        record["changes"] = {"made": made, "of": [places[changes] for changes in event.changes]}
    record |= {"ess": event.ess, "tokens": event.tokens, "calls": plain(event.calls)}
    record |= {} if event.drafts is None else {"drafts": list(event.drafts)}
    return record | {"spent": plain(event.spent)}


def read(path: str | Path) -> tuple[Event, ...]:
    """The events of a file.

    Raises:
        UsageError: E0830, it cannot be read or is no trace; E0831, a line of it is damaged.
    """
    name = str(path)
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(Diagnostic("E0830", f"there is no file `{name}`", context=name, help=_MADE)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(Diagnostic("E0830", f"`{name}` cannot be read", context=name, facts=(reason,))) from error
    if len(data) > MOST_BYTES:
        raise UsageError(_no_trace(name, f"it has more than {MOST_BYTES // 2**20} MB"))
    return parse(data, name)


def parse(data: bytes, name: str = "<trace>") -> tuple[Event, ...]:
    """The events in a file's bytes. Raises UsageError as `read` does."""
    if not data.strip():
        raise UsageError(_no_trace(name, "it is empty"))
    reader, lines = _Reader(), data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            reader.take(_record(line))
        except _NoTrace as error:
            raise UsageError(_no_trace(name, str(error))) from None
        except _Damaged as error:
            if not reader.events:
                raise UsageError(_no_trace(name, f"line {number}: {error}")) from None
            raise UsageError(_damaged(name, number, str(error), number == len(lines))) from None
    return tuple(reader.events)


class _Damaged(Exception):
    """A line is not as it was written."""


class _NoTrace(Exception):
    """The file is something else."""


def _no_trace(name: str, fact: str) -> Diagnostic:
    return Diagnostic("E0830", f"`{name}` is no trace of a run", context=name, facts=(fact,), help=_MADE)


def _damaged(name: str, line: int, fact: str, is_last: bool) -> Diagnostic:
    fix = "the file was cut off; without its last line it can be read" if is_last else "write the trace again"
    return Diagnostic(
        "E0831", f"line {line} of this trace is damaged", context=f"{name}:{line}", facts=(fact,), help=fix
    )


def _record(line: bytes) -> Mapping[str, Any]:
    try:
        record = json.loads(line.decode("utf-8-sig"), parse_constant=_refused)
    except UnicodeDecodeError:
        raise _Damaged("it is not UTF-8") from None
    except (ValueError, RecursionError):
        raise _Damaged("it is not JSON") from None
    if not isinstance(record, dict):
        raise _Damaged("it is no JSON object")
    return record


def _refused(constant: str) -> float:
    raise ValueError(constant)


class _Reader:
    """Makes events of records, one after another."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._before: dict[_Key, _Before] = {}
        self._factors: dict[_Key, int] = {}

    def take(self, record: Mapping[str, Any]) -> None:
        """The next line. Raises _Damaged and _NoTrace."""
        kind = record.get("event")
        if not self.events and (kind != "started" or record.get("schema") != SCHEMA):
            found = record.get("schema")
            raise _NoTrace(
                f'its first line is no `started` event of "{SCHEMA}"'
                + (f", but of {json.dumps(found)}" if found else "")
            )
        makers = {
            "started": self._started,
            "site": self._site,
            "resampled": self._resampled,
            "died": self._died,
            "finished": self._finished,
        }
        if not isinstance(kind, str) or kind not in makers:
            raise _Damaged(f"there is no event {json.dumps(kind)[:80]}")
        head = {
            "group": _whole(record, "group"),
            "seconds": _number(record, "seconds"),
            "island": _whole({"island": 0, **record}, "island"),
            "population": _whole({"population": 1, **record}, "population"),
        }
        self.events.append(makers[kind](record, head))

    def _known(self, head: Mapping[str, Any]) -> _Before:
        before = self._before.get((head["group"], head["island"], head["population"]))
        if before is None:
            raise _Damaged("its population has not started")
        return before

    def _started(self, record: Mapping[str, Any], head: dict[str, Any]) -> Event:
        key = head["group"], head["island"], head["population"]
        if key in self._before:
            raise _Damaged("its population has started before")
        size = _whole(record, "num_particles", least=1, most=1 << 20)
        factors, lines = _texts(record, "factors"), _wholes(record, "lines")
        if len(factors) != len(lines):
            raise _Damaged("`factors` and `lines` differ in length")
        self._before[key], self._factors[key] = _Before(size), len(factors)
        return Started(
            **head,
            num_particles=size,
            seed=_whole(record, "seed", least=None),
            program=_text(record, "program"),
            method=_text(record, "method"),
            factors=factors,
            lines=lines,
        )

    def _site(self, record: Mapping[str, Any], head: dict[str, Any]) -> Event:
        before = self._known(head)
        size = len(before.texts)
        origins = before.origins
        if "origins" in record:
            origins = _sized(_wholes(record, "origins", least=-1, most=size - 1), size, "origins")
        added = _sized(_texts(record, "added"), size, "added")
        kept = {slot: len(before.text(origin)) for slot, origin in enumerate(origins)}
        for slot, length in _mapping({"kept": {}, **record}, "kept").items():
            if slot not in {str(known) for known in kept} or type(length) is not int or length < 0:
                raise _Damaged("`kept` is no mapping of slots to lengths")
            kept[int(slot)] = length
        texts = tuple(before.text(origins[slot])[: kept[slot]] + text for slot, text in enumerate(added))
        before.arrived(texts)
        ended = set(_wholes(record, "finished", most=size - 1))
        drafts = _wholes(record, "drafts") if "drafts" in record else None
        if drafts is not None and len(drafts) != 2:
            raise _Damaged("`drafts` are not two numbers")
        return Site(
            **head,
            number=_whole(record, "number"),
            texts=texts,
            log_weights=_sized(_logs(record, "log_weights"), size, "log_weights"),
            finished=tuple(slot in ended for slot in range(size)),
            ess=_number(record, "ess"),
            tokens=_whole(record, "tokens"),
            calls=_calls(record),
            origins=origins,
            changes=self._changes(record, head, size),
            drafts=None if drafts is None else (drafts[0], drafts[1]),
            spent=_seconds(record),
        )

    def _changes(self, record: Mapping[str, Any], head: dict[str, Any], size: int) -> tuple[tuple[Change, ...], ...]:
        if "changes" not in record:
            return ((),) * size
        stored = _mapping(record, "changes")
        number = self._factors[head["group"], head["island"], head["population"]]
        made = [tuple(_change(each, number) for each in _items(own)) for own in _items(stored.get("made"))]
        places = _sized(_wholes(stored, "of", most=len(made) - 1), size, "changes")
        return tuple(made[place] for place in places)

    def _resampled(self, record: Mapping[str, Any], head: dict[str, Any]) -> Event:
        before = self._known(head)
        size = len(before.texts)
        ancestors = _sized(_wholes(record, "ancestors", most=size - 1), size, "ancestors")
        before.origins = ancestors
        number, weight = _whole(record, "number"), _log(record.get("log_weight", "missing"))
        return Resampled(**head, number=number, ancestors=ancestors, log_weight=weight)

    def _died(self, record: Mapping[str, Any], head: dict[str, Any]) -> Event:
        size = len(self._known(head).texts)
        number = self._factors[head["group"], head["island"], head["population"]]
        return Died(
            **head,
            slot=_whole(record, "slot", most=size - 1),
            cause=_text(record, "cause"),
            place=_text(record, "place"),
            text=_text(record, "text"),
            factor=_whole(record, "factor", least=-1, most=number - 1),
            reason=_text(record, "reason"),
        )

    def _finished(self, record: Mapping[str, Any], head: dict[str, Any]) -> Event:
        log_z = record.get("log_z", "missing")
        complete = record.get("complete")
        if not isinstance(complete, bool):
            raise _Damaged("`complete` is not true or false")
        return Finished(
            **head,
            # Null is minus infinity where the method estimates it: then no slot has weight.
            log_z=None if log_z is None and record.get("target") == "biased" else _log(log_z),
            ess=_number(record, "ess"),
            complete=complete,
            target=_text(record, "target"),
            log_weights=_logs(record, "log_weights"),
            resamplings=_whole(record, "resamplings"),
            deaths={name: _count(number) for name, number in _mapping(record, "deaths").items()},
            tokens={name: _count(number) for name, number in _mapping(record, "tokens").items()},
            calls=_calls(record),
            spent=_seconds(record),
            warnings=_texts(record, "warnings"),
        )


def _items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Damaged("there is no list where there should be one")
    return value


def _mapping(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    if not isinstance(value, dict):
        raise _Damaged(f"`{name}` is missing or no object")
    return value


def _count(value: Any, least: int | None = 0, most: int | None = None) -> int:
    if type(value) is not int or (least is not None and value < least) or (most is not None and value > most):
        raise _Damaged("a number is missing or out of range")
    if abs(value) >= 1 << 64:
        raise _Damaged("a number is too large")
    return value


def _whole(record: Mapping[str, Any], name: str, least: int | None = 0, most: int | None = None) -> int:
    try:
        return _count(record.get(name), least, most)
    except _Damaged:
        raise _Damaged(f"`{name}` is missing or out of range") from None


def _number(record: Mapping[str, Any], name: str) -> float:
    value = record.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e18:
        raise _Damaged(f"`{name}` is missing or out of range")
    return float(value)


def _log(value: Any) -> float:
    """The log of a weight; null is minus infinity."""
    if value is None:
        return -math.inf
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e18:
        raise _Damaged("a log weight is missing or out of range")
    return float(value)


def _logs(record: Mapping[str, Any], name: str) -> tuple[float, ...]:
    return tuple(_log(value) for value in _items(record.get(name)))


def _wholes(record: Mapping[str, Any], name: str, least: int = 0, most: int | None = None) -> tuple[int, ...]:
    try:
        return tuple(_count(value, least, most) for value in _items(record.get(name)))
    except _Damaged:
        raise _Damaged(f"`{name}` is missing or has a number out of range") from None


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise _Damaged(f"`{name}` is missing or no text")
    return value


def _texts(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = _items(record.get(name))
    if not all(isinstance(value, str) for value in found):
        raise _Damaged(f"`{name}` has something that is no text")
    return tuple(found)


def _sized(found: tuple[_Value, ...], size: int, name: str) -> tuple[_Value, ...]:
    if len(found) != size:
        raise _Damaged(f"`{name}` has {len(found)} entries for {size} particles")
    return found


def _change(value: Any, factors: int) -> Change:
    stored = _items(value)
    if len(stored) != 3 or not isinstance(stored[2], str):
        raise _Damaged("a change is not a factor, a weight and a place")
    return Change(_count(stored[0], 0, factors - 1), _log(stored[1]), stored[2])


def _calls(record: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    found = {}
    for name, counts in _mapping(record, "calls").items():
        if len(_items(counts)) != 2:
            raise _Damaged("`calls` are not two numbers each")
        found[name] = (_count(counts[0]), _count(counts[1]))
    return found


def _seconds(record: Mapping[str, Any]) -> dict[str, float]:
    spent = _mapping(record, "spent")
    return {name: _number(spent, name) for name in spent}


def as_stored(events: Sequence[Event]) -> str:
    """A whole file."""
    return "".join(lines_of(events))
