"""`site.toml`: which venues, devices, activities and experiments there are. Read here, and only here.

What does not belong here: how a gateway is set up, and anything that is computed from the site.
"""

from __future__ import annotations

import errno
import re
import tomllib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from edge_collector.accuracy import Accuracy, ManualCount, misplaced
from edge_collector.contract import STREAMS
from edge_collector.event_time import TimeZone
from edge_collector.experiment import Experiment
from edge_collector.settings import Day, Entry, Id, Name, Number, SettingsError, Whole, mistake


class SiteError(SettingsError):
    """Everything that is wrong with a site file."""


def _currency(code: str) -> str:
    if not re.fullmatch("[A-Z]{3}", code):
        raise ValueError("an ISO 4217 code of three capital letters such as EUR is expected")
    return code


def _time_of_day(value: Any) -> Any:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    if isinstance(value, time):
        return value
    raise ValueError('a time of day such as "04:00" is expected')


Position = Annotated[list[Number], Field(min_length=2, max_length=2)]
E = TypeVar("E", bound=Entry)


class Venue(Entry):
    """A place. Its event day begins at `day_starts_at` of its local time."""

    id: Id
    name: Id
    time_zone: TimeZone
    currency: Annotated[str, AfterValidator(_currency)]
    day_starts_at: Annotated[time, BeforeValidator(_time_of_day)] = time(4)
    opened_on: Day


class Device(Entry):
    """What observes: a pair A, a sensor B, a terminal, a till, or a gateway's own voice."""

    id: Id
    venue_id: str
    gateway_id: Name
    stream: Literal[
        "boundary_counts", "entrance_counts", "face_visits", "orders", "assignments", "identity_links", "gateway_events"
    ]
    counting: Literal["directional", "passages"] = "directional"
    in_share: Annotated[Number, Field(ge=0, le=1)] | None = None
    manual_count: ManualCount | None = None
    accuracy: Accuracy | None = None
    position: Position | None = None


class Activity(Entry):
    """Something that goes on at a venue for some days: an event, a campaign, a season."""

    id: Id
    name: Id
    venue_id: str
    first_date: Day
    last_date: Day
    centre: Position | None = None
    radius_m: Annotated[Number, Field(gt=0)] | None = None


class Publishing(Entry):
    """How figures are published: those that rest on some people, but fewer than `smallest_cell`, are left out."""

    smallest_cell: Annotated[Whole, Field(ge=0, le=1000)] = 0
    """0 publishes all figures."""


class Site(Entry):
    """The whole file. `identity` says whether terminals and orders know people by the same number."""

    identity: Literal["shared", "linked"] = "shared"
    venues: Annotated[list[Venue], Field(min_length=1)]
    devices: list[Device] = Field(default_factory=list)
    activities: list[Activity] = Field(default_factory=list)
    experiments: list[Experiment] = Field(default_factory=list)
    publication: Publishing = Field(default_factory=Publishing)

    def venue(self, venue_id: str) -> Venue:
        """The venue of this id. Raises KeyError where there is none."""
        for venue in self.venues:
            if venue.id == venue_id:
                return venue
        raise KeyError(venue_id)

    def venue_of(self, experiment: Experiment) -> Venue:
        """Where an experiment takes place: its own venue, or that of its activity."""
        activities = {activity.id: activity.venue_id for activity in self.activities}
        return self.venue(experiment.venue_id or activities[experiment.activity_id or ""])

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
        mistakes = [mistake(e) for e in error.errors()]
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
    activity_ids: set[str] | None
    """None where an activity has no id."""
    activities: list[tuple[int, Activity]]
    experiment_ids: set[str] | None
    """None where an experiment has no id."""
    experiments: list[tuple[int, Experiment]]

    @classmethod
    def of(cls, raw: dict[str, Any]) -> _Parts:
        venues, activities, experiments = (_entries(raw, part) for part in ("venues", "activities", "experiments"))
        return cls(
            # A site without venues is told so, not each of its devices.
            _ids(venues) or None,
            _valid(venues, Venue),
            _valid(_entries(raw, "devices"), Device),
            _ids(activities),
            _valid(activities, Activity),
            _ids(experiments),
            _valid(experiments, Experiment),
        )


def _entries(raw: dict[str, Any], part: str) -> list[Any]:
    found = raw.get(part, [])
    return found if isinstance(found, list) else []


def _ids(entries: list[Any]) -> set[str] | None:
    """What others may name, also where it has another mistake; None where one has no id."""
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in entries]
    return {i for i in ids if isinstance(i, str)} if all(i and isinstance(i, str) for i in ids) else None


