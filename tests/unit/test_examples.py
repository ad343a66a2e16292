"""The exported logs in examples/ are those that make_examples makes, and say what their page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.cause import classify_events, load_rules
from ansible_collections.winpki.scep.plugins.plugin_utils.event import parse_events
from ansible_collections.winpki.scep.plugins.plugin_utils.event_file import find_logs, read_log
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection

from tests.unit.make_examples import FOLDER, files

ALL = Selection([86, 87, 88])


def test_the_files_are_those_that_are_made() -> None:
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == files()


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_each_file_is_on_the_page(path: Path) -> None:
    assert f"\n| `{path.name}` |" in (FOLDER.parent / "README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("CLIENT1.evtx", 4),
        ("CLIENT2.xml", 3),
        ("CLIENT3.XML", 2),
        ("ForwardedEvents.evtx", 18),
        ("KASSE07.xml", 2),
    ],
)
def test_each_file_is_read_without_problems(name: str, events: int) -> None:
    log = read_log(FOLDER / name, ALL)
    assert (len(log.events), log.problems) == (events, [])


def test_what_failed_and_why() -> None:
    events = [event for path in find_logs(str(FOLDER), []).paths for event in read_log(path, ALL).events]
    findings = classify_events(parse_events(events), load_rules())
    assert sorted((item["host"], item["cause"], item["state"], item["count"]) for item in findings) == [
        ("CLIENT1", "aik_unreachable", "open", 4),
        ("CLIENT2.intra.adcslabor.de", "tls_failure", "open", 3),
        ("CLIENT3.intra.example", "aik_unknown_authority", "open", 2),
        ("KASSE07.intra.example", "tls_failure", "open", 2),
        ("PC11.intra.example", "tls_failure", "open", 3),
        ("PC12.intra.example", "tls_failure", "open", 1),
        ("PC13.intra.example", "tls_failure", "open", 2),
        ("PC14.intra.example", "tls_failure", "open", 3),
        ("PC15.intra.example", "tls_failure", "open", 1),
        ("PC16.intra.example", "tls_failure", "resolved", 2),
        ("PC17.intra.example", "request_denied", "open", 1),
        ("PC18.intra.example", "timeout", "open", 2),
        ("PC19.intra.example", "unreachable", "open", 1),
        ("PC20.intra.example", "http_unauthorized", "open", 1),
    ]


def test_the_article_s_examples_are_in_them() -> None:
    first = read_log(FOLDER / "CLIENT2.xml", ALL).events[0]
    assert first["data"] == {
        "Context": "INTRA\\rudi",
        "Url": "https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe",
        "MessageText": "GetCACaps",
        "Method": "GET(47ms)",
        "Stage": "GetCACaps",
        "ErrorCode": "A security error occurred 0x80072f8f (WinHttp: 12175 ERROR_WINHTTP_SECURE_FAILURE)",
    }
    second = read_log(FOLDER / "CLIENT1.evtx", ALL).events[0]
    assert second["data"] == {
        "Context": "WORKGROUP\\CLIENT1$",
        "Url": "https://IFX-KeyId-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net/templates/Aik/scep",
        "MessageText": "GetCACaps",
        "Method": "GET(15ms)",
        "Stage": "GetCACaps",
        "ErrorCode": "The server name or address could not be resolved "
        "0x80072ee7 (WinHttp: 12007 ERROR_WINHTTP_NAME_NOT_RESOLVED)",
    }


def test_rendered_text_values_without_names_and_answers_of_many_lines_are_in_them() -> None:
    german = read_log(FOLDER / "KASSE07.xml", ALL).events[0]
    assert (german["message"] or "").startswith(
        "Fehler bei der Initialisierung der SCEP-Zertifikatregistrierung für INTRA\\KASSE07$ über https://ndes01"
    )
    assert [
        event["values"][0] for event in read_log(FOLDER / "ForwardedEvents.evtx", ALL).events if "values" in event
    ] == ["INTRA\\PC20$"]
    answer = read_log(FOLDER / "CLIENT3.XML", ALL).events[0]["data"]["MessageText"] or ""
    assert answer.splitlines()[2:4] == [
        '{"Message":"The authority '
        '\\"amd-keyid-3d5f6c0b8e9a417288c1f04e6b7d2a5590e1c3f7.microsoftaik.azure.net\\" does not exist."}',
        "HTTP/1.1 404 Not Found",
    ]
