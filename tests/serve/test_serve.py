"""Programs over HTTP: what clients of OpenAI's chat completions send and get back."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from smcdsl.engine import load
from smcdsl.serve.app import MOST_BYTES, Server
from smcdsl.serve.programs import serve_folder

PROGRAM = """smc 1
program letters "Two or three letters."
input least: int = 1
input note: file?
generate {
  text {
    "t"
    "[[x: /[ab]{1,3}/]]\\n"
  }
  require chars(x) >= least
}
return posterior x
infer smc { particles: 8 }
"""
TABLE = {
    "vocab": ["a", "b", "\n", "t", "<end>"],
    "eos": 4,
    "lm": {"order": 1, "table": [[[c], [0.35, 0.3, 0.3, 0.0, 0.05]] for c in (-1, 0, 1, 2, 3, 4)]},
}
FILES = """smc 1
program files
input note: file
input more: list[file] = []
generate {
  text "{{ note.text }}[[x: /[ab]{1,3}/]]\\n"
}
return best { x: x, note: note.text }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    made = tmp_path / "served"
    (made / "inner").mkdir(parents=True)
    (made / "letters.smc").write_text(PROGRAM.replace("input note: file?\n", ""))
    (made / "inner" / "files.smc").write_text(FILES)
    (made / "shared.smc").write_text('smc 1\nmodule shared\ngrammar word = "a"\n')
    (made / "note.txt").write_text("t")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "toy.json").write_text(json.dumps(TABLE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SMCDSL_MODEL", raising=False)
    return made


def client(folder: Path, **options) -> TestClient:
    return TestClient(Server(serve_folder(folder, "toy:toy.json", ["toy:toy.json"]), **options).app())


def ask(made: TestClient, **body):
    return made.post("/v1/chat/completions", json={"model": "letters", "messages": [], **body})


def test_choices_are_draws_of_the_posterior(folder):
    made = ask(client(folder), inputs={"least": 2}, n=3, seed=5)
    assert made.status_code == 200
    body = made.json()
    expected = load(folder / "letters.smc").run("toy:toy.json", least=2, seed=5)
    assert [choice["message"]["content"] for choice in body["choices"]] == expected.samples(3)
    assert body["smcdsl"]["log_z"] == expected.log_z
    assert {row["value"]: row["p"] for row in body["smcdsl"]["posterior"]} == dict(expected.posterior.items())
    assert body["object"] == "chat.completion"
    assert body["usage"]["completion_tokens"] > 0


def test_programs_and_models_are_listed(folder):
    rows = client(folder).get("/v1/models").json()["data"]
    assert [row["id"] for row in rows] == [
        "inner/files",
        "letters",
        "inner/files@toy:toy.json",
        "letters@toy:toy.json",
    ]
    assert ask(client(folder), model="letters@toy:toy.json").status_code == 200
    assert client(folder).get("/health").json() == {"status": "ok", "programs": 2}


@pytest.mark.parametrize(
    ("body", "status", "found"),
    [
        ({"model": "none"}, 400, "no program called `none`"),
        ({"model": "letters@tiny"}, 400, "the model `tiny` is not served"),
        ({"model": 3}, 400, "`model` names a program"),
        ({"inputs": {"least": "x"}}, 400, "least"),
        ({"inputs": {"most": 1}}, 400, "most"),
        ({"inputs": [1]}, 400, "`inputs` is an object"),
        ({"inputs": {"least": 9}}, 422, "no particle survived"),
        ({"n": 0}, 400, "`n` is a whole number"),
        ({"n": True}, 400, "`n` is a whole number"),
        ({"particles": -1}, 400, "particles"),
        ({"temperature": 0.5}, 400, "`temperature` is the program's business"),
        ({"response_format": {"type": "json_object"}}, 400, "`response_format` is the program's business"),
        ({"program": PROGRAM}, 403, "--allow-inline"),
    ],
)
def test_what_cannot_be_run_is_refused(folder, body, status, found):
    made = ask(client(folder), **body)
    assert made.status_code == status, made.text
    assert found in made.json()["error"]["message"]


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b'"x"', b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_objects_are_refused(folder, content):
    made = client(folder).post("/v1/chat/completions", content=content)
    assert made.status_code == 400


def test_bodies_that_are_too_long_are_refused(folder):
    assert client(folder).post("/v1/chat/completions", content=b" " * (MOST_BYTES + 1)).status_code == 413


def test_files_are_texts_or_stand_in_the_folder(folder):
    made = client(folder)
    ran = ask(made, model="inner/files", inputs={"note": {"text": "ta"}})
    assert json.loads(ran.json()["choices"][0]["message"]["content"])["note"] == "ta"
    assert ask(made, model="inner/files", inputs={"note": "note.txt"}).status_code == 200
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    for path in ("../secret.txt", str(folder.parent / "secret.txt"), "link.txt", "inner/../../secret.txt", "-", "\0"):
        refused = ask(made, model="inner/files", inputs={"note": path})
        assert refused.status_code == 400, path
        assert "secret" not in refused.json()["error"]["message"].replace(str(folder.parent), "")
    listed = ask(made, model="inner/files", inputs={"note": "note.txt", "more": ["../secret.txt"]})
    assert listed.status_code == 400


def test_a_key_is_asked_for(folder):
    made = client(folder, api_key="right")
    assert ask(made).status_code == 401
    assert made.get("/v1/models").status_code == 401
    assert made.get("/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert made.get("/v1/models", headers={"Authorization": "Bearer right"}).status_code == 200


def test_programs_of_clients_run_where_that_is_allowed_but_read_no_files(folder):
    made = client(folder, allow_inline=True)
    own = PROGRAM.replace("input note: file?\n", "").replace("[ab]{1,3}", "a{2}")
    assert ask(made, program=own).json()["choices"][0]["message"]["content"] == "aa"
    assert ask(made, program="smc 1\ngenerate {").status_code == 400
    for line in (
        'import potential "judges.py" as j',
        'import "lib.smc" as lib',
        'grammar g = lark("secret.txt", start: "x")',
        'grammar g = json . schema ("secret.txt")',
    ):
        refused = ask(made, program=own.replace("generate {", line + "\n\ngenerate {", 1))
        assert refused.status_code == 403, line


def test_streams_end_with_done(folder):
    made = ask(client(folder), stream=True, n=2, seed=1)
    lines = [line.removeprefix("data: ") for line in made.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    pieces = [json.loads(line) for line in lines[:-1]]
    texts = [piece["choices"][0]["delta"]["content"] for piece in pieces[:-1]]
    assert texts == [choice["message"]["content"] for choice in ask(client(folder), n=2, seed=1).json()["choices"]]
    assert pieces[-1]["choices"][0]["finish_reason"] == "stop"


def test_the_verb_serves_on_loopback(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "smcdsl", "-v", "serve", str(folder), "--port", str(port), "-m", "toy:toy.json"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                httpx.get(f"{url}/health")
                break
            except httpx.ConnectError:
                time.sleep(0.1)
        made = httpx.post(f"{url}/v1/chat/completions", json={"model": "letters", "messages": []}, timeout=60)
        assert made.status_code == 200
    finally:
        server.terminate()
        printed, said = server.communicate(timeout=60)
    assert "serving inner/files, letters" in said
    assert "POST /v1/chat/completions" in said
    assert printed == ""


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["nowhere"], "is not a folder"),
        (["empty"], "no .smc files"),
        (["served", "--api-key-env", "NO_SUCH"], "no key"),
    ],
)
def test_the_verb_explains_what_it_cannot_serve(folder, arguments, found, capfd):
    from smcdsl.cli.main import run

    Path("empty").mkdir()
    assert run(["serve", *arguments]) == 2
    assert found in capfd.readouterr().err
