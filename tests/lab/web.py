"""A small HTTP/1.1 server: many addresses, kept-alive connections, one thread a connection.

A handler is a function from a request to a response, so that authentication, and faults later, are handlers that
wrap another one.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import http.client
import io
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

BODY_LIMIT = 64 * 1024 * 1024
LINE_LIMIT = 65536


class Request(NamedTuple):
    """An HTTP request, read to its end."""

    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes


class Response(NamedTuple):
    """What is answered; Content-Length is added."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = {}


Handler = Callable[[Request], Response]


class HangupError(Exception):
    """Raised by a handler: the connection is closed without an answer."""


def basic_authentication(handler: Handler, user: str, password: str, realm: str = "WSMAN") -> Handler:
    """Lets only requests with this user and password through to ``handler``, all others get a 401."""
    expected = f"{user.casefold()}:{password}".encode()

    def authenticated(request: Request) -> Response:
        scheme, _unused, credentials = request.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(credentials, validate=True)
        except binascii.Error:
            given = b""
        name, colon, secret = given.partition(b":")
        # Windows' account names know no case. Clients send UTF-8 or Latin-1 beyond ASCII.
        folded = name.decode("utf-8", "replace").casefold().encode() + colon + secret
        if scheme.lower() != "basic" or not hmac.compare_digest(folded, expected):
            return Response(401, headers={"WWW-Authenticate": f'Basic realm="{realm}"'})
        return handler(request)

    return authenticated


class _Endpoint(NamedTuple):
    handler: Handler
    tls: ssl.SSLContext | None


class WebServer:
    """Serves any number of addresses until it is stopped."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._listeners: list[socket.socket] = []
        self._stopped = False
        self._acceptor: threading.Thread | None = None

    def listen(self, address: str, port: int, handler: Handler, tls: ssl.SSLContext | None = None) -> int:
        """Serves one more address, before start().

        Returns:
            The port, which is chosen if ``port`` is 0.

        Raises:
            OSError: the address or the port cannot be had.
        """
        listener = socket.create_server((address, port), backlog=128)
        listener.setblocking(False)
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, _Endpoint(handler, tls))
        found: int = listener.getsockname()[1]
        return found

    def start(self) -> None:
        """Begins to accept connections."""
        self._acceptor = threading.Thread(target=self._accept, name="acceptor", daemon=True)
        self._acceptor.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Closes all listeners and connections; can be called twice."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            connections = dict(self._connections)
        self._waker.send(b"x")
        if self._acceptor is not None:
            self._acceptor.join(timeout)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections.values():
            thread.join(timeout)
        for opened in (*self._listeners, self._wake, self._waker):
            opened.close()
        self._selector.close()

    def _accept(self) -> None:
        while not self._stopped:
            for key, _unused in self._selector.select():
                if isinstance(key.data, _Endpoint) and isinstance(key.fileobj, socket.socket):
                    with contextlib.suppress(OSError):
                        self._begin(key.fileobj.accept()[0], key.data)

    def _begin(self, connection: socket.socket, endpoint: _Endpoint) -> None:
        # An answer is one write, and is to leave at once.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(True)
        thread = threading.Thread(target=self._serve, args=(connection, endpoint), daemon=True)
        with self._lock:
            if self._stopped:
                connection.close()
                return
            self._connections[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket, endpoint: _Endpoint) -> None:
        try:
            # The peer may go at any time: that ends the conversation and nothing else.
            with contextlib.suppress(OSError, HangupError):
                if endpoint.tls is None:
                    _converse(connection, endpoint.handler)
                else:
                    # Over a second handle: the first stays the plain socket that stop() can shut.
                    with endpoint.tls.wrap_socket(connection.dup(), server_side=True) as secured:
                        _converse(secured, endpoint.handler)
        finally:
            with self._lock:
                self._connections.pop(connection, None)
            connection.close()


def _converse(connection: socket.socket, handler: Handler) -> None:
    with connection.makefile("rb") as stream:
        while True:
            try:
                request = _read_request(stream)
            except (http.client.HTTPException, ValueError):
                connection.sendall(_rendered(Response(400), close=True))
                return
            if request is None:
                return
            response = handler(request)
            close = request.headers.get("Connection", "").lower() == "close"
            connection.sendall(_rendered(response, close))
            if close:
                return


def _read_request(stream: io.BufferedReader) -> Request | None:
    line = stream.readline(LINE_LIMIT + 1)
    if not line:
        return None
    method, path, version = line.decode("iso-8859-1").split()
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    headers = http.client.parse_headers(stream)
    length = int(headers.get("Content-Length", "0"))
    if not 0 <= length <= BODY_LIMIT or "Transfer-Encoding" in headers:
        raise ValueError("a body of a known length is needed")
    body = stream.read(length)
    if len(body) < length:
        return None
    return Request(method, path, headers, body)


def _rendered(response: Response, close: bool) -> bytes:
    phrase = HTTPStatus(response.status).phrase
    lines = [f"HTTP/1.1 {response.status} {phrase}", "Server: Microsoft-HTTPAPI/2.0"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines.append(f"Content-Length: {len(response.body)}")
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1") + response.body
