"""The whole path on enumerable programs: text, checker, compiled automata, plan, sampler.

Over every branch of the draws the mean evidence is the enumerated mass, with the product's own grammars
and sites. The oracle gets the languages as lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from exact import BranchDraws, exact_means
from oracles.enumerated import Language, language, letters_of, runs_of
from running import enumerated, masses, toy

from smcdsl.automaton.automaton import TokenAutomaton
from smcdsl.compiler.assemble import compile_grammar
from smcdsl.compiler.compile import compile_program
from smcdsl.errors import Source
from smcdsl.inference.events import Site
from smcdsl.inference.methods import RunRequest, Settings, run
from smcdsl.language.load import load_program
from smcdsl.library.binding import bind_hole
from smcdsl.library.functions import resolve_function

POTENTIALS = '''
from smcdsl.protocols import Weight, potential

@potential(prefix="any")
def few(q: str) -> bool:
    """No more than two of `b`."""
    return q.count("b") <= 2

@potential(prefix="closed")
def rich(q: str) -> Weight:
    """More with every `a`."""
    return (1.0 + q.count("a")) ** 2

@potential()
def liked(c: str) -> Weight:
    """Some letters are better."""
    return {"a": 1.5, "b": 0.25}.get(c, 0.75)

@potential(prefix="any")
def hope(q: str) -> Weight:
    """A guess, now and then wrong."""
    return 0.0 if q.endswith("b") else 2.0
'''

HEAD = 'smc 1\nimport potential "judges.py" as j\n'

ONE_HOLE = (
    HEAD
    + """
generate {
  text {
    "b"
    "[[q: "a" | "ab" | "abb" | "ba"]]"
  }
  require j.few(q)
  score j.rich(q) ^ 0.5
}
"""
)

BRANCH = (
    HEAD
    + """
generate {
  text {
    "[[v: "a" | "b"]];"
    if v == "a" {
      "b[[e: /b?a/]]"
      score j.liked(e)
    } else {
      "a"
    }
  }
  score j.liked(v)
}
return posterior { v: v, e: e? }
"""
)

PREVIEWS = (
    HEAD
    + """
grammar word {
  start = letter+ & /.{1,3}/
  letter = "a" | "b"
}
generate {
  text "b[[q: word]]"
  require j.few(q) at token
  score j.rich(q) at letter
}
"""
)

EACH = (
    HEAD
    + """
grammar word {
  start = run end
  run = /a{1,2}/ | /b{1,2}/
  end = "c"
}
generate {
  text "b[[q: word]]"
  score j.liked(c) each c in q.run
}
"""
)

GUIDE = (
    HEAD
    + """
generate {
  text "[[q: /[ab]{1,3}/]]"
  guide j.hope(q) at token
  score j.rich(q)
}
"""
)

OBSERVE = (
    HEAD
    + """
generate {
  text {
    "[[q: "a" | "ba"]];"
    observe "b{{ q }}"
    "a[[r: /b{1,2}/]]"
  }
  score j.rich(q)
}
return posterior q
"""
)

PAIRS = (
    HEAD
    + """
grammar pairs {
  start = pair{1,2}
  pair  = key ";"
  key   = "a" | "b"
}
generate {
  text "b[[q: pairs]];c"
  require j.few(q) at pair
  score j.rich(q) at key, pair
  score j.liked(c) each c in q.key
}
"""
)

NESTED = (
    HEAD
    + """
