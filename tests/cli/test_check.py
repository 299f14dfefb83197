"""`check` with --fix, --watch and outputs for other programs."""

import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from smcdsl.cli.fixing import as_before

BAD = 'smc 1\n\ngenerate {\n  text "[[q: /[a-z]{1,9}/]]\\n"\n  requires chars(q) ** 2 > 3;\n}\n'
TWO = BAD.replace("}\n", "  score nothing\n}\n")
GOOD = 'smc 1\n\ngenerate {\n  text "[[q: /[a-z]{1,9}/]]\\n"\n  require chars(q) ^ 2 > 3\n}\n'


def test_fixing_changes_the_file_and_says_what_was_fixed(smcdsl):
    Path("bad.smc").write_text(BAD)
    made = smcdsl("check", "--fix", "bad.smc")
    assert made.code == 0
    assert Path("bad.smc").read_text() == GOOD
    for code in ("E0109", "E0110", "E0111"):
        assert f"fixed {code} in bad.smc" in made.err
    again = smcdsl("check", "--fix", "bad.smc")
    assert (again.code, again.out) == (0, "")
    assert "fixed" not in again.err


def test_a_file_without_fixes_is_not_written(smcdsl):
    Path("bad.smc").write_text("smc 9\n")
    before = Path("bad.smc").stat()
    made = smcdsl("check", "--fix", "bad.smc")
    assert made.code == 1
    assert "E0102" in made.out
    after = Path("bad.smc").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_cannot_be_fixed_is_still_reported(smcdsl):
    Path("bad.smc").write_text(BAD.replace("3;", "nothing_like_it"))
    made = smcdsl("check", "--fix", "bad.smc")
    assert made.code == 1
    # Mended, the first mistake would bring to light one that has no fix.
    assert "error[E0109]" in made.out
    assert Path("bad.smc").read_text() == BAD.replace("3;", "nothing_like_it")


@pytest.mark.parametrize(
    ("text", "code", "out", "said"), [(BAD, 0, GOOD, "fixed E0109"), ("smc 9\n", 1, "smc 9\n", "E0102")]
)
def test_standard_input_is_fixed_to_standard_output(smcdsl, monkeypatch, text, code, out, said):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    made = smcdsl("check", "--fix", "-")
    assert (made.code, made.out) == (code, out)
    assert said in made.err


@pytest.mark.parametrize("before", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_line_endings_and_the_mark_are_kept(smcdsl, before, ending):
    Path("bad.smc").write_bytes(before + BAD.replace("\n", ending).encode())
    assert smcdsl("check", "--fix", "bad.smc").code == 0
    assert Path("bad.smc").read_bytes() == before + GOOD.replace("\n", ending).encode()


def test_mixed_line_endings_become_newlines():
    assert as_before(b"a\r\nb\nc\r\n", "a\nx\nc\n") == "a\nx\nc\n"


@pytest.mark.parametrize("name", ["a b.smc", "-x.smc", "a\nb.smc", "ü.smc"])
def test_files_with_odd_names_are_fixed(smcdsl, name):
    Path(name).write_text(BAD)
    made = smcdsl("check", "--fix", "--", name)
    assert made.code == 0
    assert Path(name).read_text() == GOOD
    assert made.err.count("\n") == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(smcdsl):
    Path("shut").mkdir()
    Path("shut/bad.smc").write_text(BAD)
    Path("shut").chmod(0o500)
    made = smcdsl("check", "--fix", "shut/bad.smc")
    Path("shut").chmod(0o700)
    assert made.code == 2
    assert "E0817" in made.err
    assert Path("shut/bad.smc").read_text() == BAD


@pytest.mark.parametrize("verb", [("check",), ("check", "--fix"), ("check", "--output-format", "sarif")])
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "there is no file"),
        (lambda path: path.mkdir(), "no .smc files"),
        (lambda path: path.write_bytes(b"\x7fELF\xff\x00"), "not a UTF-8 text"),
    ],
    ids=["missing", "folder", "binary"],
)
def test_files_that_cannot_be_read(smcdsl, verb, make, said):
    make(Path("odd.smc"))
    made = smcdsl(*verb, "odd.smc")
    assert (made.code, made.out) == (2, "")
    assert said in made.err


@pytest.mark.parametrize("content", [b"", b"\t\r\n\t", b"smc 1\r\n\tgenerate {\r\n", b"smc 1\n\x1b[2J\x07\n"])
@pytest.mark.parametrize("output", ["full", "concise", "json", "sarif", "github"])
def test_odd_contents_are_shown_without_control_characters(smcdsl, content, output):
    Path("odd.smc").write_bytes(content)
    made = smcdsl("check", "--output-format", output, "odd.smc")
    assert made.code == 1
    assert not {"\x1b", "\x07", "\r"} & set(made.out)


def test_sarif_is_json_with_a_result_for_each_finding(smcdsl):
    Path("bad.smc").write_text(TWO)
    log = smcdsl("check", "--output-format", "sarif", "bad.smc").json()
    assert log["version"] == "2.1.0"
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["E0109", "E0201"]
    assert smcdsl("check", "--output-format", "sarif", "letters.smc").json()["runs"][0]["results"] == []


def test_github_prints_a_command_for_each_finding(smcdsl):
    Path("bad.smc").write_text(TWO)
    lines = smcdsl("check", "--output-format", "github", "bad.smc").out.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error"] * 2
    assert lines[0].startswith("::error file=bad.smc,line=5,col=3,endColumn=10,title=E0109::")


def test_json_records_name_their_page(smcdsl):
    Path("bad.smc").write_text("smc 9\n")
    (record,) = smcdsl("check", "--output-format", "json", "bad.smc").json()
    assert record["url"] == "docs/errors/E0102.md"


def _heed_interrupts() -> None:
    """In the child: what runs in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_watching_checks_again_after_a_change_and_ends_with_130():
    Path("bad.smc").write_text('smc 1\nimport "words.smc" as w\ngenerate {\n  text "[[q: w.word]]\\n"\n}\n')
    Path("words.smc").write_text("smc 1\nmodule words\ngrammar word = /[a-z]{1,9}/\n")
    command = [sys.executable, "-u", "-m", "smcdsl", "check", "--watch", "--output-format", "concise", "bad.smc"]
    heeding = {"preexec_fn": _heed_interrupts} if os.name == "posix" else {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heeding) as process:
        ended = threading.Timer(120, process.kill)  # so that a mistake here fails and does not wait for ever
        ended.start()
        assert process.stderr.readline().startswith("watching 2 files")
        Path("words.smc").write_text("smc 1\nmodule words\ngrammar wrd = /[a-z]{1,9}/ \n")
        assert "E0202" in process.stdout.readline()
        assert process.stderr.readline().startswith("watching")
        Path("bad.smc").unlink()
        assert "there is no file" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        ended.cancel()
    assert process.returncode == 130
    assert "Traceback" not in out + err


def test_standard_input_cannot_be_watched(smcdsl):
    made = smcdsl("check", "--watch", "-")
    assert made.code == 2
    assert "--watch" in made.err
