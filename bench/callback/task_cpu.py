"""Writes the processor time that the run has used when a task begins as a line of JSON, for a measurement to read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: task_cpu
type: notification
short_description: Processor time as lines of JSON
description:
  - Each task's name, and the seconds of processor time of the run and its ended workers when it begins, as one line of
    JSON in the file that TASK_CPU names.
  - An ended worker is counted from when the next one has been started, so from the next task but one.
"""


class CallbackModule(CallbackBase):
    """Asks the operating system at the start of each task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "task_cpu"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """The task begins."""
        used = {"host": host.get_name(), "task": task.get_name(), "seconds": sum(os.times()[:4])}
        line = json.dumps(used)
        with Path(os.environ["TASK_CPU"]).open("a", encoding="ascii") as stream:
            stream.write(line + "\n")
