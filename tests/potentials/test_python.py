"""The Python potentials: what they answer on whole programs and beginnings, and what cannot beat them."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smcdsl.potentials import _jail, python
from smcdsl.potentials._jail_monty import MontyRunner
from smcdsl.potentials._jail_report import Failure, Limits, Program, read_report
from smcdsl.potentials._python_cases import same
from smcdsl.potentials._python_cut import mistake, parsed, whole_statements

from tests.potentials.test_jail import missing_layers

needs_jail = pytest.mark.skipif(bool(missing_layers()), reason=f"this system lacks {', '.join(missing_layers())}")


@pytest.fixture(scope="module", params=["cpython-jail", "monty"])
def rung(request) -> Iterator[str]:
    if request.param == "monty":
        pytest.importorskip("pydantic_monty")
    elif missing_layers():
        pytest.skip(f"this system lacks {', '.join(missing_layers())}")
    before = dict(_jail._open)
    jail = _jail.Jail(monty=request.param == "monty")
    _jail._open.clear()
    _jail._open[os.getpid()] = jail
    python._kept.clear()
    yield request.param
    jail.close()
    _jail._open.clear()
    _jail._open.update(before)


RUNS = [
    ("y = x + 1", True),
    ("y = z", False),
    ("def f():\n    return missing\n", True),
    ("def f():\n    return missing\nf()", False),
    ("yield 3", False),
    ("y = (", False),
    ("import sys\nsys.exit()", False),
    ("raise SystemExit", False),
    ("import os\nos._exit(0)", False),
    ("assert x == 3", True),
    ("assert x == 4", False),
    ("class A:\n    y: int = 3\nA().y", True),
    ("from dataclasses import dataclass\n@dataclass\nclass A:\n    y: int\nA(3)", True),
    ("import asyncio\nasync def f():\n    await asyncio.sleep(0)\nasyncio.run(f())", True),
    ("print('x' * 1000)", True),
    ("input()", False),
    ("import threading\nthreading.Thread(target=print).start()", False),
    ("", True),
]


@pytest.mark.parametrize(("code", "right"), RUNS)
def test_no_error_is_what_running_says(rung, code, right):
    if missing_layers() and "import os" in code + "import threading":
        pytest.skip("monty alone cannot say")
    assert python.no_error("x = 3\n", [code]) == [right]


def test_a_batch_is_answered_in_order_and_repeats_are_run_once(rung, monkeypatch):
    asked = []
    real = _jail.Jail.run_all
    monkeypatch.setattr(
        _jail.Jail,
        "run_all",
        lambda self, programs, limits: asked.append(len(programs)) or real(self, programs, limits),
    )
    assert python.no_error("", ["x = 1", "x = y", "x = 1", "x = 1 / 0"]) == [True, False, True, False]
    assert asked == [3]


def test_pass_rate_is_the_share_of_cases(rung):
    cases = [
        {"call": "add(1, 2)", "want": 3},
        {"call": "add(1, -1)", "want": 0},
        {"call": "add('a', 'b')", "want": "ab"},
    ]
    codes = [
        "def add(a, b):\n    return a + b\n",
        "def add(a, b):\n    return a - b\n",
        "def add(a, b):\n    return 0\n",
    ]
    codes += ["def ad(a, b):\n    return a + b\n", "def add(a, b):\n    return a + b\n1 / 0"]
    assert python.pass_rate("", codes, cases) == [1.0, 0.0, 1 / 3, 0.0, 0.0]


@pytest.mark.parametrize(
    ("call", "want"),
    [
        ("(1, [2, {'a': None}])", [1, [2, {"a": None}]]),
        ("{3, 1, 2}", [1, 2, 3]),
        ("{1: 'a', True: 'b', None: 2.5}", {"1": "b", "null": 2.5}),
        ("0.1 + 0.2", 0.3),
        ("float('nan')", float("nan")),
        ("2 ** 100", 2**100),
        ("'\\ud800'", "\ud800"),
    ],
)
def test_values_are_compared_as_json(rung, call, want):
    assert python.pass_rate("", ["pass"], [{"call": call, "want": want}]) == [1.0]


@pytest.mark.parametrize("call", ["object()", "b'x'", "lambda: 3", "print", "missing", "10 ** 5000", "[[]] * 10 ** 6"])
def test_a_value_without_a_form_in_json_is_a_failed_case(rung, call):
    assert python.pass_rate("", ["pass"], [{"call": call, "want": None}]) == [0.0]


def test_a_case_that_ends_the_process_fails_those_after_it(rung):
    cases = [{"call": call, "want": 1} for call in ("1", "__import__('os')._exit(0)", "1")]
    assert python.pass_rate("", ["pass"], cases) == [1 / 3]


@pytest.mark.parametrize(
    "cases", [[], {}, [{"call": "f()"}], [{"call": 3, "want": 3}], "f()", [{"call": "f()", "want": 1, "x": 2}]]
)
def test_wrong_cases_are_explained(cases):
    with pytest.raises(ValueError, match="case"):
        python.pass_rate("", ["x = 1"], cases)


@needs_jail
@pytest.mark.parametrize(
    "setup", ["1 / 0", "import no_such_module", "x = (", "while True: pass", "import os\nos._exit(0)"]
)
def test_a_setup_that_fails_is_an_error_and_no_verdict(setup):
    with pytest.raises(ValueError, match="the setup fails by itself"):
        python.no_error(setup, ["x = 1"])


WANT = [{"call": "f()", "want": [1, 2]}]
CHEATS = {
    "equal to everything": "class A:\n    __eq__ = lambda a, b: True\n    __hash__ = None\ndef f():\n    return A()",
    "list equal to everything": "class A(list):\n    __eq__ = lambda a, b: True\ndef f():\n    return A()",
    "forged lines everywhere": (
        'import os\nfor number in range(64):\n    try:\n        os.write(number, b\'{"call": 0, "value": true}\\n\')\n'
        "    except OSError:\n        pass\nos._exit(0)"
    ),
    "forged line on stdout": 'print(\'{"call": 0, "value": [1, 2]}\', flush=True)\nimport os\nos._exit(0)',
    "patched json": "import json\njson.dumps = lambda *a, **k: 'true'\njson.JSONEncoder = None\ndef f():\n    return 0",
    "patched builtins": (
        "import builtins\nfor name in ('eval', 'compile', 'exec', 'isinstance', 'str', 'all', 'map'):\n"
        "    setattr(builtins, name, lambda *a, **k: True)\ndef f():\n    return 0"
    ),
    "patched exit": "import os, sys\nos._exit = sys.exit = lambda *a: None\ndef f():\n    return 0",
    "frames": (
        "import sys\ndef f():\n    frame = sys._getframe()\n    while frame:\n"
        "        for held in frame.f_locals.values():\n"
        "            if isinstance(held, (list, dict)) and 'want' in str(held):\n                return held\n"
        "        frame = frame.f_back"
    ),
    "command line": "import sys\ndef f():\n    return sys.argv + sys.orig_argv",
    "pickle": "class A:\n    def __reduce__(self):\n        return (list, ((1, 2),))\ndef f():\n    return A()",
    "large result": "def f():\n    return 'x' * (1 << 29)",
    "hook at the end": "import atexit\natexit.register(print, [1, 2])\ndef f():\n    return 0",
    "garbage": (
        "import os\nfor number in range(3, 64):\n    try:\n        os.write(number, b'\\xff\\n[[[{\\n')\n"
        "    except OSError:\n        pass\n"
        "def f():\n    return 0"
    ),
}


@needs_jail
@pytest.mark.parametrize("name", CHEATS)
def test_cheats_do_not_pass(name):
    assert python.pass_rate("", [CHEATS[name]], WANT) == [0.0]


@needs_jail
@pytest.mark.parametrize(
    "code",
    [
        'import os\nos.write(1, b\'{"done": "code"}\\n\')\nos._exit(0)',
        "import os\nfor n in range(64):\n    try:\n        os.write(n, b'{\"done\": \"code\"}\\n' + b'0' * 16)\n"
        "    except OSError:\n        pass\nos._exit(0)",
        "import os\nfor n in range(64):\n    try:\n        os.close(n)\n    except OSError:\n        pass",
    ],
)
def test_a_forged_end_is_no_end(code):
    assert python.no_error("", [code]) == [False]


@needs_jail
def test_tables_and_arrays_have_a_form_in_json():
    pytest.importorskip("pandas")
    setup = "import pandas as pd\nimport numpy as np\n"
    code = "df = pd.DataFrame({'a': [1, 1, 2], 'b': [1.0, 2.0, 4.0]})\nmeans = df.groupby('a').b.mean()\n"
    cases = [
        {"call": "means.reset_index()", "want": {"a": [1, 2], "b": [1.5, 4.0]}},
        {"call": "means", "want": [1.5, 4]},
        {"call": "np.arange(3) ** 2", "want": [0, 1, 4]},
        {"call": "np.float32(0.5)", "want": 0.5},
        {"call": "len(df) == np.int64(3)", "want": True},
    ]
    assert python.pass_rate(setup, [code, code + "df.no_such_column"], cases) == [1.0, 0.0]


@needs_jail
def test_what_monty_lacks_moves_to_the_jail():
    """`import numpy` is no error of the program."""
    pytest.importorskip("pydantic_monty")
    assert python.no_error("", ["import numpy as np\nx = np.zeros(3)"]) == [True]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        ("x = 1", True),
        ("x = y", False),
        ("yield 3", False),
        ("x = (", False),
        ("while True: pass", False),
        ("import numpy", None),
        ("class A(int): pass", None),
        ("[].no_such_method()", None),
    ],
)
def test_monty_alone_says_no_only_where_python_would(code, verdict):
    pytest.importorskip("pydantic_monty")
    runner = MontyRunner()
    try:
        report = runner.run(Program("", code), Limits(), final=True)
        unsure = runner.run(Program("", code), Limits(), final=False)
    finally:
        runner.close()
    assert (None if report is None else report.ok) == verdict
    assert (unsure is not None and unsure.ok) == (verdict is True)


CUTS = [
    ("", ""),
    ("x = 1", "x = 1"),
    ("x = 1\n", "x = 1\n"),
    ("x = 1\nif x:\n    y = 2", "x = 1\n"),
    ("x = 1\nif x:\n    y = 2\nelse:\n    y", "x = 1\n"),
    ("x = 1\ntry:\n    y = 2", "x = 1\n"),
    ("@a\ndef f():\n    pass", ""),
    ("x\n@a\n@b\ndef f():\n    pass", "x\n"),
    ("def f():\n    pass\nx = f()", "def f():\n    pass\nx = f()"),
    ("def f():\n    pass\nx = f(\n", "def f():\n    pass\n"),
    ("x = '''\ny = (\n", ""),
    ("a = 1\nx = [\n1,\n2", "a = 1\n"),
    ("a; b", "a; b"),
]


@pytest.mark.parametrize(("text", "cut"), CUTS)
def test_beginnings_are_cut_to_whole_statements(text, cut):
    assert whole_statements(text) == cut


SIMPLE = st.sampled_from(
    ["x = 1", "y = x", "x += 1", "import math", "f()", "z = [\n1]", "raise ValueError", "s = '''a\nb'''", "y; x = 2"]
)


def indented(lines: list[str]) -> str:
    return "".join(
        "    " + line + "\n" for text in lines for line in text.replace("\n1]", "1]").replace("a\nb", "ab").split("\n")
    )


SUITES = st.lists(SIMPLE, min_size=1, max_size=2).map(indented)
BRANCHES = st.builds(
    lambda head, suite, tail: f"{head}\n{suite}" + (f"{tail}\n{suite}" if tail else ""),
    st.sampled_from(["if x:", "for i in [1]:", "while False:"]),
    SUITES,
    st.sampled_from(["", "else:"]),
)
DEFINITIONS = st.builds(
    lambda head, suite: head + suite,
    st.sampled_from(["def f():\n", "@staticmethod\ndef f():\n", "class A:\n", "async def f():\n"]),
    SUITES,
)
COMPOUND = BRANCHES | DEFINITIONS | SUITES.map(lambda suite: f"try:\n{suite}except ValueError:\n    y = 0\n")
STATEMENTS = st.lists(COMPOUND | SIMPLE.map(lambda text: text + "\n"), min_size=1, max_size=6)


def ends_of_statements(text: str) -> Iterator[int]:
    """Where statements end, blocks' included: the boundaries at which beginnings are judged."""
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.stmt):
            yield starts[node.end_lineno - 1] + node.end_col_offset


