"""Documents of Spider's training questions: the benchmark's prompt, and answers in one style.

A document is some questions about one database. Tables that no question needs are left out until it fits; order
of tables and columns, names, and values change from one reading to the next, the same way in schema, question
and answer, so that the meaning stays.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from smcdsl.potentials._sql_schema import Schema, Table
from tokenizers import Tokenizer

from benchmarks.tasks import splits
from benchmarks.tasks.training.databases import opened, same_result, schema_of
from benchmarks.tasks.training.queries import FUNCTIONS, KEYWORDS, Token, canonical, rendered
from smcdsl.models.embedded.training import words
from smcdsl.models.embedded.training.corpus import Document, Encoder, Row
from smcdsl.models.embedded.training.questions import SYSTEM

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[A-Z]")
_NUMBER = re.compile(r"(?<![\w.])\d\d+(?![\w.])")
QUESTIONS = 8
"""The most questions of one document."""


@dataclass(frozen=True)
class Example:
    """A question, the lexemes of its query, and the tables that the query reads, folded."""

    question: str
    query: tuple[Token, ...]
    tables: frozenset[str]

    @property
    def text(self) -> str:
        """The query."""
        return rendered(list(self.query))


@dataclass(frozen=True)
class Database:
    """A schema with the questions about it."""

    name: str
    schema: Schema
    examples: tuple[Example, ...]


def database_path(name: str, data: Path | None = None) -> Path:
    """Where a database lies."""
    return (data or splits.data_folder()) / "spider/databases" / f"{name}.sqlite.xz"


def databases(rows: Sequence[splits.Row], data: Path | None = None) -> list[Database]:
    """Return the databases of some rows; rows whose rewritten query returns something else are left out."""
    grouped: dict[str, list[splits.Row]] = defaultdict(list)
    for row in rows:
        grouped[row["db_id"]].append(row)
    found = []
    for name, questions in sorted(grouped.items()):
        path = database_path(name, data)
        schema = schema_of(path)
        examples = []
        for row in questions:
            tokens, tables = canonical(row["query"], schema)
            if same_result(opened(path), rendered(tokens), row["query"]):
                examples.append(Example(" ".join(row["question"].split()), tuple(tokens), tables))
        found.append(Database(name, schema, tuple(examples)))
    return found


def narrowed(schema: Schema, kept: frozenset[str]) -> Schema:
    """Return a schema of some of the tables, without references to the others."""
    tables = [table for table in schema.tables if table.name.lower() in kept and not table.is_view]
    return Schema(
        tuple(
            replace(table, references=tuple(r for r in table.references if r.table.lower() in kept)) for table in tables
        )
    )


def shuffled(schema: Schema, random: Random) -> Schema:
    """Return a schema with its tables in another order, and often the columns of each."""
    tables = random.sample(schema.tables, len(schema.tables)) if random.random() < 0.7 else list(schema.tables)
    if random.random() < 0.5:
        tables = [replace(t, columns=tuple(random.sample(t.columns, len(t.columns)))) for t in tables]
    return Schema(tuple(tables))


def stem(word: str) -> str:
    """The word that a singular and a plural share: small letters, no s at the end."""
    word = word.lower()
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def stems(text: str) -> set[str]:
    """The stems of the words in a text; names are cut at underscores and capitals."""
    return {stem(word) for word in _WORD.findall(text)}


@dataclass(frozen=True)
class Renaming:
    """Words by other words, the same way wherever they stand: plurals and capitals stay what they are."""

    words: dict[str, str]

    def text(self, text: str) -> str:
        """Return a question or a name with its words replaced."""
        return _WORD.sub(lambda match: self._word(match.group()), text)

    def query(self, query: Sequence[Token]) -> tuple[Token, ...]:
        """Return a query with its names and texts renamed."""
        return tuple(Token(t.kind, self.text(t.text)) if t.kind in ("name", "string") else t for t in query)

    def schema(self, schema: Schema) -> Schema:
        """Return a schema with its tables and columns renamed."""
        return Schema(tuple(self._table(table) for table in schema.tables))

    def inverse(self) -> "Renaming":
        """The renaming back."""
        return Renaming({new: old for old, new in self.words.items()})

    def _table(self, table: Table) -> Table:
        def names(columns: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(self.text(column) for column in columns)

        references = [
            replace(r, columns=names(r.columns), table=self.text(r.table), targets=names(r.targets))
            for r in table.references
        ]
        columns = tuple(replace(column, name=self.text(column.name)) for column in table.columns)
        return replace(table, name=self.text(table.name), columns=columns, references=tuple(references))

    def _word(self, word: str) -> str:
        new = self.words.get(stem(word))
        if new is None:
            return word
        new += word.lower().removeprefix(stem(word))
        if word.isupper() and len(word) > 1:
            return new.upper()
        return new.capitalize() if word[0].isupper() else new


def names_of(schema: Schema) -> list[str]:
    """The names of tables and columns."""
    return [name for table in schema.tables for name in (table.name, *(column.name for column in table.columns))]


def renaming(schema: Schema, examples: Sequence[Example], share: float, random: Random) -> Renaming:
    """Return coined words for about `share` of the words in names.

    A word is replaced only if every question whose query has it in a name says it too: `older` must still
    find the column `age`.
    """
    said_otherwise: set[str] = set()
    for example in examples:
        for token in example.query:
            if token.kind == "name":
                said_otherwise |= stems(token.text) - stems(example.question)
    known = stems(" ".join((*names_of(schema), *(e.question + " " + e.text for e in examples))))
    allowed = stems(" ".join(names_of(schema))) - said_otherwise - KEYWORDS - FUNCTIONS
    chosen: dict[str, str] = {}
    for word in sorted(allowed):
        if len(word) > 2 and random.random() < share:
            new = words.coin(random, random.choice((2, 2, 2, 3)))
            if stem(new) == new and len(new) > 3 and new not in known:
                chosen[word] = new
                known.add(new)
    return Renaming(chosen)


def revalued(example: Example, random: Random) -> Example:
    """Return an example with some of its values, those that the question quotes, replaced in both."""
    question, query = example.question, list(example.query)
    for index, token in enumerate(query):
        old = token.text.strip("'%")
        if token.kind == "string" and len(old) > 1 and "'" not in old and random.random() < 0.35:
            new = words.text_value(random, random.choice(("person", "title", "place", "other")))
        elif token.kind == "number" and _NUMBER.fullmatch(old) and random.random() < 0.35:
            new = str(random.randrange(10 ** (len(old) - 1), 10 ** len(old)))
        else:
            continue
        pattern = rf"(?<![\w.]){re.escape(old)}(?![\w.])"
        if len(re.findall(pattern, question)) == 1 and question.count(old) == 1:
            question = question.replace(old, new)
            query[index] = Token(token.kind, token.text.replace(old, new))
    return replace(example, question=question, query=tuple(query))


def rows_of(schema: Schema, examples: Sequence[Example]) -> list[Row]:
    """Return the benchmark's prompts with their answers."""
    ddl = schema.ddl()
    return [Row("sql", SYSTEM, f"Schema:\n{ddl}\n\nQuestion: {e.question}", e.text) for e in examples]


