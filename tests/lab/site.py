"""A web site over HTTP and HTTPS on loopback that can be told to misbehave while it runs.

What it is asked, it passes on to a function; what it answers with is the function's, unless a mode says otherwise.
The TLS settings are asked for anew with every connection, so that a certificate can be replaced between two of them.
"""

from __future__ import annotations

import contextlib
import os
import socket
import socketserver
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

STATUSES = ("400", "401", "403", "404", "407", "429", "500", "502", "503")
MISBEHAVIOUR = ("hang", "reset", "drip", "huge", "endless", "garbage", "hostile", "cut")
"""No answer at all; a reset connection; a byte every now and then; 4 MB with their length; more and more without one;
no HTTP; control characters wherever the server may put text; an answer that ends too early."""
MODES = ("ok", *STATUSES, "html", "redirect", "chunked", "close", *MISBEHAVIOUR)

HOLD_SECONDS = 30.0
"""The longest that a connection is kept waiting."""
HANDSHAKE_SECONDS = 10.0
CONNECTIONS = 64
BODY_LIMIT = 1 << 20


class Request(NamedTuple):
    """What was asked."""

    scheme: str
    method: str
    target: str
    headers: Message
    body: bytes = b""

    @property
    def path(self) -> str:
        """The path, without the query."""
        return urlsplit(self.target).path

    @property
    def operation(self) -> str:
        """SCEP's operation, or nothing."""
        return self.parameter("operation")

    def parameter(self, name: str) -> str:
        """A parameter of the query, or nothing."""
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True).get(name, [""])[0]


class Answer(NamedTuple):
    """What is answered; Date, Server and Content-Length are added."""

    status: int
    body: bytes = b""
    content_type: str = "text/html"
    headers: tuple[tuple[str, str], ...] = ()


