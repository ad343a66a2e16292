"""Runs PowerShell with module utilities of the collection on the lab engine, without a module or Ansible around it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.lab.engine import REPOSITORY, Engine

_UTILITIES = REPOSITORY / "plugins" / "module_utils"


class UtilityHost:
    """A host, and scripts on it that have some module utilities."""

    def __init__(self, engine: Engine, folder: Path, *utilities: str) -> None:
        """Makes the host."""
        self.folder = folder
        self._engine = engine
        self._utilities = utilities
        folder.mkdir(parents=True)
        (folder / "hostname").write_text("CLIENT1\n", encoding="ascii")

    def run(self, script: str, given: object = None) -> Any:
        """Runs a script that has `$given`, and returns what it emits, as JSON has it."""
        given_path, found_path, script_path = (
            self.folder / name for name in ("given.json", "found.json", "script.ps1")
        )
        given_path.write_text(json.dumps(given), encoding="utf-8")
        lines = [
            "Set-StrictMode -Version 2.0; $ErrorActionPreference = 'Stop'",
            *(f"Import-Module '{_UTILITIES / name}.psm1'" for name in self._utilities),
            f"$given = ConvertFrom-Json ([System.IO.File]::ReadAllText('{given_path}')) -DateKind String",
            f"$found = & {{ {script} }}",
            f"[System.IO.File]::WriteAllText('{found_path}', (ConvertTo-Json -InputObject $found -Depth 20))",
        ]
        script_path.write_text("\n".join(lines), encoding="utf-8")
        command = [str(self._engine.as_host), str(self.folder), str(self._engine.pwsh), "-NoProfile", "-File"]
        done = subprocess.run([*command, str(script_path)], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(found_path.read_text("utf-8"))
