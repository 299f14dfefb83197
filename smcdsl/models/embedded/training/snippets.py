"""The smaller parts of the corpus: molecules, blocksworld goals, short programs and copying drills."""

# Wordings of one question stand on one line each, however long.
# ruff: noqa: E501

from itertools import pairwise
from random import Random
from typing import Any

from . import words

MOLECULES_HEADER = "Drug-like molecules, one SMILES string per line.\n"
GOAL_SYSTEM = "You translate stories into PDDL goals."
CODE_SYSTEM = "Complete the program. Reply with code only."

SCAFFOLDS = """c1ccc(*)cc1 c1cc(*)ccc1* c1ccc(*)nc1 c1cnc(*)nc1 c1csc(*)n1 c1coc(*)c1 c1ccc2[nH]cc(*)c2c1 c1ccc2nc(*)sc2c1
c1ccc2c(c1)cc(*)o2 C1CCN(*)CC1 C1CN(*)CCN1* C1COCCN1* C1CCC(*)CC1 C1CC1* c1nc(*)cn1* c1cc(*)n[nH]1 O=C1CCCN1* c1ccc2ncc(*)cc2c1
O=C(N*)c1ccc(*)cc1 O=C(*)N1CCN(*)CC1 c1ccc(C(=O)N*)cc1 CC(*)C(=O)N* O=S(=O)(*)c1ccc(*)cc1 c1cc(*)c(*)cc1 c1nnc(*)o1 N#Cc1ccc(*)cc1""".split()
GROUPS = """C CC C(C)C OC OCC F Cl Br C#N C(F)(F)F OC(F)(F)F N(C)C NC(C)=O C(=O)O C(N)=O S(C)(=O)=O C(=O)OC CO O N CCO CCN(C)C
CN1CCOCC1 CCc1ccccc1 Cc1ccccc1 c1ccccc1 c1ccc(F)cc1 c1ccc(Cl)cc1 c1ccc(OC)cc1 c1ccncc1 C1CC1 C1CCCC1 N1CCCC1 N1CCOCC1 NCC
OCc1ccccc1 C(=O)Nc1ccccc1 NC(=O)C1CC1 CC(=O)NC C(=O)N1CCCC1 OCCN(C)C SC c1cccs1 c1ccco1 CNC(=O)C CC(C)O C(=O)NCC""".split()


def molecule(random: Random) -> str:
    """Return a valid SMILES string: scaffolds joined at their open places, closed by small groups."""
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    while True:
        text = random.choice(SCAFFOLDS)
        grown = 0
        while "*" in text:
            before, after = text.split("*", 1)
            if grown < 1 and random.random() < 0.35:
                # The first open place of the next scaffold may stand at any of its atoms; rdkit decides.
                piece = random.choice(SCAFFOLDS)
                piece = renumbered(piece, text)
                grown += 1
            else:
                piece = renumbered(random.choice(GROUPS), text)
            text = before + piece + after
        text = text.replace("()", "")
        if len(text) > 60:
            continue
        found: Any = Chem.MolFromSmiles(text)
        if found is None:
            continue
        if random.random() < 0.5:
            text = Chem.MolToSmiles(found)
        return text


def renumbered(piece: str, host: str) -> str:
    """Return `piece` with ring numbers the host does not use."""
    highest = max((int(c) for c in host if c.isdigit()), default=0)
    if highest == 0 or highest > 6:
        return piece
    return "".join(str(int(c) + highest) if c.isdigit() else c for c in piece)


def molecules(random: Random) -> tuple[str, str]:
    """Return (header, molecules), to be read as raw text."""
    return MOLECULES_HEADER, "".join(molecule(random) + "\n" for _ in range(random.randint(2, 6)))


def towers(random: Random, blocks: list[str]) -> list[list[str]]:
    """Return the blocks dealt into towers, each from top to bottom."""
    shuffled = random.sample(blocks, len(blocks))
    result: list[list[str]] = []
    while shuffled:
        size = min(len(shuffled), random.choice((1, 1, 2, 2, 3)))
        result.append([shuffled.pop() for _ in range(size)])
    return result


