"""The lab's HTTP server, spoken to over plain sockets."""

from __future__ import annotations

import base64
import http.client
import socket
from collections.abc import Iterator

import pytest

from tests.lab.web import HangupError, Request, Response, WebServer, basic_authentication


def answer(request: Request) -> Response:
    if request.path == "/hang-up":
        raise HangupError
    text = f"{request.method} {request.path} {request.headers['X-Test']} ".encode()
    return Response(200, text + request.body, {"X-Answer": "yes"})


@pytest.fixture
def port() -> Iterator[int]:
    server = WebServer()
    found = server.listen("127.0.0.1", 0, answer)
    server.start()
    yield found
    server.stop()


def talk(port: int, data: bytes) -> bytes:
    """Sends bytes and reads until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as stream:
            return stream.read()


def test_connection_is_kept(port: int) -> None:
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    client.connect()
    opened = client.sock
    for number in range(3):
        client.request("POST", f"/{number}", b"body", {"X-Test": "a"})
        response = client.getresponse()
        assert (response.status, response.getheader("X-Answer")) == (200, "yes")
        assert response.read() == f"POST /{number} a body".encode()
        assert client.sock is opened
    client.close()


def test_two_requests_in_one_packet(port: int) -> None:
    one = b"GET /%d HTTP/1.1\r\nX-Test: t\r\nContent-Length: 2\r\n\r\nxy"
    found = talk(port, one % 1 + one % 2)
    assert found.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert found.endswith(b"GET /2 t xy")


def test_connection_is_closed_when_asked_for(port: int) -> None:
    found = talk(port, b"GET / HTTP/1.1\r\nX-Test: t\r\nConnection: close\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    assert found.count(b"HTTP/1.1") == 1
    assert b"\r\nConnection: close\r\n" in found


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / FTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
def test_request_that_cannot_be_read(port: int, data: bytes) -> None:
    assert talk(port, data).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    "data", [b"", b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc", b"GET /hang-up HTTP/1.1\r\n\r\n"]
)
def test_no_answer(port: int, data: bytes) -> None:
    assert talk(port, data) == b""


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        ("Basic", 401),
        ("Basic !!!", 401),
        ("Negotiate abc", 401),
        ("Basic " + base64.b64encode(b"user:other").decode(), 401),
        ("Basic " + base64.b64encode(b"userp\xc3\xa4ss:").decode(), 401),
        ("Basic " + base64.b64encode("user:päss".encode()).decode(), 200),
        ("basic " + base64.b64encode("USER:päss".encode()).decode(), 200),
    ],
)
def test_basic_authentication(header: str, status: int) -> None:
    guarded = basic_authentication(lambda _: Response(200), "User", "päss")
    headers = http.client.HTTPMessage()
    headers["Authorization"] = header
    found = guarded(Request("POST", "/", headers, b""))
    assert (found.status, dict(found.headers)) == (
        status,
        {"WWW-Authenticate": 'Basic realm="WSMAN"'} if status == 401 else {},
    )


def test_stop_closes_connections_and_frees_the_port() -> None:
    server = WebServer()
    port = server.listen("127.0.0.1", 0, answer)
    server.start()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nX-Test: t\r\n\r\n")
        assert idle.recv(5) == b"HTTP/"
        server.stop()
        while idle.recv(1000):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    again = WebServer()
    assert again.listen("127.0.0.1", port, answer) == port
    again.stop()
