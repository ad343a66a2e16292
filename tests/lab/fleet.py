"""A fleet of simulated hosts in this process, and the inventory that reaches it."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.lab.engine import Runner
from tests.lab.enrolment import Enrolment
from tests.lab.events import Event
from tests.lab.faults import Fault, Faults
from tests.lab.host import LogConfig, write_host, write_log
from tests.lab.pki import Authority
from tests.lab.programs import enrol_as_host
from tests.lab.service import ShellService
from tests.lab.sites import Sites
from tests.lab.web import Handler, WebServer, basic_authentication

USER = "Administrator"
GROUP = "windows"
IDLE_SECONDS = 180.0
"""A shell that no client has asked for during this time is deleted, so that a client that died keeps no process."""
_IDLE_CHECK_SECONDS = 15.0
_ENROLMENT_SECONDS = 60.0
_PORTS = {False: (5985, 15985, 25985), True: (5986, 15986, 25986)}
_BLOCKS = range(8, 255)
_HOSTS_IN_A_ROW = 250
_HOSTS_IN_A_BLOCK = _HOSTS_IN_A_ROW * 250


@dataclass(frozen=True)
class FleetHost:
    """One host of a fleet.

    Attributes:
        name: its name in the inventory.
        folder: where its state is; never looked at if it is down.
        down: whether nothing listens at its address.
        groups: inventory groups, besides the one that all are in.
        variables: inventory variables of its own.
        faults: in its conversations, from the start.
    """

    name: str
    folder: Path
    down: bool = False
    groups: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


class Fleet:
    """Hosts at addresses of their own in 127.0.0.0/8, on WinRM's port; in use from start() to stop(), or in ``with``.

    Args:
        hosts: with names that differ.
        runner: what runs a host's commands.
        folder: for certificates and the inventory.
        https: over TLS, with a certification authority of this fleet's own.
        processes: how many commands run at once, over all hosts; the rest wait.
        password: of the user on every host; without one, a new one is made.
        variables: inventory variables of all hosts.
        sites: what the hosts reach, to be changed while they run; started and stopped by whoever made them.
    """

    def __init__(
        self,
        hosts: Sequence[FleetHost],
        runner: Runner,
        folder: Path,
        *,
        https: bool = False,
        processes: int | None = None,
        password: str | None = None,
        variables: Mapping[str, Any] | None = None,
        sites: Sites | None = None,
    ) -> None:
        names = [host.name for host in hosts]
        if len(set(names)) < len(names) or not 0 < len(names) <= _HOSTS_IN_A_BLOCK:
            raise ValueError(f"a fleet has 1 to {_HOSTS_IN_A_BLOCK} hosts with names that differ, not {names[:20]}")
        self.hosts = list(hosts)
        self.user = USER
        self.password = password or secrets.token_urlsafe(15)
        self.https = https
        self.sites = sites or Sites()
        self.inventory_path = folder / "inventory.yml"
        self.addresses: dict[str, str] = {}
        self.port = 0
        self._folder = folder
        self._ca_path = folder / "ca.pem"
        self._runner = runner
        self._places = threading.Semaphore(processes or (os.cpu_count() or 1) + 1)
        self._authority: Authority | None = None
        self._server = WebServer()
        self._services: list[ShellService] = []
        self._variables = dict(variables or {})
        self._faults = {host.name: Faults(host.faults) for host in self.hosts}
        self._claim: socket.socket | None = None
        self._stopped = threading.Event()
        self._enrolling: list[threading.Thread] = []

    def __enter__(self) -> Fleet:
        """Starts it."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops it."""
        self.stop()

    def start(self) -> None:
        """Begins to serve, and writes the inventory to ``inventory_path``.

        Raises:
            OSError: no address can be had.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        block = self._claim_addresses()
        if self.https:
            self._authority = Authority.root("Lab WinRM CA")
            self._ca_path.write_text(self._authority.pem, "ascii")
        try:
            for index, host in enumerate(self.hosts):
                row, place = divmod(index, _HOSTS_IN_A_ROW)
                address = self.addresses[host.name] = f"127.{block}.{row}.{place + 1}"
                if not host.down:
                    self._server.listen(address, self.port, self._handler(host), self._tls(host.name, address))
        except OSError:
            self.stop()
            raise
        self._server.start()
        threading.Thread(target=self._watch, name="idle shells", daemon=True).start()
        self.write_inventory(self.inventory_path)

    def stop(self) -> None:
        """Ends all commands and connections; can be called twice."""
        self._stopped.set()
        for faults in self._faults.values():
            faults.close()
        self.close_shells()
        self._server.stop()
        for thread in self._enrolling:
            thread.join(_ENROLMENT_SECONDS)
        if self._claim is not None:
            self._claim.close()

    def close_shells(self) -> None:
        """Ends all commands; no shell is made any more."""
        for service in self._services:
            service.close()

    def close_idle(self, seconds: float) -> None:
        """Deletes the shells that no client has asked for during that time."""
        for service in self._services:
            service.close_idle(seconds)

    def inject(self, host: str, fault: Fault) -> None:
        """Puts a fault into the conversations of a host."""
        self._faults[host].inject(fault)

    def clear_faults(self, host: str) -> None:
        """Takes all faults of a host out."""
        self._faults[host].clear()

    def met_faults(self, host: str) -> list[tuple[Fault, str]]:
        """What has happened to a host's conversations: the fault and the operation that it met."""
        return list(self._faults[host].met)

    def enrol(self, host: str, profile: str | None = None) -> list[Enrolment]:
        """Lets a host enrol now: for one profile, or for all that it would by itself as time goes by.

        Raises:
            LookupError: there is no such host, or it is down, or it has no such profile.
        """
        found = next((each for each in self.hosts if each.name == host and not each.down), None)
        if found is None:
            raise LookupError(f"{host} is not a host of this fleet that is up")
        return enrol_as_host(self._runner, found.folder, profile)

    def enrol_all(self) -> dict[str, list[Enrolment]]:
        """Lets every host that is up enrol, one after another."""
        return {host.name: self.enrol(host.name) for host in self.hosts if not host.down}

    def enrol_every(self, seconds: float) -> None:
        """Lets the hosts enrol by themselves, from now until the fleet is stopped."""

        def watch() -> None:
            while not self._stopped.wait(seconds):
                for host in self.hosts:
                    if not host.down and not self._stopped.is_set():
                        self.enrol(host.name)

        thread = threading.Thread(target=watch, name="enrolment", daemon=True)
        self._enrolling.append(thread)
        thread.start()

    def inventory(self) -> dict[str, Any]:
        """The inventory, ready for ``ansible -i`` when written as YAML."""
        variables: dict[str, Any] = {
            "ansible_connection": "winrm",
            "ansible_port": self.port,
            "ansible_user": self.user,
            "ansible_password": self.password,
            "ansible_winrm_scheme": "https" if self.https else "http",
            "ansible_winrm_transport": "basic",
            # A proxy in the environment is not for these addresses.
            "ansible_winrm_proxy": None,
            **self._variables,
        }
        if self._authority is not None:
            variables["ansible_winrm_server_cert_validation"] = "validate"
            variables["ansible_winrm_ca_trust_path"] = str(self._ca_path)
        groups: dict[str, Any] = {
            GROUP: {
                "hosts": {
                    host.name: {"ansible_host": self.addresses[host.name], **host.variables} for host in self.hosts
                },
                "vars": variables,
            }
        }
        for host in self.hosts:
            for group in host.groups:
                groups.setdefault(group, {"hosts": {}})["hosts"][host.name] = {}
        return {"all": {"children": groups}}

    def write_inventory(self, path: Path) -> None:
        """Writes the inventory, which holds the password, for this user only."""
        path.touch(mode=0o600)
        path.write_text("---\n" + yaml.safe_dump(self.inventory(), sort_keys=False, allow_unicode=True), "utf-8")

    def _handler(self, host: FleetHost) -> Handler:
        service = ShellService(host.name, host.folder, self._runner, self._places)
        self._services.append(service)
        handler = basic_authentication(service.handle, self.user, self.password)
        return self._faults[host.name].around(handler, host.name)

    def _tls(self, name: str, address: str) -> ssl.SSLContext | None:
        if self._authority is None:
            return None
        leaf = self._authority.leaf(name, ip_addresses=[address])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(leaf.write(self._folder / f"{address}.pem"))
        return context

    def _claim_addresses(self) -> int:
        """Picks a port and a block 127.<block>.0.0/16 that no other fleet has; a fleet's mark is the last address."""
        failure: OSError | None = None
        for port in _PORTS[self.https]:
            for block in _BLOCKS:
                claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                try:
                    claim.bind((f"127.{block}.255.254", port))
                except OSError as error:
                    claim.close()
                    failure = error
                else:
                    self._claim, self.port = claim, port
                    return block
        raise OSError(f"no address in 127.8.0.0 to 127.254.0.0 can be had for the lab's hosts: {failure}")

    def _watch(self) -> None:
        while not self._stopped.wait(_IDLE_CHECK_SECONDS):
            self.close_idle(IDLE_SECONDS)


