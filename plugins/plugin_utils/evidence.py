# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What probes have found out about a host, and which part of it belongs to an event. In prose: docs/data.md."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict

from ansible_collections.winpki.scep.plugins.plugin_utils.clock import time_by_controller
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import Endpoint, authority
from ansible_collections.winpki.scep.plugins.plugin_utils.event import time_of

FailedStep = Literal["url", "dns", "proxy", "connect", "tls", "http", "scep", "clock"]
# The words of endpoint_info. probe_failed: the module itself failed, which says nothing about the server. clock_wrong
# is made here, for rules: the certificate is out of its validity by the host's clock, which is wrong, and by it alone.
FailureWord = Literal[
    "bad_url",
    "name_not_resolved",
    "dns_timeout",
    "refused",
    "unreachable",
    "timeout",
    "reset",
    "proxy_unreachable",
    "proxy_authentication",
    "proxy_refused",
    "untrusted_root",
    "missing_intermediate",
    "name_mismatch",
    "expired",
    "not_yet_valid",
    "revoked",
    "revocation_unreachable",
    "wrong_usage",
    "no_common_protocol",
    "intercepted",
    "client_certificate_wanted",
    "tls_failed",
    "unauthorized",
    "forbidden",
    "not_found",
    "busy",
    "server_error",
    "other_status",
    "not_scep",
    "clock_skew",
    "probe_failed",
    "clock_wrong",
]


class Certificate(TypedDict):
    """A certificate as every module returns it: thumbprint is SHA-1 in upper hex, sha256 lower hex, times ISO UTC."""

    subject: str
    issuer: str
    serial_number: str
    thumbprint: str
    sha256: str
    not_before: str
    not_after: str
    is_ca: bool
    self_signed: bool
    subject_key_identifier: str | None
    authority_key_identifier: str | None
    dns_names: list[str]
    pem: str


class StepError(TypedDict):
    """The exception that a step met; the message is in the host's language."""

    type: str | None
    hresult: str | None
    code: str | None
    message: str | None


class ProbeStep(TypedDict):
    """A step of a probe; ``ok`` is null if it was not done."""

    step: str
    ok: bool | None
    duration_ms: int | None
    error: StepError | None


class MissingIssuer(TypedDict):
    """The issuer that a chain lacks."""

    subject: str
    key_identifier: str | None


class Tls(TypedDict):
    """The handshake: ``failures`` is all that is wrong with the certificate, worst first."""

    protocol: str | None
    presented: list[Certificate]
    built: list[Certificate]
    status: list[str]
    policy_errors: list[str]
    failures: list[FailureWord]
    missing_issuer: MissingIssuer | None
    client_certificate_requested: bool
    negotiation: dict[str, Any] | None


class EndpointEvidence(TypedDict):
    """What happened when the host asked a SCEP service: an element of what endpoint_info returns as ``endpoints``."""

    url: str
    kind: Literal["ndes", "aik", "other"]
    scheme: str | None
    host: str | None
    port: int | None
    ok: bool
    failed_step: FailedStep | None
    failure: FailureWord | None
    detail: str | None
    duration_ms: int
    steps: list[ProbeStep]
    dns: dict[str, Any] | None
    proxy: dict[str, Any] | None
    tls: Tls | None
    http: dict[str, Any] | None
    ca_caps: list[str] | None
    ca_certificates: list[Certificate] | None
    clock_skew_seconds: float | None


class ProfileEndpoint(TypedDict):
    """What a URL of a profile points at; the port also where it is the scheme's own."""

    url: str
    kind: Literal["ndes", "aik", "other"]
    scheme: str | None
    host: str | None
    port: int | None


class ProfileEvidence(TypedDict):
    """A setting of a SCEP client: an element of what profile_info returns as ``profiles``.

    What MDM alone writes is null for the others: from ``scope`` to ``id``, and from ``subject_name`` to
    ``certificate_thumbprint``. ``encoding`` and ``bom`` are null for the registry, ``name`` and ``kind`` for files.
    """

    source: Literal["mdm", "registry", "file"]
    scope: Literal["device", "user"] | None
    sid: str | None
    id: str | None
    path: str
    name: str | None
    kind: str | None
    url: str | None
    urls: list[str]
    endpoints: list[ProfileEndpoint]
    ca_thumbprint: str | None
    ca_thumbprint_text: str | None
    subject_name: str | None
    subject_alternative_names: str | None
    template_name: str | None
    key_usage: int | None
    key_length: int | None
    key_protection: int | None
    hash_algorithm: str | None
    eku_mapping: Any
    retry_count: int | None
    retry_delay: int | None
    current_retry_count: int | None
    valid_period: str | None
    valid_period_units: int | None
    status: int | None
    error_code: str | None
    certificate_thumbprint: str | None
    encoding: str | None
    bom: bool | None
    lines: list[int]
    notes: list[str]


