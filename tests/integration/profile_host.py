"""SCEP profiles of a simulated host, as MDM writes them into the registry: written and read in its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROFILES = "SOFTWARE\\Microsoft\\SCEP\\MS DM Server"
ID = "ModelName=AC_1f0e/LogicalName_7a61;Hash=-1473"
SID = "S-1-5-21-1004336348-1177238915-682003330-1104"
CHALLENGE = "Ch4llenge-0123456789ABCDEF"
"""The secret of every profile that `write_profile` makes: it may come back nowhere."""


def write_key(folder: Path, key: str, values: Mapping[str, tuple[str | int, Any]], hive: str = "HKLM") -> None:
    """Make a key with values of (kind, data) in HKLM or HKU."""
    path = folder / "registry" / f"{hive}.json"
    path.parent.mkdir(exist_ok=True)
    document: dict[str, Any] = {"format": 1, "keys": {}}
    if path.exists():
        document = json.loads(path.read_text("utf-8"))
    entry = document["keys"].setdefault(key, {"values": {}})
    entry["values"].update({name: {"kind": kind, "data": data} for name, (kind, data) in values.items()})
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document), encoding="utf-8")
    new.replace(path)


def read_key(folder: Path, key: str, hive: str = "HKLM") -> dict[str, tuple[str | int, Any]]:
    """The values of a key as (kind, data), in their order."""
    keys = json.loads((folder / "registry" / f"{hive}.json").read_text("utf-8"))["keys"]
    return {name: (value["kind"], value["data"]) for name, value in keys[key]["values"].items()}


def install_key(profile_id: str = ID, sid: str | None = None) -> str:
    """The path of a profile's settings, below its hive."""
    prefix = f"{sid}\\" if sid else ""
    return f"{prefix}{PROFILES}\\{profile_id}\\Install"


def write_profile(
    folder: Path,
    url: str,
    thumbprint: str | None,
    *,
    profile_id: str = ID,
    sid: str | None = None,
    kind: str = "String",
    **values: tuple[str | int, Any],
) -> None:
    """Make a profile of the device, or of a user, with a challenge in each place where clients keep one."""
    hive = "HKU" if sid else "HKLM"
    key = install_key(profile_id, sid)
    install: dict[str, tuple[str | int, Any]] = {"ServerURL": (kind, url), "Challenge": ("String", CHALLENGE)}
    if thumbprint is not None:
        install["CAThumbprint"] = ("String", thumbprint)
    write_key(folder, key, {**install, **values}, hive)
    secret: dict[str, tuple[str | int, Any]] = {
        "": ("String", CHALLENGE),
        "Challenge": ("Binary", CHALLENGE.encode("utf-16-le").hex()),
    }
    write_key(folder, f"{key}\\Challenge", secret, hive)


def clear(folder: Path) -> None:
    """Take away everything that the host's registry holds of its own, and its access rules."""
    for file in ("HKLM.json", "HKU.json", "access.json"):
        (folder / "registry" / file).unlink(missing_ok=True)


def shows_challenge(*found: object) -> bool:
    """Whether the challenge is in a result, or in bytes, in any of the forms that it could come out in."""
    forms = [CHALLENGE.encode(), CHALLENGE.encode("utf-16-le"), CHALLENGE.encode("utf-16-le").hex().encode()]
    for one in found:
        data = one if isinstance(one, bytes) else json.dumps(one, ensure_ascii=False).encode("utf-8", "surrogatepass")
        if any(form.lower() in data.lower() for form in forms):
            return True
    return False
