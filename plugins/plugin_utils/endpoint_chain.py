# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host lacks the chain of an endpoint, by what endpoint_info found there, and where that chain comes from."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
except ImportError:  # ansible-core itself needs it, so this is for a broken installation
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True

Evidence = Mapping[str, Any]
"""An element of what endpoint_info returns as ``endpoints``."""

Judgement = Literal["lacking", "trusted", "no_tls", "other_cause", "unknown"]
_LACKING = frozenset({"untrusted_root", "missing_intermediate"})
# Without the chain nobody can look up whether a certificate of it is revoked.
_FOLLOWS_FROM_LACKING = _LACKING | {"revocation_unreachable"}
_AFTER_TLS = frozenset({"http", "scep", "clock"})
_TELL_NOTHING = frozenset({"probe_failed", "timeout", "reset", "tls_failed"})
# What is asked for goes through a play's variables, where another text could be taken for a template.
_HOST = re.compile(r"[\w.:-]+", re.ASCII)
_BLOCK = re.compile("-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----[^-]+-----END (?:X509 |TRUSTED )?CERTIFICATE-----")
# All that goes to a host is looked at, also what is not a certificate.
_ANY = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----([^-]*)-----END \1-----")


class Read(TypedDict):
    """What to ask an NDES server for: its inventory name, and name and port of the clients' URL."""

    server: str
    host_name: str
    port: int


class Judged(TypedDict):
    """What a probe says of a host's trust in an endpoint.

    Attributes:
        judgement: ``lacking`` only the chain is missing, ``trusted`` the handshake passed, ``no_tls`` the URL is HTTP,
            ``other_cause`` the handshake failed for a cause that no chain mends, ``unknown`` it did not come to that.
        detail: why, as a sentence.
    """

    url: str
    judgement: Judgement
    detail: str


class RefusedError(Exception):
    """A rule of safety is against it."""

    def __init__(self, reason: str, message: str) -> None:
        """Takes the word for programs and the sentence for people."""
        super().__init__(message)
        self.reason = reason


def judge(endpoint: Evidence) -> Judged:
    """Judges one endpoint."""
    url, step, failure = str(endpoint["url"]), endpoint.get("failed_step"), endpoint.get("failure")
    detail = str(endpoint.get("detail") or f"The step {step} failed: {failure}.")
    failures = {failure, *((endpoint.get("tls") or {}).get("failures") or ())} - {None}
    if endpoint.get("scheme") == "http":
        return {"url": url, "judgement": "no_tls", "detail": "The URL is HTTP, so it needs no TLS chain."}
    if endpoint.get("ok") or step in _AFTER_TLS:
        return {"url": url, "judgement": "trusted", "detail": "The host trusts the endpoint's chain."}
    if step != "url" and (step != "tls" or failures & _TELL_NOTHING):
        return {"url": url, "judgement": "unknown", "detail": detail}
    if failure in _LACKING and failures <= _FOLLOWS_FROM_LACKING:
        return {"url": url, "judgement": "lacking", "detail": detail}
    others = sorted(str(word) for word in failures - _FOLLOWS_FROM_LACKING)
    also = f" It also fails because of {', '.join(others)}." if failure in _LACKING else ""
    return {"url": url, "judgement": "other_cause", "detail": detail + also}


def lacking(endpoints: Sequence[Evidence], *, unproven: bool) -> list[Evidence]:
    """Returns the endpoints whose chain is to be trusted; none if the host needs none.

    Args:
        endpoints: what the host found out.
        unproven: the operator waives the proof. That stands in for proof that is missing, and never goes against proof.

    Raises:
        RefusedError: what the host has is another trouble, or it could not find out.
    """
    judged = [judge(endpoint) for endpoint in endpoints]
    found = [endpoint for endpoint, one in zip(endpoints, judged, strict=True) if one["judgement"] == "lacking"]
    others = [one for one in judged if one["judgement"] == "other_cause"]
    unknown = [one for one in judged if one["judgement"] == "unknown"]
    if found:
        return found
    if others:
        raise RefusedError("other_cause", f"No chain would mend this host's trouble with {_told(others)}")
    if unproven:
        waived = {one["url"] for one in judged if one["judgement"] in ("trusted", "unknown")}
        return [endpoint for endpoint in endpoints if endpoint["url"] in waived]
    if unknown:
        raise RefusedError(
            "not_proven",
            "It is not proven that this host lacks the chain, as it could not do the TLS handshake with "
            f"{_told(unknown)} Mend that first, or waive the proof with unproven.",
        )
    return []


