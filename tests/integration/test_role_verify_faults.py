"""Faults in the WinRM conversation of role verify: at every message of the raise of the log level, and of its return.

The level is as it was when the run ends, or the run says that it may be raised still and how to take it back.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from tests.integration.fault_cases import (
    AFTER,
    ANY,
    BEFORE,
    FAILED,
    IMPATIENT,
    KINDS,
    NEW,
    NOT_DONE,
    OK,
    OLD,
    Case,
    case,
    hang,
    silence,
)
from tests.integration.fault_host import Disturbance, DisturbedFleet, clone, record_states, wait_until_idle
from tests.integration.fault_remedy import TIMEOUT, VERIFY
from tests.integration.host_state import LEVEL_KEY, level, set_key
from tests.lab.engine import Engine
from tests.lab.faults import Fault
from tests.lab.fleet import Lab
from tests.lab.playbook import TaskResult, run_playbook

URL = "https://ndes09.lab.example/certsrv/mscep/mscep.dll/pkiclient.exe"
FIRST = {"LogLevel": {"kind": "DWord", "data": 2}}
RAISED = {"LogLevel": {"kind": "DWord", "data": 4}}
RAISE = 4
"""The command that raises: after the level, the mark and the profiles have been read."""
RETURN = 6
"""The one that puts the level back: after one look."""
MESSAGES = [message for message in (*BEFORE, *AFTER) if message not in ("Create", "Delete")]
STILL_RAISED = "The log level may still be raised from 2 to 4: "
WAY_BACK = "Take it back with winpki.scep.rollback and rollback_roles: [verify]."


class Met(NamedTuple):
    """What a host meets.

    Attributes:
        command: the command that is disturbed.
        case: the fault, and how that command ends by it: "new" for the return is a level that is put back.
    """

    command: int
    case: Case

    @property
    def host(self) -> str:
        """The host's name."""
        return f"{'RAISE' if self.command == RAISE else 'RETURN'}-{self.case.host}"


def disturbed(*, every: bool) -> list[Met]:
    """A fault at each message of both commands, or ``every`` kind, and hosts that are gone for good before the second.

    The shell is made before the first command of all, and deleted when all is over. The return is tried again.
    """
    found = [Met(RAISE, silence(RAISE)), Met(RETURN, hang(RETURN))]
    for place, message in enumerate(MESSAGES):
        kinds = [KINDS if every else (KINDS[(place + first) % len(KINDS)],) for first in (0, 3)]
        found += [Met(RAISE, case(kind, message, RAISE, "done")) for kind in kinds[0]]
        met = [case(kind, message, RETURN, "undone") for kind in kinds[1]]
        found += [Met(RETURN, one._replace(status=OK, ends=NEW)) for one in met]
    for kind in KINDS if every else KINDS[:1]:
        found.append(Met(RETURN, case(kind, "Delete", RETURN, "undone")))
    for kind in NOT_DONE if every else NOT_DONE[:1]:
        gone = Disturbance(Fault(kind, times=0), RETURN)
        found.append(Met(RETURN, Case(f"gone-{kind}", gone, FAILED, OLD, IMPATIENT)))
    return found


@pytest.mark.long
def test_fault_at_every_message(every_fault: bool, lab: Lab, engine: Engine, tmp_path: Path) -> None:
    variables = {"verify_silent_urls": [URL], "verify_wait": 0, "verify_interval": 1}
    first = lab.host("FIRST", variables=variables)
    set_key(first.folder, LEVEL_KEY, LogLevel=("DWord", 2))
    wanted = {one.host: one for one in disturbed(every=every_fault)}
    hosts = {name: clone(first, name, **one.case.variables) for name, one in wanted.items()}
    disturbances = {name: one.case.disturbance for name, one in wanted.items()}
    with DisturbedFleet(list(hosts.values()), engine, tmp_path / "fleet", disturbances) as fleet:
        done = run_playbook("winpki.scep.verify", fleet.inventory_path, forks=3, timeout=2 * TIMEOUT)
        wait_until_idle(host.folder for host in hosts.values())
        for name, host in hosts.items():
            assert fleet.met_faults(name), name
            check(done.of(name, VERIFY), wanted[name], host.folder)
            fleet.clear_faults(name)

        left = [name for name, host in hosts.items() if level(host.folder) == RAISED]
        back = run_playbook(
            "winpki.scep.rollback",
            fleet.inventory_path,
            extra_vars={"rollback_roles": ["verify"]},
            forks=3,
            limit=",".join(left),
            timeout=TIMEOUT,
        )
        assert back.exit_code == 0, back.stdout
        again = [left[0], *(name for name, host in hosts.items() if "prepared" in record_states(host.folder))]
        repeated = run_playbook("winpki.scep.verify", fleet.inventory_path, forks=3, limit=",".join(again))
        assert all(repeated.of(name, VERIFY).result["log_level"]["put_back"] for name in again)
        assert {name: level(host.folder) for name, host in hosts.items()} == dict.fromkeys(hosts, FIRST)


def check(said: TaskResult, met: Met, folder: Path) -> None:
    """The run claims a return only of a host whose level is as it was, and else says how it is had."""
    host, found, now = met.host, said.result["log_level"], level(folder)
    assert said.status in met.case.status, (host, said.result["msg"])
    # It never leaves the play.
    assert said.status != "unreachable", host
    if found["put_back"]:
        assert (now, record_states(folder)) == (FIRST, ["undone"]), host
    else:
        assert said.status == "failed", host
        assert STILL_RAISED in said.result["msg"], (host, said.result["msg"])
        assert said.result["msg"].endswith(WAY_BACK), (host, said.result["msg"])
    if met.case.ends != ANY:
        assert found["put_back"] == (met.case.ends == NEW), (host, found)
        assert now == (RAISED if (met.command, met.case.ends) == (RETURN, OLD) else FIRST), host
