"""Reports that were rendered before the dates that they show changed, and how they are renewed.

Reports are rendered when somebody asks for them, so that nobody but the reader would notice. What counts is when the
file was written: a report names its publication, but hundreds of pages would have to be read for that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from edge_collector.site import Site

_SHOWN = 5


@dataclass(frozen=True)
class Outdated:
    """A report of an earlier state of its dates."""

    path: Path
    command: str
    """What renews it."""


def outdated(reports: Path, changed_at: Mapping[str, str], site: Site) -> list[Outdated]:
    """The reports in this folder that are older than a change; `changed_at`: when each published date last changed."""
    found = []
    for path in sorted(reports.glob("*.html")):
        stem, _, language = path.name.removesuffix(".html").partition(".")
        if (of := _subject(stem, site)) is None:
            continue
        option, days = of
        changes = [datetime.fromisoformat(changed_at[day]) for day in days if day in changed_at]
        if changes and datetime.fromtimestamp(path.stat().st_mtime, UTC) < max(changes):
            found.append(Outdated(path, f"venue report {option}{f' --lang {language}' if language else ''}"))
    return found


def sentence(found: list[Outdated]) -> str:
    """Which ones there are, and what renews them."""
    one = len(found) == 1
    which = ", ".join(f"{report.path.parent.name}/{report.path.name}" for report in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (
        f"{len(found)} {'report shows' if one else 'reports show'} an earlier publication of what has changed since: "
        f"{which}{more}. Renew {'it' if one else 'them'}: {'; '.join(report.command for report in found[:_SHOWN])}"
    )


def _subject(stem: str, site: Site) -> tuple[str, Iterator[str] | list[str]] | None:
    """The option that asks for a report, and the dates that it shows; None where the name is no report's."""
    for activity in site.activities:
        if stem == f"activity-{activity.id}":
            first, last = activity.first_date.toordinal(), activity.last_date.toordinal()
            return f"--activity {activity.id}", [str(date.fromordinal(n)) for n in range(first, last + 1)]
    try:
        return f"--date {date.fromisoformat(stem)}", [stem]
    except ValueError:
        return None
