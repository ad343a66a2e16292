"""Faults in a host's WinRM conversation, as the real pywinrm meets them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import requests
from winrm.exceptions import InvalidCredentialsError, WinRMOperationTimeoutError, WinRMTransportError, WSManFaultError
from winrm.protocol import Protocol

from tests.lab.engine import Launch
from tests.lab.faults import KINDS, Fault, Kind, read_fault
from tests.lab.fleet import Fleet, FleetHost
from tests.lab.node import Node, ScenarioError

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the lab needs Linux, where all of 127.0.0.0/8 is the machine's own"
)

SCRIPT = "import pathlib; pathlib.Path('ran').open('a').write('x'); print('done')"


class ScriptRunner:
    """Runs one script, whatever is asked for; it leaves a mark in the host's folder."""

    def launch(self, folder: Path, line: str, env: Mapping[str, str]) -> Launch:
        return Launch([sys.executable, "-I", "-c", f"{SCRIPT} # {line}"], dict(env), folder)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    hosts = [FleetHost(name, tmp_path / name) for name in ("CLIENT1", "CLIENT2")]
    for host in hosts:
        host.folder.mkdir()
    with Fleet(hosts, ScriptRunner(), tmp_path / "fleet") as started:
        yield started


def run(fleet: Fleet, host: str = "CLIENT1") -> str:
    """What a command of the host prints, in a shell of its own."""
    protocol = Protocol(
        f"http://{fleet.addresses[host]}:{fleet.port}/wsman",
        transport="basic",
        proxy=None,
        username=fleet.user,
        password=fleet.password,
        operation_timeout_sec=1,
        read_timeout_sec=2,
    )
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "script")
    output, _unused, code = protocol.get_command_output(shell, command)
    protocol.cleanup_command(shell, command)
    protocol.close_shell(shell)
    assert code == 0
    return str(output, "ascii").strip()


def ran(fleet: Fleet) -> int:
    """How often CLIENT1 has run the command; one that is under way has a moment to end."""
    time.sleep(0.3)
    mark = fleet.hosts[0].folder / "ran"
    return len(mark.read_text()) if mark.exists() else 0


@pytest.mark.parametrize(
    ("fault", "error", "times"),
    [
        (Fault("drop", "Create"), requests.exceptions.ConnectionError, 0),
        (Fault("drop", "Command"), requests.exceptions.ConnectionError, 0),
        (Fault("drop", "Receive"), requests.exceptions.ConnectionError, 1),
        (Fault("lose", "Command"), requests.exceptions.ConnectionError, 1),
        (Fault("401", "Create"), InvalidCredentialsError, 0),
        (Fault("401", "Receive"), InvalidCredentialsError, 1),
        (Fault("500", "Command"), WinRMTransportError, 0),
        (Fault("cut", "Create"), ElementTree.ParseError, 0),
        (Fault("quota", "Create"), WSManFaultError, 0),
        (Fault("quota", "Command"), WSManFaultError, 0),
        (Fault("delay", "Command", seconds=30), requests.exceptions.ReadTimeout, 0),
    ],
)
def test_client_meets_the_fault(fault: Fault, error: type[Exception], times: int, fleet: Fleet) -> None:
    """Once, at this message; then all is well again. The command has run so many times by then."""
    fleet.inject("CLIENT1", fault)
    with pytest.raises(error):
        run(fleet)
    assert ran(fleet) == times
    assert fleet.met_faults("CLIENT1") == [(fault, fault.operation)]
    assert run(fleet) == "done"


@pytest.mark.parametrize(
    ("operation", "codes", "text"),
    [
        ("Create", (2150859173, None), "maximum number of 30 concurrent shells"),
        ("Command", (None, 2150859174), "maximum number of 15 concurrent operations"),
    ],
)
def test_quota_says_what_is_too_much(operation: str, codes: tuple[int | None, ...], text: str, fleet: Fleet) -> None:
    fleet.inject("CLIENT1", Fault("quota", operation))
    with pytest.raises(WSManFaultError) as raised:
        run(fleet)
    assert (raised.value.wsman_fault_code, raised.value.wmierror_code) == codes
    assert text in str(raised.value.reason)


def test_command_that_hangs_for_a_while(fleet: Fleet) -> None:
    """The client asks again and again; then the output comes after all."""
    fleet.inject("CLIENT1", Fault("hang", "Receive", times=2))
    begun = time.monotonic()
    assert run(fleet) == "done"
    assert time.monotonic() - begun > 1.9


