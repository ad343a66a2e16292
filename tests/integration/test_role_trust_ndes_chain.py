"""Role trust_ndes_chain on the lab: from hosts that can't reach their NDES to hosts that can, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import put_certificate, set_key, snapshot, stores, undo_records
from tests.lab import pki
from tests.lab.fleet import Fleet, FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.pki import sha256
from tests.lab.playbook import PlaybookResult, run_playbook

BINDINGS = "SYSTEM\\ControlSet001\\Services\\HTTP\\Parameters\\SslBindingInfo"
TRUST = "winpki.scep.trust_ndes_chain : Trust the chain, if it is what this host lacks"
PROBE = "winpki.scep.trust_ndes_chain : Find out whether the chain is what this host lacks"
READ = "winpki.scep.trust_ndes_chain : Read the chain on each NDES server"

PLAY: dict[str, Any] = {
    "name": "Trust the chain",
    "hosts": "clients",
    "gather_facts": False,
    "tasks": [{"name": "Role", "ansible.builtin.import_role": {"name": "winpki.scep.trust_ndes_chain"}}],
}
UNDO: dict[str, Any] = {
    "name": "Take it back",
    "hosts": "clients",
    "gather_facts": False,
    "tasks": [
        {"name": "Records", "winpki.scep.undo_info": {"role": "trust_ndes_chain"}, "register": "found"},
        {
            "name": "Undo",
            "winpki.scep.trust_chain": {"undo": "{{ found.records[-1].change_id }}"},
            "when": "found.records | length > 0",
        },
    ],
}


@pytest.fixture(scope="module")
def ndes() -> Iterator[Ndes]:
    with Ndes("ndes01.lab.example") as started:
        yield started


@pytest.fixture(scope="module")
def stranger(ndes: Ndes) -> Iterator[Ndes]:
    """Another NDES, whose root no host knows, and which presents it."""
    with Ndes("sent.lab.example", authorities=ndes.pki) as started:
        started.chain = "unknown_root_sent"
        yield started


@pytest.fixture(scope="module")
def misnamed(ndes: Ndes) -> Iterator[Ndes]:
    with Ndes("misnamed.lab.example", authorities=ndes.pki) as started:
        started.chain = "wrong_name"
        yield started


@pytest.fixture
def chain_file(ndes: Ndes, tmp_path: Path) -> Path:
    path = tmp_path / "chain.pem"
    path.write_text(f"Lab Root CA\n{ndes.trusted_root}{ndes.intermediate}", "ascii")
    return path


def client(lab: Lab, name: str, ndes: Ndes, **variables: Any) -> FleetHost:
    """A host that trusts nothing and enrols at that NDES; its role's variables."""
    given = {"urls": [ndes.url()], "pins": [sha256(ndes.pki.root.certificate)], **variables}
    prefixed = {f"trust_ndes_chain_{key}": value for key, value in given.items()}
    host = lab.host(name, groups=("clients",), variables=prefixed)
    (host.folder / "hosts").write_text("127.0.0.1 *\nfail gone.lab.example\n", "ascii")
    return host


def ndes_server(lab: Lab, ndes: Ndes) -> FleetHost:
    """The NDES server as a host that Ansible reaches, with its binding and its stores."""
    host = lab.host("NDES01")
    leaf = ndes.leaf("good")
    put_certificate(host.folder, "My", leaf.certificate, key=leaf.key)
    put_certificate(host.folder, "CA", ndes.pki.issuing.certificate)
    put_certificate(host.folder, "Root", ndes.pki.root.certificate)
    binding = f"{BINDINGS}\\0.0.0.0:{ndes.site.port('https')}"
    set_key(host.folder, binding, SslCertHash=("Binary", pki.thumbprint(leaf.certificate).lower()))
    return host


def outcome(done: PlaybookResult, host: str) -> dict[str, Any]:
    found = done.of(host, TRUST)
    assert found.status == "ok", (host, found.result.get("msg"))
    return {key: found.result[key] for key in ("changed", "needed", "source")}


def probed(done: PlaybookResult, host: str) -> list[str | None]:
    return [one["failure"] for one in done.of(host, PROBE).result["endpoints"]]


