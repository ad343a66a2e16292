"""Runs Ansible as a user would, with this Python's own installation, and reads what each task gave for each host."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.lab.engine import REPOSITORY

COLLECTIONS = REPOSITORY / ".cache" / "collections"
PLAYBOOK_TIMEOUT = 300.0
_CALLBACKS = Path(__file__).parent / "callback"


@dataclass(frozen=True)
class TaskResult:
    """What one task gave for one host.

    Attributes:
        host: inventory name.
        task: the task's name, with its role's name before it.
        action: the module or action.
        status: ok, failed, unreachable or skipped.
        ignored: whether the play goes on with the host although it failed.
        result: as registered.
    """

    host: str
    task: str
    action: str
    status: str
    ignored: bool
    result: dict[str, Any]


@dataclass(frozen=True)
class PlaybookResult:
    """A playbook run: its exit status, what it printed, and its results in the order they came."""

    exit_code: int
    stdout: str
    stderr: str
    results: list[TaskResult] = field(repr=False)

    def of(self, host: str, task: str | None = None) -> TaskResult:
        """The last result of a host, or of that task of it.

        Raises:
            LookupError: there is none; the message holds what was printed.
        """
        for result in reversed(self.results):
            if result.host == host and task in (None, result.task):
                return result
        raise LookupError(f"no result of {host}, task {task}:\n{self.stdout}\n{self.stderr}")


def ansible_environment(folder: Path, **more: str) -> dict[str, str]:
    """The environment to run Ansible in: this repository's collection, and no settings of the user's.

    Args:
        folder: for Ansible's own files, and an empty configuration.
        **more: variables to add.
    """
    configuration = folder / "ansible.cfg"
    configuration.write_text("[defaults]\n", "ascii")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LAB_"))}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(configuration),
        "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "true",
        "ANSIBLE_NOCOLOR": "true",
        "LC_ALL": "C.UTF-8",
        # The plugins import their collection by name; this Python may be one whose site has none of it.
        "PYTHONPATH": str(COLLECTIONS),
        **more,
    }


def program(name: str) -> str:
    """The path of one of Ansible's programs, of the installation that this Python belongs to."""
    return str(Path(sys.executable).parent / name)


def run_playbook(
    playbook: str | Path | Sequence[Mapping[str, Any]],
    inventory: Path,
    *,
    folder: Path | None = None,
    extra_vars: Mapping[str, Any] | None = None,
    arguments: Sequence[str] = (),
    check: bool = False,
    diff: bool = False,
    limit: str | None = None,
    forks: int | None = None,
    timeout: float = PLAYBOOK_TIMEOUT,
    environment: Mapping[str, str] | None = None,
) -> PlaybookResult:
    """Runs ``ansible-playbook``.

    Args:
        playbook: a path, a name such as winpki.scep.triage, the plays as data, or their YAML (text with a line end).
        inventory: path.
        folder: for what Ansible writes; a temporary one if None.
        extra_vars: for ``-e``.
        arguments: further arguments.
        check: check mode.
        diff: diff mode.
        limit: for ``--limit``.
        forks: for ``--forks``.
        timeout: in seconds.
        environment: variables to add.

    Raises:
        TimeoutError: it took too long; the message holds what was printed until then.
    """
    with tempfile.TemporaryDirectory(prefix="lab-") as temporary:
        work = Path(temporary)
        results = work / "results.jsonl"
        results.touch()
        command = [program("ansible-playbook"), "-i", str(inventory), _playbook_argument(playbook, work), *arguments]
        command += ["--check"] * check + ["--diff"] * diff
        if limit is not None:
            command += ["--limit", limit]
        if forks is not None:
            command += ["--forks", str(forks)]
        if extra_vars:
            variables = work / "variables.json"
            variables.write_text(json.dumps(extra_vars), "utf-8")
            command += ["-e", f"@{variables}"]
        env = ansible_environment(
            folder or work,
            ANSIBLE_CALLBACK_PLUGINS=str(_CALLBACKS),
            ANSIBLE_CALLBACKS_ENABLED="lab_results",
            LAB_RESULTS=str(results),
        )
        exit_code, stdout, stderr = _run(command, {**env, **(environment or {})}, folder or work, timeout)
        lines = results.read_text("ascii").splitlines()
    return PlaybookResult(exit_code, stdout, stderr, [TaskResult(**json.loads(line)) for line in lines])


def run_module(
    inventory: Path,
    host: str,
    module: str,
    module_args: Mapping[str, Any] | None = None,
    *,
    check: bool = False,
    **settings: Any,
) -> TaskResult:
    """Runs one module on one host; ``settings`` as in run_playbook()."""
    task = {"name": module, module: dict(module_args or {})}
    play = {"name": "Run a module", "hosts": host, "gather_facts": False, "tasks": [task]}
    return run_playbook([play], inventory, check=check, limit=host, **settings).of(host)


def _playbook_argument(playbook: str | Path | Sequence[Mapping[str, Any]], work: Path) -> str:
    if isinstance(playbook, Path):
        return str(playbook)
    if isinstance(playbook, str) and "\n" not in playbook:
        return playbook
    written = work / "playbook.yml"
    written.write_text(playbook if isinstance(playbook, str) else yaml.safe_dump(list(playbook)), "utf-8")
    return str(written)


def _run(command: list[str], env: Mapping[str, str], folder: Path, timeout: float) -> tuple[int, str, str]:
    # A session of its own, so that Ansible's workers end with it.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        cwd=folder,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            raise TimeoutError(f"{' '.join(command)} took longer than {timeout} s:\n{stdout}\n{stderr}") from None
    return process.returncode, stdout, stderr
