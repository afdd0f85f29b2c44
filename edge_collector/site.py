"""`site.toml`: which venues, devices and activities there are. Read here, and only here.

What does not belong here: how a gateway is set up, and anything that is computed from the site.
"""

from __future__ import annotations

import errno
import re
import tomllib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from edge_collector.contract import STREAMS
from edge_collector.event_time import TimeZone

_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_NAME = re.compile(r"[A-Za-z0-9_.]+")


class SiteError(ValueError):
    """Everything that is wrong with a site file, one line each: path, what was given, what is expected."""

    def __init__(self, path: Path, mistakes: Sequence[str]) -> None:
        self.path, self.mistakes = path, tuple(mistakes)
        super().__init__(f"{path}: " + "; ".join(mistakes))


def _currency(code: str) -> str:
    if not re.fullmatch("[A-Z]{3}", code):
        raise ValueError("an ISO 4217 code of three capital letters such as EUR is expected")
    return code


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("letters, digits, '_' and '.' are expected, because it is part of file names")
    return value


def _time_of_day(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    if isinstance(value, time):
        return value
    raise ValueError('a time of day such as "04:00" is expected')


def _date(value: Any) -> Any:
    if isinstance(value, date) and not isinstance(value, datetime):
        pass
    elif isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        value = date.fromisoformat(value)
    else:
        raise ValueError("a date such as 2026-01-05 is expected")
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"a date of the years {_FIRST_YEAR} to {_LAST_YEAR} is expected")
    return value


def _number(value: Any) -> Any:
    if type(value) not in (int, float) or not isfinite(value):
        raise ValueError("a number is expected")
    return value


Id = Annotated[str, Field(min_length=1)]
Day = Annotated[date, BeforeValidator(_date)]
Number = Annotated[float, BeforeValidator(_number)]
Name = Annotated[str, AfterValidator(_name)]
Position = Annotated[list[Number], Field(min_length=2, max_length=2)]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


E = TypeVar("E", bound=_Entry)


class Venue(_Entry):
    """A place. Its event day begins at `day_starts_at` of its local time."""

    id: Id
    name: Id
    time_zone: TimeZone
    currency: Annotated[str, AfterValidator(_currency)]
    day_starts_at: Annotated[time, BeforeValidator(_time_of_day)] = time(4)
    opened_on: Day


class Device(_Entry):
    """What observes: a pair A, a sensor B, a terminal, a till, or a gateway's own voice."""

    id: Id
    venue_id: str
    gateway_id: Name
    stream: Literal[
        "boundary_counts", "entrance_counts", "face_visits", "orders", "assignments", "identity_links", "gateway_events"
    ]
    counting: Literal["directional", "passages"] = "directional"
    in_share: Annotated[Number, Field(ge=0, le=1)] | None = None
    position: Position | None = None


class Activity(_Entry):
    """Something that goes on at a venue for some days: an event, a campaign, a season."""

    id: Id
    name: Id
    venue_id: str
    first_date: Day
    last_date: Day
    centre: Position | None = None
    radius_m: Annotated[Number, Field(gt=0)] | None = None


class Site(_Entry):
    """The whole file. `identity` says whether terminals and orders know people by the same number."""

    identity: Literal["shared", "linked"] = "shared"
    venues: Annotated[list[Venue], Field(min_length=1)]
    devices: list[Device] = []
    activities: list[Activity] = []

    def venue(self, venue_id: str) -> Venue:
        """The venue of this id. Raises KeyError where there is none."""
        for venue in self.venues:
            if venue.id == venue_id:
                return venue
        raise KeyError(venue_id)

    @property
    def opened_on(self) -> date:
        """The earliest day on which any venue was open: where partitions begin."""
        return min(venue.opened_on for venue in self.venues)


