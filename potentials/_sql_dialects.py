"""The dialects of `sql.select`: rules and terminals in place of those of `grammars/sql.lark`, which is SQLite's.

`postgres` is PostgreSQL 15, `mysql` MySQL 8.0 in its default mode, `ansi` what SQL:2016 has and both of these take
where they can: a text of it needs the least change elsewhere. All leave out what the file leaves out, and further
arrays, JSON paths, locking clauses, set operations in parentheses, and dollar quotes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smcdsl.potentials._sql_functions import COLLATIONS, FUNCTIONS, TYPES
from smcdsl.potentials._sql_schema import RESERVED
from smcdsl.potentials._sql_words import (
    ANSI_FUNCTIONS,
    ANSI_TYPES,
    MYSQL_COLLATIONS,
    MYSQL_FUNCTIONS,
    MYSQL_RESERVED,
    MYSQL_TYPES,
    POSTGRES_COLLATIONS,
    POSTGRES_FUNCTIONS,
    POSTGRES_RESERVED,
    POSTGRES_TYPES,
)

# What the three have in common and SQLite has not.
_STANDARD = """
join: source | join free_operator source | join join_operator source join_constraint
free_operator: "," | "CROSS" "JOIN" | "NATURAL" (("LEFT" | "RIGHT" | "FULL") "OUTER"? | "INNER")? "JOIN"
join_operator: (("LEFT" | "RIGHT" | "FULL") "OUTER"? | "INNER")? "JOIN"
source: table alias? | subquery alias
set_operator: ("UNION" | "INTERSECT" | "EXCEPT") ("ALL" | "DISTINCT")?
cte: cte_name ("(" cte_name ("," cte_name)* ")")? "AS" subquery
group_clause: "GROUP" "BY" grouping ("," grouping)*
grouping: expr | ("ROLLUP" | "CUBE") "(" bits ("," bits)* ")"
    | "GROUPING" "SETS" "(" grouping_set ("," grouping_set)* ")"
grouping_set: "(" (bits ("," bits)*)? ")"
negation: test | "NOT" negation
test: equality | test "IS" "NOT"? ("NULL" | "TRUE" | "FALSE" | "UNKNOWN" | "DISTINCT" "FROM" equality)
equality: bits | comparison
    | (bits | comparison) comparison_operator (bits | comparison)
    | bits comparison_operator quantified
comparison_operator: "=" | "<>" | "<" | "<=" | ">" | ">="
quantified: ("ANY" | "SOME" | "ALL") subquery
comparison: bits "NOT"? "LIKE" bits ("ESCAPE" bits)?
    | bits "NOT"? "BETWEEN" bits "AND" bits
    | bits "NOT"? "IN" members
bits: sum
members: "(" expr ("," expr)* ")" | subquery
product: concatenation | product ("*" | "/") concatenation
concatenation: collated | concatenation "||" collated
unary: primary | ("-" | "+") unary
primary: literal | column | call | special | subquery | "EXISTS" subquery
    | "(" expr ")" | "(" expr ("," expr)+ ")"
    | "CAST" "(" expr "AS" type_name ")"
    | "CASE" expr? ("WHEN" expr "THEN" expr)+ ("ELSE" expr)? "END"
special: "EXTRACT" "(" unit "FROM" bits ")"
    | "SUBSTRING" "(" bits ("FROM" bits ("FOR" bits)? | "," bits ("," bits)?) ")"
    | "POSITION" "(" bits "IN" bits ")"
    | "TRIM" "(" (("BOTH" | "LEADING" | "TRAILING") bits? "FROM")? bits ")"
call: function_name "(" (arguments | "*")? ")" filter? over?
arguments: ("DISTINCT" | "ALL")? expr ("," expr)*
literal: NUMBER | STRING | "NULL" | "TRUE" | "FALSE" | "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_TIMESTAMP"
    | ("DATE" | "TIME" | "TIMESTAMP") STRING | interval
interval: "INTERVAL" STRING unit
unit: "YEAR" | "MONTH" | "DAY" | "HOUR" | "MINUTE" | "SECOND"
type_name: type_word ("(" NUMBER ("," NUMBER)? ")")? | "DOUBLE" "PRECISION"
type_word: NAME | "DATE" | "TIME" | "TIMESTAMP"
name: NAME | DOUBLE_QUOTED
column_name: name | unit | "DATE" | "TIME" | "TIMESTAMP"
function_name: NAME | DOUBLE_QUOTED | unit | "DATE"
alias: "AS" alias_name | bare_alias
bare_alias: NAME | DOUBLE_QUOTED
cte_name: bare_alias
window_name: bare_alias
"""

_POSTGRES = """
quantifier: "DISTINCT" ("ON" "(" expr ("," expr)* ")")? | "ALL"
source: table alias? | "LATERAL"? subquery alias
cte: cte_name ("(" cte_name ("," cte_name)* ")")? "AS" ("NOT"? "MATERIALIZED")? subquery
limit_clause: limit offset? | offset (limit | fetch)? | fetch
limit: "LIMIT" (expr | "ALL")
offset: "OFFSET" unary ("ROW" | "ROWS")?
fetch: "FETCH" ("FIRST" | "NEXT") NUMBER? ("ROW" | "ROWS") "ONLY"
test: equality | test "IS" "NOT"? ("NULL" | "TRUE" | "FALSE" | "UNKNOWN" | "DISTINCT" "FROM" equality)
    | test ("ISNULL" | "NOTNULL")
