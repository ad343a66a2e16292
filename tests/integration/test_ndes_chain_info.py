"""ndes_chain_info on the lab: bindings, certificates and settings are written into the files of the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.host_state import deny, put_certificate, set_key, snapshot
from tests.integration.module_process import ModuleHost
from tests.lab import pki
from tests.lab.engine import Engine
from tests.lab.fleet import Lab
from tests.lab.pki import Authority, Leaf, sha256, thumbprint
from tests.lab.playbook import run_module

HTTP = "SYSTEM\\ControlSet001\\Services\\HTTP\\Parameters"  # CurrentControlSet is a link to it
NDES = "SOFTWARE\\Microsoft\\Cryptography\\MSCEP"
SNI, PLAIN, CENTRAL = "SslSniBindingInfo", "SslBindingInfo", "SslCcsBindingInfo"
GUID = "{4dc3e181-e14b-4a21-b022-59fc669b0914}"
CIPHERTEXT = "d15ea5e0c0ffee"  # the challenge password that NDES keeps, encrypted


class Server:
    """The certificates of an NDES server."""

    def __init__(self) -> None:
        self.root = Authority.root("Lab Root CA")
        self.issuing = self.root.intermediate("Lab Issuing CA 1")
        self.leaf = self.issuing.leaf("ndes01.lab.example")
        self.other = Authority.root("Other Root CA").leaf("other.lab.example")


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


@pytest.fixture(scope="module")
def host(engine: Engine, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleHost]:
    with ModuleHost(engine, tmp_path_factory.mktemp("host") / "ndes01", "ndes_chain_info") as started:
        put_certificate(started.folder, "CA", server.issuing.certificate)
        put_certificate(started.folder, "Root", server.root.certificate)
        for leaf in (server.leaf, server.other):
            put_certificate(started.folder, "My", leaf.certificate, key=leaf.key)
        put_certificate(started.folder, "WebHosting", server.leaf.certificate, key=server.leaf.key)
        yield started


@pytest.fixture(autouse=True)
def registry(host: ModuleHost) -> Iterator[None]:
    yield
    for name in ("HKLM.json", "access.json"):
        (host.folder / "registry" / name).unlink(missing_ok=True)


def bind(host: ModuleHost, table: str, key: str, leaf: Leaf | None, **values: str) -> None:
    """Write a binding as HTTP.sys keeps it."""
    texts = {name: ("String", value) for name, value in values.items()}
    hashes = {"SslCertHash": ("Binary", thumbprint(leaf.certificate).lower())} if leaf else {}
    set_key(host.folder, f"{HTTP}\\{table}\\{key}", **hashes, **texts)


def test_chain_of_the_one_binding(host: ModuleHost, server: Server) -> None:
    bind(host, PLAIN, "0.0.0.0:443", server.leaf, SslCertStoreName="")
    before = snapshot(host.folder)
    result = host.one({"host_name": "ndes01.lab.example"}, check=True)
    binding = {
        "kind": "plain",
        "name": "0.0.0.0:443",
        "host_name": None,
        "address": "0.0.0.0:443".removesuffix(":443"),
        "port": 443,
        "store": "MY",
        "thumbprint": thumbprint(server.leaf.certificate),
    }
    assert (result["binding"], result["bindings"]) == (binding, [binding])
    assert (result["changed"], result["complete"], result["problem"], result["detail"]) == (False, True, None, None)
    chain = (server.leaf.certificate, server.issuing.certificate, server.root.certificate)
    assert [one["pem"] for one in result["chain"]] == [pki.to_pem(one) for one in chain]
    assert [one["sha256"] for one in result["chain"]] == [sha256(one) for one in chain]
    assert [(one["subject"], one["is_ca"], one["self_signed"]) for one in result["chain"]] == [
        ("CN=ndes01.lab.example", False, False),
        ("CN=Lab Issuing CA 1, O=Lab", True, False),
        ("CN=Lab Root CA, O=Lab", True, True),
    ]
    assert "PRIVATE KEY" not in str(result)
    assert snapshot(host.folder) == before


# What is bound, what is asked for, and what a client would get: the binding's name, or the problem.
BINDINGS: dict[str, tuple[list[tuple[str, str, str, dict[str, str]]], dict[str, Any], str]] = {
    "the store is named": ([(PLAIN, "0.0.0.0:443", "leaf", {"SslCertStoreName": "WebHosting"})], {}, "0.0.0.0:443"),
    "IPv6": ([(PLAIN, "[::]:443", "leaf", {})], {}, "[::]:443"),
    "another port": ([(PLAIN, "0.0.0.0:443", "other", {}), (PLAIN, "0.0.0.0:8443", "leaf", {})], {"port": 8443},
                     "0.0.0.0:8443"),
    "by name": ([(PLAIN, "0.0.0.0:443", "other", {}), (SNI, "ndes01.lab.example:443", "leaf", {})],
                {"host_name": "NDES01.lab.example"}, "ndes01.lab.example:443"),
    "by name, the key a GUID": (
        [(PLAIN, "0.0.0.0:443", "other", {}), (SNI, GUID, "leaf", {"HostnamePort": "ndes01.lab.example:443"})],
        {"host_name": "ndes01.lab.example"}, "ndes01.lab.example:443"),
    "by wildcard": ([(SNI, "*.lab.example:443", "leaf", {}), (SNI, "*.example:443", "other", {})],
                    {"host_name": "ndes01.lab.example"}, "*.lab.example:443"),
    "by name on another port": (
        [(SNI, "ndes01.lab.example:8443", "other", {}), (PLAIN, "0.0.0.0:443", "leaf", {})],
        {"host_name": "ndes01.lab.example"}, "0.0.0.0:443"),
    "another name": ([(SNI, "other.lab.example:443", "other", {}), (PLAIN, "0.0.0.0:443", "leaf", {})],
                     {"host_name": "ndes01.lab.example"}, "0.0.0.0:443"),
    "by address": ([(PLAIN, "0.0.0.0:443", "other", {}), (PLAIN, "10.0.0.5:443", "leaf", {})],
                   {"host_name": "ndes01.lab.example", "address": "10.0.0.5"}, "10.0.0.5:443"),
    "by address, written otherwise": ([(PLAIN, "[::]:443", "other", {}), (PLAIN, "[fd00::5]:443", "leaf", {})],
                                      {"address": "FD00:0::5"}, "[fd00::5]:443"),
    "any address of the family": ([(PLAIN, "[::]:443", "other", {}), (PLAIN, "0.0.0.0:443", "leaf", {})],
                                  {"address": "10.0.0.6"}, "0.0.0.0:443"),
    "two bindings, one certificate": ([(PLAIN, "0.0.0.0:443", "leaf", {}), (SNI, "a.lab.example:443", "leaf", {})], {},
                                      "a.lab.example:443"),
    "an address before the central store": ([(CENTRAL, "443", "", {}), (PLAIN, "10.0.0.5:443", "leaf", {})],
                                            {"address": "10.0.0.5"}, "10.0.0.5:443"),
    "a name before the central store": ([(CENTRAL, "443", "", {}), (SNI, "ndes01.lab.example:443", "leaf", {})],
                                        {"host_name": "ndes01.lab.example"}, "ndes01.lab.example:443"),
    "central store": ([(CENTRAL, "443", "", {}), (PLAIN, "0.0.0.0:443", "leaf", {})],
                      {"host_name": "ndes01.lab.example"}, "central_store"),
    "no name": ([(PLAIN, "0.0.0.0:443", "leaf", {}), (SNI, "other.lab.example:443", "other", {})], {}, "ambiguous"),
    "no address": ([(PLAIN, "0.0.0.0:443", "other", {}), (PLAIN, "10.0.0.5:443", "leaf", {})],
                   {"host_name": "ndes01.lab.example"}, "ambiguous"),
    "nothing": ([], {}, "no_binding"),
    "not this port": ([(PLAIN, "0.0.0.0:8443", "leaf", {}), (PLAIN, "odd", "leaf", {})], {}, "no_binding"),
    "no such store": ([(PLAIN, "0.0.0.0:443", "leaf", {"SslCertStoreName": "Nowhere"})], {}, "certificate_missing"),
    "not in the store": ([(PLAIN, "0.0.0.0:443", "other", {"SslCertStoreName": "WebHosting"})], {},
                         "certificate_missing"),
    "no hash": ([(PLAIN, "0.0.0.0:443", "", {})], {}, "certificate_missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", BINDINGS)
def test_binding_that_a_client_gets(host: ModuleHost, server: Server, case: str) -> None:
    bindings, options, expected = BINDINGS[case]
    leaves = {"leaf": server.leaf, "other": server.other, "": None}
    for table, key, leaf, values in bindings:
        bind(host, table, key, leaves[leaf], **values)
    result = host.one(options)
    if ":" in expected:
        assert (result["problem"], result["binding"]["name"]) == (None, expected)
        assert result["chain"][0]["sha256"] == sha256(server.leaf.certificate)
    else:
        assert (result["problem"], result["complete"], result["chain"]) == (expected, False, [])
        assert result["warnings"] == [result["detail"]]


@pytest.mark.parametrize(
    ("case", "detail"),
    [
        (
            "central store",
            "Port 443 takes its certificate from a central certificate store, which is not read: export the chain from "
            "its certificate, and use it from files.",
        ),
        (
            "no name",
            "Port 443 has several certificates (other.lab.example:443, 0.0.0.0:443): say with host_name, and where "
            "that is not enough with address, which one clients get.",
        ),
        (
            "nothing",
            "HTTP.sys has no certificate for port 443: is this the NDES server, does it have an HTTPS binding, or is "
            "TLS ended by a device in front of it?",
        ),
        (
            "not in the store",
            "The certificate {other} of the binding 0.0.0.0:443 was not found in LocalMachine\\WebHosting: it is not "
            "there. Bind the site's certificate again.",
        ),
    ],
)
def test_a_problem_says_what_to_do(host: ModuleHost, server: Server, case: str, detail: str) -> None:
    bindings, options, _unused = BINDINGS[case]
    leaves = {"leaf": server.leaf, "other": server.other, "": None}
    for table, key, leaf, values in bindings:
        bind(host, table, key, leaves[leaf], **values)
    assert host.one(options)["detail"] == detail.replace("{other}", thumbprint(server.other.certificate))


def test_a_chain_without_its_end(host: ModuleHost, server: Server) -> None:
    bind(host, PLAIN, "0.0.0.0:443", server.other)
    result = host.one({})
    assert (result["problem"], result["complete"], result["status"]) == ("chain_incomplete", False, ["PartialChain"])
    assert [one["subject"] for one in result["chain"]] == ["CN=other.lab.example"]
    assert result["detail"] == (
        "The chain ends at CN=other.lab.example: the certificate of its issuer CN=Other Root CA, O=Lab is not in this "
        "server's stores. Clients may fail for it too: install it on the server."
    )


def test_settings_without_the_challenge(host: ModuleHost, server: Server) -> None:
    bind(host, PLAIN, "0.0.0.0:443", server.leaf)
    templates = {f"{name}Template": ("String", f"Lab{name}") for name in ("Encryption", "GeneralPurpose", "Signature")}
    set_key(host.folder, NDES, EncryptedPassword=("Binary", CIPHERTEXT), **templates)
    set_key(host.folder, f"{NDES}\\EnforcePassword", EnforcePassword=("DWord", 1))
    set_key(host.folder, f"{NDES}\\UseSinglePassword", UseSinglePassword=("DWord", 0))
    set_key(host.folder, f"{NDES}\\Modules\\NDESPolicy", Secret=("String", CIPHERTEXT))
    set_key(host.folder, HTTP, MaxFieldLength=("DWord", 65534), MaxRequestBytes=("DWord", 65534))
    result = host.one({})
    assert result["settings"] == {
        "installed": True,
        "encryption_template": "LabEncryption",
        "general_purpose_template": "LabGeneralPurpose",
        "signature_template": "LabSignature",
        "enforce_password": True,
        "use_single_password": False,
        "policy_modules": ["NDESPolicy"],
        "max_field_length": 65534,
        "max_request_bytes": 65534,
    }
    assert CIPHERTEXT not in str(result).lower()


def test_a_host_without_ndes(host: ModuleHost) -> None:
    set_key(host.folder, HTTP, MaxFieldLength=("String", "65534"))  # of the wrong type, so HTTP.sys ignores it too
    assert host.one({})["settings"] == {
        "installed": False,
        "encryption_template": None,
        "general_purpose_template": None,
        "signature_template": None,
        "enforce_password": None,
        "use_single_password": None,
        "policy_modules": [],
        "max_field_length": None,
        "max_request_bytes": None,
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 0}, "port: 0 is no TCP port; it has to be 1 to 65535."),
        (
            {"address": "ndes01"},
            "address: 'ndes01' is not an IP address; name the one that clients connect to, or leave it out.",
        ),
    ],
)
def test_options_that_cannot_be(host: ModuleHost, options: dict[str, Any], message: str) -> None:
    assert host.fail(options)["msg"] == message


def test_without_the_right_to_read(host: ModuleHost, server: Server) -> None:
    bind(host, PLAIN, "0.0.0.0:443", server.leaf)
    deny(host.folder, "SYSTEM\\CurrentControlSet\\Services\\HTTP", "denied")
    message = host.fail({})["msg"]
    assert message.startswith("The bindings of HTTP.sys or the settings of NDES cannot be read (")
    assert message.endswith("): an account with administrator rights is needed.")


def test_over_winrm(lab: Lab, server: Server) -> None:
    started = lab.host("NDES01")
    put_certificate(started.folder, "CA", server.issuing.certificate)
    put_certificate(started.folder, "Root", server.root.certificate)
    put_certificate(started.folder, "My", server.leaf.certificate, key=server.leaf.key)
    key = f"{HTTP}\\{SNI}\\ndes01.lab.example:443"
    set_key(started.folder, key, SslCertHash=("Binary", thumbprint(server.leaf.certificate)))
    options = {"host_name": "ndes01.lab.example"}
    done = run_module(lab.start(started).inventory_path, "NDES01", "winpki.scep.ndes_chain_info", options)
    assert (done.status, done.result["problem"], done.result["complete"]) == ("ok", None, True)
    assert [one["sha256"] for one in done.result["chain"]][-1] == sha256(server.root.certificate)
