"""Runs a PowerShell module of the collection straight on the lab engine, without Ansible and WinRM around it.

Fast enough for a case per test: the engine starts and compiles Ansible.Basic once for all of them. What a host reads at
a process's start (name, clock, time zone) is for the tests over WinRM.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from select import select
from types import TracebackType
from typing import Any

import ansible

from tests.lab.engine import REPOSITORY, Engine

_UTILITIES = REPOSITORY / "plugins" / "module_utils"
_ANSIBLE = Path(ansible.__file__).parent / "module_utils"
# The longest module takes a few seconds; a machine with much else to do takes ten times as long.
_TIMEOUT_SECONDS = 180


class ModuleRunner:
    """One engine process that runs one module for any number of hosts."""

    def __init__(self, engine: Engine, folder: Path, module: str, *utilities: str) -> None:
        """Starts the engine.

        Args:
            engine: where it is.
            folder: of a host; the process is that host in name, clock and time zone.
            module: its name, such as event_info.
            *utilities: the names of the module utilities that it requires, also by way of others.
        """
        script = Path(__file__).with_name("run_module.ps1")
        launch = engine.launch(folder, f'pwsh -NoProfile -NonInteractive -File "{script}"', {})
        options = {
            "-Module": REPOSITORY / "plugins" / "modules" / f"{module}.ps1",
            "-Utilities": ":".join(str(_UTILITIES / f"{utility}.psm1") for utility in utilities),
            "-Basic": _ANSIBLE / "csharp" / "Ansible.Basic.cs",
            "-AddType": _ANSIBLE / "powershell" / "Ansible.ModuleUtils.AddType.psm1",
        }
        arguments = [str(part) for option in options.items() for part in option]
        self._process = subprocess.Popen(
            [*launch.argv, *arguments],
            env=launch.env,
            cwd=launch.cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> ModuleRunner:
        """Nothing more to do: the process runs."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()

    def run(self, folder: Path, **options: Any) -> dict[str, Any]:
        """Returns the module's result on a host, without the options that it repeats."""
        return {key: value for key, value in self.whole(folder, **options).items() if key != "invocation"}

    def whole(self, folder: Path, **options: Any) -> dict[str, Any]:
        """Returns all of the module's result on a host."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the engine was started without its pipes")
        if self._process.poll() is not None:
            raise RuntimeError("the engine's process has ended; the first test that failed says why")
        print(json.dumps({"home": str(folder), "args": options}), file=stdin, flush=True)
        ready, _unused, _unused = select([stdout], [], [], _TIMEOUT_SECONDS)
        if not ready:
            # Its answer would be taken for that of the next test.
            self._process.kill()
            self._process.wait()
            raise TimeoutError(f"the module did not answer within {_TIMEOUT_SECONDS} s")
        return dict(json.loads(stdout.readline()))
