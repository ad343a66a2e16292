"""Reads a small XML document into elements by their local names. A document type is refused, so no entity is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat


@dataclass
class Element:
    """An XML element; names of elements and attributes are without their namespaces."""

    name: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def child(self, name: str) -> Element:
        """The first child of that name, or an empty element."""
        return next(self.all(name), Element(name, {}))

    def all(self, name: str) -> Iterator[Element]:
        """The children of that name."""
        return (child for child in self.children if child.name == name)


def parse(document: bytes) -> Element:
    """Returns the document's root.

    Raises:
        ValueError: it is not well-formed, or has a document type.
    """
    top = Element("", {})
    opened = [top]

    def start(name: str, attributes: dict[str, str]) -> None:
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        opened[-1].children.append(element)
        opened.append(element)

    def end(_name: str) -> None:
        opened.pop()

    def characters(data: str) -> None:
        opened[-1].text += data

    def doctype(*_declared: object) -> None:
        raise ValueError("a document type is not allowed")

    reader = expat.ParserCreate(namespace_separator=" ")
    reader.buffer_text = True
    reader.StartElementHandler = start
    reader.EndElementHandler = end
    reader.CharacterDataHandler = characters
    reader.StartDoctypeDeclHandler = doctype
    try:
        reader.Parse(document, True)
    except expat.ExpatError as error:
        raise ValueError(str(error)) from error
    return top.children[0]


def _local(name: str) -> str:
    return name.rpartition(" ")[2]
