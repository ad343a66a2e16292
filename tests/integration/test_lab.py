"""The lab itself, end to end: real Ansible, real pywinrm, the engine."""

from __future__ import annotations

import pytest

from tests.lab.fleet import Fleet, Lab
from tests.lab.playbook import run_module


@pytest.fixture(scope="module", params=[False, True], ids=["http", "https"])
def fleet(lab: Lab, request: pytest.FixtureRequest) -> Fleet:
    """Two hosts, and one that is down."""
    hosts = [lab.host("CLIENT1"), lab.host("KIOSK03", clock_seconds=-7200, time_zone="Asia/Tokyo")]
    return lab.start(*hosts, lab.down("CLIENT3"), https=request.param)


def test_raw(fleet: Fleet) -> None:
    """PowerShell runs as the host, and text beyond ASCII comes back."""
    result = run_module(fleet.inventory_path, "CLIENT1", "ansible.builtin.raw", {"_raw_params": "'ä € 😀'; hostname"})
    assert result.result["stdout_lines"] == ["ä € 😀", "CLIENT1"]
