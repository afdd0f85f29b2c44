"""From rows to drafts: what each row of somebody else's file becomes under its column map.

A draft is a record without its identity: whoever lands it adds gateway, boot and number. A row that makes none is
rejected with line and reason. Pure: rows of cells in, drafts and rejects out.

What does not belong here: how a map is written and checked (`edge_collector.column_map`), reading data files, knowing
what has landed before, writing anything.

Rules that a map's author should know:

- Local times are the venue's (or `time_zone`'s): an ambiguous one means the earlier instant, a nonexistent one moves
  forward by the gap. Times that carry an offset are taken as they are.
- An order's time is the smallest of its lines; `order_no` is the position of the line among its order's lines in the
  file, unusable lines included, so that a corrected export keeps the numbers of the good ones.
- `amount_is` says what the amount column holds: `line` the line's amount, `unit_price` the price of one piece,
  `order_total` the order's total, repeated on each of its lines: the first usable line carries it, the others 0.00.
  Amounts are decimal, rounded half up to two places.
- A line that is cancelled or refunded has quantity and amount made positive: its status says what its sign said.
- An export is expected to hold whole orders: half an order has other positions, and perhaps another time.
- A member number such as 13085.0, which is what spreadsheets and data frames make of 13085, is read as 13085.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import cache
from typing import Final, NamedTuple

from edge_collector.column_map import BoundMap, CountsMap, OrdersMap, VisitsMap
from edge_collector.contract import INTEGER_RANGE
from edge_collector.event_time import Resolution, event_date, rfc_3339, to_instant

Cell = str | int | Decimal | datetime | None
"""Text as a CSV file has it, or the value of a typed column, which is never read through number or time formats."""

MAX_TEXT: Final = 1000
"""Longer texts are refused: no id or category is that long, and a record must stay well below 64 KiB."""
_CENT: Final = Decimal("0.01")
_MAX_AMOUNT: Final = Decimal(10) ** 16
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
_FLOAT_ID: Final = re.compile(r"([0-9]+)\.0+")


class Row(NamedTuple):
    """One row of a file: its line (or row) number there, from 1, and its cells in the order of the columns."""

    line: int
    cells: Sequence[Cell]


class Draft(NamedTuple):
    """A record without identity: `fields` are the stream's own, in the contract's order, as they are written.

    `lines` says where it comes from. `recorded_at` is None where whoever lands it decides.
    """

    lines: tuple[int, ...]
    event_date: date
    instant: datetime
    recorded_at: datetime | None
    fields: tuple[str | int | None, ...]


class Reject(NamedTuple):
    """A row that makes no record, and why. The reason never shows a member number."""

    line: int
    reason: str


@dataclass(frozen=True)
class Mapped:
    """What became of the rows: each is in one draft or in one reject. Unusual local times are counted per row."""

    drafts: list[Draft]
    rejects: list[Reject]
    ambiguous: int
    nonexistent: int


class CountDraft(NamedTuple):
    """One row of a file of counts. `count` fields that the file does not hold are None."""

    line: int
    start: datetime
    end: datetime
    event_date: date
    resolution: Resolution
    in_count: int | None
    out_count: int | None
    unpaired_count: int | None


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


def _shown(text: str) -> str:
    return f"{text[:60]!r}{'...' if len(text) > 60 else ''} is given"


def _plain(value: Decimal) -> str:
    return str(int(value)) if value == value.to_integral_value() else format(value, "f")


class Moment(NamedTuple):
    """A time cell understood: the instant, the local time as given (None when it came with an offset), how sure."""

    instant: datetime
    local: datetime | None
    resolution: Resolution


class _Cells:
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
            raise Unusable(field, _shown(str(value)), "a number is expected")
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
                _shown(text),
                f"a number such as {example} is expected (the map's [numbers] says how it is written)",
            )
        try:
            return Decimal(f"{match[1]}{re.sub('[^0-9]', '', match[2]) or '0'}.{match[3] or '0'}")
        except InvalidOperation:
            raise Unusable(field, _shown(text), "a number is expected") from None

    def integer(self, field: str, cell: Cell) -> int:
        """The cell as a whole number."""
        value = self.decimal(field, cell)
        number = int(value) if abs(value) < _MAX_AMOUNT * 1000 else INTEGER_RANGE[1] + 1
        if number != value or not INTEGER_RANGE[0] <= number <= INTEGER_RANGE[1]:
            raise Unusable(field, _shown(str(cell)), "a whole number is expected")
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
            raise Unusable(field, _shown(str(cell)), "a time between 1900 and 9000 is expected")
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
        raise Unusable(field, _shown(text), f"a time as in the map's time_formats ({formats}) is expected")

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


def _at(cells: Sequence[Cell], position: int | None) -> Cell:
    return None if position is None else cells[position]


class _Line(NamedTuple):
    """A usable order line, before the order's time and total are known."""

    line: int
    order_id: str
    order_no: int
    user: str | None
    category: str
    quantity: int
    amount: Decimal
    currency: str
    status: str
    secret: str