class HostEvidence(TypedDict, total=False):
    """All evidence of a host.

    Attributes:
        endpoints: what endpoint_info found.
        profiles: what profile_info found.
        aik: what aik_info found.
    """

    endpoints: list[EndpointEvidence]
    profiles: list[ProfileEvidence]
    aik: dict[str, Any] | None


class RuleEvidence(TypedDict):
    """What a rule sees as ``evidence``: of the endpoints only the one that the event is about."""

    endpoint: EndpointEvidence | None
    profiles: list[ProfileEvidence]
    aik: dict[str, Any] | None


# What is read of a certificate without a further look.
_CERTIFICATE_KEYS = {"subject", "issuer", "sha256", "self_signed", "is_ca", "pem", "not_before", "not_after"}
_VALIDITY: frozenset[FailureWord] = frozenset({"expired", "not_yet_valid"})
# A revocation list is out of its validity by the same clock.
_UNSEEN: frozenset[FailureWord] = frozenset({"revocation_unreachable"})


class EvidenceError(ValueError):
    """Evidence that has not the shape of any."""

    def __init__(self, host: str, reason: str) -> None:
        """Names the host and says what is wrong."""
        super().__init__(f"the evidence of {host} can't be used: {reason}")


# What is read of each part without a further look, with the types that it may have.
_TEXT, _MAYBE_TEXT = (str,), (str, type(None))
_ENDPOINT_KEYS: dict[str, tuple[type, ...]] = {
    "url": _TEXT,
    "kind": _TEXT,
    "scheme": _MAYBE_TEXT,
    "host": _MAYBE_TEXT,
    "port": (int, type(None)),
    "ok": (bool,),
    "failed_step": _MAYBE_TEXT,
    "failure": _MAYBE_TEXT,
    "detail": _MAYBE_TEXT,
    "tls": (Mapping, type(None)),
    "ca_certificates": (list, type(None)),
}
_PROFILE_KEYS: dict[str, tuple[type, ...]] = {
    "source": _TEXT,
    "path": _TEXT,
    "urls": (list,),
    "name": _MAYBE_TEXT,
    "ca_thumbprint": _MAYBE_TEXT,
}
_AIK_KEYS: dict[str, tuple[type, ...]] = {"had_success": (bool, type(None)), "state": (Mapping,), "task": (Mapping,)}


def check_evidence(host: str, evidence: Any) -> None:
    """Looks whether ``evidence`` is a host's: a host that lies must not stop the report on all others.

    Raises:
        EvidenceError: it is not.
    """
    if not isinstance(evidence, Mapping):
        raise EvidenceError(host, f"it must be a dict with endpoints, profiles and aik, not {type(evidence).__name__}")
    unknown = sorted(str(key) for key in evidence if key not in HostEvidence.__annotations__)
    if unknown:
        raise EvidenceError(host, f"unknown key {unknown[0]!r}; known are aik, endpoints, profiles")
    for key in ("endpoints", "profiles"):
        items = evidence.get(key)
        if items is not None and not (isinstance(items, list) and all(isinstance(item, Mapping) for item in items)):
            raise EvidenceError(host, f"{key} must be a list of dicts")
    aik = evidence.get("aik")
    if not isinstance(aik or {}, Mapping):
        raise EvidenceError(host, f"aik must be a dict, not {type(aik).__name__}")
    parts = [("an endpoint", item, _ENDPOINT_KEYS) for item in evidence.get("endpoints") or []]
    parts += [("a profile", item, _PROFILE_KEYS) for item in evidence.get("profiles") or []]
    parts += [("aik", aik, _AIK_KEYS)] if aik else []
    for what, item, keys in parts:
        wrong = next((key for key, kinds in keys.items() if not isinstance(item.get(key, ...), kinds)), None)
        if wrong is not None:
            raise EvidenceError(host, f"{what} has no usable {wrong}")
    for item in evidence.get("endpoints") or []:
        _check_certificates(host, item)
    if not all(isinstance(url, str) for item in evidence.get("profiles") or [] for url in item["urls"]):
        raise EvidenceError(host, "a profile has no usable urls")


