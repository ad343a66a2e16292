"""The demo of the remedies: a fleet from red to green and back, by the playbooks that a user has."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.fleet import Fleet

CANARY = "CLIENT01"
_WAIT = {"verify_wait": 20, "verify_interval": 2}
_WORDS = {86: "fails", 87: "refused", 88: "enrols"}


class DemoError(Exception):
    """The demo did not go as it should; the message says where."""


@dataclass(frozen=True)
class Step:
    """A playbook that is run.

    Attributes:
        title: what it is for.
        playbook: its name.
        variables: for ``-e``.
        arguments: further arguments.
    """

    title: str
    playbook: str
    variables: Mapping[str, Any]
    arguments: tuple[str, ...] = ()


Ansible = Callable[[Sequence[str]], int]
"""Runs ansible-playbook with these arguments and returns its exit status."""


def steps(output: Path) -> list[Step]:
    """The playbooks up to the point where the fleet is green."""
    plan = str(output / "plan.json")
    settings = {"remediate_plan_output": plan, "remediate_result_output": str(output / "result.json")}
    evidence = {"triage_evidence": True, "triage_output": str(output / "triage")}
    gate = {"scep_gate": "plan", "scep_plan": plan, "remediate_canary": CANARY, "remediate_serial": "100%"}
    apply = {**settings, **_WAIT, **gate}
    return [
        Step("1. Triage, with evidence: what fails, and why", "winpki.scep.triage", evidence),
        Step("2. Plan, in check mode: nothing is changed", "winpki.scep.remediate", settings, ("--check", "--diff")),
        Step("3. Apply what the plan allows, and verify", "winpki.scep.remediate", apply),
    ]


def back() -> Step:
    """The playbook that takes all changes back."""
    return Step("4. Rollback, from the records on the hosts", "winpki.scep.rollback", {"rollback_all": True})


def run(fleet: Fleet, ansible: Ansible, output: Path) -> int:
    """Runs the demo.

    Args:
        fleet: running, of the scenario remediate.yml.
        ansible: runs ansible-playbook.
        output: folder for what the playbooks write.

    Returns:
        0, or 1 if the fleet did not become green and red again as it should; a sentence says what was wrong.
    """
    try:
        before = _enrolments(fleet)
        for step in steps(output):
            _play(step, ansible)
        after = _enrolments(fleet)
        _play(back(), ansible)
        _show(before, after, _enrolments(fleet), _mended(output / "result.json"))
    except DemoError as error:
        _say(f"\nThe demo failed: {error}")
        return 1
    return 0


def _play(step: Step, ansible: Ansible) -> None:
    _say(f"\n{step.title}\n$ ansible-playbook {step.playbook} {' '.join(step.arguments)}".rstrip())
    status = ansible((step.playbook, *step.arguments, "-e", json.dumps(step.variables)))
    if status:
        raise DemoError(f"ansible-playbook {step.playbook} ended with status {status}")


def _enrolments(fleet: Fleet) -> dict[str, str]:
    """What each host's enrolment gives now, in a few words; nothing is said of a host that does not enrol."""
    found = {}
    for host, tries in fleet.enrol_all().items():
        if tries:
            last = tries[-1]
            code = f" {last.hresult & 0xFFFFFFFF:#010x}" if last.hresult else f" over {last.url.partition(':')[0]}"
            found[host] = f"{_WORDS[last.event_id]}{code}"
    return found


def _mended(path: Path) -> set[str]:
    """The hosts that the apply run has changed."""
    document = json.loads(path.read_bytes())
    return {one["host"] for one in document["hosts"] if any(change["changed"] for change in one["changes"])}


def _show(before: Mapping[str, str], after: Mapping[str, str], last: Mapping[str, str], mended: set[str]) -> None:
    """Prints how the hosts enrolled, and sees that exactly those enrol that were mended."""
    _say("\nHow the hosts enrolled: asked of their own enrolment client, not of the collection")
    rows = [("host", "before", "after", "rolled back"), *_rows(before, after, last)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    failing = {host for host, said in before.items() if said.startswith("fails")}
    still = {host for host in failing if after.get(host, "").startswith("fails")}
    if failing - still != mended or not mended:
        raise DemoError(f"mended were {sorted(mended)}, and {sorted(failing - still)} no longer fail")
    if last != before:
        raise DemoError("after the rollback the hosts enrol otherwise than before")


def _rows(before: Mapping[str, str], after: Mapping[str, str], last: Mapping[str, str]) -> list[tuple[str, ...]]:
    hosts = sorted({*before, *after, *last})
    return [(host, *(one.get(host, "asks no more") for one in (before, after, last))) for host in hosts]


def _say(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")
    sys.stdout.flush()
