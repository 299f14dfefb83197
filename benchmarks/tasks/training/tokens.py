"""The embedded model's tokenizer, with more entries for natural questions and for schemas as people write them.

Merges are appended to the old ones, so a text is cut as before and its pieces are then joined further: every old
entry keeps its meaning, and a new one can start from the embeddings of its parts.
"""

import json
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from tokenizers import Tokenizer

from smcdsl.models.embedded.training.corpus import FUNCTION_WORDS

_SQL = """SELECT DISTINCT FROM WHERE GROUP BY HAVING ORDER LIMIT OFFSET DESC AND OR NOT IN EXISTS LIKE BETWEEN IS NULL
AS JOIN INNER LEFT OUTER ON USING UNION ALL INTERSECT EXCEPT CASE WHEN THEN ELSE END CREATE TABLE PRIMARY FOREIGN KEY
REFERENCES INTEGER INT TEXT REAL VARCHAR CHAR NUMERIC DECIMAL DOUBLE FLOAT DATE DATETIME TIMESTAMP BOOLEAN BOOL BIGINT
SMALLINT TINYINT MEDIUMINT UNSIGNED PRECISION NUMBER BLOB BIT YEAR TIME""".split()
_KEYWORD = "(?:" + "|".join(sorted(_SQL, key=len, reverse=True)) + ")"
# As `corpus.PIECES`, but capitals are keywords only if they are: `Singer_ID INT` is a name and a type, and the
# name must be cut the same way in the query.
PIECES = "|".join(
    (
        r"(?: |(?<![A-Za-z0-9_]))(?i:" + "|".join(FUNCTION_WORDS) + r")(?![A-Za-z0-9_]) ?",
        rf"(?: |(?<![A-Za-z0-9_])){_KEYWORD}(?: {_KEYWORD})*(?![A-Za-z0-9_])(?:,? )?",
        r" ?[=<>!]+ '?",
        r"_id(?![a-z])",
        r"[A-Z]?[a-z]+(?=s(?![a-z]))",
        r"[A-Z]?[a-z]+",
        r"[A-Z]{2,}(?![a-z])",
        r"[A-Z]",
        r"[0-9]",
        r"_",
        r"\n+",
        r" ?[^\sA-Za-z0-9_]+[ \n]*",
        r" +",
        r"\s",
    )
)


def pieces_of(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    """Count the pieces that a tokenizer cuts texts into before it joins anything."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
    return counts


def extended(tokenizer: Tokenizer, texts: Iterable[str], size: int, min_count: int = 30) -> tuple[Tokenizer, list[str]]:
    """Return a tokenizer of at most `size` entries, and the new entries in order.

    Source: byte-pair encoding, Sennrich et al. (2016), arXiv:1508.07909, continued from the old merges.
    """
    data = json.loads(tokenizer.to_str())
    split = next(part for part in data["pre_tokenizer"]["pretokenizers"] if part["type"] == "Split")
    split["pattern"] = {"Regex": PIECES}
    recut = Tokenizer.from_str(json.dumps(data))
    counts = pieces_of(recut, texts)
    words = [[token.value for token in recut.model.tokenize(piece)] for piece in counts]
    weights = list(counts.values())
    vocabulary, merges = data["model"]["vocab"], data["model"]["merges"]
    as_pairs = not merges or isinstance(merges[0], list)
    new: list[str] = []
    pairs: Counter[tuple[str, str]] = Counter()
    places: dict[tuple[str, str], set[int]] = {}
    for index, word in enumerate(words):
        for pair in pairwise(word):
            pairs[pair] += weights[index]
            places.setdefault(pair, set()).add(index)
    while len(vocabulary) < size and pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[best] < min_count:
            break
        joined = "".join(best)
        merges.append(list(best) if as_pairs else " ".join(best))
        if joined not in vocabulary:
            vocabulary[joined] = len(vocabulary)
            new.append(joined)
        for index in places.pop(best):
            word = words[index]
            for pair in pairwise(word):
                pairs[pair] -= weights[index]
            words[index] = word = _joined(word, best)
            for pair in pairwise(word):
                pairs[pair] += weights[index]
                places.setdefault(pair, set()).add(index)
        del pairs[best]
    return Tokenizer.from_str(json.dumps(data)), new


def _joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    """A word with every occurrence of a pair made one."""
    result: list[str] = []
    for token in word:
        if result and (result[-1], token) == pair:
            result[-1] += token
        else:
            result.append(token)
    return result
