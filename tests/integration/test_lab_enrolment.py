"""Enrolment on simulated hosts: the mixed fleet, its remedies by hand, and what starts an enrolment on a host."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import registry, store, tpm
from tests.lab.build import scenario_fleet
from tests.lab.engine import Engine
from tests.lab.enrolment import PROFILES
from tests.lab.enrolment_log import LEVEL_KEY
from tests.lab.fleet import Fleet
from tests.lab.playbook import run_module
from tests.lab.scenario import DEFAULT, load_scenario

SCENARIO = DEFAULT.with_name("remediate.yml")
PROFILE = "ModelName_AC_1f0d_LogicalName_device"

START_TASK = r"""
$task = @{ TaskPath = '\Microsoft\Windows\CertificateServicesClient\'; TaskName = 'AikCertEnrollTask' }
Start-ScheduledTask @task
$turn = 0
while ((Get-ScheduledTask @task).State -eq 'Running' -and $turn++ -lt 100) { Start-Sleep -Milliseconds 200 }
(Get-ScheduledTaskInfo @task).LastTaskResult
"""
DISABLE_TASK = r"""
$task = @{ TaskPath = '\Microsoft\Windows\CertificateServicesClient\'; TaskName = 'AikCertEnrollTask' }
$null = Disable-ScheduledTask @task
try { Start-ScheduledTask @task -ErrorAction Stop } catch { 'refused' }
"""
SHOW_TPM = r"""
$key = Get-TpmEndorsementKeyInfo
$key.IsPresent
$key.ManufacturerCertificates[0].Extensions['2.5.29.35'].RawData -join ','
"""
ENROL = r"""
$id = 'PROFILE'
$key = "Software\Microsoft\SCEP\MS DM Server\$id\Install"
$null = & 'C:\Windows\System32\dmcertinst.exe' -s -k $key -h HKLM -t $id
$null = & dmcertinst.exe -s -k $key -h HKLM -t $id
$words = '-s', '-k', "`"$key`"", '-h', 'HKLM', '-t', $id
Start-Process -FilePath 'C:\Windows\System32\dmcertinst.exe' -Wait -ArgumentList $words
$thumbprint = (Get-ItemProperty "HKLM:\SOFTWARE\Microsoft\SCEP\MS DM Server\$id").CertThumbprint
$store = [System.Security.Cryptography.X509Certificates.X509Store]::new('My', 'LocalMachine')
$store.Open('ReadOnly')
$found = $store.Certificates.Find('FindByThumbprint', $thumbprint, $false)[0]
"$($found.Subject) $($found.HasPrivateKey)"
& dmcertinst.exe -s -h HKLM -t nix 2>$null
$LASTEXITCODE
""".replace("PROFILE", PROFILE)
SHOW_BINDING = r"""
$binding = Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Services\HTTP\Parameters\SslBindingInfo\0.0.0.0:443'
$thumbprint = [BitConverter]::ToString($binding.SslCertHash).Replace('-', '')
$store = [System.Security.Cryptography.X509Certificates.X509Store]::new($binding.SslCertStoreName, 'LocalMachine')
$store.Open('ReadOnly')
$chain = [System.Security.Cryptography.X509Certificates.X509Chain]::new()
$chain.ChainPolicy.RevocationMode = 'NoCheck'
$chain.Build($store.Certificates.Find('FindByThumbprint', $thumbprint, $false)[0])
$chain.ChainElements | ForEach-Object { $_.Certificate.Subject }
"""


@pytest.fixture(scope="module")
def fleet(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The mixed fleet; a test changes only its own host."""
    try:
        with scenario_fleet(load_scenario(SCENARIO), engine, folder=tmp_path_factory.mktemp("fleet")) as started:
            yield started
    except PermissionError as error:
        pytest.skip(f"the sites cannot be served: {error}")


def folder(fleet: Fleet, host: str) -> Path:
    return next(each.folder for each in fleet.hosts if each.name == host)


def enrol(fleet: Fleet, host: str) -> list[tuple[int, int]]:
    """Event and HRESULT of each try."""
    return [(done.event_id, done.hresult) for done in fleet.enrol(host)]


def newest(fleet: Fleet, host: str) -> dict[str, Any]:
    text = (folder(fleet, host) / "eventlogs" / "Application.jsonl").read_text("ascii")
    found: dict[str, Any] = json.loads(text.splitlines()[-1])
    return found


def raw(fleet: Fleet, host: str, script: str) -> list[str]:
    done = run_module(fleet.inventory_path, host, "ansible.builtin.raw", {"_raw_params": script})
    assert done.status == "ok", done.result
    lines: list[str] = done.result["stdout_lines"]
    return lines


@pytest.mark.parametrize(
    ("host", "outcome"),
    [
        ("NDES01", []),
        ("CLIENT01", [(86, 0x80072F8F)]),
        ("CLIENT02", [(86, 0x80072F8F)]),
        ("CLIENT03", [(86, 0x80072F8F)]),
        ("CLIENT04", [(86, 0x80072F8F)]),
        ("CLIENT05", [(86, 0x80072F8F)]),
        ("CLIENT06", [(86, 0x80072F8F)]),
        ("CLIENT07", [(86, 0x80072F8F)]),
        ("CLIENT08", [(88, 0)]),
        ("CLIENT09", [(88, 0)]),
        ("KIOSK01", [(86, 0x80072EE7)]),
        ("LAPTOP01", [(86, 0x80190194)]),
        ("LAPTOP02", [(86, 0x80072EE7)]),
    ],
)
def test_mixed_fleet(host: str, outcome: list[tuple[int, int]], fleet: Fleet) -> None:
    """What each host's next enrolment gives, as the scenario made it."""
    assert enrol(fleet, host) == outcome


def test_proxied_host_reaches_its_server_by_the_proxy_alone(fleet: Fleet) -> None:
    before = len(fleet.sites.proxies["proxy01"].asked)
    assert enrol(fleet, "CLIENT09") == [(88, 0)]
    asked = [line.rpartition(" ")[0] for line in fleet.sites.proxies["proxy01"].asked[before:]]
    assert asked[0] == "CONNECT ndes01.intra.example:443"
    assert (newest(fleet, "CLIENT09")["id"], newest(fleet, "CLIENT09")["computer"]) == (88, "CLIENT09")


def test_trust_in_the_chain(fleet: Fleet) -> None:
    """The root alone is enough where the server sends its intermediate; for another name it changes nothing."""
    root = fleet.sites.ndes["ndes01.intra.example"].pki.root.certificate
    for host in ("CLIENT01", "CLIENT03"):
        store.put(folder(fleet, host), "root", root)
    assert enrol(fleet, "CLIENT01") == [(88, 0)]
    assert enrol(fleet, "CLIENT03") == [(86, 0x80072F8F)]


def test_intermediate(fleet: Fleet) -> None:
    issuing = fleet.sites.ndes["ndes02.intra.example"].pki.issuing.certificate
    store.put(folder(fleet, "CLIENT02"), "ca", issuing)
    assert enrol(fleet, "CLIENT02") == [(88, 0)]


@pytest.mark.parametrize(("host", "outcome"), [("CLIENT05", [(88, 0)]), ("CLIENT06", [(86, 0x80190193)])])
def test_http_instead(host: str, outcome: list[tuple[int, int]], fleet: Fleet) -> None:
    (profile,) = registry.subkeys(folder(fleet, host), PROFILES)
    key = f"{PROFILES}\\{profile}\\Install"
    url = registry.read(folder(fleet, host), key, "ServerURL")
    registry.write(folder(fleet, host), key, {"ServerURL": str(url).replace("https:", "http:")})
    assert enrol(fleet, host) == outcome


def test_clock(fleet: Fleet) -> None:
    """The event is dated by the host's clock; when that is right, the certificate is valid."""
    enrol(fleet, "CLIENT07")
    failed = newest(fleet, "CLIENT07")["time"]
    (folder(fleet, "CLIENT07") / "clock").unlink()
    assert enrol(fleet, "CLIENT07") == [(88, 0)]
    assert failed < newest(fleet, "CLIENT08")["time"]


def test_task_enrols_for_the_aik(fleet: Fleet) -> None:
    """Run by Windows' API, the task asks the service that the TPM's certificate leads to."""
    before = newest(fleet, "LAPTOP01")["record"]
    registry.delete(folder(fleet, "LAPTOP01"), tpm.NGC, "ErrorCode")
    assert raw(fleet, "LAPTOP01", START_TASK) == [str(0x80190194)]
    event = newest(fleet, "LAPTOP01")
    assert (event["record"], event["id"], dict(event["data"])["Url"]) == (
        before + 1,
        86,
        "https://AMD-KeyId-578c545f796951421221a4a578acdb5f682f89c8.microsoftaik.azure.net/templates/Aik/scep",
    )
    assert registry.read(folder(fleet, "LAPTOP01"), tpm.NGC, "ErrorCode") == 0x80190194


def test_disabled_task_enrols_nothing(fleet: Fleet) -> None:
    before = newest(fleet, "KIOSK01")["record"]
    assert raw(fleet, "KIOSK01", DISABLE_TASK) == ["refused"]
    assert enrol(fleet, "KIOSK01") == []
    assert newest(fleet, "KIOSK01")["record"] == before


def test_endorsement_key(fleet: Fleet) -> None:
    """The certificate that Windows' API gives names the maker's CA key, by which the AIK service is asked."""
    present, octets = raw(fleet, "KIOSK01", SHOW_TPM)
    assert present == "True"
    assert bytes(map(int, octets.split(",")))[-20:].hex() == "18b1af70b93f991972f362556a9a3fbf4bb24e0d"


def test_mdm_client_enrols_for_a_profile(fleet: Fleet) -> None:
    """The MDM client's command, started in three ways: each time a new certificate, which Windows' API finds."""
    registry.write(folder(fleet, "CLIENT08"), LEVEL_KEY, {"LogLevel": 4})
    record = newest(fleet, "CLIENT08")["record"]
    lines = raw(fleet, "CLIENT08", ENROL)
    assert lines[-2:] == ["CN=CLIENT08 True", "1"]
    event = newest(fleet, "CLIENT08")
    assert (event["id"], event["record"]) == (88, record + 3)


def test_unknown_profile(fleet: Fleet) -> None:
    with pytest.raises(LookupError, match="the host has no SCEP profile nix with a ServerURL"):
        fleet.enrol("CLIENT08", "nix")
    with pytest.raises(LookupError, match="PC9 is not a host of this fleet that is up"):
        fleet.enrol("PC9")


def test_ndes_server_has_the_certificate_that_it_serves(fleet: Fleet) -> None:
    assert raw(fleet, "NDES01", SHOW_BINDING) == [
        "True",
        "CN=ndes01.intra.example",
        "CN=Lab Issuing CA 1, O=Lab",
        "CN=Lab Root CA, O=Lab",
    ]


def test_inventory_names_the_sites(fleet: Fleet) -> None:
    sites = fleet.inventory()["all"]["children"]["windows"]["vars"]["lab_sites"]
    site = sites["ndes01.intra.example"]
    assert site["url"] == "https://ndes01.intra.example/certsrv/mscep/mscep.dll/pkiclient.exe"
    assert Path(site["chain_file"]).read_text("ascii").count("BEGIN CERTIFICATE") == 2
    assert Path(site["root_file"]).read_text("ascii") == fleet.sites.ndes["ndes01.intra.example"].trusted_root
    assert len(site["root_sha256"]) == 64


def test_hosts_enrol_as_time_goes_by(engine: Engine, tmp_path: Path) -> None:
    scenario = tmp_path / "s.yml"
    scenario.write_text(
        "hosts:\n  KIOSK1: {names: {a: fail}, aik: {maker: IFX, key_id: " + "ab" * 20 + "}}\n  PC2: {down: true}\n"
    )
    with scenario_fleet(load_scenario(scenario), engine, folder=tmp_path) as fleet:
        before = newest(fleet, "KIOSK1")["record"]
        fleet.enrol_every(0.2)
        end = time.monotonic() + 60
        while newest(fleet, "KIOSK1")["record"] < before + 2 and time.monotonic() < end:
            time.sleep(0.2)
        assert dict(newest(fleet, "KIOSK1")["data"])["Stage"] == "GetCACaps"
        assert newest(fleet, "KIOSK1")["record"] >= before + 2
