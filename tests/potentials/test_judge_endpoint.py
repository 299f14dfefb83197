"""A service is asked once for all texts, and whatever goes wrong with it is an error with its name, never a weight."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smcdsl.potentials import _judge_hosts, _judge_http, judge

from smcdsl.errors import PotentialError, SmcdslError, UsageError
from tests.potentials.endpoints import answer, endpoint, scored

TEXTS = [f"Text number {number}, naïve 😀 \ud800"[: 8 + number] for number in range(16)]
KEY = "secret-key-1234"


@pytest.fixture
def allow(monkeypatch):
    """Allow services; each call replaces what was allowed."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    return lambda *places: monkeypatch.setenv("SMCDSL_HTTP_HOSTS", ",".join(places))


def sound(connection, request, number):
    return scored(connection, request)


def fails(url: str, *said: str, seconds: float = 10.0, texts: list[str] = TEXTS) -> SmcdslError:
    """The error of a call, which must hold all that is said and never the key."""
    with pytest.raises(SmcdslError) as caught:
        judge.endpoint(url, texts, seconds)
    diagnostic = caught.value.diagnostics[0]
    shown = " ".join([diagnostic.message, *diagnostic.facts, diagnostic.help])
    for each in said:
        assert each in shown, shown
    assert KEY not in shown
    assert KEY not in str(caught.value)
    return caught.value


def test_all_texts_go_in_one_call_and_the_connection_is_kept(allow):
    with endpoint(sound) as service:
        allow(service.place)
        for _ in range(3):
            assert judge.endpoint(service.url, TEXTS) == [1 / (1 + len(text)) for text in TEXTS]
        assert [request.texts for request in service.requests] == [TEXTS] * 3
        assert service.connections == 1
        (kept,) = [c for place, c in _judge_http._idle.items() if f"{place[1]}:{place[2]}" == service.place]
        assert kept.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_kept_connection_that_was_closed_is_made_anew(allow):
    def once(connection, request, number):
        scored(connection, request)
        return False

    with endpoint(once) as service:
        allow(service.place)
        for _ in range(3):
            assert len(judge.endpoint(service.url, TEXTS)) == 16
        assert service.connections == 3


def test_rewards_are_divided_by_the_temperature_and_cut_off(allow):
    def rewards(connection, request, number):
        return answer(connection, json.dumps({"scores": [-1000, 2, 3.5, 1e300]}).encode())

    with endpoint(rewards) as service:
        allow(service.place)
        assert judge.endpoint_reward(service.url, list("abcd"), 0.5) == [-30.0, 4.0, 7.0, 30.0]


# What a program may reach.


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/",
        "http://localhost:{port}/",
        "https://127.0.0.1:{port}/",
        "http://127.0.0.1:{port}@evil.example/",
        "http://evil.example/#@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}.evil.example/",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http://127.0.0.1:{port}/a\r\nX-Extra: 1",
        "http://127.0.0.1:{port}/ü",
        "http://[::1",
        "",
    ],
)
def test_only_what_is_allowed_is_connected_to(allow, url):
    with endpoint(sound) as service:
        port = service.place.partition(":")[2]
        allow("127.0.0.1:7", f"[::1]:{port}") if "https" not in url else allow("127.0.0.1:7")
        with pytest.raises(UsageError, match="E0802"):
            judge.endpoint(url.replace("{port}", port), TEXTS)
        assert service.connections == 0


def test_nothing_is_allowed_unless_it_is_said(monkeypatch):
    monkeypatch.delenv("SMCDSL_HTTP_HOSTS", raising=False)
    with endpoint(sound) as service:
        error = fails(service.url, f"no connection to `{service.place}` is allowed", "set SMCDSL_HTTP_HOSTS=")
        assert isinstance(error, UsageError)
        assert service.connections == 0


def test_a_host_without_a_port_has_the_usual_ones(allow):
    allow("judge.example.com")
    assert (
        _judge_hosts.allowed_service("https://Judge.Example.com/score?x=1").shown
        == "https://judge.example.com:443/score"
    )
    with pytest.raises(UsageError):
        _judge_hosts.allowed_service("https://judge.example.com:8443/")


@pytest.mark.parametrize(
    "entry", ["http://127.0.0.1:1", "a b=JUDGE_KEY", "host:port", f"host={KEY}!", "a@host", "host/path", "=JUDGE_KEY"]
)
def test_a_list_of_hosts_that_is_not_right_is_an_error(allow, entry):
    allow(entry)
    fails("http://127.0.0.1:1/", "SMCDSL_HTTP_HOSTS is not right")


# Keys.


