"""Which files a term stands for, and what is read of each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.event_file import (
    EmptyFolderError,
    NotFoundError,
    find_logs,
    read_log,
    shown,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
from ansible_collections.winpki.scep.plugins.plugin_utils.log_file import (
    LogFileError,
    NotAFileError,
    UnreadableFileError,
)

from tests.unit.evtx_writer import Event, chunks, file_header, write

ALL = Selection([86, 87, 88])
PROVIDER = "Microsoft-Windows-CertificateServicesClient-CertEnroll"


def element(record_id: int, time: str = "2026-03-02T07:15:00Z", provider: str = PROVIDER, text: str = "") -> str:
    return (
        f"<Event><System><Provider Name='{provider}'/><EventID>86</EventID><TimeCreated SystemTime='{time}'/>"
        f"<EventRecordID>{record_id}</EventRecordID></System><EventData><Data>{text}</Data></EventData></Event>"
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "a.evtx",
        "b.XML",
        "notes.txt",
        "below/deep/c.Evtx",
        "below/d.xml",
        "[1]*.xml",
        "empty/readme.md",
        ".hidden/e.evtx",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("term", "names", "named"),
    [
        ("a.evtx", ["a.evtx"], True),
        ("./below/../a.evtx", ["below/../a.evtx"], True),
        # Whatever its name: the content tells.
        ("notes.txt", ["notes.txt"], True),
        ("*.evtx", ["a.evtx"], False),
        ("?.XML", ["b.XML"], False),
        ("n*", ["notes.txt"], False),
        ("**/*.evtx", [".hidden/e.evtx", "a.evtx"], False),
        ("below", ["below/d.xml", "below/deep/c.Evtx"], False),
        ("bel*", ["below/d.xml", "below/deep/c.Evtx"], False),
        (".", ["[1]*.xml", "a.evtx", "b.XML", ".hidden/e.evtx", "below/d.xml", "below/deep/c.Evtx"], False),
        ("[1]*.xml", ["[1]*.xml"], True),
        ("[[]1]*", ["[1]*.xml"], False),
    ],
)
def test_terms(tree: Path, term: str, names: list[str], *, named: bool) -> None:
    for found in (find_logs(term, [str(tree)]), find_logs(f"{tree}/{term}", ["/nonexistent"])):
        assert [str(path.relative_to(tree)) for path in found.paths] == names
        assert (found.named, found.problems) == (named, [])


def test_the_first_base_that_has_it_counts(tree: Path) -> None:
    (tree / "below" / "a.evtx").touch()
    assert find_logs("a.evtx", ["/nonexistent", str(tree / "below"), str(tree)]).paths == [tree / "below" / "a.evtx"]
    assert find_logs("b.XML", [str(tree / "below"), str(tree)]).paths == [tree / "b.XML"]
    # A path comes before a pattern, also one that is found in a base before.
    assert find_logs("[1]*.xml", [str(tree / "below"), str(tree)]).paths == [tree / "[1]*.xml"]


def test_a_base_is_no_pattern(tmp_path: Path) -> None:
    odd = tmp_path / "[ab]*"
    odd.mkdir()
    (odd / "x.evtx").touch()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "y.evtx").touch()
    assert find_logs("*.evtx", [str(odd)]).paths == [odd / "x.evtx"]


def test_the_home_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree))
    assert find_logs("~/a.evtx", []).paths == [tree / "a.evtx"]
    with pytest.raises(NotFoundError):
        find_logs("~no-such-user/a.evtx", [str(tree)])


@pytest.mark.parametrize("term", ["", "none.evtx", "*.none", "$HOME/*.evtx", "a.evtx/x", "nu\0l"])
def test_a_term_that_is_nothing(tree: Path, term: str) -> None:
    with pytest.raises(NotFoundError) as raised:
        find_logs(term, [str(tree)])
    assert str(raised.value) == f"is no file, no folder and no pattern that matches any, in {tree}"


def test_a_folder_without_logs(tree: Path) -> None:
    with pytest.raises(EmptyFolderError) as raised:
        find_logs("empty", [str(tree)])
    assert str(raised.value) == "is a folder without .evtx or .xml files, also in the folders below it"


def test_a_folder_that_can_not_be_listed_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    # Tests may run as root, whom nothing is denied.
    monkeypatch.setattr(os, "scandir", denied)
    found = find_logs("below", [str(tree)])
    assert [path.name for path in found.paths] == ["d.xml"]
    assert found.problems == [f"the folder {tree}/below/deep can't be listed: Permission denied"]


def test_a_name_that_is_too_long(tree: Path) -> None:
    with pytest.raises(UnreadableFileError) as raised:
        find_logs("x" * 300, [str(tree)])
    assert str(raised.value) == "can't be read: File name too long"


@pytest.mark.parametrize("name", ["log.evtx", "log.xml", "log"])
def test_the_content_tells_what_a_file_is(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write(path, [Event(record_id=7)])
    assert [event["record_id"] for event in read_log(path, ALL).events] == [7]
    path.write_text(element(8))
    assert [event["record_id"] for event in read_log(path, ALL).events] == [8]


def test_events_come_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "newest-first.xml"
    times = ["2026-03-02T07:15:03Z", "2026-03-02T07:15:02.5Z", "2026-03-02T07:15:02Z", "2026-03-02T07:15:02Z"]
    path.write_text("".join(element(number, time) for number, time in enumerate(times)))
    assert [event["record_id"] for event in read_log(path, ALL).events] == [2, 3, 1, 0]


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.evtx"
    path.touch()
    assert read_log(path, ALL) == ([], ["is empty"])


def test_many_problems_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "damaged.xml"
    path.write_text("".join(element(number)[:-3] for number in range(20)) + element(20))
    log = read_log(path, ALL)
    assert [event["record_id"] for event in log.events] == [20]
    assert log.problems == [
        "event 1 (record 0): its end is missing",
        "event 2 (record 1): its end is missing",
        "event 3 (record 2): its end is missing",
        "event 4 (record 3): its end is missing",
        "event 5 (record 4): its end is missing",
        "and 15 more places like these",
    ]


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.evtx")
    with pytest.raises(NotAFileError) as raised:
        read_log(tmp_path / "pipe.evtx", ALL)
    assert str(raised.value) == "is no regular file"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_file_that_can_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    path = tmp_path / "log.evtx"
    write(path, [Event()])

    def fail(*_: object) -> object:
        raise error

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(UnreadableFileError) as raised:
        read_log(path, ALL)
    assert str(raised.value) == f"can't be read: {error.strerror}"
    assert isinstance(raised.value, LogFileError)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/logs/größe 登録.evtx", "/logs/größe 登録.evtx"),
        ("/logs/\x1b[31m\n\u202e.evtx", "/logs/\\x1b[31m\\n\\u202e.evtx"),
        ("/logs/\udcff.evtx", "/logs/\\udcff.evtx"),
    ],
)
def test_a_path_is_shown_so_that_a_terminal_does_nothing_with_it(path: str, text: str) -> None:
    assert shown(path) == text


# Not getrusage, which counts the parent's memory from before exec.
PEAK = """
import sys
from pathlib import Path
from ansible_collections.winpki.scep.plugins.plugin_utils.event_file import read_log
from ansible_collections.winpki.scep.plugins.plugin_utils.event_selection import Selection
def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
before = memory("VmRSS")
log = read_log(Path(sys.argv[1]), Selection([86]))
print(len(log.events), (memory("VmHWM") - before) // 1024)
"""


@pytest.mark.parametrize("suffix", ["evtx", "xml"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"large.{suffix}"
    if suffix == "evtx":
        others = [Event(record_id=n, provider="Vendor", data=((None, "x" * 100),)) for n in range(100)]
        wanted, filler = (next(iter(chunks(events))) for events in ([Event(record_id=100)], others))
        path.write_bytes(file_header(1601, 101) + filler * 1600 + wanted)
    else:
        filler, wanted = element(1, provider="Vendor", text="x" * 1000).encode() * 800, element(2).encode()
        path.write_bytes(filler * 120 + wanted)
    assert path.stat().st_size > 100 * 1024 * 1024
    done = subprocess.run(
        [sys.executable, "-c", PEAK, path],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    found, megabytes = map(int, done.stdout.split())
    assert found == 1
    assert megabytes < 20
