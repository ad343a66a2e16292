"""Sites and state in scenario files: what is refused, and what a host has of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.lab import pki, registry, store, tpm
from tests.lab.build import build
from tests.lab.enrolment import PROFILES
from tests.lab.faults import Fault
from tests.lab.node import ScenarioError
from tests.lab.scenario import DEFAULT, load, load_scenario
from tests.lab.scep import Proxy, host_proxy
from tests.lab.site_scenario import SiteScenario
from tests.lab.sites import Sites
from tests.lab.state_scenario import Aik, Profile

SITES = """\
sites:
  n.example: {kind: ndes}
  service: {kind: aik}
  relay: {kind: proxy}
"""
KEY_ID = "18b1af70b93f991972f362556a9a3fbf4bb24e0d"


def write(folder: Path, text: str) -> Path:
    path = folder / "s.yml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1", "sites: a mapping is needed, not 1"),
        ("{n.example: 3}", "sites: n.example: a mapping is needed, not 3"),
        ("{n.example: {}}", "sites: n.example: kind: one of ndes, aik, proxy is needed"),
        ("{n.example: {kind: web}}", "sites: n.example: kind: one of ndes, aik, proxy is needed, not 'web'"),
        ("{'n/example': {kind: ndes}}", "sites: n/example: name: a DNS name is needed, not 'n/example'"),
        ("{n: {kind: ndes, chain: bad}}", "sites: n: chain: one of good, unknown_root, unknown_root_sent,"),
        ("{n: {kind: ndes, mode: 418}}", "sites: n: mode: text is needed, not 418"),
        ("{n: {kind: ndes, mode: '418'}}", "sites: n: mode: one of ok, 400, 401,"),
        ("{n: {kind: ndes, server: PC2}}", "sites: n: server: 'PC2' is not among the scenario's hosts"),
        ("{n: {kind: ndes, binding: all}}", "sites: n: binding: one of plain, sni is needed, not 'all'"),
        ("{n: {kind: ndes, refusal: 5}}", "sites: n: refusal: a FailInfo from 0 to 4 is needed, not 5"),
        ("{n: {kind: ndes, authorities: []}}", "sites: n: authorities: there is no such key"),
        ("{n: {kind: aik, authorities: ifx}}", "sites: n: authorities: a list of texts is needed, not 'ifx'"),
        ("{n: {kind: aik, chain: good}}", "sites: n: chain: there is no such key"),
        ("{n: {kind: proxy, refusal: 200}}", "sites: n: refusal: a whole number from 400 up is needed, not 200"),
        ("{n: {kind: proxy, refusal: 600}}", "sites: n: refusal: an HTTP status from 400 to 599 is needed, not 600"),
        ("{n: {kind: proxy, mode: ok}}", "sites: n: mode: there is no such key"),
    ],
)
def test_mistake_in_a_site(value: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"sites: {value}\nhosts: {{PC1: {{}}}}\n")
    with pytest.raises(ScenarioError) as raised:
        load_scenario(path)
    assert str(raised.value).startswith(f"scenario {path}: {message}")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("registry: [1]", "registry: a mapping is needed, not [1]"),
        ("registry: {HKCU\\A: {}}", "registry: HKCU\\A: a key below HKLM or HKU is needed"),
        ("registry: {HKLM: {}}", "registry: HKLM: a key below HKLM or HKU is needed"),
        ("registry: {HKLM\\A: 1}", "registry: HKLM\\A: a mapping is needed, not 1"),
        (
            "registry: {HKLM\\A: {v: true}}",
            "registry: HKLM\\A: v: a number of 32 bits, text, a list of texts or {hex: …}",
        ),
        ("registry: {HKLM\\A: {v: 4294967296}}", "registry: HKLM\\A: v: a number of 32 bits"),
        ("registry: {HKLM\\A: {v: [1]}}", "registry: HKLM\\A: v: a number of 32 bits"),
        ("registry: {HKLM\\A: {v: {hex: xy}}}", "registry: HKLM\\A: v: a number of 32 bits"),
        ("stores: {my: []}", "stores: my: there is no such key"),
        ("stores: {root: n.example}", "stores: root: a list of texts is needed, not 'n.example'"),
        ("stores: {root: [m]}", "stores: root: 'm' is not among the scenario's sites of this kind: n.example, service"),
        ("stores: {ca: [relay]}", "stores: ca: 'relay' is not among the scenario's sites of this kind: n.example"),
        ("names: {a: b}", "names: a: a site, an address, fail, again, nodata or delay=SECONDS is needed, not 'b'"),
        ("names: {a: 1}", "names: a: a site, an address, fail, again, nodata or delay=SECONDS is needed, not 1"),
        ("profiles: [{url: u, ca: n.example}]", "profiles 1: id: a name without a backslash is needed, not None"),
        ("profiles: [{id: 'a\\b', url: u, ca: n.example}]", "profiles 1: id: a name without a backslash is needed"),
        ("profiles: [{id: a, ca: n.example}]", "profiles 1: url: the URL of an NDES is needed"),
        ("profiles: [{id: a, url: u}]", "profiles 1: ca: either ca, an NDES site, or thumbprint is needed"),
        ("profiles: [{id: a, url: u, ca: service}]", "profiles 1: ca: 'service' is not among the scenario's sites of"),
        ("profiles: [{id: a, url: u, thumbprint: ab}]", "profiles 1: thumbprint: 40 hex digits are needed, not 'ab'"),
        ("profiles: [{id: a, url: u, ca: n.example, x: 1}]", "profiles 1: x: there is no such key"),
        (
            "profiles: [{id: a, url: u, ca: n.example}, {id: A, url: u, ca: n.example}]",
            "profiles: two have the same id",
        ),
        ("aik: 1", "aik: a mapping is needed, not 1"),
        ("aik: {}", "aik: maker: one of AMD, IFX, INTC, MSFT, NTC, QCOM, STM is needed"),
        ("aik: {maker: IFX, key_id: ab}", "aik: key_id: 40 hex digits are needed, not 'ab'"),
        ("aik: {maker: IFX, service: n.example}", "aik: service: 'n.example' is not among the scenario's sites of"),
        ("aik: {maker: IFX, task: off}", "aik: task: text is needed, not False"),
        ("aik: {maker: IFX, error: -1}", "aik: error: a whole number from 0 up is needed, not -1"),
        ("aik: {maker: IFX, state: 1}", "aik: state: there is no such key"),
        ("proxy: nowhere", "proxy: 'nowhere' is not among the scenario's sites of this kind: relay"),
        ("proxy_bypass: [a]", "proxy_bypass: goes with proxy only"),
        ("faults: [{kind: burn}]", "faults 1: kind: one of drop, lose, delay, 401, 500, cut, hang, quota is needed"),
    ],
)
def test_mistake_in_a_state(value: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"{SITES}hosts:\n  PC1:\n    {value}\n")
    with pytest.raises(ScenarioError) as raised:
        load_scenario(path)
    assert str(raised.value).startswith(f"scenario {path}: host PC1: {message}")


def test_what_is_read(tmp_path: Path) -> None:
    text = f"""\