def test_a_key_goes_in_a_header_and_nowhere_else(allow, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with endpoint(sound) as service:
        allow(f"{service.place}=JUDGE_KEY")
        judge.endpoint(service.url, TEXTS)
        assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"
        assert KEY not in service.requests[0].line + service.requests[0].body.decode()
        allow(service.place)
        judge.endpoint(service.url, TEXTS)
        assert "authorization" not in service.requests[1].headers
        allow(f"{service.place}=JUDGE_KEY")
        assert KEY not in repr(_judge_hosts.allowed_service(service.url))
    assert KEY not in caplog.text + "".join(capfd.readouterr())


def test_what_a_service_says_back_is_not_shown(allow):
    def echo(connection, request, number):
        said = request.headers["authorization"].encode()
        return answer(connection, said, "400 " + said.decode(), f"Location: http://{KEY}.example/")

    with endpoint(echo) as service:
        allow(f"{service.place}=JUDGE_KEY")
        fails(service.url, "status 400")


@pytest.mark.parametrize("key", ["", "two words", "line\r\nX-Extra: 1", "schlüssel"])
def test_a_key_that_cannot_be_one_is_named_not_shown(allow, monkeypatch, key):
    monkeypatch.setenv("JUDGE_KEY", key)
    allow("127.0.0.1:9=JUDGE_KEY")
    with pytest.raises(UsageError, match="environment variable JUDGE_KEY") as caught:
        judge.endpoint("http://127.0.0.1:9/", ["a"])
    assert not key or key not in str(caught.value)


def test_a_key_does_not_go_out_unencrypted(allow):
    allow("judge.example.com=JUDGE_KEY")
    fails("http://judge.example.com/", "unencrypted", "write https://")


# Faults of a service.


def test_an_error_of_the_server_is_tried_again_and_then_an_error(allow, monkeypatch):
    monkeypatch.setattr(_judge_http, "FIRST_PAUSE_SECONDS", 0.01)
    with endpoint(lambda c, r, n: answer(c, b"sorry", "500 Oops")) as service:
        allow(service.place)
        fails(service.url, f"http://{service.place}/score", "answered with status 500", "4 times")
        assert len(service.requests) == 4


@pytest.mark.parametrize("status", ["429 Too Many", "500 Oops", "503 Later"])
def test_a_passing_fault_is_got_over(allow, monkeypatch, status):
    monkeypatch.setattr(_judge_http, "FIRST_PAUSE_SECONDS", 0.01)
    with endpoint(lambda c, r, n: scored(c, r) if n == 2 else answer(c, b"", status)) as service:
        allow(service.place)
        assert len(judge.endpoint(service.url, TEXTS)) == 16
        assert len(service.requests) == 3


@pytest.mark.parametrize("status", ["400 Bad", "401 Who", "404 Where", "418 Teapot", "204 Nothing"])
def test_other_statuses_are_not_tried_again(allow, status):
    with endpoint(lambda c, r, n: answer(c, b"", status)) as service:
        allow(service.place)
        fails(service.url, f"answered with status {status[:3]}")
        assert len(service.requests) == 1


def test_retry_after_is_honoured(allow):
    at: list[float] = []

    def busy(connection, request, number):
        at.append(time.monotonic())
        return scored(connection, request) if number else answer(connection, b"", "429 Slow", "Retry-After: 1")

    with endpoint(busy) as service:
        allow(service.place)
        assert len(judge.endpoint(service.url, TEXTS)) == 16
        assert at[1] - at[0] >= 1


@pytest.mark.parametrize("wait", ["3600", "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_a_wait_beyond_the_deadline_is_an_error_at_once(allow, wait):
    with endpoint(lambda c, r, n: answer(c, b"", "429 Slow", f"Retry-After: {wait}")) as service:
        allow(service.place)
        fails(service.url, "status 429", "the next try may be made in")
        assert len(service.requests) == 1


@given(st.text(max_size=40) | st.none(), st.integers(0, 3))
def test_any_retry_after_is_a_pause(text, attempt):
    pause = _judge_http._pause(text, attempt)
    assert pause >= 0
    assert math.isfinite(pause)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Go", "308 Go"])
def test_a_redirect_is_not_followed(allow, status):
    with (
        endpoint(sound) as other,
        endpoint(lambda c, r, n: answer(c, b"", status, f"Location: http://{other.place}/")) as service,
    ):
        allow(f"{service.place}=JUDGE_KEY", f"{other.place}=JUDGE_KEY")
        fails(service.url, "redirects to `127.0.0.1`, which is not followed")
        assert other.connections == 0


def endless(connection, request, number):
    """Chunks without end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def huge(connection, request, number):
    """A gigabyte is promised, and sent for as long as somebody reads."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        connection.sendall(b" " * 0x10000)


@pytest.mark.parametrize("handler", [endless, huge])
def test_a_body_without_end_is_cut_off(allow, handler):
    with endpoint(handler) as service:
        allow(service.place)
        fails(service.url, "sends more than 1,048,576 bytes", seconds=30)


def drip(*pieces: bytes):
    """Send the pieces, then one byte after the other, so that no single wait is long."""

    def handler(connection, request, number):
        for piece in pieces:
            connection.sendall(piece)
        while True:
            connection.sendall(b" ")
            time.sleep(0.02)

    return handler


@pytest.mark.parametrize(
    "handler",
    [
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: "),
        drip(b"HTTP/1.1 "),
        drip(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\nX: "),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "),
        lambda c, r, n: time.sleep(60),
    ],
    ids=["body", "header", "status", "continue", "chunk", "trailer", "silence"],
)
def test_a_slow_drip_ends_at_the_deadline_and_the_next_call_is_answered(allow, handler):
    with endpoint(handler) as service, endpoint(sound) as other:
        allow(service.place, other.place)
        began = time.monotonic()
        fails(service.url, "did not answer within 0.4 s", seconds=0.4)
        assert time.monotonic() - began < 20
        assert len(judge.endpoint(other.url, TEXTS)) == 16


def test_a_service_that_does_not_read_ends_at_the_deadline(allow):
    with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        allow(place)
        fails(f"http://{place}/", "did not answer within 0.4 s", seconds=0.4, texts=["x" * 7_000_000])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "does not answer in JSON"),
        (b"oops", "does not answer in JSON"),
        (b'{"scores": [1, 2', "at line 1, column"),
        (b'{"scores": [NaN]}', "a number that is none"),
        (b'{"scores": [Infinity]}', "a number that is none"),
        (b'{"scores": [' + b"1" * 5000 + b"]}", "a number that is none"),
        (b'\xff\xfe\xfa{"scores": [1]}', "it is not UTF-8"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[0.5]", "gives no scores"),
        (b'{"score": [0.5]}', "gives no scores"),
        (b'{"scores": {"0": 0.5}}', "gives no scores"),
        (b'{"scores": []}', "gives 0 scores for 1 texts"),
        (b'{"scores": [0.5, 0.5]}', "gives 2 scores for 1 texts"),
        (b'{"scores": ["0.5"]}', "gives no number as score 1 of 1"),
        (b'{"scores": [true]}', "of type bool"),
        (b'{"scores": [null]}', "of type null"),
        (b'{"scores": [1.5]}', "gives 1.5 where a number from 0 to 1 was promised"),
        (b'{"scores": [-0.1]}', "gives -0.1 where"),
        (b'{"scores": [1e999]}', "gives inf where"),
        (b'{"scores": [1' + b"0" * 400 + b"]}", "gives inf where"),
    ],
)
def test_an_answer_of_another_form_is_an_error(allow, body, said):
    with endpoint(lambda c, r, n: answer(c, body)) as service:
        allow(service.place)
        error = fails(service.url, said, f"http://{service.place}/score", texts=["some text"])
        assert isinstance(error, PotentialError)


def test_fifteen_scores_for_sixteen_texts_are_an_error(allow):
    with endpoint(lambda c, r, n: answer(c, json.dumps({"scores": [0.5] * 15}).encode())) as service:
        allow(service.place)
        fails(service.url, "gives 15 scores for 16 texts")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "it closed the connection"),
        (b"SMTP hello\r\n\r\n", "what it sent is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "the answer ended too early"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", "compressed"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n", "what it sent is not HTTP"),
    ],
)
def test_what_is_not_http_is_an_error(allow, raw, said):
    with endpoint(lambda c, r, n: bool(c.sendall(raw))) as service:
        allow(service.place)
        fails(service.url, said)


