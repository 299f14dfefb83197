"""Gold queries in one style, so that a small model has one way to say a thing.

Keywords are in capitals, functions in small letters, names as the schema spells them; texts stand in single
quotes; a table is called by its name instead of an alias; with several tables columns are qualified, with one
they are not. What a query returns stays the same, which the caller checks by running both.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from smcdsl.potentials._sql_schema import Schema, spelled

KEYWORDS = frozenset(
    """select distinct from where group by having order limit offset asc desc and or not in exists like between is null
    as join inner left outer cross natural on using union all intersect except case when then else end""".split()
)
FUNCTIONS = frozenset("count sum avg min max abs round length upper lower substr coalesce cast julianday".split())
CLAUSES = frozenset("WHERE GROUP ORDER HAVING LIMIT UNION INTERSECT EXCEPT SELECT".split())
SET_OPERATIONS = frozenset(("UNION", "INTERSECT", "EXCEPT"))
_LEXEME = re.compile(
    r"""(?P<string>'(?:[^']|'')*')|(?P<quoted>"(?:[^"]|"")*"|`[^`]*`)|(?P<number>\d+(?:\.\d+)?|\.\d+)"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<op><>|!=|>=|<=|==|\|\||[-+*/%=<>(),.])|(?P<blank>\s+)"""
)


class Token(NamedTuple):
    """A lexeme of a query; kinds are keyword, function, name, string, number and op."""

    kind: str
    text: str