comparison_operator: "=" | "<>" | "!=" | "<" | "<=" | ">" | ">="
comparison: bits "NOT"? ("LIKE" | "ILIKE" | "SIMILAR" "TO") bits ("ESCAPE" bits)?
    | bits "NOT"? "BETWEEN" "SYMMETRIC"? bits "AND" bits
    | bits "NOT"? "IN" members
bits: sum | bits ("||" | "->" | "->>" | "&" | "|" | "<<" | ">>" | "~" | "~*" | "!~" | "!~*") sum
product: power | product ("*" | "/" | "%") power
power: collated | power "^" collated
collated: unary | collated "COLLATE" collation
unary: cast | ("-" | "+") unary
cast: primary | cast "::" type_name
interval: "INTERVAL" STRING unit?
literal: NUMBER | STRING | ESCAPED | "NULL" | "TRUE" | "FALSE"
    | "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_TIMESTAMP" | ("DATE" | "TIME" | "TIMESTAMP") STRING | interval
unit: "YEAR" | "MONTH" | "DAY" | "HOUR" | "MINUTE" | "SECOND"
field: unit | "QUARTER" | "WEEK" | "EPOCH" | "DOW" | "DOY" | "DECADE" | "CENTURY"
special: "EXTRACT" "(" field "FROM" bits ")"
    | "SUBSTRING" "(" bits ("FROM" bits ("FOR" bits)? | "," bits ("," bits)?) ")"
    | "POSITION" "(" bits "IN" bits ")"
    | "TRIM" "(" (("BOTH" | "LEADING" | "TRAILING") bits? "FROM")? bits ")"
call: function_name "(" (arguments sorting? | "*")? ")" within? filter? over?
within: "WITHIN" "GROUP" "(" sorting ")"
type_name: type_word ("(" NUMBER ("," NUMBER)? ")")? | "DOUBLE" "PRECISION"
    | "CHARACTER" "VARYING" ("(" NUMBER ")")? | ("TIME" | "TIMESTAMP") ("WITH" | "WITHOUT") "TIME" "ZONE"
column_name: name | field | "DATE" | "TIME" | "TIMESTAMP"
name: NAME | DOUBLE_QUOTED
    | "CURRENT" | "EXCLUDE" | "FIRST" | "FOLLOWING" | "GROUPS" | "LAST" | "MATERIALIZED" | "NEXT" | "NO" | "OTHERS"
    | "PARTITION" | "PRECEDING" | "RANGE" | "ROWS" | "SETS" | "TIES" | "UNBOUNDED" | "ZONE"
function_name: NAME | DOUBLE_QUOTED | field | "DATE" | "LEFT" | "RIGHT"
"""

_MYSQL = """
free_operator: "," | "CROSS" "JOIN" | "NATURAL" (("LEFT" | "RIGHT") "OUTER"? | "INNER")? "JOIN"
join_operator: (("LEFT" | "RIGHT") "OUTER"? | "INNER")? "JOIN"
group_clause: "GROUP" "BY" expr ("," expr)* ("WITH" "ROLLUP")?
limit_clause: "LIMIT" NUMBER (("OFFSET" | ",") NUMBER)?
ordering: expr ("ASC" | "DESC")?
frame: ("RANGE" | "ROWS") (frame_start | "BETWEEN" frame_start "AND" frame_end)
expr: exclusive | expr "OR" exclusive
exclusive: conjunction | exclusive "XOR" conjunction
conjunction: negation | conjunction ("AND" | "&&") negation
test: equality | test "IS" "NOT"? ("NULL" | "TRUE" | "FALSE" | "UNKNOWN")
equality: comparison | equality comparison_operator comparison | equality comparison_operator quantified
comparison_operator: "=" | "<=>" | "<>" | "!=" | "<" | "<=" | ">" | ">="
comparison: bits
    | bits "NOT"? "LIKE" unary ("ESCAPE" unary)?
    | bits "NOT"? ("REGEXP" | "RLIKE") bits
    | bits "NOT"? "BETWEEN" bits "AND" bits
    | bits "NOT"? "IN" members
bits: both | bits "|" both
both: shift | both "&" shift
shift: sum | shift ("<<" | ">>") sum
sum: product | sum ("+" | "-") product | sum ("+" | "-") interval
product: power | product ("*" | "/" | "%" | "DIV" | "MOD") power
power: unary | power "^" unary
unary: path | ("-" | "+" | "~" | "!") unary
path: primary | column ("->" | "->>") STRING | primary "COLLATE" collation
interval: "INTERVAL" ("-"? NUMBER | STRING | column | "(" expr ")") unit
literal: NUMBER | STRING | BLOB | "NULL" | "TRUE" | "FALSE"
    | "CURRENT_DATE" | "CURRENT_TIME" | "CURRENT_TIMESTAMP" | ("DATE" | "TIME" | "TIMESTAMP") STRING
