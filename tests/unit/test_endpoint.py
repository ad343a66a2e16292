"""What a URL points at."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import (
    authority,
    endpoint_key,
    http_url,
    parse_endpoint,
)

KEY_ID = "578c545f796951421221a4a578acdb5f682f89c8"
PATH = "/certsrv/mscep/mscep.dll/pkiclient.exe"


def endpoint(url: str) -> dict[str, Any]:
    """The endpoint, which there has to be."""
    parsed = parse_endpoint(url)
    assert parsed is not None
    return dict(parsed)


@pytest.mark.parametrize(
    ("url", "kind", "scheme", "host", "port", "path"),
    [
        (f"https://ndes.example{PATH}", "ndes", "https", "ndes.example", None, PATH),
        (f"HTTP://NDES.Example:8080{PATH}?operation=GetCACaps#x", "ndes", "http", "ndes.example", 8080, PATH),
        (
            "https://ndes.example/CertSrv/MSCEP/mscep.dll",
            "ndes",
            "https",
            "ndes.example",
            None,
            "/CertSrv/MSCEP/mscep.dll",
        ),
        (f"https://[2001:db8::1]:443{PATH}", "ndes", "https", "2001:db8::1", 443, PATH),
        (f"https://someone:secret@ndes.example{PATH}", "ndes", "https", "ndes.example", None, PATH),
        (f"https://ndes.example/proxy{PATH}", "ndes", "https", "ndes.example", None, f"/proxy{PATH}"),
        ("https://ndes.example/certsrv/mscep_admin/", "other", "https", "ndes.example", None, "/certsrv/mscep_admin/"),
        ("https://ndes.example/certsrv/mscep", "other", "https", "ndes.example", None, "/certsrv/mscep"),
        ("https://h/certsrv/mscep/../mscep_admin/", "other", "https", "h", None, "/certsrv/mscep/../mscep_admin/"),
        ("https://h/certsrv/mscep/%2E%2e/x", "other", "https", "h", None, "/certsrv/mscep/%2E%2e/x"),
        (f"https://h/scep?x={PATH}", "other", "https", "h", None, "/scep"),
        (f"ldap://h{PATH}", "other", "ldap", "h", None, PATH),
        ("https://scep.example", "other", "https", "scep.example", None, None),
        # Broken ones
        (f"https://ndes.example:port{PATH}", "other", "https", "ndes.example", None, PATH),
        (f"https://ndes.example:99999{PATH}", "other", "https", "ndes.example", None, PATH),
        (f"https://[2001:db8::1{PATH}", "other", None, None, None, None),
        (f"https:///{PATH}", "other", "https", None, None, f"/{PATH}"),
        (f"https://:443{PATH}", "other", "https", None, 443, PATH),
        ("//////", "other", None, None, None, "////"),
        ("certsrv/mscep/mscep.dll", "other", None, None, None, "certsrv/mscep/mscep.dll"),
        ("\x00\x01", "other", None, None, None, None),
        ("https://a\u2100b/x", "other", None, None, None, None),
    ],
)
def test_endpoints(
    url: str, kind: str, scheme: str | None, host: str | None, port: int | None, path: str | None
) -> None:
    assert endpoint(url) == {
        "kind": kind,
        "scheme": scheme,
        "host": host,
        "port": port,
        "path": path,
        "tpm_vendor": None,
        "key_id": None,
    }


@pytest.mark.parametrize(
    ("host", "vendor"),
    [
        (f"AMD-KeyId-{KEY_ID}.microsoftaik.azure.net", "AMD"),
        (f"ifx-keyid-{KEY_ID.upper()}.MicrosoftAIK.azure.NET", "IFX"),
        (f"INTC-KEYID-{KEY_ID}.microsoftaik.azure.net.", "INTC"),
        (f"msft-keyid-{KEY_ID}.microsoftaik.azure.net:443", "MSFT"),
    ],
)
@pytest.mark.parametrize("scheme", ["https", "http", "HTTPS"])
def test_the_aik_service(scheme: str, host: str, vendor: str) -> None:
    parsed = endpoint(f"{scheme}://{host}/templates/Aik/scep")
    assert (parsed["kind"], parsed["tpm_vendor"], parsed["key_id"]) == ("aik", vendor, KEY_ID)


@pytest.mark.parametrize(
    "host",
    [
        "microsoftaik.azure.net",
        "eusaikpublish.microsoftaik.azure.net",
        f"AMD-KeyId-{KEY_ID}.microsoftaik.azure.net.evil.example",
        f"AMD-KeyId-{KEY_ID}.evil-microsoftaik.azure.net",
        f"AMD-KeyId-{KEY_ID}.microsoftaik.azure.network",
        f"AMD-KeyId-{KEY_ID}.microsoftaik.azure.net@evil.example",
        f"evil.example/AMD-KeyId-{KEY_ID}.microsoftaik.azure.net",
        f"evil.example\\.AMD-KeyId-{KEY_ID}.microsoftaik.azure.net",
        f"x.AMD-KeyId-{KEY_ID}.microsoftaik.azure.net",
        f"AMD-KeyId-{KEY_ID[1:]}.microsoftaik.azure.net",
        f"AMD-KeyId-{KEY_ID}0.microsoftaik.azure.net",
        f"AMD-KeyId-g{KEY_ID[1:]}.microsoftaik.azure.net",
        f"-KeyId-{KEY_ID}.microsoftaik.azure.net",
        f"AMD-\u212aeyId-{KEY_ID}.microsoftaik.azure.net",
        f"AMD-KeyId-\uff15{KEY_ID[1:]}.microsoftaik.azure.net",
        f"AMD-KeyId-{KEY_ID}.microsoftaik.azure.net:x",
    ],
)
def test_what_only_looks_like_the_aik_service(host: str) -> None:
    parsed = endpoint(f"https://{host}/templates/Aik/scep")
    assert (parsed["kind"], parsed["tpm_vendor"], parsed["key_id"]) == ("other", None, None)


def test_no_url_is_no_endpoint() -> None:
    assert parse_endpoint(None) is None
    assert parse_endpoint("") is None


@pytest.mark.parametrize(
    ("url", "key"),
    [
        (f"https://ndes.example{PATH}", f"https://ndes.example:{PATH}"),
        (f"HTTPS://NDES.example.:443{PATH.upper()}?x=y", f"https://ndes.example:{PATH}"),
        (f"http://ndes.example:80{PATH}", f"http://ndes.example:{PATH}"),
        (f"https://ndes.example:80{PATH}", f"https://ndes.example:80{PATH}"),
        ("https://[", "://:"),
    ],
)
def test_equal_endpoints_have_equal_keys(url: str, key: str) -> None:
    assert endpoint_key(parse_endpoint(url)) == key


def test_no_endpoint_has_the_empty_key() -> None:
    assert endpoint_key(None) == ""


@pytest.mark.parametrize(
    ("url", "port", "new"),
    [
        (f"https://ndes01.lab.example{PATH}", None, f"http://ndes01.lab.example{PATH}"),
        (f"HTTPS://NDES01.lab.example:443{PATH}?a=b", None, f"http://NDES01.lab.example{PATH}?a=b"),
        (f"https://ndes01.lab.example:8443{PATH}", None, f"http://ndes01.lab.example{PATH}"),
        (f"https://ndes01.lab.example:8443{PATH}", 8080, f"http://ndes01.lab.example:8080{PATH}"),
        (f"https://ndes01.lab.example{PATH}", 80, f"http://ndes01.lab.example{PATH}"),
        (f"https://[::1]:8443{PATH}", None, f"http://[::1]{PATH}"),
        ("https://ndes01.lab.example", None, "http://ndes01.lab.example"),
        # These are refused by the module, which is given them as they are.
        (f"http://ndes01.lab.example{PATH}", 8080, f"http://ndes01.lab.example{PATH}"),
        (f"https://anna:secret@ndes01.lab.example{PATH}", None, f"https://anna:secret@ndes01.lab.example{PATH}"),
        ("ldap://ndes01", None, "ldap://ndes01"),
    ],
)
def test_of_an_https_url_only_scheme_and_port_change(url: str, port: int | None, new: str) -> None:
    assert http_url(url, port) == new


@pytest.mark.parametrize(
    ("scheme", "host", "port", "expected"),
    [
        ("https", "NDES01.example.", None, ("https", "ndes01.example", 443)),
        ("https", "ndes01.example", 443, ("https", "ndes01.example", 443)),
        ("http", "ndes01.example", None, ("http", "ndes01.example", 80)),
        ("https", "ndes01.example", 8443, ("https", "ndes01.example", 8443)),
        (None, None, None, (None, "", None)),
    ],
)
def test_one_form_for_all_spellings_of_a_server(
    scheme: str | None, host: str | None, port: int | None, expected: tuple[str | None, str, int | None]
) -> None:
    assert authority(scheme, host, port) == expected
