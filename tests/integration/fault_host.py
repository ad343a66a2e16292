"""Hosts whose change is disturbed: what they hold, faults at a module's own messages, and processes killed on them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.integration.aik_host import tasks
from tests.integration.host_state import UNDO, registry, snapshot, stores
from tests.lab import wsman
from tests.lab.engine import Runner
from tests.lab.faults import Fault
from tests.lab.fleet import Fleet, FleetHost
from tests.lab.web import Handler, Request, Response

PATIENCE = 240.0
"""Seconds, on a machine that has much else to do."""
SETTINGS = "settings"
"""A folder of the host, for the files that a change is made in."""


class Disturbance(NamedTuple):
    """A fault in the messages of one command.

    Attributes:
        fault: counted from where it comes in.
        command: which command of the host it comes in with; 0: before the first.
        at_end: it comes in later, with the message that ends the command's input.
        record: it comes in still later, with the first Receive; that waits until an undo record of the host has this
            state.
    """

    fault: Fault
    command: int
    at_end: bool = False
    record: str | None = None


class DisturbedFleet(Fleet):
    """A fleet with at most one disturbance a host.

    A command's messages are told by the command: how many an earlier one takes depends on how its output is cut up.
    """

    def __init__(
        self, hosts: Sequence[FleetHost], runner: Runner, folder: Path, disturbances: Mapping[str, Disturbance]
    ) -> None:
        """Takes what a fleet takes, and the disturbance of each host that has one."""
        self._disturbances = disturbances
        super().__init__(hosts, runner, folder)
        for name, disturbance in disturbances.items():
            if disturbance.command == 0:
                self.inject(name, disturbance.fault)

    def _handler(self, host: FleetHost) -> Handler:
        handler = super()._handler(host)
        disturbance = self._disturbances.get(host.name)
        if disturbance is None or disturbance.command == 0:
            return handler
        commands: list[str] = []
        injected: list[str] = []

        def disturbed(request: Request) -> Response:
            message = wsman.parse(request.body)
            commands.extend([message.message_id] * (message.action == wsman.COMMAND))
            if len(commands) == disturbance.command and not injected and comes_in(message, disturbance):
                if disturbance.record is not None:
                    wait_for_record(host.folder, disturbance.record)
                injected.append(message.message_id)
                self.inject(host.name, disturbance.fault)
            return handler(request)

        return disturbed


def comes_in(message: wsman.Request, disturbance: Disturbance) -> bool:
    """Whether a message of the right command is the one that a disturbance comes in with."""
    if disturbance.record is not None:
        return message.action == wsman.RECEIVE
    if disturbance.at_end:
        return message.action == wsman.SEND and wsman.sent_input(message.body)[2]
    return message.action == wsman.COMMAND


def record_states(folder: Path) -> list[str]:
    """The states of a host's undo records, also while one is just being made."""
    records = [key["values"] for name, key in registry(folder).items() if name.startswith(UNDO) and key.get("values")]
    return [json.loads(values["Record"]["data"])["state"] for values in records if "Record" in values]


def wait_for_record(folder: Path, state: str) -> None:
    """Waits until an undo record of a host has a state."""
    end = time.monotonic() + PATIENCE
    while state not in record_states(folder):
        assert time.monotonic() < end, f"{folder.name} has no undo record that is {state}"
        time.sleep(0.01)


def clone(template: FleetHost, name: str, **variables: Any) -> FleetHost:
    """A host that holds the same as another one, with inventory variables of its own besides."""
    folder = template.folder.with_name(f"{template.folder.name}-{name}")
    shutil.copytree(template.folder, folder, symlinks=True)
    return FleetHost(name, folder, variables={**template.variables, **variables})


def state(folder: Path) -> dict[str, Any]:
    """What remedies change, setting by setting: certificates, values (but for undo records), tasks, and files.

    It is the same on two hosts that hold the same: a certificate is written with chance in it, so it counts as itself.
    """
    certificates = {f"{store}: {one}": True for store, found in stores(folder).items() for one in found}
    keys = json.loads(snapshot(folder)["registry"])
    values = {f"{key}\\{name}": value for key, held in keys.items() for name, value in held.items()}
    files = {path.name: path.read_bytes() for path in (folder / SETTINGS).glob("*")}
    return {**certificates, **values, **tasks(folder)["tasks"], **files}


def exact(folder: Path) -> dict[str, Any]:
    """The same byte for byte: on one host, or on a copy of it."""
    return {**state(folder), **snapshot(folder)}


def is_untouched(folder: Path, template: Path) -> bool:
    """Whether a host holds what it held when it was made, to the byte: there is no undo record either."""
    registries = [(each / "registry" / "HKLM.json").read_bytes() for each in (folder, template)]
    return registries[0] == registries[1] and exact(folder) == exact(template)


def processes(folder: Path) -> list[int]:
    """The process groups of the commands that run on a host: each has its own, and works in the host's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            # One that ends meanwhile is none.
            with contextlib.suppress(OSError):
                if (entry / "cwd").readlink() == folder and os.getpgid(int(entry.name)) == int(entry.name):
                    found.append(int(entry.name))
    return found


def has_whole_stores(folder: Path) -> bool:
    """Whether each file in the certificate stores can be read."""
    try:
        stores(folder)
    except ValueError:
        return False
    return True


def kill_processes(folder: Path) -> None:
    """Ends the commands that run on a host, as a power cut does.

    Not while the engine writes a certificate's file: Windows keeps it as a value of the registry, never half of it.
    """
    while groups := processes(folder):
        send(groups, signal.SIGSTOP)
        if all(is_stopped(group) for group in groups) and has_whole_stores(folder):
            send(groups, signal.SIGKILL)
            return
        send(groups, signal.SIGCONT)
        time.sleep(0.001)


def send(groups: Iterable[int], number: signal.Signals) -> None:
    """Sends a signal to process groups; one that has ended needs none."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)


def is_stopped(process: int) -> bool:
    """Whether each of a process's threads has come to a stop, or to its end."""
    states = set()
    for stat in Path(f"/proc/{process}/task").glob("*/stat"):
        with contextlib.suppress(OSError):
            states.add(stat.read_text("utf-8", "replace").rpartition(") ")[2][0])
    return states <= {"T", "Z", "X"}


def wait_until_idle(folders: Iterable[Path], hurry: Callable[[Path], None] | None = None) -> None:
    """Waits until no command runs on these hosts any more; ``hurry`` is called with them meanwhile."""
    end = time.monotonic() + PATIENCE
    for folder in folders:
        while running := processes(folder):
            assert time.monotonic() < end, f"{folder.name} still runs {running}"
            if hurry is not None:
                hurry(folder)
            time.sleep(0.01)


class Killer:
    """Watches hosts in ``with``, and kills each one's processes once, as soon as its moment has come.

    Args:
        moments: by host's folder, whether it has come.
    """

    def __init__(self, moments: Mapping[Path, Callable[[Path], bool]]) -> None:
        self.killed: set[Path] = set()
        self._moments = dict(moments)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="killer", daemon=True)

    def __enter__(self) -> Killer:
        """Begins to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the watch."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        # A pause between two looks, so that the watch leaves the processor to what it watches.
        while self._moments and not self._stopped.wait(0.002):
            for folder, has_come in list(self._moments.items()):
                # A certificate that is half written is not there yet.
                if has_whole_stores(folder) and has_come(folder):
                    kill_processes(folder)
                    self.killed.add(folder)
                    del self._moments[folder]
