"""From shapes to a lexed grammar.

Members come in the order of the schema: those that it names, then all others. So an object is a chain of
rules, one for each name, and its size grows with the number of names, not with their combinations. Arrays are
left-recursive. Every name that a schema spells, and every string and number, is one lexeme; `languages` keeps
lexemes apart, so that the contextual lexer loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import NamedTuple

from smcdsl.errors import CompileError
from smcdsl.notations.json_schema import finite, languages, mistakes, texts
from smcdsl.notations.json_schema.expansion import Expansion, Unsupported
from smcdsl.notations.json_schema.languages import Atom, Language
from smcdsl.notations.json_schema.numbers import Numbers, TooFine
from smcdsl.notations.json_schema.shapes import (
    ANY,
    NEVER,
    Arrays,
    Booleans,
    Goal,
    Null,
    Objects,
    Shape,
    Strings,
    both,
)

MOST_RULES = 20_000
MOST_PATTERNS = 5
MOST_SETS = 1_024
"""Sets of items that an array without repetition may have."""
_ABOUT_NUMBERS = ("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const")
_OVERLAPPING = (
    "anyOf",
    "oneOf",
    "patternProperties",
    "pattern",
    "format",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
)


class Value(NamedTuple):
    """A symbol that stands for any value of a goal."""

    goal: Goal


class Lexeme(NamedTuple):
    """A symbol that stands for one string, number or name."""

    language: Language


Symbol = str | Value | Lexeme
"""A rule, a fixed terminal (in capitals), or one of the above."""
Alternative = tuple[Symbol, ...]


@dataclass(frozen=True)
class Members:
    """An object laid out: members that are named, in order, then others by the language of their names."""

    named: tuple[tuple[str, Goal, bool], ...]
    others: tuple[tuple[Language, Goal], ...]
    least: int
    most: int | None
    where: str = ""


@dataclass(frozen=True)
class Items:
    """An array laid out: what may stand at each place, as (goal, which `contains` it counts for)."""

    array: Arrays
    places: tuple[tuple[tuple[Goal, tuple[int, ...]], ...], ...]
    """The last entry is for all further places."""
    where: str = ""


@dataclass
class Choices:
    """A goal's shapes by kind."""

    words: tuple[str, ...]
    strings: Language
    numbers: Language
    objects: tuple[Members, ...]
    arrays: tuple[Items, ...]


