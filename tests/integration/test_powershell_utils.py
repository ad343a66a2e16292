"""The PowerShell that several modules share, run on the lab engine without Ansible in between."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from tests.lab import pki
from tests.lab.engine import Engine

UTILS = Path(__file__).resolve().parents[2] / "plugins" / "module_utils"
UNDO = "SOFTWARE\\winpki.scep\\Undo"

Run = Callable[..., Any]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """The folder of a host of its own."""
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "hostname").write_text("CLIENT1\n", encoding="ascii")
    return folder


@pytest.fixture
def run(engine: Engine, host: Path) -> Run:
    """A function that runs a script with both modules and `$given`, and returns what it emits, as JSON has it."""

    def call(script: str, given: object = None) -> Any:
        (host / "given.json").write_text(json.dumps(given), encoding="utf-8")
        lines = [
            "Set-StrictMode -Version 2.0; $ErrorActionPreference = 'Stop'",
            f"Import-Module '{UTILS / '_Certificate.psm1'}'",
            f"Import-Module '{UTILS / '_Undo.psm1'}'",
            f"$given = ConvertFrom-Json ([System.IO.File]::ReadAllText('{host / 'given.json'}')) -DateKind String",
            f"$found = & {{ {script} }}",
            f"[System.IO.File]::WriteAllText('{host / 'found.json'}', (ConvertTo-Json -InputObject $found -Depth 20))",
        ]
        path = host / "script.ps1"
        path.write_text("\n".join(lines), encoding="utf-8")
        command = [str(engine.as_host), str(host), str(engine.pwsh), "-NoProfile", "-File", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads((host / "found.json").read_text("utf-8"))

    return call


def registry(host: Path) -> dict[str, Any]:
    """The keys below the product's own, from the host's files: {path: values}."""
    path = host / "registry" / "HKLM.json"
    keys = json.loads(path.read_text("utf-8"))["keys"] if path.exists() else {}
    return {name: key.get("values", {}) for name, key in keys.items() if "winpki.scep" in name}


def write_record(host: Path, change_id: str, text: str) -> None:
    """Put an undo record into the host's files by hand."""
    path = host / "registry" / "HKLM.json"
    path.parent.mkdir(exist_ok=True)
    document: dict[str, Any] = {"format": 1, "keys": {}}
    if path.exists():
        document = json.loads(path.read_text("utf-8"))
    document["keys"][f"{UNDO}\\{change_id}"] = {"values": {"Record": {"kind": "String", "data": text}}}
    path.write_text(json.dumps(document), encoding="utf-8")


# Certificates

FACTS = ", @(ConvertFrom-ScepPem -Text $given | ForEach-Object { Get-ScepCertificateFact $_.Certificate })"
PROBLEMS = ", @(ConvertFrom-ScepPem -Text $given | ForEach-Object { , @($_.Name, $_.Reason, $_.Message) })"


def odd_certificate(*extensions: tuple[str, bytes]) -> x509.Certificate:
    """A self-signed certificate with extensions of any content."""
    key = pki.new_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "odd")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, datetime(2026, 1, 1), datetime(2036, 1, 1))
    for oid, content in extensions:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), content), False)
    return builder.sign(key, hashes.SHA256())


def test_facts_are_those_that_another_library_reads(run: Run) -> None:
    root = pki.Authority.root("Lab Root CA")
    issuing = root.intermediate("Lab Issuing CA 1")
    names = ["ndes01.lab.example", "xn--bcher-kva.example"]
    leaf = issuing.leaf("ndes01.lab.example", dns_names=names).certificate

    found = run(FACTS, [pki.to_pem(leaf) + issuing.pem, "Bag Attributes\r\n" + root.pem.replace("\n", "\r\n")])

    assert [
        {key: fact[key] for key in ("subject", "issuer", "is_ca", "self_signed", "dns_names")} for fact in found
    ] == [
        {
            "subject": "CN=ndes01.lab.example",
            "issuer": "CN=Lab Issuing CA 1, O=Lab",
            "is_ca": False,
            "self_signed": False,
            "dns_names": ["ndes01.lab.example", "xn--bcher-kva.example"],
        },
        {
            "subject": "CN=Lab Issuing CA 1, O=Lab",
            "issuer": "CN=Lab Root CA, O=Lab",
            "is_ca": True,
            "self_signed": False,
            "dns_names": [],
        },
        {
            "subject": "CN=Lab Root CA, O=Lab",
            "issuer": "CN=Lab Root CA, O=Lab",
            "is_ca": True,
            "self_signed": True,
            "dns_names": [],
        },
    ]
    for fact, certificate in zip(found, (leaf, issuing.certificate, root.certificate), strict=True):
        above = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        assert above is not None
        assert fact["authority_key_identifier"] == above.hex()
        assert fact["subject_key_identifier"] == own.hex()
        assert int(fact["serial_number"], 16) == certificate.serial_number
        assert fact["thumbprint"] == pki.thumbprint(certificate)
        assert fact["sha256"] == pki.sha256(certificate)
        assert fact["not_before"] == certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert fact["not_after"] == certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        assert fact["pem"] == pki.to_pem(certificate)


