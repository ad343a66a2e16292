"""A host's remote shell service: which shells and commands there are, and what each message does to them."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.lab import wsman
from tests.lab.engine import Runner
from tests.lab.process import Command
from tests.lab.web import HangupError, Request, Response

PATH = "/wsman"
CONTENT_TYPE = "application/soap+xml;charset=UTF-8"


class _Shell:
    def __init__(self, env: Mapping[str, str]) -> None:
        self.shell_id = str(uuid.uuid4()).upper()
        self.env = env
        self.commands: dict[str, Command] = {}
        self.used = time.monotonic()
        self.busy = 0


class ShellService:
    """The shells of one host.

    Args:
        name: the computer's name, for faults.
        folder: the host's folder.
        runner: what runs the commands.
        places: how many processes may run at once, over all hosts.
    """

    def __init__(self, name: str, folder: Path, runner: Runner, places: threading.Semaphore) -> None:
        self._name = name
        self._folder = folder
        self._runner = runner
        self._places = places
        self._lock = threading.Lock()
        self._shells: dict[str, _Shell] = {}
        self._closed = False
        self._operations: dict[str, Callable[[wsman.Request, _Shell], bytes]] = {
            wsman.COMMAND: self._start,
            wsman.SEND: self._send,
            wsman.RECEIVE: self._receive,
            wsman.SIGNAL: self._signal,
            wsman.DELETE: self._delete,
        }

    def handle(self, request: Request) -> Response:
        """Answers one HTTP request."""
        if request.path.partition("?")[0] != PATH:
            return Response(404)
        if request.method != "POST":
            return Response(405, headers={"Allow": "POST"})
        message_id = ""
        try:
            message = wsman.parse(request.body)
            message_id = message.message_id
            body = self._dispatch(message, request)
        except wsman.FaultError as error:
            return Response(500, wsman.fault(error, message_id, self._name), {"Content-Type": CONTENT_TYPE})
        return Response(200, body, {"Content-Type": CONTENT_TYPE})

    def close_idle(self, seconds: float) -> None:
        """Deletes the shells that no client has asked for during that time, as Windows' IdleTimeout does."""
        limit = time.monotonic() - seconds
        with self._lock:
            idle = [shell for shell in self._shells.values() if not shell.busy and shell.used < limit]
            for shell in idle:
                del self._shells[shell.shell_id]
        for shell in idle:
            _terminate(shell)

    def close(self, timeout: float = 10.0) -> None:
        """Deletes all shells, waits until their processes are gone, and lets no new ones be made."""
        with self._lock:
            self._closed = True
            shells, self._shells = list(self._shells.values()), {}
        for shell in shells:
            _terminate(shell)
        for shell in shells:
            for command in list(shell.commands.values()):
                command.join(timeout)

    def _dispatch(self, message: wsman.Request, request: Request) -> bytes:
        if message.resource != wsman.CMD_RESOURCE:
            raise wsman.resource_not_found(message.resource)
        if message.action == wsman.CREATE:
            return self._create(message, request)
        operation = self._operations.get(message.action)
        if operation is None:
            raise wsman.action_not_supported(message.action)
        with self._lock:
            shell = self._shells.get(message.shell_id.upper())
            if shell is None:
                raise wsman.shell_not_found(message.shell_id)
            shell.busy += 1
        try:
            return operation(message, shell)
        finally:
            with self._lock:
                shell.busy -= 1
                shell.used = time.monotonic()

    def _create(self, message: wsman.Request, request: Request) -> bytes:
        shell = _Shell(wsman.variables(message.body))
        with self._lock:
            if self._closed:
                raise HangupError
            self._shells[shell.shell_id] = shell
        return wsman.created(message, shell.shell_id, f"http://{request.headers.get('Host', self._name)}{PATH}")

    def _start(self, message: wsman.Request, shell: _Shell) -> bytes:
        line = wsman.command_line(message.body)
        command = Command(partial(self._runner.launch, self._folder, line, shell.env), self._places)
        with self._lock:
            gone = shell.shell_id not in self._shells
            shell.commands[command.command_id] = command
        if gone:
            command.terminate()
            raise wsman.shell_not_found(shell.shell_id)
        return wsman.started(message, command.command_id)

    def _send(self, message: wsman.Request, shell: _Shell) -> bytes:
        command_id, data, end = wsman.sent_input(message.body)
        self._command(shell, command_id).send(data, end)
        return wsman.acknowledged(message)

    def _receive(self, message: wsman.Request, shell: _Shell) -> bytes:
        command_id = wsman.received_command(message.body)
        chunks, exit_code = self._command(shell, command_id).receive(message.timeout)
        if not chunks and exit_code is None:
            raise wsman.timed_out()
        return wsman.received(message, command_id, chunks, exit_code)

    def _signal(self, message: wsman.Request, shell: _Shell) -> bytes:
        command_id, code = wsman.signalled(message.body)
        command = self._command(shell, command_id)
        if code == wsman.CTRL_C:
            command.interrupt()
        else:
            command.terminate()
            with self._lock:
                shell.commands.pop(command_id, None)
        return wsman.acknowledged(message)

    def _delete(self, message: wsman.Request, shell: _Shell) -> bytes:
        with self._lock:
            self._shells.pop(shell.shell_id, None)
        _terminate(shell)
        return wsman.acknowledged(message)

    def _command(self, shell: _Shell, command_id: str) -> Command:
        with self._lock:
            command = shell.commands.get(command_id.upper())
        if command is None:
            raise wsman.command_not_found(command_id)
        return command


def _terminate(shell: _Shell) -> None:
    for command in list(shell.commands.values()):
        command.terminate()
