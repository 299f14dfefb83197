"""What `benchmarks/masks` measures runs and gives what the automaton gives, on a vocabulary of bytes, without peers."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from oracles.vocabularies import small_vocabulary

ROOT = Path(__file__).parents[1]

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("needs a checkout", allow_module_level=True)
pytest.importorskip("tokenizers")
sys.path.insert(0, str(ROOT))

from benchmarks.masks import report  # noqa: E402
from benchmarks.masks.corpora import Text  # noqa: E402
from benchmarks.masks.engines import Engines, Smcdsl, grammar_of  # noqa: E402
from benchmarks.masks.general import FORMS, differing  # noqa: E402
from benchmarks.masks.measure import batches, singles  # noqa: E402
from benchmarks.masks.schema_agreement import reason_of  # noqa: E402
from benchmarks.masks.schemas import Schemas, schemas  # noqa: E402

BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])
TEXTS = ['{"name": [1, 2, 30, -4.5e6], "b": null}', '[{"a": "b"}, true, false, null, "x y"]', "[1]"]


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Smcdsl(grammar_of("json"), BYTES, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def texts():
    return [Text(text, tuple(text.encode())) for text in TEXTS]


def test_single_masks_are_timed_at_every_step(engine, texts):
    found = singles(engine, {}, texts, rounds=1, budget=1.0)
    for series in (found.cold, found.held_out, found.warm):
        assert {number: len(costs) for number, costs in series.masks.items()} == {
            number: len(text.tokens) + 1 for number, text in enumerate(texts)
        }
    assert "smcdsl, held out" in report.single_masks("json", found)


def test_batches_are_timed_with_masks_and_with_numbers(engine, texts):
    found = batches({"smcdsl": engine}, texts, 64, budget=0.2)
    assert found.spread.keys() == found.clones.keys() == {"smcdsl", "smcdsl rows"}
    assert "N=64 apart" in report.batch_costs("json", [found])


def test_a_matcher_and_both_kinds_of_batch_give_the_same_masks(engine, texts):
    (one, two, _), masks = texts, []
    written, numbered = (engine.batch([one.tokens[:3], two.tokens[:5]]) for _ in range(2))
    for step in range(10):
        tokens = np.array([one.tokens[3 + step], two.tokens[5 + step]])
        written.step(tokens)
        numbered.step_rows(tokens)
        assert (written._out.view(np.uint32) == engine.automaton.row_table[numbered._rows]).all()
        masks.append(written._out[0].view(np.uint32)[:9].copy())
    matcher = engine.matcher()
    for token in one.tokens[:4]:
        matcher.accept(token)
    for mask, token in zip(masks, one.tokens[4:]):
        matcher.fill()
        assert (matcher.mask()[:9] == mask).all()
        matcher.accept(token)


def test_what_compiling_costs_is_printed():
    figures = dict.fromkeys(
        ["vocabulary_ms", "compile_ms", "compile_wall_ms", "first_mask_ms", "resident_vocabulary"], 1.0
    ) | {"resident_compiled": 2.0, "resident_replayed": 3.0}
    blocks = {"blocks_seconds": 0.5, "blocks_disk": 15.0}
    printed = report.compile_costs({("smcdsl", "json"): figures | blocks, ("peer", "json"): figures})
    heading, ours, peer = printed.splitlines()
    assert "blocks MB on disk" in heading
    assert "15.0" in ours
    assert "-" in peer.split()


class ByteTokenizer:
    """Writes texts as bytes."""

    def encode(self, text, add_special_tokens):
        return SimpleNamespace(ids=list(text.encode()))


def test_schemas_are_compiled_and_followed(tmp_path):
    engines = Engines(BYTES, tmp_path / "none.json", peers=[])
    found = Schemas(engines, ByteTokenizer(), schemas()[:2])
    costs = found.compile()
    assert {name: len(each) for name, each in costs.items()} == dict.fromkeys(
        ["read", "tables", "automaton", "cold", "cached"], 2
    )
    assert "asked: 30" in report.schema_compile_costs(costs, 2)
    masks = found.singles(rounds=1, budget=0.2)
    steps = [len(text.tokens) + 1 for texts in found.texts for text in texts]
    assert [len(each) for _, each in sorted(masks.held_out.masks.items())] == steps
    assert found.batches(16, budget=0.2).spread.keys() == {"smcdsl", "smcdsl rows"}


def test_grammars_with_conflicts_give_the_same_masks(tmp_path, texts):
    engines = [Smcdsl(form(grammar_of("json")), BYTES, tmp_path) for form in FORMS.values()]
    assert [engine.automaton.tables.deterministic for engine in engines] == [True, False, False]
    assert differing(engines, texts) == 0
    assert differing([engines[0], Smcdsl(grammar_of("smiles"), BYTES, tmp_path)], [Text("[", (91,))]) > 0


def test_a_text_of_another_language_is_refused(engine, texts):
    assert not any(engine.refuses(text.tokens) for text in texts)
    assert engine.refuses(b"[1")
    assert engine.refuses(b"]")


@pytest.mark.parametrize(
    ("before", "token", "reason"),
    [
        ('{"price', '":-', "negative zero"),
        ('{"a": "x', "\\/", "escapes"),
        ('{"a": "x', "\x7f", "control characters"),
        ('{"a": 1}', "\n", "blanks"),
        ('"at": "2028-04-18T15:30:', "60", "dates"),
        ('"mail": "me', "@[", "addresses"),
        ('{"na', "me", "unexplained"),
    ],
)
def test_differences_between_masks_of_schemas_have_reasons(before, token, reason):
    assert reason_of(before, token) == reason


def test_what_is_left_is_explained_by_keywords_of_the_schema():
    assert reason_of('{"na', "me", '{"format": "hostname"}') == "host names"
    assert reason_of("", "me", '{"allOf": [true]}') == "keywords passed over"
