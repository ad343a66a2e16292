"""Action trust_endpoint in a play: what is refused on the controller, before any host is connected to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.pki import DER, Authority, Leaf, sha256
from tests.lab.playbook import PlaybookResult, run_playbook

URL = "https://ndes01.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
ROOT = Authority.root("Lab Root CA")
ISSUING = ROOT.intermediate("Lab Issuing CA 1")
LEAF = ISSUING.leaf("ndes01.lab.example")
OTHER = Authority.root("Lab Root CA")


def certificate(source: Authority | Leaf) -> dict[str, Any]:
    found = source.certificate
    names = {"subject": found.subject.rfc4514_string(), "issuer": found.issuer.rfc4514_string()}
    marks = {"is_ca": isinstance(source, Authority), "self_signed": found.subject == found.issuer}
    return {**names, **marks, "sha256": sha256(found), "pem": source.pem}


CHAIN = [certificate(LEAF), certificate(ISSUING)]
LACKING = {
    "url": URL,
    "scheme": "https",
    "host": "ndes01.lab.example",
    "port": 443,
    "ok": False,
    "failed_step": "tls",
    "failure": "untrusted_root",
    "detail": "Its root is not known to this host.",
    "tls": {"failures": ["untrusted_root"], "built": CHAIN, "presented": CHAIN},
}
WELL = {**LACKING, "ok": True, "failed_step": None, "failure": None, "tls": {"failures": []}}
EXPIRED = {**LACKING, "failure": "expired", "detail": "It is over.", "tls": {"failures": ["expired"]}}
PINS = [sha256(ROOT.certificate)]

CASES: dict[str, dict[str, Any]] = {
    "well": {"endpoints": [WELL], "files": ["chain.pem"]},
    "no_pins": {"pins": [" "], "files": ["chain.pem"]},
    "other_cause": {"endpoints": [EXPIRED], "files": ["chain.pem"], "unproven": True},
    "no_file": {"files": ["nowhere.pem"]},
    "der": {"files": ["chain.cer"]},
    "key": {"files": ["chain.pem", "key.pem"]},
    "other_root": {"files": ["other.pem"], "pins": [sha256(OTHER.certificate)]},
    "no_root": {},
    "not_read": {"server": "NDES01"},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> PlaybookResult:
    folder = tmp_path_factory.mktemp("play")
    (folder / "files").mkdir()
    texts = {"chain.pem": ISSUING.pem + ROOT.pem, "other.pem": OTHER.pem, "key.pem": LEAF.key_pem}
    for name, text in texts.items():
        (folder / "files" / name).write_text(text, "ascii")
    (folder / "files" / "chain.cer").write_bytes(ROOT.certificate.public_bytes(DER))
    inventory = folder / "inventory.yml"
    # Nothing listens there: a task that connects is not refused but unreachable.
    variables = {"ansible_connection": "winrm", "ansible_host": "127.255.0.1", "ansible_user": "nobody"}
    inventory.write_text(f"all:\n  hosts:\n    CLIENT1: {variables | {'ansible_password': 'none'}}\n", "ascii")
    tasks = [
        {
            "name": name,
            "winpki.scep.trust_endpoint": {"endpoints": [LACKING], "pins": PINS, **arguments},
            "ignore_errors": True,
        }
        for name, arguments in CASES.items()
    ]
    play = folder / "play.json"
    play.write_text(json.dumps([{"name": "Cases", "hosts": "all", "gather_facts": False, "tasks": tasks}]), "ascii")
    return run_playbook(play, inventory)


def test_a_host_that_lacks_nothing_is_not_connected_to(done: PlaybookResult) -> None:
    found = done.of("CLIENT1", "well")
    assert (found.status, found.result["changed"], found.result["needed"]) == ("ok", False, False)
    assert (found.result["change_id"], found.result["source"], found.result["certificates"]) == (None, None, [])
    assert found.result["endpoints"] == [
        {"url": URL, "judgement": "trusted", "detail": "The host trusts the endpoint's chain."}
    ]


@pytest.mark.parametrize(
    ("case", "reason", "message"),
    [
        ("no_pins", "no_pins", "pins is empty: give the SHA-256 of each root that this host may trust"),
        ("other_cause", "other_cause", f"No chain would mend this host's trouble with {URL}: It is over."),
        ("no_file", "file_not_read", "files: nowhere.pem can't be read: "),
        ("der", "file_not_read", "files: chain.cer is not PEM: convert it with `openssl x509 -inform DER` first."),
        ("key", "private_key", "certificates entry 2 holds a private key: give the certificates alone"),
        ("other_root", "chain_does_not_fit", "is the certificate of CN=Lab Root CA,O=Lab, which is not in the chain"),
        ("no_root", "root_not_presented", f"{URL} does not present a root whose SHA-256 is in pins."),
        ("not_read", "server_not_read", "The NDES server NDES01 was not asked for its chain: run this again."),
    ],
)
def test_refusals(done: PlaybookResult, case: str, reason: str, message: str) -> None:
    found = done.of("CLIENT1", case)
    assert (found.status, found.result["changed"], found.result["refused"]) == ("failed", False, True)
    assert found.result["reason"] == reason == found.result["refusals"][0]["reason"]
    assert found.result["msg"].startswith("Refused, nothing was changed. ")
    assert message in found.result["msg"]


def test_a_key_is_not_shown(done: PlaybookResult) -> None:
    assert LEAF.key_pem.splitlines()[1] not in done.stdout + done.stderr
