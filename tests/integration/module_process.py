"""A module of the collection in a process of its own, with all the module utilities that it requires."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.lab.engine import REPOSITORY, Engine
from tests.lab.host import write_host
from tests.powershell.runner import ModuleRunner

PLUGINS = REPOSITORY / "plugins"
_REQUIRES = re.compile(r"^#AnsibleRequires -PowerShell \.\.?(?:module_utils\.)?(\w+)", re.MULTILINE)


class ModuleHost:
    """One host, and one module on it: a process for all that a test asks of it."""

    def __init__(self, engine: Engine, folder: Path, module: str) -> None:
        """Makes the host and starts the process; a process's certificate stores are those of its first host."""
        self.folder = write_host(folder, "CLIENT1")
        self._runner = ModuleRunner(engine, folder, module, *_utilities(module))

    def __enter__(self) -> ModuleHost:
        """It runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the process."""
        self._runner.__exit__(kind, error, trace)

    def run(self, arguments: dict[str, Any], *, check: bool = False, diff: bool = False) -> dict[str, Any]:
        """Runs the module."""
        modes = {"_ansible_check_mode": check, "_ansible_diff": diff}
        result = self._runner.run(self.folder, **arguments, **modes)
        assert "unhandled" not in result, result
        return result

    def whole(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Runs the module; what it returns, with the options that it repeats."""
        return self._runner.whole(self.folder, **arguments)

    def one(self, arguments: dict[str, Any], **modes: bool) -> dict[str, Any]:
        """Runs it; it has to succeed."""
        result = self.run(arguments, **modes)
        assert "msg" not in result, result["msg"]
        return result

    def fail(self, arguments: dict[str, Any], **modes: bool) -> dict[str, Any]:
        """Runs it; it has to fail without a change."""
        result = self.run(arguments, **modes)
        assert (result["failed"], result["changed"]) == (True, False)
        return result


def _utilities(module: str) -> list[str]:
    """The names of the module utilities that a module requires, also by way of others."""
    wanted, found = [PLUGINS / "modules" / f"{module}.ps1"], list[str]()
    while wanted:
        for name in _REQUIRES.findall(wanted.pop().read_text("utf-8")):
            if name not in found:
                found.append(name)
                wanted.append(PLUGINS / "module_utils" / f"{name}.psm1")
    return found
