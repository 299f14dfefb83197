"""Programs are checked: good ones mean what they say, bad ones are explained as written in tests/golden."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from smcdsl.compiler.analyze import GrammarAnalysis
from smcdsl.errors import CompileError, Diagnostic, Source
from smcdsl.language.load import check_source, load_program
from smcdsl.program.program import InferenceProfile, Program
from smcdsl.report.diagnostics import render

GOLDEN = Path(__file__).parents[1] / "golden"
BAD = sorted((GOLDEN / "bad").glob("*.smc"))
GOOD = sorted((GOLDEN / "good").glob("*.smc"))
FACTS = GrammarAnalysis()

FOUND_BY_OTHERS = frozenset(
    # the compiler, with a vocabulary or a state limit
    "E0407 E0409"
    # the model's chat template, its draft
    " E0605 E0704".split()
)
"""Codes of E01 to E07 and W that need more than the text of a program."""

CATALOGUE = (
    "E0101 E0102 E0103 E0104 E0105 E0106 E0107 E0108 E0109 E0110 E0201 E0202 E0203 E0204 E0205 E0206 E0207 E0209 "
    "E0301 E0302 E0303 E0304 E0305 E0306 E0401 E0402 E0403 E0404 E0405 E0406 E0407 W0408 E0409 E0501 W0502 E0503 "
    "E0504 W0505 E0506 E0601 E0602 W0603 E0604 E0605 E0606 E0607 E0701 E0702 E0703 E0704 W0705 E0706 "
    "W0208 W0410 W0411 W0507 W0608 W0707 "
    "E0122 E0412 E0413 E0414 E0415"
).split()
"""The codes of the language reference, 3.2, that a program's text can have, and some of files that it names."""


def check(path: Path, *, pedantic: bool = False) -> tuple[Program | None, list[Diagnostic]]:
    source = Source(path.name, path.read_text(encoding="utf-8"))
    main = Path(path.name)
    return check_source(source, path=main, project_root=Path(), facts=FACTS, pedantic=pedantic)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_mistakes_are_explained(path, golden, monkeypatch):
    monkeypatch.chdir(path.parent)
    _, diagnostics = check(path, pedantic=path.stem.endswith("_pedantic"))
    assert diagnostics
    assert path.stem.split("_")[0] in {diagnostic.code for diagnostic in diagnostics} | {"E02"}
    golden(f"bad/{path.stem}.expected", render(diagnostics))


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_good_programs_mean_what_they_say(path, golden, monkeypatch):
    monkeypatch.chdir(path.parent)
    program, diagnostics = check(path)
    assert program is not None, render(diagnostics)
    golden(f"good/{path.stem}.expected", described(program))


def described(program: Program) -> str:
    """What later stages see of a program, a line a fact."""
    lines = [f"program {program.name}: {program.summary}".rstrip(": ")]
    for given in program.inputs:
        default = "" if given.required else f" = {given.default!r}"
        lines.append(f"input {given.name}: {given.type}{default}")
    for key, hole in program.holes.items():
        many = "[]" if hole.collects else ""
        known = "known" if hole.closed is not None else "depends on inputs"
        boundaries = ", ".join(hole.boundaries) or "none"
        lines.append(f"hole {key} binds {hole.name}{many}: {hole.type}; grammar {known}; boundaries: {boundaries}")
    own = {name: signature for name, signature in program.signatures.items() if not signature.location.module}
    for name, signature in sorted(own.items()):
        parameters = ", ".join(f"{each.name}: {each.type}" for each in signature.parameters)
        lines.append(f"function {name}({parameters}) -> {signature.result}, prefix {signature.facts.prefix}")
    key = "" if program.returns.key is None else f" by {program.returns.key.span.text}"
    lines.append(f"return {program.returns.view}: {program.returns.type}{key}")
    for profile in program.profiles:
        lines.append(
            f"infer {profile.method} {profile.name or '(default)'}: {profile.particles} particles, "
            f"{profile.resample} when ess < {profile.ess_threshold}, {profile.proposal}{repeated(profile)}"
        )
    for test in program.tests:
        texts = sum(each.accept for each in test.grammars), sum(not each.accept for each in test.grammars)
        lines.append(f"test {test.name}: {len(test.inputs)} inputs, {texts[0]} accept, {texts[1]} reject")
    lines += [f"{warning.code}: {warning.message}" for warning in program.warnings]
    return "\n".join(lines) + "\n"


def repeated(profile: InferenceProfile) -> str:
    """The settings of repetitions that are not the usual ones."""
    usual = InferenceProfile()
    names = ("temper", "islands", "grow", "grow_ess", "retry", "refine")
    changed = [name for name in names if getattr(profile, name) != getattr(usual, name)]
    return "".join(f", {name} {getattr(profile, name)}" for name in changed)


def test_every_code_of_the_catalogue_has_a_bad_program():
    printed = "\n".join((path.with_suffix(".expected")).read_text(encoding="utf-8") for path in BAD)
    found = set(re.findall(r"(?:error|warning)\[([EW]\d{4})\]", printed))
    assert sorted(set(CATALOGUE) - found - FOUND_BY_OTHERS) == []


def test_there_are_as_many_bad_programs_as_good_ones():
    assert len(BAD) >= len(GOOD)


@pytest.mark.parametrize("path", BAD, ids=lambda path: path.stem)
def test_loading_raises_exactly_when_there_is_an_error(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    source = Source(path.name, path.read_text(encoding="utf-8"))
    _, diagnostics = check(path)
    if any(diagnostic.severity == "error" for diagnostic in diagnostics):
        with pytest.raises(CompileError) as caught:
            load_program(source, path=Path(path.name), project_root=Path(), facts=FACTS)
        assert list(caught.value.diagnostics) == diagnostics
    else:
        program = load_program(source, path=Path(path.name), project_root=Path(), facts=FACTS)
        assert list(program.warnings) == [each for each in diagnostics if each.severity == "warning"]


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_checking_is_total_on_cut_off_programs(path, monkeypatch):
    """A program that ends anywhere is explained, never a crash."""
    monkeypatch.chdir(path.parent)
    text = path.read_text(encoding="utf-8")
    for end in range(0, len(text), 37):
        program, diagnostics = check_source(Source(path.name, text[:end]), path=Path(path.name), project_root=Path())
        assert program is not None or diagnostics
