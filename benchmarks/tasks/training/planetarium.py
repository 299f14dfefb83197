"""Documents of Planetarium's training problems: a description, and the goal it asks for.

Objects of one type change names, the same way in description and goal, from one reading to the next: b1, ..., b9
among themselves. An abstract description names no blocks; then the goal's own names are kept, in the order the
generator gives them.
"""

import re
from collections.abc import Iterator, Sequence
from random import Random

from benchmarks.tasks import splits
from smcdsl.models.embedded.training.corpus import END, Document, Encoder, Row
from smcdsl.models.embedded.training.snippets import GOAL_SYSTEM

SYSTEM = GOAL_SYSTEM
OPENING, CLOSING = "(:goal ", ")"
"""What the benchmark's program gives around the hole."""
# `b1 through b9` names a range, whose ends stay.
_OBJECT = re.compile(r"(?<!through )\b(b|ball|gripper|room)(\d+)\b(?! through)")


def goal_of(row: splits.Row) -> str:
    """Return the formula of a problem's goal, `(and ...)`, on one line."""
    problem: str = row["problem_pddl"]
    start = problem.index("(:goal ") + len("(:goal ")
    depth = 0
    for end in range(start, len(problem)):
        depth += {"(": 1, ")": -1}.get(problem[end], 0)
        if problem[end] == ")" and depth == 0:
            return " ".join(problem[start : end + 1].split())
    raise ValueError(f"the goal of {row['id']} does not end")


def answer_of(goal: str) -> str:
    """Return what the assistant says: the benchmark's text around the hole, and the goal."""
    return f"{OPENING}{goal}{CLOSING}"


def permutation(texts: Sequence[str], random: Random) -> dict[str, str]:
    """Return new names for the objects in some texts: those of one type change places."""
    names = sorted({match.group() for text in texts for match in _OBJECT.finditer(text)})
    kinds: dict[str, list[str]] = {}
    for name in names:
        kinds.setdefault(name.rstrip("0123456789"), []).append(name)
    return {
        old: new
        for members in kinds.values()
        for old, new in zip(members, random.sample(members, len(members)), strict=True)
    }


def permuted_text(text: str, names: dict[str, str]) -> str:
    """Return a text with its objects renamed, all at once."""
    return _OBJECT.sub(lambda match: names.get(match.group(), match.group()), text)


def row_of(row: splits.Row, names: dict[str, str]) -> Row:
    """Return one conversation of the benchmark."""
    user, goal = permuted_text(row["natural_language"], names), permuted_text(goal_of(row), names)
    return Row("pddl", SYSTEM, user, answer_of(goal))


PERMUTED = 0.25
"""How often blocks change names. The generator numbers them in order, and so do the rows of the final number."""


def documents(
    rows: Sequence[splits.Row], encoder: Encoder, seed: str, permuted: float = PERMUTED
) -> Iterator[Document]:
    """Yield documents of one problem each, without end."""
    random = Random(seed)
    blocks = [row for row in rows if row["domain"] == "blocksworld"]
    others = [row for row in rows if row["domain"] != "blocksworld"]
    while True:
        row = random.choice(others if others and random.random() < 0.1 else blocks)
        # Only a description that names every object of the goal may have them renamed.
        named = set(_OBJECT.findall(goal_of(row))) <= set(_OBJECT.findall(row["natural_language"]))
        change = random.random() < permuted and named and not row["goal_is_abstract"]
        names = permutation((row["natural_language"], goal_of(row)), random) if change else {}
        yield document(row_of(row, names), encoder)


def document(row: Row, encoder: Encoder) -> Document:
    """Return one conversation. The opening is cut apart from the goal, as a program that gives it does."""
    prompt = encoder.prompt(row)
    answer = [*encoder.text(OPENING), *encoder.text(row.answer.removeprefix(OPENING)), END]
    return Document(prompt[:-1], [(prompt[-1:] + answer, 1)])
