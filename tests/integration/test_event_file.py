"""The lookup event_file in real plays: no lab needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

from tests.lab.playbook import PlaybookResult, run_playbook
from tests.unit.evtx_writer import Event, write

HOSTILE = "{{ 7*7 }} {% if true %}x{% endif %} {# y #} $(calc) <b>&amp;</b> \x1b[31m \x01 größe 登録\r\n%s ' \""
FIELDS = (("Context", "CORP\\PC1$"), ("Url", "https://ndes01.corp.example/x"), ("MessageText", HOSTILE))


def run(folder: Path, *, terms: str, tasks: list[dict[str, Any]] | None = None, **variables: Any) -> PlaybookResult:
    """Runs tasks, by default one that shows the events, with the lookup's result in the variable `events`."""
    (folder / "book").mkdir(exist_ok=True)
    playbook = folder / "book" / "play.yml"
    shown = [{"name": "Show", "ansible.builtin.debug": {"var": "events"}}]
    play = {
        "name": "Play",
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": {
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "events": f"{{{{ query('winpki.scep.event_file', {terms}) }}}}",
            **variables,
        },
        "tasks": tasks or shown,
    }
    # JSON is YAML.
    playbook.write_text(json.dumps([play]), "utf-8")
    return run_playbook(playbook, Path("localhost,"), folder=folder, timeout=120)


def events(done: PlaybookResult) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = done.of("localhost").result["events"]
    return found


def export(path: Path, *record_ids: int, text: str = "GetCACaps", computer: str = "pc2.corp.example") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(
            "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
            "<Provider Name='Microsoft-Windows-CertificateServicesClient-CertEnroll'/><EventID>86</EventID>"
            f"<Level>2</Level><TimeCreated SystemTime='2026-03-02T07:15:{number:02}Z'/>"
            f"<EventRecordID>{number}</EventRecordID><Channel>Application</Channel><Computer>{computer}</Computer><Security/></System><EventData>"
            f"<Data Name='MessageText'>{escape(text)}</Data></EventData></Event>"
            for number in record_ids
        ),
        "utf-8",
        newline="",
    )


