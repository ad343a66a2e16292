"""Evidence for tests, in the shapes of endpoint_info and profile_info."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import ProfileEvidence

from tests.unit.event_data import NDES

THUMBPRINT = "0B7C1E5D2A94F8360E1D7A55C08B3F6692D4EE17"
PROFILE_PATH = "HKLM\\SOFTWARE\\Microsoft\\SCEP\\MS DM Server\\p1\\Install"


def probed(*failures: str | None, step: str = "tls", url: str = NDES) -> dict[str, Any]:
    """What endpoint_info says of an endpoint that fails in these ways, the worst first; None for one that works."""
    parts = urlsplit(url)
    worst = failures[0]
    tls: dict[str, Any] | None = None
    if parts.scheme == "https" and step in ("tls", "http", "scep", "clock"):
        tls = {
            "protocol": "Tls12",
            "presented": [],
            "built": [],
            "status": [],
            "policy_errors": [],
            "failures": [word for word in failures if word] if step == "tls" else [],
            "missing_issuer": None,
            "client_certificate_requested": False,
            "negotiation": None,
        }
    return {
        "url": url,
        "kind": "aik" if "microsoftaik" in url.lower() else "ndes",
        "scheme": parts.scheme,
        "host": parts.hostname,
        "port": parts.port or {"https": 443, "http": 80}[parts.scheme],
        "ok": worst is None,
        "failed_step": step if worst else None,
        "failure": worst,
        "detail": f"The detail of {worst}." if worst else None,
        "duration_ms": 61,
        "steps": [],
        "dns": None,
        "proxy": {"address": None, "source": "none"},
        "tls": tls,
        "http": None,
        "ca_caps": None,
        "ca_certificates": None,
        "clock_skew_seconds": None,
    }


def certificate(**changes: Any) -> dict[str, Any]:
    """A CA certificate as modules return it, as far as it is looked at."""
    return {
        "subject": "CN=Lab Issuing CA",
        "issuer": "CN=Lab Root CA",
        "sha256": "11" * 32,
        "thumbprint": "22" * 20,
        "self_signed": False,
        "is_ca": True,
        "pem": "",
        "not_before": "2026-01-01T00:00:00Z",
        "not_after": "2027-01-01T00:00:00Z",
        **changes,
    }


def profile(url: str = NDES, **changes: Any) -> ProfileEvidence:
    """A profile of MDM that has enrolled nothing yet, as profile_info returns it."""
    found: ProfileEvidence = {
        "source": "mdm",
        "scope": "device",
        "sid": None,
        "id": "p1",
        "path": PROFILE_PATH,
        "name": "ServerURL",
        "kind": "String",
        "url": url,
        "urls": [url],
        "endpoints": [],
        "ca_thumbprint": THUMBPRINT,
        "ca_thumbprint_text": THUMBPRINT,
        "subject_name": "CN=CLIENT1",
        "subject_alternative_names": None,
        "template_name": None,
        "key_usage": 160,
        "key_length": 2048,
        "key_protection": 3,
        "hash_algorithm": "SHA-2",
        "eku_mapping": "1.3.6.1.5.5.7.3.2",
        "retry_count": 3,
        "retry_delay": 1,
        "current_retry_count": 0,
        "valid_period": "Years",
        "valid_period_units": 1,
        "status": None,
        "error_code": None,
        "certificate_thumbprint": None,
        "encoding": None,
        "bom": None,
        "lines": [],
        "notes": [],
    }
    return cast("ProfileEvidence", {**found, **changes})