sites:
  n.example: {{kind: ndes, chain: expired, pki: other, https_only: true, refusal: 2, server: PC1, binding: sni,
              clock: -1h}}
  service: {{kind: aik, authorities: [IFX-KeyId-00], intercepted: true, mode: '429'}}
  relay: {{kind: proxy, refusal: 407}}
hosts:
  PC1:
    profiles: [{{id: p, url: u, thumbprint: "{"0" * 40}", subject: CN=x}}]
    aik: {{maker: AMD, key_id: {KEY_ID.upper()}, service: unresolvable, task: disabled, error: 0x80072ee7,
          had_certificate: true}}
    faults: [{{kind: 401, operation: Receive, nth: 2, times: 0}}]
"""
    scenario = load_scenario(write(tmp_path, text))
    assert scenario.sites == (
        SiteScenario(
            "n.example", "ndes", clock=timedelta(hours=-1), chain="expired", pki="other", https_only=True, refusal=2,
            server="PC1", binding="sni",
        ),
        SiteScenario("service", "aik", "429", authorities=("ifx-keyid-00",), intercepted=True),
        SiteScenario("relay", "proxy", refusal=407),
    )  # fmt: skip
    (host,) = scenario.hosts
    assert host.state.profiles == (Profile("p", "u", thumbprint="0" * 40, subject="CN=x"),)
    assert host.state.aik == Aik("AMD", KEY_ID, task_enabled=False, error=0x80072EE7, had_certificate=True)
    assert host.faults == (Fault("401", "Receive", nth=2, times=0),)


def test_default_scenario_has_no_sites() -> None:
    assert load_scenario(DEFAULT).sites == ()
    assert [host.name for host in load_scenario(DEFAULT).hosts] == [host.name for host in load()]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Two NDES of one PKI and one of another, an AIK service and a proxy."""
    text = (
        "sites:\n  n1.example: {kind: ndes, server: NDES1}\n  n2.example: {kind: ndes, chain: missing_intermediate}\n"
        "  n3.example: {kind: ndes, pki: other, server: NDES3, binding: sni}\n  service: {kind: aik}\n"
        "  relay: {kind: proxy}\nhosts: {NDES1: {}, NDES3: {}}\n"
    )
    try:
        with Sites(load_scenario(write(tmp_path_factory.mktemp("sites"), text)).sites) as started:
            yield started
    except PermissionError as error:
        pytest.skip(f"the sites cannot be served: {error}")


