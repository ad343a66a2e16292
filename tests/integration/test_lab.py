"""The lab itself, end to end: real Ansible, real pywinrm, the engine."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.lab.events import event86, forwarded, interleaved
from tests.lab.fleet import Fleet, Lab
from tests.lab.host import LogConfig, write_log
from tests.lab.playbook import TaskResult, run_module, run_playbook

MODULES = {"ANSIBLE_LIBRARY": str(Path(__file__).parent / "modules")}
URL = "http://ndes01.example/certsrv/mscep/mscep.dll"
HOSTILE = "ä€😀 {{ 1 + 1 }} $(hostname) `n \"'<b> \r\n\tend"
READ_LOG = """
$reader = [System.Diagnostics.Eventing.Reader.EventLogReader]::new(
    [System.Diagnostics.Eventing.Reader.EventLogQuery]::new('{log}', 'LogName', '*[System[(EventID=86)]]'))
while ($e = $reader.ReadEvent()) { $e.RecordId, $e.MachineName, $e.ContainerLog, $e.Properties[1].Value -join '|' }
"""


@pytest.fixture(scope="module")
def fleet(lab: Lab) -> Fleet:
    """A host with a log of each kind, one elsewhere in the world, and one that is down."""
    now = datetime.now(timezone.utc)
    host = lab.host("CLIENT1", interleaved(20, now, [event86(0, now, url=URL)] * 2, span=timedelta(hours=1)))
    event = event86(71, now, url=URL, computer="pc7.example", named=False, binary="0A0B")
    write_log(host.folder, [forwarded(event, 1, language="de-DE")], log="ForwardedEvents")
    write_log(host.folder, [], log="Denied", config=LogConfig(access_denied=True))
    write_log(host.folder, [event, event, event], log="Damaged", config=LogConfig(read_error=(2, 15011)))
    return lab.start(host, lab.host("KIOSK03", clock_seconds=-7200, time_zone="Asia/Tokyo"), lab.down("CLIENT3"))


def probe(fleet: Fleet, host: str, arguments: dict[str, Any], **settings: Any) -> TaskResult:
    return run_module(fleet.inventory_path, host, "lab_probe", arguments, environment=MODULES, **settings)


def raw(fleet: Fleet, script: str) -> dict[str, Any]:
    return run_module(fleet.inventory_path, "CLIENT1", "ansible.builtin.raw", {"_raw_params": script}).result


def test_https(lab: Lab) -> None:
    """PowerShell runs as the host, and text beyond ASCII comes back; the host's certificate is validated."""
    secured = lab.start(lab.host("CLIENT1"), https=True)
    assert raw(secured, "'ä € 😀'; hostname")["stdout_lines"] == ["ä € 😀", "CLIENT1"]


def test_module_with_hostile_text(fleet: Fleet) -> None:
    """A module's arguments and results pass unchanged."""
    done = probe(fleet, "CLIENT1", {"text": "{{ hostile }}"}, extra_vars={"hostile": {"__ansible_unsafe": HOSTILE}})
    assert (done.status, done.result["text"], done.result["check_mode"]) == ("ok", HOSTILE, False)


def test_check_mode(fleet: Fleet) -> None:
    """Check mode reaches the module."""
    assert probe(fleet, "CLIENT1", {}, check=True).result["check_mode"] is True


def test_large_input_and_output(fleet: Fleet) -> None:
    """Several messages each way: 500,000 characters in, 600,000 out."""
    done = probe(fleet, "CLIENT1", {"text": "ä" * 500_000, "bytes": 600_000})
    assert (done.result["length"], len(done.result["filling"])) == (500_000, 600_000)


def test_clock_and_time_zone(fleet: Fleet) -> None:
    """A host has its own clock, name and time zone."""
    result = probe(fleet, "KIOSK03", {}).result
    behind = datetime.now(timezone.utc) - datetime.fromisoformat(result["utc"])
    assert timedelta(hours=2) - timedelta(seconds=30) < behind < timedelta(hours=2, seconds=30)
    assert (result["computer"], result["offset_hours"]) == ("KIOSK03", 9)


def test_all_hosts_at_once(fleet: Fleet) -> None:
    """The host that is down is unreachable, the others are done."""
    play = [{"hosts": "windows", "gather_facts": False, "tasks": [{"name": "Probe", "lab_probe": {"seconds": 1}}]}]
    done = run_playbook(play, fleet.inventory_path, environment=MODULES)
    assert {result.host: result.status for result in done.results} == {
        "CLIENT1": "ok",
        "KIOSK03": "ok",
        "CLIENT3": "unreachable",
    }
    assert "Connection refused" in done.of("CLIENT3").result["msg"]
    assert done.exit_code == 4


def test_wrong_password(fleet: Fleet) -> None:
    """A wrong password is what Ansible says of it."""
    done = probe(fleet, "CLIENT1", {}, extra_vars={"ansible_password": "wrong"})
    assert done.status == "unreachable"
    assert "the specified credentials were rejected by the server" in done.result["msg"]


def test_proxy_in_the_environment_is_not_asked(fleet: Fleet) -> None:
    """Loopback addresses are not for a proxy."""
    proxy = {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    done = run_module(fleet.inventory_path, "CLIENT1", "ansible.builtin.raw", {"_raw_params": "1"}, environment=proxy)
    assert done.status == "ok"


def test_operation_timeout_is_retried(fleet: Fleet) -> None:
    """A command that takes longer than the client's OperationTimeout still gives its result."""
    short = {"ansible_winrm_operation_timeout_sec": 1, "ansible_winrm_read_timeout_sec": 4}
    assert probe(fleet, "CLIENT1", {"seconds": 4, "text": "late"}, extra_vars=short).result["text"] == "late"


def test_event_log(fleet: Fleet) -> None:
    """What the writers wrote is what Windows' API reads."""
    lines = raw(fleet, READ_LOG.replace("{log}", "Application"))["stdout_lines"]
    assert lines == [f"6|CLIENT1|Application|{URL}", f"16|CLIENT1|Application|{URL}"]


def test_forwarded_events(fleet: Fleet) -> None:
    """A forwarded event keeps its source's number and computer."""
    lines = raw(fleet, READ_LOG.replace("{log}", "ForwardedEvents"))["stdout_lines"]
    assert lines == [f"71|pc7.example|ForwardedEvents|{URL}"]


@pytest.mark.parametrize(
    ("log", "error"), [("Denied", "UnauthorizedAccessException"), ("Damaged", "EventLogReadingException")]
)
def test_log_that_cannot_be_read(fleet: Fleet, log: str, error: str) -> None:
    """Refusals and damage come as Windows' exceptions."""
    script = f"try {{ {READ_LOG.replace('{log}', log)} }} catch {{ $_.Exception.GetBaseException().GetType().Name }}"
    assert raw(fleet, script)["stdout_lines"][-1] == error
