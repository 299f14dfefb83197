"""Signatures are read from Python files without running them."""

from __future__ import annotations

import pytest

from smcdsl.library.search import LibraryFile
from smcdsl.library.signatures import facts_of, read_functions
from smcdsl.protocols import Facts

FILE = '''
"""Potentials."""
import os
os.abort()  # reading runs nothing

from smcdsl import potential
from smcdsl.protocols import Sqlite, Weight

@potential(prefix="closed", cost="200ms", batch=True, timeout="5s", on_error="zero")
def no_error(setup: str, code: list[str]) -> list[bool]:
    """True if it raises nothing."""

@potential()
def returns_rows(q: str, db: Sqlite, most: int = 3) -> Weight: ...

@potential(pure=False, workers=4)
def energy(x: "str") -> "logweight": ...

def ddl(db: Sqlite, *, deep: bool = True) -> str: ...

def _hidden(x): ...

class Other: ...
'''


def read(text: str, **more: str):
    return read_functions(LibraryFile("potentials/own.py", text, **more), "own")


def test_public_functions_are_found():
    assert list(read(FILE).functions) == ["no_error", "returns_rows", "energy", "ddl"]
    assert read(FILE).problems == []


def test_a_batch_potential_takes_one_item_where_python_takes_a_list():
    signature = read(FILE).functions["no_error"]
    assert [str(parameter.type) for parameter in signature.parameters] == ["str", "str"]
    assert signature.batched == 1
    assert str(signature.result) == "bool"
    assert signature.facts.prefix == "closed"
    assert signature.facts.cost_seconds == pytest.approx(0.2)
    assert signature.facts.timeout_seconds == 5
    assert signature.facts.on_error == signature.facts.on_timeout == "zero"


def test_versions_and_kept_results_are_facts():
    text = """
from smcdsl import potential

@potential(version="2026-01", cache=True)
def judge(text: str) -> float: ...
"""
    facts = read(text).functions["judge"].facts
    assert (facts.version, facts.cache) == ("2026-01", True)
    assert facts_of({"version": "1", "cache": True})[1] == {}


@pytest.mark.parametrize(
    ("values", "name", "said"),
    [
        ({"version": 2}, "version", "a text is needed"),
        ({"cache": "yes"}, "cache", "one of true, false is needed"),
        ({"cache": True, "pure": False}, "cache", "results of a potential that is not pure cannot be kept"),
    ],
)
def test_versions_and_kept_results_are_checked(values, name, said):
    facts, mistakes = facts_of(values)
    assert mistakes == {name: said}
    assert not facts.cache


def test_a_result_that_may_be_undetermined_is_a_result():
    text = """
from smcdsl import potential

@potential(prefix="any")
def judge(text: str) -> bool | None: ...

@potential(prefix="any", batch=True)
def judge_all(texts: list[str]) -> list[float | None]: ...
"""
    functions = read(text).functions
    assert str(functions["judge"].result) == "bool"
    assert str(functions["judge_all"].result) == "float"


def test_defaults_and_named_types():
    signature = read(FILE).functions["returns_rows"]
    assert [str(parameter.type) for parameter in signature.parameters] == ["str", "sqlite", "int"]
    assert [parameter.required for parameter in signature.parameters] == [True, True, False]
    assert signature.parameters[2].default == 3
    assert str(signature.result) == "weight"
    assert signature.is_potential


def test_plain_functions_are_helpers():
    signature = read(FILE).functions["ddl"]
    assert not signature.is_potential
    assert [parameter.name for parameter in signature.parameters] == ["db", "deep"]


def test_annotations_may_be_texts():
    signature = read(FILE).functions["energy"]
    assert str(signature.parameters[0].type) == "str"
    assert str(signature.result) == "logweight"
    assert not signature.facts.pure
    assert signature.facts.workers == 4


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("str", "str"),
        ("list[list[int]]", "list[list[int]]"),
        ("Sequence[str]", "list[str]"),
        ("typing.Sequence[float]", "list[float]"),
        ("tuple[str, ...]", "list[str]"),
        ("str | None", "str?"),
        ("None | int", "int?"),
        ("Optional[bool]", "bool?"),
        ('Literal["a", "b"]', '"a" | "b"'),
        ("Annotated[int, 3]", "int"),
        ("sqlite3.Connection", "sqlite"),
        ("Path", "sqlite"),
        ("File", "file"),
        ("dict[str, int]", "any"),
        ("str | int", "any"),
        ("Unknown", "any"),
        ("'not a type!'", "any"),
        ("list", "list[any]"),
    ],
)
def test_annotations_become_types(annotation, expected):
    signature = read(f"def f(x: {annotation}): ...").functions["f"]
    assert str(signature.parameters[0].type) == expected


def test_where_a_function_is_declared():
    signature = read("# é comment\n\n\ndef fünf(x): ...\n").functions["fünf"]
    assert signature.declared.text == "fünf"
    assert signature.location.line == 4


def test_shipped_functions_are_reached_by_module_and_own_ones_by_path():
    own = read("def f(): ...", path="/there/own.py").functions["f"].location
    shipped = read("def f(): ...", path="/there/sql.py", module="smcdsl.potentials.sql").functions["f"].location
    assert (own.module, own.path) == ("", "/there/own.py")
    assert (shipped.module, shipped.path) == ("smcdsl.potentials.sql", "")


@pytest.mark.parametrize("text", ["def f(:", "def f(x):\n\tpass\n        pass", "x = '\x00'"])
def test_what_is_no_python_is_one_mistake(text):
    found = read(text)
    assert found.functions == {}
    assert [problem.code for problem in found.problems] == ["E0210"]


def test_computed_facts_are_refused():
    found = read("@potential(cost=COST, prefix='maybe')\ndef f(x) -> bool: ...")
    assert [problem.code for problem in found.problems] == ["E0508", "E0508"]
    assert [problem.primary.text for problem in found.problems] == ["cost=COST", "prefix='maybe'"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cost", "long"),
        ("prefix", "some"),
        ("pure", 1),
        ("workers", -1),
        ("workers", True),
        ("on_error", "one!"),
        ("x", 1),
    ],
)
def test_facts_that_do_not_fit_are_named(name, value):
    _, mistakes = facts_of({name: value})
    assert list(mistakes) == [name]


def test_facts_agree_with_the_decorators():
    facts, _ = facts_of({})
    assert vars(facts) == vars(Facts())
