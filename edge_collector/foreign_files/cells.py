"""Cells: what one cell of somebody else's file says under its column map, as text, number, time or identifier.

What does not belong here: what a row of them becomes (`drafts`), how a map is written (`column_map`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final, NamedTuple

from edge_collector.contract import INTEGER_RANGE
from edge_collector.event_time import Resolution, event_date, to_instant
from edge_collector.foreign_files.column_map import BoundMap

Cell = str | int | Decimal | datetime | None
"""Text as a CSV file has it, or the value of a typed column, which is never read through number or time formats."""

MAX_TEXT: Final = 1000
"""Longer texts are refused: no id or category is that long, and a record must stay well below 64 KiB."""
MAX_AMOUNT: Final = Decimal(10) ** 16
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_FLOAT_ID: Final = re.compile(r"([0-9]+)\.0+")


class Unusable(ValueError):
    """A cell that cannot be taken: which field, what was given, what is expected."""

    def __init__(self, field: str, given: str, expected: str) -> None:
        self.field, self.given, self.expected = field, given, expected
        super().__init__(f"{field}: {given}; {expected}")

    def reason(self, secret: str) -> str:
        """The sentence for the rejects file, without the value where that holds the `secret` member number."""
        shows_value = self.given.endswith(" is given")
        hidden = secret and shows_value and (secret in self.given or "..." in self.given)
        given = "a value that may hold the user's number is given" if hidden else self.given
        return f"{self.field}: {given}; {self.expected}"


def shown(text: str) -> str:
    return f"{text[:60]!r}{'...' if len(text) > 60 else ''} is given"


def _plain(value: Decimal) -> str:
    return str(int(value)) if value == value.to_integral_value() else format(value, "f")


class Moment(NamedTuple):
    """A time cell understood: the instant, the local time as given (None when it came with an offset), how sure."""

    instant: datetime
    local: datetime | None
    resolution: Resolution


class Cells:
    """Reads cells as the map says. Times and numbers are remembered, because files repeat them."""

    def __init__(self, bound: BoundMap, columns: Sequence[str]) -> None:
        self._bound, self._columns = bound, list(columns)
        self._nulls = frozenset(bound.map.null_values)
        self._formats, self._zone = bound.map.time_formats, bound.time_zone
        numbers = bound.map.numbers
        separator = f"[{re.escape(numbers.thousands)}]"
        if numbers.thousands == " ":
            separator = "[ \u00a0\u202f]"
        grouped = rf"[0-9]{{1,3}}(?:{separator}[0-9]{{3}})+|" if numbers.thousands else ""
        self._number = re.compile(rf"([+-]?)((?:{grouped}[0-9]+)?)(?:{re.escape(numbers.decimal)}([0-9]*))?")
        self._moments: dict[str, Moment] = {}
        self._decimals: dict[str, Decimal] = {}
        self.ambiguous = self.nonexistent = 0

    def position(self, field: str) -> int | None:
        """Where the column of a contract field stands in a row."""
        name = getattr(self._bound.map.columns, field, None)
        return None if name is None else self.index(name)

    def index(self, column: str) -> int:
        """Where a column stands in a row."""
        return self._columns.index(column)

    def text(self, field: str, cell: Cell) -> str:
        """The cell as text without surrounding blanks; empty where there is none."""
        if cell is None:
            return ""
        if type(cell) is str:
            text = cell.strip()
        elif isinstance(cell, Decimal):
            text = _plain(cell)
        else:
            text = cell.isoformat() if isinstance(cell, datetime) else str(cell)
        if len(text) > MAX_TEXT:
            raise Unusable(field, f"{len(text)} characters are given", f"at most {MAX_TEXT} are expected")
        return "" if text in self._nulls else text

    def required(self, field: str, cell: Cell) -> str:
        """The cell as text that is not empty."""
        text = self.text(field, cell)
        if not text:
            raise Unusable(field, "empty", "a value is expected")
        return text

    def identifier(self, field: str, cell: Cell) -> str:
        """The cell as a number of a member or an order, which is no quantity: 13085.0 is 13085."""
        text = self.text(field, cell)
        if text.endswith("0") and (match := _FLOAT_ID.fullmatch(text)):
            return match[1]
        return text

    def decimal(self, field: str, cell: Cell) -> Decimal:
        """The cell as a number, exactly as written."""
        if isinstance(cell, Decimal):
            value = cell
        elif isinstance(cell, int):
            value = Decimal(cell)
        else:
            text = self.required(field, cell)
            known = self._decimals.get(text)
            if known is not None:
                return known
            value = self._decimals[text] = self._parse(field, text)
        if not value.is_finite():
            raise Unusable(field, shown(str(value)), "a number is expected")
        return value

    def _parse(self, field: str, text: str) -> Decimal:
        match = self._number.fullmatch(text)
        numbers = self._bound.map.numbers
        if match is None or not (match[2] or match[3]):
            example = f"1234{numbers.decimal}50"
            if numbers.thousands:
                example += f" or 1{numbers.thousands}234{numbers.decimal}50"
            raise Unusable(
                field,
                shown(text),
                f"a number such as {example} is expected (the map's [numbers] says how it is written)",
            )
        try:
            return Decimal(f"{match[1]}{re.sub('[^0-9]', '', match[2]) or '0'}.{match[3] or '0'}")
        except InvalidOperation:
            raise Unusable(field, shown(text), "a number is expected") from None

    def integer(self, field: str, cell: Cell) -> int:
        """The cell as a whole number."""
        value = self.decimal(field, cell)
        number = int(value) if abs(value) < MAX_AMOUNT * 1000 else INTEGER_RANGE[1] + 1
        if number != value or not INTEGER_RANGE[0] <= number <= INTEGER_RANGE[1]:
            raise Unusable(field, shown(str(cell)), "a whole number is expected")
        return number

    def moment(self, field: str, cell: Cell) -> Moment:
        """The cell as a time; counts the ambiguous and nonexistent ones."""
        key = cell if type(cell) is str else str(cell)
        moment = self._moments.get(key)
        if moment is None:
            moment = self._moments[key] = self._resolve(field, cell)
        if moment.resolution != "exact":
            self.ambiguous += moment.resolution == "ambiguous"
            self.nonexistent += moment.resolution == "nonexistent"
        return moment

    def _resolve(self, field: str, cell: Cell) -> Moment:
        given = cell if isinstance(cell, datetime) else self._parse_time(field, self.required(field, cell))
        try:
            if given.tzinfo is not None:
                return Moment(given.astimezone(UTC), None, "exact")
            instant, resolution = to_instant(given, self._zone)
        except OverflowError:
            instant = datetime.min.replace(tzinfo=UTC)
        if not 1900 <= instant.year <= 9000:
            raise Unusable(field, shown(str(cell)), "a time between 1900 and 9000 is expected")
        return Moment(instant, given, resolution)

    def _parse_time(self, field: str, text: str) -> datetime:
        for time_format in self._formats:
            if time_format != "iso":
                try:
                    return datetime.strptime(text, time_format)
                except ValueError:
                    continue
        if _ISO.fullmatch(text):
            try:
                return datetime.fromisoformat(text)
            except ValueError:
                pass
        formats = " or ".join("2026-01-31 18:30:00" if f == "iso" else f for f in self._formats)
        raise Unusable(field, shown(text), f"a time as in the map's time_formats ({formats}) is expected")

    def event_date(self, field: str, instant: datetime) -> date:
        """The event date of an instant. Before the site opened there are no partitions that could hold it."""
        venue = self._bound.venue
        day = event_date(instant, venue.time_zone, venue.day_starts_at)
        if day < self._bound.opened_on:
            raise Unusable(
                field,
                f"event date {day} is before {self._bound.opened_on}, when the site opened",
                "a later date, or an earlier opened_on in site.toml, is expected",
            )
        return day

    def count_again(self, moment: Moment) -> None:
        """Take back what `moment` counted, for a time that was read only to learn a duration."""
        self.ambiguous -= moment.resolution == "ambiguous"
        self.nonexistent -= moment.resolution == "nonexistent"


def at(cells: Sequence[Cell], position: int | None) -> Cell:
    return None if position is None else cells[position]


def plain_text(cell: Cell) -> str:
    """The cell as it can be compared with what a message shows."""
    text = "" if cell is None else str(cell).strip()
    match = _FLOAT_ID.fullmatch(text)
    return match[1] if match else text
