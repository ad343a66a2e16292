"""Fleets, their inventories, and the lab's command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml

from tests.lab.engine import REPOSITORY, Engine
from tests.lab.fleet import Fleet, FleetHost, Lab
from tests.lab.playbook import run_playbook

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the lab needs Linux, where all of 127.0.0.0/8 is the machine's own"
)

ENGINE = Engine(Path("/none/pwsh"), Path("/none/as-host"))


def fleet(folder: Path, *hosts: FleetHost, https: bool = False) -> Fleet:
    return Fleet(hosts or [FleetHost("CLIENT1", folder)], ENGINE, folder / "fleet", https=https)


def test_inventory(tmp_path: Path) -> None:
    hosts = [
        FleetHost("CLIENT1", tmp_path),
        FleetHost("WEC01", tmp_path, groups=("collectors",), variables={"triage_log_name": "ForwardedEvents"}),
        FleetHost("CLIENT3", tmp_path, down=True),
    ]
    with fleet(tmp_path, *hosts) as started:
        found = yaml.safe_load(started.inventory_path.read_text("utf-8"))["all"]["children"]
        net = started.addresses["CLIENT1"].rpartition(".")[0]
        assert found == {
            "windows": {
                "hosts": {
                    "CLIENT1": {"ansible_host": f"{net}.1"},
                    "WEC01": {"ansible_host": f"{net}.2", "triage_log_name": "ForwardedEvents"},
                    "CLIENT3": {"ansible_host": f"{net}.3"},
                },
                "vars": {
                    "ansible_connection": "winrm",
                    "ansible_port": started.port,
                    "ansible_user": "Administrator",
                    "ansible_password": started.password,
                    "ansible_winrm_scheme": "http",
                    "ansible_winrm_transport": "basic",
                    "ansible_winrm_proxy": None,
                },
            },
            "collectors": {"hosts": {"WEC01": {}}},
        }
        assert re.fullmatch(r"127\.\d+\.0", net)
        assert len(started.password) == 20
        assert started.inventory_path.stat().st_mode & 0o777 == 0o600


def test_inventory_over_https_names_the_authority(tmp_path: Path) -> None:
    with fleet(tmp_path, https=True) as started:
        variables = started.inventory()["all"]["children"]["windows"]["vars"]
        assert variables["ansible_winrm_scheme"] == "https"
        assert variables["ansible_winrm_server_cert_validation"] == "validate"
        assert Path(variables["ansible_winrm_ca_trust_path"]).read_text().startswith("-----BEGIN CERTIFICATE-----")


def test_fleets_do_not_share_addresses_or_passwords(tmp_path: Path) -> None:
    with fleet(tmp_path / "a") as one, fleet(tmp_path / "b") as two:
        assert (one.addresses["CLIENT1"], one.port) != (two.addresses["CLIENT1"], two.port)
        assert one.password != two.password
        address = f"http://{one.addresses['CLIENT1']}:{one.port}/wsman"
        assert requests.post(address, auth=(two.user, two.password), timeout=10).status_code == 401


def test_more_hosts_than_fit_in_a_row(tmp_path: Path) -> None:
    with fleet(tmp_path, *(FleetHost(f"PC{number}", tmp_path) for number in range(260))) as started:
        net = started.addresses["PC0"].rsplit(".", 2)[0]
        assert [started.addresses[name] for name in ("PC249", "PC250", "PC259")] == [
            f"{net}.0.250", f"{net}.1.1", f"{net}.1.10",
        ]  # fmt: skip
        url = f"http://{started.addresses['PC259']}:{started.port}/wsman"
        assert requests.post(url, timeout=10).status_code == 401


@pytest.mark.parametrize("names", [[], ["A", "A"]])
def test_hosts_that_are_no_fleet(names: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a fleet has 1 to 62500 hosts with names that differ"):
        Fleet([FleetHost(name, tmp_path) for name in names], ENGINE, tmp_path)


def test_lab_stops_its_fleets(tmp_path: Path) -> None:
    with Lab(tmp_path, ENGINE) as lab:
        started = lab.start(lab.host("CLIENT1"), lab.down("CLIENT2"))
        url = f"http://{started.addresses['CLIENT1']}:{started.port}/wsman"
        assert requests.post(url, timeout=10).status_code == 401
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.post(url, timeout=10)


def test_playbook_results(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("all: {hosts: {here: {ansible_connection: local}}}\n")
    playbook = """
