# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a SCEP URL points at: an NDES server, Microsoft's AIK service, or something else."""

from __future__ import annotations

import re
from typing import Literal, TypedDict
from urllib.parse import urlsplit


class Endpoint(TypedDict):
    """A SCEP server as its URL names it; a part that the URL does not have is null.

    Attributes:
        kind: ``ndes`` for a path below /certsrv/mscep/, ``aik`` for a host of Microsoft's AIK service, else ``other``.
        scheme: lower case.
        host: lower case, without user information and port; an IPv6 address without brackets.
        port: only if the URL names one.
        path: as written, without query and fragment.
        tpm_vendor: of an ``aik`` host, the TPM maker's id in upper case (IFX, INTC, AMD, ...).
        key_id: of an ``aik`` host, 40 lower-case hex digits: the identifier of the key that issued the EK certificate.
    """

    kind: Literal["ndes", "aik", "other"]
    scheme: str | None
    host: str | None
    port: int | None
    path: str | None
    tpm_vendor: str | None
    key_id: str | None


_AIK_HOST = re.compile(
    r"""
    (?P<vendor>[a-z0-9]{1,8})       # the TPM maker's id
    -keyid-
    (?P<key_id>[0-9a-f]{40})
    \.microsoftaik\.azure\.net \.?  # a host below this domain, never a longer name that begins with it
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)
_NDES_PATH = "/certsrv/mscep/"
# A path that walks upwards may end at another page than the one it seems to name, such as /certsrv/mscep_admin.
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)
_HTTPS = re.compile(
    r"https://(?P<host>\[[^\]]*\]|[^/?#:\[\]]*)(?::[0-9]*)?(?P<rest>[/?].*)?", re.IGNORECASE | re.DOTALL
)
_DEFAULT_PORT = {"http": 80, "https": 443}
_MAX_URL = 8192


def parse_endpoint(url: str | None) -> Endpoint | None:
    """Returns what ``url`` points at, or None if there is no URL. Never raises: a broken URL is ``other``."""
    if not url:
        return None
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    path: str | None = None
    broken = len(url) > _MAX_URL
    parts = urlsplit("")
    try:
        parts = urlsplit(url[:_MAX_URL])
        scheme, path, host = parts.scheme.lower() or None, parts.path or None, parts.hostname
        port = parts.port
    except ValueError:
        broken = True
    endpoint: Endpoint = {
        "kind": "other",
        "scheme": scheme,
        "host": host,
        "port": port,
        "path": path,
        "tpm_vendor": None,
        "key_id": None,
    }
    if broken or scheme not in _DEFAULT_PORT or not host:
        return endpoint
    # Lower case makes ASCII letters of some others: a name that holds these is another name.
    aik = _AIK_HOST.fullmatch(host) if parts.netloc.isascii() else None
    if aik is not None:
        endpoint["kind"] = "aik"
        endpoint["tpm_vendor"] = aik["vendor"].upper()
        endpoint["key_id"] = aik["key_id"].lower()
    elif path and _NDES_PATH in path.lower() and not _DOT_SEGMENT.search(path):
        endpoint["kind"] = "ndes"
    return endpoint


def endpoint_key(endpoint: Endpoint | None) -> str:
    """Returns one text for all spellings of the same endpoint: a default port counts as no port, the path in any case.

    Windows servers do not tell paths apart by case.
    """
    if endpoint is None:
        return ""
    scheme, port = endpoint["scheme"] or "", endpoint["port"]
    named = "" if port is None or port == _DEFAULT_PORT.get(scheme) else str(port)
    host = (endpoint["host"] or "").rstrip(".")
    return f"{scheme}://{host}:{named}{(endpoint['path'] or '').lower()}"


def authority(scheme: str | None, host: str | None, port: int | None) -> tuple[str | None, str, int | None]:
    """Returns scheme, host and port in one form for all spellings of the same server.

    The host is in lower case and without the final dot; the port that of the scheme where none is named, None if
    neither says.
    """
    return scheme, (host or "").lower().rstrip("."), _DEFAULT_PORT.get(scheme or "") if port is None else port


def http_url(url: str, port: int | None) -> str:
    """Returns an HTTPS URL with HTTP and ``port`` (None: 80), all else as written. Another URL is returned as it is."""
    match = _HTTPS.fullmatch(url)
    if match is None:
        return url
    return f"http://{match['host']}{'' if port in (None, 80) else f':{port}'}{match['rest'] or ''}"
