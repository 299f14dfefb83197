"""Random texts that the grammar of the language accepts, laid out without care."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "q", "notes", "text", "user", "list", "tokens", "smcx", "accept", "é_1"])
BLANKS = st.sampled_from(["", " ", "  ", "\t"])
GAPS = st.sampled_from([" ", "  ", "\t "])
CHARS = st.text("ab \\\"{}[]#é|%'", max_size=6)
COMMENTS = st.sampled_from(["", "", "", "  # behind", "#tight"])
SEPARATORS = st.sampled_from(["\n", "\n", "\n\n", "\n\n\n", "\r\n", "\n# own line\n", "\n\n  # own line\n\n"])


def quoted(text: str) -> str:
    """A string of the language."""
    return '"' + "".join("\\" + char if char in '\\"{[' else char for char in text) + '"'


STRINGS = CHARS.map(quoted) | st.sampled_from(['r"\\d [[x: y]]"', '""', '"\\u00e9\\n"'])
REGEXES = st.sampled_from(["/[a-z]+/", "/a\\/b/i", '/[^"]*/', "/[/]#/xs", "/]]/"])
NUMBERS = st.sampled_from(["0", "7", "1.50", "2e-3", "10"])


@st.composite
def dotted(draw) -> str:
    return ".".join(draw(st.lists(NAMES, min_size=1, max_size=3)))


def arguments(values):
    given = st.builds(lambda name, value: f"{name}: {value}" if name else value, st.none() | NAMES, values)
    return st.lists(given, max_size=3).map(lambda items: "(" + " ,\n ".join(items) + ")")


def _larger_expressions(inner):
    operators = st.sampled_from("or and == != < <= > >= in + - * / ^".split())
    bracketed = inner.map(lambda value: f"({value})")
    operands = bracketed | st.sampled_from(["a", "1", "q.b"])
    return st.one_of(
        st.builds(lambda a, op, b, gap: f"{a}{gap}{op}{gap}{b}", operands, operators, operands, GAPS),
        bracketed,
        operands.map(lambda value: f"not {value}"),
        operands.map(lambda value: f"- {value}"),
        operands.map(lambda value: f"{value}?"),
        st.builds(lambda base, name: f"{base}.{name}", operands, NAMES),
        st.builds(lambda base, index: f"{base}[{index}]", operands, inner),
        st.builds(lambda path, given: path + given, dotted(), arguments(inner)),
        st.lists(inner, max_size=3).map(lambda items: f"[{','.join(items)}]"),
        st.lists(st.tuples(NAMES, inner), max_size=3).map(
            lambda fields: "{" + ", ".join(f"{name}:{value}" for name, value in fields) + "}"
        ),
    )


EXPRESSIONS = st.recursive(
    NAMES | NUMBERS | STRINGS | st.sampled_from(["true", "null"]), _larger_expressions, max_leaves=6
)


def _larger_grammars(inner):
    bracketed = inner.map(lambda value: f"({value})")
    repeats = st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{,3}", "{2, 5}"])
    limits = st.sampled_from(
        ["tokens <= 200", "chars in 1..a + 2", "words<4", "lines == 1", "matches /x/", 'excludes /"/', "chars > q"]
    )
    return st.one_of(
        st.builds(lambda item, times: item + times, bracketed, repeats),
        st.lists(bracketed, min_size=2, max_size=3).map(" ".join),
        st.lists(bracketed, min_size=2, max_size=3).map(" | ".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: "(" + "\n | ".join(items) + ")"),
        st.builds(lambda a, b, op: f"{a} {op} {b}", bracketed, bracketed, st.sampled_from("&-")),
        st.builds(
            lambda item, where: f"({item} where {', '.join(where)})", inner, st.lists(limits, min_size=1, max_size=2)
        ),
        st.builds(lambda path, given: path + given, dotted(), arguments(EXPRESSIONS)),
    )


_SAFE_STRINGS = st.sampled_from(['"yes"', '"a\\"b"', '"]]"', '""'])
GRAMMARS = st.recursive(_SAFE_STRINGS | REGEXES | dotted(), _larger_grammars, max_leaves=5)
HOLE_GRAMMARS = st.sampled_from(['"yes"|"no"', "std.text.line where chars<=9", "/]]/", "q", "tx.rule(a[0], b: 1)"])


@st.composite
def templates(draw, holes: bool = True) -> str:
    pieces = draw(
        st.lists(CHARS.map(lambda text: quoted(text)[1:-1]) | st.sampled_from(["{{a}}", "{{ f(q) }}"]), max_size=3)
    )
    if holes and draw(st.booleans()):
        pieces.append(
            f"[[{draw(NAMES)}{draw(st.sampled_from(['', '[]']))}:{draw(BLANKS.filter(bool))}{draw(HOLE_GRAMMARS)}]]"
        )
    return '"' + " ".join(pieces) + '"'


@st.composite
def text_blocks(draw) -> str:
    lines = draw(
        st.lists(st.sampled_from(["one", "  two {{ a }}", "", "\tthree", "      ", '\\"\\"\\"', "x\\n"]), max_size=4)
    )
    indent = draw(st.sampled_from(["", "  ", "\t", "      "]))
    body = "".join(indent + line + "\n" for line in lines)
    ending = draw(st.sampled_from([indent, "", "tail "]))
    opening = draw(st.sampled_from(["", "head", " "]))
    raw = draw(st.sampled_from(["", "", "r"])) if '\\"' not in body else ""
    return f'{raw}"""{opening}\n{body}{ending}"""'


ATS = st.sampled_from(["", " at end", " at q.a, token", "\n    at line", " each c in q.a"])
FACTORS = st.one_of(
    st.builds(
        lambda verb, gap, e, at: f"{verb}{gap}{e}{at}", st.sampled_from(["require", "score"]), GAPS, EXPRESSIONS, ATS
    ),
    EXPRESSIONS.map(lambda e: f"guide {e} at end"),
)


def _simple(loops: bool):
    choices = [
        st.builds(lambda t: f"observe {t}", templates(holes=False)),
        templates(),
        FACTORS,
        st.builds(lambda name, e: f"let {name} = {e}", NAMES, EXPRESSIONS),
        st.builds(lambda path, given: f"use {path}{given}", dotted(), arguments(EXPRESSIONS)),
    ]
    return st.one_of(*choices, *([st.just("break")] if loops else []))


@st.composite
def blocks(draw, depth: int, loops: bool = False) -> str:
    if draw(st.booleans()):
        return "{ " + draw(_simple(loops)) + " }"
    statements = draw(st.lists(statement(depth, loops), max_size=3))
    body = "".join(draw(BLANKS) + text + draw(COMMENTS) + draw(SEPARATORS) for text in statements)
    return "{" + draw(COMMENTS) + "\n" + body + draw(BLANKS) + "}"


@st.composite
def statement(draw, depth: int, loops: bool) -> str:
    kind = draw(st.integers(0, 6 if depth else 2))
    if kind <= 2:
        return draw(_simple(loops))
    if kind == 3:
        otherwise = draw(st.sampled_from(["", "else", "else if"]))
        text = f"if {draw(EXPRESSIONS)} {draw(blocks(depth - 1, loops))}"
        if otherwise == "else if":
            text += f" else if {draw(EXPRESSIONS)} {draw(blocks(depth - 1, loops))}"
        return text + (f" else {draw(blocks(depth - 1, loops))}" if otherwise else "")
    if kind == 4:
        last = draw(st.sampled_from(["", "..min(3, a)"]))
        return f"for {draw(NAMES)} in {draw(EXPRESSIONS)}{last} {draw(blocks(depth - 1, True))}"
    role = draw(st.sampled_from(["system", "user", "assistant", "text"]))
    holes = role in ("assistant", "text")
    if kind == 5:
        return f"{role} {draw(templates(holes) | text_blocks())}"
    return f"{role} {{\n{draw(templates(holes))}{draw(COMMENTS)}\n}}"


SETTINGS = st.builds(
    lambda name, value, tail: f"{name}:{value}{tail}",
    NAMES,
    st.sampled_from(["16", '"x"', "60s", "1.5ms", "closed", "a + 1"]),
    st.sampled_from(["", "", " when ess < 0.5", " tokens"]),
)


@st.composite
def settings(draw) -> str:
    entries = draw(st.lists(SETTINGS, max_size=3))
    if draw(st.booleans()):
        return "{ " + ", ".join(entries) + " }"
    lines = "".join(entry + draw(st.sampled_from(["\n", "\n\n", " # c\n"])) for entry in entries)
    return "{\n" + lines + "}"


TYPES = st.sampled_from(["str", "list[list[int]]", '"a" | "b\\n"', "sqlite"])
PARAMETERS = st.lists(st.tuples(NAMES, TYPES), max_size=2).map(
    lambda items: "(" + ", ".join(f"{name}: {type_}" for name, type_ in items) + ")"
)


@st.composite
def declarations(draw) -> str:
    kind = draw(st.integers(0, 9))
    name = draw(NAMES)
    if kind == 0:
        return draw(
            st.sampled_from(
                ["import sql", "import std.text as tx", 'import "p.smc" as p', 'import potential "c.py" as c']
            )
        )
    if kind == 1:
        default = draw(st.sampled_from(["", " = "]))
        text = f"input {name}: {draw(TYPES)}" + (default and default + draw(EXPRESSIONS))
        return text + draw(st.sampled_from(["", ' "help"']))
    if kind in (2, 3):
        return (
            f"grammar {name}{draw(st.just('') | PARAMETERS)} = {draw(GRAMMARS)}{draw(st.sampled_from(['', ' as int']))}"
        )
    if kind == 4:
        rules = draw(st.lists(st.tuples(NAMES, GRAMMARS), min_size=1, max_size=3))
        lines = "".join(f"{rule} = {body}{draw(COMMENTS)}{draw(SEPARATORS)}" for rule, body in rules)
        return f"grammar {name} {{\n{lines}}}"
    if kind == 5:
        return f"potential {name}{draw(PARAMETERS)} -> weight = {draw(EXPRESSIONS)} {draw(st.just('') | settings())}"
    if kind == 6:
        return f"template {name}{draw(PARAMETERS)} {draw(blocks(1))}"
    if kind == 7:
        return f"infer smc {draw(st.just('') | NAMES)} {draw(settings())}"
    if kind == 8:
        items = ["q: [1, {a: 2}]", 'accept q "x"', 'reject q "y"', "expect a == 1"]
        lines = "".join(item + draw(SEPARATORS) for item in draw(st.lists(st.sampled_from(items), max_size=3)))
        return f'test "t" {{\n{lines}}}'
    return draw(st.sampled_from(["import sql as s", "infer lcd {}"]))


@st.composite
def programs(draw) -> str:
    """A whole program."""
    parts = draw(st.lists(declarations(), max_size=4))
    parts += draw(st.lists(blocks(2).map(lambda block: f"generate {block}"), max_size=1))
    keys = st.just("") | EXPRESSIONS.map(lambda key: f" by {key}") | EXPRESSIONS.map(lambda key: f"\n by {key}")
    parts += draw(st.lists(st.builds("return best {}{}".format, EXPRESSIONS, keys), max_size=1))
    title = draw(st.sampled_from(["", 'program p "one\\"two"\n', "program p # c\n"]))
    body = "".join(
        draw(COMMENTS).strip() + draw(SEPARATORS) + part + draw(COMMENTS) + draw(SEPARATORS) for part in parts
    )
    return draw(st.sampled_from(["", "# top\n\n"])) + "smc 1\n" + title + body
