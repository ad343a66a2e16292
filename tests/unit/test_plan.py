"""Plans: each action with what it rests on, and no action on a guess."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import ProfileEvidence
from ansible_collections.winpki.scep.plugins.plugin_utils.plan import (
    HostPlan,
    digest_of,
    plan_remediation,
    plan_settings,
)
from ansible_collections.winpki.scep.plugins.plugin_utils.plan_action import SettingsError

from tests.lab.pki import Authority, sha256
from tests.unit.event_data import AIK, NDES, raw
from tests.unit.evidence_data import PROFILE_PATH, THUMBPRINT, certificate, probed, profile
from tests.unit.plan_data import (
    CREATED,
    HOST,
    PIN,
    aik_event,
    evidence,
    findings,
    isolated,
    over_http,
    plan_of,
    tls_event,
    unresolved_aik,
    untrusted,
)

HTTP = NDES.replace("https", "http")


def test_trust_whole() -> None:
    plan = plan_of(evidence(untrusted()))
    assert plan == {
        "host": HOST,
        "digest": digest_of(plan["actions"]),
        "created": CREATED,
        "actions": [
            {
                "role": "trust_ndes_chain",
                "module_args": {"urls": [NDES], "pins": [PIN], "server": "ndes01"},
                "needs": ["pins", "chain_untrusted_proven"],
                "undo": {"role": "rollback", "variables": {"rollback_roles": ["trust_ndes_chain"]}},
                "basis": [
                    {
                        "url": NDES,
                        "failures": ["untrusted_root"],
                        "missing_issuer": {"subject": "CN=Root", "key_identifier": "cd" * 20},
                        "chain": ["22" * 32],
                        "supplied_chain": None,
                    }
                ],
                "findings": [findings(tls_event(), found=evidence(untrusted()))[0]["key"]],
            }
        ],
        "skipped": [],
    }
    assert plan["digest"] == "9344c52f0bf5e4aabe3d13b9daf33c6677267931f5673819ea0d8a743a13132b"


def test_use_http_whole() -> None:
    plan = plan_of(evidence(probed("expired"), profiles=[profile()]))
    assert plan["skipped"] == []
    [action] = plan["actions"]
    assert (action["role"], action["needs"]) == ("use_http", ["http_endpoint_proven", "ca_thumbprint_matches"])
    assert action["module_args"] == {"urls": [NDES]}
    assert action["basis"] == [
        {"failure": "expired", "places": [{"path": PROFILE_PATH, "url": NDES, "ca_thumbprint": THUMBPRINT}]}
    ]
    assert action["undo"] == {"role": "rollback", "variables": {"rollback_roles": ["use_http"]}}


def test_disable_aik_whole() -> None:
    plan = plan_of(evidence(unresolved_aik(), aik=isolated()), aik_event())
    assert plan["skipped"] == []
    [action] = plan["actions"]
    assert (action["role"], action["needs"]) == ("disable_aik", ["isolated_network_declared", "aik_not_in_use"])
    assert action["module_args"] == {"isolated_network": True, "urls": [AIK]}
    assert action["basis"] == [
        {
            "host": "ifx-keyid-18b1af70b93f991972f362556a9a3fbf4bb24e0d.microsoftaik.azure.net",
            "reached": False,
            "had_success": False,
        }
    ]


NO_TRUST = "trust_ndes_chain: no root is pinned by its SHA-256 (pins)"
NO_HTTP = "use_http: plain HTTP is not allowed (use_http)"
NO_REMEDY = "no role of this collection mends this cause: do what its advice says"
NO_PROBE = "no probe from this host tells what it meets at this server"


@pytest.mark.parametrize(
    ("found", "event", "settings", "reason"),
    [
        # Without evidence nothing is done.
        (None, tls_event(), {}, f"trust_ndes_chain: {NO_PROBE}; use_http: {NO_PROBE}"),
        (evidence(), tls_event(), {}, f"trust_ndes_chain: {NO_PROBE}; use_http: {NO_PROBE}"),
        (evidence(unresolved_aik()), tls_event(), {},
         f"trust_ndes_chain: {NO_PROBE}; use_http: {NO_PROBE}"),
        # Trust
        (evidence(untrusted()), tls_event(), {"chain_server": "x"}, f"{NO_TRUST}; {NO_HTTP}"),
        (evidence(untrusted("untrusted_root", "name_mismatch")), tls_event(), {"pins": [PIN]},
         "trust_ndes_chain: the probe did not find that trust is all that is lacking: it found untrusted_root,"
         f" name_mismatch; {NO_HTTP}"),
        # The cause has no remedy of that kind.
        (evidence(probed("revoked")), tls_event(), {}, NO_REMEDY),
        (evidence(probed("intercepted")), tls_event(), {}, NO_REMEDY),
        (evidence(probed(None)), tls_event(), {}, NO_REMEDY),
        (evidence(probed("not_found", step="http")), raw(ErrorCode="x 0x80190194"), {}, NO_REMEDY),
        # Plain HTTP
        (evidence(probed("expired"), profiles=[profile()]), tls_event(), {"pins": [PIN]}, NO_HTTP),
        (evidence(probed("expired")), tls_event(), {},
         "use_http: no profile of this host that was read has this URL, so there is nothing to switch"),
        (evidence(probed("expired"), profiles=[profile(NDES.replace("ndes01", "ndes02")), profile(HTTP)]),
         tls_event(), {},
         "use_http: no profile of this host that was read has this URL, so there is nothing to switch"),
        (evidence(probed("expired"), profiles=[profile(ca_thumbprint=None)]), tls_event(), {},
         f"use_http: {PROFILE_PATH}: it names no CA by its thumbprint, which keeps plain HTTP safe (ca_thumbprint)"),
        (evidence(probed("expired"), profiles=[profile(f"{NDES}?challenge=***")]), tls_event(), {},
         f"use_http: {PROFILE_PATH}: its URL holds a secret, which is not shown: switch it by hand"),
        (evidence(probed("expired", url=NDES.replace(".de/", ".de:8443/")),
                  profiles=[profile(NDES.replace(".de/", ".de:8443/"))]),
         tls_event(Url=NDES.replace(".de/", ".de:8443/")), {},
         f"use_http: {PROFILE_PATH}: its URL has the port 8443, and no port is named for plain HTTP (http_port)"),
        # The task
        (evidence(unresolved_aik(), aik=isolated()), aik_event(), {"use_http": True},
         "disable_aik: the network is not declared to be isolated on purpose (isolated_network)"),
        (evidence(unresolved_aik()), aik_event(), {},
         "disable_aik: it was not read whether this host has had an AIK certificate"),
        (evidence(unresolved_aik(), aik=isolated(had_success=True, had_success_reason="It succeeded.")), aik_event(),
         {}, "disable_aik: an AIK certificate may be in use: It succeeded."),
        (evidence(unresolved_aik(), aik=isolated(had_success=None, state={"windows_aik_hash": "8c"},
                                                 had_success_reason="There is an AIK.")), aik_event(),
         {}, "disable_aik: an AIK certificate may be in use: There is an AIK."),
        (evidence(unresolved_aik(), aik=isolated(task={"enabled": False})), aik_event(), {},
         "disable_aik: the task is disabled already; what failed before that will not come again"),
        (evidence(probed("not_found", step="http", url=AIK), aik=isolated()), aik_event(), {}, NO_REMEDY),
        (evidence(probed(None, url=AIK), aik=isolated()), aik_event(), {}, NO_REMEDY),
    ],
)  # fmt: skip
def test_what_is_left_alone_and_why(found: Any, event: dict[str, Any], settings: dict[str, Any], reason: str) -> None:
    plan = plan_of(found, event, **settings)
    assert plan["actions"] == []
    assert [skipped["reason"] for skipped in plan["skipped"]] == [reason]
    [finding] = findings(event, found=found)
    assert (plan["skipped"][0]["finding"], plan["skipped"][0]["cause"]) == (finding["key"], finding["cause"])


@pytest.mark.parametrize(
    ("probe", "failures"),
    [
        (untrusted("missing_intermediate"), ["missing_intermediate"]),
        # Without the chain nobody can look up whether it is revoked.
        (untrusted("untrusted_root", "revocation_unreachable"), ["untrusted_root"]),
    ],
)
def test_what_lacks_trust_alone(probe: dict[str, Any], failures: list[str]) -> None:
    [action] = plan_of(evidence(probe))["actions"]
    assert (action["role"], action["basis"][0]["failures"]) == ("trust_ndes_chain", failures)


def test_plain_http_where_trust_is_not_possible() -> None:
    """The first remedy that can be justified is taken, and one only."""
    found = evidence(untrusted(), profiles=[profile()])
    assert [action["role"] for action in plan_of(found)["actions"]] == ["trust_ndes_chain"]
    assert [action["role"] for action in plan_of(found, use_http=True)["actions"]] == ["use_http"]


def test_a_plan_needs_no_files_and_no_server() -> None:
    """Then the chain is the one that the endpoint presents, and the pin decides."""
    for settings, more in (
        ({"pins": [PIN]}, {}),
        ({"pins": [PIN], "chain_files": ["root.pem"], "chain_server": "x"}, {"files": ["root.pem"]}),
    ):
        [action] = plan_of(evidence(untrusted()), **settings)["actions"]
        assert action["module_args"] == {"urls": [NDES], "pins": [PIN], **more}


def test_another_content_of_the_chain_files_is_another_plan() -> None:
    """Also with a second root that is pinned, or an intermediate more; not with another order or other words."""
    root, second = Authority.root("Lab Root CA"), Authority.root("Lab Root CA 2")
    lacks = untrusted()
    lacks["tls"] |= {"presented": [], "built": [certificate(pem=root.intermediate("Lab Issuing CA").pem)]}

    def planned(*chain: str) -> HostPlan:
        return plan_of(evidence(lacks), pins=[PIN], chain_files=["chain.pem"], chain=list(chain))

    made = planned(root.pem)
    assert made["actions"][0]["basis"][0]["supplied_chain"] == [sha256(root.certificate)]
    assert planned(f"Root of the lab:\n{root.pem}\n{root.pem}", root.pem)["digest"] == made["digest"]
    both = planned(root.pem + second.pem)
    assert both["actions"][0]["basis"][0]["supplied_chain"] == sorted(
        [sha256(root.certificate), sha256(second.certificate)]
    )
    assert both["digest"] != made["digest"]
    assert planned(second.pem, root.pem)["digest"] == both["digest"]


def test_another_chain_at_the_endpoint_is_another_plan() -> None:
    """Where it is the endpoint's own that would be trusted."""
    more = untrusted()
    more["tls"]["presented"] = [*more["tls"]["presented"], certificate(sha256="33" * 32), certificate(is_ca=False)]
    [basis] = plan_of(evidence(more), pins=[PIN])["actions"][0]["basis"]
    assert basis["supplied_chain"] == sorted([PIN, "33" * 32])
    assert plan_of(evidence(more), pins=[PIN])["digest"] != plan_of(evidence(untrusted()), pins=[PIN])["digest"]
    assert plan_of(evidence(more))["digest"] == plan_of(evidence(untrusted()))["digest"]