@given(STATEMENTS)
def test_what_is_cut_stays_whatever_follows(statements):
    text = "".join(statements)
    whole = [ast.dump(node) for node in ast.parse(text).body]
    for end in ends_of_statements(text):
        cut = whole_statements(text[:end])
        assert text.startswith(cut)
        kept = [ast.dump(node) for node in parsed(cut).body]
        assert kept == whole[: len(kept)]


@needs_jail
@settings(max_examples=25)
@given(STATEMENTS)
def test_a_no_to_a_beginning_is_a_no_to_the_whole(statements):
    text = "".join(statements)
    (right,) = python.no_error("", [text])
    prefixes = [text[:end] for end in sorted(set(ends_of_statements(text)))]
    if right:
        assert python._no_error_so_far("", prefixes) == [True] * len(prefixes)
    for prefix in prefixes:
        assert python._compiles_so_far(prefix) or not python.compiles(text)


@needs_jail
@pytest.mark.parametrize(
    ("prefix", "alive"),
    [
        ("x = missing", False),
        ("x = 1\nif x:\n    missing", True),
        ("def f():\n    return missing\ny = f()", True),
        ("def f():\n    return 1 / 0\ny = f()", False),
        ("y = 1 / 0\nif y:\n    z", False),
    ],
)
def test_beginnings_die_as_soon_as_nothing_can_mend_them(prefix, alive):
    assert python._no_error_so_far("", [prefix]) == [alive]


