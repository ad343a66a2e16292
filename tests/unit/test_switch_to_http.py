"""Which settings are switched to HTTP, to which URL, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.action.switch_to_http import holds, target, told

from tests.unit.evidence_data import profile

PATH = "/certsrv/mscep/mscep.dll/pkiclient.exe"


@pytest.mark.parametrize(
    ("urls", "found"),
    [
        ([f"https://ndes01.lab.example{PATH}"], True),
        ([f"https://other.lab.example{PATH}", f"https://NDES01.lab.example:443{PATH.upper()}"], True),
        ([f"http://ndes01.lab.example{PATH}"], False),
        ([], False),
    ],
)
def test_a_setting_holds_a_url_in_any_spelling(urls: list[str], found: bool) -> None:
    assert holds(profile(urls=urls), f"https://ndes01.lab.example{PATH}") is found


@pytest.mark.parametrize(
    ("setting", "options"),
    [
        (
            {"source": "mdm", "id": "S1", "scope": "device", "sid": None, "path": "HKLM\\S", "name": "ServerURL"},
            {"profile_id": "S1", "scope": "device", "sid": None},
        ),
        (
            {"source": "registry", "id": None, "path": "HKLM\\S", "name": "Url"},
            {"registry_value": {"path": "HKLM\\S", "name": "Url"}},
        ),
        ({"source": "file", "id": None, "path": "C:\\scep.ini", "name": None}, {"file": "C:\\scep.ini"}),
    ],
)
def test_how_the_module_is_told_which(setting: dict[str, Any], options: dict[str, Any]) -> None:
    assert target(profile(**setting)) == options


def switch(**more: Any) -> dict[str, Any]:
    found = {"path": "HKLM\\S", "changed": True, "change_id": "20260131T080000Z-0a1b2c3d", "reason": None}
    return {**found, "message": None, **more}


NOTHING = {"changed": False, "change_id": None}


@pytest.mark.parametrize(
    ("switches", "nowhere", "said"),
    [
        ([], [], {"changed": False, "change_ids": []}),
        (
            [switch(), switch(**NOTHING)],
            [],
            {"changed": True, "change_ids": ["20260131T080000Z-0a1b2c3d"]},
        ),
        (
            [switch(), switch(**NOTHING, path="C:\\a.ini", reason="http_not_proven", message="Refused.")],
            [],
            {
                "changed": True,
                "change_ids": ["20260131T080000Z-0a1b2c3d"],
                "failed": True,
                "refused": True,
                "reason": "http_not_proven",
                "msg": "C:\\a.ini: Refused.",
            },
        ),
        (
            [switch(**NOTHING, message="The disk is full.")],
            [],
            {"changed": False, "change_ids": [], "failed": True, "msg": "HKLM\\S: The disk is full."},
        ),
        (
            [],
            ["https://a/", "https://b/"],
            {
                "changed": False,
                "change_ids": [],
                "failed": True,
                "refused": True,
                "reason": "url_not_found",
                "msg": "https://a/, https://b/: no setting of this host that was looked at holds it. Name the client's "
                "own in files or registry_values.",
            },
        ),
    ],
)
def test_what_is_said(switches: list[dict[str, Any]], nowhere: list[str], said: dict[str, Any]) -> None:
    assert told(switches, nowhere) == said
