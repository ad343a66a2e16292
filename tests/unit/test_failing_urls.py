"""failing_urls: which URLs are worth asking from a host."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.winpki.scep.plugins.filter.failing_urls import FilterModule
from ansible_collections.winpki.scep.plugins.plugin_utils.failing_urls import failing_urls, with_http

from tests.unit.event_data import AIK
from tests.unit.report_data import NDES, raw_event, result, success

HTTP = NDES.replace("https", "http")


def failed(record_id: int, minute: int, url: str | None = NDES, **changes: Any) -> dict[str, Any]:
    event = raw_event(record_id, time_created=f"2026-11-24T10:{minute:02}:00Z", data={"Url": url}, **changes)
    event["data"] = {key: value for key, value in event["data"].items() if value is not None}
    return event


@pytest.mark.parametrize(
    ("read", "urls"),
    [
        (None, []),
        ({"failed": True, "msg": "no"}, []),
        ({"unreachable": True, "msg": "no"}, []),
        ({"skipped": True}, []),
        (result(), []),
        (result(failed(1, 1)), [NDES]),
        # The newest failure first, each endpoint once, in the newest spelling.
        (result(failed(1, 1), failed(2, 2, AIK), failed(3, 3, NDES.upper())), [NDES.upper(), AIK]),
        (result(failed(1, 1), failed(2, 2, HTTP)), [HTTP, NDES]),
        # A success ends what came before it, on the same endpoint.
        (result(failed(1, 1), success(2, "2026-11-24T10:02:00Z")), []),
        (result(success(1, "2026-11-24T10:00:00Z"), failed(2, 1)), [NDES]),
        (result(failed(1, 1, HTTP), success(2, "2026-11-24T10:02:00Z")), [HTTP]),
        (result(failed(5, 1), success(6, "2026-11-24T10:01:00Z")), []),
        (result(failed(6, 1), success(5, "2026-11-24T10:01:00Z")), [NDES]),
        # What another host sent to this one, what has no URL, and what is none.
        (result(failed(1, 1, log="Application"), log={"name": "ForwardedEvents"}), []),
        (result(failed(1, 1, log="ForwardedEvents")), []),
        (result(failed(1, 1, None), failed(2, 2, "not a URL")), []),
    ],
)
def test_urls(read: dict[str, Any] | None, urls: list[str]) -> None:
    assert failing_urls(read) == urls


def test_no_more_than_the_module_takes() -> None:
    events = [failed(number, number % 60, f"https://n{number:03}/certsrv/mscep/x") for number in range(101)]
    found = failing_urls(result(*events))
    assert len(found) == 100
    assert "https://n000/certsrv/mscep/x" not in found


@pytest.mark.parametrize(
    ("urls", "port", "all_of_them"),
    [
        ([], 0, []),
        ([NDES, AIK], 0, [NDES, AIK, HTTP]),
        ([HTTP, NDES], 0, [HTTP, NDES]),
        ([NDES], 8080, [NDES, HTTP.replace(".de/", ".de:8080/")]),
    ],
)
def test_ndes_servers_over_http_too(urls: list[str], port: int, all_of_them: list[str]) -> None:
    assert with_http(urls, port) == all_of_them


def test_with_http_there_are_no_more_either() -> None:
    assert len(with_http([f"https://n{number:03}/certsrv/mscep/x" for number in range(60)], 0)) == 100


def test_the_filter() -> None:
    call = FilterModule().filters()["failing_urls"]
    assert call(result(failed(1, 1))) == [NDES]
    with pytest.raises(AnsibleFilterError) as refused:
        call([])
    assert str(refused.value) == "failing_urls: the input must be a result of event_info, not list"