def test_check_change_again_rollback(lab: Lab, ndes: Ndes, stranger: Ndes, misnamed: Ndes, chain_file: Path) -> None:
    names = ("FILES1", "SERVER1", "SERVER2", "SENT1")
    hosts = {
        "FILES1": client(lab, "FILES1", ndes, files=[str(chain_file)]),
        "SERVER1": client(lab, "SERVER1", ndes, server="NDES01"),
        "SERVER2": client(lab, "SERVER2", ndes, server="NDES01"),
        "SENT1": client(lab, "SENT1", stranger, pins=[sha256(ndes.pki.stranger.chain[-1]).upper(), "0" * 64]),
        "HEALTHY1": client(lab, "HEALTHY1", ndes, server="NDES01"),
        "NAME1": client(lab, "NAME1", misnamed, files=[str(chain_file)]),
    }
    for name in ("HEALTHY1", "NAME1"):
        put_certificate(hosts[name].folder, "Root", ndes.pki.root.certificate)
    fleet = lab.start(*hosts.values(), ndes_server(lab, ndes))
    every = [*fleet.hosts]
    first = {host.name: snapshot(host.folder) for host in every}

    checked = run_playbook([PLAY], fleet.inventory_path, check=True, diff=True, forks=3)
    for name, source in zip(names, ("files", "server", "server", "endpoint"), strict=True):
        assert outcome(checked, name) == {"changed": True, "needed": True, "source": source}
        assert probed(checked, name) == ["untrusted_root"]
        assert checked.of(name, TRUST).result["change_id"] is None
    assert outcome(checked, "HEALTHY1") == {"changed": False, "needed": False, "source": None}
    refused = checked.of("NAME1", TRUST)
    assert (refused.status, refused.result["reason"]) == ("failed", "other_cause")
    assert f"+LocalMachine\\Root {sha256(ndes.pki.root.certificate)} CN=Lab Root CA, O=Lab" in checked.stdout
    # Once for both of those that need it.
    assert [len(one.result["results"]) for one in checked.results if one.task == READ] == [1]
    assert {host.name: snapshot(host.folder) for host in every} == first

    changed = run_playbook([PLAY], fleet.inventory_path, forks=3)
    for name in names:
        assert outcome(changed, name)["changed"] is True
    known = {sha256(ndes.pki.root.certificate)}
    assert stores(hosts["FILES1"].folder) == {"root": known, "ca": {sha256(ndes.pki.issuing.certificate)}}
    assert stores(hosts["SERVER1"].folder) == stores(hosts["SERVER2"].folder) == stores(hosts["FILES1"].folder)
    assert stores(hosts["SENT1"].folder) == {
        "root": {sha256(ndes.pki.stranger.chain[-1])},
        "ca": {sha256(ndes.pki.stranger.certificate)},
    }
    for name in names:
        [record] = undo_records(hosts[name].folder)
        assert (record["role"], record["state"]) == ("trust_ndes_chain", "done")
        assert record["change_id"] == changed.of(name, TRUST).result["change_id"]
    for host in every:
        if host.name not in names:
            assert snapshot(host.folder) == first[host.name]
            assert undo_records(host.folder) == []

    again = run_playbook([PLAY], fleet.inventory_path, forks=3)
    for name in (*names, "HEALTHY1"):
        assert probed(again, name) == [None]
        assert outcome(again, name) == {"changed": False, "needed": False, "source": None}
        assert again.of(name, TRUST).result["change_id"] is None

    undone = run_playbook([UNDO], fleet.inventory_path, forks=3)
    assert all(undone.of(name, "Undo").result["changed"] for name in names)
    assert {host.name: snapshot(host.folder) for host in every} == first


REFUSALS: dict[str, tuple[dict[str, Any], str, str]] = {
    "GONE": (
        {"urls": ["https://gone.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"]},
        "not_proven",
        "It is not proven that this host lacks the chain",
    ),
    "UNPINNED": ({"pins": ["0" * 64]}, "root_not_pinned", "is a root whose SHA-256 is not in pins"),
    "DOWN": ({"files": [], "server": "NDES02"}, "server_not_read", "could not be read on the NDES server NDES02"),
    "UNBOUND": ({"files": [], "server": "NDES03"}, "server_has_no_chain", "NDES03 has no chain to read (no_binding"),
}


def test_refusals(lab: Lab, ndes: Ndes, chain_file: Path) -> None:
    """All in one run: what one host is refused for is no matter of the others."""
    chain = {"files": [str(chain_file)]}
    hosts = [client(lab, name, ndes, **{**chain, **given}) for name, (given, _unused, _unused) in REFUSALS.items()]
    fleet = lab.start(*hosts, lab.down("NDES02"), lab.host("NDES03"))
    before = [snapshot(host.folder) for host in hosts]
    done = run_playbook([PLAY], fleet.inventory_path, forks=3)
    for host, (_unused, reason, sentence) in REFUSALS.items():
        found = done.of(host, TRUST)
        assert (found.status, found.result["changed"], found.result["refused"]) == ("failed", False, True)
        assert found.result["reason"] == reason
        assert found.result["msg"].startswith("Refused, nothing was changed. ")
        assert sentence in found.result["msg"]
    assert [snapshot(host.folder) for host in hosts] == before
    assert [undo_records(host.folder) for host in hosts] == [[] for _unused in hosts]


def test_a_root_that_is_to_come(lab: Lab, ndes: Ndes, chain_file: Path) -> None:
    """The operator waives the proof: for a host that reaches no NDES yet, and for one that trusts it already."""
    gone = client(lab, "GONE1", ndes, urls=["https://gone.lab.example/"], files=[str(chain_file)], unproven=True)
    well = client(lab, "WELL1", ndes, files=[str(chain_file)], unproven=True)
    put_certificate(well.folder, "Root", ndes.pki.root.certificate)
    fleet: Fleet = lab.start(gone, well)
    done = run_playbook([PLAY], fleet.inventory_path)
    for host, added in ((gone, ["added", "added"]), (well, ["present", "added"])):
        result = done.of(host.name, TRUST).result
        assert (result["changed"], result["needed"], result["source"]) == (True, True, "files")
        assert [one["status"] for one in result["certificates"]] == added
        assert stores(host.folder) == {
            "root": {sha256(ndes.pki.root.certificate)},
            "ca": {sha256(ndes.pki.issuing.certificate)},
        }