def test_a_new_ca_key_certified_with_the_old_one_is_not_self_signed(run: Run) -> None:
    [fact] = run(FACTS, [pki.Authority.root("Lab Root CA").intermediate("Lab Root CA").pem])
    assert (fact["subject"], fact["issuer"]) == ("CN=Lab Root CA, O=Lab", "CN=Lab Root CA, O=Lab")
    assert fact["self_signed"] is False


def test_a_validity_is_utc_whatever_the_hosts_time_zone(run: Run, host: Path) -> None:
    (host / "environment").write_text("TZ=Asia/Tokyo\n", encoding="ascii")
    [fact] = run(FACTS, [pki.to_pem(odd_certificate())])
    assert (fact["not_before"], fact["not_after"]) == ("2026-01-01T00:00:00Z", "2036-01-01T00:00:00Z")


def test_an_extension_that_is_not_der_says_nothing_and_breaks_nothing(run: Run) -> None:
    contents = [b"", b"\x30", b"\x30\x82", b"\x30\x84\xff\xff\xff\xff", b"\x30\x03\x82\x7fa", b"\x30\x80\x00\x00"]
    odd = [
        pki.to_pem(odd_certificate(*((oid, content) for oid in ("2.5.29.14", "2.5.29.17", "2.5.29.19", "2.5.29.35"))))
        for content in contents
    ]
    found = run(FACTS, odd)
    keys = ("subject_key_identifier", "authority_key_identifier", "dns_names", "is_ca")
    assert [tuple(fact[key] for key in keys) for fact in found] == [(None, None, [], False)] * 6


def test_a_long_list_of_names_is_read_whole(run: Run) -> None:
    names = [f"ndes{number:03}.lab.example" for number in range(300)]  # lengths of three octets in its DER
    [fact] = run(FACTS, [pki.Authority.root("Lab Root CA").leaf("a.example", dns_names=names).pem])
    assert fact["dns_names"] == names


def test_what_is_no_certificate_is_named(run: Run) -> None:
    root = pki.Authority.root("Lab Root CA")
    leaf = root.leaf("ndes01.lab.example")
    key_store = pkcs12.serialize_key_and_certificates(
        None, leaf.key, leaf.certificate, None, serialization.NoEncryption()
    )
    bundle = pkcs7.serialize_certificates([root.certificate], serialization.Encoding.DER)
    der = root.certificate.public_bytes(serialization.Encoding.DER)

    def block(content: bytes | str, label: str = "CERTIFICATE") -> str:
        text = content if isinstance(content, str) else base64.b64encode(content).decode("ascii")
        return f"-----BEGIN {label}-----\n{text}\n-----END {label}-----\n"

    not_pem = "is not PEM: each certificate has to stand between a BEGIN CERTIFICATE and an END CERTIFICATE line."
    not_one = "is not one X.509 certificate: give each certificate in a block of its own."
    given = {
        "": ("", not_pem),
        "no block": ("ndes.cer", not_pem),
        "no end": (root.pem.split("-----END")[0], not_pem),
        "one without an end": (root.pem + root.pem.split("-----END")[0], not_pem),
        "not base64": (block("a?b"), ", block 1 is damaged: what is between its BEGIN and END lines is not base64."),
        "empty": (block(""), ", block 1 " + not_one),
        "cut": (block(der[:-1]), ", block 1 is damaged: it does not decode as an X.509 certificate."),
        "more": (block(der + b"\x00"), ", block 1 " + not_one),
        "a key store": (block(key_store), ", block 1 " + not_one),
        "a bundle": (block(bundle), ", block 1 " + not_one),
        "a request": (block(der, "CERTIFICATE REQUEST"), ", block 1 is a CERTIFICATE REQUEST, not a certificate."),
    }
    found = run(PROBLEMS, [text for text, _ in given.values()])
    problems = [(reason, message) for _, reason, message in found if reason]
    assert problems == [
        ("invalid_certificate", f"certificates entry {number}{text if text.startswith(',') else f' {text}'}")
        for number, (_, text) in enumerate(given.values(), 1)
    ]