def test_trust_is_planned_only_in_a_chain_that_fits() -> None:
    """As far as the controller can tell; then the next remedy has its turn."""
    root, stranger = Authority.root("Lab Root CA"), Authority.root("Lab Root CA")
    lacks = untrusted()
    lacks["tls"] |= {
        "presented": [],
        "built": [certificate(pem=root.intermediate("Lab Issuing CA").pem)],
    }
    given = {"pins": [PIN], "use_http": True, "chain_files": ["chain.pem"]}
    found = evidence(lacks, profiles=[profile()])
    [fits] = plan_of(found, **given, chain=[stranger.pem, root.pem])["actions"]
    [unfit] = plan_of(found, **given, chain=[stranger.pem])["actions"]
    [unread] = plan_of(found, **given)["actions"]
    [nothing] = plan_of(found, **{**given, "chain_files": []})["actions"]
    assert [one["role"] for one in (fits, unfit, unread, nothing)] == [
        "trust_ndes_chain",
        "use_http",
        "trust_ndes_chain",
        "use_http",
    ]
    [left] = plan_of(found, pins=[PIN], chain_files=["chain.pem"], chain=[stranger.pem])["skipped"]
    assert left["reason"].startswith(
        f"trust_ndes_chain: What the host lacks for {NDES} is the certificate of CN=Lab Root"
    )
    [left] = plan_of(found, pins=[PIN])["skipped"]
    assert left["reason"].startswith(f"trust_ndes_chain: {NDES} does not present a root whose SHA-256 is in pins.")


