# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What justifies each role on a host: evidence and the operator's word, never a guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import authority, http_url, parse_endpoint
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint_chain import (
    HAS_CRYPTOGRAPHY,
    RefusedError,
    chain_of_endpoint,
    check_fit,
    fingerprints,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import (
    EndpointEvidence,
    HostEvidence,
    ProfileEvidence,
    endpoint_evidence,
    failure_words,
)


@dataclass(frozen=True)
class PlanSettings:
    """What the operator allows and supplies.

    Attributes:
        pins: SHA-256 of the roots that may be trusted.
        chain_files: files on the controller with the NDES server's CA certificates.
        chain: the PEM texts of those files, to see whether they fit, and to tell whether the files were replaced;
            without them the role alone sees whether they fit.
        chain_server: inventory name of the NDES server, to read its chain there.
        use_http: whether profiles may be switched to plain HTTP where trust does not mend it.
        http_port: the port of plain HTTP, for URLs with a port of their own; 0 for none.
        ca_thumbprint: SHA-1 of the CA, for settings that do not name one themselves.
        isolated_network: the operator's word that the hosts have no internet access on purpose and need no attestation.
    """

    pins: list[str] = field(default_factory=list)
    chain_files: list[str] = field(default_factory=list)
    chain: list[str] = field(default_factory=list)
    chain_server: str = ""
    use_http: bool = False
    http_port: int = 0
    ca_thumbprint: str = ""
    isolated_network: bool = False


class SettingsError(ValueError):
    """A setting that can't be used; the message names it."""


class Draft(NamedTuple):
    """An action's arguments and what it rests on."""

    module_args: dict[str, Any]
    basis: dict[str, Any]


# With one of these alone, trust is all that is lacking. A chain without its root can't be looked up for revocation
# either, so that may come along.
_TRUST_LACKS = {"untrusted_root", "missing_intermediate"}
_TRUST_BEARS = _TRUST_LACKS | {"revocation_unreachable"}
# The AIK service was not reached; any answer of it, and any certificate, says that it was.
_NOT_REACHED = {
    "name_not_resolved",
    "dns_timeout",
    "refused",
    "unreachable",
    "timeout",
    "reset",
    "proxy_unreachable",
}
_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_SHA1 = re.compile(r"[0-9A-Fa-f]{40}")
_MARKS = re.compile(r"[:\s-]")


def plan_settings(given: Mapping[str, Any]) -> PlanSettings:
    """Returns the settings checked.

    Raises:
        SettingsError: an unknown setting, or one that can't be used.
    """
    # ansible-core before 2.19 makes a text of a number that comes out of a template.
    port = given.get("http_port")
    if isinstance(port, str) and port.isdecimal():
        given = {**given, "http_port": int(port)}
    known = {one.name: one for one in fields(PlanSettings)}
    for name, value in given.items():
        if name not in known:
            raise SettingsError(f"{name}: there is no such setting; known are {', '.join(sorted(known))}")
        kind: type = {"list[str]": list, "str": str, "bool": bool, "int": int}[str(known[name].type)]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise SettingsError(f"{name}: must be {_KINDS[kind]}, not {type(value).__name__}")
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise SettingsError(f"{name}: must be a list of texts")
    for pin in given.get("pins", []):
        if not _SHA256.fullmatch(_MARKS.sub("", pin)):
            raise SettingsError(f"pins: {pin!r} is not a SHA-256 fingerprint, which has 64 hexadecimal digits")
    if given.get("ca_thumbprint") and not _SHA1.fullmatch(_MARKS.sub("", given["ca_thumbprint"])):
        raise SettingsError("ca_thumbprint: is not a SHA-1 thumbprint, which has 40 hexadecimal digits")
    if not 0 <= given.get("http_port", 0) <= 65535:
        raise SettingsError(f"http_port: {given['http_port']} is not a port; 0 is for none")
    return PlanSettings(**given)


_KINDS = {list: "a list", str: "a text", bool: "true or false", int: "a number"}


def draft_trust(probe: EndpointEvidence, settings: PlanSettings) -> Draft | str:
    """Returns the action of trust_ndes_chain, or why there is none."""
    words, tls = failure_words(probe), probe["tls"]
    if tls is None or not words or words[0] not in _TRUST_LACKS or not set(words) <= _TRUST_BEARS:
        return f"the probe did not find that trust is all that is lacking: it found {_outcome(probe)}"
    if not settings.pins:
        return "no root is pinned by its SHA-256 (pins)"
    try:
        if settings.chain and HAS_CRYPTOGRAPHY:
            check_fit(probe, settings.chain)
        elif not (settings.chain_files or settings.chain_server):
            chain_of_endpoint(probe, settings.pins)
    except RefusedError as error:
        return str(error)
    missing = tls.get("missing_issuer")
    basis = {
        "url": probe["url"],
        "failures": sorted(set(words) & _TRUST_LACKS),
        "missing_issuer": dict(missing) if missing else None,
        "chain": [certificate["sha256"] for certificate in tls["built"][1:]],
        "supplied_chain": _supplied(tls, settings),
    }
    pins = sorted(_MARKS.sub("", pin).lower() for pin in settings.pins)
    arguments: dict[str, Any] = {"urls": [probe["url"]], "pins": pins}
    if settings.chain_files:
        arguments["files"] = list(settings.chain_files)
    elif settings.chain_server:
        arguments["server"] = settings.chain_server
    return Draft(arguments, basis)


def _supplied(tls: Mapping[str, Any], settings: PlanSettings) -> list[str] | None:
    """Returns the SHA-256 of the certificates that would be trusted, sorted; null where the NDES server will say."""
    if settings.chain_files:
        return fingerprints(settings.chain)
    if settings.chain_server:
        return None
    return sorted(one["sha256"] for one in tls["presented"] if one["is_ca"])


def draft_use_http(probe: EndpointEvidence, evidence: HostEvidence, settings: PlanSettings) -> Draft | str:
    """Returns the action of use_http, for all places that name the URL, or why there is none."""
    if probe["kind"] != "ndes" or probe["scheme"] != "https":
        return "only an NDES server's HTTPS URL can be switched"
    if probe["failed_step"] != "tls":
        return f"the probe did not find that TLS is what fails: it found {_outcome(probe)}"
    if not settings.use_http:
        return "plain HTTP is not allowed (use_http)"
    profiles = evidence.get("profiles") or []
    places = [(profile, url) for profile in profiles for url in profile["urls"] if _same_server(url, probe)]
    reasons = [
        f"{profile['path']}: {reason}"
        for profile, url in places
        if (reason := _not_to_switch(profile, url, settings) or _not_proven(profile, url, evidence, settings))
    ]
    if reasons:
        return "; ".join(reasons)
    if not places:
        return "no profile of this host that was read has this URL, so there is nothing to switch"
    given = _MARKS.sub("", settings.ca_thumbprint).upper()
    arguments: dict[str, Any] = {"urls": sorted({url for _profile, url in places})}
    files = sorted({profile["path"] for profile, _url in places if profile["source"] == "file"})
    in_registry = [profile for profile, _url in places if profile["source"] == "registry"]
    values = [{"path": profile["path"], "name": profile["name"]} for profile in in_registry]
    if files:
        arguments["files"] = files
    if values:
        arguments["registry_values"] = values
    if given:
        arguments["ca_thumbprint"] = given
    if settings.http_port:
        arguments["port"] = settings.http_port
    basis = {
        "failure": probe["failure"],
        "places": [
            {"path": profile["path"], "url": url, "ca_thumbprint": profile.get("ca_thumbprint") or given}
            for profile, url in places
        ],
    }
    return Draft(arguments, basis)


def _same_server(url: str, probe: EndpointEvidence) -> bool:
    endpoint = parse_endpoint(url)
    if endpoint is None or endpoint["kind"] != "ndes" or endpoint["scheme"] != "https":
        return False
    wanted = authority("https", probe["host"], probe["port"])
    return authority("https", endpoint["host"], endpoint["port"]) == wanted


def _not_to_switch(profile: ProfileEvidence, url: str, settings: PlanSettings) -> str | None:
    if "***" in url:
        return "its URL holds a secret, which is not shown: switch it by hand"
    endpoint = parse_endpoint(url)
    port = endpoint["port"] if endpoint is not None else None
    if port not in (None, 443) and not settings.http_port:
        return f"its URL has the port {port}, and no port is named for plain HTTP (http_port)"
    if not profile.get("ca_thumbprint") and not settings.ca_thumbprint:
        return "it names no CA by its thumbprint, which keeps plain HTTP safe (ca_thumbprint)"
    return None


def _not_proven(profile: ProfileEvidence, url: str, evidence: HostEvidence, settings: PlanSettings) -> str | None:
    probe = endpoint_evidence(evidence, parse_endpoint(http_url(url, settings.http_port or None)))
    if probe is None:
        return "no probe from this host tells whether the server answers over HTTP"
    if not probe["ok"]:
        return f"over HTTP the probe found {_outcome(probe)}"
    thumbprint = _MARKS.sub("", profile.get("ca_thumbprint") or settings.ca_thumbprint).upper()
    if thumbprint not in {str(one.get("thumbprint")).upper() for one in probe.get("ca_certificates") or ()}:
        return f"over HTTP the server has no CA with the thumbprint {thumbprint}, which the profile wants"
    return None


def draft_disable_aik(probe: EndpointEvidence, aik: Mapping[str, Any] | None, settings: PlanSettings) -> Draft | str:
    """Returns the action of disable_aik, or why there is none."""
    if probe["failure"] not in _NOT_REACHED:
        return f"the AIK service is not out of reach for this host: the probe found {_outcome(probe)}"
    if not settings.isolated_network:
        return "the network is not declared to be isolated on purpose (isolated_network)"
    if not aik:
        return "it was not read whether this host has had an AIK certificate"
    had, hashed = aik.get("had_success"), (aik.get("state") or {}).get("windows_aik_hash")
    if had or (had is None and hashed):
        return f"an AIK certificate may be in use: {aik.get('had_success_reason') or 'there is an AIK'}"
    if (aik.get("task") or {}).get("enabled") is False:
        return "the task is disabled already; what failed before that will not come again"
    # Which of the ways of not being reached differs from one time to the next.
    return Draft(
        {"isolated_network": True, "urls": [probe["url"]]},
        {"host": probe["host"], "reached": False, "had_success": had},
    )


def _outcome(probe: EndpointEvidence) -> str:
    words = failure_words(probe)
    if probe["ok"]:
        return "that the server answers"
    return ", ".join(words) if words else f"nothing ({probe['detail'] or 'the probe itself failed'})"
