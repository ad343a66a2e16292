"""The report of a fleet: joining, naming causes, the summary and both files, through a real ansible-playbook."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from bench import Row
from tests.lab.playbook import ansible_environment, program

LIMIT_SECONDS = 10.0
HOSTS = (250, 500, 1000)
FINDINGS = 10
TIMEOUT = 300
# How much more work a further host may be in a large fleet than in a small one, if that is to be called linear.
LINEAR = 1.5
_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) .*?\| (TASK \[Report\]|PLAY RECAP)", re.MULTILINE)
_PLAY = {
    "hosts": "all",
    "gather_facts": False,
    "tasks": [
        {
            "name": "Report",
            "winpki.scep.triage_report": {"result": "triage_events", "since": "7d", "output": "{{ output }}"},
            "delegate_to": "localhost",
            "run_once": True,
            "register": "triage_result",
        }
    ],
}


def measure() -> list[Row]:
    """Returns the seconds of the task that reports on fleets of growing size, and how their work grows."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        runs = [_run(hosts, Path(folder)) for hosts in HOSTS]
    seconds, work = zip(*runs, strict=True)
    # The differences, as each run has a start of equal length; processor time, as it is the same on a busy machine.
    first, second = ((work[step + 1] - work[step]) / (HOSTS[step + 1] - HOSTS[step]) for step in (0, 1))
    held = seconds[-1] <= LIMIT_SECONDS
    return [
        Row(
            f"report of {HOSTS[-1]:,} hosts, {FINDINGS} findings each",
            f"{seconds[-1]:.1f} s",
            f"{LIMIT_SECONDS:.0f} s",
            held,
        ),
        *(Row(f"report of {hosts} hosts", f"{taken:.1f} s") for hosts, taken in zip(HOSTS[:-1], seconds, strict=False)),
        Row(
            f"work for one host more: beyond {HOSTS[1]} hosts against before",
            f"{second / first:.2f}",
            f"{LINEAR}",
            second / first <= LINEAR,
        ),
    ]


def _run(hosts: int, folder: Path) -> tuple[float, float]:
    """Returns how long the task took, and the processor time of the whole run, in seconds."""
    inventory, log, output = folder / f"{hosts}.json", folder / f"{hosts}.log", folder / f"out{hosts}"
    names = [f"client{number:04}" for number in range(hosts)]
    variables = {name: {"triage_events": _result(name.upper())} for name in names}
    inventory.write_text(json.dumps({"all": {"hosts": variables}}), "utf-8")
    playbook = folder / "play.yml"
    playbook.write_text(yaml.safe_dump([_PLAY]), "utf-8")
    before = _children_seconds()
    subprocess.run(
        [program("ansible-playbook"), "-i", str(inventory), str(playbook), "-e", f"output={output}"],
        env=ansible_environment(folder, ANSIBLE_LOG_PATH=str(log)),
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=TIMEOUT,
    )
    work = _children_seconds() - before
    found = len(json.loads((output / "findings.json").read_bytes())["findings"])
    if found != hosts * FINDINGS:
        raise RuntimeError(f"the report of {hosts} hosts has {found} findings, not {hosts * FINDINGS}")
    begin, end = (_time(log, what) for what in ("TASK [Report]", "PLAY RECAP"))
    return (end - begin).total_seconds(), work


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _time(log: Path, what: str) -> datetime:
    return next(
        datetime.strptime(time, "%Y-%m-%d %H:%M:%S,%f")
        for time, line in _LINE.findall(log.read_text("utf-8"))
        if line == what
    )


def _result(name: str) -> dict[str, Any]:
    return {
        "changed": False,
        "events": [_event(name, number) for number in range(FINDINGS)],
        "truncated": False,
        "last_record_id": FINDINGS,
        "log": {"name": "Application", "exists": True, "enabled": True, "size": 20 << 20, "rolled_over": False},
        "host": {
            "name": name,
            "time": "2026-11-24T12:00:00.0000000Z",
            "start_time": "2026-11-20T06:00:00.0000000Z",
            "clock_skew_seconds": 0.4,
            "round_trip_seconds": 1.9,
        },
    }


def _event(name: str, number: int) -> dict[str, Any]:
    time = f"2026-11-2{number % 4}T1{number}:00:00.1234567Z"
    status = 400 + number
    return {
        "record_id": number + 1,
        "event_id": 86,
        "log": "Application",
        "computer": name,
        "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
        "level": 2,
        "time_created": time,
        "user_sid": "S-1-5-18",
        "data": {
            "Context": f"INTRA\\{name}$",
            "Url": f"https://ndes{number}.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe",
            "MessageText": f"GetCACaps\r\nGetCACaps: no\r\n<html>{'x' * 400}</html>\r\nHTTP/1.1 {status} No\r\n",
            "Method": f"GET({number}ms)",
            "Stage": "GetCACaps",
            "ErrorCode": f"Error 0x{0x80190000 + status:08x} (-2145844844 HTTP_E_STATUS)",
        },
        "message": None,
        "count": number + 1,
        "first_seen": time,
        "last_seen": time,
    }
