"""Exported logs as a report takes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.report_input import read_files

from tests.unit.report_data import exported_xml, raw_event


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with a good log, an empty one, and a file that is none; a good one beside them."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "a.xml").write_text(exported_xml(raw_event(1), raw_event(2)), "utf-8")
    (folder / "b.xml").write_text("<Events/>", "utf-8")
    (folder / "c.evtx").write_text("no log", "ascii")
    (tmp_path / "single.xml").write_text(exported_xml(raw_event(3)), "utf-8")
    return tmp_path


def test_folder(logs: Path) -> None:
    """Each file has its row, the broken one too."""
    rows = read_files(["logs"], [str(logs)])
    assert [(row["path"], row["status"], row["events"], row["problems"]) for row, _events in rows] == [
        (str(logs / "logs/a.xml"), "ok", 2, []),
        (str(logs / "logs/b.xml"), "quiet", 0, []),
        (str(logs / "logs/c.evtx"), "failed", 0, ["is neither an event log (.evtx) nor events as XML"]),
    ]
    assert [event["record_id"] for _row, events in rows for event in events] == [1, 2]


def test_a_file_is_read_once(logs: Path) -> None:
    """However often it is named."""
    rows = read_files(["logs/a.xml", "logs/*.xml", str(logs / "logs")], [str(logs)])
    assert [Path(row["path"]).name for row, _events in rows] == ["a.xml", "b.xml", "c.evtx"]


def test_bases_are_tried_in_turn(logs: Path) -> None:
    """A relative path counts where it is found first."""
    rows = read_files(["single.xml"], [str(logs / "logs"), str(logs)])
    assert [(row["path"], row["status"]) for row, _events in rows] == [(str(logs / "single.xml"), "ok")]


def test_nothing_there(logs: Path) -> None:
    """Is a row that says so."""
    ((row, events),) = read_files(["gone.evtx"], [str(logs)])
    assert (row["path"], row["status"], row["events"], events) == ("gone.evtx", "failed", 0, [])
    assert row["problems"] == [f"is no file, no folder and no pattern that matches any, in {logs}"]


def test_encoding(logs: Path) -> None:
    """Of an export that a command prompt wrote."""
    event = raw_event(data={"Context": "INTRA\\größe"})
    (logs / "cmd.xml").write_text(exported_xml(event), "cp850")
    ((_row, events),) = read_files(["cmd.xml"], [str(logs)], "cp850")
    assert events[0]["data"]["Context"] == "INTRA\\größe"
