# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath expressions of rules: compiled and checked once, with what they read of {event, evidence}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.winpki.scep.plugins.plugin_utils.endpoint import Endpoint
from ansible_collections.winpki.scep.plugins.plugin_utils.event import Context, Event, parse_event
from ansible_collections.winpki.scep.plugins.plugin_utils.event_text import Http, Scep
from ansible_collections.winpki.scep.plugins.plugin_utils.evidence import EndpointEvidence, RuleEvidence, Tls
from ansible_collections.winpki.scep.plugins.plugin_utils.hresult import EventError

try:
    import jmespath
    from jmespath.functions import Functions
except ImportError as error:
    JMESPATH_ERROR: ImportError | None = error
else:
    JMESPATH_ERROR = None

# A place in {event, evidence}: ("event", "error", "code").
Place = tuple[str, ...]

_PARTS: dict[str, type] = {"context": Context, "endpoint": Endpoint, "http": Http, "scep": Scep, "error": EventError}
_EVIDENCE_PARTS: dict[Place, type] = {
    ("evidence", "endpoint"): EndpointEvidence,
    ("evidence", "endpoint", "tls"): Tls,
}
# An event in which nothing is null, to try expressions on.
_COMPLETE_EVENT = parse_event(
    {
        "record_id": 1,
        "event_id": 87,
        "log": "Application",
        "computer": "host.example",
        "provider": "Microsoft-Windows-CertificateServicesClient-CertEnroll",
        "level": 2,
        "time_created": "2026-01-01T00:00:00.0000000Z",
        "user_sid": "S-1-5-18",
        "host": "host",
        "data": {
            "Context": "WORKGROUP\\HOST$",
            "Url": f"https://AMD-KeyId-{'0' * 40}.microsoftaik.azure.net:443/templates/Aik/scep",
            "MessageText": "PkiStatus(2): x\nFailInfo(2): x\nEnrollStatus(256): x\nHTTP/1.1 200 OK\nDate: x\n",
            "Method": "POST(1ms)",
            "Stage": "Submit",
            "ErrorCode": "x 0x80094811 (-2146875375 CERTSRV_E_KEY_LENGTH)",
        },
        "message": None,
    }
)
_READS_ALL_CHILDREN = {
    "comparator",
    "and_expression",
    "or_expression",
    "not_expression",
    "function_expression",
    "multi_select_list",
    "multi_select_dict",
    "key_val_pair",
}
_READS_FIRST_CHILD = {
    "index_expression",
    "projection",
    "value_projection",
    "filter_projection",
    "flatten",
    "pipe",
}


class ExpressionError(ValueError):
    """An expression that can't be used; the message says why, in half a sentence."""


class MissingLibraryError(ImportError):
    """A Python library that the controller lacks."""

    def __init__(self, name: str) -> None:
        """Says which library it is and how to install it."""
        super().__init__(f"the Python library {name} is missing on the controller: python3 -m pip install {name}")


class Expression:
    """A compiled JMESPath expression.

    Attributes:
        source: the expression as written.
        reads: every place of {event, evidence} that its value depends on.
    """

    def __init__(self, source: str) -> None:
        """Compiles and checks.

        Raises:
            ExpressionError: it is no JMESPath, names a function or a place that does not exist, or fails on a complete
                event.
            MissingLibraryError: there is no jmespath.
        """
        if JMESPATH_ERROR is not None:
            raise MissingLibraryError("jmespath") from JMESPATH_ERROR
        self.source = source
        try:
            self._compiled = jmespath.compile(source)
        except jmespath.exceptions.JMESPathError as error:
            raise ExpressionError(f"is not valid JMESPath: {str(error).splitlines()[0].rstrip(':')}") from error
        tree: Mapping[str, Any] = self._compiled.parsed
        _check_tree(tree)
        self.reads = frozenset(_reads(tree))
        for place in self.reads:
            _check_place(place)
        if not any(place[:1] == ("evidence",) for place in self.reads):
            try:
                self._compiled.search({"event": _COMPLETE_EVENT, "evidence": {}})
            except (jmespath.exceptions.JMESPathError, TypeError) as error:
                raise ExpressionError(f"fails on an event that has every field: {error}") from error

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Returns whether the value is true as JMESPath has it: not null, false or empty.

        A function that meets a value of the wrong type (mostly null: what is not in the event) counts as false.
        """
        try:
            value = self._compiled.search(document)
        except (jmespath.exceptions.JMESPathError, TypeError):
            return False
        return not (value is None or value is False or value in ("", [], {}))


def _reads(node: Mapping[str, Any], base: Place = ()) -> Iterator[Place]:
    """Yields the places that an expression reads when ``base`` is its current node.

    What is computed from a value is not followed further: the value is read as a whole.
    """
    kind, children = node["type"], node["children"]
    if kind in ("literal", "expref"):  # the function that takes an expref applies it to its other argument
        return
    if kind == "field":
        yield (*base, node["value"])
    elif kind == "subexpression":
        first = next((number for number, child in enumerate(children) if child["type"] != "field"), None)
        names = tuple(child["value"] for child in children[:first])
        if first is None:
            yield base + names
        else:
            yield from _reads(children[first], base + names)
    elif kind in _READS_ALL_CHILDREN:
        if len(base) > 1:  # {a: b} of null is null: it matters whether there is something at all
            yield base
        for child in children:
            yield from _reads(child, base)
    elif kind in _READS_FIRST_CHILD:
        yield from _reads(children[0], base)
    else:  # current, identity, index, slice
        yield base


def _check_tree(node: Any) -> None:
    if not isinstance(node, Mapping):  # the children of a slice are numbers
        return
    children = node["children"]
    if node["type"] == "function_expression":
        _check_call(node["value"], len(children))
    if node["type"] == "subexpression" and children[0]["type"] == "not_expression":
        raise ExpressionError("has ! before a dotted name, where it takes the first part alone: write !(event.url)")
    for child in children:
        _check_tree(child)


def _check_call(name: str, given: int) -> None:
    known = Functions.FUNCTION_TABLE.get(name)
    if known is None:
        raise ExpressionError(f"calls {name}(), which JMESPath does not have")
    signature = known["signature"]
    variadic = bool(signature) and bool(signature[-1].get("variadic"))
    if given < len(signature) or (given > len(signature) and not variadic):
        raise ExpressionError(f"calls {name}() with {given} arguments instead of {len(signature)}")


def _check_place(place: Place) -> None:
    if place and place[0] not in ("event", "evidence"):
        raise ExpressionError(f"reads {place[0]!r}; a rule sees only event and evidence")
    if len(place) < 2:
        return
    if place[0] == "evidence":
        known: type = RuleEvidence
        for depth, name in enumerate(place[1:], 2):
            if name not in known.__annotations__:
                raise ExpressionError(f"reads {'.'.join(place[:depth])}, which no evidence has")
            if place[:depth] not in _EVIDENCE_PARTS:
                return
            known = _EVIDENCE_PARTS[place[:depth]]
        return
    if place[1] not in Event.__annotations__:
        raise ExpressionError(f"reads event.{place[1]}, which no event has")
    part = _PARTS.get(place[1])
    if len(place) > 2 and part is not None and place[2] not in part.__annotations__:
        raise ExpressionError(f"reads event.{place[1]}.{place[2]}, which no event has")
