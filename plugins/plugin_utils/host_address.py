# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Ansible reaches a host, as its variables say it, and which names of an inventory are one machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleError

Address = Mapping[str, str]
"""Those of VARIABLES that a host has, as texts without templates. A host without any is reached by its name."""

Locate = Callable[[str], "Address | None"]
"""Returns the address of a host by inventory name, None if the inventory has no such host; raises AddressError."""

VARIABLES = (
    "ansible_connection",
    "ansible_host",
    "ansible_port",
    "ansible_psrp_host",
    "ansible_psrp_port",
    "ansible_ssh_host",
    "ansible_ssh_port",
    "ansible_winrm_host",
    "ansible_winrm_port",
)
_PORTS = {"psrp": "5986", "ssh": "22", "winrm": "5986"}


class AddressError(Exception):
    """A variable that can't be rendered, so that nobody knows which machine a name stands for."""

    def __init__(self, host: str, variable: str, reason: str) -> None:
        """Names the host and the variable, and says why."""
        super().__init__(f"{variable} of {host} can't be rendered, so where the host is reached is not known: {reason}")


def host_address(host: str, variables: Mapping[str, Any], render: Callable[[str], Any]) -> Address:
    """Returns the address of a host.

    Args:
        host: inventory name.
        variables: of the host, not rendered.
        render: renders a template with the host's variables.

    Raises:
        AddressError: it can't be rendered.
    """
    found: dict[str, str] = {}
    for name in VARIABLES:
        value = variables.get(name)
        try:
            # Most are no templates, and of 10,000 hosts each rendering counts.
            rendered = render(value) if isinstance(value, str) and "{" in value else value
            text = "" if rendered is None else str(rendered)
        except AnsibleError as error:
            raise AddressError(host, name, " ".join(str(error).split())) from error
        if text:
            found[name] = text
    return found


def same_machine(addresses: Mapping[str, Address | None]) -> dict[str, str]:
    """Returns for each host that is one machine with another a sentence that says so, by inventory name.

    The port counts: behind one address there can be several machines. Names that only a name server knows to be one
    machine are not seen.

    Args:
        addresses: by inventory name, None for a host that the inventory lacks.
    """
    names: dict[str, list[str]] = {}
    for host in sorted(addresses):
        address = addresses[host]
        if address is not None:
            names.setdefault(_place(host, address), []).append(host)
    return {
        host: f"{_listed(hosts)} are one machine, at {place}: name it once, or take one out with --limit"
        for place, hosts in names.items()
        if len(hosts) > 1
        for host in hosts
    }


def _place(host: str, address: Address) -> str:
    """Returns host and port, as the connection plugins choose them: their own variables before the common ones."""
    plugin = address.get("ansible_connection", "").rpartition(".")[2]
    kinds = [plugin] if plugin else list(_PORTS)
    own_host = next((address[name] for kind in kinds if (name := f"ansible_{kind}_host") in address), None)
    own_port = next((address[name] for kind in kinds if (name := f"ansible_{kind}_port") in address), None)
    name = own_host or address.get("ansible_host") or host
    port = own_port or address.get("ansible_port") or _PORTS.get(plugin, _PORTS["winrm"])
    return f"{name.casefold().rstrip('.')}:{port}"


def _listed(hosts: Iterable[str]) -> str:
    *others, last = hosts
    return f"{', '.join(others)} and {last}"
