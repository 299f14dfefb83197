"""Services on the loopback interface: what a handler does with the raw connection is what the judge meets."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Request:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def texts(self) -> list[str]:
        return json.loads(self.body)["texts"]


@dataclass
class Endpoint:
    """A running service, and what has reached it."""

    place: str
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://{self.place}/score"


Handler = Callable[[socket.socket, Request, int], bool]
"""(connection, request, number of requests before) -> whether the connection stays open."""


def answer(connection: socket.socket, body: bytes, status: str = "200 OK", *headers: str) -> bool:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json", *headers]
    connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
    return True


def scored(connection: socket.socket, request: Request, score: Callable[[str], Any] = len) -> bool:
    """What a sound service does: here a text's score is made of its length."""
    scores = [1 / (1 + len(text)) if score is len else score(text) for text in request.texts]
    return answer(connection, json.dumps({"scores": scores}).encode())


@contextmanager
def endpoint(handler: Handler) -> Iterator[Endpoint]:
    """Serve until the block ends; every connection has its own thread."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        served = Endpoint(f"127.0.0.1:{server.getsockname()[1]}")
        open_connections: list[socket.socket] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    open_connections.append(connection)
                    served.connections += 1
                    threading.Thread(target=serve, args=(connection,), daemon=True).start()

        def serve(connection: socket.socket) -> None:
            with suppress(OSError, ValueError), connection, connection.makefile("rb") as stream:
                while request := read(stream):
                    served.requests.append(request)
                    if not handler(connection, request, len(served.requests) - 1):
                        return

        threading.Thread(target=accept, daemon=True).start()
        yield served
        server.shutdown(socket.SHUT_RDWR)
        for connection in open_connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def read(stream: Any) -> Request | None:
    line = stream.readline().decode().strip()
    if not line:
        return None
    headers = {}
    while header := stream.readline().decode().strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return Request(line, headers, stream.read(int(headers.get("content-length", 0))))