def _is_known(certificate: Mapping[str, Any]) -> bool:
    return certificate.keys() >= _CERTIFICATE_KEYS


def _check_certificates(host: str, endpoint: Mapping[str, Any]) -> None:
    if not all(isinstance(one, Mapping) for one in endpoint["ca_certificates"] or ()):
        raise EvidenceError(host, "an endpoint has no usable ca_certificates")
    tls = endpoint["tls"]
    if not tls:
        return
    failures, missing = tls.get("failures"), tls.get("missing_issuer")
    if not isinstance(failures, list) or not all(isinstance(word, str) for word in failures):
        raise EvidenceError(host, "an endpoint has no usable tls.failures")
    for key in ("built", "presented"):
        chain = tls.get(key)
        if not isinstance(chain, list) or not all(isinstance(one, Mapping) and _is_known(one) for one in chain):
            raise EvidenceError(host, f"an endpoint has no usable tls.{key}")
    if not isinstance(missing or {}, Mapping):
        raise EvidenceError(host, "an endpoint has no usable tls.missing_issuer")


def rule_evidence(evidence: HostEvidence, endpoint: Endpoint | None, host: Mapping[str, Any]) -> RuleEvidence:
    """Returns what a rule sees for an event about ``endpoint``.

    Args:
        evidence: of the host.
        endpoint: of the event.
        host: what event_info says of it as ``host``.
    """
    return {
        "endpoint": _blame_clock(endpoint_evidence(evidence, endpoint), time_by_controller(host)),
        "profiles": evidence.get("profiles") or [],
        "aik": evidence.get("aik"),
    }


def endpoint_evidence(evidence: HostEvidence, endpoint: Endpoint | None) -> EndpointEvidence | None:
    """Returns what was found out about ``endpoint``: same scheme, host and port; among several the same path first."""
    if endpoint is None or not endpoint["host"]:
        return None
    wanted = authority(endpoint["scheme"], endpoint["host"], endpoint["port"])
    found = evidence.get("endpoints") or []
    fitting = [item for item in found if authority(item["scheme"], item["host"], item["port"]) == wanted]
    path = (endpoint["path"] or "").casefold()
    return next((item for item in fitting if item["url"].casefold().endswith(path)), fitting[0] if fitting else None)


def _blame_clock(probe: EndpointEvidence | None, right_time: datetime | None) -> EndpointEvidence | None:
    """Returns the probe with the failure ``clock_wrong`` where the server's certificates are valid at the right time.

    Args:
        probe: of an endpoint.
        right_time: when it was made, None if the host's clock was not wrong.
    """
    tls = probe["tls"] if probe else None
    if probe is None or right_time is None or not tls or not set(failure_words(probe)) <= _VALIDITY | _UNSEEN:
        return probe
    if probe["failure"] not in _VALIDITY or not tls.get("presented"):
        return probe
    for certificate in tls["presented"]:
        begin, end = time_of(certificate.get("not_before")), time_of(certificate.get("not_after"))
        if begin is None or end is None or not begin <= right_time <= end:
            return probe
    return {**probe, "failure": "clock_wrong", "tls": {**tls, "failures": ["clock_wrong"]}}


def failure_words(probe: EndpointEvidence | None) -> list[FailureWord]:
    """Returns what failed, the worst first; nothing if nothing did, or if the probe itself failed."""
    if not probe or not probe.get("failure") or probe["failure"] in (None, "probe_failed"):
        return []
    tls = probe.get("tls")
    others = tls.get("failures") or [] if tls else []
    return [probe["failure"], *(word for word in others if word != probe["failure"])]


def probe_notes(probe: EndpointEvidence | None, *, contradicts: bool) -> list[str]:
    """Returns the sentences that a probe of a finding's endpoint adds to it.

    Args:
        probe: what endpoint_info found, made after the failure.
        contradicts: the probe fails at something else than the events did.
    """
    if not probe:
        return []
    detail = probe.get("detail") or "no detail is known."
    if probe.get("ok"):
        return [
            "A probe from this host gets the right answers from this endpoint now. Whether enrolment works again, only"
            " the next enrolment shows."
        ]
    words = failure_words(probe)
    if not words:
        return [f"The probe of this endpoint failed itself, so it says nothing about the server: {detail}"]
    if contradicts:
        return [f"A probe from this host does not bear out what the event says, it failed otherwise: {detail}"]
    if len(words) > 1:
        return [f"The server's certificate has more than one fault ({', '.join(words)}), and all have to be mended."]
    return []