unit: "MICROSECOND" | "SECOND" | "MINUTE" | "HOUR" | "DAY" | "WEEK" | "MONTH" | "QUARTER" | "YEAR"
call: function_name "(" (arguments | "*")? ")" over?
    | "GROUP_CONCAT" "(" "DISTINCT"? expr ("," expr)* sorting? ("SEPARATOR" STRING)? ")"
    | ("DATE_ADD" | "DATE_SUB") "(" expr "," interval ")"
    | "TIMESTAMPDIFF" "(" unit "," expr "," expr ")"
arguments: "DISTINCT"? expr ("," expr)*
type_name: ("SIGNED" | "UNSIGNED") "INTEGER"? | type_word ("(" NUMBER ("," NUMBER)? ")")?
type_word: NAME | "DATE" | "TIME" | "CHAR"
bare_alias: NAME | BACKTICKED
column_name: name | unit | "DATE" | "TIME" | "TIMESTAMP"
name: NAME | BACKTICKED | "CURRENT" | "FIRST" | "FOLLOWING" | "LAST" | "NO"
    | "PRECEDING" | "SIGNED" | "UNBOUNDED" | "ESCAPE" | "UNKNOWN"
function_name: NAME | BACKTICKED | unit | "DATE" | "TIME" | "TIMESTAMP" | "LEFT" | "RIGHT" | "IF" | "REPLACE" | "MOD"
    | "CHAR" | "REPEAT" | "INSERT"
"""

_ANSI = """
limit_clause: offset fetch? | fetch
offset: "OFFSET" NUMBER ("ROW" | "ROWS")
fetch: "FETCH" ("FIRST" | "NEXT") NUMBER ("ROW" | "ROWS") "ONLY"
frame: ("RANGE" | "ROWS") (frame_start | "BETWEEN" frame_start "AND" frame_end)
"""


@dataclass(frozen=True)
class Dialect:
    """How a dialect differs from the file's grammar, and the words it knows without any schema.

    `rules` stand in place of the file's of the same name, `terminals` (regular expressions) likewise. `quotes` are
    the marks around a quoted name, each with its terminal.
    """

    name: str
    rules: str
    terminals: tuple[tuple[str, str], ...]
    quotes: tuple[tuple[str, str], ...]
    reserved: frozenset[str]
    functions: tuple[str, ...]
    types: tuple[str, ...]
    collations: tuple[str, ...]

    @property
    def is_sqlite(self) -> bool:
        """Whether it is the file's own."""
        return self.name == "sqlite"


_PLAIN_NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NONEMPTY_NAME = r'"([^"\x00]|"")+"'

DIALECTS = {
    "sqlite": Dialect(
        "sqlite",
        "",
        (),
        (("DOUBLE_QUOTED", '"'), ("BRACKETED", "["), ("BACKTICKED", "`")),
        RESERVED,
        tuple(FUNCTIONS),
        tuple(TYPES),
        COLLATIONS,
    ),
    "postgres": Dialect(
        "postgres",
        _STANDARD + _POSTGRES,
        (
            ("DOUBLE_QUOTED", _NONEMPTY_NAME),
            ("NUMBER", _PLAIN_NUMBER),
            ("ESCAPED", r"[eE]'([^'\\\x00]|''|\\[^\x00xuU0-7])*'"),
        ),
        (("DOUBLE_QUOTED", '"'),),
        POSTGRES_RESERVED,
        POSTGRES_FUNCTIONS,
        POSTGRES_TYPES,
        POSTGRES_COLLATIONS,
    ),
    "mysql": Dialect(
        "mysql",
        _STANDARD + _MYSQL,
        (("STRING", r"""'([^'\\\x00]|''|\\[^\x00])*'|"([^"\\\x00]|""|\\[^\x00])*\""""),),
        (("BACKTICKED", "`"),),
        MYSQL_RESERVED,
        MYSQL_FUNCTIONS,
        MYSQL_TYPES,
        MYSQL_COLLATIONS,
    ),
    "ansi": Dialect(
        "ansi",
        _STANDARD + _ANSI,
        (
            ("DOUBLE_QUOTED", _NONEMPTY_NAME),
            ("NUMBER", _PLAIN_NUMBER),
            ("NAME", r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*"),
        ),
        (("DOUBLE_QUOTED", '"'),),
        POSTGRES_RESERVED | MYSQL_RESERVED,
        ANSI_FUNCTIONS,
        ANSI_TYPES,
        (),
    ),
}


def dialect_of(name: Any) -> Dialect:
    """The dialect of that name. Raises ValueError for another."""
    found = DIALECTS.get(str(name))
    if found is None:
        raise ValueError(f"dialect is one of {', '.join(f'`{known}`' for known in DIALECTS)}, not {name!r}")
    return found
