"""Changes that are cut off: the module's process dies on the host, or Ansible on the controller.

What a host holds then is of the old state or of the new one in each setting, and its undo record covers it. The role
runs again, and is taken back, as if nothing had been.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.aik_host import TASK, tasks
from tests.integration.fault_host import (
    SETTINGS,
    Killer,
    clone,
    exact,
    is_untouched,
    kill_processes,
    record_states,
    state,
    wait_until_idle,
)
from tests.integration.fault_remedy import (
    DISABLE_AIK,
    ROLLBACK,
    Remedy,
    change,
    patient,
    patient_with_settings,
    remedy_of,
    trust_remedy,
)
from tests.integration.profile_host import install_key, read_key
from tests.lab.fleet import Fleet, FleetHost, Lab
from tests.lab.ndes import Ndes
from tests.lab.playbook import ansible_environment, program, run_playbook

# What a killed process leaves is the host's matter, not that of the ansible-core that started it.
pytestmark = pytest.mark.long

Moment = Callable[[Path], bool]

REMNANTS = (".winpki.scep.new", ".winpki.scep.old")
"""How the names end of a file that is being written, and of the one whose place it takes, until it has been read."""


def has_record(folder: Path) -> bool:
    return bool(record_states(folder))


def has_certificates(number: int) -> Moment:
    """The one that every host has, and those that the change brings."""
    return lambda folder: len(list((folder / ".dotnet/corefx/cryptography/x509stores").glob("*/*"))) == number


def has_http_profile(folder: Path) -> bool:
    return str(read_key(folder, install_key())["ServerURL"][1]).startswith("http:")


def writes_file(folder: Path) -> bool:
    """There is a new file beside the old one, or in its place."""
    found = list((folder / SETTINGS).iterdir())
    return len(found) > 1 or any(b"h\0t\0t\0p\0:\0" in path.read_bytes() for path in found)


def has_disabled_task(folder: Path) -> bool:
    return tasks(folder)["tasks"][TASK]["Enabled"] is False


MOMENTS: dict[str, dict[str, Moment]] = {
    "trust_ndes_chain": {"RECORD": has_record, "FIRST": has_certificates(2), "BOTH": has_certificates(3)},
    "use_http": {"PROFILE": has_http_profile, "FILE": writes_file},
    "disable_aik": {"RECORD": has_record, "TASK": has_disabled_task},
    "rollback": {"FIRST": has_certificates(2)},
}


@pytest.fixture(scope="module")
def ndes() -> Iterator[Ndes]:
    with Ndes("ndes01.lab.example") as started:
        yield started


@pytest.fixture(scope="module")
def template(lab: Lab, ndes: Ndes) -> FleetHost:
    return patient_with_settings(patient(lab, ndes, "CLIENT1"), ndes, "TEMPLATE")


@pytest.fixture(scope="module")
def trust(lab: Lab, template: FleetHost) -> Remedy:
    host = clone(template, "PROBED")
    return trust_remedy(host, lab.start(host).inventory_path)


def settled(now: dict[str, Any]) -> dict[str, Any]:
    """What a host holds without the files that stand beside one that is replaced: they are nobody's setting."""
    return {name: value for name, value in now.items() if not name.endswith(REMNANTS)}


