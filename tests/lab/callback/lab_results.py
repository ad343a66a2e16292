"""Writes each task's result of each host as a line of JSON, beside what is printed, for tests to read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: lab_results
type: notification
short_description: Results as lines of JSON
description: Each task's result of each host as one line of JSON in the file that LAB_RESULTS names.
"""

VARIABLE = "LAB_RESULTS"


class CallbackModule(CallbackBase):
    """Writes results."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lab_results"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """The task did its work."""
        self._write("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """The task failed."""
        self._write("failed", result, ignored=ignore_errors)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """There was no connection."""
        self._write("unreachable", result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """The task's condition was false."""
        self._write("skipped", result)

    def _write(self, status: str, result: Any, *, ignored: bool = False) -> None:
        document = {
            "host": result._host.get_name(),
            "task": result._task.get_name(),
            "action": result._task.action,
            "status": status,
            "ignored": ignored,
            "result": result._result,
        }
        with Path(os.environ[VARIABLE]).open("a", encoding="ascii") as stream:
            stream.write(json.dumps(document, default=str) + "\n")
