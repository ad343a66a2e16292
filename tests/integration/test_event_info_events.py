"""What the module event_info makes of an event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.integration.event_info_host import Host, event_info
from tests.lab.engine import Engine
from tests.lab.events import PROVIDER, enrolment_event, event86, event88
from tests.powershell.runner import ModuleRunner

TIME = datetime(2026, 11, 20, 8, 1, 0, 123456, tzinfo=timezone.utc)
NDES = "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"
TLS = "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)"
DATA = {
    "Context": "INTRA\\rudi",
    "Url": NDES,
    "MessageText": "GetCACaps",
    "Method": "GET(47ms)",
    "Stage": "GetCACaps",
    "ErrorCode": TLS,
}


@pytest.fixture(scope="module")
def runner(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleRunner]:
    with event_info(engine, tmp_path_factory.mktemp("runner")) as started:
        yield started


@pytest.fixture
def host(tmp_path: Path, runner: ModuleRunner) -> Host:
    return Host(tmp_path / "client1", runner)


def test_an_event(host: Host) -> None:
    host.write(event86(7, TIME, context="INTRA\\rudi", user="S-1-5-21-1-2-3-1104"))
    assert host.run()["events"] == [
        {
            "record_id": 7,
            "event_id": 86,
            "log": "Application",
            "computer": "CLIENT1",
            "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
            "level": 2,
            "time_created": "2026-11-20T08:01:00.1234560Z",
            "user_sid": "S-1-5-21-1-2-3-1104",
            "data": DATA,
            "message": None,
        }
    ]


def test_success_has_five_fields_and_an_event_may_have_no_user(host: Host) -> None:
    host.write(event88(8, TIME, user=None))
    [event] = host.run()["events"]
    assert (event["event_id"], event["level"], event["user_sid"]) == (88, 4, None)
    assert sorted(event["data"]) == ["Context", "MessageText", "Method", "Stage", "Url"]
    assert "values" not in event


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"language": "en-US"},
            "SCEP Certificate enrollment initialization for INTRA\\rudi via https://ndes/ failed:\r\n\r\nGetCACaps\r\n"
            f"Method: GET(47ms)\r\nStage: GetCACaps\r\n{TLS}",
        ),
        (
            {"language": "de-DE"},
            "Fehler bei der Initialisierung der SCEP-Zertifikatregistrierung für INTRA\\rudi über https://ndes/:\r\n\r\n"
            f"GetCACaps\r\nMethode: GET(47ms)\r\nPhase: GetCACaps\r\n{TLS}",
        ),
        ({"noPublisher": True}, None),
    ],
)
def test_include_message(host: Host, settings: dict[str, Any], message: str | None) -> None:
    (host.folder / "eventlogs" / "_host.json").write_text(json.dumps(settings))
    host.write(event86(7, TIME, context="INTRA\\rudi", url="https://ndes/"))
    assert [event["message"] for event in host.run(include_message=True)["events"]] == [message]
    assert [event["message"] for event in host.run(include_message=True, group=True)["events"]] == [message]


def test_values_without_names(host: Host) -> None:
    host.write(event86(7, TIME, context="INTRA\\rudi", named=False, binary="0A0B"))
    [event] = host.run()["events"]
    assert event["values"] == list(DATA.values())
    assert event["data"] == {}


def test_values_without_names_of_any_type(host: Host) -> None:
    given = [
        [None, None],
        [None, ""],
        [None, 4294967295],
        [None, {"t": "hex32", "v": "0x10"}],
        [None, {"t": "double", "v": "1.5"}],
        [None, {"t": "bool", "v": True}],
        [None, {"t": "binary", "v": "0aff"}],
        [None, {"t": "filetime", "v": "2026-11-20T08:01:00.1234567Z"}],
        [None, {"t": "sid", "v": "S-1-5-18"}],
    ]
    host.write({**event86(7, TIME), "data": given, "binary": "00"})
    assert host.run()["events"][0]["values"] == [
        "",
        "",
        "4294967295",
        "16",
        "1.5",
        "True",
        "0AFF",
        "2026-11-20T08:01:00.1234567Z",
        "S-1-5-18",
    ]


def test_fields_that_are_named_but_not_these(host: Host) -> None:
    data = [["Url", NDES], ["Other", "x"], [None, "no name"], ["Stage", None], ["Method", 47], ["", "empty name"]]
    host.write({**event86(7, TIME), "data": data})
    [event] = host.run()["events"]
    assert event["data"] == {"Url": NDES, "Stage": None, "Method": "47"}
    assert event["values"] == ["no name", "empty name"]


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"data": []},
        {"binary": "0A0B"},
        {"userData": "<Enrol xmlns='urn:x'><Data>1</Data><Url>x</Url></Enrol>"},
    ],
)
def test_no_event_data(host: Host, content: dict[str, Any]) -> None:
    event: dict[str, Any] = event86(7, TIME)
    del event["data"]
    host.write({**event, **content})
    [found] = host.run()["events"]
    assert (found["record_id"], found["data"], "values" in found) == (7, {}, False)


HOSTILE = {
    "html": "<script>alert(1)</script><!DOCTYPE a [<!ENTITY b SYSTEM 'file:///c:/x'>]>&b;]]>",
    "jinja": "{{ lookup('pipe', 'id') }}{% raw %}{# x #}",
    "powershell": '$(Stop-Computer) `n "; ${env:x} @{a=1} #>',
    "lines": "a\r\nb\nc\rd\r\n\r\n{}\r\n",
    "control": "".join(map(chr, range(1, 32))) + "\x7f\x80\x85\x9b",
    "terminal": "\x1b[2J\x1b]0;owned\x07\x1b[31m",
    "separators": "a\u2028b\u2029c\u0085d\x1ce\x1df\x1eg\x0bh\x0c",
    "bidi": "\u202etxt.exe\u202c\u2066x\u2069\u200b\ufeff",
    "languages": "Zertifizierungsstelle über Ж 証明書 شهادة",
    "astral": "😀\U0001f600\U000e0041",
    "noncharacters": "\ufffe\uffff\ufdd0",
    "formula": "=cmd|'/c calc'!A0",
    "json": '"},{"x": "\\u0000\\"',
    "date": "/Date(1478937600000)/ 2026-11-20T08:00:00Z",
    "long": "ä" * 31_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_plain_data(host: Host, text: str) -> None:
    named = dict.fromkeys(DATA, text)
    host.write(
        enrolment_event(86, 1, TIME, [text] * 6),
        event86(2, TIME, context=text, url=text, named=False, binary="00"),
    )
    events = host.run(group=True)["events"]
    assert [events[0]["data"], events[1]["values"][:2]] == [named, [text, text]]


def test_unpaired_surrogates_become_replacement_characters(host: Host) -> None:
    text, clean = "a\ud800b\udc00\ud83d\ude00\udbff", "a\ufffdb\ufffd😀\ufffd"
    host.write(
        event86(1, TIME, context="a\ud83d", url="\ude00b", message_text=text),
        event86(2, TIME, context=text, named=False),
        event86(3, TIME, computer=text),
    )
    events = host.run(include_message=True)["events"]
    fields = [events[0]["data"][key] for key in ("Context", "Url", "MessageText", "Stage")]
    assert fields == ["a\ufffd", "\ufffdb", clean, "GetCACaps"]
    assert (events[1]["values"][0], events[2]["computer"]) == (clean, clean)
    assert clean in events[0]["message"]


def test_event_that_cannot_be_rendered_is_still_an_event(host: Host) -> None:
    bad = '{"provider":"%s","id":86,"record":2,"time":"2026-11-20T08:01:00.0Z","level":2,"computer":"PC","data":x'
    lines = [json.dumps(event86(1, TIME)), bad % PROVIDER, json.dumps(event86(3, TIME))]
    (host.folder / "eventlogs" / "Application.jsonl").write_text("".join(f"{line}\n" for line in lines))
    result = host.run()
    assert [event["record_id"] for event in result["events"]] == [1, None, 3]
    assert result["events"][1]["data"] == {}
    assert result["warnings"] == [
        "log_name: 'Application': 1 event(s) came without their fields, which could not be read"
    ]