class Source:
    """Documents without end, the same ones for the same seed."""

    def __init__(self, found: Sequence[Database], tokenizer: Tokenizer, seed: str, room: int = 420) -> None:
        self.databases = [database for database in found if database.examples]
        self.encoder = Encoder(tokenizer)
        self.random = Random(seed)
        self.room = room
        self._weights = [len(database.examples) for database in self.databases]
        self._lengths = {
            (database.name, table.name.lower()): len(self.encoder.text(table.ddl() + "\n"))
            for database in self.databases
            for table in database.schema.tables
        }

    def __iter__(self) -> Iterator[Document]:
        while True:
            yield self.encoder.document(self.rows())

    def rows(self) -> list[Row]:
        """Return the rows of one document."""
        random = self.random
        (database,) = random.choices(self.databases, self._weights)
        asked = random.sample(database.examples, min(QUESTIONS, len(database.examples)))
        schema, examples = self._fitted(database, asked)
        schema = shuffled(schema, random)
        chosen = renaming(schema, examples, random.choice((0.0, 0.0, 0.3, 0.6, 0.9)), random)
        examples = [replace(e, question=chosen.text(e.question), query=chosen.query(e.query)) for e in examples]
        return rows_of(chosen.schema(schema), [revalued(example, random) for example in examples])

    def _fitted(self, database: Database, asked: list[Example]) -> tuple[Schema, list[Example]]:
        """The tables that the first questions need, some others, and the questions these answer."""
        room = self.random.choice((0.5, 0.75, 1.0)) * self.room
        kept: frozenset[str] = frozenset()
        examples: list[Example] = []
        for example in asked:
            wider = kept | example.tables
            if not examples or self._length(database, wider) <= room:
                kept = wider
                examples.append(example)
        others = [table.name.lower() for table in database.schema.tables if not table.is_view]
        for table in self.random.sample(others, len(others)):
            if self._length(database, kept | {table}) <= room:
                kept |= {table}
        return narrowed(database.schema, kept), examples

    def _length(self, database: Database, tables: frozenset[str]) -> int:
        return sum(self._lengths[database.name, table] for table in tables)