@dataclass
class Scope:
    """One SELECT: the tables of its FROM, and what they are called."""

    parent: "Scope | None"
    tables: list[str] = field(default_factory=list)  # folded
    aliases: dict[str, str] = field(default_factory=dict)  # folded alias -> folded table

    @property
    def keeps_aliases(self) -> bool:
        """Whether a table stands in it twice, so that its name alone does not say which."""
        return len(set(self.tables)) < len(self.tables)

    def table_of(self, name: str) -> "tuple[Scope, str] | None":
        """The scope and the table that an alias or a table's name stands for."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.aliases:
                return scope, scope.aliases[name]
            if name in scope.tables:
                return scope, name
            scope = scope.parent
        return None


class Unreadable(ValueError):
    """The query is not one that this reads."""


def lexed(query: str) -> list[Token]:
    """Return the lexemes of a query; double-quoted ones have the kind `quoted`."""
    tokens: list[Token] = []
    place = 0
    text = query.strip().rstrip(";").strip()
    while place < len(text):
        match = _LEXEME.match(text, place)
        if match is None:
            raise Unreadable(f"no lexeme at {text[place : place + 10]!r}")
        place = match.end()
        kind, lexeme = str(match.lastgroup), match.group()
        if kind == "word" and lexeme.lower() in KEYWORDS:
            tokens.append(Token("keyword", lexeme.upper()))
        elif kind == "op":
            tokens.append(Token("op", {"==": "=", "<>": "!="}.get(lexeme, lexeme)))
        elif kind != "blank":
            tokens.append(Token(kind, lexeme))
    return tokens


def canonical(query: str, schema: Schema) -> tuple[list[Token], frozenset[str]]:
    """Return a query in the one style, and the tables it reads, folded.

    Raises:
        Unreadable: it has lexemes that Spider's queries do not have.
    """
    return _Writer(lexed(query), schema).written()


def rendered(tokens: list[Token]) -> str:
    """Return the text of lexemes, blanks where the corpus of the embedded model has them."""
    text = ""
    before = Token("op", "(")
    for token in tokens:
        tight = before.text in ("(", ".") or token.text in (")", ",", ".")
        tight = tight or (token.text == "(" and before.kind == "function")
        text += token.text if tight else f" {token.text}"
        before = token
    return text


class _Writer:
    """Rewrites the lexemes of one query."""

    def __init__(self, tokens: list[Token], schema: Schema) -> None:
        self.tokens = [*tokens, Token("end", ""), Token("end", ""), Token("end", "")]
        self.tables = {table.name.lower(): table for table in schema.tables}
        self.columns = {
            name: {column.name.lower(): column.name for column in table.columns} for name, table in self.tables.items()
        }
        self.scopes: list[Scope] = []
        self.dropped: set[int] = set()
        self._read_scopes()

    def _read_scopes(self) -> None:
        """Say which SELECT each lexeme belongs to, and which tables each SELECT reads."""
        stack = [Scope(None)]
        in_from: dict[int, bool] = {}
        for index, token in enumerate(self.tokens):
            scope = stack[-1]
            if token.text == "(":
                inner = self.tokens[index + 1].text == "SELECT"
                stack.append(Scope(scope) if inner else scope)
            elif token.text == ")" and len(stack) > 1:
                stack.pop()
            elif token.text in SET_OPERATIONS:
                stack[-1] = Scope(scope.parent)
            if token.text == "FROM":
                in_from[id(scope)] = True
            elif token.text in CLAUSES:
                in_from[id(scope)] = False
            self.scopes.append(scope)
            if in_from.get(id(scope)) and token.text in ("FROM", "JOIN", ","):
                self._read_table(index + 1, scope)

    def _read_table(self, index: int, scope: Scope) -> None:
        token = self.tokens[index]
        name = token.text.strip('"`').lower()
        if token.kind not in ("word", "quoted") or name not in self.tables:
            return
        scope.tables.append(name)
        has_as = self.tokens[index + 1].text == "AS"
        alias = index + 1 + has_as
        if self.tokens[alias].kind == "word":
            scope.aliases[self.tokens[alias].text.lower()] = name
            self.dropped.update(range(index + 1, alias + 1))

    def written(self) -> tuple[list[Token], frozenset[str]]:
        """The new lexemes and the tables read."""
        result: list[Token] = []
        index = 0
        while (token := self.tokens[index]).kind != "end":
            scope = self.scopes[index]
            if index in self.dropped and not scope.keeps_aliases:
                index += 1
            elif token.kind in ("word", "quoted") and self.tokens[index + 1].text == ".":
                result += self._qualified(token, self.tokens[index + 2], scope)
                index += 3
            else:
                result += self._single(index, result)
                index += 1
        tables = frozenset(table for scope in self.scopes for table in scope.tables)
        return result, tables

    def _qualified(self, owner: Token, column: Token, scope: Scope) -> list[Token]:
        """`owner.column`, by the table's name; the column alone where there is one table."""
        found = scope.table_of(owner.text.strip('"`').lower())
        if column.kind == "op":  # alias.*
            written = Token("op", column.text)
        elif found is None:
            written = Token("name", column.text)
        else:
            name = column.text.strip('"`')
            written = Token("name", spelled(self.columns[found[1]].get(name.lower(), name)))
        if found is None or found[0].keeps_aliases:
            return [Token("name", owner.text), Token("op", "."), written]
        if found[0] is scope and len(scope.tables) == 1:
            return [written]
        return [Token("name", spelled(self.tables[found[1]].name)), Token("op", "."), written]

    def _single(self, index: int, before: list[Token]) -> list[Token]:
        token, scope = self.tokens[index], self.scopes[index]
        if token.kind == "word" and self.tokens[index + 1].text == "(" and token.text.lower() in FUNCTIONS:
            return [Token("function", token.text.lower())]
        if token.text == "ASC":
            return []
        if token.kind not in ("word", "quoted"):
            return [token]
        name = token.text.strip('"`')
        columns = self._column(name, scope)
        # After a comma a column may have a table's name: `SELECT gdp, city FROM city`.
        introducers = ("FROM", "JOIN") if columns else ("FROM", "JOIN", ",")
        if before and before[-1].text in introducers and name.lower() in scope.tables:
            return [Token("name", spelled(self.tables[name.lower()].name))]
        if columns:
            return columns
        if token.kind == "quoted" and token.text[0] == '"':
            return [Token("string", "'" + token.text[1:-1].replace('""', '"').replace("'", "''") + "'")]
        if name.lower() in self.tables:
            return [Token("name", spelled(self.tables[name.lower()].name))]
        return [Token("name", token.text)]

    def _column(self, name: str, scope: Scope) -> list[Token]:
        """The column that an unqualified name is, if it is one of a table in reach."""
        reach: Scope | None = scope
        while reach is not None:
            owners = [table for table in reach.tables if name.lower() in self.columns[table]]
            if owners:
                column = Token("name", spelled(self.columns[owners[0]][name.lower()]))
                if len(reach.tables) == 1 or len(owners) > 1 or reach.keeps_aliases:
                    return [column]
                return [Token("name", spelled(self.tables[owners[0]].name)), Token("op", "."), column]
            reach = reach.parent
        return []
