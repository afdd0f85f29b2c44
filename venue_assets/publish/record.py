"""What is recorded of a publication set: what it holds, and what tells it from the one before.

What does not belong here: how one is made (`publication`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from venue_assets.home import Home
from venue_assets.publish.database import Contents, Stamps
from venue_assets.publish.names import CURRENT

RECORD: Final = "publication.json"


@dataclass(frozen=True)
class Publication:
    """What a publication set holds."""

    publication_id: str
    number: int
    published_at: str
    code: str
    contents: Contents
    stamps: Stamps = field(default_factory=dict)
    waiting: list[str] = field(default_factory=list)
    site: str = ""
    """Digest of what the star shows of the site."""
    pages: str = ""
    """Digest of what writes the Power BI project and the dictionary."""
    changed_at: Mapping[str, str] = field(default_factory=dict)
    """When each event date became what it is here, in rows or in how they are published."""

    @property
    def dates(self) -> set[date]:
        """The event dates that are in it."""
        return {date.fromisoformat(day) for days in self.contents.values() for day in days}

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it differ from another publication."""
        return self.code, self.site, self.pages, self.contents, self.waiting

    def differences(self, before: Publication | None) -> list[str]:
        """In words, in how many event dates and in what else it differs from the one before."""
        now, then = _by_date(self.contents), _by_date(before.contents if before else {})
        counts = {
            "new": len({*now} - {*then}),
            "changed": sum(now[day] != then[day] for day in {*now} & {*then}),
            "removed": len({*then} - {*now}),
        }
        found = [f"{count} {what}" for what, count in counts.items() if count]
        if before and before.site != self.site:
            found.append("another site.toml")
        if before and (before.code, before.pages) != (self.code, self.pages):
            found.append("other definitions or settings")
        if before and before.waiting != self.waiting:
            found.append(f"{len(self.waiting)} waiting")
        return found

    def changes(self, before: Publication | None) -> dict[str, str]:
        """When each date last changed, where the publication before says it of those that did not change now."""
        now, then = _by_date(self.contents), _by_date(before.contents if before else {})
        earlier = before.changed_at if before and (before.code, before.site) == (self.code, self.site) else {}
        at = datetime.now(UTC).isoformat()
        return {day: earlier.get(day, at) if now[day] == then.get(day) else at for day in sorted(now)}


def current(home: Home) -> Publication | None:
    """The publication that readers see now."""
    return _read(home.published / CURRENT / RECORD)


def _read(path: Path) -> Publication | None:
    try:
        found = Publication(**json.loads(path.read_text(encoding="utf-8")))
        _ = found.dates, [len(stamp) for days in found.stamps.values() for stamp in days.values()]
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None  # none, or a record that cannot be read: the next publication is built anew
    return found


def _by_date(contents: Contents) -> Mapping[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for name, days in contents.items():
        for day, content in days.items():
            found.setdefault(day, {})[name] = content
    return found