def map_orders(
    bound: BoundMap, columns: Sequence[str], rows: Iterable[Row], pseudonymizer: Callable[[str], str]
) -> Mapped:
    """Order lines as drafts, in the order of the rows. `columns` names the cells of a row."""
    assert isinstance(bound.map, OrdersMap)
    read = _Cells(bound, columns)
    lines, earliest, rejects = _read_lines(bound.map, bound.venue.currency, read, rows, pseudonymizer)
    zone = bound.venue.time_zone
    order_total = bound.map.amount_is == "order_total"
    totals: dict[str, tuple[Decimal, int]] = {}

    @cache
    def dated(instant: datetime) -> tuple[date, str] | Unusable:
        try:
            return read.event_date("ordered_at", instant), rfc_3339(instant, zone)
        except Unusable as error:
            return error

    drafts: list[Draft] = []
    for line in lines:
        instant = earliest[line.order_id]
        when = dated(instant)
        if isinstance(when, Unusable):
            rejects.append(Reject(line.line, when.reason(line.secret)))
            continue
        amount = line.amount
        if order_total:
            total, first = totals.setdefault(line.order_id, (amount, line.line))
            if total != amount:
                unequal = Unusable(
                    "amount", _shown(str(amount)), f"the order's total {total} as on line {first} is expected"
                )
                rejects.append(Reject(line.line, unequal.reason(line.secret)))
                continue
            amount = amount if first == line.line else Decimal(0)
        text = str(amount.quantize(_CENT, ROUND_HALF_UP) + 0)  # + 0 makes 0.00 of -0.00
        fields = (line.order_id, line.order_no, line.user, when[1], line.category, line.quantity, text)
        drafts.append(Draft((line.line,), when[0], instant, None, (*fields, line.currency, line.status)))
    rejects.sort()
    return Mapped(drafts, rejects, read.ambiguous, read.nonexistent)


def _read_lines(
    column_map: OrdersMap, currency: str, read: _Cells, rows: Iterable[Row], pseudonymizer: Callable[[str], str]
) -> tuple[list[_Line], dict[str, datetime], list[Reject]]:
    id_at, time_at, amount_at = (read.position(f) for f in ("order_id", "ordered_at", "amount"))
    user_at, category_at, quantity_at = (read.position(f) for f in ("user_id", "category_id", "quantity"))
    currency_at = read.position("currency")
    constants = column_map.constants
    per_piece = column_map.amount_is == "unit_price"
    status_of = _status(column_map, read)
    numbered: dict[str, int] = {}
    earliest: dict[str, datetime] = {}
    pseudonyms: dict[str, str] = {}
    lines: list[_Line] = []
    rejects: list[Reject] = []
    for line, cells in rows:
        user = ""
        try:
            order_id = read.identifier("order_id", _at(cells, id_at))
            if not order_id:
                raise Unusable("order_id", "empty", "a value is expected")
            order_no = numbered[order_id] = numbered.get(order_id, 0) + 1
            instant = read.moment("ordered_at", _at(cells, time_at)).instant
            if order_id not in earliest or instant < earliest[order_id]:
                earliest[order_id] = instant
            user = read.identifier("user_id", _at(cells, user_at))
            if user and user not in pseudonyms:
                pseudonyms[user] = pseudonymizer(user)
            category = constants.category_id or read.required("category_id", _at(cells, category_at))
            quantity = constants.quantity
            if quantity is None:
                quantity = read.integer("quantity", _at(cells, quantity_at))
            price = read.decimal("amount", _at(cells, amount_at))
            amount = quantity * price if per_piece else price
            if abs(amount) >= _MAX_AMOUNT:
                raise Unusable("amount", _shown(str(amount)), "less than 17 digits before the point are expected")
            status = status_of(cells)
            if status != "completed":
                quantity, amount = abs(quantity), abs(amount)
            coin = constants.currency or (currency if currency_at is None else "")
            coin = coin or read.required("currency", _at(cells, currency_at))
        except Unusable as error:
            secret = user or _text_of(_at(cells, user_at))
            rejects.append(Reject(line, error.reason(secret)))
            continue
        pseudonym = pseudonyms[user] if user else None
        lines.append(_Line(line, order_id, order_no, pseudonym, category, quantity, amount, coin, status, user))
    return lines, earliest, rejects


def _text_of(cell: Cell) -> str:
    text = "" if cell is None else str(cell).strip()
    match = _FLOAT_ID.fullmatch(text)
    return match[1] if match else text