def host(sites: Sites, folder: Path, name: str = "PC1", **keys: Any) -> Path:
    """The folder of a host with these keys."""
    own = {
        each.name: {"kind": each.kind, **({"server": each.server} if each.server == name else {})}
        for each in sites.scenarios.values()
    }
    path = write(folder, json.dumps({"sites": own, "hosts": {name: keys}}))
    (built,) = build(load_scenario(path).hosts, folder, sites)
    return built.folder


def test_sites_have_addresses_of_their_own(sites: Sites) -> None:
    assert sorted(sites.addresses) == ["n1.example", "n2.example", "n3.example", "relay", "service"]
    for name in ("n1.example", "n2.example"):
        with (
            socket.create_connection((sites.addresses[name], 443), 5),
            socket.create_connection((sites.addresses[name], 80), 5),
        ):
            pass
    assert len({sites.addresses[name] for name in ("n1.example", "n2.example", "n3.example", "service")}) == 4
    assert sites.ndes["n1.example"].pki is sites.ndes["n2.example"].pki
    assert sites.ndes["n1.example"].pki is not sites.ndes["n3.example"].pki


def test_names(sites: Sites, tmp_path: Path) -> None:
    """Every NDES' name leads to it, the AIK service's if the host says so; the rest does not exist."""
    own = host(
        sites,
        tmp_path,
        aik={"maker": "IFX", "key_id": KEY_ID, "service": "service"},
        names={"n2.example": "fail", "n3.example": "delay=2:again", "old.example": "n1.example"},
    )
    assert (own / "hosts").read_text("ascii").splitlines() == [
        f"{sites.addresses['n1.example']} n1.example",
        "fail n2.example",
        "delay=2:again n3.example",
        f"{sites.addresses['service']} ifx-keyid-{KEY_ID}.microsoftaik.azure.net",
        f"{sites.addresses['n1.example']} old.example",
    ]
    assert sites.proxies["relay"].names[f"ifx-keyid-{KEY_ID}.microsoftaik.azure.net"] == sites.addresses["service"]


