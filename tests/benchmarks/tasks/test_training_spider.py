"""Spider's questions are varied for training without changing what they ask."""

import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
sys.path.insert(0, str(ROOT))
pytest.importorskip("tokenizers")

from smcdsl.potentials import sql  # noqa: E402
from smcdsl.potentials._sql_schema import read_schema  # noqa: E402
from spider import DATA, SPIDER, needs_spider  # noqa: E402

from benchmarks.tasks import splits  # noqa: E402
from benchmarks.tasks.training import spider  # noqa: E402
from benchmarks.tasks.training.databases import opened, result, same_result  # noqa: E402
from benchmarks.tasks.training.queries import Unreadable, canonical, lexed, rendered  # noqa: E402

SCRIPT = """
CREATE TABLE Singer (Singer_ID INT PRIMARY KEY, Name TEXT, Age INT, Country TEXT);
CREATE TABLE concert (concert_id INTEGER PRIMARY KEY, Title TEXT, Year INT, "Full Seats" INT);
CREATE TABLE singer_in_concert (Singer_ID INT REFERENCES Singer(Singer_ID), concert_id INT REFERENCES concert(concert_id));
INSERT INTO Singer VALUES (1, 'Ada Berg', 31, 'France'), (2, 'Bo', 45, 'Peru'), (3, 'Cy', 27, 'France'), (4, 'Di', 45, NULL);
INSERT INTO concert VALUES (1, 'Opening', 2014, 300), (2, 'Singers', 2015, 20), (3, 'Finale', 2015, 80);
INSERT INTO singer_in_concert VALUES (1, 1), (1, 2), (2, 2), (3, 2), (3, 3);
"""  # noqa: E501
GOLD = [
    ("How many singers are there?", "select COUNT(*) from singer;", "SELECT count(*) FROM Singer"),
    (
        "Names of singers older than 30?",
        "SELECT name ,  AGE FROM singer AS T1 WHERE T1.age  >  30 ORDER BY t1.name ASC",
        "SELECT Name, Age FROM Singer WHERE Age > 30 ORDER BY Name",
    ),
    (
        "Singers from France?",
        'SELECT name FROM singer WHERE country = "France"',
        "SELECT Name FROM Singer WHERE Country = 'France'",
    ),
    (
        "Names of singers of the concert Singers?",
        "SELECT T1.name FROM singer AS T1 JOIN singer_in_concert AS T2 ON T1.singer_id = T2.singer_id JOIN concert AS "
        'T3 ON T2.concert_id = T3.concert_id WHERE title = "Singers"',
        "SELECT Singer.Name FROM Singer JOIN singer_in_concert ON Singer.Singer_ID = singer_in_concert.Singer_ID JOIN "
        "concert ON singer_in_concert.concert_id = concert.concert_id WHERE concert.Title = 'Singers'",
    ),
    (
        "Singers without a concert?",
        "SELECT name FROM singer WHERE singer_id NOT IN (SELECT T1.singer_id FROM singer_in_concert AS T1)",
        "SELECT Name FROM Singer WHERE Singer_ID NOT IN (SELECT Singer_ID FROM singer_in_concert)",
    ),
    (
        "Which pairs of singers have one age?",
        "SELECT T1.name, T2.name FROM singer AS T1 JOIN singer AS T2 ON T1.age = T2.age WHERE T1.name <> T2.name",
        "SELECT T1.Name, T2.Name FROM Singer AS T1 JOIN Singer AS T2 ON T1.Age = T2.Age WHERE T1.Name != T2.Name",
    ),
    (
        "Countries of singers under 30 and of singers over 40?",
        "SELECT country FROM singer AS T1 WHERE T1.age < 30 UNION SELECT T1.country FROM singer T1 WHERE T1.age > 40",
        "SELECT Country FROM Singer WHERE Age < 30 UNION SELECT Country FROM Singer WHERE Age > 40",
    ),
    (
        "Which concert has the most full seats?",
        'SELECT "full seats", title FROM concert ORDER BY "full seats" DESC LIMIT 1',
        'SELECT "Full Seats", Title FROM concert ORDER BY "Full Seats" DESC LIMIT 1',
    ),
    (
        "How many singers of each age, for ages of several?",
        "SELECT age, count(DISTINCT country) FROM singer GROUP BY age HAVING COUNT (*) >= 2",
        "SELECT Age, count(DISTINCT Country) FROM Singer GROUP BY Age HAVING count(*) >= 2",
    ),
]


def filled():
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCRIPT)
    return connection


def examples(schema):
    found = [canonical(query, schema) for _, query, _ in GOLD]
    return [spider.Example(GOLD[i][0], tuple(tokens), tables) for i, (tokens, tables) in enumerate(found)]


