"""Write shop.sqlite, the small database the text-to-SQL example asks about.

    python examples/make_database.py [FILE]

The same bytes every time: rows are listed here, and the one header field that names the writing
library's version is set to a constant.
"""

import sqlite3
import sys
from pathlib import Path

SCHEMA = (
    "CREATE TABLE customer (customer_id INTEGER PRIMARY KEY, name TEXT, city TEXT, age INTEGER)",
    "CREATE TABLE product (product_id INTEGER PRIMARY KEY, title TEXT, category TEXT, price REAL, stock INTEGER)",
    "CREATE TABLE purchase (purchase_id INTEGER PRIMARY KEY, quantity INTEGER, year INTEGER, "
    "customer_id INTEGER REFERENCES customer(customer_id), product_id INTEGER REFERENCES product(product_id))",
)

CUSTOMERS = (
    (1, "Alice Berg", "Oslo", 34),
    (2, "Bruno Costa", "Lisbon", 52),
    (3, "Chloe Martin", "Dublin", 27),
    (4, "Dario Fontana", "Lisbon", 45),
    (5, "Ella Novak", "Hamburg", 23),
    (6, "Farid Haddad", "Hamburg", 61),
    (7, "Greta Olsen", "Oslo", 38),
    (8, "Hiro Tanaka", "Kyoto", 30),
    (9, "Ines Duarte", "Lisbon", 19),
    (10, "Jonas Weber", "Hamburg", 47),
    (11, "Kira Petrov", "Dublin", 33),
    (12, "Liam Byrne", "Dublin", 58),
)

PRODUCTS = (
    (1, "Ceramic Teapot", "kitchen", 34.5, 12),
    (2, "Espresso Cup", "kitchen", 8.25, 80),
    (3, "Linen Apron", "kitchen", 22.0, 15),
    (4, "Walnut Board", "kitchen", 41.0, 6),
    (5, "Desk Lamp", "office", 39.9, 9),
    (6, "Paper Kite", "toys", 14.0, 25),
    (7, "Chess Set", "toys", 48.0, 7),
    (8, "Wool Blanket", "home", 65.0, 10),
    (9, "Garden Shears", "garden", 27.5, 18),
    (10, "Copper Kettle", "kitchen", 72.0, 4),
    (11, "Picture Frame", "home", 12.75, 40),
    (12, "Wooden Train", "toys", 31.0, 11),
    (13, "Seed Box", "garden", 9.5, 55),
    (14, "Notebook", "office", 5.5, 120),
)

# purchase_id, quantity, year, customer_id, product_id
PURCHASES = (
    (1, 1, 2021, 1, 1),
    (2, 4, 2021, 1, 2),
    (3, 1, 2021, 2, 8),
    (4, 2, 2021, 4, 9),
    (5, 1, 2022, 2, 7),
    (6, 6, 2022, 3, 2),
    (7, 10, 2022, 5, 14),
    (8, 1, 2022, 1, 5),
    (9, 3, 2022, 6, 13),
    (10, 1, 2022, 7, 4),
    (11, 2, 2022, 8, 6),
    (12, 1, 2023, 1, 10),
    (13, 2, 2023, 3, 12),
    (14, 1, 2023, 4, 7),
    (15, 5, 2023, 5, 11),
    (16, 12, 2023, 6, 14),
    (17, 1, 2023, 8, 8),
    (18, 2, 2023, 8, 3),
    (19, 3, 2023, 10, 13),
    (20, 1, 2023, 11, 1),
    (21, 2, 2024, 1, 11),
    (22, 8, 2024, 3, 14),
    (23, 1, 2024, 4, 4),
    (24, 1, 2024, 6, 7),
    (25, 2, 2024, 8, 14),
    (26, 4, 2024, 10, 6),
    (27, 1, 2024, 11, 5),
    (28, 2, 2024, 11, 9),
)


def write_database(path: Path) -> None:
    """Write the database to `path`, replacing what is there."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size = 4096")
    for statement in SCHEMA:
        connection.execute(statement)
    connection.executemany("INSERT INTO customer VALUES (?, ?, ?, ?)", CUSTOMERS)
    connection.executemany("INSERT INTO product VALUES (?, ?, ?, ?, ?)", PRODUCTS)
    connection.executemany("INSERT INTO purchase VALUES (?, ?, ?, ?, ?)", PURCHASES)
    connection.commit()
    connection.close()
    content = bytearray(path.read_bytes())
    # Bytes 96 to 99 hold the version of the library that wrote last; SQLite only reports it.
    content[96:100] = (3_040_000).to_bytes(4, "big")
    path.write_bytes(content)


if __name__ == "__main__":
    write_database(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("shop.sqlite"))