def test_stores_and_registry(sites: Sites, tmp_path: Path) -> None:
    own = host(
        sites,
        tmp_path,
        stores={"root": ["n1.example", "service"], "ca": ["n3.example"]},
        registry={
            "HKLM\\SYSTEM\\CurrentControlSet\\A": {"n": 4, "t": "x", "m": ["a"], "b": {"hex": "0102"}},
            "HKU\\S-1-5-18\\B": None,
        },
    )
    assert {each.subject.rfc4514_string() for each in store.certificates(own, "root")} == {
        "CN=Lab Root CA,O=Lab",
        "CN=Lab Global Root G2,O=Lab Trust Services",
    }
    (issuing,) = store.certificates(own, "ca")
    assert issuing == sites.ndes["n3.example"].pki.issuing.certificate
    assert [registry.read(own, "HKLM\\SYSTEM\\ControlSet001\\A", name) for name in "ntmb"] == [
        4,
        "x",
        ["a"],
        b"\x01\x02",
    ]
    assert registry.subkeys(own, "HKU\\.DEFAULT") == ["B"]


def test_profile(sites: Sites, tmp_path: Path) -> None:
    own = host(sites, tmp_path, profiles=[{"id": "p 1", "url": "https://n1.example/x", "ca": "n1.example"}])
    key = f"{PROFILES}\\p 1\\Install"
    values = [registry.read(own, key, name) for name in ("ServerURL", "CAThumbprint", "SubjectName", "RetryCount")]
    pin = pki.thumbprint(sites.ndes["n1.example"].pki.issuing.certificate)
    assert values == ["https://n1.example/x", pin, "CN=PC1", 3]


def test_aik(sites: Sites, tmp_path: Path) -> None:
    own = host(
        sites,
        tmp_path,
        aik={
            "maker": "NTC",
            "key_id": KEY_ID,
            "task": "disabled",
            "error": 5,
            "last_result": 6,
            "had_certificate": True,
        },
    )
    assert tpm.url(own) == f"https://NTC-KeyId-{KEY_ID}.microsoftaik.azure.net/templates/Aik/scep"
    assert not tpm.task_enabled(own)
    task = json.loads((own / "tasks.json").read_text("ascii"))["tasks"][tpm.TASK]
    assert task["LastTaskResult"] == 6
    assert registry.read(own, tpm.NGC, "ErrorCode") == 5
    assert isinstance(registry.read(own, tpm.WMI, "WindowsAIKHash"), bytes)
    assert list(store.certificates(own, "root")) == []


@pytest.mark.parametrize(("proxy", "address"), [("127.0.0.9:3128", "127.0.0.9:3128"), ("relay", None)])
def test_proxy(proxy: str, address: str | None, sites: Sites, tmp_path: Path) -> None:
    own = host(sites, tmp_path, proxy=proxy, proxy_bypass=["<local>", "*.intra"])
    assert host_proxy(own) == Proxy(address or sites.proxies["relay"].authority, ("<local>", "*.intra"))


@pytest.mark.parametrize(
    ("name", "site", "binding"),
    [
        ("NDES1", "n1.example", "SslBindingInfo\\0.0.0.0:443"),
        ("NDES3", "n3.example", "SslSniBindingInfo\\n3.example:443"),
    ],
)
def test_ndes_server(name: str, site: str, binding: str, sites: Sites, tmp_path: Path) -> None:
    """The server's own host has the certificate that is served, its chain, and the binding."""
    own = host(sites, tmp_path, name)
    (served,) = store.certificates(own, "my")
    key = f"HKLM\\SYSTEM\\CurrentControlSet\\Services\\HTTP\\Parameters\\{binding}"
    assert registry.read(own, key, "SslCertHash") == bytes.fromhex(pki.thumbprint(served))
    assert served == sites.ndes[site].served.certificate
    assert list(store.certificates(own, "root")) == [sites.ndes[site].pki.root.certificate]
    assert list(store.certificates(own, "ca")) == [sites.ndes[site].pki.issuing.certificate]
    assert (
        registry.read(own, "HKLM\\SOFTWARE\\Microsoft\\Cryptography\\MSCEP", "EncryptionTemplate")
        == "IPSECIntermediateOffline"
    )


def test_host_without_state_has_no_files_of_it(tmp_path: Path) -> None:
    (built,) = build(load(write(tmp_path, "hosts: {PC1: {}}\n")), tmp_path)
    missing = ("hosts", "registry", "tpm.json", "tasks.json", ".dotnet")
    assert [name for name in missing if (built.folder / name).exists()] == []
