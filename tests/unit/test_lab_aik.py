"""A host's TPM, the enrolment of its attestation identity key, and the registry that both are kept in."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from tests.lab import pki, registry, store, tpm
from tests.lab.aik import DOMAIN, AikService
from tests.lab.enrolment import enrol_aik, enrol_all
from tests.lab.host import write_host, write_log

KEY_ID = "18b1af70b93f991972f362556a9a3fbf4bb24e0d"


def newest(folder: Path) -> dict[str, Any]:
    """The newest event of the host's log."""
    found: dict[str, Any] = json.loads((folder / "eventlogs" / "Application.jsonl").read_text("ascii").splitlines()[-1])
    return found


@pytest.fixture
def tpm_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, AikService]]:
    """A host with a TPM, and the AIK service at the port that its URL gets for the test."""
    folder = write_host(tmp_path / "PC1", "PC1")
    write_log(folder)
    tpm.write(folder, "IFX", KEY_ID)
    real, label = socket.getaddrinfo, f"ifx-keyid-{KEY_ID}"

    def resolve(host: str, *arguments: Any, **more: Any) -> Any:
        return real("127.0.0.1" if host.lower() == f"{label}.{DOMAIN}" else host, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with AikService() as service:
        url = f"https://IFX-KeyId-{KEY_ID}.{DOMAIN}:{service.site.port('https')}/templates/Aik/scep"
        monkeypatch.setattr(tpm, "url", lambda _: url)
        yield folder, service


def test_aik_url() -> None:
    certificate = tpm.endorsement_certificate("IFX", KEY_ID)
    assert tpm.label(certificate) == f"IFX-KeyId-{KEY_ID}"
    assert tpm.label(tpm.endorsement_certificate("AMD", KEY_ID.upper())) == f"AMD-KeyId-{KEY_ID}"


def test_aik_url_of_a_host(tmp_path: Path) -> None:
    folder = write_host(tmp_path / "PC1", "PC1")
    assert tpm.url(folder) is None
    assert enrol_aik(folder) == []
    tpm.write(folder, "NTC", None)
    assert tpm.url(folder) is None
    tpm.write(folder, "NTC", KEY_ID)
    assert tpm.url(folder) == f"https://NTC-KeyId-{KEY_ID}.microsoftaik.azure.net/templates/Aik/scep"
    (thumbprint,) = registry.subkeys(folder, tpm.EK_STORE)
    blob = registry.read(folder, f"{tpm.EK_STORE}\\{thumbprint}", "Blob")
    assert isinstance(blob, bytes)
    certificate = x509.load_der_x509_certificate(blob[44:])  # 12 + 20 of the first property, 12 of the second
    assert pki.thumbprint(certificate) == thumbprint


@pytest.mark.parametrize("certificate", [pki.Authority.root("Lab").certificate])
def test_certificate_of_no_tpm(certificate: x509.Certificate) -> None:
    with pytest.raises(ValueError, match="the certificate is not one of a TPM's endorsement key"):
        tpm.label(certificate)


def test_aik_of_an_unknown_authority(tpm_host: tuple[Path, AikService]) -> None:
    folder, service = tpm_host
    store.put(folder, "root", service.root.certificate)
    assert [done.hresult for done in enrol_aik(folder)] == [0x80190194]
    answer = dict(newest(folder)["data"])["MessageText"].splitlines()[2]
    name = f"ifx-keyid-{KEY_ID}.microsoftaik.azure.net"
    assert json.loads(answer) == {"Message": f'The authority "{name}" does not exist.'}
    assert registry.read(folder, tpm.NGC, "ErrorCode") == 0x80190194
    assert registry.read(folder, tpm.WMI, "WindowsAIKHash") is None


def test_aik_is_made_once(tpm_host: tuple[Path, AikService]) -> None:
    """As time goes by the task runs until it has an AIK, and not when it is disabled."""
    folder, service = tpm_host
    service.authorities.add(f"ifx-keyid-{KEY_ID}")
    tpm.write_task(folder, enabled=False, last_result=None, last_run=None)
    assert enrol_all(folder) == []
    tpm.write_task(folder, enabled=True, last_result=None, last_run=None)
    assert [done.hresult for done in enrol_all(folder)] == [0x80072F8F]
    store.put(folder, "root", service.root.certificate)
    assert [done.event_id for done in enrol_all(folder)] == [88]
    assert registry.read(folder, tpm.NGC, "ErrorCode") == 0
    assert isinstance(registry.read(folder, tpm.WMI, "WindowsAIKHash"), bytes)
    assert enrol_all(folder) == []


def test_registry(tmp_path: Path) -> None:
    """Keys and names in any case, links followed, every kind read as it was written."""
    registry.write(tmp_path, "HKLM\\SYSTEM\\CurrentControlSet\\A", {"n": -1, "t": "x", "b": b"\x01", "m": ["a", "b"]})
    key = "hkey_local_machine\\system\\ControlSet001\\a"
    assert [registry.read(tmp_path, key, name) for name in "NTBM?"] == [0xFFFFFFFF, "x", b"\x01", ["a", "b"], None]
    registry.write(tmp_path, "HKLM\\SYSTEM\\CurrentControlSet\\A\\B\\C", {})
    assert registry.subkeys(tmp_path, "HKLM\\SYSTEM\\CurrentControlSet") == ["A"]
    assert registry.subkeys(tmp_path, key) == ["B"]
    registry.delete(tmp_path, key, "T")
    assert registry.read(tmp_path, key, "t") is None
    with pytest.raises(ValueError, match=r"HKCU\\X: a key below HKLM or HKU is needed"):
        registry.read(tmp_path, "HKCU\\X", "a")
