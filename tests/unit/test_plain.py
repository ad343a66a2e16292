"""Data from templates as plain Python, with the containers of ansible-core 2.19 (2.17: tests/integration)."""

from __future__ import annotations

import contextlib
import gc
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible.template import Templar, trust_as_template
from ansible_collections.winpki.scep.plugins.plugin_utils import plain as module
from ansible_collections.winpki.scep.plugins.plugin_utils.plain import plain, plain_items, type_name

NESTED = {"a": ["x", {"b": "{{ not a template }}", "n": 1, "f": 1.5, "t": True, "z": None}], "c": {}}


class Taken:
    """Stands for a filter, and keeps what it was given as Python has it."""

    def __init__(self) -> None:
        self.types: list[str] = []

    def __call__(self, value: Any) -> Any:
        self.types.append(type(value).__name__)
        return plain(value)


def render(expression: str, **variables: Any) -> tuple[Any, str]:
    """What plain() makes of an expression's value, and the type in which that came."""
    taken = Taken()
    templar = Templar(variables=variables)
    templar.environment.filters["taken"] = taken
    return templar.template(trust_as_template(f"{{{{ {expression} | taken }}}}")), taken.types[0]


@pytest.mark.filterwarnings("ignore")
def test_containers_that_render_are_read_without_rendering() -> None:
    value, kind = render("value", value=NESTED)
    assert kind == "_AnsibleLazyTemplateDict"
    assert value == NESTED


@pytest.mark.filterwarnings("ignore")
def test_a_template_in_them_is_rendered() -> None:
    variables = {"value": [{"a": trust_as_template("{{ other }}"), "b": "{{ other }}"}], "other": "x"}
    assert render("value", **variables)[0] == [{"a": "x", "b": "{{ other }}"}]


def test_tags_go() -> None:
    value = plain({trust_as_template("k"): [trust_as_template("text"), (1, 2)]})
    assert value == {"k": ["text", [1, 2]]}
    assert {type(item) for item in (*value, *value["k"])} == {str, list}


def test_plain_data_is_not_copied() -> None:
    assert plain(NESTED) is NESTED
    items = [NESTED, NESTED]
    assert all(item is NESTED for item in plain_items(items))


def test_times_become_texts() -> None:
    moment = datetime(2026, 11, 3, 10, 15, tzinfo=timezone.utc)
    assert plain([moment]) == ["2026-11-03T10:15:00+00:00"]


def test_any_other_type_is_left() -> None:
    odd = object()
    assert plain([{"a": odd}, "x"]) == [{"a": odd}, "x"]


def test_without_tags_texts_that_look_like_templates_are_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    """As before ansible-core 2.19, where every text is a template else."""
    monkeypatch.setattr(module, "TEMPLATES_ARE_TAGGED", False)
    monkeypatch.setattr(module, "_UNSAFE", lambda text: f"unsafe {text}")
    assert module.as_data(["x", {"a": ["{", 1]}], []) == ["x", {"a": ["unsafe {", 1]}]


def test_garbage_is_looked_for_again_afterwards() -> None:
    with contextlib.suppress(ValueError), module.no_garbage_collection():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled()


@pytest.mark.filterwarnings("ignore")
def test_a_result_is_not_rendered_again() -> None:
    """What a filter gives is put into a list of the kind that it was given, which takes it as it is."""
    given: list[Any] = []

    def result(value: Any) -> Any:
        given.append(module.as_data([NESTED, {"t": "{{ other }}"}], value))
        return given[0]

    templar = Templar(variables={"value": [1], "other": "x"})
    templar.environment.filters["result"] = result
    assert templar.template(trust_as_template("{{ value | result }}")) == [NESTED, {"t": "{{ other }}"}]
    assert type(given[0]).__name__ == "_AnsibleLazyTemplateList"
    assert templar.template(trust_as_template("{{ (value | result)[1].t }}")) == "{{ other }}"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("", "str"),
        ([], "list"),
        ({}, "dict"),
        (True, "bool"),
        (1, "int"),
        (None, "NoneType"),
        (trust_as_template("x"), "str"),
    ],
)
def test_names_of_types(value: object, name: str) -> None:
    assert type_name(value) == name
