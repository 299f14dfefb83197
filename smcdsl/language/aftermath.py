"""One mistake, one message: what a syntax mistake makes the checks say afterwards is left out.

A broken line may have introduced a name that is unknown now, or given a test the input that it lacks
now, and what is made from that name has no type to complain about. One unknown name is one mistake,
wherever it stands. A hole that has lost a bracket, its name or its colon is ordinary text by the rules of the language;
only where names are unknown, or nothing is left to write, is it taken for what it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from smcdsl.errors import Diagnostic, Label, Source, Span
from smcdsl.language import mistakes_syntax as mistakes
from smcdsl.language import syntax as sx
from smcdsl.program import statements as st

_UNKNOWN_NAME = frozenset({"E0201", "E0401"})
_NOTHING_TO_WRITE = "E0602"
_NO_LIBRARY = "E0209"

_OF_VALUES = frozenset(
    "E0202 E0205 E0206 E0301 E0302 E0305 E0306 E0307 E0412 E0417 E0509 E0510 E0511 E0612 E0730".split()
)
"""What may follow from a name of which nothing is known any more."""

_OF_WHAT_FOLLOWS = frozenset({"E0606", "E0607"})
"""What may follow from text that is missing behind a hole."""

_OF_ONE_THING = frozenset({"E0201", "E0202", "E0205", "E0206", "E0401"})
"""Codes whose messages name the thing that is wrong, so that equal messages tell of one mistake."""

_MOST_PLACES = 4
"""Places of one mistake that a frame shows."""

_INTRODUCER = re.compile(
    r"^[ \t]*(?:(?:import|input|grammar|potential|template|let|for|use)(?!\w)|\w*[ \t]*=(?!=)|[\w.]+\()|\[\[|\bas[ \t]",
    re.MULTILINE,
)
_INTRODUCED = re.compile(
    r"(?:^[ \t]*(?:import|input|grammar|potential|template|let|for)[ \t]+|\[\[[ \t]*|\bas[ \t]+)([^\W\d]\w*)"
    r"|^[ \t]*([^\W\d]\w*)[ \t]*=(?!=)",
    re.MULTILINE,
)
_MADE_FROM = re.compile(
    r"\[\[[ \t]*([^\W\d]\w*)(?:\[\])?[ \t]*:([^\n]*?)\]\]"
    r"|^[ \t]*(?:grammar|potential|let|for)[ \t]+([^\W\d]\w*)([^\n]*)",
    re.MULTILINE,
)
_USED = re.compile(r"^[ \t]*use[ \t]+([^\W\d]\w*)", re.MULTILINE)
_WORD = re.compile(r"[^\W\d]\w*")

_NAME = r"([^\W\d]\w*)(?:\[\])?"
_LOST_NAME = re.compile(r"\[\[[ \t]*(?:\[\])?[ \t]*:(?=[^\n]*\]\])")
_LOST_COLON = re.compile(rf"\[\[{_NAME}[ \t]+(?=[^\n]*\]\])")
_LOST_BRACKETS = re.compile(rf"(?<![\w\[]){_NAME}:(?=[^\n]*\]\])")


def without_echoes(
    tree: sx.SyntaxTree, syntax_mistakes: Sequence[Diagnostic], found: Sequence[Diagnostic]
) -> list[Diagnostic]:
    """All that is worth saying: the syntax mistakes, and of the rest what they do not explain."""
    rest = [diagnostic for diagnostic in found if not _names_nothing(diagnostic)]
    if syntax_mistakes:
        rest = _outside(rest, tree.source, _broken_places(tree))
        rest = [diagnostic for diagnostic in rest if diagnostic.code not in _OF_WHAT_FOLLOWS]
    unknown = _unknown_names(rest, tree.source)
    rest = _with_damaged_holes(rest, tree)
    lost = unknown - _unknown_names(rest, tree.source) | _introduced_by(tree)
    rest = _without_consequences(rest, tree, lost)
    return _without_doubled([*_merged(_first_of_lines(syntax_mistakes), tree.source), *_merged(rest, tree.source)])


def _names_nothing(diagnostic: Diagnostic) -> bool:
    """Whether it tells of a name that recovery made up."""
    return diagnostic.code in _UNKNOWN_NAME and "``" in diagnostic.message


def _without_doubled(found: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Leave out warnings of what an error has marked already."""
    marked = {each.primary for each in found if each.severity == "error"}
    return [each for each in found if each.severity == "error" or each.primary not in marked]