@pytest.mark.parametrize(
    ("one", "settings", "arguments"),
    [
        (profile(NDES.replace(".de/", ".de:443/")), {}, {}),
        (profile(scope="user", sid="S-1-5-21-1"), {}, {}),
        (
            profile(source="registry", path="HKLM\\SOFTWARE\\X", name="Url", ca_thumbprint=None),
            {"ca_thumbprint": THUMBPRINT.lower()},
            {"registry_values": [{"path": "HKLM\\SOFTWARE\\X", "name": "Url"}], "ca_thumbprint": THUMBPRINT},
        ),
        (
            profile(source="file", path="C:\\x.ini", name=None, ca_thumbprint=None),
            {"ca_thumbprint": THUMBPRINT},
            {"files": ["C:\\x.ini"], "ca_thumbprint": THUMBPRINT},
        ),
    ],
)
def test_each_kind_of_profile(one: ProfileEvidence, settings: dict[str, Any], arguments: dict[str, Any]) -> None:
    [action] = plan_of(evidence(probed("expired"), profiles=[one]), use_http=True, **settings)["actions"]
    assert action["module_args"] == {"urls": one["urls"], **arguments}
    assert action["basis"][0]["places"] == [{"path": one["path"], "url": one["urls"][0], "ca_thumbprint": THUMBPRINT}]


