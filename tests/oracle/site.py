"""site.toml as the oracle reads it: venues with their clocks, devices, activities."""

import tomllib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo


@dataclass
class Venue:
    venue_id: str
    zone: ZoneInfo
    currency: str
    day_starts_at: timedelta

    def wall_clock(self, instant: datetime) -> datetime | None:
        """Local wall-clock time, without zone; None where no calendar holds it (around the years 1 and 9999)."""
        try:
            return instant.astimezone(self.zone).replace(tzinfo=None)
        except OverflowError:
            return None

    def event_date(self, instant: datetime) -> date | None:
        """Event date = date of (local wall-clock time at the venue - day_starts_at)."""
        wall = self.wall_clock(instant)
        try:
            return None if wall is None else (wall - self.day_starts_at).date()
        except OverflowError:
            return None


@dataclass
class Site:
    identity: str
    venues: dict[str, Venue]
    devices: list[dict]
    activities: list[dict]

    def has_device(self, venue_id: str, stream: str) -> bool:
        return any(d["venue_id"] == venue_id and d["stream"] == stream for d in self.devices)

    def activity(self, venue_id: str, event_date: date) -> str:
        for activity in self.activities:
            if activity["venue_id"] == venue_id and activity["first_date"] <= event_date <= activity["last_date"]:
                return activity["id"]
        return "none"


def read_site(path: Path) -> Site:
    site = tomllib.loads(path.read_text(encoding="utf-8"))
    venues = {}
    for venue in site.get("venues", []):
        hours, minutes = venue.get("day_starts_at", "04:00").split(":")
        venues[venue["id"]] = Venue(
            venue_id=venue["id"],
            zone=ZoneInfo(venue["time_zone"]),
            currency=venue["currency"],
            day_starts_at=timedelta(hours=int(hours), minutes=int(minutes)),
        )
    return Site(site.get("identity", "shared"), venues, site.get("devices", []), site.get("activities", []))
