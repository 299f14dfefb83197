"""Questions about a schema, and the one query each of them means.

A question is built from a shape
(what is asked) and conditions (which rows); both have several wordings, and every meaning
has exactly one query.
"""

# Wordings of one question stand on one line each, however long.
# ruff: noqa: E501

from dataclasses import dataclass
from random import Random

from . import words
from .schemas import Column, Table

SYSTEM = "You write exactly one SQLite query and nothing else."


# Wordings of a comparison by kind: what follows the noun, or "are ..." when it starts with "+".
WORDINGS: dict[str, dict[str, list[str]]] = {
    "age": {
        ">": ["+older than {v}", "+over {v}", "+over {v} years old", "+above {v} years of age"],
        "<": ["+younger than {v}", "+under {v}", "+under {v} years old", "+below {v} years of age"],
        ">=": ["+at least {v} years old", "+{v} or older", "+aged {v} or more"],
        "<=": ["+at most {v} years old", "+{v} or younger"],
        "=": ["+{v} years old", "+aged {v}"],
        "between": ["+between {a} and {b} years old", "+aged between {a} and {b}", "+aged {a} to {b}"],
        "max": ["oldest"],
        "min": ["youngest"],
    },
    "price": {
        ">": [
            "+more expensive than {v}",
            "that cost more than {v}",
            "costing more than {v}",
            "+priced above {v}",
            "that cost over {v}",
        ],
        "<": [
            "+cheaper than {v}",
            "that cost less than {v}",
            "costing less than {v}",
            "+priced below {v}",
            "that cost under {v}",
        ],
        ">=": ["that cost at least {v}", "costing at least {v}", "that cost {v} or more"],
        "<=": ["that cost at most {v}", "costing at most {v}", "that cost {v} or less"],
        "=": ["that cost {v}", "that cost exactly {v}", "+priced at {v}"],
        "between": ["that cost between {a} and {b}", "costing between {a} and {b}", "+priced between {a} and {b}"],
        "max": ["most expensive", "priciest"],
        "min": ["cheapest", "least expensive"],
    },
    "year": {
        ">": ["+from after {v}", "after {v}", "+newer than {v}", "later than {v}"],
        "<": ["+from before {v}", "before {v}", "+older than {v}", "earlier than {v}"],
        ">=": ["since {v}", "from {v} or later", "from {v} on"],
        "<=": ["until {v}", "from {v} or earlier", "up to {v}"],
        "=": ["in {v}", "+from {v}", "+from the year {v}"],
        "between": ["between {a} and {b}", "+from between {a} and {b}", "from {a} to {b}"],
        "max": ["latest", "newest", "most recent"],
        "min": ["earliest", "oldest"],
    },
    "height": {
        ">": ["+taller than {v}", "+higher than {v}"],
        "<": ["+shorter than {v}", "+lower than {v}"],
        "max": ["tallest", "highest"],
        "min": ["shortest", "lowest"],
    },
    "weight": {
        ">": ["+heavier than {v}", "that weigh more than {v}", "weighing over {v}"],
        "<": ["+lighter than {v}", "that weigh less than {v}", "weighing under {v}"],
        ">=": ["that weigh at least {v}", "weighing {v} or more"],
        "max": ["heaviest"],
        "min": ["lightest"],
    },
    "length": {
        ">": ["+longer than {v}", "that last more than {v}", "that are over {v} long"],
        "<": ["+shorter than {v}", "that last less than {v}", "that are under {v} long"],
        "max": ["longest"],
        "min": ["shortest"],
    },
    "salary": {
        ">": ["who earn more than {v}", "earning more than {v}", "paid more than {v}", "earning over {v}"],
        "<": ["who earn less than {v}", "earning less than {v}", "paid less than {v}", "earning under {v}"],
        ">=": ["who earn at least {v}", "earning {v} or more"],
        "max": ["best paid", "highest paid"],
        "min": ["worst paid", "lowest paid"],
    },
    "rating": {
        ">": ["+rated above {v}", "+rated higher than {v}", "+better than {v}"],
        "<": ["+rated below {v}", "+rated lower than {v}", "+worse than {v}"],
        ">=": ["+rated at least {v}", "+rated {v} or higher", "+rated {v} or better"],
        "=": ["+rated {v}"],
        "max": ["best rated", "top rated", "best", "highest rated"],
        "min": ["worst rated", "worst", "lowest rated"],
    },
    "size": {
        ">": ["+larger than {v}", "+bigger than {v}"],
        "<": ["+smaller than {v}"],
        "max": ["largest", "biggest"],
        "min": ["smallest"],
    },
    "speed": {">": ["+faster than {v}"], "<": ["+slower than {v}"], "max": ["fastest"], "min": ["slowest"]},
    "depth": {">": ["+deeper than {v}"], "<": ["+shallower than {v}"], "max": ["deepest"], "min": ["shallowest"]},
    "stock": {
        ">": ["with more than {v} in stock", "with over {v} in stock"],
        "<": ["with less than {v} in stock", "with fewer than {v} in stock"],
        ">=": ["with at least {v} in stock", "with {v} or more in stock"],
        "=": ["with {v} in stock", "with exactly {v} in stock"],
    },
    "plural": {
        ">": ["with more than {v} {s}", "with over {v} {s}"],
        "<": ["with fewer than {v} {s}", "with less than {v} {s}"],
        ">=": ["with at least {v} {s}", "with {v} or more {s}"],
        "<=": ["with at most {v} {s}"],
        "=": ["with {v} {s}", "with exactly {v} {s}"],
    },
    "number": {},
}
GENERIC: dict[str, list[str]] = {
    ">": ["above {v}", "over {v}", "more than {v}", "greater than {v}", "higher than {v}", "larger than {v}"],
    "<": ["below {v}", "under {v}", "less than {v}", "lower than {v}", "smaller than {v}"],
    ">=": ["at least {v}", "{v} or more", "not less than {v}"],
    "<=": ["at most {v}", "{v} or less", "not more than {v}"],
    "=": ["{v}", "exactly {v}", "equal to {v}"],
    "between": ["between {a} and {b}", "from {a} to {b}"],
}
RANGES = {
    "age": (5, 95),
    "year": (1850, 2025),
    "rating": (1, 10),
    "height": (1, 400),
    "salary": (900, 99000),
    "price": (1, 900),
    "size": (10, 90000),
}


