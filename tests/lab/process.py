"""One command of a remote shell: a process, its input on the way in and its output until somebody fetches it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import threading
import uuid
from collections.abc import Callable
from typing import IO

from tests.lab.engine import CommandNotFoundError, Launch

Chunk = tuple[str, bytes]
"""A stream's name (stdout, stderr) and what came on it."""
CHUNK_SIZE = 32768
RECEIVE_LIMIT = 98304
"""Bytes in one answer: as base64 they stay below the 150 KiB envelope that clients ask for."""


class Command:
    """A process that starts as soon as one of the places for processes is free.

    Args:
        launch: says what to start; called when it is this command's turn.
        places: how many processes may run at once, over all hosts.
    """

    def __init__(self, launch: Callable[[], Launch], places: threading.Semaphore) -> None:
        self.command_id = str(uuid.uuid4()).upper()
        self._launch = launch
        self._places = places
        self._input: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._chunks: list[Chunk] = []
        self._exit_code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._terminated = False
        self._thread = threading.Thread(target=self._run, name=f"command {self.command_id}", daemon=True)
        self._thread.start()

    def send(self, data: bytes, end: bool) -> None:
        """Passes bytes to the process's standard input, and closes it if this is the end."""
        if data:
            self._input.put(data)
        if end:
            self._input.put(None)

    def receive(self, timeout: float) -> tuple[list[Chunk], int | None]:
        """Waits for output or the end.

        Returns:
            The output that is there, and the exit code once no more will come. Nothing and None: the time is up.
        """
        with self._changed:
            self._changed.wait_for(lambda: bool(self._chunks) or self._exit_code is not None, timeout)
            size = taken = 0
            while taken < len(self._chunks) and size + len(self._chunks[taken][1]) <= RECEIVE_LIMIT:
                size += len(self._chunks[taken][1])
                taken += 1
            chunks, self._chunks = self._chunks[:taken], self._chunks[taken:]
            return chunks, None if self._chunks else self._exit_code

    def interrupt(self) -> None:
        """Ctrl-C: asks the process to end."""
        self._signal(signal.SIGINT)

    def terminate(self) -> None:
        """Ends the process and whatever it started; a command that still waits for its place never starts."""
        with self._changed:
            self._terminated = True
        self._signal(signal.SIGKILL)

    def join(self, timeout: float) -> None:
        """Waits until the process is gone."""
        self._thread.join(timeout)

    def _signal(self, number: signal.Signals) -> None:
        with self._changed:
            # Not reaped yet, so the process group is still this command's.
            if self._process is not None and self._exit_code is None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)

    def _run(self) -> None:
        exit_code = 1
        try:
            with self._places:
                exit_code = self._run_process()
        except CommandNotFoundError as error:
            self._add("stderr", str(error).encode())
        except OSError as error:
            self._add("stderr", f"The lab could not start the command: {error}\r\n".encode())
        finally:
            self._input.put(None)
            with self._changed:
                self._exit_code = exit_code
                self._changed.notify_all()

    def _run_process(self) -> int:
        launch = self._launch()
        with self._changed:
            if self._terminated:
                return 1
            process = subprocess.Popen(
                launch.argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=launch.env,
                cwd=launch.cwd,
                bufsize=0,
                start_new_session=True,
            )
            self._process = process
        if process.stdin is None or process.stdout is None or process.stderr is None:
            raise OSError("the process has no pipes")
        threading.Thread(target=self._feed, args=(process.stdin,), daemon=True).start()
        errors = threading.Thread(target=self._read, args=("stderr", process.stderr), daemon=True)
        errors.start()
        self._read("stdout", process.stdout)
        errors.join()
        # Waited for before it is reaped: until then the number is this process's, and safe to signal.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with self._changed:
            code = process.wait()
        return code if code >= 0 else 128 - code

    def _feed(self, stream: IO[bytes]) -> None:
        # A process that ends early leaves input behind: that is its own affair, as on Windows.
        with stream, contextlib.suppress(BrokenPipeError):
            while (data := self._input.get()) is not None:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(stream.fileno(), rest) :]

    def _read(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            while data := os.read(stream.fileno(), CHUNK_SIZE):
                self._add(name, data)

    def _add(self, name: str, data: bytes) -> None:
        with self._changed:
            self._chunks.append((name, data))
            self._changed.notify_all()
