"""The demo as ``make demo`` runs it, on fewer hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.engine import REPOSITORY

SCENARIO = """
failures:
  tls:
    url: https://ndes01.intra.example/certsrv/mscep/mscep.dll/pkiclient.exe
    message_text: GetCACaps
    method: GET(47ms)
    stage: GetCACaps
    error_code: "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
hosts:
  CLIENT01: {events: [{failure: tls, times: 3, from: 3h, to: 1h}]}
  LAPTOP03: {down: true}
  CLIENT12: {}
"""


def demo(folder: Path, **environment: str) -> subprocess.Popen[str]:
    scenario = folder / "scenario.yml"
    scenario.write_text(SCENARIO, "utf-8")
    command = [sys.executable, "-m", "tests.lab", "demo", "--scenario", str(scenario), "--output", str(folder / "out")]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(folder), **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.usefixtures("engine")
def test_demo_on_a_fleet(tmp_path: Path) -> None:
    """A host that is down is in the report, and does not fail the demo."""
    with demo(tmp_path) as process:
        output, _unused = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert output.startswith("Triage of 3 simulated Windows hosts, over WinRM on loopback addresses.\n")
    document = json.loads((tmp_path / "out" / "findings.json").read_text("utf-8"))
    found = [(finding["host"], finding["cause"], finding["count"]) for finding in document["findings"]]
    assert found == [("CLIENT01", "tls_failure", 3)]
    assert list(tmp_path.glob("winpki-*")) == []


@pytest.mark.usefixtures("engine")
def test_demo_that_is_interrupted(tmp_path: Path) -> None:
    """SIGTERM ends Ansible and the fleet, and removes what they wrote."""
    with demo(tmp_path) as process:
        assert process.stdout is not None
        while "Read the enrolment events" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(tmp_path.glob("winpki-*")) == []


def test_demo_without_an_engine(tmp_path: Path) -> None:
    """The exported logs are triaged instead, and the first line says why."""
    with demo(tmp_path, WINPKI_PWSH="/none/pwsh") as process:
        output, _unused = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert output.startswith("The exported logs in examples/ are triaged, in place of a simulated fleet: /none/pwsh, ")
    document = json.loads((tmp_path / "out" / "findings.json").read_text("utf-8"))
    assert {finding["cause"] for finding in document["findings"]} >= {"tls_failure"}
