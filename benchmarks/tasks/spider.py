"""Spider: questions about databases, answered with a query (Yu and others 2018); `$SMCDSL_DATA/spider/README.md`.

Dev rows whose database is at hand. An answer is right if its rows, run on the database, are those of the gold query:
as a bag, in order if the gold query has an ORDER BY (`sql.same_result`).
"""

from __future__ import annotations

import lzma
import re
import tempfile
from pathlib import Path

from smcdsl.potentials import sql

from benchmarks.tasks import splits
from benchmarks.tasks.task import Grades, MissingData, Row, spread

_FENCED = re.compile(r"\s*```(?:\w+\n)?(.*?)(?:```.*)?\s*", re.DOTALL)


class Spider:
    """Text to SQL."""

    name = programs = "spider"
    max_tokens = 120
    about = "execution accuracy, weighted by posterior probability"

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="spider-")

    def rows(self, limit: int | None) -> list[Row]:
        """Dev rows over all databases, each with the path of an unpacked copy."""
        data = splits.data_folder() / "spider"
        if not data.is_dir():
            raise MissingData(f"no Spider data in {data}; set SMCDSL_DATA")
        rows = [
            Row(row["id"], {"question": row["question"]}, {"query": row["query"], "db_id": row["db_id"]})
            for row in splits.spider_evaluation()
        ]
        return [self._with_database(row, data) for row in spread(rows, limit)]

    def _with_database(self, row: Row, data: Path) -> Row:
        name = row.gold["db_id"]
        path = Path(self._folder.name) / f"{name}.sqlite"
        if not path.exists():
            path.write_bytes(lzma.decompress((data / "databases" / f"{name}.sqlite.xz").read_bytes()))
        return Row(row.id, {**row.inputs, "db": str(path)}, row.gold)

    def grade(self, row: Row, answer: str) -> Grades:
        """Whether the query runs, and whether it returns the gold query's rows."""
        query, database = plain(answer), row.inputs["db"]
        runs = bool(sql.runs(query, database))
        return {"runs": float(runs), "score": float(runs and sql.same_result(query, row.gold["query"], database))}


def plain(answer: str) -> str:
    """The query in an answer: without a Markdown fence around it, and a semicolon after it."""
    fenced = _FENCED.fullmatch(answer)
    return (fenced[1] if fenced is not None else answer).strip().rstrip(";").rstrip()