@pytest.mark.parametrize("label", ["PRIVATE KEY", "RSA PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "rsa private key"])
def test_a_private_key_is_refused_and_never_quoted(run: Run, label: str) -> None:
    root = pki.Authority.root("Lab Root CA")
    key = f"-----BEGIN {label}-----\nc2VjcmV0\n"  # even without its end
    assert run(PROBLEMS, [root.pem, root.pem + key]) == [
        ["certificates entry 1, block 1", "", ""],
        [
            "certificates entry 2",
            "private_key",
            "certificates entry 2 holds a private key: give the certificates alone, and treat that key as disclosed.",
        ],
    ]


# Undo records


def test_a_change_id_has_a_time_and_chance(run: Run) -> None:
    first, second = run("@(1, 2 | ForEach-Object { New-ScepUndoId })")
    for change_id in (first, second):
        assert re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}", change_id)
        made = datetime.strptime(change_id[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        assert abs((datetime.now(timezone.utc) - made).total_seconds()) < 60
    assert first != second


OLD = {
    "change_id": "20250101T000000Z-00000000",
    "role": None,
    "module": "log_level",
    "host": "CLIENT1",
    "created": "2025-01-01T00:00:00Z",
    "state": "done",
    "before": None,
    "after": 4,
}
STATE = {
    "text": "a",
    "time": "2026-01-31T08:00:00.1234567+02:00",
    "day": "2026-01-31",
    "quotes": '"\\" \\ \u2028 </script> {{ x }} $(1)',
    "control": "\u0000\u0007\u001b\r\n",
    "empty": "",
    "": "an empty name",
    "number": 3,
    "large": 4294967295,
    "yes": True,
    "none": None,
    "list": [],
    "one": ["a"],
    "nested": [[{"a": ["2026-01-31T08:00:00Z"]}], []],
    "map": {},
}
SAVE = """
$before = ConvertFrom-Json $given.json -AsHashtable -DateKind String
$record = New-ScepUndoRecord -Module 'trust_chain' -Role $given.role -Before $before -After ([ordered]@{})
Save-ScepUndoRecord $record
"""


def test_a_record_is_read_as_it_was_saved(run: Run, host: Path) -> None:
    saved, found = run(
        SAVE + "$record; Get-ScepUndoRecord -ChangeId $record.change_id -Module trust_chain",
        {"json": json.dumps(STATE), "role": "trust_ndes_chain"},
    )
    assert found == saved
    assert found == {
        "change_id": found["change_id"],
        "role": "trust_ndes_chain",
        "module": "trust_chain",
        "host": "CLIENT1",
        "created": found["created"],
        "state": "prepared",
        "before": STATE,
        "after": {},
    }
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{7}Z", found["created"])
    values = registry(host)[f"{UNDO}\\{found['change_id']}"]
    assert list(values) == ["Record"]
    assert values["Record"]["kind"] == "String"
    assert json.loads(values["Record"]["data"]) == found


def test_records_are_listed_by_age_changed_in_place_and_taken_away(run: Run, host: Path) -> None:
    write_record(host, "20250101T000000Z-00000000", json.dumps(OLD))
    script = (
        SAVE
        + """
        $record.state = 'done'; Save-ScepUndoRecord $record
        , @(Get-ScepUndoRecord)
        Remove-ScepUndoRecord $record.change_id; Remove-ScepUndoRecord $record.change_id
        , @(Get-ScepUndoRecord)
        """
    )
    both, left = run(script, {"json": "{}", "role": ""})
    assert both[0] == OLD
    assert (both[1]["state"], both[1]["role"]) == ("done", None)
    assert left == [OLD]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "its text is not JSON"),
        ("[]", "its text is not a record of this change"),
        ("{}", "its text is not a record of this change"),
    ],
)
def test_a_damaged_record_is_told_not_lost(run: Run, host: Path, text: str, reason: str) -> None:
    write_record(host, "20250101T000000Z-00000000", text)
    listed, message = run(
        """, @(Get-ScepUndoRecord)
        try { Get-ScepUndoRecord -ChangeId 20250101T000000Z-00000000 } catch { $_.Exception.Message }"""
    )
    error = f"The undo record 20250101T000000Z-00000000 is damaged: {reason}."
    assert listed == [{"change_id": "20250101T000000Z-00000000", "state": "unreadable", "error": error}]
    assert message == f"{error} It cannot be undone with it."


MALFORMED = (
    "This is not a change id: it has the form YYYYMMDDTHHMMSSZ-xxxxxxxx, as in 20260131T080000Z-0a1b2c3d. "
    "undo_info lists those of a host."
)