@dataclass(frozen=True)
class Condition:
    """A filter: words after the noun, as a predicate ("" if it has none), before it, and its SQL."""

    after: str
    predicate: str
    before: str
    columns: tuple[str, ...]
    sql: str

    def about(self, noun: str) -> str:
        """Return the noun with the condition around it."""
        return f"{self.before} {noun}" if self.before else f"{noun} {self.after}"


class Asker:
    """Builds questions about one schema."""

    def __init__(self, random: Random, tables: list[Table], taboo: frozenset[str]) -> None:
        self.random = random
        self.tables = tables
        self.taboo = taboo

    def pick(self, *options: str) -> str:
        """Return one of the options."""
        return self.random.choice(options)

    def chance(self, probability: float) -> bool:
        """Return true with a probability."""
        return self.random.random() < probability

    # Values and conditions

    def number(self, column: Column) -> str:
        """Return a number for a column."""
        low, high = RANGES.get(column.kind, (1, self.random.choice((10, 60, 100, 500, 5000, 90000))))
        value = self.random.randint(low, high)
        if high > 1000 and column.kind != "year" and self.chance(0.5):
            value = max(100, value // 100 * 100)
        elif high > 60 and column.kind not in ("age", "year") and self.chance(0.4):
            value = max(5, value // 5 * 5)
        if column.type == "REAL" and self.chance(0.35):
            return f"{value}.{self.random.choice((5, 5, self.random.randint(1, 9), self.random.randint(11, 99)))}"
        return str(value)

    def text(self, column: Column) -> str:
        """Return a text for a column; never one of the example database."""
        while True:
            value = words.text_value(self.random, column.kind)
            if value.lower() not in self.taboo:
                return value

    def has(self, column: Column, phrase: str) -> tuple[str, str]:
        """Return (words after a noun, predicate) for a column and a phrase about its value."""
        said = column.said
        article = self.pick("a", "a", "the") if not said.endswith("s") else ""
        if article == "a" and said[0] in "aeiou":
            article = "an"
        thing = f"{article} {said}".strip()
        of = "of " if phrase[0].isdigit() or (phrase.startswith(("at ", "exactly")) and self.chance(0.8)) else ""
        draw = self.random.random()
        if draw < 0.45:
            return f"whose {said} is {phrase}", f"have {thing} {of}{phrase}"
        if draw < 0.85:
            return f"with {thing} {of}{phrase}", f"have {thing} {of}{phrase}"
        return f"{self.pick('where', 'where the')} {said} is {phrase}", f"have {thing} {of}{phrase}"

    def numeric(self, column: Column, ref: str, op: str = "") -> Condition:
        """Return a condition on a column of numbers."""
        op = op or self.random.choice((">", ">", ">", "<", "<", "<", ">=", "<=", "=", "between"))
        values = {"v": self.number(column)}
        sql = f"{ref} {op} {values['v']}"
        if op == "between":
            first, second = sorted((self.number(column), self.number(column)), key=float)
            values = {"a": first, "b": second}
            sql = f"{ref} BETWEEN {first} AND {second}"
        kind = "plural" if column.name in words.PLURALS else column.kind
        values["s"] = column.said
        natural = WORDINGS.get(kind, {}).get(op)
        if natural and self.chance(0.6):
            phrase = self.random.choice(natural).format(**values)
            if phrase.startswith("+"):
                after = phrase[1:] if self.chance(0.6) else f"{self.pick('that', 'who', 'which')} are {phrase[1:]}"
                return Condition(after, f"are {phrase[1:]}", "", (column.name,), sql)
            verb = phrase.split(" ", 1)
            predicate = f"have {verb[1]}" if verb[0] == "with" else verb[1] if verb[0] in ("that", "who") else ""
            return Condition(phrase, predicate, "", (column.name,), sql)
        after, predicate = self.has(column, self.random.choice(GENERIC[op]).format(**values))
        return Condition(after, predicate, "", (column.name,), sql)

    def textual(self, column: Column, ref: str, op: str = "") -> Condition:
        """Return a condition on a column of texts."""
        op = op or self.random.choice(("=",) * 14 + ("!=", "!=", "like"))
        said, value = column.said, self.text(column)
        named = (column.name,)
        if op == "like":
            letter = value[: self.random.choice((1, 1, 1, 2, 3))]
            after = self.pick(
                f"whose {said} starts with {letter}",
                f"with a {said} starting with {letter}",
                f"whose {said} begins with {letter}",
            )
            return Condition(after, f"have a {said} that starts with {letter}", "", named, f"{ref} LIKE '{letter}%'")
        if op == "!=":
            after = f"whose {said} is not {value}"
            predicate = f"do not have the {said} {value}"
            if column.kind == "place":
                after, predicate = (
                    self.pick(f"not from {value}", f"that are not from {value}", after),
                    f"are not from {value}",
                )
            elif column.kind == "class":
                after = self.pick(after, f"that are not {value}", f"with a {said} other than {value}")
            return Condition(after, predicate, "", named, f"{ref} != '{value}'")
        sql = f"{ref} = '{value}'"
        if column.kind == "place" and self.chance(0.75):
            phrase = self.pick(f"from {value}", f"from {value}", f"in {value}", f"in {value}", f"based in {value}")
            lives = self.pick(
                f"who live in {value}", f"that come from {value}", f"located in {value}", phrase, phrase, phrase
            )
            return Condition(
                lives,
                self.pick(f"are {phrase}", f"are {phrase}", f"live in {value}", f"come from {value}"),
                "",
                named,
                sql,
            )
        if column.kind in ("person", "title") and self.chance(0.7):
            phrase = self.pick(f"named {value}", f"called {value}", f"with the {said} {value}")
            return Condition(phrase, f"are {phrase}" if phrase[0] in "nc" else "", "", named, sql)
        if column.kind == "class" and self.chance(0.4):
            return Condition("", f"are {value}", value, named, sql)
        if column.kind == "class" and self.chance(0.4):
            phrase = self.pick(
                f"in the {value} {said}", f"of {said} {value}", f"of the {value} {said}", f"of the {said} {value}"
            )
            return Condition(phrase, f"are {phrase}", "", named, sql)
        phrase = self.pick(
            f"whose {said} is {value}",
            f"with {said} {value}",
            f"with the {said} {value}",
            f"where the {said} is {value}",
        )
        return Condition(phrase, f"have the {said} {value}", "", named, sql)

    def condition(
        self, table: Table, qualified: bool = False, avoid: tuple[str, ...] = (), label_too: bool = True
    ) -> Condition | None:
        """Return a condition on some column of a table, None if none is left."""
        columns = [c for c in table.columns if c.name not in avoid and (label_too or c != table.label)]
        if not columns:
            return None
        column = self.random.choice(columns)
        if column is table.label and self.chance(0.6):
            column = self.random.choice(columns)
        ref = f"{table.name}.{column.name}" if qualified else column.name
        return self.textual(column, ref) if column.type == "TEXT" else self.numeric(column, ref)

    # Phrases that ask

    def asked(self, table: Table, avoid: tuple[str, ...] = ()) -> list[Column]:
        """Return the one or two columns a question asks for; the label when there is one."""
        label = table.label
        if label and label.name not in avoid and self.chance(0.7):
            if self.chance(0.8):
                return [label]
            others = [c for c in table.columns if c is not label and c.name not in avoid]
            return [label, self.random.choice(others)] if others else [label]
        free = [c for c in table.columns if c.name not in avoid] or table.columns
        return self.random.sample(free, min(len(free), self.random.choice((1, 1, 1, 1, 2))))

    def list_question(self, columns: list[Column], subject: str, plain: bool) -> str:
        """Return a question for `columns` of `subject`; `plain` if the label alone is asked for."""
        if plain and self.chance(0.5):
            return self.pick(
                f"List {subject}",
                f"List all {subject}",
                f"Show {subject}",
                f"Show me the {subject}",
                f"Find the {subject}",
                f"Find all {subject}",
                f"Give me all {subject}",
                f"Name the {subject}",
                f"Name all {subject}",
                f"Which are the {subject}?",
                f"What are the {subject}?",
                f"Who are the {subject}?",
            )
        said = [c.said if self.chance(0.3) else words.plural(c.said) for c in columns]
        if len(columns) == 1 and self.chance(0.1):
            return f"What {said[0]} do the {subject} have?"
        listed = self.pick(" and ", " and the ", " and ").join(said)
        of = self.pick("of", "of", "of all", "of the", "for the", "for all", "of")
        return self.pick(
            f"What are the {listed} {of} {subject}?",
            f"What is the {listed} {of} {subject}?",
            f"List the {listed} {of} {subject}",
            f"Show the {listed} {of} {subject}",
            f"Give the {listed} {of} {subject}",
            f"Give me the {listed} {of} {subject}",
            f"Find the {listed} {of} {subject}",
            f"Show me the {listed} {of} {subject}",
            f"Tell me the {listed} {of} {subject}",
            f"I need the {listed} {of} {subject}",
            f"List {listed} {of} {subject}",
        )

    def extreme(self, column: Column, most: bool) -> tuple[str, bool]:
        """Return (superlative, True if it needs no column name)."""
        natural = WORDINGS.get(column.kind, {}).get("max" if most else "min")
        if natural and self.chance(0.7):
            return self.random.choice(natural), True
        word = (
            self.pick("highest", "highest", "largest", "greatest", "biggest", "most")
            if most
            else self.pick("lowest", "lowest", "smallest", "least")
        )
        if word in ("most", "least") and not column.said.endswith("s"):
            word = "highest" if most else "lowest"
        return word, False

    def where(self, *conditions: Condition | None) -> str:
        """Return the WHERE clause of conditions."""
        present = [c.sql for c in conditions if c]
        return f" WHERE {' AND '.join(present)}" if present else ""

    # One-table shapes; each returns (question, query) or None where the table has not what it needs

    def ask_list(self, t: Table) -> tuple[str, str] | None:
        """Ask for columns, of all rows or some."""
        if self.chance(0.3):
            columns = self.asked(t)
            plain = columns == [t.label]
            return self.list_question(
                columns, t.many, plain
            ), f"SELECT {', '.join(c.name for c in columns)} FROM {t.name}"
        condition = self.condition(t)
        return self.filtered(t, condition) if condition else None

    def filtered(self, t: Table, condition: Condition) -> tuple[str, str]:
        """Ask for columns of the rows that meet a condition."""
        columns = self.asked(t, condition.columns)
        query = f"SELECT {', '.join(c.name for c in columns)} FROM {t.name} WHERE {condition.sql}"
        plain = columns == [t.label]
        if plain and condition.predicate and self.chance(0.4):
            return f"{self.pick('Which', 'Which', 'What')} {t.many} {condition.predicate}?", query
        return self.list_question(columns, condition.about(t.many), plain), query

    def ask_two_conditions(self, t: Table) -> tuple[str, str] | None:
        """Ask for columns, or a count, of rows that meet both or either of two conditions."""
        first = self.condition(t, label_too=False)
        second = self.condition(t, avoid=first.columns, label_too=False) if first else None
        if not first or not second or (second.before and first.before):
            return None
        if second.before:
            first, second = second, first
        word = self.pick("and", "and", "or") if not first.before else "and"
        both_sql = f"{first.sql} {word.upper()} {second.sql}"
        subject = first.about(t.many) + (f" {second.after}" if first.before else f" {word} {second.after}")
        columns = () if self.chance(0.25) else self.asked(t, first.columns + second.columns)
        if not columns:
            return self.count_question(subject), f"SELECT count(*) FROM {t.name} WHERE {both_sql}"
        return self.list_question(
            list(columns), subject, list(columns) == [t.label]
        ), f"SELECT {', '.join(c.name for c in columns)} FROM {t.name} WHERE {both_sql}"

    def count_question(self, subject: str) -> str:
        """Return a question for the number of `subject`."""
        return self.pick(
            f"How many {subject} are there?",
            f"Count the {subject}",
            f"What is the number of {subject}?",
            f"How many {subject} do we have?",
            f"Number of {subject}",
            f"How many {subject}?",
        )

    def ask_count(self, t: Table) -> tuple[str, str] | None:
        """Ask for a number of rows."""
        condition = self.condition(t) if self.chance(0.75) else None
        query = f"SELECT count(*) FROM {t.name}{self.where(condition)}"
        if condition and condition.predicate and self.chance(0.5):
            return f"How many {t.many} {condition.predicate}?", query
        return self.count_question(condition.about(t.many) if condition else t.many), query

    def ask_aggregate(self, t: Table) -> tuple[str, str] | None:
        """Ask for an average, a total or an extreme of a column."""
        if not t.numbers:
            return None
        column = self.random.choice(t.numbers)
        condition = self.condition(t, avoid=(column.name,)) if self.chance(0.5) else None
        function, word = self.random.choice(
            [
                ("avg", "average"),
                ("avg", "average"),
                ("avg", "mean"),
                ("sum", "total"),
                ("sum", "sum of the"),
                ("min", "lowest"),
                ("min", "minimum"),
                ("min", "smallest"),
                ("max", "highest"),
                ("max", "maximum"),
                ("max", "largest"),
            ]
        )
        subject = condition.about(t.many) if condition else t.many
        of = self.pick("of", "of the", "of all", "for", "among")
        question = self.pick(
            f"What is the {word} {column.said} {of} {subject}?",
            f"Find the {word} {column.said} {of} {subject}",
            f"Show the {word} {column.said} {of} {subject}",
            f"Give the {word} {column.said} {of} {subject}",
        )
        if column.kind == "age" and function == "avg" and self.chance(0.4):
            question = f"How old are {subject} on average?"
        if column.kind == "price" and function == "avg" and self.chance(0.3):
            question = f"How much do {subject} cost on average?"
        return question, f"SELECT {function}({column.name}) FROM {t.name}{self.where(condition)}"

    def ask_distinct(self, t: Table) -> tuple[str, str] | None:
        """Ask for the different values of a column, or their number."""
        if not t.classes:
            return None
        column = self.random.choice(t.classes)
        word = self.pick("different", "distinct", "unique")
        if self.chance(0.4):
            question = self.pick(
                f"How many {word} {words.plural(column.said)} do the {t.many} have?",
                f"How many {word} {words.plural(column.said)} of {t.many} are there?",
                f"Count the {word} {words.plural(column.said)} of {t.many}",
            )
            return question, f"SELECT count(DISTINCT {column.name}) FROM {t.name}"
        question = self.pick(
            f"What are the {word} {words.plural(column.said)} of {t.many}?",
            f"List the {word} {words.plural(column.said)} of the {t.many}",
            f"Show all {word} {words.plural(column.said)} of {t.many}",
            f"Which {word} {words.plural(column.said)} do the {t.many} have?",
            f"What {word} {words.plural(column.said)} of {t.many} are there?",
        )
        return question, f"SELECT DISTINCT {column.name} FROM {t.name}"

    def ask_order(self, t: Table) -> tuple[str, str] | None:
        """Ask for rows in order."""
        if not t.numbers:
            return None
        column = self.random.choice(t.numbers)
        columns = self.asked(t, (column.name,))
        descending = self.chance(0.5)
        if descending:
            how = self.pick(
                f"by {column.said} in descending order",
                f"by {column.said} from highest to lowest",
                f"by descending {column.said}",
                f"by {column.said}, highest first",
                f"by {column.said}, largest first",
            )
        else:
            how = self.pick(
                f"by {column.said}",
                f"by {column.said} in ascending order",
                f"by {column.said} from lowest to highest",
                f"by {column.said}, lowest first",
                f"by ascending {column.said}",
            )
        natural = WORDINGS.get(column.kind, {}).get("max" if descending else "min")
        if natural and self.chance(0.35):
            how = (
                f"from {self.random.choice(natural)} to {self.random.choice(WORDINGS[column.kind]['min' if descending else 'max'])}"
                if self.chance(0.6)
                else f"by {column.said}, {self.random.choice(natural)} first"
            )
        question = self.list_question(columns, t.many, columns == [t.label]).rstrip("?")
        question += f"{self.pick(' sorted', ' ordered', ', sorted', ' ordered')} {how}"
        return (
            question,
            f"SELECT {', '.join(c.name for c in columns)} FROM {t.name} ORDER BY {column.name}{' DESC' if descending else ''}",
        )

    def ask_top(self, t: Table) -> tuple[str, str] | None:
        """Ask for the first rows by a column."""
        if not t.numbers:
            return None
        column = self.random.choice(t.numbers)
        columns = self.asked(t, (column.name,))[:1] if self.chance(0.9) else self.asked(t, (column.name,))
        condition = (
            self.condition(t, avoid=(column.name, *(c.name for c in columns)), label_too=False)
            if self.chance(0.3)
            else None
        )
        most = self.chance(0.6)
        word, short = self.extreme(column, most)
        limit = self.random.choice((1, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 8, 10))
        number = {2: "two", 3: "three", 4: "four", 5: "five"}.get(limit, str(limit)) if self.chance(0.4) else str(limit)
        noun = t.one if limit == 1 else f"{t.many}"
        many = "" if limit == 1 else f"{number} "
        subject = condition.about(noun) if condition else noun
        who = (
            f"{many}{word} {subject}"
            if short
            else f"{many}{subject} {'and' if condition and not condition.before else 'with'} the {word} {column.said}"
        )
        if short and condition and condition.before:
            who = f"{many}{word} {condition.before} {noun}"
        if not short and limit > 1 and self.chance(0.4):
            who = f"top {number} {subject} by {column.said}" if most else f"bottom {number} {subject} by {column.said}"
        said = " and ".join(c.said if limit == 1 else words.plural(c.said) for c in columns)
        if columns == [t.label] and self.chance(0.65):
            be = "is" if limit == 1 else "are"
            question = self.pick(
                f"{self.pick('What', 'Which', 'Who')} {be} the {who}?",
                f"Find the {who}",
                f"Show the {who}",
                f"Show me the {who}",
                f"Name the {who}",
                f"List the {who}",
                f"Give me the {who}",
            )
            if limit == 1 and not condition and self.chance(0.3):
                question = (
                    f"Which {t.one} has the {word} {column.said}?" if not short else f"Which {t.one} is the {word}?"
                )
        else:
            question = self.pick(
                f"What {'is' if limit == 1 else 'are'} the {said} of the {who}?",
                f"Find the {said} of the {who}",
                f"Show the {said} of the {who}",
                f"Give the {said} of the {who}",
            )
        order = f" ORDER BY {column.name}{' DESC' if most else ''} LIMIT {limit}"
        return question, f"SELECT {', '.join(c.name for c in columns)} FROM {t.name}{self.where(condition)}{order}"

    def ask_group(self, t: Table) -> tuple[str, str] | None:
        """Ask for a number or an aggregate for each value of a column."""
        if not t.classes:
            return None
        column = self.random.choice(t.classes)
        said = column.said
        per = self.pick(f"for each {said}", f"per {said}", f"in each {said}", f"by {said}", f"for every {said}")
        if self.chance(0.55) or not t.numbers:
            question = self.pick(
                f"How many {t.many} are there {per}?",
                f"Count the {t.many} {per}",
                f"Number of {t.many} {per}",
                f"Show the number of {t.many} {per}",
                f"How many {t.many} does each {said} have?",
                f"What is the number of {t.many} {per}?",
            )
            return question, f"SELECT {column.name}, count(*) FROM {t.name} GROUP BY {column.name}"
        number = self.random.choice(t.numbers)
        function, word = self.random.choice(
            [
                ("avg", "average"),
                ("avg", "mean"),
                ("sum", "total"),
                ("max", "highest"),
                ("max", "maximum"),
                ("min", "lowest"),
                ("min", "minimum"),
            ]
        )
        question = self.pick(
            f"What is the {word} {number.said} of {t.many} {per}?",
            f"Show the {word} {number.said} of {t.many} {per}",
            f"Find the {word} {number.said} {per} of {t.many}",
            f"Give the {word} {number.said} of the {t.many} {per}",
        )
        return question, f"SELECT {column.name}, {function}({number.name}) FROM {t.name} GROUP BY {column.name}"

    def ask_having(self, t: Table) -> tuple[str, str] | None:
        """Ask for values by how many rows have them."""
        if not t.classes:
            return None
        column = self.random.choice(t.classes)
        said = column.said
        if self.chance(0.35):
            most = self.chance(0.7)
            question = self.pick(
                f"Which {said} has the {'most' if most else 'fewest'} {t.many}?",
                f"What is the {'most' if most else 'least'} common {said} of {t.many}?",
                f"Find the {said} with the {'most' if most else 'fewest'} {t.many}",
            )
            return (
                question,
                f"SELECT {column.name} FROM {t.name} GROUP BY {column.name} ORDER BY count(*){' DESC' if most else ''} LIMIT 1",
            )
        number = self.random.randint(1, 12)
        op = self.random.choice((">", ">", ">=", "<"))
        amount = self.pick(
            *GENERIC[op][2:3],
            *({">": ["more than {v}"], ">=": ["at least {v}"], "<": ["fewer than {v}", "less than {v}"]}[op]),
        ).format(v=number)
        question = self.pick(
            f"Which {words.plural(said)} have {amount} {t.many}?",
            f"List the {words.plural(said)} with {amount} {t.many}",
            f"Find the {words.plural(said)} that have {amount} {t.many}",
            f"What {words.plural(said)} have {amount} {t.many}?",
        )
        return question, f"SELECT {column.name} FROM {t.name} GROUP BY {column.name} HAVING count(*) {op} {number}"

    def ask_average(self, t: Table) -> tuple[str, str] | None:
        """Ask for rows above or below the average."""
        if not t.numbers:
            return None
        column = self.random.choice(t.numbers)
        columns = self.asked(t, (column.name,))[:1]
        more = self.chance(0.6)
        natural = WORDINGS.get(column.kind, {}).get(">" if more else "<")
        if natural and natural[0].startswith("+") and self.chance(0.5) and "than" in natural[0]:
            after = natural[0][1:].format(v="average" if self.chance(0.6) else "the average")
        else:
            compare = (
                self.pick("above", "higher than", "greater than", "over")
                if more
                else self.pick("below", "lower than", "less than", "under")
            )
            after = self.pick(
                f"whose {column.said} is {compare} average",
                f"with a {column.said} {compare} the average",
                f"whose {column.said} is {compare} the average",
                f"with {compare.split()[0]} average {column.said}"
                if "than" not in compare
                else f"whose {column.said} is {compare} average",
            )
        query = f"SELECT {columns[0].name} FROM {t.name} WHERE {column.name} {'>' if more else '<'} (SELECT avg({column.name}) FROM {t.name})"
        return self.list_question(columns, f"{t.many} {after}", columns == [t.label]), query

    def ask_null(self, t: Table) -> tuple[str, str] | None:
        """Ask for rows where a value is missing, or known."""
        column = self.random.choice(t.columns)
        columns = self.asked(t, (column.name,))[:1]
        if column is columns[0]:
            return None
        absent = self.chance(0.6)
        after = (
            self.pick(
                f"without a {column.said}",
                f"that have no {column.said}",
                f"with no {column.said}",
                f"whose {column.said} is missing",
                f"whose {column.said} is unknown",
            )
            if absent
            else self.pick(
                f"that have a {column.said}", f"whose {column.said} is known", f"whose {column.said} is not missing"
            )
        )
        return self.list_question(
            columns, f"{t.many} {after}", columns == [t.label]
        ), f"SELECT {columns[0].name} FROM {t.name} WHERE {column.name} IS {'' if absent else 'NOT '}NULL"

    def ask_everything(self, t: Table) -> tuple[str, str] | None:
        """Ask for whole rows."""
        condition = self.condition(t) if self.chance(0.6) else None
        subject = condition.about(t.many) if condition else t.many
        question = self.pick(
            f"Show everything about {subject}",
            f"Show all details of {subject}",
            f"Give all information about {subject}",
            f"Show all data about the {subject}",
            f"Show all columns of {subject}",
        )
        return question, f"SELECT * FROM {t.name}{self.where(condition)}"

    # Two-table shapes; `child` refers to `parent`

    def link(self, child: Table, parent: Table) -> str:
        """Return the condition that joins two tables."""
        return f"ON {child.name}.{parent.key} = {parent.name}.{parent.key}"

    def ask_parents(self, child: Table, parent: Table) -> tuple[str, str] | None:
        """Ask for parents by a condition on their children."""
        condition = self.condition(child, qualified=True)
        if not condition:
            return None
        columns = self.asked(parent)[:1]
        have = self.pick("with", "with", "that have", "who have", "having", "with any", "who made", "who placed")
        children = condition.about(child.one if have == "with any" else child.many)
        subject = f"{parent.many} {have} {children}"
        plain = columns == [parent.label]
        question = (
            f"Which {parent.many} have {children}?"
            if plain and self.chance(0.4)
            else self.list_question(columns, subject, plain)
        )
        query = f"SELECT {', '.join(f'{parent.name}.{c.name}' for c in columns)} FROM {parent.name} JOIN {child.name} {self.link(child, parent)} WHERE {condition.sql}"
        return question, query

    def child_subject(self, child: Table, parent: Table) -> tuple[str, str] | None:
        """Return (noun phrase, SQL condition) for children by a condition on their parent."""
        label = parent.label
        if label and self.chance(0.5):
            value = self.text(label)
            many = child.many
            phrase = self.pick(
                f"{many} of the {parent.one} {value}",
                f"{many} of {parent.one} {value}",
                f"{many} of the {parent.one} named {value}",
                f"{many} by {value}",
                f"{many} of {value}",
                f"{many} whose {parent.one} is {value}",
                f"{many} whose {parent.one} is called {value}",
                f"{many} by the {parent.one} {value}",
                f"{many} by {parent.one} {value}",
                f"{many} for {value}",
            )
            return phrase, f"{parent.name}.{label.name} = '{value}'"
        condition = self.condition(parent, qualified=True, label_too=False)
        if not condition:
            return None
        by = self.pick("of", "by", "of", "for", "belonging to", "made by")
        return f"{child.many} {by} {condition.about(parent.many)}", condition.sql

    def ask_children(self, child: Table, parent: Table) -> tuple[str, str] | None:
        """Ask for children, their number, or a total, by a condition on their parent."""
        subject = self.child_subject(child, parent)
        if not subject:
            return None
        source = f"FROM {child.name} JOIN {parent.name} {self.link(child, parent)} WHERE {subject[1]}"
        draw = self.random.random()
        if draw < 0.35:
            return self.count_question(subject[0]), f"SELECT count(*) {source}"
        if draw < 0.6 and child.numbers:
            column = self.random.choice(child.numbers)
            function, word = self.random.choice(
                [("avg", "average"), ("sum", "total"), ("sum", "total"), ("max", "highest"), ("min", "lowest")]
            )
            return self.pick(
                f"What is the {word} {column.said} of {subject[0]}?",
                f"Find the {word} {column.said} of {subject[0]}",
                f"Show the {word} {column.said} of the {subject[0]}",
            ), f"SELECT {function}({child.name}.{column.name}) {source}"
        columns = self.asked(child)
        return self.list_question(
            columns, subject[0], columns == [child.label]
        ), f"SELECT {', '.join(f'{child.name}.{c.name}' for c in columns)} {source}"

    def ask_pairs(self, child: Table, parent: Table) -> tuple[str, str] | None:
        """Ask for a column of each child beside one of its parent."""
        own, other = self.asked(child)[0], self.asked(parent)[0]
        whose = f"the {other.said} of {self.pick('their', 'its', 'the')} {parent.one}"
        question = self.pick(
            f"Show the {own.said} of each {child.one} and {whose}",
            f"List the {words.plural(own.said)} of all {child.many} with {whose}",
            f"Show the {own.said} of every {child.one} together with {whose}",
        )
        return (
            question,
            f"SELECT {child.name}.{own.name}, {parent.name}.{other.name} FROM {child.name} JOIN {parent.name} {self.link(child, parent)}",
        )

    def ask_per_parent(self, child: Table, parent: Table) -> tuple[str, str] | None:
        """Ask for a number of children, or a total of theirs, for each parent."""
        column = self.asked(parent)[0]
        ref = f"{parent.name}.{column.name}"
        per = parent.one if column is parent.label else f"{parent.one} {column.said}"
        source = f"FROM {parent.name} JOIN {child.name} {self.link(child, parent)} GROUP BY {ref}"
        draw = self.random.random()
        if draw < 0.4:
            question = self.pick(
                f"How many {child.many} does each {per} have?",
                f"Count the {child.many} of each {per}",
                f"Show the number of {child.many} for each {per}",
                f"How many {child.many} are there for each {per}?",
                f"Number of {child.many} per {per}",
            )
            return question, f"SELECT {ref}, count(*) {source}"
        if draw < 0.65 and child.numbers:
            number = self.random.choice(child.numbers)
            function, word = self.random.choice(
                [("avg", "average"), ("sum", "total"), ("sum", "total"), ("max", "highest")]
            )
            question = self.pick(
                f"What is the {word} {number.said} of {child.many} for each {per}?",
                f"Show the {word} {number.said} of {child.many} per {per}",
                f"Find the {word} {child.one} {number.said} for each {per}",
            )
            return question, f"SELECT {ref}, {function}({child.name}.{number.name}) {source}"
        if draw < 0.85:
            most = self.chance(0.75)
            question = self.pick(
                f"Which {per} has the {'most' if most else 'fewest'} {child.many}?",
                f"Find the {per} with the {'most' if most else 'fewest'} {child.many}",
                f"What is the {per} with the {'most' if most else 'fewest'} {child.many}?",
            )
            return question, f"SELECT {ref} {source} ORDER BY count(*){' DESC' if most else ''} LIMIT 1"
        number_of = self.random.randint(1, 9)
        at_least = self.chance(0.4)
        amount = f"at least {number_of}" if at_least else f"more than {number_of}"
        question = self.pick(
            f"Which {words.plural(per)} have {amount} {child.many}?",
            f"List the {words.plural(per)} with {amount} {child.many}",
            f"Find the {words.plural(per)} that have {amount} {child.many}",
        )
        return question, f"SELECT {ref} {source} HAVING count(*) {'>=' if at_least else '>'} {number_of}"

    def ask_childless(self, child: Table, parent: Table) -> tuple[str, str] | None:
        """Ask for parents without children."""
        column = self.asked(parent)[0]
        without = self.pick("without", "with no", "that have no", "that do not have any")
        subject = f"{parent.many} {without} {child.many}"
        question = (
            f"Which {parent.many} have no {child.many}?"
            if column is parent.label and self.chance(0.4)
            else self.list_question([column], subject, column is parent.label)
        )
        return (
            question,
            f"SELECT {column.name} FROM {parent.name} WHERE {parent.key} NOT IN (SELECT {parent.key} FROM {child.name})",
        )

    def ask(self) -> tuple[str, str]:
        """Return a question and its query."""
        linked = [(child, parent) for child in self.tables for parent in child.parents]
        while True:
            made: tuple[str, str] | None
            if linked and self.chance(0.38):
                two = (
                    self.ask_parents,
                    self.ask_parents,
                    self.ask_children,
                    self.ask_children,
                    self.ask_children,
                    self.ask_per_parent,
                    self.ask_per_parent,
                    self.ask_pairs,
                    self.ask_childless,
                )
                made = self.random.choice(two)(*self.random.choice(linked))
            else:
                one = (
                    (self.ask_list,) * 6
                    + (self.ask_count,) * 4
                    + (self.ask_aggregate,) * 4
                    + (self.ask_top,) * 4
                    + (self.ask_two_conditions,) * 3
                    + (self.ask_order,) * 2
                    + (self.ask_group,) * 3
                    + (self.ask_having,) * 2
                    + (self.ask_distinct,) * 2
                    + (self.ask_average, self.ask_null, self.ask_everything)
                )
                made = self.random.choice(one)(self.random.choice(self.tables))
            if made:
                return self.polish(made[0]), made[1]

    def polish(self, question: str) -> str:
        """Vary the end and the first letter."""
        if not question.endswith("?"):
            question += self.pick("", "", ".")
        elif self.chance(0.1):
            question = question[:-1]
        return question[0].lower() + question[1:] if self.chance(0.08) else question