@pytest.mark.parametrize(
    ("probes", "reason"),
    [
        ([over_http("forbidden")], "over HTTP the probe found forbidden"),
        (
            [over_http(thumbprint="AB" * 20)],
            f"over HTTP the server has no CA with the thumbprint {THUMBPRINT}, which the profile wants",
        ),
        ([over_http(port=":8080")], "no probe from this host tells whether the server answers over HTTP"),
    ],
)
def test_plain_http_is_planned_only_where_a_probe_proved_it(probes: list[dict[str, Any]], reason: str) -> None:
    [left] = plan_of(evidence(probed("expired"), *probes, profiles=[profile()]), use_http=True)["skipped"]
    assert left["reason"] == f"use_http: {PROFILE_PATH}: {reason}"


def test_a_port_of_its_own() -> None:
    url = NDES.replace(".de/", ".de:8443/")
    found = evidence(probed("expired", url=url), over_http(port=":8080"), profiles=[profile(url)])
    plan = plan_of(found, tls_event(Url=url), use_http=True, http_port=8080)
    assert plan["actions"][0]["module_args"] == {"urls": [url], "port": 8080}


def test_all_profiles_with_the_url_are_switched_or_none() -> None:
    second = profile(id="p2", path="HKLM\\p2")
    plan = plan_of(evidence(probed("expired"), profiles=[profile(), second, profile(HTTP, id="p3")]))
    [action] = plan["actions"]
    assert [place["path"] for place in action["basis"][0]["places"]] == [PROFILE_PATH, "HKLM\\p2"]
    second["ca_thumbprint"] = None
    plan = plan_of(evidence(probed("expired"), profiles=[profile(), second]))
    assert (plan["actions"], [skipped["reason"] for skipped in plan["skipped"]]) == (
        [],
        ["use_http: HKLM\\p2: it names no CA by its thumbprint, which keeps plain HTTP safe (ca_thumbprint)"],
    )


def test_findings_of_one_action_share_it() -> None:
    """A failure of initialisation and one of another path of the server need the same chain."""
    events = [tls_event(), tls_event(Url=NDES.replace("pkiclient.exe", "other.exe"))]
    plan = plan_of(evidence(untrusted()), *events)
    assert [len(action["findings"]) for action in plan["actions"]] == [2]


def test_a_role_has_one_action_on_a_host() -> None:
    """With the URLs of both servers, in any order of the findings."""
    second = NDES.replace("ndes01", "ndes00")
    found = evidence(untrusted(), untrusted(url=second))
    [action] = plan_of(found, tls_event(), tls_event(Url=second))["actions"]
    assert action["module_args"] == {"urls": [second, NDES], "pins": [PIN], "server": "ndes01"}
    assert [one["url"] for one in action["basis"]] == [second, NDES]
    assert len(action["findings"]) == 2