@pytest.mark.parametrize(
    ("code", "right"),
    [
        ("x = 1", True),
        ("x = (", False),
        ("return 3", False),
        ("\0", False),
        ("\ud800", False),
        ("(" * 5000, False),
        ("x" * 200_000, False),
    ],
)
def test_compiles_is_what_the_interpreter_says(code, right):
    assert python.compiles(code) == right
    assert (mistake(code) is None) == right


@pytest.mark.parametrize(
    "text",
    [
        "-" * 50_000 + "1",
        "a" + ".b" * 40_000,
        "+".join("a" * 40_000),
        "[" * 3000,
        "if a:\n" * 300,
        "not " * 20_000 + "a",
    ],
)
def test_deep_texts_are_bounded(text):
    assert python.compiles(text) in (True, False)
    assert text.startswith(whole_statements(text))


@needs_jail
def test_why_is_said_in_a_line_without_control_characters():
    assert python.no_error.explain(["", "x = y"]) == "NameError: name 'y' is not defined (line 1)"
    said = python.no_error.explain(["", "raise ValueError('\\x1b[31m\\nred')"])
    assert said.isprintable()
    assert python.compiles.explain(["x = ("]) == "'(' was never closed (line 1)"
    assert python.no_error.explain(["", "import os\nos._exit(0)"]) == "it ends its process"


def test_the_rung_is_told(rung):
    said = python.jail()
    assert said.startswith("monty" if rung == "monty" else "cpython-jail (limits, landlock, seccomp")


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    )
)
def test_every_json_value_is_the_same_as_itself(value):
    assert same(value, value)
    assert not same([value], value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (True, 1),
        (1, True),
        ("1", 1),
        (None, False),
        ([1], [1, 1]),
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {"b": 1}),
        (10**400, 1.0),
        (0.1, 0.2),
    ],
)
def test_different_values_are_not_the_same(one, other):
    assert not same(one, other)


@pytest.mark.parametrize(
    "line",
    ["", "x", "[]", "3", '{"done": 3}', '{"call": "0", "value": 1}', '{"failed": "code", "line": []}', "[" * 99_999],
)
def test_any_line_is_read_as_a_report(line):
    report = read_report({"end": "done", "lines": ['{"done": "setup"}', line]})
    assert not report.ok
    assert report.failure is None or isinstance(report.failure, Failure)
