"""CSV read line by line, so that a stray quote or a bad byte costs its own line and never swallows the next ones.

The grammar is RFC 4180. A quoted field may go on over several lines, but only while none of these lines is a good row
by itself and not all of them look like one: else the quote is a stray one, and it is its line that is rejected.

What does not belong here: what the fields mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from edge_collector.foreign_files.column_map import CsvOptions, MapError
from edge_collector.foreign_files.drafts import Reject, Row

MAX_RECORD_LINES: Final = 100
"""A quoted field that is still open after so many lines was opened by mistake."""


class Line(NamedTuple):
    """One physical line: its number from 1, and its text or why there is none."""

    number: int
    text: str
    problem: str


class Fields(NamedTuple):
    """What a line, or several joined, turned out to be: `fields`, or `open` inside a quote, or a `problem`.

    `loose`: a quote stands inside an unquoted field, as in 7" plate; it is taken as it stands.
    """

    fields: list[str]
    open: bool = False
    problem: str = ""
    loose: bool = False


def read_csv(path: Path, options: CsvOptions) -> tuple[list[str], list[Row], list[Reject]]:
    """Columns, rows and rejected lines of a CSV file. Blank lines are no rows.

    A row that goes over several lines has the number of its first. Raises MapError for an unreadable header.
    """
    return parse_csv(path, path.read_bytes(), options)


def parse_csv(path: Path, content: bytes, options: CsvOptions) -> tuple[list[str], list[Row], list[Reject]]:
    """As `read_csv`, of content that has been read from `path` before."""
    lines = list(_lines(content, options.encoding))
    if options.header:
        columns = _header(path, lines[:1], options)
        lines = lines[1:]
    else:
        columns = list(options.column_names)
    rows: list[Row] = []
    rejects: list[Reject] = []
    at = 0
    while at < len(lines):
        number, _, problem = lines[at]
        if not problem:
            taken, fields, problem = _record(lines, at, len(columns), options.delimiter)
            at += taken
            if not problem:
                rows.append(Row(number, fields))
                continue
        else:
            at += 1
        rejects.append(Reject(number, problem))
    return columns, rows, rejects


def _lines(content: bytes, encoding: str) -> Iterator[Line]:
    if encoding.lower().replace("_", "-") in ("utf-8-sig", "utf-8", "utf8"):
        encoding, content = "utf-8", content.removeprefix(b"\xef\xbb\xbf")
    # Encodings that extend ASCII never use the bytes of line ends for anything else, so bytes can be split.
    for number, raw in enumerate(content.splitlines(keepends=True), start=1):
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError as error:
            byte = raw[error.start]
            yield Line(number, "", f"not {encoding}: byte 0x{byte:02x} at position {error.start + 1}; see csv.encoding")
            continue
        if text.strip():
            yield Line(number, text, "")


def _header(path: Path, first: Sequence[Line], options: CsvOptions) -> list[str]:
    if not first:
        raise MapError(path, ["the file is empty; a header line is expected"])
    if first[0].problem:
        raise MapError(path, [f"line {first[0].number}: {first[0].problem}"])
    header = parse_fields(first[0].text.rstrip("\r\n"), options.delimiter)
    if header.problem or header.open:
        raise MapError(
            path, [f"line {first[0].number}: {header.problem or 'an open quote'}; a header line is expected"]
        )
    return [name.strip() for name in header.fields]


def _record(lines: Sequence[Line], at: int, width: int, delimiter: str) -> tuple[int, list[str], str]:
    """How many lines the record at `at` takes, its fields, and what is wrong with it."""
    text = lines[at].text
    parsed = parse_fields(text.rstrip("\r\n"), delimiter)
    if not parsed.open:
        problem = parsed.problem
        if not problem and len(parsed.fields) != width:
            problem = f"{len(parsed.fields)} columns are given; {width} are expected"
        return 1, parsed.fields, problem
    for taken in range(2, MAX_RECORD_LINES + 1):
        if at + taken > len(lines):
            break
        following = lines[at + taken - 1]
        if following.problem or _is_row(following.text, width, delimiter):
            break
        if _looks_whole(lines[at].text, width, delimiter) and _looks_whole(following.text, width, delimiter):
            break
        text += following.text
        longer = parse_fields(text.rstrip("\r\n"), delimiter)
        if longer.open:
            continue
        if longer.problem or len(longer.fields) != width:
            break
        return taken, longer.fields, ""
    return 1, [], "a quote opens on this line and nothing closes it; a closing quote, or none, is expected"


def _is_row(text: str, width: int, delimiter: str) -> bool:
    parsed = parse_fields(text.rstrip("\r\n"), delimiter)
    return not parsed.open and not parsed.problem and len(parsed.fields) == width and not parsed.loose


def _looks_whole(text: str, width: int, delimiter: str) -> bool:
    """Whether a line has as many delimiters as a row. Two such lines with a quote each are two bad rows, not one."""
    return text.count(delimiter) == width - 1


def parse_fields(text: str, delimiter: str) -> Fields:
    """The fields of a line.

    >>> parse_fields('a,"b ""c"", d",e', ",").fields
    ['a', 'b "c", d', 'e']
    >>> parse_fields('"', ",").open
    True
    """
    if '"' not in text:
        return Fields(text.split(delimiter))
    quoted, plain = _field_patterns(delimiter)
    fields: list[str] = []
    at, loose = 0, False
    while True:
        if text.startswith('"', at):
            match = quoted.match(text, at)
            if match is None:
                return Fields(fields, open=True)
            fields.append(match[1].replace('""', '"'))
        else:
            match = plain.match(text, at)
            assert match is not None
            loose = loose or '"' in match[0]
            fields.append(match[0])
        at = match.end()
        if at == len(text):
            return Fields(fields, loose=loose)
        if text[at] != delimiter:
            return Fields(
                fields, problem=f"text follows a closing quote at position {at + 1}; {delimiter!r} is expected"
            )
        at += 1


@cache
def _field_patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    return re.compile(r'"((?:[^"]++|"")*+)"'), re.compile(f"[^{re.escape(delimiter)}]*")