def _valid(entries: list[Any], kind: type[E]) -> list[tuple[int, E]]:
    found = []
    for i, entry in enumerate(entries):
        with suppress(ValidationError):
            found.append((i, kind.model_validate(entry)))
    return found


def _inconsistencies(parts: _Parts) -> Iterable[str]:
    for part, entries in (
        ("venues", parts.venues),
        ("activities", parts.activities),
        ("experiments", parts.experiments),
    ):
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
        for problem in misplaced(device.stream, device.manual_count, device.accuracy):
            yield f"devices[{i}].{problem}"
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
    yield from _inconsistent_experiments(parts, known)


def _inconsistent_experiments(parts: _Parts, known_venues: str) -> Iterable[str]:
    activities = {activity.id: activity for _, activity in parts.activities}
    earlier: list[tuple[int, Experiment, str]] = []
    for i, experiment in parts.experiments:
        place = experiment.venue_id
        if place is not None and parts.venue_ids is not None and place not in parts.venue_ids:
            yield f"experiments[{i}].venue_id: {place!r} is given; {known_venues}"
        if (named := experiment.activity_id) is not None:
            if parts.activity_ids is not None and named not in parts.activity_ids:
                yield (
                    f"experiments[{i}].activity_id: {named!r} is given; one of {sorted(parts.activity_ids)} is expected"
                )
            if (activity := activities.get(named)) is None:
                continue
            place = activity.venue_id
            for field in ("first_date", "last_date"):
                if not activity.first_date <= (day := getattr(experiment, field)) <= activity.last_date:
                    yield (
                        f"experiments[{i}].{field}: {day} is given; a date of {activity.id} "
                        f"({activity.first_date} to {activity.last_date}) is expected"
                    )
        # A visit in two tests of visits would be rewarded for both treatments. What is done to a whole day is done to
        # all arms of a test of that day's visits alike, so that each of the two still compares like with like.
        for j, other, elsewhere in earlier:
            overlap = experiment.first_date <= other.matures_on and other.first_date <= experiment.matures_on
            if overlap and (elsewhere, other.unit) == (place, experiment.unit):
                yield (
                    f"experiments[{i}]: overlaps experiments[{j}] ({other.id}), which lasts to {other.matures_on} with "
                    f"its rewards; one experiment at a time per venue and unit ({other.unit}) is expected"
                )
        earlier.append((i, experiment, place or ""))
    yield from _unfit_teachers(parts, earlier)


def _unfit_teachers(parts: _Parts, placed: Sequence[tuple[int, Experiment, str]]) -> Iterable[str]:
    """Bandits that are to learn from an experiment that is not there, not over, or of something else."""
    others = {experiment.id: (experiment, place) for _, experiment, place in placed}
    for i, bandit, place in placed:
        named = bandit.learn_from
        if named is None or bandit.kind != "bandit":
            continue
        told = f"experiments[{i}].learn_from: {named!r} is given"
        if named not in others:
            if parts.experiment_ids is not None and named not in parts.experiment_ids:
                yield f"{told}; one of {sorted(parts.experiment_ids - {bandit.id})} is expected"
            continue
        other, elsewhere = others[named]
        earliest = bandit.first_date - timedelta(days=bandit.history_days)
        for fits, its, expected in (
            (other.kind != "before_after", f"kind is {other.kind!r}", "one whose arms were given at random"),
            (elsewhere == place, f"venue is {elsewhere!r}", repr(place)),
            (other.unit == bandit.unit, f"unit is {other.unit!r}", repr(bandit.unit)),
            (set(other.arms) == set(bandit.arms), f"arms are {other.arms}", str(bandit.arms)),
            (bandit.primary_kpi in other.kpi, f"kpi is {other.kpi}", f"one with {bandit.primary_kpi!r}"),
            (other.reward_days == bandit.reward_days, f"reward_days is {other.reward_days}", str(bandit.reward_days)),
            (
                earliest <= other.last_date < bandit.first_date,
                f"last_date is {other.last_date}",
                f"one before {bandit.first_date} and not before {earliest} (history_days = {bandit.history_days})",
            ),
        ):
            if not fits:
                yield f"{told}, whose {its}; {expected} is expected"


def _repeated(part: str, ids: Sequence[tuple[int, str]]) -> Iterable[str]:
    seen: set[str] = set()
    for i, identifier in ids:
        if identifier in seen:
            yield f"{part}[{i}].id: {identifier!r} is given twice; ids are expected to be unique"
        seen.add(identifier)


assert set(STREAMS) == set(Device.model_fields["stream"].annotation.__args__)  # type: ignore[union-attr]