def test_https_is_not_given_up_for_a_service_without_it(allow):
    with endpoint(sound) as service:
        allow(f"{service.place}=JUDGE_KEY")
        fails(service.url.replace("http:", "https:"), f"`https://{service.place}/score` cannot be asked")
        assert KEY not in repr(service.requests)


def test_a_closed_port_is_an_error(allow):
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
    allow(place)
    fails(f"http://{place}/", f"`http://{place}/` cannot be asked", "refused")


def test_texts_too_long_for_a_call_are_an_error(allow):
    allow("127.0.0.1:9")
    fails("http://127.0.0.1:9/", "the texts are too long", texts=["x" * (9 << 20)])


@pytest.mark.parametrize("seconds", [0, -1, 51, math.nan, math.inf])
def test_a_time_limit_must_be_one(allow, seconds):
    allow("127.0.0.1:9")
    fails("http://127.0.0.1:9/", "time limit", seconds=seconds)


def test_several_threads_may_ask_at_once(allow):
    with endpoint(sound) as service:
        allow(service.place)
        wrong: list[object] = []

        def ask() -> None:
            for number in range(10):
                texts = [f"{threading.get_ident()} {number}"]
                if judge.endpoint(service.url, texts) != [1 / (1 + len(texts[0]))]:
                    wrong.append(texts)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert os.environ["SMCDSL_HTTP_HOSTS"] == service.place
