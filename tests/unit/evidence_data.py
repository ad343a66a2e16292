"""Evidence for tests, in the shape of endpoint_info."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from tests.unit.event_data import NDES


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