def goal(random: Random) -> tuple[str, str]:
    """Return a blocksworld problem with a story, and the goal the story asks for."""
    blocks = [f"b{n}" for n in range(1, random.randint(2, 5) + 1)]
    init = ["(arm-empty)"]
    for tower in towers(random, blocks):
        init.append(f"(clear {tower[0]})")
        init += [f"(on {top} {under})" for top, under in pairwise(tower)]
        init.append(f"(on-table {tower[-1]})")
    wanted = random.sample(blocks, random.randint(2, len(blocks)))
    sentences, facts = [], []
    for tower in towers(random, wanted):
        for top, under in pairwise(tower):
            sentences.append(
                random.choice(
                    (
                        f"{top} should be on {under}",
                        f"put {top} on top of {under}",
                        f"stack {top} on {under}",
                        f"{top} sits on {under}",
                    )
                )
            )
            facts.append(f"(on {top} {under})")
        if len(tower) == 1 or random.random() < 0.7:
            sentences.append(
                random.choice(
                    (
                        f"{tower[-1]} should be on the table",
                        f"put {tower[-1]} on the table",
                        f"{tower[-1]} stays on the table",
                        f"{tower[-1]} rests on the table",
                    )
                )
            )
            facts.append(f"(on-table {tower[-1]})")
    story = random.choice((", and ", ", then ", ", ")).join(sentences)
    opening = random.choice(("", "", "I want this: ", "Please tidy up: ", "At the end "))
    story = opening + (story if opening else story[0].upper() + story[1:])
    problem = f"(define (problem p) (:domain blocksworld) (:objects {' '.join(blocks)}) (:init {' '.join(init)}))"
    return f"{problem}\nStory: {story}.", f"(:goal (and {' '.join(facts)}))"


def program(random: Random) -> tuple[str, str]:
    """Return a one-line task and the code that does it."""
    name = (
        words.coin(random, 2)
        if random.random() < 0.6
        else random.choice(("items", "numbers", "names", "values", "data", "prices", "scores"))
    )
    other = words.coin(random, 2) if random.random() < 0.6 else random.choice(("result", "total", "answer", "out"))
    n, m = random.randint(2, 99), random.randint(2, 20)
    tasks = (
        (f"Sum the list {name} into {other}.", f"{other} = sum({name})"),
        (f"Sort {name} in descending order into {other}.", f"{other} = sorted({name}, reverse=True)"),
        (f"Sort {name} into {other}.", f"{other} = sorted({name})"),
        (f"Keep the elements of {name} greater than {n} in {other}.", f"{other} = [x for x in {name} if x > {n}]"),
        (f"Keep the even numbers of {name} in {other}.", f"{other} = [x for x in {name} if x % 2 == 0]"),
        (f"Put the squares of {name} into {other}.", f"{other} = [x * x for x in {name}]"),
        (f"Multiply every element of {name} by {n} and store it in {other}.", f"{other} = [x * {n} for x in {name}]"),
        (
            f"Count how often each element of {name} occurs, in {other}.",
            f"from collections import Counter\n{other} = Counter({name})",
        ),
        (f"Print the largest element of {name}.", f"print(max({name}))"),
        (f"Print the length of {name}.", f"print(len({name}))"),
        (f"Reverse {name} into {other}.", f"{other} = {name}[::-1]"),
        (f"Take the first {m} elements of {name} as {other}.", f"{other} = {name}[:{m}]"),
        (f"Take the last {m} elements of {name} as {other}.", f"{other} = {name}[-{m}:]"),
        (f"Write a function {name} that returns the sum of two numbers.", f"def {name}(a, b):\n    return a + b"),
        (f"Write a function {name} that adds {n} to its argument.", f"def {name}(x):\n    return x + {n}"),
        (
            f"Write a function {name} that tells whether a number is divisible by {m}.",
            f"def {name}(x):\n    return x % {m} == 0",
        ),
        (f"Print the numbers from 1 to {n}, one per line.", f"for i in range(1, {n} + 1):\n    print(i)"),
        (f"Join the strings in {name} with commas into {other}.", f'{other} = ",".join({name})'),
        (f"Make a numpy array {other} of {n} zeros.", f"import numpy as np\n{other} = np.zeros({n})"),
        (f"Compute the mean of the numpy array {name} into {other}.", f"{other} = {name}.mean()"),
        (f"Compute the mean of each column of the numpy array {name} into {other}.", f"{other} = {name}.mean(axis=0)"),
        (f"Remove duplicates from {name} into {other}.", f"{other} = list(set({name}))"),
        (f"Uppercase every string of {name} into {other}.", f"{other} = [x.upper() for x in {name}]"),
        (f"Average the list {name} into {other}.", f"{other} = sum({name}) / len({name})"),
        (
            f"Build a dictionary {other} from each element of {name} to its index.",
            f"{other} = {{x: i for i, x in enumerate({name})}}",
        ),
        (
            f"Add up the squares of the first {n} numbers in {other}.",
            f"{other} = 0\nfor i in range({n}):\n    {other} += i * i",
        ),
    )
    task, code = random.choice(tasks)
    return task, f"```python\n{code}\n```"


def drill(random: Random) -> tuple[str, str]:
    """Return names and the same names again, in their order or another, to be read as raw text.

    Names are pieces of coined words; the drills teach early on to continue a name as it went before.
    """
    names = [words.coined_name(random) for _ in range(random.randint(4, 14))]
    names = [name.capitalize() if random.random() < 0.25 else name for name in names]
    between = random.choice((", ", " ", "\n", "; "))
    again = names if random.random() < 0.5 else random.sample(names, len(names))
    return f"Repeat: {between.join(names)}\nAgain: ", between.join(again) + "\n"
