"""Regular expressions mean what Python's `re` says they mean."""

import csv
import os
import re
import warnings
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smcdsl.compiler.dfa import TooLarge, is_empty, pattern_dfa, search_dfa, shortest, texts
from smcdsl.compiler.regex import RegexError, parse
from smcdsl.compiler.unicode_classes import complement, contains, matched_by, normalize, utf8_nodes
from smcdsl.program.regular import LAST_CODE_POINT

# Characters that differ in ways patterns can see: case with odd partners, digits, spaces, bytes per character.
ALPHABET = "abkKsSſK\u212aßẞiIİıµμÅåÅ\u0345ιΙ\u1fbe09٠ \n\r\t\x85\u2028_-.é日𝒜𐐀𐐨]^\\"

characters = st.sampled_from(ALPHABET)
literals = characters.map(re.escape)
class_items = st.one_of(
    literals,
    st.sampled_from([r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", "a-z", "A-Z", "0-9", "à-ÿ", "ſ-ƀ", "\u2000-\u3000"]),
    st.sampled_from([r"\x41-\x5a", r"\u0430", r"\U00010400-\U00010427", r"\N{KELVIN SIGN}", r"\n"]),
)
classes = st.builds(
    lambda negated, items: f"[{'^' if negated else ''}{''.join(items)}]",
    st.booleans(),
    st.lists(class_items, min_size=1, max_size=3),
)
anchors = st.sampled_from(["^", "$", r"\A", r"\Z"])
atoms = st.one_of(
    literals,
    literals,
    classes,
    st.sampled_from([".", r"\w", r"\W", r"\d", r"\D", r"\s", r"\S", r"\101", r"\x61"]),
    anchors,
)
quantifiers = st.sampled_from(["", "", "*", "+", "?", "{2}", "{1,3}", "{,2}", "{2,}", "*?", "+?", "??", "{1,2}?"])
openings = st.sampled_from(["(", "(?:", "(?i:", "(?s:", "(?m:", "(?-i:", "(?a:", "(?u:", "(?ims:"])


def _combine(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    sequences = st.lists(parts, min_size=0, max_size=4).map("".join)
    choices = st.lists(sequences, min_size=1, max_size=3).map("|".join)
    return st.builds(lambda opening, body, quantifier: f"{opening}{body}){quantifier}", openings, choices, quantifiers)


quantified = st.builds(lambda atom, quantifier: atom + ("" if atom in "^$\\A\\Z" else quantifier), atoms, quantifiers)
patterns = st.lists(st.recursive(quantified, _combine, max_leaves=8), max_size=4).map("".join)
subjects = st.text(characters, max_size=6)
flag_sets = st.sampled_from(["", "i", "s", "m", "im", "is", "ia", "a", "x", "isx"])


def compiled(pattern: str, flags: str) -> re.Pattern[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile(f"(?{flags}){pattern}" if flags else pattern)


def small_dfa(make, pattern, flags):
    """The automaton; examples that are too large for one are no matter here."""
    try:
        return make(pattern, flags)
    except TooLarge:
        return assume(False)


@settings(max_examples=120, deadline=None)
@given(patterns, flag_sets, st.lists(subjects, min_size=4, max_size=12))
def test_a_pattern_accepts_what_fullmatch_accepts(pattern, flags, candidates):
    ours, theirs = small_dfa(pattern_dfa, pattern, flags), compiled(pattern, flags)
    for text in candidates:
        assert ours.accepts(text.encode()) == bool(theirs.fullmatch(text)), text


named = st.lists(st.tuples(patterns, st.sampled_from(["", "*", "+?", "{1,2}"])), min_size=1, max_size=3).map(
    lambda parts: "|".join(f"(?P<part_{i}>{body}){quantifier}" for i, (body, quantifier) in enumerate(parts))
)


@settings(max_examples=25, deadline=None)
@given(named, flag_sets, st.lists(subjects, min_size=4, max_size=12))
def test_groups_with_names_are_groups(pattern, flags, candidates):
    ours, theirs = small_dfa(pattern_dfa, pattern, flags), compiled(pattern, flags)
    for text in candidates:
        assert ours.accepts(text.encode()) == bool(theirs.fullmatch(text)), text


@settings(max_examples=30, deadline=None)
@given(patterns, flag_sets, st.lists(subjects, min_size=4, max_size=12))
def test_search_finds_what_re_search_finds(pattern, flags, candidates):
    ours, theirs = small_dfa(search_dfa, pattern, flags), compiled(pattern, flags)
    for text in candidates:
        assert ours.accepts(text.encode()) == bool(theirs.search(text)), text


@settings(max_examples=30, deadline=None)
@given(patterns, flag_sets)
def test_every_accepted_byte_string_is_a_matching_text(pattern, flags):
    ours, theirs = small_dfa(pattern_dfa, pattern, flags), compiled(pattern, flags)
    if is_empty(ours):
        return
    short = shortest(ours)
    assert theirs.fullmatch(short.decode())
    for index, text in enumerate(texts(ours, len(short) + 1)):
        assert theirs.fullmatch(text.decode())
        if index > 50:
            break


@pytest.mark.parametrize("character_class", [r"\w", r"\d", r"\s", ".", "[^a]", r"[\W\d]", r"[^\W_]"])
@pytest.mark.parametrize("flags", ["", "i", "a", "s"])
def test_classes_have_exactly_the_members_re_gives_them(character_class, flags):
    ours, theirs = pattern_dfa(character_class, flags), compiled(character_class, flags)
    for code_point in [*range(0x3000), *range(0x3000, LAST_CODE_POINT, 61), 0xFFFF, 0x10000, LAST_CODE_POINT]:
        if not 0xD800 <= code_point < 0xE000:
            character = chr(code_point)
            assert ours.accepts(character.encode()) == bool(theirs.fullmatch(character)), hex(code_point)


def test_case_is_ignored_exactly_as_re_ignores_it():
    cased = [c for c in map(chr, range(0x20000)) if c.lower() != c or c.upper() != c]
    joined = "".join(cased)
    for character in cased[::7]:
        matched = set(re.findall(re.escape(character), joined, re.IGNORECASE))
        ours = parse(re.escape(character), "i").ranges
        assert {c for c in cased if contains(ours, ord(c))} == matched, hex(ord(character))


code_points = st.integers(0, LAST_CODE_POINT)


@given(st.lists(st.tuples(code_points, st.integers(0, 5000)), max_size=6), st.lists(code_points, max_size=20))
def test_utf8_automata_spell_exactly_the_members(starts, probes):
    ranges = normalize((start, min(start + length, LAST_CODE_POINT)) for start, length in starts)
    nodes = utf8_nodes(ranges)
    edges = [low for low, _ in ranges] + [high + 1 for _, high in ranges] + probes
    for code_point in edges:
        if code_point <= LAST_CODE_POINT and not 0xD800 <= code_point < 0xE000:
            node = 0
            for byte in chr(code_point).encode():
                node = (
                    next((child for mask, child in nodes[node] if mask >> byte & 1), None) if node is not None else None
                )
            assert (node == -1) == contains(ranges, code_point)


@given(st.lists(st.tuples(code_points, st.integers(0, 5000)), max_size=6), st.lists(code_points, max_size=20))
def test_complement_has_the_others(starts, probes):
    ranges = normalize((start, min(start + length, LAST_CODE_POINT)) for start, length in starts)
    others = complement(ranges)
    for code_point in probes:
        if not 0xD800 <= code_point < 0xE000:
            assert contains(ranges, code_point) != contains(others, code_point)


@pytest.mark.parametrize(
    ("pattern", "part", "kind"),
    [
        (r"(?=.*[0-9])[a-z0-9]{8,}", "(?=.*[0-9])", "look-ahead"),
        (r"a(?!b[)]c)d", "(?!b[)]c)", "look-ahead"),
        (r"x(?<=x)y", "(?<=x)", "look-behind"),
        (r"x(?<!\()y", r"(?<!\()", "look-behind"),
        (r"(a)\1", r"\1", "back-reference"),
        (r"(?P<n>a)(?P=n)", "(?P=n)", "back-reference"),
        (r"(a)?(?(1)b|c)", "(?(1)b|c)", "conditional group"),
        (r"(?>a+)b", "(?>a+)", "atomic group"),
        (r"[+]a*+b", "+", "possessive quantifier"),
        (r"a{2,3}+b", "+", "possessive quantifier"),
        (r"\bfoo", r"\b", "word boundary"),
        (r"[\b]\Ba", r"\B", "word boundary"),
    ],
)
def test_what_is_not_left_to_right_is_refused_with_its_place(pattern, part, kind):
    with pytest.raises(RegexError) as caught:
        parse(pattern)
    assert (caught.value.kind, pattern[caught.value.start : caught.value.end]) == (kind, part)
    assert pattern.rindex(part) == caught.value.start


@pytest.mark.parametrize(
    "pattern", [r"[(?=]a\(?=b", r"(?#(?=x)a", r"[]\1]\x31", r"\101", r"a{2}b+?", r"(?P<n>a)+", r"[\b]"]
)
def test_look_alikes_are_not_refused(pattern):
    assert pattern_dfa(pattern).accepts(shortest(pattern_dfa(pattern)))


def test_comments_are_no_pattern_in_verbose_patterns():
    assert pattern_dfa("a # (?=b)\n b", "x").accepts(b"ab")
    with pytest.raises(RegexError) as caught:
        parse("a # (?=c)\n (?=b)", "x")
    assert caught.value.start == 11


@pytest.mark.parametrize(("pattern", "start"), [("a(b", 1), ("[a", 0), ("*a", 0), ("a{3,2}", 2), (r"\q", 0)])
def test_what_python_rejects_is_rejected_at_the_same_place(pattern, start):
    with pytest.raises(RegexError) as caught:
        parse(pattern)
    assert caught.value.start == start


def test_patterns_from_the_wild_agree_with_python():
    path = (
        Path(os.environ.get("SMCDSL_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
        / "patterns"
        / "patterns.csv"
    )
    if not path.is_file():
        pytest.skip(f"no file {path}")
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row["regex"] for row in csv.DictReader(file)]
    checked = 0
    for pattern in rows[:120]:
        try:
            theirs = compiled(pattern, "")
        except re.error:
            with pytest.raises(RegexError):
                parse(pattern)
            continue
        try:
            ours = pattern_dfa(pattern)
        except RegexError as error:
            assert error.kind != "syntax"  # noqa: PT017 - valid for Python, so refused for what it uses
            continue
        if not is_empty(ours):
            assert theirs.fullmatch(shortest(ours).decode())
        checked += 1
    assert checked > 10


@pytest.mark.parametrize("flags", [0, re.ASCII])
@pytest.mark.parametrize("category", [r"\w", r"\W", r"\d", r"\D", r"\s", r"\S"])
def test_categories_have_the_characters_that_re_finds(category, flags):
    """Most code points are not asked about: they are like another."""
    everything = "".join(map(chr, range(0x110000)))
    runs = re.finditer(f"{category}+", everything, flags)
    assert matched_by(category, flags) == normalize((run.start(), run.end() - 1) for run in runs)


def test_no_other_characters_have_case():
    for point in range(0x40000, 0x110000):
        character = chr(point)
        assert character == character.lower() == character.upper() == character.casefold()
