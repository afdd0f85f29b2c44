"""The DAX that measures and questions are written in, as a tree: calls, columns, measures, operators, literals, VAR.

Written for the tests, from the language's reference, and shares nothing with the package. What does not belong here:
what a tree evaluates to (dax_evaluator.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

_TOKENS: Final = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"]|"")*")
    | (?P<number>\d+(?:\.\d+)?)
    | (?P<column>(?:'[^']+'|[A-Za-z_]\w*)\[[^\]]+\])
    | (?P<measure>\[[^\]]+\])
    | (?P<name>[A-Za-z_][\w.]*)
    | (?P<operator><=|>=|<>|&&|\|\||[=<>+\-*/(),&{}])
    )""",
    re.VERBOSE,
)
# From what binds least to what binds most; operators of one level are taken from left to right.
_LEVELS: Final = (("||",), ("&&",), ("=", "<>", "<", "<=", ">", ">="), ("&",), ("+", "-"), ("*", "/"))


@dataclass(frozen=True)
class Literal:
    """A number or a text."""

    value: Any


@dataclass(frozen=True)
class Column:
    """table[name]"""

    table: str
    name: str


@dataclass(frozen=True)
class Measure:
    """[name]: a measure, or a column that the query itself has made."""

    name: str


@dataclass(frozen=True)
class Table:
    """The name of a table or of a variable."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function or, by its sign, an operator; {} is the table of its values."""

    function: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True)
class Let:
    """VAR name = value ... RETURN body"""

    variables: tuple[tuple[str, Expression], ...]
    body: Expression


Expression = Literal | Column | Measure | Table | Call | Let


def parse(text: str) -> Expression:
    """The tree of an expression. Raises ValueError for what is not of this part of DAX."""
    parser = _Parser(_tokens(text))
    found = parser.whole()
    if parser.ahead != ("", ""):
        raise ValueError(f"{parser.ahead[1]!r} is too much in {text!r}")
    return found


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        token = _TOKENS.match(text, at)
        if token is None:
            raise ValueError(f"{text[at:]!r} is no DAX that we know")
        found.append((str(token.lastgroup), token[token.lastgroup or 0]))
        at = token.end()
    return found


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = [*tokens, ("", "")]

    @property
    def ahead(self) -> tuple[str, str]:
        return self._tokens[0]

    def take(self, sign: str = "") -> str:
        kind, text = self._tokens.pop(0)
        if not kind or (sign and text != sign):
            raise ValueError(f"{sign or 'an expression'} is expected, {text or 'the end'} is there")
        return text

    def whole(self) -> Expression:
        variables = []
        while self.ahead == ("name", "VAR"):
            self.take()
            name, _ = self.take(), self.take("=")
            variables.append((name, self.level(0)))
        if variables:
            self.take("RETURN")
        body = self.level(0)
        return Let(tuple(variables), body) if variables else body

    def level(self, level: int) -> Expression:
        if level == len(_LEVELS):
            return self.single()
        left = self.level(level + 1)
        while self.ahead[0] == "operator" and self.ahead[1] in _LEVELS[level]:
            left = Call(self.take(), (left, self.level(level + 1)))
        return left

    def single(self) -> Expression:
        kind, text = self.ahead[0], self.take()
        if kind == "text":
            return Literal(text[1:-1].replace('""', '"'))
        if kind == "number":
            return Literal(float(text) if "." in text else int(text))
        if kind == "column":
            table, _, name = text.removesuffix("]").partition("[")
            return Column(table.strip("'"), name)
        if kind == "measure":
            return Measure(text[1:-1])
        if text == "(":
            inner = self.whole()
            self.take(")")
            return inner
        if text == "{":
            return Call("{}", self.arguments("}"))
        if kind == "name" and self.ahead[1] == "(":
            self.take("(")
            return Call(text, self.arguments(")"))
        if kind == "name":
            return Table(text)
        raise ValueError(f"{text} is there, where a value is expected")

    def arguments(self, end: str) -> tuple[Expression, ...]:
        found: list[Expression] = []
        while self.ahead[1] != end:
            if found:
                self.take(",")
            found.append(self.whole())
        self.take(end)
        return tuple(found)
