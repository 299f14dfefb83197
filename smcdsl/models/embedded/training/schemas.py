"""Schemas: one to three tables of one to six columns, most of their names coined."""

from dataclasses import dataclass, field
from random import Random

from . import words


@dataclass(frozen=True)
class Column:
    """A column and what people call it; `kind` picks its wording and its values."""

    name: str
    type: str
    kind: str

    @property
    def said(self) -> str:
        """The name as people say it."""
        return words.spoken(self.name)


@dataclass
class Table:
    """A table; `parents` are the tables its last columns refer to."""

    name: str
    columns: list[Column]
    parents: list["Table"] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The primary key."""
        return f"{self.name}_id"

    @property
    def one(self) -> str:
        """One row, as people say it."""
        return words.spoken(self.name)

    @property
    def many(self) -> str:
        """Several rows, as people say it."""
        return words.plural(self.one)

    @property
    def label(self) -> Column | None:
        """The column that names a row, if there is one."""
        first = self.columns[0]
        return first if first.kind in ("person", "title") else None

    @property
    def texts(self) -> list[Column]:
        """Columns of texts."""
        return [column for column in self.columns if column.type == "TEXT"]

    @property
    def classes(self) -> list[Column]:
        """Columns of texts that many rows may share."""
        return [column for column in self.texts if column.kind not in ("person", "title")]

    @property
    def numbers(self) -> list[Column]:
        """Columns of numbers."""
        return [column for column in self.columns if column.type != "TEXT"]

    def ddl(self) -> str:
        """Return the table's CREATE TABLE line."""
        parts = [f"{self.key} INTEGER PRIMARY KEY"]
        parts += [f"{column.name} {column.type}" for column in self.columns]
        parts += [f"{parent.key} INTEGER REFERENCES {parent.name}({parent.key})" for parent in self.parents]
        return f"CREATE TABLE {self.name} ({', '.join(parts)});"

    def column_names(self) -> frozenset[str]:
        """Return the names of all columns, keys included."""
        return frozenset([self.key, *(c.name for c in self.columns), *(p.key for p in self.parents)])


# Columns with natural names, and their kinds.
LABELS = {"name": "person", "title": "title", "full_name": "person", "label": "title"}
TEXT_COLUMNS = {
    **dict.fromkeys(
        ("country", "city", "region", "town", "hometown", "state", "nationality", "location", "address"), "place"
    ),
    **dict.fromkeys(
        """genre category kind type style color status language brand model level material format shape grade
        department position role season sector theme gender mood size_class currency code""".split(),
        "class",
    ),
}
NUMBER_COLUMNS = {
    "age": "age",
    **dict.fromkeys(("price", "cost", "fee"), "price"),
    **dict.fromkeys(("year", "founded", "built", "release_year", "birth_year", "opening_year"), "year"),
    "height": "height",
    "weight": "weight",
    **dict.fromkeys(("length", "duration"), "length"),
    **dict.fromkeys(("salary", "wage"), "salary"),
    **dict.fromkeys(("rating", "score"), "rating"),
    **dict.fromkeys(("area", "size", "population", "capacity"), "size"),
    "speed": "speed",
    "depth": "depth",
    "stock": "stock",
    **dict.fromkeys(
        """quantity distance pages points budget goals wins seats floors sales rank hours minutes amount total
        tax discount profit revenue temperature volume value width credits visits views likes""".split(),
        "number",
    ),
}
REAL_KINDS = {"price", "height", "weight", "rating", "length"}
RESERVED = {
    "ORDER",
    "GROUP",
    "SELECT",
    "INDEX",
    "TABLE",
    "MATCH",
    "TO",
    "IN",
    "ON",
    "AS",
    "BY",
    "OR",
    "IS",
    "IF",
    "NO",
    "END",
    "SET",
    "ADD",
    "ALL",
    "AND",
    "NOT",
    "CASE",
    "FROM",
    "JOIN",
    "LEFT",
    "LIKE",
    "NULL",
    "WHEN",
    "WITH",
}


def make_schema(random: Random, unseen: bool = False) -> list[Table]:
    """Return one to three tables; with `unseen`, natural words come only from the lists kept back."""
    made_up = random.choice((0.0, 0.0, 0.5, 0.8, 0.9, 1.0, 1.0))
    used: set[str] = set()

    def fresh(natural: list[str], coined: float) -> str:
        while True:
            name = words.coined_name(random) if random.random() < coined else random.choice(natural)
            if name not in used and f"{name}_id" not in used and name.upper() not in RESERVED:
                used.add(name)
                return name

    def make_table(parents: list[Table]) -> Table:
        name = fresh(words.UNSEEN_NOUNS if unseen else words.NOUNS, made_up)
        size = random.choice((1, 2, 2, 3, 3, 4, 4, 5)) - max(0, len(parents) - 1)
        columns = []
        if random.random() < (0.75 if not parents else 0.45):
            label = random.choice(("name", "name", "name", "name", "title", "title", "full_name", "label"))
            columns.append(Column(label, "TEXT", LABELS[label]))
        taken = {c.name for c in columns} | {name}
        while len(columns) < max(1, size):
            coined = random.random() < made_up * 0.9
            text = random.random() < 0.42
            pool = TEXT_COLUMNS if text else NUMBER_COLUMNS
            natural = words.UNSEEN_COLUMNS if unseen else list(pool)
            column = words.coined_name(random) if coined else random.choice(natural)
            if (
                column in taken
                or column.upper() in RESERVED
                or (unseen and not coined and (column in words.UNSEEN_COLUMNS[10:]) != text)
            ):
                continue
            taken.add(column)
            kind = pool.get(column, random.choice(("place", "class", "class")) if text else "number")
            if coined and text:
                kind = "other"
            real = kind in REAL_KINDS or (kind == "number" and random.random() < 0.2)
            columns.append(
                Column(column, "TEXT" if text else "REAL" if real and random.random() < 0.5 else "INTEGER", kind)
            )
        return Table(name, columns, parents)

    count = random.choice((1, 1, 2, 2, 2, 2, 3, 3))
    tables = [make_table([])]
    for _ in range(count - 1):
        parents = [random.choice(tables)]
        if len(tables) == 2:
            parents = random.choice(([tables[0]], [tables[1]], tables[:], tables[:], []))
            if len(parents) == 2 and tables[1].parents and random.random() < 0.6:
                parents = [tables[1]]
            elif not parents and not tables[1].parents:
                parents = tables[:]
        elif random.random() < 0.35:
            parents = []
        tables.append(make_table(list(parents)))
    return tables
