"""Which complaints of an engine about a completed prefix nothing written later can mend."""

from __future__ import annotations

import re
from typing import NamedTuple

from smcdsl.potentials._sql_text import Completion


class Complaints(NamedTuple):
    """An engine's messages, in groups by what may mend them before the query's end."""

    names: re.Pattern[str]
    calls: re.Pattern[str]
    widths: re.Pattern[str]
    types: re.Pattern[str]
    grouping: re.Pattern[str]
    always: re.Pattern[str]

    def final(self, wrong: str, completed: Completion) -> bool:
        """Whether every completion of the prefix is as wrong as this one."""
        return (
            (not completed.columns_may_come and self.names.match(wrong) is not None)
            or (not completed.calls_may_change and self.calls.match(wrong) is not None)
            or (not completed.widths_may_change and self.widths.match(wrong) is not None)
            or (not completed.types_may_change and self.types.match(wrong) is not None)
            or (not completed.grouping_may_change and self.grouping.match(wrong) is not None)
            or self.always.match(wrong) is not None
        )


NEVER = re.compile(r"(?!)")

SQLITE = Complaints(
    names=re.compile(r"no such column: "),
    calls=re.compile(r"wrong number of arguments to function |misuse of (aggregate|aliased )"),
    widths=re.compile(r"row value misused|sub-select returns \d+ columns|IN\(\.\.\.\) element has"),
    types=NEVER,
    grouping=NEVER,
    always=re.compile(
        r"no such table: |ambiguous column name: |no such function: |no such collation sequence: |not authorized"
        r"|access to .* is prohibited|SELECTs to the left and right of "
        r"|\S+ (ORDER|GROUP) BY term (out of range|does not match)|aggregate functions are not allowed in the GROUP BY"
        r"|cannot join using column |a NATURAL join may not have|cannot have both ON and USING"
        r"|table \S+ has \d+ values for \d+ columns|\S+ may not be used as a window function"
        r"|duplicate WITH table name: "
    ),
)

DUCKDB = Complaints(
    names=re.compile(
        r'Binder Error: (Referenced (column|table) ".*" (was )?not found'
        r'|(Table|Values list) ".*" does not have a column named|Column ".*" does not exist on)'
    ),
    calls=re.compile(
        r"Binder Error: (WHERE|GROUP BY|HAVING) clause cannot contain |Binder Error: aggregate function calls cannot be"
    ),
    widths=re.compile(r"Binder Error: Subquery returns \d+ columns"),
    types=re.compile(
        r"Binder Error: (No function matches|Could not choose a best candidate|Cannot compare values of type)"
    ),
    grouping=re.compile(r"Binder Error: column \S+ must appear in the GROUP BY clause"),
    always=re.compile(
        r"Catalog Error: (Table|Type|Collation|\w+ Function) with name .* does not exist"
        r"|Binder Error: (Ambiguous reference to |Set operations can only apply |(ORDER|GROUP BY) term out of range)"
        r"|access to .* is prohibited|Parser Error: Duplicate CTE name"
    ),
)
