"""event_info against ansible.windows.win_ping, on one host of the lab, task by task in turn within one playbook run."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median
from typing import Any

from bench import Row
from tests.lab.engine import EngineNotFoundError, find_engine
from tests.lab.events import event86, interleaved
from tests.lab.fleet import Lab
from tests.lab.playbook import run_playbook

EVENTS, MATCHING, ROUNDS = 100_000, 1_000, 9
LIMIT = 1.3
PING, READ, FOLD = "win_ping", "event_info", "event_info, group"
_CALLBACKS = (Path(__file__).parent / "callback", Path(__file__).parents[1] / "tests" / "lab" / "callback")


def measure() -> list[Row]:
    """Measures whole tasks, as the controller sees them; a row for all events and one for folded ones."""
    what = f"{MATCHING:,} of {EVENTS:,} events"
    limit = f"{LIMIT} x win_ping"
    try:
        engine = find_engine()
    except EngineNotFoundError as error:
        return [Row(f"{name}: {what}", f"not measured: {error}", limit) for name in (READ, FOLD)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Lab(Path(folder), engine) as lab:
        times = _times(lab, Path(folder) / "seconds.jsonl")
    ping = median(times[PING])
    rows = []
    for name in (READ, FOLD):
        ratio = median(times[name]) / ping
        figure = f"{ratio:.2f} x win_ping ({median(times[name]):.2f} s, win_ping {ping:.2f} s)"
        rows.append(Row(f"{name}: {what}", figure, limit, ratio <= LIMIT))
    return rows


def _times(lab: Lab, path: Path) -> dict[str, list[float]]:
    now = datetime.now(timezone.utc)
    events = [event86(0, now, method=f"GET({number}ms)") for number in range(MATCHING)]
    fleet = lab.start(lab.host("CLIENT1", interleaved(EVENTS, now, events, span=timedelta(days=30))))
    tasks: list[dict[str, Any]] = [
        {"name": PING, "ansible.windows.win_ping": {}},
        {"name": READ, "winpki.scep.event_info": {}},
        {"name": FOLD, "winpki.scep.event_info": {"group": True}},
    ]
    # Forwards and backwards, so that a machine that becomes slower or faster meanwhile weighs on all alike.
    order = [task for number in range(ROUNDS + 1) for task in (tasks if number % 2 else reversed(tasks))]
    play = {"name": "Measure", "hosts": "all", "gather_facts": False, "tasks": order}
    environment = {
        "ANSIBLE_CALLBACK_PLUGINS": ":".join(map(str, _CALLBACKS)),
        "ANSIBLE_CALLBACKS_ENABLED": "lab_results,task_seconds",
        "TASK_SECONDS": str(path),
    }
    done = run_playbook([play], fleet.inventory_path, environment=environment, timeout=600)
    if done.exit_code:
        raise RuntimeError(f"the playbook failed:\n{done.stdout}\n{done.stderr}")
    for result in done.results:
        found = len(result.result.get("events", []))
        if found != {PING: 0, READ: MATCHING, FOLD: 1}[result.task]:
            raise RuntimeError(f"{result.task} returned {found} events")
    lines = [json.loads(line) for line in path.read_text("ascii").splitlines()][len(tasks) :]
    return {task["name"]: [line["seconds"] for line in lines if line["task"] == task["name"]] for task in tasks}
