"""_SettingWrite.psm1: what was changed by another in between is left alone, with nothing beside it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.integration.profile_host import read_key, write_key
from tests.integration.utility_script import UtilityHost
from tests.lab.engine import Engine

KEY = "SOFTWARE\\Example"
WRITE_FILE = """
$problem = $null
$bytes = [System.Text.Encoding]::ASCII.GetBytes($given.text)
try { Set-ScepFileContent -Path $given.path -Bytes $bytes -Expected $given.expected }
catch { $problem = $_.Exception.GetBaseException().Message }
@{ problem = $problem }
"""
WRITE_VALUE = """
$problem = $null
$value = @{ Hive = 'HKLM'; Key = 'SOFTWARE\\Example'; Name = 'Url'; Kind = $given.kind; Text = 'new' }
try { Set-ScepRegistryText @value -Expected $given.expected }
catch { $problem = $_.Exception.GetBaseException().Message }
@{ problem = $problem }
"""


@pytest.fixture
def host(engine: Engine, tmp_path: Path) -> UtilityHost:
    return UtilityHost(engine, tmp_path / "client1", "_Setting", "_SettingWrite")


@pytest.mark.parametrize(("expected", "content"), [(b"old", b"new"), (b"older", b"old")])
def test_a_file_is_written_only_over_what_was_read(
    host: UtilityHost, tmp_path: Path, expected: bytes, content: bytes
) -> None:
    folder = tmp_path / "settings"
    folder.mkdir()
    file = folder / "scep.ini"
    file.write_bytes(b"old")
    given = {"path": str(file), "text": "new", "expected": hashlib.sha256(expected).hexdigest()}
    problem = host.run(WRITE_FILE, given)["problem"]
    changed = f"{file} was changed by another while it was looked at; run this again."
    assert problem == (None if content == b"new" else changed)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"scep.ini": content}


@pytest.mark.parametrize(
    ("expected", "kind", "data"), [("old", "String", "new"), ("older", "String", "old"), ("old", "ExpandString", "old")]
)
def test_a_value_is_written_only_over_what_was_read(host: UtilityHost, expected: str, kind: str, data: str) -> None:
    write_key(host.folder, KEY, {"Url": ("String", "old")})
    given = {"kind": kind, "expected": hashlib.sha256(expected.encode("utf-16-le")).hexdigest()}
    problem = host.run(WRITE_VALUE, given)["problem"]
    changed = f"HKLM\\{KEY}, value 'Url', was changed by another while it was looked at; run this again."
    assert problem == (None if data == "new" else changed)
    assert read_key(host.folder, KEY) == {"Url": ("String", data)}
