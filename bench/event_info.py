"""event_info against ansible.windows.win_ping, on one host of the lab, task by task in turn within one playbook run."""

from __future__ import annotations

import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from bench import Row
from bench._tasks import against_win_ping, not_measured
from tests.lab.engine import EngineNotFoundError, find_engine
from tests.lab.events import event86, interleaved
from tests.lab.fleet import Lab

EVENTS, MATCHING = 100_000, 1_000
LIMIT = 1.3
WHAT = f"{MATCHING:,} of {EVENTS:,} events"
READ, FOLD = f"event_info: {WHAT}", f"event_info, group: {WHAT}"
TASKS: dict[str, dict[str, Any]] = {
    READ: {"winpki.scep.event_info": {}},
    FOLD: {"winpki.scep.event_info": {"group": True}},
}
_RETURNED = {READ: MATCHING, FOLD: 1}


def measure() -> list[Row]:
    """Measures whole tasks, as the controller sees them; a row for all events and one for folded ones."""
    try:
        engine = find_engine()
    except EngineNotFoundError as error:
        return not_measured(TASKS, LIMIT, error)
    now = datetime.now(timezone.utc)
    events = [event86(0, now, method=f"GET({number}ms)") for number in range(MATCHING)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Lab(Path(folder), engine) as lab:
        fleet = lab.start(lab.host("CLIENT1", interleaved(EVENTS, now, events, span=timedelta(days=30))))
        return against_win_ping(fleet, TASKS, LIMIT, lambda one: len(one.result["events"]) == _RETURNED[one.task])
