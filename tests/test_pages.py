"""What the documentation shows is what happens: its pages are run, and every link in them leads somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from pages import blocks, commands, matches, run_page

from smcdsl.cli.main import run

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
OTHERS = {"potentials.md": "test_documentation", "notations.md": "notations/test_page"}
"""Pages that other tests run; those of codes and methods have tests of their own too."""
RUN = [
    name
    for name in (path.relative_to(DOCS).as_posix() for path in PAGES)
    if name not in OTHERS and not name.startswith(("errors/", "methods/"))
]


@pytest.mark.parametrize("name", RUN)
def test_pages_do_what_they_say(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for variable in ("SMCDSL_MODEL", "SMCDSL_SEED", "SMCDSL_PARTICLES", "FORCE_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copytree(DOCS.parent / "examples", "examples")
    assert run_page(name, (DOCS / name).read_text(encoding="utf-8"), run) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


PAGE = """
```smc title="a.smc"
smc 1
generate {
  text "[[x: /a/]]"
}
```

- in a list

  ```console
  $ smcdsl grammar a.smc x \\
      --accepts a
  accepted
  $ smcdsl grammar a.smc x --accepts b
  not accepted: ...
  ...
  ```
"""


def test_blocks_and_commands_are_found():
    program, console = blocks(PAGE)
    assert (program.kind, program.title, program.line) == ("smc", "a.smc", 2)
    first, second = commands(console)
    assert first.words == ["smcdsl", "grammar", "a.smc", "x", "--accepts", "a"]
    assert (first.expected, second.expected) == ("accepted", "not accepted: ...\n...")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a", "a\n", True),
        ("a", "b\n", False),
        ("a ... c", "a b c", True),
        ("a\n...", "a\nb\nc", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\n...\nd", "a\nd", True),
        ("a\n...\nd", "a\nb", False),
        ("...\nd", "x\nd", True),
        ("a\nb", "a", False),
        ("", "", True),
        ("", "x", False),
    ],
)
def test_prints_are_compared(expected, printed, same):
    assert matches(expected, printed) == same


def test_pages_that_are_wrong_are_found(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run_page("page", PAGE, run) == []
    assert len(run_page("page", PAGE.replace("accepted\n", "no\n", 1), run)) == 1
    assert len(run_page("page", PAGE.replace("/a/", "/a"), run)) >= 1
    assert len(run_page("page", "```\nx\n```\n", run)) == 1
    assert len(run_page("page", "```console\n$ ls\n```\n", run)) == 1
