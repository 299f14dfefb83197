"""Exercises from the examples in docstrings of numpy, pandas and torch: a question, code before it, an answer.

The libraries' own documentation (BSD licences), read from where they are installed; nothing of it is kept here.
"""

from __future__ import annotations

import ast
import doctest
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any

SKIPPED = re.compile(
    r"rand|save|load|plot|hist|read_|to_(sql|csv|pickle|clipboard)|style|tofile|memmap|set_option|print"
)
"""Objects, and sources, that draw, write, or show what nobody asks for."""
LONGEST_WANT, LONGEST_SOURCE, LONGEST_SETUP = 500, 160, 500
IMPORTS = {"np": "import numpy as np", "pd": "import pandas as pd", "torch": "import torch"}
CONSTRUCTORS = {"array", "DataFrame", "Series", "tensor", "Index", "MultiIndex", "arange", "date_range", "asarray"}
"""Calls that make data; an answer that is one of them says nothing."""
NAMES = ("result",) * 7 + ("res", "out", "new", "output", "answer")


@dataclass(frozen=True)
class Exercise:
    """What is asked (`task`), the code before the answer, the variable that the answer sets, the answer."""

    about: str
    task: str
    setup: str
    name: str
    answer: str


def exercises(random: Random) -> list[Exercise]:
    """Every exercise there is, those of one docstring behind each other; questions are put in drawn words."""
    return [made for about, text in docstrings() for made in _of(about, text, random)]


def docstrings() -> Iterator[tuple[str, str]]:
    """Names and distinct docstrings with examples."""
    import numpy as np
    import pandas as pd
    import torch
    from pandas.core import resample, window
    from pandas.core.groupby import DataFrameGroupBy, SeriesGroupBy

    roots: list[tuple[str, Any, int]] = [("np", np, 1), ("np.linalg", np.linalg, 0), ("np.char", np.char, 0)]
    roots += [("pd", pd, 1), ("pd.Series.str", pd.Series.str, 1), ("pd.Series.dt", pd.Series.dt, 1)]
    roots += [("groupby", kind, 0) for kind in (DataFrameGroupBy, SeriesGroupBy)]
    roots += [("window", kind, 0) for kind in (window.Rolling, window.Expanding, resample.Resampler)]
    roots += [("torch", torch, 0), ("torch.Tensor", torch.Tensor, 0)]
    seen: set[str] = set()
    for name, root, depth in roots:
        for about, text in _walk(name, root, depth):
            if ">>>" in text and text not in seen and not SKIPPED.search(about):
                seen.add(text)
                yield about, inspect.cleandoc(text)


def _walk(name: str, root: Any, depth: int) -> Iterator[tuple[str, str]]:
    for part in dir(root):
        found = None if part.startswith("_") else getattr(root, part, None)
        if isinstance(getattr(found, "__doc__", None), str) and not isinstance(found, ModuleType):
            yield f"{name}.{part}", found.__doc__
            if inspect.isclass(found) and depth:
                yield from _walk(f"{name}.{part}", found, depth - 1)


def _of(about: str, text: str, random: Random) -> Iterator[Exercise]:
    """The exercises of one docstring: its examples that show a value."""
    try:
        parts = doctest.DocTestParser().parse(text)
    except ValueError:
        return
    summary, prose = _summary(text), ""
    before: list[ast.stmt] = []
    for part in parts:
        if isinstance(part, str):
            prose = _last_paragraph(part) or prose
            continue
        try:
            statements = ast.parse(part.source).body
        except SyntaxError:
            return
        if len(statements) == 1 and _shows(part):
            made = _exercise(about, summary, prose, before, statements[0], part.want, random)
            if made is not None:
                yield made
        before += statements


def _summary(text: str) -> str:
    """The first paragraph that is not a signature."""
    for paragraph in text.split("\n\n"):
        if not re.match(r"[\w.]+\(.*\)", paragraph):
            return " ".join(paragraph.split())
    return ""


def _last_paragraph(text: str) -> str:
    found = [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]
    last = " ".join(found[-1].split()) if found else ""
    return "" if len(last) > 300 or re.search(r"----|\.\. |^Examples?:", last) else last


