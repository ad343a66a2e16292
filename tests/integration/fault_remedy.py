"""The changing roles, each with a host that it has something to change on, for tests that disturb the change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.aik_host import write_task
from tests.integration.fault_host import SETTINGS, clone
from tests.integration.host_state import put_certificate
from tests.integration.profile_host import write_key, write_profile
from tests.lab import pki
from tests.lab.fleet import FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.playbook import run_module, run_playbook

EXAMPLE = "SOFTWARE\\Example\\Scep"
AIK_URL = "https://ifx-keyid-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep"
VERIFY = "winpki.scep.verify : Start an enrolment and wait for its end"
"""The one task of role verify."""
TIMEOUT = 900.0
"""Seconds for a run over many hosts, on a machine that has much else to do."""


@dataclass(frozen=True)
class Remedy:
    """A role, and how its change begins.

    Attributes:
        role: its name.
        task: the task that changes the host.
        command: which of the commands in that task's run is the one that writes.
        arguments: for ansible-playbook, to begin with that task.
        extra_vars: what the tasks before it would have registered.
    """

    role: str
    task: str
    command: int
    arguments: tuple[str, ...] = ()
    extra_vars: Mapping[str, Any] = field(default_factory=dict)

    @property
    def play(self) -> dict[str, Any]:
        """A play of the role on all hosts."""
        role = {"name": "Role", "ansible.builtin.import_role": {"name": f"winpki.scep.{self.role}"}}
        return {"name": self.role, "hosts": "all", "gather_facts": False, "tasks": [role]}


USE_HTTP = Remedy("use_http", "winpki.scep.use_http : Let this host enrol over HTTP", 2)
DISABLE_AIK = Remedy("disable_aik", "winpki.scep.disable_aik : Disable the AIK enrolment task", 1)
ROLLBACK = Remedy("rollback", "winpki.scep.rollback : Take the changes back", 2)


def trust_remedy(host: FleetHost, inventory: Path) -> Remedy:
    """The role trust_ndes_chain, from the task that writes on: with what that host's probe found, as all are alike."""
    task = "winpki.scep.trust_ndes_chain : Trust the chain, if it is what this host lacks"
    options = {"urls": host.variables["trust_ndes_chain_urls"]}
    probe = run_module(inventory, host.name, "winpki.scep.endpoint_info", options)
    assert [one["failure"] for one in probe.result["endpoints"]] == ["untrusted_root"]
    found = {"trust_ndes_chain_probe": {"endpoints": probe.result["endpoints"]}}
    return Remedy("trust_ndes_chain", task, 1, ("--start-at-task", task), found)


def remedy_of(role: str, trust: Remedy) -> Remedy:
    """The remedy of a role, where ``trust`` is that of trust_ndes_chain."""
    return {"trust_ndes_chain": trust, "use_http": USE_HTTP, "disable_aik": DISABLE_AIK, "rollback": ROLLBACK}[role]


def patient(lab: Lab, ndes: Ndes, name: str) -> FleetHost:
    """A host that every role has something to change on, with a trusted certificate and a setting that stay."""
    chain = lab.folder / "chain.pem"
    chain.write_text(f"{ndes.trusted_root}{ndes.intermediate}", "ascii")
    variables = {
        "trust_ndes_chain_urls": [ndes.url()],
        "trust_ndes_chain_pins": [pki.sha256(ndes.pki.root.certificate)],
        "trust_ndes_chain_files": [str(chain)],
        "use_http_urls": [ndes.url()],
        "use_http_port": ndes.site.port("http"),
        "use_http_timeout": 60,
        "disable_aik_isolated_network": True,
        "disable_aik_urls": [AIK_URL],
        "disable_aik_timeout": 60,
        "rollback_all": True,
    }
    host = lab.host(name, variables=variables)
    (host.folder / "hosts").write_text(f"127.0.0.1 {ndes.name}\nfail *\n", "ascii")
    put_certificate(host.folder, "Root", pki.Authority.root("Another Root CA").certificate)
    write_task(host.folder, LastRunTime="2026-10-01T06:00:00Z", LastTaskResult=0x80072EE7)
    write_profile(host.folder, ndes.url(), pki.thumbprint(ndes.pki.issuing.certificate))
    write_key(host.folder, EXAMPLE, {"Other": ("DWord", 7)})
    return host


def patient_with_settings(template: FleetHost, ndes: Ndes, name: str) -> FleetHost:
    """One that holds the URL in a profile, in a registry value and in a file."""
    host = clone(template, name)
    write_key(host.folder, EXAMPLE, {"Url": ("String", ndes.url())})
    file = host.folder / SETTINGS / "scep client.ini"
    file.parent.mkdir()
    file.write_bytes(f"# scep\r\nurl = {ndes.url()}\r\n".encode("utf-16"))
    more = {
        "use_http_registry_values": [{"path": f"HKLM\\{EXAMPLE}", "name": "Url"}],
        "use_http_files": [str(file)],
        "use_http_ca_thumbprint": pki.thumbprint(ndes.pki.issuing.certificate),
    }
    return FleetHost(name, host.folder, variables={**host.variables, **more})


def change(remedy: Remedy, inventory: Path, limit: str | None = None) -> None:
    """Has a role change hosts of an inventory."""
    done = run_playbook(
        [remedy.play],
        inventory,
        forks=3,
        limit=limit,
        timeout=TIMEOUT,
        extra_vars=remedy.extra_vars,
        arguments=remedy.arguments,
    )
    assert done.exit_code == 0, done.stdout