def rebuilt(schema, original, names, connection):
    """A database of another schema, with the rows of the first one; `names` says what is called what now."""
    made = sqlite3.connect(":memory:")
    made.executescript(schema.ddl())
    for table in original.tables:
        new = next(t for t in schema.tables if t.name == names.text(table.name))
        rows = connection.execute(f'SELECT * FROM "{table.name}"').fetchall()
        order = [[names.text(c.name) for c in table.columns].index(column.name) for column in new.columns]
        # Texts are data too: a question quotes them, so they are renamed with it.
        renamed = [[names.text(row[i]) if isinstance(row[i], str) else row[i] for i in order] for row in rows]
        made.executemany(f'INSERT INTO "{new.name}" VALUES ({", ".join("?" * len(order))})', renamed)
    return made


@pytest.mark.parametrize(("question", "query", "wanted"), GOLD)
def test_queries_are_rewritten_in_one_style(question, query, wanted):
    connection = filled()
    tokens, _ = canonical(query, read_schema(connection))
    assert rendered(tokens) == wanted
    assert same_result(connection, wanted, query)
    assert result(connection, query, ordered=False)


def test_the_one_style_is_its_own():
    schema = read_schema(filled())
    for _, _, wanted in GOLD:
        assert rendered(canonical(wanted, schema)[0]) == wanted


def test_a_query_knows_its_tables():
    schema = read_schema(filled())
    assert canonical(GOLD[3][1], schema)[1] == {"singer", "singer_in_concert", "concert"}
    assert canonical(GOLD[4][1], schema)[1] == {"singer", "singer_in_concert"}


def test_what_cannot_be_read_is_refused():
    with pytest.raises(Unreadable, match="no lexeme at"):
        lexed("SELECT 'open")


@given(st.integers(0, 10**9), st.sampled_from([0.0, 0.5, 1.0]))
def test_variations_return_what_the_original_returns(seed, share):
    connection, random = filled(), Random(seed)
    schema = read_schema(connection)
    found = examples(schema)
    names = spider.renaming(schema, found, share, random)
    varied = names.schema(spider.shuffled(schema, random))
    made = rebuilt(varied, schema, names, connection)
    for example in found:
        before = connection.execute(example.text).fetchall()
        after = made.execute(spider.rendered(list(names.query(example.query)))).fetchall()
        told = [tuple(names.text(v) if isinstance(v, str) else v for v in row) for row in before]
        assert sorted(after, key=repr) == sorted(told, key=repr)


@given(st.integers(0, 10**9))
def test_renaming_can_be_undone(seed):
    schema = read_schema(filled())
    found = examples(schema)
    names = spider.renaming(schema, found, 1.0, Random(seed))
    back = names.inverse()
    assert names.words
    assert back.schema(names.schema(schema)).ddl() == schema.ddl()
    for example in found:
        assert back.text(names.text(example.question)) == example.question
        assert back.query(names.query(example.query)) == example.query


@given(st.integers(0, 10**9))
def test_a_word_that_a_question_puts_otherwise_is_kept(seed):
    schema = read_schema(filled())
    # "older" means the column Age.
    assert "age" not in spider.renaming(schema, examples(schema)[1:2], 1.0, Random(seed)).words


@given(st.integers(0, 10**9))
def test_values_change_in_question_and_query_together(seed):
    schema = read_schema(filled())
    example = replace(examples(schema)[2], question="Singers from France older than 30?")
    changed = spider.revalued(example, Random(seed))
    (value,) = [token.text.strip("'") for token in changed.query if token.kind == "string"]
    assert changed.question == f"Singers from {value} older than 30?"


def test_left_out_tables_leave_no_reference():
    schema = read_schema(filled())
    kept = spider.narrowed(schema, frozenset({"singer_in_concert", "singer"}))
    assert [table.name for table in kept.tables] == ["Singer", "singer_in_concert"]
    assert "concert(concert_id)" not in kept.ddl()
    assert "REFERENCES Singer(Singer_ID)" in kept.ddl()


@needs_spider
def test_the_schema_is_the_one_that_a_program_is_shown(tmp_path):
    from spider import unpacked

    path = SPIDER / "databases/department_management.sqlite.xz"
    assert read_schema(opened(path)).ddl() == sql.ddl(unpacked("department_management", tmp_path))


@needs_spider
def test_rewritten_gold_queries_return_the_same():
    rows = sorted(Random(0).sample(splits.spider_validation(DATA), 60), key=lambda row: row["db_id"])
    found = spider.databases(rows, DATA)
    assert sum(len(database.examples) for database in found) == len(rows)
