"""The grammar of molecules: real ones are in it, by lark and token by token, and what it allows lark accepts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from lark import Lark
from lark.exceptions import LarkError
from smcdsl.potentials.smiles import specialize
from tokenizers import Tokenizer

import smcdsl
from smcdsl.automaton.automaton import DEAD, TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.notations.lark import load_lark
from smcdsl.vocabulary import Vocabulary
from tests.grammars.random_walks import RandomWalks
from tests.oracles.vocabularies import real_vocabulary, small_vocabulary
from tests.potentials.molecules import HAND, has_data, real
from tests.spider import DATA

TEXT = files("smcdsl.grammars").joinpath("smiles.lark").read_text(encoding="utf-8")
LARK = Lark(TEXT, parser="lalr", lexer="basic", start="molecule")
GRAMMAR = load_lark(TEXT, name="smiles.lark", start="molecule")
BYTES = small_vocabulary([bytes([byte]) for byte in range(256)])
EXAMPLES = Path(__file__).parents[2] / "examples"

needs_data = pytest.mark.skipif(not has_data(), reason="needs the molecules of the test data (SMCDSL_DATA)")


def lark_accepts(text: str) -> bool:
    try:
        LARK.parse(text)
    except LarkError:
        return False
    return True


def accepts(automaton: TokenAutomaton, tokens: list[int], end: int) -> bool:
    state = automaton.start
    for token in (*tokens, end):
        mask = automaton.mask(state)
        if not mask[token >> 5] >> np.uint32(token & 31) & 1:
            return False
        state = automaton.next(state, token)
        assert state != DEAD
    return True


@pytest.fixture(scope="module")
def by_bytes() -> TokenAutomaton:
    return TokenAutomaton(compile_grammar(GRAMMAR, BYTES), None)


@pytest.mark.parametrize("text", HAND)
def test_molecules_are_in_it(text, by_bytes):
    assert lark_accepts(text)
    assert accepts(by_bytes, list(text.encode()), 256)


@pytest.mark.parametrize(
    "text",
    ["", ".C", "C.", "C..C", "C(", "C)", "C()", "(C)C", "1C", "C=", "C(C)1", "X", "[C", "C]", "[]", "C C", "C\n", "q"],
)
def test_other_texts_are_not(text, by_bytes):
    assert not lark_accepts(text)
    assert not accepts(by_bytes, list(text.encode()), 256)


@needs_data
@pytest.mark.parametrize("tokenizer", ["gpt2", "llama3"])
def test_real_molecules_walk(tokenizer):
    vocabulary = real_vocabulary(tokenizer)
    encoder = Tokenizer.from_file(str(DATA / "tokenizers" / tokenizer / "tokenizer.json"))
    automaton = TokenAutomaton(compile_grammar(GRAMMAR, vocabulary), None)
    texts = [*real("zinc250k_part.smi.gz", 150), *real("qm9_gdb9.smi.gz", 150), *real("gdb17_sample30.smi", 30)]
    end = vocabulary.end_of_turn[0]
    refused = [t for t in texts if not accepts(automaton, encoder.encode(t, add_special_tokens=False).ids, end)]
    assert refused == []


def walks(vocabulary: Vocabulary, count: int) -> list[str]:
    automaton = TokenAutomaton(compile_grammar(GRAMMAR, vocabulary), None)
    walker = RandomWalks(automaton, vocabulary, [0])
    found = walker.walk(count, np.random.default_rng(5))
    assert [walk.fault for walk in found if walk.fault] == []
    return [walker.text(walk).decode() for walk in found]


def test_random_walks_end_in_texts_that_lark_accepts():
    for text in walks(BYTES, 200):
        assert lark_accepts(text), text


@needs_data
def test_random_walks_by_tokens_end_in_texts_that_lark_accepts():
    for text in walks(real_vocabulary("gpt2"), 200):
        assert lark_accepts(text), text


def test_without_aromatic_atoms():
    automaton = TokenAutomaton(compile_grammar(specialize(GRAMMAR, "molecule", {"aromatic": False}), BYTES), None)
    for text in ("C1=CC=CC=C1", "[CH4]", "Cl", "S"):
        assert accepts(automaton, list(text.encode()), 256), text
    for text in ("c1ccccc1", "[nH]", "Cc", "[se]"):
        assert not accepts(automaton, list(text.encode()), 256), text
    assert specialize(GRAMMAR, "molecule", {"aromatic": True}) is GRAMMAR


def test_the_example_writes_molecules_with_the_part():
    from smcdsl.potentials import smiles

    samples = smcdsl.load(EXAMPLES / "molecules.smc").run().samples(5)
    assert len(samples) == 5
    for text in samples:
        assert smiles.valence_ok(text)
        assert smiles.contains(text, "c1ccccc1")


def test_the_example_of_lead_design_writes_molecules_with_the_core():
    from smcdsl.potentials import smiles

    result = smcdsl.load(EXAMPLES / "lead_design.smc").run(particles=16)
    assert result.target == "exact"
    for text in result.samples(5):
        assert smiles.valence_ok(text)
        assert smiles.contains(text, "c1ccccc1")


@needs_data
def test_a_model_of_molecules_writes_what_rdkit_reads():
    from smcdsl.potentials import smiles

    program = smcdsl.compile(MOLECULES_ONLY)
    model = smcdsl.model(str(DATA / "lm" / "smiles_gpt2_0.2m"))
    assert (model.begin_text(), model.vocabulary.end_of_turn, model.context_length) == ([13], (14,), 74)
    result = program.run(model=model, seed=1)
    assert result.target == "exact"
    texts = result.samples(8)
    assert all(map(smiles.valence_ok, texts))
    assert max(map(len, texts)) > 20


MOLECULES_ONLY = """smc 1

import smiles

grammar molecule = smiles.molecule

generate {
  text "[[m: molecule]]"

  require smiles.valence_ok(m) at atom
  score   smiles.qed(m) ^ 3
}

return samples(8) m

infer smc {
  particles: 8
}
"""
