"""Faults in the WinRM conversation of the task that writes, for every changing role and at every message of it.

The host ends as it was or as it shall be, and the run does not claim what it could not hear. Then the role runs again,
and again, and is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration.fault_cases import AFTER, BEFORE, KINDS, NOT_DONE, UNHEARD, Case, case, hang, silence
from tests.integration.fault_host import (
    DisturbedFleet,
    clone,
    exact,
    is_untouched,
    record_states,
    state,
    wait_until_idle,
)
from tests.integration.fault_remedy import (
    ROLLBACK,
    TIMEOUT,
    Remedy,
    change,
    patient,
    remedy_of,
    trust_remedy,
)
from tests.integration.host_state import undo_records
from tests.lab.engine import Engine
from tests.lab.fleet import FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.playbook import PlaybookResult, TaskResult, run_playbook

ROLES = ("trust_ndes_chain", "use_http", "disable_aik", "rollback")
WHOLE = "disable_aik"
"""The quickest meets every fault in every run; the others with the option --every-fault."""


def cases(role: str, command: int, record: str, *, every: bool) -> list[Case]:
    """The faults that one role meets: every kind at every message of the command that writes, or a choice of them.

    By choice each role meets a fault at every message, and between them the roles meet all kinds at each message that
    comes before the change. After it the command has ended, so that no kind differs from another for the client (an
    error at that message) or for the host (there is nothing left to do). A hang and a delay are the same everywhere.
    """
    found = [silence(command)]
    number = ROLES.index(role)
    for place, message in enumerate((*BEFORE, *AFTER)):
        chosen = [NOT_DONE[(number + place) % 4], UNHEARD[(number // 2 + place) % 2]]
        # In the roles that have a command before, each further host costs another one.
        if message in AFTER or (command > 1 and message in ("Command", "Send1")):
            del chosen[number % 2]
        found += [case(kind, message, command, record) for kind in ((*KINDS, "delay") if every else chosen)]
    return [*found, hang(command)]


def test_each_kind_is_met_at_each_message() -> None:
    whole = [one.host for one in cases(WHOLE, 1, "done", every=True)]
    assert whole[1:-1] == [f"{kind}-{message}" for message in (*BEFORE, *AFTER) for kind in (*KINDS, "delay")]
    chosen = [cases(role, command, "done", every=False) for role, command in zip(ROLES, (1, 2, 1, 2), strict=True)]
    for met in chosen:
        assert {one.host.rpartition("-")[2] for one in met} >= {*BEFORE, *AFTER}
    between_them = {one.host for met in chosen for one in met}
    for message in BEFORE:
        assert {f"{kind}-{message}" for kind in KINDS} <= between_them, message
    for message in AFTER:
        assert len([name for name in between_them if name.endswith(message)]) == 4


@pytest.fixture(scope="module")
def ndes() -> Iterator[Ndes]:
    with Ndes("ndes01.lab.example") as started:
        yield started


@pytest.fixture(scope="module")
def template(lab: Lab, ndes: Ndes) -> FleetHost:
    return patient(lab, ndes, "CLIENT1")


@pytest.fixture(scope="module")
def trust(lab: Lab, template: FleetHost) -> Remedy:
    host = clone(template, "PROBED")
    return trust_remedy(host, lab.start(host).inventory_path)


# One stands for the others with the oldest ansible-core.
PARAMETERS = [pytest.param(role, marks=pytest.mark.long if role != WHOLE else ()) for role in ROLES]


@pytest.mark.parametrize("role", PARAMETERS)
def test_fault_at_every_message(
    role: str, every_fault: bool, lab: Lab, engine: Engine, template: FleetHost, trust: Remedy, tmp_path: Path
) -> None:
    remedy = remedy_of(role, trust)
    first = clone(template, f"FIRST-{role}")
    if role == "rollback":
        change(trust, lab.start(first).inventory_path)
    made = "undone" if role == "rollback" else "done"
    wanted = cases(role, remedy.command, made, every=every_fault or role == WHOLE)
    hosts = {one.host: clone(first, one.host, **one.variables) for one in wanted}
    disturbances = {one.host: one.disturbance for one in wanted}
    with DisturbedFleet(list(hosts.values()), engine, tmp_path / "fleet", disturbances) as fleet:
        done = run(remedy, fleet.inventory_path, first_run=True)
        wait_until_idle(host.folder for host in hosts.values())
        # The host that was only silent for a while says what the new state is.
        old, new = state(first.folder), state(hosts[wanted[-1].host].folder)
        assert new != old
        endings = {name: ending(host.folder, old, new) for name, host in hosts.items()}
        for one in wanted:
            assert fleet.met_faults(one.host), one.host
            assert endings[one.host] in one.ends, (one.host, endings[one.host])
            check_what_is_said(done.of(one.host, remedy.task), one, endings[one.host], remedy)
            check_records(undo_records(hosts[one.host].folder), role, endings[one.host])
            fleet.clear_faults(one.host)

        repeated = to_repeat(hosts, first.folder, endings)
        # A change that an interrupted run took back may have yet to be marked as undone, and counts until then.
        left = [name for name in repeated if role == "rollback" and record_states(hosts[name].folder) != ["undone"]]
        changed = [name for name in repeated if endings[name] != "new" or name in left]
        again = run(remedy, fleet.inventory_path, repeated)
        assert {name: again.of(name, remedy.task).result["changed"] for name in repeated} == {
            name: name in changed for name in repeated
        }
        assert all(state(hosts[name].folder) == new for name in repeated)
        third = run(remedy, fleet.inventory_path, changed)
        assert not any(third.of(name, remedy.task).result["changed"] for name in changed)
        assert all(state(hosts[name].folder) == new for name in repeated)
        if role != "rollback":
            change(ROLLBACK, fleet.inventory_path, limit=",".join(repeated))
            assert all(exact(hosts[name].folder) == exact(first.folder) for name in repeated)
        for name in repeated:
            assert {record["state"] for record in undo_records(hosts[name].folder)} == {"undone"}, name


def run(remedy: Remedy, inventory: Path, hosts: Sequence[str] = ("all",), *, first_run: bool = False) -> PlaybookResult:
    """Runs a role; the first time from the task on that writes."""
    return run_playbook(
        [remedy.play],
        inventory,
        forks=3,
        limit=",".join(hosts),
        timeout=TIMEOUT,
        extra_vars=remedy.extra_vars if first_run else None,
        arguments=remedy.arguments if first_run else (),
    )


def ending(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> str:
    """How a host ended: "old", "new", or "part" of what changes."""
    now = state(folder)
    return "old" if now == old else "new" if now == new else "part"


def check_what_is_said(said: TaskResult, one: Case, end: str, remedy: Remedy) -> None:
    """The task claims a change only of a host that is changed, and never that there was nothing to do."""
    assert said.status in one.status, (one.host, said.status, said.result.get("msg"))
    if said.status == "ok":
        assert (said.result["changed"], end) == (True, "new"), one.host
    else:
        assert said.result["msg"], one.host
        # A task of several commands says of each what came of it, unless it was not let in.
        if remedy.command > 1 and one.disturbance.command > 0:
            assert "The connection failed, so it may be " in said.result["msg"], (one.host, said.result["msg"])


def check_records(records: list[dict[str, Any]], role: str, end: str) -> None:
    """What the host itself says of the change, whatever the run heard."""
    states = [record["state"] for record in records]
    if role == "rollback":
        assert states in {"old": [["done"]], "part": [["done"]], "new": [["undone"], ["done"]]}[end]
    else:
        assert states in {"old": [[], ["prepared"]], "part": [["prepared"]], "new": [["done"], ["prepared"]]}[end]


def to_repeat(hosts: dict[str, FleetHost], template: Path, endings: dict[str, str]) -> list[str]:
    """The hosts to run the role on again.

    Of those that nothing is left on, one stands for all, as they are the same to the byte; and of those that the change
    was made on, another one.
    """
    untouched = [name for name, host in hosts.items() if is_untouched(host.folder, template)]
    finished = (["done"], ["undone"])
    done = [
        name
        for name, end in endings.items()
        if end == "new" and [one["state"] for one in undo_records(hosts[name].folder)] in finished
    ]
    return [*untouched[:1], *done[:1], *(name for name in hosts if name not in (*untouched, *done))]
