"""From rows to drafts: what each row of somebody else's file becomes under its column map.

A draft is a record without its identity: whoever lands it adds gateway, boot and number. A row that makes none is
rejected with line and reason. Pure: rows of cells in, drafts and rejects out.

What does not belong here: how a map is written and checked (`column_map`), reading data files, knowing what has landed
before, writing anything.

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

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Final, NamedTuple

from edge_collector.event_time import Resolution, rfc_3339
from edge_collector.foreign_files.cells import MAX_AMOUNT, Cell, Cells, Moment, Unusable, at, plain_text, shown
from edge_collector.foreign_files.column_map import BoundMap, CountsMap, OrdersMap, VisitsMap

_CENT: Final = Decimal("0.01")


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
    read = Cells(bound, columns)
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
                    "amount", shown(str(amount)), f"the order's total {total} as on line {first} is expected"
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
    column_map: OrdersMap, currency: str, read: Cells, rows: Iterable[Row], pseudonymizer: Callable[[str], str]
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
            order_id = read.identifier("order_id", at(cells, id_at))
            if not order_id:
                raise Unusable("order_id", "empty", "a value is expected")
            order_no = numbered[order_id] = numbered.get(order_id, 0) + 1
            instant = read.moment("ordered_at", at(cells, time_at)).instant
            if order_id not in earliest or instant < earliest[order_id]:
                earliest[order_id] = instant
            user = read.identifier("user_id", at(cells, user_at))
            if user and user not in pseudonyms:
                pseudonyms[user] = pseudonymizer(user)
            category = constants.category_id or read.required("category_id", at(cells, category_at))
            quantity = constants.quantity
            if quantity is None:
                quantity = read.integer("quantity", at(cells, quantity_at))
            price = read.decimal("amount", at(cells, amount_at))
            amount = quantity * price if per_piece else price
            if abs(amount) >= MAX_AMOUNT:
                raise Unusable("amount", shown(str(amount)), "less than 17 digits before the point are expected")
            status = status_of(cells)
            if status != "completed":
                quantity, amount = abs(quantity), abs(amount)
            coin = constants.currency or (currency if currency_at is None else "")
            coin = coin or read.required("currency", at(cells, currency_at))
        except Unusable as error:
            secret = user or plain_text(at(cells, user_at))
            rejects.append(Reject(line, error.reason(secret)))
            continue
        pseudonym = pseudonyms[user] if user else None
        lines.append(_Line(line, order_id, order_no, pseudonym, category, quantity, amount, coin, status, user))
    return lines, earliest, rejects


def _status(column_map: OrdersMap, read: Cells) -> Callable[[Sequence[Cell]], str]:
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
        raise Unusable(field, shown(text), expected)
    return words[text]


def map_visits(
    bound: BoundMap, columns: Sequence[str], rows: Iterable[Row], pseudonymizer: Callable[[str], str]
) -> Mapped:
    """Visits as drafts, in the order of the rows. `columns` names the cells of a row."""
    assert isinstance(bound.map, VisitsMap)
    read = Cells(bound, columns)
    user_at, time_at = read.position("user_id"), read.position("recorded_at")
    direction_at, constant = read.position("direction"), bound.map.constants.direction
    words = {"enter": "enter", "leave": "leave"} | bound.map.values.direction
    drafts: list[Draft] = []
    rejects: list[Reject] = []
    for line, cells in rows:
        try:
            instant = read.moment("recorded_at", at(cells, time_at)).instant
            user = read.identifier("user_id", at(cells, user_at))
            if not user:
                raise Unusable("user_id", "empty", "a member number is expected")
            direction = constant or _word("direction", read.required("direction", at(cells, direction_at)), words)
            day = read.event_date("recorded_at", instant)
        except Unusable as error:
            rejects.append(Reject(line, error.reason(plain_text(at(cells, user_at)))))
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
    read = Cells(bound, columns)
    start_at, end_at = read.position("interval_start"), read.position("interval_end")
    in_at, out_at, unpaired_at = (
        read.position("count" if field == flow else field) for field in ("in_count", "out_count", "unpaired_count")
    )
    out_required = flow == "out_count" or bound.device.stream == "boundary_counts"
    drafts: list[CountDraft] = []
    rejects: list[Reject] = []
    for line, cells in rows:
        try:
            start = read.moment("interval_start", at(cells, start_at))
            end = start.instant + (bound.map.duration or _duration(read, start, at(cells, end_at)))
            counted_in = None if in_at is None else read.integer("in_count", cells[in_at])
            counted_out = _count(read, "out_count", cells, out_at, required=out_required)
            unpaired = _count(read, "unpaired_count", cells, unpaired_at, required=False)
            day = read.event_date("interval_start", start.instant)
        except Unusable as error:
            rejects.append(Reject(line, error.reason("")))
            continue
        drafts.append(CountDraft(line, start.instant, end, day, start.resolution, counted_in, counted_out, unpaired))
    return MappedCounts(drafts, rejects, read.ambiguous, read.nonexistent)


def _count(read: Cells, field: str, cells: Sequence[Cell], at: int | None, *, required: bool) -> int | None:
    if at is None or (not required and not read.text(field, cells[at])):
        return None
    return read.integer(field, cells[at])


def _duration(read: Cells, start: Moment, cell: Cell) -> timedelta:
    end = read.moment("interval_end", cell)
    read.count_again(end)
    if start.local is not None and end.local is not None:
        duration = end.local - start.local
    else:
        duration = end.instant - start.instant
    if duration <= timedelta(0):
        raise Unusable("interval_end", shown(str(cell)), "a time after interval_start is expected")
    return duration
