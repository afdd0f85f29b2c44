"""The front page of the reports: which there are, by date and by activity, and what else lies beside them.

It shows what is in the folder, so it is no part of a publication: who puts a report there has it written anew.
"""

from __future__ import annotations

import calendar
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from edge_collector.durable import write_atomically
from edge_collector.site import Site
from venue_assets.publish.names import DICTIONARY_PAGES, FRONT_PAGES
from venue_assets.publish.record import Publication
from venue_assets.semantic_layer.metrics import LANGUAGES, Language

if TYPE_CHECKING:
    from jinja2 import Template

_TEMPLATE: Final = "front_page.html.j2"
_ACTIVITY: Final = "activity-"
_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_Reports = Mapping[date | str, Mapping[Language, str]]
"""Date or activity -> language -> name of the file."""


@dataclass(frozen=True)
class Link:
    """A report, in the language of the page where there is one."""

    href: str
    language: Language
    is_outdated: bool


def write_front_page(folder: Path, site: Site, publication: Publication, outdated: Collection[str]) -> None:
    """Write the page in each language into the folder of the reports; `outdated`: files that show an earlier state."""
    while True:
        found = _reports(folder)
        for language in LANGUAGES:
            page = _render(found, language, site, publication, outdated).encode()
            target = folder / FRONT_PAGES[language]
            if not target.exists() or target.read_bytes() != page:
                write_atomically(target, page)
        if _reports(folder) == found:  # else somebody put one there meanwhile, whose page may be older than this one
            return


def _reports(folder: Path) -> _Reports:
    found: dict[date | str, dict[Language, str]] = {}
    for path in sorted(folder.glob("*.html")):
        stem, _, suffix = path.name.removesuffix(".html").partition(".")
        language = next((known for known in LANGUAGES if known == (suffix or "en")), None)
        subject = _subject(stem)
        if language and subject:
            found.setdefault(subject, {})[language] = path.name
    return found


def _subject(stem: str) -> date | str | None:
    """Of which date or activity a report is; None where the name is no report's."""
    if stem.startswith(_ACTIVITY):
        return unquote(stem.removeprefix(_ACTIVITY))
    try:
        return date.fromisoformat(stem)
    except ValueError:
        return None


def _render(
    found: _Reports, language: Language, site: Site, publication: Publication, outdated: Collection[str]
) -> str:
    links = {subject: _link(files, language, outdated) for subject, files in found.items()}
    dates = publication.dates | {subject for subject in found if isinstance(subject, date)}
    return _template().render(
        language=language,
        other="en" if language == "zh" else "zh",
        words=lambda en, zh: zh if language == "zh" else en,
        day=lambda day: _day(day, language),
        links=links,
        published=publication.dates,
        last=max(publication.dates, default=None),
        months=[_month(year, month, language) for year, month in sorted({(d.year, d.month) for d in dates})[::-1]],
        activities=sorted(site.activities, key=lambda a: (a.first_date, a.id), reverse=True),
        venues={venue.id: venue.name for venue in site.venues},
        publication=publication,
        any_outdated=any(link.is_outdated for link in links.values()),
        pages=FRONT_PAGES,
        dictionary=DICTIONARY_PAGES[language],
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # takes long, and few runs need it

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE)


def _link(files: Mapping[Language, str], language: Language, outdated: Collection[str]) -> Link:
    shown = language if language in files else next(iter(files))
    return Link(quote(files[shown]), shown, files[shown] in outdated)


def _month(year: int, month: int, language: Language) -> tuple[str, list[list[date | None]]]:
    """A month's title, and its weeks from Monday; None where a day is another month's."""
    title = f"{year} 年 {month} 月" if language == "zh" else f"{_MONTHS[month - 1]} {year}"
    weeks = calendar.Calendar().monthdatescalendar(year, month)
    return title, [[day if day.month == month else None for day in week] for week in weeks]


def _day(day: date, language: Language) -> str:
    if language == "zh":
        return f"{day.year} 年 {day.month} 月 {day.day} 日，星期{'一二三四五六日'[day.weekday()]}"
    return f"{_WEEKDAYS[day.weekday()]}, {day.day} {_MONTHS[day.month - 1]} {day.year}"
