"""Finds the PowerShell engine that plays a Windows host, and runs command lines on it."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

REPOSITORY = Path(__file__).resolve().parents[2]
INSTALLER = Path("../shared/pwsh/install")
"""Unpacks the engine and prints its path; relative to the repository, where the engine is kept beside it."""
VARIABLE = "WINPKI_PWSH"

_ARGUMENT = re.compile(r'"[^"]*"|[^\s"]+')
_PROGRAMS = frozenset({"powershell", "powershell.exe", "pwsh", "pwsh.exe"})
_SPELLINGS = ("PowerShell", "powershell", "PowerShell.exe", "powershell.exe")
_PATH = "path"


class Launch(NamedTuple):
    """A process to start: its arguments, its whole environment and its working directory."""

    argv: list[str]
    env: dict[str, str]
    cwd: Path


class Runner(Protocol):
    """Turns a command line that a client sent to a host into a process on this machine."""

    def launch(self, folder: Path, line: str, env: Mapping[str, str]) -> Launch:
        """Returns the process for one command line.

        Args:
            folder: the host's folder.
            line: command and arguments, as the client wrote them.
            env: the variables that the client set for its shell.

        Raises:
            CommandNotFoundError: the host has no such program.
        """


class CommandNotFoundError(Exception):
    """The command line names a program that a simulated host does not have."""

    def __init__(self, program: str) -> None:
        super().__init__(
            f"'{program}' is not recognized as an internal or external command,\r\noperable program or batch file.\r\n"
        )


class EngineNotFoundError(Exception):
    """There is no engine; the message says where it was looked for."""


class Engine(NamedTuple):
    """The lab engine: PowerShell with Windows' own parts, run once per command."""

    pwsh: Path
    as_host: Path

    def launch(self, folder: Path, line: str, env: Mapping[str, str]) -> Launch:
        """Runs PowerShell as the host; a simulated host has no other program."""
        program, *arguments = [part.strip('"') for part in _ARGUMENT.findall(line)] or [""]
        if program.rsplit("\\", 1)[-1].lower() not in _PROGRAMS:
            raise CommandNotFoundError(program)
        # The engine's own variables come from as-host; nothing of this process's environment may show on a host.
        base = {"PATH": f"{self._path(folder)}:{os.environ.get('PATH', os.defpath)}", "LANG": "C.UTF-8"}
        return Launch([str(self.as_host), str(folder), str(self.pwsh), *arguments], {**env, **base}, folder)

    def _path(self, folder: Path) -> Path:
        """A folder for PATH with the names that scripts start PowerShell by; ansible-core 2.17 does for each module."""
        path = folder / _PATH
        path.mkdir(exist_ok=True)
        for name in _SPELLINGS:
            with contextlib.suppress(FileExistsError):
                (path / name).symlink_to(self.pwsh)
        return path


def find_engine() -> Engine:
    """Returns the engine that ``WINPKI_PWSH`` names, or else the one kept beside the repository.

    Raises:
        EngineNotFoundError: neither is there, or what is there cannot play a Windows host.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise EngineNotFoundError(
            f"the lab engine runs on Linux on x86-64, this is {sys.platform} {platform.machine()}"
        )
    named = os.environ.get(VARIABLE)
    if named:
        return _engine(Path(named).expanduser(), f"the variable {VARIABLE}")
    installer = (REPOSITORY / INSTALLER).resolve()
    if installer.is_file():
        shell = shutil.which("bash") or "bash"
        done = subprocess.run([shell, str(installer)], capture_output=True, text=True, check=False, timeout=300)
        if done.returncode == 0:
            return _engine(Path(done.stdout.strip()), str(INSTALLER))
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EngineNotFoundError(f"the lab engine could not be unpacked with {INSTALLER}: {reason}")
    raise EngineNotFoundError(
        f"there is no PowerShell lab engine here: {VARIABLE} is not set, and {INSTALLER} is not there; "
        f"set {VARIABLE} to the path of the engine's pwsh"
    )


def _engine(pwsh: Path, source: str) -> Engine:
    if not os.access(pwsh, os.X_OK):
        raise EngineNotFoundError(f"{pwsh}, named by {source}, is not a program; it has to be the lab engine's pwsh")
    as_host = pwsh.parent / "as-host"
    if not os.access(as_host, os.X_OK):
        raise EngineNotFoundError(
            f"{pwsh}, named by {source}, cannot play a Windows host (there is no as-host beside it), "
            "so nothing that needs one is run"
        )
    return Engine(pwsh, as_host)
