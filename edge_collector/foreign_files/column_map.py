"""Column maps: how somebody else's file is written and which of its columns holds what, as TOML.

A map is checked whole, against itself and against the site: all mistakes are told at once.

What does not belong here: what a row becomes (`edge_collector.foreign_files.drafts`), reading data files.
"""

from __future__ import annotations

import codecs
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edge_collector.event_time import TimeZone
from edge_collector.settings import Name, SettingsError, mistake
from edge_collector.site import Device, Site, Venue

ImportKind = Literal["counts", "visits", "orders"]


class MapError(SettingsError):
    """Everything that is wrong with a column map, or with the file it is used on."""


# The map as it is written ---------------------------------------------------------------------------------------------


def _encoding(name: str) -> str:
    expected = "an encoding that extends ASCII is expected, such as utf-8-sig, gb18030 or cp1252"
    try:
        if "\r\n\",;'09".encode(codecs.lookup(name).name.removesuffix("-sig")) == b"\r\n\",;'09":
            return name
    except (LookupError, ValueError, TypeError):
        pass
    raise ValueError(expected)


def _delimiter(text: str) -> str:
    if len(text) != 1 or text in '"\r\n':
        raise ValueError(r'one character such as "," or ";" or "\t" is expected')
    return text


def _time_format(text: str) -> str:
    sample = datetime(2003, 4, 17, 13, 0, tzinfo=UTC)
    try:
        if text == "iso" or datetime.strptime(sample.strftime(text), text).replace(tzinfo=UTC) == sample:
            return text
    except ValueError:
        pass
    raise ValueError('"iso" or a strptime format with date and time such as "%d/%m/%Y %H:%M" is expected')


def _interval(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9]\d*)\s*(s|min|h)", text)
    if match is None:
        raise ValueError('a duration such as "30min", "90s" or "1h" is expected')
    return int(match[1]) * {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "h": timedelta(hours=1)}[match[2]]


def _interval_text(text: str) -> str:
    _interval(text)
    return text


ColumnName = Annotated[str, Field(min_length=1)]
Status = Literal["completed", "cancelled", "refunded"]
Direction = Literal["enter", "leave"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CsvOptions(_Part):
    """How a CSV file is written. Without a header line the columns are named here."""

    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8-sig"
    delimiter: Annotated[str, AfterValidator(_delimiter)] = ","
    header: bool = True
    column_names: list[ColumnName] = []


class XlsxOptions(_Part):
    """Which sheet of a workbook (the first, unless named), and which row of it holds the column names."""

    sheet: ColumnName | None = None
    header_row: Annotated[int, Field(ge=1)] = 1


class Numbers(_Part):
    """How numbers are written in text. Typed columns of Parquet and XLSX need none of this."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'", "’"] = ""


class _Map(_Part):
    name: Name
    venue: ColumnName
    device: ColumnName
    time_zone: TimeZone | None = None
    time_formats: Annotated[list[Annotated[str, AfterValidator(_time_format)]], Field(min_length=1)] = ["iso"]
    null_values: list[str] = []
    csv: CsvOptions = CsvOptions()
    xlsx: XlsxOptions = XlsxOptions()
    numbers: Numbers = Numbers()


class OrderColumns(_Part):
    """Contract field = column of the file. `amount` holds what `amount_is` says."""

    order_id: ColumnName
    ordered_at: ColumnName
    amount: ColumnName
    user_id: ColumnName | None = None
    category_id: ColumnName | None = None
    quantity: ColumnName | None = None
    currency: ColumnName | None = None
    status: ColumnName | None = None


class OrderConstants(_Part):
    """What the file does not say because it is the same on every line."""

    category_id: ColumnName | None = None
    quantity: int | None = None
    currency: ColumnName | None = None
    status: Status | None = None


class StatusRule(_Part):
    """A line has the status when `column` begins with `prefix`, or is `equals`."""

    column: ColumnName
    prefix: ColumnName | None = None
    equals: ColumnName | None = None


class OrderValues(_Part):
    """Words of the file for statuses: `Storniert = "cancelled"`."""

    status: dict[str, Status] = {}


class OrdersMap(_Map):
    """A map of order lines."""

    kind: Literal["orders"]
    amount_is: Literal["line", "order_total", "unit_price"]
    columns: OrderColumns
    constants: OrderConstants = OrderConstants()
    status: dict[Literal["completed", "cancelled", "refunded"], StatusRule] = {}
    values: OrderValues = OrderValues()


class VisitColumns(_Part):
    """Contract field = column of the file."""

    user_id: ColumnName
    recorded_at: ColumnName
    direction: ColumnName | None = None


class VisitConstants(_Part):
    """For a file that holds only comings, or only goings."""

    direction: Direction | None = None


class VisitValues(_Part):
    """Words of the file for directions: `IN = "enter"`."""

    direction: dict[str, Direction] = {}


class VisitsMap(_Map):
    """A map of visits noted by a recognition terminal."""

    kind: Literal["visits"]
    columns: VisitColumns
    constants: VisitConstants = VisitConstants()
    values: VisitValues = VisitValues()


class CountColumns(_Part):
    """Contract field = column of the file; `count` stands for the flow's own field where each flow has a file."""

    interval_start: ColumnName
    interval_end: ColumnName | None = None
    in_count: ColumnName | None = None
    out_count: ColumnName | None = None
    unpaired_count: ColumnName | None = None
    count: ColumnName | None = None


class Flows(_Part):
    """Names (or patterns such as *inflow*.csv) of the files that hold one flow each, joined by interval_start."""

    in_count: ColumnName
    out_count: ColumnName


class CountsMap(_Map):
    """A map of counts per interval, of an entrance sensor or a boundary pair: the device's stream in site.toml says."""

    kind: Literal["counts"]
    interval: Annotated[str, AfterValidator(_interval_text)] | None = None
    columns: CountColumns
    flows: Flows | None = None

    @property
    def duration(self) -> timedelta | None:
        """The length of an interval, where it is the same throughout."""
        return None if self.interval is None else _interval(self.interval)


ColumnMap = OrdersMap | VisitsMap | CountsMap
_MODELS: Final[Mapping[str, type[OrdersMap] | type[VisitsMap] | type[CountsMap]]] = {
    "counts": CountsMap,
    "visits": VisitsMap,
    "orders": OrdersMap,
}
_STREAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "counts": ("entrance_counts", "boundary_counts"),
    "visits": ("face_visits",),
    "orders": ("orders",),
}


