r"""Writes what a scenario says of a host: registry, stores, SCEP profiles, TPM and AIK, names, proxy, NDES role."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from pathlib import Path

from tests.lab import pki, registry, store, tpm
from tests.lab.enrolment import PROFILES
from tests.lab.scep import CONNECTIONS, WINHTTP_SETTINGS, Proxy, proxy_settings
from tests.lab.sites import HTTPS_PORT, Sites, aik_name
from tests.lab.state_scenario import Aik, HostState, Profile

HTTP_SYS = "HKLM\\SYSTEM\\CurrentControlSet\\Services\\HTTP\\Parameters"
MSCEP = "HKLM\\SOFTWARE\\Microsoft\\Cryptography\\MSCEP"
_IIS_APPLICATION = "{4dc3e181-e14b-4a21-b022-59fc669b0914}"


def write_state(folder: Path, name: str, state: HostState, sites: Sites, now: datetime) -> None:
    """Writes the state of one host.

    Args:
        folder: the host's.
        name: the computer's.
        state: as the scenario has it.
        sites: running.
        now: by the host's clock.
    """
    for key, values in state.registry.items():
        registry.write(folder, key, values)
    for site in state.stores.get("root", ()):
        store.put(folder, "root", sites.root(site).certificate)
    for site in state.stores.get("ca", ()):
        store.put(folder, "ca", sites.issuing(site).certificate)
    for profile in state.profiles:
        _write_profile(folder, name, profile, sites)
    names = {**{site: sites.addresses[site] for site in sites.ndes}, **_aik_names(folder, state.aik, sites, now)}
    names.update({key: sites.addresses.get(value, value) for key, value in state.names.items()})
    if names:
        # A name without a line does not exist.
        (folder / "hosts").write_text("".join(f"{value} {key}\n" for key, value in names.items()), "ascii")
    if state.proxy is not None:
        proxy = sites.proxies.get(state.proxy)
        settings = proxy_settings(Proxy(proxy.authority if proxy else state.proxy, state.proxy_bypass))
        registry.write(folder, CONNECTIONS, {WINHTTP_SETTINGS: settings})
    for site, scenario in sites.scenarios.items():
        if scenario.server == name:
            _write_server(folder, site, sites)


def _write_profile(folder: Path, name: str, profile: Profile, sites: Sites) -> None:
    pin = profile.thumbprint or pki.thumbprint(sites.issuing(profile.ca or "").certificate)
    registry.write(
        folder,
        f"{PROFILES}\\{profile.profile_id}\\Install",
        {
            "ServerURL": profile.url,
            "CAThumbprint": pin,
            "SubjectName": profile.subject.replace("{host}", name),
            "HashAlgorithm": "SHA-2",
            "KeyLength": 2048,
            "KeyUsage": 160,
            "EKUMapping": "1.3.6.1.5.5.7.3.2",
            "RetryCount": 3,
            "RetryDelay": 1,
            "CurrentRetryCount": 0,
            "ValidPeriod": "Years",
            "ValidPeriodUnits": 1,
            # DPAPI's blobs begin so; what follows is nobody's secret, and nothing may read it.
            "Challenge": bytes.fromhex("01000000d08c9ddf0115d1118c7a00c04fc297eb")
            + hashlib.sha256(pin.encode()).digest(),
        },
    )


def _aik_names(folder: Path, aik: Aik | None, sites: Sites, now: datetime) -> dict[str, str]:
    """Writes TPM, AIK and task; returns the name of the AIK service, if it leads anywhere."""
    if aik is None:
        return {}
    tpm.write(folder, aik.maker, aik.key_id)
    if aik.error is not None:
        registry.write(folder, tpm.NGC, {"ErrorCode": aik.error})
    if aik.had_certificate:
        registry.write(folder, tpm.WMI, {"WindowsAIKHash": hashlib.sha256(str(folder).encode()).digest()})
    last_run = None if aik.last_result is None else now - timedelta(hours=3)
    tpm.write_task(folder, enabled=aik.task_enabled, last_result=aik.last_result, last_run=last_run)
    if aik.service is None or aik.key_id is None:
        return {}
    # One of the public roots that Windows comes with.
    store.put(folder, "root", sites.root(aik.service).certificate)
    name, address = aik_name(f"{aik.maker}-KeyId-{aik.key_id}"), sites.addresses[aik.service]
    sites.resolve(name, address)
    return {name: address}


def _write_server(folder: Path, site: str, sites: Sites) -> None:
    """Makes the host the NDES server of a site: its settings, the certificate that it serves, and HTTP.sys' binding."""
    ndes, scenario = sites.ndes[site], sites.scenarios[site]
    served = ndes.served
    store.put(folder, "my", served.certificate, key=served.key)
    for issuer in served.issuers:
        store.put(folder, "root" if issuer.subject == issuer.issuer else "ca", issuer)
    place = f"{site}:{HTTPS_PORT}" if scenario.binding == "sni" else f"0.0.0.0:{HTTPS_PORT}"
    table = "SslSniBindingInfo" if scenario.binding == "sni" else "SslBindingInfo"
    registry.write(
        folder,
        f"{HTTP_SYS}\\{table}\\{place}",
        {
            "AppId": _IIS_APPLICATION,
            "SslCertHash": bytes.fromhex(pki.thumbprint(served.certificate)),
            "SslCertStoreName": "My",
        },
    )
    templates = ("EncryptionTemplate", "GeneralPurposeTemplate", "SignatureTemplate")
    registry.write(folder, MSCEP, dict.fromkeys(templates, "IPSECIntermediateOffline"))
    registry.write(folder, f"{MSCEP}\\EnforcePassword", {"EnforcePassword": 1})
    registry.write(folder, f"{MSCEP}\\UseSinglePassword", {"UseSinglePassword": 0})
    registry.write(folder, HTTP_SYS, {"MaxFieldLength": 65534, "MaxRequestBytes": 65534})
