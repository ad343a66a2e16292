"""How the lab finds its engine, and what it makes of a client's command line."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from tests.lab import engine
from tests.lab.engine import CommandNotFoundError, Engine, EngineNotFoundError, find_engine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the lab engine is for Linux")


def script(path: Path, text: str = "exit 0") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository without anything beside it; the variable is not set."""
    monkeypatch.delenv("WINPKI_PWSH", raising=False)
    monkeypatch.setattr(engine, "REPOSITORY", tmp_path / "work" / "repository")
    return tmp_path


def test_engine_of_the_variable(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwsh, as_host = script(nothing / "bin" / "pwsh"), script(nothing / "bin" / "as-host")
    monkeypatch.setenv("WINPKI_PWSH", str(pwsh))
    assert find_engine() == Engine(pwsh, as_host)


def test_engine_beside_the_repository(nothing: Path) -> None:
    pwsh, as_host = script(nothing / "bin" / "pwsh"), script(nothing / "bin" / "as-host")
    script(nothing / "work" / "shared" / "pwsh" / "install", f"echo {pwsh}")
    assert find_engine() == Engine(pwsh, as_host)


@pytest.mark.usefixtures("nothing")
def test_no_engine() -> None:
    with pytest.raises(EngineNotFoundError, match=r"WINPKI_PWSH is not set, and \.\./shared/pwsh/install is not there"):
        find_engine()


@pytest.mark.usefixtures("nothing")
def test_machine_that_the_engine_is_not_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(EngineNotFoundError, match="the lab engine runs on Linux on x86-64, this is linux aarch64"):
        find_engine()


def test_engine_that_cannot_be_unpacked(nothing: Path) -> None:
    script(nothing / "work" / "shared" / "pwsh" / "install", "echo the disk is full >&2; exit 1")
    with pytest.raises(
        EngineNotFoundError, match=r"could not be unpacked with \.\./shared/pwsh/install: the disk is full"
    ):
        find_engine()


def test_pwsh_that_is_not_there(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINPKI_PWSH", str(nothing / "pwsh"))
    with pytest.raises(EngineNotFoundError, match="pwsh, named by the variable WINPKI_PWSH, is not a program"):
        find_engine()


def test_pwsh_that_cannot_play_windows(nothing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINPKI_PWSH", str(script(nothing / "pwsh")))
    with pytest.raises(EngineNotFoundError, match=r"cannot play a Windows host \(there is no as-host beside it\)"):
        find_engine()


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("PowerShell -NoProfile -EncodedCommand AAA=", ["-NoProfile", "-EncodedCommand", "AAA="]),
        ('powershell.exe  -File  "C:\\a b\\c.ps1"', ["-File", "C:\\a b\\c.ps1"]),
        ("C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe -", ["-"]),
        ("pwsh", []),
    ],
)
def test_powershell_runs_as_the_host(
    line: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("SECRET", "of the controller's")
    launch = Engine(Path("/e/pwsh"), Path("/e/as-host")).launch(tmp_path, line, {"A": "b", "PATH": "C:\\"})
    assert launch.argv == ["/e/as-host", str(tmp_path), "/e/pwsh", *arguments]
    assert launch.env == {"A": "b", "PATH": f"{tmp_path}/path:/usr/bin", "LANG": "C.UTF-8"}
    assert launch.cwd == tmp_path


def test_powershell_is_on_the_hosts_path_in_any_spelling(tmp_path: Path) -> None:
    for _unused in range(2):
        Engine(Path("/e/pwsh"), Path("/e/as-host")).launch(tmp_path, "powershell", {})
    assert {link.name: str(link.readlink()) for link in (tmp_path / "path").iterdir()} == dict.fromkeys(
        ("PowerShell", "powershell", "PowerShell.exe", "powershell.exe"), "/e/pwsh"
    )


@pytest.mark.parametrize("line", ["ipconfig /all", "cmd.exe /c powershell", "", "/bin/sh -c id"])
def test_other_programs_are_not_there(line: str, tmp_path: Path) -> None:
    with pytest.raises(CommandNotFoundError, match="is not recognized as an internal or external command"):
        Engine(Path("/e/pwsh"), Path("/e/as-host")).launch(tmp_path, line, {})