grammar nested {
  start = "(" start ")" | letter letter?
  letter = "a" | "b"
}
generate {
  text "b[[q: nested where chars <= 3]]"
  score j.rich(q) at letter, start
  score j.liked(c) each c in q.letter
}
"""
)

WORDS = [
    first + second + third
    for first in "ab"
    for second in ("", "a", "b")
    for third in ("", "a", "b")
    if second or not third
]
ONE_PAIR = ["a;", "b;"]
TWO_PAIRS = [first + second for first in ONE_PAIR for second in ["", *ONE_PAIR]]
LETTERS = [first + second for first in "ab" for second in ("", "a", "b")]
IN_BRACKETS = [*LETTERS, "(a)", "(b)"]
RUNS = ["ac", "aac", "bc", "bbc"]

PROGRAMS: Mapping[str, tuple[str, list[str], dict[str, Language]]] = {
    "one hole": (ONE_HOLE, ["a", "b", "ab"], {"q": language(["a", "ab", "abb", "ba"])}),
    "two holes with a branch": (
        BRANCH,
        ["a", "b", ";"],
        {"v": language(["a", "b"]), "e": language(["a", "ba"])},
    ),
    "previews": (PREVIEWS, ["a", "b"], {"q": language(WORDS, ("letter",), letters_of("ab"))}),
    "each": (EACH, ["a", "b", "c", "bb"], {"q": language(RUNS, ("run",), runs_of("ab"))}),
    "pairs": (PAIRS, ["a", "b", ";", ";c", "c"], {"q": language(TWO_PAIRS, ("key", "pair"), runs_of("ab", "key"))}),
    "nested": (
        NESTED,
        ["a", "b", "(", ")"],
        {"q": language(IN_BRACKETS, ("start", "letter"), letters_of("ab"))},
    ),
    "guide": (GUIDE, ["a", "b"], {"q": language(WORDS)}),
    "observe": (OBSERVE, ["a", "b", ";"], {"q": language(["a", "ba"]), "r": language(["b", "bb"])}),
}


@pytest.fixture
def load(tmp_path: Path) -> Any:
    def program(text: str) -> Any:
        (tmp_path / "judges.py").write_text(POTENTIALS)
        path = tmp_path / "program.smc"
        path.write_text(text)
        return load_program(Source(str(path), text))

    return program


def exact(program: Any, model: Any, **settings: Any) -> dict[Any, float]:
    made: dict[Any, TokenAutomaton] = {}

    def provide(key: str, inputs: Mapping[str, Any], following: bytes | None) -> TokenAutomaton:
        if (key, following) not in made:
            tables = compile_grammar(bind_hole(program, key, inputs), model.vocabulary)
            made[key, following] = TokenAutomaton(tables, following)
        return made[key, following]

    plan = compile_program(program)

    def values(draws: BranchDraws, groups: int) -> list[dict[Any, float]]:
        posteriors = run(
            plan,
            model,
            [RunRequest({}, 0)] * groups,
            automata=provide,
            functions=resolve_function,
            settings=Settings(**settings),
            draws=lambda salt: draws,
        )
        return [masses(posterior) for posterior in posteriors]

    return exact_means(values)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_mean_evidence_is_the_enumerated_mass(name: str, load: Any) -> None:
    text, tokens, languages = PROGRAMS[name]
    program, model = load(text), toy(tokens, seed=3)
    expected = enumerated(program, model, languages, resolve_function)
    for settings in (
        {"method": "is", "particles": 1},
        {"method": "smc", "particles": 2, "ess_threshold": 1.0},
        {"method": "smc", "particles": 2, "ess_threshold": 1.0, "resample": "multinomial"},
    ):
        found = exact(program, model, **settings)
        assert found.keys() == expected.keys()
        for key, mass in expected.items():
            assert found[key] == pytest.approx(mass, rel=1e-12, abs=0.0), (key, settings)


SETTLED = (
    HEAD
    + """
grammar pairs {
  start = pair{4}
  pair  = key ";"
  key   = "a" | "b"
}
generate {
  text "b[[q: pairs]]"
  score j.rich(q) at pair
}
"""
)


def test_particles_meet_at_the_rules_of_a_grammar_of_the_languages_own(load: Any) -> None:
    """All that is known of the weights is known before the last pair."""
    program, model = load(SETTLED), toy(["a", "b", ";"], seed=3)
    events: list[Any] = []
    (posterior,) = run(
        compile_program(program),
        model,
        [RunRequest({}, 0)],
        automata=lambda key, inputs, following: TokenAutomaton(
            compile_grammar(bind_hole(program, key, inputs), model.vocabulary), following
        ),
        functions=resolve_function,
        settings=Settings(method="smc", particles=16, ess_threshold=1.0),
        events=events.append,
    )
    texts = [sorted(set(map(len, event.texts))) for event in events if isinstance(event, Site)]
    assert texts[:4] == [[0], [2], [4], [6]]
    assert posterior.resamplings >= 3
    assert not posterior.warnings