def error_page(status: int) -> Answer:
    """What IIS shows for an error, with the headers that belong to the status."""
    phrase = HTTPStatus(status).phrase
    headers: tuple[tuple[str, str], ...] = ()
    if status == HTTPStatus.UNAUTHORIZED:
        headers = (("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "NTLM"))
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        headers = (("Proxy-Authenticate", "Negotiate"),)
    elif status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        headers = (("Retry-After", "120"),)
    return Answer(status, f"<html><title>{status} - {phrase}</title></html>".encode(), headers=headers)


class Site:
    """The site, from start() to stop(), or as a context manager.

    Attributes:
        mode: one of `MODES`, for every operation that `modes` does not name.
        modes: the mode of single SCEP operations.
        clock_skew: seconds that the server's clock is ahead.
        requests: all that was asked, in order.
        handshake_failures: how many TLS handshakes did not succeed.
    """

    def __init__(
        self,
        answer: Callable[[Request], Answer],
        address: str = "127.0.0.1",
        *,
        http_port: int | None = 0,
        https_port: int | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Bind the ports, 0 for any that is free, None for none.

        Raises:
            OSError: the address or the port cannot be had.
        """
        self.answer = answer
        self.address = address
        self.tls = tls
        self.mode = "ok"
        self.modes: dict[str, str] = {}
        self.clock_skew = 0.0
        self.requests: list[Request] = []
        self.handshake_failures = 0
        self.stopped = threading.Event()
        self.places = threading.BoundedSemaphore(CONNECTIONS)
        self._threads: list[threading.Thread] = []
        self._listeners: dict[str, _Listener] = {}
        for scheme, port in (("http", http_port), ("https", https_port)):
            if port is not None:
                try:
                    self._listeners[scheme] = _Listener(self, scheme, (address, port))
                except OSError:
                    self.stop()
                    raise

    def port(self, scheme: str) -> int:
        """The port of a scheme that is served."""
        return int(self._listeners[scheme].server_address[1])

    def start(self) -> Site:
        """Begin to answer."""
        for scheme, listener in self._listeners.items():
            thread = threading.Thread(target=listener.serve_forever, args=(0.05,), name=f"{scheme} site", daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self) -> None:
        """Let go of the ports and of everybody who is kept waiting; can be called twice."""
        if self.stopped.is_set():
            return
        self.stopped.set()
        for listener in self._listeners.values():
            if self._threads:
                listener.shutdown()
            listener.server_close()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> Site:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, site: Site, scheme: str, address: tuple[str, int]) -> None:
        self.site = site
        self.scheme = scheme
        super().__init__(address, _Conversation)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        with self.site.places:
            super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away, or a handshake that fails, is what this server is for."""


class _Conversation(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = HOLD_SECONDS
    server: _Listener

    def setup(self) -> None:
        """Do the TLS handshake here, on the connection's own thread, so that a slow client holds up nobody else."""
        site = self.server.site
        if self.server.scheme == "https" and site.tls is not None:
            self.request.settimeout(HANDSHAKE_SECONDS)
            try:
                self.request = site.tls().wrap_socket(self.request, server_side=True)
            except (OSError, ValueError):
                site.handshake_failures += 1
                raise
        super().setup()

    def finish(self) -> None:
        """Close; the other side may have done so already."""
        with contextlib.suppress(OSError):
            super().finish()
        with contextlib.suppress(OSError):
            self.request.close()

    def version_string(self) -> str:
        """What IIS calls itself."""
        return "Microsoft-IIS/10.0"

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The time by the site's clock."""
        return formatdate((timestamp or time.time()) + self.server.site.clock_skew, usegmt=True)

    def log_message(self, *_: object) -> None:
        """Nothing goes to the terminal: what was asked is in `Site.requests`."""

    def do_GET(self) -> None:
        """Answer, or misbehave."""
        self._answer(b"")

    def do_POST(self) -> None:
        """As GET, with a body; the connection ends with the answer."""
        self.close_connection = True
        length = self.headers.get("Content-Length", "0")
        self._answer(self.rfile.read(min(int(length), BODY_LIMIT)) if length.isdecimal() else b"")

    def _answer(self, body: bytes) -> None:
        site = self.server.site
        request = Request(self.server.scheme, self.command, self.path, self.headers, body)
        site.requests.append(request)
        mode = site.modes.get(request.operation, site.mode)
        if mode in MISBEHAVIOUR:
            self.close_connection = True
            with contextlib.suppress(OSError):
                getattr(self, f"_{mode}")()
            return
        self._send(_planned(mode, site.answer(request)), mode)

    def _send(self, answer: Answer, mode: str) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        for name, value in answer.headers:
            self.send_header(name, value)
        if mode == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif mode == "close":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(b"".join(_chunks(answer.body)) if mode == "chunked" else answer.body)

    def _hang(self) -> None:
        self.server.site.stopped.wait(HOLD_SECONDS)

    def _reset(self) -> None:
        # Closing with a linger time of nought sends RST instead of FIN.
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Under the streams that still hold it: only the last close sends anything.
        os.close(self.request.detach())

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        end = time.monotonic() + HOLD_SECONDS
        while time.monotonic() < end and not self.server.site.stopped.wait(0.2):
            self.wfile.write(b"x")

    def _huge(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4000000\r\n\r\n")
        self.wfile.write(b"x" * 4_000_000)

    def _endless(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        end = time.monotonic() + HOLD_SECONDS
        while time.monotonic() < end and not self.server.site.stopped.is_set():
            self.wfile.write(b"POSTPKIOperation\n" * 1000)

    def _garbage(self) -> None:
        self.wfile.write(b"\x00\x01SSH-2.0-OpenSSH_9.2\r\nno web server here\r\n\r\n")

    def _hostile(self) -> None:
        body = "POSTPKIOperation\n\x1b[31mred\x1b[0m\n{{ 7*7 }}\n<script>x</script>\n\u202eevil\nSHA-256\n".encode()
        self.wfile.write(
            b"HTTP/1.1 200 \x1b[2JOK\x07 {{ 7*7 }}\r\nServer: \x1b]0;owned\x07\r\nX-A: 1\nX-Injected: 2\r\n"
            b"Date: yesterday \x1b[31m\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        self.wfile.write(body)

    def _cut(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 500\r\n\r\nPOSTPKI")


def _planned(mode: str, answer: Answer) -> Answer:
    if mode in STATUSES:
        return error_page(int(mode))
    if mode == "html":
        return Answer(200, b"<!DOCTYPE html><html><body>Please log in to the guest network</body></html>")
    if mode == "redirect":
        return Answer(302, headers=(("Location", "https://portal.lab.example/login?next=\x1b[31m"),))
    return answer


def _chunks(body: bytes, size: int = 100) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        part = body[start : start + size]
        yield b"%x;name=value\r\n%s\r\n" % (len(part), part)
    yield b"0\r\nX-Trailer: 1\r\n\r\n"