@dataclass
class Writer:
    """Collects the rules of a schema."""

    expansion: Expansion
    choices: dict[Goal, Choices] = field(default_factory=dict)
    rules: dict[str, list[Alternative]] = field(default_factory=dict)
    atoms: dict[Language, tuple[Atom, ...]] = field(default_factory=dict)
    names: dict[Goal, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def write(self, root: Goal) -> str:
        """Write the rules of everything that a goal reaches; the name of its rule."""
        self._lay_out(root)
        self._separate(root)
        for goal, choices in self.choices.items():
            self._goal(goal, choices)
        return self.name(root)

    # ---- laying out

    def _lay_out(self, root: Goal) -> None:
        pending = [root]
        while pending:
            goal = pending.pop()
            if goal in self.choices or goal >= NEVER:
                continue
            self.choices[goal] = choices = self._choices(self.expansion.expand(goal), goal)
            if len(self.choices) > MOST_RULES:
                raise self._too_large(goal)
            following = [inner for members in choices.objects for _, inner, _ in members.named]
            following += [inner for members in choices.objects for _, inner in members.others]
            following += [inner for items in choices.arrays for place in items.places for inner, _ in place]
            pending += reversed(following)

    def _choices(self, shapes: Iterable[Shape], goal: Goal) -> Choices:
        shapes = tuple(shapes)
        words = ["NULL"] if any(isinstance(shape, Null) for shape in shapes) else []
        flags = {flag for shape in shapes if isinstance(shape, Booleans) for flag in shape.values}
        words += [word for word, flag in (("FALSE", False), ("TRUE", True)) if flag in flags]
        where = _where(goal)
        objects = [self._members(shape, where) for shape in shapes if isinstance(shape, Objects)]
        arrays = [self._items(shape, where) for shape in shapes if isinstance(shape, Arrays)]
        try:
            return Choices(
                tuple(words),
                Language.of(shape for shape in shapes if isinstance(shape, Strings)),
                Language.of(shape for shape in shapes if isinstance(shape, Numbers)),
                tuple(dict.fromkeys(members for members in objects if members is not None)),
                tuple(dict.fromkeys(arrays)),
            )
        except TooFine as error:
            raise self.expansion.blame(_ABOUT_NUMBERS, where, str(error)) from error

    def _members(self, shape: Objects, where: str) -> Members | None:
        named = [*dict(shape.properties), *shape.required]
        named += sorted({name for others in shape.others for name in others.names})
        name_sets = [part for part in self.expansion.expand(shape.names) if isinstance(part, Strings)]
        found = []
        for name in dict.fromkeys(named):
            goal = self.expansion.member(shape, name)
            if not any(texts.contains(part, name) for part in name_sets):
                goal = NEVER
            if goal != NEVER:
                found.append((name, goal, name in shape.required))
            elif name in shape.required:
                return None
        others = self._others(shape, frozenset(named), name_sets, where)
        required = sum(is_required for _, _, is_required in found)
        least = 0 if shape.least <= required else shape.least
        most = shape.most if others or (shape.most is not None and shape.most < len(found)) else None
        if not others and least > len(found):
            return None
        if others and least > required + 1:
            reason = "an object may repeat names that its schema does not list, so they cannot be counted"
            raise self.expansion.refuse(where, "minProperties", reason, "list the names and close the object")
        return Members(tuple(found), others, least, most, where)

    def _others(
        self, shape: Objects, named: frozenset[str], name_sets: list[Strings], where: str
    ) -> tuple[tuple[Language, Goal], ...]:
        """Names that are not listed, by what their values must satisfy."""
        patterns = [pattern for pattern, _ in shape.patterns]
        patterns += [pattern for others in shape.others for pattern in sorted(others.patterns)]
        patterns = list(dict.fromkeys(patterns))
        if len(patterns) > MOST_PATTERNS:
            raise self.expansion.refuse(where, "patternProperties", f"more than {MOST_PATTERNS} patterns meet here")
        parts: dict[Goal, list[frozenset[tuple[str, str, bool]]]] = {}
        for size in range(len(patterns) + 1):
            for matched in combinations(patterns, size):
                goal = ANY.union(*(inner for pattern, inner in shape.patterns if pattern in matched))
                for others in shape.others:
                    if not others.patterns & set(matched):
                        goal |= others.goal
                demands = frozenset(("pattern", pattern, pattern in matched) for pattern in patterns)
                parts.setdefault(NEVER if goal >= NEVER else goal, []).append(demands)
        if len(parts) == 1:  # no pattern makes a difference
            parts = {goal: [frozenset()] for goal in parts}
        found = []
        for goal, options in parts.items():
            if goal != NEVER:
                sets = [both(Strings(patterns=o, without=named), part) for o in options for part in name_sets]
                language = Language.of(part for part in sets if isinstance(part, Strings))
                if not language.is_empty:
                    found.append((language, goal))
        return tuple(found)

    def _items(self, shape: Arrays, where: str) -> Items:
        constants = self._constants(shape) if shape.unique and not self._are_distinct(shape) else ()
        places = tuple(self._place(shape, index, constants) for index in range(_count_places(shape)))
        # No value twice: none is contained more than once.
        contains = (*shape.contains, *((goal, 0, 1) for goal in constants))
        return Items(replace(shape, contains=contains), places, where)

    def _constants(self, shape: Arrays) -> tuple[Goal, ...]:
        """The values that items of an array without repetition may be, each a goal."""
        pointer = "" if shape.unique == "/" else shape.unique
        found: dict[Goal, None] = {}
        for index in range(_count_places(shape)):
            values = finite.values_of(self.expansion.expand(shape.item(index)))
            if values is None:
                reason = "what stands in an array cannot be compared with what stood there before"
                raise self.expansion.refuse(pointer, "uniqueItems", reason, "check it afterwards, with a `require`")
            found.update(dict.fromkeys(map(self.expansion.constant, values)))
        if finite.count_sets(len(found), shape.most) > MOST_SETS:
            reason = f"its items can be more than {MOST_SETS:,} different sets"
            raise self.expansion.refuse(pointer, "uniqueItems", reason, "lower `maxItems`")
        return tuple(found)

    def _are_distinct(self, shape: Arrays) -> bool:
        """Whether no two items can be equal, as far as can be seen."""
        if shape.most is not None and shape.most <= 1:
            return True
        if shape.most is None or shape.most > len(shape.prefix):
            return False
        pairs = combinations(shape.prefix, 2)
        return not any(self.expansion.may_hold(first | second, 4) for first, second in pairs)

    def _place(
        self, shape: Arrays, index: int, constants: tuple[Goal, ...]
    ) -> tuple[tuple[Goal, tuple[int, ...]], ...]:
        """What may stand at a place, and what it counts for: each `contains`, then each constant if there are any."""
        options: list[tuple[Goal, tuple[int, ...]]] = [(shape.item(index), ())]
        for goal, _, most in shape.contains:
            ((pointer, keep),) = goal
            other: Goal = frozenset({(pointer, not keep)})
            try:
                self.expansion.expand(other)
            except Unsupported:
                if most is not None:
                    raise
                other = ANY  # an item that is not counted may be one that could be
            options = [(g | extra, (*c, n)) for g, c in options for extra, n in ((goal, 1), (other, 0))]
        if constants:
            ones = [tuple(int(n == k) for n in range(len(constants))) for k in range(len(constants))]
            options = [(g | one, (*c, *count)) for g, c in options for one, count in zip(constants, ones)]
            options = [(goal, counts) for goal, counts in options if self.expansion.expand(goal)]
        return tuple((NEVER if goal >= NEVER else goal, counts) for goal, counts in options)

    def _too_large(self, goal: Goal) -> CompileError:
        where = _where(goal)
        span = self.expansion.document.span(where)
        reason = f"it takes more than {MOST_RULES:,} rules"
        return CompileError(mistakes.unsupported("schema", where, span, reason))

    # ---- telling lexemes apart

    def _separate(self, root: Goal) -> None:
        """Find which languages can be expected at the same place, and cut those into atoms."""
        meeting = _Meeting()
        seen: set[frozenset[Goal]] = set()
        pending = [frozenset({root})]
        while pending:
            context = pending.pop()
            if context in seen:
                continue
            seen.add(context)
            if len(seen) > MOST_RULES:
                raise self._too_large(root)
            choices = [self.choices[goal] for goal in context if goal in self.choices]
            meeting.join([choice.strings for choice in choices])
            meeting.join([choice.numbers for choice in choices])
            objects = [members for choice in choices for members in choice.objects]
            if len(objects) > 1:
                meeting.join([language for members in objects for language in _name_languages(members)])
            pending += _member_contexts(objects)
            pending += _item_contexts([items for choice in choices for items in choice.arrays])
        for group in meeting.groups():
            try:
                self.atoms.update(languages.divided(group))
            except languages.TooManyOverlap as error:
                reason = f"more than {languages.MOST_OVERLAPPING} patterns or ranges may apply to one value here"
                raise self.expansion.blame(_OVERLAPPING, _where(root), reason) from error

    # ---- writing

    def name(self, goal: Goal) -> str:
        """The name of a goal's rule."""
        if goal not in self.names:
            self.names[goal] = self._free(_name_of(goal))
        return self.names[goal]

    def lexeme_of(self, goal: Goal) -> Symbol | None:
        """The one lexeme that a goal is, if its rule has no name that a program may use."""
        choices = self.choices.get(goal)
        if choices is None or choices.objects or choices.arrays or not self.name(goal).startswith("_"):
            return None
        found: list[Symbol] = [*choices.words]
        found += [Lexeme(part) for part in (choices.strings, choices.numbers) if not part.is_empty]
        return found[0] if len(found) == 1 else None

    def _free(self, name: str) -> str:
        found, number = name, 2
        while found in self.taken:
            found, number = f"{name}_{number}", number + 1
        self.taken.add(found)
        return found

    def _rule(self, name: str, alternatives: list[Alternative]) -> str:
        self.rules[name] = alternatives
        if len(self.rules) > MOST_RULES:
            raise self._too_large(frozenset({("", True)}))
        return name

    def _goal(self, goal: Goal, choices: Choices) -> None:
        name = self.name(goal)
        alternatives: list[Alternative] = [(word,) for word in choices.words]
        alternatives += [(Lexeme(part),) for part in (choices.strings, choices.numbers) if not part.is_empty]
        for members in choices.objects:
            alternatives += self._object(members, name)
        for items in choices.arrays:
            alternatives += self._array(items, name)
        self._rule(name, alternatives)

    def _object(self, members: Members, name: str) -> list[Alternative]:
        """Rules `first i` and `after i`: what may come from named member i on, before and after the first comma."""
        prefix = self._free(f"_{name}_members")
        counted = members.least > 0 or members.most is not None
        other = ""
        if members.others:
            pairs: list[Alternative] = [(Lexeme(language), "COLON", Value(goal)) for language, goal in members.others]
            other = self._rule(f"{prefix}_other", pairs)
            more = f"{prefix}_more"
            self._rule(more, [("COMMA", other), (more, "COMMA", other)])
        chain = _Chain(members, prefix, other, counted)
        start = chain.first(0)
        while chain.pending:
            rule, alternatives = chain.take()
            self._rule(rule, alternatives)
        return [("OPEN_OBJECT", start, "CLOSE_OBJECT")]

    def _array(self, items: Items, name: str) -> list[Alternative]:
        """Rules for the items so far, by how many there are and how many of them count for each `contains`."""
        array = items.array
        last = array.most if array.most is not None else max(len(array.prefix), array.least, 1)
        if last > MOST_RULES:
            keyword = "minItems" if array.most is None else "maxItems"
            raise self.expansion.refuse(items.where, keyword, f"it takes more than {MOST_RULES:,} rules")
        prefix = self._free(f"_{name}_items")
        caps = [least if most is None else most for _, least, most in array.contains]
        zero = (0,) * len(caps)
        found: dict[str, list[Alternative]] = {}
        closing: list[Alternative] = []
        done: set[tuple[int, tuple[int, ...]]] = set()
        pending = [(0, zero)]
        while pending:
            here = count, counted = pending.pop()
            if here in done:
                continue
            done.add(here)
            if len(done) > MOST_RULES:
                keyword = "contains" if array.contains else "minItems"
                raise self.expansion.refuse(items.where, keyword, f"it takes more than {MOST_RULES:,} rules")
            enough = all(n >= least for n, (_, least, _) in zip(counted, array.contains))
            if enough and count >= array.least:
                rule = _numbered(prefix, count, counted)
                closing.append(("OPEN_ARRAY", rule, "CLOSE_ARRAY") if count else ("OPEN_ARRAY", "CLOSE_ARRAY"))
            if count == array.most:
                continue
            for goal, counts in items.places[min(count, len(items.places) - 1)]:
                after = tuple(n + more for n, more in zip(counted, counts))
                if any(n > cap and most is not None for n, cap, (_, _, most) in zip(after, caps, array.contains)):
                    continue
                after = tuple(min(n, cap) for n, cap in zip(after, caps))
                following = min(count + 1, last), after
                before: Alternative = (_numbered(prefix, count, counted), "COMMA") if count else ()
                found.setdefault(_numbered(prefix, *following), []).append((*before, Value(goal)))
                pending.append(following)
        for rule, alternatives in found.items():
            self._rule(rule, alternatives)
        return closing


def _count_places(shape: Arrays) -> int:
    """Places of an array that its items are read by; the last is for all further ones."""
    return len(shape.prefix) + (shape.most is None or shape.most > len(shape.prefix))


class _Chain:
    """The rules of an object's members: pending ones are (index, anything written yet, members so far)."""

    def __init__(self, members: Members, prefix: str, other: str, counted: bool) -> None:
        self.members, self.prefix, self.other, self.counted = members, prefix, other, counted
        self.cap = members.least if members.most is None else members.most
        self.pending: list[tuple[int, bool, int]] = []
        self.known: set[tuple[int, bool, int]] = set()

    def first(self, index: int) -> str:
        return self._name(index, False, 0)

    def _name(self, index: int, after: bool, count: int) -> str:
        key = index, after, count if self.counted else 0
        if key not in self.known:
            self.known.add(key)
            self.pending.append(key)
        suffix = f"_{key[2]}" if self.counted else ""
        return f"{self.prefix}_{'after' if after else 'first'}_{index}{suffix}"

    def take(self) -> tuple[str, list[Alternative]]:
        """The next rule."""
        index, after, count = key = self.pending.pop()
        name = self._name(*key)
        comma: Alternative = ("COMMA",) if after else ()
        full = self.members.most is not None and count >= self.members.most
        following = min(count + 1, self.cap) if self.counted else 0
        if index == len(self.members.named):
            return name, self._rest(after, count, comma, full, following)
        member, goal, required = self.members.named[index]
        alternatives: list[Alternative] = []
        if not full:
            key_symbol = Lexeme(Language(frozenset(), frozenset({member})))
            alternatives.append((*comma, key_symbol, "COLON", Value(goal), self._name(index + 1, True, following)))
        if not required:
            alternatives.append((self._name(index + 1, after, count),))
        return name, alternatives

    def _rest(self, after: bool, count: int, comma: Alternative, full: bool, following: int) -> list[Alternative]:
        """All members that are not named."""
        alternatives: list[Alternative] = []
        if not self.counted or count >= self.members.least:
            alternatives.append(())
        if not self.other or full:
            return alternatives
        if self.counted and self.members.most is not None:
            return [*alternatives, (*comma, self.other, self._name(len(self.members.named), True, following))]
        # One more is enough, see `Writer._members`; so they may repeat without a count.
        return [*alternatives, (*comma, self.other), (*comma, self.other, self._more())]

    def _more(self) -> str:
        return f"{self.prefix}_more"


class _Meeting:
    """Languages that meet, directly or through others."""

    def __init__(self) -> None:
        self.parent: dict[Language, Language] = {}

    def find(self, language: Language) -> Language:
        while self.parent.setdefault(language, language) != language:
            language = self.parent[language]
        return language

    def join(self, found: Iterable[Language]) -> None:
        kept = list(dict.fromkeys(language for language in found if not language.is_empty))
        for language in kept[1:]:
            self.parent[self.find(language)] = self.find(kept[0])

    def groups(self) -> list[list[Language]]:
        found: dict[Language, list[Language]] = {}
        for language in self.parent:
            found.setdefault(self.find(language), []).append(language)
        return [group for group in found.values() if len(group) > 1]


def _name_languages(members: Members) -> list[Language]:
    listed = [Language(frozenset(), frozenset({name})) for name, _, _ in members.named]
    return [*listed, *(language for language, _ in members.others)]


def _member_contexts(objects: list[Members]) -> list[frozenset[Goal]]:
    """Goals that may be expected together after a name."""
    if len(objects) == 1:
        (members,) = objects
        return [frozenset({goal}) for goal in (*(g for _, g, _ in members.named), *(g for _, g in members.others))]
    together: dict[str, set[Goal]] = {}
    for members in objects:
        for name, goal, _ in members.named:
            together.setdefault(name, set()).add(goal)
    for name, goals in together.items():
        goals.update(goal for members in objects for language, goal in members.others if language.contains(name))
    found = [frozenset(goals) for goals in together.values()]
    unlisted = frozenset(goal for members in objects for _, goal in members.others)
    return [*found, unlisted] if unlisted else found


def _item_contexts(arrays: list[Items]) -> list[frozenset[Goal]]:
    """Goals that may be expected together at a place of an array."""
    places = max((len(items.places) for items in arrays), default=0)
    return [
        frozenset(
            goal
            for items in arrays
            if items.places
            for goal, _ in items.places[min(index, len(items.places) - 1)]
            if goal != NEVER
        )
        for index in range(places)
    ]


def _numbered(prefix: str, count: int, counted: tuple[int, ...]) -> str:
    return "_".join([prefix, str(count), *map(str, counted)])


def _where(goal: Goal) -> str:
    """A pointer of a goal, for messages."""
    return next((pointer for pointer, _ in sorted(goal) if pointer.startswith("/")), "")


def _name_of(goal: Goal) -> str:
    """A name for a goal's rule: of the definition, or of the member that it is the value of."""
    if not goal:
        return "value"
    if len(goal) > 1 or not next(iter(goal))[1]:
        return "_goal"
    pointer = next(iter(goal))[0]
    if not pointer:
        return "start"
    if not pointer.startswith("/"):
        return "_constant"
    parts = pointer.split("/")
    word = "".join(c if c.isascii() and c.isalnum() else "_" for c in parts[-1]) or "_"
    is_definition = len(parts) == 3 and parts[1] in ("$defs", "definitions") and parts[2].isidentifier()
    return parts[2] if is_definition and parts[2].isascii() else f"_{word}"
