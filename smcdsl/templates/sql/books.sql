CREATE TABLE author (author_id INTEGER PRIMARY KEY, name TEXT, country TEXT);
CREATE TABLE book (book_id INTEGER PRIMARY KEY, title TEXT, year INTEGER, pages INTEGER, author_id INTEGER REFERENCES author(author_id));
INSERT INTO author VALUES (1, 'Ada Moreau', 'France'), (2, 'Ben Okafor', 'Nigeria'), (3, 'Clara Lund', 'Norway');
INSERT INTO book VALUES
  (1, 'The Long Tide', 1998, 310, 1),
  (2, 'Salt and Iron', 2004, 275, 1),
  (3, 'A Map of Rain', 2011, 198, 2),
  (4, 'Harmattan', 2015, 342, 2),
  (5, 'North of Summer', 2019, 221, 3);