def test_command_that_hangs_for_good(fleet: Fleet) -> None:
    """It is the client that gives up; the fleet stops all the same, as the fixture shows."""
    fleet.inject("CLIENT1", Fault("hang", "Receive", times=0))
    protocol = Protocol(
        f"http://{fleet.addresses['CLIENT1']}:{fleet.port}/wsman",
        transport="basic",
        proxy=None,
        username=fleet.user,
        password=fleet.password,
        operation_timeout_sec=1,
        read_timeout_sec=2,
    )
    shell = protocol.open_shell()
    command = protocol.run_command(shell, "script")
    for _attempt in range(3):
        with pytest.raises(WinRMOperationTimeoutError):
            protocol.get_command_output_raw(shell, command)
    assert ran(fleet) == 1


def test_short_delay_is_only_slow(fleet: Fleet) -> None:
    fleet.inject("CLIENT1", Fault("delay", "Create", seconds=0.6))
    begun = time.monotonic()
    assert run(fleet) == "done"
    assert time.monotonic() - begun > 0.5


def test_nth_message_of_any_kind_and_other_hosts(fleet: Fleet) -> None:
    """Counted from when it was put in; the second message of a run is the Command."""
    run(fleet)
    fleet.inject("CLIENT1", Fault("drop", nth=2))
    assert run(fleet, "CLIENT2") == "done"
    with pytest.raises(requests.exceptions.ConnectionError):
        run(fleet)
    assert [operation for _unused, operation in fleet.met_faults("CLIENT1")] == ["Command"]


def test_times_and_clearing(fleet: Fleet) -> None:
    fleet.inject("CLIENT1", Fault("401", "Create", nth=2, times=2))
    assert run(fleet) == "done"
    for _attempt in range(2):
        with pytest.raises(InvalidCredentialsError):
            run(fleet)
    assert run(fleet) == "done"
    fleet.inject("CLIENT1", Fault("401", "Create", times=0))
    with pytest.raises(InvalidCredentialsError):
        run(fleet)
    fleet.clear_faults("CLIENT1")
    assert run(fleet) == "done"


def test_faults_of_a_host_from_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "CLIENT1"
    folder.mkdir()
    with Fleet([FleetHost("CLIENT1", folder, faults=(Fault("500", "Create"),))], ScriptRunner(), tmp_path) as fleet:
        with pytest.raises(WinRMTransportError):
            run(fleet)
        assert run(fleet) == "done"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"kind": "burn"}, "'burn' is not one of the faults drop, lose, delay, 401, 500, cut, hang, quota"),
        ({"kind": "drop", "operation": "Get"}, "'Get' is not one of the operations Create, Command, Send"),
        ({"kind": "hang", "operation": "Send"}, "a command hangs at Receive"),
        ({"kind": "drop", "nth": 0}, "nth is counted from 1; times and seconds are not negative"),
        ({"kind": "drop", "times": -1}, "nth is counted from 1; times and seconds are not negative"),
    ],
)
def test_fault_that_cannot_be(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        Fault(**arguments)


@pytest.mark.parametrize("kind", KINDS)
def test_fault_of_a_scenario(kind: Kind) -> None:
    given: dict[str, Any] = {"kind": int(kind) if kind.isdecimal() else kind, "operation": "Receive"}
    assert read_fault(Node({**given, "nth": 3, "times": 0, "seconds": 5}, "h")) == Fault(
        kind, "Receive", nth=3, times=0, seconds=5
    )


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({}, "h: kind: one of drop, lose, delay, 401, 500, cut, hang, quota is needed, not None"),
        (
            {"kind": "drop", "operation": "x"},
            "h: operation: one of Create, Command, Send, Receive, Signal, Delete is needed",
        ),
        ({"kind": "drop", "nth": 0}, "h: kind: nth is counted from 1"),
        ({"kind": "drop", "nth": "2"}, "h: nth: a whole number from 0 up is needed, not '2'"),
        ({"kind": "hang"}, "h: kind: a command hangs at Receive"),
        ({"kind": "drop", "port": 1}, "h: port: there is no such key"),
    ],
)
def test_mistake_in_a_fault(value: dict[str, Any], error: str) -> None:
    with pytest.raises(ScenarioError) as raised:
        read_fault(Node(value, "h"))
    assert str(raised.value).startswith(error)
