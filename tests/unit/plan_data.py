"""Findings with their remedies, and evidence for plans."""

from __future__ import annotations

from typing import Any

from ansible_collections.winpki.scep.plugins.plugin_utils.cause import Finding, classify_events, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.event import parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import HostEvidence, ProfileEvidence
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import HostPlan, plan_remediation, plan_settings

from tests.unit.event_data import AIK, NDES, NOT_RESOLVED, raw
from tests.unit.evidence_data import THUMBPRINT, certificate, probed

PIN = "ab" * 32
CREATED = "2026-11-24T12:00:00Z"
ALL = {"pins": [PIN], "chain_server": "ndes01", "use_http": True, "isolated_network": True}
HOST = "client1"


def evidence(
    *endpoints: dict[str, Any], profiles: list[ProfileEvidence] | None = None, aik: dict[str, Any] | None = None
) -> HostEvidence:
    """Evidence of a host. Where it has profiles, NDES answers over HTTP too, unless a probe says otherwise."""
    found: list[Any] = list(endpoints)
    if profiles and not any(one["scheme"] == "http" for one in endpoints):
        found.append(over_http())
    return {"endpoints": found, "profiles": profiles or [], "aik": aik}


def over_http(*failures: str, port: str = "", thumbprint: str = THUMBPRINT) -> dict[str, Any]:
    """An NDES over HTTP, with a CA that has this thumbprint."""
    url = NDES.replace("https://ndes01.intra.adcslabor.de", f"http://ndes01.intra.adcslabor.de{port}")
    found = probed(*(failures or (None,)), step="http", url=url)
    return {**found, "ca_certificates": [certificate(thumbprint=thumbprint)]}


def untrusted(*failures: str, missing: str = "cd" * 20, **changes: Any) -> dict[str, Any]:
    """An NDES whose chain the host does not trust; it presents its root, which is the one that is pinned."""
    found = probed(*(failures or ("untrusted_root",)), **changes)
    found["tls"] |= {
        "missing_issuer": {"subject": "CN=Root", "key_identifier": missing},
        "presented": [certificate(sha256=PIN, self_signed=True)],
        "built": [certificate(), certificate(sha256="22" * 32, self_signed=True)],
    }
    return found


def isolated(**changes: Any) -> dict[str, Any]:
    """What aik_info says of a host that has never had an AIK certificate."""
    return {
        "had_success": False,
        "had_success_reason": "The last AIK enrolment failed (ErrorCode is 0x80072ee7), and there is no AIK.",
        "state": {"error_code": "0x80072ee7", "windows_aik_hash": None, "task_states": {}},
        "task": {"enabled": True},
        **changes,
    }


def unresolved_aik() -> dict[str, Any]:
    return probed("name_not_resolved", step="dns", url=AIK)


def findings(*events: dict[str, Any], found: HostEvidence | None = None, host: str = HOST) -> list[Finding]:
    """What the events and the evidence of one host give."""
    hosts: Any = {host: {"name": "CLIENT1.intra.adcslabor.de"}}
    given: list[Any] = list(events)
    return classify_events(parse_events(given), load_rules(), hosts, {host: found} if found is not None else None)


def tls_event(**changes: Any) -> dict[str, Any]:
    return raw(**changes)


def aik_event(**changes: Any) -> dict[str, Any]:
    return raw(Url=AIK, ErrorCode=NOT_RESOLVED, **changes)


def plan_of(found: HostEvidence | None, *events: dict[str, Any], **settings: Any) -> HostPlan:
    """The one plan that the events of a host give; without settings, all is allowed."""
    made = plan_remediation(
        findings(*(events or (tls_event(),)), found=found),
        {HOST: found} if found is not None else {},
        plan_settings(settings or ALL),
        CREATED,
    )
    assert len(made) == 1
    return made[0]