- hosts: all
  gather_facts: false
  tasks:
    - {name: Say, ansible.builtin.debug: {msg: "{{ word }}"}}
    - {name: Not now, ansible.builtin.debug: {msg: no}, when: false}
    - {name: Break, ansible.builtin.fail: {msg: broken}}
"""
    done = run_playbook(playbook, inventory, extra_vars={"word": "\u00e4 <b>"})
    assert done.exit_code == 2
    assert [(result.host, result.task, result.status) for result in done.results] == [
        ("here", "Say", "ok"),
        ("here", "Not now", "skipped"),
        ("here", "Break", "failed"),
    ]
    assert done.of("here", "Say").result["msg"] == "\u00e4 <b>"
    assert done.of("here").result["msg"] == "broken"
    with pytest.raises(LookupError, match="no result of there, task None"):
        done.of("there")


def test_playbook_that_takes_too_long(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("all: {hosts: {here: {ansible_connection: local}}}\n")
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.pause": {"seconds": 60}}]}
    with pytest.raises(TimeoutError, match="took longer than 3 s"):
        run_playbook([play], inventory, timeout=3)


@pytest.fixture
def stand_in(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with something in the engine's place that is found, and runs nothing."""
    for name in ("pwsh", "as-host"):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\nexit 0\n")
        path.chmod(0o755)
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    yield {**os.environ, "WINPKI_PWSH": str(tmp_path / "bin" / "pwsh"), "TMPDIR": str(temporary)}
    assert list(temporary.iterdir()) == []


@contextmanager
def lab_command(env: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The lab's command; where a test fails it does not go on."""
    command = [sys.executable, "-m", "tests.lab", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, cwd=REPOSITORY, text=True, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_serves_until_a_signal(stand_in: dict[str, str], number: int) -> None:
    with lab_command(stand_in, "up", "--hosts", "24") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "24 simulated hosts for at most 60 minutes; Ctrl-C stops them.\n"
        process.send_signal(number)
        output, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, "")
    hosts = yaml.safe_load(output)["all"]["children"]["windows"]["hosts"]
    assert [*hosts][:2] == ["CLIENT01", "CLIENT02"]
    assert [*hosts][-2:] == ["CLIENT01-2", "CLIENT02-2"]


def test_up_writes_the_inventory_to_a_file(stand_in: dict[str, str], tmp_path: Path) -> None:
    scenario, inventory = tmp_path / "s.yml", tmp_path / "inventory.yml"
    scenario.write_text("hosts: {PC1: {}}\n")
    arguments = ("--scenario", str(scenario), "--write-inventory", str(inventory), "--https", "--minutes", "5")
    with lab_command(stand_in, "up", *arguments) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "1 simulated hosts for at most 5 minutes; Ctrl-C stops them.\n"
        windows = yaml.safe_load(inventory.read_text("utf-8"))["all"]["children"]["windows"]
        url = f"https://{windows['hosts']['PC1']['ansible_host']}:{windows['vars']['ansible_port']}/wsman"
        answer = requests.post(url, verify=windows["vars"]["ansible_winrm_ca_trust_path"], timeout=10)
        assert answer.status_code == 401
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["up", "--scenario", "none.yml"], "scenario none.yml: cannot be read: "),
        (["up", "--hosts", "0"], "usage: "),
        (["sideways"], "usage: "),
        ([], "usage: "),
    ],
)
def test_up_refuses(stand_in: dict[str, str], arguments: list[str], error: str) -> None:
    with lab_command(stand_in, *arguments) as process:
        output, said = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert said.startswith(error)


def test_up_without_an_engine(stand_in: dict[str, str]) -> None:
    with lab_command({**stand_in, "WINPKI_PWSH": "/none/pwsh"}, "up") as process:
        output, said = process.communicate(timeout=20)
    assert (process.returncode, output) == (2, "")
    assert said == (
        "/none/pwsh, named by the variable WINPKI_PWSH, is not a program; it has to be the lab engine's pwsh\n"
    )
