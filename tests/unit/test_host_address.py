"""Where a host is reached, and names that are one machine."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleUndefinedVariable
from ansible_collections.winpki.scep.plugins.plugin_utils.host_address import (
    AddressError,
    host_address,
    same_machine,
)


def rendered(template: str) -> str:
    if "nowhere" in template:
        raise AnsibleUndefinedVariable("'nowhere' is\nundefined")
    return template.replace("{{ domain }}", "prod.example")


def test_templates_are_rendered_and_only_what_is_there_counts() -> None:
    variables = {
        "ansible_host": "client1.{{ domain }}",
        "ansible_port": 5986,
        "ansible_winrm_port": "",
        "ansible_psrp_host": None,
        "ansible_user": "admin",
        "domain": "prod.example",
    }
    assert host_address("client1", variables, rendered) == {
        "ansible_host": "client1.prod.example",
        "ansible_port": "5986",
    }
    assert host_address("client1", {}, rendered) == {}


def test_what_can_not_be_rendered_names_host_and_variable() -> None:
    with pytest.raises(AddressError) as error:
        host_address("client1", {"ansible_winrm_host": "{{ nowhere }}"}, rendered)
    assert str(error.value) == (
        "ansible_winrm_host of client1 can't be rendered, so where the host is reached is not known: 'nowhere' is"
        " undefined"
    )


SAME = "a and b are one machine, at 10.0.0.1:5986: name it once, or take one out with --limit"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"ansible_host": "10.0.0.1"}, {"ansible_host": "10.0.0.1"}, True),
        ({"ansible_host": "10.0.0.1"}, {"ansible_host": "10.0.0.1", "ansible_port": "5986"}, True),
        ({"ansible_host": "10.0.0.1"}, {"ansible_host": "10.0.0.1", "ansible_port": "5985"}, False),
        ({"ansible_host": "10.0.0.1"}, {"ansible_host": "10.0.0.2"}, False),
        # A connection plugin's own variables come first, and those of another plugin mean nothing to it.
        ({"ansible_host": "x", "ansible_winrm_host": "10.0.0.1", "ansible_connection": "ansible.builtin.winrm"},
         {"ansible_host": "10.0.0.1", "ansible_psrp_host": "y", "ansible_connection": "winrm"}, True),
        ({"ansible_host": "10.0.0.1", "ansible_psrp_port": "5985", "ansible_connection": "psrp"},
         {"ansible_host": "10.0.0.1", "ansible_psrp_port": "5986", "ansible_connection": "psrp"}, False),
        ({"ansible_psrp_host": "10.0.0.1"}, {"ansible_host": "10.0.0.1"}, True),
        ({}, {}, False),
        ({}, None, False),
    ],
)  # fmt: skip
def test_two_names_of_one_machine(one: Any, other: Any, same: bool) -> None:
    assert same_machine({"b": other, "a": one}) == ({"a": SAME, "b": SAME} if same else {})


def test_a_name_is_an_address_too() -> None:
    found = same_machine({"PC1.example": {}, "pc1": {"ansible_host": "pc1.EXAMPLE."}, "pc2": {}, "x": {}})
    told = "PC1.example and pc1 are one machine, at pc1.example:5986: name it once, or take one out with --limit"
    assert found == {"PC1.example": told, "pc1": told}
    three = {name: {"ansible_host": "10.0.0.1"} for name in ("c", "a", "b")}
    assert same_machine(three)["c"].startswith("a, b and c are one machine, at 10.0.0.1:5986: ")
