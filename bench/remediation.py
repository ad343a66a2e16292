"""20 hosts of the lab from check mode to proof: the wall time of each part, of playbooks as a user runs them."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench import Row
from tests.lab.build import scenario_fleet
from tests.lab.engine import EngineNotFoundError, find_engine
from tests.lab.fleet import Fleet
from tests.lab.playbook import run_playbook
from tests.lab.scenario import REMEDIATE, load_scenario

HOSTS, FORKS = 20, 10
PARTS = ("check", "apply", "verify")
WHAT = f"remediate, {HOSTS} hosts of the lab: {{}}"


def measure() -> list[Row]:
    """Measures the playbooks, one after the other; the hosts share this machine's processors."""
    try:
        engine = find_engine()
    except EngineNotFoundError as error:
        return [Row(WHAT.format(", ".join(PARTS)), f"not measured: {error}")]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        work = Path(folder)
        with scenario_fleet(load_scenario(REMEDIATE), engine, folder=work / "fleet", count=HOSTS) as fleet:
            seconds, mended = _parts(fleet, work)
    rows = [Row(WHAT.format(part), f"{seconds[part]:.1f} s") for part in PARTS]
    whole = sum(seconds.values())
    return [*rows, Row(WHAT.format("in all"), f"{whole:.1f} s, {mended} hosts mended, {whole / HOSTS:.1f} s a host")]


def _parts(fleet: Fleet, work: Path) -> tuple[dict[str, float], int]:
    """Returns the seconds of each part, and how many hosts were changed."""
    seconds: dict[str, float] = {}

    def run(part: str, playbook: str, limit: str | None = None, **variables: Any) -> None:
        begin = time.monotonic()
        done = run_playbook(
            playbook,
            fleet.inventory_path,
            folder=work,
            check=part == "check",
            forks=FORKS,
            limit=limit,
            extra_vars=variables,
            timeout=1200,
        )
        seconds[part] = time.monotonic() - begin
        if done.exit_code:
            raise RuntimeError(f"{part} failed:\n{done.stdout}\n{done.stderr}")

    apply: dict[str, Any] = {
        "scep_plan": "remediation/plan.json",
        "remediate_serial": "100%",
        "remediate_verify": False,
    }
    run("check", "winpki.scep.remediate")
    run("apply", "winpki.scep.remediate", **apply)
    document = json.loads((work / "remediation" / "result.json").read_bytes())
    mended = [one for one in document["hosts"] if any(change["changed"] for change in one["changes"])]
    # Where the AIK task was disabled there is no enrolment to wait for.
    enrolling = [one["host"] for one in mended if not _only_silent(one)]
    run("verify", "winpki.scep.verify", limit=",".join(enrolling), verify_wait=60, verify_interval=2)
    return seconds, len(mended)


def _only_silent(outcome: Mapping[str, Any]) -> bool:
    return all(change["role"] == "disable_aik" for change in outcome["changes"])
