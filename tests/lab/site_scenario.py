"""Reads the ``sites`` of a scenario: the services that its hosts enrol at, and the proxies on their way there."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

from tests.lab.ndes import CHAINS
from tests.lab.node import Node
from tests.lab.site import MODES

KINDS = ("ndes", "aik", "proxy")
BINDINGS = ("plain", "sni")
_FAIL_INFO = 4
_STATUS = (400, 599)
_DNS_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", re.IGNORECASE)


@dataclass(frozen=True)
class SiteScenario:
    """One site.

    Attributes:
        name: the DNS name of an NDES; what the scenario calls an AIK service or a proxy.
        kind: one of `KINDS`.
        mode: how it answers, one of site.py's modes; not for a proxy.
        clock: how far its clock is ahead.
        chain: of an NDES, one of ndes.py's `CHAINS`.
        pki: of an NDES, the name of its PKI; those with one name share it.
        https_only: of an NDES, whether it refuses SCEP over HTTP.
        refusal: of an NDES, the FailInfo that it refuses requests with; of a proxy, the status.
        server: of an NDES, the scenario's host that it runs on.
        binding: of that host, where HTTP.sys finds the certificate.
        authorities: of an AIK service, the first labels of the names that it has an authority for.
        intercepted: of an AIK service, whether TLS is inspected on the way to it.
    """

    name: str
    kind: str
    mode: str = "ok"
    clock: timedelta = timedelta()
    chain: str = "good"
    pki: str = "lab"
    https_only: bool = False
    refusal: int | None = None
    server: str | None = None
    binding: str = "plain"
    authorities: tuple[str, ...] = ()
    intercepted: bool = False


def site(name: str, node: Node, hosts: Collection[str]) -> SiteScenario:
    """Reads one site.

    Raises:
        ScenarioError: something in it is wrong.
    """
    if not _DNS_NAME.fullmatch(name):
        raise node.wrong("name", f"a DNS name is needed, not {name!r}")
    node.text("about")
    kind = node.choice("kind", KINDS)
    if kind is None:
        raise node.wrong("kind", f"one of {', '.join(KINDS)} is needed")
    if kind == "proxy":
        refusal = node.number("refusal", _STATUS[0])
        if refusal is not None and refusal > _STATUS[1]:
            raise node.wrong("refusal", f"an HTTP status from 400 to 599 is needed, not {refusal}")
        found = SiteScenario(name, kind, refusal=refusal)
    else:
        mode, clock = node.choice("mode", MODES) or "ok", node.duration("clock", signed=True) or timedelta()
        found = _ndes(name, node, mode, clock, hosts) if kind == "ndes" else _aik(name, node, mode, clock)
    node.finish()
    return found


def _ndes(name: str, node: Node, mode: str, clock: timedelta, hosts: Collection[str]) -> SiteScenario:
    refusal = node.number("refusal", 0)
    if refusal is not None and refusal > _FAIL_INFO:
        raise node.wrong("refusal", f"a FailInfo from 0 to {_FAIL_INFO} is needed, not {refusal}")
    server = node.text("server")
    if server is not None and server not in hosts:
        raise node.wrong("server", f"{server!r} is not among the scenario's hosts")
    return SiteScenario(
        name,
        "ndes",
        mode,
        clock,
        chain=node.choice("chain", CHAINS) or "good",
        pki=node.text("pki") or "lab",
        https_only=node.flag("https_only", False),
        refusal=refusal,
        server=server,
        binding=node.choice("binding", BINDINGS) or "plain",
    )


def _aik(name: str, node: Node, mode: str, clock: timedelta) -> SiteScenario:
    authorities = tuple(label.lower() for label in node.texts("authorities"))
    return SiteScenario(name, "aik", mode, clock, authorities=authorities, intercepted=node.flag("intercepted", False))