class Lab:
    """Makes hosts below one folder and starts fleets of them; in ``with``, all are stopped at its end."""

    def __init__(self, folder: Path, runner: Runner) -> None:
        self.folder = folder
        self._runner = runner
        self._exit = contextlib.ExitStack()
        self._numbers: Iterator[int] = iter(range(1, 1_000_000))

    def __enter__(self) -> Lab:
        """Nothing is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the fleets."""
        self._exit.close()

    def host(
        self,
        name: str,
        events: Iterable[Event | str] = (),
        *,
        config: LogConfig | None = None,
        groups: tuple[str, ...] = (),
        variables: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> FleetHost:
        """Makes a host with these events in its Application log; ``settings`` as in write_host()."""
        folder = self.folder / "hosts" / f"{next(self._numbers)}-{name}"
        write_host(folder, name, **settings)
        write_log(folder, events, config=config)
        return FleetHost(name, folder, groups=groups, variables=variables or {})

    def down(self, name: str) -> FleetHost:
        """A host at whose address nothing listens."""
        return FleetHost(name, self.folder / "hosts" / "none", down=True)

    def start(self, *hosts: FleetHost, **settings: Any) -> Fleet:
        """Starts a fleet of these hosts; ``settings`` as in Fleet."""
        fleet = Fleet(hosts, self._runner, self.folder / f"fleet-{next(self._numbers)}", **settings)
        return self._exit.enter_context(fleet)