def test_each_open_finding_is_in_one_place() -> None:
    """And what is not open in none."""
    found = evidence(untrusted(), unresolved_aik(), aik=isolated())
    events = [
        tls_event(),
        aik_event(),
        raw(Url=NDES.replace("ndes01", "ndes02")),
        raw(Url="https://other.example/x", ErrorCode=None),
        raw(Url=HTTP, ErrorCode="x 0x801901f7"),
        raw(88, Url=HTTP, record_id=5000, time_created="2026-11-05T00:00:00Z"),
    ]
    every = findings(*events, found=found)
    plan = plan_of(found, *events)
    placed = [key for action in plan["actions"] for key in action["findings"]]
    placed += [skipped["finding"] for skipped in plan["skipped"]]
    assert sorted(placed) == sorted(finding["key"] for finding in every if finding["state"] == "open")
    assert len(placed) == len(every) - 1 == 4


def test_hosts_and_their_settings() -> None:
    """By name; each with its own, and a host without any is left alone."""
    made: list[Any] = [
        finding for host in ("b", "A", "c") for finding in findings(tls_event(), found=evidence(untrusted()), host=host)
    ]
    found = {host: evidence(untrusted()) for host in ("A", "b", "c")}
    settings = {host: plan_settings({"pins": [PIN]}) for host in ("A", "b")}
    plans = plan_remediation(made, found, settings, CREATED)
    assert [(plan["host"], len(plan["actions"]), len(plan["skipped"])) for plan in plans] == [
        ("A", 1, 0),
        ("b", 1, 0),
        ("c", 0, 1),
    ]
    assert plan_remediation([], {}, plan_settings({}), CREATED) == []


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (evidence({**untrusted(), "duration_ms": 9000, "detail": "Other words.", "clock_skew_seconds": 1.5}), True),
        (evidence(untrusted(), profiles=[profile()]), True),
        (evidence(untrusted("missing_intermediate")), False),
        (evidence(untrusted(missing="ef" * 20)), False),
        (evidence(untrusted(url=NDES.replace("pkiclient.exe", "other.exe"))), False),
    ],
)
def test_the_digest_is_that_of_what_an_action_rests_on(changed: Any, same: bool) -> None:
    assert (plan_of(changed)["digest"] == plan_of(evidence(untrusted()))["digest"]) is same


def test_the_way_in_which_the_aik_service_is_not_reached_makes_no_difference() -> None:
    found = [
        evidence(probed(word, step="dns", url=AIK), aik=isolated())
        for word in ("name_not_resolved", "dns_timeout", "timeout")
    ]
    assert len({plan_of(one, aik_event())["digest"] for one in found}) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pin": []}, "pin: there is no such setting; known are ca_thumbprint, chain, chain_files, chain_server,"
                      " http_port, isolated_network, pins, use_http"),
        ({"pins": PIN}, "pins: must be a list, not str"),
        ({"pins": [5]}, "pins: must be a list of texts"),
        ({"pins": ["ab"]}, "pins: 'ab' is not a SHA-256 fingerprint, which has 64 hexadecimal digits"),
        ({"use_http": "yes"}, "use_http: must be true or false, not str"),
        ({"isolated_network": 1}, "isolated_network: must be true or false, not int"),
        ({"http_port": True}, "http_port: must be a number, not bool"),
        ({"http_port": 70000}, "http_port: 70000 is not a port; 0 is for none"),
        ({"ca_thumbprint": "ab"}, "ca_thumbprint: is not a SHA-1 thumbprint, which has 40 hexadecimal digits"),
        ({"chain_server": []}, "chain_server: must be a text, not list"),
    ],
)  # fmt: skip
def test_settings_that_can_not_be_used(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        plan_settings(settings)
    assert str(refused.value) == message


def test_a_number_that_comes_out_of_a_template_as_text() -> None:
    assert plan_settings({"http_port": "8080"}).http_port == 8080
    with pytest.raises(SettingsError, match=r"^http_port: must be a number, not str$"):
        plan_settings({"http_port": "http"})


def test_pins_in_any_form() -> None:
    pin = ":".join([PIN[:2].upper()] * 32)
    assert plan_of(evidence(untrusted()), pins=[pin])["actions"][0]["module_args"]["pins"] == [PIN]