@pytest.mark.parametrize(
    ("change_id", "message"),
    [
        ("", MALFORMED),
        ("..", MALFORMED),
        ("20250101T000000Z-00000000\n", MALFORMED),
        ("20250101T000000Z-00000000\\x", MALFORMED),
        ("20250101T000000Z-0000000G", MALFORMED),
        ("20250101t000000z-00000000", MALFORMED),
        (
            "20250101T000000Z-00000001",
            "CLIENT1 has no undo record 20250101T000000Z-00000001. undo_info lists those that it has.",
        ),
        (
            "20250101T000000Z-00000000",
            "20250101T000000Z-00000000 is a change of the module log_level, not of trust_chain: "
            "undo it with log_level.",
        ),
    ],
)
def test_a_change_that_cannot_be_undone_is_refused(run: Run, host: Path, change_id: str, message: str) -> None:
    write_record(host, "20250101T000000Z-00000000", json.dumps(OLD))
    script = "try { Get-ScepUndoRecord -ChangeId $given -Module trust_chain } catch { $_.Exception.Message }"
    assert run(script, change_id) == message


def test_a_record_that_cannot_be_written_is_an_error_that_says_where(run: Run, host: Path) -> None:
    (host / "registry").mkdir()
    (host / "registry" / "access.json").write_text(json.dumps({"HKLM\\SOFTWARE": "readonly"}), encoding="utf-8")
    message = run(f"try {{ {SAVE} }} catch {{ $_.Exception.Message }}", {"json": "{}", "role": ""})
    assert message.startswith("The undo record could not be written to HKLM\\SOFTWARE\\winpki.scep\\Undo: ")
    assert message.endswith(" An account with administrator rights is needed.")
    assert registry(host) == {}


def test_a_record_that_is_too_large_for_the_registry_is_refused(run: Run, host: Path) -> None:
    given = {"json": json.dumps({"a": "x" * 500000}), "role": ""}
    message = run(f"try {{ {SAVE} }} catch {{ $_.Exception.Message }}", given)
    assert re.fullmatch(
        r"The undo record of this change would have 500\d\d\d characters, more than the 500000 "
        r"that the registry should hold: nothing was changed\.",
        message,
    )
    assert registry(host) == {}


def test_what_a_cmdlet_wrapped_is_saved_bare(run: Run, host: Path) -> None:
    script = """
    $text = 'a' | Add-Member -NotePropertyName PSPath -NotePropertyValue b -PassThru
    $list = ConvertFrom-Json '[1, [2, []]]' -NoEnumerate
    $table = @{ list = $list; text = $text; flag = $true }
    $record = New-ScepUndoRecord -Module profile -Before $table -After @($text)
    Save-ScepUndoRecord $record
    $found = Get-ScepUndoRecord -ChangeId $record.change_id
    @($found.before.list.GetType().FullName, $found.before.list[1].GetType().FullName)
    """
    assert run(script) == ["System.Object[]", "System.Object[]"]
    [text] = [key["Record"]["data"] for name, key in registry(host).items() if name.startswith(f"{UNDO}\\")]
    record = json.loads(text)
    assert (record["before"], record["after"]) == ({"list": [1, [2, []]], "text": "a", "flag": True}, ["a"])


@pytest.mark.parametrize("state", ["[char]0xD83D", "$case"])
def test_a_record_that_would_not_be_read_as_written_is_refused(run: Run, host: Path, state: str) -> None:
    script = """
    $case = [System.Collections.Hashtable]::new([StringComparer]::Ordinal)
    $case['a'] = 1; $case['A'] = 2
    try { Save-ScepUndoRecord (New-ScepUndoRecord -Module profile -Before (%s)) } catch { $_.Exception.Message }
    """
    assert run(script % state) == (
        "The undo record of this change would not be read as it was written, so it could not be undone: "
        "nothing was changed."
    )
    assert registry(host) == {}


def test_what_differs_from_a_record_is_named(run: Run) -> None:
    expected = {"a": 1, "b": "x", "gone": None, "list": [{"c": True}, "y"], "short": ["a"], "case": "x"}
    actual = {"a": 1, "b": "x" * 200, "list": [{"c": False}, "y"], "short": [], "new": None, "case": "X"}
    assert run("@(Compare-ScepState $given[0] $given[0]).Count", [expected]) == 0
    script = """
    $states = foreach ($text in $given) { ConvertFrom-Json $text -AsHashtable -DateKind String }
    @(Compare-ScepState $states[0] $states[1])
    """
    assert run(script, [json.dumps(expected), json.dumps(actual)]) == [
        'b is "' + "x" * 99 + '..., not "x".',
        "gone is gone.",
        "list[0].c is false, not true.",
        'short is [], not ["a"].',
        'case is "X", not "x".',
        "new is new.",
    ]
