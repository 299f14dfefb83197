"""Drafts as settings: what a run with them gives, and what is refused."""

import json

import pytest

import smcdsl
from smcdsl.engine.settings import Layer
from smcdsl.errors import ModelError, UsageError
from smcdsl.models.toy import ToyModel

PROGRAM = """smc 1
generate {
  text "[[x: word]]\\n"
  score min(1, 1 / chars(x))
}
grammar word = "abab" "c"? | "b"{1,3}
return posterior x
infer smc { particles: 8%s }
infer rejection all { particles: 2 }
"""
TABLE = {
    "vocab": ["a", "b", "c", "ab", "\n", "<end>"],
    "eos": 5,
    "lm": {"order": 0, "table": [[[], [0.3, 0.3, 0.1, 0.1, 0.15, 0.05]]]},
}


@pytest.fixture(scope="module")
def model():
    return ToyModel(TABLE)


def compiled(settings=""):
    return smcdsl.compile(PROGRAM % settings)


def test_text_drafts_give_the_same_result_for_fewer_passes(model):
    plain = compiled().run(model, seed=3).as_json()
    for program in (compiled(", draft: suffix, gamma: 6"), compiled(", draft: forced")):
        result = program.run(model, seed=3)
        made = json.loads(json.dumps(result.as_json()))
        assert (made["posterior"], made["log_z"]) == (plain["posterior"], plain["log_z"])
        assert made["tokens"]["target"] == plain["tokens"]["target"]
        assert 0 < made["tokens"]["draft_accepted"] <= made["tokens"]["draft_proposed"]
        speculation = made["speculation"]
        assert speculation["target_passes"] < plain["tokens"]["target"]
        assert sum(int(length) * count for length, count in speculation["blocks"].items()) == plain["tokens"]["target"]
        assert "drafts " in repr(result)
        assert " tokens a pass" in repr(result)
    assert "speculation" not in plain
    assert set(plain["tokens"]) == {"target"}


def test_a_flag_goes_before_the_program_and_the_model(model):
    program = compiled(", draft: suffix, gamma: 2, lenience: 0.8")
    found = {
        name: (program.settings()[name], program.settings().source(name)) for name in ("draft", "gamma", "lenience")
    }
    assert {name: value for name, (value, _) in found.items()} == {"draft": "suffix", "gamma": 2, "lenience": 0.8}
    assert all(source.startswith("infer smc") for _, source in found.values())
    assert program.settings(draft="none", gamma="auto").profile.gamma == "auto"
    assert "speculation" not in program.run(model, draft="none").as_json()
    drafted = smcdsl.model("tiny", draft="suffix")
    assert drafted.description["draft"] == "suffix"
    assert (drafted.name, len(drafted.encode("a b"))) == ("tiny", len(smcdsl.model("tiny").encode("a b")))
    assert "speculation" in compiled().run(drafted, particles=2).as_json()
    assert "speculation" not in compiled().run(drafted, particles=2, draft="none").as_json()
    assert "speculation" not in compiled().run(drafted, particles=2, proposal="select").as_json()


def test_settings_of_drafts_are_checked(model):
    program = compiled(", draft: forced")
    for flags, said in (
        ({"gamma": 0}, "E0708"),
        ({"gamma": 65}, "E0708"),
        ({"gamma": "many"}, "E0708"),
        ({"lenience": 0.4}, "E0708"),
        ({"lenience": "x"}, "E0708"),
        ({"draft": ""}, "E0708"),
        ({"infer": "all"}, "E0714"),
        ({"proposal": "select"}, "E0714"),
        ({"proposal": "lm"}, "E0714"),
        ({"infer": "rerank", "lenience": 0.7}, "E0714"),
    ):
        with pytest.raises(UsageError, match=said):
            program.settings(**flags)
    assert program.settings(infer="rerank").profile.draft == "forced"
    config = smcdsl.engine.CompiledProgram(compiled().program, Layer("a file", {"draft": "suffix", "gamma": "auto"}))
    assert config.settings()["gamma"] == "auto"
    assert "speculation" in config.run(model, seed=1).as_json()


def test_a_draft_with_other_tokens_is_refused_where_it_stands(model):
    with pytest.raises(UsageError, match="E0704") as caught:
        compiled(', draft: "tiny"').run(model)
    (label,) = caught.value.diagnostics[0].labels
    assert label.span.text == '"tiny"'
    with pytest.raises(UsageError, match="E0704") as caught:
        compiled().run(model, draft="tiny")
    assert caught.value.diagnostics[0].context == "--draft tiny"


@pytest.mark.parametrize(
    ("flags", "code", "where"),
    [
        ({"gamma": 8}, "W0715", "--gamma 8"),
        ({"lenience": 0.7}, "W0715", "--lenience 0.7"),
        ({"draft": "suffix", "lookahead": "learned"}, "W0722", "--draft suffix"),
    ],
)
def test_what_has_no_effect_on_drafts_is_said(flags, code, where, model, monkeypatch, tmp_path):
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path))
    (warning,) = compiled().run(model, **flags).warnings
    assert (warning.code, warning.context) == (code, where)


def test_what_has_an_effect_on_drafts_is_not_warned_of(model):
    assert not compiled(", draft: forced").run(model, gamma=8, lenience=0.7).warnings
    drafted = smcdsl.model("tiny", draft="suffix")
    assert not compiled().run(drafted, particles=2, gamma=8).warnings


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        ({"infer": "is", "resample": "multinomial"}, "E0701"),
        ({"infer": "is", "ess": 0.2}, "E0701"),
        ({"infer": "all", "lookahead": "fixed"}, "E0701"),
        ({"infer": "all", "proposal": "lm"}, "E0701"),
        ({"infer": "rerank", "proposal": "awrs"}, "E0701"),
        ({"infer": "lcd", "previews": "late"}, "E0701"),
        ({"grow_ess": 3}, "E0711"),
        ({"power": float("inf")}, "E0708"),
        ({"temperature": float("inf")}, "E0708"),
        ({"proposal_temperature": float("inf")}, "E0708"),
    ],
)
def test_settings_without_a_meaning_are_refused(model, flags, code):
    with pytest.raises(UsageError) as caught:
        compiled().run(model, **flags)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.help


def test_a_draft_that_there_is_not_is_said_of_the_draft(model):
    with pytest.raises(ModelError) as caught:
        compiled().run(model, draft="nothing_like_it")
    assert caught.value.diagnostics[0].context == "--draft nothing_like_it"
    with pytest.raises(ModelError) as caught:
        compiled(', draft: "nothing_like_it"').run(model)
    assert caught.value.diagnostics[0].labels[0].span.text == '"nothing_like_it"'
