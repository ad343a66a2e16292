"""A web proxy on loopback: passes requests on and opens tunnels, or refuses to.

with Proxy({"ndes01.lab.example": "127.0.0.21"}) as proxy:
    proxy.refusal = 407
    proxy.asked                     # request lines, in order
"""

from __future__ import annotations

import contextlib
import re
import selectors
import socket
import socketserver
import threading
from collections.abc import Mapping
from http import HTTPStatus
from io import BufferedIOBase
from typing import Any
from urllib.parse import urlsplit

CONNECT_SECONDS = 5.0
HOLD_SECONDS = 30.0
_LENGTH = re.compile(rb"^content-length: *([0-9]{1,7})\r?$", re.IGNORECASE | re.MULTILINE)


class Proxy:
    """The proxy, from start() to stop(), or as a context manager.

    Attributes:
        refusal: the status that every request gets; 0 for none.
        asked: the request lines.
    """

    def __init__(self, names: Mapping[str, str], address: str = "127.0.0.1", port: int = 0) -> None:
        """Bind the port, 0 for any that is free; `names` are the addresses of the hosts that it knows.

        Raises:
            OSError: the address or the port cannot be had.
        """
        self.names = dict(names)
        self.refusal = 0
        self.asked: list[str] = []
        self._listener = _Listener(self, (address, port))
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), name="proxy", daemon=True)

    @property
    def authority(self) -> str:
        """Address and port, as proxy settings name it."""
        address, port = self._listener.server_address[:2]
        return f"{address!s}:{port}"

    def start(self) -> Proxy:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Let go of the port."""
        if self._thread.is_alive():
            self._listener.shutdown()
        self._listener.server_close()

    def __enter__(self) -> Proxy:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, proxy: Proxy, address: tuple[str, int]) -> None:
        self.proxy = proxy
        super().__init__(address, _Conversation)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: either side may go away at any time."""


class _Conversation(socketserver.StreamRequestHandler):
    timeout = HOLD_SECONDS
    server: _Listener

    def handle(self) -> None:
        """One request, and after it whatever the two sides have to say."""
        proxy = self.server.proxy
        line = self.rfile.readline(65536).decode("iso-8859-1").rstrip("\r\n")
        head = _rest_of_head(self.rfile)
        proxy.asked.append(line)
        method, target, _unused = line.split(" ", 2)
        if proxy.refusal:
            return self._refuse(proxy.refusal)
        url = urlsplit(f"//{target}" if method == "CONNECT" else target)
        address = proxy.names.get((url.hostname or "").lower())
        if address is None:
            return self._refuse(502)
        with socket.create_connection((address, url.port or 80), CONNECT_SECONDS) as server:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = f"{url.path or '/'}?{url.query}"
                length = _LENGTH.search(head)
                body = self.rfile.read(int(length[1])) if length else b""
                server.sendall(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode("iso-8859-1") + head + body)
            _relay(self.request, server)
        return None

    def _refuse(self, status: int) -> None:
        wanted = "Proxy-Authenticate: Negotiate\r\n" if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED else ""
        answer = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{wanted}Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        self.wfile.write(answer.encode("ascii"))


def _rest_of_head(stream: BufferedIOBase) -> bytes:
    lines = []
    while (line := stream.readline(65536)) not in (b"\r\n", b"\n", b""):
        if not line.lower().startswith(b"connection:"):
            lines.append(line)
    return b"".join(lines) + b"\r\n"


def _relay(client: socket.socket, server: socket.socket) -> None:
    peers = {client: server, server: client}
    with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
        for one in peers:
            selector.register(one, selectors.EVENT_READ)
        while ready := selector.select(HOLD_SECONDS):
            for key, _unused in ready:
                source = key.fileobj
                if not isinstance(source, socket.socket) or not (data := source.recv(65536)):
                    return
                peers[source].sendall(data)
