"""Near misses: words that other languages or quick fingers write for those of this one."""

from __future__ import annotations

LOOP_WORDS = frozenset("while until loop repeat forever foreach do continue goto".split())

_TEMPLATES = "parts of a transcript can be shared with `template`; computations belong in Python"
_EXCEPTIONS = "what a failing potential means is declared with it: `{ on_error: zero }`"

LEFT_OUT: dict[str, tuple[str, str]] = {
    **dict.fromkeys("def function func fn lambda".split(), ("there are no user-defined functions", _TEMPLATES)),
    "class": ("there are no classes", "computations belong in Python"),
    **dict.fromkeys(
        "try except catch raise throw finally".split(), ("there are no exceptions in a program", _EXCEPTIONS)
    ),
    **dict.fromkeys(
        "async await spawn parallel".split(), ("there is no concurrency in a program", "batches are run with `--batch`")
    ),
    **dict.fromkeys(
        "switch match case".split(), ("branches are written with `if`", "write `if ... { } else if ... { }`")
    ),
    "print": ("nothing is printed while a program runs", "what a program gives is said by `return`"),
}
"""Constructs that are absent on purpose: (reason, advice)."""

_DECLARATIONS = "import input lm grammar potential template generate return infer test".split()
_ROLES = ("system", "user", "assistant", "text")
_STATEMENTS = "observe require score guide let use break if for".split()
_TESTS = ("accept", "reject", "expect")

_WORDS: dict[str, tuple[str, ...]] = {
    "file": tuple(_DECLARATIONS),
    "block": (*_STATEMENTS, *_ROLES, "else"),
    "role": _ROLES,
    "test": _TESTS,
}

_SYNONYMS: dict[str, dict[str, str]] = {
    "block": {
        **dict.fromkeys("requires constraint constrain assert ensure must condition check".split(), "require"),
        **dict.fromkeys("factor weight reward prefer weigh".split(), "score"),
        **dict.fromkeys("hint heuristic preview".split(), "guide"),
        **dict.fromkeys("var const set val".split(), "let"),
        **dict.fromkeys("human prompt".split(), "user"),
        **dict.fromkeys("model bot ai".split(), "assistant"),
        **dict.fromkeys("include call insert".split(), "use"),
        "likelihood": "observe",
        "exit": "break",
        "elif": "else if",
        "elsif": "else if",
        "elseif": "else if",
    },
    "file": {
        **dict.fromkeys("param parameter arg argument inputs var".split(), "input"),
        **dict.fromkeys("model llm language_model".split(), "lm"),
        **dict.fromkeys("rule regex".split(), "grammar"),
        **dict.fromkeys("from include require use".split(), "import"),
        **dict.fromkeys("inference sampler".split(), "infer"),
        **dict.fromkeys("output result yield".split(), "return"),
        **dict.fromkeys("scorer factor".split(), "potential"),
        **dict.fromkeys("macro prompt".split(), "template"),
        **dict.fromkeys("main transcript body".split(), "generate"),
    },
    "role": {},
    "test": {"accepts": "accept", "rejects": "reject", "expects": "expect", "assert": "expect"},
}

LIMITS = ("tokens", "chars", "words", "lines", "matches", "excludes")
"""Words that begin a condition after `where`."""

_LIMIT_SYNONYMS = {
    **dict.fromkeys("length len characters chars size".split(), "chars"),
    **dict.fromkeys("match like".split(), "matches"),
    **dict.fromkeys("exclude without not_matches".split(), "excludes"),
}

OPERATORS: tuple[tuple[str, str, str, str], ...] = (
    ("===", "COMPARE", "==", "equality"),
    ("=", "COMPARE", "==", "equality"),
    ("&&", "AND", "and", "conjunction"),
    ("&", "AND", "and", "conjunction"),
    ("||", "OR", "or", "disjunction"),
    ("|", "OR", "or", "disjunction"),
    ("!", "NOT", "not ", "negation"),
)
"""(other spelling, terminal, our spelling, what it is), longer spellings first."""

QUOTES = {"'": "'", "\u2018": "\u2019", "\u201c": "\u201d", "\u201d": "\u201d", "\u00ab": "\u00bb", "`": "`"}
"""Quotes of other languages, with their closers."""


def near_word(word: str, level: str) -> str:
    """The one word of a level within edit distance 2, or the empty text."""
    limit = 1 if len(word) <= 4 else 2
    ranked = sorted((distance(word.lower(), known), known) for known in _WORDS[level])
    return ranked[0][1] if ranked and ranked[0][0] <= limit and ranked[0][0] < len(ranked[0][1]) - 1 else ""


def suggest_word(word: str, level: str) -> str:
    """The word that was probably meant at the start of a statement, or the empty text."""
    return _SYNONYMS[level].get(word.lower()) or near_word(word, level)


def suggest_limit(word: str) -> str:
    """The condition that was probably meant after `where`."""
    if word.lower() in _LIMIT_SYNONYMS:
        return _LIMIT_SYNONYMS[word.lower()]
    found, known = min((distance(word.lower(), known), known) for known in LIMITS)
    return known if found <= 2 else ""


def terminal_of(word: str) -> str | None:
    """The terminal of a word that begins a statement; None if a single token does not do."""
    if not word or " " in word:
        return None
    return "RAW" if word == "text" else word.upper()


def distance(left: str, right: str) -> int:
    """Edits (insert, delete, replace, swap neighbours) from one word to the other.

    Source: optimal string alignment, Damerau (1964) with the recurrence of Wagner and Fischer (1974).
    """
    rows = [list(range(len(right) + 1))]
    for i, a in enumerate(left, 1):
        row = [i]
        for j, b in enumerate(right, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
