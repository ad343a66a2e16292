"""What the action plugin trust_chain lets go to a host."""

from __future__ import annotations

import pytest
from ansible_collections.winpki.scep.plugins.action.trust_chain import certificates_only, refuse_private_keys

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
MESSAGE = "certificates entry 2 holds a private key: give the certificates alone, and treat that key as disclosed."


@pytest.mark.parametrize(
    "key",
    [
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nc2VjcmV0",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "-----begin openssh private key-----\nc2VjcmV0\n",
        f"{CERTIFICATE}\n-----BEGIN EC PRIVATE KEY-----\r\nc2VjcmV0\r\n",
    ],
)
def test_a_private_key_is_refused_and_not_quoted(key: str) -> None:
    assert refuse_private_keys([CERTIFICATE, key]) == {
        "failed": True,
        "changed": False,
        "refused": True,
        "reason": "private_key",
        "refusals": [{"reason": "private_key", "message": MESSAGE}],
        "msg": f"Refused, nothing was changed. {MESSAGE}",
    }


@pytest.mark.parametrize("texts", [[], [""], [CERTIFICATE], ["X509v3 Private Key Usage Period:\n" + CERTIFICATE]])
def test_what_holds_no_key_passes(texts: list[str]) -> None:
    assert refuse_private_keys(texts) is None


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (CERTIFICATE, CERTIFICATE),
        (
            f"Bag Attributes\n    friendlyName: x\n{CERTIFICATE}\nc2VjcmV0\n{CERTIFICATE}\n",
            f"{CERTIFICATE}\n{CERTIFICATE}",
        ),
        (
            "-----BEGIN PKCS7-----\r\nAAAA\r\n-----END PKCS7-----",
            "-----BEGIN PKCS7-----\r\nAAAA\r\n-----END PKCS7-----",
        ),
        (f"{CERTIFICATE}\n-----BEGIN CERTIFICATE-----\nMIIB\n", ""),
        ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END X509 CRL-----", ""),
        ("/etc/ssl/ndes.pem", ""),
        ("", ""),
    ],
)
def test_only_whole_blocks_are_sent(text: str, sent: str) -> None:
    assert certificates_only(text) == sent
