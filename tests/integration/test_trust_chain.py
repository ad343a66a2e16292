"""trust_chain on the lab; the stores and the registry are looked at in the host's files, not by what is tested."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.host_state import (
    deny,
    put_certificate,
    set_key,
    snapshot,
    store_file,
    stores,
    undo_records,
    write_record,
)
from tests.integration.module_process import ModuleHost
from tests.lab.engine import Engine
from tests.lab.fleet import Lab
from tests.lab.pki import Authority, sha256, thumbprint
from tests.lab.playbook import run_playbook

MODULE = "winpki.scep.trust_chain"


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path / "client1", "trust_chain") as started:
        yield started


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority.root("Lab Root CA")


@pytest.fixture(scope="module")
def issuing(root: Authority) -> Authority:
    return root.intermediate("Lab Issuing CA 1")


@pytest.fixture
def chain(root: Authority, issuing: Authority) -> dict[str, Any]:
    return {
        "certificates": [issuing.pem + root.pem],
        "pins": [sha256(root.certificate)],
        "role": "trust_ndes_chain",
    }


def entry(store: str, authority: Authority, *, present: bool, changed: bool) -> dict[str, Any]:
    certificate = authority.certificate
    return {
        "store": store,
        "thumbprint": thumbprint(certificate),
        "sha256": sha256(certificate),
        "subject": ", ".join(part.rfc4514_string() for part in reversed(certificate.subject.rdns)),
        "present": present,
        "pem": authority.pem if present and changed else None,
    }


def words(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["store"], one["subject"], one["status"]) for one in result["certificates"]]


ISSUING, ROOT = "CN=Lab Issuing CA 1, O=Lab", "CN=Lab Root CA, O=Lab"


def test_check_change_again_undo(host: ModuleHost, chain: dict[str, Any], root: Authority, issuing: Authority) -> None:
    bystander = Authority.root("Another Root CA")
    put_certificate(host.folder, "Root", bystander.certificate)
    first = snapshot(host.folder)
    absent = [entry("CA", issuing, present=False, changed=True), entry("Root", root, present=False, changed=True)]
    there = [entry("CA", issuing, present=True, changed=True), entry("Root", root, present=True, changed=True)]
    lines = (
        f"LocalMachine\\CA {sha256(issuing.certificate)} CN=Lab Issuing CA 1, O=Lab\n"
        f"LocalMachine\\Root {sha256(root.certificate)} CN=Lab Root CA, O=Lab\n"
    )
    added = [("CA", ISSUING, "added"), ("Root", ROOT, "added")]

    checked = host.one(chain, check=True, diff=True)
    assert (checked["changed"], checked["change_id"], checked["undo"]) == (True, None, None)
    assert (checked["before"], checked["after"]) == (absent, there)
    assert checked["diff"] == {"before": "", "after": lines}
    assert words(checked) == added
    assert snapshot(host.folder) == first
    assert undo_records(host.folder) == []

    changed = host.one(chain, diff=True)
    assert re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", changed["change_id"])
    assert (changed["changed"], changed["before"], changed["after"]) == (True, absent, there)
    assert (changed["diff"], words(changed)) == (checked["diff"], added)
    assert stores(host.folder) == {
        "ca": {sha256(issuing.certificate)},
        "root": {sha256(root.certificate), sha256(bystander.certificate)},
    }
    [record] = undo_records(host.folder)
    assert record == changed["undo"]
    assert {key: value for key, value in record.items() if key != "created"} == {
        "change_id": changed["change_id"],
        "role": "trust_ndes_chain",
        "module": "trust_chain",
        "host": "CLIENT1",
        "state": "done",
        "before": absent,
        "after": there,
    }
    second = snapshot(host.folder)

    again = host.one(chain, diff=True)
    assert (again["changed"], again["change_id"], again["undo"]) == (False, None, None)
    assert words(again) == [("CA", ISSUING, "present"), ("Root", ROOT, "present")]
    assert again["before"] == again["after"]
    assert again["diff"] == {"before": lines, "after": lines}
    assert snapshot(host.folder) == second
    assert undo_records(host.folder) == [record]

    undo = {"undo": changed["change_id"]}
    undo_checked = host.one(undo, check=True, diff=True)
    assert (undo_checked["changed"], undo_checked["change_id"]) == (True, None)
    assert undo_checked["diff"] == {"before": lines, "after": ""}
    assert snapshot(host.folder) == second
    assert undo_records(host.folder) == [record]

    undone = host.one(undo)
    assert (undone["changed"], undone["change_id"]) == (True, changed["change_id"])
    assert words(undone) == [("CA", ISSUING, "removed"), ("Root", ROOT, "removed")]
    assert (undone["before"], undone["after"]) == (there, absent)
    assert snapshot(host.folder) == first
    assert undo_records(host.folder) == [{**record, "state": "undone"}] == [undone["undo"]]

    undone_again = host.one(undo)
    assert (undone_again["changed"], undone_again["change_id"]) == (False, None)
    assert snapshot(host.folder) == first


def test_what_was_there_before_stays(
    host: ModuleHost, chain: dict[str, Any], root: Authority, issuing: Authority
) -> None:
    put_certificate(host.folder, "Root", root.certificate)
    first = snapshot(host.folder)
    # The root is trusted already, so the authority below it needs no pin: it brings no new trust.
    below = host.one({"certificates": [issuing.pem]})
    assert words(below) == [("CA", ISSUING, "added")]
    assert words(host.one({"undo": below["change_id"]})) == [("CA", ISSUING, "removed")]

    both = host.one(chain)
    assert words(both) == [("CA", ISSUING, "added"), ("Root", ROOT, "present")]
    assert both["undo"]["before"] == [
        entry("CA", issuing, present=False, changed=True),
        entry("Root", root, present=True, changed=False),
    ]
    assert words(host.one({"undo": both["change_id"]})) == [("CA", ISSUING, "removed")]
    assert snapshot(host.folder) == first


def test_pins_as_people_copy_them(host: ModuleHost) -> None:
    roots = [Authority.root(f"Lab Root CA {number}") for number in range(4)]
    digits = [sha256(one.certificate) for one in roots]
    pairs = [re.findall("..", one) for one in digits]
    pins = [":".join(pairs[0]).upper(), " ".join(pairs[1]), "\u200e" + digits[2].upper(), f" {'-'.join(pairs[3])}\n"]
    arguments = {"certificates": ["\n".join(one.pem for one in roots)], "pins": [*pins, "0" * 64]}
    assert [status for _unused, _unused, status in words(host.one(arguments, check=True))] == ["added"] * 4


def test_absent_takes_out_what_was_added(
    host: ModuleHost, chain: dict[str, Any], root: Authority, issuing: Authority
) -> None:
    first = snapshot(host.folder)
    absent = {"certificates": [root.pem, issuing.pem], "state": "absent", "role": "cleaning"}
    host.one(chain)
    second = snapshot(host.folder)

    checked = host.one(absent, check=True, diff=True)
    assert words(checked) == [("Root", ROOT, "removed"), ("CA", ISSUING, "removed")]
    assert checked["diff"]["after"] == ""
    assert snapshot(host.folder) == second

    removed, again = host.one(absent), host.one(absent)
    assert (removed["changed"], words(removed)) == (True, words(checked))
    assert removed["undo"]["before"][0] == entry("Root", root, present=True, changed=True)
    assert (again["changed"], words(again)) == (False, [("Root", ROOT, "absent"), ("CA", ISSUING, "absent")])
    assert snapshot(host.folder) == first

    back = host.one({"undo": removed["change_id"]})
    assert words(back) == [("Root", ROOT, "added"), ("CA", ISSUING, "added")]
    assert stores(host.folder) == {"ca": {sha256(issuing.certificate)}, "root": {sha256(root.certificate)}}
    # And it is this module's again.
    assert host.one(absent)["changed"] is True
    assert snapshot(host.folder) == first


def test_absent_leaves_what_others_added(
    host: ModuleHost, chain: dict[str, Any], root: Authority, issuing: Authority
) -> None:
    put_certificate(host.folder, "Root", root.certificate)
    made = host.one(chain)
    refused = host.fail({"certificates": [root.pem, issuing.pem], "state": "absent"})
    assert refused["reason"] == "not_added_here"
    assert refused["msg"] == (
        "Refused, nothing was changed. certificates entry 1, block 1 (CN=Lab Root CA, O=Lab) is in LocalMachine\\Root, "
        "but no undo record says that this module added it: remove it by hand if nothing else needs it."
    )
    assert stores(host.folder) == {"ca": {sha256(issuing.certificate)}, "root": {sha256(root.certificate)}}
    assert undo_records(host.folder) == [made["undo"]]


@pytest.mark.parametrize(
    ("key", "source", "origin"),
    [
        ("Policies\\Microsoft\\SystemCertificates\\Root", "group_policy", "Group Policy"),
        ("Microsoft\\EnterpriseCertificates\\Root", "enterprise", "Active Directory"),
        ("Microsoft\\SystemCertificates\\AuthRoot", "third_party", "Windows' own list of third-party roots"),
    ],
)
def test_what_others_bring_is_not_removed(
    host: ModuleHost, chain: dict[str, Any], root: Authority, key: str, source: str, origin: str
) -> None:
    made = host.one(chain)
    path = f"SOFTWARE\\{key}\\Certificates\\{thumbprint(root.certificate)}"
    set_key(host.folder, path, Blob=("Binary", "00"))
    assert [one["sources"] for one in host.one(chain)["certificates"]] == [[], [source]]
    absent = host.fail({"certificates": [root.pem], "state": "absent"})
    undo = host.fail({"undo": made["change_id"]})
    assert absent["reason"] == undo["reason"] == "managed_elsewhere"
    assert undo["msg"] == (
        f"Refused, nothing was changed. CN=Lab Root CA, O=Lab also comes from {origin} and would stay in "
        "LocalMachine\\Root: remove it there."
    )
    assert undo_records(host.folder) == [made["undo"]]


# Faults and interruptions


def test_a_failure_in_the_middle_is_put_back(host: ModuleHost, root: Authority, issuing: Authority) -> None:
    second = root.intermediate("Lab Issuing CA 2")
    blocker = store_file(host.folder, "CA", second.certificate)
    blocker.mkdir(parents=True)  # where the certificate's file has to go
    arguments = {"certificates": [root.pem, issuing.pem, second.pem], "pins": [sha256(root.certificate)]}
    done = host.fail(arguments)
    assert re.fullmatch(
        r"The change failed: certificates entry 3, block 1 \(CN=Lab Issuing CA 2, O=Lab\) in LocalMachine\\CA: .+ "
        r"The host is as it was\.",
        done["msg"],
    )
    blocker.rmdir()
    assert stores(host.folder) == {}
    assert undo_records(host.folder) == []
    assert [status for _unused, _unused, status in words(host.one(arguments))] == ["added"] * 3


def test_without_an_undo_record_there_is_no_change(host: ModuleHost, chain: dict[str, Any]) -> None:
    deny(host.folder, "SOFTWARE", "readonly")
    first = snapshot(host.folder)
    message = host.fail(chain)["msg"]
    assert message.startswith("The undo record could not be written to HKLM\\SOFTWARE\\winpki.scep\\Undo: ")
    assert snapshot(host.folder) == first


def test_an_undo_that_cannot_be_recorded_is_put_back(host: ModuleHost, chain: dict[str, Any]) -> None:
    made = host.one(chain)
    before = stores(host.folder)
    deny(host.folder, "SOFTWARE", "readonly")
    message = host.fail({"undo": made["change_id"]})["msg"]
    assert message.startswith("The change failed: The undo record could not be written to ")
    assert message.endswith(" The host is as it was.")
    assert stores(host.folder) == before
    assert undo_records(host.folder) == [made["undo"]]


def test_an_interrupted_change_can_be_repeated_and_undone(
    host: ModuleHost, chain: dict[str, Any], root: Authority, issuing: Authority
) -> None:
    # What a process that was killed leaves: the record, and the first of the two certificates.
    interrupted = {
        "change_id": "20260131T080000Z-0a1b2c3d",
        "role": None,
        "module": "trust_chain",
        "host": "CLIENT1",
        "created": "2026-01-31T08:00:00.0000000Z",
        "state": "prepared",
        "before": [entry("CA", issuing, present=False, changed=True), entry("Root", root, present=False, changed=True)],
        "after": [entry("CA", issuing, present=True, changed=True), entry("Root", root, present=True, changed=True)],
    }
    write_record(host.folder, interrupted)
    put_certificate(host.folder, "CA", issuing.certificate)

    repeated = host.one(chain)
    assert words(repeated) == [("CA", ISSUING, "present"), ("Root", ROOT, "added")]
    early = host.fail({"undo": "20260131T080000Z-0a1b2c3d"})
    assert early["reason"] == "used_by_later_change"
    assert early["refusals"][0]["message"] == (
        f"The later change {repeated['change_id']} rests on {ISSUING} as well: undo that one first."
    )
    assert words(host.one({"undo": repeated["change_id"]})) == [("Root", ROOT, "removed")]
    undone = host.one({"undo": "20260131T080000Z-0a1b2c3d"})
    assert words(undone) == [("CA", ISSUING, "removed"), ("Root", ROOT, "absent")]
    assert stores(host.folder) == {}


def test_an_undo_takes_only_what_is_still_there(host: ModuleHost, chain: dict[str, Any], root: Authority) -> None:
    made = host.one(chain)
    store_file(host.folder, "Root", root.certificate).unlink()
    undone = host.one({"undo": made["change_id"]})
    assert words(undone) == [("CA", ISSUING, "removed"), ("Root", ROOT, "absent")]
    assert stores(host.folder) == {}


def test_a_record_whose_certificate_was_replaced_is_refused(host: ModuleHost, chain: dict[str, Any]) -> None:
    host.one(chain)
    removed = host.one({"certificates": chain["certificates"], "state": "absent"})
    replaced = undo_records(host.folder)[1]
    replaced["before"][1]["pem"] = Authority.root("Lab Root CA").pem
    write_record(host.folder, replaced)
    assert host.fail({"undo": removed["change_id"]})["msg"] == (
        f"The undo record {removed['change_id']} is damaged: a certificate in it is not the one that it names. "
        "It cannot be undone with it."
    )
    assert stores(host.folder) == {}


# Over WinRM, with what Ansible does around a module


def test_over_winrm(lab: Lab, chain: dict[str, Any], root: Authority, issuing: Authority) -> None:
    started = lab.host("CLIENT1")
    leaf = issuing.leaf("ndes01.lab.example")
    tasks: list[dict[str, Any]] = [
        {"name": "check", MODULE: chain, "check_mode": True, "diff": True},
        {"name": "change", MODULE: chain, "register": "done"},
        {"name": "again", MODULE: chain},
        {"name": "undo", MODULE: {"undo": "{{ done.change_id }}"}},
        {"name": "refused", MODULE: {"certificates": [leaf.pem]}, "ignore_errors": True},
        {"name": "key", MODULE: {"certificates": [root.pem, leaf.chain_pem() + leaf.key_pem]}, "ignore_errors": True},
    ]
    play = {"name": "Trust the chain", "hosts": "all", "gather_facts": False, "tasks": tasks}
    done = run_playbook([play], lab.start(started).inventory_path, arguments=["-vvv"])
    results = {task["name"]: done.of("CLIENT1", task["name"]).result for task in tasks}

    assert [results[name]["changed"] for name in ("check", "change", "again", "undo")] == [True, True, False, True]
    assert words(results["change"]) == [("CA", ISSUING, "added"), ("Root", ROOT, "added")]
    assert f"+LocalMachine\\Root {sha256(root.certificate)} CN=Lab Root CA, O=Lab" in done.stdout
    assert results["refused"]["reason"] == "not_a_ca"
    assert stores(started.folder) == {}
    assert [record["state"] for record in undo_records(started.folder)] == ["undone"]

    assert results["key"]["msg"] == (
        "Refused, nothing was changed. certificates entry 2 holds a private key: give the certificates alone, and "
        "treat that key as disclosed."
    )
    secret = leaf.key_pem.splitlines()[1]
    assert secret not in done.stdout + done.stderr + str(results)
    held = [path for path in started.folder.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert held == []