def _shows(example: doctest.Example) -> bool:
    strange = "Traceback" in example.want or "0x" in example.want or "..." in example.want
    return bool(example.want.strip()) and not strange and len(example.want) <= LONGEST_WANT


def _exercise(
    about: str, summary: str, prose: str, before: Sequence[ast.stmt], shown: ast.stmt, want: str, random: Random
) -> Exercise | None:
    """The exercise of an expression that is shown, or of the statement that made the variable that is shown."""
    if not isinstance(shown, ast.Expr) or len(ast.unparse(shown)) > LONGEST_SOURCE:
        return None
    needed = _needed(before, shown)
    name = random.choice(NAMES)
    if isinstance(shown.value, ast.Name):
        if not needed:
            return None
        made = needed.pop()
        if isinstance(made, ast.Assign) and isinstance(made.targets[0], ast.Name) and _works(made.value):
            answer = f"{name} = {ast.unparse(made.value)}"
        elif isinstance(made, ast.Assign | ast.AugAssign) and not isinstance(_target(made), ast.Name):
            name, answer = shown.value.id, ast.unparse(made)
        else:
            return None
    elif _works(shown.value):
        answer = f"{name} = {ast.unparse(shown.value)}"
    else:
        return None
    setup = "\n".join(ast.unparse(statement) for statement in needed if not isinstance(statement, ast.Import))
    if len(setup) > LONGEST_SETUP or len(answer) > LONGEST_SOURCE or SKIPPED.search(setup + answer):
        return None
    task = _asked(summary, prose, setup, want.rstrip("\n"), random)
    return Exercise(about, task, _imports(setup + "\n" + answer) + "\n\n\n" + setup + "\n", name, answer)


def _works(value: ast.expr) -> bool:
    """Whether an expression does something with data that is there."""
    if isinstance(value, ast.Call):
        called = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
        return called not in CONSTRUCTORS
    return isinstance(value, ast.BinOp | ast.Compare | ast.Subscript | ast.Attribute | ast.UnaryOp)


def _needed(before: Sequence[ast.stmt], shown: ast.stmt) -> list[ast.stmt]:
    """The statements that a value depends on, in their order."""
    names = _loaded(shown)
    kept: list[ast.stmt] = []
    for statement in reversed(before):
        bound = _bound(statement)
        if bound & names:
            kept.append(statement)
            if isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in statement.targets):
                names -= bound
            names |= _loaded(statement)
    return kept[::-1]


def _loaded(statement: ast.stmt) -> set[str]:
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name)} - set(IMPORTS)


def _target(statement: ast.Assign | ast.AugAssign) -> ast.expr:
    return statement.targets[0] if isinstance(statement, ast.Assign) else statement.target


def _bound(statement: ast.stmt) -> set[str]:
    """Names that a statement binds or changes."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Assign | ast.AugAssign):
        return {node.id for node in ast.walk(_target(statement)) if isinstance(node, ast.Name)}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name) for alias in statement.names}
    return set()


def _imports(code: str) -> str:
    used = [line for name, line in IMPORTS.items() if re.search(rf"\b{name}\b", code)]
    return "\n".join(used)


def _asked(summary: str, prose: str, setup: str, want: str, random: Random) -> str:
    """A question in drawn words: what is wanted, the data, and what should come out."""
    said = summary.rstrip(".")
    plain = said[:1].lower() + said[1:]
    goal = random.choice(
        (
            f"How can I {plain}?",
            f"How do I {plain}?",
            f"I want to {plain}.",
            f"I need to {plain}. Is there a way?",
            said + ".",
        )
    )
    told = [goal]
    if prose and prose.rstrip(".:") != said and random.random() < 0.8:
        told.insert(random.randrange(2), prose)
    if setup and random.random() < 0.6:
        told.insert(random.randrange(2), f"{random.choice(('I have', 'Given', 'For example', 'Data:'))}\n{setup}")
    if random.random() < 0.8:
        opening = ("Desired output:", "Expected result:", "I want to get", "The result should be", "Expected output:")
        told.append(f"{random.choice(opening)}\n{want}")
    return "\n\n".join(told)
