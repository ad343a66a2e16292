"""Faults in a host's WinRM conversation, as Ansible meets them: what it says of each, and that the host goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.release import __version__

from tests.lab.faults import Fault
from tests.lab.fleet import Fleet, Lab
from tests.lab.playbook import TaskResult, run_module, run_playbook

MODULES = {"ANSIBLE_LIBRARY": str(Path(__file__).parent / "modules")}
SHORT = {"ansible_winrm_operation_timeout_sec": 2, "ansible_winrm_read_timeout_sec": 6}


@pytest.fixture(scope="module")
def fleet(lab: Lab) -> Fleet:
    return lab.start(lab.host("CLIENT1"), lab.host("CLIENT2"))


def probe(fleet: Fleet, fault: Fault) -> TaskResult:
    """A module on the host, with that fault in its conversation."""
    fleet.clear_faults("CLIENT1")
    fleet.inject("CLIENT1", fault)
    before = len(fleet.met_faults("CLIENT1"))
    done = run_module(
        fleet.inventory_path, "CLIENT1", "lab_probe", {"text": "x"}, environment=MODULES, extra_vars=SHORT
    )
    assert len(fleet.met_faults("CLIENT1")) > before
    return done


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (Fault("drop", "Create"), "unreachable", "Remote end closed connection without response"),
        (Fault("lose", "Command"), "failed", "Remote end closed connection without response"),
        (Fault("401", "Create"), "unreachable", "the specified credentials were rejected by the server"),
        (Fault("500", "Create"), "unreachable", "Bad HTTP response returned from server. Code 500"),
        (Fault("cut", "Create"), "unreachable", "no element found"),
        (Fault("quota", "Create"), "unreachable", "allowed a maximum number of 30 concurrent shells"),
    ],
)
def test_fault_that_ends_a_task(fault: Fault, status: str, message: str, fleet: Fleet) -> None:
    done = probe(fleet, fault)
    assert done.status == status
    assert message in done.result["msg"]


@pytest.mark.parametrize("fault", [Fault("hang", "Receive", times=2), Fault("delay", "Command", seconds=2)])
def test_fault_that_a_task_outlasts(fault: Fault, fleet: Fleet) -> None:
    """Ansible asks again, or waits."""
    done = probe(fleet, fault)
    assert (done.status, done.result["text"]) == ("ok", "x")


def test_quota_of_operations(fleet: Fleet) -> None:
    """From ansible-core 2.18 on, Ansible knows this fault by its form, and makes a new shell."""
    done = probe(fleet, Fault("quota", "Command"))
    if tuple(map(int, __version__.split(".")[:2])) >= (2, 18):
        assert (done.status, done.result["text"]) == ("ok", "x")
    else:
        assert done.status == "failed"
        assert "allowed a maximum number of 15 concurrent operations" in done.result["msg"]


def test_other_hosts_and_later_tasks_are_well(fleet: Fleet) -> None:
    """A fault is one host's, and over when it has happened."""
    fleet.clear_faults("CLIENT1")
    fleet.inject("CLIENT1", Fault("500", "Create"))
    tasks = [{"name": name, "lab_probe": {"text": name}, "ignore_unreachable": True} for name in ("first", "second")]
    play = [{"hosts": "windows", "gather_facts": False, "tasks": tasks}]
    done = run_playbook(play, fleet.inventory_path, environment=MODULES)
    assert {(each.host, each.task): each.status for each in done.results} == {
        ("CLIENT1", "first"): "unreachable",
        ("CLIENT2", "first"): "ok",
        ("CLIENT1", "second"): "ok",
        ("CLIENT2", "second"): "ok",
    }
