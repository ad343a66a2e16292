"""Reads the mappings of a scenario file key by key, and names the place of a mistake."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

_DURATION = re.compile(r"(-?)(\d+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class ScenarioError(Exception):
    """A scenario that cannot be used; the message names the file, the host and the key."""


class Node:
    """A mapping of the file, read key by key; what is left over at the end is a mistake.

    Every method takes the key's value out, and refuses one of another kind with a ScenarioError.
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ScenarioError(f"{where}: a mapping is needed, not {value!r}")
        self._left = dict(value)
        self.where = where

    def rest(self) -> dict[str, Any]:
        """What is left, for a mapping whose keys are names of the user's."""
        left, self._left = self._left, {}
        return left

    def take(self, key: str) -> Any:
        """The value, of any kind; None if it is not there."""
        return self._left.pop(key, None)

    def wrong(self, key: str, what: str) -> ScenarioError:
        """The error that names the file, the host and this key."""
        return ScenarioError(f"{self.where}: {key}: {what}")

    def text(self, key: str) -> str | None:
        """Text."""
        value = self.take(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, f"text is needed, not {value!r}")
        return value

    def choice(self, key: str, among: tuple[str, ...]) -> str | None:
        """One of these texts."""
        value = self.text(key)
        if value is not None and value not in among:
            raise self.wrong(key, f"one of {', '.join(among)} is needed, not {value!r}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.take(key)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(key, f"true or false is needed, not {value!r}")
        return default if value is None else value

    def number(self, key: str, least: int) -> int | None:
        """A whole number, not less than ``least``."""
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self.wrong(key, f"a whole number from {least} up is needed, not {value!r}")
        return value

    def duration(self, key: str, *, signed: bool = False) -> timedelta | None:
        """A duration; ``signed`` lets it be negative."""
        value = self.take(key)
        if value is None:
            return None
        found = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if found is None or (found[1] and not signed):
            raise self.wrong(key, f"a duration such as 90s, 15m, 2h or 3d is needed, not {value!r}")
        return timedelta(**{_UNITS[found[3]]: int(found[1] + found[2])})

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.take(key) or []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.wrong(key, f"a list of texts is needed, not {value!r}")
        return tuple(value)

    def node(self, key: str) -> Node:
        """A mapping; an empty one if it is not there."""
        value = self.take(key)
        return Node({} if value is None else value, f"{self.where}: {key}")

    def named(self, key: str) -> list[tuple[str, Node]]:
        """A mapping of mappings, by names of the user's."""
        return [
            (str(name), Node(value or {}, f"{self.where}: {key}: {name}"))
            for name, value in self.node(key).rest().items()
        ]

    def nodes(self, key: str) -> list[Node]:
        """A list of mappings."""
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.wrong(key, f"a list is needed, not {value!r}")
        return [Node(entry, f"{self.where}: {key} {number}") for number, entry in enumerate(value, 1)]

    def finish(self) -> None:
        """Refuses what is left."""
        if self._left:
            raise ScenarioError(f"{self.where}: {', '.join(map(str, self._left))}: there is no such key")
