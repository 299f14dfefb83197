"""What the README shows is what happens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import smcdsl
from smcdsl.cli.main import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def block(start: str, language: str = "") -> str:
    return next(text for kind, text in BLOCKS if kind == language and text.lstrip().startswith(start))


def test_the_first_program_has_ten_lines_and_prints_what_is_shown(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = block("smc 1")
    assert text.count("\n") == 10
    question = re.search(r"Asked `([^`]*)`", README)[1]
    result = smcdsl.compile(text).run(question=question, db="examples/shop.sqlite")
    shown = block("1.00").splitlines() if "  1.00" in README else block("0.").splitlines()
    assert result.as_text().split("\n")[1] == shown[0]


def test_there_are_two_commands_and_each_sets_itself_up():
    commands = [text for kind, text in BLOCKS if kind == "sh"]
    assert len(commands) == 2
    for command in commands:
        assert command.count("\n") == 1
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt torch==2.13.0")
        assert "-e" in command
    assert "smcdsl run examples/text_to_sql.smc" in commands[0]
    assert commands[1].rstrip().endswith("-m pytest -n auto")


def test_the_run_command_prints_a_posterior(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    command = block("python3", "sh").rpartition("&& .venv/bin/smcdsl ")[2]
    assert run(shlex.split(command)) == 0
    first = capsys.readouterr().out.splitlines()[1]
    assert first.lstrip().startswith(("0.", "1."))
    assert "sum(purchase.quantity)" in first
    assert first.endswith("customer.name = 'Alice Berg'")


def test_the_python_example_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    exec(compile(block("import smcdsl", "python"), "README.md", "exec"), {})
    assert "SELECT" in capsys.readouterr().out


def test_the_page_on_potentials_does_what_it_says(monkeypatch, capsys, tmp_path):
    text = (ROOT / "docs" / "potentials.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    judges, interface = (block for kind, block in blocks if kind == "python")
    (program,) = (block for kind, block in blocks if kind == "smc")
    (command,) = (block for kind, block in blocks if kind == "sh")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SMCDSL_CACHE_DIR", str(tmp_path / "cache"))
    Path("judges.py").write_text(judges)
    Path("program.smc").write_text(program)
    assert run(shlex.split(command)[1:]) == 0
    assert '"judges.plausible"' in capsys.readouterr().out
    exec(compile(interface, "docs/potentials.md", "exec"), {})
    counts = {line.split()[0]: line.split()[1:3] for line in capsys.readouterr().out.splitlines()}
    assert sorted(counts) == ["judges.plausible", "judges.polite", "judges.short"]
    # All of it was kept by the first run.
    assert counts["judges.plausible"][0] == counts["judges.plausible"][1] != "0"


@pytest.mark.parametrize("path", re.findall(r"`((?:smcdsl|tests|examples|grammars|potentials|\.ci)/[\w/.]*)`", README))
def test_paths_that_are_named_exist(path):
    inside = path.removeprefix("smcdsl/")
    assert (ROOT / path).exists() or (Path(smcdsl.__file__).parent / inside).exists()