def warnings(done: PlaybookResult) -> str:
    return " ".join(done.stderr.split())


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one log of each format, the .evtx one with other events and another computer in it."""
    path = tmp_path_factory.mktemp("event_file")
    folder = path / "logs"
    folder.mkdir()
    write(
        folder / "application.evtx",
        [
            Event(record_id=1, provider="Vendor"),
            Event(record_id=2, data=FIELDS, time="2026-03-02T07:15:01.5Z", computer="pc1.corp.example"),
            Event(record_id=3, event_id=88, level=4, time="2026-03-02T07:16:00Z", computer="pc1.corp.example"),
        ],
    )
    export(folder / "below" / "PC2.XML", 0, 2, text=HOSTILE)
    return path


def test_a_folder_with_both_formats(logs: Path) -> None:
    found = events(run(logs, terms="place", place=str(logs / "logs")))
    assert found[1] == {
        "record_id": 2,
        "event_id": 86,
        "log": "Application",
        "computer": "pc1.corp.example",
        "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
        "level": 2,
        "time_created": "2026-03-02T07:15:01.5000000Z",
        "user_sid": None,
        "data": {"Context": "CORP\\PC1$", "Url": "https://ndes01.corp.example/x", "MessageText": HOSTILE},
        "message": None,
    }
    assert [(event["computer"], event["record_id"]) for event in found] == [
        ("pc2.corp.example", 0),
        ("pc1.corp.example", 2),
        ("pc2.corp.example", 2),
        ("pc1.corp.example", 3),
    ]


def test_what_looks_like_a_template_is_never_one(logs: Path) -> None:
    """Through every door that a play has: set_fact, a loop, a variable of another variable, a filter, a file."""
    text = "{{ (events | selectattr('record_id', 'eq', 2) | first).data.MessageText }}"
    tasks: list[dict[str, Any]] = [
        {"name": "Keep", "ansible.builtin.set_fact": {"kept": "{{ events }}", "text": text}},
        {
            "name": "Loop",
            "ansible.builtin.debug": {"msg": "{{ item.data.MessageText | default('') }}"},
            "loop": "{{ kept }}",
        },
        {
            "name": "Write",
            "ansible.builtin.copy": {"content": "{{ indirect }}", "dest": "{{ target }}", "mode": "0600"},
        },
        {"name": "Parsed", "ansible.builtin.debug": {"msg": "{{ (kept | winpki.scep.parse_events)[1].text }}"}},
        {"name": "Text", "ansible.builtin.debug": {"var": "text"}},
    ]
    done = run(
        logs,
        terms="place",
        place=str(logs / "logs"),
        tasks=tasks,
        indirect="{{ text }}",
        target=str(logs / "written"),
    )
    assert done.exit_code == 0, done.stdout + done.stderr
    assert [item["msg"] for item in done.of("localhost", "Loop").result["results"]] == [HOSTILE, HOSTILE, HOSTILE, ""]
    assert (logs / "written").read_bytes().decode() == HOSTILE
    assert done.of("localhost", "Parsed").result["msg"] == HOSTILE
    assert done.of("localhost", "Text").result["text"] == HOSTILE
    assert "49" not in done.stdout


CASES: list[tuple[str, list[int]]] = [
    ("'../logs/application.evtx', event_ids=[88]", [3]),
    ("'../logs/application.evtx', event_ids='86,88'", [2, 3]),
    ("'../logs/application.evtx', event_ids=86", [2]),
    ("'../logs', computers=['PC1']", [2, 3]),
    ("'../logs', computers='pc2.corp.example,pc1.corp.example', event_ids=[86]", [0, 2, 2]),
    ("'../logs', since='2026-03-02T07:15:02Z'", [2, 3]),
    ("'../logs', since='1d'", []),
    ("'../logs/*.evtx', '../logs/**/*.XML', since=none, encoding=none", [0, 2, 2, 3]),
    ("['../logs/below', '../logs/application.evtx']", [0, 2, 2, 3]),
    # One file, however often it is named.
    ("'../logs/application.evtx', '../logs/application.evtx'", [2, 3]),
]


@pytest.fixture(scope="module")
def answers(logs: Path) -> PlaybookResult:
    """One run for all cases, each a task."""
    tasks = [
        {"name": terms, "ansible.builtin.debug": {"msg": f"{{{{ query('winpki.scep.event_file', {terms}) }}}}"}}
        for terms, _unused in CASES
    ]
    return run(logs, terms="", tasks=tasks)


@pytest.mark.parametrize(("terms", "expected"), CASES)
def test_options_and_terms(answers: PlaybookResult, terms: str, expected: list[int]) -> None:
    assert [event["record_id"] for event in answers.of("localhost", terms).result["msg"]] == expected


def test_where_a_relative_path_is_looked_for(tmp_path: Path) -> None:
    """In `files` beside the playbook, beside the playbook, and last where Ansible was started."""
    for place, number in (("book/files", 1), ("book", 2), (".", 3)):
        for name in ("all.xml", f"only-{number}.xml"):
            export(tmp_path / place / name, number)
    terms = "'all.xml', 'only-2.xml', 'only-3.xml'"
    assert [event["record_id"] for event in events(run(tmp_path, terms=terms))] == [1, 2, 3]


ERRORS = [
    ("'no-such.evtx'", "event_file: 'no-such.evtx' is no file, no folder and no pattern that matches any, in "),
    ("'*.none'", "event_file: '*.none' is no file, no folder and no pattern that matches any, in "),
    ("'../empty'", "event_file: '../empty' is a folder without .evtx or .xml files, also in the folders below it"),
    ("'../notes.txt'", "/book/../notes.txt is neither an event log (.evtx) nor events as XML"),
    (
        "'../bomb.xml'",
        "/book/../bomb.xml has a document type declaration (DOCTYPE), which no export of Windows has",
    ),
    (
        "'../bomb.xml', since='soon'",
        "event_file: since: 'soon' is neither a duration such as 7d or 12h30m nor an ISO",
    ),
    ("'../bomb.xml', event_ids=['x']", "event_file: event_ids: one of them is no whole number"),
    ("'../bomb.xml', ids=[1]", "event_file: no such option: ids; there are computers, encoding, event_ids, since"),
]


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> PlaybookResult:
    """One run for all errors, each a task that the play goes on after."""
    path = tmp_path_factory.mktemp("errors")
    (path / "empty").mkdir()
    (path / "notes.txt").write_text("nothing")
    (path / "bomb.xml").write_text('<!DOCTYPE x [<!ENTITY a "aaaa">]><Events>&a;</Events>')
    tasks = [
        {
            "name": terms,
            "ansible.builtin.debug": {"msg": f"{{{{ query('winpki.scep.event_file', {terms}) }}}}"},
            "ignore_errors": True,
        }
        for terms, _unused in ERRORS
    ]
    return run(path, terms="", tasks=tasks)


@pytest.mark.parametrize(("terms", "message"), ERRORS)
def test_errors_name_the_file_or_the_option(errors: PlaybookResult, terms: str, message: str) -> None:
    result = errors.of("localhost", terms)
    assert result.status == "failed"
    assert message in result.result["msg"]


def test_damage_is_a_warning_and_the_rest_is_returned(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    export(folder / "cut.xml", 1, 2)
    text = (folder / "cut.xml").read_text()
    (folder / "cut.xml").write_text(text[:-20])
    (folder / "other.xml").write_text("<settings/>")
    (folder / "bomb.xml").write_text("<!DOCTYPE x []><Events/>")
    (folder / "empty.evtx").touch()
    write(folder / "running.evtx", [Event(record_id=3, time="2026-03-02T08:00:00Z")], dirty=True)
    done = run(tmp_path, terms="'../logs'")
    assert [event["record_id"] for event in events(done)] == [1, 3]
    for sentence in (
        "/logs/cut.xml: event 2 (record 2): its end is missing",
        "/logs/other.xml is neither an event log (.evtx) nor events as XML",
        "/logs/bomb.xml has a document type declaration (DOCTYPE), which no export of Windows has: it is not read",
        "/logs/empty.evtx: is empty",
        "/logs/running.evtx: Windows had it open when it was copied: its newest events may be missing",
    ):
        assert sentence in warnings(done)


def test_a_name_is_shown_so_that_a_terminal_does_nothing_with_it(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "\x1b[31mred.xml").write_text("<settings/>")
    done = run(tmp_path, terms="'../logs'")
    assert events(done) == []
    assert "/logs/\\x1b[31mred.xml is neither an event log (.evtx) nor events as XML" in warnings(done)
    assert "\x1b" not in done.stdout + done.stderr