def _first_of_lines(syntax_mistakes: Sequence[Diagnostic]) -> list[Diagnostic]:
    """Of several in one line the first, and those that say how to mend them."""
    kept: list[Diagnostic] = []
    lines: set[tuple[str, int]] = set()
    for diagnostic in sorted(syntax_mistakes, key=lambda each: each.primary.start if each.primary else 0):
        span = diagnostic.primary
        line = (span.source.name, span.source.position(span.start)[0]) if span is not None else ("", 0)
        if span is None or line not in lines or diagnostic.fixes:
            kept.append(diagnostic)
        lines.add(line)
    return kept


# ---- one message for one thing


def _merged(found: Sequence[Diagnostic], source: Source) -> list[Diagnostic]:
    """Errors that tell of one thing as one, with the other places marked and all fixes."""
    kept: dict[object, list[Diagnostic]] = {}
    for index, diagnostic in enumerate(sorted(found, key=lambda each: each.primary.start if each.primary else 0)):
        span = diagnostic.primary
        is_plain = _names_one_thing(diagnostic) and span is not None and span.source == source
        key = (diagnostic.code, diagnostic.message, span.text) if is_plain and span is not None else index
        kept.setdefault(key, []).append(diagnostic)
    return [_merge(group) for group in kept.values()]


def _names_one_thing(diagnostic: Diagnostic) -> bool:
    """Whether equal messages tell of one mistake, also where a word of the language is used as a name."""
    span = diagnostic.primary
    is_reserved = (
        diagnostic.code == "E0111" and span is not None and diagnostic.message.startswith(f"`{span.text}` is a word")
    )
    return diagnostic.code in _OF_ONE_THING or is_reserved


def _merge(group: list[Diagnostic]) -> Diagnostic:
    first, *others = group
    places = [each.primary for each in others if each.primary is not None and each.primary != first.primary]
    if not others:
        return first
    labels = tuple(Label(place, "and here") for place in places[: _MOST_PLACES - 1])
    left = len(places) - len(labels)
    notes = (f"and in {left} more place{'s' if left > 1 else ''}",) if left else ()
    fixes = tuple(dict.fromkeys(edit for each in group for edit in each.fixes))
    return replace(first, labels=first.labels + labels, notes=first.notes + notes, fixes=fixes)


# ---- names of which nothing is known


def _introduced_by(tree: sx.SyntaxTree) -> set[str]:
    """Names that broken lines introduce, as far as they still can be read, and grammars with broken rules."""
    text = tree.source.text
    names: set[str] = set()
    for span in tree.broken:
        start = text.rfind("\n", 0, span.start) + 1
        end = text.find("\n", span.end)
        names |= _names_in(text[start : len(text) if end < 0 else end])
        opened = text.rfind("\ngrammar ", 0, span.start) + 1
        if opened and "\n}" not in text[opened : span.start]:
            names |= _names_in(text[opened : text.find("{", opened)])
    return names


def _names_in(text: str) -> set[str]:
    return {name for pair in _INTRODUCED.findall(text) for name in pair if name}


def _without_consequences(found: list[Diagnostic], tree: sx.SyntaxTree, lost: set[str]) -> list[Diagnostic]:
    """Leave out what follows from lost names: those that broken lines introduced, or that stand for nothing."""
    source = tree.source
    broken = [span.text for span in tree.broken]
    lost = lost | _named_by_mistakes(found, source)
    unknown = _unknown_names(found, source)
    introducers = sum(max(len(_INTRODUCER.findall(text)), bool(_opens_block(text))) for text in broken)
    introducers += sum(diagnostic.code == _NO_LIBRARY for diagnostic in found)
    introducers += sum(bool({name} & (lost | unknown)) for name in _USED.findall(source.text))
    explained = unknown if len(unknown - lost) <= introducers and introducers else unknown & lost
    tainted = _made_from(lost | explained, source)

    def is_consequence(diagnostic: Diagnostic) -> bool:
        span = diagnostic.primary
        if span is None or span.source != source:
            return False
        if diagnostic.code in _UNKNOWN_NAME:
            return bool(broken or diagnostic.code == "E0201") and span.text in explained
        line = source.line(source.position(span.start)[0])
        return diagnostic.code in _OF_VALUES and not tainted.isdisjoint(_WORD.findall(line))

    return [diagnostic for diagnostic in found if not is_consequence(diagnostic)]


def _opens_block(text: str) -> bool:
    """Whether the broken text is a block that has lost what stood before it, with all that it introduced."""
    return text.lstrip().startswith("{")