def reads(endpoints: Sequence[Evidence], server: str, *, unproven: bool) -> list[Read]:
    """Returns what to ask the NDES server for: nothing if this host needs no chain, or must not have one."""
    try:
        wanted = lacking(endpoints, unproven=unproven) if server else []
    except RefusedError:
        return []
    found: list[Read] = []
    for endpoint in wanted:
        read: Read = {"server": server, "host_name": str(endpoint["host"]), "port": int(endpoint["port"])}
        if read not in found and _HOST.fullmatch(read["host_name"]):
            found.append(read)
    return found


def chain_of_server(endpoint: Evidence, server: str, results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Returns the CA certificates that ndes_chain_info read on ``server`` for an endpoint, as PEM.

    Args:
        endpoint: the endpoint.
        server: inventory name of the NDES server.
        results: the results of a loop over `Read`.

    Raises:
        RefusedError: the server could not be read, or has no whole chain.
    """
    wanted = {"server": server, "host_name": endpoint["host"], "port": endpoint["port"]}
    result = next((one for one in results if one.get("item") == wanted), None)
    if result is None:
        raise RefusedError("server_not_read", f"The NDES server {server} was not asked for its chain: run this again.")
    if result.get("failed") or result.get("unreachable"):
        reason = str(result.get("msg") or "no reason was given").strip()
        raise RefusedError("server_not_read", f"The chain could not be read on the NDES server {server}: {reason}")
    if result.get("problem"):
        detail = f"{result['problem']}: {result.get('detail')}"
        raise RefusedError("server_has_no_chain", f"The NDES server {server} has no chain to read ({detail})")
    return [str(one["pem"]) for one in result.get("chain") or () if one.get("is_ca")]


def chain_of_endpoint(endpoint: Evidence, pins: Iterable[str]) -> list[str]:
    """Returns the CA certificates that an endpoint presents, as PEM, if a pinned root is among them.

    Raises:
        RefusedError: there is none.
    """
    presented = [one for one in (endpoint.get("tls") or {}).get("presented") or () if one.get("is_ca")]
    pinned = {re.sub("[^0-9a-f]", "", pin.lower()) for pin in pins}
    if not any(one["self_signed"] and one["sha256"] in pinned for one in presented):
        raise RefusedError(
            "root_not_presented",
            f"{endpoint['url']} does not present a root whose SHA-256 is in pins. Most servers present none: give the "
            "chain as files, or name the NDES server to read it from.",
        )
    return [str(one["pem"]) for one in presented]


def check_fit(endpoint: Evidence, texts: Iterable[str]) -> None:
    """Makes sure that a chain is the one that an endpoint lacks. Whether it may be trusted is not looked at here.

    Args:
        endpoint: one that was judged ``lacking``.
        texts: PEM texts.

    Raises:
        RefusedError: trusting that chain would not mend it.
    """
    tls = endpoint.get("tls") or {}
    known = list(tls.get("built") or tls.get("presented") or ())
    if not known:
        return
    top = known[-1]
    supplied = [one for text in texts for one in certificates(text)]
    if top["self_signed"]:
        fits = any(one.fingerprint(hashes.SHA256()).hex() == top["sha256"] for one in supplied)
        missing = f"{top['subject']} ({top['sha256']})"
    else:
        fits = any(_issued(issuer, one) for one in certificates(str(top["pem"])) for issuer in supplied)
        missing = str(top["issuer"])
    if not fits:
        raise RefusedError(
            "chain_does_not_fit",
            f"What the host lacks for {endpoint['url']} is the certificate of {missing}, which is not in the chain "
            "that was given: trusting that chain would not mend it.",
        )


def fingerprints(texts: Iterable[str]) -> list[str]:
    """Returns the SHA-256 of each PEM block's content, sorted, each once, in lower hex: for a certificate, its own."""
    return sorted({hashlib.sha256(_content(match[2])).hexdigest() for text in texts for match in _ANY.finditer(text)})


def _content(body: str) -> bytes:
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError:  # trust_chain refuses it; until then it is a content like any other
        return body.encode()


def certificates(text: str) -> list[x509.Certificate]:
    """Returns the certificates of a PEM text, without those that can't be read: trust_chain names and refuses them."""
    found = [_certificate(match.group().encode("ascii", "replace")) for match in _BLOCK.finditer(text)]
    return [one for one in found if one is not None]


def _certificate(block: bytes) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(block)
    except ValueError:
        return None


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    if issuer.subject != certificate.issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    except UnsupportedAlgorithm:  # an old one that this machine can't compute; the host judges the chain itself
        return True
    return True


def _told(judged: Sequence[Judged]) -> str:
    return " ".join(f"{one['url']}: {one['detail']}" for one in judged)