# The map in its site --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BoundMap:
    """A map that has been checked, with the venue and device that it names."""

    path: Path
    map: ColumnMap
    venue: Venue
    device: Device
    opened_on: date
    """The first event date of the site: there are no partitions before it."""

    @property
    def gateway_id(self) -> str:
        """The gateway under which records of this map land."""
        return self.device.gateway_id

    @property
    def time_zone(self) -> str:
        """The zone in which the file's local times are meant."""
        return self.map.time_zone or self.venue.time_zone

    def columns(self) -> dict[str, str]:
        """What the map asks of a file: path in the map -> name of the column."""
        asked = {f"columns.{field}": name for field, name in self.map.columns if name is not None}
        if isinstance(self.map, OrdersMap):
            asked |= {f"status.{status}.column": rule.column for status, rule in self.map.status.items()}
        return asked


def gateway_of(map_name: str) -> str:
    """The gateway of site.toml under which a map's records land."""
    return f"import_{map_name}"


def load_map(path: Path, site: Site, gateway_id: str | None = None) -> BoundMap:
    """Read a column map and check it against itself and the site.

    Its device belongs to `gateway_id`, or (None) to the gateway `import_<map name>` under which `venue import` lands.
    Raises MapError with all mistakes at once.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MapError(
            path, [f"the map cannot be read ({error.strerror}); the path of a TOML file is expected"]
        ) from None
    except (ValueError, RecursionError) as error:
        raise MapError(path, [f"not valid TOML: {error}"]) from None
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in _MODELS:
        given = "missing" if kind is None else f"{kind!r} is given"
        raise MapError(path, [f'kind: {given}; "counts", "visits" or "orders" is expected'])
    try:
        column_map = _MODELS[kind].model_validate(raw)
    except ValidationError as error:
        raise MapError(path, [mistake(e) for e in error.errors()]) from None
    if mistakes := [*_inconsistencies(column_map), *_site_mistakes(column_map, site, gateway_id)]:
        raise MapError(path, mistakes)
    venue = site.venue(column_map.venue)
    (device,) = (d for d in site.devices if (d.venue_id, d.id) == (venue.id, column_map.device))
    return BoundMap(path, column_map, venue, device, site.opened_on)


def _inconsistencies(column_map: ColumnMap) -> Iterable[str]:
    options, numbers = column_map.csv, column_map.numbers
    if options.header and options.column_names:
        yield "csv.column_names: are given; they are expected only with csv.header = false"
    if not options.header and not options.column_names:
        yield "csv.column_names: missing; a file without header needs the names of its columns in order"
    if repeated := sorted({n for n in options.column_names if options.column_names.count(n) > 1}):
        yield f"csv.column_names: {repeated} given twice; names are expected to be unique"
    if not options.header and options.column_names:
        for field, name in column_map.columns:
            if name is not None and name not in options.column_names:
                yield f"columns.{field}: {name!r} is given; one of csv.column_names {options.column_names} is expected"
    if numbers.thousands == numbers.decimal:
        yield f"numbers.thousands: {numbers.thousands!r} is given; a sign other than numbers.decimal is expected"
    if isinstance(column_map, CountsMap):
        yield from _counts_inconsistencies(column_map)
    else:
        for field, value in column_map.constants:
            if value is not None and getattr(column_map.columns, field) is not None:
                yield f"constants.{field}: is given, and columns.{field} too; one of them is expected"
    if isinstance(column_map, OrdersMap):
        for field, example in (("category_id", '"all"'), ("quantity", "1")):
            if getattr(column_map.columns, field) is None and getattr(column_map.constants, field) is None:
                yield f"columns.{field}: missing; name its column, or set constants.{field} = {example}"
        for status, rule in column_map.status.items():
            if (rule.prefix is None) == (rule.equals is None):
                yield f"status.{status}: either prefix or equals is expected"
        if column_map.values.status and column_map.columns.status is None:
            yield "values.status: are given; columns.status is expected with them"
    elif isinstance(column_map, VisitsMap):
        if column_map.columns.direction is None and column_map.constants.direction is None:
            yield 'columns.direction: missing; name its column, or set constants.direction = "enter"'
        if column_map.values.direction and column_map.columns.direction is None:
            yield "values.direction: are given; columns.direction is expected with them"


def _counts_inconsistencies(column_map: CountsMap) -> Iterable[str]:
    columns = column_map.columns
    if (column_map.interval is None) == (columns.interval_end is None):
        yield 'interval: either it (such as "30min") or columns.interval_end is expected'
    if column_map.flows is not None:
        if columns.count is None:
            yield "columns.count: missing; with [flows] it names the column that holds each file's count"
        for field in ("in_count", "out_count", "unpaired_count"):
            if getattr(columns, field) is not None:
                yield f"columns.{field}: is given; with [flows] only columns.count is expected"
        if column_map.flows.in_count == column_map.flows.out_count:
            yield "flows.out_count: is the same as flows.in_count; another file is expected"
    else:
        if columns.in_count is None:
            yield "columns.in_count: missing; it is required unless [flows] names one file per flow"
        if columns.count is not None:
            yield "columns.count: is given; it is expected only with [flows]"


def _site_mistakes(column_map: ColumnMap, site: Site, gateway_id: str | None) -> Iterable[str]:
    try:
        venue = site.venue(column_map.venue)
    except KeyError:
        known = sorted(v.id for v in site.venues)
        yield f"venue: {column_map.venue!r} is given; one of site.toml's {known} is expected"
        return
    gateway, streams = gateway_id or gateway_of(column_map.name), _STREAMS[column_map.kind]
    if isinstance(column_map, OrdersMap) and (currency := column_map.constants.currency) not in (None, venue.currency):
        yield f"constants.currency: {currency!r} is given; the venue's {venue.currency!r} is expected"
    devices = {device.id: device for device in site.devices if device.venue_id == venue.id}
    device = devices.get(column_map.device)
    if device is None:
        yield (
            f"device: {column_map.device!r} is given; one of site.toml's devices at {venue.id} {sorted(devices)} is "
            f'expected, with gateway_id = "{gateway}" and stream = "{streams[0]}"'
        )
        return
    if device.gateway_id != gateway:
        yield f"device: {device.id!r} has gateway_id {device.gateway_id!r} in site.toml; {gateway!r} is expected"
    if device.stream not in streams:
        yield f"device: {device.id!r} has stream {device.stream!r} in site.toml; {' or '.join(streams)} is expected"
    if (
        isinstance(column_map, CountsMap)
        and device.stream == "boundary_counts"
        and column_map.flows is None
        and column_map.columns.out_count is None
    ):
        yield "columns.out_count: missing; boundary_counts need it"
