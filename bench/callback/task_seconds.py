"""Writes how long each task took on each host as a line of JSON, for a measurement to read."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_seconds
type: notification
short_description: Durations as lines of JSON
description: Each task's name and duration in seconds as one line of JSON in the file that TASK_SECONDS names.
"""


class CallbackModule(CallbackBase):
    """Measures from the moment when a host's task starts to its result, on the controller."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "task_seconds"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._started: dict[tuple[str, str], float] = {}

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """The task starts."""
        self._started[host.get_name(), task._uuid] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        """The task did its work; a failed one has no figure."""
        begin = self._started[result._host.get_name(), result._task._uuid]
        line = json.dumps({"task": result._task.get_name(), "seconds": time.monotonic() - begin})
        with Path(os.environ["TASK_SECONDS"]).open("a", encoding="ascii") as stream:
            stream.write(line + "\n")