def _named_by_mistakes(found: Sequence[Diagnostic], source: Source) -> set[str]:
    """Names of the lines whose grammar or hole is not understood."""
    names: set[str] = set()
    for diagnostic in found:
        span = diagnostic.primary
        if diagnostic.code in ("E0401", "E0123", "E0107") and span is not None and span.source == source:
            line = source.line(source.position(span.start)[0])
            names |= _names_in(line)
            names |= set(_WORD.findall(span.text)[:1]) if diagnostic.code == "E0123" else set()
    return names - {span.text for each in found if each.code in _UNKNOWN_NAME and (span := each.primary)}


def _made_from(names: set[str], source: Source) -> set[str]:
    """The names, and those of holes and declarations whose lines mention one of them."""
    known = set(names)
    made = [
        (match[1] or match[3], set(_WORD.findall(match[2] or match[4] or "")))
        for match in _MADE_FROM.finditer(source.text)
    ]
    while True:
        more = {name for name, words in made if name not in known and not known.isdisjoint(words)}
        if not more or not known:
            return known
        known |= more


# ---- what stands in broken lines


def _broken_places(tree: sx.SyntaxTree) -> list[tuple[int, int]]:
    """Offsets of the lines with broken spans, and of the tests and settings around them."""
    text = tree.source.text
    places = []
    for span in tree.broken:
        start = text.rfind("\n", 0, span.start) + 1
        end = text.find("\n", span.end)
        places.append((start, len(text) if end < 0 else end))
        places += [
            (declaration.span.start, declaration.span.end)
            for declaration in tree.declarations
            if isinstance(declaration, sx.TestSyntax | sx.Infer | sx.ModelBlock)
            and declaration.span.start <= span.start <= declaration.span.end
        ]
    return places


def _outside(found: list[Diagnostic], source: Source, places: list[tuple[int, int]]) -> list[Diagnostic]:
    def is_outside(diagnostic: Diagnostic) -> bool:
        span = diagnostic.primary
        if span is None or span.source != source:
            return True
        return not any(start <= span.start <= end for start, end in places)

    return [diagnostic for diagnostic in found if is_outside(diagnostic)]


def _unknown_names(found: Sequence[Diagnostic], source: Source) -> set[str]:
    return {
        diagnostic.primary.text
        for diagnostic in found
        if diagnostic.code in _UNKNOWN_NAME and diagnostic.primary and diagnostic.primary.source == source
    }


# ---- holes that have become text


def _with_damaged_holes(found: list[Diagnostic], tree: sx.SyntaxTree) -> list[Diagnostic]:
    names = _unknown_names(found, tree.source)
    has_nothing_to_write = any(diagnostic.code == _NOTHING_TO_WRITE for diagnostic in found)
    if not names and not has_nothing_to_write:
        return found
    for name, span in _damaged_holes(tree):
        if name and names and name not in names:
            continue
        explained = {name} if name else names if len(names) == 1 else set()
        if not name and not explained and not has_nothing_to_write:
            continue
        rest = [diagnostic for diagnostic in found if not _is_explained(diagnostic, explained)]
        return [mistakes.damaged_hole(span), *rest]
    return found


def _is_explained(diagnostic: Diagnostic, names: set[str]) -> bool:
    if diagnostic.code == _NOTHING_TO_WRITE:
        return True
    return diagnostic.code in _UNKNOWN_NAME and diagnostic.primary is not None and diagnostic.primary.text in names


def _damaged_holes(tree: sx.SyntaxTree) -> Iterator[tuple[str, Span]]:
    """(name or nothing, place) of text of the model's turns that looks like a hole with a part missing."""
    for given in _given(tree):
        for pattern in (_LOST_NAME, _LOST_COLON, _LOST_BRACKETS):
            for match in pattern.finditer(given.span.text):
                start = given.span.start + match.start()
                end = tree.source.text.find("]]", start) + 2
                yield match.group(1) if pattern.groups else "", Span(tree.source, start, end)


def _given(tree: sx.SyntaxTree) -> Iterator[st.Given]:
    """Given text of the model's turns."""
    for declaration in tree.declarations:
        if isinstance(declaration, sx.Generate | sx.TemplateSyntax):
            yield from _given_in(declaration.body, isinstance(declaration, sx.TemplateSyntax))


def _given_in(body: Sequence[st.Statement], is_model: bool) -> Iterator[st.Given]:
    for statement in body:
        match statement:
            case st.Text() if is_model:
                yield from (part for part in statement.template.parts if isinstance(part, st.Given))
            case st.Turn():
                yield from _given_in(statement.body, statement.role in ("assistant", "text"))
            case st.Branch():
                yield from _given_in((*statement.then, *statement.otherwise), is_model)
            case st.Loop():
                yield from _given_in(statement.body, is_model)
