"""findings.json and findings.csv, to the byte."""

from __future__ import annotations

import csv
import io
import json
import stat
from pathlib import Path

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.report_files import (
    WriteError,
    check_folder,
    harmless,
    to_csv,
    to_json,
    write_files,
)

from tests.unit.report_data import finding

HEADER = (
    '"host","state","cause","certainty","count","first_seen","last_seen","endpoint_kind","endpoint","error","error_name"'
    ',"summary","advice","message","contexts","event_ids","notes","resolved_by","computer","key"\r\n'
)


def test_csv_bytes() -> None:
    """Byte order mark, all fields quoted, CRLF; lists joined."""
    item = finding(
        event_ids=[86, 87],
        contexts=["INTRA\\rudi", "INTRA\\größe"],
        notes=["one", "two"],
        resolved_by={"event_id": 88, "record_id": 9, "time": "2026-11-24T11:00:00.0000000Z"},
        state="resolved",
    )
    assert (
        to_csv([item])
        == (
            "\ufeff" + HEADER + '"client1","resolved","tls_failure","possible","1","2026-11-24T09:00:00.0000000Z",'
            '"2026-11-24T10:00:00.0000000Z","ndes",'
            '"https://ndes01.intra.adcslabor.de/certsrv/mscep/mscep.dll/pkiclient.exe"'
            ',"0x80072f8f","ERROR_WINHTTP_SECURE_FAILURE","The TLS connection failed.","Probe the server.","GetCACaps",'
            '"INTRA\\rudi; INTRA\\größe","86; 87","one; two","2026-11-24T11:00:00.0000000Z","CLIENT1",'
            '"0123456789abcdef"\r\n'
        ).encode()
    )


def test_csv_without_values() -> None:
    """What is null is empty."""
    item = finding(host=None, endpoint=None, error=None, message=None, first_seen=None, last_seen=None, computer=None)
    assert to_csv([item]).decode("utf-8-sig").splitlines()[1] == (
        '"","open","tls_failure","possible","1","","","","","","","The TLS connection failed.","Probe the server.",'
        '"","INTRA\\rudi","86","","","","0123456789abcdef"'
    )


def test_csv_of_nothing() -> None:
    """Only the header."""
    assert to_csv([]) == ("\ufeff" + HEADER).encode()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ({"scheme": "http", "host": "ndes", "port": 8080, "path": "/a"}, "http://ndes:8080/a"),
        ({"scheme": "https", "host": "fe80::1", "port": None, "path": None}, "https://[fe80::1]"),
        ({"scheme": None, "host": None, "port": None, "path": "x y"}, "x y"),
    ],
)
def test_csv_endpoint(url: dict[str, object], expected: str) -> None:
    """The endpoint as a URL again."""
    item = finding(endpoint={"kind": "other", "tpm_vendor": None, "key_id": None, **url})
    row = next(csv.DictReader(io.StringIO(to_csv([item]).decode("utf-8-sig"), newline="")))
    assert row["endpoint"] == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("plain - text = 1", "plain - text = 1"),
        ("=1+1", "'=1+1"),
        ("+49", "'+49"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("  =1", "'  =1"),
        ('"=1', "'\"=1"),
        ("\uff1d1", "'\uff1d1"),
        ("a;=1", "a;'=1"),
        ("a\r\n=1", "a\r\n'=1"),
        ("a\n-b\n c", "a\n'-b\n c"),
        ("one\r\ntwo\tthree", "one\r\ntwo\tthree"),
        ("\x1b[31m\x00\u202e", "\\x1b[31m\\x00\\u202e"),
        ("{{ 1 }} $(x) <b>", "{{ 1 }} $(x) <b>"),
    ],
)
def test_harmless(cell: str, expected: str) -> None:
    """No cell begins a formula, also where the list separator is a semicolon; no control but line breaks and tabs."""
    assert harmless(cell) == expected


def test_csv_rows_survive_line_breaks_and_quotes() -> None:
    """A reader gets one row a finding and the text of each field."""
    text = 'HTTP/1.1 404 "Not Found"\r\nServer: x,y\n\n"'
    rows = list(csv.DictReader(io.StringIO(to_csv([finding(message=text)] * 2).decode("utf-8-sig"), newline="")))
    assert [row["message"] for row in rows] == [text, text]


def test_json_bytes() -> None:
    """Sorted, readable, and nothing in it that steers a terminal."""
    assert to_json({"b": "größe \u202e\x1b\x9b\ud83d 東京", "a": [1, None, True]}) == (
        b'{\n "a": [\n  1,\n  null,\n  true\n ],\n'
        b' "b": "gr\xc3\xb6\xc3\x9fe \\u202e\\u001b\\u009b\\ud83d \xe6\x9d\xb1\xe4\xba\xac"\n}\n'
    )


def test_json_is_lossless() -> None:
    """Over all of Unicode, backwards: forwards two halves of a pair would meet and be one character."""
    text = "".join(map(chr, reversed(range(0x110000))))
    assert json.loads(to_json({"text": text}))["text"] == text


def test_write(tmp_path: Path) -> None:
    """Makes the folder, for the group to read, and nothing but the files is left."""
    paths = write_files(str(tmp_path / "a" / "b"), {"x.json": b"{}", "x.csv": b"1"})
    assert paths == {"x.json": str(tmp_path / "a/b/x.json"), "x.csv": str(tmp_path / "a/b/x.csv")}
    assert {path.name: path.read_bytes() for path in (tmp_path / "a/b").iterdir()} == {"x.json": b"{}", "x.csv": b"1"}
    assert {stat.S_IMODE(Path(path).stat().st_mode) for path in paths.values()} == {0o640}


def test_write_replaces(tmp_path: Path) -> None:
    """A reader that has the old file open still has all of it."""
    write_files(str(tmp_path), {"x": b"old"})
    with (tmp_path / "x").open("rb") as stream:
        write_files(str(tmp_path), {"x": b"new"})
        assert stream.read() == b"old"
    assert (tmp_path / "x").read_bytes() == b"new"


def test_write_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the working folder; the answer is absolute."""
    monkeypatch.chdir(tmp_path)
    assert write_files("out", {"x": b""}) == {"x": str(tmp_path / "out" / "x")}


def test_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is full, the earlier files stay and no half one is left."""
    write_files(str(tmp_path), {"x": b"old", "y": b"old"})

    def full(_descriptor: int) -> None:
        if len(list(tmp_path.iterdir())) == 4:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteError) as caught:
        write_files(str(tmp_path), {"x": b"new", "y": b"new"})
    assert str(caught.value) == f"the report can't be written to {tmp_path}: No space left on device"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"x": b"old", "y": b"old"}


def test_folder_that_is_a_file(tmp_path: Path) -> None:
    """Is refused before anything is read, and when it is written to."""
    (tmp_path / "out").write_text("", "ascii")
    for folder in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(WriteError, match=rf"^the report can't be written to {folder}: {tmp_path}/out is not a fol"):
            check_folder(str(folder))
        with pytest.raises(WriteError, match=rf"^the report can't be written to {folder}: "):
            write_files(str(folder), {"x": b""})


def test_check_folder_makes_nothing(tmp_path: Path) -> None:
    """It only looks."""
    check_folder(str(tmp_path / "a" / "b"))
    assert list(tmp_path.iterdir()) == []
