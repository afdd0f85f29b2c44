"""TMDL, the text form of a semantic model: objects by indentation, written and read.

What does not belong here: which objects a model has (model.py), and whether they fit together (lint.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

PROPERTIES: Final[Mapping[str, frozenset[str]]] = {
    "database": frozenset({"compatibilityLevel"}),
    "model": frozenset({"culture", "defaultPowerBIDataSourceVersion", "sourceQueryCulture"}),
    "dataAccessOptions": frozenset({"legacyRedirects", "returnErrorValuesAsNull"}),
    "table": frozenset({"lineageTag", "dataCategory", "isHidden"}),
    "column": frozenset(
        {
            "dataType",
            "isHidden",
            "isKey",
            "formatString",
            "lineageTag",
            "summarizeBy",
            "sourceColumn",
            "sortByColumn",
            "dataCategory",
            "displayFolder",
        }
    ),
    "measure": frozenset({"formatString", "displayFolder", "lineageTag", "isHidden"}),
    "partition": frozenset({"mode", "source"}),
    "relationship": frozenset({"fromColumn", "toColumn", "isActive", "crossFilteringBehavior"}),
    "expression": frozenset({"lineageTag"}),
    "annotation": frozenset(),
    "cultureInfo": frozenset(),
    "translations": frozenset(),
    "ref": frozenset(),
}
"""The kinds of object that we write, each with the properties that it may have."""

_TRANSLATED: Final = frozenset({"caption", "description", "displayFolder"})
_UNNAMED: Final = frozenset({"database", "dataAccessOptions", "translations"})
_PLAIN_NAME: Final = re.compile(r"[\w-]+")
_OBJECT: Final = re.compile(
    r"(?P<kind>[A-Za-z]+)(?: (?P<name>'(?:[^']|'')+'|[\w-]+))?(?: =(?P<value>.*))?", re.ASCII | re.DOTALL
)
_REFERENCE: Final = re.compile(r"ref (?P<kind>table|cultureInfo) (?P<name>'(?:[^']|'')+'|[\w-]+)", re.ASCII)
_PROPERTY: Final = re.compile(r"(?P<name>[A-Za-z]+): (?P<value>\S.*)")


class TmdlError(ValueError):
    """A text that is not the TMDL that we write: says in which line and what is wrong."""


@dataclass
class Node:
    """An object: its kind, its name, its default property (after =), its properties and what it owns.

    Of a property, True is a bare flag; text is a value, or code where `code` names it.
    """

    kind: str
    name: str = ""
    value: str | None = None
    properties: dict[str, str | bool] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)
    description: str = ""

    def of(self, kind: str) -> Iterator[Node]:
        """The children of a kind."""
        return (child for child in self.children if child.kind == kind)

    def text(self, name: str) -> str:
        """A property as text; empty where it has none."""
        value = self.properties.get(name, "")
        return value if isinstance(value, str) else ""


def quoted(name: str) -> str:
    """A name as TMDL writes it."""
    return name if _PLAIN_NAME.fullmatch(name) and name.isascii() else "'" + name.replace("'", "''") + "'"


def unquoted(name: str) -> str:
    """The name that TMDL writes so."""
    return name[1:-1].replace("''", "'") if name.startswith("'") else name


def write(nodes: list[Node]) -> str:
    """Objects at the top of a file, as text."""
    blocks = ["\n".join(_lines(node, 0)) for node in nodes]
    gaps = ["\n" if one.kind == next_one.kind == "ref" else "\n\n" for one, next_one in pairwise(nodes)]
    return "".join(block + gap for block, gap in zip(blocks, [*gaps, "\n"], strict=True))


def _lines(node: Node, depth: int) -> Iterator[str]:
    indent = "\t" * depth
    for line in node.description.splitlines():
        yield f"{indent}/// {line}"
    head = f"{indent}{node.kind}{f' {quoted(node.name)}' if node.name else ''}"
    if node.kind == "ref":
        head = f"{indent}ref {node.value} {quoted(node.name)}"
    elif node.value is not None:
        head += " ="
    if node.kind == "ref" or node.value is None:
        yield head
    else:
        yield from _code(head, node.value, depth)
    for name, value in node.properties.items():
        if name == "source" and isinstance(value, str):
            yield from _code(f"{indent}\t{name} =", value, depth + 1)
        else:
            yield f"{indent}\t{name}" if value is True else f"{indent}\t{name}: {value}"
    for child in node.children:
        yield ""
        yield from _lines(child, depth + 1)


def _code(head: str, code: str, depth: int) -> Iterator[str]:
    """Code of one line stays on the line; longer code goes below, deeper than any property."""
    lines = code.splitlines()
    if len(lines) == 1:
        yield f"{head} {code}"
        return
    yield head
    for line in lines:
        yield "\t" * (depth + 2) + line if line.strip() else ""


def read(text: str) -> list[Node]:
    """The objects of a file. Raises TmdlError."""
    return _Reader(text).objects(0, None)


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.at = 0
        if text.startswith("\ufeff"):
            raise self._error("a byte order mark, which Power BI refuses")

    def _error(self, what: str) -> TmdlError:
        return TmdlError(f"line {self.at + 1}: {what}")

    def _tabs(self) -> int:
        line = self.lines[self.at]
        return len(line) - len(line.lstrip("\t"))

    def _depth(self) -> int:
        depth = self._tabs()
        if self.lines[self.at][depth : depth + 1] == " ":
            raise self._error("indented with spaces; tabs are expected")
        return depth

    def _blank(self) -> bool:
        return not self.lines[self.at].strip()

    def objects(self, depth: int, parent: Node | None) -> list[Node]:
        """The objects at a depth, up to a line that is shallower."""
        found: list[Node] = []
        while self.at < len(self.lines):
            if self._blank():
                self.at += 1
                continue
            given = self._depth()
            if given < depth:
                break
            if given > depth:
                raise self._error(f"{given} tabs given, {depth} expected")
            found.append(self._object(depth, parent))
        return found

    def _object(self, depth: int, parent: Node | None) -> Node:
        description = []
        while self.at < len(self.lines) and self.lines[self.at].strip().startswith("///"):
            description.append(self.lines[self.at].strip()[3:].strip())
            self.at += 1
        if self.at == len(self.lines) or self._blank():
            raise self._error("a description without an object directly below it")
        if self._depth() != depth:
            raise self._error(f"{self._depth()} tabs given, {depth} expected")
        line = self.lines[self.at][depth:]
        if reference := _REFERENCE.fullmatch(line):
            self.at += 1
            return Node("ref", unquoted(reference["name"]), reference["kind"])
        match = _OBJECT.fullmatch(line)
        if not match or match["kind"] not in PROPERTIES or bool(match["name"]) == (match["kind"] in _UNNAMED):
            raise self._error(f"neither a property nor an object: {line}")
        if description and match["kind"] == "relationship":
            raise self._error("a relationship takes no description")
        node = Node(match["kind"], unquoted(match["name"] or ""), description="\n".join(description))
        self.at += 1
        if match["value"] is not None:
            node.value = self._expression(match["value"], depth)
        self._properties(node, depth + 1, translated=_is_translated(parent))
        within = Node("translation") if node.kind == "translations" or _is_translated(parent) else node
        node.children = self.objects(depth + 1, within)
        return node

    def _properties(self, node: Node, depth: int, *, translated: bool) -> None:
        allowed = _TRANSLATED if translated else PROPERTIES[node.kind]
        while self.at < len(self.lines) and not self._blank() and self._depth() == depth:
            line = self.lines[self.at][depth:]
            match = _PROPERTY.fullmatch(line)
            name = match["name"] if match else line.removesuffix(" =").partition(" = ")[0]
            if name not in allowed:
                if match or not (_OBJECT.fullmatch(line) or line.startswith(("ref ", "///"))):
                    raise self._error(f"not a property of a {node.kind}: {line}")
                return
            if name in node.properties:
                raise self._error(f"{name} is given twice")
            self.at += 1
            if match:
                node.properties[name] = match["value"]
            elif line == name:
                node.properties[name] = True
            else:
                node.properties[name] = self._expression(line.partition(" =")[2], depth)

    def _expression(self, inline: str, depth: int) -> str:
        """Code after `=`, or the lines below that are deeper than a property of what it belongs to."""
        if inline.strip():
            return inline.strip()
        lines: list[str] = []
        while self.at < len(self.lines) and (self._blank() or self._tabs() >= depth + 2):
            lines.append(self.lines[self.at][depth + 2 :])
            self.at += 1
        while lines and not lines[-1].strip():
            lines.pop()
            self.at -= 1
        if not lines:
            raise self._error("nothing after =, and no code below it")
        return "\n".join(lines)


def _is_translated(parent: Node | None) -> bool:
    return parent is not None and parent.kind == "translation"
