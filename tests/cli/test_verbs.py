"""The other verbs, the options of all, and what is imported when."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "rdkit", "sqlglot", "numba")


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*[m for m in {HEAVY!r} if m in sys.modules])"
    made = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(made.stdout.split("\n")[-2].split())


@pytest.mark.parametrize("code", ["import smcdsl", "from smcdsl import potential, load, compile, model"])
def test_importing_the_package_imports_nothing_heavy(code):
    assert loaded_by(code) == set()


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "letters.smc"], ["show", "letters.smc", "--plan"], ["models"]]
)
def test_verbs_without_a_model_import_nothing_heavy(arguments):
    assert loaded_by(f"from smcdsl.cli.main import run\nrun({arguments!r})") == set()


def test_checking_a_library_program_imports_nothing_heavy():
    Path("q.smc").write_text(
        "smc 1\nimport sql\ninput db: sqlite\ngrammar query = sql.select(schema: db)\n"
        'generate {\n  user "x"\n  assistant "[[q: query]]"\n  require sql.runs(q, db) at clause\n}\n'
    )
    assert loaded_by("from smcdsl.cli.main import run\nassert run(['check', 'q.smc']) == 0") == set()


def test_help_has_the_sections_of_the_reference(smcdsl):
    made = smcdsl("--help")
    assert made.code == 0
    for text in ("Usage: smcdsl <command> [options]", "Write\n", "Run\n", "Machine\n", "Options\n"):
        assert text in made.out
    for verb in (
        "new",
        "check",
        "fmt",
        "explain",
        "show",
        "grammar",
        "run",
        "test",
        "serve",
        "models",
        "cache",
        "doctor",
        "lsp",
    ):
        assert f"\n  {verb} " in made.out


def test_help_for_a_verb(smcdsl):
    assert smcdsl("help", "check").out == smcdsl("check", "--help").out


def test_a_misspelled_verb(smcdsl):
    made = smcdsl("chekc")
    assert made.code == 2
    assert "did you mean `check`?" in made.err


def test_version(smcdsl):
    assert smcdsl("-V").out.startswith("smcdsl 0.")


def test_check_finds_nothing_in_a_good_program(smcdsl):
    made = smcdsl("check", "letters.smc")
    assert (made.code, made.out) == (0, "")
    assert "no mistakes found" in made.err


def test_check_shows_frames_lines_or_records(smcdsl):
    text = Path("letters.smc").read_text()
    Path("bad.smc").write_text(text.replace("chars(x) >= least", "chars(y) >= least"))
    full = smcdsl("check", "bad.smc")
    assert full.code == 1
    assert "error[E0201]" in full.out
    assert "--> bad.smc:14:17" in full.out
    concise = smcdsl("check", "bad.smc", "--output-format", "concise")
    assert concise.out.startswith("bad.smc:14:17: error[E0201]: ")
    (record,) = smcdsl("check", "bad.smc", "--output-format", "json").json()
    assert record["code"] == "E0201"
    assert record["spans"][0]["start"]["line"] == 14


def test_check_looks_through_folders_and_reads_stdin(smcdsl, monkeypatch):
    assert "1 file checked" in smcdsl("check").err
    Path("empty").mkdir()
    assert smcdsl("check", "empty").code == 2
    made = subprocess.run(
        [sys.executable, "-m", "smcdsl", "check", "-"], input=b"smc 1\n", capture_output=True, check=False
    )
    assert made.returncode == 1
    assert b"<stdin>" in made.stdout


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", 1, "E0101"),
        (b"\xff\xfe\x00", 2, "not a UTF-8 text"),
        (b'\xef\xbb\xbfsmc 1\r\ngenerate {\r\n  text "[[x: /a/]]\\n"\r\n}\r\n', 0, "no mistakes"),
        (b"smc 1\n\x00\x1b[2J", 1, "E01"),
    ],
)
def test_odd_files(smcdsl, content, code, said):
    Path("odd.smc").write_bytes(content)
    made = smcdsl("check", "odd.smc")
    assert made.code == code
    assert said in made.out + made.err
    assert "\x1b" not in made.out


@pytest.mark.parametrize(("name", "said"), [("nope.smc", "there is no file"), (".", "is a folder")])
@pytest.mark.parametrize("verb", ["run", "show"])
def test_files_that_cannot_be_read(smcdsl, verb, name, said):
    made = smcdsl(verb, name, *(["--plan"] if verb == "show" else []))
    assert made.code == 2
    assert said in made.err


VERBS_OF_PROGRAMS = [
    ("run",), ("show", "--info"), ("show", "--ast"), ("grammar", "g"), ("check",), ("fmt",), ("test",), ("build",),
    ("stub",), ("verify",), ("explain",), ("distill", "-o", "d"),
]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS_OF_PROGRAMS, ids=" ".join)
@pytest.mark.parametrize(
    ("name", "kind", "advice"),
    [
        ("sql.lark", "a grammar", '`grammar sql = lark("sql.lark", start: "start")`'),
        ("out.gbnf", "a grammar", '`grammar out = gbnf("out.gbnf")`'),
        ("chem.py", "Python", '`import potential "chem.py" as chem`'),
        ("run.jsonl", "a file of JSON lines", "`smcdsl trace run.jsonl`"),
        ("values.json", "JSON", "`smcdsl run PROGRAM --inputs values.json`"),
    ],
)
def test_a_file_of_another_kind_is_told_what_takes_it(smcdsl, verb, name, kind, advice):
    Path(name).write_text("start: /a/\n")
    more = ["--sample", "1"] if verb[0] == "grammar" else []
    made = smcdsl(verb[0], name, *verb[1:], *more)
    assert (made.code, made.out) == (2, "")
    assert f"error[E0816]: `{name}` is {kind}, not a program" in made.err
    assert advice in made.err


@pytest.mark.parametrize("verb", [("check",), ("fmt",), ("show", "--ast")])
def test_what_needs_the_text_of_a_program_takes_no_compiled_one(smcdsl, verb):
    Path("letters.smcx").write_bytes(b"anything")
    made = smcdsl(verb[0], "letters.smcx", *verb[1:])
    assert (made.code, made.out) == (2, "")
    assert "`letters.smcx` is a compiled program" in made.err


def test_a_missing_file_is_missing_whatever_its_ending(smcdsl):
    assert "there is no file `nope.lark`" in smcdsl("run", "nope.lark").err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(smcdsl):
    Path("letters.smc").chmod(0)
    assert smcdsl("check", "letters.smc").code == 2


def test_fmt_changes_only_what_is_not_formatted(smcdsl):
    assert smcdsl("fmt", "letters.smc").code == 0
    before = Path("letters.smc").read_text()
    assert smcdsl("fmt", "--check", "letters.smc").code == 0
    Path("letters.smc").write_text(before.replace("  score", "      score"))
    checked = smcdsl("fmt", "--check", "letters.smc")
    assert (checked.code, checked.out) == (1, "would reformat letters.smc\n")
    diff = smcdsl("fmt", "--diff", "letters.smc")
    assert diff.code == 1
    assert "-      score" in diff.out
    assert smcdsl("fmt", "letters.smc").code == 0
    assert Path("letters.smc").read_text() == before


def test_fmt_upgrades_a_program_without_an_edition(smcdsl):
    assert smcdsl("fmt", "letters.smc").code == 0
    current = Path("letters.smc").read_text()
    Path("letters.smc").write_text(current.removeprefix("smc 1\n"))
    refused = smcdsl("fmt", "letters.smc")
    assert refused.code == 1
    assert "E0101" in refused.err
    assert smcdsl("fmt", "--upgrade", "--check", "letters.smc").out == "would reformat letters.smc\n"
    assert smcdsl("fmt", "--upgrade", "letters.smc").code == 0
    assert Path("letters.smc").read_text() == current
    assert smcdsl("fmt", "--upgrade", "--check", "letters.smc").code == 0


def test_fmt_does_not_lower_an_edition_of_a_later_version(smcdsl):
    Path("later.smc").write_text('smc 2\ngenerate {\n  user "x"\n}\n')
    assert smcdsl("fmt", "--upgrade", "later.smc").code == 1
    assert Path("later.smc").read_text().startswith("smc 2\n")


def test_fmt_leaves_a_broken_file_alone(smcdsl):
    Path("bad.smc").write_text("smc 1\ngenerate {\n")
    made = smcdsl("fmt", "bad.smc")
    assert made.code == 1
    assert "E0103" in made.err
    assert Path("bad.smc").read_text() == "smc 1\ngenerate {\n"


def test_show_info(smcdsl):
    info = smcdsl("show", "letters.smc", "--info").json()
    assert [known["name"] for known in info["inputs"]] == ["least", "tag"]
    assert info["holes"][0]["name"] == "x"
    assert info["profiles"] == [{"method": "smc", "name": ""}, {"method": "is", "name": "quick"}]


def test_show_prompt_has_blanks_for_holes(smcdsl):
    assert smcdsl("show", "letters.smc", "--prompt").out == "[text]\n{{ tag }}[[x: /[ab]{1,3}/]]\n"
    assert smcdsl("show", "letters.smc", "--prompt", "-i", "tag=t").out == "[text]\nt[[x: /[ab]{1,3}/]]\n"


def test_show_shows_the_prompt_unless_told(smcdsl):
    made = smcdsl("show", "letters.smc", "-i", "tag=t")
    assert (made.code, made.err) == (0, "")
    assert made.out == smcdsl("show", "letters.smc", "--prompt", "-i", "tag=t").out
    both = smcdsl("show", "letters.smc", "--ast", "--plan")
    assert (both.code, both.out) == (2, "")
    assert "show one at a time" in both.err


def test_show_prompt_through_a_model(smcdsl):
    made = smcdsl("show", "letters.smc", "--prompt", "--tokens", "-m", "toy:toy.json", "-i", "tag=ta")
    assert "t|a|[[x: /[ab]{1,3}/]]" in made.out


def test_show_grammar(smcdsl):
    assert "/[ab]{1,3}/" in smcdsl("show", "letters.smc", "--grammar", "x").out
    made = smcdsl("show", "letters.smc", "--grammar", "y")
    assert made.code == 2
    assert "nothing here is called `y`" in made.err


def test_show_plan_and_tree(smcdsl):
    assert "write x" in smcdsl("show", "letters.smc", "--plan").out
    assert "Generate" in smcdsl("show", "letters.smc", "--ast").out


def test_show_plan_says_how_tokens_are_proposed_and_why(smcdsl):
    Path("judges.py").write_text(
        "from smcdsl import potential\n\n\n"
        '@potential(prefix="any", cost="2ms")\ndef short(x: str) -> bool:\n    return len(x) < 3\n'
    )
    Path("checked.smc").write_text(
        'smc 1\nimport potential "judges.py" as judges\ngenerate {\n  text "[[x: /[ab]{1,3}/]]\\n"\n'
        "  require judges.short(x) at token\n}\ninfer is { proposal: mask }\n"
        "infer smc quick { particles: 4 }\n"
        "infer smc drafted { draft: suffix, gamma: auto }\n"
        'infer smc lenient { draft: "toy:m.json", gamma: 2, lenience: 0.7 }\n'
        "infer smc learning { draft: self, lookahead: learned }\n"
    )
    shown = smcdsl("show", "checked.smc", "--plan").out
    assert "infer smc quick: proposal awrs: `require judges.short" in shown
    assert "infer smc drafted: proposal mask: drafted tokens are verified under the mask" in shown
    assert "infer smc drafted: draft suffix: text that the grammar forces, then what followed" in shown
    assert "; as many tokens at a time as pay, accepted exactly" in shown
    assert "then the model toy:m.json; 2 tokens at a time, lenience 0.7, corrected in the weight" in shown
    assert "infer smc learning: draft self: not used" in shown


def test_models_lists_aliases(smcdsl):
    names = [row["name"] for row in smcdsl("models", "--format", "json").json()]
    assert names[0] == "tiny"
    assert "llama-3.1-8b" in names


def test_doctor_finds_the_installation(smcdsl):
    made = smcdsl("doctor")
    assert "embedded model" in made.out
    assert made.code == 0


def test_doctor_lists_judge_services_and_keys_that_are_missing(smcdsl, monkeypatch):
    monkeypatch.setenv("SMCDSL_HTTP_HOSTS", "judge.example.com=SOME_KEY,localhost:8080")
    monkeypatch.delenv("SOME_KEY", raising=False)
    made = smcdsl("doctor")
    assert "judge.example.com, localhost; SOME_KEY, their key, is not set" in made.out
    assert made.code == 1
    monkeypatch.setenv("SOME_KEY", "not-to-be-shown")
    made = smcdsl("doctor")
    assert "not-to-be-shown" not in made.out
    assert made.code == 0
    monkeypatch.setenv("SMCDSL_HTTP_HOSTS", "http://judge.example.com")
    assert "SMCDSL_HTTP_HOSTS is not right" in smcdsl("doctor").out


def test_color_only_where_wanted(smcdsl, monkeypatch):
    Path("bad.smc").write_text("smc 9\n")
    assert "\x1b[" not in smcdsl("check", "bad.smc").out
    assert "\x1b[" in smcdsl("--color", "always", "check", "bad.smc").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in smcdsl("check", "bad.smc").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in smcdsl("check", "bad.smc").out


def test_a_closed_pipe_is_no_error():
    for index in range(200):
        Path(f"bad{index}.smc").write_text("smc 9\n")
    made = subprocess.run(
        f"{sys.executable} -m smcdsl check | head -1", shell=True, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in made.stderr
    assert "BrokenPipe" not in made.stderr


def test_a_config_file_may_be_named(smcdsl):
    Path("own.toml").write_text("seed = 11\n")
    made = smcdsl("--config", "own.toml", "run", "letters.smc", "--show-config")
    assert json.loads(made.out)["seed"]["value"] == 11
    assert smcdsl("--config", "none.toml", "run", "letters.smc", "--show-config").code == 2


def test_options_of_all_verbs_go_before_the_verb(smcdsl):
    made = smcdsl("run", "letters.smc", "-v")
    assert made.code == 2
    assert "no such option '-v'" in made.err
    assert "help: `-v` goes before the verb: `smcdsl -v run ...`" in made.err
    assert "see `smcdsl run --help`" in smcdsl("run", "letters.smc", "--nonsense").err


def test_batches_are_written_as_json_lines_only(smcdsl):
    made = smcdsl("run", "letters.smc", "--batch", "rows.jsonl", "--format", "table")
    assert made.code == 2
    assert "--batch writes JSON lines, so `--format table` has no meaning here" in made.err


def test_a_program_that_is_not_there_is_looked_for(smcdsl):
    assert "help: did you mean `letters.smc`?" in smcdsl("run", "leters.smc").err
    assert "help: name a program in it: `letters.smc`" in smcdsl("run", ".").err
    assert "help:" not in smcdsl("run", "elsewhere/letters.smc").err


def test_previews_that_never_came_are_not_called_checked(smcdsl):
    # Whether it was `one` or `other` is told by the complete text alone.
    Path("parts.smc").write_text(
        'smc 1\ngrammar g {\n  start = one "." | other "."\n  one = "a" | "b"\n  other = "a" | "b"\n}\n'
        'generate {\n  text "[[x: g]]!"\n  require chars(x) > 0 at one\n}\n'
    )
    made = smcdsl("test", "--potentials", "parts.smc")
    assert made.code == 0
    assert "no previews: `x.one` never came, so how beginnings are judged is not checked" in made.out


def test_serve_wants_the_folder_of_a_program(smcdsl):
    pytest.importorskip("uvicorn")
    made = smcdsl("serve", "letters.smc")
    assert (made.code, made.out) == (2, "")
    assert "`letters.smc` is not a folder" in made.err
    assert "help: name the folder that it is in, `.`" in made.err
