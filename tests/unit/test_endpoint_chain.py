"""When a host lacks a chain, and which chain it lacks."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint_chain import (
    RefusedError,
    chain_of_endpoint,
    chain_of_server,
    check_fit,
    fingerprints,
    judge,
    lacking,
    reads,
)

from tests.lab.pki import Authority, Leaf, sha256

URL = "https://ndes01.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
ROOT = Authority.root("Lab Root CA")
ISSUING = ROOT.intermediate("Lab Issuing CA 1")
LEAF = ISSUING.leaf("ndes01.lab.example")


def evidence(step: str | None, failure: str | None, *others: str, **more: Any) -> dict[str, Any]:
    """What endpoint_info returns of an endpoint, as far as it is looked at."""
    tls = {"failures": [failure, *others]} if step == "tls" else None
    found = {"url": URL, "scheme": "https", "host": "ndes01.lab.example", "port": 443, "ok": step is None, "tls": tls}
    return {**found, "failed_step": step, "failure": failure, "detail": f"It is {failure}.", **more}


def certificate(source: Authority | Leaf) -> dict[str, Any]:
    """A certificate as modules return it, as far as it is looked at."""
    found = source.certificate
    return {
        "subject": found.subject.rfc4514_string(),
        "issuer": found.issuer.rfc4514_string(),
        "sha256": sha256(found),
        "is_ca": isinstance(source, Authority),
        "self_signed": found.subject == found.issuer,
        "pem": source.pem,
    }


LACKING = evidence("tls", "untrusted_root")
OTHER = evidence("tls", "expired")
UNKNOWN = evidence("dns", "name_not_resolved")
WELL = evidence(None, None)


@pytest.mark.parametrize(
    ("endpoint", "judgement"),
    [
        (WELL, "trusted"),
        (evidence("http", "not_found"), "trusted"),
        (evidence("clock", "clock_skew"), "trusted"),
        (LACKING, "lacking"),
        (evidence("tls", "missing_intermediate"), "lacking"),
        (evidence("tls", "untrusted_root", "revocation_unreachable"), "lacking"),
        (evidence("tls", "untrusted_root", "name_mismatch"), "other_cause"),
        (evidence("tls", "untrusted_root", "expired"), "other_cause"),
        (evidence("tls", "intercepted", "untrusted_root"), "other_cause"),
        (evidence("tls", "revocation_unreachable"), "other_cause"),
        (evidence("tls", "name_mismatch"), "other_cause"),
        (evidence("tls", "no_common_protocol"), "other_cause"),
        (evidence("url", "bad_url"), "other_cause"),
        (evidence("tls", "timeout"), "unknown"),
        (evidence("tls", "reset"), "unknown"),
        (evidence("tls", "tls_failed"), "unknown"),
        (evidence("tls", "probe_failed"), "unknown"),
        (UNKNOWN, "unknown"),
        (evidence("connect", "refused"), "unknown"),
        (evidence("connect", "refused", scheme="http"), "no_tls"),
    ],
)
def test_judgements(endpoint: dict[str, Any], judgement: str) -> None:
    assert judge(endpoint)["judgement"] == judgement


def test_a_second_cause_is_named() -> None:
    judged = judge(evidence("tls", "untrusted_root", "name_mismatch", "expired"))
    assert judged["detail"] == "It is untrusted_root. It also fails because of expired, name_mismatch."


@pytest.mark.parametrize(
    ("endpoints", "unproven", "found"),
    [
        ([WELL], False, []),
        ([WELL], True, [WELL]),
        ([LACKING], False, [LACKING]),
        ([WELL, LACKING], False, [LACKING]),
        ([OTHER, LACKING], False, [LACKING]),
        ([UNKNOWN, LACKING], True, [LACKING]),
        ([UNKNOWN], True, [UNKNOWN]),
        ([evidence(None, None, scheme="http")], True, []),
    ],
)
def test_what_is_lacking(endpoints: list[dict[str, Any]], unproven: bool, found: list[dict[str, Any]]) -> None:
    assert lacking(endpoints, unproven=unproven) == found


@pytest.mark.parametrize(
    ("endpoints", "unproven", "reason", "message"),
    [
        ([OTHER], False, "other_cause", f"No chain would mend this host's trouble with {URL}: It is expired."),
        (
            [OTHER, WELL, UNKNOWN],
            True,
            "other_cause",
            f"No chain would mend this host's trouble with {URL}: It is expired.",
        ),
        (
            [UNKNOWN, WELL],
            False,
            "not_proven",
            "It is not proven that this host lacks the chain, as it could not do the TLS handshake with "
            f"{URL}: It is name_not_resolved. Mend that first, or waive the proof with unproven.",
        ),
    ],
)
def test_what_is_refused(endpoints: list[dict[str, Any]], unproven: bool, reason: str, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        lacking(endpoints, unproven=unproven)
    assert (refused.value.reason, str(refused.value)) == (reason, message)
    assert reads(endpoints, "NDES01", unproven=unproven) == []


def test_a_server_is_asked_once_for_each_name_and_only_for_names() -> None:
    other = {**LACKING, "url": URL + "?x", "port": 8443}
    hostile = {**LACKING, "host": "{{ lookup('pipe', 'id') }}"}
    assert reads([LACKING, dict(LACKING), other, hostile], "NDES01", unproven=False) == [
        {"server": "NDES01", "host_name": "ndes01.lab.example", "port": 443},
        {"server": "NDES01", "host_name": "ndes01.lab.example", "port": 8443},
    ]
    assert reads([LACKING], "", unproven=False) == []


def built(*chain: Authority | Leaf) -> dict[str, Any]:
    return {**LACKING, "tls": {"failures": ["untrusted_root"], "built": [certificate(one) for one in chain]}}


@pytest.mark.parametrize(
    ("endpoint", "texts"),
    [
        (built(LEAF, ISSUING), [ROOT.pem]),
        (built(LEAF, ISSUING), [f"Root:\n{ROOT.pem}{ISSUING.pem}"]),
        (built(LEAF), [ISSUING.pem]),
        (built(LEAF, ISSUING, ROOT), [ISSUING.pem, ROOT.pem]),
        (LACKING, [ROOT.pem]),
    ],
)
def test_a_chain_that_fits(endpoint: dict[str, Any], texts: list[str]) -> None:
    check_fit(endpoint, texts)


@pytest.mark.parametrize(
    ("endpoint", "texts", "missing"),
    [
        (built(LEAF, ISSUING), [ISSUING.pem], "CN=Lab Root CA,O=Lab"),
        # The same name, another key.
        (built(LEAF, ISSUING), [Authority.root("Lab Root CA").pem], "CN=Lab Root CA,O=Lab"),
        (built(LEAF), [ROOT.pem], "CN=Lab Issuing CA 1,O=Lab"),
        (
            built(LEAF, ISSUING, ROOT),
            [Authority.root("Lab Root CA").pem],
            f"CN=Lab Root CA,O=Lab ({sha256(ROOT.certificate)})",
        ),
        (built(LEAF), ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"], "CN=Lab Issuing CA 1,O=Lab"),
    ],
    ids=["root missing", "another key", "intermediate missing", "another root", "unreadable"],
)
def test_a_chain_that_does_not_fit(endpoint: dict[str, Any], texts: list[str], missing: str) -> None:
    with pytest.raises(RefusedError) as refused:
        check_fit(endpoint, texts)
    assert refused.value.reason == "chain_does_not_fit"
    assert str(refused.value) == (
        f"What the host lacks for {URL} is the certificate of {missing}, which is not in the chain that was given: "
        "trusting that chain would not mend it."
    )


def presented(*chain: Authority | Leaf) -> dict[str, Any]:
    return {**LACKING, "tls": {"failures": ["untrusted_root"], "presented": [certificate(one) for one in chain]}}


def test_what_an_endpoint_presents_counts_if_its_root_is_pinned() -> None:
    pin = ":".join(sha256(ROOT.certificate).upper()[i : i + 2] for i in range(0, 64, 2))
    assert chain_of_endpoint(presented(LEAF, ISSUING, ROOT), ["0" * 64, pin]) == [ISSUING.pem, ROOT.pem]


@pytest.mark.parametrize(
    ("endpoint", "pin"),
    [
        (presented(LEAF, ISSUING), sha256(ROOT.certificate)),
        (presented(LEAF, ISSUING, ROOT), "0" * 64),
        # An intermediate is no root, whatever is pinned.
        (presented(LEAF, ISSUING), sha256(ISSUING.certificate)),
        (UNKNOWN, sha256(ROOT.certificate)),
    ],
    ids=["no root", "another pin", "pinned intermediate", "unknown"],
)
def test_what_an_endpoint_presents_is_refused(endpoint: dict[str, Any], pin: str) -> None:
    with pytest.raises(RefusedError) as refused:
        chain_of_endpoint(endpoint, [pin])
    assert refused.value.reason == "root_not_presented"


ITEM = {"server": "NDES01", "host_name": "ndes01.lab.example", "port": 443}
CHAIN = [certificate(LEAF), certificate(ISSUING), certificate(ROOT)]


def test_of_a_servers_chain_the_authorities_count() -> None:
    results: list[dict[str, Any]] = [
        {"item": {**ITEM, "port": 8443}, "chain": []},
        {"item": ITEM, "problem": None, "chain": CHAIN, "failed": False},
    ]
    assert chain_of_server(LACKING, "NDES01", results) == [ISSUING.pem, ROOT.pem]


@pytest.mark.parametrize(
    ("result", "reason", "message"),
    [
        (
            {"item": {**ITEM, "server": "NDES02"}},
            "server_not_read",
            "The NDES server NDES01 was not asked for its chain",
        ),
        (
            {"item": ITEM, "unreachable": True, "msg": "timed out"},
            "server_not_read",
            "The chain could not be read on the NDES server NDES01: timed out",
        ),
        ({"item": ITEM, "failed": True}, "server_not_read", "NDES01: no reason was given"),
        (
            {"item": ITEM, "problem": "central_store", "detail": "It is elsewhere.", "chain": []},
            "server_has_no_chain",
            "The NDES server NDES01 has no chain to read (central_store: It is elsewhere.)",
        ),
    ],
)
def test_a_server_that_gives_no_chain(result: dict[str, Any], reason: str, message: str) -> None:
    with pytest.raises(RefusedError) as refused:
        chain_of_server(LACKING, "NDES01", [result])
    assert refused.value.reason == reason
    assert message in str(refused.value)


def test_the_fingerprints_of_a_chain_cover_all_that_goes_to_a_host() -> None:
    root = Authority.root("Lab Root CA")
    other = root.pem.replace("CERTIFICATE", "X509 CERTIFICATE")
    broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----"
    unknown = "-----BEGIN SOMETHING-----\nQUJD\n-----END SOMETHING-----"
    assert fingerprints([root.pem, f"text\n{other}"]) == [sha256(root.certificate)]
    assert len(fingerprints([root.pem + broken + unknown])) == 3
    assert fingerprints(["no chain at all"]) == []
