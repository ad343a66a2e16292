"""evidence_info on the lab, real Ansible over WinRM: the same as three modules in one round trip."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.integration.aik_host import endorsement, key_id, write_tpm
from tests.integration.host_state import put_certificate, snapshot
from tests.integration.profile_host import shows_challenge, write_profile
from tests.lab import pki
from tests.lab.aik import AikService
from tests.lab.events import event86
from tests.lab.fleet import FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.pki import Authority
from tests.lab.playbook import run_playbook

MODULE = "winpki.scep.evidence_info"
ADDRESS = "127.0.0.1"
GENEROUS = {"timeout": 120, "connect_timeout": 60}
# What no two runs have in common.
TIMES = {"duration_ms", "clock_skew_seconds"}


def ago(hours: int) -> datetime:
    """A time before this run."""
    return datetime.now(timezone.utc) - timedelta(hours=hours)


def timeless(value: Any) -> Any:
    """The value without what depends on the time."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def ndes() -> Iterator[Ndes]:
    with Ndes("ndes01.lab.example") as server:
        yield server


@pytest.fixture(scope="module")
def found(lab: Lab, ndes: Ndes) -> Iterator[dict[str, Any]]:
    """What each module finds on one host: an NDES that it does not trust, an AIK service, a profile and a TPM."""
    with ExitStack() as stack:
        service = stack.enter_context(AikService(address=ADDRESS))
        maker = Authority.root("Infineon OPTIGA(TM) RSA Manufacturing CA 042")
        name = f"IFX-KeyId-{key_id(maker)}.microsoftaik.azure.net"
        aik_url = f"https://{name}:{service.site.port('https')}/templates/Aik/scep"
        host = lab.host("CLIENT1", [event86(1, ago(2), url=ndes.url()), event86(2, ago(1), url=aik_url)])
        (host.folder / "hosts").write_text(f"{ADDRESS} *\n", "ascii")
        put_certificate(host.folder, "Root", service.root.certificate)
        write_profile(host.folder, ndes.url(), pki.thumbprint(ndes.pki.issuing.certificate))
        write_tpm(host.folder, endorsement(maker, "IFX"))
        before = snapshot(host.folder)
        urls = "{{ events | winpki.scep.failing_urls }}"
        tasks: list[dict[str, Any]] = [
            {"name": "events", "winpki.scep.event_info": {}, "register": "events"},
            {"name": "endpoint_info", "winpki.scep.endpoint_info": {"urls": urls, **GENEROUS}},
            {"name": "profile_info", "winpki.scep.profile_info": {}},
            {"name": "aik_info", "winpki.scep.aik_info": {"host_name": name.lower()}},
            {"name": "evidence_info", MODULE: {"urls": urls, **GENEROUS}, "register": "found"},
            {"name": "without", MODULE: {"urls": []}},
            {"name": "ndes", MODULE: {"urls": [ndes.url("http")], **GENEROUS}},
            {
                "name": "classified",
                "ansible.builtin.set_fact": {
                    "findings": "{{ events.events | winpki.scep.parse_events | winpki.scep.classify_events("
                    "hosts={inventory_hostname: events.host}, evidence={inventory_hostname: found.evidence}) }}"
                },
            },
        ]
        results = play(lab, host, tasks)
        assert snapshot(host.folder) == before
        yield {**results, "urls": [aik_url, ndes.url()]}


def play(lab: Lab, host: FleetHost, tasks: list[dict[str, Any]], *, check: bool = False) -> dict[str, Any]:
    """The result of each task, by its name."""
    fleet = lab.start(host)
    done = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}], fleet.inventory_path, check=check)
    results = {task["name"]: done.of(host.name, task["name"]) for task in tasks}
    for result in results.values():
        assert (result.status, result.result["changed"]) == ("ok", False), result.result.get("msg")
    return {name: result.result for name, result in results.items()}


def test_it_is_what_the_three_modules_find(found: dict[str, Any]) -> None:
    evidence = found["evidence_info"]["evidence"]
    assert timeless(evidence) == {
        "endpoints": timeless(found["endpoint_info"]["endpoints"]),
        "profiles": found["profile_info"]["profiles"],
        "aik": found["aik_info"]["aik"],
    }
    assert found["evidence_info"]["notes"] == found["profile_info"]["notes"] == []


def test_what_it_finds(found: dict[str, Any], ndes: Ndes) -> None:
    """By name, so that equality with something empty can't be taken for right."""
    evidence = found["evidence_info"]["evidence"]
    assert [(one["url"], one["kind"], one["failure"]) for one in evidence["endpoints"]] == [
        (found["urls"][0], "aik", "not_found"),
        (found["urls"][1], "ndes", "untrusted_root"),
    ]
    assert [profile["url"] for profile in evidence["profiles"]] == [ndes.url()]
    assert evidence["profiles"][0]["ca_thumbprint"] == pki.thumbprint(ndes.pki.issuing.certificate)
    assert (evidence["aik"]["tpm"]["manufacturer"], evidence["aik"]["matches"]) == ("IFX", True)
    assert not shows_challenge(found["evidence_info"])


def test_the_tpm_is_read_for_the_aik_service_only(found: dict[str, Any]) -> None:
    assert found["without"]["evidence"]["endpoints"] == []
    assert len(found["without"]["evidence"]["profiles"]) == 1
    assert found["without"]["evidence"]["aik"] is None
    assert [one["ok"] for one in found["ndes"]["evidence"]["endpoints"]] == [True]
    assert found["ndes"]["evidence"]["aik"] is None


def test_the_filters_take_it_as_it_is(found: dict[str, Any]) -> None:
    findings = found["classified"]["ansible_facts"]["findings"]
    assert [(finding["cause"], finding["certainty"], finding["host"]) for finding in findings] == [
        ("aik_tls", "likely", "CLIENT1"),
        ("tls_untrusted", "proven", "CLIENT1"),
    ]
    assert [remedy["role"] for remedy in findings[1]["remedies"]] == ["trust_ndes_chain", "use_http"]
    assert findings[0]["notes"][0].startswith("A probe from this host does not bear out what the event says")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timeout": 0}, "timeout: 0 is not possible; it has to be more than 0 and at most 300 seconds"),
        (
            {"proxy": "ftp://x"},
            "proxy: 'ftp://x' is neither winhttp, account or none, nor the address",
        ),
        ({"urls": [f"http://a{number}" for number in range(101)]}, "urls: 101 different URLs are too many"),
    ],
)
def test_refusals_name_the_option(lab: Lab, arguments: dict[str, Any], message: str) -> None:
    fleet = lab.start(lab.host("EVIDENCE2"))
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"name": "read", MODULE: {"urls": [], **arguments}}]}
    result = run_playbook([play], fleet.inventory_path).of("EVIDENCE2", "read")
    assert result.status == "failed"
    assert message in result.result["msg"]
