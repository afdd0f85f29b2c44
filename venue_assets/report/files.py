"""Where reports lie: `published/reports/<event_date>.html`, `<event_date>.zh.html`, `activity-<id>.html`.

The publication never deletes them; each says which publication it was made of.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final

import duckdb

from edge_collector.durable import write_atomically
from venue_assets.home import Home
from venue_assets.publish.building import DATABASE
from venue_assets.publish.names import REPORTS
from venue_assets.publish.publication import show_reports
from venue_assets.report.page import render
from venue_assets.report.subject import CannotReport
from venue_assets.semantic_layer.metrics import Language

_OTHER: Final[Mapping[Language, Language]] = {"en": "zh", "zh": "en"}
_UNSAFE: Final = re.compile(r"[^\w-]")


def write_report(home: Home, subject: date | str | None = None, *, language: Language = "en") -> Path:
    """Render a report (of the last published date unless told), put it in its place and on the front page.

    Where the same is there in the other language the two link to each other, so that one is rendered again when this
    one is new. Raises CannotReport.
    """
    database = home.published / DATABASE
    if not database.exists():
        raise CannotReport(f"{database} does not exist; venue materialize DATE or venue publish makes it")
    # A connection of its own reads one publication from beginning to end, whatever is published meanwhile.
    with duckdb.connect(str(database.resolve()), read_only=True) as con:
        wanted = _last_date(con) if subject is None else subject
        reports = home.published / REPORTS
        target, other = (reports / _name(wanted, of) for of in (language, _OTHER[language]))
        if target.parent != reports:
            raise CannotReport(f"{wanted} cannot be the name of a file")
        is_new = not target.exists()
        _put(target, render(con, wanted, language=language, other=other.name if other.exists() else None))
        if is_new and other.exists():
            _put(other, render(con, wanted, language=_OTHER[language], other=target.name))
    show_reports(home)
    return target


def _put(target: Path, page: str) -> None:
    if not _holds(target, page.encode()):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, page.encode())


def _holds(path: Path, content: bytes) -> bool:
    return path.exists() and path.read_bytes() == content


def _last_date(con: duckdb.DuckDBPyConnection) -> date:
    found = con.execute("SELECT max(event_date) FROM metrics.primary_metrics").fetchone()
    if not found or not isinstance(found[0], date):
        raise CannotReport("no event date is published yet; venue publish brings the publication up to the lake")
    return found[0]


def _name(subject: date | str, language: Language) -> str:
    # Letters of any language stay; a dot or a slash in an id would lead elsewhere or be taken for the language.
    stem = subject.isoformat() if isinstance(subject, date) else f"activity-{_UNSAFE.sub(_encoded, subject)}"
    return f"{stem}.html" if language == "en" else f"{stem}.{language}.html"


def _encoded(character: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in character[0].encode())
