# Copyright: (c) 2026, winpki.scep contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data on its way from a template into plain Python and back, the same with ansible-core 2.17 to 2.19.

Since 2.19 a filter is given containers that render each value when it is looked at, which costs more than all the work
on an event. What the containers hold is data already, unless it is a template that the user wrote: only then, and for
types other than JSON's, the values are taken through the containers.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from ansible.utils.unsafe_proxy import AnsibleUnsafeText

try:
    from ansible.template import is_trusted_as_template
except ImportError:
    # Before ansible-core 2.19 every text is a template unless it is wrapped as unsafe.
    TEMPLATES_ARE_TAGGED = False
else:
    TEMPLATES_ARE_TAGGED = True

_UNSAFE: Callable[[str], Any] = AnsibleUnsafeText
_PLAIN_TYPES = frozenset({str, int, float, bool, type(None)})
_CONTAINERS = frozenset({dict, list})
_PLAIN_AND_CONTAINERS = _PLAIN_TYPES | _CONTAINERS
_SCALARS = (int, float, datetime)


class _HasToBeRenderedError(Exception):
    """The data is not plain yet: it holds a template or a type that JSON does not have."""


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keeps Python from looking for garbage meanwhile.

    A filter over many events holds all that it makes, so there is none, and Python would go through all data of the
    play again and again: nearly half of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def plain(value: Any) -> Any:
    """Returns the data as dicts, lists, texts and numbers without tags; templates of the user are rendered."""
    try:
        return _copy(_unwrapped(value))
    except _HasToBeRenderedError:
        return _render(value)


def plain_items(value: Any) -> Iterator[Any]:
    """Yields the elements of a list, each as ``plain`` returns it. So only one copy exists at a time."""
    for index, item in enumerate(_unwrapped(value)):
        try:
            element = _copy(item)
        except _HasToBeRenderedError:
            element = _render(value[index])
        yield element


def as_data(result: Sequence[Any], given: Any) -> list[Any]:
    """Returns the result of a filter such that no text in it is ever taken for a template.

    Args:
        result: plain data.
        given: what the filter was given.
    """
    if not TEMPLATES_ARE_TAGGED:
        return [_wrapped(item) for item in result]
    # A list of the given one's kind takes what is put into it as rendered; a plain one is rendered value by value.
    filled = given[:0] if isinstance(given, list) else []
    filled += result
    return filled


def type_name(value: Any) -> str:
    """Returns the name of a value's plain type, whatever it is wrapped in."""
    plain_types = (bool, int, float, str, list, tuple, dict)
    return next((kind.__name__ for kind in plain_types if isinstance(value, kind)), type(value).__name__)


def _unwrapped(value: Any) -> Any:
    """Returns a container with its values as they are stored; values below are never containers that render."""
    unwrap = getattr(value, "_non_lazy_copy", None)
    return value if unwrap is None else unwrap()


def _is_plain(value: Any) -> bool:
    """Returns whether a value holds nothing but Python's own types: looking costs far less than copying.

    Keys are not looked at: a tag on one changes nothing.
    """
    kind = type(value)
    if kind is dict:
        items = value.values()
    elif kind is list:
        items = value
    else:
        return kind in _PLAIN_TYPES
    kinds = set(map(type, items))
    if not kinds <= _PLAIN_AND_CONTAINERS:
        return False
    if kinds.isdisjoint(_CONTAINERS):
        return True
    return all(_is_plain(item) for item in items if type(item) in _CONTAINERS)


def _copy(value: Any) -> Any:
    if _is_plain(value):
        return value
    if isinstance(value, str):
        return _untagged_text(value)
    if isinstance(value, dict):
        return {_untagged(key): _copy(item) for key, item in _unwrapped(value).items()}
    if isinstance(value, (list, tuple)):
        return [_copy(item) for item in _unwrapped(value)]
    if isinstance(value, _SCALARS):
        return _untagged(value)
    raise _HasToBeRenderedError


def _untagged_text(value: str) -> str:
    if TEMPLATES_ARE_TAGGED and _may_be_template(value) and is_trusted_as_template(value):
        raise _HasToBeRenderedError
    return str.__str__(value)


def _may_be_template(value: str) -> bool:
    return "{" in value and any(start in value for start in ("{{", "{%", "{#"))


def _render(value: Any) -> Any:
    """Returns a copy for which every value was looked at through its container."""
    if isinstance(value, Mapping):
        return {_render(key): _render(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_render(item) for item in value]
    return _untagged(value)


def _untagged(value: Any) -> Any:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, datetime):  # YAML makes one of a text that looks like it
        return value.isoformat()
    if isinstance(value, float):
        return float(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _wrapped(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSAFE(value) if "{" in value else value
    if isinstance(value, dict):
        return {key: _wrapped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_wrapped(item) for item in value]
    return value
