"""The sites of a scenario while they run."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.lab import pki
from tests.lab.aik import DOMAIN, AikService
from tests.lab.ndes import Ndes
from tests.lab.proxy import Proxy
from tests.lab.site_scenario import SiteScenario

HTTP_PORT, HTTPS_PORT, PROXY_PORT = 80, 443, 8080
_ADDRESSES = tuple(f"127.7.{row}.{place}" for row in range(8) for place in range(1, 251))

_Server = TypeVar("_Server", Ndes, AikService, Proxy)


class Sites:
    """The sites, from start() to stop(), or as a context manager; each at an address of its own in 127.7.0.0/16.

    Attributes:
        ndes: by their DNS names.
        aik: by the scenario's names for them.
        proxies: likewise.
        addresses: of all of them.
    """

    def __init__(self, scenarios: Sequence[SiteScenario] = ()) -> None:
        self.scenarios = {each.name: each for each in scenarios}
        self.ndes: dict[str, Ndes] = {}
        self.aik: dict[str, AikService] = {}
        self.proxies: dict[str, Proxy] = {}
        self.addresses: dict[str, str] = {}
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Sites:
        """Starts them."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stops them."""
        self.stop()

    def start(self) -> None:
        """Begins to serve.

        Raises:
            OSError: no address can be had, or this user may not have the ports; the message says what to do.
        """
        try:
            for each in self.scenarios.values():
                if each.kind == "ndes":
                    self._start_ndes(each)
                elif each.kind == "aik":
                    self._start_aik(each)
            for each in self.scenarios.values():
                if each.kind == "proxy":
                    self._start_proxy(each)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Lets go of everything; can be called twice."""
        self._exit.close()

    def root(self, name: str) -> pki.Authority:
        """The root of an NDES' PKI, or of the AIK service's certificate."""
        return self.ndes[name].pki.root if name in self.ndes else self.aik[name].root

    def issuing(self, name: str) -> pki.Authority:
        """The authority below that root."""
        return self.ndes[name].pki.issuing if name in self.ndes else self.aik[name].issuing

    def resolve(self, name: str, address: str) -> None:
        """Lets the proxies know a name."""
        for proxy in self.proxies.values():
            proxy.names[name.lower()] = address

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the roots and chains as an operator would have them in files; returns the inventory's ``lab_sites``.

        Of each NDES: ``address``, ``url``, ``http_url``, ``root_sha256``, and the files ``root_file`` and
        ``chain_file`` (intermediate and root).
        """
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, Any] = {}
        for name, ndes in self.ndes.items():
            root, chain = folder / f"{name}-root.pem", folder / f"{name}-chain.pem"
            root.write_text(ndes.trusted_root, "ascii")
            chain.write_text(ndes.intermediate + ndes.trusted_root, "ascii")
            found[name] = {
                "address": self.addresses[name],
                "url": ndes.url("https"),
                "http_url": ndes.url("http"),
                "root_sha256": pki.sha256(ndes.pki.root.certificate),
                "root_file": str(root),
                "chain_file": str(chain),
            }
        return found

    def _start_ndes(self, scenario: SiteScenario) -> None:
        shared = next((self.ndes[name].pki for name in self.ndes if self.scenarios[name].pki == scenario.pki), None)
        ndes = self._placed(
            scenario.name,
            lambda address: Ndes(
                scenario.name,
                address=address,
                http_port=HTTP_PORT,
                https_port=HTTPS_PORT,
                authorities=shared,
                organization=scenario.pki.title(),
            ),
        )
        ndes.chain, ndes.https_only, ndes.refusal = scenario.chain, scenario.https_only, scenario.refusal
        ndes.site.mode, ndes.site.clock_skew = scenario.mode, scenario.clock.total_seconds()
        self.ndes[scenario.name] = ndes

    def _start_aik(self, scenario: SiteScenario) -> None:
        aik = self._placed(scenario.name, lambda address: AikService(address=address, https_port=HTTPS_PORT))
        aik.authorities.update(scenario.authorities)
        aik.intercepted = scenario.intercepted
        aik.site.mode, aik.site.clock_skew = scenario.mode, scenario.clock.total_seconds()
        self.aik[scenario.name] = aik

    def _start_proxy(self, scenario: SiteScenario) -> None:
        # Revocation lists are named by address.
        names = {name.lower(): address for own, address in self.addresses.items() for name in (own, address)}
        proxy = self._placed(scenario.name, lambda address: Proxy(names, address, PROXY_PORT))
        proxy.refusal = scenario.refusal or 0
        self.proxies[scenario.name] = proxy

    def _placed(self, name: str, make: Callable[[str], _Server]) -> _Server:
        """Makes and starts a server at the first address whose ports are free."""
        failure: OSError | None = None
        for address in _ADDRESSES:
            try:
                server = make(address)
            except PermissionError as error:
                raise PermissionError(
                    errno.EACCES,
                    f"the site {name} needs the ports {HTTP_PORT} and {HTTPS_PORT} on loopback, which this user may "
                    "not have: run as root, or set the kernel's net.ipv4.ip_unprivileged_port_start to 80",
                ) from error
            except OSError as error:
                failure = error
                continue
            self._exit.callback(server.stop)
            server.start()
            self.addresses[name] = address
            return server
        raise OSError(f"no address in 127.7.0.0 can be had for the site {name}: {failure}")


def aik_name(label: str) -> str:
    """The host name of the AIK service by its first label."""
    return f"{label}.{DOMAIN}".lower()
