r"""Reads what a scenario says of a host's state: registry, stores, SCEP profiles, TPM and AIK, names, proxy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.lab import registry
from tests.lab.node import Node
from tests.lab.site_scenario import SiteScenario
from tests.lab.store import NAMES
from tests.lab.tpm import MAKERS

UNRESOLVABLE = "unresolvable"
_KEY_ID = re.compile(r"[0-9a-f]{40}", re.IGNORECASE)
_THUMBPRINT = re.compile(r"[0-9A-F]{40}", re.IGNORECASE)
_ID = re.compile(r"[^\\\x00-\x1f]{1,255}")
_PEER = re.compile(r"[0-9A-Za-z.-]+:[0-9]{1,5}")
_OUTCOME = re.compile(r"(delay=\d+(\.\d+)?:)?(fail|again|nodata|\d{1,3}(\.\d{1,3}){3})|delay=\d+(\.\d+)?")
_HRESULT = 0xFFFFFFFF


@dataclass(frozen=True)
class Profile:
    """A SCEP profile of the device; `ca` is the NDES site whose CA it pins, `thumbprint` one of its own."""

    profile_id: str
    url: str
    ca: str | None = None
    thumbprint: str | None = None
    subject: str = "CN={host}"


@dataclass(frozen=True)
class Aik:
    """What a host has of an AIK.

    Attributes:
        maker: the TPM's.
        key_id: of the CA that issued the EK certificate; None where the TPM has no such certificate.
        service: the AIK site that its name leads to; None where it is not resolved.
        task_enabled: whether the task is enabled.
        last_result: the task's.
        error: the registry's ErrorCode.
        had_certificate: whether Windows has made an AIK.
    """

    maker: str
    key_id: str | None = None
    service: str | None = None
    task_enabled: bool = True
    last_result: int | None = None
    error: int | None = None
    had_certificate: bool = False


@dataclass(frozen=True)
class HostState:
    """A host's state besides its logs.

    Attributes:
        registry: values by key.
        stores: names of sites, whose root or intermediate it is, by store.
        names: what a DNS name leads to: a site, an address, or a failure.
        profiles: SCEP profiles of the device.
        aik: its TPM, and what it has of an AIK; None: no TPM.
        proxy: a proxy site, or address and port.
        proxy_bypass: host names that the proxy is not for.
    """

    registry: Mapping[str, Mapping[str, registry.Value]] = field(default_factory=dict)
    stores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    profiles: tuple[Profile, ...] = ()
    aik: Aik | None = None
    proxy: str | None = None
    proxy_bypass: tuple[str, ...] = ()


def state(node: Node, sites: Mapping[str, SiteScenario]) -> HostState:
    """Takes a host's keys of state out of its node.

    Raises:
        ScenarioError: something in them is wrong.
    """
    stores = node.node("stores")
    found = HostState(
        registry=_registry(node.node("registry")),
        stores={
            name: tuple(_site(stores, name, each, sites, "ndes", "aik") for each in stores.texts(name))
            for name in NAMES[:2]
        },
        names=_names(node.node("names"), sites),
        profiles=tuple(_profile(each, sites) for each in node.nodes("profiles")),
        aik=_aik(node, sites),
        proxy=_proxy(node, sites),
        proxy_bypass=node.texts("proxy_bypass"),
    )
    stores.finish()
    if found.proxy_bypass and found.proxy is None:
        raise node.wrong("proxy_bypass", "goes with proxy only")
    ids = [profile.profile_id.casefold() for profile in found.profiles]
    if len(set(ids)) < len(ids):
        raise node.wrong("profiles", "two have the same id")
    return found


def _site(node: Node, key: str, name: str, sites: Mapping[str, SiteScenario], *kinds: str) -> str:
    if name not in sites or sites[name].kind not in kinds:
        known = [each.name for each in sites.values() if each.kind in kinds]
        raise node.wrong(key, f"{name!r} is not among the scenario's sites of this kind: {', '.join(known)}")
    return name


def _registry(node: Node) -> dict[str, dict[str, registry.Value]]:
    found: dict[str, dict[str, registry.Value]] = {}
    for key, values in node.rest().items():
        try:
            registry.place(str(key))
        except ValueError as error:
            raise node.wrong(str(key), str(error).partition(": ")[2]) from error
        below = Node({} if values is None else values, f"{node.where}: {key}")
        found[str(key)] = {str(name): _value(below, str(name), value) for name, value in below.rest().items()}
    return found


def _value(node: Node, name: str, value: object) -> registry.Value:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _HRESULT):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return list(value)
    if isinstance(value, dict) and list(value) == ["hex"] and isinstance(value["hex"], str):
        try:
            return bytes.fromhex(value["hex"])
        except ValueError:
            pass
    raise node.wrong(name, f"a number of 32 bits, text, a list of texts or {{hex: …}} is needed, not {value!r}")


def _names(node: Node, sites: Mapping[str, SiteScenario]) -> dict[str, str]:
    found = {}
    for key, value in node.rest().items():
        if not isinstance(value, str) or not (value in sites or _OUTCOME.fullmatch(value)):
            raise node.wrong(
                str(key), f"a site, an address, fail, again, nodata or delay=SECONDS is needed, not {value!r}"
            )
        found[str(key)] = value
    return found


def _profile(node: Node, sites: Mapping[str, SiteScenario]) -> Profile:
    profile_id, url, ca, thumbprint = (node.text(key) for key in ("id", "url", "ca", "thumbprint"))
    if profile_id is None or not _ID.fullmatch(profile_id):
        raise node.wrong("id", f"a name without a backslash is needed, not {profile_id!r}")
    if not url:
        raise node.wrong("url", "the URL of an NDES is needed")
    if (ca is None) == (thumbprint is None):
        raise node.wrong("ca", "either ca, an NDES site, or thumbprint is needed")
    if ca is not None:
        _site(node, "ca", ca, sites, "ndes")
    if thumbprint is not None and not _THUMBPRINT.fullmatch(thumbprint):
        raise node.wrong("thumbprint", f"40 hex digits are needed, not {thumbprint!r}")
    profile = Profile(profile_id, url, ca, thumbprint, node.text("subject") or Profile.subject)
    node.finish()
    return profile


def _aik(node: Node, sites: Mapping[str, SiteScenario]) -> Aik | None:
    value = node.take("aik")
    if value is None:
        return None
    own = Node(value, f"{node.where}: aik")
    maker = own.choice("maker", MAKERS)
    if maker is None:
        raise own.wrong("maker", f"one of {', '.join(MAKERS)} is needed")
    key_id, service = own.text("key_id"), own.text("service")
    if key_id is not None and not _KEY_ID.fullmatch(key_id):
        raise own.wrong("key_id", f"40 hex digits are needed, not {key_id!r}")
    if service is not None and service != UNRESOLVABLE:
        _site(own, "service", service, sites, "aik")
    found = Aik(
        maker,
        None if key_id is None else key_id.lower(),
        None if service == UNRESOLVABLE else service,
        task_enabled=(own.choice("task", ("enabled", "disabled")) or "enabled") == "enabled",
        last_result=own.number("last_result", 0),
        error=own.number("error", 0),
        had_certificate=own.flag("had_certificate", False),
    )
    own.finish()
    return found


def _proxy(node: Node, sites: Mapping[str, SiteScenario]) -> str | None:
    value = node.text("proxy")
    if value is not None and not _PEER.fullmatch(value):
        return _site(node, "proxy", value, sites, "proxy")
    return value