def check_parts(now: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> None:
    """Each setting is as it was or as it shall be."""
    for name in {*now, *old, *new}:
        assert now.get(name) in (old.get(name), new.get(name)), name


@pytest.mark.parametrize("role", MOMENTS)
def test_killed_on_the_host(role: str, lab: Lab, template: FleetHost, trust: Remedy) -> None:
    remedy = remedy_of(role, trust)
    first = clone(template, f"FIRST-{role}")
    if role == "rollback":
        change(trust, lab.start(first).inventory_path)
    old = state(first.folder)
    hosts = {name: clone_with_file(first, name) for name in MOMENTS[role]}
    fleet = lab.start(*hosts.values())
    with Killer({host.folder: MOMENTS[role][name] for name, host in hosts.items()}) as killer:
        done = run_playbook(
            [remedy.play], fleet.inventory_path, forks=3, extra_vars=remedy.extra_vars, arguments=remedy.arguments
        )
    assert killer.killed == {host.folder for host in hosts.values()}
    wait_until_idle(killer.killed)
    found = {name: settled(state(host.folder)) for name, host in hosts.items()}
    told = {name: record_states(host.folder) for name, host in hosts.items()}
    for name, states in told.items():
        assert states, name
        assert set(states) <= ({"done", "undone"} if role == "rollback" else {"prepared", "done"}), name

    again = run_playbook([remedy.play], fleet.inventory_path, forks=3)
    assert again.exit_code == 0, again.stdout
    new = state(hosts[next(iter(hosts))].folder)
    assert new != old
    for name, host in hosts.items():
        assert state(host.folder) == new, name
        # A change that was taken back has yet to be marked as undone, and counts until then.
        left = role == "rollback" and told[name] != ["undone"]
        assert again.of(name, remedy.task).result["changed"] is (found[name] != new or left), name
        check_parts(found[name], old, new)
        said = done.of(name, remedy.task)
        # Who was killed after the last word has said it.
        assert said.status in ("failed", "unreachable") or (said.result["changed"], found[name]) == (True, new), name
    if role == "rollback":
        assert new == state(template.folder)
    else:
        change(ROLLBACK, fleet.inventory_path)
        assert all(exact(host.folder) == exact(first.folder) for host in hosts.values())
    for host in hosts.values():
        assert set(record_states(host.folder)) == {"undone"}


def clone_with_file(first: FleetHost, name: str) -> FleetHost:
    """A copy that knows its own copy of the file."""
    host = clone(first, name)
    [file] = (host.folder / SETTINGS).iterdir()
    return FleetHost(name, host.folder, variables={**host.variables, "use_http_files": [str(file)]})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_on_the_controller(
    number: signal.Signals, lab: Lab, template: FleetHost, trust: Remedy, tmp_path: Path
) -> None:
    """The first of three hosts is in the middle of its change; another one may be, and one waits for its turn."""
    remedy = {signal.SIGKILL: trust, signal.SIGINT: DISABLE_AIK}[number]
    hosts = [clone(template, f"{number.name}{place}") for place in (1, 2, 3)]
    folders = [host.folder for host in hosts]
    old = state(template.folder)
    fleet = lab.start(*hosts)
    cut_off(remedy, fleet, tmp_path, number, lambda: any(has_record(folder) for folder in folders))
    # What still runs on the hosts is ended with its shell, which nobody asks for any more.
    wait_until_idle(folders, kill_processes)
    found = [state(folder) for folder in folders]
    assert any(not is_untouched(folder, template.folder) for folder in folders)

    again = run_playbook([remedy.play], fleet.inventory_path, forks=3)
    assert again.exit_code == 0, again.stdout
    new = state(folders[0])
    assert new != old
    for host, one in zip(hosts, found, strict=True):
        check_parts(one, old, new)
        assert state(host.folder) == new
        assert again.of(host.name, remedy.task).result["changed"] is (one != new)
    change(ROLLBACK, fleet.inventory_path)
    assert all(exact(folder) == exact(template.folder) for folder in folders)


def cut_off(remedy: Remedy, fleet: Fleet, folder: Path, number: signal.Signals, has_come: Callable[[], bool]) -> None:
    """Runs a role, and sends Ansible and its workers a signal when the moment has come."""
    playbook, variables = folder / "playbook.yml", folder / "variables.json"
    playbook.write_text(json.dumps([remedy.play]), "utf-8")
    variables.write_text(json.dumps(remedy.extra_vars), "utf-8")
    command = [program("ansible-playbook"), "-i", str(fleet.inventory_path), "--forks", "2", "-e", f"@{variables}"]
    with subprocess.Popen(
        [*command, *remedy.arguments, str(playbook)],
        env=ansible_environment(folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        while not has_come():
            assert process.poll() is None, "the run was over before its moment came"
            time.sleep(0.002)
        os.killpg(process.pid, number)
        assert process.wait(timeout=120) != 0
