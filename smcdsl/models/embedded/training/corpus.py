"""The training text: documents of token ids, generated as they are needed from a seed.

A document is one conversation or one raw text. Questions about one schema share its tokens:
their common start is stored once and each question becomes a branch, which attends to the
common start and to itself. Positions continue from the common start, so a branch is trained
exactly as if it stood alone.

The schema of the example database, and its texts, never occur; see `is_example_schema`.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from . import questions, snippets
from .schemas import Table, make_schema

SPECIALS = ("<|pad|>", "<|bos|>", "<|eos|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
PAD, BOS, EOS, SYSTEM, USER, ASSISTANT, END = range(7)

FUNCTION_WORDS = """
what which who how the a an of with from in is are was on for and or to by each per than more less many
much there all do does have has had that whose where not at least most above below over under between give show me list
find tell count every no
""".split()
# Names of tables and columns come out as the same pieces wherever they stand: blanks belong to function
# words, keywords and punctuation; a plural s, an _id and every digit stand alone.
PIECES = "|".join(
    (
        r"(?: |(?<![A-Za-z0-9_]))(?i:" + "|".join(FUNCTION_WORDS) + r")(?![A-Za-z0-9_]) ?",
        r" ?[A-Z]{2,}(?: [A-Z]{2,})*(?![a-z])(?:,? )?",
        r" ?[=<>!]+ '?",
        r"_id(?![a-z])",
        r"[A-Z]?[a-z]+(?=s(?![a-z]))",
        r"[A-Z]?[a-z]+",
        r"[A-Z]",
        r"[0-9]",
        r"_",
        r"\n+",
        r" ?[^\sA-Za-z0-9_]+[ \n]*",
        r" +",
        r"\s",
    )
)


@dataclass(frozen=True)
class Document:
    """Token ids of a common start and its branches; a branch is (ids, number of ids not scored)."""

    shared: list[int]
    branches: list[tuple[list[int], int]]

    def __len__(self) -> int:
        return len(self.shared) + sum(len(ids) for ids, _ in self.branches)


@dataclass(frozen=True)
class Row:
    """One piece of training text: a chat turn, or raw text when `raw`."""

    kind: str
    system: str
    user: str
    answer: str
    raw: bool = False


# The example database: its table names, and the columns of each table.
EXAMPLE_TABLES: dict[str, frozenset[str]] = {
    "customer": frozenset({"customer_id", "name", "city", "age"}),
    "product": frozenset({"product_id", "title", "category", "price", "stock"}),
    "purchase": frozenset({"purchase_id", "quantity", "year", "customer_id", "product_id"}),
}
# Every text in the example database, lower case; no question of the corpus mentions one.
EXAMPLE_TEXTS: frozenset[str] = frozenset(
    (
        "alice berg|bruno costa|chloe martin|dario fontana|ella novak|farid haddad|greta olsen|hiro tanaka|"
        "ines duarte|jonas weber|kira petrov|liam byrne|lisbon|hamburg|oslo|kyoto|dublin|"
        "ceramic teapot|espresso cup|linen apron|walnut board|desk lamp|paper kite|chess set|wool blanket|"
        "garden shears|copper kettle|picture frame|wooden train|seed box|notebook|"
        "kitchen|home|toys|garden|office"
    ).split("|")
)


def is_example_schema(tables: list[Table]) -> bool:
    """Return whether a schema shares its set of tables, or any whole table, with the example database."""
    if {table.name for table in tables} == set(EXAMPLE_TABLES):
        return True
    return any(EXAMPLE_TABLES.get(table.name) == table.column_names() for table in tables)


def sql_rows(random: Random, count: int, unseen: bool = False) -> list[Row]:
    """Return `count` questions about one fresh schema."""
    tables = make_schema(random, unseen)
    while is_example_schema(tables):
        tables = make_schema(random, unseen)
    schema = "\n".join(table.ddl() for table in tables)
    asker = questions.Asker(random, tables, EXAMPLE_TEXTS)
    pairs = [asker.ask() for _ in range(count)]
    system = questions.SYSTEM if random.random() < 0.96 else ""
    return [Row("sql", system, f"Schema:\n{schema}\n\nQuestion: {question}", query) for question, query in pairs]


def rows(random: Random, drills: float = 0.5) -> list[Row]:
    """Return the rows of one document: eight rows in ten are SQL, five questions to a schema.

    `drills` is the weight of copying drills beside seven of molecules.
    """
    kind = random.choices(("sql", "smiles", "pddl", "python", "drill"), (80 / 5, 7, 6, 7, drills))[0]
    if kind == "sql":
        return sql_rows(random, 5)
    if kind == "smiles":
        return [Row(kind, "", *snippets.molecules(random), raw=True)]
    if kind == "pddl":
        return [Row(kind, snippets.GOAL_SYSTEM, *snippets.goal(random))]
    if kind == "drill":
        return [Row(kind, "", *snippets.drill(random), raw=True)]
    return [Row(kind, snippets.CODE_SYSTEM, *snippets.program(random))]


class Encoder:
    """Turns rows into token ids; text never becomes a special token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.encode_special_tokens = True
        self.tokenizer = tokenizer

    def text(self, text: str) -> list[int]:
        """Return the ids of a text."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def prompt(self, row: Row) -> list[int]:
        """Return the ids up to where the answer starts."""
        if row.raw:
            return [BOS, *self.text(row.user)]
        system = [SYSTEM, *self.text(row.system), END] if row.system else []
        return [BOS, *system, USER, *self.text(row.user), END, ASSISTANT]

    def document(self, group: list[Row]) -> Document:
        """Return a document of rows, their common start taken out."""
        prompts = [self.prompt(row) for row in group]
        answers = [[*self.text(row.answer), EOS if row.raw else END] for row in group]
        common = min(len(prompt) for prompt in prompts) - 1
        for prompt in prompts[1:]:
            common = next((i for i in range(common) if prompt[i] != prompts[0][i]), common)
        branches = [(p[common:] + a, len(p) - common) for p, a in zip(prompts, answers, strict=True)]
        return Document(prompts[0][:common], branches)


def documents(tokenizer: Tokenizer, seed: str, drilled: int = 0) -> Iterator[Document]:
    """Yield documents for ever, the same ones for the same seed; many of the first `drilled` are drills."""
    random = Random(seed)
    encoder = Encoder(tokenizer)
    for count in itertools.count():
        yield encoder.document(rows(random, 14 if count < drilled else 0.5))


def train_tokenizer(size: int = 2304, seed: str = "tokenizer", count: int = 9000) -> Tokenizer:
    """Return a byte-level BPE of at most `size` entries, trained on the corpus."""
    random = Random(seed)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        min_frequency=8,
    )
    texts = [text for _ in range(count) for row in rows(random)[:2] for text in (row.system, row.user, row.answer)]
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
