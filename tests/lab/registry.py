r"""A simulated host's registry, read and written in its files from outside: the stage, and what enrolment leaves there.

Keys are written as Windows writes them (``HKLM\SOFTWARE\…``, ``HKU\S-1-5-21-…\Software\…``), in any case;
``SYSTEM\CurrentControlSet`` leads to where the files have it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Value = int | str | bytes | list[str]
"""A DWord, a String, a Binary or a MultiString."""

HIVES = {"HKLM": "HKLM", "HKEY_LOCAL_MACHINE": "HKLM", "HKU": "HKU", "HKEY_USERS": "HKU"}
_LINKS = {"HKLM": ("SYSTEM\\CurrentControlSet", "SYSTEM\\ControlSet001"), "HKU": ("S-1-5-18", ".DEFAULT")}
_DWORD = 1 << 32


def place(key: str) -> tuple[str, str]:
    """The hive (HKLM or HKU) and the path below it.

    Raises:
        ValueError: the key begins with no such hive, or has nothing below it.
    """
    head, _unused, path = key.replace("Registry::", "", 1).strip("\\").partition("\\")
    hive = HIVES.get(head.rstrip(":").upper())
    if hive is None or not path.strip("\\"):
        raise ValueError(f"{key}: a key below HKLM or HKU is needed")
    link, target = _LINKS[hive]
    path = path.strip("\\")
    if f"{path}\\".casefold().startswith(f"{link}\\".casefold()):
        path = target + path[len(link) :]
    return hive, path


def read(folder: Path, key: str, name: str) -> Value | None:
    """A value; None if it or the key is not there. Kinds that have no Python type come as their hex text."""
    entry = _entry(_keys(_load(folder, place(key)[0])), place(key)[1])
    for own, value in (entry or {}).get("values", {}).items():
        if own.casefold() == name.casefold():
            data: Value = bytes.fromhex(value["data"]) if value["kind"] == "Binary" else value["data"]
            return data
    return None


def subkeys(folder: Path, key: str) -> list[str]:
    """The names of the keys right below a key, sorted."""
    hive, path = place(key)
    start = f"{path}\\".casefold()
    below = (own[len(start) :] for own in _keys(_load(folder, hive)) if own.casefold().startswith(start))
    return sorted({rest.partition("\\")[0] for rest in below})


def write(folder: Path, key: str, values: Mapping[str, Value]) -> None:
    """Makes a key, and sets values in it."""
    hive, path = place(key)
    with _changed(folder, hive) as keys:
        entry = _entry(keys, path)
        if entry is None:
            entry = keys[path] = {}
        own = entry.setdefault("values", {})
        for name, value in values.items():
            spelled = next((known for known in own if known.casefold() == name.casefold()), name)
            own[spelled] = _stored(value)


def delete(folder: Path, key: str, name: str) -> None:
    """Takes a value away, if it is there."""
    hive, path = place(key)
    with _changed(folder, hive) as keys:
        own = (_entry(keys, path) or {}).get("values", {})
        for spelled in [known for known in own if known.casefold() == name.casefold()]:
            del own[spelled]


def _stored(value: Value) -> dict[str, Any]:
    if isinstance(value, int):
        return {"kind": "DWord", "data": value % _DWORD}
    if isinstance(value, bytes):
        return {"kind": "Binary", "data": value.hex()}
    return {"kind": "String" if isinstance(value, str) else "MultiString", "data": value}


def _entry(keys: Mapping[str, Any], path: str) -> dict[str, Any] | None:
    return next((entry for own, entry in keys.items() if own.casefold() == path.casefold()), None)


def _keys(document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document.setdefault("keys", {})
    return found


def _load(folder: Path, hive: str) -> dict[str, Any]:
    path = folder / "registry" / f"{hive}.json"
    if not path.exists():
        return {"format": 1}
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


@contextlib.contextmanager
def _changed(folder: Path, hive: str) -> Iterator[dict[str, Any]]:
    """A hive's keys, to be changed under the lock that the host's own processes take, and written in one step."""
    path = folder / "registry" / f"{hive}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with (path.parent / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = _load(folder, hive)
        yield _keys(document)
        new = path.with_name(f"{path.name}.new")
        new.write_text(json.dumps(document), "ascii")
        new.replace(path)
