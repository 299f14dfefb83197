"""One POST to a service that the user has allowed: bounded in time and size, no redirects, few tries.

The deadline holds for everything together. A socket's own time limit begins anew with every byte, so a timer
shuts the connection when time is up. No proxy is used. What a service says is never shown, a key neither.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from smcdsl.potentials._judge_hosts import Service

from smcdsl.errors import Diagnostic, PotentialError

MOST_REQUEST_BYTES = 8 << 20
MOST_RESPONSE_BYTES = 1 << 20
TRIES = 4
FIRST_PAUSE_SECONDS = 0.25
"""Before the second try; doubled each time. A service's Retry-After takes its place."""
_PIECE = 1 << 16


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    retry_after: str | None
    location: str | None


class _Late(Exception):
    """The deadline has passed."""


def post(service: Service, body: bytes, seconds: float) -> bytes:
    """The body of the answer to `body`, which is JSON, within so many seconds.

    Tried again after 429 and 5xx only.

    Raises:
        PotentialError: R0903, there is no answer of status 200 in time, or it is too large.
    """
    if len(body) > MOST_REQUEST_BYTES:
        size = f"{len(body):,} bytes, and {MOST_REQUEST_BYTES:,} are the most"
        raise failure(service, "is not asked, since the texts are too long", size)
    deadline = time.monotonic() + seconds
    for attempt in range(TRIES):
        try:
            answer = _exchange(service, body, deadline)
        except _Late:
            raise failure(service, f"did not answer within {seconds:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            raise failure(service, "cannot be asked", _reason(error)) from None
        if answer.status == 200:
            return answer.body
        if answer.status != 429 and answer.status < 500:
            raise _refusal(service, answer)
        pause = _pause(answer.retry_after, attempt)
        left = deadline - time.monotonic()
        if attempt + 1 == TRIES:
            raise failure(service, f"answered with status {answer.status}", f"{TRIES} times")
        if pause >= left:
            fact = f"the next try may be made in {pause:.3g} s, and {max(left, 0):.3g} s of {seconds:g} are left"
            raise failure(service, f"answered with status {answer.status}", fact)
        time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def failure(service: Service, what: str, fact: str = "", code: str = "R0903") -> PotentialError:
    """The error that a service `what`."""
    return PotentialError(
        Diagnostic(code, f"`{service.shown}` {what}", facts=(fact,) if fact else ()), "judge.endpoint"
    )


_idle: dict[tuple[str, str, int], http.client.HTTPConnection] = {}
"""Connections that wait for the next call, one for each service."""
_idle_lock = threading.Lock()


def _exchange(service: Service, body: bytes, deadline: float) -> _Answer:
    """One try. A connection kept from an earlier call may have been closed meanwhile; then a new one is made."""
    place = (service.scheme, service.host, service.port)
    with _idle_lock:
        kept = _idle.pop(place, None)
    if kept is not None:
        try:
            return _guarded(kept, service, body, deadline)
        except (http.client.RemoteDisconnected, ConnectionError):
            kept.close()
    return _guarded(_connection(service), service, body, deadline)


def _guarded(connection: http.client.HTTPConnection, service: Service, body: bytes, deadline: float) -> _Answer:
    """One try on a connection, which is shut when the deadline passes."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise _Late
    timer = threading.Timer(left, _shut, (connection,))
    timer.daemon = True
    timer.start()
    keep = False
    try:
        connection.timeout = left
        answer, keep = _ask(connection, service, body, deadline)
    except (OSError, http.client.HTTPException) as error:
        # A connection that was shut fails in one way or another.
        if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
            raise _Late from None
        raise
    finally:
        timer.cancel()
        if not keep or time.monotonic() >= deadline:
            connection.close()
    if time.monotonic() >= deadline:
        raise _Late
    if keep:
        with _idle_lock:
            replaced = _idle.pop((service.scheme, service.host, service.port), None)
            _idle[service.scheme, service.host, service.port] = connection
        if replaced is not None:
            replaced.close()
    return answer


def _ask(
    connection: http.client.HTTPConnection, service: Service, body: bytes, deadline: float
) -> tuple[_Answer, bool]:
    """The answer, and whether the connection may be kept."""
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
    if service.key is not None:
        headers["Authorization"] = f"Bearer {service.key}"
    if connection.sock is None:
        connection.connect()
        # The timer may have found nothing to shut.
        if time.monotonic() >= deadline:
            raise _Late
    connection.request("POST", service.target, body, headers)
    response = connection.getresponse()
    answer = _Answer(response.status, b"", response.getheader("Retry-After"), response.getheader("Location"))
    if response.status != 200:
        return answer, False
    if response.getheader("Content-Encoding", "identity").lower() != "identity":
        raise failure(service, "sends a compressed answer, which was not asked for")
    read = bytearray()
    while piece := response.read(_PIECE):
        read += piece
        if len(read) > MOST_RESPONSE_BYTES:
            raise failure(service, f"sends more than {MOST_RESPONSE_BYTES:,} bytes")
    if response.length:
        # Reading in pieces does not mind an answer that ends before its declared length.
        raise http.client.IncompleteRead(b"", response.length)
    return _Answer(200, bytes(read), None, None), not response.will_close


def _connection(service: Service) -> http.client.HTTPConnection:
    # http.client sets TCP_NODELAY, without which a kept connection waits 40 ms for an acknowledgement.
    if service.scheme == "http":
        return http.client.HTTPConnection(service.host, service.port)
    return http.client.HTTPSConnection(service.host, service.port, context=ssl.create_default_context())


def _shut(connection: http.client.HTTPConnection) -> None:
    # Wakes whoever waits for it, which closing does not.
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _pause(retry_after: str | None, attempt: int) -> float:
    """Seconds until the next try: what the service asks for, as a number or a date, or twice the last pause."""
    text = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    with suppress(ValueError, TypeError):
        return max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    return FIRST_PAUSE_SECONDS * 2.0**attempt


def _refusal(service: Service, answer: _Answer) -> PotentialError:
    if not 300 <= answer.status < 400:
        return failure(service, f"answered with status {answer.status}")
    host = ""
    with suppress(ValueError):
        host = re.sub(r"[^A-Za-z0-9.:\[\]-]", "?", urlsplit(answer.location or "").hostname or "")
    where = f" to `{host[:100]}`" if host else ""
    return failure(service, f"redirects{where}, which is not followed", f"status {answer.status}")


def _reason(error: Exception) -> str:
    """What went wrong, in words of this side: those of http.client can hold what the service sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return {"IncompleteRead": "the answer ended too early", "RemoteDisconnected": "it closed the connection"}.get(
        type(error).__name__,
        "what it sent is not HTTP" if isinstance(error, http.client.HTTPException) else "no connection",
    )
