"""The embedded model: exact against transformers, ragged and forked rows, its text and its data."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smcdsl.errors import ModelError
from smcdsl.models.embedded.decoder import load_weights
from smcdsl.models.embedded.model import FOLDER, EmbeddedModel, EmbeddedSession
from smcdsl.prefixes import ROOT, Prefixes
from smcdsl.protocols import LanguageModel

EXAMPLES = Path(__file__).parents[2] / "examples"
SCHEMA = "CREATE TABLE singer (singer_id INTEGER PRIMARY KEY, name TEXT, country TEXT, age INTEGER);"
QUESTION = f"Schema:\n{SCHEMA}\n\nQuestion: How many singers are from France?"


@cache
def model() -> EmbeddedModel:
    return EmbeddedModel()


def prompt() -> list[int]:
    user, assistant = model().turn((), "user"), model().turn(("user",), "assistant")
    return [*user.opening, *model().encode(QUESTION), *user.closing, *assistant.opening]


@cache
def reference(precise: bool) -> Any:
    transformers = pytest.importorskip("transformers", reason="compares with transformers")
    torch = pytest.importorskip("torch", reason="compares with transformers")
    torch.set_num_threads(1)
    dtype = torch.float64 if precise else torch.float32
    return transformers.AutoModelForCausalLM.from_pretrained(FOLDER, dtype=dtype).eval()


def true_logprobs(tokens: list[int], precise: bool) -> np.ndarray[Any, Any]:
    import torch

    with torch.no_grad():
        return torch.log_softmax(reference(precise)(torch.tensor([tokens])).logits[0, -1].double(), -1).numpy()


def gap(got: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> float:
    """Greatest difference of log-probabilities among tokens of any weight."""
    return float(np.abs(got - want)[want > -12].max())


# (type, greatest difference from transformers in float64, and in float32, which is 2.5e-5 off itself)
PRECISIONS = [(np.float64, 1e-5, 5e-5), (np.float32, 5e-5, 8e-5)]


def test_the_model_keeps_the_protocol() -> None:
    assert isinstance(model(), LanguageModel)
    assert len(model().vocabulary) == load_weights(FOLDER).embedding.shape[0]
    assert model().vocabulary.spell(prompt()).decode() == QUESTION
    json.dumps(model().description)


@pytest.mark.parametrize(("dtype", "from_precise", "from_single"), PRECISIONS)
def test_log_probabilities_equal_transformers(
    dtype: type[np.floating], from_precise: float, from_single: float
) -> None:
    prefixes = Prefixes()
    session = EmbeddedSession("m", load_weights(FOLDER, dtype), prefixes)
    tokens = prompt()
    for token in [*model().encode("SELECT count(*) FROM singer WHERE country = 'Fr c1ccc( Ünïcode\n\t"), None]:
        got = session.next_logprobs(np.asarray([prefixes.extend(ROOT, tokens)]))[0]
        assert got.dtype == dtype
        assert gap(got, true_logprobs(tokens, precise=True)) < from_precise
        assert gap(got, true_logprobs(tokens, precise=False)) < from_single
        tokens.append(token)


def test_ragged_chains_and_forks_equal_transformers() -> None:
    # Tokens at random make for large logits, and transformers rounds norms to float32 also in float64.
    random = np.random.default_rng(5)
    prefixes = Prefixes()
    session = EmbeddedSession("m", load_weights(FOLDER, np.float64), prefixes)
    size = len(model().vocabulary)
    live = [prefixes.extend(ROOT, prompt())] * 6
    for counts in ([1, 4, 2, 9, 3, 1], [1, 1, 1, 1, 1, 1], [3, 1, 2, 1, 1, 5]):
        asked = []
        for place, count in enumerate(counts):
            for token in random.integers(7, size, count).tolist():
                live[place] = prefixes.extend(live[place], [token])
                asked.append(live[place])
        got = session.next_logprobs(np.asarray(asked))
        for line, prefix in zip(got, asked, strict=True):
            assert gap(line, true_logprobs(prefixes.sequence(prefix), precise=True)) < 1e-4
        live = [live[place] for place in random.integers(0, 6, 6)]
        session.retain(np.unique(live))


steps = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3), st.booleans()), min_size=1, max_size=25)


@given(steps)
@settings(max_examples=8, deadline=None)
def test_a_session_answers_as_if_each_prefix_stood_alone(steps: list[tuple[int, int, bool]]) -> None:
    prefixes = Prefixes()
    session = model().start(prefixes)
    known = [prefixes.extend(ROOT, prompt()[-6:])]
    for pick, count, forget in steps:
        base = known[pick % len(known)]
        asked = [prefixes.extend(base, [100 + 3 * child] * (child % 3 + 1)) for child in range(count)] or [base]
        if forget:
            # The chains on the way too, as when drafts are verified.
            asked = sorted({*asked, *(int(prefixes.parents[prefix]) for prefix in asked)})
        got = session.next_logprobs(np.asarray(asked))
        for prefix, line in zip(asked, got, strict=True):
            alone = model().start(prefixes).next_logprobs(np.asarray([prefix]))[0]
            assert gap(line, alone) < 1e-4
        known += asked
        if forget:
            known = known[-3:]
            session.retain(np.asarray(known))
    session.close()


def test_a_session_takes_prompts_that_differ() -> None:
    prefixes = Prefixes()
    session = model().start(prefixes)
    start = prompt()
    asked = np.asarray(
        [
            prefixes.extend(ROOT, start[:30]),
            prefixes.extend(ROOT, start[:12] + start[20:25]),
            prefixes.extend(ROOT, [5]),
        ]
    )
    first = session.next_logprobs(asked)
    again = model().start(prefixes).next_logprobs(asked[1:])
    assert max(map(gap, first[1:], again)) < 1e-4


def test_many_prefixes_in_one_call_all_get_rows() -> None:
    prefixes = Prefixes()
    session = model().start(prefixes)
    base = prefixes.extend(ROOT, prompt())
    session.next_logprobs(np.asarray([base]))
    tokens = np.arange(100, 400)
    asked = prefixes.extend_each(np.full(300, base), tokens)
    got = session.next_logprobs(asked)
    alone = model().start(prefixes).next_logprobs(asked[-1:])
    assert gap(got[-1], alone[0]) < 1e-4
    # More than the rows kept: the oldest give way.
    more = prefixes.extend_each(asked, tokens)
    assert gap(session.next_logprobs(more)[0], model().start(prefixes).next_logprobs(more[:1])[0]) < 1e-4


def test_a_prefix_past_the_context_is_refused() -> None:
    prefixes = Prefixes()
    with pytest.raises(ModelError, match="E0805"):
        model().start(prefixes).next_logprobs(np.asarray([prefixes.extend(ROOT, [9] * (model().context_length + 1))]))


def test_a_full_context_is_accepted() -> None:
    prefixes = Prefixes()
    session = model().start(prefixes)
    base = prefixes.extend(ROOT, [9] * (model().context_length - 3))
    for tokens in ([], [10], [10, 11], [10, 11, 12]):
        assert np.isfinite(session.next_logprobs(np.asarray([prefixes.extend(base, tokens)]))).all()


@given(st.text(max_size=60) | st.sampled_from(["<|end|>", "a<|assistant|>b", "<|bos|><|eos|>", "<|pad|>"]))
def test_text_comes_back_and_never_makes_special_tokens(text: str) -> None:
    tokens = model().encode(text)
    special = {token_id for token_id, _ in model().vocabulary.special_names}
    assert not special & set(tokens)
    assert model().vocabulary.spell(tokens) == text.encode()


def test_turns_spell_what_the_chat_template_spells() -> None:
    transformers = pytest.importorskip("transformers", reason="compares with transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(FOLDER)
    messages = [("system", "You write SQL."), ("user", QUESTION), ("assistant", "SELECT 1"), ("user", "And two?")]
    ours: list[int] = []
    for place, (role, content) in enumerate(messages):
        turn = model().turn([role for role, _ in messages[:place]], role)  # type: ignore[arg-type, misc]
        ours += [*turn.opening, *model().encode(content), *turn.closing]
    ours += model().turn([role for role, _ in messages], "assistant").opening  # type: ignore[misc]
    records = [{"role": role, "content": content} for role, content in messages]
    theirs = tokenizer.apply_chat_template(records, add_generation_prompt=True, return_dict=False)
    assert ours == list(theirs)


def test_the_model_comes_without_torch() -> None:
    code = (
        "import sys; from smcdsl.models.embedded import EmbeddedModel; EmbeddedModel();"
        "print(sorted({'torch', 'transformers', 'numba', 'rdkit'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_files_are_small_and_readable_by_everybody() -> None:
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        assert stat.S_IMODE((FOLDER / name).stat().st_mode) & 0o444 == 0o444
    assert (FOLDER / "model.safetensors").stat().st_size < 16 * 2**20


def example_columns() -> dict[str, frozenset[str]]:
    connection = sqlite3.connect(EXAMPLES / "shop.sqlite")
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: frozenset(row[1] for row in connection.execute(f"PRAGMA table_info({name})")) for name in tables}


def test_the_corpus_knows_the_example_database() -> None:
    from smcdsl.models.embedded.training import corpus

    assert example_columns() == corpus.EXAMPLE_TABLES
    connection = sqlite3.connect(EXAMPLES / "shop.sqlite")
    for table, columns in {"customer": ("name", "city"), "product": ("title", "category")}.items():
        for column in columns:
            found = {value.lower() for (value,) in connection.execute(f"SELECT {column} FROM {table}")}
            assert found <= corpus.EXAMPLE_TEXTS


def test_the_corpus_never_contains_the_example_schema() -> None:
    from smcdsl.models.embedded.training import corpus, schemas

    tables = [schemas.Table(name, []) for name in corpus.EXAMPLE_TABLES]
    assert corpus.is_example_schema(tables)
    random = Random("example")
    for _ in range(1000):
        user = corpus.sql_rows(random, 1)[0].user
        schema = user.split("\n\n")[0].split("\n")[1:]
        names = {line.split()[2] for line in schema}
        assert names != set(corpus.EXAMPLE_TABLES)
        for line in schema:
            columns = line[line.index("(") + 1 : line.rindex(")")].split(", ")
            assert corpus.EXAMPLE_TABLES.get(line.split()[2]) != {column.split()[0] for column in columns}


def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    pytest.importorskip("rdkit", reason="the corpus checks molecules with rdkit")
    from smcdsl.models.embedded.training import corpus

    first, second = ([corpus.rows(random) for _ in range(50)] for random in (Random("s"), Random("s")))
    assert first == second


def test_every_query_of_the_corpus_runs_on_its_schema() -> None:
    from smcdsl.models.embedded.training import corpus

    random = Random("runs")
    for _ in range(300):
        for row in corpus.sql_rows(random, 3):
            connection = sqlite3.connect(":memory:")
            connection.executescript(row.user.split("\n\n")[0].removeprefix("Schema:\n"))
            connection.execute(row.answer).fetchall()


def test_each_example_question_has_an_answer() -> None:
    connection = sqlite3.connect(EXAMPLES / "shop.sqlite")
    lines = (EXAMPLES / "text_to_sql_questions.jsonl").read_text().splitlines()
    assert len(lines) == 20
    for line in lines:
        assert connection.execute(json.loads(line)["gold"]).fetchall() not in ([], [(0,)], [(None,)])
