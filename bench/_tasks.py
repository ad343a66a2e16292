"""Tasks against each other on one host of the lab, in turn within one playbook run, as the controller sees them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from bench import Row
from tests.lab.fleet import Fleet
from tests.lab.playbook import TaskResult, run_playbook

PING = "win_ping"
_ROUNDS = 9
_CALLBACKS = (Path(__file__).parent / "callback", Path(__file__).parents[1] / "tests" / "lab" / "callback")


def against_win_ping(
    fleet: Fleet, tasks: Mapping[str, Mapping[str, Any]], limit: float, check: Callable[[TaskResult], bool]
) -> list[Row]:
    """Measures ``tasks``, each by the median of its times, and returns a row for each.

    Args:
        fleet: of one host.
        tasks: by name, a module with its arguments.
        limit: how many times win_ping each may take.
        check: says whether a task returned what it should, so that no failure is measured.

    Raises:
        RuntimeError: a task failed, or did not return what it should.
    """
    every: list[dict[str, Any]] = [{"name": PING, "ansible.windows.win_ping": {}}]
    every += [{"name": name, **task} for name, task in tasks.items()]
    # Forwards and backwards, so that a machine that becomes slower or faster meanwhile weighs on all alike.
    order = [task for number in range(_ROUNDS + 1) for task in (every if number % 2 else reversed(every))]
    play = {"name": "Measure", "hosts": "all", "gather_facts": False, "tasks": order}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "seconds.jsonl"
        environment = {
            "ANSIBLE_CALLBACK_PLUGINS": ":".join(map(str, _CALLBACKS)),
            "ANSIBLE_CALLBACKS_ENABLED": "lab_results,task_seconds",
            "TASK_SECONDS": str(path),
        }
        done = run_playbook([play], fleet.inventory_path, environment=environment, timeout=600)
        if done.exit_code:
            raise RuntimeError(f"the playbook failed:\n{done.stdout}\n{done.stderr}")
        lines = [json.loads(line) for line in path.read_text("ascii").splitlines()][len(every) :]
    wrong = next((one for one in done.results if one.task != PING and not check(one)), None)
    if wrong is not None:
        raise RuntimeError(f"{wrong.task} returned {wrong.result}")
    seconds = {name: median(line["seconds"] for line in lines if line["task"] == name) for name in (PING, *tasks)}
    return [_row(name, seconds[name], seconds[PING], limit) for name in tasks]


def not_measured(names: Iterable[str], limit: float, error: Exception) -> list[Row]:
    """Returns the rows of a machine on which nothing can be measured."""
    return [Row(name, f"not measured: {error}", f"{limit} x {PING}") for name in names]


def _row(name: str, seconds: float, ping: float, limit: float) -> Row:
    figure = f"{seconds / ping:.2f} x {PING} ({seconds:.2f} s, {PING} {ping:.2f} s)"
    return Row(name, figure, f"{limit} x {PING}", seconds / ping <= limit)
