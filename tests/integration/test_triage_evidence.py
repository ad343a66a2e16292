"""The playbook winpki.scep.triage with evidence: hosts ask the servers that they fail with, and causes become exact."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.lab.events import event86, event88
from tests.lab.fleet import Lab
from tests.lab.ndes import Ndes
from tests.lab.playbook import run_playbook

EVIDENCE = "winpki.scep.triage : Take evidence about what still fails"


def test_triage_with_evidence(lab: Lab, tmp_path: Path) -> None:
    """Only hosts with open failures are asked again; what they met is on the screen and in the file."""
    now = datetime.now(timezone.utc)
    with Ndes("ndes01.lab.example") as ndes:
        hosts = [
            lab.host("TLS1", [event86(1, now - timedelta(hours=1), url=ndes.url(), computer="TLS1")]),
            lab.host(
                "Solved1",
                [
                    event86(1, now - timedelta(hours=2), url=ndes.url(), computer="Solved1"),
                    event88(2, now - timedelta(hours=1), url=ndes.url(), computer="Solved1"),
                ],
            ),
            lab.host("Quiet1"),
            lab.down("Alpha"),
        ]
        for host in hosts[:3]:
            (host.folder / "hosts").write_text("127.0.0.1 *\n", "ascii")
        done = run_playbook(
            "winpki.scep.triage",
            lab.start(*hosts).inventory_path,
            folder=tmp_path,
            extra_vars={"triage_evidence": True},
        )
        asked = len(ndes.site.requests)
    assert done.exit_code == 0, done.stdout + done.stderr
    assert {result.host: result.status for result in done.results if result.task == EVIDENCE} == {
        "TLS1": "ok",
        "Solved1": "skipped",
        "Quiet1": "skipped",
        "Alpha": "skipped",
    }
    assert asked == 0  # not a word over a connection whose certificate did not pass
    report = json.loads((tmp_path / "triage-out/findings.json").read_bytes())
    assert [(one["host"], one["cause"], one["certainty"], one["state"]) for one in report["findings"]] == [
        ("Solved1", "tls_failure", "possible", "resolved"),
        ("TLS1", "tls_untrusted", "proven", "open"),
    ]
    assert list(report["evidence"]) == ["TLS1"]
    assert report["evidence"]["TLS1"]["endpoints"][0]["failure"] == "untrusted_root"
    lines = done.stdout.splitlines()
    row = lines[lines.index("Probed from the hosts") + 2].split()
    assert row[:3] == ["1", f"ndes01.lab.example:{ndes.site.port('https')}", "untrusted_root"]
