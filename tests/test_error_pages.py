"""Every code has a page, and what the page shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import smcdsl
from smcdsl.cli.main import run
from tests.error_pages import INDEX, PAGES, codes_in, index, letters_model, read_page, words

ROOT = Path(__file__).parents[1]
PATHS = sorted(path for path in PAGES.glob("E*.md")) + sorted(PAGES.glob("[RW]*.md"))

SHOWN_ELSEWHERE = {
    "E0122": ("bad/E0122", "more than a thousand operators"),
    "E0806": ("models/E0806", "a tokenizer that lacks bytes"),
    "E0807": ("models/E0807_memory", "a model that fails while it computes"),
    "E0809": ("models/E0809", "a hub that cannot be reached"),
    "E0810": ("models/E0810", "a hub that refuses a model"),
    "E0811": ("models/E0811", "weights that are damaged"),
    "E0812": ("models/E0812", "a tokenizer of an unknown kind"),
    "E0813": ("models/E0813", "a model without an end token"),
    "R0913": ("runs/R0913", "three seconds; the times are another every time"),
    "W0901": ("runs/W0901", "a file of kept results that is another program's"),
}
"""Codes whose pages print a golden file in place of an example to be run, and what the example would need."""

NO_RIGHT_COMMAND = {"E0822": "a model of transformers to distil from"}
"""Pages whose mended command is not run here, and what it would need."""


@pytest.fixture
def shell(tmp_path, monkeypatch, capfd):
    """Call the command line in a folder of its own: (exit code, stdout, stderr)."""
    (tmp_path / "work").mkdir()
    (tmp_path / "letters.json").write_text(letters_model())
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("SMCDSL_MODEL", f"toy:{tmp_path / 'letters.json'}")
    for name in ("SMCDSL_SEED", "SMCDSL_PARTICLES", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def call(command: str) -> tuple[int, str, str]:
        capfd.readouterr()
        arguments = words(command)
        monkeypatch.setattr("sys.argv", ["smcdsl", *arguments])
        code = run(arguments)
        out, err = capfd.readouterr()
        return code, out, err.replace(f"toy:{tmp_path / 'letters.json'}", "MODEL").replace(str(tmp_path), "")

    return call


def codes_in_the_sources() -> set[str]:
    folders = [Path(smcdsl.__file__).parent, Path(smcdsl.__file__).parents[1] / "potentials"]
    texts = (path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py"))
    return {code for text in texts for code in re.findall(r'"([EWR]0\d{3})"', text)}


def test_every_code_has_a_page_and_every_page_a_code():
    assert {path.stem for path in PATHS} == codes_in_the_sources()


def test_the_index_is_up_to_date(request):
    if request.config.getoption("--update-golden"):
        INDEX.write_text(index(), encoding="utf-8")
    assert INDEX.read_text(encoding="utf-8") == index()


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_a_page_says_what_it_should(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.stem}: ")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\n## Cause\n" in text
    assert "\n## Example\n" in text or path.stem in SHOWN_ELSEWHERE
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (path.parent / link).is_file(), link


@pytest.mark.parametrize(
    "path", [path for path in PATHS if path.stem not in SHOWN_ELSEWHERE], ids=lambda path: path.stem
)
def test_the_bad_example_has_its_code_and_the_good_one_none(path, shell, request):
    page = read_page(path)
    page.write_files(Path())
    code, out, err = shell(page.command)
    printed = out if words(page.command)[0] == "check" else err
    if request.config.getoption("--update-golden"):
        path.write_text(page.with_printed(printed), encoding="utf-8")
        page = read_page(path)
    assert printed == page.printed
    assert set(codes_in(printed)) == {page.code}
    assert (code != 0) == printed.startswith("error")
    if page.code in NO_RIGHT_COMMAND:
        return
    code, out, err = shell(page.right_command)
    assert (code, codes_in(out + err)) == (0, [])


@pytest.mark.parametrize("path", [path for path in PATHS if path.stem in SHOWN_ELSEWHERE], ids=lambda path: path.stem)
def test_what_is_not_run_here_is_a_golden_print(path):
    name, _ = SHOWN_ELSEWHERE[path.stem]
    kept = (ROOT / "tests" / "golden" / f"{name}.expected").read_text(encoding="utf-8").partition("\n\nexit code")[0]
    assert f"```text\n{kept.rstrip()}\n```\n" in path.read_text(encoding="utf-8")