def _status(column_map: OrdersMap, read: _Cells) -> Callable[[Sequence[Cell]], str]:
    """How the status of a line is found: the rules of [status] in turn, then the column, then the constant."""
    rules = [(s, read.index(r.column), r.prefix, r.equals) for s, r in column_map.status.items()]
    at, otherwise = read.position("status"), column_map.constants.status or "completed"
    words: dict[str, str] = {"completed": "completed", "cancelled": "cancelled", "refunded": "refunded"}
    words |= column_map.values.status

    def status_of(cells: Sequence[Cell]) -> str:
        for status, position, prefix, equals in rules:
            text = read.text("status", cells[position])
            if text.startswith(prefix) if prefix is not None else text == equals:
                return status
        if at is None:
            return otherwise
        return _word("status", read.required("status", cells[at]), words)

    return status_of


def _word(field: str, text: str, words: Mapping[str, str]) -> str:
    if text not in words:
        expected = (
            f"one of {', '.join(words)} is expected; add it to the map's [values.{field}] if it means one of these"
        )
        raise Unusable(field, _shown(text), expected)
    return words[text]


def map_visits(
    bound: BoundMap, columns: Sequence[str], rows: Iterable[Row], pseudonymizer: Callable[[str], str]
) -> Mapped:
    """Visits as drafts, in the order of the rows. `columns` names the cells of a row."""
    assert isinstance(bound.map, VisitsMap)
    read = _Cells(bound, columns)
    user_at, time_at = read.position("user_id"), read.position("recorded_at")
    direction_at, constant = read.position("direction"), bound.map.constants.direction
    words = {"enter": "enter", "leave": "leave"} | bound.map.values.direction
    drafts: list[Draft] = []
    rejects: list[Reject] = []
    for line, cells in rows:
        try:
            instant = read.moment("recorded_at", _at(cells, time_at)).instant
            user = read.identifier("user_id", _at(cells, user_at))
            if not user:
                raise Unusable("user_id", "empty", "a member number is expected")
            direction = constant or _word("direction", read.required("direction", _at(cells, direction_at)), words)
            day = read.event_date("recorded_at", instant)
        except Unusable as error:
            rejects.append(Reject(line, error.reason(_text_of(_at(cells, user_at)))))
            continue
        drafts.append(Draft((line,), day, instant, instant, (pseudonymizer(user), direction)))
    return Mapped(drafts, rejects, read.ambiguous, read.nonexistent)


@dataclass(frozen=True)
class MappedCounts:
    """What became of the rows of one file of counts."""

    drafts: list[CountDraft]
    rejects: list[Reject]
    ambiguous: int
    nonexistent: int


def map_counts(bound: BoundMap, columns: Sequence[str], rows: Iterable[Row], flow: str | None = None) -> MappedCounts:
    """Counts of one file as drafts; with `flow` (in_count or out_count) the column `count` is that flow's.

    An interval ends its duration after its start in real time, also where clocks change in between.
    """
    assert isinstance(bound.map, CountsMap)
    read = _Cells(bound, columns)
    start_at, end_at = read.position("interval_start"), read.position("interval_end")
    in_at, out_at, unpaired_at = (
        read.position("count" if field == flow else field) for field in ("in_count", "out_count", "unpaired_count")
    )
    out_required = flow == "out_count" or bound.device.stream == "boundary_counts"
    drafts: list[CountDraft] = []
    rejects: list[Reject] = []
    for line, cells in rows:
        try:
            start = read.moment("interval_start", _at(cells, start_at))
            end = start.instant + (bound.map.duration or _duration(read, start, _at(cells, end_at)))
            counted_in = None if in_at is None else read.integer("in_count", cells[in_at])
            counted_out = _count(read, "out_count", cells, out_at, required=out_required)
            unpaired = _count(read, "unpaired_count", cells, unpaired_at, required=False)
            day = read.event_date("interval_start", start.instant)
        except Unusable as error:
            rejects.append(Reject(line, error.reason("")))
            continue
        drafts.append(CountDraft(line, start.instant, end, day, start.resolution, counted_in, counted_out, unpaired))
    return MappedCounts(drafts, rejects, read.ambiguous, read.nonexistent)


def _count(read: _Cells, field: str, cells: Sequence[Cell], at: int | None, *, required: bool) -> int | None:
    if at is None or (not required and not read.text(field, cells[at])):
        return None
    return read.integer(field, cells[at])


def _duration(read: _Cells, start: Moment, cell: Cell) -> timedelta:
    end = read.moment("interval_end", cell)
    read.count_again(end)
    if start.local is not None and end.local is not None:
        duration = end.local - start.local
    else:
        duration = end.instant - start.instant
    if duration <= timedelta(0):
        raise Unusable("interval_end", _shown(str(cell)), "a time after interval_start is expected")
    return duration
