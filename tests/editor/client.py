"""A small editor: starts `smcdsl lsp`, talks to it over its pipes, and remembers what it says."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import smcdsl

PATIENCE = 120.0
"""Seconds to wait for an answer before a test fails; machines may be busy."""


class Client:
    """One running server. Use as a context manager: it is shut down at the end, and its exit code checked."""

    def __init__(self, root: Path, *, capabilities: dict[str, Any] | None = None) -> None:
        package = Path(smcdsl.__file__).parents[1]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "smcdsl", "-v", "lsp", "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=root,
        )
        self.messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self.notes: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.number = 0
        threading.Thread(target=self._read, daemon=True).start()
        threading.Thread(target=self._read_errors, daemon=True).start()
        uri = root.resolve().as_uri()
        self.capabilities = self.request(
            "initialize",
            {
                "processId": os.getpid(),
                "rootUri": uri,
                "workspaceFolders": [{"uri": uri, "name": root.name}],
                "capabilities": capabilities or {},
            },
        )["capabilities"]
        self.notify("initialized", {})

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.request("shutdown", None)
            self.notify("exit", None)
            code = self.process.wait(PATIENCE)
            assert code == 0, (code, self.errors)
            assert not any("Traceback" in line for line in self.errors), self.errors
        else:
            self.process.kill()
            self.process.wait()

    # ---- messages

    def request(self, method: str, params: Any) -> Any:
        """The result of a request; raises Refused where the server answers with an error."""
        self.number += 1
        self._send({"id": self.number, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == self.number and "method" not in message:
                if "error" in message:
                    raise Refused(message["error"])
                return message.get("result")
            self._note(message)

    def notify(self, method: str, params: Any) -> None:
        """Tell the server something."""
        self._send({"method": method, "params": params})

    def wait_for(self, method: str, version: int | None = None, uri: str = "") -> Any:
        """The parameters of the next notification of a method (of a version and document, if given)."""
        while True:
            for index, message in enumerate(self.notes):
                params = message.get("params") or {}
                fits = version is None or params.get("version") == version
                if message.get("method") == method and fits and uri in ("", params.get("uri")):
                    del self.notes[index]
                    return params
            self._note(self._next())

    # ---- documents

    def open(self, uri: str, text: str, version: int = 1) -> list[dict[str, Any]]:
        """Open a document; what is said about it."""
        item = {"uri": uri, "languageId": "smc", "version": version, "text": text}
        self.notify("textDocument/didOpen", {"textDocument": item})
        return self.diagnostics(uri, version)

    def change(self, uri: str, text: str, version: int) -> list[dict[str, Any]]:
        """Another text; what is said about it."""
        self.notify(
            "textDocument/didChange",
            {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]},
        )
        return self.diagnostics(uri, version)

    def diagnostics(self, uri: str, version: int) -> list[dict[str, Any]]:
        """What is said about a version of a document."""
        params = self.wait_for("textDocument/publishDiagnostics", version, uri)
        found: list[dict[str, Any]] = params["diagnostics"]
        return found

    def at(self, method: str, uri: str, line: int, character: int, **more: Any) -> Any:
        """A request about a place."""
        place = {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}
        return self.request(f"textDocument/{method}", {**place, **more})

    def about(self, method: str, uri: str, **more: Any) -> Any:
        """A request about a document."""
        return self.request(f"textDocument/{method}", {"textDocument": {"uri": uri}, **more})

    # ---- pipes

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def _next(self) -> dict[str, Any]:
        message = self.messages.get(timeout=PATIENCE)
        assert message is not None, f"the server has ended: {self.errors}"
        return message

    def _note(self, message: dict[str, Any]) -> None:
        if "id" in message and "method" in message:  # the server asks something
            self._send({"id": message["id"], "result": None})
        self.notes.append(message)

    def _read(self) -> None:
        pipe = self.process.stdout
        assert pipe is not None
        while True:
            length = 0
            while (header := pipe.readline()).strip():
                name, _, value = header.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            if not length:
                self.messages.put(None)
                return
            self.messages.put(json.loads(pipe.read(length)))

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line.decode(errors="replace"))


class Refused(Exception):
    """The server answered a request with an error."""


def place_of(text: str, what: str, nth: int = 0, after: int = 0) -> tuple[int, int]:
    """Line and UTF-16 column of the nth `what` in a text, plus `after` units."""
    offset = -1
    for _ in range(nth + 1):
        offset = text.index(what, offset + 1)
    line = text.count("\n", 0, offset)
    start = text.rfind("\n", 0, offset) + 1
    return line, len(text[start:offset].encode("utf-16-le")) // 2 + after


def applied(text: str, edits: list[dict[str, Any]]) -> str:
    """A text after edits of the protocol."""
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)

    def offset(place: dict[str, int]) -> int:
        line = lines[place["line"]] if place["line"] < len(lines) else ""
        units = line.encode("utf-16-le")[: 2 * place["character"]]
        return min(starts[min(place["line"], len(lines))] + len(units.decode("utf-16-le")), len(text))

    for edit in sorted(edits, key=lambda each: offset(each["range"]["start"]), reverse=True):
        start, end = offset(edit["range"]["start"]), offset(edit["range"]["end"])
        text = text[:start] + edit["newText"] + text[end:]
    return text
