"""A small database of singers, concerts and stadiums."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

DECLARATIONS = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INT);
CREATE TABLE concert (cid INTEGER PRIMARY KEY, name TEXT, stadium_id INT REFERENCES stadium, year INT);
CREATE TABLE stadium (stadium_id INTEGER PRIMARY KEY, name TEXT, capacity REAL);
CREATE TABLE sic (cid INT REFERENCES Concert(cid), singer_id INT REFERENCES singer(id), PRIMARY KEY (cid, singer_id));
CREATE TABLE OWNER (id INT);
INSERT INTO singer VALUES (1, 'Ada', 'France', 30), (2, 'Bo', 'Spain', 41), (3, 'Cy', 'France', NULL);
INSERT INTO concert VALUES (1, 'Gala', 1, 2014), (2, 'Duo', 2, 2015);
INSERT INTO stadium VALUES (1, 'North', 100.5), (2, 'South', 200);
INSERT INTO sic VALUES (1, 1), (1, 2), (2, 1);
"""


@pytest.fixture(scope="session")
def concerts(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("sql") / "concerts.sqlite"
    write(path, DECLARATIONS)
    return str(path)


def write(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.commit()
    connection.close()