def load_site(path: Path) -> Site:
    """Read and check a site file.

    Raises SiteError with all mistakes at once, FileNotFoundError where there is no such file.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # of TOML, of UTF-8, or of a number without end
        raise SiteError(path, [f"not valid TOML: {error}"]) from None
    except RecursionError:
        raise SiteError(path, ["not valid TOML: nested too deeply"]) from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise SiteError(path, [f"cannot be read ({error.strerror}); a file is expected"]) from None
    try:
        site = Site.model_validate(raw)
        mistakes: list[str] = []
    except ValidationError as error:
        mistakes = [_mistake(e) for e in error.errors()]
    mistakes += _inconsistencies(_Parts.of(raw))
    if mistakes:
        raise SiteError(path, mistakes)
    return site


@dataclass(frozen=True)
class _Parts:
    """The entries that are well formed in themselves, with their place in the file: what can be held together."""

    venue_ids: set[str] | None
    """None where a venue has no id: then nobody can be told that his is unknown."""
    venues: list[tuple[int, Venue]]
    devices: list[tuple[int, Device]]
    activities: list[tuple[int, Activity]]

    @classmethod
    def of(cls, raw: dict[str, Any]) -> _Parts:
        venues = _entries(raw, "venues")
        # A venue with another mistake is still one that devices may name.
        ids = [v.get("id") if isinstance(v, dict) else None for v in venues]
        known = {i for i in ids if isinstance(i, str)} if ids and all(i and isinstance(i, str) for i in ids) else None
        return cls(
            known,
            _valid(venues, Venue),
            _valid(_entries(raw, "devices"), Device),
            _valid(_entries(raw, "activities"), Activity),
        )


def _entries(raw: dict[str, Any], part: str) -> list[Any]:
    found = raw.get(part, [])
    return found if isinstance(found, list) else []


def _valid(entries: list[Any], kind: type[E]) -> list[tuple[int, E]]:
    found = []
    for i, entry in enumerate(entries):
        with suppress(ValidationError):
            found.append((i, kind.model_validate(entry)))
    return found


def _mistake(error: Any) -> str:
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error["loc"]).lstrip(".")
    if error["type"] == "missing":
        return f"{where}: missing; it is required"
    if error["type"] == "extra_forbidden":
        return f"{where}: is not known here; remove it or correct its name"
    message = error["msg"].removeprefix("Value error, ")
    given = repr(error["input"])
    given = given if len(given) <= 80 else given[:77] + "..."
    return f"{where}: {given} is given; {message[0].lower() + message[1:]}"


def _inconsistencies(parts: _Parts) -> Iterable[str]:
    for part, entries in (("venues", parts.venues), ("activities", parts.activities)):
        yield from _repeated(part, [(i, entry.id) for i, entry in entries])
    yield from _repeated("devices", [(i, f"{d.venue_id}/{d.id}") for i, d in parts.devices])
    known = f"one of {sorted(parts.venue_ids or ())} is expected"
    for i, device in parts.devices:
        if parts.venue_ids is not None and device.venue_id not in parts.venue_ids:
            yield f"devices[{i}].venue_id: {device.venue_id!r} is given; {known}"
        if device.counting == "passages" and device.stream != "entrance_counts":
            yield f"devices[{i}].counting: 'passages' is given; only entrance_counts devices may count passages"
        if device.in_share is not None and device.counting != "passages":
            yield f'devices[{i}].in_share: {device.in_share} is given; it belongs to counting = "passages" only'
    for n, (i, activity) in enumerate(parts.activities):
        if parts.venue_ids is not None and activity.venue_id not in parts.venue_ids:
            yield f"activities[{i}].venue_id: {activity.venue_id!r} is given; {known}"
        if activity.last_date < activity.first_date:
            yield (
                f"activities[{i}].last_date: {activity.last_date} is given; {activity.first_date} or later is expected"
            )
        if activity.id == "none":
            yield f"activities[{i}].id: 'none' is given; it stands for days without an activity"
        for j, other in parts.activities[:n]:
            overlap = activity.first_date <= other.last_date and other.first_date <= activity.last_date
            if other.venue_id == activity.venue_id and overlap:
                yield f"activities[{i}]: overlaps activities[{j}] ({other.id}); one activity at a time is expected"


def _repeated(part: str, ids: Sequence[tuple[int, str]]) -> Iterable[str]:
    seen: set[str] = set()
    for i, identifier in ids:
        if identifier in seen:
            yield f"{part}[{i}].id: {identifier!r} is given twice; ids are expected to be unique"
        seen.add(identifier)


assert set(STREAMS) == set(Device.model_fields["stream"].annotation.__args__)  # type: ignore[union-attr]
