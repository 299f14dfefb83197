"""Values of inputs by type, from texts and from Python, and what is said of those that do not fit."""

import sqlite3
from pathlib import Path

import pytest

from smcdsl.engine.inputs import PYTHON, command_line, from_texts, from_values
from smcdsl.errors import UsageError
from smcdsl.program.evaluation import InputFile

import smcdsl  # isort: skip

DECLARED = """smc 1
program p
input s: str = "x"
input n: int = 1
input x: float = 0.5
input b: bool = true
input c: "red" | "green" = "red"
input j: json = null
input many: list[int] = [1]
input f: file
input db: sqlite
generate {
  text "{{ s }}[[x1: /a/]]\\n"
}
"""


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("f.txt").write_bytes(b"one\r\ntwo\n")
    connection = sqlite3.connect("d.sqlite")
    connection.execute("CREATE TABLE t (a)")
    connection.commit()
    connection.close()


@pytest.fixture
def program():
    text = DECLARED.replace("input j: json = null\n", "input j: json\n")
    return smcdsl.compile(text).program


BASE = {"f": ["f.txt"], "db": ["d.sqlite"], "j": ["1"]}


def read(program, **texts):
    return from_texts(program, BASE | {name: [text] for name, text in texts.items()}, command_line("smcdsl run p"))


def refused(program, **texts):
    with pytest.raises(UsageError) as caught:
        read(program, **texts)
    return caught.value.diagnostics[0]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("s", "hello", "hello"),
        ("s", "@f.txt", "one\ntwo\n"),
        ("s", "@@f", "@f"),
        ("n", " 7 ", 7),
        ("x", "2", 2.0),
        ("b", "no", False),
        ("c", "green", "green"),
        ("j", '{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        ("many", "[3, 4]", [3, 4]),
        ("many", "5", [5]),
    ],
)
def test_values_from_texts(program, name, text, value):
    assert read(program, **{name: text})[name] == value


def test_a_list_by_repeating_the_flag(program):
    assert from_texts(program, BASE | {"many": ["1", "2"]}, command_line(""))["many"] == [1, 2]


def test_files_and_defaults(program):
    values = read(program)
    assert values["f"] == InputFile("f.txt", "one\ntwo\n")
    assert values["db"] == "d.sqlite"
    assert (values["s"], values["n"], values["b"], values["many"]) == ("x", 1, True, [1])


def test_values_from_python(program):
    values = from_values(program, {"f": Path("f.txt"), "db": Path("d.sqlite"), "j": (1, 2), "many": (3,), "x": 1})
    assert values["j"] == [1, 2]
    assert values["many"] == [3]
    assert isinstance(values["x"], float)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("n", "seven", "the value of `n` must be of type `int`"),
        ("n", "1.5", "of type `int`"),
        ("x", "much", "of type `float`"),
        ("b", "maybe", "of type `bool`"),
        ("c", "blue", 'one of "red" | "green"'),
        ("j", "{", "is not JSON"),
        ("many", '["a"]', "of type `int`"),
        ("s", "@none.txt", "there is no file `none.txt`"),
        ("f", "none.txt", "there is no file `none.txt`"),
        ("f", ".", "is a folder, not a file"),
        ("db", "none.sqlite", "there is no file `none.sqlite`"),
    ],
)
def test_texts_that_do_not_fit(program, name, text, said):
    diagnostic = refused(program, **{name: text})
    assert diagnostic.code == "E0802"
    assert said in diagnostic.message


def test_a_file_of_commas_is_not_a_database(program):
    Path("shop.csv").write_text("id,name,price\n1,a,2\n")
    diagnostic = refused(program, db="shop.csv")
    assert diagnostic.message == "`shop.csv` is not a SQLite database"
    assert diagnostic.context == "-i db=shop.csv"
    assert diagnostic.facts == ("the file starts with `id,name,pri`; SQLite files start with `SQLite format 3`",)
    assert diagnostic.help == 'import it first: sqlite3 shop.sqlite ".import --csv shop.csv items"'


def test_empty_and_damaged_databases(program):
    Path("empty.sqlite").write_bytes(b"")
    assert refused(program, db="empty.sqlite").facts == ("the file is empty",)
    data = bytearray(Path("d.sqlite").read_bytes())
    data[16:200] = b"\xff" * 184
    Path("bad.sqlite").write_bytes(data)
    assert "is damaged" in refused(program, db="bad.sqlite").message


def test_bytes_that_are_no_text(program):
    Path("latin.txt").write_bytes("caf\xe9".encode("latin-1"))
    assert refused(program, f="latin.txt").facts == ("byte 0xe9 at offset 3 is not UTF-8",)


def test_all_mistakes_at_once(program):
    with pytest.raises(UsageError) as caught:
        from_texts(program, {"n": ["x"], "zz": ["1"]}, command_line("smcdsl run p"))
    assert [diagnostic.code for diagnostic in caught.value.diagnostics] == ["E0814", "E0802", "E0801"]


@pytest.mark.parametrize(
    ("value", "name"), [(True, "n"), ("1", "n"), (1, "s"), ([1], "s"), ("1,2", "many"), (object(), "j")]
)
def test_python_values_that_do_not_fit(program, value, name):
    with pytest.raises(UsageError, match="E0802"):
        from_values(program, {"f": "f.txt", "db": "d.sqlite", "j": 1, name: value}, PYTHON)
